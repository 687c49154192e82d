#include "nn/dot.h"

void dot_pair_int8(uint32_t *paired, const int8_t *x, uint32_t columns, int32_t zero) {
    int32_t four[4];
    for (uint32_t i = 0; i < columns; i += 4) {
        for (uint32_t k = 0; k < 4; k++) {
            four[k] = i + k < columns ? x[i + k] - zero : 0;
        }
        *paired++ = dot_pair(four[0], four[2]);
        *paired++ = dot_pair(four[1], four[3]);
    }
}

void dot_pair_int16(uint32_t *paired, const int16_t *x, uint32_t columns) {
    uint32_t i = 0;
    for (; i + 4 <= columns; i += 4) {
        *paired++ = dot_pair(x[i], x[i + 2]);
        *paired++ = dot_pair(x[i + 1], x[i + 3]);
    }
    if (i < columns) {
        *paired++ = dot_pair(x[i], i + 2 < columns ? x[i + 2] : 0);
        *paired++ = dot_pair(i + 1 < columns ? x[i + 1] : 0, 0);
    }
}
