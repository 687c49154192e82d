#include "nn/gru.h"

#include <string.h>

#include "nn/curves.h"

/* The operator that makes a tensor for `uses` readers, if it is of the given kind. */
static int find(plan_builder *builder, gru_step *step, int32_t tensor, int32_t code, uint32_t uses, graph_operator *op)
{
    if (tensor < 0 || !builder->made_by[tensor] || builder->uses[tensor] != uses) {
        return 0;
    }
    uint32_t index = builder->made_by[tensor] - 1u;
    if (graph_read_operator(&builder->file, index, op) != STATUS_OK || op->code != code || op->output_count != 1) {
        return 0;
    }
    if (step->part_count < sizeof step->parts) {
        step->parts[step->part_count++] = (uint8_t)index;
    }
    return 1;
}

static void swap_inputs(graph_operator *op)
{
    int32_t first = op->inputs[0];
    op->inputs[0] = op->inputs[1];
    op->inputs[1] = first;
}

/* Put the input that an operator of the given kind makes for one reader at place 1. */
static int order(plan_builder *builder, gru_step *step, graph_operator *sum, int32_t code, graph_operator *second)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        if (find(builder, step, sum->inputs[1], code, 1, second)) {
            return 1;
        }
        swap_inputs(sum);
    }
    return 0;
}

/* Both inputs of a gate's sum are dense layers, and the second one reads h. */
static int find_gate(plan_builder *builder, gru_step *step, int gate)
{
    graph_operator *sum = &step->sum[gate];
    if (!find(builder, step, step->curve[gate].inputs[0], OPERATOR_ADD, 1, sum) || sum->input_count != 2 ||
        !find(builder, step, sum->inputs[0], OPERATOR_FULLY_CONNECTED, 1, &step->from_x[gate]) ||
        !find(builder, step, sum->inputs[1], OPERATOR_FULLY_CONNECTED, 1, &step->from_h[gate])) {
        return 0;
    }
    if (step->from_x[gate].inputs[0] == step->h) {
        graph_operator other = step->from_x[gate];
        step->from_x[gate] = step->from_h[gate];
        step->from_h[gate] = other;
        swap_inputs(sum);
    }
    return step->from_h[gate].inputs[0] == step->h && step->from_x[gate].inputs[0] == step->x;
}

/* h + w · (c − h), up to the order of the inputs of the sum and of the product. */
static int find_update(plan_builder *builder, gru_step *step)
{
    if (step->end.code != OPERATOR_ADD || step->end.input_count != 2 || step->end.output_count != 1 ||
        !order(builder, step, &step->end, OPERATOR_MUL, &step->change) || step->change.input_count != 2 ||
        !order(builder, step, &step->change, OPERATOR_SUB, &step->difference) || step->difference.input_count != 2) {
        return 0;
    }
    step->h = step->end.inputs[0];
    step->next = step->end.outputs[0];
    return step->h >= 0 && step->h == step->difference.inputs[1] &&
           find(builder, step, step->difference.inputs[0], OPERATOR_TANH, 1, &step->curve[GATE_C]) &&
           find(builder, step, step->change.inputs[0], OPERATOR_LOGISTIC, 1, &step->curve[GATE_W]);
}

static int find_candidate(plan_builder *builder, gru_step *step)
{
    graph_operator *sum = &step->sum[GATE_C];
    if (!find(builder, step, step->curve[GATE_C].inputs[0], OPERATOR_ADD, 1, sum) || sum->input_count != 2 ||
        !order(builder, step, sum, OPERATOR_MUL, &step->gated) || step->gated.input_count != 2 ||
        !order(builder, step, &step->gated, OPERATOR_FULLY_CONNECTED, &step->from_h[GATE_C]) ||
        !find(builder, step, step->gated.inputs[0], OPERATOR_LOGISTIC, 1, &step->curve[GATE_R]) ||
        !find(builder, step, sum->inputs[0], OPERATOR_FULLY_CONNECTED, 1, &step->from_x[GATE_C])) {
        return 0;
    }
    step->x = step->from_x[GATE_C].inputs[0];
    return step->x >= 0 && step->x != step->h && step->from_h[GATE_C].inputs[0] == step->h;
}

static int find_step(plan_builder *builder, uint32_t index, gru_step *step)
{
    memset(step, 0, sizeof *step);
    return graph_read_operator(&builder->file, index, &step->end) == STATUS_OK && find_update(builder, step) &&
           find_candidate(builder, step) && find_gate(builder, step, GATE_W) && find_gate(builder, step, GATE_R);
}

/* No sum of products and bias leaves 32 bits: 255 · 2^15 · 2^7 < 2^30, and the bias is below 2^29,
 * where int8 sums, at most 255 · 2^8 · 2^7, can also be doubled. */
static int fits_word(const graph_tensor *input, const graph_tensor *bias)
{
    if (bias->type == TENSOR_FLOAT32) {
        return 1;
    }
    uint32_t stride = graph_element_bytes(bias->type);
    for (uint32_t i = 0; i < bias->elements; i++) {
        int32_t value;
        memcpy(&value, bias->data + i * stride, sizeof value);
        if (value >= 1 << 29 || value <= -(1 << 29)) {
            return 0;
        }
    }
    return input->elements <= 255;
}

