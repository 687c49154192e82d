/* Instructions of one streaming forecast, counted on the emulated core.
 *
 * Under `-icount shift=0` an instruction takes one nanosecond of the machine's time and SysTick, at 25 MHz, ticks once
 * in 40 of them; over many steps that is exact to a hundredth of an instruction a step. The model is linked in
 * (MODEL_FILE). Prints one line: instructions, arena bytes, fused layers, largest stack of a step. */
#include <stdint.h>
#include <stdio.h>

#include "nn/nn.h"

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018)

enum { STEPS = 4000, INPUTS = 64, OUTPUTS = 64, INSTRUCTIONS_PER_TICK = 40 };

__asm__(".section .rodata\n.balign 16\n.global model_file\nmodel_file:\n.incbin \"" MODEL_FILE "\"\n"
        ".global model_end\nmodel_end:\n.text");
extern const uint8_t model_file[], model_end[];

static uint8_t arena[65536] __attribute__((aligned(8)));
static float x[INPUTS], y[OUTPUTS];

/* Values between -2 and 2 that look random. */
static float next_value(void)
{
    static uint32_t state = 12345;
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) * (4.0f / 16777216.0f) - 2.0f;
}

int main(void)
{
    nn_model model;
    size_t bytes = (size_t)(model_end - model_file), need = 0;
    status_t status = nn_arena_bytes(model_file, bytes, &need);
    if (status == STATUS_OK) {
        status = nn_load(&model, model_file, bytes, arena, sizeof arena);
    }
    if (status != STATUS_OK) {
        printf("refused: %d\n", (int)status);
        return 1;
    }
    for (int i = 0; i < model.inputs; i++) {
        x[i] = next_value();
    }
    SYSTICK_RELOAD = 0xFFFFFF;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = 5;
    uint32_t ticks = 0, before = SYSTICK_VALUE;
    for (int step = 0; step < STEPS; step++) {
        nn_step(&model, x, y);
        uint32_t now = SYSTICK_VALUE;
        ticks += (before - now) & 0xFFFFFF;
        before = now;
    }
    double per_step = (double)ticks * INSTRUCTIONS_PER_TICK / STEPS;
    printf("%ld %lu %ld\n", (long)(per_step + 0.5), (unsigned long)need, (long)model.fused);
    return 0;
}
