#include "session/session.h"

#include <string.h>

#include "session/internal.h"
#include "wire/bytes.h"

/* The first byte of what a proof or a key is computed over: no proof can be used as another. */
enum { LABEL_HUB = 1, LABEL_BOARD = 2, LABEL_SESSION = 3 };

void session_start(session *s, const session_port *port, ring *readings)
{
    memset(s, 0, sizeof *s);
    s->port = port;
    s->readings = readings;
}

static void put_state(uint8_t *at, const session_state *state)
{
    at[0] = state->slot_state;
    at[1] = state->slot;
    at[2] = state->clock_set;
    at[3] = state->forecast_made;
    put_u32(at + 4, state->model_version);
    put_u32(at + 8, state->lowest_version);
    put_u32(at + 12, (uint32_t)state->model_status);
    put_u32(at + 16, state->ring_acknowledged);
    put_u32(at + 20, state->ring_next);
    put_u32(at + 24, state->ring_dropped);
    put_u32(at + 28, state->ring_capacity);
    put_u32(at + 32, state->transfer_offset);
    put_u32(at + 36, state->forecasts);
    put_u32(at + 40, state->forecasts_dropped);
    put_u32(at + 44, state->log_next);
    put_i64(at + 48, state->time_ms);
}

void session_put_state(const session *s, uint8_t *at)
{
    session_state state;

    memset(&state, 0, sizeof state);
    s->port->state(s->port->context, &state);
    state.ring_acknowledged = s->readings->acknowledged;
    state.ring_next = s->readings->next;
    state.ring_dropped = s->readings->dropped;
    state.ring_capacity = s->readings->capacity;
    state.forecasts_dropped = s->forecasts_dropped;
    put_state(at, &state);
}

int session_can_send(const session *s)
{
    return sizeof s->output - s->output_bytes >= WIRE_FRAME_MAX;
}

uint8_t *session_payload(session *s)
{
    return s->output + s->output_bytes + WIRE_HEADER_BYTES;
}

/* The tag of a frame: it holds for one direction of one connection. */
static void compute_tag(const session *s, uint8_t direction, const uint8_t *header, const uint8_t *message,
                        size_t message_bytes, uint8_t mac[32])
{
    uint8_t first[1 + WIRE_HEADER_BYTES];

    first[0] = direction;
    memcpy(first + 1, header, WIRE_HEADER_BYTES);
    s->port->hmac(s->port->context, s->key, first, sizeof first, message, message_bytes, mac);
}

void session_send(session *s, message_type type, size_t message_bytes)
{
    uint8_t *frame = s->output + s->output_bytes, *message = frame + WIRE_HEADER_BYTES, mac[32];
    size_t payload_bytes = message_bytes;
    int tagged = s->phase == SESSION_PROVEN || s->phase == SESSION_OPEN;

    if (tagged && type != MESSAGE_PROOF) {
        payload_bytes += SESSION_TAG_BYTES;
        wire_put_header(frame, (uint8_t)type, WIRE_FLAG_TAGGED, s->send_sequence, payload_bytes);
        compute_tag(s, 'B', frame, message, message_bytes, mac);
        memcpy(message + message_bytes, mac, SESSION_TAG_BYTES);
    } else {
        wire_put_header(frame, (uint8_t)type, 0, s->send_sequence, payload_bytes);
    }
    s->output_bytes += wire_close(frame, payload_bytes);
    s->send_sequence++;
}

void session_refuse(session *s, uint32_t sequence, status_t status)
{
    uint8_t *message = session_payload(s);

    s->refused_frames++;
    put_u32(message, sequence);
    put_u32(message + 4, (uint32_t)status);
    session_send(s, MESSAGE_REFUSED, 8);
}

void session_rewind(session *s)
{
    s->sent_next = s->readings->acknowledged;
    s->forecast_sent = 0;
}

void session_connect(session *s)
{
    uint8_t *hello = s->hello;

    wire_reader_start(&s->reader);
    s->output_bytes = 0;
    s->send_sequence = 0;
    s->receive_sequence = 0;
    s->phase = SESSION_HELLO;
    session_rewind(s);
    put_u16(hello, SESSION_PROTOCOL);
    put_u16(hello + 2, WIRE_PAYLOAD_MAX);
    put_u32(hello + 4, s->port->firmware_version);
    memcpy(hello + 8, s->port->id, SESSION_ID_BYTES);
    s->port->nonce(s->port->context, hello + 24);
    session_put_state(s, hello + 40);
    memcpy(session_payload(s), hello, SESSION_HELLO_BYTES);
    session_send(s, MESSAGE_HELLO, SESSION_HELLO_BYTES);
}

void session_disconnect(session *s)
{
    s->phase = SESSION_CLOSED;
    s->output_bytes = 0;
    memset(s->key, 0, sizeof s->key);
}

static void prove(session *s, const uint8_t key[SESSION_KEY_BYTES], uint8_t label, const uint8_t *hub_nonce,
                  uint8_t mac[32])
{
    uint8_t first[1 + SESSION_NONCE_BYTES];

    first[0] = label;
    memcpy(first + 1, hub_nonce, SESSION_NONCE_BYTES);
    s->port->hmac(s->port->context, key, first, sizeof first, s->hello, sizeof s->hello, mac);
}

