/* The model that runs: after a start it knows what it would have known without one, and no time of a reading, however
 * wrong, leaves the board without forecasts. The store is replaced by one image that is always there. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "model.h"
#include "nn/plan.h"
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

static slot_phase phase; /* of the other slot, which holds the same model as version 2 */
static status_t start_status, shadow_status;
static size_t golden_of_shadow; /* its bytes; fewer are refused */

static void give_image(slot_image *image, uint32_t version, slot_state state)
{
    memset(image, 0, sizeof *image);
    image->state = state;
    image->view.version = version;
    image->view.model = file;
    image->view.model_bytes = file_bytes;
    image->view.program = program;
    image->view.program_bytes = program_bytes;
    image->view.golden = golden;
    image->view.golden_bytes = version == 1 ? sizeof golden : golden_of_shadow;
}

status_t store_start(store *s, const board_port *port, slot_image *image)
{
    (void)s;
    (void)port;
    give_image(image, 1, SLOT_STATE_CONFIRMED);
    return start_status;
}

status_t store_begin(store *s, uint32_t bytes, const uint8_t sha256[32], uint32_t *resume)
{
    (void)s;
    (void)sha256;
    *resume = 0;
    if (bytes != 2) { /* the image in the shadow has two bytes here */
        phase = SLOT_PHASE_RECEIVING;
    }
    return STATUS_OK;
}

status_t store_install(store *s, slot_image *image)
{
    (void)s;
    give_image(image, 2, SLOT_STATE_TEST);
    phase = SLOT_PHASE_INSTALLED;
    return STATUS_OK;
}

status_t store_shadow(store *s, slot_image *image)
{
    (void)s;
    give_image(image, 2, SLOT_STATE_SHADOW);
    phase = shadow_status == STATUS_OK ? SLOT_PHASE_SHADOW : SLOT_PHASE_EMPTY;
    return shadow_status;
}

status_t store_confirm(store *s)
{
    (void)s;
    return STATUS_OK;
}

status_t store_revert(store *s)
{
    (void)s;
    if (phase == SLOT_PHASE_REVERTED) {
        return STATUS_SLOT_NO_TEST;
    }
    phase = SLOT_PHASE_REVERTED;
    return STATUS_OK;
}

slot_phase store_phase(const store *s)
{
    (void)s;
    return phase;
}

static int64_t now_ms(void *context)
{
    (void)context;
    return 0;
}

static int watchdogs;

static void watchdog(void *context)
{
    (void)context;
    watchdogs++;
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
    CHECK_EQUAL(m->running.status, STATUS_OK);
}

