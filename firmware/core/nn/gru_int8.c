/* The step in int8, for files in which the two sums of a gate share a scale, and h, c and the change of h have
 * 1 / 128 (deployers/conversion makes them so).
 *
 * A gate then depends on the sum of two int8 values alone: one table of 511 entries holds ADD, rescaling and curve
 * together, and h + change needs no rescaling. */
/* What runs at every step is compiled for few instructions, the rest for few bytes. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O2")
#endif

#include "nn/curves.h"
#include "nn/gru.h"

enum { SUMS = 511, LOWEST_SUM = -256 };

/* A factor below 1/2: multiply_high of the doubled value, then a rounded shift by at least one bit. What is added before
 * the shift holds the rounding and, shifted left, the zero point. */
typedef struct {
    int32_t multiplier, shift, added;
} rescale;

typedef struct {
    gru_layer layer;
    rescale from_x_scale[GATES], from_h_scale[GATES], gated_scale, difference_scale, change_scale;
    int32_t x_zero, gated_zero, difference_zero;
    const int8_t *tables[GATES]; /* by the sum of two values, from LOWEST_SUM on */
    uint32_t *x_paired, *h_paired;
} gru_quantised;

static inline int32_t saturate(int32_t value)
{
#if defined(__ARM_FEATURE_DSP)
    int32_t saturated;
    __asm__("ssat %0, #8, %1" : "=r"(saturated) : "r"(value));
    return saturated;
#else
    return clamp_int32(value, INT8_MIN, INT8_MAX);
#endif
}

static inline int32_t apply(int32_t doubled, const rescale *scale)
{
    int32_t high = multiply_high(doubled, scale->multiplier);
    return saturate(shift_right(high + scale->added + shift_right(high, 31), scale->shift));
}

static inline int32_t finish(const gru_quantised *gru, const int32_t *x_sums, const int32_t *h_sums, int32_t h)
{
    const rescale *x = gru->from_x_scale, *s = gru->from_h_scale;
    int32_t w = apply(2 * x_sums[GATE_W], &x[GATE_W]) + apply(2 * h_sums[GATE_W], &s[GATE_W]);
    int32_t r = apply(2 * x_sums[GATE_R], &x[GATE_R]) + apply(2 * h_sums[GATE_R], &s[GATE_R]);
    int32_t c = apply(2 * h_sums[GATE_C], &s[GATE_C]) - gru->gated_zero;
    w = gru->tables[GATE_W][w - LOWEST_SUM];
    r = gru->tables[GATE_R][r - LOWEST_SUM];
    c = apply(2 * (r + 128) * c, &gru->gated_scale) + apply(2 * x_sums[GATE_C], &x[GATE_C]);
    c = gru->tables[GATE_C][c - LOWEST_SUM];
    int32_t difference = apply(shift_left(c - h, SUM_SHIFT_INT8), &gru->difference_scale) - gru->difference_zero;
    return saturate(h + apply(2 * (w + 128) * difference, &gru->change_scale));
}

