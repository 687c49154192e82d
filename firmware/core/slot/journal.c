#include "slot/journal.h"

#include <string.h>

#include "wire/bytes.h"
#include "wire/wire.h"

enum { JOURNAL_SECTORS = 2, CRC_OFFSET = SLOT_RECORD_BYTES - 4 };

#define BLANK_SEQUENCE UINT32_MAX

/* ---- flash ---- */

int flash_read(const slot_flash *flash, uint32_t offset, uint8_t *bytes, uint32_t count)
{
    if (flash->read != NULL) {
        return flash->read(flash->context, offset, bytes, count);
    }
    memcpy(bytes, flash->base + offset, count);
    return 0;
}

uint32_t flash_block(const slot_flash *flash)
{
    return (SLOT_RECORD_BYTES + flash->word_bytes - 1) / flash->word_bytes * flash->word_bytes;
}

int flash_is_blank(const slot_flash *flash, uint32_t offset, uint32_t count)
{
    uint8_t bytes[SLOT_WORD_MAX];

    if (flash_read(flash, offset, bytes, count) != 0) {
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (bytes[i] != 0xFF) {
            return 0;
        }
    }
    return 1;
}

status_t flash_program(const slot_flash *flash, uint32_t offset, const uint8_t *bytes, uint32_t count)
{
    uint8_t found[SLOT_WORD_MAX];

    if (flash->program(flash->context, offset, bytes, count) != 0 || flash_read(flash, offset, found, count) != 0 ||
        memcmp(found, bytes, count) != 0) {
        return STATUS_SLOT_FLASH;
    }
    return STATUS_OK;
}

/* ---- records ---- */

static void encode(const slot_record *record, uint8_t *bytes, uint32_t count)
{
    memset(bytes, 0xFF, count);
    put_u32(bytes, record->sequence);
    bytes[4] = record->confirmed;
    bytes[5] = record->phase;
    put_u16(bytes + 6, record->sectors_ready);
    put_u32(bytes + 8, record->lowest_version);
    put_u32(bytes + 12, record->bytes);
    memcpy(bytes + 16, record->tag, SLOT_TAG_BYTES);
    put_u32(bytes + CRC_OFFSET, wire_crc32(0, bytes, CRC_OFFSET));
}

/* What a sound record says is not trusted blindly: a flash from another geometry must not lead outside this one. */
static int is_possible(const slot_record *record, const slot_flash *flash)
{
    return (record->confirmed <= 1 || record->confirmed == SLOT_NONE) && record->phase <= SLOT_PHASE_SHADOW &&
           record->bytes <= slot_bytes(flash) &&
           record->sectors_ready <= (record->bytes + flash->sector_bytes - 1) / flash->sector_bytes;
}

static int decode(const uint8_t *bytes, const slot_flash *flash, slot_record *record)
{
    /* Most places of a journal are blank: no CRC is computed for them at every boot. */
    if (get_u32(bytes) == BLANK_SEQUENCE || get_u32(bytes + CRC_OFFSET) != wire_crc32(0, bytes, CRC_OFFSET)) {
        return 0;
    }
    record->sequence = get_u32(bytes);
    record->confirmed = bytes[4];
    record->phase = bytes[5];
    record->sectors_ready = (uint16_t)get_u16(bytes + 6);
    record->lowest_version = get_u32(bytes + 8);
    record->bytes = get_u32(bytes + 12);
    memcpy(record->tag, bytes + 16, SLOT_TAG_BYTES);
    return is_possible(record, flash);
}

/* ---- journal ---- */

static uint32_t places(const slot_flash *flash)
{
    return flash->sector_bytes / flash_block(flash);
}

static uint32_t place_offset(const slot_flash *flash, uint32_t sector, uint32_t place)
{
    return sector * flash->sector_bytes + place * flash_block(flash);
}

/* The place after the last one that is not blank: records are appended, and a torn one is never written over. */
static uint32_t first_free(const slot_flash *flash, uint32_t sector)
{
    uint32_t free = 0;

    for (uint32_t place = 0; place < places(flash); place++) {
        if (!flash_is_blank(flash, place_offset(flash, sector, place), flash_block(flash))) {
            free = place + 1;
        }
    }
    return free;
}

static void find_newest(slot_store *s, uint32_t sector)
{
    uint8_t bytes[SLOT_RECORD_BYTES];
    slot_record record;

    for (uint32_t place = 0; place < places(s->flash); place++) {
        if (flash_read(s->flash, place_offset(s->flash, sector, place), bytes, sizeof bytes) != 0) {
            continue;
        }
        if (decode(bytes, s->flash, &record) && record.sequence > s->record.sequence) {
            s->record = record;
            s->journal = sector;
        }
    }
}

void journal_open(slot_store *s)
{
    memset(&s->record, 0, sizeof s->record);
    s->record.confirmed = SLOT_NONE;
    /* Without a record the first append erases sector 0, whatever a first attempt left there. */
    s->journal = 1;
    for (uint32_t sector = 0; sector < JOURNAL_SECTORS; sector++) {
        find_newest(s, sector);
    }
    s->next_record = s->record.sequence == 0 ? places(s->flash) : first_free(s->flash, s->journal);
}

status_t journal_append(slot_store *s, const slot_record *record)
{
    uint8_t bytes[SLOT_WORD_MAX];
    uint32_t block = flash_block(s->flash), sector = s->journal, place = s->next_record;
    slot_record next = *record;
    int turned = 0;

    /* What fails costs a turn to the other sector, whose places are all new. */
    s->next_record = places(s->flash);
    for (;; place++) {
        if (place == places(s->flash)) {
            if (turned || s->flash->erase(s->flash->context, 1 - s->journal) != 0) {
                return STATUS_SLOT_FLASH;
            }
            /* The other sector holds older records only: nothing is lost by erasing it. */
            sector = 1 - s->journal;
            place = 0;
            turned = 1;
        }
        /* Each attempt has its number: one that seemed to fail may still be found later. */
        next.sequence = ++s->record.sequence;
        encode(&next, bytes, block);
        /* A place that a cut has spoiled can look blank until it is programmed; the next one is taken. */
        if (flash_program(s->flash, place_offset(s->flash, sector, place), bytes, block) == STATUS_OK) {
            break;
        }
    }
    s->record = next;
    s->journal = sector;
    s->next_record = place + 1;
    return STATUS_OK;
}
