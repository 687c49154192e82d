/* Instructions of one forecast_push on the emulated core: grid, features, network, and back to degrees.
 *
 * Counted as in bench_nn.c. The features are those of a usual program: a difference, a deviation from a moving mean,
 * and the time of day, over and over until the model (MODEL_FILE) has its inputs. Prints one line: instructions of a
 * push, of the network in it, bytes of the forecast's buffer. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "features/program.h"
#include "forecast/forecast.h"
#include "wire/bytes.h"

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018)

enum { STEPS = 4000, INSTRUCTIONS_PER_TICK = 40, KINDS = 4 };

#define START_MS INT64_C(1709503200000)

__asm__(".section .rodata\n.balign 16\n.global model_file\nmodel_file:\n.incbin \"" MODEL_FILE "\"\n"
        ".global model_end\nmodel_end:\n.text");
extern const uint8_t model_file[], model_end[];

static uint8_t arena[65536] __attribute__((aligned(8)));
static uint8_t buffer[8192] __attribute__((aligned(8)));
static uint8_t program[FEATURES_HEADER_BYTES + FEATURES_COUNT_MAX * FEATURES_ENTRY_BYTES];
static float y[FEATURES_HORIZON_MAX];
static nn_model model;
static forecast_t forecast;

static void put_f64(uint8_t *at, double value)
{
    int64_t bits;

    memcpy(&bits, &value, sizeof bits);
    put_i64(at, bits);
}

static size_t put_program(void)
{
    static const uint8_t operations[KINDS] = {OPERATION_DIFFERENCE, OPERATION_DEVIATION, OPERATION_HOUR,
                                              OPERATION_HOUR};
    static const uint8_t functions[KINDS] = {FUNCTION_NONE, FUNCTION_NONE, FUNCTION_SINE, FUNCTION_COSINE};
    static const uint8_t arguments[KINDS] = {1, 36, 1, 1};
    uint32_t count = (uint32_t)model.inputs;

    put_u32(program, 600);
    put_u16(program + 4, (uint32_t)model.outputs);
    put_u16(program + 6, count);
    put_f64(program + 8, 0.5);
    put_u32(program + 16, 400000);
    put_u16(program + 20, 6);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *at = program + FEATURES_HEADER_BYTES + i * FEATURES_ENTRY_BYTES;

        at[0] = operations[i % KINDS];
        at[1] = functions[i % KINDS];
        put_u16(at + 2, arguments[i % KINDS]);
        put_f64(at + 8, i % KINDS < 2 ? 0.25 : 1.0);
    }
    return FEATURES_HEADER_BYTES + count * FEATURES_ENTRY_BYTES;
}

static void push(int step)
{
    static uint32_t state = 12345;
    int made;

    state = state * 1664525u + 1013904223u;
    (void)forecast_push(&forecast, START_MS + step * INT64_C(600000) + (state >> 16), (int32_t)(state >> 9), y, &made);
}

static void network(int step)
{
    (void)step;
    nn_step(&model, forecast.x, y);
}

static long instructions(void (*work)(int step))
{
    uint32_t ticks = 0, before = SYSTICK_VALUE;

    for (int step = 0; step < STEPS; step++) {
        uint32_t now;

        work(step);
        now = SYSTICK_VALUE;
        ticks += (before - now) & 0xFFFFFF;
        before = now;
    }
    return (long)((double)ticks * INSTRUCTIONS_PER_TICK / STEPS + 0.5);
}

int main(void)
{
    size_t need = 0, bytes = (size_t)(model_end - model_file), program_bytes;
    status_t status = nn_load(&model, model_file, bytes, arena, sizeof arena);
    long whole;

    if (status == STATUS_OK) {
        program_bytes = put_program();
        status = forecast_buffer_bytes(program, program_bytes, &need);
        if (status == STATUS_OK) {
            status = forecast_init(&forecast, program, program_bytes, &model, buffer, sizeof buffer);
        }
    }
    if (status != STATUS_OK) {
        printf("refused: %d\n", (int)status);
        return 1;
    }
    SYSTICK_RELOAD = 0xFFFFFF;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = 5;
    whole = instructions(push);
    printf("%ld %ld %lu\n", whole, instructions(network), (unsigned long)need);
    return forecast.counters.accepted == STEPS ? 0 : 1;
}
