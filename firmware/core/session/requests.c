/* The hub's requests: each is checked, done by the application, and answered with its status. */
#include <string.h>

#include "session/internal.h"
#include "wire/bytes.h"

enum { ANSWER_HEAD_BYTES = 8, ANSWER_BODY_MAX = WIRE_PAYLOAD_MAX - SESSION_TAG_BYTES - ANSWER_HEAD_BYTES };

/* Handlers write the answer's body and its length; `count` was checked against the table below. */
typedef status_t handler(session *s, const uint8_t *message, size_t count, uint8_t *body, size_t *body_bytes);

static status_t on_status(session *s, const uint8_t *message, size_t count, uint8_t *body, size_t *body_bytes)
{
    (void)message;
    (void)count;
    session_put_state(s, body);
    *body_bytes = SESSION_STATE_BYTES;
    return STATUS_OK;
}

static status_t on_time(session *s, const uint8_t *message, size_t count, uint8_t *body, size_t *body_bytes)
{
    (void)count;
    (void)body;
    (void)body_bytes;
    return s->port->set_time(s->port->context, get_i64(message));
}

/* The offset goes with every status: the hub goes on from there. */
static status_t on_transfer_begin(session *s, const uint8_t *message, size_t count, uint8_t *body, size_t *body_bytes)
{
    uint32_t resume = 0;
    status_t status = s->port->transfer_begin(s->port->context, get_u32(message), message + 4, &resume);

    (void)count;
    put_u32(body, resume);
    *body_bytes = 4;
    return status;
}

static status_t on_transfer_chunk(session *s, const uint8_t *message, size_t count, uint8_t *body, size_t *body_bytes)
{
    uint32_t next = 0;
    status_t status = s->port->transfer_write(s->port->context, get_u32(message), message + 4, count - 4, &next);

    put_u32(body, next);
    *body_bytes = 4;
    return status;
}

static status_t on_install(session *s, const uint8_t *message, size_t count, uint8_t *body, size_t *body_bytes)
{
    (void)message;
    (void)count;
    (void)body;
    (void)body_bytes;
    return s->port->install(s->port->context);
}

static status_t on_confirm(session *s, const uint8_t *message, size_t count, uint8_t *body, size_t *body_bytes)
{
    (void)count;
    (void)body;
    (void)body_bytes;
    return s->port->confirm(s->port->context, get_u32(message));
}

static status_t on_revert(session *s, const uint8_t *message, size_t count, uint8_t *body, size_t *body_bytes)
{
    (void)count;
    (void)body;
    (void)body_bytes;
    return s->port->revert(s->port->context, get_u32(message));
}

/* The challenger goes with every status: the hub knows what the board carries. */
static status_t on_shadow(session *s, const uint8_t *message, size_t count, uint8_t *body, size_t *body_bytes)
{
    uint32_t carried = 0;
    status_t why_not = STATUS_OK, status;

    (void)count;
    status = s->port->shadow(s->port->context, get_u32(message), &carried, &why_not);
    put_u32(body, carried);
    put_u32(body + 4, (uint32_t)why_not);
    *body_bytes = 8;
    return status;
}

static status_t on_log(session *s, const uint8_t *message, size_t count, uint8_t *body, size_t *body_bytes)
{
    uint32_t from = get_u32(message);
    size_t bytes = s->port->log(s->port->context, &from, body + 4, ANSWER_BODY_MAX - 4);

    (void)count;
    put_u32(body, from);
    *body_bytes = 4 + bytes;
    return STATUS_OK;
}

static const struct {
    uint8_t type;
    uint16_t least, most; /* bytes of the message */
    handler *handle;
} requests[] = {
    {MESSAGE_STATUS, 0, 0, on_status},
    {MESSAGE_TIME, 8, 8, on_time},
    {MESSAGE_TRANSFER_BEGIN, 36, 36, on_transfer_begin},
    {MESSAGE_TRANSFER_CHUNK, 5, 4 + SESSION_CHUNK_MAX, on_transfer_chunk},
    {MESSAGE_INSTALL, 0, 0, on_install},
    {MESSAGE_CONFIRM, 4, 4, on_confirm},
    {MESSAGE_REVERT, 4, 4, on_revert},
    {MESSAGE_LOG, 4, 4, on_log},
    {MESSAGE_SHADOW, 4, 4, on_shadow},
};

static void answer(session *s, uint32_t sequence, status_t status, size_t body_bytes)
{
    uint8_t *head = session_payload(s);

    put_u32(head, sequence);
    put_u32(head + 4, (uint32_t)status);
    session_send(s, MESSAGE_ANSWER, ANSWER_HEAD_BYTES + body_bytes);
}

/* A refusal by the hub: a frame was damaged on the way, or a reading came out of turn. Answers that were lost are asked
 * for again by the hub; readings and forecasts go once more from here. */
static status_t on_refused(session *s, size_t count)
{
    if (count != 8) {
        return STATUS_SESSION_FIELD;
    }
    session_rewind(s);
    return STATUS_OK;
}

/* The answer to the next chunk tells what became of it: that chunk's offset is the one that is due, or is not. */
static status_t on_transfer_more(session *s, const uint8_t *message, size_t count)
{
    uint32_t next;

    if (count < 5 || count > 4 + SESSION_CHUNK_MAX) {
        return STATUS_SESSION_FIELD;
    }
    (void)s->port->transfer_write(s->port->context, get_u32(message), message + 4, count - 4, &next);
    return STATUS_OK;
}

status_t session_handle_request(session *s, uint8_t type, uint32_t sequence, const uint8_t *message, size_t count)
{
    if (type == MESSAGE_REFUSED) {
        return on_refused(s, count);
    }
    if (type == MESSAGE_ACKNOWLEDGE) {
        return count == 4 ? session_acknowledge(s, get_u32(message)) : STATUS_SESSION_FIELD;
    }
    if (type == MESSAGE_TRANSFER_MORE) {
        return on_transfer_more(s, message, count);
    }
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        size_t body_bytes = 0;
        status_t status;

        if (requests[i].type != type) {
            continue;
        }
        if (count < requests[i].least || count > requests[i].most) {
            return STATUS_SESSION_FIELD;
        }
        status = requests[i].handle(s, message, count, session_payload(s) + ANSWER_HEAD_BYTES, &body_bytes);
        answer(s, sequence, status, body_bytes);
        return STATUS_OK;
    }
    return STATUS_SESSION_TYPE;
}
