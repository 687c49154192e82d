/* Readings in, forecasts out: the grid and the features as Python has them (tests/vectors/forecast.json), golden
 * vectors, and what is refused. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "forecast/forecast.h"
#include "nn/plan.h"
#include "vectors.h"
#include "wire/bytes.h"

enum { MODEL_BYTES = 16384, PAYLOAD_BYTES = 16384, ARENA_BYTES = 8192, BUFFER_BYTES = 2048, PROGRAM_BYTES = 512 };
enum { COUNT = 9, HORIZON = 3, STEP = 600000, RECORD_BYTES = 20 + 4 * COUNT };

/* 2024-03-03T22:00:00 */
#define START INT64_C(1709503200000)

static char *text;
static uint8_t file[MODEL_BYTES] __attribute__((aligned(16)));
static uint8_t arena[ARENA_BYTES] __attribute__((aligned(8)));
static uint8_t buffer[BUFFER_BYTES] __attribute__((aligned(8)));
static uint8_t program[PROGRAM_BYTES];
static uint8_t payload[PAYLOAD_BYTES];
static size_t program_bytes;
static nn_model model;
static forecast_t forecast;

static void load_model(const char *name)
{
    CHECK_EQUAL(nn_load(&model, file, vectors_bytes(text, name, file, sizeof file), arena, sizeof arena), STATUS_OK);
}

static status_t init(void)
{
    return forecast_init(&forecast, program, program_bytes, &model, buffer, sizeof buffer);
}

static void start(const char *cell)
{
    program_bytes = vectors_bytes(text, "program", program, sizeof program);
    load_model(cell);
    CHECK_EQUAL(init(), STATUS_OK);
}

