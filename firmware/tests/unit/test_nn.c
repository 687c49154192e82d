/* The engine against TFLM's answers (tests/vectors/nn.bin), and against broken files. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "nn/plan.h"

enum { NAME_BYTES = 48, ARENA_BYTES = 32768 };

typedef struct {
    char name[NAME_BYTES];
    uint32_t file_bytes, ends, steps, tolerance;
} vector_head;

static uint8_t arena[ARENA_BYTES] __attribute__((aligned(8)));

static uint8_t *read_file(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        printf("%s cannot be opened\n", path);
        exit(2);
    }
    fseek(file, 0, SEEK_END);
    *bytes = (size_t)ftell(file);
    fseek(file, 0, SEEK_SET);
    uint8_t *content = malloc(*bytes);
    if (!content || fread(content, 1, *bytes, file) != *bytes) {
        exit(2);
    }
    fclose(file);
    return content;
}

static size_t padded(size_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

static int differs(const nn_end *end, const uint8_t *expected, double tolerance)
{
    if (end->type != TENSOR_FLOAT32) {
        return memcmp(end->data, expected, end->bytes) != 0;
    }
    for (uint32_t i = 0; i < end->elements; i++) {
        float found, wanted;
        memcpy(&found, (uint8_t *)end->data + 4 * i, 4);
        memcpy(&wanted, expected + 4 * i, 4);
        /* Sums of many terms are as exact as their size allows. */
        if (!(fabs((double)found - (double)wanted) <= tolerance * fmax(1, fabs((double)wanted)))) {
            return 1;
        }
    }
    return 0;
}

static int expects_fusion(const char *name)
{
    return !strncmp(name, "gru", 3) && !strstr(name, "general");
}

/* Run one case; returns where the next one begins. */
static const uint8_t *run_case(const uint8_t *at)
{
    vector_head head;
    nn_model model;
    size_t need = 0;
    memcpy(&head, at, sizeof head);
    const uint8_t *file = at + padded(sizeof head), *data = file + padded(head.file_bytes), *start = data;
    CHECK_EQUAL(nn_arena_bytes(file, head.file_bytes, &need), STATUS_OK);
    CHECK(need <= sizeof arena);
    if (nn_load(&model, file, head.file_bytes, arena, need) != STATUS_OK) {
        printf("%s: does not load\n", head.name);
        exit(1);
    }
    CHECK_EQUAL(model.fused, expects_fusion(head.name));
    nn_plan *plan = model.plan;
    for (uint32_t step = 0; step < head.steps; step++) {
        for (uint32_t i = 0; i < head.ends; data += plan->inputs[i++].bytes) {
            memcpy(plan->inputs[i].data, data, plan->inputs[i].bytes);
        }
        nn_plan_run(plan);
        for (uint32_t i = 0; i < head.ends; data += plan->outputs[i++].bytes) {
            int wrong = differs(&plan->outputs[i], data, head.tolerance * 1e-9);
            CHECK(!wrong);
            if (wrong) {
                printf("  %s, step %lu, output %lu\n", head.name, (unsigned long)step, (unsigned long)i);
            }
        }
    }
    return start + padded((size_t)(data - start));
}

static void test_answers_of_the_reference(const uint8_t *vectors)
{
    uint32_t count;
    memcpy(&count, vectors + 36, sizeof count);
    CHECK(!memcmp(vectors, "NNV1", 4) && count > 60);
    const uint8_t *at = vectors + padded(40);
    for (uint32_t i = 0; i < count; i++) {
        at = run_case(at);
    }
}

/* The first case with this name. */
static const uint8_t *find_case(const uint8_t *vectors, const char *name, vector_head *head)
{
    const uint8_t *at = vectors + padded(40);
    for (;;) {
        nn_model model;
        memcpy(head, at, sizeof *head);
        const uint8_t *file = at + padded(sizeof *head);
        if (!strcmp(head->name, name)) {
            return file;
        }
        if (nn_load(&model, file, head->file_bytes, arena, sizeof arena) != STATUS_OK) {
            exit(1);
        }
        nn_plan *plan = model.plan;
        size_t step = 0;
        for (uint32_t i = 0; i < plan->ends; i++) {
            step += plan->inputs[i].bytes + plan->outputs[i].bytes;
        }
        at = file + padded(head->file_bytes) + padded(step * head->steps);
    }
}

