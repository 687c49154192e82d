#include <string.h>

#include "nn/dot.h"
#include "nn/plan.h"

enum { OPTION_ACTIVATION, OPTION_WEIGHTS_FORMAT, OPTION_KEEP_DIMENSIONS, OPTION_ASYMMETRIC, OPTION_BIAS_TYPE };

typedef struct {
    nn_node node;
    const void *x, *weights, *bias;
    void *out;
    uint32_t *paired;
    uint32_t rows, columns;
    int32_t x_zero, out_zero, low, high;
    const fixed_factor *factors; /* one a row, or one for all */
    uint32_t factor_stride;
} fully_connected;

/* Rows that go through the matrix product together. */
enum { ROWS_AT_ONCE = 24 };

/* A share of a layer's rows: its thirds serve as three matrices, or one to two rows stand alone, repeated. */
typedef struct {
    uint32_t first, third, rows;
} share;

static share share_of(const fully_connected *layer, uint32_t first)
{
    uint32_t left = layer->rows - first;
    uint32_t rows = left > ROWS_AT_ONCE ? ROWS_AT_ONCE : left;
    return rows < 3 ? (share){first, 0, 1} : (share){first, rows / 3, rows / 3 * 3};
}

/* Place of a row's sum among the interleaved sums of a share. */
static uint32_t place(const share *part, uint32_t row)
{
    return part->third ? row % part->third * 3 + row / part->third : 0;
}

static void run_float32(const nn_node *node)
{
    const fully_connected *layer = (const fully_connected *)node;
    const float *bias = layer->bias;
    float *out = layer->out;
    float sums[ROWS_AT_ONCE];
    share part = {0, 0, 0};
    for (uint32_t first = 0; first < layer->rows; first += part.rows) {
        part = share_of(layer, first);
        const float *weights = (const float *)layer->weights + first * layer->columns;
        uint32_t third = part.third * layer->columns;
        const float *const thirds[3] = {weights, weights + third, weights + 2 * third};
        memset(sums, 0, sizeof sums);
        for (uint32_t row = 0; bias && row < part.rows; row++) {
            sums[place(&part, row)] = bias[first + row];
        }
        dot_rows_float32(thirds, layer->x, layer->columns, part.rows < 3 ? 1 : part.third, sums);
        for (uint32_t row = 0; row < part.rows; row++) {
            float sum = sums[place(&part, row)];
            out[first + row] = layer->low && !(sum > 0) ? 0 : sum;
        }
    }
}

static void dense_int(const fully_connected *layer, const share *part, int32_t *sums)
{
    const int8_t *weights = (const int8_t *)layer->weights + part->first * layer->columns;
    uint32_t third = part->third * layer->columns;
    const int8_t *const thirds[3] = {weights, weights + third, weights + 2 * third};
    memset(sums, 0, ROWS_AT_ONCE * sizeof *sums);
    dot_rows_int8(thirds, layer->paired, layer->columns, part->third ? part->third : 1, sums);
}

static void run_int8(const nn_node *node)
{
    const fully_connected *layer = (const fully_connected *)node;
    const int32_t *bias = layer->bias;
    int8_t *out = layer->out;
    int32_t sums[ROWS_AT_ONCE];
    share part = {0, 0, 0};
    dot_pair_int8(layer->paired, layer->x, layer->columns, layer->x_zero);
    for (uint32_t first = 0; first < layer->rows; first += part.rows) {
        part = share_of(layer, first);
        dense_int(layer, &part, sums);
        for (uint32_t row = first; row < first + part.rows; row++) {
            uint32_t sum = (uint32_t)sums[place(&part, row - first)] + (bias ? (uint32_t)bias[row] : 0);
            int32_t scaled = scale_int32((int32_t)sum, layer->factors[row * layer->factor_stride]) + layer->out_zero;
            out[row] = (int8_t)clamp_int32(scaled, layer->low, layer->high);
        }
    }
}

static void run_int16x8(const nn_node *node)
{
    const fully_connected *layer = (const fully_connected *)node;
    const int64_t *bias = layer->bias;
    int16_t *out = layer->out;
    int32_t sums[ROWS_AT_ONCE];
    share part = {0, 0, 0};
    dot_pair_int16(layer->paired, layer->x, layer->columns);
    for (uint32_t first = 0; first < layer->rows; first += part.rows) {
        part = share_of(layer, first);
        dense_int(layer, &part, sums);
        for (uint32_t row = first; row < first + part.rows; row++) {
            int64_t sum = sums[place(&part, row - first)] + (bias ? bias[row] : 0);
            int32_t scaled = scale_int64(sum, layer->factors[row * layer->factor_stride]);
            out[row] = (int16_t)clamp_int32(scaled, layer->low, layer->high);
        }
    }
}

/* All factors of a layer: input scale · weight scale / output scale, in the reference's precision. One scale for all
 * channels is multiplied as float32, several are as float64 (kernel_util.cc). */