static float get_f32(const uint8_t *at)
{
    uint32_t bits = get_u32(at);
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static int push(int64_t time_ms, int32_t microcelsius, float *celsius)
{
    int made = -1;

    CHECK_EQUAL(forecast_push(&forecast, time_ms, microcelsius, celsius, &made), STATUS_OK);
    return made;
}

/* ---- the series of Python ---- */

static uint32_t counted(const forecast_counters *c, uint32_t verdict)
{
    const uint32_t counts[] = {c->accepted, c->surplus, c->off_grid, c->late};

    return counts[verdict];
}

/* Python adds up doubles of °C where the board has integers; then each rounds to float once. */
static void check_features(const uint8_t *expected)
{
    for (uint32_t i = 0; i < COUNT; i++) {
        float wanted = get_f32(expected + 4 * i);

        CHECK_NEAR(forecast.x[i], wanted, 1.2e-7 * fabs((double)wanted) + 2e-10);
    }
}

static void check_record(const uint8_t *record)
{
    forecast_counters before = forecast.counters;
    uint32_t verdict = get_u16(record + 12), steps = get_u16(record + 14), begins = get_u16(record + 16);
    int first = !forecast.started;
    float celsius[HORIZON];

    CHECK_EQUAL(push(get_i64(record), (int32_t)get_u32(record + 8), celsius), verdict == 0);
    CHECK_EQUAL(counted(&forecast.counters, verdict), counted(&before, verdict) + 1);
    CHECK_EQUAL(forecast.counters.held - before.held, verdict == 0 ? steps - 1 : 0);
    CHECK_EQUAL(forecast.counters.resets - before.resets, begins && !first);
    if (verdict == 0) {
        check_features(record + 20);
    }
}

static void test_every_series_is_taken_as_python_takes_it(void)
{
    const char *names[] = {"series_leap_day", "series_week",     "series_quarter",
                           "series_gaps",     "series_disorder", "series_extremes"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t bytes = vectors_bytes(text, names[i], payload, sizeof payload);

        start("cell_float32");
        for (size_t at = 0; at < bytes; at += RECORD_BYTES) {
            check_record(payload + at);
        }
    }
}

/* ---- the grid ---- */

static void test_the_grid_lies_at_the_first_reading_rounded_to_a_quarter(void)
{
    const int64_t quarter = STEP / 4;
    float celsius[HORIZON];

    for (int64_t late = -quarter / 2; late < quarter / 2; late += 14999) {
        start("cell_float32");
        CHECK(push(START + quarter + late, 20000000, celsius));
        CHECK_EQUAL(forecast.anchor_ms, START + quarter);
        CHECK_EQUAL(forecast.index, 0);
    }
}

static void test_the_tolerance_is_exact_to_a_millisecond(void)
{
    const int64_t allowed = STEP / 10 * 4;
    float celsius[HORIZON];

    start("cell_float32");
    CHECK(push(START, 20000000, celsius));
    CHECK(!push(START + allowed + 1, 20000000, celsius));
    CHECK_EQUAL(forecast.counters.off_grid, 1);
    CHECK(!push(START + allowed, 20000000, celsius));
    CHECK_EQUAL(forecast.counters.surplus, 1);
    CHECK(!push(START + STEP - allowed - 1, 20000000, celsius));
    CHECK_EQUAL(forecast.counters.off_grid, 2);
    CHECK(push(START + STEP - allowed, 20000000, celsius));
    CHECK(push(START + 2 * STEP + allowed, 20000000, celsius));
    CHECK_EQUAL(forecast.counters.accepted, 3);
}

/* With the widest tolerance the middle between two points belongs to the later one. */
static void test_at_half_a_cadence_nothing_is_off_the_grid(void)
{
    float celsius[HORIZON];

    start("cell_float32");
    put_u32(program + 16, 500000);
    CHECK_EQUAL(init(), STATUS_OK);
    CHECK(push(START, 20000000, celsius));
    CHECK(!push(START + STEP / 2 - 1, 20000000, celsius));
    CHECK(push(START + STEP / 2, 20000000, celsius));
    CHECK_EQUAL(forecast.index, 1);
    CHECK_EQUAL(forecast.counters.surplus, 1);
    CHECK_EQUAL(forecast.counters.off_grid, 0);
}

static void test_a_gap_of_as_many_steps_as_are_held_is_held(void)
{
    float celsius[HORIZON];

    start("cell_float32");
    CHECK(push(START, 20000000, celsius));
    CHECK(push(START + 7 * STEP, 21000000, celsius));
    CHECK_EQUAL(forecast.counters.held, 6);
    CHECK_EQUAL(forecast.counters.resets, 0);
    CHECK(push(START + 15 * STEP, 21000000, celsius));
    CHECK_EQUAL(forecast.counters.held, 6);
    CHECK_EQUAL(forecast.counters.resets, 1);
}

/* What is stepped through in a gap is what readings of the held value would have made. */
static void test_held_steps_are_those_of_repeated_readings(void)
{
    float held[HORIZON], repeated[HORIZON];

    start("cell_int8");
    CHECK(push(START, 20000000, held));
    CHECK(push(START + STEP, 19000000, held));
    CHECK(push(START + 5 * STEP, 20500000, held));
    start("cell_int8");
    CHECK(push(START, 20000000, repeated));
    for (int i = 1; i < 5; i++) {
        CHECK(push(START + i * STEP, 19000000, repeated));
    }
    CHECK(push(START + 5 * STEP, 20500000, repeated));
    CHECK_BYTES(held, repeated, sizeof held);
}

/* A new segment forgets the state and the history, but not the grid. */
static void test_after_a_long_gap_the_forecast_is_that_of_a_new_board(void)
{
    const int64_t later = START + 1000 * (int64_t)STEP;
    float after[HORIZON], fresh[HORIZON];

    start("cell_float32");
    for (int i = 0; i < 9; i++) {
        CHECK(push(START + i * STEP, 20000000 + i * 300000, after));
    }
    CHECK(push(later + STEP / 5, 4000000, after));
    CHECK_EQUAL(forecast.anchor_ms, START);
    start("cell_float32");
    CHECK(push(later, 4000000, fresh));
    CHECK_BYTES(after, fresh, sizeof after);
}

static void test_reset_forgets_everything_but_the_counters(void)
{
    float before[HORIZON], after[HORIZON];

    start("cell_int16x8");
    CHECK(push(START, 20000000, before));
    CHECK(push(START + STEP, 23000000, after));
    forecast_reset(&forecast);
    CHECK(push(START, 20000000, after));
    CHECK_BYTES(after, before, sizeof after);
    CHECK_EQUAL(forecast.counters.accepted, 3);
    CHECK_EQUAL(forecast.counters.late, 0);
}

static void test_a_refused_reading_leaves_no_trace(void)
{
    const int64_t refused[] = {START + STEP, START + STEP - 1, START, 0, START + STEP + STEP / 2};
    float expected[HORIZON], celsius[HORIZON], untouched[HORIZON] = {7, 8, 9};

    start("cell_float32");
    CHECK(push(START, 20000000, celsius));
    CHECK(push(START + STEP, 20100000, celsius));
    CHECK(push(START + 2 * STEP, 20300000, expected));
    start("cell_float32");
    CHECK(push(START, 20000000, celsius));
    CHECK(push(START + STEP, 20100000, celsius));
    memcpy(celsius, untouched, sizeof celsius);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        CHECK(!push(refused[i], 99000000, celsius));
        CHECK_BYTES(celsius, untouched, sizeof celsius);
    }
    CHECK(push(START + 2 * STEP, 20300000, celsius));
    CHECK_BYTES(celsius, expected, sizeof celsius);
}

