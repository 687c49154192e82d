/* The board's side of the session: one golden session, then the same session cut and damaged at every byte. */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "hub.h"
#include "session/session.h"
#include "vectors.h"
#include "wire/bytes.h"

enum { HUB_FRAMES = 6, BOARD_FRAMES = 8, CAPACITY = 100 };
static const int64_t TIME_MS = 1700000000123;

static const char *const hub_names[HUB_FRAMES] = {"hub_0_challenge", "hub_1_welcome", "hub_2_acknowledge",
                                                  "hub_3_status",    "hub_4_confirm", "hub_5_chunk"};
static const char *const board_names[BOARD_FRAMES] = {"board_0_hello",    "board_1_proof",  "board_2_forecast",
                                                      "board_3_readings", "board_4_status", "board_5_confirm",
                                                      "board_6_chunk",    "board_7_refused"};
static struct {
    uint8_t bytes[512];
    size_t count;
} from_hub[HUB_FRAMES], from_board[BOARD_FRAMES];

static session board;
static ring readings;
static uint64_t ring_memory[(RING_BYTES(CAPACITY) + 7) / 8];
static session_port port;
static int64_t clock_ms;
static int calls; /* that change something */
static int no_key;

static status_t give_key(void *context, uint8_t key[32])
{
    (void)context;
    for (uint8_t i = 0; i < 32; i++) {
        key[i] = i;
    }
    return no_key ? STATUS_SESSION_PROOF : STATUS_OK;
}

static void give_nonce(void *context, uint8_t nonce[16])
{
    (void)context;
    for (uint8_t i = 0; i < 16; i++) {
        nonce[i] = (uint8_t)(0xB0 + i);
    }
}

static void give_state(void *context, session_state *state)
{
    (void)context;
    state->slot_state = 2;
    state->slot = 1;
    state->clock_set = clock_ms != 0;
    state->forecast_made = clock_ms != 0;
    state->model_version = 7;
    state->lowest_version = 6;
    state->forecasts = clock_ms != 0 ? 6 : 5;
    state->log_next = clock_ms != 0 ? 322 : 321;
    state->time_ms = clock_ms;
}

static status_t set_time(void *context, int64_t time_ms)
{
    (void)context;
    clock_ms = time_ms;
    return STATUS_OK;
}

static status_t begin(void *context, uint32_t bytes, const uint8_t sha256[32], uint32_t *resume)
{
    (void)context;
    (void)bytes;
    (void)sha256;
    calls++;
    *resume = 1024;
    return STATUS_OK;
}

static status_t write_chunk(void *context, uint32_t offset, const uint8_t *bytes, size_t count, uint32_t *next)
{
    (void)context;
    calls++;
    CHECK_EQUAL(offset, 2048);
    CHECK_EQUAL(count, 5);
    CHECK_BYTES(bytes, "image", 5);
    *next = offset + (uint32_t)count;
    return STATUS_OK;
}

static status_t install(void *context)
{
    (void)context;
    calls++;
    return STATUS_OK;
}

static status_t confirm(void *context, uint32_t version)
{
    (void)context;
    calls++;
    return version == 7 ? STATUS_OK : STATUS_SESSION_VERSION;
}

static status_t shadow(void *context, uint32_t version, uint32_t *carried, status_t *why_not)
{
    (void)context;
    calls++;
    *carried = version;
    *why_not = STATUS_OK;
    return STATUS_OK;
}

static size_t give_log(void *context, uint32_t *from, uint8_t *text, size_t space)
{
    (void)context;
    (void)from;
    memset(text, 'x', space);
    return space;
}

static void start(void)
{
    static const ring_reading made[3] = {
        {1700000000123, 21125000}, {1700000600123, -62500}, {1700001200123, 2147483647}};

    memset(ring_memory, 0, sizeof ring_memory);
    (void)ring_attach(&readings, ring_memory, RING_BYTES(CAPACITY), NULL, NULL);
    port = (session_port){NULL,  0x010203,    "board-1", give_key, hmac_sha256, give_nonce, give_state, set_time,
                          begin, write_chunk, install,   confirm,  confirm,     shadow,     give_log};
    clock_ms = 0;
    calls = 0;
    no_key = 0;
    session_start(&board, &port, &readings);
    session_connect(&board);
    for (int i = 0; i < 3; i++) {
        (void)ring_add(&readings, &made[i]);
    }
}

static void queue_forecast(void)
{
    session_forecast made = {2, 7, 1700001200123, 2, 2, {21.5f, -0.25f}};

    session_add_forecast(&board, &made);
}

