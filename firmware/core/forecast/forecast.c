#include "forecast/forecast.h"

#include <float.h>
#include <string.h>

#include "features/program.h"

enum { PHASES = 4, MILLISECONDS = 1000, PPM = 1000000 };

/* The features' buffer comes first: it needs the alignment. */
static size_t with_scratch(size_t features_bytes, uint32_t count, uint32_t horizon)
{
    size_t bytes = features_bytes + (count + horizon) * sizeof(float);

    return (bytes + 7) / 8 * 8;
}

status_t forecast_buffer_bytes(const uint8_t *program, size_t program_bytes, size_t *bytes)
{
    program_header header;
    size_t needed = 0;
    status_t status = program_check(program, program_bytes, &header);

    if (status == STATUS_OK) {
        status = features_buffer_bytes(program, program_bytes, &needed);
    }
    if (status == STATUS_OK) {
        *bytes = with_scratch(needed, header.count, header.horizon);
    }
    return status;
}

status_t forecast_init(forecast_t *f, const uint8_t *program, size_t program_bytes, nn_model *model, void *buffer,
                       size_t buffer_bytes)
{
    features_t features;
    size_t needed = 0;
    status_t status = forecast_buffer_bytes(program, program_bytes, &needed);

    if (status != STATUS_OK) {
        return status;
    }
    if (buffer_bytes < needed) {
        return STATUS_FEATURES_MEMORY;
    }
    status = features_init(&features, program, program_bytes, buffer, buffer_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    if (model->inputs != (int32_t)features.count || model->outputs != (int32_t)features.horizon) {
        return STATUS_FORECAST_MODEL;
    }
    memset(f, 0, sizeof *f);
    f->features = features;
    f->model = model;
    f->x = (float *)(features.history + features.reach);
    f->celsius = f->x + features.count;
    forecast_reset(f);
    return STATUS_OK;
}

void forecast_reset(forecast_t *f)
{
    f->started = 0;
    nn_reset(f->model);
}

static int64_t step_ms(const forecast_t *f)
{
    return (int64_t)f->features.cadence_seconds * MILLISECONDS;
}

static void begin_segment(forecast_t *f, int64_t index, int32_t microcelsius)
{
    nn_reset(f->model);
    features_begin(&f->features, microcelsius);
    f->index = index - 1;
}

/* Rounded to a quarter of the cadence only: to a whole one, a sensor that reads half-way between grid points would
 * lose half of its readings to jitter. */
static void begin_series(forecast_t *f, int64_t time_ms, int32_t microcelsius)
{
    int64_t phase = step_ms(f) / PHASES;

    f->anchor_ms = (time_ms + phase / 2) / phase * phase;
    f->started = 1;
    begin_segment(f, 0, microcelsius);
}

static int is_off_grid(const forecast_t *f, int64_t time_ms, int64_t index)
{
    int64_t off = time_ms - f->anchor_ms - index * step_ms(f);

    return (off < 0 ? -off : off) * PPM > f->features.tolerance_ppm * step_ms(f);
}

/* The counter of a reading that is not used, NULL for one that is. */
static uint32_t *refusal(forecast_t *f, int64_t time_ms, int64_t index)
{
    if (time_ms < f->time_ms) {
        return &f->counters.late;
    }
    if (is_off_grid(f, time_ms, index)) {
        return &f->counters.off_grid;
    }
    return index == f->index ? &f->counters.surplus : NULL;
}

static void step(forecast_t *f, int32_t microcelsius, float *residuals)
{
    f->index++;
    features_step(&f->features, f->anchor_ms + f->index * step_ms(f), microcelsius, f->x);
    nn_step(f->model, f->x, residuals);
}

static void hold_until(forecast_t *f, int64_t index, float *residuals)
{
    while (f->index + 1 < index) {
        step(f, f->microcelsius, residuals);
        f->counters.held++;
    }
}

int forecast_is_finite(float value)
{
    return value >= -FLT_MAX && value <= FLT_MAX;
}

static status_t accept(forecast_t *f, int64_t time_ms, int32_t microcelsius, float *celsius)
{
    double present = (double)microcelsius / 1e6;

    step(f, microcelsius, celsius);
    for (uint32_t k = 0; k < f->features.horizon; k++) {
        celsius[k] = (float)(present + (double)celsius[k] * f->features.target_scale);
        if (!forecast_is_finite(celsius[k])) {
            forecast_reset(f);
            return STATUS_FORECAST_NUMBER;
        }
    }
    f->time_ms = time_ms;
    f->microcelsius = microcelsius;
    f->counters.accepted++;
    return STATUS_OK;
}

status_t forecast_push(forecast_t *f, int64_t time_ms, int32_t microcelsius, float *celsius, int *made)
{
    status_t status;

    *made = 0;
    if (time_ms < 0 || time_ms > FEATURES_TIME_MAX) {
        return STATUS_FORECAST_TIME;
    }
    if (!f->started) {
        begin_series(f, time_ms, microcelsius);
    } else {
        int64_t index = (time_ms - f->anchor_ms + step_ms(f) / 2) / step_ms(f);
        uint32_t *refused = refusal(f, time_ms, index);

        if (refused != NULL) {
            ++*refused;
            return STATUS_OK;
        }
        if (index - f->index - 1 > (int64_t)f->features.max_hold_steps) {
            f->counters.resets++;
            begin_segment(f, index, microcelsius);
        }
        hold_until(f, index, celsius);
    }
    status = accept(f, time_ms, microcelsius, celsius);
    *made = status == STATUS_OK;
    return status;
}
