/* The ring of readings: nothing is lost up to the capacity, everything beyond is counted, a reset costs one reading. */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "ring/ring.h"

enum { CAPACITY = 5 };

static uint64_t memory_words[(RING_BYTES(CAPACITY) + 7) / 8];
static uint8_t *const memory = (uint8_t *)memory_words;
static ring readings;

static ring_reading reading(uint32_t number)
{
    ring_reading made = {1700000000000 + (int64_t)number * 600000, -1000000 + (int32_t)number};

    return made;
}

static void add(uint32_t number)
{
    ring_reading made = reading(number);

    CHECK_EQUAL(ring_add(&readings, &made), number);
}

static int holds(const ring *r, uint32_t number)
{
    ring_reading found, made = reading(number);

    return ring_get(r, number, &found) == STATUS_OK && found.time_ms == made.time_ms &&
           found.microcelsius == made.microcelsius;
}

static void start_empty(void)
{
    memset(memory, 0xFF, RING_BYTES(CAPACITY));
    CHECK_EQUAL(ring_attach(&readings, memory, RING_BYTES(CAPACITY), NULL, NULL), STATUS_OK);
    CHECK_EQUAL(readings.capacity, CAPACITY);
    CHECK_EQUAL(readings.next, 0);
}

static void memory_that_is_too_small_is_refused(void)
{
    ring r;

    CHECK_EQUAL(ring_attach(&r, memory, RING_BYTES(2) - 1, NULL, NULL), STATUS_RING_MEMORY);
    CHECK_EQUAL(ring_attach(&r, memory, RING_BYTES(2), NULL, NULL), STATUS_OK);
    CHECK_EQUAL(r.capacity, 2);
}

static void nothing_is_lost_up_to_the_capacity(void)
{
    start_empty();
    for (uint32_t i = 0; i < CAPACITY; i++) {
        add(i);
    }
    CHECK_EQUAL(readings.dropped, 0);
    CHECK_EQUAL(readings.acknowledged, 0);
    for (uint32_t i = 0; i < CAPACITY; i++) {
        CHECK(holds(&readings, i));
    }
    CHECK(!holds(&readings, CAPACITY));
}

static void beyond_the_capacity_the_oldest_go_and_are_counted(void)
{
    start_empty();
    for (uint32_t i = 0; i < CAPACITY + 3; i++) {
        add(i);
    }
    CHECK_EQUAL(readings.dropped, 3);
    CHECK_EQUAL(readings.acknowledged, 3);
    CHECK(!holds(&readings, 2));
    for (uint32_t i = 3; i < CAPACITY + 3; i++) {
        CHECK(holds(&readings, i));
    }
}

static void acknowledged_readings_stay_until_overwritten_and_are_not_counted(void)
{
    start_empty();
    for (uint32_t i = 0; i < CAPACITY; i++) {
        add(i);
    }
    CHECK_EQUAL(ring_acknowledge(&readings, 2), STATUS_OK);
    CHECK(holds(&readings, 0));
    add(CAPACITY);
    add(CAPACITY + 1);
    CHECK_EQUAL(readings.dropped, 0);
    add(CAPACITY + 2);
    CHECK_EQUAL(readings.dropped, 1);
    CHECK_EQUAL(readings.acknowledged, 3);
}

static void an_acknowledgement_out_of_range_changes_nothing(void)
{
    start_empty();
    add(0);
    add(1);
    CHECK_EQUAL(ring_acknowledge(&readings, 3), STATUS_RING_RANGE);
    CHECK_EQUAL(ring_acknowledge(&readings, 1), STATUS_OK);
    CHECK_EQUAL(ring_acknowledge(&readings, 0), STATUS_RING_RANGE);
    CHECK_EQUAL(ring_acknowledge(&readings, 1), STATUS_OK);
    CHECK_EQUAL(readings.acknowledged, 1);
}

static void a_reset_finds_everything_again(void)
{
    ring again;

    start_empty();
    for (uint32_t i = 0; i < 12; i++) {
        add(i);
        if (i == 7) {
            CHECK_EQUAL(ring_acknowledge(&readings, 6), STATUS_OK);
        }
        CHECK_EQUAL(ring_attach(&again, memory, RING_BYTES(CAPACITY), NULL, NULL), STATUS_OK);
        CHECK_EQUAL(again.next, readings.next);
        CHECK_EQUAL(again.first, readings.first);
        CHECK_EQUAL(again.acknowledged, readings.acknowledged);
        CHECK_EQUAL(again.dropped, readings.dropped);
    }
}

static void memory_of_another_capacity_is_not_taken_over(void)
{
    ring again;

    start_empty();
    add(0);
    CHECK_EQUAL(ring_attach(&again, memory, RING_BYTES(CAPACITY - 1), NULL, NULL), STATUS_OK);
    CHECK_EQUAL(again.next, 0);
}

/* Copies what changes into a memory that loses power after a number of bytes. */
static uint8_t survivor[RING_BYTES(CAPACITY)];
static size_t bytes_left;

static void copy_until_cut(void *context, size_t offset, size_t bytes)
{
    size_t count = bytes < bytes_left ? bytes : bytes_left;

    (void)context;
    memcpy(survivor + offset, memory + offset, count);
    bytes_left -= count;
}

static void a_cut_at_any_byte_costs_at_most_the_reading_being_added(void)
{
    enum { READINGS = 13, BYTES_PER_ADD = RING_HEADER_BYTES + RING_READING_BYTES };

    for (size_t cut = 0; cut <= READINGS * BYTES_PER_ADD; cut++) {
        uint32_t whole = (uint32_t)(cut / BYTES_PER_ADD);
        ring again;

        memset(memory, 0, RING_BYTES(CAPACITY));
        memset(survivor, 0, sizeof survivor);
        bytes_left = cut;
        CHECK_EQUAL(ring_attach(&readings, memory, RING_BYTES(CAPACITY), copy_until_cut, NULL), STATUS_OK);
        for (uint32_t i = 0; i < READINGS; i++) {
            add(i);
        }
        CHECK_EQUAL(ring_attach(&again, survivor, sizeof survivor, NULL, NULL), STATUS_OK);
        CHECK_EQUAL(again.next, whole);
        for (uint32_t number = again.first; number < again.next; number++) {
            CHECK(holds(&again, number));
        }
        CHECK_EQUAL(again.next - again.first, whole < CAPACITY ? whole : CAPACITY);
    }
}

int main(void)
{
    memory_that_is_too_small_is_refused();
    nothing_is_lost_up_to_the_capacity();
    beyond_the_capacity_the_oldest_go_and_are_counted();
    acknowledged_readings_stay_until_overwritten_and_are_not_counted();
    an_acknowledgement_out_of_range_changes_nothing();
    a_reset_finds_everything_again();
    memory_of_another_capacity_is_not_taken_over();
    a_cut_at_any_byte_costs_at_most_the_reading_being_added();
    return check_result();
}
