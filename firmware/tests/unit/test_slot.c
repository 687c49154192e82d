/* Two slots: the life of an image, what is refused, transfers that break off. Power cuts at every write are the
 * simulator's (tests/sim/power_cut.c). */
#include "slot_fixture.h"

/* ---- the life of an image ---- */

static void an_empty_flash_runs_nothing(void)
{
    open_chip(0);
    CHECK_EQUAL(boot(), STATUS_SLOT_EMPTY);
    CHECK_EQUAL(image.state, SLOT_STATE_NONE);
    CHECK_EQUAL(image.slot, SLOT_NONE);
    CHECK_EQUAL(slots.record.lowest_version, 0);
    CHECK_EQUAL(slot_confirm(&slots), STATUS_SLOT_NO_TEST);
    CHECK_EQUAL(slot_revert(&slots), STATUS_SLOT_NO_TEST);
    CHECK_EQUAL(slot_install_finish(&slots, &image), STATUS_SLOT_NO_TRANSFER);
    CHECK_EQUAL(chip.operations, 0);
}

static void an_image_goes_through_test_to_confirmed(void)
{
    open_chip(0);
    boot();
    CHECK_EQUAL(install(1), STATUS_OK);
    CHECK_EQUAL(slot_confirm(&slots), STATUS_SLOT_NO_TEST);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(1, SLOT_STATE_TEST);
    CHECK_EQUAL(image.slot, 0);
    CHECK_EQUAL(slots.record.lowest_version, 0);
    CHECK_EQUAL(slot_confirm(&slots), STATUS_OK);
    CHECK_EQUAL(slots.record.lowest_version, 1);
    CHECK_EQUAL(slot_confirm(&slots), STATUS_SLOT_NO_TEST);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(1, SLOT_STATE_CONFIRMED);
    install_and_confirm(2);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(2, SLOT_STATE_CONFIRMED);
    CHECK_EQUAL(image.slot, 1);
    install_and_confirm(3);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(3, SLOT_STATE_CONFIRMED);
    CHECK_EQUAL(image.slot, 0);
    CHECK(chip.violation == NULL);
}

static void what_is_not_confirmed_before_the_next_boot_is_reverted(void)
{
    open_chip(0);
    boot();
    install(1);
    CHECK_EQUAL(boot(), STATUS_OK);
    CHECK_EQUAL(boot(), STATUS_SLOT_EMPTY);
    install_and_confirm(1);
    CHECK_EQUAL(install(2), STATUS_OK);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(2, SLOT_STATE_TEST);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(1, SLOT_STATE_CONFIRMED);
    CHECK_EQUAL(slot_confirm(&slots), STATUS_SLOT_NO_TEST);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(1, SLOT_STATE_CONFIRMED);
    CHECK_EQUAL(slots.record.lowest_version, 1);
}

static void a_revert_goes_back_with_or_without_a_reset(void)
{
    uint32_t next;

    open_chip(0);
    boot();
    install_and_confirm(1);
    CHECK_EQUAL(install(2), STATUS_OK);
    CHECK_EQUAL(slot_revert(&slots), STATUS_OK);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(1, SLOT_STATE_CONFIRMED);
    CHECK_EQUAL(install(2), STATUS_OK);
    CHECK_EQUAL(boot(), STATUS_OK);
    CHECK_EQUAL(slot_revert(&slots), STATUS_OK);
    /* Its slot stays in use until slot_boot has chosen the other one. */
    CHECK_EQUAL(slot_install_begin(&slots, length, hashes[3], &next), STATUS_SLOT_IN_USE);
    CHECK_EQUAL(slot_boot(&slots, &chip.port, slot_verify_image, &policy, &image), STATUS_OK);
    check_runs(1, SLOT_STATE_CONFIRMED);
    CHECK_EQUAL(install(3), STATUS_OK);
}

