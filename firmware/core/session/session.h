/* The board's side of its link to the hub, without the transport: bytes in, bytes out, a step in between.
 *
 *     session_start(&session, &port, &ring);              once
 *     session_connect(&session);                          for each connection
 *     taken = session_receive(&session, bytes, count);    as bytes arrive
 *     session_step(&session, now_ms);                     answers, readings, forecasts
 *     count = session_output(&session, &bytes);           what to send ...
 *     session_sent(&session, taken);                      ... and how much of it was taken
 *
 * Both sides prove that they hold the board's key before anything else is said, and every frame after that carries a
 * tag. deployers/protocol/messages.py has the same messages in Python, SPEC.md chapter "Session" the bytes. */
#ifndef EDGELOOP_SESSION_H
#define EDGELOOP_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "ring/ring.h"
#include "status.h"
#include "wire/wire.h"

enum {
    SESSION_PROTOCOL = 1,
    SESSION_KEY_BYTES = 32,
    SESSION_NONCE_BYTES = 16,
    SESSION_PROOF_BYTES = 32,
    SESSION_TAG_BYTES = 8,
    SESSION_ID_BYTES = 16,
    SESSION_STATE_BYTES = 56,
    SESSION_HELLO_BYTES = 96,
    SESSION_CHUNK_MAX = 1024,
    SESSION_READINGS_MAX = 64, /* readings in one message */
    SESSION_HORIZON_MAX = 32,  /* values in one forecast */
    SESSION_SHADOW = 3,        /* slot state of a challenger's forecasts */
    SESSION_FORECASTS = 16,    /* forecasts kept while they wait; a challenger's go first, then the oldest */
    SESSION_RESEND_MS = 10000  /* what is not acknowledged by then is sent again */
};

typedef enum {
    MESSAGE_HELLO = 0x01,     /* board: protocol, firmware version, id, nonce, state */
    MESSAGE_CHALLENGE = 0x02, /* hub: nonce, its proof */
    MESSAGE_PROOF = 0x03,     /* board: its proof */
    MESSAGE_WELCOME = 0x04,   /* hub: time */

    MESSAGE_STATUS = 0x20,         /* hub: tell the state */
    MESSAGE_TIME = 0x21,           /* hub: set the clock */
    MESSAGE_TRANSFER_BEGIN = 0x22, /* hub: an image of so many bytes with this hash */
    MESSAGE_TRANSFER_CHUNK = 0x23, /* hub: bytes of it at this offset */
    MESSAGE_INSTALL = 0x24,        /* hub: the transfer is complete; verify, then start it in test */
    MESSAGE_CONFIRM = 0x25,        /* hub: keep the version in test */
    MESSAGE_REVERT = 0x26,         /* hub: go back from the version in test */
    MESSAGE_LOG = 0x27,            /* hub: the log from this byte on */
    MESSAGE_ACKNOWLEDGE = 0x28,    /* hub: readings before this number are kept; no answer */
    MESSAGE_TRANSFER_MORE = 0x29,  /* hub: as a chunk; no answer */
    MESSAGE_SHADOW = 0x2A,         /* hub: the transfer is complete; it forecasts beside the confirmed one */

    MESSAGE_ANSWER = 0x40,   /* board: to one request of the hub, with a status */
    MESSAGE_READINGS = 0x41, /* board: consecutive readings */
    MESSAGE_FORECAST = 0x42, /* board: the forecast made at one reading */

    MESSAGE_REFUSED = 0x7F /* either: a frame that is not answered otherwise, with the reason */
} message_type;

/* What a board says of itself in hello and in the answer to status. */
typedef struct {
    uint8_t slot_state; /* 0 no model, 1 test, 2 confirmed */
    uint8_t slot;       /* 0 or 1; 255 without a model */
    uint8_t clock_set;
    uint8_t forecast_made; /* the running model has made a forecast since it was loaded */
    uint32_t model_version;
    uint32_t lowest_version; /* older ones are refused */
    status_t model_status;   /* why no model runs, or STATUS_OK */
    uint32_t ring_acknowledged;
    uint32_t ring_next;
    uint32_t ring_dropped;
    uint32_t ring_capacity;
    uint32_t transfer_offset; /* bytes in place of a transfer that was begun */
    uint32_t forecasts;       /* made since the start */
    uint32_t forecasts_dropped;
    uint32_t log_next;
    int64_t time_ms; /* the board's clock */
} session_state;

