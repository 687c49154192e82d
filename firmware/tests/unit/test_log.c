/* The log: lines as written, numbered by byte, the oldest overwritten. */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "log.h"

static log_ring lines;
static uint8_t text[LOG_BYTES + 100];

static void expect(uint32_t from, uint32_t found_from, const char *wanted)
{
    size_t count = log_read(&lines, &from, text, sizeof text);

    CHECK_EQUAL(from, found_from);
    CHECK_EQUAL(count, strlen(wanted));
    CHECK_BYTES(text, wanted, strlen(wanted));
}

static void lines_are_written_as_text(void)
{
    memset(&lines, 0, sizeof lines);
    expect(0, 0, "");
    log_line(&lines, 1999, "start");
    log_number(&lines, 2000, "status", -110);
    log_number(&lines, -5000, "most", INT64_MAX);
    log_number(&lines, 0, "least", INT64_MIN);
    expect(0, 0, "1 start\n2 status -110\n-5 most 9223372036854775807\n0 least -9223372036854775808\n");
    expect(8, 8, "2 status -110\n-5 most 9223372036854775807\n0 least -9223372036854775808\n");
    expect(1000, lines.next, "");
}

static void a_reader_with_little_room_goes_on_where_it_was(void)
{
    uint32_t from = 0;
    size_t count;

    memset(&lines, 0, sizeof lines);
    log_line(&lines, 0, "in parts");
    for (size_t done = 0; done < lines.next; done += count) {
        from = (uint32_t)done;
        count = log_read(&lines, &from, text + done, 3);
        CHECK(count > 0 && count <= 3);
    }
    CHECK_BYTES(text, "0 in parts\n", 11);
}

static void the_oldest_bytes_go_first(void)
{
    uint32_t from = 0;
    size_t count;

    memset(&lines, 0, sizeof lines);
    for (int64_t i = 0; i < 1000; i++) {
        log_number(&lines, 0, "line", i);
    }
    count = log_read(&lines, &from, text, sizeof text);
    CHECK_EQUAL(count, LOG_BYTES);
    CHECK_EQUAL(from, lines.next - LOG_BYTES);
    CHECK_BYTES(text + count - 11, "0 line 999\n", 11);
}

int main(void)
{
    lines_are_written_as_text();
    a_reader_with_little_room_goes_on_where_it_was();
    the_oldest_bytes_go_first();
    return check_result();
}