/* Takes what the board sends and compares it with the golden frame. */
static void expect_frame(int number)
{
    const uint8_t *bytes;
    size_t count = session_output(&board, &bytes);

    CHECK(count >= from_board[number].count);
    CHECK_BYTES(bytes, from_board[number].bytes, from_board[number].count);
    if (count >= from_board[number].count) {
        session_sent(&board, from_board[number].count);
    }
}

static void expect_silence(void)
{
    const uint8_t *bytes;

    CHECK_EQUAL(session_output(&board, &bytes), 0);
}

static void give(int number)
{
    CHECK_EQUAL(session_receive(&board, from_hub[number].bytes, from_hub[number].count), from_hub[number].count);
    session_step(&board, 0);
}

static void drop_output(void)
{
    const uint8_t *bytes;

    session_sent(&board, session_output(&board, &bytes));
}

static void open_session(void)
{
    start();
    drop_output();
    give(0);
    give(1);
    drop_output();
    CHECK_EQUAL(board.phase, SESSION_OPEN);
}

static void a_whole_session_equals_the_golden_bytes(void)
{
    start();
    queue_forecast();
    expect_frame(0);
    give(0);
    expect_frame(1);
    expect_silence();
    give(1);
    expect_frame(2);
    expect_frame(3);
    expect_silence();
    give(2);
    CHECK_EQUAL(readings.acknowledged, 3);
    CHECK_EQUAL(board.forecast_count, 0);
    give(3);
    expect_frame(4);
    give(4);
    expect_frame(5);
    give(5);
    expect_frame(6);
    from_hub[3].bytes[from_hub[3].count - 1] ^= 1;
    give(3);
    from_hub[3].bytes[from_hub[3].count - 1] ^= 1;
    expect_frame(7);
    expect_silence();
    CHECK_EQUAL(clock_ms, TIME_MS);
}

static void frame_with_tag(uint8_t *out, size_t *count, uint8_t type, uint32_t sequence, const uint8_t *message,
                           size_t message_bytes)
{
    static hub peer;

    memcpy(peer.session_key, board.key, sizeof peer.session_key);
    peer.sequence = sequence;
    peer.output_bytes = 0;
    hub_send_flagged(&peer, type, WIRE_FLAG_TAGGED, message, message_bytes);
    memcpy(out, peer.output, *count = peer.output_bytes);
}

/* The status with which the board answers or refuses one message in an open session. */
static status_t outcome(uint8_t type, const uint8_t *message, size_t message_bytes, uint32_t sequence)
{
    uint8_t bytes[WIRE_FRAME_MAX];
    const uint8_t *answer;
    size_t count;

    frame_with_tag(bytes, &count, type, sequence, message, message_bytes);
    CHECK_EQUAL(session_receive(&board, bytes, count), count);
    session_step(&board, 0);
    count = session_output(&board, &answer);
    CHECK(count >= WIRE_HEADER_BYTES + 8);
    CHECK(answer[2] == MESSAGE_ANSWER || answer[2] == MESSAGE_REFUSED);
    CHECK_EQUAL(get_u32(answer + WIRE_HEADER_BYTES), sequence);
    return (status_t)(int32_t)get_u32(answer + WIRE_HEADER_BYTES + 4);
}

static void what_does_not_fit_is_refused_by_name(void)
{
    static const struct {
        uint8_t type;
        size_t bytes;
        status_t status;
    } cases[] = {
        {MESSAGE_STATUS, 1, STATUS_SESSION_FIELD},
        {MESSAGE_TIME, 7, STATUS_SESSION_FIELD},
        {MESSAGE_TRANSFER_BEGIN, 35, STATUS_SESSION_FIELD},
        {MESSAGE_TRANSFER_CHUNK, 4, STATUS_SESSION_FIELD},
        {MESSAGE_TRANSFER_CHUNK, 1029, STATUS_SESSION_FIELD},
        {MESSAGE_TRANSFER_MORE, 4, STATUS_SESSION_FIELD},
        {MESSAGE_TRANSFER_MORE, 1029, STATUS_SESSION_FIELD},
        {MESSAGE_INSTALL, 1, STATUS_SESSION_FIELD},
        {MESSAGE_CONFIRM, 3, STATUS_SESSION_FIELD},
        {MESSAGE_REVERT, 5, STATUS_SESSION_FIELD},
        {MESSAGE_LOG, 0, STATUS_SESSION_FIELD},
        {MESSAGE_ACKNOWLEDGE, 5, STATUS_SESSION_FIELD},
        {MESSAGE_HELLO, 0, STATUS_SESSION_TYPE},
        {MESSAGE_CHALLENGE, 48, STATUS_SESSION_TYPE},
        {0xEE, 0, STATUS_SESSION_TYPE},
    };
    static const uint8_t message[1100];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (cases[i].bytes > WIRE_PAYLOAD_MAX - SESSION_TAG_BYTES) {
            continue;
        }
        open_session();
        CHECK_EQUAL(outcome(cases[i].type, message, cases[i].bytes, 2), cases[i].status);
        CHECK_EQUAL(calls, 0);
    }
}