static void a_slot_in_use_takes_no_transfer(void)
{
    uint32_t next = 77;

    open_chip(0);
    boot();
    install_and_confirm(1);
    install(2);
    CHECK_EQUAL(slot_install_begin(&slots, length, hashes[3], &next), STATUS_SLOT_IN_USE);
    boot();
    CHECK_EQUAL(slot_install_begin(&slots, length, hashes[3], &next), STATUS_SLOT_IN_USE);
    CHECK_EQUAL(next, 77);
    check_runs(2, SLOT_STATE_TEST);
}

/* ---- in the shadow ---- */

static status_t carry(uint32_t version)
{
    status_t status = send(version, length, 100);

    return status == STATUS_OK ? slot_shadow(&slots, &image) : status;
}

static void an_image_in_the_shadow_is_given_out_and_never_started(void)
{
    open_chip(0);
    boot();
    install_and_confirm(1);
    boot();
    CHECK_EQUAL(carry(2), STATUS_OK);
    check_runs(2, SLOT_STATE_SHADOW);
    CHECK_EQUAL(image.slot, 1);
    CHECK_EQUAL(slot_confirm(&slots), STATUS_SLOT_NO_TEST);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(boot(), STATUS_OK);
        check_runs(1, SLOT_STATE_CONFIRMED);
        CHECK_EQUAL(slot_shadow(&slots, &image), STATUS_OK);
        check_runs(2, SLOT_STATE_SHADOW);
        CHECK_EQUAL(slots.record.lowest_version, 1);
    }
    CHECK(chip.violation == NULL);
}

static void an_image_in_the_shadow_is_installed_without_another_transfer(void)
{
    uint32_t next = 0;
    long operations;

    open_chip(0);
    boot();
    install_and_confirm(1);
    boot();
    CHECK_EQUAL(carry(2), STATUS_OK);
    operations = chip.operations;
    CHECK_EQUAL(slot_install_begin(&slots, length, hashes[2], &next), STATUS_OK);
    CHECK_EQUAL(next, length);
    CHECK_EQUAL(slot_shadow(&slots, &image), STATUS_OK);
    CHECK_EQUAL(chip.operations, operations);
    CHECK_EQUAL(slot_install_finish(&slots, &image), STATUS_OK);
    check_runs(2, SLOT_STATE_TEST);
    CHECK_EQUAL(slot_shadow(&slots, &image), STATUS_SLOT_EMPTY);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(2, SLOT_STATE_TEST);
    CHECK_EQUAL(slot_confirm(&slots), STATUS_OK);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(2, SLOT_STATE_CONFIRMED);
    CHECK_EQUAL(slots.record.lowest_version, 2);
}

static void an_image_in_the_shadow_gives_way(void)
{
    uint32_t next = 77;

    open_chip(0);
    boot();
    install_and_confirm(1);
    boot();
    CHECK_EQUAL(carry(2), STATUS_OK);
    CHECK_EQUAL(slot_revert(&slots), STATUS_OK);
    CHECK_EQUAL(slot_revert(&slots), STATUS_SLOT_NO_TEST);
    CHECK_EQUAL(slot_shadow(&slots, &image), STATUS_SLOT_NO_TRANSFER);
    CHECK_EQUAL(carry(2), STATUS_OK);
    CHECK_EQUAL(slot_install_begin(&slots, length, hashes[3], &next), STATUS_OK);
    CHECK_EQUAL(next, 0);
    CHECK_EQUAL(slot_shadow(&slots, &image), STATUS_SLOT_INCOMPLETE);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(1, SLOT_STATE_CONFIRMED);
    CHECK_EQUAL(install(3), STATUS_OK);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(3, SLOT_STATE_TEST);
}

