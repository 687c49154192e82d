/* Two equal slots for model images on flash, and the journal that says which one runs. SPEC.md chapter "Slots" has
 * every byte.
 *
 *     status = slot_boot(&slots, &flash, slot_verify_image, &policy, &image);   recover, choose, verify
 *
 *     status = slot_install_begin(&slots, bytes, sha256, &next);                resumes if it was begun before
 *     while (next < bytes)
 *         status = slot_install_write(&slots, next, chunk, count, &next);
 *     status = slot_install_finish(&slots, &image);                             verified; in test after a restart
 *
 *     status = slot_confirm(&slots);   or   slot_revert(&slots);
 *
 *     status = slot_shadow(&slots, &image);     instead of slot_install_finish: verified, to run beside the confirmed one
 *
 * An image in test is started once: a boot that finds it neither confirmed nor reverted goes back. Power may fail at
 * any moment of any of this; the next slot_boot finds the state before or after, never one between. The lowest version
 * that is accepted rises with slot_confirm, in the same record. */
#ifndef EDGELOOP_SLOT_H
#define EDGELOOP_SLOT_H

#include <stddef.h>
#include <stdint.h>

#include "image/image.h"
#include "status.h"

enum {
    SLOT_NONE = 255,
    SLOT_WORD_MAX = 256, /* largest word_bytes */
    SLOT_RECORD_BYTES = 32,
    SLOT_TAG_BYTES = 12 /* of an image's SHA-256, in the journal */
};

/* A flash area whose sectors 0 and 1 hold the journal, the rest slot 0 and slot 1. Callbacks return 0 if they did it
 * all. `program` gets whole words of erased flash, each once between two erases. */
typedef struct {
    void *context;
    const uint8_t *base;   /* where the area is mapped; complete images are read there in place */
    uint32_t sector_bytes; /* a multiple of word_bytes that takes two records */
    uint32_t sectors;      /* 4 or more; an odd last one stays unused */
    uint32_t word_bytes;   /* 1 ... SLOT_WORD_MAX: what is programmed as a whole */
    /* Not 0 where a word cannot be read, as after an ECC error; NULL where reading at `base` never faults. */
    int (*read)(void *context, uint32_t offset, uint8_t *bytes, uint32_t count);
    int (*program)(void *context, uint32_t offset, const uint8_t *bytes, uint32_t count);
    int (*erase)(void *context, uint32_t sector);
} slot_flash;

/* image_verify, or what stands in for it in a simulation. */
typedef status_t (*slot_verify)(const void *context, const uint8_t *bytes, size_t count, uint32_t lowest_version,
                                image_view *view);

/* The slot that is not confirmed. */
typedef enum {
    SLOT_PHASE_EMPTY,
    SLOT_PHASE_RECEIVING,
    SLOT_PHASE_INSTALLED, /* verified, to be started in test */
    SLOT_PHASE_TEST,      /* started in test */
    SLOT_PHASE_REVERTED,
    SLOT_PHASE_SHADOW /* verified, runs beside the confirmed one */
} slot_phase;

typedef enum { SLOT_STATE_NONE, SLOT_STATE_TEST, SLOT_STATE_CONFIRMED, SLOT_STATE_SHADOW } slot_state;

/* One record of the journal: all there is to know. */
typedef struct {
    uint32_t sequence;       /* the highest is the newest */
    uint8_t confirmed;       /* 0, 1 or SLOT_NONE */
    uint8_t phase;           /* of the other one; of slot 0 while none is confirmed */
    uint16_t sectors_ready;  /* while receiving: erased since it began */
    uint32_t lowest_version; /* that of the confirmed image */
    uint32_t bytes;          /* of the image in the other slot, and the first bytes of its SHA-256 */
    uint8_t tag[SLOT_TAG_BYTES];
} slot_record;

typedef struct {
    const slot_flash *flash;
    slot_verify verify;
    const void *verify_context;
    slot_record record;       /* the newest */
    uint32_t journal;         /* sector that it is in */
    uint32_t next_record;     /* first free place there */
    uint32_t running;         /* slot whose image was given out by slot_boot or slot_install_finish, or SLOT_NONE */
    uint32_t version;         /* of that image */
    uint32_t received;        /* bytes of the transfer in place, with those of `pending` */
    uint32_t pending_bytes;   /* received, but short of a block */
    uint32_t sector_is_fresh; /* the sector being filled was erased by this transfer */
    uint8_t pending[SLOT_WORD_MAX];
} slot_store;

typedef struct {
    image_view view;
    slot_state state;
    uint8_t slot; /* SLOT_NONE without an image */
} slot_image;

/* The usual `verify`; its context is a `const image_policy *`, whose lowest_version counts if it is the higher one. */
status_t slot_verify_image(const void *policy, const uint8_t *bytes, size_t count, uint32_t lowest_version,
                           image_view *view);

/* Recover from whatever a reset interrupted and choose the image to run. Also after slot_revert, to go back without a
 * reset. STATUS_SLOT_EMPTY before the first confirmation; then slot_install_begin may follow all the same, as after
 * any error but STATUS_SLOT_GEOMETRY. */
status_t slot_boot(slot_store *s, const slot_flash *flash, slot_verify verify, const void *verify_context,
                   slot_image *image);

/* Begin a transfer, or go on with one of the same length and hash; `*next` is the offset that is due. */
status_t slot_install_begin(slot_store *s, uint32_t bytes, const uint8_t sha256[IMAGE_HASH_BYTES], uint32_t *next);

/* The bytes at `offset`, which is the one due. `*next` is the one due after it, also on an error: it goes back to the
 * start of a sector that a power cut has spoiled. Bytes already in place are passed over. */
status_t slot_install_write(slot_store *s, uint32_t offset, const uint8_t *bytes, size_t count, uint32_t *next);

/* Verify what was received, or what is in the shadow; after STATUS_OK the next slot_boot starts it in test. An image
 * that is refused is gone. */
status_t slot_install_finish(slot_store *s, slot_image *image);

/* Verify what was received; after STATUS_OK it is in the shadow of the confirmed one, which goes on running. Also gives
 * out again, after slot_boot, the one that is there. STATUS_SLOT_EMPTY unless the confirmed one runs. */
status_t slot_shadow(slot_store *s, slot_image *image);

/* Keep the image that runs in test; its version becomes the lowest that is accepted. */
status_t slot_confirm(slot_store *s);

/* Give up the image in test, waiting for it, or in the shadow; the next slot_boot runs the confirmed one. */
status_t slot_revert(slot_store *s);

/* Bytes of a slot: the largest image. */
uint32_t slot_bytes(const slot_flash *flash);

#endif
