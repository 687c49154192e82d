/* The application as a program of the machine it runs on.
 *
 *     edgeloop-native folder=DIR port=N [hub=127.0.0.1] [id=board-1] [sensor=-|PORT|FILE] [test_ms=N]
 *
 * sensor=- reads lines "time_ms,microcelsius" from standard input, a number is a local TCP port that gives them,
 * anything else is a file or a terminal device. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app.h"
#include "net.h"
#include "virtual.h"

/* The application's own times (a new attempt to connect, the end of a test) may come so much later. Hundreds of boards
 * on one machine cost little while they have nothing to do. */
enum { IDLE_MS = 200 };

static uint8_t flash[VIRTUAL_FLASH_BYTES];
static app application;
static virtual_settings settings;
static int link_connection = -1, sensor_file = -1;
/* In the last step: something moved; the sensor was asked; the link did not take everything. */
static int busy, asked, unsent;
static sensor_line line;

static int64_t now_ms(void *context)
{
    static int64_t start;
    struct timespec now;
    int64_t ms;

    (void)context;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (start == 0) {
        start = ms;
    }
    return ms - start;
}

static int read_sensor(void *context, ring_reading *reading)
{
    char character;

    (void)context;
    asked = 1;
    while (sensor_file >= 0) {
        ssize_t count = read(sensor_file, &character, 1);

        if (count == 0) { /* the source has ended; the board goes on */
            (void)close(sensor_file);
            sensor_file = -1;
        }
        if (count <= 0) {
            return 0;
        }
        busy = 1;
        if (sensor_line_add(&line, character, reading)) {
            return 1;
        }
    }
    return 0;
}

static int open_sensor(const char *name)
{
    static const uint8_t this_machine[4] = {127, 0, 0, 1};
    char *end;
    long port = strtol(name, &end, 10);
    int flags;

    if (strcmp(name, "-") == 0) {
        sensor_file = STDIN_FILENO;
    } else if (*end == '\0' && port > 0 && port < 65536) {
        (void)net_open(this_machine, (uint16_t)port, &sensor_file);
    } else {
        sensor_file = open(name, O_RDONLY | O_NOCTTY);
    }
    if (sensor_file < 0) {
        return -1;
    }
    flags = fcntl(sensor_file, F_GETFL);
    return fcntl(sensor_file, F_SETFL, flags | O_NONBLOCK);
}

static int link_connect(void *context)
{
    (void)context;
    return net_open(settings.hub, settings.port, &link_connection);
}

static int link_send(void *context, const uint8_t *bytes, size_t count)
{
    int sent = net_send(link_connection, bytes, count);

    (void)context;
    busy |= sent > 0;
    unsent = sent >= 0 && (size_t)sent < count;
    return sent;
}

static int link_receive(void *context, uint8_t *bytes, size_t space)
{
    int received = net_receive(link_connection, bytes, space);

    (void)context;
    busy |= received > 0;
    return received;
}

static void link_close(void *context)
{
    (void)context;
    net_close(&link_connection);
}

static int fail(const char *what, const char *reason)
{
    fprintf(stderr, "edgeloop-native: '%s': %s\n", what, reason);
    return 2;
}

int main(int count, char **words)
{
    static const uint8_t this_machine[4] = {127, 0, 0, 1};
    board_port board;
    const char *reason;

    virtual_defaults(&settings);
    memcpy(settings.hub, this_machine, 4);
    for (int i = 1; i < count; i++) {
        if (virtual_set(&settings, words[i], &reason) != 0) {
            return fail(words[i], reason);
        }
    }
    reason = virtual_start(&settings, flash, &board);
    if (reason != NULL) {
        return fail(settings.folder, reason);
    }
    if (settings.sensor[0] != '\0' && open_sensor(settings.sensor) != 0) {
        return fail(settings.sensor, "no such sensor; expected -, a local port or a file");
    }
    board.now_ms = now_ms;
    board.sensor = read_sensor;
    board.sensor_waits = sensor_file < 0 || !isatty(sensor_file);
    board.link_connect = link_connect;
    board.link_send = link_send;
    board.link_receive = link_receive;
    board.link_close = link_close;
    for (;;) {
        status_t status = app_start(&application, &board);

        if (status != STATUS_OK) {
            return fail("start", "the ring of readings has no memory");
        }
        busy = 1;
        do {
            if (!busy) {
                /* A sensor that is held back would end every wait at once. */
                net_wait(link_connection, unsent, asked ? sensor_file : -1, IDLE_MS);
            }
            busy = asked = unsent = 0;
        } while (app_step(&application));
    }
}
