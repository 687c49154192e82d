/* From readings to forecasts: the grid, the features, the network, and back to degrees.
 *
 *     status = forecast_buffer_bytes(program, program_bytes, &need);
 *     status = forecast_init(&forecast, program, program_bytes, &model, buffer, need);
 *     status = golden_check(&forecast, golden, golden_bytes, &worst);
 *     for each reading: status = forecast_push(&forecast, time_ms, microcelsius, celsius, &made);
 *
 * The grid lies at the first reading, rounded to a quarter of the cadence. A reading belongs to the nearest grid
 * point. Up to max_hold_steps missing points are stepped through with the last value; after more the state is zeroed
 * and a new segment begins on the same grid. See "Feature program" in SPEC.md. */
#ifndef EDGELOOP_FORECAST_H
#define EDGELOOP_FORECAST_H

#include <stddef.h>
#include <stdint.h>

#include "features/features.h"
#include "nn/nn.h"
#include "status.h"

/* Since forecast_init; golden_check leaves them as they are. */
typedef struct {
    uint32_t accepted; /* readings that a forecast was made from */
    uint32_t surplus;  /* another reading at a grid point that has one already */
    uint32_t off_grid; /* further than the tolerance from its grid point */
    uint32_t late;     /* before the last accepted reading */
    uint32_t held;     /* missing grid points stepped through with the last value */
    uint32_t resets;   /* gaps too long for that */
} forecast_counters;

typedef struct {
    features_t features;
    nn_model *model;
    float *x;          /* features of one step, inside the buffer */
    float *celsius;    /* forecasts of golden_check, inside the buffer */
    int64_t anchor_ms; /* time of grid point 0 */
    int64_t index;     /* grid point of the last accepted reading */
    int64_t time_ms;   /* its time */
    int32_t microcelsius;
    int32_t started;
    forecast_counters counters;
} forecast_t;

/* Check a feature program and state the buffer that its forecasts need, in bytes. */
status_t forecast_buffer_bytes(const uint8_t *program, size_t program_bytes, size_t *bytes);

/* `model` is loaded and stays the caller's; `buffer` is aligned to 8 bytes. STATUS_FORECAST_MODEL if the model has
 * other inputs or outputs than the program. On an error `f` is not touched. */
status_t forecast_init(forecast_t *f, const uint8_t *program, size_t program_bytes, nn_model *model, void *buffer,
                       size_t buffer_bytes);

/* Forget grid, history and state: the next reading is the first. For a new series, or after the clock was set back. */
void forecast_reset(forecast_t *f);

/* Sets *made to 1 and writes f->features.horizon values to `celsius`, or sets *made to 0 if the reading was surplus,
 * off grid or late, and counts it. STATUS_FORECAST_TIME, and nothing done, for a time outside 1970 to 9999.
 * STATUS_FORECAST_NUMBER for a forecast that is not finite: `f` is as after forecast_reset, since a state that is no
 * number would stay so for ever. */
status_t forecast_push(forecast_t *f, int64_t time_ms, int32_t microcelsius, float *celsius, int *made);

/* Run the golden vectors and compare; `worst` takes the largest difference in °C, infinity for a forecast that was
 * not made. The payload is checked before anything is run: only STATUS_GOLDEN_LENGTH and
 * STATUS_GOLDEN_FIELD leave `f` and `worst` as they were. Otherwise `f` ends as after forecast_reset. */
status_t golden_check(forecast_t *f, const uint8_t *golden, size_t bytes, float *worst_celsius);

/* 0 for infinity and what is no number. */
int forecast_is_finite(float value);

#endif
