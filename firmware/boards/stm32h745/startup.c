/* Reset and the vectors of the core; a fault resets the board, and the log says so afterwards. */
#include <stdint.h>
#include <string.h>

#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define AIRCR (*(volatile uint32_t *)0xE000ED0Cu)
#define AIRCR_RESET 0x05FA0004u

extern uint8_t data_start[], data_end[], data_load[], bss_start[], bss_end[];
extern uint32_t stack_end[];

int main(void);
void Reset_Handler(void);
void Fault_Handler(void);
void SysTick_Handler(void);

void Reset_Handler(void)
{
    CPACR |= 0xFu << 20; /* full access to the FPU, before any function that may use it */
    __asm volatile("dsb\nisb");
    memcpy(data_start, data_load, (size_t)(data_end - data_start));
    memset(bss_start, 0, (size_t)(bss_end - bss_start));
    (void)main();
    Fault_Handler();
}

void Fault_Handler(void)
{
    AIRCR = AIRCR_RESET;
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static const struct {
    void *stack;
    void (*handlers[15])(void);
} vectors = {
    stack_end,
    {Reset_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler,
     Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler,
     SysTick_Handler},
};
