/* Frames: the golden bytes, and what any damage to them does. */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "vectors.h"
#include "wire/bytes.h"
#include "wire/wire.h"

static wire_reader reader;
static uint8_t bytes[4 * WIRE_FRAME_MAX];

static void crc_is_the_published_one(void)
{
    CHECK_EQUAL(wire_crc32(0, (const uint8_t *)"123456789", 9), 0xCBF43926u);
    CHECK_EQUAL(wire_crc32(wire_crc32(0, (const uint8_t *)"1234", 4), (const uint8_t *)"56789", 5), 0xCBF43926u);
    CHECK_EQUAL(wire_crc32(0, (const uint8_t *)"", 0), 0);
}

static void numbers_go_there_and_back(void)
{
    put_i64(bytes + 1, INT64_MIN + 5);
    CHECK(get_i64(bytes + 1) == INT64_MIN + 5);
    put_u32(bytes + 3, 0xFEDCBA98u);
    CHECK_EQUAL(get_u32(bytes + 3), 0xFEDCBA98u);
    CHECK_EQUAL(bytes[3], 0x98);
    CHECK_EQUAL(get_u16(bytes + 5), 0xFEDC);
}

static void frames_equal_the_golden_bytes(const char *vectors)
{
    uint8_t found[WIRE_FRAME_MAX], payload[WIRE_PAYLOAD_MAX];
    size_t count, expected;

    CHECK_EQUAL(wire_encode(0x20, 0, 0, NULL, 0, found, sizeof found, &count), STATUS_OK);
    expected = vectors_bytes(vectors, "frame_empty", bytes, sizeof bytes);
    CHECK_EQUAL(count, expected);
    CHECK_BYTES(found, bytes, expected);
    CHECK_EQUAL(
        wire_encode(0x7E, 0, 0xFEDCBA98u, (const uint8_t *)"EL is no frame here", 19, found, sizeof found, &count),
        STATUS_OK);
    expected = vectors_bytes(vectors, "frame_text", bytes, sizeof bytes);
    CHECK_EQUAL(count, expected);
    CHECK_BYTES(found, bytes, expected);
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] = (uint8_t)i;
    }
    CHECK_EQUAL(wire_encode(0x23, 0, 1, payload, sizeof payload, found, sizeof found, &count), STATUS_OK);
    expected = vectors_bytes(vectors, "frame_longest", bytes, sizeof bytes);
    CHECK_EQUAL(count, expected);
    CHECK_BYTES(found, bytes, expected);
}

static void what_cannot_be_written_is_refused(void)
{
    uint8_t small[20];
    size_t count = 77;

    CHECK_EQUAL(wire_encode(1, 0, 0, bytes, WIRE_PAYLOAD_MAX + 1, bytes, sizeof bytes, &count), STATUS_WIRE_LENGTH);
    CHECK_EQUAL(wire_encode(1, 0, 0, bytes, 5, small, sizeof small, &count), STATUS_WIRE_SPACE);
    CHECK_EQUAL(count, 77);
    CHECK_EQUAL(wire_encode(1, 0, 0, bytes, 4, small, sizeof small, &count), STATUS_OK);
}

/* Feeds `count` of `bytes` in parts of `part`; counts the frames of type 0x7E and the bytes refused. */
static int frames_found(size_t count, size_t part, int *refusals)
{
    wire_frame frame;
    status_t status;
    int found = 0;

    *refusals = 0;
    wire_reader_start(&reader);
    for (size_t at = 0; at < count;) {
        size_t left = count - at;

        at += wire_feed(&reader, bytes + at, left < part ? left : part);
        while ((status = wire_next(&reader, &frame)) != STATUS_WIRE_TRUNCATED) {
            if (status != STATUS_OK) {
                ++*refusals;
            } else if (frame.type == 0x7E && frame.payload_bytes == 19 &&
                       memcmp(frame.payload, "EL is no frame here", 19) == 0) {
                found++;
            }
        }
    }
    return found;
}

