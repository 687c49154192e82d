/* The SMSC LAN9118 Ethernet controller, polled: one frame in, one frame out.
 *
 * Register names and values: SMSC LAN9118 data sheet, revision 1.5 (07-11-08), chapter 5. */
#ifndef EDGELOOP_LAN9118_H
#define EDGELOOP_LAN9118_H

#include <stddef.h>
#include <stdint.h>

enum { LAN9118_FRAME_MAX = 1514 };

typedef struct {
    uintptr_t base;
} lan9118;

/* 0, or -1 if no LAN9118 answers at this address. */
int lan9118_start(lan9118 *device, uintptr_t base, const uint8_t mac[6]);

/* 0, or -1 if the controller has no room: try again later. */
int lan9118_send(const lan9118 *device, const uint8_t *frame, size_t bytes);

/* Bytes of the next frame, without its check sequence; 0 if there is none. Damaged and longer ones are left out. */
size_t lan9118_receive(const lan9118 *device, uint8_t *frame, size_t space);

#endif
