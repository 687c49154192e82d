/* The model that runs: after a start it knows what it would have known without one, and no time of a reading, however
 * wrong, leaves the board without forecasts. The store is replaced by one image that is always there. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "model.h"
#include "vectors.h"
#include "wire/bytes.h"

enum { CAPACITY = 1500, STEP = 600000, PROGRAM_BYTES = 256, MODEL_BYTES = 8192, HORIZON = 3 };
/* One vector of one reading and its forecast. */
enum { GOLDEN_BYTES = 2 + 8 + 12 + 8 + 4 * HORIZON };

#define START INT64_C(1709503200000)
#define YEAR INT64_C(31536000000)

static uint8_t file[MODEL_BYTES] __attribute__((aligned(16)));
static uint8_t program[PROGRAM_BYTES], golden[GOLDEN_BYTES];
static size_t file_bytes, program_bytes;
static model_runner before, after; /* a restart, and whatever is the same without one */
static log_ring log_lines;
static ring readings;
static uint64_t ring_memory[(RING_BYTES(CAPACITY) + 7) / 8];
static board_port board;

status_t store_start(store *s, const board_port *port, slot_image *image)
{
    (void)s;
    (void)port;
    memset(image, 0, sizeof *image);
    image->state = SLOT_STATE_CONFIRMED;
    image->view.version = 1;
    image->view.model = file;
    image->view.model_bytes = file_bytes;
    image->view.program = program;
    image->view.program_bytes = program_bytes;
    image->view.golden = golden;
    image->view.golden_bytes = sizeof golden;
    return STATUS_OK;
}

status_t store_install(store *s, slot_image *image)
{
    return store_start(s, &board, image);
}

status_t store_confirm(store *s)
{
    (void)s;
    return STATUS_OK;
}

status_t store_revert(store *s)
{
    (void)s;
    return STATUS_OK;
}

slot_phase store_phase(const store *s)
{
    (void)s;
    return SLOT_PHASE_EMPTY;
}

static int64_t now_ms(void *context)
{
    (void)context;
    return 0;
}

static void watchdog(void *context)
{
    (void)context;
}

/* Whatever the cell says: it may be off by the 10 degrees that golden vectors allow at most. */
static void make_golden(void)
{
    static const uint8_t ten[4] = {0x00, 0x00, 0x20, 0x41}, twenty[4] = {0x00, 0x00, 0xA0, 0x41};

    memset(golden, 0, sizeof golden);
    put_u16(golden, 1);
    put_u16(golden + 2, 1);
    put_u16(golden + 4, 1);
    memcpy(golden + 6, ten, sizeof ten);
    put_i64(golden + 10, START);
    put_u32(golden + 18, 20000000);
    put_i64(golden + 22, START);
    for (size_t k = 0; k < HORIZON; k++) {
        memcpy(golden + 30 + 4 * k, twenty, sizeof twenty);
    }
}

static void restart(model_runner *m)
{
    model_start(m, &board, &log_lines, &readings);
    CHECK_EQUAL(m->status, STATUS_OK);
}

static void start(void)
{
    memset(ring_memory, 0, sizeof ring_memory);
    CHECK_EQUAL(ring_attach(&readings, ring_memory, RING_BYTES(CAPACITY), NULL, NULL), STATUS_OK);
    restart(&before);
}

/* 1 if a forecast was made. */
static int feed(model_runner *m, int64_t time_ms, session_forecast *forecast)
{
    ring_reading reading = {time_ms, (int32_t)(20000000 + readings.next * 7919 % 4000000)};

    return model_forecast(m, ring_add(&readings, &reading), forecast);
}

static int feed_series(int64_t from_ms, uint32_t count)
{
    session_forecast forecast;
    int made = 0;

    for (uint32_t i = 0; i < count; i++) {
        made += feed(&before, from_ms + (int64_t)i * STEP, &forecast);
    }
    return made;
}

/* The next reading, at this time, is forecast alike with and without a restart before it. */
static void check_restart_changes_nothing(int64_t time_ms)
{
    session_forecast without, with;

    restart(&after);
    CHECK_EQUAL(feed(&before, time_ms, &without), 1);
    CHECK_EQUAL(model_forecast(&after, readings.next - 1, &with), 1);
    CHECK_BYTES(with.celsius, without.celsius, HORIZON * sizeof(float));
}

static void a_restart_changes_nothing(void)
{
    start();
    CHECK_EQUAL(feed_series(START, 100), 100);
    check_restart_changes_nothing(START + INT64_C(100) * STEP);
}

