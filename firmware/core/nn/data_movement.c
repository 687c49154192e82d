/* RESHAPE, SPLIT, STRIDED_SLICE, CONCATENATION along the last axis, where the others have one element; QUANTIZE. */
#include <string.h>

#include "nn/plan.h"

typedef struct {
    nn_node node;
    const uint8_t *from;
    uint8_t *to;
    uint32_t bytes;
} copy;

static void run_copy(const nn_node *node)
{
    const copy *op = (const copy *)node;
    memcpy(op->to, op->from, op->bytes);
}

/* All of the tensor lies along its last axis. */
static int is_row(const graph_tensor *tensor)
{
    return tensor->dimensions && tensor->elements == (uint32_t)tensor->shape[tensor->dimensions - 1];
}

/* The same bits mean the same in both tensors. */
static status_t check_same(const graph_tensor *a, const graph_tensor *b)
{
    if (a->type != b->type || a->type == TENSOR_INT32 || a->type == TENSOR_INT64) {
        return STATUS_NN_TYPE;
    }
    if (a->type != TENSOR_FLOAT32 && (a->scales != 1 || b->scales != 1 || a->zero != b->zero || a->scale != b->scale)) {
        return STATUS_NN_QUANTISATION;
    }
    return STATUS_OK;
}

static void append(plan_builder *builder, const void *from, void *to, uint32_t bytes)
{
    copy node = {{run_copy, NULL}, from, to, bytes};
    plan_append(builder, &node.node, sizeof node);
}

/* A constant list of int32, as STRIDED_SLICE and SPLIT take theirs. */
static status_t read_constant(plan_builder *builder, int32_t index, uint32_t count, int32_t *values)
{
    graph_tensor tensor;
    status_t status = graph_read_tensor(&builder->file, index, &tensor);
    if (status != STATUS_OK) {
        return status;
    }
    if (tensor.type != TENSOR_INT32) {
        return STATUS_NN_TYPE;
    }
    if (!tensor.data || tensor.elements != count) {
        return STATUS_NN_SHAPE;
    }
    memcpy(values, tensor.data, count * sizeof *values);
    return STATUS_OK;
}

static status_t prepare_reshape(plan_builder *builder, const graph_operator *op)
{
    graph_tensor in[2], out;
    if (op->input_count < 1 || op->input_count > 2) {
        return STATUS_NN_STRUCTURE;
    }
    status_t status = plan_operands(builder, op, op->input_count, in, &out);
    if (status == STATUS_OK) {
        status = check_same(&in[0], &out);
    }
    if (status == STATUS_OK && in[0].elements != out.elements) {
        status = STATUS_NN_SHAPE;
    }
    if (status != STATUS_OK) {
        return status;
    }
    append(builder, plan_buffer(builder, op->inputs[0], &in[0]), plan_buffer(builder, op->outputs[0], &out),
           out.elements * graph_element_bytes(out.type));
    return STATUS_OK;
}

enum { SLICE_BEGIN_MASK, SLICE_END_MASK, SLICE_ELLIPSIS_MASK, SLICE_NEW_AXIS_MASK, SLICE_SHRINK_MASK, SLICE_OFFSET };

static int32_t from_end(int32_t index, int32_t size)
{
    return index < 0 ? index + size : index;
}

