#include "nn/fixed_point.h"

#include <string.h>

fixed_factor fixed_factor_of(double real)
{
    /* real = fraction · 2^shift with a fraction in [0.5, 1), by the layout of IEEE 754 binary64. */
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    int32_t shift = (int32_t)(bits >> 52 & 0x7FF) - 1022;
    if (!(real > 0) || shift < -31) {
        return (fixed_factor){0, 0};
    }
    /* The 53 significant bits, rounded to 31. */
    uint64_t significand = (bits & 0xFFFFFFFFFFFFF) | (uint64_t)1 << 52;
    uint64_t multiplier = (significand + ((uint64_t)1 << 21)) >> 22;
    if (multiplier == (uint64_t)1 << 31) {
        multiplier >>= 1;
        shift++;
    }
    return (fixed_factor){(int32_t)multiplier, shift};
}
