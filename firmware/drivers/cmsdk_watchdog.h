/* The watchdog of Arm's Cortex-M System Design Kit: counts down, interrupts at zero and resets at the second zero.
 *
 * Register names: Cortex-M System Design Kit Technical Reference Manual (DDI 0479), chapter 4.5. */
#ifndef EDGELOOP_CMSDK_WATCHDOG_H
#define EDGELOOP_CMSDK_WATCHDOG_H

#include <stdint.h>

typedef struct {
    uintptr_t base;
} cmsdk_watchdog;

/* `ticks` of the watchdog's clock until the interrupt; as many again until the reset. */
void cmsdk_watchdog_start(cmsdk_watchdog *device, uintptr_t base, uint32_t ticks);

/* Count from the start again. */
void cmsdk_watchdog_feed(const cmsdk_watchdog *device);

#endif
