#include "ring/ring.h"

#include <string.h>

#include "wire/bytes.h"
#include "wire/wire.h"

/* Header: u32 magic, capacity, first, acknowledged, next, dropped, writes, CRC-32 of the 28 bytes before it. */
#define MAGIC 0x676E6952u /* "Ring" */

static int read_header(ring *r, const uint8_t *header)
{
    if (get_u32(header) != MAGIC || get_u32(header + 4) != r->capacity ||
        get_u32(header + 28) != wire_crc32(0, header, 28)) {
        return 0;
    }
    r->first = get_u32(header + 8);
    r->acknowledged = get_u32(header + 12);
    r->next = get_u32(header + 16);
    r->dropped = get_u32(header + 20);
    r->writes = get_u32(header + 24);
    return 1;
}

static void tell(const ring *r, size_t offset, size_t bytes)
{
    if (r->changed != NULL) {
        r->changed(r->context, offset, bytes);
    }
}

static void write_header(ring *r)
{
    size_t offset = (++r->writes & 1u) * RING_HEADER_BYTES;
    uint8_t *header = r->memory + offset;

    put_u32(header, MAGIC);
    put_u32(header + 4, r->capacity);
    put_u32(header + 8, r->first);
    put_u32(header + 12, r->acknowledged);
    put_u32(header + 16, r->next);
    put_u32(header + 20, r->dropped);
    put_u32(header + 24, r->writes);
    put_u32(header + 28, wire_crc32(0, header, 28));
    tell(r, offset, RING_HEADER_BYTES);
}

status_t ring_attach(ring *r, void *memory, size_t bytes, void (*changed)(void *, size_t, size_t), void *context)
{
    ring other;
    int even, odd;

    if (bytes < RING_BYTES(2) || bytes > UINT32_MAX) {
        return STATUS_RING_MEMORY;
    }
    memset(r, 0, sizeof *r);
    r->memory = memory;
    r->changed = changed;
    r->context = context;
    /* The free place: a reading being written never overwrites one that a valid header still counts. */
    r->capacity = (uint32_t)((bytes - 2u * RING_HEADER_BYTES) / RING_READING_BYTES) - 1u;
    other = *r;
    even = read_header(r, r->memory);
    odd = read_header(&other, r->memory + RING_HEADER_BYTES);
    if (odd && (!even || (int32_t)(other.writes - r->writes) > 0)) {
        *r = other;
    }
    return STATUS_OK;
}

static uint8_t *place(const ring *r, uint32_t number)
{
    return r->memory + 2 * RING_HEADER_BYTES + (size_t)(number % (r->capacity + 1u)) * RING_READING_BYTES;
}

uint32_t ring_add(ring *r, const ring_reading *reading)
{
    uint8_t *at = place(r, r->next);

    put_i64(at, reading->time_ms);
    put_u32(at + 8, (uint32_t)reading->microcelsius);
    tell(r, (size_t)(at - r->memory), RING_READING_BYTES);
    r->next++;
    if (r->next - r->first > r->capacity) {
        if (r->acknowledged == r->first) {
            r->acknowledged++;
            r->dropped++;
        }
        r->first++;
    }
    write_header(r);
    return r->next - 1u;
}

status_t ring_get(const ring *r, uint32_t number, ring_reading *reading)
{
    const uint8_t *at = place(r, number);

    if (number - r->first >= r->next - r->first) {
        return STATUS_RING_RANGE;
    }
    reading->time_ms = get_i64(at);
    reading->microcelsius = (int32_t)get_u32(at + 8);
    return STATUS_OK;
}

status_t ring_acknowledge(ring *r, uint32_t next)
{
    if (next - r->acknowledged > r->next - r->acknowledged) {
        return STATUS_RING_RANGE;
    }
    if (next == r->acknowledged) {
        return STATUS_OK;
    }
    r->acknowledged = next;
    write_header(r);
    return STATUS_OK;
}
