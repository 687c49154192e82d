/* The application's main loop over a board made of memory: what happens when, and what does not wait for what. */
#include <stdint.h>
#include <string.h>

#include "app.h"
#include "check.h"
#include "hub.h"

enum { CAPACITY = 20, SECTOR_BYTES = 1024, SECTORS = 8, KEY = 3 };

static app application;
static board_port board;
static uint64_t ring_memory[(RING_BYTES(CAPACITY) + 7) / 8];
static uint8_t flash_memory[SECTOR_BYTES * SECTORS];
static slot_flash flash;
static hub peer;
static int64_t clock_ms;
static int watchdogs, connects, closes, connect_result;
static int has_reading, sensor_calls;
static int is_link_lost;
static size_t send_at_once; /* bytes that the transport takes in one call */
static uint32_t readings_made;

static int64_t now_ms(void *context)
{
    (void)context;
    return clock_ms;
}

static int read_sensor(void *context, ring_reading *reading)
{
    (void)context;
    sensor_calls++;
    if (!has_reading) {
        return 0;
    }
    reading->time_ms = (int64_t)readings_made * 600000;
    reading->microcelsius = (int32_t)readings_made++;
    return 1;
}

static void watchdog(void *context)
{
    (void)context;
    watchdogs++;
}

static status_t give_key(void *context, uint8_t key[32])
{
    (void)context;
    memset(key, KEY, 32);
    return STATUS_OK;
}

static void give_nonce(void *context, uint8_t nonce[16])
{
    (void)context;
    memset(nonce, connects, 16);
}

static int link_connect(void *context)
{
    (void)context;
    connects++;
    if (connect_result == 1) {
        hub_connect(&peer);
    }
    return connect_result;
}

static int link_send(void *context, const uint8_t *bytes, size_t count)
{
    (void)context;
    if (is_link_lost) {
        return -1;
    }
    if (count > send_at_once) {
        count = send_at_once;
    }
    hub_take(&peer, bytes, count);
    return (int)count;
}

static int link_receive(void *context, uint8_t *bytes, size_t space)
{
    size_t count = peer.output_bytes < space ? peer.output_bytes : space;

    (void)context;
    if (is_link_lost) {
        return -1;
    }
    memcpy(bytes, peer.output, count);
    peer.output_bytes -= count;
    memmove(peer.output, peer.output + count, peer.output_bytes);
    return (int)count;
}

static void link_close(void *context)
{
    (void)context;
    closes++;
}

static int program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t count)
{
    (void)context;
    memcpy(flash_memory + offset, bytes, count);
    return 0;
}

static int erase(void *context, uint32_t sector)
{
    (void)context;
    memset(flash_memory + sector * SECTOR_BYTES, 0xFF, SECTOR_BYTES);
    return 0;
}

static void start(void)
{
    memset(&application, 0, sizeof application);
    memset(ring_memory, 0, sizeof ring_memory);
    memset(flash_memory, 0xFF, sizeof flash_memory);
    flash = (slot_flash){NULL, flash_memory, SECTOR_BYTES, SECTORS, 32, NULL, program, erase};
    memset(&board, 0, sizeof board);
    board.now_ms = now_ms;
    board.sensor = read_sensor;
    board.watchdog = watchdog;
    board.key = give_key;
    board.nonce = give_nonce;
    board.link_connect = link_connect;
    board.link_send = link_send;
    board.link_receive = link_receive;
    board.link_close = link_close;
    board.ring_memory = (uint8_t *)ring_memory;
    board.ring_bytes = RING_BYTES(CAPACITY);
    board.flash = &flash;
    board.test_ms = 60000;
    clock_ms = 1000;
    watchdogs = connects = closes = sensor_calls = has_reading = is_link_lost = 0;
    readings_made = 0;
    connect_result = 1;
    send_at_once = 10000;
    hub_start(&peer, KEY);
    CHECK_EQUAL(app_start(&application, &board), STATUS_OK);
}

static void turn(int times)
{
    for (int i = 0; i < times; i++) {
        CHECK_EQUAL(app_step(&application), 1);
    }
}

static int log_says(const char *line)
{
    static uint8_t text[LOG_BYTES + 1];
    uint32_t from = 0;

    text[log_read(&application.log, &from, text, LOG_BYTES)] = '\0';
    return strstr((const char *)text, line) != NULL;
}

