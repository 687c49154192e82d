/* Feature programs: every field that is refused, and what each operation computes. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "features/features.h"
#include "features/program.h"
#include "wire/bytes.h"

enum { ENTRIES = 4, PROGRAM_BYTES = FEATURES_HEADER_BYTES + ENTRIES * FEATURES_ENTRY_BYTES, BUFFER_WORDS = 40000 };

#define DAY_MS INT64_C(86400000)

static int64_t buffer[BUFFER_WORDS];

static void put_f64(uint8_t *at, double value)
{
    int64_t bits;

    memcpy(&bits, &value, sizeof bits);
    put_i64(at, bits);
}

static void put_entry(uint8_t *program, uint32_t index, uint32_t operation, uint32_t function, uint32_t argument)
{
    uint8_t *at = program + FEATURES_HEADER_BYTES + index * FEATURES_ENTRY_BYTES;

    put_u16(at, operation | function << 8);
    put_u16(at + 2, argument);
    put_u32(at + 4, 0);
    put_f64(at + 8, operation == OPERATION_DIFFERENCE ? 0.25 : operation == OPERATION_DEVIATION ? 0.5 : 1.0);
}

static void put_header(uint8_t *program, uint32_t count)
{
    put_u32(program, 600);
    put_u16(program + 4, 6);
    put_u16(program + 6, count);
    put_f64(program + 8, 0.75);
    put_u32(program + 16, 400000);
    put_u16(program + 20, 6);
    put_u16(program + 22, 0);
}

static void put_program(uint8_t *program)
{
    put_header(program, ENTRIES);
    put_entry(program, 0, OPERATION_DIFFERENCE, FUNCTION_NONE, 3);
    put_entry(program, 1, OPERATION_DEVIATION, FUNCTION_NONE, 5);
    put_entry(program, 2, OPERATION_HOUR, FUNCTION_SINE, 2);
    put_entry(program, 3, OPERATION_WEEKDAY, FUNCTION_COSINE, 0);
}

static status_t status_of(const uint8_t *program, size_t bytes)
{
    size_t need = 12345;
    status_t status = features_buffer_bytes(program, bytes, &need);
    features_t f, before;

    memset(&f, 0x5a, sizeof f);
    memcpy(&before, &f, sizeof f);
    CHECK_EQUAL(features_init(&f, program, bytes, buffer, sizeof buffer), status);
    if (status != STATUS_OK) {
        CHECK_EQUAL(need, 12345);
        CHECK_BYTES(&f, &before, sizeof f);
    }
    return status;
}

static void test_a_sound_program_is_read(void)
{
    uint8_t program[PROGRAM_BYTES];
    size_t need = 0;
    features_t f;

    put_program(program);
    CHECK_EQUAL(features_buffer_bytes(program, sizeof program, &need), STATUS_OK);
    CHECK_EQUAL(need, ENTRIES * 8 + 5 * 4);
    CHECK_EQUAL(features_init(&f, program, sizeof program, buffer, need), STATUS_OK);
    CHECK_EQUAL(f.cadence_seconds, 600);
    CHECK_EQUAL(f.horizon, 6);
    CHECK_EQUAL(f.count, ENTRIES);
    CHECK_EQUAL(f.tolerance_ppm, 400000);
    CHECK_EQUAL(f.max_hold_steps, 6);
    CHECK_EQUAL(f.reach, 5);
    CHECK(f.target_scale > 0.7499 && f.target_scale < 0.7501);
}

static void test_a_buffer_that_is_small_or_not_aligned_is_refused(void)
{
    uint8_t program[PROGRAM_BYTES];
    size_t need = 0;
    features_t f;

    put_program(program);
    CHECK_EQUAL(features_buffer_bytes(program, sizeof program, &need), STATUS_OK);
    CHECK_EQUAL(features_init(&f, program, sizeof program, buffer, need - 1), STATUS_FEATURES_MEMORY);
    CHECK_EQUAL(features_init(&f, program, sizeof program, (uint8_t *)buffer + 4, need), STATUS_FEATURES_MEMORY);
}

static void test_every_length_but_the_right_one_is_refused(void)
{
    uint8_t program[PROGRAM_BYTES + 1];

    put_program(program);
    program[PROGRAM_BYTES] = 0;
    for (size_t bytes = 0; bytes < PROGRAM_BYTES; bytes++) {
        CHECK_EQUAL(status_of(program, bytes), STATUS_FEATURES_LENGTH);
    }
    CHECK_EQUAL(status_of(program, PROGRAM_BYTES), STATUS_OK);
    CHECK_EQUAL(status_of(program, PROGRAM_BYTES + 1), STATUS_FEATURES_LENGTH);
}

/* The status with `width` bytes at `offset` replaced. */
static status_t with(size_t offset, uint32_t width, uint32_t value)
{
    uint8_t program[PROGRAM_BYTES];

    put_program(program);
    if (width == 1) {
        program[offset] = (uint8_t)value;
    } else if (width == 2) {
        put_u16(program + offset, value);
    } else {
        put_u32(program + offset, value);
    }
    return status_of(program, sizeof program);
}

