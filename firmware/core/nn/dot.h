/* Three rows of a matrix times one vector: the loop in which the engine spends its time.
 *
 * Three rows share each load of the vector and keep three independent sums, as far apart as the multiply-accumulate of
 * a Cortex-M7 takes. Integer weights are int8 as the file has them. The vector is widened and paired beforehand: of
 * every four columns the words (x0, x2) and (x1, x3), because SXTB16 takes bytes 0 and 2, and after a rotation 1 and 3,
 * of a word of weights (ARM DDI 0403E, A7.7.187). Columns that are missing to a multiple of four are zeros in it. */
#ifndef EDGELOOP_NN_DOT_H
#define EDGELOOP_NN_DOT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    int32_t a, b, c;
} dot_sums;

typedef struct {
    float a, b, c;
} dot_sums_float32;

/* Words of a paired vector. */
static inline uint32_t dot_words(uint32_t columns) {
    return (columns + 3) / 4 * 2;
}

static inline uint32_t dot_pair(int32_t low, int32_t high) {
    return ((uint32_t)low & 0xFFFF) | (uint32_t)high << 16;
}

/* Pair int8 values, each less `zero`. */
void dot_pair_int8(uint32_t *paired, const int8_t *x, uint32_t columns, int32_t zero);
void dot_pair_int16(uint32_t *paired, const int16_t *x, uint32_t columns);

#if defined(__ARM_FEATURE_DSP)
static inline uint32_t dot_even(uint32_t weights) {
    uint32_t halves;
    __asm__("sxtb16 %0, %1" : "=r"(halves) : "r"(weights));
    return halves;
}
static inline uint32_t dot_odd(uint32_t weights) {
    uint32_t halves;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(weights));
    return halves;
}
static inline int32_t dot_smlad(uint32_t x, uint32_t y, int32_t sum) {
    int32_t result;
    __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(y), "r"(sum));
    return result;
}
#else
static inline int32_t dot_byte(uint32_t word, uint32_t index) {
    return (int8_t)(word >> (8 * index));
}
static inline uint32_t dot_even(uint32_t weights) {
    return dot_pair(dot_byte(weights, 0), dot_byte(weights, 2));
}
static inline uint32_t dot_odd(uint32_t weights) {
    return dot_pair(dot_byte(weights, 1), dot_byte(weights, 3));
}
static inline int32_t dot_smlad(uint32_t x, uint32_t y, int32_t sum) {
    int32_t low = (int16_t)x * (int16_t)y, high = (int16_t)(x >> 16) * (int16_t)(y >> 16);
    return (int32_t)((uint32_t)sum + (uint32_t)low + (uint32_t)high);
}
#endif

/* Four weights; fewer at the end of a row, where nothing behind the row is read. */
static inline uint32_t dot_weights(const int8_t *weights, uint32_t bytes) {
    uint32_t word = 0;
    if (bytes >= 4) {
        memcpy(&word, weights, 4);
        return word;
    }
    for (uint32_t i = 0; i < bytes; i++) {
        word |= (uint32_t)(uint8_t)weights[i] << (8 * i);
    }
    return word;
}

static inline int32_t dot_four(uint32_t weights, uint32_t even, uint32_t odd, int32_t sum) {
    return dot_smlad(dot_odd(weights), odd, dot_smlad(dot_even(weights), even, sum));
}

#if defined(__ARM_FEATURE_DSP)
/* Eight columns a turn; rows lie on words. Loads two words at once where the compiler would load one by one. */
static inline dot_sums dot_three_words(const int8_t *a, const int8_t *b, const int8_t *c, const uint32_t *x,
                                       uint32_t columns, dot_sums sums) {
    const uint32_t *end = x + columns / 8 * 4;
    while (x != end) {
        uint32_t x0, x1, x2, x3, w0, w1;
        __asm__("ldrd %0, %1, [%2], #8" : "=r"(x0), "=r"(x1), "+r"(x) : : "memory");
        __asm__("ldrd %0, %1, [%2], #8" : "=r"(x2), "=r"(x3), "+r"(x) : : "memory");
        __asm__("ldrd %0, %1, [%2], #8" : "=r"(w0), "=r"(w1), "+r"(a) : : "memory");
        sums.a = dot_four(w1, x2, x3, dot_four(w0, x0, x1, sums.a));
        __asm__("ldrd %0, %1, [%2], #8" : "=r"(w0), "=r"(w1), "+r"(b) : : "memory");
        sums.b = dot_four(w1, x2, x3, dot_four(w0, x0, x1, sums.b));
        __asm__("ldrd %0, %1, [%2], #8" : "=r"(w0), "=r"(w1), "+r"(c) : : "memory");
        sums.c = dot_four(w1, x2, x3, dot_four(w0, x0, x1, sums.c));
    }
    if (columns & 4) {
        sums.a = dot_four(dot_weights(a, 4), x[0], x[1], sums.a);
        sums.b = dot_four(dot_weights(b, 4), x[0], x[1], sums.b);
        sums.c = dot_four(dot_weights(c, 4), x[0], x[1], sums.c);
    }
    return sums;
}
#endif

