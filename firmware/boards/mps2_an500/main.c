/* The application on QEMU's model of the MPS2 board with the AN500 image.
 *
 *     qemu-system-arm -M mps2-an500 -display none -nic user -serial chardev:SENSOR
 *         -semihosting-config enable=on,target=native,arg=folder=DIR,arg=port=N -kernel edgeloop-mps2_an500.elf
 *
 * The settings are those of boards/virtual/virtual.h; the sensor is UART 0, the hub is reached through QEMU's user
 * network, where 10.0.2.2 is the machine that runs QEMU. */
#include <string.h>

#include "app.h"
#include "cmsdk_watchdog.h"
#include "lan9118.h"
#include "semihosting.h"
#include "systick.h"
#include "tcp_link.h"
#include "uart.h"
#include "virtual.h"

#define LAN9118_BASE 0xA0000000u
#define WATCHDOG_BASE 0x40008000u
#define CLOCK_HZ 25000000u
enum { CONFIGURATION_EXIT_CODE = 2 };
/* QEMU's clock goes on while a busy machine gives it no time: many times what a board would take. */
enum { WATCHDOG_SECONDS = 60 };
/* Characters of the sensor line come one by one: who sleeps after each takes a millisecond for it. */
enum { STAY_AWAKE_MS = 20 };

uint32_t sys_now(void);
uint32_t board_random(void);
void board_panic(const char *reason);
uint32_t stack_used(void);

/* The flash chip of the virtual board, not memory of the program. */
__attribute__((section(".flash_image"))) static uint8_t flash[VIRTUAL_FLASH_BYTES];
static app application;
static virtual_settings settings;
static sensor_line line;
static cmsdk_watchdog watchdog_device;
static int busy;

static void watchdog(void *context)
{
    (void)context;
    cmsdk_watchdog_feed(&watchdog_device);
}

uint32_t sys_now(void)
{
    return systick_count();
}

uint32_t board_random(void)
{
    uint8_t bytes[SESSION_NONCE_BYTES];
    uint32_t number;

    application.board->nonce(NULL, bytes);
    memcpy(&number, bytes, sizeof number);
    return number;
}

void board_panic(const char *reason)
{
    semihosting_print(reason);
    semihosting_exit(125);
}

static int read_sensor(void *context, ring_reading *reading)
{
    int character;

    (void)context;
    while ((character = uart_read()) >= 0) {
        busy = 1;
        if (sensor_line_add(&line, (char)character, reading)) {
            return 1;
        }
    }
    return 0;
}

static int link_connect(void *context)
{
    (void)context;
    return tcp_link_connect();
}

static int link_send(void *context, const uint8_t *bytes, size_t count)
{
    int sent = tcp_link_send(bytes, count);

    (void)context;
    busy |= sent > 0;
    return sent;
}

static int link_receive(void *context, uint8_t *bytes, size_t space)
{
    int received = tcp_link_receive(bytes, space);

    (void)context;
    busy |= received > 0;
    return received;
}

static void link_close(void *context)
{
    (void)context;
    tcp_link_close();
}

__attribute__((noreturn)) static void stop(const char *reason)
{
    semihosting_print("edgeloop-mps2_an500: ");
    semihosting_print(reason);
    semihosting_print("\n");
    semihosting_exit(CONFIGURATION_EXIT_CODE);
}

/* The first word is the name of the program. */
static void read_settings(void)
{
    static char words[512];
    const char *reason;
    char *word = words;

    virtual_defaults(&settings);
    if (semihosting_command_line(words, sizeof words) != 0) {
        stop("the settings are too long");
    }
    word = strchr(words, ' ');
    while (word != NULL) {
        char *end = strchr(++word, ' ');

        if (end != NULL) {
            *end = '\0';
        }
        if (*word != '\0' && virtual_set(&settings, word, &reason) != 0) {
            stop(reason);
        }
        word = end;
    }
}

static void start_network(void)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    static lan9118 device;
    tcp_link_settings network = {{10, 0, 2, 15}, {255, 255, 255, 0}, {10, 0, 2, 2}, {0, 0, 0, 0}, 0};

    memcpy(network.hub, settings.hub, 4);
    network.port = settings.port;
    if (lan9118_start(&device, LAN9118_BASE, mac) != 0) {
        stop("no LAN9118 at 0xA0000000");
    }
    tcp_link_start(&device, mac, &network);
}

int main(void)
{
    board_port board;
    const char *reason;
    uint32_t busy_until = 0;

    read_settings();
    reason = virtual_start(&settings, flash, &board);
    if (reason != NULL) {
        stop(reason);
    }
    board.now_ms = systick_now_ms;
    board.watchdog = watchdog;
    board.sensor = read_sensor;
    board.link_connect = link_connect;
    board.link_send = link_send;
    board.link_receive = link_receive;
    board.link_close = link_close;
    application.board = &board;
    systick_start(CLOCK_HZ);
    cmsdk_watchdog_start(&watchdog_device, WATCHDOG_BASE, WATCHDOG_SECONDS * CLOCK_HZ);
    uart_start();
    start_network();
    for (;;) {
        if (app_start(&application, &board) != STATUS_OK) {
            stop("the ring of readings has no memory");
        }
        do {
            busy = 0;
            tcp_link_poll();
            if (!app_step(&application)) {
                break;
            }
            if (busy) {
                busy_until = systick_count() + STAY_AWAKE_MS;
            } else if ((int32_t)(systick_count() - busy_until) >= 0) {
                __asm volatile("wfi"); /* until the next millisecond */
            }
        } while (1);
        log_number(&application.log, systick_now_ms(NULL), "deepest stack", (int64_t)stack_used());
        tcp_link_poll();
    }
}
