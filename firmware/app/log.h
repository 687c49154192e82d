/* The last lines of the log, numbered by byte since the start, for the hub to read. */
#ifndef EDGELOOP_LOG_H
#define EDGELOOP_LOG_H

#include <stddef.h>
#include <stdint.h>

enum { LOG_BYTES = 2048 };

typedef struct {
    uint32_t next; /* bytes ever written */
    uint8_t text[LOG_BYTES];
} log_ring;

/* "<seconds> <text>" or "<seconds> <text> <number>", and a newline. */
void log_line(log_ring *log, int64_t now_ms, const char *text);
void log_number(log_ring *log, int64_t now_ms, const char *text, int64_t number);

/* Bytes from `*from` on; `*from` rises to the oldest that is kept. */
size_t log_read(const log_ring *log, uint32_t *from, uint8_t *text, size_t space);

#endif
