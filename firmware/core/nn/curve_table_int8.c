/* The int8 curves point by point, by the fixed-point arithmetic of gemmlowp that the reference kernels use
 * (fixedpoint.h). Numbers of 32 bits with k integer bits stand for value / 2^(31 − k); `q0` is k = 0. */
#include "nn/curves.h"

static int32_t multiply(int32_t a, int32_t b)
{
    return multiply_doubling_any(a, b);
}

/* Shift left, and stay at the largest number where it would leave the word. */
static int32_t raise(int32_t value, int32_t bits)
{
    int32_t most = INT32_MAX >> bits;
    return value > most ? INT32_MAX : value < -most - 1 ? INT32_MIN : shift_left(value, bits);
}

/* e^a for −1/4 <= a < 0, in q0: a Taylor polynomial of degree 4 around −1/8. */
static int32_t exponential_near_zero(int32_t a)
{
    const int32_t at_centre = 1895147668; /* e^(−1/8) */
    const int32_t third = 715827883;
    int32_t x = a + (1 << 28);
    int32_t x2 = multiply(x, x), x3 = multiply(x2, x), x4 = multiply(x2, x2);
    int32_t upper = divide_by_power_any(multiply(divide_by_power_any(x4, 2) + x3, third) + x2, 1);
    return at_centre + multiply(at_centre, x + upper);
}

/* e^a for a <= 0 with `integer_bits` of 4 or 5; the result is in q0. */
static int32_t exponential(int32_t a, int32_t integer_bits)
{
    /* e^(−2^k) for k = −2 … 4. */
    static const int32_t factors[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    if (!a) {
        return INT32_MAX;
    }
    int32_t fraction_bits = 31 - integer_bits;
    int32_t quarter = 1 << (fraction_bits - 2);
    int32_t small = (a & (quarter - 1)) - quarter;
    int32_t result = exponential_near_zero(raise(small, integer_bits));
    int32_t rest = small - a;
    for (int32_t k = -2; k < integer_bits; k++) {
        if (rest & 1 << (fraction_bits + k)) {
            result = multiply(result, factors[k + 2]);
        }
    }
    return result;
}

/* Newton–Raphson for 2 / (1 + a) with a in q0, from 48/17 − 32/17 · (1 + a) / 2; the result has 2 integer bits. */
static int32_t twice_reciprocal(int32_t a)
{
    const int32_t start = 1515870810, slope = -1010580540;
    int32_t half_denominator = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
    int32_t x = start + multiply(half_denominator, slope);
    for (int i = 0; i < 3; i++) {
        int32_t error = (1 << 29) - multiply(half_denominator, x);
        x += raise(multiply(x, error), 2);
    }
    return x;
}

static int32_t logistic_q0(int32_t a)
{
    if (!a) {
        return 1 << 30;
    }
    int32_t positive = raise(twice_reciprocal(exponential(a < 0 ? a : -a, 4)), 1);
    return a > 0 ? positive : INT32_MAX - positive;
}

static int32_t tanh_q0(int32_t a)
{
    if (!a) {
        return 0;
    }
    /* The same bits with one integer bit more are twice the number. */
    int32_t positive = raise(twice_reciprocal(exponential(a < 0 ? a : -a, 5)) - (1 << 29), 2);
    return a > 0 ? positive : -positive;
}

void curve_table_int8(int32_t code, const graph_tensor *in, int8_t *table)
{
    int logistic = code == OPERATOR_LOGISTIC;
    /* Inputs become numbers with 4 integer bits. */
    fixed_factor factor = fixed_factor_of((double)in->scale * (1 << 27));
    const int32_t low = -128, high = 127;
    int32_t radius = (15 << 27) >> factor.shift;
    for (int32_t value = -128; value < 128; value++) {
        int32_t x = value - in->zero, result;
        if (x <= -radius) {
            result = low;
        } else if (x >= radius) {
            result = high;
        } else {
            int32_t a = multiply_doubling_any(shift_left(x, factor.shift), factor.multiplier);
            result = logistic ? divide_by_power_any(logistic_q0(a), 23) - 128 : divide_by_power_any(tanh_q0(a), 24);
        }
        table[value + 128] = (int8_t)clamp_int32(result, low, high);
    }
}
