#include "log.h"

#include <string.h>

static void put(log_ring *log, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        log->text[log->next++ % LOG_BYTES] = (uint8_t)text[i];
    }
}

static void put_number(log_ring *log, int64_t number)
{
    char digits[21];
    size_t first = sizeof digits;
    uint64_t rest = number < 0 ? 0u - (uint64_t)number : (uint64_t)number;

    do {
        digits[--first] = (char)('0' + (int)(rest % 10u));
        rest /= 10u;
    } while (rest > 0);
    if (number < 0) {
        digits[--first] = '-';
    }
    put(log, digits + first, sizeof digits - first);
}

void log_line(log_ring *log, int64_t now_ms, const char *text)
{
    put_number(log, now_ms / 1000);
    put(log, " ", 1);
    put(log, text, strlen(text));
    put(log, "\n", 1);
}

void log_number(log_ring *log, int64_t now_ms, const char *text, int64_t number)
{
    put_number(log, now_ms / 1000);
    put(log, " ", 1);
    put(log, text, strlen(text));
    put(log, " ", 1);
    put_number(log, number);
    put(log, "\n", 1);
}

size_t log_read(const log_ring *log, uint32_t *from, uint8_t *text, size_t space)
{
    uint32_t oldest = log->next > LOG_BYTES ? log->next - LOG_BYTES : 0;
    size_t bytes = 0;

    if (*from < oldest) {
        *from = oldest;
    }
    if (*from > log->next) {
        *from = log->next;
    }
    while (bytes < space && *from + bytes < log->next) {
        text[bytes] = log->text[(*from + bytes) % LOG_BYTES];
        bytes++;
    }
    return bytes;
}