/* The lag of the second feature becomes longer than what is replayed for the network's sake. */
static void a_program_that_reaches_far_back_finds_what_it_had(void)
{
    uint32_t lag = get_u16(program + 24 + 16 + 2);

    put_u16(program + 24 + 16 + 2, 700);
    start();
    CHECK_EQUAL(feed_series(START, 1300), 1300);
    CHECK(before.forecast.features.reach > MODEL_REPLAY_READINGS);
    check_restart_changes_nothing(START + INT64_C(1300) * STEP);
    put_u16(program + 24 + 16 + 2, lag);
}

static void after_a_clock_that_was_set_back_the_series_begins_anew(void)
{
    start();
    CHECK_EQUAL(feed_series(START + YEAR, 50), 50);
    model_forget(&before);
    CHECK_EQUAL(feed_series(START, 50), 50);
    check_restart_changes_nothing(START + INT64_C(50) * STEP);
    /* A source with a clock of its own tells nobody. */
    CHECK_EQUAL(feed_series(START - YEAR, 50), 50);
    check_restart_changes_nothing(START - YEAR + INT64_C(50) * STEP);
}

static void one_wild_time_costs_no_more_than_the_series(void)
{
    start();
    CHECK_EQUAL(feed_series(START, 50), 50);
    CHECK_EQUAL(feed_series(START + 20 * YEAR, 1), 1);
    CHECK_EQUAL(feed_series(START + INT64_C(51) * STEP, 20), 20);
    check_restart_changes_nothing(START + INT64_C(71) * STEP);
}

static void a_reading_that_is_a_little_late_is_left_out(void)
{
    session_forecast forecast;

    start();
    CHECK_EQUAL(feed_series(START, 50), 50);
    CHECK_EQUAL(feed(&before, START + INT64_C(49) * STEP - MODEL_CLOCK_BACK_MS, &forecast), 0);
    CHECK_EQUAL(before.forecast.counters.late, 1);
    CHECK_EQUAL(before.forecast.started, 1);
    check_restart_changes_nothing(START + INT64_C(50) * STEP);
}

/* The board was off, and its sensor is read at other minutes since. */
static void readings_off_the_grid_after_a_gap_find_a_new_one(void)
{
    const int64_t later = START + YEAR + STEP / 2;

    start();
    CHECK_EQUAL(feed_series(START, 50), 50);
    CHECK_EQUAL(feed_series(later, 20), 20 - (MODEL_STRAY_READINGS - 1));
    check_restart_changes_nothing(later + INT64_C(20) * STEP);
}

/* One reading off the grid after a gap, and one reading within what is held, end nothing. */
static void single_readings_off_the_grid_change_nothing(void)
{
    session_forecast forecast;

    start();
    CHECK_EQUAL(feed_series(START, 50), 50);
    for (int64_t i = 0; i < 6; i++) {
        CHECK_EQUAL(feed(&before, START + (50 + i) * STEP + STEP / 2, &forecast), 0);
    }
    CHECK_EQUAL(feed(&before, START + YEAR + STEP / 2, &forecast), 0);
    CHECK_EQUAL(before.stray, 1);
    CHECK_EQUAL(feed(&before, START + INT64_C(56) * STEP, &forecast), 1);
    CHECK_EQUAL(before.forecast.counters.resets, 0);
    CHECK_EQUAL(before.stray, 0);
    check_restart_changes_nothing(START + INT64_C(57) * STEP);
}

static void a_reading_outside_the_calendar_is_logged_and_left_out(void)
{
    session_forecast forecast;

    start();
    CHECK_EQUAL(feed_series(START, 5), 5);
    CHECK_EQUAL(feed(&before, FEATURES_TIME_MAX + 1, &forecast), 0);
    CHECK_EQUAL(feed(&before, INT64_MAX, &forecast), 0);
    CHECK_EQUAL(feed(&before, INT64_MIN, &forecast), 0);
    CHECK_EQUAL(feed(&before, -1, &forecast), 0);
    check_restart_changes_nothing(START + INT64_C(5) * STEP);
    CHECK_EQUAL(before.forecast.counters.accepted, 6);
}

int main(void)
{
    char *text = vectors_read(VECTORS_FOLDER "/forecast.json");

    file_bytes = vectors_bytes(text, "cell_float32", file, sizeof file);
    program_bytes = vectors_bytes(text, "program", program, sizeof program);
    make_golden();
    board.now_ms = now_ms;
    board.watchdog = watchdog;
    a_restart_changes_nothing();
    a_program_that_reaches_far_back_finds_what_it_had();
    after_a_clock_that_was_set_back_the_series_begins_anew();
    one_wild_time_costs_no_more_than_the_series();
    a_reading_that_is_a_little_late_is_left_out();
    readings_off_the_grid_after_a_gap_find_a_new_one();
    single_readings_off_the_grid_change_nothing();
    a_reading_outside_the_calendar_is_logged_and_left_out();
    free(text);
    return check_result();
}
