/* The session against a hub that does what it should not, and against one that is slow. */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "hub.h"
#include "session/session.h"

enum { CAPACITY = 200, KEY = 7 };

static session board;
static session_port port;
static ring readings;
static uint64_t ring_memory[(RING_BYTES(CAPACITY) + 7) / 8];
static hub peer;
static int64_t now_ms;
static status_t time_status;
static int times_set;

static status_t give_key(void *context, uint8_t key[32])
{
    (void)context;
    memset(key, KEY, 32);
    return STATUS_OK;
}

static void give_nonce(void *context, uint8_t nonce[16])
{
    (void)context;
    memset(nonce, 9, 16);
}

static void give_state(void *context, session_state *state)
{
    (void)context;
    state->slot = 255;
}

static status_t set_time(void *context, int64_t time_ms)
{
    (void)context;
    (void)time_ms;
    times_set++;
    return time_status;
}

/* It carries version 4, whatever it is asked. */
static status_t shadow(void *context, uint32_t version, uint32_t *carried, status_t *why_not)
{
    (void)context;
    *carried = 4;
    *why_not = STATUS_GOLDEN_MISMATCH;
    return version == 0 || version == 4 ? STATUS_OK : STATUS_SESSION_VERSION;
}

static void start(uint8_t key_byte)
{
    memset(ring_memory, 0, sizeof ring_memory);
    CHECK_EQUAL(ring_attach(&readings, ring_memory, RING_BYTES(CAPACITY), NULL, NULL), STATUS_OK);
    memset(&port, 0, sizeof port);
    port.key = give_key;
    port.hmac = hmac_sha256;
    port.nonce = give_nonce;
    port.state = give_state;
    port.set_time = set_time;
    port.shadow = shadow;
    time_status = STATUS_OK;
    times_set = 0;
    now_ms = 0;
    hub_start(&peer, key_byte);
    session_start(&board, &port, &readings);
    session_connect(&board);
}

static void add_readings(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ring_reading reading = {(int64_t)readings.next * 1000, (int32_t)readings.next};

        (void)ring_add(&readings, &reading);
    }
}

static void add_forecast_of(uint32_t reading, uint8_t slot_state)
{
    session_forecast made = {reading, 1, 0, slot_state, 1, {20.0f}};

    session_add_forecast(&board, &made);
}

static void add_forecast(uint32_t reading)
{
    add_forecast_of(reading, 2);
}

/* Each one's reading, that of a challenger's as its complement, the oldest first. */
static void expect_waiting(const int64_t *readings_waiting, uint32_t count)
{
    CHECK_EQUAL(board.forecast_count, count);
    for (uint32_t i = 0; i < count && i < board.forecast_count; i++) {
        const session_forecast *waits = &board.forecasts[(board.forecast_first + i) % SESSION_FORECASTS];
        int64_t reading = (int64_t)waits->reading;

        CHECK_EQUAL(waits->slot_state == SESSION_SHADOW ? ~reading : reading, readings_waiting[i]);
    }
}

static void to_board(void)
{
    size_t taken = 0;

    while (taken < peer.output_bytes) {
        taken += session_receive(&board, peer.output + taken, peer.output_bytes - taken);
        session_step(&board, now_ms);
    }
    peer.output_bytes = 0;
    session_step(&board, now_ms);
}

static void to_hub(void)
{
    const uint8_t *bytes;
    size_t count = session_output(&board, &bytes);

    hub_take(&peer, bytes, count);
    session_sent(&board, count);
}

/* Until neither side has anything to say. */
static void settle(void)
{
    const uint8_t *bytes;

    do {
        to_hub();
        to_board();
    } while (session_output(&board, &bytes) > 0);
}

static void open_session(void)
{
    start(KEY);
    settle();
    CHECK_EQUAL(board.phase, SESSION_OPEN);
}

static void opens_with_the_key_and_only_with_it(void)
{
    open_session();
    CHECK_EQUAL(peer.proofs, 1);
    CHECK_EQUAL(times_set, 1);
    start(KEY + 1);
    settle();
    CHECK_EQUAL(board.phase, SESSION_REFUSED);
    CHECK_EQUAL(peer.refusal, STATUS_SESSION_PROOF);
    CHECK_EQUAL(peer.proofs, 0);
    CHECK_EQUAL(times_set, 0);
}

