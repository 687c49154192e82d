/* Reset, vectors, and what a fault does on the virtual board: it ends with an exit code that no test returns. */
#include <stdint.h>
#include <string.h>

#include "semihosting.h"

#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define AIRCR (*(volatile uint32_t *)0xE000ED0Cu)
#define AIRCR_RESET 0x05FA0004u
#define CFSR (*(volatile uint32_t *)0xE000ED28u)
#define STACK_PAINT 0xA5A5A5A5u
#define FAULT_EXIT_CODE 125

extern uint8_t data_start[], data_end[], data_load[], bss_start[], bss_end[];
extern uint32_t stack_start[], stack_end[];

int main(void);
void __libc_init_array(void);
void _init(void);
void Reset_Handler(void);
void Default_Handler(void);
void NMI_Handler(void);
void Fault_Handler(void);
void SysTick_Handler(void) __attribute__((weak, alias("Default_Handler")));
void Ethernet_Handler(void) __attribute__((weak, alias("Default_Handler")));

/* newlib calls it before constructors; there is nothing to do. */
void _init(void)
{
}

/* Runs without a frame of its own: it fills the whole stack, so that its deepest use can be found later. */
__attribute__((naked, section(".text.reset"))) void Reset_Handler(void)
{
    __asm volatile("ldr r0, =stack_start\n"
                   "ldr r1, =stack_end\n"
                   "ldr r2, =0xA5A5A5A5\n"
                   "1: cmp r0, r1\n"
                   "it lo\n"
                   "strlo r2, [r0], #4\n"
                   "blo 1b\n"
                   "b start_program\n");
}

__attribute__((used)) static void start_program(void) __asm__("start_program");

__attribute__((noreturn)) static void start_program(void)
{
    CPACR |= 0xFu << 20; /* full access to the FPU, before any function that may use it */
    __asm volatile("dsb\nisb");
    memcpy(data_start, data_load, (size_t)(data_end - data_start));
    memset(bss_start, 0, (size_t)(bss_end - bss_start));
    __libc_init_array();
    semihosting_exit(main());
}

void Default_Handler(void)
{
    semihosting_print("interrupt without a handler\n");
    semihosting_exit(FAULT_EXIT_CODE);
}

/* The watchdog was not fed. Should even this not run, it resets the board itself, one period later. */
void NMI_Handler(void)
{
    AIRCR = AIRCR_RESET;
    for (;;) {
    }
}

void Fault_Handler(void)
{
    char text[] = "fault, CFSR 00000000\n";
    uint32_t bits = CFSR;

    for (int digit = 0; digit < 8; digit++) {
        text[12 + digit] = "0123456789abcdef"[(bits >> (28 - 4 * digit)) & 15u];
    }
    semihosting_print(text);
    semihosting_exit(FAULT_EXIT_CODE);
}

/* The deepest the stack has been since reset, in bytes. */
uint32_t stack_used(void)
{
    const uint32_t *word = stack_start;

    while (word < stack_end && *word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)((const uint8_t *)stack_end - (const uint8_t *)word);
}

/* The 16 exceptions of the core, then the interrupts up to the Ethernet controller's (13). */
__attribute__((section(".vectors"), used)) static const struct {
    void *stack;
    void (*handlers[29])(void);
} vectors = {
    stack_end,
    {
        Reset_Handler,   NMI_Handler,     Fault_Handler,   Fault_Handler,   Fault_Handler,    Fault_Handler,
        Default_Handler, Default_Handler, Default_Handler, Default_Handler, Default_Handler,  Default_Handler,
        Default_Handler, Default_Handler, SysTick_Handler, Default_Handler, Default_Handler,  Default_Handler,
        Default_Handler, Default_Handler, Default_Handler, Default_Handler, Default_Handler,  Default_Handler,
        Default_Handler, Default_Handler, Default_Handler, Default_Handler, Ethernet_Handler,
    },
};
