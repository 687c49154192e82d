#include "runner.h"

static void begin_anew(runner *r)
{
    forecast_reset(&r->forecast);
    r->stray = 0;
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
static status_t push(runner *r, const ring_reading *reading, float *celsius, int *made)
{
    forecast_t *f = &r->forecast;
    status_t status;

    if (f->started && reading->time_ms >= 0 && reading->time_ms < f->time_ms - MODEL_CLOCK_BACK_MS) {
        begin_anew(r);
    }
    status = forecast_push(f, reading->time_ms, reading->microcelsius, celsius, made);
    if (status != STATUS_OK) {
        return status;
    }
    r->stray = !*made && is_after_a_gap(f, reading->time_ms) ? r->stray + 1 : 0;
    if (r->stray < MODEL_STRAY_READINGS) {
        return STATUS_OK;
    }
    begin_anew(r);
    return forecast_push(f, reading->time_ms, reading->microcelsius, celsius, made);
}

void runner_rebuild(runner *r, const board_port *board, const ring *readings, uint32_t end)
{
    float celsius[SESSION_HORIZON_MAX];
    uint32_t count = end - readings->first;
    uint32_t most = r->forecast.features.reach + MODEL_REPLAY_READINGS;
    ring_reading reading;
    int made;

    begin_anew(r);
    if (count > most) {
        count = most;
    }
    for (uint32_t number = end - count; number != end; number++) {
        /* A reading that the model refused when it came (late, off the grid) is refused again. */
        if (ring_get(readings, number, &reading) == STATUS_OK) {
            (void)push(r, &reading, celsius, &made);
        }
        board->watchdog(board->context);
    }
}

void runner_clear(runner *r, status_t status)
{
    r->version = 0;
    r->status = status;
    r->is_loaded = 0;
}

status_t runner_load(runner *r, const board_port *board, const image_view *image, const ring *readings)
{
    float worst = 0.0f;
    status_t status = nn_load(&r->nn, image->model, image->model_bytes, r->arena, sizeof r->arena);

    if (status == STATUS_OK && r->nn.outputs > SESSION_HORIZON_MAX) {
        status = STATUS_NN_TOO_LARGE;
    }
    if (status == STATUS_OK) {
        status = forecast_init(&r->forecast, image->program, image->program_bytes, &r->nn, r->buffer, sizeof r->buffer);
    }
    if (status == STATUS_OK) {
        status = golden_check(&r->forecast, image->golden, image->golden_bytes, &worst);
    }
    if (status == STATUS_OK) {
        runner_rebuild(r, board, readings, readings->next);
    }
    r->version = image->version;
    r->status = status;
    r->is_loaded = status == STATUS_OK;
    return status;
}

status_t runner_forecast(runner *r, const ring *readings, uint32_t number, session_forecast *forecast, int *made)
{
    ring_reading reading;
    status_t status;

    *made = 0;
    if (!runner_runs(r) || ring_get(readings, number, &reading) != STATUS_OK) {
        return STATUS_OK;
    }
    status = push(r, &reading, forecast->celsius, made);
    if (status != STATUS_OK || !*made) {
        *made = 0;
        return status;
    }
    forecast->reading = number;
    forecast->model_version = r->version;
    forecast->time_ms = reading.time_ms;
    forecast->values = (uint8_t)r->nn.outputs;
    return STATUS_OK;
}

void runner_forget(runner *r)
{
    if (runner_runs(r)) {
        begin_anew(r);
    }
}

int runner_runs(const runner *r)
{
    return r->is_loaded;
}
