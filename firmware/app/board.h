/* What a board gives the application. PORTING.md goes through it in the order in which a new board is brought up.
 * Nothing here waits: a callback that has nothing to do returns at once. */
#ifndef EDGELOOP_BOARD_H
#define EDGELOOP_BOARD_H

#include <stddef.h>
#include <stdint.h>

#include "image/image.h"
#include "ring/ring.h"
#include "session/session.h"
#include "slot/slot.h"
#include "status.h"

typedef struct {
    void *context;
    uint8_t id[SESSION_ID_BYTES]; /* text, filled with zeros */

    /* Milliseconds since the start; only ever rises. */
    int64_t (*now_ms)(void *context);
    /* 1 and a reading when a new one is there, else 0. A board without a calendar stamps it with app_time. */
    int (*sensor)(void *context, ring_reading *reading);
    /* 1: a reading that is not asked for waits at its source (a file, lines of a test), so while forecasts wait for a
     * slow hub none is asked for. 0: it would be lost, so it is taken, and the oldest forecast goes. */
    uint8_t sensor_waits;
    void (*watchdog)(void *context);

    /* The provisioned key of the link, and bytes that never repeat. */
    status_t (*key)(void *context, uint8_t key[SESSION_KEY_BYTES]);
    void (*nonce)(void *context, uint8_t nonce[SESSION_NONCE_BYTES]);

    /* The connection to the hub: 1 made, 0 on its way, -1 failed; bytes moved, or -1 when it is gone. */
    int (*link_connect)(void *context);
    int (*link_send)(void *context, const uint8_t *bytes, size_t count);
    int (*link_receive)(void *context, uint8_t *bytes, size_t space);
    void (*link_close)(void *context);

    /* Memory of the readings, at best one that outlives a reset; ring_changed may be NULL (see ring.h). */
    uint8_t *ring_memory;
    size_t ring_bytes;
    void (*ring_changed)(void *context, size_t offset, size_t bytes);

    /* The flash with the two model slots, and the public keys that may sign what goes into them. */
    const slot_flash *flash;
    const uint8_t (*image_keys)[IMAGE_KEY_BYTES];
    uint32_t image_key_count;

    /* Milliseconds in which an image in test must make a forecast and be confirmed; longer than the cadence. */
    int64_t test_ms;
} board_port;

#endif
