/* The reader of flatbuffers at the edges of a file: the last byte that may be read, and the first that may not. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "nn/flatbuffer.h"

/* A root table at 8 with its vtable at 24: field 0 a u32, field 1 left out, field 2 a
 * vector of two tables, field 3 a byte. */
enum { ROOT = 8, VTABLE = 24, VECTOR = 36, FIRST = VECTOR + 4, FILE_BYTES = 52 };

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value);
    put16(at + 2, value >> 16);
}

/* In a block of its own, so that a sanitizer sees the first byte beyond it. */
static uint8_t *sample(void)
{
    uint8_t *bytes = calloc(FILE_BYTES, 1);
    put32(bytes, ROOT);
    put32(bytes + ROOT, (uint32_t)ROOT - VTABLE);
    put32(bytes + ROOT + 4, 0xA1B2C3D4u);
    put32(bytes + ROOT + 8, VECTOR - (ROOT + 8));
    bytes[ROOT + 12] = 77;
    put16(bytes + VTABLE, 12);
    put16(bytes + VTABLE + 2, 13);
    put16(bytes + VTABLE + 4, 4);
    put16(bytes + VTABLE + 6, 0);
    put16(bytes + VTABLE + 8, 8);
    put16(bytes + VTABLE + 10, 12);
    put32(bytes + VECTOR, 2);
    put32(bytes + FIRST, 8);
    put32(bytes + FIRST + 4, 4);
    return bytes;
}

static flatbuffer opened(const uint8_t *bytes, uint32_t size)
{
    return (flatbuffer){bytes, size, 0};
}

static void test_fields(void)
{
    uint8_t *bytes = sample();
    flatbuffer file = opened(bytes, FILE_BYTES);
    uint32_t count;
    CHECK_EQUAL(flatbuffer_follow(&file, 0), 0);
    CHECK_EQUAL(flatbuffer_u32(&file, 0), ROOT);
    CHECK_EQUAL(flatbuffer_field(&file, ROOT, 0), ROOT + 4);
    CHECK_EQUAL(flatbuffer_field_u32(&file, ROOT, 0, 5), 0xA1B2C3D4u);
    CHECK_EQUAL(flatbuffer_field_u32(&file, ROOT, 1, 5), 5);
    CHECK_EQUAL(flatbuffer_field_u8(&file, ROOT, 3, 5), 77);
    CHECK_EQUAL(flatbuffer_field_u8(&file, ROOT, 4, 5), 5);
    CHECK_EQUAL(flatbuffer_field_u8(&file, 0, 0, 9), 9);
    CHECK_EQUAL(flatbuffer_vector(&file, ROOT, 2, 4, &count), FIRST);
    CHECK_EQUAL(count, 2);
    CHECK_EQUAL(flatbuffer_vector(&file, ROOT, 1, 4, &count), 0);
    CHECK_EQUAL(count, 0);
    CHECK_EQUAL(flatbuffer_table_at(&file, FIRST, 2, 0), FIRST + 8);
    CHECK_EQUAL(flatbuffer_table_at(&file, FIRST, 2, 1), FIRST + 8);
    CHECK(!file.failed);
    free(bytes);
}

/* A number is read if its last byte is the file's last, and not one byte further. */
static void test_the_last_byte(void)
{
    uint8_t *bytes = sample();
    bytes[FILE_BYTES - 1] = 0x7F;
    for (uint32_t width = 1; width <= 4; width *= 2) {
        for (uint32_t beyond = 0; beyond < 6; beyond++) {
            flatbuffer file = opened(bytes, FILE_BYTES);
            uint32_t position = FILE_BYTES - width + beyond;
            uint32_t found = width == 1   ? flatbuffer_u8(&file, position)
                             : width == 2 ? flatbuffer_u16(&file, position)
                                          : flatbuffer_u32(&file, position);
            CHECK_EQUAL(file.failed, beyond > 0);
            CHECK_EQUAL(found, beyond ? 0 : 0x7Fu << 8 * (width - 1));
        }
    }
    flatbuffer file = opened(bytes, FILE_BYTES);
    CHECK_EQUAL(flatbuffer_u32(&file, 0xFFFFFFFFu), 0);
    CHECK(file.failed);
    free(bytes);
}