static void an_acknowledgement_of_readings_never_sent_is_refused(void)
{
    uint8_t message[4];

    open_session();
    put_u32(message, 4);
    CHECK_EQUAL(outcome(MESSAGE_ACKNOWLEDGE, message, 4, 2), STATUS_SESSION_ACKNOWLEDGE);
    CHECK_EQUAL(readings.acknowledged, 0);
}

static void a_repeated_frame_is_refused(void)
{
    static const uint8_t message[4];

    open_session();
    CHECK_EQUAL(outcome(MESSAGE_REVERT, message, 4, 2), STATUS_SESSION_VERSION);
    drop_output();
    CHECK_EQUAL(calls, 1);
    CHECK_EQUAL(outcome(MESSAGE_REVERT, message, 4, 2), STATUS_SESSION_REPLAY);
    CHECK_EQUAL(calls, 1);
}

static void the_longest_log_fits_one_frame(void)
{
    static const uint8_t message[4];
    const uint8_t *answer;

    open_session();
    CHECK_EQUAL(outcome(MESSAGE_LOG, message, 4, 2), STATUS_OK);
    CHECK_EQUAL(session_output(&board, &answer), WIRE_FRAME_MAX);
}

static void a_wrong_proof_ends_the_session(void)
{
    start();
    drop_output();
    from_hub[0].bytes[WIRE_HEADER_BYTES + 20] ^= 1;
    (void)wire_close(from_hub[0].bytes, 48);
    give(0);
    from_hub[0].bytes[WIRE_HEADER_BYTES + 20] ^= 1;
    (void)wire_close(from_hub[0].bytes, 48);
    CHECK_EQUAL(board.phase, SESSION_REFUSED);
    drop_output();
    give(0);
    expect_silence();
}

static void without_a_key_no_session_opens(void)
{
    start();
    no_key = 1;
    drop_output();
    give(0);
    CHECK(board.phase != SESSION_PROVEN && board.phase != SESSION_OPEN);
}

static void the_session_cut_at_every_byte_loses_nothing(void)
{
    uint8_t all[HUB_FRAMES * 512];
    size_t total = 0;

    for (int i = 0; i < HUB_FRAMES; i++) {
        memcpy(all + total, from_hub[i].bytes, from_hub[i].count);
        total += from_hub[i].count;
    }
    for (size_t cut = 0; cut <= total; cut++) {
        start();
        queue_forecast();
        for (size_t at = 0; at < cut; at++) {
            CHECK_EQUAL(session_receive(&board, all + at, 1), 1);
            session_step(&board, 0);
            drop_output();
        }
        session_disconnect(&board);
        CHECK(readings.acknowledged == 0 || readings.acknowledged == 3);
        CHECK_EQUAL(board.forecast_count, readings.acknowledged == 0);
        /* The next connection goes on from what was acknowledged. */
        session_connect(&board);
        CHECK_EQUAL(board.sent_next, readings.acknowledged);
        CHECK_EQUAL(board.forecast_sent, 0);
        if (check_failures > 0) {
            return;
        }
    }
}

static void no_damaged_bit_does_anything(void)
{
    for (int frame = 2; frame < HUB_FRAMES; frame++) {
        for (size_t bit = 0; bit < 8 * from_hub[frame].count; bit++) {
            uint8_t *byte = &from_hub[frame].bytes[bit / 8];

            open_session();
            *byte ^= (uint8_t)(1u << bit % 8);
            give(frame);
            *byte ^= (uint8_t)(1u << bit % 8);
            CHECK_EQUAL(calls, 0);
            CHECK_EQUAL(readings.acknowledged, 0);
        }
    }
}