static void a_hub_that_refuses_ends_the_session(void)
{
    uint8_t message[8] = {0};

    start(KEY);
    hub_send(&peer, MESSAGE_REFUSED, message, sizeof message);
    to_board();
    CHECK_EQUAL(board.phase, SESSION_REFUSED);
    hub_send(&peer, MESSAGE_STATUS, NULL, 0);
    CHECK(session_receive(&board, peer.output, peer.output_bytes) > 0);
    session_step(&board, now_ms);
    CHECK_EQUAL(board.refused_frames, 0);
}

static void expect_refusal(uint8_t type, uint8_t flags, size_t count, status_t status, session_phase phase)
{
    static const uint8_t message[64];
    uint32_t before;

    to_hub();
    peer.output_bytes = 0;
    before = peer.refusals;
    hub_send_flagged(&peer, type, flags, message, count);
    to_board();
    to_hub();
    CHECK_EQUAL(peer.refusals, before + 1);
    CHECK_EQUAL(peer.refusal, status);
    CHECK_EQUAL(board.phase, phase);
}

static void what_does_not_belong_before_the_proof_is_refused(void)
{
    start(KEY);
    expect_refusal(MESSAGE_STATUS, 0, 0, STATUS_SESSION_TYPE, SESSION_HELLO);
    expect_refusal(MESSAGE_WELCOME, 0, 8, STATUS_SESSION_TYPE, SESSION_HELLO);
    expect_refusal(MESSAGE_CHALLENGE, 0, 47, STATUS_SESSION_FIELD, SESSION_HELLO);
    expect_refusal(MESSAGE_CHALLENGE, WIRE_FLAG_TAGGED, 48, STATUS_SESSION_TAG, SESSION_HELLO);
    expect_refusal(MESSAGE_CHALLENGE, 0, 48, STATUS_SESSION_PROOF, SESSION_REFUSED);
}

static void what_does_not_belong_before_the_welcome_is_refused(void)
{
    start(KEY);
    peer.says_welcome = 0;
    settle();
    CHECK_EQUAL(board.phase, SESSION_PROVEN);
    expect_refusal(MESSAGE_STATUS, WIRE_FLAG_TAGGED, 0, STATUS_SESSION_TYPE, SESSION_PROVEN);
    expect_refusal(MESSAGE_CHALLENGE, WIRE_FLAG_TAGGED, 48, STATUS_SESSION_TYPE, SESSION_PROVEN);
    expect_refusal(MESSAGE_WELCOME, WIRE_FLAG_TAGGED, 7, STATUS_SESSION_FIELD, SESSION_PROVEN);
    expect_refusal(MESSAGE_WELCOME, 0, 8, STATUS_SESSION_TAG, SESSION_PROVEN);
    expect_refusal(MESSAGE_WELCOME, 0, 3, STATUS_SESSION_TAG, SESSION_PROVEN);
    expect_refusal(MESSAGE_WELCOME, 2, 8, STATUS_SESSION_TAG, SESSION_PROVEN);
    time_status = STATUS_SESSION_FIELD;
    expect_refusal(MESSAGE_WELCOME, WIRE_FLAG_TAGGED, 8, STATUS_SESSION_FIELD, SESSION_PROVEN);
    time_status = STATUS_OK;
    hub_send_time(&peer, MESSAGE_WELCOME, 5);
    to_board();
    CHECK_EQUAL(board.phase, SESSION_OPEN);
}

static void a_frame_shorter_than_its_tag_is_refused(void)
{
    uint8_t frame[64];
    size_t count;

    open_session();
    CHECK_EQUAL(wire_encode(MESSAGE_STATUS, WIRE_FLAG_TAGGED, peer.sequence++, frame, 7, frame + 20, 40, &count),
                STATUS_OK);
    (void)session_receive(&board, frame + 20, count);
    session_step(&board, now_ms);
    to_hub();
    CHECK_EQUAL(peer.refusal, STATUS_SESSION_TAG);
}

