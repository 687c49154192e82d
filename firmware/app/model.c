#include "model.h"

#include <string.h>

static void note(model_runner *m, const char *text, int64_t number)
{
    log_number(m->log, m->board->now_ms(m->board->context), text, number);
}

/* ---- the model that runs ---- */

static status_t load(model_runner *m, runner *r, const slot_image *image)
{
    return runner_load(r, m->board, &image->view, m->readings);
}

static status_t choose(model_runner *m)
{
    status_t status = store_start(&m->store, m->board, &m->image);

    if (status != STATUS_OK) {
        runner_clear(&m->running, status);
        return status;
    }
    return load(m, &m->running, &m->image);
}

/* Load the image that the store chose; one in test that fails is reverted, and the one before it gets its turn. */
static void load_chosen(model_runner *m)
{
    status_t status = choose(m);

    m->forecast_made = 0;
    if (status != STATUS_OK && m->image.state == SLOT_STATE_TEST) {
        note(m, "model in test failed, reverted; status", status);
        if (store_revert(&m->store) == STATUS_OK) {
            status = choose(m);
        }
    }
    if (status == STATUS_OK) {
        note(m, m->image.state == SLOT_STATE_TEST ? "model in test, version" : "model version", m->running.version);
    } else {
        note(m, "no model, status", status);
    }
}

/* A state that is no number any more, by a bit that fell over, is rebuilt, and the reading has its forecast. */
static status_t forecast_with(model_runner *m, runner *r, uint32_t number, session_forecast *forecast, int *made)
{
    status_t status = runner_forecast(r, m->readings, number, forecast, made);

    if (status != STATUS_FORECAST_NUMBER) {
        return status;
    }
    note(m, "forecast is no number, state rebuilt; version", r->version);
    runner_rebuild(r, m->board, m->readings, number);
    return runner_forecast(r, m->readings, number, forecast, made);
}

int model_forecast(model_runner *m, uint32_t number, session_forecast *forecast)
{
    int made;
    status_t status = forecast_with(m, &m->running, number, forecast, &made);

    if (status != STATUS_OK) {
        note(m, "no forecast, status", status);
    }
    if (made) {
        forecast->slot_state = (uint8_t)m->image.state;
        m->forecasts++;
        m->forecast_made = 1;
    }
    return made;
}

/* ---- the challenger ---- */

static int is_beside(const model_runner *m)
{
    return store_phase(&m->store) == SLOT_PHASE_SHADOW;
}

/* What was received, or is in the shadow already. An image that does not run there is given up. */
static status_t load_shadow(model_runner *m, uint32_t version)
{
    slot_image image;
    status_t status = store_shadow(&m->store, &image);

    if (status == STATUS_OK) {
        status = version == 0 || image.view.version == version ? load(m, &m->shadow, &image) : STATUS_SESSION_VERSION;
        if (status != STATUS_OK) {
            (void)store_revert(&m->store);
        }
    }
    if (status == STATUS_OK) {
        note(m, "challenger, version", m->shadow.version);
    } else {
        runner_clear(&m->shadow, status);
        note(m, "no challenger, status", status);
    }
    return status;
}

static void end_shadow(model_runner *m)
{
    if (m->shadow.version != 0) {
        note(m, "challenger ended, version", m->shadow.version);
    }
    runner_clear(&m->shadow, STATUS_OK);
}

status_t model_challenge(model_runner *m, uint32_t version)
{
    if (version == 0 || (runner_runs(&m->shadow) && m->shadow.version == version)) {
        return STATUS_OK;
    }
    if (!runner_runs(&m->running) || m->image.state != SLOT_STATE_CONFIRMED) {
        return STATUS_SLOT_EMPTY;
    }
    return load_shadow(m, version);
}

int model_shadow_forecast(model_runner *m, uint32_t number, session_forecast *forecast)
{
    int made;

    /* What is wrong with the reading has been noted by the model that runs. */
    (void)forecast_with(m, &m->shadow, number, forecast, &made);
    forecast->slot_state = SLOT_STATE_SHADOW;
    return made;
}