static void test_header_fields_out_of_their_range_are_refused(void)
{
    CHECK_EQUAL(with(0, 4, 0), STATUS_FEATURES_CADENCE);
    CHECK_EQUAL(with(0, 4, 1), STATUS_OK);
    CHECK_EQUAL(with(0, 4, 86400), STATUS_OK);
    CHECK_EQUAL(with(0, 4, 86401), STATUS_FEATURES_CADENCE);
    CHECK_EQUAL(with(0, 4, UINT32_MAX), STATUS_FEATURES_CADENCE);
    CHECK_EQUAL(with(4, 2, 0), STATUS_FEATURES_HORIZON);
    CHECK_EQUAL(with(4, 2, FEATURES_HORIZON_MAX), STATUS_OK);
    CHECK_EQUAL(with(4, 2, FEATURES_HORIZON_MAX + 1), STATUS_FEATURES_HORIZON);
    CHECK_EQUAL(with(6, 2, 0), STATUS_FEATURES_COUNT);
    CHECK_EQUAL(with(6, 2, FEATURES_COUNT_MAX), STATUS_FEATURES_LENGTH);
    CHECK_EQUAL(with(6, 2, FEATURES_COUNT_MAX + 1), STATUS_FEATURES_COUNT);
    CHECK_EQUAL(with(16, 4, 249999), STATUS_FEATURES_TOLERANCE);
    CHECK_EQUAL(with(16, 4, 250000), STATUS_OK);
    CHECK_EQUAL(with(16, 4, 500000), STATUS_OK);
    CHECK_EQUAL(with(16, 4, 500001), STATUS_FEATURES_TOLERANCE);
    CHECK_EQUAL(with(20, 2, 0), STATUS_OK);
    CHECK_EQUAL(with(20, 2, 65535), STATUS_OK);
    CHECK_EQUAL(with(22, 2, 1), STATUS_FEATURES_RESERVED);
    CHECK_EQUAL(with(22, 2, 256), STATUS_FEATURES_RESERVED);
}

static void test_entries_that_no_board_knows_are_refused(void)
{
    const size_t difference = FEATURES_HEADER_BYTES, deviation = difference + FEATURES_ENTRY_BYTES;
    const size_t hour = deviation + FEATURES_ENTRY_BYTES, weekday = hour + FEATURES_ENTRY_BYTES;

    CHECK_EQUAL(with(difference, 1, 0), STATUS_FEATURES_OPERATION);
    CHECK_EQUAL(with(weekday, 1, 5), STATUS_FEATURES_OPERATION);
    CHECK_EQUAL(with(weekday, 1, 255), STATUS_FEATURES_OPERATION);
    CHECK_EQUAL(with(hour + 1, 1, 3), STATUS_FEATURES_FUNCTION);
    CHECK_EQUAL(with(hour + 1, 1, FUNCTION_NONE), STATUS_FEATURES_FUNCTION);
    CHECK_EQUAL(with(weekday + 1, 1, FUNCTION_NONE), STATUS_FEATURES_FUNCTION);
    CHECK_EQUAL(with(difference + 1, 1, FUNCTION_SINE), STATUS_FEATURES_FUNCTION);
    CHECK_EQUAL(with(deviation + 1, 1, FUNCTION_COSINE), STATUS_FEATURES_FUNCTION);
    CHECK_EQUAL(with(difference + 2, 2, 0), STATUS_FEATURES_ARGUMENT);
    CHECK_EQUAL(with(difference + 2, 2, 65535), STATUS_OK);
    CHECK_EQUAL(with(deviation + 2, 2, 1), STATUS_FEATURES_ARGUMENT);
    CHECK_EQUAL(with(deviation + 2, 2, 65535), STATUS_OK);
    CHECK_EQUAL(with(hour + 2, 2, 0), STATUS_FEATURES_ARGUMENT);
    CHECK_EQUAL(with(hour + 2, 2, FEATURES_HARMONIC_MAX), STATUS_OK);
    CHECK_EQUAL(with(hour + 2, 2, FEATURES_HARMONIC_MAX + 1), STATUS_FEATURES_ARGUMENT);
    CHECK_EQUAL(with(weekday + 2, 2, 1), STATUS_FEATURES_ARGUMENT);
    for (size_t i = 0; i < 4; i++) {
        CHECK_EQUAL(with(deviation + 4 + i, 1, 0x80), STATUS_FEATURES_RESERVED);
    }
}

