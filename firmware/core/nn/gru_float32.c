#include "nn/curves.h"
#include "nn/dot.h"
#include "nn/gru.h"

/* What each unit's three rows give: z and r are summed over x and h, c is not. */
static void sum_gates(const gru_layer *layer, float *z, float *r, float *c_x, float *c_h) {
    const float *const *w = (const float *const *)layer->from_x, *const *u = (const float *const *)layer->from_h;
    const float *const *b = (const float *const *)layer->from_x_bias, *const *d = (const float *const *)layer->from_h_bias;
    for (uint32_t unit = 0; unit < layer->units; unit++) {
        uint32_t row_x = unit * layer->inputs, row_h = unit * layer->units;
        dot_sums_float32 x = {b[GATE_Z][unit], b[GATE_R][unit], b[GATE_C][unit]};
        x = dot_three_float32(w[GATE_Z] + row_x, w[GATE_R] + row_x, w[GATE_C] + row_x, layer->x, layer->inputs, x);
        dot_sums_float32 h = {x.a + d[GATE_Z][unit], x.b + d[GATE_R][unit], d[GATE_C][unit]};
        h = dot_three_float32(u[GATE_Z] + row_h, u[GATE_R] + row_h, u[GATE_C] + row_h, layer->h, layer->units, h);
        z[unit] = h.a;
        r[unit] = h.b;
        c_x[unit] = x.c;
        c_h[unit] = h.c;
    }
}

static void run(const nn_node *node) {
    const gru_layer *layer = (const gru_layer *)node;
    uint32_t units = layer->units;
    float *z = layer->scratch, *r = z + units, *c_x = r + units, *c_h = c_x + units;
    const float *h = layer->h;
    float *next = layer->next;
    sum_gates(layer, z, r, c_x, c_h);
    for (uint32_t i = 0; i < 2 * units; i++) {
        z[i] = logistic_float32(z[i]);
    }
    for (uint32_t i = 0; i < units; i++) {
        float c = tanh_float32(fmaf(r[i], c_h[i], c_x[i]));
        next[i] = fmaf(z[i], h[i] - c, c);
    }
}

status_t gru_float32(plan_builder *builder, const gru_step *step, const gru_layer *layer, int append) {
    (void)step;
    if (append) {
        gru_layer node = *layer;
        node.node.run = run;
        node.scratch = plan_reserve(builder, 4 * node.units * (uint32_t)sizeof(float));
        plan_append(builder, &node.node, sizeof node);
    }
    return STATUS_OK;
}
