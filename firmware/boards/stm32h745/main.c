/* The application on an STM32H745: memory map and wiring. The callbacks marked "port:" are what PORTING.md asks for and
 * stand here without hardware behind them, so that everything else is compiled, linked and measured for this chip. */
#include <string.h>

#include "app.h"
#include "systick.h"

#define IWDG1_KEY (*(volatile uint32_t *)0x58004800u)
#define IWDG_RELOAD_KEY 0xAAAAu
#define CLOCK_AFTER_RESET_HZ 64000000u /* HSI; a port that raises the clock changes this too */
enum { READINGS = 4096, TEST_MS = 3600000 };

extern const uint8_t slots_start[];

__attribute__((section(".retained"))) static uint64_t ring_words[(RING_BYTES(READINGS) + 7) / 8];
static app application;

static void watchdog(void *context)
{
    (void)context;
    IWDG1_KEY = IWDG_RELOAD_KEY;
}

/* port: one conversion of the DS18B20 each cadence, stamped with app_time */
static int read_sensor(void *context, ring_reading *reading)
{
    (void)context;
    (void)reading;
    return 0;
}

/* port: from the option bytes or a secure element, never from the program */
static status_t give_key(void *context, uint8_t key[SESSION_KEY_BYTES])
{
    (void)context;
    memset(key, 0, SESSION_KEY_BYTES);
    return STATUS_SESSION_PROOF;
}

/* port: the chip's random number generator (RM0399, chapter 34) */
static void give_nonce(void *context, uint8_t nonce[SESSION_NONCE_BYTES])
{
    (void)context;
    memset(nonce, 0, SESSION_NONCE_BYTES);
}

/* port: port/lwip/tcp_link.c over the chip's Ethernet controller */
static int link_connect(void *context)
{
    (void)context;
    return -1;
}

static int link_send(void *context, const uint8_t *bytes, size_t count)
{
    (void)context;
    (void)bytes;
    (void)count;
    return -1;
}

static int link_receive(void *context, uint8_t *bytes, size_t space)
{
    (void)context;
    (void)bytes;
    (void)space;
    return -1;
}

static void link_close(void *context)
{
    (void)context;
}

/* port: RM0399, chapter 4.3: unlock, erase a sector of bank 2, program 32 bytes at a time */
static int flash_program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t count)
{
    (void)context;
    (void)offset;
    (void)bytes;
    (void)count;
    return -1;
}

static int flash_erase(void *context, uint32_t sector)
{
    (void)context;
    (void)sector;
    return -1;
}

/* port: a word with an ECC error faults where it is read in place; read it with faults masked and look */
static int flash_read(void *context, uint32_t offset, uint8_t *bytes, uint32_t count)
{
    (void)context;
    memcpy(bytes, slots_start + offset, count);
    return 0;
}

/* port: the deployer's public keys */
static const uint8_t image_keys[1][IMAGE_KEY_BYTES];

int main(void)
{
    const slot_flash flash = {NULL, slots_start, 131072, 8, 32, flash_read, flash_program, flash_erase};
    board_port board = {
        .id = "stm32h745",
        .now_ms = systick_now_ms,
        .sensor = read_sensor,
        .sensor_waits = 0,
        .watchdog = watchdog,
        .key = give_key,
        .nonce = give_nonce,
        .link_connect = link_connect,
        .link_send = link_send,
        .link_receive = link_receive,
        .link_close = link_close,
        .ring_memory = (uint8_t *)ring_words,
        .ring_bytes = sizeof ring_words,
        .flash = &flash,
        .image_keys = image_keys,
        .image_key_count = 0,
        .test_ms = TEST_MS,
    };

    systick_start(CLOCK_AFTER_RESET_HZ);
    for (;;) {
        if (app_start(&application, &board) != STATUS_OK) {
            return 1;
        }
        while (app_step(&application)) {
            __asm volatile("wfi"); /* until the next millisecond */
        }
    }
}
