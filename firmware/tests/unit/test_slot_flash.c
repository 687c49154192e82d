/* Two slots on a flash that fails, geometries, and the journal's bytes. */
#include "slot/journal.h"
#include "slot_fixture.h"
#include "wire/bytes.h"
#include "wire/wire.h"

/* ---- flash that fails ---- */

/* Every operation of a whole update refused in turn, for good or once: never a wrong state, and later it works. */
static void every_refused_operation_leaves_a_sound_state(void)
{
    long operations;

    open_chip(0);
    boot();
    install_and_confirm(1);
    flash_model_keep(&chip);
    chip.operations = 0;
    boot();
    install_and_confirm(2);
    operations = chip.operations;
    for (long at = 0; at < 2 * operations; at++) {
        status_t status;

        flash_model_restore(&chip);
        chip.operations = 0;
        chip.refuse_at = at < operations ? at : -1;
        chip.refuse_from = at < operations ? -1 : at - operations;
        CHECK_EQUAL(boot(), STATUS_OK);
        check_runs(1, SLOT_STATE_CONFIRMED);
        status = install(2);
        if (status == STATUS_OK) {
            (void)boot();
        }
        if (status == STATUS_OK && image.state == SLOT_STATE_TEST) {
            status = slot_confirm(&slots);
        }
        chip.refuse_at = chip.refuse_from = -1;
        CHECK(status == STATUS_OK || status == STATUS_SLOT_FLASH);
        CHECK_EQUAL(slots.record.lowest_version, slots.record.confirmed == 1 ? 2 : 1);
        CHECK_EQUAL(boot(), STATUS_OK);
        if (image.state == SLOT_STATE_TEST) {
            CHECK_EQUAL(slot_confirm(&slots), STATUS_OK);
        } else if (image.view.version != 2) {
            install_and_confirm(2);
        }
        CHECK_EQUAL(boot(), STATUS_OK);
        check_runs(2, SLOT_STATE_CONFIRMED);
        CHECK(chip.violation == NULL);
    }
}

static void a_refused_write_says_where_to_go_on(void)
{
    uint32_t next = 0;

    open_chip(0);
    boot();
    slot_install_begin(&slots, length, hashes[1], &next);
    chip.refuse_at = chip.operations; /* the erase of the first sector */
    CHECK_EQUAL(slot_install_write(&slots, 0, images[1], 100, &next), STATUS_SLOT_FLASH);
    CHECK_EQUAL(next, 0);
    CHECK_EQUAL(slot_install_write(&slots, 0, images[1], 100, &next), STATUS_OK);
    chip.refuse_at = chip.operations; /* the next block: the sector is given up and begun again */
    CHECK_EQUAL(slot_install_write(&slots, 100, images[1] + 100, 100, &next), STATUS_SLOT_FLASH);
    CHECK_EQUAL(next, 0);
    CHECK_EQUAL(install(1), STATUS_OK);
}

/* An image that is put on record as in test, does not verify, and cannot be put on record as reverted. */
static void what_never_ran_in_test_is_not_confirmed(void)
{
    open_chip(0);
    boot();
    install_and_confirm(1);
    CHECK_EQUAL(install(2), STATUS_OK);
    chip.bytes[(2 + 6) * SECTOR + 300] ^= 4;
    chip.refuse_from = chip.operations + (slots.next_record == PLACES ? 2 : 1);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(1, SLOT_STATE_CONFIRMED);
    CHECK_EQUAL(slots.record.phase, SLOT_PHASE_TEST);
    CHECK_EQUAL(slot_confirm(&slots), STATUS_SLOT_NO_TEST);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(1, SLOT_STATE_CONFIRMED);
    CHECK_EQUAL(slot_confirm(&slots), STATUS_SLOT_NO_TEST);
    chip.refuse_from = -1;
    CHECK_EQUAL(boot(), STATUS_OK);
    CHECK_EQUAL(slots.record.phase, SLOT_PHASE_REVERTED);
}

/* A block that a cut has spoiled, and a flash that then takes no record of it either. */
static void a_spoiled_block_costs_its_sector(void)
{
    uint32_t next = 0;

    for (int is_dead = 0; is_dead < 2; is_dead++) {
        open_chip(0);
        boot();
        CHECK_EQUAL(send(1, SECTOR + 3 * BLOCK, 50), STATUS_OK);
        chip.bytes[(2 + 1) * SECTOR + 2 * BLOCK] ^= 1;
        boot();
        slot_install_begin(&slots, length, hashes[1], &next);
        CHECK_EQUAL(next, SECTOR + 2 * BLOCK);
        chip.refuse_from = is_dead ? chip.operations : -1;
        CHECK_EQUAL(slot_install_write(&slots, next, images[1] + next, 100, &next),
                    is_dead ? STATUS_SLOT_FLASH : STATUS_OK);
        CHECK_EQUAL(next, SECTOR);
        chip.refuse_from = -1;
        CHECK_EQUAL(install(1), STATUS_OK);
        CHECK(chip.violation == NULL);
    }
}

