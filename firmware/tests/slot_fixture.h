/* An odd flash, three signed images of it, and a board's slots, for the tests of slots and journal. */
#ifndef EDGELOOP_SLOT_FIXTURE_H
#define EDGELOOP_SLOT_FIXTURE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bearssl_hash.h"
#include "check.h"
#include "flash_model.h"
#include "pattern_image.h"
#include "slot/slot.h"
#include "vectors.h"

enum { VERSIONS = 3, MODEL_BYTES = 900, SECTOR = 240, SECTORS = 15, WORD = 12, BLOCK = 36, PLACES = SECTOR / BLOCK };

static uint8_t key[1][IMAGE_KEY_BYTES];
static uint8_t *images[VERSIONS + 1], hashes[VERSIONS + 1][IMAGE_HASH_BYTES];
static uint32_t length; /* of each image */
static image_policy policy;
static flash_model chip;
static slot_store slots;
static slot_image image;
static char *vectors;

static inline void load_images(void)
{
    br_sha256_context context;

    vectors = vectors_read(VECTORS_FOLDER "/image.json");
    vectors_bytes(vectors, "key", key[0], sizeof key[0]);
    policy = (image_policy){(const uint8_t(*)[IMAGE_KEY_BYTES])key, 1, UINT32_MAX, 0, 7, UINT32_MAX, UINT32_MAX};
    for (uint32_t version = 1; version <= VERSIONS; version++) {
        images[version] = pattern_image(vectors, MODEL_BYTES, version, &length);
        br_sha256_init(&context);
        br_sha256_update(&context, images[version], length);
        br_sha256_out(&context, hashes[version]);
    }
}

/* An erased chip of the odd geometry; 6 sectors a slot. */
static inline void open_chip(int has_ecc)
{
    if (chip.bytes != NULL)
        flash_model_close(&chip);
    flash_model_open(&chip, SECTOR, SECTORS, WORD, has_ecc);
}

static inline status_t boot(void)
{
    memset(&slots, 0xA5, sizeof slots);
    return slot_boot(&slots, &chip.port, slot_verify_image, &policy, &image);
}

static inline status_t send(uint32_t version, uint32_t stop, uint32_t chunk)
{
    uint32_t next = 0;
    status_t status = slot_install_begin(&slots, length, hashes[version], &next);

    while (status == STATUS_OK && next < stop)
        status =
            slot_install_write(&slots, next, images[version] + next, stop - next < chunk ? stop - next : chunk, &next);
    return status;
}

static inline status_t install(uint32_t version)
{
    status_t status = send(version, length, 100);

    return status == STATUS_OK ? slot_install_finish(&slots, &image) : status;
}

static inline void install_and_confirm(uint32_t version)
{
    CHECK_EQUAL(install(version), STATUS_OK);
    CHECK_EQUAL(boot(), STATUS_OK);
    CHECK_EQUAL(slot_confirm(&slots), STATUS_OK);
}

static inline void check_runs(uint32_t version, slot_state state)
{
    CHECK_EQUAL(image.view.version, version);
    CHECK_EQUAL(image.state, state);
    CHECK_BYTES(image.view.sha256, hashes[version], IMAGE_HASH_BYTES);
}

#endif
