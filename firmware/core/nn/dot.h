/* Rows of three matrices times one vector: the loop in which the engine spends its time.
 *
 * Three rows share each load of the vector and keep three independent sums, as far apart as the multiply-accumulate of
 * a Cortex-M7 takes. Integer weights are int8 as the file has them. The vector is widened and paired beforehand: of
 * every four columns the words (x0, x2) and (x1, x3), because SXTB16 takes bytes 0 and 2, and after a rotation 1 and 3,
 * of a word of weights (ARM DDI 0403E, A7.7.187). Columns that are missing to a multiple of four are zeros in it. */
#ifndef EDGELOOP_NN_DOT_H
#define EDGELOOP_NN_DOT_H

#include <stdint.h>

/* Words of a paired vector. */
static inline uint32_t dot_words(uint32_t columns)
{
    return (columns + 3) / 4 * 2;
}

/* Pair int8 values, each less `zero`. */
void dot_pair_int8(uint32_t *paired, const int8_t *x, uint32_t columns, int32_t zero);
void dot_pair_int16(uint32_t *paired, const int16_t *x, uint32_t columns);

/* For each of `rows` rows, add the products of row and vector to three sums: of the matrices weights[0], [1] and [2].
 *
 * `sums` is (rows, 3), weights are (rows, columns) each. */
void dot_rows_int8(const int8_t *const weights[3], const uint32_t *paired, uint32_t columns, uint32_t rows,
                   int32_t *sums);
void dot_rows_float32(const float *const weights[3], const float *x, uint32_t columns, uint32_t rows, float *sums);

#endif
