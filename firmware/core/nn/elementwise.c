#include "nn/elementwise.h"

#include "nn/plan.h"

typedef struct {
    nn_node node;
    const void *a, *b;
    void *out;
    uint32_t elements, a_step, b_step; /* a step of 0 repeats the one element */
    int32_t low, high, a_zero, b_zero, out_zero;
    sum_factors sum;
    fixed_factor product;
} elementwise;

static void run_add_float32(const nn_node *node)
{
    const elementwise *op = (const elementwise *)node;
    const float *a = op->a, *b = op->b;
    float *out = op->out;
    for (uint32_t i = 0; i < op->elements; i++, a += op->a_step, b += op->b_step) {
        out[i] = *a + *b;
    }
}

static void run_sub_float32(const nn_node *node)
{
    const elementwise *op = (const elementwise *)node;
    const float *a = op->a, *b = op->b;
    float *out = op->out;
    for (uint32_t i = 0; i < op->elements; i++, a += op->a_step, b += op->b_step) {
        out[i] = *a - *b;
    }
}

static void run_mul_float32(const nn_node *node)
{
    const elementwise *op = (const elementwise *)node;
    const float *a = op->a, *b = op->b;
    float *out = op->out;
    for (uint32_t i = 0; i < op->elements; i++, a += op->a_step, b += op->b_step) {
        out[i] = *a * *b;
    }
}

static void run_sum_int8(const nn_node *node)
{
    const elementwise *op = (const elementwise *)node;
    const int8_t *a = op->a, *b = op->b;
    int8_t *out = op->out;
    for (uint32_t i = 0; i < op->elements; i++, a += op->a_step, b += op->b_step) {
        int32_t sum = sum_scaled(*a - op->a_zero, *b - op->b_zero, SUM_SHIFT_INT8, &op->sum);
        out[i] = (int8_t)clamp_int32(sum + op->out_zero, op->low, op->high);
    }
}

static void run_sum_int16(const nn_node *node)
{
    const elementwise *op = (const elementwise *)node;
    const int16_t *a = op->a, *b = op->b;
    int16_t *out = op->out;
    for (uint32_t i = 0; i < op->elements; i++, a += op->a_step, b += op->b_step) {
        out[i] = (int16_t)clamp_int32(sum_scaled(*a, *b, SUM_SHIFT_INT16, &op->sum), op->low, op->high);
    }
}

static void run_mul_int8(const nn_node *node)
{
    const elementwise *op = (const elementwise *)node;
    const int8_t *a = op->a, *b = op->b;
    int8_t *out = op->out;
    for (uint32_t i = 0; i < op->elements; i++, a += op->a_step, b += op->b_step) {
        int32_t product = scale_int32((*a - op->a_zero) * (*b - op->b_zero), op->product);
        out[i] = (int8_t)clamp_int32(product + op->out_zero, op->low, op->high);
    }
}

static void run_mul_int16(const nn_node *node)
{
    const elementwise *op = (const elementwise *)node;
    const int16_t *a = op->a, *b = op->b;
    int16_t *out = op->out;
    for (uint32_t i = 0; i < op->elements; i++, a += op->a_step, b += op->b_step) {
        out[i] = (int16_t)clamp_int32(scale_int32(*a * *b, op->product), op->low, op->high);
    }
}

/* Both inputs go to twice the larger scale with `shift` more bits, as in add.cc and sub.cc. */
status_t sum_factors_of(const graph_tensor *in, const graph_tensor *out, int subtract, sum_factors *factors)
{
    int32_t shift = out->type == TENSOR_INT8 ? SUM_SHIFT_INT8 : SUM_SHIFT_INT16;
    double a = (double)in[0].scale, b = (double)in[1].scale;
    double twice = 2 * (a > b ? a : b);
    factors->a = fixed_factor_of(a / twice);
    factors->b = fixed_factor_of(b / twice);
    factors->out = fixed_factor_of(twice / ((double)(1 << shift) * (double)out->scale));
    factors->subtract = subtract;
    if (!fixed_factor_is_usable(factors->a) || !fixed_factor_is_usable(factors->b) ||
        !fixed_factor_is_usable(factors->out) || factors->out.shift > 0) {
        return STATUS_NN_QUANTISATION;
    }
    return STATUS_OK;
}