/* Whoever repairs the CRC still lacks the tag. */
static void no_forged_byte_does_anything(void)
{
    for (int frame = 2; frame < HUB_FRAMES; frame++) {
        for (size_t at = 2; at < from_hub[frame].count - WIRE_CRC_BYTES; at++) {
            uint8_t forged[512];
            size_t payload = from_hub[frame].count - WIRE_HEADER_BYTES - WIRE_CRC_BYTES;

            if (at == 8 || at == 9 || at == 10 || at == 11) {
                continue; /* the length and the check of the header, which is repaired below */
            }
            open_session();
            memcpy(forged, from_hub[frame].bytes, from_hub[frame].count);
            forged[at] ^= 0x41;
            wire_put_header(forged, forged[2], forged[3], get_u32(forged + 4), payload);
            CHECK_EQUAL(session_receive(&board, forged, wire_close(forged, payload)), from_hub[frame].count);
            session_step(&board, 0);
            CHECK_EQUAL(calls, 0);
            CHECK_EQUAL(readings.acknowledged, 0);
        }
    }
}

static void a_refusal_by_the_hub_sends_everything_again(void)
{
    static const uint8_t message[8];
    uint8_t bytes[WIRE_FRAME_MAX];
    size_t count;

    open_session();
    queue_forecast();
    session_step(&board, 0);
    drop_output();
    CHECK_EQUAL(board.sent_next, 3);
    frame_with_tag(bytes, &count, MESSAGE_REFUSED, 2, message, sizeof message);
    (void)session_receive(&board, bytes, count);
    session_step(&board, 0);
    CHECK(session_output(&board, &(const uint8_t *){NULL}) > 60);
    CHECK_EQUAL(board.sent_next, 3);
    CHECK_EQUAL(board.forecast_sent, 1);
}

static void what_is_not_acknowledged_is_sent_again_after_a_while(void)
{
    open_session();
    session_step(&board, SESSION_RESEND_MS - 1);
    expect_silence();
    session_step(&board, SESSION_RESEND_MS);
    CHECK(session_output(&board, &(const uint8_t *){NULL}) > 40);
}

static void forecasts_beyond_the_queue_go_oldest_first_and_are_counted(void)
{
    start();
    for (int i = 0; i < SESSION_FORECASTS + 2; i++) {
        queue_forecast();
    }
    CHECK(!session_has_room(&board, 1));
    CHECK_EQUAL(board.forecasts_dropped, 2);
    CHECK_EQUAL(board.forecast_count, SESSION_FORECASTS);
}

static void a_full_output_holds_requests_back_and_loses_none(void)
{
    static const uint8_t message[4];
    uint8_t bytes[WIRE_FRAME_MAX];
    const uint8_t *answer;
    size_t count;

    open_session();
    for (uint32_t sequence = 2; sequence < 8; sequence++) {
        frame_with_tag(bytes, &count, MESSAGE_LOG, sequence, message, 4);
        CHECK_EQUAL(session_receive(&board, bytes, count), count);
        session_step(&board, 0);
    }
    for (uint32_t sequence = 2; sequence < 8; sequence++) {
        count = session_output(&board, &answer);
        CHECK(count >= WIRE_FRAME_MAX);
        CHECK_EQUAL(get_u32(answer + WIRE_HEADER_BYTES), sequence);
        session_sent(&board, WIRE_FRAME_MAX);
        session_step(&board, 0);
    }
    expect_silence();
}

int main(void)
{
    char *vectors = vectors_read(VECTORS_FOLDER "/wire.json");

    for (int i = 0; i < HUB_FRAMES; i++) {
        from_hub[i].count = vectors_bytes(vectors, hub_names[i], from_hub[i].bytes, sizeof from_hub[i].bytes);
    }
    for (int i = 0; i < BOARD_FRAMES; i++) {
        from_board[i].count = vectors_bytes(vectors, board_names[i], from_board[i].bytes, sizeof from_board[i].bytes);
    }
    a_whole_session_equals_the_golden_bytes();
    what_does_not_fit_is_refused_by_name();
    an_acknowledgement_of_readings_never_sent_is_refused();
    a_repeated_frame_is_refused();
    the_longest_log_fits_one_frame();
    a_wrong_proof_ends_the_session();
    without_a_key_no_session_opens();
    the_session_cut_at_every_byte_loses_nothing();
    no_damaged_bit_does_anything();
    no_forged_byte_does_anything();
    a_refusal_by_the_hub_sends_everything_again();
    what_is_not_acknowledged_is_sent_again_after_a_while();
    forecasts_beyond_the_queue_go_oldest_first_and_are_counted();
    a_full_output_holds_requests_back_and_loses_none();
    free(vectors);
    return check_result();
}
