#include "tcp_link.h"

#include <string.h>

#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"

static struct netif interface;
static const lan9118 *controller;
static tcp_link_settings settings;
static uint8_t frame[LAN9118_FRAME_MAX];

static struct tcp_pcb *connection;
static enum { IDLE, CONNECTING, CONNECTED, LOST } phase;
/* Received and not yet taken by the application; lwIP's window limits it. */
static struct pbuf *received;
static u16_t received_used;

static err_t send_frame(struct netif *netif, struct pbuf *packet)
{
    (void)netif;
    if (packet->tot_len > sizeof frame) {
        return ERR_BUF;
    }
    (void)pbuf_copy_partial(packet, frame, packet->tot_len, 0);
    return lan9118_send(controller, frame, packet->tot_len) == 0 ? ERR_OK : ERR_MEM;
}

static err_t start_interface(struct netif *netif)
{
    netif->name[0] = 'e';
    netif->name[1] = '0';
    netif->output = etharp_output;
    netif->linkoutput = send_frame;
    netif->mtu = 1500;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static void set_address(ip4_addr_t *to, const uint8_t from[4])
{
    IP4_ADDR(to, from[0], from[1], from[2], from[3]);
}

void tcp_link_start(const lan9118 *device, const uint8_t mac[6], const tcp_link_settings *wanted)
{
    ip4_addr_t address, mask, gateway;

    controller = device;
    settings = *wanted;
    lwip_init();
    set_address(&address, settings.address);
    set_address(&mask, settings.mask);
    set_address(&gateway, settings.gateway);
    memcpy(interface.hwaddr, mac, 6);
    interface.hwaddr_len = 6;
    (void)netif_add(&interface, &address, &mask, &gateway, NULL, start_interface, ethernet_input);
    netif_set_default(&interface);
    netif_set_up(&interface);
}

void tcp_link_poll(void)
{
    size_t bytes;

    while ((bytes = lan9118_receive(controller, frame, sizeof frame)) > 0) {
        struct pbuf *packet = pbuf_alloc(PBUF_RAW, (u16_t)bytes, PBUF_POOL);

        if (packet == NULL) {
            break; /* the sender repeats what was lost */
        }
        (void)pbuf_take(packet, frame, (u16_t)bytes);
        if (interface.input(packet, &interface) != ERR_OK) {
            (void)pbuf_free(packet);
        }
    }
    sys_check_timeouts();
}

static err_t on_connected(void *argument, struct tcp_pcb *pcb, err_t error)
{
    (void)argument;
    (void)pcb;
    (void)error;
    phase = CONNECTED;
    return ERR_OK;
}

static err_t on_received(void *argument, struct tcp_pcb *pcb, struct pbuf *packet, err_t error)
{
    (void)argument;
    (void)pcb;
    (void)error;
    if (packet == NULL) {
        phase = LOST;
        return ERR_OK;
    }
    if (received == NULL) {
        received = packet;
    } else {
        pbuf_cat(received, packet);
    }
    return ERR_OK;
}

/* lwIP has freed the connection before it calls this. */
static void on_error(void *argument, err_t error)
{
    (void)argument;
    (void)error;
    connection = NULL;
    phase = LOST;
}

static void begin(void)
{
    ip4_addr_t hub;

    connection = tcp_new();
    if (connection == NULL) {
        phase = LOST;
        return;
    }
    set_address(&hub, settings.hub);
    phase = CONNECTING;
    tcp_nagle_disable(connection);
    tcp_recv(connection, on_received);
    tcp_err(connection, on_error);
    if (tcp_connect(connection, &hub, settings.port, on_connected) != ERR_OK) {
        phase = LOST;
    }
}

int tcp_link_connect(void)
{
    if (phase == IDLE) {
        begin();
    }
    return phase == CONNECTED ? 1 : phase == CONNECTING ? 0 : -1;
}

int tcp_link_send(const uint8_t *bytes, size_t count)
{
    if (phase != CONNECTED) {
        return -1;
    }
    if (count > tcp_sndbuf(connection)) {
        count = tcp_sndbuf(connection);
    }
    if (count == 0 || tcp_write(connection, bytes, (u16_t)count, TCP_WRITE_FLAG_COPY) != ERR_OK) {
        return 0;
    }
    (void)tcp_output(connection);
    return (int)count;
}

int tcp_link_receive(uint8_t *bytes, size_t space)
{
    u16_t left, count;

    if (received == NULL) {
        return phase == CONNECTED ? 0 : -1;
    }
    left = (u16_t)(received->tot_len - received_used);
    count = space < left ? (u16_t)space : left;
    (void)pbuf_copy_partial(received, bytes, count, received_used);
    received_used = (u16_t)(received_used + count);
    if (received_used == received->tot_len) {
        (void)pbuf_free(received);
        received = NULL;
        received_used = 0;
    }
    if (connection != NULL) {
        tcp_recved(connection, count);
    }
    return count;
}

void tcp_link_close(void)
{
    if (received != NULL) {
        (void)pbuf_free(received);
    }
    received = NULL;
    received_used = 0;
    if (connection != NULL) {
        tcp_recv(connection, NULL);
        tcp_err(connection, NULL);
        if (phase == CONNECTING || tcp_close(connection) != ERR_OK) {
            tcp_abort(connection);
        }
    }
    connection = NULL;
    phase = IDLE;
}