status_t product_factor_of(const graph_tensor *in, const graph_tensor *out, fixed_factor *factor)
{
    *factor = fixed_factor_of((double)in[0].scale * (double)in[1].scale / (double)out->scale);
    /* With a left shift a product of two int16 values would leave the word. */
    return fixed_factor_is_usable(*factor) && factor->shift <= 0 ? STATUS_OK : STATUS_NN_QUANTISATION;
}

status_t elementwise_operands(plan_builder *builder, const graph_operator *op, graph_tensor *in, graph_tensor *out)
{
    status_t status = plan_operands(builder, op, 2, in, out);
    if (status != STATUS_OK) {
        return status;
    }
    if (out->type == TENSOR_INT32 || out->type == TENSOR_INT64 || in[0].type != out->type || in[1].type != out->type) {
        return STATUS_NN_TYPE;
    }
    if (out->type != TENSOR_FLOAT32 && (in[0].scales != 1 || in[1].scales != 1 || out->scales != 1)) {
        return STATUS_NN_QUANTISATION;
    }
    for (int i = 0; i < 2; i++) {
        if (in[i].elements != out->elements && in[i].elements != 1) {
            return STATUS_NN_SHAPE;
        }
    }
    /* ADD, SUB and MUL keep the activation in the first field of their options. */
    if (flatbuffer_field_u8(&builder->file.file, op->options, 0, ACTIVATION_NONE) != ACTIVATION_NONE) {
        return STATUS_NN_OPTION;
    }
    return builder->file.file.failed ? STATUS_NN_TRUNCATED : STATUS_OK;
}

static status_t append(plan_builder *builder, const graph_operator *op, const graph_tensor *in, const graph_tensor *out,
                       elementwise *node)
{
    node->a = plan_buffer(builder, op->inputs[0], &in[0]);
    node->b = plan_buffer(builder, op->inputs[1], &in[1]);
    node->out = plan_buffer(builder, op->outputs[0], out);
    node->elements = out->elements;
    node->a_step = in[0].elements > 1;
    node->b_step = in[1].elements > 1;
    node->a_zero = in[0].zero;
    node->b_zero = in[1].zero;
    node->out_zero = out->zero;
    plan_activation_limits(out, ACTIVATION_NONE, &node->low, &node->high);
    plan_append(builder, &node->node, sizeof *node);
    return node->node.run ? STATUS_OK : STATUS_NN_TYPE;
}

status_t prepare_sum(plan_builder *builder, const graph_operator *op)
{
    graph_tensor in[2], out;
    elementwise node = {0};
    int subtract = op->code == OPERATOR_SUB;
    status_t status = elementwise_operands(builder, op, in, &out);
    if (status == STATUS_OK && out.type != TENSOR_FLOAT32) {
        status = sum_factors_of(in, &out, subtract, &node.sum);
    }
    if (status != STATUS_OK) {
        return status;
    }
    node.node.run = plan_choose(out.type, subtract ? run_sub_float32 : run_add_float32, run_sum_int8, run_sum_int16);
    return append(builder, op, in, &out, &node);
}

status_t prepare_product(plan_builder *builder, const graph_operator *op)
{
    graph_tensor in[2], out;
    elementwise node = {0};
    status_t status = elementwise_operands(builder, op, in, &out);
    if (status == STATUS_OK && out.type != TENSOR_FLOAT32) {
        status = product_factor_of(in, &out, &node.product);
    }
    if (status != STATUS_OK) {
        return status;
    }
    node.node.run = plan_choose(out.type, run_mul_float32, run_mul_int8, run_mul_int16);
    return append(builder, op, in, &out, &node);
}
