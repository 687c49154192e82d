#include "nn/dot.h"

#include <math.h>

static inline uint32_t pair(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xFFFF) | (uint32_t)high << 16;
}

void dot_pair_int8(uint32_t *paired, const int8_t *x, uint32_t columns, int32_t zero)
{
    uint32_t i = 0;
    for (; i + 4 <= columns; i += 4) {
        *paired++ = pair(x[i] - zero, x[i + 2] - zero);
        *paired++ = pair(x[i + 1] - zero, x[i + 3] - zero);
    }
    if (i < columns) {
        *paired++ = pair(x[i] - zero, i + 2 < columns ? x[i + 2] - zero : 0);
        *paired++ = pair(i + 1 < columns ? x[i + 1] - zero : 0, 0);
    }
}

void dot_pair_int16(uint32_t *paired, const int16_t *x, uint32_t columns)
{
    uint32_t i = 0;
    for (; i + 4 <= columns; i += 4) {
        *paired++ = pair(x[i], x[i + 2]);
        *paired++ = pair(x[i + 1], x[i + 3]);
    }
    if (i < columns) {
        *paired++ = pair(x[i], i + 2 < columns ? x[i + 2] : 0);
        *paired++ = pair(i + 1 < columns ? x[i + 1] : 0, 0);
    }
}

#if defined(__ARM_FEATURE_DSP) && defined(__arm__)
/* Whole functions in assembly: a compiler spills where fourteen registers just suffice, and loads words one by one. */
void dot_rows_in_fours(const int8_t *const weights[3], const uint32_t *paired, uint32_t columns, uint32_t rows,
                       int32_t *sums);
void dot_rows_of_any_length(const int8_t *const weights[3], const uint32_t *paired, uint32_t columns, uint32_t rows,
                            int32_t *sums);

/* Four weights in \w against the two words \even and \odd. */
__asm__(".macro four_columns w, even, odd, sum\n"
        "sxtb16 r10, \\w\n"
        "smlad \\sum, r10, \\even, \\sum\n"
        "sxtb16 \\w, \\w, ror #8\n"
        "smlad \\sum, \\w, \\odd, \\sum\n"
        ".endm\n"
        ".macro eight_columns row, sum\n"
        "ldmia \\row!, {r8, r9}\n"
        "four_columns r8, r4, r5, \\sum\n"
        "four_columns r9, r6, r7, \\sum\n"
        ".endm\n"
        ".macro last_columns row, sum\n"
        "ldr r8, [\\row], #4\n"
        "four_columns r8, r4, r5, \\sum\n"
        ".endm\n"
        ".macro one_column x, half\n"
        "ldrsb r8, [r0], #1\n"
        "smlab\\half r11, r8, \\x, r11\n"
        "ldrsb r8, [r1], #1\n"
        "smlab\\half r12, r8, \\x, r12\n"
        "ldrsb r8, [r2], #1\n"
        "smlab\\half lr, r8, \\x, lr\n"
        ".endm\n");

/* For columns in fours and rows on words. r0-r2 rows, r3 vector, r11 r12 lr sums; on the stack the vector,
 * the end of its eights, the sums, the rows left, and whether four columns come after the eights. */