static inline dot_sums dot_three(const int8_t *a, const int8_t *b, const int8_t *c, const uint32_t *x, uint32_t columns,
                                 dot_sums sums) {
#if defined(__ARM_FEATURE_DSP)
    if (columns % 4 == 0) {
        return dot_three_words(a, b, c, x, columns, sums);
    }
#endif
    for (uint32_t i = 0; i < columns; i += 4, x += 2) {
        uint32_t left = columns - i;
        sums.a = dot_four(dot_weights(a + i, left), x[0], x[1], sums.a);
        sums.b = dot_four(dot_weights(b + i, left), x[0], x[1], sums.b);
        sums.c = dot_four(dot_weights(c + i, left), x[0], x[1], sums.c);
    }
    return sums;
}

static inline dot_sums_float32 dot_three_float32(const float *a, const float *b, const float *c, const float *x,
                                                 uint32_t columns, dot_sums_float32 sums) {
    uint32_t i = 0;
#if defined(__ARM_FEATURE_DSP)
    /* Eight columns of x stay in s0-s7 while four columns of each row come and go. */
    for (; i + 8 <= columns; i += 8) {
        __asm__("vldmia %[x]!, {s0-s7}\n\t"
                "vldmia %[a]!, {s8-s11}\n\t"
                "vldmia %[b]!, {s12-s15}\n\t"
                "vldmia %[c]!, {s16-s19}\n\t"
                "vfma.f32 %[sa], s0, s8\n\t"
                "vfma.f32 %[sb], s0, s12\n\t"
                "vfma.f32 %[sc], s0, s16\n\t"
                "vfma.f32 %[sa], s1, s9\n\t"
                "vfma.f32 %[sb], s1, s13\n\t"
                "vfma.f32 %[sc], s1, s17\n\t"
                "vfma.f32 %[sa], s2, s10\n\t"
                "vfma.f32 %[sb], s2, s14\n\t"
                "vfma.f32 %[sc], s2, s18\n\t"
                "vfma.f32 %[sa], s3, s11\n\t"
                "vfma.f32 %[sb], s3, s15\n\t"
                "vfma.f32 %[sc], s3, s19\n\t"
                "vldmia %[a]!, {s8-s11}\n\t"
                "vldmia %[b]!, {s12-s15}\n\t"
                "vldmia %[c]!, {s16-s19}\n\t"
                "vfma.f32 %[sa], s4, s8\n\t"
                "vfma.f32 %[sb], s4, s12\n\t"
                "vfma.f32 %[sc], s4, s16\n\t"
                "vfma.f32 %[sa], s5, s9\n\t"
                "vfma.f32 %[sb], s5, s13\n\t"
                "vfma.f32 %[sc], s5, s17\n\t"
                "vfma.f32 %[sa], s6, s10\n\t"
                "vfma.f32 %[sb], s6, s14\n\t"
                "vfma.f32 %[sc], s6, s18\n\t"
                "vfma.f32 %[sa], s7, s11\n\t"
                "vfma.f32 %[sb], s7, s15\n\t"
                "vfma.f32 %[sc], s7, s19"
                : [x] "+r"(x), [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [sa] "+t"(sums.a), [sb] "+t"(sums.b),
                  [sc] "+t"(sums.c)
                :
                : "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15",
                  "s16", "s17", "s18", "s19", "memory");
    }
#endif
    for (; i < columns; i++, x++, a++, b++, c++) {
        sums.a = fmaf(*a, *x, sums.a);
        sums.b = fmaf(*b, *x, sums.b);
        sums.c = fmaf(*c, *x, sums.c);
    }
    return sums;
}

#endif
