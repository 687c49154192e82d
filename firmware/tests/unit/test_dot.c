/* Matrix rows times a vector, against sums written out: the assembly on the core and the C elsewhere. */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "nn/dot.h"

enum { COLUMNS = 43, ROWS = 9, WORDS = 22, GUARD = 0x5A5A5A5A };

/* A linear congruential generator (Numerical Recipes, ranqd1): the same numbers on every machine. */
static uint32_t state = 1;

static uint32_t draw(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static int8_t weights[3][ROWS * COLUMNS + 4];

static int32_t extreme(int32_t low, int32_t high)
{
    switch (draw() % 4) {
    case 0:
        return low;
    case 1:
        return high;
    default:
        return low + (int32_t)(draw() % (uint32_t)(high - low + 1));
    }
}

static void fill_weights(void)
{
    for (int matrix = 0; matrix < 3; matrix++) {
        for (size_t i = 0; i < sizeof weights[0]; i++) {
            weights[matrix][i] = (int8_t)extreme(-127, 127);
        }
    }
}

/* Starts the rows at an odd address: the file aligns a matrix, but not each of its rows. */
static void compare(const int32_t *x, const uint32_t *paired, uint32_t columns, uint32_t rows, uint32_t offset)
{
    int32_t sums[ROWS * 3 + 1], expected[ROWS * 3];
    const int8_t *const matrices[3] = {weights[0] + offset, weights[1] + offset, weights[2] + offset};
    for (uint32_t i = 0; i < rows * 3; i++) {
        sums[i] = expected[i] = (int32_t)draw() - (1 << 23);
        for (uint32_t column = 0; column < columns; column++) {
            expected[i] += matrices[i % 3][i / 3 * columns + column] * x[column];
        }
    }
    sums[rows * 3] = GUARD;
    dot_rows_int8(matrices, paired, columns, rows, sums);
    CHECK_BYTES(sums, expected, rows * 3 * sizeof *sums);
    CHECK_EQUAL(sums[rows * 3], GUARD);
}

static void test_int8_vectors(void)
{
    for (uint32_t columns = 1; columns <= COLUMNS; columns++) {
        int8_t x[COLUMNS];
        int32_t less_zero[COLUMNS];
        uint32_t paired[WORDS + 1];
        int32_t zero = extreme(-128, 127);
        for (uint32_t i = 0; i < columns; i++) {
            x[i] = (int8_t)extreme(-128, 127);
            less_zero[i] = x[i] - zero;
        }
        paired[dot_words(columns)] = GUARD;
        dot_pair_int8(paired, x, columns, zero);
        CHECK_EQUAL(paired[dot_words(columns)], GUARD);
        compare(less_zero, paired, columns, 1 + columns % ROWS, columns % 4);
    }
}

static void test_int16_vectors(void)
{
    for (uint32_t columns = 1; columns <= COLUMNS; columns++) {
        int16_t x[COLUMNS];
        int32_t wide[COLUMNS];
        uint32_t paired[WORDS + 1];
        for (uint32_t i = 0; i < columns; i++) {
            wide[i] = extreme(-32768, 32767);
            x[i] = (int16_t)wide[i];
        }
        paired[dot_words(columns)] = GUARD;
        dot_pair_int16(paired, x, columns);
        CHECK_EQUAL(paired[dot_words(columns)], GUARD);
        compare(wide, paired, columns, 1 + columns % ROWS, columns % 4);
    }
}

/* Whole numbers, so that every order of adding gives the same sum. */
static void test_float_vectors(void)
{
    for (uint32_t columns = 1; columns <= COLUMNS; columns++) {
        static float matrices[3][ROWS * COLUMNS];
        const float *const rows_of[3] = {matrices[0], matrices[1], matrices[2]};
        float x[COLUMNS], sums[ROWS * 3 + 1], expected[ROWS * 3];
        uint32_t rows = 1 + columns % ROWS;
        for (uint32_t i = 0; i < 3 * rows * columns; i++) {
            matrices[i % 3][i / 3] = (float)extreme(-99, 99);
        }
        for (uint32_t i = 0; i < columns; i++) {
            x[i] = (float)extreme(-99, 99);
        }
        for (uint32_t i = 0; i < rows * 3; i++) {
            sums[i] = expected[i] = (float)extreme(-999, 999);
            for (uint32_t column = 0; column < columns; column++) {
                expected[i] += matrices[i % 3][i / 3 * columns + column] * x[column];
            }
        }
        sums[rows * 3] = (float)GUARD;
        dot_rows_float32(rows_of, x, columns, rows, sums);
        CHECK_BYTES(sums, expected, rows * 3 * sizeof *sums);
        CHECK(sums[rows * 3] == (float)GUARD);
    }
}

int main(void)
{
    for (int round = 0; round < 20; round++) {
        fill_weights();
        test_int8_vectors();
        test_int16_vectors();
        test_float_vectors();
    }
    return check_result();
}
