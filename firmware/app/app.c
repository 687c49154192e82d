#include "app.h"

#include <string.h>

#include "hmac.h"

int64_t app_time(const app *a)
{
    return a->board->now_ms(a->board->context) + a->clock_offset_ms;
}

static int64_t now(const app *a)
{
    return a->board->now_ms(a->board->context);
}

static void restart_soon(app *a)
{
    if (a->restart_ms == 0) {
        a->restart_ms = now(a) + APP_RESTART_MS;
    }
}

/* ---- what the session asks ---- */

static status_t give_key(void *context, uint8_t key[SESSION_KEY_BYTES])
{
    const board_port *board = ((const app *)context)->board;

    return board->key(board->context, key);
}

static void give_nonce(void *context, uint8_t nonce[SESSION_NONCE_BYTES])
{
    const board_port *board = ((const app *)context)->board;

    board->nonce(board->context, nonce);
}

static void give_state(void *context, session_state *state)
{
    const app *a = context;

    state->slot_state = (uint8_t)a->model.image.state;
    state->slot = a->model.image.slot;
    state->clock_set = a->clock_set;
    state->forecast_made = a->model.forecast_made;
    state->model_version = a->model.running.version;
    state->lowest_version = store_lowest_version(&a->model.store);
    state->model_status = a->model.running.status;
    state->transfer_offset = store_received(&a->model.store);
    state->forecasts = a->model.forecasts;
    state->log_next = a->log.next;
    state->time_ms = app_time(a);
}

static status_t set_time(void *context, int64_t time_ms)
{
    app *a = context;

    if (time_ms < 0 || time_ms > FEATURES_TIME_MAX) {
        return STATUS_SESSION_FIELD;
    }
    /* Readings stamped by this clock would all be late: the series begins anew. */
    if (a->clock_set && time_ms < app_time(a) - MODEL_CLOCK_BACK_MS) {
        model_forget(&a->model);
    }
    a->clock_offset_ms = time_ms - now(a);
    a->clock_set = 1;
    return STATUS_OK;
}

static status_t begin_transfer(void *context, uint32_t bytes, const uint8_t sha256[32], uint32_t *resume)
{
    app *a = context;
    status_t status = model_receive(&a->model, bytes, sha256, resume);

    log_number(&a->log, now(a), status == STATUS_OK ? "transfer from" : "transfer refused, status",
               status == STATUS_OK ? (int64_t)*resume : status);
    return status;
}

static status_t write_transfer(void *context, uint32_t offset, const uint8_t *bytes, size_t count, uint32_t *next)
{
    return store_write(&((app *)context)->model.store, offset, bytes, count, next);
}

static status_t install(void *context)
{
    app *a = context;
    status_t status = model_install(&a->model);

    if (status == STATUS_OK) {
        restart_soon(a);
    }
    return status;
}

static status_t confirm(void *context, uint32_t version)
{
    return model_confirm(&((app *)context)->model, version);
}

static status_t revert(void *context, uint32_t version)
{
    app *a = context;
    int restart = 0;
    status_t status = model_revert(&a->model, version, &restart);

    if (status == STATUS_OK && restart) {
        restart_soon(a);
    }
    return status;
}

static status_t challenge(void *context, uint32_t version, uint32_t *carried, status_t *why_not)
{
    app *a = context;
    status_t status = model_challenge(&a->model, version);

    *carried = a->model.shadow.version;
    *why_not = a->model.shadow.status;
    return status;
}

static size_t give_log(void *context, uint32_t *from, uint8_t *text, size_t space)
{
    return log_read(&((const app *)context)->log, from, text, space);
}

static void set_port(app *a)
{
    session_port *port = &a->port;

    port->context = a;
    port->firmware_version = FIRMWARE_VERSION;
    memcpy(port->id, a->board->id, SESSION_ID_BYTES);
    port->key = give_key;
    port->hmac = hmac_sha256;
    port->nonce = give_nonce;
    port->state = give_state;
    port->set_time = set_time;
    port->transfer_begin = begin_transfer;
    port->transfer_write = write_transfer;
    port->install = install;
    port->confirm = confirm;
    port->revert = revert;
    port->shadow = challenge;
    port->log = give_log;
}

/* ---- the main loop ---- */

