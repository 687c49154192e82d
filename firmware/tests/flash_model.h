/* A flash chip in memory for tests, as strict as real ones: a word is programmed whole and once between two erases, a
 * cut leaves it half done, and what is half done may read as erased, as other bits, or not at all.
 *
 *     flash_model_open(&chip, 240, 15, 12, 0);
 *     chip.cut_at = 7; chip.cut = CUT_RANDOM; chip.power = &where;   power fails in the eighth operation: longjmp
 *     chip.refuse_at = 7;                                            or that operation fails and says so
 */
#ifndef EDGELOOP_FLASH_MODEL_H
#define EDGELOOP_FLASH_MODEL_H

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slot/slot.h"

typedef enum {
    CUT_BEFORE,
    CUT_AFTER,
    CUT_FIRST_HALF, /* done up to the middle, which may lie within a word */
    CUT_LAST_HALF,
    CUT_RANDOM, /* every bit on its own */
    CUT_WEAK,   /* looks undone (program) or done (erase), but the words do not take data any more */
    CUT_KINDS
} cut_kind;

enum { FLASH_MODEL_ERASES = 64 };

enum { WORD_BLANK, WORD_DONE, WORD_WEAK, WORD_UNREADABLE };

typedef struct {
    slot_flash port;
    uint8_t *bytes;
    uint8_t *words; /* WORD_... by word */
    uint8_t *dirty; /* sectors touched since flash_model_keep */
    uint8_t *kept;  /* bytes, then words */
    uint32_t total;
    int has_ecc;                     /* a torn word cannot be read, as on the STM32H7 */
    long operations;                 /* programs and erases so far */
    long erases[FLASH_MODEL_ERASES]; /* numbers of the first erases among them */
    int erase_count;
    long cut_at, refuse_at, refuse_from; /* -1: never */
    cut_kind cut;
    jmp_buf *power;
    uint32_t random;
    const char *violation; /* the first thing done that real flash forbids */
} flash_model;

static inline uint32_t flash_model_random(flash_model *chip)
{
    chip->random = chip->random * 1664525u + 1013904223u;
    return chip->random >> 8;
}

static inline void flash_model_violation(flash_model *chip, const char *text)
{
    if (chip->violation == NULL)
        chip->violation = text;
}

static inline int flash_model_reads_blank(const flash_model *chip, uint32_t word)
{
    const uint8_t *at = chip->bytes + word * chip->port.word_bytes;

    for (uint32_t i = 0; i < chip->port.word_bytes; i++)
        if (at[i] != 0xFF)
            return 0;
    return 1;
}

/* A torn word: where there is ECC it mostly cannot be read at all. */
static inline void flash_model_tear(flash_model *chip, uint32_t word)
{
    if (chip->has_ecc && flash_model_random(chip) % 4 != 0)
        chip->words[word] = WORD_UNREADABLE;
    else
        chip->words[word] = flash_model_reads_blank(chip, word) ? WORD_WEAK : WORD_DONE;
}

static inline int flash_model_read(void *context, uint32_t offset, uint8_t *bytes, uint32_t count)
{
    flash_model *chip = context;

    if (offset > chip->total || count > chip->total - offset) {
        flash_model_violation(chip, "a read outside the flash");
        return -1;
    }
    for (uint32_t word = offset / chip->port.word_bytes; word * chip->port.word_bytes < offset + count; word++)
        if (chip->words[word] == WORD_UNREADABLE)
            return -1;
    memcpy(bytes, chip->bytes + offset, count);
    return 0;
}

/* Data into a word that is blank, or weak: then other bits come out. */
static inline void flash_model_write(flash_model *chip, uint32_t word, const uint8_t *bytes)
{
    uint8_t *at = chip->bytes + word * chip->port.word_bytes;
    int is_weak = chip->words[word] == WORD_WEAK;

    for (uint32_t i = 0; i < chip->port.word_bytes; i++)
        at[i] = (uint8_t)(at[i] & (is_weak ? bytes[i] & flash_model_random(chip) : bytes[i]));
    if (is_weak)
        flash_model_tear(chip, word);
    else /* a word of FF has no bit to change, and can follow another */
        chip->words[word] = flash_model_reads_blank(chip, word) ? WORD_BLANK : WORD_DONE;
}

