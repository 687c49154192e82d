#include "cmsdk_watchdog.h"

enum { LOAD = 0x000, CONTROL = 0x008, INTERRUPT_CLEAR = 0x00C, LOCK = 0xC00 };

#define CONTROL_INTERRUPT 1u /* also what makes it count */
#define CONTROL_RESET 2u
#define LOCK_KEY 0x1ACCE551u

static void write(const cmsdk_watchdog *device, uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)(device->base + offset) = value;
}

void cmsdk_watchdog_start(cmsdk_watchdog *device, uintptr_t base, uint32_t ticks)
{
    device->base = base;
    write(device, LOCK, LOCK_KEY);
    write(device, LOAD, ticks);
    write(device, CONTROL, CONTROL_INTERRUPT | CONTROL_RESET);
    write(device, LOCK, 0); /* a program that has run wild does not switch it off */
}

void cmsdk_watchdog_feed(const cmsdk_watchdog *device)
{
    write(device, LOCK, LOCK_KEY);
    write(device, INTERRUPT_CLEAR, 1);
    write(device, LOCK, 0);
}
