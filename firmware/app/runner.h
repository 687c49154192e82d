/* One model in memory: the engine, the features before it, and what it remembers of the readings so far. */
#ifndef EDGELOOP_RUNNER_H
#define EDGELOOP_RUNNER_H

#include "board.h"
#include "forecast/forecast.h"
#include "limits.h"
#include "nn/nn.h"
#include "ring/ring.h"
#include "session/session.h"

typedef struct {
    uint32_t version; /* of the image, 0 without one */
    status_t status;  /* why it does not run, or STATUS_OK */
    uint8_t is_loaded;
    nn_model nn;
    forecast_t forecast;
    uint32_t stray; /* readings in a row that found no place on the grid, after a gap that ends the segment */
    uint64_t arena[MODEL_ARENA_BYTES / 8];
    uint64_t buffer[MODEL_BUFFER_BYTES / 8];
} runner;

/* Without a model, and why; STATUS_OK: nobody asked for one. */
void runner_clear(runner *r, status_t status);

/* Load an image, prove it on its golden vectors, and rebuild its state from the readings. `status` is what is returned;
 * what was loaded before is gone either way. */
status_t runner_load(runner *r, const board_port *board, const image_view *image, const ring *readings);

/* The forecast at a reading that was kept, but for its slot state; `*made` is 0 if there is none. */
status_t runner_forecast(runner *r, const ring *readings, uint32_t number, session_forecast *forecast, int *made);

/* Forget everything, and begin anew with the readings before this number. */
void runner_rebuild(runner *r, const board_port *board, const ring *readings, uint32_t end);

/* The clock was set back: what the state remembers lies in the future. */
void runner_forget(runner *r);

/* 1 while a model runs. */
int runner_runs(const runner *r);

#endif
