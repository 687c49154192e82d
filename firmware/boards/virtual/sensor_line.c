#include <string.h>

#include "virtual.h"

/* A decimal number with a sign before `end`, within int64; the character after it, or NULL. */
static const char *parse(const char *text, char end, int64_t *number)
{
    int negative = *text == '-';
    const char *digits = text + negative, *at = digits;
    uint64_t value = 0;

    for (; *at >= '0' && *at <= '9' && at - digits < 18; at++) {
        value = 10u * value + (uint64_t)(*at - '0');
    }
    if (at == digits || *at != end) {
        return NULL;
    }
    *number = negative ? -(int64_t)value : (int64_t)value;
    return at + 1;
}

int sensor_line_add(sensor_line *state, char character, ring_reading *reading)
{
    int64_t time_ms, microcelsius;
    const char *rest;

    if (character != '\n') {
        if (state->length < sizeof state->line - 1) {
            state->line[state->length] = character;
        }
        if (state->length < sizeof state->line) {
            state->length++;
        }
        return 0;
    }
    rest = NULL;
    if (state->length < sizeof state->line) {
        state->line[state->length] = '\0';
        rest = parse(state->line, ',', &time_ms);
    }
    state->length = 0;
    if (rest == NULL || parse(rest, '\0', &microcelsius) == NULL || microcelsius < INT32_MIN ||
        microcelsius > INT32_MAX) {
        return 0;
    }
    reading->time_ms = time_ms;
    reading->microcelsius = (int32_t)microcelsius;
    return 1;
}