static void a_ring_without_memory_stops_the_start(void)
{
    start();
    board.ring_bytes = RING_BYTES(1);
    CHECK_EQUAL(app_start(&application, &board), STATUS_RING_MEMORY);
}

static void the_session_opens_and_the_clock_is_set(void)
{
    start();
    CHECK_EQUAL(app_time(&application), 1000);
    turn(5);
    CHECK_EQUAL(application.link.phase, SESSION_OPEN);
    CHECK_EQUAL(app_time(&application), 1700000000000);
    clock_ms += 7;
    CHECK_EQUAL(app_time(&application), 1700000000007);
    CHECK(log_says("no model, status -302"));
}

static void every_turn_feeds_the_watchdog(void)
{
    start();
    watchdogs = 0;
    turn(10);
    CHECK_EQUAL(watchdogs, 10);
    connect_result = -1;
    is_link_lost = 1;
    turn(10);
    CHECK_EQUAL(watchdogs, 20);
}

static void bytes_may_go_one_by_one(void)
{
    start();
    send_at_once = 1;
    turn(SESSION_HELLO_BYTES + 200);
    CHECK_EQUAL(application.link.phase, SESSION_OPEN);
}

static void a_refused_connection_is_tried_again_after_a_while(void)
{
    start();
    connect_result = -1;
    turn(3);
    CHECK_EQUAL(connects, 1);
    CHECK(log_says("no connection to the hub"));
    clock_ms += APP_RETRY_MS - 1;
    turn(1);
    CHECK_EQUAL(connects, 1);
    clock_ms += 1;
    connect_result = 1;
    turn(5);
    CHECK_EQUAL(connects, 2);
    CHECK_EQUAL(application.link.phase, SESSION_OPEN);
}

static void a_connection_that_is_never_made_is_given_up(void)
{
    start();
    connect_result = 0;
    turn(5);
    CHECK_EQUAL(closes, 0);
    clock_ms += APP_HANDSHAKE_MS;
    turn(1);
    CHECK_EQUAL(closes, 1);
    CHECK(log_says("no connection to the hub"));
}

static void a_hub_that_does_not_answer_is_left(void)
{
    start();
    peer.says_welcome = 0;
    turn(5);
    CHECK_EQUAL(application.link.phase, SESSION_PROVEN);
    clock_ms += APP_HANDSHAKE_MS - 1;
    turn(1);
    CHECK_EQUAL(closes, 0);
    clock_ms += 1;
    turn(1);
    CHECK_EQUAL(closes, 1);
    CHECK(log_says("the hub did not answer"));
}

static void a_hub_without_the_key_is_told_and_left(void)
{
    start();
    hub_start(&peer, KEY + 1);
    turn(5);
    CHECK_EQUAL(peer.refusal, STATUS_SESSION_PROOF);
    CHECK_EQUAL(closes, 1);
    CHECK(log_says("hub and board do not know each other"));
}

static void a_hub_that_falls_silent_while_readings_wait_is_left(void)
{
    start();
    turn(5);
    clock_ms += APP_SILENCE_MS;
    turn(1);
    CHECK_EQUAL(closes, 0); /* nothing waits for it */
    peer.acknowledges = 0;
    has_reading = 1;
    turn(1);
    has_reading = 0;
    turn(1);
    clock_ms += APP_SILENCE_MS;
    turn(1);
    CHECK_EQUAL(closes, 1);
    CHECK(log_says("the hub went silent"));
}

static void a_lost_link_is_made_anew_and_nothing_is_missing(void)
{
    start();
    turn(5);
    has_reading = 1;
    turn(3);
    is_link_lost = 1;
    turn(4);
    CHECK_EQUAL(closes, 1);
    CHECK(log_says("link lost"));
    is_link_lost = 0;
    has_reading = 0;
    clock_ms += APP_RETRY_MS;
    turn(6);
    CHECK_EQUAL(peer.readings_next, readings_made);
    CHECK_EQUAL(application.readings.acknowledged, readings_made);
    CHECK_EQUAL(application.readings.dropped, 0);
}

static void readings_beyond_the_capacity_are_counted(void)
{
    start();
    connect_result = -1;
    has_reading = 1;
    turn(CAPACITY);
    CHECK_EQUAL(application.readings.dropped, 0);
    turn(5);
    CHECK_EQUAL(application.readings.dropped, 5);
    has_reading = 0;
    connect_result = 1;
    clock_ms += APP_RETRY_MS;
    turn(6);
    CHECK_EQUAL(peer.oldest, 5);
    CHECK_EQUAL(peer.readings_next, CAPACITY + 5);
}

