#include "features/program.h"

#include <string.h>

#include "features/features.h"
#include "wire/bytes.h"

enum { CADENCE_MAX = 86400, TOLERANCE_MIN = 250000, TOLERANCE_MAX = 500000 };

/* Wider than any sensor: what is divided by such a scale stays a finite float. */
static const double scale_min = 1e-6;
static const double scale_max = 1e6;

static double get_f64(const uint8_t *at)
{
    int64_t bits = get_i64(at);
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* False for what is not a number. */
static int is_scale(double value)
{
    return value >= scale_min && value <= scale_max;
}

static status_t check_header(const uint8_t *program, program_header *header)
{
    header->cadence_seconds = get_u32(program);
    header->horizon = get_u16(program + 4);
    header->count = get_u16(program + 6);
    header->target_scale = get_f64(program + 8);
    header->tolerance_ppm = get_u32(program + 16);
    header->max_hold_steps = get_u16(program + 20);
    header->reach = 1;
    if (header->count == 0 || header->count > FEATURES_COUNT_MAX) {
        return STATUS_FEATURES_COUNT;
    }
    if (header->cadence_seconds == 0 || header->cadence_seconds > CADENCE_MAX) {
        return STATUS_FEATURES_CADENCE;
    }
    if (header->horizon == 0 || header->horizon > FEATURES_HORIZON_MAX) {
        return STATUS_FEATURES_HORIZON;
    }
    if (header->tolerance_ppm < TOLERANCE_MIN || header->tolerance_ppm > TOLERANCE_MAX) {
        return STATUS_FEATURES_TOLERANCE;
    }
    if (!is_scale(header->target_scale)) {
        return STATUS_FEATURES_SCALE;
    }
    return get_u16(program + 22) == 0 ? STATUS_OK : STATUS_FEATURES_RESERVED;
}

static int is_argument(const program_entry *entry)
{
    switch (entry->operation) {
    case OPERATION_DIFFERENCE:
        return entry->argument >= 1;
    case OPERATION_DEVIATION: /* the mean of one reading is that reading */
        return entry->argument >= 2;
    case OPERATION_HOUR:
        return entry->argument >= 1 && entry->argument <= FEATURES_HARMONIC_MAX;
    default:
        return entry->argument == 0;
    }
}

static status_t check_entry(const uint8_t *program, uint32_t index)
{
    program_entry entry = program_entry_at(program, index);
    int is_clock = entry.operation == OPERATION_HOUR || entry.operation == OPERATION_WEEKDAY;

    if (entry.operation < OPERATION_DIFFERENCE || entry.operation > OPERATION_WEEKDAY) {
        return STATUS_FEATURES_OPERATION;
    }
    if (entry.function > FUNCTION_COSINE || is_clock != (entry.function != FUNCTION_NONE)) {
        return STATUS_FEATURES_FUNCTION;
    }
    if (!is_argument(&entry)) {
        return STATUS_FEATURES_ARGUMENT;
    }
    if (get_u32(program + FEATURES_HEADER_BYTES + index * FEATURES_ENTRY_BYTES + 4) != 0) {
        return STATUS_FEATURES_RESERVED;
    }
    return is_scale(entry.scale) ? STATUS_OK : STATUS_FEATURES_SCALE;
}

/* A lag needs one step more than it reaches back; a window is its own length. */
static uint32_t entry_reach(program_entry entry)
{
    if (entry.operation == OPERATION_DIFFERENCE) {
        return entry.argument + 1;
    }
    return entry.operation == OPERATION_DEVIATION ? entry.argument : 1;
}

status_t program_check(const uint8_t *program, size_t bytes, program_header *header)
{
    program_header found;
    status_t status;

    if (bytes < FEATURES_HEADER_BYTES) {
        return STATUS_FEATURES_LENGTH;
    }
    status = check_header(program, &found);
    if (status != STATUS_OK) {
        return status;
    }
    if (bytes != FEATURES_HEADER_BYTES + (size_t)found.count * FEATURES_ENTRY_BYTES) {
        return STATUS_FEATURES_LENGTH;
    }
    for (uint32_t i = 0; i < found.count; i++) {
        uint32_t reach;

        status = check_entry(program, i);
        if (status != STATUS_OK) {
            return status;
        }
        reach = entry_reach(program_entry_at(program, i));
        found.reach = reach > found.reach ? reach : found.reach;
    }
    *header = found;
    return STATUS_OK;
}

static const uint8_t *entry_at(const uint8_t *program, uint32_t index)
{
    return program + FEATURES_HEADER_BYTES + index * FEATURES_ENTRY_BYTES;
}

uint32_t program_operation_at(const uint8_t *program, uint32_t index)
{
    return entry_at(program, index)[0];
}

uint32_t program_argument_at(const uint8_t *program, uint32_t index)
{
    return get_u16(entry_at(program, index) + 2);
}

program_entry program_entry_at(const uint8_t *program, uint32_t index)
{
    const uint8_t *at = entry_at(program, index);
    program_entry entry;

    entry.operation = at[0];
    entry.function = at[1];
    entry.argument = get_u16(at + 2);
    entry.scale = get_f64(at + 8);
    return entry;
}
