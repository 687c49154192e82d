#include "slot/slot.h"

#include <string.h>

#include "slot/journal.h"

enum { JOURNAL_SECTORS = 2, SLOTS = 2, LEAST_SECTORS = JOURNAL_SECTORS + SLOTS, LEAST_RECORDS = 2 };

/* ---- where things are ---- */

static uint32_t slot_sectors(const slot_flash *flash)
{
    return (flash->sectors - JOURNAL_SECTORS) / SLOTS;
}

uint32_t slot_bytes(const slot_flash *flash)
{
    return slot_sectors(flash) * flash->sector_bytes;
}

static int is_usable(const slot_flash *flash)
{
    return flash->word_bytes > 0 && flash->word_bytes <= SLOT_WORD_MAX && flash->sectors >= LEAST_SECTORS &&
           flash->sector_bytes % IMAGE_ALIGNMENT == 0 && flash->sector_bytes % flash->word_bytes == 0 &&
           flash->sector_bytes >= LEAST_RECORDS * flash_block(flash) &&
           flash->sectors <= UINT32_MAX / flash->sector_bytes && slot_sectors(flash) <= UINT16_MAX;
}

/* The slot that is not confirmed. */
static uint32_t other_slot(const slot_store *s)
{
    return s->record.confirmed == SLOT_NONE ? 0 : 1u - s->record.confirmed;
}

