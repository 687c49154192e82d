/* Readings and forecasts on their way to the hub. Both stay until the reading is acknowledged. */
#include <string.h>

#include "session/internal.h"
#include "wire/bytes.h"

enum { READINGS_HEAD_BYTES = 10, FORECAST_HEAD_BYTES = 20 };

static session_forecast *forecast_at(session *s, uint32_t index)
{
    return &s->forecasts[(s->forecast_first + index) % SESSION_FORECASTS];
}

static void drop_forecast(session *s, uint32_t index)
{
    for (uint32_t i = index; i > 0; i--) {
        *forecast_at(s, i) = *forecast_at(s, i - 1);
    }
    s->forecast_first = (s->forecast_first + 1u) % SESSION_FORECASTS;
    s->forecast_count--;
    if (index < s->forecast_sent) {
        s->forecast_sent--;
    }
}

/* Where the challenger's oldest waits; behind the last where none does. */
static uint32_t challengers_oldest(session *s)
{
    uint32_t index = 0;

    while (index < s->forecast_count && forecast_at(s, index)->slot_state != SESSION_SHADOW) {
        index++;
    }
    return index;
}

int session_has_room(const session *s, uint32_t forecasts)
{
    return s->forecast_count + forecasts <= SESSION_FORECASTS;
}

void session_add_forecast(session *s, const session_forecast *forecast)
{
    if (!session_has_room(s, 1)) {
        uint32_t oldest = challengers_oldest(s);

        s->forecasts_dropped++;
        if (oldest < s->forecast_count) {
            drop_forecast(s, oldest);
        } else if (forecast->slot_state != SESSION_SHADOW) {
            drop_forecast(s, 0);
        } else {
            return;
        }
    }
    *forecast_at(s, s->forecast_count) = *forecast;
    s->forecast_count++;
}

status_t session_acknowledge(session *s, uint32_t next)
{
    /* The ring may have moved on past `next` while it was on its way: then there is nothing left to do. */
    if (next > s->sent_next) {
        return STATUS_SESSION_ACKNOWLEDGE;
    }
    if (next > s->readings->acknowledged) {
        (void)ring_acknowledge(s->readings, next);
    }
    while (s->forecast_count > 0 && s->forecast_sent > 0 && forecast_at(s, 0)->reading < next) {
        drop_forecast(s, 0);
    }
    return STATUS_OK;
}

static void send_some_readings(session *s)
{
    uint8_t *message = session_payload(s);
    uint32_t count = s->readings->next - s->sent_next;
    ring_reading reading;

    if (count > SESSION_READINGS_MAX) {
        count = SESSION_READINGS_MAX;
    }
    put_u32(message, s->readings->acknowledged);
    put_u32(message + 4, s->sent_next);
    put_u16(message + 8, count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *at = message + READINGS_HEAD_BYTES + i * RING_READING_BYTES;

        (void)ring_get(s->readings, s->sent_next + i, &reading);
        put_i64(at, reading.time_ms);
        put_u32(at + 8, (uint32_t)reading.microcelsius);
    }
    session_send(s, MESSAGE_READINGS, READINGS_HEAD_BYTES + (size_t)count * RING_READING_BYTES);
    s->sent_next += count;
}

static void send_forecast(session *s, const session_forecast *forecast)
{
    uint8_t *message = session_payload(s);

    put_u32(message, forecast->reading);
    put_u32(message + 4, forecast->model_version);
    put_i64(message + 8, forecast->time_ms);
    message[16] = forecast->slot_state;
    message[17] = 0;
    put_u16(message + 18, forecast->values);
    for (size_t i = 0; i < forecast->values; i++) {
        uint32_t bits;

        memcpy(&bits, &forecast->celsius[i], 4);
        put_u32(message + FORECAST_HEAD_BYTES + 4 * i, bits);
    }
    session_send(s, MESSAGE_FORECAST, FORECAST_HEAD_BYTES + 4u * forecast->values);
}

void session_send_readings(session *s, int64_t now_ms)
{
    /* Overwritten in the ring before they were sent: they are counted there. */
    if (s->sent_next < s->readings->acknowledged) {
        s->sent_next = s->readings->acknowledged;
    }
    if (s->sent_next == s->readings->acknowledged) {
        s->resend_at_ms = now_ms + SESSION_RESEND_MS;
    } else if (now_ms >= s->resend_at_ms) {
        session_rewind(s);
        s->resend_at_ms = now_ms + SESSION_RESEND_MS;
    }
    while (session_can_send(s)) {
        /* A forecast goes before its reading: what acknowledges the reading has seen the forecast. */
        if (s->forecast_sent < s->forecast_count) {
            send_forecast(s, forecast_at(s, s->forecast_sent++));
        } else if (s->sent_next != s->readings->next) {
            send_some_readings(s);
        } else {
            break;
        }
    }
}
