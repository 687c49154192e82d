/* Frames and session under arbitrary bytes.
 *
 * The first byte says how the rest reaches an open session: 0 as raw bytes of the link, else as messages (type, length
 * of 2 bytes, content), each put into a sound frame with a valid tag, as a hub with the key but without sense would.
 * A board must stay within its buffers, and within what its readings and forecasts promise. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hub.h"
#include "session/session.h"

enum { CAPACITY = 16, ADDED = 40, KEY = 7 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static session board;
static ring readings;
static uint64_t ring_memory[(RING_BYTES(CAPACITY) + 7) / 8];
static hub peer;
static uint32_t received; /* bytes of a transfer */

static void require(int holds)
{
    if (!holds) {
        abort();
    }
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
    return time_ms < 0 ? STATUS_SESSION_FIELD : STATUS_OK;
}

static status_t begin(void *context, uint32_t bytes, const uint8_t sha256[32], uint32_t *resume)
{
    (void)context;
    received = sha256[0];
    *resume = received;
    return bytes > 100000 ? STATUS_SLOT_OFFSET : STATUS_OK;
}

static status_t write_chunk(void *context, uint32_t offset, const uint8_t *bytes, size_t count, uint32_t *next)
{
    uint8_t sum = 0;

    (void)context;
    require(count > 0 && count <= SESSION_CHUNK_MAX);
    for (size_t i = 0; i < count; i++) {
        sum ^= bytes[i]; /* the sanitizer watches the read */
    }
    received += offset == received ? (uint32_t)count + (sum & 0u) : 0;
    *next = received;
    return offset == received ? STATUS_OK : STATUS_SLOT_OFFSET;
}

static status_t install(void *context)
{
    (void)context;
    return STATUS_OK;
}

static status_t on_version(void *context, uint32_t version)
{
    (void)context;
    return version == 1 ? STATUS_OK : STATUS_SESSION_VERSION;
}

static status_t on_shadow(void *context, uint32_t version, uint32_t *carried, status_t *why_not)
{
    (void)context;
    *carried = version;
    *why_not = STATUS_OK;
    return version == 1 ? STATUS_OK : STATUS_SESSION_VERSION;
}

static size_t give_log(void *context, uint32_t *from, uint8_t *text, size_t space)
{
    (void)context;
    memset(text, 'x', space);
    return *from < space ? *from : space;
}

static const session_port port = {NULL,       1,          "fuzz",     give_key,  hmac_sha256,
                                  give_nonce, give_state, set_time,   begin,     write_chunk,
                                  install,    on_version, on_version, on_shadow, give_log};

static void drain(size_t most)
{
    const uint8_t *output;
    size_t count = session_output(&board, &output);

    session_sent(&board, count < most ? count : most);
}

static void receive(const uint8_t *bytes, size_t count)
{
    static int64_t now;

    while (count > 0) {
        size_t taken = session_receive(&board, bytes, count);

        bytes += taken;
        count -= taken;
        session_step(&board, now += 100);
        drain(WIRE_FRAME_MAX);
        require(readings.acknowledged >= readings.first && readings.acknowledged <= readings.next);
        require(board.forecast_sent <= board.forecast_count && board.forecast_count <= SESSION_FORECASTS);
    }
}

/* What the hub has to say. */
static void receive_hub(void)
{
    size_t count = peer.output_bytes;

    peer.output_bytes = 0;
    receive(peer.output, count);
}

static void open_session(void)
{
    const uint8_t *output;
    size_t count;

    memset(ring_memory, 0, sizeof ring_memory);
    (void)ring_attach(&readings, ring_memory, RING_BYTES(CAPACITY), NULL, NULL);
    session_start(&board, &port, &readings);
    session_connect(&board);
    hub_start(&peer, KEY);
    hub_connect(&peer);
    for (int message = 0; message < 2; message++) {
        count = session_output(&board, &output);
        hub_take(&peer, output, count);
        session_sent(&board, count);
        (void)session_receive(&board, peer.output, peer.output_bytes);
        peer.output_bytes = 0;
        session_step(&board, 0);
    }
    require(board.phase == SESSION_OPEN);
    for (uint32_t i = 0; i < ADDED; i++) {
        ring_reading reading = {i, (int32_t)i};
        session_forecast forecast = {ring_add(&readings, &reading), 1, i, 2, SESSION_HORIZON_MAX, {0.0f}};

        session_add_forecast(&board, &forecast);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    open_session();
    if (data[0] == 0) {
        receive(data + 1, size - 1);
    } else {
        for (size_t at = 1; at + 3 <= size;) {
            size_t count = get_u16(data + at + 1) % (WIRE_PAYLOAD_MAX - SESSION_TAG_BYTES + 1), left = size - at - 3;

            count = count < left ? count : left;
            hub_send(&peer, data[at], data + at + 3, count);
            receive_hub();
            at += 3 + count;
        }
    }
    session_disconnect(&board);
    return 0;
}
