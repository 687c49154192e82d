#include "features/features.h"

#include "features/program.h"

#define DAY_MS UINT32_C(86400000)
#define WEEK_MS (7 * DAY_MS)
#define MICRODEGREES 1e6

/* 1970-01-01 was a Thursday, and a week begins on Monday. */
#define EPOCH_WEEKDAY_MS ((int64_t)(3 * DAY_MS))

static size_t bytes_needed(const program_header *header)
{
    return header->count * sizeof(double) + header->reach * sizeof(int32_t);
}

status_t features_buffer_bytes(const uint8_t *program, size_t program_bytes, size_t *buffer_bytes)
{
    program_header header;
    status_t status = program_check(program, program_bytes, &header);

    if (status == STATUS_OK) {
        *buffer_bytes = bytes_needed(&header);
    }
    return status;
}

status_t features_init(features_t *f, const uint8_t *program, size_t program_bytes, void *buffer, size_t buffer_bytes)
{
    program_header header;
    status_t status = program_check(program, program_bytes, &header);

    if (status != STATUS_OK) {
        return status;
    }
    if ((uintptr_t)buffer % sizeof(double) != 0 || buffer_bytes < bytes_needed(&header)) {
        return STATUS_FEATURES_MEMORY;
    }
    f->program = program;
    f->sums = buffer;
    f->history = (int32_t *)(f->sums + header.count);
    f->target_scale = header.target_scale;
    f->cadence_seconds = header.cadence_seconds;
    f->tolerance_ppm = header.tolerance_ppm;
    f->max_hold_steps = header.max_hold_steps;
    f->horizon = header.horizon;
    f->count = header.count;
    f->reach = header.reach;
    features_begin(f, 0);
    return STATUS_OK;
}

void features_begin(features_t *f, int32_t microcelsius)
{
    f->next = 0;
    for (uint32_t i = 0; i < f->reach; i++) {
        f->history[i] = microcelsius;
    }
    for (uint32_t i = 0; i < f->count; i++) {
        f->sums[i] = (double)program_entry_at(f->program, i).argument * microcelsius;
    }
}

/* The step `back` steps before the last one that was kept; back < f->reach. */
static int32_t kept(const features_t *f, uint32_t back)
{
    uint32_t last = f->next + f->reach - 1;

    return f->history[(last >= back + f->reach ? last - f->reach : last) - back];
}

/* The step that the window sums lose leaves the ring at the earliest with this one. */
static void keep(features_t *f, int32_t microcelsius)
{
    for (uint32_t i = 0; i < f->count; i++) {
        if (program_operation_at(f->program, i) == OPERATION_DEVIATION) {
            f->sums[i] += (double)microcelsius - kept(f, program_argument_at(f->program, i) - 1);
        }
    }
    f->history[f->next] = microcelsius;
    f->next = f->next + 1 == f->reach ? 0 : f->next + 1;
}

static double clock_feature(const program_entry *entry, uint32_t week_ms)
{
    double sine, cosine;

    if (entry->operation == OPERATION_HOUR) {
        features_sine_cosine(week_ms % DAY_MS * entry->argument % DAY_MS, DAY_MS, &sine, &cosine);
    } else {
        features_sine_cosine(week_ms, WEEK_MS, &sine, &cosine);
    }
    return entry->function == FUNCTION_SINE ? sine : cosine;
}

static double feature(const features_t *f, uint32_t index, const program_entry *entry, uint32_t week_ms)
{
    double present = kept(f, 0);

    if (entry->operation == OPERATION_DIFFERENCE) {
        return (present - kept(f, entry->argument)) / MICRODEGREES;
    }
    if (entry->operation == OPERATION_DEVIATION) {
        return (present * entry->argument - f->sums[index]) / (MICRODEGREES * entry->argument);
    }
    return clock_feature(entry, week_ms);
}

void features_step(features_t *f, int64_t time_ms, int32_t microcelsius, float *x)
{
    uint32_t week_ms = (uint32_t)((time_ms + EPOCH_WEEKDAY_MS) % WEEK_MS);

    keep(f, microcelsius);
    for (uint32_t i = 0; i < f->count; i++) {
        program_entry entry = program_entry_at(f->program, i);

        x[i] = (float)(feature(f, i, &entry, week_ms) / entry.scale);
    }
}

/* Taylor polynomials on an eighth of a turn to either side: below 2e-9 off at its ends after x^9 and x^8, so two terms
 * more than float32 needs. */
static double sine_of(double a)
{
    double s = a * a;

    return a * (1 + s * (-1.0 / 6 + s * (1.0 / 120 + s * (-1.0 / 5040 + s * (1.0 / 362880 - s / 39916800)))));
}

static double cosine_of(double a)
{
    double s = a * a;

    return 1 + s * (-1.0 / 2 +
                    s * (1.0 / 24 + s * (-1.0 / 720 + s * (1.0 / 40320 + s * (-1.0 / 3628800 + s / 479001600)))));
}

void features_sine_cosine(uint32_t position, uint32_t period, double *sine, double *cosine)
{
    const double quarter_turn = 1.5707963267948966;
    uint32_t quarter = (4 * position + period / 2) / period;
    double angle = (4.0 * position - (double)quarter * period) / period * quarter_turn;
    double s = sine_of(angle), c = cosine_of(angle);

    *sine = (quarter & 1 ? c : s) * (quarter & 2 ? -1 : 1);
    *cosine = (quarter & 1 ? s : c) * ((quarter + 1) & 2 ? -1 : 1);
}
