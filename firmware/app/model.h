/* The model that runs, chosen at the start and proven on its golden vectors, and the challenger that the hub may have
 * put beside it. */
#ifndef EDGELOOP_MODEL_H
#define EDGELOOP_MODEL_H

#include "board.h"
#include "log.h"
#include "ring/ring.h"
#include "runner.h"
#include "session/session.h"
#include "store.h"

typedef struct {
    const board_port *board;
    log_ring *log;
    const ring *readings;
    store store;
    slot_image image;      /* that runs */
    uint32_t forecasts;    /* since the start */
    uint8_t forecast_made; /* by the model that runs, on a reading that came in after the start */
    int64_t started_ms;
    runner running;
    runner shadow; /* the challenger in the other slot: heard by the hub alone */
} model_runner;

/* Choose, prove and prepare the image to run; without one, or with one that fails, `running.status` says why. A
 * challenger comes after it. */
void model_start(model_runner *m, const board_port *board, log_ring *log, const ring *readings);

/* The forecast of the reading that was just kept; 0 if none was made. */
int model_forecast(model_runner *m, uint32_t number, session_forecast *forecast);
/* That of the challenger, which is stepped after it. */
int model_shadow_forecast(model_runner *m, uint32_t number, session_forecast *forecast);
/* Forecasts that a reading may make. */
uint32_t model_forecasts_most(const model_runner *m);

/* The clock was set back: what the state remembers lies in the future. */
void model_forget(model_runner *m);

/* Receive an image; another one than the challenger ends it. */
status_t model_receive(model_runner *m, uint32_t bytes, const uint8_t sha256[32], uint32_t *resume);

/* The image that was received: verify, prove on its golden vectors, mark for test. After STATUS_OK a restart is due;
 * else what ran before runs on. */
status_t model_install(model_runner *m);

/* The image that was received, of this version: verify, prove, and have it forecast beside the confirmed one from now
 * on. 0, or the challenger that is there: nothing changes. An image that is refused is gone. */
status_t model_challenge(model_runner *m, uint32_t version);

/* STATUS_SESSION_VERSION unless this version is in test; STATUS_SESSION_NOT_PROVEN before its first forecast. */
status_t model_confirm(model_runner *m, uint32_t version);
/* Of the version in test, or of the challenger. A restart is due after STATUS_OK if `*restart`. */
status_t model_revert(model_runner *m, uint32_t version, int *restart);

/* The time in which the image in test had to be confirmed is over: it was reverted, a restart is due. */
int model_test_is_over(model_runner *m);

#endif
