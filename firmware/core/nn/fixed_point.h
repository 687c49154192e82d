/* Fixed-point arithmetic of the reference kernels.
 *
 * Each function gives the same bits as the function of the same purpose in TensorFlow Lite for Microcontrollers, built
 * without TFLITE_SINGLE_ROUNDING; the comments state the arithmetic that both compute. */
#ifndef EDGELOOP_NN_FIXED_POINT_H
#define EDGELOOP_NN_FIXED_POINT_H

#include <stdint.h>

typedef struct {
    int32_t multiplier; /* in [2^30, 2^31), or 0 */
    int32_t shift;      /* the factor is multiplier · 2^(shift − 31) */
} fixed_factor;

/* The factor nearest to a real number. */
fixed_factor fixed_factor_of(double real);

/* A factor that no kernel shifts by more than its words hold; 2^-30 and 2^7 lie far outside what layers use. */
static inline int fixed_factor_is_usable(fixed_factor factor)
{
    return factor.multiplier && factor.shift >= -30 && factor.shift <= 7;
}

static inline int32_t clamp_int32(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Arithmetic shift; the compilers named in PORTING.md shift negative numbers so. */
static inline int32_t shift_right(int32_t value, int32_t bits)
{
    return value >> bits;
}

/* Shift left modulo 2^32. */
static inline int32_t shift_left(int32_t value, int32_t bits)
{
    return (int32_t)((uint32_t)value << bits);
}

/* floor((a · b + 2^31) / 2^32): one SMMULR. */
static inline int32_t multiply_high(int32_t a, int32_t b)
{
#if defined(__ARM_FEATURE_DSP)
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
    return high;
#else
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
#endif
}

/* a · b / 2^31 to the nearest integer, halves up; |a| < 2^30. */
static inline int32_t multiply_doubling(int32_t a, int32_t b)
{
    return multiply_high(shift_left(a, 1), b);
}

/* The same for every a. */
static inline int32_t multiply_doubling_any(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* value / 2^bits to the nearest integer, halves away from zero; 0 <= bits < 31, |value| < 2^30. */
static inline int32_t divide_by_power(int32_t value, int32_t bits)
{
    uint32_t half = (1u << bits) >> 1;
    uint32_t sign = bits ? (uint32_t)shift_right(value, 31) : 0;
    return shift_right((int32_t)((uint32_t)value + half + sign), bits);
}

/* The same for every value. */
static inline int32_t divide_by_power_any(int32_t value, int32_t bits)
{
    int64_t half = ((int64_t)1 << bits) >> 1;
    return (int32_t)((value + half - (bits && value < 0)) >> bits);
}

/* value · factor, rounded twice as the reference does. */
static inline int32_t scale_int32(int32_t value, fixed_factor factor)
{
    int32_t left = factor.shift > 0 ? factor.shift : 0;
    int32_t right = factor.shift > 0 ? 0 : -factor.shift;
    return divide_by_power_any(multiply_doubling_any(shift_left(value, left), factor.multiplier), right);
}

/* value · factor for the 64-bit accumulators of int16 layers: the multiplier is cut to 16 bits, one rounding. */
static inline int32_t scale_int64(int64_t value, fixed_factor factor)
{
    int32_t reduced = factor.multiplier < 0x7FFF0000 ? (factor.multiplier + (1 << 15)) >> 16 : 0x7FFF;
    int32_t bits = 15 - factor.shift;
    return (int32_t)((value * reduced + ((int64_t)1 << (bits - 1))) >> bits);
}

#endif
