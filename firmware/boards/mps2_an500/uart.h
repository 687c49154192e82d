/* The CMSDK UART of the MPS2 board, polled. */
#ifndef EDGELOOP_UART_H
#define EDGELOOP_UART_H

void uart_start(void);
/* The next character, or -1. */
int uart_read(void);

#endif