static void messages_of_a_wrong_length_change_nothing(void)
{
    static const struct {
        uint8_t type;
        size_t count;
    } wrong[] = {
        {MESSAGE_STATUS, 1},          {MESSAGE_TIME, 7},           {MESSAGE_TIME, 9},    {MESSAGE_TRANSFER_BEGIN, 35},
        {MESSAGE_TRANSFER_BEGIN, 37}, {MESSAGE_TRANSFER_CHUNK, 4}, {MESSAGE_INSTALL, 1}, {MESSAGE_CONFIRM, 3},
        {MESSAGE_CONFIRM, 5},         {MESSAGE_REVERT, 0},         {MESSAGE_LOG, 3},     {MESSAGE_ACKNOWLEDGE, 5},
        {MESSAGE_TRANSFER_MORE, 4},
    };

    open_session();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        /* A callback of the port that were called would be NULL. */
        expect_refusal(wrong[i].type, WIRE_FLAG_TAGGED, wrong[i].count, STATUS_SESSION_FIELD, SESSION_OPEN);
    }
    expect_refusal(0x2B, WIRE_FLAG_TAGGED, 4, STATUS_SESSION_TYPE, SESSION_OPEN);
    expect_refusal(MESSAGE_HELLO, WIRE_FLAG_TAGGED, 4, STATUS_SESSION_TYPE, SESSION_OPEN);
    CHECK_EQUAL(times_set, 1);
}

static void many_readings_go_in_several_messages(void)
{
    open_session();
    add_readings(150);
    settle();
    CHECK_EQUAL(peer.readings_next, 150);
    CHECK_EQUAL(readings.acknowledged, 150);
}

static void what_is_not_acknowledged_goes_again_after_a_while(void)
{
    const uint8_t *bytes;

    open_session();
    peer.acknowledges = 0;
    add_readings(3);
    add_forecast(2);
    settle();
    CHECK_EQUAL(peer.forecasts, 1);
    now_ms += SESSION_RESEND_MS - 1;
    session_step(&board, now_ms);
    CHECK_EQUAL(session_output(&board, &bytes), 0);
    peer.acknowledges = 1;
    now_ms += 1;
    session_step(&board, now_ms);
    settle();
    CHECK_EQUAL(peer.forecasts, 2);
    CHECK_EQUAL(readings.acknowledged, 3);
    CHECK_EQUAL(board.forecast_count, 0);
}

static void a_refusal_by_the_hub_brings_everything_again(void)
{
    uint8_t message[8] = {0};

    open_session();
    peer.acknowledges = 0;
    add_readings(3);
    add_forecast(2);
    settle();
    peer.acknowledges = 1;
    hub_send(&peer, MESSAGE_REFUSED, message, sizeof message);
    to_board();
    settle();
    CHECK_EQUAL(peer.forecasts, 2);
    CHECK_EQUAL(peer.readings_next, 3);
}

static void an_acknowledgement_of_what_was_never_sent_is_refused(void)
{
    open_session();
    add_readings(2);
    hub_send_u32(&peer, MESSAGE_ACKNOWLEDGE, 1);
    to_board();
    to_hub();
    CHECK_EQUAL(peer.refusal, STATUS_SESSION_ACKNOWLEDGE);
    CHECK_EQUAL(readings.acknowledged, 0);
    settle();
    hub_send_u32(&peer, MESSAGE_ACKNOWLEDGE, 1);
    to_board();
    CHECK_EQUAL(readings.acknowledged, 2);
}

static void readings_that_were_overwritten_on_the_way_are_not_sent(void)
{
    open_session();
    peer.acknowledges = 0;
    add_readings(3);
    settle();
    add_readings(2 * CAPACITY);
    peer.acknowledges = 1;
    session_step(&board, now_ms);
    settle();
    CHECK_EQUAL(peer.readings_next, 2 * CAPACITY + 3);
    CHECK_EQUAL(readings.dropped, CAPACITY + 3);
}

static void forecasts_wait_and_the_oldest_go_first(void)
{
    start(KEY);
    add_readings(SESSION_FORECASTS + 4);
    for (uint32_t i = 0; i < SESSION_FORECASTS + 4; i++) {
        CHECK_EQUAL(session_has_room(&board, 1), i < SESSION_FORECASTS);
        add_forecast(i);
    }
    CHECK_EQUAL(board.forecasts_dropped, 4);
    settle();
    CHECK_EQUAL(peer.forecasts, SESSION_FORECASTS);
    CHECK_EQUAL(board.forecast_count, 0);
}