status_t app_start(app *a, const board_port *board)
{
    status_t status;

    memset((uint8_t *)a + offsetof(app, board), 0, sizeof *a - offsetof(app, board));
    a->board = board;
    status = ring_attach(&a->readings, board->ring_memory, board->ring_bytes, board->ring_changed, board->context);
    if (status != STATUS_OK) {
        return status;
    }
    log_number(&a->log, now(a), "start, readings kept", (int64_t)(a->readings.next - a->readings.first));
    model_start(&a->model, board, &a->log, &a->readings);
    set_port(a);
    session_start(&a->link, &a->port, &a->readings);
    return STATUS_OK;
}

/* One reading: kept first, whatever the model makes of it. */
static void take_reading(app *a)
{
    const board_port *board = a->board;
    session_forecast forecast;
    ring_reading reading;
    uint32_t number;

    /* A hub that is connected but slow holds back a source that can wait, instead of losing its forecasts. */
    if (board->sensor_waits && a->link.phase == SESSION_OPEN &&
        !session_has_room(&a->link, model_forecasts_most(&a->model))) {
        return;
    }
    if (!board->sensor(board->context, &reading)) {
        return;
    }
    number = ring_add(&a->readings, &reading);
    memset(&forecast, 0, sizeof forecast);
    if (model_forecast(&a->model, number, &forecast)) {
        session_add_forecast(&a->link, &forecast);
    }
    if (model_shadow_forecast(&a->model, number, &forecast)) {
        session_add_forecast(&a->link, &forecast);
    }
}

static void drop_link(app *a, const char *reason)
{
    log_line(&a->log, now(a), reason);
    a->board->link_close(a->board->context);
    session_disconnect(&a->link);
    a->phase = LINK_IDLE;
    a->link_due_ms = now(a) + APP_RETRY_MS;
}

static void connect_link(app *a)
{
    int made;

    if (a->phase == LINK_IDLE) {
        if (now(a) < a->link_due_ms) {
            return;
        }
        a->phase = LINK_CONNECTING;
        a->link_due_ms = now(a) + APP_HANDSHAKE_MS;
    }
    made = a->board->link_connect(a->board->context);
    if (made == 1) {
        a->phase = LINK_UP;
        a->heard_ms = now(a);
        a->link_due_ms = now(a) + APP_HANDSHAKE_MS;
        session_connect(&a->link);
    } else if (made < 0 || now(a) >= a->link_due_ms) {
        drop_link(a, "no connection to the hub");
    }
}

/* Bytes between the transport and the session; 0 when the connection is gone. */
static int move_bytes(app *a)
{
    const board_port *board = a->board;
    const uint8_t *output;
    uint8_t input[256];
    size_t room = sizeof a->link.reader.buffer - (a->link.reader.filled - a->link.reader.used);
    int count = 0;

    if (room > 0) {
        count = board->link_receive(board->context, input, room < sizeof input ? room : sizeof input);
    }
    if (count < 0) {
        return 0;
    }
    if (count > 0) {
        a->heard_ms = now(a);
        (void)session_receive(&a->link, input, (size_t)count);
    }
    session_step(&a->link, now(a));
    count = (int)session_output(&a->link, &output);
    if (count > 0) {
        count = board->link_send(board->context, output, (size_t)count);
    }
    if (count > 0) {
        session_sent(&a->link, (size_t)count);
    }
    return count >= 0;
}

static void run_link(app *a)
{
    const uint8_t *output;

    if (a->phase != LINK_UP) {
        connect_link(a);
        return;
    }
    if (!move_bytes(a)) {
        drop_link(a, "link lost");
    } else if (a->link.phase == SESSION_REFUSED && session_output(&a->link, &output) == 0) {
        drop_link(a, "hub and board do not know each other");
    } else if (a->link.phase != SESSION_OPEN && now(a) >= a->link_due_ms) {
        drop_link(a, "the hub did not answer");
    } else if (a->link.sent_next != a->readings.acknowledged && now(a) - a->heard_ms >= APP_SILENCE_MS) {
        drop_link(a, "the hub went silent");
    }
}

static int restart_is_due(const app *a)
{
    const uint8_t *output;

    if (a->restart_ms == 0) {
        return 0;
    }
    return now(a) >= a->restart_ms || a->phase != LINK_UP || session_output(&a->link, &output) == 0;
}

int app_step(app *a)
{
    a->board->watchdog(a->board->context);
    if (a->restart_ms == 0) {
        take_reading(a);
    }
    run_link(a);
    if (a->restart_ms == 0 && model_test_is_over(&a->model)) {
        restart_soon(a);
    }
    if (!restart_is_due(a)) {
        return 1;
    }
    if (a->phase == LINK_UP) {
        drop_link(a, "restart");
    }
    return 0;
}