static void test_scales_that_are_no_scales_are_refused(void)
{
    const double wrong[] = {0.0, -0.25, 0.99e-6, 1.01e6, HUGE_VAL, -HUGE_VAL, (double)NAN};
    const size_t offsets[] = {8, FEATURES_HEADER_BYTES + 8, PROGRAM_BYTES - 8};
    uint8_t program[PROGRAM_BYTES];

    for (size_t at = 0; at < 3; at++) {
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            put_program(program);
            put_f64(program + offsets[at], wrong[i]);
            CHECK_EQUAL(status_of(program, sizeof program), STATUS_FEATURES_SCALE);
        }
        put_f64(program + offsets[at], 1e-6);
        CHECK_EQUAL(status_of(program, sizeof program), STATUS_OK);
        put_f64(program + offsets[at], 1e6);
        CHECK_EQUAL(status_of(program, sizeof program), STATUS_OK);
    }
}

static void test_sine_and_cosine_are_those_of_the_library(void)
{
    const uint32_t periods[] = {1, 2, 3, 7, 86400000, 604799999, 604800000};
    const double turn = 6.283185307179586;
    double sine, cosine;

    for (size_t p = 0; p < sizeof periods / sizeof *periods; p++) {
        for (uint32_t i = 0; i < 1000; i++) {
            uint32_t position = periods[p] / 1000 * i + i % periods[p] % 7;
            double angle = turn * (double)(position % periods[p]) / (double)periods[p];

            features_sine_cosine(position % periods[p], periods[p], &sine, &cosine);
            CHECK_NEAR(sine, sin(angle), 1e-10);
            CHECK_NEAR(cosine, cos(angle), 1e-10);
        }
    }
    features_sine_cosine(604799999, 604800000, &sine, &cosine);
    CHECK_NEAR(sine, -turn / 604800000, 1e-12);
    CHECK_NEAR(cosine, 1, 1e-10);
}

static void test_quarters_of_a_turn_are_exact(void)
{
    const double sines[] = {0, 1, 0, -1}, cosines[] = {1, 0, -1, 0};
    double sine, cosine;

    for (uint32_t i = 0; i < 4; i++) {
        features_sine_cosine(i * 21600000, 86400000, &sine, &cosine);
        CHECK_NEAR(sine, sines[i], 0);
        CHECK_NEAR(cosine, cosines[i], 0);
    }
}

static features_t begun(uint8_t *program, int32_t first)
{
    features_t f;

    memset(&f, 0, sizeof f);
    put_program(program);
    CHECK_EQUAL(features_init(&f, program, PROGRAM_BYTES, buffer, sizeof buffer), STATUS_OK);
    features_begin(&f, first);
    return f;
}

static void test_the_first_reading_stands_in_for_those_before_it(void)
{
    uint8_t program[PROGRAM_BYTES];
    features_t f = begun(program, -3000000);
    float x[ENTRIES];

    features_step(&f, 0, -3000000, x);
    CHECK_NEAR(x[0], 0, 0);
    CHECK_NEAR(x[1], 0, 0);
    features_step(&f, 600000, -2000000, x);
    CHECK_NEAR(x[0], 1.0 / 0.25, 0);
    CHECK_NEAR(x[1], (1.0 - 0.2) / 0.5, 1e-6);
}

static void test_a_segment_forgets_the_one_before_it(void)
{
    uint8_t program[PROGRAM_BYTES];
    features_t f = begun(program, 90000000);
    float x[ENTRIES];

    for (int i = 0; i < 13; i++) {
        features_step(&f, i * 600000, 90000000 + i, x);
    }
    features_begin(&f, 5);
    features_step(&f, 0, 5, x);
    CHECK_NEAR(x[0], 0, 0);
    CHECK_NEAR(x[1], 0, 0);
}

