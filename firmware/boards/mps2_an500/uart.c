#include "uart.h"

#include <stdint.h>

/* UART 0; registers as in ARM's Cortex-M System Design Kit, technical reference manual, chapter 4.3. */
#define UART 0x40004000u
#define DATA (*(volatile uint32_t *)(UART + 0x00u))
#define STATE (*(volatile uint32_t *)(UART + 0x04u))
#define CONTROL (*(volatile uint32_t *)(UART + 0x08u))
#define BAUD_DIVIDER (*(volatile uint32_t *)(UART + 0x10u))
#define STATE_RECEIVED 2u
#define CONTROL_RECEIVE 2u
#define DIVIDER_115200 217u /* of the 25 MHz clock */

void uart_start(void)
{
    BAUD_DIVIDER = DIVIDER_115200;
    CONTROL = CONTROL_RECEIVE;
}

int uart_read(void)
{
    return (STATE & STATE_RECEIVED) != 0 ? (int)(DATA & 0xFFu) : -1;
}
