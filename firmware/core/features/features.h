/* What the network reads at each step, computed on the board from readings: see "Feature program" in SPEC.md.
 *
 *     status_t status = features_buffer_bytes(program, program_bytes, &need);
 *     ... have `need` bytes, aligned to 8 ...
 *     status = features_init(&features, program, program_bytes, buffer, need);
 *     features_begin(&features, first);                       at the first reading of a segment
 *     for each reading: features_step(&features, time_ms, microcelsius, x);
 *
 * Differences and window sums are whole micro-degrees, which a double holds up to 2^53: exact, with no drift however
 * long a segment is. Sine and cosine come from integer clock positions with an error below 1e-10. So each x is the
 * float32 next to the true value, or its neighbour.
 *
 * The program is read in place and stays where it is (in flash). Everything about it is checked by features_init,
 * nothing by features_step. */
#ifndef EDGELOOP_FEATURES_H
#define EDGELOOP_FEATURES_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

enum {
    FEATURES_HEADER_BYTES = 24,
    FEATURES_ENTRY_BYTES = 16,
    FEATURES_COUNT_MAX = 64,
    FEATURES_HORIZON_MAX = 288,
    FEATURES_HARMONIC_MAX = 24
};

/* Times that features_step takes: 1970 up to the end of the year 9999. */
#define FEATURES_TIME_MAX INT64_C(253402300799999)

typedef struct {
    const uint8_t *program; /* in place */
    double *sums;           /* micro-degrees in each deviation's window, whole numbers, inside the buffer */
    int32_t *history;       /* micro-degrees of the last `reach` steps, a ring inside the buffer */
    double target_scale;    /* °C of one unit of the network's output */
    uint32_t cadence_seconds;
    uint32_t tolerance_ppm; /* share of the cadence that a reading may be off its grid point */
    uint32_t max_hold_steps;
    uint32_t horizon;
    uint32_t count; /* features */
    uint32_t reach; /* steps that must be kept */
    uint32_t next;  /* place in the ring of the next step */
} features_t;

/* Check a program and state the buffer that it needs, in bytes. */
status_t features_buffer_bytes(const uint8_t *program, size_t program_bytes, size_t *buffer_bytes);

/* Check a program and prepare to run it; `buffer` is aligned to 8 bytes. On an error `f` is not touched. */
status_t features_init(features_t *f, const uint8_t *program, size_t program_bytes, void *buffer, size_t buffer_bytes);

/* Begin a segment: until it is long enough, its first reading stands in for those before it. */
void features_begin(features_t *f, int32_t microcelsius);

/* One step of the grid; `x` takes f->count scaled features. 0 <= time_ms <= FEATURES_TIME_MAX. */
void features_step(features_t *f, int64_t time_ms, int32_t microcelsius, float *x);

/* Sine and cosine of `position`/`period` turns, 0 <= position < period <= 604,800,000 (a week). */
void features_sine_cosine(uint32_t position, uint32_t period, double *sine, double *cosine);

#endif