/* In a time that does not depend on where the bytes differ. */
static int equal(const uint8_t *a, const uint8_t *b, size_t count)
{
    unsigned difference = 0;

    for (size_t i = 0; i < count; i++) {
        difference |= (unsigned)(a[i] ^ b[i]);
    }
    return difference == 0;
}

static status_t handle_challenge(session *s, const uint8_t *message, size_t count)
{
    uint8_t key[SESSION_KEY_BYTES], mac[32];
    status_t status;

    if (count != SESSION_NONCE_BYTES + SESSION_PROOF_BYTES) {
        return STATUS_SESSION_FIELD;
    }
    status = s->port->key(s->port->context, key);
    if (status != STATUS_OK) {
        return status;
    }
    prove(s, key, LABEL_HUB, message, mac);
    if (!equal(mac, message + SESSION_NONCE_BYTES, SESSION_PROOF_BYTES)) {
        status = STATUS_SESSION_PROOF;
    } else {
        prove(s, key, LABEL_SESSION, message, s->key);
        prove(s, key, LABEL_BOARD, message, mac);
        memcpy(session_payload(s), mac, SESSION_PROOF_BYTES);
        s->phase = SESSION_PROVEN;
        session_send(s, MESSAGE_PROOF, SESSION_PROOF_BYTES);
    }
    memset(key, 0, sizeof key);
    return status;
}

static status_t handle_welcome(session *s, const uint8_t *message, size_t count)
{
    status_t status;

    if (count != 8) {
        return STATUS_SESSION_FIELD;
    }
    status = s->port->set_time(s->port->context, get_i64(message));
    if (status == STATUS_OK) {
        s->phase = SESSION_OPEN;
    }
    return status;
}

/* The message of a frame without its tag; both sides must already hold the session's key for one. */
static status_t authenticate(session *s, const wire_frame *frame, size_t *message_bytes)
{
    uint8_t mac[32];

    /* The last number would make the next one due 0: everything could be played again. */
    if (frame->sequence < s->receive_sequence || frame->sequence == UINT32_MAX) {
        return STATUS_SESSION_REPLAY;
    }
    if (s->phase == SESSION_HELLO) {
        *message_bytes = frame->payload_bytes;
        return frame->flags == 0 ? STATUS_OK : STATUS_SESSION_TAG;
    }
    if (frame->flags != WIRE_FLAG_TAGGED || frame->payload_bytes < SESSION_TAG_BYTES) {
        return STATUS_SESSION_TAG;
    }
    *message_bytes = frame->payload_bytes - SESSION_TAG_BYTES;
    compute_tag(s, 'H', frame->header, frame->payload, *message_bytes, mac);
    return equal(mac, frame->payload + *message_bytes, SESSION_TAG_BYTES) ? STATUS_OK : STATUS_SESSION_TAG;
}

static status_t handle_message(session *s, const wire_frame *frame, size_t count)
{
    if (s->phase == SESSION_HELLO && frame->type == MESSAGE_CHALLENGE) {
        return handle_challenge(s, frame->payload, count);
    }
    if (s->phase == SESSION_HELLO && frame->type == MESSAGE_REFUSED) {
        s->phase = SESSION_REFUSED;
        return STATUS_OK;
    }
    if (s->phase == SESSION_PROVEN && frame->type == MESSAGE_WELCOME) {
        return handle_welcome(s, frame->payload, count);
    }
    if (s->phase == SESSION_OPEN) {
        return session_handle_request(s, frame->type, frame->sequence, frame->payload, count);
    }
    return STATUS_SESSION_TYPE;
}

static void handle_frame(session *s, const wire_frame *frame)
{
    size_t count = 0;
    status_t status = authenticate(s, frame, &count);

    if (status == STATUS_OK) {
        s->receive_sequence = frame->sequence + 1u;
        status = handle_message(s, frame, count);
    }
    /* A refusal is never answered by another, or two sides that do not understand each other would never be quiet. */
    if (status != STATUS_OK && frame->type != MESSAGE_REFUSED) {
        session_refuse(s, frame->sequence, status);
    }
    if (status == STATUS_SESSION_PROOF) {
        s->phase = SESSION_REFUSED;
    }
}

size_t session_receive(session *s, const uint8_t *bytes, size_t count)
{
    return s->phase == SESSION_CLOSED ? count : wire_feed(&s->reader, bytes, count);
}

void session_step(session *s, int64_t now_ms)
{
    wire_frame frame;
    status_t status = STATUS_OK;

    if (s->phase == SESSION_CLOSED) {
        return;
    }
    while (session_can_send(s) && s->phase != SESSION_REFUSED && status != STATUS_WIRE_TRUNCATED) {
        status = wire_next(&s->reader, &frame);
        if (status == STATUS_OK) {
            handle_frame(s, &frame);
        } else if (status != STATUS_WIRE_TRUNCATED) {
            session_refuse(s, UINT32_MAX, status);
        }
    }
    if (s->phase == SESSION_OPEN) {
        session_send_readings(s, now_ms);
    }
}

size_t session_output(const session *s, const uint8_t **bytes)
{
    *bytes = s->output;
    return s->output_bytes;
}

void session_sent(session *s, size_t count)
{
    s->output_bytes -= count;
    memmove(s->output, s->output + count, s->output_bytes);
}