static void test_the_clock_begins_its_day_at_midnight_and_its_week_on_monday(void)
{
    const int64_t monday = 4 * DAY_MS; /* 1970-01-05 */
    uint8_t program[PROGRAM_BYTES];
    features_t f = begun(program, 0);
    float x[ENTRIES];

    features_step(&f, monday, 0, x);
    CHECK_NEAR(x[2], 0, 0);
    CHECK_NEAR(x[3], 1, 0);
    features_step(&f, monday + DAY_MS / 8, 0, x);
    CHECK_NEAR(x[2], 1, 0);
    features_step(&f, monday + 7 * DAY_MS / 2, 0, x);
    CHECK_NEAR(x[3], -1, 0);
    features_step(&f, monday + 7 * DAY_MS - 1, 0, x);
    CHECK_NEAR(x[3], 1, 1e-7);
    features_step(&f, FEATURES_TIME_MAX, 0, x); /* a Friday, one millisecond before midnight */
    CHECK_NEAR(x[2], -1.4544e-7, 1e-10);
    CHECK_NEAR(x[3], -0.2225209340, 1e-7);
}

/* Differences and means written down again, over readings that fill 32 bits. */
static void test_ten_thousand_steps_drift_by_nothing(void)
{
    enum { STEPS = 10000 };
    static int32_t values[STEPS];
    uint8_t program[PROGRAM_BYTES];
    features_t f;
    float x[ENTRIES];
    uint32_t random = 12345;

    for (int i = 0; i < STEPS; i++) {
        random = random * 1664525u + 1013904223u;
        values[i] = i < 10 ? (i % 2 ? INT32_MAX : INT32_MIN) : (int32_t)(random >> 1) - 1073741824;
    }
    f = begun(program, values[0]);
    for (int i = 0; i < STEPS; i++) {
        int64_t sum = 0;

        for (int back = 0; back < 5; back++) {
            sum += values[i > back ? i - back : 0];
        }
        features_step(&f, (int64_t)i * 600000, values[i], x);
        CHECK(x[0] == (float)((double)((int64_t)values[i] - values[i > 3 ? i - 3 : 0]) / 1e6 / 0.25));
        CHECK(x[1] == (float)((double)(5 * (int64_t)values[i] - sum) / 5e6 / 0.5));
    }
}

static void test_the_longest_lag_and_window(void)
{
    enum { LONGEST = 65535 };
    static int64_t memory[LONGEST / 2 + 64];
    uint8_t program[FEATURES_HEADER_BYTES + 2 * FEATURES_ENTRY_BYTES];
    features_t f;
    float x[2];
    size_t need = 0;

    put_header(program, 2);
    put_entry(program, 0, OPERATION_DIFFERENCE, FUNCTION_NONE, LONGEST);
    put_entry(program, 1, OPERATION_DEVIATION, FUNCTION_NONE, LONGEST);
    CHECK_EQUAL(features_buffer_bytes(program, sizeof program, &need), STATUS_OK);
    CHECK_EQUAL(need, 2 * 8 + (LONGEST + 1) * 4);
    CHECK_EQUAL(features_init(&f, program, sizeof program, memory, sizeof memory), STATUS_OK);
    features_begin(&f, INT32_MIN);
    for (int i = 0; i < LONGEST; i++) {
        features_step(&f, 0, INT32_MIN, x);
    }
    features_step(&f, 0, INT32_MAX, x);
    CHECK_NEAR(x[0], 4294.967295 / 0.25, 1e-2);
    CHECK_NEAR(x[1], (4294.967295 - 4294.967295 / LONGEST) / 0.5, 1e-2);
    for (int i = 0; i < LONGEST; i++) {
        features_step(&f, 0, INT32_MAX, x);
    }
    CHECK_NEAR(x[0], 0, 0);
    CHECK_NEAR(x[1], 0, 0);
}

int main(void)
{
    test_a_sound_program_is_read();
    test_a_buffer_that_is_small_or_not_aligned_is_refused();
    test_every_length_but_the_right_one_is_refused();
    test_header_fields_out_of_their_range_are_refused();
    test_entries_that_no_board_knows_are_refused();
    test_scales_that_are_no_scales_are_refused();
    test_sine_and_cosine_are_those_of_the_library();
    test_quarters_of_a_turn_are_exact();
    test_the_first_reading_stands_in_for_those_before_it();
    test_a_segment_forgets_the_one_before_it();
    test_the_clock_begins_its_day_at_midnight_and_its_week_on_monday();
    test_ten_thousand_steps_drift_by_nothing();
    test_the_longest_lag_and_window();
    return check_result();
}