static inline void flash_model_tear_program(flash_model *chip, uint32_t offset, const uint8_t *bytes, uint32_t count)
{
    uint32_t size = chip->port.word_bytes, middle = count / 2;

    for (uint32_t at = 0; at < count; at += size) {
        uint32_t word = (offset + at) / size;
        int is_first = at + size <= middle, is_last = at >= middle;

        if ((chip->cut == CUT_FIRST_HALF && is_first) || (chip->cut == CUT_LAST_HALF && is_last)) {
            flash_model_write(chip, word, bytes + at);
        } else if (chip->cut == CUT_RANDOM || (chip->cut == CUT_FIRST_HALF && !is_last)) {
            for (uint32_t i = 0; i < size; i++)
                chip->bytes[offset + at + i] &= (uint8_t)(bytes[at + i] | flash_model_random(chip));
            flash_model_tear(chip, word);
        } else if (chip->cut == CUT_WEAK) {
            chip->words[word] = WORD_WEAK;
        }
    }
}

static inline void flash_model_tear_erase(flash_model *chip, uint32_t sector)
{
    uint32_t size = chip->port.word_bytes, count = chip->port.sector_bytes / size, first = sector * count;

    for (uint32_t i = 0; i < count; i++) {
        uint8_t *at = chip->bytes + (first + i) * size;
        int is_chosen = chip->cut == CUT_FIRST_HALF ? i < count / 2 : i >= count / 2;

        if (chip->cut == CUT_WEAK || (chip->cut != CUT_RANDOM && is_chosen)) {
            memset(at, 0xFF, size);
            chip->words[first + i] = chip->cut == CUT_WEAK && flash_model_random(chip) % 2 ? WORD_WEAK : WORD_BLANK;
        } else if (chip->cut == CUT_RANDOM && chip->words[first + i] != WORD_BLANK) {
            for (uint32_t k = 0; k < size; k++)
                at[k] |= (uint8_t)flash_model_random(chip);
            flash_model_tear(chip, first + i);
        }
    }
}

/* 1 if the operation is refused; does not return from a cut. */
static inline int flash_model_count(flash_model *chip)
{
    long number = chip->operations++;

    return number == chip->refuse_at || (chip->refuse_from >= 0 && number >= chip->refuse_from);
}

static inline int flash_model_program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t count)
{
    flash_model *chip = context;
    uint32_t size = chip->port.word_bytes;
    int is_cut = chip->operations == chip->cut_at;

    if (offset % size != 0 || count % size != 0 || offset > chip->total || count > chip->total - offset) {
        flash_model_violation(chip, "a program of no whole words, or outside the flash");
        return -1;
    }
    chip->dirty[offset / chip->port.sector_bytes] = 1;
    if (flash_model_count(chip))
        return -1;
    for (uint32_t at = 0; at < count; at += size)
        if (chip->words[(offset + at) / size] == WORD_DONE || chip->words[(offset + at) / size] == WORD_UNREADABLE)
            flash_model_violation(chip, "a word programmed twice");
    if (is_cut && chip->cut != CUT_AFTER)
        flash_model_tear_program(chip, offset, bytes, count);
    else
        for (uint32_t at = 0; at < count; at += size)
            flash_model_write(chip, (offset + at) / size, bytes + at);
    if (is_cut)
        longjmp(*chip->power, 1);
    return 0;
}