/* Where a slice along the last axis begins; its end must agree with the output's size. */
static status_t read_slice(plan_builder *builder, const graph_operator *op, const graph_tensor *in,
                           const graph_tensor *out, uint32_t *first)
{
    enum { BEGIN, END, STRIDE, LISTS };
    int32_t list[LISTS][GRAPH_DIMENSIONS];
    uint32_t options[SLICE_OFFSET + 1], count = 1;
    for (uint32_t i = 0; i < LISTS; i++) {
        status_t status = read_constant(builder, op->inputs[1 + i], in->dimensions, list[i]);
        if (status != STATUS_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i <= SLICE_OFFSET; i++) {
        options[i] = flatbuffer_field_u8(&builder->file.file, op->options, i, 0);
    }
    uint32_t others = options[SLICE_ELLIPSIS_MASK] | options[SLICE_NEW_AXIS_MASK] | options[SLICE_SHRINK_MASK];
    for (uint32_t i = 0; i < in->dimensions; i++) {
        int32_t size = in->shape[i];
        int32_t begin = options[SLICE_BEGIN_MASK] >> i & 1 ? 0 : from_end(list[BEGIN][i], size);
        int32_t end = options[SLICE_END_MASK] >> i & 1 ? size : from_end(list[END][i], size);
        end = end > size ? size : end;
        if (list[STRIDE][i] != 1 || others || options[SLICE_OFFSET] || begin < 0 || end <= begin) {
            return STATUS_NN_OPTION;
        }
        *first = (uint32_t)begin;
        count = (uint32_t)(end - begin);
    }
    return count == out->elements ? STATUS_OK : STATUS_NN_SHAPE;
}

static status_t prepare_strided_slice(plan_builder *builder, const graph_operator *op)
{
    graph_tensor in[4], out;
    uint32_t first = 0;
    status_t status = plan_operands(builder, op, 4, in, &out);
    if (status == STATUS_OK) {
        status = check_same(&in[0], &out);
    }
    if (status == STATUS_OK) {
        status = is_row(&in[0]) && is_row(&out) ? read_slice(builder, op, &in[0], &out, &first) : STATUS_NN_SHAPE;
    }
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t size = graph_element_bytes(out.type);
    uintptr_t from = (uintptr_t)plan_buffer(builder, op->inputs[0], &in[0]);
    append(builder, (const void *)(from + first * size), plan_buffer(builder, op->outputs[0], &out),
           out.elements * size);
    return STATUS_OK;
}

static status_t prepare_split(plan_builder *builder, const graph_operator *op)
{
    graph_tensor in, out;
    int32_t axis;
    uint32_t parts = op->output_count;
    if (op->input_count != 2 || !parts) {
        return STATUS_NN_STRUCTURE;
    }
    status_t status = graph_read_tensor(&builder->file, op->inputs[1], &in);
    if (status == STATUS_OK) {
        status = read_constant(builder, op->inputs[0], 1, &axis);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (!is_row(&in) || in.elements % parts) {
        return STATUS_NN_SHAPE;
    }
    if (axis != -1 && axis != (int32_t)in.dimensions - 1) {
        return STATUS_NN_OPTION;
    }
    uintptr_t from = (uintptr_t)plan_buffer(builder, op->inputs[1], &in);
    uint32_t bytes = in.elements / parts * graph_element_bytes(in.type);
    for (uint32_t i = 0; i < parts; i++) {
        status = graph_read_tensor(&builder->file, op->outputs[i], &out);
        if (status == STATUS_OK) {
            status = check_same(&in, &out);
        }
        if (status == STATUS_OK && (out.data || !is_row(&out) || out.elements != in.elements / parts)) {
            status = STATUS_NN_SHAPE;
        }
        if (status != STATUS_OK) {
            return status;
        }
        append(builder, (const void *)(from + i * bytes), plan_buffer(builder, op->outputs[i], &out), bytes);
    }
    return STATUS_OK;
}

status_t prepare_copy(plan_builder *builder, const graph_operator *op)
{
    return op->code == OPERATOR_RESHAPE ? prepare_reshape(builder, op)
           : op->code == OPERATOR_SPLIT ? prepare_split(builder, op)
                                        : prepare_strided_slice(builder, op);
}

enum { CONCATENATION_AXIS, CONCATENATION_ACTIVATION };

status_t prepare_concatenation(plan_builder *builder, const graph_operator *op)
{
    graph_tensor in[OPERATOR_INPUTS], out;
    status_t status = plan_operands(builder, op, op->input_count, in, &out);
    if (status != STATUS_OK) {
        return status;
    }
    flatbuffer *file = &builder->file.file;
    int32_t axis = (int32_t)flatbuffer_field_u32(file, op->options, CONCATENATION_AXIS, 0);
    if ((axis != -1 && axis != (int32_t)out.dimensions - 1) ||
        flatbuffer_field_u8(file, op->options, CONCATENATION_ACTIVATION, ACTIVATION_NONE) != ACTIVATION_NONE) {
        return STATUS_NN_OPTION;
    }
    uint32_t elements = 0;
    for (uint32_t i = 0; i < op->input_count; i++) {
        status = check_same(&in[i], &out);
        if (status != STATUS_OK) {
            return status;
        }
        if (!is_row(&in[i])) {
            return STATUS_NN_SHAPE;
        }
        elements += in[i].elements;
    }
    if (!is_row(&out) || elements != out.elements) {
        return STATUS_NN_SHAPE;
    }
    uintptr_t to = (uintptr_t)plan_buffer(builder, op->outputs[0], &out);
    for (uint32_t i = 0; i < op->input_count; i++) {
        uint32_t bytes = in[i].elements * graph_element_bytes(in[i].type);
        append(builder, plan_buffer(builder, op->inputs[i], &in[i]), (void *)to, bytes);
        to += bytes;
    }
    return STATUS_OK;
}

typedef struct {
    nn_node node;
    const void *from;
    void *to;
    uint32_t elements;
    int32_t from_zero, to_zero;
    fixed_factor factor;
} requantisation;

static void run_requantise_int8(const nn_node *node)
{
    const requantisation *op = (const requantisation *)node;
    const int8_t *from = op->from;
    int8_t *to = op->to;
    for (uint32_t i = 0; i < op->elements; i++) {
        int32_t value = scale_int32(from[i] - op->from_zero, op->factor) + op->to_zero;
        to[i] = (int8_t)clamp_int32(value, INT8_MIN, INT8_MAX);
    }
}

static void run_requantise_int16(const nn_node *node)
{
    const requantisation *op = (const requantisation *)node;
    const int16_t *from = op->from;
    int16_t *to = op->to;
    for (uint32_t i = 0; i < op->elements; i++) {
        to[i] = (int16_t)clamp_int32(scale_int32(from[i], op->factor), INT16_MIN, INT16_MAX);
    }
}

status_t prepare_requantisation(plan_builder *builder, const graph_operator *op)
{
    graph_tensor in, out;
    status_t status = plan_operands(builder, op, 1, &in, &out);
    if (status != STATUS_OK) {
        return status;
    }
    if (in.type != out.type || (in.type != TENSOR_INT8 && in.type != TENSOR_INT16)) {
        return STATUS_NN_TYPE;
    }
    if (in.elements != out.elements) {
        return STATUS_NN_SHAPE;
    }
    if (in.scales != 1 || out.scales != 1) {
        return STATUS_NN_QUANTISATION;
    }
    requantisation node = {{plan_choose(in.type, NULL, run_requantise_int8, run_requantise_int16), NULL},
                           plan_buffer(builder, op->inputs[0], &in),
                           plan_buffer(builder, op->outputs[0], &out),
                           in.elements,
                           in.zero,
                           out.zero,
                           fixed_factor_of((double)in.scale / (double)out.scale)};
    if (!fixed_factor_is_usable(node.factor)) {
        return STATUS_NN_QUANTISATION;
    }
    plan_append(builder, &node.node, sizeof node);
    return node.node.run ? STATUS_OK : STATUS_NN_TYPE;
}
