/* Little-endian numbers at any address. */
#ifndef EDGELOOP_WIRE_BYTES_H
#define EDGELOOP_WIRE_BYTES_H

#include <stdint.h>

static inline void put_u16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static inline void put_u32(uint8_t *at, uint32_t value)
{
    put_u16(at, value);
    put_u16(at + 2, value >> 16);
}

static inline void put_i64(uint8_t *at, int64_t value)
{
    put_u32(at, (uint32_t)(uint64_t)value);
    put_u32(at + 4, (uint32_t)((uint64_t)value >> 32));
}

static inline uint32_t get_u16(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

static inline uint32_t get_u32(const uint8_t *at)
{
    return get_u16(at) | get_u16(at + 2) << 16;
}

static inline int64_t get_i64(const uint8_t *at)
{
    return (int64_t)((uint64_t)get_u32(at) | (uint64_t)get_u32(at + 4) << 32);
}

#endif