static void test_a_state_that_is_no_number_ends_with_its_forecast(void)
{
    float first[HORIZON], celsius[HORIZON];
    const nn_plan *plan;
    int made = -1;

    start("cell_float32");
    CHECK(push(START + 2 * STEP, 20300000, first));
    start("cell_float32");
    CHECK(push(START, 20000000, celsius));
    plan = model.plan;
    memset(plan->inputs[1].data, 0xFF, plan->inputs[1].bytes);
    CHECK_EQUAL(forecast_push(&forecast, START + STEP, 20100000, celsius, &made), STATUS_FORECAST_NUMBER);
    CHECK_EQUAL(made, 0);
    CHECK_EQUAL(forecast.counters.accepted, 1);
    CHECK(push(START + 2 * STEP, 20300000, celsius));
    CHECK_BYTES(celsius, first, sizeof celsius);
    CHECK(forecast_is_finite(-FLT_MAX) && forecast_is_finite(FLT_MAX));
    CHECK(!forecast_is_finite(HUGE_VALF) && !forecast_is_finite(-HUGE_VALF) && !forecast_is_finite(NAN));
}

static void test_times_outside_1970_to_9999_are_refused(void)
{
    const int64_t wrong[] = {-1, INT64_MIN, INT64_MAX, FEATURES_TIME_MAX + 1};
    float celsius[HORIZON];
    int made = -1;

    start("cell_float32");
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            CHECK_EQUAL(forecast_push(&forecast, wrong[i], 0, celsius, &made), STATUS_FORECAST_TIME);
            CHECK_EQUAL(made, 0);
            CHECK_EQUAL(forecast.started, round);
        }
        CHECK(push(round == 0 ? 0 : FEATURES_TIME_MAX - 59999, INT32_MIN, celsius));
    }
    CHECK_EQUAL(forecast.counters.resets, 1);
}

/* ---- init ---- */

static void test_a_model_of_other_ends_is_refused(void)
{
    forecast_t before;

    start("cell_float32");
    memcpy(&before, &forecast, sizeof before);
    put_u16(program + 4, HORIZON + 1);
    CHECK_EQUAL(init(), STATUS_FORECAST_MODEL);
    put_u16(program + 4, HORIZON);
    put_u16(program + 6, COUNT - 1);
    program_bytes -= FEATURES_ENTRY_BYTES;
    CHECK_EQUAL(init(), STATUS_FORECAST_MODEL);
    program_bytes -= 1;
    CHECK_EQUAL(init(), STATUS_FEATURES_LENGTH);
    CHECK_BYTES(&forecast, &before, sizeof before);
}

static void test_a_buffer_that_is_small_or_not_aligned_is_refused(void)
{
    size_t need = 0;

    start("cell_float32");
    CHECK_EQUAL(forecast_buffer_bytes(program, program_bytes, &need), STATUS_OK);
    CHECK_EQUAL(forecast_init(&forecast, program, program_bytes, &model, buffer, need), STATUS_OK);
    CHECK_EQUAL(forecast_init(&forecast, program, program_bytes, &model, buffer, need - 1), STATUS_FEATURES_MEMORY);
    CHECK_EQUAL(forecast_init(&forecast, program, program_bytes, &model, buffer + 4, need), STATUS_FEATURES_MEMORY);
    CHECK_EQUAL(forecast_buffer_bytes(program, 23, &need), STATUS_FEATURES_LENGTH);
}

