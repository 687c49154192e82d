#include "nn/nn.h"

#include <string.h>

#include "nn/plan.h"

static status_t prepare(plan_builder *builder, const graph_operator *op)
{
    switch (op->code) {
    case OPERATOR_FULLY_CONNECTED:
        return prepare_fully_connected(builder, op);
    case OPERATOR_ADD:
    case OPERATOR_SUB:
        return prepare_sum(builder, op);
    case OPERATOR_MUL:
        return prepare_product(builder, op);
    case OPERATOR_LOGISTIC:
    case OPERATOR_TANH:
        return prepare_curve(builder, op);
    case OPERATOR_QUANTIZE:
        return prepare_requantisation(builder, op);
    case OPERATOR_RESHAPE:
    case OPERATOR_SPLIT:
    case OPERATOR_STRIDED_SLICE:
        return prepare_copy(builder, op);
    case OPERATOR_CONCATENATION:
        return prepare_concatenation(builder, op);
    default:
        return STATUS_NN_OPERATOR;
    }
}

/* A computed tensor is written once, before it is read; constants and the cell's inputs are there from the start. */
static status_t check_order(plan_builder *builder, const graph_operator *op, uint32_t index)
{
    for (uint32_t i = 0; i < op->input_count; i++) {
        graph_tensor tensor;
        int32_t input = op->inputs[i];
        if (input < 0) {
            continue;
        }
        status_t status = graph_read_tensor(&builder->file, input, &tensor);
        if (status != STATUS_OK) {
            return status;
        }
        if (!tensor.data && !builder->made_by[input] && !builder->address[input]) {
            return STATUS_NN_STRUCTURE;
        }
        builder->uses[input]++;
    }
    for (uint32_t i = 0; i < op->output_count; i++) {
        int32_t output = op->outputs[i];
        if (output < 0 || builder->made_by[output] || builder->address[output]) {
            return STATUS_NN_STRUCTURE;
        }
        builder->made_by[output] = (uint16_t)(index + 1);
    }
    return STATUS_OK;
}

