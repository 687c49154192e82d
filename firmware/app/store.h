/* The model images on the board's flash, as the application sees them: one that runs, one being received. */
#ifndef EDGELOOP_STORE_H
#define EDGELOOP_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "board.h"
#include "image/image.h"
#include "slot/slot.h"
#include "status.h"

typedef struct {
    image_policy policy;
    slot_store slots;
} store;

/* Recover from whatever a reset interrupted, and choose the image to run. One that was already in test before this
 * start has had its chance and is gone. */
status_t store_start(store *s, const board_port *board, slot_image *image);

/* Receive an image into the slot that does not run; `*resume` and `*next` are the offset that is due. */
status_t store_begin(store *s, uint32_t bytes, const uint8_t sha256[32], uint32_t *resume);
status_t store_write(store *s, uint32_t offset, const uint8_t *bytes, size_t count, uint32_t *next);
uint32_t store_received(const store *s);

/* Verify what was received and mark it for test; `image` is what will run after a restart. */
status_t store_install(store *s, slot_image *image);

/* Verify what was received, or is there already: `image` runs beside the confirmed one. */
status_t store_shadow(store *s, slot_image *image);

status_t store_confirm(store *s);
status_t store_revert(store *s);
/* Of the slot that is not confirmed. */
slot_phase store_phase(const store *s);
uint32_t store_lowest_version(const store *s);

#endif