__asm__(".pushsection .text.dot_rows_in_fours, \"ax\"\n"
        ".balign 4\n"
        ".global dot_rows_in_fours\n"
        ".type dot_rows_in_fours, %function\n"
        ".thumb_func\n"
        "dot_rows_in_fours:\n"
        "push {r4-r11, lr}\n"
        "sub sp, #20\n"
        "ldr r4, [sp, #56]\n"
        "lsrs r5, r2, #3\n"
        "add r5, r1, r5, lsl #4\n"
        "and r6, r2, #4\n"
        "str r1, [sp, #0]\n"
        "str r5, [sp, #4]\n"
        "str r4, [sp, #8]\n"
        "str r3, [sp, #12]\n"
        "str r6, [sp, #16]\n"
        "ldmia r0, {r0, r1, r2}\n"
        "1:\n"
        "ldr r10, [sp, #8]\n"
        "ldmia r10, {r11, r12, lr}\n"
        "ldrd r3, r10, [sp]\n"
        "cmp r3, r10\n"
        "beq 3f\n"
        "2:\n"
        "ldmia r3!, {r4-r7}\n"
        "eight_columns r0, r11\n"
        "eight_columns r1, r12\n"
        "eight_columns r2, lr\n"
        "ldr r10, [sp, #4]\n"
        "cmp r3, r10\n"
        "bne 2b\n"
        "3:\n"
        "ldr r10, [sp, #16]\n"
        "cmp r10, #0\n"
        "beq 4f\n"
        "ldmia r3!, {r4, r5}\n"
        "last_columns r0, r11\n"
        "last_columns r1, r12\n"
        "last_columns r2, lr\n"
        "4:\n"
        "ldrd r10, r4, [sp, #8]\n"
        "stmia r10!, {r11, r12, lr}\n"
        "subs r4, #1\n"
        "strd r10, r4, [sp, #8]\n"
        "bne 1b\n"
        "add sp, #20\n"
        "pop {r4-r11, pc}\n"
        ".size dot_rows_in_fours, . - dot_rows_in_fours\n"
        ".popsection\n");

/* For any columns and rows: LDR, unlike LDM, takes any address (ARM DDI 0403E, A3.2.1). Nothing behind a row is read. r6
 * columns left, r7 rows left, r9 sums; on the stack the vector and its columns. */
__asm__(".pushsection .text.dot_rows_of_any_length, \"ax\"\n"
        ".balign 4\n"
        ".global dot_rows_of_any_length\n"
        ".type dot_rows_of_any_length, %function\n"
        ".thumb_func\n"
        "dot_rows_of_any_length:\n"
        "push {r4-r11, lr}\n"
        "sub sp, #12\n"
        "ldr r9, [sp, #48]\n"
        "strd r1, r2, [sp]\n"
        "mov r7, r3\n"
        "ldmia r0, {r0, r1, r2}\n"
        "1:\n"
        "ldmia r9, {r11, r12, lr}\n"
        "ldrd r3, r6, [sp]\n"
        "b 3f\n"
        "2:\n"
        "ldmia r3!, {r4, r5}\n"
        "last_columns r0, r11\n"
        "last_columns r1, r12\n"
        "last_columns r2, lr\n"
        "3:\n"
        "subs r6, #4\n"
        "bge 2b\n"
        "adds r6, #4\n"
        "beq 4f\n"
        "ldmia r3, {r4, r5}\n"
        "one_column r4, b\n"
        "cmp r6, #2\n"
        "blt 4f\n"
        "one_column r5, b\n"
        "cmp r6, #2\n"
        "beq 4f\n"
        "one_column r4, t\n"
        "4:\n"
        "stmia r9!, {r11, r12, lr}\n"
        "subs r7, #1\n"
        "bne 1b\n"
        "add sp, #12\n"
        "pop {r4-r11, pc}\n"
        ".size dot_rows_of_any_length, . - dot_rows_of_any_length\n"
        ".popsection\n");

/* r0-r2 rows, r3 vector, r4 its start, r5 the end of its eights, r6 sums, r7 rows left, r8 columns left behind the
 * eights; s0-s7 vector, s8-s19 four columns of each row, s20-s22 sums. */