static status_t check_operators(plan_builder *builder)
{
    for (uint32_t i = 0; i < builder->file.operator_count; i++) {
        graph_operator op;
        status_t status = graph_read_operator(&builder->file, i, &op);
        if (status == STATUS_OK) {
            status = check_order(builder, &op, i);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < builder->file.ends; i++) {
        int32_t output = builder->file.outputs[i];
        if (!builder->made_by[output]) {
            return STATUS_NN_STRUCTURE;
        }
        builder->uses[output]++;
    }
    return STATUS_OK;
}

/* GRU steps become one node each, at the place of the operator that ends them; every other operator becomes its own. */
static status_t make_nodes(plan_builder *builder)
{
    for (uint32_t i = 0; i < builder->file.operator_count; i++) {
        gru_find(builder, i);
    }
    for (uint32_t i = 0; i < builder->file.operator_count; i++) {
        graph_operator op;
        status_t status = STATUS_OK;
        if (builder->role[i] == ROLE_GRU_END) {
            status = gru_prepare(builder, i);
        } else if (builder->role[i] == ROLE_ALONE) {
            status = graph_read_operator(&builder->file, i, &op);
            status = status == STATUS_OK ? prepare(builder, &op) : status;
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static int is_built_in(int32_t type)
{
    return type == TENSOR_FLOAT32 ? NN_WITH_FLOAT32
           : type == TENSOR_INT8  ? NN_WITH_INT8
           : type == TENSOR_INT16 ? NN_WITH_INT16X8
                                  : 0;
}

static status_t reserve_input(plan_builder *builder, uint32_t index)
{
    graph_tensor tensor;
    int32_t input = builder->file.inputs[index];
    status_t status = graph_read_tensor(&builder->file, input, &tensor);
    if (status != STATUS_OK) {
        return status;
    }
    if (tensor.data || builder->address[input]) {
        return STATUS_NN_STRUCTURE;
    }
    if (!is_built_in(tensor.type)) {
        return STATUS_NN_TYPE;
    }
    plan_buffer(builder, input, &tensor);
    return STATUS_OK;
}

static status_t describe_end(plan_builder *builder, int32_t index, nn_end *end)
{
    graph_tensor tensor;
    status_t status = graph_read_tensor(&builder->file, index, &tensor);
    if (status != STATUS_OK) {
        return status;
    }
    if (tensor.type != TENSOR_FLOAT32 && tensor.scales != 1) {
        return STATUS_NN_QUANTISATION;
    }
    uint32_t bytes = tensor.elements * graph_element_bytes(tensor.type);
    *end =
        (nn_end){plan_buffer(builder, index, &tensor), bytes, tensor.elements, tensor.type, tensor.zero, tensor.scale};
    return STATUS_OK;
}

static status_t describe_ends(plan_builder *builder, nn_plan *plan)
{
    plan->ends = builder->file.ends;
    for (uint32_t i = 0; i < plan->ends; i++) {
        nn_end *in = &plan->inputs[i], *out = &plan->outputs[i];
        status_t status = describe_end(builder, builder->file.inputs[i], in);
        if (status == STATUS_OK) {
            status = describe_end(builder, builder->file.outputs[i], out);
        }
        if (status != STATUS_OK) {
            return status;
        }
        if (in->type != plan->inputs[0].type || out->type != in->type) {
            return STATUS_NN_TYPE;
        }
        /* A state goes round as it is, so its two ends have to mean the same by the same bits. */
        if (i && (in->bytes != out->bytes || in->zero != out->zero || in->scale != out->scale)) {
            return STATUS_NN_STATE;
        }
    }
    return STATUS_OK;
}

/* Check everything; write the plan to the arena if there is one. */
static status_t build(plan_builder *builder, const uint8_t *file, size_t file_bytes, uint8_t *arena, nn_plan *plan)
{
    memset(builder, 0, sizeof *builder);
    memset(plan, 0, sizeof *plan);
    status_t status = graph_open(&builder->file, file, file_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    builder->base = arena;
    builder->link = &plan->first;
    plan_reserve(builder, sizeof *plan);
    for (uint32_t i = 0; status == STATUS_OK && i < builder->file.ends; i++) {
        status = reserve_input(builder, i);
    }
    if (status == STATUS_OK) {
        status = check_operators(builder);
    }
    if (status == STATUS_OK) {
        status = make_nodes(builder);
    }
    if (status == STATUS_OK) {
        status = describe_ends(builder, plan);
    }
    return builder->file.file.failed ? STATUS_NN_TRUNCATED : status;
}

status_t nn_arena_bytes(const uint8_t *file, size_t file_bytes, size_t *arena_bytes)
{
    plan_builder builder;
    nn_plan plan;
    status_t status = build(&builder, file, file_bytes, NULL, &plan);
    if (status == STATUS_OK) {
        *arena_bytes = builder.used;
    }
    return status;
}

status_t nn_load(nn_model *model, const uint8_t *file, size_t file_bytes, void *arena, size_t arena_bytes)
{
    plan_builder builder;
    nn_plan plan;
    status_t status = build(&builder, file, file_bytes, NULL, &plan);
    if (status != STATUS_OK) {
        return status;
    }
    if (!arena || (uintptr_t)arena % 8 || arena_bytes < builder.used) {
        return STATUS_NN_ARENA;
    }
    status = build(&builder, file, file_bytes, arena, &plan);
    if (status != STATUS_OK) {
        return status;
    }
    memcpy(arena, &plan, sizeof plan);
    model->plan = arena;
    model->inputs = (int32_t)plan.inputs[0].elements;
    model->outputs = (int32_t)plan.outputs[0].elements;
    model->fused = builder.fused;
    model->type = plan.inputs[0].type == TENSOR_FLOAT32 ? NN_FLOAT32
                  : plan.inputs[0].type == TENSOR_INT8  ? NN_INT8
                                                        : NN_INT16X8;
    nn_reset(model);
    return STATUS_OK;
}

void nn_reset(nn_model *model)
{
    nn_plan *plan = model->plan;
    for (uint32_t i = 1; i < plan->ends; i++) {
        /* The zero point of int16 is 0, as is the float's zero. */
        memset(plan->inputs[i].data, plan->inputs[i].zero, plan->inputs[i].bytes);
    }
}

/* x / scale + zero point, halves away from zero, clamped. A value that is no number becomes the lowest. */
static int32_t quantise(float x, const nn_end *end, int32_t low, int32_t high)
{
    float scaled = x / end->scale;
    float least = (float)(low - end->zero), most = (float)(high - end->zero);
    if (!(scaled > least)) {
        return low;
    }
    if (scaled >= most) {
        return high;
    }
    int32_t whole = (int32_t)scaled;
    float rest = scaled - (float)whole;
    return whole + (rest >= 0.5f) - (rest <= -0.5f) + end->zero;
}

static void write_input(const nn_end *end, const float *x)
{
    if (end->type == TENSOR_FLOAT32) {
        memcpy(end->data, x, end->bytes);
        return;
    }
    for (uint32_t i = 0; i < end->elements; i++) {
        if (end->type == TENSOR_INT8) {
            ((int8_t *)end->data)[i] = (int8_t)quantise(x[i], end, INT8_MIN, INT8_MAX);
        } else {
            ((int16_t *)end->data)[i] = (int16_t)quantise(x[i], end, INT16_MIN, INT16_MAX);
        }
    }
}

static void read_output(const nn_end *end, float *y)
{
    if (end->type == TENSOR_FLOAT32) {
        memcpy(y, end->data, end->bytes);
        return;
    }
    for (uint32_t i = 0; i < end->elements; i++) {
        int32_t value = end->type == TENSOR_INT8 ? ((const int8_t *)end->data)[i] : ((const int16_t *)end->data)[i];
        y[i] = (float)(value - end->zero) * end->scale;
    }
}

void nn_plan_run(const nn_plan *plan)
{
    for (const nn_node *node = plan->first; node; node = node->next) {
        node->run(node);
    }
    for (uint32_t i = 1; i < plan->ends; i++) {
        if (plan->inputs[i].data != plan->outputs[i].data) {
            memcpy(plan->inputs[i].data, plan->outputs[i].data, plan->inputs[i].bytes);
        }
    }
}

void nn_step(nn_model *model, const float *x, float *y)
{
    const nn_plan *plan = model->plan;
    write_input(&plan->inputs[0], x);
    nn_plan_run(plan);
    read_output(&plan->outputs[0], y);
}
