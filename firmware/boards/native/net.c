#define _POSIX_C_SOURCE 200809L
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int net_open(const uint8_t address[4], uint16_t port, int *connection)
{
    struct sockaddr_in to;
    int one = 1, flags;

    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    memcpy(&to.sin_addr, address, 4);
    *connection = socket(AF_INET, SOCK_STREAM, 0);
    if (*connection < 0) {
        return -1;
    }
    /* On one machine or in one building a connection is made at once or refused at once. */
    if (connect(*connection, (struct sockaddr *)&to, sizeof to) != 0) {
        net_close(connection);
        return -1;
    }
    flags = setsockopt(*connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return flags == 0 ? 1 : -1;
}

int net_send(int connection, const uint8_t *bytes, size_t count)
{
    ssize_t sent = send(connection, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent >= 0) {
        return (int)sent;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
}

int net_receive(int connection, uint8_t *bytes, size_t space)
{
    ssize_t received = recv(connection, bytes, space, MSG_DONTWAIT);

    if (received > 0) {
        return (int)received;
    }
    if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return 0;
    }
    return -1;
}

void net_close(int *connection)
{
    if (*connection >= 0) {
        (void)close(*connection);
    }
    *connection = -1;
}

void net_wait(int connection, int room, int file, int milliseconds)
{
    struct pollfd wanted[2] = {{connection, POLLIN, 0}, {file, POLLIN, 0}};

    if (room) {
        wanted[0].events |= POLLOUT;
    }
    (void)poll(wanted, 2, milliseconds);
}
