/* The hub's side of a session in C, as little of it as tests of the board's side need: it proves itself, keeps what the
 * board sends, and sends what a test tells it to. */
#ifndef EDGELOOP_TESTS_HUB_H
#define EDGELOOP_TESTS_HUB_H

#include <stdint.h>
#include <string.h>

#include "hmac.h"
#include "session/session.h"
#include "wire/bytes.h"
#include "wire/wire.h"

enum { HUB_OUTPUT_BYTES = 8192 };

typedef struct {
    wire_reader reader;
    uint8_t key[SESSION_KEY_BYTES];
    uint8_t session_key[SESSION_KEY_BYTES];
    uint8_t hello[SESSION_HELLO_BYTES];
    uint8_t nonce[SESSION_NONCE_BYTES];
    int is_proven; /* both sides are: frames carry tags */
    int says_welcome;
    int acknowledges;
    uint32_t sequence;
    int64_t time_ms;
    uint32_t hellos, proofs, answers, readings_next, forecasts, refusals;
    uint32_t oldest; /* as the last message of readings said */
    status_t answer, refusal;
    uint8_t body[WIRE_PAYLOAD_MAX];
    size_t body_bytes;
    uint8_t output[HUB_OUTPUT_BYTES];
    size_t output_bytes;
} hub;

static inline void hub_start(hub *h, uint8_t key_byte)
{
    memset(h, 0, sizeof *h);
    memset(h->key, key_byte, sizeof h->key);
    memset(h->nonce, 0x77, sizeof h->nonce);
    h->says_welcome = 1;
    h->acknowledges = 1;
    h->time_ms = 1700000000000;
}

/* A new connection: what was learnt stays. */
static inline void hub_connect(hub *h)
{
    wire_reader_start(&h->reader);
    h->is_proven = 0;
    h->sequence = 0;
    h->output_bytes = 0;
    h->nonce[0]++;
}

static inline void hub_prove(const hub *h, uint8_t label, uint8_t mac[32])
{
    uint8_t first[1 + SESSION_NONCE_BYTES];

    first[0] = label;
    memcpy(first + 1, h->nonce, SESSION_NONCE_BYTES);
    hmac_sha256(NULL, h->key, first, sizeof first, h->hello, sizeof h->hello, mac);
}

/* A frame with these flags; with the flag, and a session key, its tag is right. */
static inline void hub_send_flagged(hub *h, uint8_t type, uint8_t flags, const uint8_t *message, size_t count)
{
    uint8_t *frame = h->output + h->output_bytes, first[1 + WIRE_HEADER_BYTES] = {'H'}, mac[32];
    size_t payload = count + (flags != 0 ? SESSION_TAG_BYTES : 0u);

    wire_put_header(frame, type, flags, h->sequence++, payload);
    if (count > 0) {
        memcpy(frame + WIRE_HEADER_BYTES, message, count);
    }
    if (flags != 0) {
        memcpy(first + 1, frame, WIRE_HEADER_BYTES);
        hmac_sha256(NULL, h->session_key, first, sizeof first, frame + WIRE_HEADER_BYTES, count, mac);
        memcpy(frame + WIRE_HEADER_BYTES + count, mac, SESSION_TAG_BYTES);
    }
    h->output_bytes += wire_close(frame, payload);
}

static inline void hub_send(hub *h, uint8_t type, const uint8_t *message, size_t count)
{
    hub_send_flagged(h, type, h->is_proven ? WIRE_FLAG_TAGGED : 0, message, count);
}

static inline void hub_send_u32(hub *h, uint8_t type, uint32_t number)
{
    uint8_t message[4];

    put_u32(message, number);
    hub_send(h, type, message, sizeof message);
}

static inline void hub_send_time(hub *h, uint8_t type, int64_t time_ms)
{
    uint8_t message[8];

    put_i64(message, time_ms);
    hub_send(h, type, message, sizeof message);
}

static inline void hub_challenge(hub *h)
{
    uint8_t message[SESSION_NONCE_BYTES + SESSION_PROOF_BYTES];

    memcpy(message, h->nonce, SESSION_NONCE_BYTES);
    hub_prove(h, 1, message + SESSION_NONCE_BYTES);
    hub_send(h, MESSAGE_CHALLENGE, message, sizeof message);
}

static inline void hub_on_proof(hub *h, const wire_frame *frame)
{
    uint8_t due[32];

    hub_prove(h, 2, due);
    if (frame->payload_bytes != sizeof due || memcmp(due, frame->payload, sizeof due) != 0) {
        return;
    }
    h->proofs++;
    hub_prove(h, 3, h->session_key);
    h->is_proven = 1;
    if (h->says_welcome) {
        hub_send_time(h, MESSAGE_WELCOME, h->time_ms);
    }
}

static inline void hub_on_readings(hub *h, const uint8_t *message)
{
    uint32_t first = get_u32(message + 4), count = get_u16(message + 8);

    h->oldest = get_u32(message);
    if (h->readings_next < h->oldest) {
        h->readings_next = h->oldest;
    }
    if (first <= h->readings_next && first + count > h->readings_next) {
        h->readings_next = first + count;
    }
    if (h->acknowledges) {
        hub_send_u32(h, MESSAGE_ACKNOWLEDGE, h->readings_next);
    }
}

static inline void hub_on_frame(hub *h, const wire_frame *frame)
{
    size_t tag = frame->flags == WIRE_FLAG_TAGGED ? SESSION_TAG_BYTES : 0u;

    switch (frame->type) {
    case MESSAGE_HELLO:
        h->hellos++;
        memcpy(h->hello, frame->payload, sizeof h->hello);
        hub_challenge(h);
        break;
    case MESSAGE_PROOF:
        hub_on_proof(h, frame);
        break;
    case MESSAGE_READINGS:
        hub_on_readings(h, frame->payload);
        break;
    case MESSAGE_FORECAST:
        h->forecasts++;
        break;
    case MESSAGE_ANSWER:
        h->answers++;
        h->answer = (status_t)get_u32(frame->payload + 4);
        h->body_bytes = frame->payload_bytes - tag - 8;
        memcpy(h->body, frame->payload + 8, h->body_bytes);
        break;
    default:
        h->refusals++;
        h->refusal = (status_t)get_u32(frame->payload + 4);
    }
}

/* Bytes from the board. */
static inline void hub_take(hub *h, const uint8_t *bytes, size_t count)
{
    wire_frame frame;
    size_t taken;

    while (count > 0) {
        taken = wire_feed(&h->reader, bytes, count);
        bytes += taken;
        count -= taken;
        while (wire_next(&h->reader, &frame) == STATUS_OK) {
            hub_on_frame(h, &frame);
        }
    }
}

#endif