uint32_t model_forecasts_most(const model_runner *m)
{
    return runner_runs(&m->shadow) ? 2 : 1;
}

/* ---- both ---- */

void model_start(model_runner *m, const board_port *board, log_ring *log, const ring *readings)
{
    memset(m, 0, sizeof *m);
    m->board = board;
    m->log = log;
    m->readings = readings;
    m->started_ms = board->now_ms(board->context);
    load_chosen(m);
    /* Beside a model that does not run it waits for better times. */
    if (is_beside(m) && runner_runs(&m->running)) {
        m->board->watchdog(m->board->context); /* a second image is checked */
        (void)load_shadow(m, 0);
    }
}

void model_forget(model_runner *m)
{
    runner_forget(&m->running);
    runner_forget(&m->shadow);
}

/* ---- changing what runs ---- */

status_t model_receive(model_runner *m, uint32_t bytes, const uint8_t sha256[32], uint32_t *resume)
{
    status_t status = store_begin(&m->store, bytes, sha256, resume);

    if (!is_beside(m)) {
        end_shadow(m);
    }
    return status;
}

status_t model_install(model_runner *m)
{
    slot_image fresh;
    status_t status;
    uint32_t version = m->running.version;

    /* An installation whose answer was lost comes again. */
    if (store_phase(&m->store) == SLOT_PHASE_INSTALLED) {
        return STATUS_OK;
    }
    status = store_install(&m->store, &fresh);
    if (!is_beside(m)) {
        end_shadow(m);
    }
    if (status != STATUS_OK) {
        note(m, "image refused, status", status);
        return status;
    }
    status = load(m, &m->running, &fresh);
    if (status == STATUS_OK) {
        /* What was chosen at the start is what the board tells of until the restart. */
        m->running.version = version;
        note(m, "image installed for test, version", fresh.view.version);
        return STATUS_OK;
    }
    note(m, "image does not run, reverted; status", status);
    (void)store_revert(&m->store);
    load_chosen(m);
    return status;
}

static int is_in_test(const model_runner *m, uint32_t version)
{
    return m->image.state == SLOT_STATE_TEST && m->running.version == version;
}

status_t model_confirm(model_runner *m, uint32_t version)
{
    status_t status;

    /* A confirmation whose answer was lost comes again. */
    if (m->image.state == SLOT_STATE_CONFIRMED && m->running.version == version) {
        return STATUS_OK;
    }
    if (!is_in_test(m, version)) {
        return STATUS_SESSION_VERSION;
    }
    if (!runner_runs(&m->running) || !m->forecast_made) {
        return STATUS_SESSION_NOT_PROVEN;
    }
    status = store_confirm(&m->store);
    if (status == STATUS_OK) {
        m->image.state = SLOT_STATE_CONFIRMED;
        note(m, "model confirmed, version", version);
    }
    return status;
}

status_t model_revert(model_runner *m, uint32_t version, int *restart)
{
    status_t status;

    *restart = is_in_test(m, version);
    if (!*restart && !(runner_runs(&m->shadow) && m->shadow.version == version)) {
        return STATUS_SESSION_VERSION;
    }
    if (store_phase(&m->store) == SLOT_PHASE_REVERTED) {
        return STATUS_OK;
    }
    status = store_revert(&m->store);
    if (*restart) {
        note(m, "model reverted, version", version);
    } else if (status == STATUS_OK) {
        end_shadow(m);
    }
    return status;
}

int model_test_is_over(model_runner *m)
{
    if (m->image.state != SLOT_STATE_TEST || m->board->now_ms(m->board->context) - m->started_ms < m->board->test_ms) {
        return 0;
    }
    note(m, "model not confirmed in time, reverted; version", m->running.version);
    (void)store_revert(&m->store);
    return 1;
}