/* A dense layer without activation, with a bias and one scale for its weights. */
static int describe_dense(plan_builder *builder, const graph_operator *op, uint32_t units, const void **weights,
                          const void **bias, uint32_t *columns)
{
    graph_tensor in[3], out;
    if (fully_connected_operands(builder, op, in, &out) != STATUS_OK || !in[2].data || in[1].scales > 1 ||
        out.elements != units || !fits_word(&in[0], &in[2]) ||
        flatbuffer_field_u8(&builder->file.file, op->options, 0, 0) != ACTIVATION_NONE) {
        return 0;
    }
    *weights = in[1].data;
    *bias = in[2].data;
    *columns = in[0].elements;
    return 1;
}

static int describe_layer(plan_builder *builder, const gru_step *step, gru_layer *layer)
{
    graph_tensor h, next;
    uint32_t columns;
    memset(layer, 0, sizeof *layer);
    if (graph_read_tensor(&builder->file, step->h, &h) != STATUS_OK ||
        graph_read_tensor(&builder->file, step->next, &next) != STATUS_OK || h.data || next.elements != h.elements) {
        return 0;
    }
    layer->units = h.elements;
    for (int gate = 0; gate < GATES; gate++) {
        if (!describe_dense(builder, &step->from_x[gate], layer->units, &layer->from_x[gate], &layer->from_x_bias[gate],
                            &layer->inputs) ||
            !describe_dense(builder, &step->from_h[gate], layer->units, &layer->from_h[gate], &layer->from_h_bias[gate],
                            &columns) ||
            columns != layer->units) {
            return 0;
        }
    }
    return 1;
}

/* Every sum, product and curve passes the checks that it would pass alone, and no operand is repeated. */
static int check_parts(plan_builder *builder, const gru_step *step, uint32_t units)
{
    enum { PAIRS = GATES + 4 };
    const graph_operator *pairs[PAIRS] = {&step->sum[GATE_W], &step->sum[GATE_R], &step->sum[GATE_C], &step->gated,
                                          &step->difference,  &step->change,      &step->end};
    graph_tensor in[2], out;
    for (int i = 0; i < PAIRS; i++) {
        if (elementwise_operands(builder, pairs[i], in, &out) != STATUS_OK || in[0].elements != units ||
            in[1].elements != units || out.elements != units) {
            return 0;
        }
    }
    for (int gate = 0; gate < GATES; gate++) {
        if (curve_operands(builder, &step->curve[gate], in, &out) != STATUS_OK) {
            return 0;
        }
    }
    return 1;
}

static status_t make(plan_builder *builder, const gru_step *step, const gru_layer *layer, int append)
{
    graph_tensor h;
    status_t status = graph_read_tensor(&builder->file, step->h, &h);
    if (status != STATUS_OK) {
        return status;
    }
    if (NN_WITH_FLOAT32 && h.type == TENSOR_FLOAT32) {
        return gru_float32(builder, step, layer, append);
    }
    if (NN_WITH_INT8 && h.type == TENSOR_INT8) {
        return gru_int8(builder, step, layer, append);
    }
    return NN_WITH_INT16X8 && h.type == TENSOR_INT16 ? gru_int16x8(builder, step, layer, append) : STATUS_NN_TYPE;
}

void gru_find(plan_builder *builder, uint32_t index)
{
    gru_step step;
    gru_layer layer;
    if (!find_step(builder, index, &step) || !describe_layer(builder, &step, &layer) ||
        !check_parts(builder, &step, layer.units) || make(builder, &step, &layer, 0) != STATUS_OK) {
        return;
    }
    for (uint32_t i = 0; i < step.part_count; i++) {
        builder->role[step.parts[i]] = ROLE_GRU_PART;
    }
    builder->role[index] = ROLE_GRU_END;
}

/* The state may be updated where it lies if it goes round from this step to itself and nobody else reads it. */
static void update_in_place(plan_builder *builder, const gru_step *step)
{
    const uint32_t readers = GATES + 2;
    for (uint32_t i = 1; i < builder->file.ends; i++) {
        if (builder->file.inputs[i] == step->h && builder->file.outputs[i] == step->next &&
            builder->uses[step->h] == readers) {
            builder->address[step->next] = builder->address[step->h];
        }
    }
}

status_t gru_prepare(plan_builder *builder, uint32_t index)
{
    gru_step step;
    gru_layer layer;
    graph_tensor x, h;
    if (!find_step(builder, index, &step) || !describe_layer(builder, &step, &layer) ||
        graph_read_tensor(&builder->file, step.x, &x) != STATUS_OK ||
        graph_read_tensor(&builder->file, step.h, &h) != STATUS_OK) {
        return STATUS_NN_STRUCTURE;
    }
    update_in_place(builder, &step);
    layer.x = plan_buffer(builder, step.x, &x);
    layer.h = plan_buffer(builder, step.h, &h);
    layer.next = plan_buffer(builder, step.next, &h);
    builder->fused++;
    return make(builder, &step, &layer, 1);
}
