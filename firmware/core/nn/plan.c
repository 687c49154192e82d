#include "nn/plan.h"

#include <string.h>

void *plan_reserve(plan_builder *builder, uint32_t bytes)
{
    uint32_t offset = builder->used;
    builder->used += (bytes + 7) & ~7u;
    return (void *)((uintptr_t)builder->base + offset);
}

void plan_append(plan_builder *builder, nn_node *node, uint32_t bytes)
{
    nn_node *kept = plan_reserve(builder, bytes);
    node->next = NULL;
    if (builder->base) {
        memcpy(kept, node, bytes);
        *builder->link = kept;
        builder->link = &kept->next;
    }
}

void *plan_buffer(plan_builder *builder, int32_t index, const graph_tensor *tensor)
{
    if (tensor->data) {
        /* Kernels only read what they take as an input. */
        return (void *)(uintptr_t)tensor->data;
    }
    uint32_t *address = &builder->address[index];
    if (!*address) {
        *address = builder->used + 1;
        plan_reserve(builder, tensor->elements * graph_element_bytes(tensor->type));
    }
    return (void *)((uintptr_t)builder->base + *address - 1);
}

status_t plan_operands(plan_builder *builder, const graph_operator *op, uint32_t inputs, graph_tensor *in,
                       graph_tensor *out)
{
    if (op->input_count != inputs || op->output_count != 1) {
        return STATUS_NN_STRUCTURE;
    }
    status_t status = graph_read_tensor(&builder->file, op->outputs[0], out);
    for (uint32_t i = 0; status == STATUS_OK && i < inputs; i++) {
        status = graph_read_tensor(&builder->file, op->inputs[i], &in[i]);
    }
    if (status == STATUS_OK && out->data) {
        return STATUS_NN_STRUCTURE;
    }
    return status;
}

status_t plan_activation_limits(const graph_tensor *out, uint32_t activation, int32_t *low, int32_t *high)
{
    if (activation != ACTIVATION_NONE && activation != ACTIVATION_RELU) {
        return STATUS_NN_OPTION;
    }
    *low = out->type == TENSOR_INT8 ? INT8_MIN : INT16_MIN;
    *high = out->type == TENSOR_INT8 ? INT8_MAX : INT16_MAX;
    if (activation == ACTIVATION_RELU) {
        *low = out->zero;
    }
    return STATUS_OK;
}
