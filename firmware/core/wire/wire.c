#include "wire/wire.h"

#include <string.h>

#include "wire/bytes.h"

enum { MAGIC_0 = 'E', MAGIC_1 = 'L', CHECKED_BYTES = WIRE_HEADER_BYTES - 2 };

uint32_t wire_crc32(uint32_t crc, const uint8_t *bytes, size_t count)
{
    /* The polynomial 0xEDB88320 for each value of four bits: a sixteenth of the usual table. */
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
        0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };

    crc = ~crc;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15u];
        crc = crc >> 4 ^ table[crc & 15u];
    }
    return ~crc;
}

void wire_put_header(uint8_t *header, uint8_t type, uint8_t flags, uint32_t sequence, size_t payload_bytes)
{
    header[0] = MAGIC_0;
    header[1] = MAGIC_1;
    header[2] = type;
    header[3] = flags;
    put_u32(header + 4, sequence);
    put_u16(header + 8, (uint32_t)payload_bytes);
    put_u16(header + CHECKED_BYTES, wire_crc32(0, header, CHECKED_BYTES));
}

size_t wire_close(uint8_t *frame, size_t payload_bytes)
{
    size_t covered = WIRE_HEADER_BYTES + payload_bytes;

    put_u32(frame + covered, wire_crc32(0, frame, covered));
    return covered + WIRE_CRC_BYTES;
}

status_t wire_encode(uint8_t type, uint8_t flags, uint32_t sequence, const uint8_t *payload, size_t payload_bytes,
                     uint8_t *out, size_t space, size_t *frame_bytes)
{
    if (payload_bytes > WIRE_PAYLOAD_MAX) {
        return STATUS_WIRE_LENGTH;
    }
    if (space < WIRE_HEADER_BYTES + payload_bytes + WIRE_CRC_BYTES) {
        return STATUS_WIRE_SPACE;
    }
    wire_put_header(out, type, flags, sequence, payload_bytes);
    if (payload_bytes > 0) {
        memcpy(out + WIRE_HEADER_BYTES, payload, payload_bytes);
    }
    *frame_bytes = wire_close(out, payload_bytes);
    return STATUS_OK;
}

void wire_reader_start(wire_reader *reader)
{
    reader->filled = 0;
    reader->used = 0;
}

static void discard_used(wire_reader *reader)
{
    reader->filled -= reader->used;
    memmove(reader->buffer, reader->buffer + reader->used, reader->filled);
    reader->used = 0;
}

size_t wire_feed(wire_reader *reader, const uint8_t *bytes, size_t count)
{
    size_t room;

    discard_used(reader);
    room = sizeof reader->buffer - reader->filled;
    if (count > room) {
        count = room;
    }
    if (count > 0) {
        memcpy(reader->buffer + reader->filled, bytes, count);
    }
    reader->filled += count;
    return count;
}

/* Bytes from `start` on up to the first that can begin a frame. */
static size_t bytes_before_magic(const wire_reader *reader, size_t start)
{
    size_t at = start;

    while (at < reader->filled) {
        if (reader->buffer[at] == MAGIC_0 && (at + 1 == reader->filled || reader->buffer[at + 1] == MAGIC_1)) {
            break;
        }
        at++;
    }
    return at;
}

static status_t skip(wire_reader *reader, size_t count, status_t reason)
{
    reader->used = count;
    return reason;
}

static status_t check_header(const uint8_t *header)
{
    if (get_u16(header + CHECKED_BYTES) != (wire_crc32(0, header, CHECKED_BYTES) & 0xFFFFu)) {
        return STATUS_WIRE_HEADER;
    }
    return get_u16(header + 8) > WIRE_PAYLOAD_MAX ? STATUS_WIRE_LENGTH : STATUS_OK;
}

status_t wire_next(wire_reader *reader, wire_frame *frame)
{
    const uint8_t *bytes = reader->buffer;
    size_t junk, covered;
    status_t status;

    discard_used(reader);
    junk = bytes_before_magic(reader, 0);
    if (junk > 0) {
        return skip(reader, junk, STATUS_WIRE_MAGIC);
    }
    if (reader->filled < WIRE_HEADER_BYTES) {
        return STATUS_WIRE_TRUNCATED;
    }
    status = check_header(bytes);
    if (status != STATUS_OK) {
        return skip(reader, bytes_before_magic(reader, 1), status);
    }
    covered = WIRE_HEADER_BYTES + get_u16(bytes + 8);
    if (reader->filled < covered + WIRE_CRC_BYTES) {
        return STATUS_WIRE_TRUNCATED;
    }
    /* The header is sound, so its length is believed and nothing inside this payload is taken for a frame. */
    reader->used = covered + WIRE_CRC_BYTES;
    if (get_u32(bytes + covered) != wire_crc32(0, bytes, covered)) {
        return STATUS_WIRE_CRC;
    }
    frame->type = bytes[2];
    frame->flags = bytes[3];
    frame->sequence = get_u32(bytes + 4);
    frame->header = bytes;
    frame->payload = bytes + WIRE_HEADER_BYTES;
    frame->payload_bytes = covered - WIRE_HEADER_BYTES;
    return STATUS_OK;
}
