/* TCP connections of the native board; nothing here waits but net_open and net_wait. */
#ifndef EDGELOOP_NET_H
#define EDGELOOP_NET_H

#include <stddef.h>
#include <stdint.h>

/* 1 with a connection, or -1. */
int net_open(const uint8_t address[4], uint16_t port, int *connection);
/* Bytes moved (may be 0), or -1 when the connection is gone. */
int net_send(int connection, const uint8_t *bytes, size_t count);
int net_receive(int connection, uint8_t *bytes, size_t space);
void net_close(int *connection);
/* Until one of the two (negative: none) has something to read, the connection has room to write if that is waited for,
 * or the time is over. */
void net_wait(int connection, int room, int file, int milliseconds);

#endif
