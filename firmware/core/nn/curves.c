#include "nn/curves.h"

typedef struct {
    nn_node node;
    const void *x;
    void *out;
    uint32_t elements;
    curve_scale scale;
    const int8_t *table;
} curve;

static void run_logistic_float32(const nn_node *node)
{
    const curve *op = (const curve *)node;
    const float *x = op->x;
    float *out = op->out;
    for (uint32_t i = 0; i < op->elements; i++) {
        out[i] = logistic_float32(x[i]);
    }
}

static void run_tanh_float32(const nn_node *node)
{
    const curve *op = (const curve *)node;
    const float *x = op->x;
    float *out = op->out;
    for (uint32_t i = 0; i < op->elements; i++) {
        out[i] = tanh_float32(x[i]);
    }
}

static void run_logistic_int16(const nn_node *node)
{
    const curve *op = (const curve *)node;
    const int16_t *x = op->x;
    int16_t *out = op->out;
    for (uint32_t i = 0; i < op->elements; i++) {
        out[i] = (int16_t)logistic_int16(curve_position(x[i], op->scale));
    }
}

static void run_tanh_int16(const nn_node *node)
{
    const curve *op = (const curve *)node;
    const int16_t *x = op->x;
    int16_t *out = op->out;
    for (uint32_t i = 0; i < op->elements; i++) {
        out[i] = (int16_t)tanh_int16(curve_position(x[i], op->scale));
    }
}

static void run_int8(const nn_node *node)
{
    const curve *op = (const curve *)node;
    const int8_t *x = op->x;
    int8_t *out = op->out;
    for (uint32_t i = 0; i < op->elements; i++) {
        out[i] = op->table[x[i] + 128];
    }
}

/* log2 of a scale that is a power of two, else 1. */
static int32_t power_of_two(float scale)
{
    for (int32_t power = 0; power > -24; power--) {
        if (scale * (float)(1 << -power) == 1.0f) {
            return power;
        }
    }
    return 1;
}

/* As logistic_common.cc and tanh.cc prepare it: exact for the power-of-two scales that they know, else the largest
 * multiplier below 2^15. */
curve_scale curve_scale_of(int32_t code, float input_scale)
{
    int32_t power = power_of_two(input_scale);
    int32_t known = power + 12;
    if (power <= 0 && (known == 0 || (known == 1 && code == OPERATOR_TANH))) {
        return (curve_scale){3 << known, 0, 0};
    }
    double multiplier = (double)input_scale * 4096 * 3;
    int32_t shift = 0;
    while (multiplier <= 32767.0 / 2 && shift <= 30) {
        shift++;
        multiplier *= 2;
    }
    return (curve_scale){(int32_t)multiplier, shift, shift ? 1 << (shift - 1) : 0};
}

status_t curve_operands(plan_builder *builder, const graph_operator *op, graph_tensor *in, graph_tensor *out)
{
    status_t status = plan_operands(builder, op, 1, in, out);
    if (status != STATUS_OK) {
        return status;
    }
    if (in->type != out->type || in->type == TENSOR_INT32 || in->type == TENSOR_INT64) {
        return STATUS_NN_TYPE;
    }
    if (in->elements != out->elements) {
        return STATUS_NN_SHAPE;
    }
    if (in->type == TENSOR_FLOAT32) {
        return STATUS_OK;
    }
    int logistic = op->code == OPERATOR_LOGISTIC;
    float scale = in->type == TENSOR_INT16 ? 1.0f / 32768 : logistic ? 1.0f / 256 : 1.0f / 128;
    int32_t zero = in->type == TENSOR_INT8 && logistic ? -128 : 0;
    /* A coarser input than 1 leaves nothing of the curve; a finer one than 2^-24 leaves one point of it. */
    if (in->scales != 1 || out->scales != 1 || out->scale != scale || out->zero != zero || in->scale > 1.0f ||
        in->scale < 6e-8f) {
        return STATUS_NN_QUANTISATION;
    }
    return STATUS_OK;
}

status_t prepare_curve(plan_builder *builder, const graph_operator *op)
{
    graph_tensor in, out;
    status_t status = curve_operands(builder, op, &in, &out);
    if (status != STATUS_OK) {
        return status;
    }
    int logistic = op->code == OPERATOR_LOGISTIC;
    curve node = {
        {0}, plan_buffer(builder, op->inputs[0], &in), plan_buffer(builder, op->outputs[0], &out), out.elements, {0},
        0};
    node.node.run = plan_choose(in.type, logistic ? run_logistic_float32 : run_tanh_float32, run_int8,
                                logistic ? run_logistic_int16 : run_tanh_int16);
    if (NN_WITH_INT16X8 && in.type == TENSOR_INT16) {
        node.scale = curve_scale_of(op->code, in.scale);
    } else if (NN_WITH_INT8 && in.type == TENSOR_INT8) {
        int8_t *table = plan_reserve(builder, 256);
        node.table = table;
        if (builder->base) {
            curve_table_int8(op->code, &in, table);
        }
    }
    if (!node.node.run) {
        return STATUS_NN_TYPE;
    }
    plan_append(builder, &node.node, sizeof node);
    return STATUS_OK;
}