static void frames_are_found_in_parts_of_any_size(const char *vectors)
{
    size_t one = vectors_bytes(vectors, "frame_text", bytes, sizeof bytes);
    int refusals;

    memcpy(bytes + one, bytes, one);
    memcpy(bytes + 2 * one, bytes, one);
    for (size_t part = 1; part <= 3 * one; part++) {
        CHECK_EQUAL(frames_found(3 * one, part, &refusals), 3);
        CHECK_EQUAL(refusals, 0);
    }
}

static void every_damaged_bit_is_refused_and_the_next_frame_is_found(const char *vectors)
{
    size_t one = vectors_bytes(vectors, "frame_text", bytes, sizeof bytes);
    int refusals;

    memcpy(bytes + one, bytes, one);
    for (size_t bit = 0; bit < 8 * one; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK_EQUAL(frames_found(2 * one, 2 * one, &refusals), 1);
        CHECK(refusals > 0);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void a_lost_byte_costs_at_most_the_next_frame(const char *vectors)
{
    uint8_t frame[64];
    size_t one = vectors_bytes(vectors, "frame_text", frame, sizeof frame);
    int refusals;

    for (size_t lost = 0; lost < one; lost++) {
        memcpy(bytes, frame, lost);
        memcpy(bytes + lost, frame + lost + 1, one - lost - 1);
        for (size_t i = 0; i < 3; i++) {
            memcpy(bytes + one - 1 + i * one, frame, one);
        }
        CHECK(frames_found(4 * one - 1, 7, &refusals) >= 2);
        CHECK(refusals > 0);
    }
}

static void junk_is_skipped_once_and_by_name(const char *vectors)
{
    wire_frame frame;
    size_t one;

    memset(bytes, 'E', 100); /* each may begin a frame until the next byte is seen */
    one = vectors_bytes(vectors, "frame_empty", bytes + 100, 100);
    wire_reader_start(&reader);
    wire_feed(&reader, bytes, 100 + one);
    CHECK_EQUAL(wire_next(&reader, &frame), STATUS_WIRE_MAGIC);
    CHECK_EQUAL(wire_next(&reader, &frame), STATUS_OK);
    CHECK_EQUAL(frame.payload_bytes, 0);
    CHECK_EQUAL(wire_next(&reader, &frame), STATUS_WIRE_TRUNCATED);
}

static void a_length_beyond_the_limit_is_refused_at_once(void)
{
    wire_frame frame;

    wire_put_header(bytes, 1, 0, 0, WIRE_PAYLOAD_MAX + 1);
    wire_reader_start(&reader);
    wire_feed(&reader, bytes, WIRE_HEADER_BYTES);
    CHECK_EQUAL(wire_next(&reader, &frame), STATUS_WIRE_LENGTH);
    CHECK_EQUAL(wire_next(&reader, &frame), STATUS_WIRE_TRUNCATED);
}

static void a_full_reader_takes_no_more(const char *vectors)
{
    wire_frame frame;
    size_t one = vectors_bytes(vectors, "frame_longest", bytes, sizeof bytes);

    CHECK_EQUAL(one, WIRE_FRAME_MAX);
    wire_reader_start(&reader);
    CHECK_EQUAL(wire_feed(&reader, bytes, one), one);
    CHECK_EQUAL(wire_feed(&reader, bytes, one), 0);
    CHECK_EQUAL(wire_next(&reader, &frame), STATUS_OK);
    CHECK_EQUAL(frame.payload_bytes, WIRE_PAYLOAD_MAX);
    CHECK_EQUAL(wire_feed(&reader, bytes, one), one);
    CHECK_EQUAL(wire_next(&reader, &frame), STATUS_OK);
}

int main(void)
{
    char *vectors = vectors_read(VECTORS_FOLDER "/wire.json");

    crc_is_the_published_one();
    numbers_go_there_and_back();
    frames_equal_the_golden_bytes(vectors);
    what_cannot_be_written_is_refused();
    frames_are_found_in_parts_of_any_size(vectors);
    every_damaged_bit_is_refused_and_the_next_frame_is_found(vectors);
    a_lost_byte_costs_at_most_the_next_frame(vectors);
    junk_is_skipped_once_and_by_name(vectors);
    a_length_beyond_the_limit_is_refused_at_once();
    a_full_reader_takes_no_more(vectors);
    free(vectors);
    return check_result();
}
