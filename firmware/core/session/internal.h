/* Between the files of the session; not for the application. */
#ifndef EDGELOOP_SESSION_INTERNAL_H
#define EDGELOOP_SESSION_INTERNAL_H

#include "session/session.h"

/* Room for one whole frame in the output; then a message is written at session_payload and closed by session_send. */
int session_can_send(const session *s);
uint8_t *session_payload(session *s);
void session_send(session *s, message_type type, size_t message_bytes);
void session_refuse(session *s, uint32_t sequence, status_t status);
void session_put_state(const session *s, uint8_t *at);

/* Send everything that is not acknowledged once more. */
void session_rewind(session *s);

/* session/requests.c: a message of the hub in an open session. A status other than OK: nothing was answered. */
status_t session_handle_request(session *s, uint8_t type, uint32_t sequence, const uint8_t *message, size_t count);

/* session/outbox.c */
void session_send_readings(session *s, int64_t now_ms);
status_t session_acknowledge(session *s, uint32_t next);

#endif
