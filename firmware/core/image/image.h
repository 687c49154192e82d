/* A signed model image: what a deployer makes and a board runs. SPEC.md chapter "Model image" has every byte.
 *
 *     image_policy policy = {keys, key_count, FIRMWARE_VERSION, lowest_version, types, arena_bytes, buffer_bytes};
 *     status = image_verify(bytes, count, &policy, &view);
 *     if (status == STATUS_OK)
 *         ... view.model, view.program, view.golden, all read in place ...
 *
 * The image is read where it lies; nothing is copied and nothing is kept but the view. */
#ifndef EDGELOOP_IMAGE_H
#define EDGELOOP_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

enum {
    IMAGE_HEADER_BYTES = 48,
    IMAGE_SIGNATURE_BYTES = 64, /* r and s, 32 bytes each, most significant first, at the end of the image */
    IMAGE_KEY_BYTES = 65,       /* an uncompressed point of P-256: 4, x, y */
    IMAGE_KEY_ID_BYTES = 8,     /* the first of the SHA-256 of those 65 bytes */
    IMAGE_HASH_BYTES = 32,
    IMAGE_ALIGNMENT = 16,   /* of the model within the image */
    IMAGE_TENSOR_BYTES = 16 /* one entry of the tensor specs */
};

/* What a board accepts. A policy of zeros accepts nothing. */
typedef struct {
    const uint8_t (*keys)[IMAGE_KEY_BYTES]; /* any one of these may have signed */
    uint32_t key_count;
    uint32_t firmware_version; /* major << 16 | minor << 8 | patch */
    uint32_t lowest_version;   /* images with a lower one are refused */
    uint32_t model_types;      /* 1 << NN_FLOAT32 | 1 << NN_INT8 | ...: those that are built in */
    uint32_t arena_bytes;      /* what there is for the engine */
    uint32_t buffer_bytes;     /* what there is for the forecast */
} image_policy;

/* What an image says; the pointers go into the image. */
typedef struct {
    const uint8_t *model; /* .tflite, at a multiple of 16 from the image's first byte */
    size_t model_bytes;
    const uint8_t *program; /* feature program */
    size_t program_bytes;
    const uint8_t *golden; /* golden vectors */
    size_t golden_bytes;
    const uint8_t *tensors; /* entries of 16 bytes */
    size_t tensor_count;
    const uint8_t *model_sha256;
    const uint8_t *release_sha256; /* of the release's manifest */
    uint32_t version;
    uint32_t minimum_firmware;
    uint32_t arena_bytes;
    uint32_t buffer_bytes;
    uint32_t model_type;              /* NN_FLOAT32, ... */
    uint8_t sha256[IMAGE_HASH_BYTES]; /* of the whole image; only image_verify fills it in */
} image_view;

/* The length that the header states; at most `space`. Checks no more than the header. */
status_t image_length(const uint8_t *bytes, size_t space, size_t *count);

/* Signature first, then structure, then policy. `count` is the exact length. On an error `view` is not touched. */
status_t image_verify(const uint8_t *bytes, size_t count, const image_policy *policy, image_view *view);

/* Structure and hash of the model alone: says nothing about who made the image. For tools and tests. */
status_t image_parse(const uint8_t *bytes, size_t count, image_view *view);

#endif
