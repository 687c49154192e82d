/* Logistic function and hyperbolic tangent against the C library's: how far off, in order, symmetric. */
#include <math.h>
#include <stdint.h>

#include "check.h"
#include "nn/curves.h"

/* OPERATOR_* and scales as TensorFlow quantises: outputs of the logistic 1/256 − 128 or 1/32768, of tanh 1/128 or 1/32768. */
enum { LOGISTIC = OPERATOR_LOGISTIC, TANH = OPERATOR_TANH };

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

static void test_float32_within_its_bound(void)
{
    for (int i = -40000; i <= 40000; i++) {
        float x = (float)i / 1500.0f;
        CHECK_NEAR(tanh_float32(x), tanh((double)x), 3.1e-7);
        CHECK_NEAR(logistic_float32(x), logistic((double)x), 3.1e-7);
    }
}

static void test_float32_at_the_ends(void)
{
    static const float large[] = {9, 10, 88.8f, 1e10f, 3.4e38f, INFINITY};
    for (unsigned i = 0; i < sizeof large / sizeof *large; i++) {
        CHECK_NEAR(tanh_float32(large[i]), 1, 3.1e-7);
        CHECK_NEAR(tanh_float32(-large[i]), -1, 3.1e-7);
        CHECK_NEAR(logistic_float32(2 * large[i]), 1, 3.1e-7);
        CHECK_NEAR(logistic_float32(-2 * large[i]), 0, 3.1e-7);
    }
    CHECK_EQUAL(tanh_float32(0) * 1e9f, 0);
    CHECK_NEAR(logistic_float32(0), 0.5, 0);
}

/* Every int16 at the scale that converted cells have, and at one that needs a multiplier. */
static void test_int16(float scale)
{
    curve_scale sigmoid = curve_scale_of(LOGISTIC, scale), tangent = curve_scale_of(TANH, scale);
    int32_t last_sigmoid = -1, last_tangent = -32768;
    for (int32_t x = -32768; x <= 32767; x++) {
        int32_t s = logistic_int16(curve_position(x, sigmoid)), t = tanh_int16(curve_position(x, tangent));
        double real = (double)x * (double)scale;
        /* A table of 255 chords, and a position that is a whole number: some units of 2^-15. */
        CHECK_NEAR(s / 32768.0, logistic(real), 1.5 / 32768);
        CHECK_NEAR(t / 32768.0, tanh(real), 3.0 / 32768);
        CHECK(s >= last_sigmoid && s <= 32767);
        CHECK(t >= last_tangent && t <= 32767);
        last_sigmoid = s;
        last_tangent = t;
    }
}

static void test_int16_mirrors(void)
{
    curve_scale sigmoid = curve_scale_of(LOGISTIC, 1 / 4096.0f), tangent = curve_scale_of(TANH, 1 / 4096.0f);
    for (int32_t x = 0; x <= 32767; x++) {
        int32_t sum = logistic_int16(curve_position(x, sigmoid)) + logistic_int16(curve_position(-x, sigmoid));
        CHECK_NEAR(sum, 32768, 1);
        CHECK_NEAR(tanh_int16(curve_position(x, tangent)) + tanh_int16(curve_position(-x, tangent)), 0, 1);
    }
}

static void test_int8(int32_t code, double scale, int32_t zero)
{
    int8_t table[256];
    float scales[1] = {(float)scale};
    graph_tensor in = {0};
    in.scale = scales[0];
    in.zero = zero;
    in.type = TENSOR_INT8;
    curve_table_int8(code, &in, table);
    for (int32_t x = -128; x <= 127; x++) {
        double real = (x - zero) * (double)scales[0];
        double exact = code == LOGISTIC ? fmin(logistic(real) * 256 - 128, 127) : fmin(tanh(real) * 128, 127);
        CHECK_NEAR(table[x + 128], exact, 1.01);
        CHECK(x == -128 || table[x + 128] >= table[x + 127]);
    }
}

int main(void)
{
    test_float32_within_its_bound();
    test_float32_at_the_ends();
    test_int16(1 / 4096.0f);
    test_int16(2.7e-4f);
    test_int16_mirrors();
    test_int8(LOGISTIC, 0.05, 0);
    test_int8(LOGISTIC, 0.011, -17);
    test_int8(TANH, 0.05, 3);
    test_int8(TANH, 1 / 64.0, 0);
    return check_result();
}