static void start(void)
{
    memset(ring_memory, 0, sizeof ring_memory);
    CHECK_EQUAL(ring_attach(&readings, ring_memory, RING_BYTES(CAPACITY), NULL, NULL), STATUS_OK);
    phase = SLOT_PHASE_EMPTY;
    start_status = STATUS_OK;
    shadow_status = STATUS_OK;
    golden_of_shadow = sizeof golden;
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

/* The next reading, at this time, is forecast alike by both. */
static void check_next_is_alike(int64_t time_ms)
{
    session_forecast without, with;

    CHECK_EQUAL(feed(&before, time_ms, &without), 1);
    CHECK_EQUAL(model_forecast(&after, readings.next - 1, &with), 1);
    CHECK_BYTES(with.celsius, without.celsius, HORIZON * sizeof(float));
}

/* The next reading is forecast alike with and without a restart before it. */
static void check_restart_changes_nothing(int64_t time_ms)
{
    restart(&after);
    check_next_is_alike(time_ms);
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
    CHECK(before.running.forecast.features.reach > MODEL_REPLAY_READINGS);
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
    CHECK_EQUAL(before.running.forecast.counters.late, 1);
    CHECK_EQUAL(before.running.forecast.started, 1);
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
    CHECK_EQUAL(before.running.stray, 1);
    CHECK_EQUAL(feed(&before, START + INT64_C(56) * STEP, &forecast), 1);
    CHECK_EQUAL(before.running.forecast.counters.resets, 0);
    CHECK_EQUAL(before.running.stray, 0);
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
    CHECK_EQUAL(before.running.forecast.counters.accepted, 6);
}

static void lose_the_state(runner *r)
{
    const nn_plan *plan = r->nn.plan;

    memset(plan->inputs[1].data, 0xFF, plan->inputs[1].bytes); /* no number, as float32 */
}

static void a_state_that_is_no_number_is_rebuilt_and_no_forecast_is_lost(void)
{
    static char text[LOG_BYTES + 1];
    uint32_t from = 0;

    start();
    CHECK_EQUAL(feed_series(START, 50), 50);
    restart(&after);
    lose_the_state(&before.running);
    check_next_is_alike(START + INT64_C(50) * STEP);
    text[log_read(&log_lines, &from, (uint8_t *)text, LOG_BYTES)] = '\0';
    CHECK(strstr(text, "forecast is no number, state rebuilt; version 1\n") != NULL);
}

/* ---- a challenger beside it ---- */

static void begin_shadow(void)
{
    start();
    CHECK_EQUAL(feed_series(START, 20), 20);
    CHECK_EQUAL(model_forecasts_most(&before), 1);
    phase = SLOT_PHASE_RECEIVING;
    CHECK_EQUAL(model_challenge(&before, 2), STATUS_OK);
    CHECK_EQUAL(before.shadow.version, 2);
    CHECK_EQUAL(model_forecasts_most(&before), 2);
}

static void a_challenger_knows_what_the_model_beside_it_knows(void)
{
    session_forecast own, beside;
    uint32_t made;

    begin_shadow();
    for (int64_t row = 20; row < 30; row++) {
        CHECK_EQUAL(feed(&before, START + row * STEP, &own), 1);
        made = before.forecasts;
        CHECK_EQUAL(model_shadow_forecast(&before, readings.next - 1, &beside), 1);
        CHECK_EQUAL(before.forecasts, made); /* it counts for nothing that is told of the model that runs */
        CHECK_EQUAL(own.slot_state, SLOT_STATE_CONFIRMED);
        CHECK_EQUAL(beside.slot_state, SESSION_SHADOW);
        CHECK_EQUAL(beside.model_version, 2);
        CHECK_EQUAL(beside.reading, own.reading);
        CHECK_EQUAL(beside.time_ms, own.time_ms);
        CHECK_EQUAL(beside.values, own.values);
        CHECK_BYTES(beside.celsius, own.celsius, sizeof(float) * HORIZON);
    }
    lose_the_state(&before.shadow);
    CHECK_EQUAL(feed(&before, START + INT64_C(30) * STEP, &own), 1);
    CHECK_EQUAL(model_shadow_forecast(&before, readings.next - 1, &beside), 1);
    CHECK_BYTES(beside.celsius, own.celsius, sizeof(float) * HORIZON);
    model_forget(&before);
    CHECK_EQUAL(before.shadow.forecast.started, 0);
}

static void a_challenger_is_there_again_after_a_restart(void)
{
    session_forecast own, beside;

    begin_shadow();
    restart(&before);
    CHECK_EQUAL(before.shadow.version, 2);
    CHECK_EQUAL(before.running.version, 1);
    CHECK_EQUAL(feed(&before, START + INT64_C(20) * STEP, &own), 1);
    CHECK_EQUAL(model_shadow_forecast(&before, readings.next - 1, &beside), 1);
    CHECK_BYTES(beside.celsius, own.celsius, sizeof(float) * HORIZON);
    /* One that does not run any more is gone, and the board says why. */
    golden_of_shadow = 3;
    restart(&before);
    CHECK_EQUAL(phase, SLOT_PHASE_REVERTED);
    CHECK_EQUAL(before.shadow.version, 0);
    CHECK_EQUAL(before.shadow.status, STATUS_GOLDEN_LENGTH);
    CHECK_EQUAL(model_shadow_forecast(&before, readings.next - 1, &beside), 0);
    CHECK_EQUAL(before.running.status, STATUS_OK);
}

static void a_challenger_that_does_not_run_is_given_up(void)
{
    start();
    golden_of_shadow = 3;
    CHECK_EQUAL(model_challenge(&before, 2), STATUS_GOLDEN_LENGTH);
    CHECK_EQUAL(phase, SLOT_PHASE_REVERTED);
    golden_of_shadow = sizeof golden;
    CHECK_EQUAL(model_challenge(&before, 3), STATUS_SESSION_VERSION);
    CHECK_EQUAL(phase, SLOT_PHASE_REVERTED);
    CHECK_EQUAL(before.shadow.version, 0);
    shadow_status = STATUS_IMAGE_SIGNATURE;
    CHECK_EQUAL(model_challenge(&before, 2), STATUS_IMAGE_SIGNATURE);
    CHECK_EQUAL(before.shadow.status, STATUS_IMAGE_SIGNATURE);
    CHECK_EQUAL(before.running.status, STATUS_OK);
}

static void asking_for_a_challenger_changes_nothing(void)
{
    start();
    CHECK_EQUAL(model_challenge(&before, 0), STATUS_OK);
    CHECK_EQUAL(phase, SLOT_PHASE_EMPTY);
    begin_shadow();
    shadow_status = STATUS_SLOT_FLASH; /* what is asked for is there: nothing is looked at again */
    CHECK_EQUAL(model_challenge(&before, 2), STATUS_OK);
    CHECK_EQUAL(model_challenge(&before, 0), STATUS_OK);
    CHECK_EQUAL(before.shadow.version, 2);
}

static void a_challenger_ends_without_a_restart(void)
{
    int is_restart_due = 1;

    begin_shadow();
    CHECK_EQUAL(model_revert(&before, 1, &is_restart_due), STATUS_SESSION_VERSION);
    CHECK_EQUAL(model_revert(&before, 2, &is_restart_due), STATUS_OK);
    CHECK_EQUAL(is_restart_due, 0);
    CHECK_EQUAL(phase, SLOT_PHASE_REVERTED);
    CHECK_EQUAL(before.shadow.version, 0);
    CHECK_EQUAL(model_forecasts_most(&before), 1);
    CHECK_EQUAL(model_revert(&before, 2, &is_restart_due), STATUS_SESSION_VERSION);
    CHECK_EQUAL(model_revert(&before, 0, &is_restart_due), STATUS_SESSION_VERSION);
    CHECK_EQUAL(phase, SLOT_PHASE_REVERTED);
}

static void a_challenger_gives_its_slot_to_another_image(void)
{
    static const uint8_t sha256[32];
    session_forecast beside;
    uint32_t resume;

    begin_shadow();
    CHECK_EQUAL(model_receive(&before, 2, sha256, &resume), STATUS_OK);
    CHECK_EQUAL(before.shadow.version, 2);
    CHECK_EQUAL(model_receive(&before, 5, sha256, &resume), STATUS_OK);
    CHECK_EQUAL(before.shadow.version, 0);
    CHECK_EQUAL(model_shadow_forecast(&before, readings.next - 1, &beside), 0);
}

static void a_challenger_is_installed_and_the_board_tells_of_it_after_the_restart(void)
{
    begin_shadow();
    CHECK_EQUAL(model_install(&before), STATUS_OK);
    CHECK_EQUAL(before.shadow.version, 0);
    CHECK_EQUAL(before.running.version, 1);
    CHECK_EQUAL(before.image.state, SLOT_STATE_CONFIRMED);
}

static void nothing_is_beside_a_model_that_is_not_confirmed(void)
{
    start();
    before.image.state = SLOT_STATE_TEST;
    CHECK_EQUAL(model_challenge(&before, 2), STATUS_SLOT_EMPTY);
    before.image.state = SLOT_STATE_CONFIRMED;
    runner_clear(&before.running, STATUS_GOLDEN_MISMATCH);
    CHECK_EQUAL(model_challenge(&before, 2), STATUS_SLOT_EMPTY);
    CHECK_EQUAL(phase, SLOT_PHASE_EMPTY);
    /* One that is there already waits for a start at which something runs beside it. */
    begin_shadow();
    start_status = STATUS_SLOT_FLASH;
    model_start(&before, &board, &log_lines, &readings);
    CHECK_EQUAL(before.shadow.version, 0);
    CHECK_EQUAL(phase, SLOT_PHASE_SHADOW);
    start_status = STATUS_OK;
    restart(&before);
    CHECK_EQUAL(before.shadow.version, 2);
}

static void two_images_are_not_checked_in_one_stretch(void)
{
    start();
    phase = SLOT_PHASE_SHADOW;
    watchdogs = 0; /* no reading is kept that would be replayed */
    restart(&before);
    CHECK_EQUAL(before.shadow.version, 2);
    CHECK_EQUAL(watchdogs, 1);
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
    a_state_that_is_no_number_is_rebuilt_and_no_forecast_is_lost();
    a_challenger_knows_what_the_model_beside_it_knows();
    a_challenger_is_there_again_after_a_restart();
    a_challenger_that_does_not_run_is_given_up();
    asking_for_a_challenger_changes_nothing();
    a_challenger_ends_without_a_restart();
    a_challenger_gives_its_slot_to_another_image();
    a_challenger_is_installed_and_the_board_tells_of_it_after_the_restart();
    nothing_is_beside_a_model_that_is_not_confirmed();
    two_images_are_not_checked_in_one_stretch();
    free(text);
    return check_result();
}
