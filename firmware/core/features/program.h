/* Fields of a feature program; offsets are those of the chapter "Feature program" in SPEC.md. */
#ifndef EDGELOOP_FEATURES_PROGRAM_H
#define EDGELOOP_FEATURES_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

enum { OPERATION_DIFFERENCE = 1, OPERATION_DEVIATION = 2, OPERATION_HOUR = 3, OPERATION_WEEKDAY = 4 };
enum { FUNCTION_NONE = 0, FUNCTION_SINE = 1, FUNCTION_COSINE = 2 };

typedef struct {
    uint32_t cadence_seconds;
    uint32_t horizon;
    uint32_t count;
    uint32_t tolerance_ppm;
    uint32_t max_hold_steps;
    uint32_t reach; /* steps that must be kept for the longest lag or window */
    double target_scale;
} program_header;

typedef struct {
    uint32_t operation;
    uint32_t function;
    uint32_t argument; /* lag, window or harmonic */
    double scale;
} program_entry;

/* Check every field of a program; on an error `header` is not touched. */
status_t program_check(const uint8_t *program, size_t bytes, program_header *header);

/* The entry at `index` of a program that was checked. */
program_entry program_entry_at(const uint8_t *program, uint32_t index);

/* Parts of it alone. */
uint32_t program_operation_at(const uint8_t *program, uint32_t index);
uint32_t program_argument_at(const uint8_t *program, uint32_t index);

#endif