static void unreadable_words_are_no_records_and_no_data(void)
{
    uint32_t next = 0, record = 2;

    open_chip(1);
    boot();
    CHECK_EQUAL(send(1, 3 * BLOCK, 50), STATUS_OK);
    /* The newest record: the one before it holds, and the place is not used again. */
    chip.words[record * (BLOCK / WORD)] = WORD_UNREADABLE;
    chip.words[2 * SECTOR / WORD + 2 * (BLOCK / WORD)] = WORD_UNREADABLE;
    CHECK_EQUAL(boot(), STATUS_SLOT_EMPTY);
    CHECK_EQUAL(install(1), STATUS_OK);
    CHECK(chip.violation == NULL);
    chip.words[2 * SECTOR / WORD] = WORD_BLANK;
    open_chip(1);
    boot();
    CHECK_EQUAL(send(1, 3 * BLOCK, 50), STATUS_OK);
    chip.words[2 * SECTOR / WORD + 2 * (BLOCK / WORD)] = WORD_UNREADABLE;
    CHECK_EQUAL(boot(), STATUS_SLOT_EMPTY);
    slot_install_begin(&slots, length, hashes[1], &next);
    CHECK_EQUAL(next, 2 * BLOCK);
    CHECK_EQUAL(slot_install_write(&slots, next, images[1] + next, BLOCK, &next), STATUS_OK);
    CHECK_EQUAL(next, 0);
    CHECK_EQUAL(install(1), STATUS_OK);
    CHECK(chip.violation == NULL);
}

/* What was programmed reads as done, and then not at all, or otherwise. */
static int lying_program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t count)
{
    int status = flash_model_program(context, offset, bytes, count);

    chip.bytes[offset] ^= 1;
    return status;
}

static int blinding_program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t count)
{
    int status = flash_model_program(context, offset, bytes, count);

    chip.words[offset / WORD] = WORD_UNREADABLE;
    return status;
}

static void what_is_programmed_is_read_back(void)
{
    uint32_t next = 77;

    open_chip(1);
    boot();
    chip.port.program = lying_program;
    CHECK_EQUAL(slot_install_begin(&slots, length, hashes[1], &next), STATUS_SLOT_FLASH);
    chip.port.program = blinding_program;
    CHECK_EQUAL(slot_install_begin(&slots, length, hashes[1], &next), STATUS_SLOT_FLASH);
    CHECK_EQUAL(next, 77);
    chip.port.program = flash_model_program;
    CHECK_EQUAL(boot(), STATUS_SLOT_EMPTY);
    CHECK_EQUAL(install(1), STATUS_OK);
}

static status_t changing_verify(const void *context, const uint8_t *bytes, size_t count, uint32_t lowest,
                                image_view *view)
{
    status_t status = slot_verify_image(context, bytes, count, lowest, view);

    view->sha256[0] ^= 1;
    return status;
}

/* An image in the other slot that is sound, but not the one that was installed. */
static void only_the_installed_image_is_started_in_test(void)
{
    open_chip(0);
    boot();
    install(1);
    CHECK_EQUAL(slot_boot(&slots, &chip.port, changing_verify, &policy, &image), STATUS_SLOT_EMPTY);
    CHECK_EQUAL(slots.record.phase, SLOT_PHASE_REVERTED);
}

/* ---- geometry ---- */

static void geometries_that_cannot_work_are_refused(void)
{
    static const struct {
        uint32_t sector_bytes, sectors, word_bytes;
        status_t status;
    } cases[] = {
        {64, 4, 1, STATUS_SLOT_EMPTY},
        {64, 4, 32, STATUS_SLOT_EMPTY},
        {512, 4, 256, STATUS_SLOT_EMPTY},
        {64, 4, 0, STATUS_SLOT_GEOMETRY},
        {4112, 4, 257, STATUS_SLOT_GEOMETRY},
        {64, 3, 1, STATUS_SLOT_GEOMETRY},
        {72, 4, 1, STATUS_SLOT_GEOMETRY},
        {64, 4, 12, STATUS_SLOT_GEOMETRY},
        {48, 4, 1, STATUS_SLOT_GEOMETRY},
        {0, 4, 1, STATUS_SLOT_GEOMETRY},
        {0x40000000, 4, 1, STATUS_SLOT_GEOMETRY},
        {64, 131074, 1, STATUS_SLOT_GEOMETRY},
    };
    uint32_t next;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_chip(0);
        memset(chip.bytes, 0xFF, chip.total);
        chip.port.sector_bytes = cases[i].sector_bytes;
        chip.port.sectors = cases[i].sectors;
        chip.port.word_bytes = cases[i].word_bytes;
        CHECK_EQUAL(boot(), cases[i].status);
        if (cases[i].status == STATUS_SLOT_GEOMETRY) {
            CHECK_EQUAL(slot_install_begin(&slots, 1, hashes[1], &next), STATUS_SLOT_GEOMETRY);
        }
    }
}

/* ---- journal ---- */

