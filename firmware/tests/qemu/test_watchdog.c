/* The watchdog on the emulated board: nothing happens while it is fed, a reset when it is not. Runs twice: RAM that the
 * start-up does not clear tells the second time from the first. */
#include "check.h"
#include "cmsdk_watchdog.h"

#define WATCHDOG_BASE 0x40008000u
#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_CURRENT (*(volatile uint32_t *)0xE000E018u)
#define SYSTICK_ZERO (1u << 16)
#define FIRST_RUN 0x57415443u
enum { TICKS = 250000 }; /* 10 ms */

/* Of no initial value, and outside .bss. */
__attribute__((section(".flash_image"))) static volatile uint32_t run, periods;

static void wait_half_a_period(void)
{
    SYSTICK_CURRENT = 0;
    while ((SYSTICK_CONTROL & SYSTICK_ZERO) == 0) {
    }
}

int main(void)
{
    cmsdk_watchdog watchdog;

    if (run == FIRST_RUN) {
        run = 0;
        CHECK_EQUAL(periods, 20);
        return check_result();
    }
    run = FIRST_RUN;
    SYSTICK_RELOAD = TICKS / 2 - 1;
    SYSTICK_CONTROL = 5u; /* the core's clock, on, no interrupt */
    cmsdk_watchdog_start(&watchdog, WATCHDOG_BASE, TICKS);
    for (periods = 0; periods < 20; periods++) {
        wait_half_a_period();
        cmsdk_watchdog_feed(&watchdog);
    }
    for (int i = 0; i < 20; i++)
        wait_half_a_period();
    run = 0;
    CHECK(!"the board is reset when nothing feeds the watchdog");
    return check_result();
}
