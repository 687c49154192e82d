/* Rounding and scaling against the same sums in 64 bits, over edge values and many others. */
#include <math.h>
#include <stdint.h>

#include "check.h"
#include "nn/fixed_point.h"

static const int32_t edges[] = {INT32_MIN,
                                INT32_MIN + 1,
                                -(1 << 30) - 1,
                                -(1 << 30),
                                -65536,
                                -32769,
                                -32768,
                                -3,
                                -2,
                                -1,
                                0,
                                1,
                                2,
                                3,
                                32767,
                                32768,
                                65535,
                                65536,
                                1 << 30,
                                (1 << 30) + 1,
                                INT32_MAX - 1,
                                INT32_MAX};
enum { EDGES = sizeof edges / sizeof *edges, DRAWN = 300 };

static uint32_t state = 7;

static int32_t drawn(void)
{
    state = state * 1664525u + 1013904223u;
    /* Of every size: as many bits as the last ones say. */
    return (int32_t)state >> (state >> 3 & 31);
}

static int32_t value(int i)
{
    return i < EDGES ? edges[i] : drawn();
}

/* floor of a quotient by a power of two, without shifting a negative number. */
static int64_t floor_quotient(int64_t number, int bits)
{
    int64_t divisor = (int64_t)1 << bits;
    int64_t quotient = number / divisor;
    return quotient - (number % divisor < 0);
}

static int64_t away_from_zero(int64_t number, int bits)
{
    int64_t size = number < 0 ? -number : number;
    int64_t rounded = floor_quotient(size + (bits ? (int64_t)1 << (bits - 1) : 0), bits);
    return number < 0 ? -rounded : rounded;
}

static void test_products(void)
{
    for (int i = 0; i < EDGES + DRAWN; i++) {
        for (int k = 0; k < EDGES; k++) {
            int32_t a = value(i), b = edges[k];
            int64_t product = (int64_t)a * b;
            CHECK_EQUAL(multiply_high(a, b), (int32_t)floor_quotient(product + ((int64_t)1 << 31), 32));
            int64_t doubled = floor_quotient(product + ((int64_t)1 << 30), 31);
            if (doubled <= INT32_MAX) {
                CHECK_EQUAL(multiply_doubling_any(a, b), doubled);
            }
            if (a > -(1 << 30) && a < 1 << 30) {
                CHECK_EQUAL(multiply_doubling(a, b), doubled);
            }
        }
    }
}

static void test_quotients(void)
{
    for (int i = 0; i < EDGES + DRAWN; i++) {
        int32_t a = value(i);
        for (int bits = 0; bits < 31; bits++) {
            CHECK_EQUAL(divide_by_power_any(a, bits), away_from_zero(a, bits));
            if (a > -(1 << 30) && a < 1 << 30) {
                CHECK_EQUAL(divide_by_power(a, bits), away_from_zero(a, bits));
            }
        }
        CHECK_EQUAL(shift_right(a, 7), floor_quotient(a, 7));
        CHECK_EQUAL(shift_left(a, 1), (int32_t)(2u * (uint32_t)a));
    }
}

static void test_factors(void)
{
    static const double reals[] = {1,    0.5,    0.75, 1.0 / 3, 2.0 / 3,     0.999999999999, 1.000000001, 1e-9,
                                   7e-5, 0.0123, 63.9, 127.4,   1 / 32768.0, 1 / 4096.0,     5e-10,       3.14,
                                   100,  0.1,    0.2,  0.4,     0.8};
    for (unsigned i = 0; i < sizeof reals / sizeof *reals; i++) {
        fixed_factor factor = fixed_factor_of(reals[i]);
        CHECK(factor.multiplier >= 1 << 30);
        CHECK_NEAR(ldexp(factor.multiplier, factor.shift - 31) / reals[i], 1, 1.0 / (1 << 30));
        CHECK(fixed_factor_is_usable(factor));
    }
    /* The last bits round up to a power of two. */
    fixed_factor nearly = fixed_factor_of(1 - 1e-12);
    CHECK_EQUAL(nearly.multiplier, 1 << 30);
    CHECK_EQUAL(nearly.shift, 1);
}

static void test_factors_that_are_none(void)
{
    static const double reals[] = {0, -1, -0.0, 1e-12, NAN, -INFINITY};
    for (unsigned i = 0; i < sizeof reals / sizeof *reals; i++) {
        CHECK(!fixed_factor_is_usable(fixed_factor_of(reals[i])));
    }
    CHECK(!fixed_factor_is_usable(fixed_factor_of(256)));
    CHECK(!fixed_factor_is_usable(fixed_factor_of(INFINITY)));
}

/* Each is nearest to the real product but for the roundings it is made of. */
static void test_scaling(void)
{
    static const double reals[] = {0.5, 0.001, 0.37, 1.7, 3.9e-4, 1 / 4096.0};
    for (unsigned k = 0; k < sizeof reals / sizeof *reals; k++) {
        fixed_factor factor = fixed_factor_of(reals[k]);
        for (int i = 0; i < DRAWN; i++) {
            int32_t a = drawn() >> 3;
            double exact = a * reals[k];
            CHECK_NEAR(scale_int32(a, factor), exact, 1 + fabs(exact) * 1e-9);
            CHECK_NEAR(scale_int64(a, factor), exact, 1 + fabs(exact) * 4e-5);
        }
    }
}

static void test_clamping(void)
{
    for (int i = 0; i < EDGES; i++) {
        int32_t a = edges[i];
        CHECK_EQUAL(clamp_int32(a, -128, 127), a < -128 ? -128 : a > 127 ? 127 : a);
    }
}

int main(void)
{
    test_products();
    test_quotients();
    test_factors();
    test_factors_that_are_none();
    test_scaling();
    test_clamping();
    return check_result();
}
