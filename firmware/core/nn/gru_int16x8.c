/* The step in int16 with weights of int8, for files whose scales are powers of two (deployers/conversion makes them so).
 *
 * The sums before a curve have scale 2^-12, h, c, w and r 2^-15, c − h and the change 2^-14. Then each ADD of the
 * reference comes down to one addition, and each rescaling of a product to one rounded shift; the comments say how. */
/* What runs at every step is compiled for few instructions, the rest for few bytes. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O2")
#endif

#include "nn/curves.h"
#include "nn/gru.h"

typedef struct {
    gru_layer layer;
    int32_t from_x_factor[GATES], from_h_factor[GATES];
    uint32_t *x_paired, *h_paired;
} gru_int16;

static inline int32_t saturate(int32_t value)
{
#if defined(__ARM_FEATURE_DSP)
    int32_t saturated;
    __asm__("ssat %0, #16, %1" : "=r"(saturated) : "r"(value));
    return saturated;
#else
    return clamp_int32(value, INT16_MIN, INT16_MAX);
#endif
}

/* product / 2^15 as the reference rounds it: to Q31 first, halves up, then by 2^14, halves away from zero. Together:
 * floor((product + 2^14 + 1 − 2 · [product < 0]) / 2^15). */
static inline int32_t halve_15_times(int32_t product)
{
    int32_t sign = shift_right(product, 31);
    return shift_right(product + sign + sign + 16385, 15);
}

/* difference / 2, halves away from zero. */
static inline int32_t halve(int32_t difference)
{
    return shift_right(difference + 1 + shift_right(difference, 31), 1);
}

static inline int32_t finish(const gru_int16 *gru, const int32_t *x_sums, const int32_t *h_sums, int32_t h)
{
    const curve_scale step = {3, 0, 0};
    const int32_t *x = gru->from_x_factor, *s = gru->from_h_factor;
    int32_t w = saturate(saturate(multiply_high(x_sums[GATE_W], x[GATE_W])) +
                         saturate(multiply_high(h_sums[GATE_W], s[GATE_W])));
    int32_t r = saturate(saturate(multiply_high(x_sums[GATE_R], x[GATE_R])) +
                         saturate(multiply_high(h_sums[GATE_R], s[GATE_R])));
    w = logistic_int16(curve_position(w, step));
    r = logistic_int16(curve_position(r, step));
    int32_t gated = halve_15_times(r * saturate(multiply_high(h_sums[GATE_C], s[GATE_C])));
    int32_t c = saturate(saturate(multiply_high(x_sums[GATE_C], x[GATE_C])) + gated);
    c = tanh_int16(curve_position(c, step));
    return saturate(h + 2 * halve_15_times(w * saturate(halve(c - h))));
}

static void run(const nn_node *node)
{
    const gru_int16 *gru = (const gru_int16 *)node;
    const gru_layer *layer = &gru->layer;
    int32_t from_x[GATES * GRU_UNITS_AT_ONCE], from_h[GATES * GRU_UNITS_AT_ONCE];
    const int16_t *h = layer->h;
    int16_t *next = layer->next;
    dot_pair_int16(gru->x_paired, layer->x, layer->inputs);
    dot_pair_int16(gru->h_paired, h, layer->units);
    for (uint32_t unit = 0; unit < layer->units; unit += GRU_UNITS_AT_ONCE) {
        uint32_t left = layer->units - unit;
        uint32_t units = left < GRU_UNITS_AT_ONCE ? left : GRU_UNITS_AT_ONCE;
        gru_dense_int8(layer->from_x, layer->from_x_bias, 2, gru->x_paired, layer->inputs, unit, units, from_x);
        gru_dense_int8(layer->from_h, layer->from_h_bias, 2, gru->h_paired, layer->units, unit, units, from_h);
        for (uint32_t i = 0; i < units; i++) {
            next[unit + i] = (int16_t)finish(gru, from_x + GATES * i, from_h + GATES * i, h[unit + i]);
        }
    }
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

/* The factor of a dense layer as the second operand of SMMULR: reduced · 2^(32 − bits), see scale_int64. */
static int high_factor(plan_builder *builder, const graph_operator *op, int32_t *factor)
{
    graph_tensor in[3], out;
    if (fully_connected_operands(builder, op, in, &out) != STATUS_OK) {
        return 0;
    }
    fixed_factor exact = fixed_factor_of((double)(in[0].scale * in[1].scale) / (double)out.scale);
    if (!exact.multiplier || exact.shift < -17 || exact.shift > -1) {
        return 0;
    }
    int32_t reduced = exact.multiplier < 0x7FFF0000 ? (exact.multiplier + (1 << 15)) >> 16 : 0x7FFF;
    *factor = shift_left(reduced, 17 + exact.shift);
    return 1;
}

static int has_scales(plan_builder *builder, const graph_operator *op, float a, float b, float result)
{
    graph_tensor in[2], out;
    return plan_operands(builder, op, 2, in, &out) == STATUS_OK && in[0].scale == a && in[1].scale == b &&
           out.scale == result;
}

static int fits(plan_builder *builder, const gru_step *step)
{
    const float sum = 1.0f / 4096, state = 1.0f / 32768, twice = 1.0f / 16384;
    for (int gate = 0; gate < GATES; gate++) {
        if (!has_scales(builder, &step->sum[gate], sum, sum, sum)) {
            return 0;
        }
    }
    return has_scales(builder, &step->gated, state, sum, sum) &&
           has_scales(builder, &step->difference, state, state, twice) &&
           has_scales(builder, &step->change, state, twice, twice) &&
           has_scales(builder, &step->end, state, twice, state);
}

status_t gru_int16x8(plan_builder *builder, const gru_step *step, const gru_layer *layer, int append)
{
    gru_int16 node = {*layer, {0}, {0}, 0, 0};
    int fitting = fits(builder, step);
    for (int gate = 0; fitting && gate < GATES; gate++) {
        fitting = high_factor(builder, &step->from_x[gate], &node.from_x_factor[gate]) &&
                  high_factor(builder, &step->from_h[gate], &node.from_h_factor[gate]);
    }
    if (!fitting) {
        return STATUS_NN_QUANTISATION;
    }
    if (append) {
        node.layer.node.run = run;
        node.x_paired = plan_reserve(builder, dot_words(layer->inputs) * 4);
        node.h_paired = plan_reserve(builder, dot_words(layer->units) * 4);
        plan_append(builder, &node.layer.node, sizeof node);
    }
    return STATUS_OK;
}