static void a_challengers_forecasts_go_before_any_of_the_confirmed_models(void)
{
    start(KEY);
    add_readings(SESSION_FORECASTS + 2);
    for (uint32_t i = 0; i < SESSION_FORECASTS / 2; i++) {
        add_forecast_of(i, 2);
        add_forecast_of(i, SESSION_SHADOW);
    }
    CHECK_EQUAL(board.forecasts_dropped, 0);
    add_forecast_of(8, 2);
    add_forecast_of(8, SESSION_SHADOW);
    CHECK_EQUAL(board.forecasts_dropped, 2);
    expect_waiting((const int64_t[]){0, 1, 2, ~2, 3, ~3, 4, ~4, 5, ~5, 6, ~6, 7, ~7, 8, ~8}, 16);
    for (uint32_t i = 9; i < SESSION_FORECASTS; i++) {
        add_forecast_of(i, 2);
        add_forecast_of(i, SESSION_SHADOW);
    }
    expect_waiting((const int64_t[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, 16);
    CHECK_EQUAL(board.forecasts_dropped, 16);
    add_forecast_of(16, 2);
    add_forecast_of(16, SESSION_SHADOW);
    expect_waiting((const int64_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, 16);
    settle();
    CHECK_EQUAL(peer.forecasts, SESSION_FORECASTS);
}

/* Places of what was sent and waits for its acknowledgement move as well. */
static void a_forecast_that_goes_from_the_middle_holds_no_other_back(void)
{
    open_session();
    peer.acknowledges = 0;
    add_readings(1);
    add_forecast_of(0, 2);
    add_forecast_of(0, SESSION_SHADOW);
    settle();
    CHECK_EQUAL(board.forecast_sent, 2);
    add_forecast_of(1, SESSION_SHADOW);
    for (uint32_t i = 1; i < SESSION_FORECASTS - 1; i++) {
        add_forecast_of(i, 2);
    }
    CHECK_EQUAL(board.forecasts_dropped, 1);
    CHECK_EQUAL(board.forecast_sent, 1);
    add_forecast_of(SESSION_FORECASTS - 1, 2);
    CHECK_EQUAL(board.forecasts_dropped, 2);
    CHECK_EQUAL(board.forecast_sent, 1);
    add_readings(SESSION_FORECASTS - 1);
    settle();
    CHECK_EQUAL(peer.forecasts, 2 + SESSION_FORECASTS - 1);
    peer.acknowledges = 1;
    session_step(&board, now_ms + SESSION_RESEND_MS);
    now_ms += SESSION_RESEND_MS;
    settle();
    CHECK_EQUAL(board.forecast_count, 0);
}

static void the_hub_learns_of_the_challenger_with_every_answer(void)
{
    open_session();
    hub_send_u32(&peer, MESSAGE_SHADOW, 0);
    to_board();
    settle();
    CHECK_EQUAL(peer.answer, STATUS_OK);
    CHECK_EQUAL(peer.body_bytes, 8);
    CHECK_EQUAL(get_u32(peer.body), 4);
    CHECK_EQUAL((status_t)get_u32(peer.body + 4), STATUS_GOLDEN_MISMATCH);
    hub_send_u32(&peer, MESSAGE_SHADOW, 5);
    to_board();
    settle();
    CHECK_EQUAL(peer.answers, 2);
    CHECK_EQUAL(peer.answer, STATUS_SESSION_VERSION);
    CHECK_EQUAL(get_u32(peer.body), 4);
    hub_send_time(&peer, MESSAGE_SHADOW, 0);
    to_board();
    settle();
    CHECK_EQUAL(peer.answers, 2);
    CHECK_EQUAL(peer.refusal, STATUS_SESSION_FIELD);
}

static void a_forecast_made_while_its_reading_waits_stays(void)
{
    open_session();
    peer.acknowledges = 0;
    add_readings(2);
    add_forecast(0);
    add_forecast(1);
    settle();
    hub_send_u32(&peer, MESSAGE_ACKNOWLEDGE, 1);
    to_board();
    CHECK_EQUAL(board.forecast_count, 1);
    add_forecast(2); /* of a reading that is not in the ring yet: not sent before it is acknowledged as seen */
    hub_send_u32(&peer, MESSAGE_ACKNOWLEDGE, 2);
    to_board();
    CHECK_EQUAL(board.forecast_count, 1);
}

static void expect_silence(uint8_t flags, size_t count, session_phase phase)
{
    static const uint8_t message[64];
    uint32_t before;

    to_hub();
    peer.output_bytes = 0;
    before = peer.refusals;
    hub_send_flagged(&peer, MESSAGE_REFUSED, flags, message, count);
    to_board();
    to_hub();
    CHECK_EQUAL(peer.refusals, before);
    CHECK_EQUAL(board.phase, phase);
}

static void a_refusal_is_never_answered_by_a_refusal(void)
{
    start(KEY);
    peer.says_welcome = 0;
    settle();
    expect_silence(WIRE_FLAG_TAGGED, 8, SESSION_PROVEN);
    expect_silence(0, 8, SESSION_PROVEN);
    open_session();
    expect_silence(WIRE_FLAG_TAGGED, 7, SESSION_OPEN);
    expect_silence(WIRE_FLAG_TAGGED, 9, SESSION_OPEN);
    expect_silence(0, 8, SESSION_OPEN);
    expect_silence(2, 3, SESSION_OPEN);
    peer.sequence = 0;
    expect_silence(WIRE_FLAG_TAGGED, 8, SESSION_OPEN);
}

static void the_last_sequence_is_refused_and_nothing_can_be_repeated_after_it(void)
{
    open_session();
    peer.sequence = UINT32_MAX;
    expect_refusal(MESSAGE_STATUS, WIRE_FLAG_TAGGED, 0, STATUS_SESSION_REPLAY, SESSION_OPEN);
    peer.sequence = 0;
    expect_refusal(MESSAGE_STATUS, WIRE_FLAG_TAGGED, 0, STATUS_SESSION_REPLAY, SESSION_OPEN);
    peer.sequence = UINT32_MAX - 1;
    hub_send(&peer, MESSAGE_STATUS, NULL, 0);
    to_board();
    to_hub();
    CHECK_EQUAL(peer.answers, 1);
}

static void a_closed_session_takes_and_says_nothing(void)
{
    static const uint8_t noise[10] = {1};
    const uint8_t *bytes;

    open_session();
    session_disconnect(&board);
    CHECK_EQUAL(session_receive(&board, noise, sizeof noise), sizeof noise);
    session_step(&board, now_ms);
    CHECK_EQUAL(session_output(&board, &bytes), 0);
    hub_connect(&peer);
    session_connect(&board);
    settle();
    CHECK_EQUAL(board.phase, SESSION_OPEN);
    CHECK_EQUAL(peer.proofs, 2);
}

static void a_recorded_session_cannot_be_played_again(void)
{
    uint8_t recorded[HUB_OUTPUT_BYTES];
    size_t count;

    start(KEY);
    to_hub();
    memcpy(recorded, peer.output, count = peer.output_bytes);
    to_board();
    to_hub();
    memcpy(recorded + count, peer.output, peer.output_bytes);
    count += peer.output_bytes;
    session_connect(&board);
    board.hello[24] ^= 1; /* the board's nonce is another one */
    (void)session_receive(&board, recorded, count);
    session_step(&board, now_ms);
    CHECK_EQUAL(board.phase, SESSION_REFUSED);
    CHECK_EQUAL(times_set, 0);
}

int main(void)
{
    opens_with_the_key_and_only_with_it();
    a_hub_that_refuses_ends_the_session();
    what_does_not_belong_before_the_proof_is_refused();
    what_does_not_belong_before_the_welcome_is_refused();
    a_frame_shorter_than_its_tag_is_refused();
    messages_of_a_wrong_length_change_nothing();
    many_readings_go_in_several_messages();
    what_is_not_acknowledged_goes_again_after_a_while();
    a_refusal_by_the_hub_brings_everything_again();
    an_acknowledgement_of_what_was_never_sent_is_refused();
    readings_that_were_overwritten_on_the_way_are_not_sent();
    forecasts_wait_and_the_oldest_go_first();
    a_challengers_forecasts_go_before_any_of_the_confirmed_models();
    a_forecast_that_goes_from_the_middle_holds_no_other_back();
    the_hub_learns_of_the_challenger_with_every_answer();
    a_forecast_made_while_its_reading_waits_stays();
    a_refusal_is_never_answered_by_a_refusal();
    the_last_sequence_is_refused_and_nothing_can_be_repeated_after_it();
    a_closed_session_takes_and_says_nothing();
    a_recorded_session_cannot_be_played_again();
    return check_result();
}