static void put_record(uint32_t place, const uint8_t *fields)
{
    uint8_t bytes[SLOT_RECORD_BYTES];

    memcpy(bytes, fields, sizeof bytes);
    put_u32(bytes + 28, wire_crc32(0, bytes, 28));
    memset(chip.bytes + place * BLOCK, 0xFF, BLOCK);
    memcpy(chip.bytes + place * BLOCK, bytes, sizeof bytes);
}

static void a_record_equals_the_golden_bytes(void)
{
    uint8_t golden[SLOT_RECORD_BYTES];
    slot_record record;

    open_chip(0);
    CHECK_EQUAL(vectors_bytes(vectors, "journal_record", golden, sizeof golden), SLOT_RECORD_BYTES);
    memcpy(chip.bytes, golden, sizeof golden);
    CHECK_EQUAL(boot(), STATUS_IMAGE_MAGIC); /* the slot it confirms is blank */
    record = slots.record;
    CHECK_EQUAL(record.sequence, 5);
    CHECK_EQUAL(record.confirmed, 1);
    CHECK_EQUAL(record.phase, SLOT_PHASE_RECEIVING);
    CHECK_EQUAL(record.sectors_ready, 2);
    CHECK_EQUAL(record.lowest_version, 7);
    CHECK_EQUAL(record.bytes, 416);
    open_chip(0);
    boot();
    slots.record.sequence = 4;
    CHECK_EQUAL(journal_append(&slots, &record), STATUS_OK);
    CHECK_BYTES(chip.bytes, golden, sizeof golden);
    for (uint32_t i = SLOT_RECORD_BYTES; i < BLOCK; i++) {
        CHECK_EQUAL(chip.bytes[i], 0xFF);
    }
}

static void records_that_cannot_be_are_passed_over(void)
{
    static const struct {
        uint8_t offset, value;
    } changes[] = {{4, 2}, {4, 254}, {5, 6}, {5, 255}, {14, 1}, {6, 3}, {7, 1}, {28, 0}};
    uint8_t golden[SLOT_RECORD_BYTES], changed[SLOT_RECORD_BYTES];

    vectors_bytes(vectors, "journal_record", golden, sizeof golden);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        open_chip(0);
        golden[4] = SLOT_NONE;
        memcpy(changed, golden, sizeof changed);
        changed[0] = 6;
        changed[changes[i].offset] = changes[i].value;
        put_record(0, golden);
        put_record(1, changed);
        chip.bytes[BLOCK + 28] ^= (uint8_t)(changes[i].offset == 28);
        CHECK_EQUAL(boot(), STATUS_SLOT_EMPTY);
        CHECK_EQUAL(slots.record.sequence, 5);
        CHECK_EQUAL(slots.next_record, 2);
    }
}

static void every_changed_byte_of_a_record_hides_it(void)
{
    uint8_t golden[SLOT_RECORD_BYTES];

    vectors_bytes(vectors, "journal_record", golden, sizeof golden);
    for (unsigned at = 0; at < SLOT_RECORD_BYTES; at++) {
        for (unsigned change = 1; change < 256; change++) {
            if (at == 0 && change == 1) {
                open_chip(0);
            }
            memcpy(chip.bytes, golden, sizeof golden);
            chip.bytes[at] ^= (uint8_t)change;
            if (boot() != STATUS_SLOT_EMPTY || slots.record.sequence != 0) {
                CHECK_EQUAL(at * 1000 + change, -1);
            }
        }
    }
    CHECK_EQUAL(slots.record.confirmed, SLOT_NONE);
}

static void the_journal_turns_many_times_and_keeps_the_newest(void)
{
    uint32_t next, sequence = 0, turns = 0, sector = 1;

    open_chip(0);
    boot();
    install_and_confirm(1);
    for (unsigned i = 0; i < 10 * PLACES; i++) {
        CHECK_EQUAL(slot_install_begin(&slots, length, hashes[2 + i % 2], &next), STATUS_OK);
        CHECK(slots.record.sequence > sequence);
        sequence = slots.record.sequence;
        turns += slots.journal != sector;
        sector = slots.journal;
        CHECK_EQUAL(boot(), STATUS_OK);
        CHECK_EQUAL(slots.record.sequence, sequence);
        check_runs(1, SLOT_STATE_CONFIRMED);
    }
    CHECK(turns >= 9);
    CHECK(chip.violation == NULL);
}

int main(void)
{
    load_images();
    every_refused_operation_leaves_a_sound_state();
    a_refused_write_says_where_to_go_on();
    what_never_ran_in_test_is_not_confirmed();
    a_spoiled_block_costs_its_sector();
    unreadable_words_are_no_records_and_no_data();
    what_is_programmed_is_read_back();
    only_the_installed_image_is_started_in_test();
    geometries_that_cannot_work_are_refused();
    a_record_equals_the_golden_bytes();
    records_that_cannot_be_are_passed_over();
    every_changed_byte_of_a_record_hides_it();
    the_journal_turns_many_times_and_keeps_the_newest();
    return check_result();
}