static void run(const nn_node *node)
{
    const gru_quantised *gru = (const gru_quantised *)node;
    const gru_layer *layer = &gru->layer;
    int32_t from_x[GATES * GRU_UNITS_AT_ONCE], from_h[GATES * GRU_UNITS_AT_ONCE];
    const int8_t *h = layer->h;
    int8_t *next = layer->next;
    dot_pair_int8(gru->x_paired, layer->x, layer->inputs, gru->x_zero);
    dot_pair_int8(gru->h_paired, h, layer->units, 0);
    for (uint32_t unit = 0; unit < layer->units; unit += GRU_UNITS_AT_ONCE) {
        uint32_t left = layer->units - unit;
        uint32_t units = left < GRU_UNITS_AT_ONCE ? left : GRU_UNITS_AT_ONCE;
        gru_dense_int8(layer->from_x, layer->from_x_bias, 1, gru->x_paired, layer->inputs, unit, units, from_x);
        gru_dense_int8(layer->from_h, layer->from_h_bias, 1, gru->h_paired, layer->units, unit, units, from_h);
        for (uint32_t i = 0; i < units; i++) {
            next[unit + i] = (int8_t)finish(gru, from_x + GATES * i, from_h + GATES * i, h[unit + i]);
        }
    }
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

static int rescale_of(fixed_factor factor, int32_t zero, rescale *scale)
{
    /* 2^22 times a zero point leaves room for what it is added to. */
    if (!factor.multiplier || factor.shift > -1 || factor.shift < -22) {
        return 0;
    }
    *scale = (rescale){factor.multiplier, -factor.shift, shift_left(zero, -factor.shift) + (1 << (-factor.shift - 1))};
    return 1;
}

static int dense_scale(plan_builder *builder, const graph_operator *op, rescale *scale)
{
    graph_tensor in[3], out;
    return fully_connected_operands(builder, op, in, &out) == STATUS_OK &&
           rescale_of(fixed_factor_of((double)(in[0].scale * in[1].scale) / (double)out.scale), out.zero, scale);
}

static int product_scale(plan_builder *builder, const graph_operator *op, int32_t *zero, rescale *scale)
{
    graph_tensor in[2], out;
    fixed_factor factor;
    /* The first operand comes from a LOGISTIC: its zero point is -128. */
    if (plan_operands(builder, op, 2, in, &out) != STATUS_OK || product_factor_of(in, &out, &factor) != STATUS_OK) {
        return 0;
    }
    *zero = in[1].zero;
    return rescale_of(factor, out.zero, scale);
}

/* What stands in all of h, c, the change and h': scale 1 / 128, zero point 0. */
static int is_state(const graph_tensor *tensor)
{
    return tensor->scale == 1.0f / 128 && !tensor->zero;
}

static int update_scales(plan_builder *builder, const gru_step *step, gru_quantised *node)
{
    graph_tensor in[2], out;
    sum_factors factors;
    if (plan_operands(builder, &step->end, 2, in, &out) != STATUS_OK || !is_state(&in[0]) || !is_state(&in[1]) ||
        !is_state(&out)) {
        return 0;
    }
    /* With equal scales both inputs go to half of their shifted value, and (c − h) · 2^19 is doubled for SMMULR. */
    return plan_operands(builder, &step->difference, 2, in, &out) == STATUS_OK && is_state(&in[0]) &&
           is_state(&in[1]) && sum_factors_of(in, &out, 1, &factors) == STATUS_OK &&
           rescale_of(factors.out, out.zero, &node->difference_scale) &&
           product_scale(builder, &step->change, &node->difference_zero, &node->change_scale);
}

/* What ADD and the curve make of each sum of two int8 values of one scale. */
static void fill_table(const graph_tensor *in, const graph_tensor *out, int32_t code, int8_t *table)
{
    int8_t curve[256];
    sum_factors factors;
    curve_table_int8(code, out, curve);
    if (sum_factors_of(in, out, 0, &factors) != STATUS_OK) {
        return;
    }
    for (int32_t sum = LOWEST_SUM; sum < LOWEST_SUM + SUMS; sum++) {
        int32_t total = sum_scaled(sum - in[0].zero - in[1].zero, 0, SUM_SHIFT_INT8, &factors) + out->zero;
        table[sum - LOWEST_SUM] = curve[clamp_int32(total, INT8_MIN, INT8_MAX) + 128];
    }
}

static int same_values(const graph_tensor *a, const graph_tensor *b)
{
    return a->scale == b->scale && a->zero == b->zero;
}

/* Reserve a gate's table, or take the one of an earlier gate that holds the same; 0 if the sums differ in scale. */
static int make_table(plan_builder *builder, const gru_step *step, int gate, int fill, graph_tensor tensors[GATES][3],
                      gru_quantised *node)
{
    graph_tensor *in = tensors[gate], *out = &tensors[gate][2];
    sum_factors factors;
    if (plan_operands(builder, &step->sum[gate], 2, in, out) != STATUS_OK || in[0].scale != in[1].scale ||
        sum_factors_of(in, out, 0, &factors) != STATUS_OK) {
        return 0;
    }
    if (gate == GATE_R && same_values(&in[0], &tensors[GATE_W][0]) && same_values(&in[1], &tensors[GATE_W][1]) &&
        same_values(out, &tensors[GATE_W][2])) {
        node->tables[GATE_R] = node->tables[GATE_W];
        return 1;
    }
    int8_t *table = plan_reserve(builder, SUMS);
    node->tables[gate] = table;
    if (builder->base && fill) {
        fill_table(in, out, step->curve[gate].code, table);
    }
    return 1;
}

static int make_scales(plan_builder *builder, const gru_step *step, gru_quantised *node)
{
    graph_tensor x;
    if (graph_read_tensor(&builder->file, step->x, &x) != STATUS_OK) {
        return 0;
    }
    node->x_zero = x.zero;
    for (int gate = 0; gate < GATES; gate++) {
        if (!dense_scale(builder, &step->from_x[gate], &node->from_x_scale[gate]) ||
            !dense_scale(builder, &step->from_h[gate], &node->from_h_scale[gate])) {
            return 0;
        }
    }
    return product_scale(builder, &step->gated, &node->gated_zero, &node->gated_scale) &&
           update_scales(builder, step, node);
}

status_t gru_int8(plan_builder *builder, const gru_step *step, const gru_layer *layer, int append)
{
    gru_quantised node = {.layer = *layer};
    graph_tensor tensors[GATES][3];
    uint32_t used = builder->used;
    int fitting = make_scales(builder, step, &node);
    for (int gate = 0; fitting && gate < GATES; gate++) {
        fitting = make_table(builder, step, gate, append, tensors, &node);
    }
    if (!fitting || !append) {
        builder->used = used;
        return fitting ? STATUS_OK : STATUS_NN_QUANTISATION;
    }
    node.layer.node.run = run;
    node.x_paired = plan_reserve(builder, dot_words(layer->inputs) * 4);
    node.h_paired = plan_reserve(builder, dot_words(layer->units) * 4);
    plan_append(builder, &node.layer.node, sizeof node);
    return STATUS_OK;
}
