#include "nn/graph.h"

#include <string.h>

enum { MODEL_VERSION, MODEL_CODES, MODEL_SUBGRAPHS, MODEL_DESCRIPTION, MODEL_BUFFERS };
enum { CODE_DEPRECATED, CODE_CUSTOM, CODE_VERSION, CODE_BUILTIN };
enum { SUBGRAPH_TENSORS, SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS, SUBGRAPH_OPERATORS };
enum { TENSOR_SHAPE, TENSOR_TYPE, TENSOR_BUFFER, TENSOR_NAME, TENSOR_QUANTIZATION, TENSOR_VARIABLE, TENSOR_SPARSITY };
enum { QUANTIZATION_SCALE = 2, QUANTIZATION_ZERO_POINT = 3, QUANTIZATION_DETAILS = 5, QUANTIZATION_AXIS = 6 };
enum { BUFFER_DATA, BUFFER_OFFSET, BUFFER_SIZE };
enum { OPERATOR_CODE_INDEX, OPERATOR_INPUT_VECTOR, OPERATOR_OUTPUT_VECTOR, OPERATOR_OPTIONS_TYPE, OPERATOR_OPTIONS };

static const uint32_t SCHEMA_VERSION = 3;
/* Larger than any tensor of a cell, small enough for every product below to fit. */
static const uint32_t LARGEST_DIMENSION = 4096;
static const uint32_t LARGEST_TENSOR = 1 << 20;

uint32_t graph_element_bytes(int32_t type)
{
    switch (type) {
    case TENSOR_INT8:
        return 1;
    case TENSOR_INT16:
        return 2;
    case TENSOR_FLOAT32:
    case TENSOR_INT32:
        return 4;
    case TENSOR_INT64:
        return 8;
    default:
        return 0;
    }
}

static status_t read_indices(graph *opened, uint32_t table, uint32_t field, int32_t *indices, uint32_t most,
                             uint32_t *count)
{
    flatbuffer *file = &opened->file;
    uint32_t first = flatbuffer_vector(file, table, field, 4, count);
    if (file->failed) {
        return STATUS_NN_TRUNCATED;
    }
    if (*count > most) {
        return STATUS_NN_TOO_LARGE;
    }
    for (uint32_t i = 0; i < *count; i++) {
        indices[i] = (int32_t)flatbuffer_u32(file, first + 4 * i);
        /* -1 stands for an optional input that is not given. */
        if (indices[i] < -1 || indices[i] >= (int32_t)opened->tensor_count) {
            return STATUS_NN_STRUCTURE;
        }
    }
    return STATUS_OK;
}

