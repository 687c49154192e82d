#include <math.h>
#include <string.h>

#include "features/features.h"
#include "forecast/forecast.h"
#include "wire/bytes.h"

enum { COUNT_BYTES = 2, VECTOR_BYTES = 8, READING_BYTES = 12, TIME_BYTES = 8, FLOAT_BYTES = 4 };

#define TOLERANCE_MAX 10.0f

typedef struct {
    const uint8_t *readings;
    const uint8_t *forecasts;
    const uint8_t *end;
    uint32_t reading_count;
    uint32_t forecast_count;
    uint32_t forecast_bytes;
    float tolerance;
} vector;

static float get_f32(const uint8_t *at)
{
    uint32_t bits = get_u32(at);
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A vector whose head lies within the payload; its end may not. */
static vector vector_at(const uint8_t *at, uint32_t horizon)
{
    vector v;

    v.reading_count = get_u16(at);
    v.forecast_count = get_u16(at + 2);
    v.forecast_bytes = TIME_BYTES + horizon * FLOAT_BYTES;
    v.tolerance = get_f32(at + 4);
    v.readings = at + VECTOR_BYTES;
    v.forecasts = v.readings + (size_t)v.reading_count * READING_BYTES;
    v.end = v.forecasts + (size_t)v.forecast_count * v.forecast_bytes;
    return v;
}

static size_t vector_bytes(const uint8_t *at, uint32_t horizon)
{
    return VECTOR_BYTES + (size_t)get_u16(at) * READING_BYTES +
           (size_t)get_u16(at + 2) * (TIME_BYTES + horizon * FLOAT_BYTES);
}

static int readings_are_sound(const vector *v)
{
    for (uint32_t i = 0; i < v->reading_count; i++) {
        int64_t time_ms = get_i64(v->readings + i * READING_BYTES);

        if (time_ms < 0 || time_ms > FEATURES_TIME_MAX) {
            return 0;
        }
    }
    return 1;
}

static int forecasts_are_sound(const vector *v)
{
    int64_t before = -1;

    for (uint32_t i = 0; i < v->forecast_count; i++) {
        const uint8_t *at = v->forecasts + i * v->forecast_bytes;

        if (get_i64(at) <= before) {
            return 0;
        }
        before = get_i64(at);
        for (uint32_t k = TIME_BYTES; k < v->forecast_bytes; k += FLOAT_BYTES) {
            if (!forecast_is_finite(get_f32(at + k))) {
                return 0;
            }
        }
    }
    return 1;
}

static status_t check_payload(const uint8_t *golden, size_t bytes, uint32_t horizon)
{
    size_t at = COUNT_BYTES;

    if (bytes < COUNT_BYTES) {
        return STATUS_GOLDEN_LENGTH;
    }
    if (get_u16(golden) == 0) {
        return STATUS_GOLDEN_FIELD;
    }
    for (uint32_t i = 0; i < get_u16(golden); i++) {
        vector v;

        if (bytes - at < VECTOR_BYTES || bytes - at < vector_bytes(golden + at, horizon)) {
            return STATUS_GOLDEN_LENGTH;
        }
        v = vector_at(golden + at, horizon);
        if (v.reading_count == 0 || v.forecast_count == 0 || !(v.tolerance >= 0.0f && v.tolerance <= TOLERANCE_MAX)) {
            return STATUS_GOLDEN_FIELD;
        }
        if (!readings_are_sound(&v) || !forecasts_are_sound(&v)) {
            return STATUS_GOLDEN_FIELD;
        }
        at += vector_bytes(golden + at, horizon);
    }
    return at == bytes ? STATUS_OK : STATUS_GOLDEN_LENGTH;
}

/* Largest difference of one forecast. */
static float difference(const forecast_t *f, const uint8_t *expected)
{
    float worst = 0.0f;

    for (uint32_t k = 0; k < f->features.horizon; k++) {
        float off = f->celsius[k] - get_f32(expected + k * FLOAT_BYTES);

        off = off < 0.0f ? -off : off;
        worst = off > worst ? off : worst;
    }
    return worst;
}

/* Largest difference over a vector; infinity if a forecast that is listed was not made. */
static float run(forecast_t *f, const vector *v)
{
    const uint8_t *expected = v->forecasts;
    float worst = 0.0f;
    int made;

    forecast_reset(f);
    for (uint32_t i = 0; i < v->reading_count; i++) {
        const uint8_t *reading = v->readings + i * READING_BYTES;
        float off;

        (void)forecast_push(f, get_i64(reading), (int32_t)get_u32(reading + 8), f->celsius, &made);
        if (!made || expected == v->end || get_i64(expected) != get_i64(reading)) {
            continue;
        }
        off = difference(f, expected + TIME_BYTES);
        worst = off > worst ? off : worst;
        expected += v->forecast_bytes;
    }
    return expected == v->end ? worst : HUGE_VALF;
}

status_t golden_check(forecast_t *f, const uint8_t *golden, size_t bytes, float *worst_celsius)
{
    forecast_counters counters = f->counters;
    const uint8_t *at = golden + COUNT_BYTES;
    status_t status = check_payload(golden, bytes, f->features.horizon);

    if (status != STATUS_OK) {
        return status;
    }
    *worst_celsius = 0.0f;
    for (uint32_t i = 0; i < get_u16(golden); i++) {
        vector v = vector_at(at, f->features.horizon);
        float off = run(f, &v);

        *worst_celsius = off > *worst_celsius ? off : *worst_celsius;
        if (off > v.tolerance) {
            status = STATUS_GOLDEN_MISMATCH;
        }
        at = v.end;
    }
    forecast_reset(f);
    f->counters = counters;
    return status;
}
