/* What runs at every step is compiled for few instructions, the rest for few bytes. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O2")
#endif

#include <string.h>

#include "nn/curves.h"
#include "nn/dot.h"
#include "nn/gru.h"

/* Dense layers of the three gates for some units, (units, 3) in `sums`. */
static inline void dense(const void *const *weights, const void *const *bias, const float *x, uint32_t columns,
                         uint32_t unit, uint32_t units, float *sums)
{
    const void *rows[GATES];
    gru_rows(weights, (uint32_t)sizeof(float) * columns, unit, rows);
    gru_biases(bias, 1, unit, units, (uint32_t *)sums);
    dot_rows_float32((const float *const *)rows, x, columns, units, sums);
}

static void run(const nn_node *node)
{
    const gru_layer *layer = (const gru_layer *)node;
    float from_x[GATES * GRU_UNITS_AT_ONCE], from_h[GATES * GRU_UNITS_AT_ONCE];
    float *updated = layer->scratch;
    const float *h = layer->h;
    for (uint32_t unit = 0; unit < layer->units; unit += GRU_UNITS_AT_ONCE) {
        uint32_t left = layer->units - unit;
        uint32_t units = left < GRU_UNITS_AT_ONCE ? left : GRU_UNITS_AT_ONCE;
        dense(layer->from_x, layer->from_x_bias, layer->x, layer->inputs, unit, units, from_x);
        dense(layer->from_h, layer->from_h_bias, h, layer->units, unit, units, from_h);
        const float *x_sums = from_x, *h_sums = from_h;
        for (uint32_t i = unit; i < unit + units; i++, x_sums += GATES, h_sums += GATES) {
            float w = logistic_float32(x_sums[GATE_W] + h_sums[GATE_W]);
            float r = logistic_float32(x_sums[GATE_R] + h_sums[GATE_R]);
            float c = tanh_float32(fmaf(r, h_sums[GATE_C], x_sums[GATE_C]));
            updated[i] = fmaf(w, c - h[i], h[i]);
        }
    }
    memcpy(layer->next, updated, layer->units * sizeof *updated);
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

status_t gru_float32(plan_builder *builder, const gru_step *step, const gru_layer *layer, int append)
{
    (void)step;
    if (append) {
        gru_layer node = *layer;
        node.node.run = run;
        node.scratch = plan_reserve(builder, node.units * (uint32_t)sizeof(float));
        plan_append(builder, &node.node, sizeof node);
    }
    return STATUS_OK;
}
