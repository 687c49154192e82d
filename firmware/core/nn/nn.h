/* The engine: runs one step of a recurrent cell straight from its .tflite file.
 *
 *     size_t need;
 *     status_t status = nn_arena_bytes(file, file_bytes, &need);
 *     ... have `need` bytes, aligned to 8 ...
 *     status = nn_load(&model, file, file_bytes, arena, need);
 *     nn_reset(&model);
 *     for each reading: nn_step(&model, features, residuals);
 *
 * The file is read in place and stays where it is (in flash) as long as the model is used. Input 0 of its subgraph is
 * x, inputs 1... are the state; output 0 is y, outputs 1... the next state in the same order, with the same shapes,
 * types and scales. Everything about the file is checked by nn_load, nothing by nn_step.
 *
 * No allocation, no globals that change, no recursion. */
#ifndef EDGELOOP_NN_H
#define EDGELOOP_NN_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* Types that are built in; a board that runs one type leaves the others out with -DNN_WITH_INT8=0 and so on. */
#ifndef NN_WITH_FLOAT32
#define NN_WITH_FLOAT32 1
#endif
#ifndef NN_WITH_INT8
#define NN_WITH_INT8 1
#endif
#ifndef NN_WITH_INT16X8
#define NN_WITH_INT16X8 1
#endif

enum { NN_FLOAT32, NN_INT8, NN_INT16X8 };

typedef struct {
    void *plan;      /* inside the arena */
    int32_t inputs;  /* features of one step */
    int32_t outputs; /* residuals of one step */
    int32_t fused;   /* GRU layers that run as one fused step */
    int32_t type;    /* NN_FLOAT32, ... */
} nn_model;

/* Check a file and state the arena that it needs, in bytes. */
status_t nn_arena_bytes(const uint8_t *file, size_t file_bytes, size_t *arena_bytes);

/* Check a file and prepare to run it; `arena` is aligned to 8 bytes. On an error `model` is not touched. */
status_t nn_load(nn_model *model, const uint8_t *file, size_t file_bytes, void *arena, size_t arena_bytes);

/* Zero the state. */
void nn_reset(nn_model *model);

/* One step: `x` has model->inputs scaled features, `y` takes model->outputs residuals (units of the target scale). */
void nn_step(nn_model *model, const float *x, float *y);

#endif