static void test_nothing_is_written_beyond_the_buffer_asked_for(void)
{
    float celsius[HORIZON];
    size_t need = 0;

    start("cell_float32");
    CHECK_EQUAL(forecast_buffer_bytes(program, program_bytes, &need), STATUS_OK);
    memset(buffer, 0x5a, sizeof buffer);
    CHECK_EQUAL(forecast_init(&forecast, program, program_bytes, &model, buffer, need), STATUS_OK);
    for (int i = 0; i < 80; i++) {
        CHECK(push(START + i * STEP, i, celsius));
    }
    for (size_t at = need; at < sizeof buffer; at++) {
        CHECK_EQUAL(buffer[at], 0x5a);
    }
}

/* ---- golden vectors ---- */

static size_t golden(const char *name)
{
    return vectors_bytes(text, name, payload, sizeof payload);
}

static void test_each_type_passes_its_golden_vectors(void)
{
    const char *cells[] = {"cell_float32", "cell_int8", "cell_int16x8"};
    const char *vectors[] = {"golden_float32", "golden_int8", "golden_int16x8"};

    for (int i = 0; i < 3; i++) {
        float worst = -1;

        start(cells[i]);
        CHECK_EQUAL(golden_check(&forecast, payload, golden(vectors[i]), &worst), STATUS_OK);
        CHECK(worst >= 0 && worst <= get_f32(payload + 6));
        CHECK_EQUAL(forecast.counters.accepted, 0);
        CHECK_EQUAL(forecast.started, 0);
    }
}

static void test_another_model_does_not_pass(void)
{
    float worst = -1;

    start("cell_int8");
    CHECK_EQUAL(golden_check(&forecast, payload, golden("golden_float32"), &worst), STATUS_GOLDEN_MISMATCH);
    CHECK(worst > get_f32(payload + 6));
}

static void test_another_scale_does_not_pass(void)
{
    float worst = -1;

    for (size_t at = 8; at <= FEATURES_HEADER_BYTES + 8; at += FEATURES_HEADER_BYTES) {
        start("cell_float32");
        program[at + 6] ^= 0x10; /* double it, or halve it */
        CHECK_EQUAL(init(), STATUS_OK);
        CHECK_EQUAL(golden_check(&forecast, payload, golden("golden_float32"), &worst), STATUS_GOLDEN_MISMATCH);
    }
}

static void test_another_grid_does_not_pass(void)
{
    float worst = 0;

    start("cell_float32");
    put_u32(program, 601);
    CHECK_EQUAL(init(), STATUS_OK);
    CHECK_EQUAL(golden_check(&forecast, payload, golden("golden_float32"), &worst), STATUS_GOLDEN_MISMATCH);
    CHECK(worst > 1e30f);
}

static void test_a_forecast_beyond_the_tolerance_is_found_wherever_it_is(void)
{
    start("cell_float32");
    for (size_t last = 0; last < 2; last++) {
        size_t bytes = golden("golden_float32");
        size_t at = last ? bytes - 4 : 2 + 8 + (size_t)get_u16(payload + 2) * 12 + 8;
        float moved = get_f32(payload + at) + 0.01f, worst = 0;

        memcpy(payload + at, &moved, sizeof moved);
        CHECK_EQUAL(golden_check(&forecast, payload, bytes, &worst), STATUS_GOLDEN_MISMATCH);
        CHECK_NEAR(worst, 0.01, 1e-4);
    }
}

static void test_a_forecast_that_is_not_made_does_not_pass(void)
{
    size_t bytes, at;
    float worst = 0;

    start("cell_float32");
    bytes = golden("golden_float32");
    at = bytes - 8 - 4 * HORIZON; /* the last forecast's time */
    put_i64(payload + at, get_i64(payload + at) + 1);
    CHECK_EQUAL(golden_check(&forecast, payload, bytes, &worst), STATUS_GOLDEN_MISMATCH);
    CHECK(worst > 1e30f);
}

static void test_a_forecast_that_is_no_number_does_not_pass(void)
{
    float worst = 0;

    start("cell_not_a_number");
    CHECK_EQUAL(golden_check(&forecast, payload, golden("golden_float32"), &worst), STATUS_GOLDEN_MISMATCH);
    CHECK(worst > 1e30f);
}

static void test_every_length_but_the_right_one_is_refused(void)
{
    size_t bytes;
    float worst = 5;

    start("cell_float32");
    bytes = golden("golden_float32");
    for (size_t length = 0; length <= bytes + 1; length++) {
        if (length != bytes) {
            CHECK_EQUAL(golden_check(&forecast, payload, length, &worst), STATUS_GOLDEN_LENGTH);
        }
    }
    CHECK_NEAR(worst, 5, 0);
}

