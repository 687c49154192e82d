/* Logistic function and hyperbolic tangent in the three types. */
#ifndef EDGELOOP_NN_CURVES_H
#define EDGELOOP_NN_CURVES_H

#include <math.h>
#include <stdint.h>

#include "nn/fixed_point.h"
#include "nn/plan.h"

/* tanh(x) = x · P(x²) / Q(x²) to 3.1e-7, rounding included, for every x; P and Q by least squares with weights raised
 * where the error is largest (Lawson 1961) on [0, 9], beyond which float32 has nothing but 1. */
static inline float tanh_float32(float x)
{
    x = fminf(fmaxf(x, -9.0f), 9.0f);
    float square = x * x;
    float p = 0.017116453f;
    p = fmaf(p, square, 26.57759f);
    p = fmaf(p, square, 4526.4595f);
    p = fmaf(p, square, 173617.69f);
    p = fmaf(p, square, 1298250.9f);
    float q = square + 424.70813f;
    q = fmaf(q, square, 33549.38f);
    q = fmaf(q, square, 606367.56f);
    q = fmaf(q, square, 1298251.0f);
    return x * p / q;
}

static inline float logistic_float32(float x)
{
    return fmaf(0.5f, tanh_float32(0.5f * x), 0.5f);
}

/* About 2^16 · logistic(i / 24), at most 2^16 − 1. */
extern const uint16_t logistic_table[256];

/* How int16 inputs come to steps of 1 / 12288: value · multiplier, rounded, shifted right. */
typedef struct {
    int32_t multiplier, shift, round;
} curve_scale;

curve_scale curve_scale_of(int32_t code, float input_scale);

static inline int32_t curve_position(int32_t x, curve_scale scale)
{
    return shift_right((int32_t)((uint32_t)x * (uint32_t)scale.multiplier + (uint32_t)scale.round), scale.shift);
}

/* Linear between table entries 512 apart. The negative half mirrors the positive one and rounds the other way:
 * 2^25 − result + 511 is the complement of result, plus 2^25 + 512. */
static inline int32_t logistic_int16(int32_t position)
{
    uint32_t sign = (uint32_t)shift_right(position, 31);
    uint32_t distance = ((uint32_t)position ^ sign) - sign;
    uint32_t entry = distance >> 9;
    uint32_t result = 0x7FFF << 10;
    /* Three times an int16 stays below 255 entries, and the compiler sees it. */
    if (entry < 255) {
        uint32_t low = logistic_table[entry], high = logistic_table[entry + 1];
        result = (low << 9) + (distance & 511) * (high - low);
    }
    return (int32_t)(((result ^ sign) + 512 + (sign & 1u << 25)) >> 10);
}

/* tanh(x) = 2 · logistic(2x) − 1 on the same table, with entries 256 apart. */
static inline int32_t tanh_int16(int32_t position)
{
    int32_t sign = shift_right(position, 31);
    uint32_t distance = (uint32_t)((position ^ sign) - sign);
    uint32_t entry = distance >> 8;
    int32_t result = 0xFFFF << 8;
    if (entry < 255) {
        uint32_t low = logistic_table[entry], high = logistic_table[entry + 1];
        result = (int32_t)((low << 8) + (distance & 255) * (high - low));
    }
    return shift_right(((result - (1 << 23)) ^ sign) + 128, 8);
}

/* One output for each of the 256 inputs of an int8 LOGISTIC or TANH; input −128 comes first. */
void curve_table_int8(int32_t code, const graph_tensor *in, int8_t *table);

/* Input and output of a LOGISTIC or TANH, checked; integer outputs have the one scale that the reference gives them. */
status_t curve_operands(plan_builder *builder, const graph_operator *op, graph_tensor *in, graph_tensor *out);

#endif