static void readings_outlive_a_restart(void)
{
    start();
    connect_result = -1;
    has_reading = 1;
    turn(7);
    has_reading = 0;
    CHECK_EQUAL(app_start(&application, &board), STATUS_OK);
    CHECK(log_says("start, readings kept 7"));
    CHECK(log_says("start, readings kept 0")); /* the log does, too */
    connect_result = 1;
    turn(6);
    CHECK_EQUAL(peer.readings_next, 7);
}

static void ask(uint8_t type, const uint8_t *message, size_t count, status_t status)
{
    uint32_t before = peer.answers;

    hub_send(&peer, type, message, count);
    turn(3);
    CHECK_EQUAL(peer.answers, before + 1);
    CHECK_EQUAL(peer.answer, status);
}

static void requests_without_a_model_are_answered_by_name(void)
{
    static const uint8_t begin[36] = {0, 0, 1}, chunk[5], version[4] = {1};
    uint8_t small[36] = {100};

    start();
    turn(5);
    ask(MESSAGE_STATUS, NULL, 0, STATUS_OK);
    CHECK_EQUAL(peer.body_bytes, SESSION_STATE_BYTES);
    CHECK_EQUAL((status_t)get_u32(peer.body + 12), STATUS_SLOT_EMPTY);
    ask(MESSAGE_TRANSFER_CHUNK, chunk, sizeof chunk, STATUS_SLOT_NO_TRANSFER);
    ask(MESSAGE_INSTALL, NULL, 0, STATUS_SLOT_NO_TRANSFER);
    ask(MESSAGE_CONFIRM, version, sizeof version, STATUS_SESSION_VERSION);
    ask(MESSAGE_REVERT, version, sizeof version, STATUS_SESSION_VERSION);
    ask(MESSAGE_TRANSFER_BEGIN, begin, sizeof begin, STATUS_SLOT_TOO_LARGE);
    CHECK(log_says("transfer refused, status -303"));
    ask(MESSAGE_TRANSFER_BEGIN, small, sizeof small, STATUS_OK);
    ask(MESSAGE_TRANSFER_CHUNK, chunk, sizeof chunk, STATUS_OK);
    CHECK_EQUAL(get_u32(peer.body), 1);
    ask(MESSAGE_INSTALL, NULL, 0, STATUS_SLOT_INCOMPLETE);
    ask(MESSAGE_LOG, version, sizeof version, STATUS_OK);
    CHECK_EQUAL(get_u32(peer.body), 1);
    CHECK(peer.body_bytes > 50);
}

static void chunks_may_go_ahead_of_the_one_that_is_answered(void)
{
    uint8_t small[36] = {100}, chunk[9] = {0};
    uint32_t before;

    start();
    turn(5);
    ask(MESSAGE_TRANSFER_BEGIN, small, sizeof small, STATUS_OK);
    before = peer.answers;
    for (uint8_t offset = 0; offset < 15; offset = (uint8_t)(offset + 5)) {
        chunk[0] = offset;
        hub_send(&peer, MESSAGE_TRANSFER_MORE, chunk, sizeof chunk);
    }
    turn(5);
    CHECK_EQUAL(peer.answers, before);
    CHECK_EQUAL(peer.refusals, 0);
    chunk[0] = 15;
    ask(MESSAGE_TRANSFER_CHUNK, chunk, sizeof chunk, STATUS_OK);
    CHECK_EQUAL(get_u32(peer.body), 20);
    /* One was lost on the way: those behind it change nothing, and the answer names the offset that is due. */
    chunk[0] = 25;
    hub_send(&peer, MESSAGE_TRANSFER_MORE, chunk, sizeof chunk);
    chunk[0] = 30;
    ask(MESSAGE_TRANSFER_CHUNK, chunk, sizeof chunk, STATUS_SLOT_OFFSET);
    CHECK_EQUAL(get_u32(peer.body), 20);
}

