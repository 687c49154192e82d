#include "image/image.h"

#include <string.h>

#include "bearssl_ec.h"
#include "bearssl_hash.h"
#include "wire/bytes.h"

enum {
    FORMAT = 1,
    ALGORITHM_ECDSA_P256_SHA256 = 1,
    TLV_HEADER_BYTES = 8,
    TLV_ALIGNMENT = 8,
    TLV_OPTIONAL = 0x8000, /* types with this bit may be passed over */
    TLV_MODEL_SHA256 = 1,
    TLV_VERSION,
    TLV_MINIMUM_FIRMWARE,
    TLV_LIMITS,
    TLV_MODEL_TYPE,
    TLV_TENSORS,
    TLV_PROGRAM,
    TLV_GOLDEN,
    TLV_RELEASE,
    TLV_END,
    TENSOR_KINDS = 3,
    TENSOR_TYPES = 3,
    MODEL_TYPES = 3
};

typedef struct {
    uint32_t image_bytes, tlv_bytes, model_offset, model_bytes;
} layout;

static const uint8_t magic[4] = {'E', 'L', 'I', 'M'};

static int is_zero(const uint8_t *bytes, size_t count)
{
    uint32_t any = 0;

    for (size_t i = 0; i < count; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

/* Up to the next multiple of a power of two; 64 bits wide, so that no length of 32 bits overflows. */
static uint64_t aligned(uint64_t value, uint32_t alignment)
{
    return (value + alignment - 1) & ~(uint64_t)(alignment - 1);
}

static status_t read_header(const uint8_t *bytes, size_t count, layout *l)
{
    if (count < IMAGE_HEADER_BYTES) {
        return STATUS_IMAGE_TRUNCATED;
    }
    if (memcmp(bytes, magic, sizeof magic) != 0) {
        return STATUS_IMAGE_MAGIC;
    }
    if (get_u16(bytes + 4) != FORMAT || get_u16(bytes + 6) != IMAGE_HEADER_BYTES ||
        get_u32(bytes + 32) != ALGORITHM_ECDSA_P256_SHA256) {
        return STATUS_IMAGE_FORMAT;
    }
    l->image_bytes = get_u32(bytes + 8);
    l->tlv_bytes = get_u32(bytes + 12);
    l->model_offset = get_u32(bytes + 16);
    l->model_bytes = get_u32(bytes + 20);
    /* Lengths and offsets have one valid value each, given those of the TLVs and the model. */
    if (l->tlv_bytes % TLV_ALIGNMENT != 0 || l->model_bytes == 0 ||
        l->model_offset != aligned((uint64_t)IMAGE_HEADER_BYTES + l->tlv_bytes, IMAGE_ALIGNMENT) ||
        l->image_bytes !=
            aligned((uint64_t)l->model_offset + l->model_bytes, IMAGE_ALIGNMENT) + IMAGE_SIGNATURE_BYTES ||
        !is_zero(bytes + 36, IMAGE_HEADER_BYTES - 36)) {
        return STATUS_IMAGE_STRUCTURE;
    }
    return l->image_bytes > count ? STATUS_IMAGE_TRUNCATED : STATUS_OK;
}

static status_t read_whole(const uint8_t *bytes, size_t count, layout *l)
{
    status_t status = read_header(bytes, count, l);

    return status == STATUS_OK && l->image_bytes != count ? STATUS_IMAGE_TRUNCATED : status;
}

static void sha256(const uint8_t *bytes, size_t count, uint8_t hash[IMAGE_HASH_BYTES])
{
    br_sha256_context context;

    br_sha256_init(&context);
    br_sha256_update(&context, bytes, count);
    br_sha256_out(&context, hash);
}

/* ---- TLVs ---- */

static status_t read_limits(const uint8_t *value, image_view *view)
{
    view->arena_bytes = get_u32(value);
    view->buffer_bytes = get_u32(value + 4);
    return STATUS_OK;
}

static status_t read_model_type(const uint8_t *value, image_view *view)
{
    view->model_type = get_u32(value);
    return view->model_type < MODEL_TYPES ? STATUS_OK : STATUS_IMAGE_TLV;
}

/* `length` is 1 or more. */
static status_t read_tensors(const uint8_t *value, uint32_t length, image_view *view)
{
    if (length % IMAGE_TENSOR_BYTES != 0) {
        return STATUS_IMAGE_TLV;
    }
    for (uint32_t at = 0; at < length; at += IMAGE_TENSOR_BYTES) {
        const uint8_t *tensor = value + at;

        if (tensor[0] >= TENSOR_KINDS || tensor[1] >= TENSOR_TYPES || get_u16(tensor + 2) != 0 ||
            get_u32(tensor + 4) == 0) {
            return STATUS_IMAGE_TLV;
        }
    }
    view->tensors = value;
    view->tensor_count = length / IMAGE_TENSOR_BYTES;
    return STATUS_OK;
}

static status_t read_critical(uint32_t type, const uint8_t *value, uint32_t length, image_view *view)
{
    /* Bytes of the types that have a fixed length, by type. */
    static const uint8_t lengths[TLV_END] = {
        [TLV_MODEL_SHA256] = 32, [TLV_VERSION] = 4,    [TLV_MINIMUM_FIRMWARE] = 4,
        [TLV_LIMITS] = 8,        [TLV_MODEL_TYPE] = 4, [TLV_RELEASE] = 32,
    };

    if (lengths[type] != 0 ? length != lengths[type] : length == 0) {
        return STATUS_IMAGE_TLV;
    }
    switch (type) {
    case TLV_MODEL_SHA256:
        view->model_sha256 = value;
        return STATUS_OK;
    case TLV_VERSION:
        view->version = get_u32(value);
        return STATUS_OK;
    case TLV_MINIMUM_FIRMWARE:
        view->minimum_firmware = get_u32(value);
        return STATUS_OK;
    case TLV_LIMITS:
        return read_limits(value, view);
    case TLV_MODEL_TYPE:
        return read_model_type(value, view);
    case TLV_TENSORS:
        return read_tensors(value, length, view);
    case TLV_PROGRAM:
        view->program = value;
        view->program_bytes = length;
        return STATUS_OK;
    case TLV_GOLDEN:
        view->golden = value;
        view->golden_bytes = length;
        return STATUS_OK;
    default: /* TLV_RELEASE: no other type is below TLV_END */
        view->release_sha256 = value;
        return STATUS_OK;
    }
}

/* Types come in ascending order, so none comes twice; all that are critical and known must be there. */
static status_t read_tlvs(const uint8_t *area, uint32_t area_bytes, image_view *view)
{
    uint32_t at = 0, last = 0, known = 0;

    while (at < area_bytes) {
        /* The area is a multiple of 8 bytes, and so is every step: a TLV's header always lies within it. */
        uint32_t type = get_u16(area + at);
        uint32_t length = get_u32(area + at + 4);
        const uint8_t *value = area + at + TLV_HEADER_BYTES;
        uint64_t next = (uint64_t)at + TLV_HEADER_BYTES + aligned(length, TLV_ALIGNMENT);
        status_t status = STATUS_OK;

        if (type <= last || get_u16(area + at + 2) != 0 || next > area_bytes ||
            !is_zero(value + length, (size_t)(next - at - TLV_HEADER_BYTES - length))) {
            return STATUS_IMAGE_TLV;
        }
        if (type < TLV_END) {
            status = read_critical(type, value, length, view);
            known++;
        } else if ((type & TLV_OPTIONAL) == 0) {
            return STATUS_IMAGE_TLV_UNKNOWN;
        }
        if (status != STATUS_OK) {
            return status;
        }
        last = type;
        at = (uint32_t)next;
    }
    return known == TLV_END - 1 ? STATUS_OK : STATUS_IMAGE_TLV_MISSING;
}

static status_t read_contents(const uint8_t *bytes, const layout *l, image_view *view)
{
    uint32_t tlv_end = IMAGE_HEADER_BYTES + l->tlv_bytes;
    uint32_t model_end = l->model_offset + l->model_bytes;
    uint8_t hash[IMAGE_HASH_BYTES];
    status_t status;

    memset(view, 0, sizeof *view);
    if (!is_zero(bytes + tlv_end, l->model_offset - tlv_end) ||
        !is_zero(bytes + model_end, l->image_bytes - IMAGE_SIGNATURE_BYTES - model_end)) {
        return STATUS_IMAGE_STRUCTURE;
    }
    status = read_tlvs(bytes + IMAGE_HEADER_BYTES, l->tlv_bytes, view);
    if (status != STATUS_OK) {
        return status;
    }
    view->model = bytes + l->model_offset;
    view->model_bytes = l->model_bytes;
    sha256(view->model, view->model_bytes, hash);
    return memcmp(hash, view->model_sha256, sizeof hash) == 0 ? STATUS_OK : STATUS_IMAGE_MODEL_HASH;
}

/* ---- trust ---- */

static const uint8_t *find_key(const uint8_t *id, const image_policy *policy)
{
    uint8_t hash[IMAGE_HASH_BYTES];

    for (uint32_t i = 0; i < policy->key_count; i++) {
        sha256(policy->keys[i], IMAGE_KEY_BYTES, hash);
        if (memcmp(hash, id, IMAGE_KEY_ID_BYTES) == 0) {
            return policy->keys[i];
        }
    }
    return NULL;
}

static int is_signed(const uint8_t *signature, const uint8_t *hash, const uint8_t *key)
{
    /* BearSSL takes a pointer to bytes that it could write, and does not. */
    uint8_t point[IMAGE_KEY_BYTES];
    br_ec_public_key public_key = {BR_EC_secp256r1, point, sizeof point};

    memcpy(point, key, sizeof point);
    return br_ecdsa_i31_vrfy_raw(&br_ec_p256_m31, hash, IMAGE_HASH_BYTES, &public_key, signature,
                                 IMAGE_SIGNATURE_BYTES) == 1;
}

/* Also gives the hash of the whole image, which goes on where the signed part ends. */
static status_t check_signature(const uint8_t *bytes, const layout *l, const image_policy *policy,
                                uint8_t whole[IMAGE_HASH_BYTES])
{
    const uint8_t *key = find_key(bytes + 24, policy);
    const uint8_t *signature = bytes + (l->image_bytes - IMAGE_SIGNATURE_BYTES);
    uint8_t hash[IMAGE_HASH_BYTES];
    br_sha256_context context;

    if (key == NULL) {
        return STATUS_IMAGE_KEY;
    }
    br_sha256_init(&context);
    br_sha256_update(&context, bytes, l->image_bytes - IMAGE_SIGNATURE_BYTES);
    br_sha256_out(&context, hash);
    br_sha256_update(&context, signature, IMAGE_SIGNATURE_BYTES);
    br_sha256_out(&context, whole);
    return is_signed(signature, hash, key) ? STATUS_OK : STATUS_IMAGE_SIGNATURE;
}

static status_t check_policy(const image_view *view, const image_policy *policy)
{
    if (view->version < policy->lowest_version) {
        return STATUS_IMAGE_VERSION;
    }
    if (view->minimum_firmware > policy->firmware_version) {
        return STATUS_IMAGE_FIRMWARE;
    }
    if (view->arena_bytes > policy->arena_bytes || view->buffer_bytes > policy->buffer_bytes) {
        return STATUS_IMAGE_LIMIT;
    }
    return (policy->model_types >> view->model_type & 1) != 0 ? STATUS_OK : STATUS_IMAGE_TYPE;
}

/* ---- entries ---- */

status_t image_length(const uint8_t *bytes, size_t space, size_t *count)
{
    layout l;
    status_t status = read_header(bytes, space, &l);

    if (status == STATUS_OK) {
        *count = l.image_bytes;
    }
    return status;
}

status_t image_parse(const uint8_t *bytes, size_t count, image_view *view)
{
    layout l;
    image_view found;
    status_t status = read_whole(bytes, count, &l);

    if (status == STATUS_OK) {
        status = read_contents(bytes, &l, &found);
    }
    if (status == STATUS_OK) {
        *view = found;
    }
    return status;
}

status_t image_verify(const uint8_t *bytes, size_t count, const image_policy *policy, image_view *view)
{
    layout l;
    image_view found;
    uint8_t whole[IMAGE_HASH_BYTES];
    status_t status = read_whole(bytes, count, &l);

    if (status == STATUS_OK) {
        status = check_signature(bytes, &l, policy, whole);
    }
    if (status == STATUS_OK) {
        status = read_contents(bytes, &l, &found);
    }
    if (status == STATUS_OK) {
        status = check_policy(&found, policy);
    }
    if (status != STATUS_OK) {
        return status;
    }
    memcpy(found.sha256, whole, sizeof found.sha256);
    *view = found;
    return STATUS_OK;
}