static status_t make_factors(plan_builder *builder, fully_connected *layer, const graph_tensor *in,
                             const graph_tensor *out)
{
    const graph_tensor *weights = &in[1];
    uint32_t count = weights->scales;
    fixed_factor *factors = plan_reserve(builder, count * (uint32_t)sizeof *factors);
    for (uint32_t i = 0; i < count; i++) {
        float scale = graph_scale(&builder->file, weights, i);
        double product = count == 1 ? (double)(in[0].scale * scale) : (double)in[0].scale * (double)scale;
        fixed_factor factor = fixed_factor_of(product / (double)out->scale);
        if (!fixed_factor_is_usable(factor)) {
            return STATUS_NN_QUANTISATION;
        }
        if (builder->base) {
            factors[i] = factor;
        }
    }
    layer->factors = factors;
    layer->factor_stride = count > 1;
    return STATUS_OK;
}

static status_t check_types(const graph_tensor *in, const graph_tensor *out, int bias)
{
    int32_t type = in[0].type;
    int32_t weights = type == TENSOR_FLOAT32 ? TENSOR_FLOAT32 : TENSOR_INT8;
    int32_t bias_type = type == TENSOR_FLOAT32 ? TENSOR_FLOAT32 : type == TENSOR_INT8 ? TENSOR_INT32 : TENSOR_INT64;
    int known = type == TENSOR_FLOAT32 || type == TENSOR_INT8 || type == TENSOR_INT16;
    if (!known || in[1].type != weights || out->type != type || (bias && in[2].type != bias_type)) {
        return STATUS_NN_TYPE;
    }
    if (type == TENSOR_FLOAT32) {
        return STATUS_OK;
    }
    int per_channel = in[1].scales > 1 && in[1].axis != 0;
    if (in[0].scales != 1 || out->scales != 1 || !in[1].scales || in[1].zero || per_channel) {
        return STATUS_NN_QUANTISATION;
    }
    return STATUS_OK;
}

static status_t check_shapes(const graph_tensor *in, const graph_tensor *out, int bias)
{
    const graph_tensor *weights = &in[1];
    /* 511 · 2^15 · 2^7 is the most that a sum of 32 bits holds. */
    uint32_t most = in[0].type == TENSOR_INT16 ? 511 : 4096;
    if (!weights->data || in[0].data || weights->dimensions != 2 || in[0].elements != (uint32_t)weights->shape[1] ||
        out->elements != (uint32_t)weights->shape[0] || in[0].elements > most ||
        (bias && (!in[2].data || in[2].elements != out->elements))) {
        return STATUS_NN_SHAPE;
    }
    return STATUS_OK;
}

/* A bias that does not fit 32 bits would not have come from a sum that does. */
static status_t check_bias(const graph_tensor *bias)
{
    for (uint32_t i = 0; bias->type == TENSOR_INT64 && i < bias->elements; i++) {
        int64_t value;
        memcpy(&value, bias->data + 8 * i, sizeof value);
        if (value != (int32_t)value) {
            return STATUS_NN_QUANTISATION;
        }
    }
    return STATUS_OK;
}

status_t fully_connected_operands(plan_builder *builder, const graph_operator *op, graph_tensor *in, graph_tensor *out)
{
    int bias = op->input_count == 3 && op->inputs[2] >= 0;
    graph_operator given = *op;
    given.input_count = bias ? 3 : op->input_count == 3 ? 2 : op->input_count;
    memset(&in[2], 0, sizeof in[2]);
    status_t status = plan_operands(builder, &given, bias ? 3 : 2, in, out);
    if (status == STATUS_OK) {
        status = check_types(in, out, bias);
    }
    if (status == STATUS_OK) {
        status = check_shapes(in, out, bias);
    }
    if (status == STATUS_OK && bias) {
        status = check_bias(&in[2]);
    }
    if (status == STATUS_OK && flatbuffer_field_u8(&builder->file.file, op->options, OPTION_WEIGHTS_FORMAT, 0)) {
        status = STATUS_NN_OPTION;
    }
    return status;
}

status_t prepare_fully_connected(plan_builder *builder, const graph_operator *op)
{
    graph_tensor in[3], out;
    status_t status = fully_connected_operands(builder, op, in, &out);
    if (status != STATUS_OK) {
        return status;
    }
    fully_connected layer = {{plan_choose(in[0].type, run_float32, run_int8, run_int16x8), NULL},
                             plan_buffer(builder, op->inputs[0], &in[0]),
                             in[1].data,
                             in[2].data,
                             plan_buffer(builder, op->outputs[0], &out),
                             NULL,
                             out.elements,
                             in[0].elements,
                             in[0].zero,
                             out.zero,
                             0,
                             0,
                             NULL,
                             0};
    uint32_t activation = flatbuffer_field_u8(&builder->file.file, op->options, OPTION_ACTIVATION, ACTIVATION_NONE);
    status = layer.node.run ? plan_activation_limits(&out, activation, &layer.low, &layer.high) : STATUS_NN_TYPE;
    if (status != STATUS_OK) {
        return status;
    }
    if (in[0].type == TENSOR_FLOAT32) {
        layer.low = activation == ACTIVATION_RELU;
    } else {
        layer.paired = plan_reserve(builder, dot_words(layer.columns) * 4);
        status = make_factors(builder, &layer, in, &out);
    }
    if (status == STATUS_OK) {
        plan_append(builder, &layer.node, sizeof layer);
    }
    return status;
}
