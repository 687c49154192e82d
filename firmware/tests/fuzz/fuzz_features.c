/* Any bytes as a feature program, as golden vectors for it, and as readings:
 *
 *     u16 bytes of the program, the program, then golden vectors, which are taken as readings too (12 bytes each).
 *
 * The network is the one below, so that every program has a model that goes with it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "features/program.h"
#include "forecast/forecast.h"
#include "wire/bytes.h"

enum { READING_BYTES = 12, HELD_MAX = 8, HELD_OFFSET = 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void nn_reset(nn_model *model)
{
    *(float *)model->plan = 0.0f;
}

/* Reads every input and writes every output, so that a pointer or count that is off is seen. */
void nn_step(nn_model *model, const float *x, float *y)
{
    float *state = model->plan;

    for (int32_t i = 0; i < model->inputs; i++) {
        *state = 0.5f * (*state + x[i]);
    }
    for (int32_t i = 0; i < model->outputs; i++) {
        y[i] = *state + (float)i;
    }
}

static void require(int holds)
{
    if (!holds) {
        abort();
    }
}

/* A copy that ends where its bytes end. */
static uint8_t *copied(const uint8_t *bytes, size_t count)
{
    uint8_t *copy = malloc(count ? count : 1);

    require(copy != NULL);
    memcpy(copy, bytes, count);
    return copy;
}

static void check_golden(forecast_t *f, const uint8_t *data, size_t size)
{
    uint8_t *golden = copied(data, size);
    float worst = -1.0f;
    status_t status = golden_check(f, golden, size, &worst);

    require((status == STATUS_OK || status == STATUS_GOLDEN_MISMATCH) == !(worst < 0.0f));
    require(f->counters.accepted == 0);
    free(golden);
}

static void push_readings(forecast_t *f, const uint8_t *data, size_t size)
{
    float *celsius = malloc(f->features.horizon * sizeof *celsius);
    uint32_t refused = 0, readings = 0;
    int made;

    require(celsius != NULL);
    for (; size >= READING_BYTES; size -= READING_BYTES, data += READING_BYTES, readings++) {
        status_t status = forecast_push(f, get_i64(data), (int32_t)get_u32(data + 8), celsius, &made);

        require(status == STATUS_OK || ((status == STATUS_FORECAST_TIME || status == STATUS_FORECAST_NUMBER) && !made));
        refused += status != STATUS_OK;
    }
    require(f->counters.accepted + f->counters.surplus + f->counters.off_grid + f->counters.late + refused == readings);
    free(celsius);
}

static void run(const uint8_t *program, size_t program_bytes, const program_header *header, const uint8_t *data,
                size_t size)
{
    float state = 0.0f;
    nn_model model = {&state, (int32_t)header->count, (int32_t)header->horizon, 0, NN_FLOAT32};
    size_t need = 0;
    forecast_t f;
    void *buffer;

    require(forecast_buffer_bytes(program, program_bytes, &need) == STATUS_OK);
    buffer = malloc(need);
    require(buffer != NULL);
    require(forecast_init(&f, program, program_bytes, &model, buffer, need) == STATUS_OK);
    check_golden(&f, data, size);
    push_readings(&f, data, size);
    free(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    program_header header;
    size_t program_bytes;
    uint8_t *program;

    if (size < 2) {
        return 0;
    }
    program_bytes = get_u16(data) < size - 2 ? get_u16(data) : size - 2;
    program = copied(data + 2, program_bytes);
    if (program_check(program, program_bytes, &header) == STATUS_OK) {
        /* Months that are stepped through between two readings find nothing new. */
        if (header.max_hold_steps > HELD_MAX) {
            put_u16(program + HELD_OFFSET, HELD_MAX);
        }
        run(program, program_bytes, &header, data + 2 + program_bytes, size - 2 - program_bytes);
    }
    free(program);
    return 0;
}