/* The status with `width` bytes at `offset` replaced. */
static status_t with(size_t offset, uint32_t width, int64_t value)
{
    size_t bytes = golden("golden_float32");
    float worst = 5;

    if (width == 2) {
        put_u16(payload + offset, (uint32_t)value);
    } else if (width == 4) {
        put_u32(payload + offset, (uint32_t)value);
    } else {
        put_i64(payload + offset, value);
    }
    return golden_check(&forecast, payload, bytes, &worst);
}

static void test_golden_fields_out_of_their_range_are_refused(void)
{
    size_t forecasts;

    start("cell_float32");
    (void)golden("golden_float32");
    forecasts = 10 + (size_t)get_u16(payload + 2) * 12;
    CHECK_EQUAL(with(0, 2, 0), STATUS_GOLDEN_FIELD);
    CHECK_EQUAL(with(0, 2, 65535), STATUS_GOLDEN_LENGTH);
    CHECK_EQUAL(with(2, 2, 0), STATUS_GOLDEN_FIELD);
    CHECK_EQUAL(with(4, 2, 0), STATUS_GOLDEN_FIELD);
    CHECK_EQUAL(with(2, 2, 65535), STATUS_GOLDEN_LENGTH);
    CHECK_EQUAL(with(4, 2, 65535), STATUS_GOLDEN_LENGTH);
    CHECK_EQUAL(with(6, 4, 0x80000001), STATUS_GOLDEN_FIELD); /* below zero */
    CHECK_EQUAL(with(6, 4, 0x41200001), STATUS_GOLDEN_FIELD); /* just above ten */
    CHECK_EQUAL(with(6, 4, 0x41200000), STATUS_OK);
    CHECK_EQUAL(with(6, 4, 0x7fc00000), STATUS_GOLDEN_FIELD); /* not a number */
    CHECK_EQUAL(with(10, 8, -1), STATUS_GOLDEN_FIELD);
    CHECK_EQUAL(with(10, 8, INT64_MIN), STATUS_GOLDEN_FIELD);
    CHECK_EQUAL(with(10, 8, INT64_MAX), STATUS_GOLDEN_FIELD);
    CHECK_EQUAL(with(forecasts, 8, -1), STATUS_GOLDEN_FIELD);
    CHECK_EQUAL(with(forecasts, 8, INT64_MAX), STATUS_GOLDEN_FIELD);
    CHECK_EQUAL(with(forecasts + 8, 4, 0x7f800000), STATUS_GOLDEN_FIELD); /* infinity */
    CHECK_EQUAL(with(forecasts + 16, 4, 0x7fc00000), STATUS_GOLDEN_FIELD);
}

int main(void)
{
    text = vectors_read(VECTORS_FOLDER "/forecast.json");
    test_every_series_is_taken_as_python_takes_it();
    test_the_grid_lies_at_the_first_reading_rounded_to_a_quarter();
    test_the_tolerance_is_exact_to_a_millisecond();
    test_at_half_a_cadence_nothing_is_off_the_grid();
    test_a_gap_of_as_many_steps_as_are_held_is_held();
    test_held_steps_are_those_of_repeated_readings();
    test_after_a_long_gap_the_forecast_is_that_of_a_new_board();
    test_reset_forgets_everything_but_the_counters();
    test_a_refused_reading_leaves_no_trace();
    test_a_state_that_is_no_number_ends_with_its_forecast();
    test_times_outside_1970_to_9999_are_refused();
    test_a_model_of_other_ends_is_refused();
    test_a_buffer_that_is_small_or_not_aligned_is_refused();
    test_nothing_is_written_beyond_the_buffer_asked_for();
    test_each_type_passes_its_golden_vectors();
    test_another_model_does_not_pass();
    test_another_scale_does_not_pass();
    test_another_grid_does_not_pass();
    test_a_forecast_beyond_the_tolerance_is_found_wherever_it_is();
    test_a_forecast_that_is_not_made_does_not_pass();
    test_a_forecast_that_is_no_number_does_not_pass();
    test_every_length_but_the_right_one_is_refused();
    test_golden_fields_out_of_their_range_are_refused();
    return check_result();
}
