/* Bounds-checked reading of a flatbuffer that nobody vouches for.
 *
 * Positions are byte offsets from the start of the file; 0 means "absent", since no table can start there. The first
 * access outside the file makes the reader fail for good: later calls return 0, and the caller asks `failed` once it
 * is done instead of after each access. Format: https://flatbuffers.dev/internals/ */
#ifndef EDGELOOP_NN_FLATBUFFER_H
#define EDGELOOP_NN_FLATBUFFER_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *base;
    uint32_t size;
    uint32_t failed;
} flatbuffer;

uint32_t flatbuffer_u8(flatbuffer *file, uint32_t position);
uint32_t flatbuffer_u16(flatbuffer *file, uint32_t position);
uint32_t flatbuffer_u32(flatbuffer *file, uint32_t position);

/* The table or vector that the offset at `position` leads to; absent for an absent position. */
uint32_t flatbuffer_follow(flatbuffer *file, uint32_t position);

/* Position of a table's field, 0 if the writer left it out. */
uint32_t flatbuffer_field(flatbuffer *file, uint32_t table, uint32_t field);

/* Scalar fields of a table with the schema's default. */
uint32_t flatbuffer_field_u8(flatbuffer *file, uint32_t table, uint32_t field, uint32_t absent);
uint32_t flatbuffer_field_u32(flatbuffer *file, uint32_t table, uint32_t field, uint32_t absent);

/* The first element of a vector field, whose elements are `element_bytes` long; 0 and count 0 if it is left out. */
uint32_t flatbuffer_vector(flatbuffer *file, uint32_t table, uint32_t field, uint32_t element_bytes, uint32_t *count);

/* The table at `index` of a vector of tables. */
uint32_t flatbuffer_table_at(flatbuffer *file, uint32_t first, uint32_t count, uint32_t index);

#endif