static void the_clock_may_be_corrected_and_set_back(void)
{
    uint8_t time[8];

    start();
    turn(5);
    put_i64(time, app_time(&application) - MODEL_CLOCK_BACK_MS);
    ask(MESSAGE_TIME, time, sizeof time, STATUS_OK);
    CHECK_EQUAL(app_time(&application), 1700000000000 - MODEL_CLOCK_BACK_MS);
    put_i64(time, 1600000000000);
    ask(MESSAGE_TIME, time, sizeof time, STATUS_OK);
    CHECK_EQUAL(app_time(&application), 1600000000000);
}

static void a_time_outside_the_calendar_is_refused_before_it_is_used(void)
{
    static const int64_t wrong[] = {-1, INT64_MIN, INT64_MAX, FEATURES_TIME_MAX + 1};
    uint8_t time[8];

    start();
    peer.time_ms = INT64_MIN;
    turn(5);
    CHECK_EQUAL(application.link.phase, SESSION_PROVEN);
    CHECK_EQUAL(peer.refusal, STATUS_SESSION_FIELD);
    CHECK_EQUAL(application.clock_set, 0);
    CHECK_EQUAL(app_time(&application), 1000);
    start();
    turn(5);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        put_i64(time, wrong[i]);
        ask(MESSAGE_TIME, time, sizeof time, STATUS_SESSION_FIELD);
        CHECK_EQUAL(app_time(&application), 1700000000000);
    }
    put_i64(time, FEATURES_TIME_MAX);
    ask(MESSAGE_TIME, time, sizeof time, STATUS_OK);
    CHECK_EQUAL(app_time(&application), FEATURES_TIME_MAX);
    put_i64(time, 0);
    ask(MESSAGE_TIME, time, sizeof time, STATUS_OK);
    CHECK_EQUAL(app_time(&application), 0);
}

/* A hub that answers, but acknowledges nothing. */
static void fill_forecasts(void)
{
    session_forecast forecast = {0, 1, 0, 2, 1, {1.0f}};

    start();
    turn(5);
    peer.acknowledges = 0;
    for (int i = 0; i < SESSION_FORECASTS; i++) {
        session_add_forecast(&application.link, &forecast);
    }
}

static void a_real_sensor_is_read_while_forecasts_have_no_room(void)
{
    fill_forecasts();
    has_reading = 1;
    turn(5);
    CHECK_EQUAL(readings_made, 5);
    CHECK_EQUAL(application.readings.next, 5);
    CHECK_EQUAL(application.readings.dropped, 0);
}

static void a_sensor_that_waits_is_not_read_while_forecasts_have_no_room(void)
{
    fill_forecasts();
    board.sensor_waits = 1;
    sensor_calls = 0;
    turn(5);
    CHECK_EQUAL(sensor_calls, 0);
    is_link_lost = 1;
    turn(5);
    CHECK_EQUAL(sensor_calls, 4);
}

static void without_a_model_there_is_no_challenger(void)
{
    static const uint8_t nobody[4], version[4] = {1};

    start();
    turn(5);
    ask(MESSAGE_SHADOW, nobody, sizeof nobody, STATUS_OK);
    CHECK_EQUAL(peer.body_bytes, 8);
    CHECK_EQUAL(get_u32(peer.body), 0);
    CHECK_EQUAL(get_u32(peer.body + 4), 0);
    ask(MESSAGE_SHADOW, version, sizeof version, STATUS_SLOT_EMPTY);
    CHECK_EQUAL(get_u32(peer.body), 0);
}

int main(void)
{
    a_ring_without_memory_stops_the_start();
    the_session_opens_and_the_clock_is_set();
    every_turn_feeds_the_watchdog();
    bytes_may_go_one_by_one();
    a_refused_connection_is_tried_again_after_a_while();
    a_connection_that_is_never_made_is_given_up();
    a_hub_that_does_not_answer_is_left();
    a_hub_without_the_key_is_told_and_left();
    a_hub_that_falls_silent_while_readings_wait_is_left();
    a_lost_link_is_made_anew_and_nothing_is_missing();
    readings_beyond_the_capacity_are_counted();
    readings_outlive_a_restart();
    requests_without_a_model_are_answered_by_name();
    chunks_may_go_ahead_of_the_one_that_is_answered();
    the_clock_may_be_corrected_and_set_back();
    a_time_outside_the_calendar_is_refused_before_it_is_used();
    a_real_sensor_is_read_while_forecasts_have_no_room();
    a_sensor_that_waits_is_not_read_while_forecasts_have_no_room();
    without_a_model_there_is_no_challenger();
    return check_result();
}