static void without_a_confirmed_image_there_is_no_shadow(void)
{
    open_chip(0);
    boot();
    CHECK_EQUAL(carry(1), STATUS_SLOT_EMPTY);
    CHECK_EQUAL(slots.record.phase, SLOT_PHASE_RECEIVING);
    install_and_confirm(1);
    boot();
    CHECK_EQUAL(send(2, length, 100), STATUS_OK);
    chip.bytes[2 * SECTOR + 300] ^= 4; /* the confirmed one */
    CHECK_EQUAL(boot(), STATUS_IMAGE_SIGNATURE);
    CHECK_EQUAL(carry(2), STATUS_SLOT_EMPTY);
}

static void what_is_not_sound_does_not_stay_in_the_shadow(void)
{
    open_chip(0);
    boot();
    install_and_confirm(2);
    boot();
    CHECK_EQUAL(carry(1), STATUS_IMAGE_VERSION);
    CHECK_EQUAL(slots.record.phase, SLOT_PHASE_EMPTY);
    CHECK_EQUAL(carry(3), STATUS_OK);
    chip.bytes[(2 + 6) * SECTOR + 300] ^= 4;
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(2, SLOT_STATE_CONFIRMED);
    CHECK_EQUAL(slot_shadow(&slots, &image), STATUS_IMAGE_SIGNATURE);
    CHECK_EQUAL(slots.record.phase, SLOT_PHASE_EMPTY);
    /* Sound, but another one than the record tells of. */
    CHECK_EQUAL(carry(3), STATUS_OK);
    slots.record.tag[0] ^= 1;
    CHECK_EQUAL(slot_install_finish(&slots, &image), STATUS_SLOT_HASH);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(2, SLOT_STATE_CONFIRMED);
}

/* ---- older, altered, strange ---- */

static void an_older_image_is_refused(void)
{
    open_chip(0);
    boot();
    install_and_confirm(2);
    CHECK_EQUAL(install(1), STATUS_IMAGE_VERSION);
    CHECK_EQUAL(slots.record.phase, SLOT_PHASE_EMPTY);
    CHECK_EQUAL(install(2), STATUS_OK);
    policy.lowest_version = 3;
    slot_revert(&slots);
    CHECK_EQUAL(boot(), STATUS_IMAGE_VERSION);
    CHECK_EQUAL(install(2), STATUS_IMAGE_VERSION);
    policy.lowest_version = 0;
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(2, SLOT_STATE_CONFIRMED);
}

static void an_altered_image_is_refused_and_gone(void)
{
    uint32_t next = 0;

    open_chip(0);
    boot();
    install_and_confirm(1);
    images[2][500] ^= 1;
    CHECK_EQUAL(install(2), STATUS_IMAGE_SIGNATURE);
    images[2][500] ^= 1;
    CHECK_EQUAL(slot_install_finish(&slots, &image), STATUS_SLOT_NO_TRANSFER);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(1, SLOT_STATE_CONFIRMED);
    /* A sound image under the hash of another one. */
    CHECK_EQUAL(slot_install_begin(&slots, length, hashes[2], &next), STATUS_OK);
    CHECK_EQUAL(slot_install_write(&slots, 0, images[3], length, &next), STATUS_OK);
    CHECK_EQUAL(slot_install_finish(&slots, &image), STATUS_SLOT_HASH);
    images[2][3] = 'X';
    CHECK_EQUAL(install(2), STATUS_IMAGE_MAGIC);
    images[2][3] = 'M';
    CHECK_EQUAL(install(2), STATUS_OK);
}

static void an_image_that_has_changed_in_flash_does_not_start(void)
{
    open_chip(0);
    boot();
    install_and_confirm(1);
    CHECK_EQUAL(install(2), STATUS_OK);
    chip.bytes[(2 + 6) * SECTOR + 300] ^= 4;
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(1, SLOT_STATE_CONFIRMED);
    CHECK_EQUAL(slots.record.phase, SLOT_PHASE_REVERTED);
    chip.bytes[2 * SECTOR + 300] ^= 4;
    CHECK_EQUAL(boot(), STATUS_IMAGE_SIGNATURE);
    CHECK_EQUAL(image.state, SLOT_STATE_NONE);
    /* A board without a sound image still takes one. */
    CHECK_EQUAL(install(3), STATUS_OK);
    CHECK_EQUAL(boot(), STATUS_OK);
    check_runs(3, SLOT_STATE_TEST);
}

