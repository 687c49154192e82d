/* The application as a library, with memory in the place of flash, link, sensor and clock: a test moves every byte and
 * every millisecond itself, and cuts where it likes. One board a process. */
#include <string.h>

#include "app.h"
#include "virtual.h"

enum { QUEUE_BYTES = 1 << 16 };

typedef struct {
    uint8_t bytes[QUEUE_BYTES];
    size_t count;
} byte_queue;

static uint8_t flash[VIRTUAL_FLASH_BYTES];
static app application;
static board_port board;
static byte_queue to_board, from_board;
static int reachable, connected;
static int64_t time_ms;
static ring_reading waiting;
static int has_reading;

/* Returns 0, or -1 if the folder cannot be used. */
int memory_board_start(const char *folder, int64_t test_ms);
/* One turn of the main loop; 0 when the application restarted. */
int memory_board_step(int64_t advance_ms);
/* The hub listens (1) or not (0); a connection that stands is lost by 0. */
void memory_board_reach(int is_reachable);
size_t memory_board_write(const uint8_t *bytes, size_t count);
size_t memory_board_read(uint8_t *bytes, size_t space);
int memory_board_sense(int64_t at_ms, int32_t microcelsius);
/* Power off and on: what is in flash and in the ring's memory stays. */
int memory_board_reset(void);
/* Everything gone, as from the factory. */
void memory_board_wipe(void);
int memory_board_is_connected(void);

static int64_t now_ms(void *context)
{
    (void)context;
    return time_ms;
}

static int read_sensor(void *context, ring_reading *reading)
{
    int found = has_reading;

    (void)context;
    *reading = waiting;
    has_reading = 0;
    return found;
}

static int link_connect(void *context)
{
    (void)context;
    to_board.count = 0;
    from_board.count = 0;
    connected = reachable;
    return connected ? 1 : -1;
}

static size_t take(byte_queue *queue, uint8_t *bytes, size_t count)
{
    if (count > queue->count) {
        count = queue->count;
    }
    memcpy(bytes, queue->bytes, count);
    queue->count -= count;
    memmove(queue->bytes, queue->bytes + count, queue->count);
    return count;
}

static size_t put(byte_queue *queue, const uint8_t *bytes, size_t count)
{
    if (count > sizeof queue->bytes - queue->count) {
        count = sizeof queue->bytes - queue->count;
    }
    memcpy(queue->bytes + queue->count, bytes, count);
    queue->count += count;
    return count;
}

static int link_send(void *context, const uint8_t *bytes, size_t count)
{
    (void)context;
    return connected ? (int)put(&from_board, bytes, count) : -1;
}

static int link_receive(void *context, uint8_t *bytes, size_t space)
{
    (void)context;
    return connected ? (int)take(&to_board, bytes, space) : -1;
}

static void link_close(void *context)
{
    (void)context;
    connected = 0;
}

int memory_board_start(const char *folder, int64_t test_ms)
{
    virtual_settings settings;
    const char *reason;

    virtual_defaults(&settings);
    if (strlen(folder) >= sizeof settings.folder - 20) {
        return -1;
    }
    memcpy(settings.folder, folder, strlen(folder) + 1);
    settings.test_ms = test_ms;
    reason = virtual_start(&settings, flash, &board);
    if (reason != NULL) {
        return -1;
    }
    board.now_ms = now_ms;
    board.sensor = read_sensor;
    board.link_connect = link_connect;
    board.link_send = link_send;
    board.link_receive = link_receive;
    board.link_close = link_close;
    return memory_board_reset();
}

int memory_board_reset(void)
{
    connected = 0;
    has_reading = 0;
    return app_start(&application, &board) == STATUS_OK ? 0 : -1;
}

void memory_board_wipe(void)
{
    memset(flash, 0xFF, sizeof flash);
    memset(board.ring_memory, 0, board.ring_bytes);
    (void)memory_board_reset();
}

int memory_board_step(int64_t advance_ms)
{
    time_ms += advance_ms;
    if (app_step(&application)) {
        return 1;
    }
    (void)memory_board_reset();
    return 0;
}

void memory_board_reach(int is_reachable)
{
    reachable = is_reachable;
    if (is_reachable) {
        return;
    }
    connected = 0;
    to_board.count = 0;
    from_board.count = 0;
}

size_t memory_board_write(const uint8_t *bytes, size_t count)
{
    return connected ? put(&to_board, bytes, count) : 0;
}

size_t memory_board_read(uint8_t *bytes, size_t space)
{
    return take(&from_board, bytes, space);
}

int memory_board_sense(int64_t at_ms, int32_t microcelsius)
{
    if (has_reading) {
        return -1;
    }
    waiting.time_ms = at_ms;
    waiting.microcelsius = microcelsius;
    has_reading = 1;
    return 0;
}

int memory_board_is_connected(void)
{
    return connected;
}