static void test_a_failure_stays(void)
{
    uint8_t *bytes = sample();
    flatbuffer file = opened(bytes, FILE_BYTES);
    flatbuffer_u8(&file, FILE_BYTES);
    CHECK(file.failed);
    CHECK_EQUAL(flatbuffer_u32(&file, 0), 0);
    CHECK_EQUAL(flatbuffer_field(&file, ROOT, 0), 0);
    free(bytes);
}

static void check_follow(uint32_t offset, uint32_t expected)
{
    uint8_t *bytes = sample();
    put32(bytes + 4, offset);
    flatbuffer file = opened(bytes, FILE_BYTES);
    CHECK_EQUAL(flatbuffer_follow(&file, 4), expected);
    CHECK_EQUAL(file.failed, !expected);
    free(bytes);
}

static void test_offsets(void)
{
    check_follow(1, 5);
    check_follow(FILE_BYTES - 4, FILE_BYTES);
    check_follow(FILE_BYTES - 3, 0);
    check_follow(FILE_BYTES, 0);
    check_follow(FILE_BYTES + 1, 0);
    check_follow(0x7FFFFFFFu, 0);
    check_follow(0xFFFFFFFFu, 0);
    /* position + offset comes round to the start of the file */
    check_follow(0u - 4, 0);
    check_follow(0, 0);
}

static void check_vector(uint32_t elements, uint32_t element_bytes, int holds)
{
    uint8_t *bytes = sample();
    uint32_t count = 99;
    put32(bytes + VECTOR, elements);
    flatbuffer file = opened(bytes, FILE_BYTES);
    CHECK_EQUAL(flatbuffer_vector(&file, ROOT, 2, element_bytes, &count), holds ? FIRST : 0);
    CHECK_EQUAL(count, holds ? elements : 0);
    CHECK_EQUAL(file.failed, !holds);
    free(bytes);
}

static void test_vectors(void)
{
    enum { LEFT = FILE_BYTES - FIRST };
    check_vector(0, 4, 1);
    check_vector(LEFT, 1, 1);
    check_vector(LEFT + 1, 1, 0);
    check_vector(LEFT / 4, 4, 1);
    check_vector(LEFT / 4 + 1, 4, 0);
    check_vector(0x40000000u, 4, 0);
    check_vector(0xFFFFFFFFu, 1, 0);
    check_vector(0x20000001u, 8, 0);
}

static void test_indices(void)
{
    uint8_t *bytes = sample();
    for (uint32_t index = 2; index < 5; index++) {
        flatbuffer file = opened(bytes, FILE_BYTES);
        CHECK_EQUAL(flatbuffer_table_at(&file, FIRST, 2, index), 0);
        CHECK(file.failed);
    }
    free(bytes);
}

/* A vtable that ends in the middle of a field has none; one outside the file, or a field outside it, is a failure. */
static void test_vtables(void)
{
    uint8_t *bytes = sample();
    flatbuffer file = opened(bytes, FILE_BYTES);
    put16(bytes + VTABLE, 6);
    CHECK_EQUAL(flatbuffer_field(&file, ROOT, 0), ROOT + 4);
    put16(bytes + VTABLE, 5);
    CHECK_EQUAL(flatbuffer_field(&file, ROOT, 0), 0);
    CHECK(!file.failed);
    put16(bytes + VTABLE, 12);
    put16(bytes + VTABLE + 4, FILE_BYTES - ROOT - 1);
    CHECK_EQUAL(flatbuffer_field(&file, ROOT, 0), FILE_BYTES - 1);
    CHECK(!file.failed);
    put16(bytes + VTABLE + 4, FILE_BYTES - ROOT);
    CHECK_EQUAL(flatbuffer_field(&file, ROOT, 0), 0);
    CHECK(file.failed);
    file = opened(bytes, FILE_BYTES);
    put32(bytes + ROOT, 0x80000000u);
    CHECK_EQUAL(flatbuffer_field(&file, ROOT, 0), 0);
    CHECK(file.failed);
    free(bytes);
}

int main(void)
{
    test_fields();
    test_the_last_byte();
    test_a_failure_stays();
    test_offsets();
    test_vectors();
    test_indices();
    test_vtables();
    return check_result();
}
