/* A GRU step that runs as one node:
 *
 *     w = logistic(Ww x + bw + Uw h + cw)
 *     r = logistic(Wr x + br + Ur h + cr)
 *     c = tanh(Wc x + bc + r · (Uc h + cc))
 *     h' = h + w · (c − h)
 *
 * (Cho et al. 2014 in the variant of cuDNN and Keras, reset after the product, with w = 1 − z), with the same bits as
 * its operators one by one. */
#ifndef EDGELOOP_NN_GRU_H
#define EDGELOOP_NN_GRU_H

#include "nn/dot.h"
#include "nn/elementwise.h"
#include "nn/plan.h"

enum { GATE_W, GATE_R, GATE_C, GATES };

/* The operators of one step. Inputs of the sums and products are put in the order of the formulas above. */
typedef struct {
    graph_operator from_x[GATES], from_h[GATES]; /* FULLY_CONNECTED */
    graph_operator sum[GATES];                   /* ADD of the two; of gate c, from_x and the gated product */
    graph_operator curve[GATES];                 /* LOGISTIC, LOGISTIC, TANH */
    graph_operator gated;                        /* MUL of r and from_h[c] */
    graph_operator difference;                   /* SUB of c and h */
    graph_operator change;                       /* MUL of w and the difference */
    graph_operator end;                          /* ADD of h and the change */
    int32_t x, h, next;
    uint8_t parts[3 * GATES + GATES + 3]; /* indices of all but `end` */
    uint32_t part_count;
} gru_step;

typedef struct {
    nn_node node;
    const void *x, *from_x[GATES], *from_x_bias[GATES], *from_h[GATES], *from_h_bias[GATES];
    void *h, *next;
    uint32_t inputs, units;
    void *scratch;
} gru_layer;

/* Units that go through dense layers and gates together: their sums stay in a small buffer. */
enum { GRU_UNITS_AT_ONCE = 8 };

/* The rows of the three gates' weights from `unit` on. */
static inline void gru_rows(const void *const *weights, uint32_t row_bytes, uint32_t unit, const void **rows)
{
    for (uint32_t gate = 0; gate < GATES; gate++) {
        rows[gate] = (const uint8_t *)weights[gate] + unit * row_bytes;
    }
}

/* Put the biases of some units in the order of their sums, (units, 3). A bias is a word, or the low one of
 * `words`. */
static inline void gru_biases(const void *const *bias, uint32_t words, uint32_t unit, uint32_t units, uint32_t *sums)
{
    const uint32_t *w = (const uint32_t *)bias[GATE_W] + unit * words;
    const uint32_t *r = (const uint32_t *)bias[GATE_R] + unit * words;
    const uint32_t *c = (const uint32_t *)bias[GATE_C] + unit * words;
    const uint32_t *end = sums + GATES * units;
    for (; sums != end; sums += GATES, w += words, r += words, c += words) {
        sums[GATE_W] = *w;
        sums[GATE_R] = *r;
        sums[GATE_C] = *c;
    }
}

/* Dense layers of the three gates with weights of int8 for some units, (units, 3) in `sums`. */
static inline void gru_dense_int8(const void *const *weights, const void *const *bias, uint32_t bias_words,
                                  const uint32_t *paired, uint32_t columns, uint32_t unit, uint32_t units,
                                  int32_t *sums)
{
    const void *rows[GATES];
    gru_rows(weights, columns, unit, rows);
    gru_biases(bias, bias_words, unit, units, (uint32_t *)sums);
    dot_rows_int8((const int8_t *const *)rows, paired, columns, units, sums);
}

/* Append the node of a step, or, with `append` 0, only say by STATUS_OK that its type's fused form fits it. */
status_t gru_float32(plan_builder *builder, const gru_step *step, const gru_layer *layer, int append);
status_t gru_int8(plan_builder *builder, const gru_step *step, const gru_layer *layer, int append);
status_t gru_int16x8(plan_builder *builder, const gru_step *step, const gru_layer *layer, int append);

#endif
