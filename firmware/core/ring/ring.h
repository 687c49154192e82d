/* The last readings, kept until they are overwritten: sent and acknowledged ones too, because the state of a model is
 * rebuilt by replaying them. Nothing that waits to be acknowledged is lost up to the stated capacity; beyond it the
 * oldest goes and is counted.
 *
 * The memory may outlive a reset (RAM that keeps its content, or a file): ring_attach finds what is in it. A reading
 * is written before one of two headers in turn, so a reset between any two bytes costs at most the reading that was
 * being added. Readings are numbered from 0 on; the number goes on for the life of the memory. */
#ifndef EDGELOOP_RING_H
#define EDGELOOP_RING_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

typedef struct {
    int64_t time_ms; /* since 1970-01-01, the source's wall clock */
    int32_t microcelsius;
} ring_reading;

typedef struct {
    uint8_t *memory;
    void (*changed)(void *context, size_t offset, size_t bytes); /* may be NULL: this part of the memory has changed */
    void *context;
    uint32_t capacity;     /* readings */
    uint32_t first;        /* the oldest kept */
    uint32_t acknowledged; /* the first that is not acknowledged */
    uint32_t next;         /* the number that the next reading gets */
    uint32_t dropped;      /* overwritten before they were acknowledged */
    uint32_t writes;       /* headers written; the higher of the two valid ones counts */
} ring;

enum { RING_HEADER_BYTES = 32, RING_READING_BYTES = 12 };
/* Memory for this capacity; one place more than it counts is always free. */
#define RING_BYTES(readings) (2u * RING_HEADER_BYTES + ((size_t)(readings) + 1u) * RING_READING_BYTES)

/* Use this memory, with the readings in it if it holds a ring of the same capacity, else empty. `changed` may be NULL. */
status_t ring_attach(ring *r, void *memory, size_t bytes, void (*changed)(void *, size_t, size_t), void *context);

/* Keep a reading; returns its number. */
uint32_t ring_add(ring *r, const ring_reading *reading);

/* STATUS_RING_RANGE if this number is not kept (any more). */
status_t ring_get(const ring *r, uint32_t number, ring_reading *reading);

/* Everything before `next` has arrived. STATUS_RING_RANGE if that goes back or beyond what was added. */
status_t ring_acknowledge(ring *r, uint32_t next);

#endif
