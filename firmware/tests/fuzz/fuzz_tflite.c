/* Any bytes as a .tflite file: refused by a status, or loaded and run within its arena. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nn/nn.h"

enum { LARGEST_ARENA = 1 << 22 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t need = 0;
    nn_model model;
    /* malloc aligns as flash does, and ends where the file ends. */
    uint8_t *file = malloc(size ? size : 1);

    memcpy(file, data, size);
    if (nn_arena_bytes(file, size, &need) == STATUS_OK && need <= LARGEST_ARENA) {
        void *arena = malloc(need);
        if (nn_load(&model, file, size, arena, need) != STATUS_OK) {
            abort();
        }
        float *x = calloc((size_t)model.inputs, sizeof *x), *y = calloc((size_t)model.outputs, sizeof *y);
        for (int i = 0; i < model.inputs; i++) {
            x[i] = (float)(i - 3) * 0.7f;
        }
        nn_step(&model, x, y);
        nn_step(&model, x, y);
        free(x);
        free(y);
        free(arena);
    }
    free(file);
    return 0;
}
