/* Any bytes as a model image. Three ways, so that each part is reached:
 *
 * - as they are, through image_verify with a test key: what an attacker on the link has;
 * - through image_parse, behind the signature: what a signer with a fault could make;
 * - with header, lengths and the model's hash put right first, so that the TLVs behind them are reached. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bearssl_hash.h"
#include "image/image.h"
#include "wire/bytes.h"

enum { MODEL_BYTES = 16, TLV_HASH_OFFSET = 8 };

/* RFC 6979, A.2.5. */
static const uint8_t keys[1][IMAGE_KEY_BYTES] = {
    {0x04, 0x60, 0xfe, 0xd4, 0xba, 0x25, 0x5a, 0x9d, 0x31, 0xc9, 0x61, 0xeb, 0x74, 0xc6, 0x35, 0x6d, 0x68,
     0xc0, 0x49, 0xb8, 0x92, 0x3b, 0x61, 0xfa, 0x6c, 0xe6, 0x69, 0x62, 0x2e, 0x60, 0xf2, 0x9f, 0xb6, 0x79,
     0x03, 0xfe, 0x10, 0x08, 0xb8, 0xbc, 0x99, 0xa4, 0x1a, 0xe9, 0xe9, 0x56, 0x28, 0xbc, 0x64, 0xf2, 0xf1,
     0xb2, 0x0c, 0x2d, 0x7e, 0x9f, 0x51, 0x77, 0xa3, 0xc2, 0x94, 0xd4, 0x46, 0x22, 0x99}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
    if (!holds) {
        abort();
    }
}

static uint32_t touch(const uint8_t *bytes, size_t count)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum += bytes[i];
    }
    return sum;
}

/* Everything that a view points to can be read, and lies in the image. */
static void use(const image_view *view, const uint8_t *image, size_t size)
{
    const struct {
        const uint8_t *bytes;
        size_t count;
    } parts[] = {
        {view->model, view->model_bytes},       {view->program, view->program_bytes},
        {view->golden, view->golden_bytes},     {view->tensors, view->tensor_count * IMAGE_TENSOR_BYTES},
        {view->model_sha256, IMAGE_HASH_BYTES}, {view->release_sha256, IMAGE_HASH_BYTES},
    };
    volatile uint32_t sum = 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        require(parts[i].count > 0 && parts[i].bytes >= image && parts[i].count <= size);
        require((size_t)(parts[i].bytes - image) <= size - parts[i].count);
        sum = sum + touch(parts[i].bytes, parts[i].count);
    }
    require((view->model - image) % IMAGE_ALIGNMENT == 0 && view->model_type <= 2);
}

static void parse(const uint8_t *image, size_t size)
{
    image_view view, untouched;
    size_t length = 0;
    status_t status;

    memset(&view, 0x5A, sizeof view);
    untouched = view;
    status = image_parse(image, size, &view);
    if (status == STATUS_OK) {
        require(image_length(image, size, &length) == STATUS_OK && length == size);
        use(&view, image, size);
    } else {
        require(memcmp(&view, &untouched, sizeof view) == 0);
    }
}

static void verify(const uint8_t *image, size_t size)
{
    static const image_policy policy = {keys, 1, UINT32_MAX, 0, 7, UINT32_MAX, UINT32_MAX};
    image_view view;

    if (image_verify(image, size, &policy, &view) == STATUS_OK) {
        use(&view, image, size);
    }
}

/* The bytes as the TLVs of an image that is right in all else. */
static void parse_as_tlvs(const uint8_t *data, size_t size)
{
    size_t tlvs = (size + 7) / 8 * 8;
    size_t offset = (IMAGE_HEADER_BYTES + tlvs + 15) / 16 * 16;
    size_t total = offset + MODEL_BYTES + IMAGE_SIGNATURE_BYTES;
    uint8_t *image = calloc(1, total);
    br_sha256_context context;

    require(image != NULL);
    memcpy(image, "ELIM\1\0\60\0", 8);
    put_u32(image + 8, (uint32_t)total);
    put_u32(image + 12, (uint32_t)tlvs);
    put_u32(image + 16, (uint32_t)offset);
    put_u32(image + 20, MODEL_BYTES);
    image[32] = 1;
    memcpy(image + IMAGE_HEADER_BYTES, data, size);
    if (tlvs >= TLV_HASH_OFFSET + IMAGE_HASH_BYTES) {
        br_sha256_init(&context);
        br_sha256_update(&context, image + offset, MODEL_BYTES);
        br_sha256_out(&context, image + IMAGE_HEADER_BYTES + TLV_HASH_OFFSET);
    }
    parse(image, total);
    free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* malloc aligns as flash does, and ends where the image ends. */
    uint8_t *image = malloc(size ? size : 1);

    require(image != NULL);
    if (size > 0) {
        memcpy(image, data, size);
    }
    parse(image, size);
    verify(image, size);
    parse_as_tlvs(image, size);
    free(image);
    return 0;
}
