/* A model made ready to run: nodes in the arena, one after the other. */
#ifndef EDGELOOP_NN_PLAN_H
#define EDGELOOP_NN_PLAN_H

#include <stdint.h>

#include "nn/fixed_point.h"
#include "nn/graph.h"
#include "nn/nn.h"

typedef struct nn_node {
    void (*run)(const struct nn_node *node);
    struct nn_node *next;
} nn_node;

/* A tensor at one end of the cell. */
typedef struct {
    void *data;
    uint32_t bytes;
    uint32_t elements;
    int32_t type;
    int32_t zero;
    float scale;
} nn_end;

typedef struct {
    nn_node *first;
    uint32_t ends;
    nn_end inputs[GRAPH_ENDS], outputs[GRAPH_ENDS];
} nn_plan;

/* ROLE_GRU_PART: another operator's node does its work. */
enum { ROLE_ALONE, ROLE_GRU_PART, ROLE_GRU_END };

/* What is known while nodes are made. With `base` NULL nothing is written and only `used` counts. */
typedef struct {
    graph file;
    uint8_t *base;
    uint32_t used;
    nn_node **link; /* where the next node's address goes */
    int32_t fused;
    uint8_t role[GRAPH_OPERATORS];
    uint16_t made_by[GRAPH_TENSORS]; /* operator that computes a tensor, + 1 */
    uint8_t uses[GRAPH_TENSORS];     /* inputs that read it, ends included */
    uint32_t address[GRAPH_TENSORS]; /* offset of its buffer in the arena, + 1 */
} plan_builder;

/* Space in the arena, aligned to 8 bytes. While only counting, an address that must not be used. */
void *plan_reserve(plan_builder *builder, uint32_t bytes);

/* Append a copy of a node that is `bytes` long. */
void plan_append(plan_builder *builder, nn_node *node, uint32_t bytes);

/* A tensor's constant data, or its buffer in the arena, which is reserved at the first call. */
void *plan_buffer(plan_builder *builder, int32_t index, const graph_tensor *tensor);

/* Input, weights, bias (without data if there is none) and output of a FULLY_CONNECTED, checked. */
status_t fully_connected_operands(plan_builder *builder, const graph_operator *op, graph_tensor *in, graph_tensor *out);

/* One prepare function a group of operators: checks, then appends the node. */
status_t prepare_fully_connected(plan_builder *builder, const graph_operator *op);
status_t prepare_sum(plan_builder *builder, const graph_operator *op); /* ADD, SUB */
status_t prepare_product(plan_builder *builder, const graph_operator *op);
status_t prepare_curve(plan_builder *builder, const graph_operator *op); /* LOGISTIC, TANH */
status_t prepare_requantisation(plan_builder *builder, const graph_operator *op);
status_t prepare_copy(plan_builder *builder, const graph_operator *op); /* RESHAPE, SPLIT, STRIDED_SLICE */
status_t prepare_concatenation(plan_builder *builder, const graph_operator *op);

/* Give the operators of a GRU step that ends in operator `index` their roles, if one ends there that can be fused. */
void gru_find(plan_builder *builder, uint32_t index);

/* The node of the GRU step that ends in operator `index`. */
status_t gru_prepare(plan_builder *builder, uint32_t index);

/* Run all nodes once, on what lies in the inputs, and carry the state. */
void nn_plan_run(const nn_plan *plan);

/* The inputs and outputs of an operator as tensors; refuses other numbers of them than asked for. */
status_t plan_operands(plan_builder *builder, const graph_operator *op, uint32_t inputs, graph_tensor *in,
                       graph_tensor *out);

/* Runs a node of one of the three types. */
typedef void (*plan_run)(const nn_node *node);

/* Of three forms the one for a tensor type; NULL for a type that is not built in, or is none of the three. */
static inline plan_run plan_choose(int32_t type, plan_run float32, plan_run int8, plan_run int16)
{
    if (NN_WITH_FLOAT32 && type == TENSOR_FLOAT32) {
        return float32;
    }
    if (NN_WITH_INT8 && type == TENSOR_INT8) {
        return int8;
    }
    return NN_WITH_INT16X8 && type == TENSOR_INT16 ? int16 : NULL;
}

/* Limits of the values an integer output may take after a fused activation; STATUS_NN_OPTION for an unknown one. */
status_t plan_activation_limits(const graph_tensor *out, uint32_t activation, int32_t *low, int32_t *high);

#endif
