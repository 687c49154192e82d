/* One outgoing TCP connection on lwIP, as the application's link: bytes in order, nothing waits. */
#ifndef EDGELOOP_TCP_LINK_H
#define EDGELOOP_TCP_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "lan9118.h"

typedef struct {
    uint8_t address[4], mask[4], gateway[4];
    uint8_t hub[4];
    uint16_t port;
} tcp_link_settings;

void tcp_link_start(const lan9118 *device, const uint8_t mac[6], const tcp_link_settings *settings);

/* Moves frames and timers; call it in every turn of the main loop. */
void tcp_link_poll(void);

/* 1 connected, 0 on the way (the first call starts it), -1 refused or lost. */
int tcp_link_connect(void);
/* Bytes taken (may be 0), or -1 when the connection is gone. */
int tcp_link_send(const uint8_t *bytes, size_t count);
/* Bytes received (may be 0), or -1 when the connection is gone. */
int tcp_link_receive(uint8_t *bytes, size_t space);
void tcp_link_close(void);

#endif
