/* What a .tflite file says: tensors and operators as plain values, each checked by itself.
 *
 * Schema: tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3. */
#ifndef EDGELOOP_NN_GRAPH_H
#define EDGELOOP_NN_GRAPH_H

#include <stdint.h>

#include "nn/flatbuffer.h"
#include "status.h"

enum { GRAPH_TENSORS = 120, GRAPH_OPERATORS = 64, GRAPH_ENDS = 4, GRAPH_DIMENSIONS = 4 };
enum { OPERATOR_INPUTS = 4, OPERATOR_OUTPUTS = 4 };

/* Values of the schema's enumerations. */
enum { TENSOR_FLOAT32 = 0, TENSOR_INT32 = 2, TENSOR_INT64 = 4, TENSOR_INT16 = 7, TENSOR_INT8 = 9 };
enum {
    OPERATOR_ADD = 0,
    OPERATOR_CONCATENATION = 2,
    OPERATOR_FULLY_CONNECTED = 9,
    OPERATOR_LOGISTIC = 14,
    OPERATOR_MUL = 18,
    OPERATOR_RESHAPE = 22,
    OPERATOR_TANH = 28,
    OPERATOR_SUB = 41,
    OPERATOR_STRIDED_SLICE = 45,
    OPERATOR_SPLIT = 49,
    OPERATOR_QUANTIZE = 114
};
enum { ACTIVATION_NONE = 0, ACTIVATION_RELU = 1 };

typedef struct {
    flatbuffer file;
    uint32_t codes, code_count;
    uint32_t buffers, buffer_count;
    uint32_t tensors, tensor_count;
    uint32_t operators, operator_count;
    int32_t inputs[GRAPH_ENDS], outputs[GRAPH_ENDS];
    uint32_t ends; /* inputs, and as many outputs */
} graph;

typedef struct {
    int32_t type;
    uint32_t dimensions;
    int32_t shape[GRAPH_DIMENSIONS];
    uint32_t elements;
    const uint8_t *data; /* NULL: computed at run time */
    uint32_t scales;     /* 0: not quantised; 1: per tensor; else per channel along `axis` */
    uint32_t scale_position, zero_position;
    uint32_t axis;
    float scale; /* the first one */
    int32_t zero;
} graph_tensor;

typedef struct {
    int32_t code;
    uint32_t options; /* position of the options table, 0 if absent */
    int32_t inputs[OPERATOR_INPUTS], outputs[OPERATOR_OUTPUTS];
    uint32_t input_count, output_count;
} graph_operator;

/* Read the file's root; every tensor and operator index in it is checked. */
status_t graph_open(graph *opened, const uint8_t *file, size_t file_bytes);

status_t graph_read_tensor(graph *opened, int32_t index, graph_tensor *tensor);
status_t graph_read_operator(graph *opened, uint32_t index, graph_operator *op);

/* Scale of one output channel. */
float graph_scale(graph *opened, const graph_tensor *tensor, uint32_t channel);

/* Bytes of one element, 0 for an unsupported type. */
uint32_t graph_element_bytes(int32_t type);

#endif
