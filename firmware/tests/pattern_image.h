/* Signed images of any length from few bytes: their ends are in image.json, the model follows from length and version
 * (tests/vectors/make_image.py, pattern). */
#ifndef EDGELOOP_PATTERN_IMAGE_H
#define EDGELOOP_PATTERN_IMAGE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "image/image.h"
#include "vectors.h"

static inline uint8_t *pattern_image(const char *vectors, uint32_t model_bytes, uint32_t version, uint32_t *count)
{
    uint32_t space = (model_bytes + IMAGE_ALIGNMENT - 1) / IMAGE_ALIGNMENT * IMAGE_ALIGNMENT;
    uint8_t *image = calloc(1, 512 + (size_t)space + IMAGE_SIGNATURE_BYTES);
    char name[48];
    size_t head;

    if (image == NULL) {
        printf("no memory for an image of %u bytes\n", (unsigned)model_bytes);
        exit(2);
    }
    snprintf(name, sizeof name, "pattern_%u_%u_head", (unsigned)model_bytes, (unsigned)version);
    head = vectors_bytes(vectors, name, image, 512);
    for (uint32_t i = 0; i < model_bytes; i++)
        image[head + i] = (uint8_t)(i * 131 + (i >> 8) * 17 + version * 59);
    snprintf(name, sizeof name, "pattern_%u_%u_signature", (unsigned)model_bytes, (unsigned)version);
    vectors_bytes(vectors, name, image + head + space, IMAGE_SIGNATURE_BYTES);
    *count = (uint32_t)(head + space + IMAGE_SIGNATURE_BYTES);
    return image;
}

#endif