static void test_small_arena_is_refused(const uint8_t *file, size_t bytes)
{
    nn_model model = {NULL, -1, -1, -1, -1};
    size_t need;
    CHECK_EQUAL(nn_arena_bytes(file, bytes, &need), STATUS_OK);
    CHECK_EQUAL(nn_load(&model, file, bytes, arena, need - 1), STATUS_NN_ARENA);
    CHECK_EQUAL(nn_load(&model, file, bytes, arena + 4, need), STATUS_NN_ARENA);
    CHECK_EQUAL(nn_load(&model, file, bytes, NULL, need), STATUS_NN_ARENA);
    CHECK(!model.plan && model.inputs == -1);
}

/* On the board there is neither the memory nor a sanitizer for these. */
#ifndef ON_TARGET
/* Whatever loads can also be run: nothing but its own arena and file is touched, which the sanitizers see. */
static int load_and_step(const uint8_t *file, size_t bytes)
{
    static float x[4096], y[4096];
    nn_model model;
    size_t need;
    if (nn_arena_bytes(file, bytes, &need) != STATUS_OK || need > sizeof arena) {
        return 0;
    }
    CHECK_EQUAL(nn_load(&model, file, bytes, arena, need), STATUS_OK);
    nn_step(&model, x, y);
    return 1;
}

static void test_every_truncation_is_survived(const uint8_t *file, size_t bytes)
{
    int loaded = 0;
    for (size_t length = 0; length < bytes; length++) {
        /* A buffer of just this length, so that a read beyond it is seen. */
        uint8_t *copy = malloc(length ? length : 1);
        memcpy(copy, file, length);
        loaded += load_and_step(copy, length);
        free(copy);
    }
    /* Only bytes that close the file may be missing. */
    CHECK(loaded <= 16);
}

static void test_every_byte_flip_is_survived(const uint8_t *file, size_t bytes)
{
    uint8_t *copy = malloc(bytes);
    memcpy(copy, file, bytes);
    for (size_t i = 0; i < bytes; i++) {
        static const uint8_t flips[] = {0x01, 0x80, 0xFF};
        for (size_t k = 0; k < sizeof flips; k++) {
            copy[i] ^= flips[k];
            load_and_step(copy, bytes);
            copy[i] ^= flips[k];
        }
    }
    free(copy);
}

#endif

static void test_reset_forgets(const uint8_t *file, size_t bytes)
{
    static const float x[4] = {0.5f, -1, 2, 0.1f};
    float first[6], second[6], again[6];
    nn_model model;
    CHECK_EQUAL(nn_load(&model, file, bytes, arena, sizeof arena), STATUS_OK);
    nn_step(&model, x, first);
    nn_step(&model, x, second);
    nn_reset(&model);
    nn_step(&model, x, again);
    CHECK(memcmp(first, second, sizeof first) != 0);
    CHECK_BYTES(again, first, sizeof first);
}

static void test_inputs_saturate(const uint8_t *file, size_t bytes)
{
    const float large[4] = {1e30f, -1e30f, 1e9f, -1e9f}, limit[4] = {1e4f, -1e4f, 1e4f, -1e4f};
    const float none[4] = {NAN, NAN, NAN, NAN}, lowest[4] = {-1e9f, -1e9f, -1e9f, -1e9f};
    float a[6], b[6];
    nn_model model;
    CHECK_EQUAL(nn_load(&model, file, bytes, arena, sizeof arena), STATUS_OK);
    nn_step(&model, large, a);
    nn_reset(&model);
    nn_step(&model, limit, b);
    CHECK_BYTES(a, b, sizeof a);
    nn_reset(&model);
    nn_step(&model, none, a);
    nn_reset(&model);
    nn_step(&model, lowest, b);
    CHECK_BYTES(a, b, sizeof a);
}

int main(void)
{
    size_t bytes;
    vector_head head;
    uint8_t *vectors = read_file(VECTORS_FOLDER "/nn.bin", &bytes);
    test_answers_of_the_reference(vectors);
    static const char *const names[] = {"gru float32 4x16x6", "gru int8 4x16x6", "gru int16 4x16x6"};
    for (int i = 0; i < 3; i++) {
        const uint8_t *file = find_case(vectors, names[i], &head);
        test_small_arena_is_refused(file, head.file_bytes);
        test_reset_forgets(file, head.file_bytes);
#ifndef ON_TARGET
        test_every_truncation_is_survived(file, head.file_bytes);
        test_every_byte_flip_is_survived(file, head.file_bytes);
#endif
        if (i) {
            test_inputs_saturate(file, head.file_bytes);
        }
    }
    free(vectors);
    return check_result();
}
