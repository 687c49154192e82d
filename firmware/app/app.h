/* The application: readings in, forecasts made, both kept until the hub has them; models received, tried and kept.
 *
 *     for (;;) {
 *         app_start(&app, &board);      `app` is static, and so zero before the first start
 *         while (app_step(&app)) {
 *         }
 *     }                                 or a real reset: only the log is lost by it
 *
 * Whatever happens to a model, readings are kept and sent. */
#ifndef EDGELOOP_APP_H
#define EDGELOOP_APP_H

#include <stddef.h>

#include "board.h"
#include "limits.h"
#include "log.h"
#include "model.h"
#include "ring/ring.h"
#include "session/session.h"

enum {
    APP_RETRY_MS = 1000,      /* between two attempts to connect */
    APP_HANDSHAKE_MS = 10000, /* a hub that does not prove itself by then is left */
    APP_SILENCE_MS = 120000,  /* a hub that says nothing for so long while something waits for it is gone */
    APP_RESTART_MS = 2000     /* the last answer before a restart has this long to leave */
};

typedef enum { LINK_IDLE, LINK_CONNECTING, LINK_UP } link_phase;

typedef struct {
    log_ring log; /* outlives app_start */
    const board_port *board;
    ring readings;
    session link;
    session_port port;
    model_runner model;
    int64_t clock_offset_ms; /* wall clock minus now_ms */
    uint8_t clock_set;
    link_phase phase;
    int64_t link_due_ms; /* next attempt, or the end of patience with the handshake */
    int64_t heard_ms;    /* last byte from the hub */
    int64_t restart_ms;  /* when it must have happened; 0 without one due */
} app;

/* STATUS_OK, or why the ring of readings has no memory: a fault of the board, nothing else can stop the start. */
status_t app_start(app *a, const board_port *board);

/* One turn of the main loop; 0 when the application wants to be restarted. */
int app_step(app *a);

/* The wall clock: milliseconds since 1970 once the hub has told the time, else since the start. */
int64_t app_time(const app *a);

#endif