static inline int flash_model_erase(void *context, uint32_t sector)
{
    flash_model *chip = context;
    uint32_t words = chip->port.sector_bytes / chip->port.word_bytes;
    int is_cut = chip->operations == chip->cut_at;

    if (sector >= chip->port.sectors) {
        flash_model_violation(chip, "an erase outside the flash");
        return -1;
    }
    chip->dirty[sector] = 1;
    if (chip->erase_count < FLASH_MODEL_ERASES)
        chip->erases[chip->erase_count++] = chip->operations;
    if (flash_model_count(chip))
        return -1;
    if (is_cut && chip->cut != CUT_AFTER) {
        if (chip->cut != CUT_BEFORE)
            flash_model_tear_erase(chip, sector);
    } else {
        memset(chip->bytes + sector * chip->port.sector_bytes, 0xFF, chip->port.sector_bytes);
        memset(chip->words + sector * words, WORD_BLANK, words);
    }
    if (is_cut)
        longjmp(*chip->power, 1);
    return 0;
}

/* 1 if a word of these bytes faults when it is read where it is mapped. */
static inline int flash_model_faults(const flash_model *chip, const uint8_t *bytes, size_t count)
{
    uint32_t first = (uint32_t)(bytes - chip->bytes);

    for (uint32_t word = first / chip->port.word_bytes; word * chip->port.word_bytes < first + count; word++)
        if (chip->words[word] == WORD_UNREADABLE)
            return 1;
    return 0;
}

/* malloc aligns as mapped flash is aligned, so that models run in place. */
static inline void *flash_model_memory(size_t count)
{
    void *memory = calloc(1, count);

    if (memory == NULL) {
        printf("no memory for a flash of %lu bytes\n", (unsigned long)count);
        exit(2);
    }
    return memory;
}

static inline void flash_model_close(flash_model *chip)
{
    free(chip->bytes);
    free(chip->words);
    free(chip->dirty);
    free(chip->kept);
}

/* An erased chip. */
static inline void flash_model_open(flash_model *chip, uint32_t sector_bytes, uint32_t sectors, uint32_t word_bytes,
                                    int has_ecc)
{
    uint32_t total = sector_bytes * sectors, words = total / word_bytes;

    memset(chip, 0, sizeof *chip);
    chip->total = total;
    chip->bytes = flash_model_memory(total);
    chip->words = flash_model_memory(words);
    chip->dirty = flash_model_memory(sectors);
    chip->kept = flash_model_memory(total + words);
    memset(chip->bytes, 0xFF, total);
    chip->has_ecc = has_ecc;
    chip->cut_at = chip->refuse_at = chip->refuse_from = -1;
    chip->random = 1;
    chip->port.context = chip;
    chip->port.base = chip->bytes;
    chip->port.sector_bytes = sector_bytes;
    chip->port.sectors = sectors;
    chip->port.word_bytes = word_bytes;
    chip->port.read = has_ecc ? flash_model_read : NULL;
    chip->port.program = flash_model_program;
    chip->port.erase = flash_model_erase;
    memset(chip->dirty, 1, sectors);
}

/* Copy what changed: from the chip to what is kept, or back. */
static inline void flash_model_copy(flash_model *chip, int back)
{
    uint32_t size = chip->port.sector_bytes, words = size / chip->port.word_bytes;

    for (uint32_t sector = 0; sector < chip->port.sectors; sector++) {
        uint8_t *bytes = chip->bytes + sector * size, *states = chip->words + sector * words;
        uint8_t *kept_bytes = chip->kept + sector * size, *kept_states = chip->kept + chip->total + sector * words;

        if (!chip->dirty[sector])
            continue;
        memcpy(back ? bytes : kept_bytes, back ? kept_bytes : bytes, size);
        memcpy(back ? states : kept_states, back ? kept_states : states, words);
        chip->dirty[sector] = 0;
    }
}

static inline void flash_model_keep(flash_model *chip)
{
    flash_model_copy(chip, 0);
}

static inline void flash_model_restore(flash_model *chip)
{
    flash_model_copy(chip, 1);
}

#endif