static status_t open_ends(graph *opened, uint32_t subgraph)
{
    uint32_t outputs;
    status_t status = read_indices(opened, subgraph, SUBGRAPH_INPUTS, opened->inputs, GRAPH_ENDS, &opened->ends);
    if (status == STATUS_OK) {
        status = read_indices(opened, subgraph, SUBGRAPH_OUTPUTS, opened->outputs, GRAPH_ENDS, &outputs);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (opened->ends < 1 || outputs != opened->ends) {
        return STATUS_NN_STRUCTURE;
    }
    for (uint32_t i = 0; i < opened->ends; i++) {
        if (opened->inputs[i] < 0 || opened->outputs[i] < 0) {
            return STATUS_NN_STRUCTURE;
        }
    }
    return STATUS_OK;
}

status_t graph_open(graph *opened, const uint8_t *file, size_t file_bytes)
{
    memset(opened, 0, sizeof *opened);
    if (file_bytes > INT32_MAX) {
        return STATUS_NN_TOO_LARGE;
    }
    flatbuffer *reader = &opened->file;
    *reader = (flatbuffer){file, (uint32_t)file_bytes, 0};
    uint32_t subgraph_count;
    uint32_t identifier = flatbuffer_u32(reader, 4);
    if (reader->failed) {
        return STATUS_NN_TRUNCATED;
    }
    if (identifier != 0x334C4654) { /* "TFL3" */
        return STATUS_NN_NOT_TFLITE;
    }
    uint32_t model = flatbuffer_u32(reader, 0);
    uint32_t version = flatbuffer_field_u32(reader, model, MODEL_VERSION, 0);
    opened->codes = flatbuffer_vector(reader, model, MODEL_CODES, 4, &opened->code_count);
    opened->buffers = flatbuffer_vector(reader, model, MODEL_BUFFERS, 4, &opened->buffer_count);
    uint32_t subgraphs = flatbuffer_vector(reader, model, MODEL_SUBGRAPHS, 4, &subgraph_count);
    if (reader->failed) {
        return STATUS_NN_TRUNCATED;
    }
    if (version != SCHEMA_VERSION) {
        return STATUS_NN_NOT_TFLITE;
    }
    if (subgraph_count != 1) {
        return STATUS_NN_STRUCTURE;
    }
    uint32_t subgraph = flatbuffer_table_at(reader, subgraphs, subgraph_count, 0);
    opened->tensors = flatbuffer_vector(reader, subgraph, SUBGRAPH_TENSORS, 4, &opened->tensor_count);
    opened->operators = flatbuffer_vector(reader, subgraph, SUBGRAPH_OPERATORS, 4, &opened->operator_count);
    if (reader->failed) {
        return STATUS_NN_TRUNCATED;
    }
    if (opened->tensor_count > GRAPH_TENSORS || opened->operator_count > GRAPH_OPERATORS) {
        return STATUS_NN_TOO_LARGE;
    }
    return open_ends(opened, subgraph);
}

static status_t read_shape(graph *opened, uint32_t table, graph_tensor *tensor)
{
    flatbuffer *file = &opened->file;
    uint32_t first = flatbuffer_vector(file, table, TENSOR_SHAPE, 4, &tensor->dimensions);
    if (tensor->dimensions > GRAPH_DIMENSIONS) {
        return STATUS_NN_SHAPE;
    }
    tensor->elements = 1;
    for (uint32_t i = 0; i < tensor->dimensions; i++) {
        uint32_t size = flatbuffer_u32(file, first + 4 * i);
        if (size < 1 || size > LARGEST_DIMENSION) {
            return STATUS_NN_SHAPE;
        }
        tensor->shape[i] = (int32_t)size;
        tensor->elements *= size;
        if (tensor->elements > LARGEST_TENSOR) {
            return STATUS_NN_SHAPE;
        }
    }
    return STATUS_OK;
}

static status_t read_data(graph *opened, uint32_t index, graph_tensor *tensor)
{
    flatbuffer *file = &opened->file;
    uint32_t bytes;
    uint32_t buffer = flatbuffer_table_at(file, opened->buffers, opened->buffer_count, index);
    uint32_t first = flatbuffer_vector(file, buffer, BUFFER_DATA, 1, &bytes);
    /* Data outside the flatbuffer is how files above 2 GB are written. */
    if (flatbuffer_field(file, buffer, BUFFER_OFFSET) || flatbuffer_field(file, buffer, BUFFER_SIZE)) {
        return STATUS_NN_STRUCTURE;
    }
    if (file->failed) {
        return STATUS_NN_TRUNCATED;
    }
    if (!bytes) {
        return STATUS_OK;
    }
    uint32_t element_bytes = graph_element_bytes(tensor->type);
    if (bytes != tensor->elements * element_bytes) {
        return STATUS_NN_SHAPE;
    }
    tensor->data = file->base + first;
    /* Words are read as words; the writer aligns each buffer to 16 bytes from the file's start. */
    if ((uintptr_t)tensor->data % (element_bytes < 4 ? 4 : element_bytes)) {
        return STATUS_NN_STRUCTURE;
    }
    return STATUS_OK;
}

/* A positive, finite float whose square and ratios stay finite: between 2^-60 and 2^60. */
static int sane_scale(float scale)
{
    return scale > 1e-18f && scale < 1e18f;
}

float graph_scale(graph *opened, const graph_tensor *tensor, uint32_t channel)
{
    uint32_t bits = flatbuffer_u32(&opened->file, tensor->scale_position + 4 * channel);
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

static status_t check_quantisation(graph *opened, graph_tensor *tensor)
{
    uint32_t channels = tensor->scales > 1 ? (uint32_t)tensor->shape[tensor->axis] : 1;
    if (tensor->scales != channels) {
        return STATUS_NN_QUANTISATION;
    }
    for (uint32_t i = 0; i < channels; i++) {
        uint32_t zero = flatbuffer_u32(&opened->file, tensor->zero_position + 8 * i);
        uint32_t high = flatbuffer_u32(&opened->file, tensor->zero_position + 8 * i + 4);
        tensor->zero = (int32_t)zero;
        /* A zero point is int64 in the file and lies within int8. Where there are several, they are zero. */
        if (high != (tensor->zero < 0 ? UINT32_MAX : 0) || tensor->zero < -128 || tensor->zero > 127 ||
            (tensor->zero && (channels > 1 || tensor->type != TENSOR_INT8)) ||
            !sane_scale(graph_scale(opened, tensor, i))) {
            return STATUS_NN_QUANTISATION;
        }
    }
    tensor->scale = graph_scale(opened, tensor, 0);
    return STATUS_OK;
}

static status_t read_quantisation(graph *opened, uint32_t table, graph_tensor *tensor)
{
    flatbuffer *file = &opened->file;
    uint32_t zeros;
    uint32_t quantisation = flatbuffer_follow(file, flatbuffer_field(file, table, TENSOR_QUANTIZATION));
    tensor->scale_position = flatbuffer_vector(file, quantisation, QUANTIZATION_SCALE, 4, &tensor->scales);
    tensor->zero_position = flatbuffer_vector(file, quantisation, QUANTIZATION_ZERO_POINT, 8, &zeros);
    tensor->axis = flatbuffer_field_u32(file, quantisation, QUANTIZATION_AXIS, 0);
    if (file->failed) {
        return STATUS_NN_TRUNCATED;
    }
    if (tensor->type == TENSOR_FLOAT32 || !tensor->scales) {
        tensor->scales = 0;
        return STATUS_OK;
    }
    if (zeros != tensor->scales || (tensor->scales > 1 && tensor->axis >= tensor->dimensions) ||
        flatbuffer_field(file, quantisation, QUANTIZATION_DETAILS)) {
        return STATUS_NN_QUANTISATION;
    }
    return check_quantisation(opened, tensor);
}

status_t graph_read_tensor(graph *opened, int32_t index, graph_tensor *tensor)
{
    flatbuffer *file = &opened->file;
    memset(tensor, 0, sizeof *tensor);
    if (index < 0) {
        return STATUS_NN_STRUCTURE;
    }
    uint32_t table = flatbuffer_table_at(file, opened->tensors, opened->tensor_count, (uint32_t)index);
    tensor->type = (int32_t)flatbuffer_field_u8(file, table, TENSOR_TYPE, TENSOR_FLOAT32);
    uint32_t buffer = flatbuffer_field_u32(file, table, TENSOR_BUFFER, 0);
    if (!graph_element_bytes(tensor->type)) {
        return STATUS_NN_TYPE;
    }
    if (flatbuffer_field(file, table, TENSOR_SPARSITY) || flatbuffer_field_u8(file, table, TENSOR_VARIABLE, 0)) {
        return STATUS_NN_STRUCTURE;
    }
    status_t status = read_shape(opened, table, tensor);
    if (status == STATUS_OK) {
        status = read_data(opened, buffer, tensor);
    }
    if (status == STATUS_OK) {
        status = read_quantisation(opened, table, tensor);
    }
    return file->failed ? STATUS_NN_TRUNCATED : status;
}

status_t graph_read_operator(graph *opened, uint32_t index, graph_operator *op)
{
    flatbuffer *file = &opened->file;
    memset(op, 0, sizeof *op);
    uint32_t table = flatbuffer_table_at(file, opened->operators, opened->operator_count, index);
    uint32_t code_index = flatbuffer_field_u32(file, table, OPERATOR_CODE_INDEX, 0);
    uint32_t code = flatbuffer_table_at(file, opened->codes, opened->code_count, code_index);
    /* Codes above 127 stand in the newer field; the older one then holds 127 as a placeholder. */
    uint32_t newer = flatbuffer_field_u32(file, code, CODE_BUILTIN, 0);
    uint32_t older = flatbuffer_field_u8(file, code, CODE_DEPRECATED, 0);
    op->code = (int32_t)(newer > older ? newer : older);
    op->options = flatbuffer_follow(file, flatbuffer_field(file, table, OPERATOR_OPTIONS));
    if (file->failed) {
        return STATUS_NN_TRUNCATED;
    }
    status_t status = read_indices(opened, table, OPERATOR_INPUT_VECTOR, op->inputs, OPERATOR_INPUTS, &op->input_count);
    if (status == STATUS_OK) {
        status = read_indices(opened, table, OPERATOR_OUTPUT_VECTOR, op->outputs, OPERATOR_OUTPUTS, &op->output_count);
    }
    return status;
}
