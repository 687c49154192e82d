#include "model.h"

#include <string.h>

static void note(model_runner *m, const char *text, int64_t number)
{
    log_number(m->log, m->board->now_ms(m->board->context), text, number);
}

static void begin_anew(model_runner *m)
{
    forecast_reset(&m->forecast);
    m->stray = 0;
}

/* The segment has ended before this reading, whatever it is. */
static int is_after_a_gap(const forecast_t *f, int64_t time_ms)
{
    int64_t held = (int64_t)f->features.max_hold_steps + 1;

    return time_ms - f->time_ms > held * f->features.cadence_seconds * 1000;
}

/* One reading into the model, in the same way when it comes and when it is replayed. The core keeps to its grid for
 * ever, which a clock that was set, or one wild time, would leave the board without forecasts by. So the series begins
 * anew with a reading from well before the last one used, and where readings keep missing the grid after a gap. */
static status_t push(model_runner *m, const ring_reading *reading, float *celsius, int *made)
{
    forecast_t *f = &m->forecast;
    status_t status;

    if (f->started && reading->time_ms >= 0 && reading->time_ms < f->time_ms - MODEL_CLOCK_BACK_MS) {
        begin_anew(m);
    }
    status = forecast_push(f, reading->time_ms, reading->microcelsius, celsius, made);
    if (status != STATUS_OK) {
        return status;
    }
    m->stray = !*made && is_after_a_gap(f, reading->time_ms) ? m->stray + 1 : 0;
    if (m->stray < MODEL_STRAY_READINGS) {
        return STATUS_OK;
    }
    begin_anew(m);
    return forecast_push(f, reading->time_ms, reading->microcelsius, celsius, made);
}

static void rebuild_state(model_runner *m)
{
    float celsius[SESSION_HORIZON_MAX];
    uint32_t count = m->readings->next - m->readings->first;
    uint32_t most = m->forecast.features.reach + MODEL_REPLAY_READINGS;
    ring_reading reading;
    int made;

    begin_anew(m);
    if (count > most) {
        count = most;
    }
    for (uint32_t number = m->readings->next - count; number != m->readings->next; number++) {
        /* A reading that the model refused when it came (late, off the grid) is refused again. */
        if (ring_get(m->readings, number, &reading) == STATUS_OK) {
            (void)push(m, &reading, celsius, &made);
        }
        m->board->watchdog(m->board->context);
    }
}

/* Load an image and prove it; the model that was loaded before is gone either way. */
static status_t load(model_runner *m, const image_view *image)
{
    float worst = 0.0f;
    status_t status = nn_load(&m->nn, image->model, image->model_bytes, m->arena, sizeof m->arena);

    if (status == STATUS_OK && m->nn.outputs > SESSION_HORIZON_MAX) {
        status = STATUS_NN_TOO_LARGE;
    }
    if (status == STATUS_OK) {
        status = forecast_init(&m->forecast, image->program, image->program_bytes, &m->nn, m->buffer, sizeof m->buffer);
    }
    if (status == STATUS_OK) {
        status = golden_check(&m->forecast, image->golden, image->golden_bytes, &worst);
    }
    if (status != STATUS_OK) {
        return status;
    }
    rebuild_state(m);
    return STATUS_OK;
}

static void choose(model_runner *m)
{
    m->version = 0;
    m->status = store_start(&m->store, m->board, &m->image);
    if (m->status != STATUS_OK) {
        return;
    }
    m->version = m->image.view.version;
    m->status = load(m, &m->image.view);
}

/* Load the image that the store chose; one in test that fails is reverted, and the one before it gets its turn. */
static void load_chosen(model_runner *m)
{
    m->forecast_made = 0;
    choose(m);
    if (m->status != STATUS_OK && m->image.state == SLOT_STATE_TEST) {
        note(m, "model in test failed, reverted; status", m->status);
        if (store_revert(&m->store) == STATUS_OK) {
            choose(m);
        }
    }
    if (m->status == STATUS_OK) {
        note(m, m->image.state == SLOT_STATE_TEST ? "model in test, version" : "model version", m->version);
    } else {
        note(m, "no model, status", m->status);
    }
}

void model_start(model_runner *m, const board_port *board, log_ring *log, const ring *readings)
{
    memset(m, 0, sizeof *m);
    m->board = board;
    m->log = log;
    m->readings = readings;
    m->started_ms = board->now_ms(board->context);
    load_chosen(m);
}

int model_forecast(model_runner *m, uint32_t number, session_forecast *forecast)
{
    ring_reading reading;
    int made = 0;
    status_t status;

    if (m->status != STATUS_OK || ring_get(m->readings, number, &reading) != STATUS_OK) {
        return 0;
    }
    status = push(m, &reading, forecast->celsius, &made);
    if (status != STATUS_OK) {
        note(m, "no forecast, status", status);
    }
    if (status != STATUS_OK || !made) {
        return 0;
    }
    forecast->reading = number;
    forecast->model_version = m->version;
    forecast->time_ms = reading.time_ms;
    forecast->slot_state = (uint8_t)m->image.state;
    forecast->values = (uint8_t)m->nn.outputs;
    m->forecasts++;
    m->forecast_made = 1;
    return 1;
}

void model_forget(model_runner *m)
{
    if (m->status == STATUS_OK) {
        begin_anew(m);
    }
}

status_t model_install(model_runner *m)
{
    slot_image fresh;
    status_t status;

    /* An installation whose answer was lost comes again. */
    if (store_phase(&m->store) == SLOT_PHASE_INSTALLED) {
        return STATUS_OK;
    }
    status = store_install(&m->store, &fresh);
    if (status != STATUS_OK) {
        note(m, "image refused, status", status);
        return status;
    }
    status = load(m, &fresh.view);
    if (status == STATUS_OK) {
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
    return m->image.state == SLOT_STATE_TEST && m->version == version;
}

status_t model_confirm(model_runner *m, uint32_t version)
{
    status_t status;

    /* A confirmation whose answer was lost comes again. */
    if (m->image.state == SLOT_STATE_CONFIRMED && m->version == version) {
        return STATUS_OK;
    }
    if (!is_in_test(m, version)) {
        return STATUS_SESSION_VERSION;
    }
    if (m->status != STATUS_OK || !m->forecast_made) {
        return STATUS_SESSION_NOT_PROVEN;
    }
    status = store_confirm(&m->store);
    if (status == STATUS_OK) {
        m->image.state = SLOT_STATE_CONFIRMED;
        note(m, "model confirmed, version", version);
    }
    return status;
}

status_t model_revert(model_runner *m, uint32_t version)
{
    if (!is_in_test(m, version)) {
        return STATUS_SESSION_VERSION;
    }
    if (store_phase(&m->store) == SLOT_PHASE_REVERTED) {
        return STATUS_OK;
    }
    note(m, "model reverted, version", version);
    return store_revert(&m->store);
}

int model_test_is_over(model_runner *m)
{
    if (m->image.state != SLOT_STATE_TEST || m->board->now_ms(m->board->context) - m->started_ms < m->board->test_ms) {
        return 0;
    }
    note(m, "model not confirmed in time, reverted; version", m->version);
    (void)store_revert(&m->store);
    return 1;
}
