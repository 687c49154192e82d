/* Arithmetic of ADD, SUB and MUL on integers, element by element. */
#ifndef EDGELOOP_NN_ELEMENTWISE_H
#define EDGELOOP_NN_ELEMENTWISE_H

#include "nn/fixed_point.h"
#include "nn/plan.h"

enum { SUM_SHIFT_INT8 = 20, SUM_SHIFT_INT16 = 15 };

typedef struct {
    fixed_factor a, b, out;
    int32_t subtract;
} sum_factors;

status_t sum_factors_of(const graph_tensor *in, const graph_tensor *out, int subtract, sum_factors *factors);
status_t product_factor_of(const graph_tensor *in, const graph_tensor *out, fixed_factor *factor);

/* The two inputs and the output, checked for types, shapes and options. */
status_t elementwise_operands(plan_builder *builder, const graph_operator *op, graph_tensor *in, graph_tensor *out);

/* a + b or a − b, each already less its zero point; what comes back still lacks the output's. */
static inline int32_t sum_scaled(int32_t a, int32_t b, int32_t shift, const sum_factors *factors)
{
    int32_t scaled_a =
        divide_by_power(multiply_doubling_any(shift_left(a, shift), factors->a.multiplier), -factors->a.shift);
    int32_t scaled_b =
        divide_by_power(multiply_doubling_any(shift_left(b, shift), factors->b.multiplier), -factors->b.shift);
    int32_t sum = factors->subtract ? scaled_a - scaled_b : scaled_a + scaled_b;
    return divide_by_power(multiply_doubling_any(sum, factors->out.multiplier), -factors->out.shift);
}

#endif