typedef struct {
    uint32_t reading; /* its number in the ring */
    uint32_t model_version;
    int64_t time_ms;    /* of the reading */
    uint8_t slot_state; /* as in session_state, when the forecast was made, or SESSION_SHADOW */
    uint8_t values;
    float celsius[SESSION_HORIZON_MAX];
} session_forecast;

/* What the session asks of the application. Every status goes to the hub as it is. */
typedef struct {
    void *context;
    uint32_t firmware_version; /* major << 16 | minor << 8 | patch */
    uint8_t id[SESSION_ID_BYTES];
    status_t (*key)(void *context, uint8_t key[SESSION_KEY_BYTES]);
    /* HMAC-SHA256 of `first` followed by `second`. */
    void (*hmac)(void *context, const uint8_t key[SESSION_KEY_BYTES], const uint8_t *first, size_t first_bytes,
                 const uint8_t *second, size_t second_bytes, uint8_t mac[32]);
    /* Bytes never given before: a nonce that repeats lets a recorded session be played again. */
    void (*nonce)(void *context, uint8_t nonce[SESSION_NONCE_BYTES]);
    void (*state)(void *context, session_state *state);
    status_t (*set_time)(void *context, int64_t time_ms);
    status_t (*transfer_begin)(void *context, uint32_t bytes, const uint8_t sha256[32], uint32_t *resume);
    status_t (*transfer_write)(void *context, uint32_t offset, const uint8_t *bytes, size_t count, uint32_t *next);
    status_t (*install)(void *context);
    status_t (*confirm)(void *context, uint32_t version);
    status_t (*revert)(void *context, uint32_t version);
    /* Version 0 asks only; `*carried` and `*why_not` are the challenger then, also with an error. */
    status_t (*shadow)(void *context, uint32_t version, uint32_t *carried, status_t *why_not);
    /* Bytes of the log from `*from` on, at most `space`; `*from` rises to the oldest that is kept. */
    size_t (*log)(void *context, uint32_t *from, uint8_t *text, size_t space);
} session_port;

typedef enum { SESSION_CLOSED, SESSION_HELLO, SESSION_PROVEN, SESSION_OPEN, SESSION_REFUSED } session_phase;

typedef struct {
    const session_port *port;
    ring *readings;
    session_phase phase;
    uint32_t send_sequence;
    uint32_t receive_sequence; /* the lowest that is accepted */
    uint32_t sent_next;        /* readings before this one have been sent on this connection */
    int64_t resend_at_ms;
    uint32_t refused_frames; /* since the start */
    uint32_t forecasts_dropped;
    uint32_t forecast_first; /* forecasts waiting: first ... first + count - 1, modulo SESSION_FORECASTS */
    uint32_t forecast_count;
    uint32_t forecast_sent;         /* of these, sent on this connection */
    uint8_t key[SESSION_KEY_BYTES]; /* of this connection */
    uint8_t hello[SESSION_HELLO_BYTES];
    session_forecast forecasts[SESSION_FORECASTS];
    wire_reader reader;
    size_t output_bytes;
    uint8_t output[2 * WIRE_FRAME_MAX];
} session;

void session_start(session *s, const session_port *port, ring *readings);

/* A connection has been made: says hello. */
void session_connect(session *s);

/* The connection is gone; readings and forecasts wait for the next one. */
void session_disconnect(session *s);

/* Returns how many bytes were taken; the rest comes again after the next step. */
size_t session_receive(session *s, const uint8_t *bytes, size_t count);

/* Handle what arrived and write what is due, as far as the output has room. `now_ms` only ever rises. */
void session_step(session *s, int64_t now_ms);

/* Bytes to send, at least one if any; and the note that `count` of them were. */
size_t session_output(const session *s, const uint8_t **bytes);
void session_sent(session *s, size_t count);

/* Queue the forecast of a reading that is in the ring. Where there is no room the challenger's oldest goes; where it has
 * none, the oldest of all, or the new one if it is a challenger's. */
void session_add_forecast(session *s, const session_forecast *forecast);

/* Room for so many forecasts without dropping one. */
int session_has_room(const session *s, uint32_t forecasts);

#endif
