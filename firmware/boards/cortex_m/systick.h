/* The clock of a Cortex-M board: the core's own timer, one interrupt each millisecond. */
#ifndef EDGELOOP_SYSTICK_H
#define EDGELOOP_SYSTICK_H

#include <stdint.h>

/* `core_hz` is what the core runs at now; call again after it was changed. */
void systick_start(uint32_t core_hz);

/* Milliseconds since the start; begins again at 0 after seven weeks. */
uint32_t systick_count(void);

/* The same for ever, as board_port.now_ms; from the main loop alone, and more often than that. */
int64_t systick_now_ms(void *context);

void SysTick_Handler(void);

#endif
