/* Byte strings by name from a JSON file of tests/vectors: {"name": "hex digits", ...}. */
#ifndef EDGELOOP_VECTORS_H
#define EDGELOOP_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline char *vectors_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1u << 20);

    if (file == NULL || text == NULL || fread(text, 1, (1u << 20) - 1, file) == 0) {
        printf("no vectors in %s\n", path);
        exit(2);
    }
    fclose(file);
    return text;
}

static inline unsigned vectors_digit(char digit)
{
    return digit <= '9' ? (unsigned)(digit - '0') : (unsigned)(digit - 'a') + 10u;
}

/* Bytes of the named string at `bytes`; ends the program if it is missing or longer than `space`. */
static inline size_t vectors_bytes(const char *text, const char *name, uint8_t *bytes, size_t space)
{
    char key[80];
    const char *at;
    size_t count = 0;

    snprintf(key, sizeof key, "\"%s\": \"", name);
    at = strstr(text, key);
    if (at == NULL) {
        printf("no vector %s\n", name);
        exit(2);
    }
    for (at += strlen(key); *at != '"' && count < space; at += 2)
        bytes[count++] = (uint8_t)(vectors_digit(at[0]) << 4 | vectors_digit(at[1]));
    if (*at != '"') {
        printf("vector %s is longer than %zu bytes\n", name, space);
        exit(2);
    }
    return count;
}

#endif