static uint32_t slot_offset(const slot_flash *flash, uint32_t slot)
{
    return JOURNAL_SECTORS * flash->sector_bytes + slot * slot_bytes(flash);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* ---- records ---- */

static status_t enter(slot_store *s, slot_phase phase)
{
    slot_record next = s->record;

    next.phase = (uint8_t)phase;
    return journal_append(s, &next);
}

static status_t note_sectors(slot_store *s, uint32_t ready)
{
    slot_record next = s->record;

    next.sectors_ready = (uint16_t)ready;
    return journal_append(s, &next);
}

static status_t forget_other(slot_store *s)
{
    slot_record next = s->record;

    next.phase = SLOT_PHASE_EMPTY;
    next.sectors_ready = 0;
    next.bytes = 0;
    memset(next.tag, 0, sizeof next.tag);
    return journal_append(s, &next);
}

/* ---- choosing ---- */

status_t slot_verify_image(const void *policy, const uint8_t *bytes, size_t count, uint32_t lowest_version,
                           image_view *view)
{
    image_policy effective = *(const image_policy *)policy;
    status_t status = image_length(bytes, count, &count);

    if (effective.lowest_version < lowest_version) {
        effective.lowest_version = lowest_version;
    }
    return status == STATUS_OK ? image_verify(bytes, count, &effective, view) : status;
}

static status_t verify_slot(const slot_store *s, uint32_t slot, uint32_t space, slot_state state, slot_image *image)
{
    slot_image found;
    const uint8_t *bytes = s->flash->base + slot_offset(s->flash, slot);
    status_t status = s->verify(s->verify_context, bytes, space, s->record.lowest_version, &found.view);

    if (status != STATUS_OK) {
        return status;
    }
    if (state != SLOT_STATE_CONFIRMED && memcmp(found.view.sha256, s->record.tag, SLOT_TAG_BYTES) != 0) {
        return STATUS_SLOT_HASH;
    }
    found.state = state;
    found.slot = (uint8_t)slot;
    *image = found;
    return STATUS_OK;
}

static status_t verify_other(const slot_store *s, slot_state state, slot_image *image)
{
    return verify_slot(s, other_slot(s), s->record.bytes, state, image);
}

static void runs(slot_store *s, const slot_image *image)
{
    s->running = image->slot;
    s->version = image->view.version;
}

/* Start an installed image in test, if that can be put on record first: else it might be started again and again. */
static int start_test(slot_store *s, slot_image *image)
{
    if (enter(s, SLOT_PHASE_TEST) != STATUS_OK) {
        return 0;
    }
    if (verify_other(s, SLOT_STATE_TEST, image) == STATUS_OK) {
        runs(s, image);
        return 1;
    }
    /* Without this record the next start would make it, as for a test that was not confirmed. */
    (void)enter(s, SLOT_PHASE_REVERTED);
    return 0;
}

/* Where a transfer that was cut goes on: at the last block that is not blank, which may be torn and is compared. */
static uint32_t resume_offset(const slot_store *s)
{
    const slot_flash *flash = s->flash;
    uint32_t block = flash_block(flash), from, at;

    if (s->record.sectors_ready == 0) {
        return 0;
    }
    from = (s->record.sectors_ready - 1u) * flash->sector_bytes;
    at = (smaller(flash->sector_bytes, s->record.bytes - from) - 1) / block * block;
    while (at > 0 && flash_is_blank(flash, slot_offset(flash, other_slot(s)) + from + at,
                                    smaller(block, flash->sector_bytes - at))) {
        at -= block;
    }
    return from + at;
}

status_t slot_boot(slot_store *s, const slot_flash *flash, slot_verify verify, const void *verify_context,
                   slot_image *image)
{
    status_t status;

    memset(image, 0, sizeof *image);
    image->slot = SLOT_NONE;
    memset(s, 0, sizeof *s);
    s->flash = flash;
    s->verify = verify;
    s->verify_context = verify_context;
    s->running = SLOT_NONE;
    if (!is_usable(flash)) {
        return STATUS_SLOT_GEOMETRY;
    }
    journal_open(s);
    if (s->record.phase == SLOT_PHASE_TEST) {
        (void)enter(s, SLOT_PHASE_REVERTED);
    } else if (s->record.phase == SLOT_PHASE_INSTALLED && start_test(s, image)) {
        return STATUS_OK;
    } else if (s->record.phase == SLOT_PHASE_RECEIVING) {
        s->received = resume_offset(s);
    }
    if (s->record.confirmed == SLOT_NONE) {
        return STATUS_SLOT_EMPTY;
    }
    status = verify_slot(s, s->record.confirmed, slot_bytes(flash), SLOT_STATE_CONFIRMED, image);
    if (status == STATUS_OK) {
        runs(s, image);
    }
    return status;
}

/* ---- installing ---- */

status_t slot_install_begin(slot_store *s, uint32_t bytes, const uint8_t sha256[IMAGE_HASH_BYTES], uint32_t *next)
{
    slot_record record = s->record;
    status_t status;
    int is_same;

    if (!is_usable(s->flash)) {
        return STATUS_SLOT_GEOMETRY;
    }
    if (bytes == 0 || bytes > slot_bytes(s->flash)) {
        return STATUS_SLOT_TOO_LARGE;
    }
    if (record.phase == SLOT_PHASE_INSTALLED || record.phase == SLOT_PHASE_TEST || s->running == other_slot(s)) {
        return STATUS_SLOT_IN_USE;
    }
    is_same = record.bytes == bytes && memcmp(record.tag, sha256, SLOT_TAG_BYTES) == 0;
    if (record.phase == SLOT_PHASE_SHADOW && is_same) {
        *next = bytes;
        return STATUS_OK;
    }
    if (record.phase != SLOT_PHASE_RECEIVING || !is_same) {
        record.phase = SLOT_PHASE_RECEIVING;
        record.sectors_ready = 0;
        record.bytes = bytes;
        memcpy(record.tag, sha256, SLOT_TAG_BYTES);
        status = journal_append(s, &record);
        if (status != STATUS_OK) {
            return status;
        }
        s->received = 0;
        s->pending_bytes = 0;
        s->sector_is_fresh = 0;
    }
    *next = s->received;
    return STATUS_OK;
}

static status_t erase_sector(slot_store *s, uint32_t sector)
{
    uint32_t first = slot_offset(s->flash, other_slot(s)) / s->flash->sector_bytes;

    if (s->flash->erase(s->flash->context, first + sector) != 0) {
        return STATUS_SLOT_FLASH;
    }
    s->sector_is_fresh = 1;
    return note_sectors(s, sector + 1);
}

/* One block at its place. What a cut transfer has left there stays if it is the same, for a word is programmed once;
 * else the sector must be erased, and this begins with the note that it is not ready. `*at` is where to go on. */
static status_t place_block(slot_store *s, uint32_t start, uint32_t count, uint32_t *at)
{
    const slot_flash *flash = s->flash;
    uint32_t sector = start / flash->sector_bytes, offset = slot_offset(flash, other_slot(s)) + start;
    uint8_t found[SLOT_WORD_MAX];
    status_t status = STATUS_OK;

    *at = start;
    if (s->record.sectors_ready == sector) {
        status = erase_sector(s, sector);
    } else if (start % flash->sector_bytes == 0) {
        s->sector_is_fresh = 0;
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (flash_read(flash, offset, found, count) == 0 && memcmp(found, s->pending, count) == 0) {
        *at = start + count;
        return STATUS_OK;
    }
    if (flash_is_blank(flash, offset, count) && flash_program(flash, offset, s->pending, count) == STATUS_OK) {
        *at = start + count;
        return STATUS_OK;
    }
    /* On a sector erased by this very transfer no cut is to blame. */
    if (s->sector_is_fresh) {
        status = STATUS_SLOT_FLASH;
    }
    *at = sector * flash->sector_bytes;
    s->sector_is_fresh = 0;
    return note_sectors(s, sector) == STATUS_OK ? status : STATUS_SLOT_FLASH;
}

/* Bytes that the block at this offset of the image takes, without what pads its last word. */
static uint32_t block_room(const slot_store *s, uint32_t start)
{
    uint32_t room = s->flash->sector_bytes - start % s->flash->sector_bytes;

    return smaller(smaller(room, flash_block(s->flash)), s->record.bytes - start);
}

static uint32_t whole_words(const slot_flash *flash, uint32_t count)
{
    return (count + flash->word_bytes - 1) / flash->word_bytes * flash->word_bytes;
}

/* Take bytes up to the end of the block that is due, and place it when it is whole. */
static status_t take(slot_store *s, const uint8_t *bytes, uint32_t count, uint32_t *taken)
{
    uint32_t start = s->received - s->pending_bytes;
    uint32_t room = block_room(s, start), at;
    status_t status;

    *taken = smaller(count, room - s->pending_bytes);
    memcpy(s->pending + s->pending_bytes, bytes, *taken);
    s->pending_bytes += *taken;
    s->received += *taken;
    if (s->pending_bytes < room) {
        return STATUS_OK;
    }
    memset(s->pending + room, 0xFF, sizeof s->pending - room);
    status = place_block(s, start, whole_words(s->flash, room), &at);
    s->pending_bytes = 0;
    if (at <= start) {
        s->received = at;
    }
    return status;
}

status_t slot_install_write(slot_store *s, uint32_t offset, const uint8_t *bytes, size_t count, uint32_t *next)
{
    uint32_t done, due, taken;
    status_t status = STATUS_OK;

    *next = s->received;
    if (s->record.phase != SLOT_PHASE_RECEIVING) {
        return STATUS_SLOT_NO_TRANSFER;
    }
    if (offset > s->received || count > s->record.bytes - offset) {
        return STATUS_SLOT_OFFSET;
    }
    /* Bytes that came before are passed over: their answer was lost. */
    for (done = smaller(s->received - offset, (uint32_t)count); done < count; done += taken) {
        due = s->received;
        status = take(s, bytes + done, (uint32_t)count - done, &taken);
        /* Back to the block, or to its sector: with every error, and without one where a cut has spoiled it. */
        if (s->received != due + taken) {
            break;
        }
    }
    *next = s->received;
    return status;
}

/* What was received, or is in the shadow, whole and sound; what is refused is gone. */
static status_t whole_image(slot_store *s, slot_state state, slot_image *image)
{
    status_t status;

    if (s->record.phase != SLOT_PHASE_RECEIVING && s->record.phase != SLOT_PHASE_SHADOW) {
        return STATUS_SLOT_NO_TRANSFER;
    }
    if (s->record.phase == SLOT_PHASE_RECEIVING && s->received != s->record.bytes) {
        return STATUS_SLOT_INCOMPLETE;
    }
    status = verify_other(s, state, image);
    if (status != STATUS_OK) {
        (void)forget_other(s);
    }
    return status;
}

status_t slot_install_finish(slot_store *s, slot_image *image)
{
    slot_image found;
    status_t status = whole_image(s, SLOT_STATE_TEST, &found);

    if (status == STATUS_OK) {
        status = enter(s, SLOT_PHASE_INSTALLED);
    }
    if (status == STATUS_OK) {
        *image = found;
        runs(s, image);
    }
    return status;
}

status_t slot_shadow(slot_store *s, slot_image *image)
{
    slot_image found;
    status_t status;

    if (s->record.confirmed == SLOT_NONE || s->running != s->record.confirmed) {
        return STATUS_SLOT_EMPTY;
    }
    status = whole_image(s, SLOT_STATE_SHADOW, &found);
    if (status == STATUS_OK && s->record.phase != SLOT_PHASE_SHADOW) {
        status = enter(s, SLOT_PHASE_SHADOW);
    }
    if (status == STATUS_OK) {
        *image = found;
    }
    return status;
}

/* ---- deciding ---- */

status_t slot_confirm(slot_store *s)
{
    slot_record next = s->record;

    if (next.phase != SLOT_PHASE_TEST || s->running != other_slot(s)) {
        return STATUS_SLOT_NO_TEST;
    }
    memset(&next, 0, sizeof next);
    next.confirmed = (uint8_t)s->running;
    next.lowest_version = s->version;
    return journal_append(s, &next);
}

status_t slot_revert(slot_store *s)
{
    if (s->record.phase != SLOT_PHASE_INSTALLED && s->record.phase != SLOT_PHASE_TEST &&
        s->record.phase != SLOT_PHASE_SHADOW) {
        return STATUS_SLOT_NO_TEST;
    }
    return enter(s, SLOT_PHASE_REVERTED);
}