__asm__(".macro column x, a, b, c\n"
        "vfma.f32 s20, \\x, \\a\n"
        "vfma.f32 s21, \\x, \\b\n"
        "vfma.f32 s22, \\x, \\c\n"
        ".endm\n"
        ".macro rows_of_four\n"
        "vldmia r0!, {s8-s11}\n"
        "vldmia r1!, {s12-s15}\n"
        "vldmia r2!, {s16-s19}\n"
        ".endm\n"
        ".pushsection .text.dot_rows_float32, \"ax\"\n"
        ".balign 4\n"
        ".global dot_rows_float32\n"
        ".type dot_rows_float32, %function\n"
        ".thumb_func\n"
        "dot_rows_float32:\n"
        "push {r4-r8, lr}\n"
        "vpush {s16-s22}\n"
        "ldr r6, [sp, #52]\n"
        "mov r4, r1\n"
        "lsrs r5, r2, #3\n"
        "add r5, r1, r5, lsl #5\n"
        "and r8, r2, #7\n"
        "mov r7, r3\n"
        "ldmia r0, {r0, r1, r2}\n"
        "1:\n"
        "vldmia r6, {s20-s22}\n"
        "mov r3, r4\n"
        "cmp r3, r5\n"
        "beq 3f\n"
        "2:\n"
        "vldmia r3!, {s0-s7}\n"
        "rows_of_four\n"
        "column s0, s8, s12, s16\n"
        "column s1, s9, s13, s17\n"
        "column s2, s10, s14, s18\n"
        "column s3, s11, s15, s19\n"
        "rows_of_four\n"
        "column s4, s8, s12, s16\n"
        "column s5, s9, s13, s17\n"
        "column s6, s10, s14, s18\n"
        "column s7, s11, s15, s19\n"
        "cmp r3, r5\n"
        "bne 2b\n"
        "3:\n"
        "mov lr, r8\n"
        "cmp lr, #4\n"
        "blt 5f\n"
        "vldmia r3!, {s0-s3}\n"
        "rows_of_four\n"
        "column s0, s8, s12, s16\n"
        "column s1, s9, s13, s17\n"
        "column s2, s10, s14, s18\n"
        "column s3, s11, s15, s19\n"
        "sub lr, #4\n"
        "b 5f\n"
        "4:\n"
        "vldmia r3!, {s0}\n"
        "vldmia r0!, {s8}\n"
        "vldmia r1!, {s12}\n"
        "vldmia r2!, {s16}\n"
        "column s0, s8, s12, s16\n"
        "sub lr, #1\n"
        "5:\n"
        "cmp lr, #0\n"
        "bne 4b\n"
        "vstmia r6!, {s20-s22}\n"
        "subs r7, #1\n"
        "bne 1b\n"
        "vpop {s16-s22}\n"
        "pop {r4-r8, pc}\n"
        ".size dot_rows_float32, . - dot_rows_float32\n"
        ".popsection\n");

void dot_rows_int8(const int8_t *const weights[3], const uint32_t *paired, uint32_t columns, uint32_t rows,
                   int32_t *sums)
{
    uintptr_t addresses = (uintptr_t)weights[0] | (uintptr_t)weights[1] | (uintptr_t)weights[2];
    if ((columns | addresses) % 4) {
        dot_rows_of_any_length(weights, paired, columns, rows, sums);
    } else {
        dot_rows_in_fours(weights, paired, columns, rows, sums);
    }
}
#else
static int32_t add_row(const int8_t *weights, const uint32_t *paired, uint32_t columns, int32_t sum)
{
    for (uint32_t i = 0; i < columns; i++) {
        uint32_t word = paired[i / 4 * 2 + i % 2];
        sum += weights[i] * (int16_t)(i & 2 ? word >> 16 : word);
    }
    return sum;
}

void dot_rows_int8(const int8_t *const weights[3], const uint32_t *paired, uint32_t columns, uint32_t rows,
                   int32_t *sums)
{
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t k = 0; k < 3; k++, sums++) {
            *sums = add_row(weights[k] + row * columns, paired, columns, *sums);
        }
    }
}

void dot_rows_float32(const float *const weights[3], const float *x, uint32_t columns, uint32_t rows, float *sums)
{
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t k = 0; k < 3; k++, sums++) {
            const float *w = weights[k] + row * columns;
            for (uint32_t i = 0; i < columns; i++) {
                *sums = fmaf(w[i], x[i], *sums);
            }
        }
    }
}
#endif
