/* Frames: what both sides of a board's link send, each with its own check, so that a damaged one is refused by name and
 * the next one is found again. deployers/protocol/frame.py is the same in Python, SPEC.md chapter "Frames" has the bytes.
 *
 *     wire_reader_start(&reader);
 *     for (;;) {
 *         taken = wire_feed(&reader, bytes, count);
 *         while ((status = wire_next(&reader, &frame)) != STATUS_WIRE_TRUNCATED) {
 *             if (status == STATUS_OK) ... use frame, until the next call ...
 *             else ... refuse with this status; the reader is already past the damage ...
 *         }
 *     } */
#ifndef EDGELOOP_WIRE_H
#define EDGELOOP_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

enum {
    WIRE_HEADER_BYTES = 12,
    WIRE_CRC_BYTES = 4,
    WIRE_PAYLOAD_MAX = 1040, /* a chunk of 1024 bytes, its offset, a tag, and room to spare */
    WIRE_FRAME_MAX = WIRE_HEADER_BYTES + WIRE_PAYLOAD_MAX + WIRE_CRC_BYTES,
    WIRE_FLAG_TAGGED = 1 /* the payload ends with an authentication tag */
};

typedef struct {
    uint8_t type;
    uint8_t flags;
    uint32_t sequence;     /* counts the frames of one sender on one connection, from 0 */
    const uint8_t *header; /* WIRE_HEADER_BYTES, as received */
    const uint8_t *payload;
    size_t payload_bytes;
} wire_frame;

typedef struct {
    uint8_t buffer[WIRE_FRAME_MAX];
    size_t filled;
    size_t used; /* bytes at the start that the last wire_next has dealt with */
} wire_reader;

/* CRC-32 as in ISO 3309, zlib and Ethernet; `crc` is 0 at first, then what the last call returned. */
uint32_t wire_crc32(uint32_t crc, const uint8_t *bytes, size_t count);

/* Write the header of a frame whose payload has `payload_bytes`, which must be at most WIRE_PAYLOAD_MAX. */
void wire_put_header(uint8_t *header, uint8_t type, uint8_t flags, uint32_t sequence, size_t payload_bytes);

/* Close a frame: header and payload stand at `frame`, the CRC is appended. Returns the bytes of the whole frame. */
size_t wire_close(uint8_t *frame, size_t payload_bytes);

/* A whole frame at `out`. STATUS_WIRE_LENGTH, or STATUS_WIRE_SPACE if `space` is too small. */
status_t wire_encode(uint8_t type, uint8_t flags, uint32_t sequence, const uint8_t *payload, size_t payload_bytes,
                     uint8_t *out, size_t space, size_t *frame_bytes);

void wire_reader_start(wire_reader *reader);

/* Take as many bytes as there is room for; returns how many. With an empty reader that is a whole frame's length. */
size_t wire_feed(wire_reader *reader, const uint8_t *bytes, size_t count);

/* The next frame (STATUS_OK), the reason why bytes were skipped, or STATUS_WIRE_TRUNCATED: feed more. */
status_t wire_next(wire_reader *reader, wire_frame *frame);

#endif
