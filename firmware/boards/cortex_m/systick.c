#include "systick.h"

#define CONTROL (*(volatile uint32_t *)0xE000E010u)
#define RELOAD (*(volatile uint32_t *)0xE000E014u)
#define CURRENT (*(volatile uint32_t *)0xE000E018u)

static volatile uint32_t milliseconds;

void SysTick_Handler(void)
{
    milliseconds++;
}

void systick_start(uint32_t core_hz)
{
    RELOAD = core_hz / 1000u - 1u;
    CURRENT = 0;
    CONTROL = 7u; /* the core's clock, interrupt, on */
}

uint32_t systick_count(void)
{
    return milliseconds;
}

int64_t systick_now_ms(void *context)
{
    static uint32_t last, rounds;
    uint32_t now = milliseconds;

    (void)context;
    if (now < last) {
        rounds++;
    }
    last = now;
    return (int64_t)((uint64_t)rounds << 32 | now);
}
