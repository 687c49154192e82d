#include "nn/flatbuffer.h"

/* The reader can still read `bytes` at `position`. */
static int holds(flatbuffer *file, uint32_t position, uint32_t bytes)
{
    if (file->failed || position > file->size || bytes > file->size - position) {
        file->failed = 1;
        return 0;
    }
    return 1;
}

uint32_t flatbuffer_u8(flatbuffer *file, uint32_t position)
{
    return holds(file, position, 1) ? file->base[position] : 0;
}

uint32_t flatbuffer_u16(flatbuffer *file, uint32_t position)
{
    if (!holds(file, position, 2)) {
        return 0;
    }
    const uint8_t *at = file->base + position;
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

uint32_t flatbuffer_u32(flatbuffer *file, uint32_t position)
{
    if (!holds(file, position, 4)) {
        return 0;
    }
    const uint8_t *at = file->base + position;
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint32_t flatbuffer_follow(flatbuffer *file, uint32_t position)
{
    if (!position) {
        return 0;
    }
    uint32_t offset = flatbuffer_u32(file, position);
    /* An offset of zero leads a table into itself. */
    if (!offset || offset > file->size || position > file->size - offset) {
        file->failed = 1;
        return 0;
    }
    return position + offset;
}

uint32_t flatbuffer_field(flatbuffer *file, uint32_t table, uint32_t field)
{
    if (!table) {
        return 0;
    }
    /* The offset to the vtable is signed and is subtracted; both directions wrap to the right place modulo 2^32. */
    uint32_t vtable = table - flatbuffer_u32(file, table);
    uint32_t vtable_bytes = flatbuffer_u16(file, vtable);
    uint32_t entry = 4 + 2 * field;
    if (file->failed || entry + 2 > vtable_bytes) {
        return 0;
    }
    uint32_t offset = flatbuffer_u16(file, vtable + entry);
    if (!offset || !holds(file, table, offset + 1)) {
        return 0;
    }
    return table + offset;
}

uint32_t flatbuffer_field_u8(flatbuffer *file, uint32_t table, uint32_t field, uint32_t absent)
{
    uint32_t position = flatbuffer_field(file, table, field);
    return position ? flatbuffer_u8(file, position) : absent;
}

uint32_t flatbuffer_field_u32(flatbuffer *file, uint32_t table, uint32_t field, uint32_t absent)
{
    uint32_t position = flatbuffer_field(file, table, field);
    return position ? flatbuffer_u32(file, position) : absent;
}

uint32_t flatbuffer_vector(flatbuffer *file, uint32_t table, uint32_t field, uint32_t element_bytes, uint32_t *count)
{
    *count = 0;
    uint32_t vector = flatbuffer_follow(file, flatbuffer_field(file, table, field));
    if (!vector) {
        return 0;
    }
    uint32_t elements = flatbuffer_u32(file, vector);
    if (elements > file->size / element_bytes || !holds(file, vector + 4, elements * element_bytes)) {
        file->failed = 1;
        return 0;
    }
    *count = elements;
    return vector + 4;
}

uint32_t flatbuffer_table_at(flatbuffer *file, uint32_t first, uint32_t count, uint32_t index)
{
    if (index >= count) {
        file->failed = 1;
        return 0;
    }
    return flatbuffer_follow(file, first + 4 * index);
}
