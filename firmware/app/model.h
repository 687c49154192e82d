/* The model that runs: chosen at the start, proven on its golden vectors, its state rebuilt from the kept readings. */
#ifndef EDGELOOP_MODEL_H
#define EDGELOOP_MODEL_H

#include "board.h"
#include "forecast/forecast.h"
#include "limits.h"
#include "log.h"
#include "nn/nn.h"
#include "ring/ring.h"
#include "session/session.h"
#include "store.h"

typedef struct {
    const board_port *board;
    log_ring *log;
    const ring *readings;
    store store;
    slot_image image;
    uint32_t version; /* of the image, 0 without one */
    nn_model nn;
    forecast_t forecast;
    uint32_t stray;        /* readings in a row that found no place on the grid, after a gap that ends the segment */
    status_t status;       /* STATUS_OK while a model runs */
    uint32_t forecasts;    /* since the start */
    uint8_t forecast_made; /* by the model that runs, on a reading that came in after the start */
    int64_t started_ms;
    uint64_t arena[MODEL_ARENA_BYTES / 8];
    uint64_t buffer[MODEL_BUFFER_BYTES / 8];
} model_runner;

/* Choose, prove and prepare the image to run; without one, or with one that fails, `status` says why. */
void model_start(model_runner *m, const board_port *board, log_ring *log, const ring *readings);

/* The forecast of the reading that was just kept; 0 if none was made. */
int model_forecast(model_runner *m, uint32_t number, session_forecast *forecast);

/* The clock was set back: what the state remembers lies in the future. */
void model_forget(model_runner *m);

/* The image that was received: verify, prove on its golden vectors, mark for test. After STATUS_OK a restart is due;
 * else what ran before runs on. */
status_t model_install(model_runner *m);

/* STATUS_SESSION_VERSION unless this version is in test; STATUS_SESSION_NOT_PROVEN before its first forecast. */
status_t model_confirm(model_runner *m, uint32_t version);
/* After STATUS_OK a restart is due. */
status_t model_revert(model_runner *m, uint32_t version);

/* The time in which the image in test had to be confirmed is over: it was reverted, a restart is due. */
int model_test_is_over(model_runner *m);

#endif