/* ---- transfers ---- */

static void sizes_are_checked_before_anything_is_written(void)
{
    uint32_t next = 77;

    open_chip(0);
    boot();
    CHECK_EQUAL(slot_bytes(&chip.port), 6 * SECTOR);
    CHECK_EQUAL(slot_install_begin(&slots, 0, hashes[1], &next), STATUS_SLOT_TOO_LARGE);
    CHECK_EQUAL(slot_install_begin(&slots, 6 * SECTOR + 1, hashes[1], &next), STATUS_SLOT_TOO_LARGE);
    CHECK_EQUAL(slot_install_begin(&slots, UINT32_MAX, hashes[1], &next), STATUS_SLOT_TOO_LARGE);
    CHECK_EQUAL(chip.operations, 0);
    CHECK_EQUAL(next, 77);
    CHECK_EQUAL(slot_install_begin(&slots, 6 * SECTOR, hashes[1], &next), STATUS_OK);
    CHECK_EQUAL(next, 0);
}

static void bytes_come_in_order_and_within_the_image(void)
{
    uint32_t next = 0;

    open_chip(0);
    boot();
    CHECK_EQUAL(slot_install_write(&slots, 0, images[1], 10, &next), STATUS_SLOT_NO_TRANSFER);
    CHECK_EQUAL(slot_install_begin(&slots, length, hashes[1], &next), STATUS_OK);
    CHECK_EQUAL(slot_install_write(&slots, 1, images[1], 10, &next), STATUS_SLOT_OFFSET);
    CHECK_EQUAL(slot_install_write(&slots, UINT32_MAX, images[1], 10, &next), STATUS_SLOT_OFFSET);
    CHECK_EQUAL(slot_install_write(&slots, 0, images[1], length + 1, &next), STATUS_SLOT_OFFSET);
    CHECK_EQUAL(slot_install_write(&slots, 0, images[1], SIZE_MAX, &next), STATUS_SLOT_OFFSET);
    CHECK_EQUAL(next, 0);
    CHECK_EQUAL(slot_install_write(&slots, 0, images[1], 100, &next), STATUS_OK);
    CHECK_EQUAL(next, 100);
    /* A chunk whose answer was lost comes again, alone or with more behind it. */
    CHECK_EQUAL(slot_install_write(&slots, 0, images[1], 100, &next), STATUS_OK);
    CHECK_EQUAL(next, 100);
    CHECK_EQUAL(slot_install_write(&slots, 50, images[1] + 50, 100, &next), STATUS_OK);
    CHECK_EQUAL(next, 150);
    CHECK_EQUAL(slot_install_write(&slots, 150, images[1] + 150, 0, &next), STATUS_OK);
    CHECK_EQUAL(slot_install_finish(&slots, &image), STATUS_SLOT_INCOMPLETE);
    /* A second begin of the same transfer goes on. */
    CHECK_EQUAL(slot_install_begin(&slots, length, hashes[1], &next), STATUS_OK);
    CHECK_EQUAL(next, 150);
    CHECK_EQUAL(send(1, length - 1, 7), STATUS_OK);
    CHECK_EQUAL(slot_install_finish(&slots, &image), STATUS_SLOT_INCOMPLETE);
    CHECK_EQUAL(send(1, length, 7), STATUS_OK);
    CHECK_EQUAL(slot_install_write(&slots, length, images[1], 1, &next), STATUS_SLOT_OFFSET);
    CHECK_EQUAL(slot_install_finish(&slots, &image), STATUS_OK);
    CHECK_EQUAL(slot_install_write(&slots, 0, images[1], 1, &next), STATUS_SLOT_NO_TRANSFER);
}

static void a_transfer_goes_on_after_a_reset_at_every_byte(void)
{
    uint32_t next, block_start;

    for (uint32_t stop = 0; stop <= length; stop += stop % 97 == 0 ? 1 : 3) {
        open_chip(stop % 2);
        boot();
        CHECK_EQUAL(send(1, stop, 50), STATUS_OK);
        CHECK_EQUAL(boot(), STATUS_SLOT_EMPTY);
        CHECK_EQUAL(slot_install_begin(&slots, length, hashes[1], &next), STATUS_OK);
        block_start = stop - stop % SECTOR % BLOCK;
        /* At most the block being filled and the one before it come again: that one is compared. */
        CHECK(next <= stop && next + 2 * BLOCK >= block_start);
        CHECK_EQUAL(send(1, length, 64), STATUS_OK);
        CHECK(chip.violation == NULL);
    }
    CHECK_EQUAL(slot_install_finish(&slots, &image), STATUS_OK);
}

static void another_transfer_takes_the_place_of_one_broken_off(void)
{
    uint32_t next = 77;

    open_chip(0);
    boot();
    CHECK_EQUAL(send(1, 700, 100), STATUS_OK);
    CHECK_EQUAL(slot_install_begin(&slots, length, hashes[2], &next), STATUS_OK);
    CHECK_EQUAL(next, 0);
    CHECK_EQUAL(send(2, 400, 100), STATUS_OK);
    CHECK_EQUAL(slot_install_begin(&slots, length - 1, hashes[2], &next), STATUS_OK);
    CHECK_EQUAL(next, 0);
    CHECK_EQUAL(boot(), STATUS_SLOT_EMPTY);
    CHECK_EQUAL(install(2), STATUS_OK);
    CHECK(chip.violation == NULL);
}

/* Bytes of FF leave blocks that read as erased. */
static void an_image_of_ff_is_taken_without_a_word_programmed_twice(void)
{
    static uint8_t bytes[6 * SECTOR];
    uint32_t next = 0;

    memset(bytes, 0xFF, sizeof bytes);
    open_chip(0);
    boot();
    slot_install_begin(&slots, 3 * SECTOR + 5, hashes[1], &next);
    CHECK_EQUAL(slot_install_write(&slots, 0, bytes, 2 * SECTOR + 50, &next), STATUS_OK);
    boot();
    slot_install_begin(&slots, 3 * SECTOR + 5, hashes[1], &next);
    CHECK_EQUAL(next, 2 * SECTOR);
    CHECK_EQUAL(slot_install_write(&slots, next, bytes, SECTOR + 5, &next), STATUS_OK);
    CHECK_EQUAL(slot_install_finish(&slots, &image), STATUS_IMAGE_MAGIC);
    CHECK(chip.violation == NULL);
}

int main(void)
{
    load_images();
    an_empty_flash_runs_nothing();
    an_image_goes_through_test_to_confirmed();
    what_is_not_confirmed_before_the_next_boot_is_reverted();
    a_revert_goes_back_with_or_without_a_reset();
    a_slot_in_use_takes_no_transfer();
    an_image_in_the_shadow_is_given_out_and_never_started();
    an_image_in_the_shadow_is_installed_without_another_transfer();
    an_image_in_the_shadow_gives_way();
    without_a_confirmed_image_there_is_no_shadow();
    what_is_not_sound_does_not_stay_in_the_shadow();
    an_older_image_is_refused();
    an_altered_image_is_refused_and_gone();
    an_image_that_has_changed_in_flash_does_not_start();
    sizes_are_checked_before_anything_is_written();
    bytes_come_in_order_and_within_the_image();
    a_transfer_goes_on_after_a_reset_at_every_byte();
    another_transfer_takes_the_place_of_one_broken_off();
    an_image_of_ff_is_taken_without_a_word_programmed_twice();
    return check_result();
}
