/* Model images: the golden ones are accepted, everything else is refused by its own status.
 *
 * With -DEVERY_CHANGE each byte of an image takes all 255 other values (make -C firmware corruption); else a few. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bearssl_ec.h"
#include "bearssl_hash.h"
#include "check.h"
#include "image/image.h"
#include "nn/nn.h"
#include "vectors.h"
#include "wire/bytes.h"

enum {
    SPACE = 1024,
#ifdef ON_TARGET
    STRIDE = 5 /* a signature check takes the emulated core about 10 ms */
#else
    STRIDE = 1
#endif
};

static char *vectors;
static uint8_t keys[2][IMAGE_KEY_BYTES], image[SPACE];
static size_t count;
static image_policy policy;
static image_view view;

static size_t load(const char *name, uint8_t *bytes)
{
    return vectors_bytes(vectors, name, bytes, SPACE);
}

static status_t verify(void)
{
    return image_verify(image, count, &policy, &view);
}

static void begin(void)
{
    load("key", keys[0]);
    load("other_key", keys[1]);
    count = load("image", image);
    policy = (image_policy){(const uint8_t(*)[IMAGE_KEY_BYTES])keys, 1, 0x010203, 0, 7, 2000, 300};
    memset(&view, 0x5A, sizeof view);
}

/* Nothing was written to the view. */
static int is_untouched(void)
{
    const uint8_t *bytes = (const uint8_t *)&view;

    for (size_t i = 0; i < sizeof view; i++) {
        if (bytes[i] != 0x5A) {
            return 0;
        }
    }
    return 1;
}

/* ---- published vectors of the cryptography ---- */

static void check_sha256(const char *name, const char *text, size_t length, unsigned repeats)
{
    br_sha256_context context;
    uint8_t expected[IMAGE_HASH_BYTES], found[IMAGE_HASH_BYTES];

    br_sha256_init(&context);
    for (unsigned i = 0; i < repeats; i++) {
        br_sha256_update(&context, text, length);
    }
    br_sha256_out(&context, found);
    vectors_bytes(vectors, name, expected, sizeof expected);
    CHECK_BYTES(found, expected, sizeof expected);
}

static void sha256_gives_the_published_hashes(void)
{
    check_sha256("fips180_one_block", "abc", 3, 1);
    check_sha256("fips180_two_blocks", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, 1);
    check_sha256("fips180_million", "aaaaaaaaaa", 10, 100000);
}

static uint32_t rfc_6979(const char *name, const char *message, uint8_t *key, unsigned spoiled)
{
    br_ec_public_key point = {BR_EC_secp256r1, key, IMAGE_KEY_BYTES};
    br_sha256_context context;
    uint8_t signature[IMAGE_SIGNATURE_BYTES], hash[IMAGE_HASH_BYTES];

    br_sha256_init(&context);
    br_sha256_update(&context, message, strlen(message));
    br_sha256_out(&context, hash);
    vectors_bytes(vectors, name, signature, sizeof signature);
    if (spoiled < sizeof signature) {
        signature[spoiled] ^= 1;
    }
    return br_ecdsa_i31_vrfy_raw(&br_ec_p256_m31, hash, sizeof hash, &point, signature, sizeof signature);
}

static void the_published_signatures_verify_and_no_others(void)
{
    begin();
    CHECK_EQUAL(rfc_6979("rfc6979_sample", "sample", keys[0], SPACE), 1);
    CHECK_EQUAL(rfc_6979("rfc6979_test", "test", keys[0], SPACE), 1);
    CHECK_EQUAL(rfc_6979("rfc6979_test", "sample", keys[0], SPACE), 0);
    CHECK_EQUAL(rfc_6979("rfc6979_sample", "sample", keys[1], SPACE), 0);
    for (unsigned at = 0; at < IMAGE_SIGNATURE_BYTES; at += STRIDE) {
        CHECK_EQUAL(rfc_6979("rfc6979_sample", "sample", keys[0], at), 0);
    }
}

/* ---- what is accepted ---- */

static void a_golden_image_says_what_was_put_in(void)
{
    uint8_t hash[IMAGE_HASH_BYTES];
    br_sha256_context context;
    size_t length = 0;

    begin();
    CHECK_EQUAL(verify(), STATUS_OK);
    CHECK_EQUAL(view.model_bytes, 40);
    CHECK_EQUAL((view.model - image) % IMAGE_ALIGNMENT, 0);
    for (unsigned i = 0; i < 40; i++) {
        CHECK_EQUAL(view.model[i], i);
    }
    CHECK_EQUAL(view.program_bytes, 19);
    CHECK_BYTES(view.program, "program of features", 19);
    CHECK_EQUAL(view.golden_bytes, 6);
    CHECK_BYTES(view.golden, "golden", 6);
    CHECK_EQUAL(view.tensor_count, 2);
    CHECK_EQUAL((int32_t)get_u32(view.tensors + 12), -3);
    CHECK_EQUAL(get_u32(view.tensors + IMAGE_TENSOR_BYTES + 4), 6);
    CHECK_EQUAL(view.version, 7);
    CHECK_EQUAL(view.minimum_firmware, 0x000100);
    CHECK_EQUAL(view.arena_bytes, 2000);
    CHECK_EQUAL(view.buffer_bytes, 300);
    CHECK_EQUAL(view.model_type, NN_INT8);
    br_sha256_init(&context);
    br_sha256_update(&context, image, count);
    br_sha256_out(&context, hash);
    CHECK_BYTES(view.sha256, hash, sizeof hash);
    br_sha256_init(&context);
    br_sha256_update(&context, "release", 7);
    br_sha256_out(&context, hash);
    CHECK_BYTES(view.release_sha256, hash, sizeof hash);
    CHECK_EQUAL(image_length(image, sizeof image, &length), STATUS_OK);
    CHECK_EQUAL(length, count);
    CHECK_EQUAL(image_parse(image, count, &view), STATUS_OK);
}

static void optional_fields_may_be_missing_or_unknown(void)
{
    begin();
    count = load("no_optional", image);
    CHECK_EQUAL(verify(), STATUS_OK);
    count = load("unknown_optional", image);
    CHECK_EQUAL(verify(), STATUS_OK);
    CHECK_EQUAL(view.version, 7);
}

static void either_of_two_keys_may_have_signed(void)
{
    begin();
    policy.key_count = 2;
    CHECK_EQUAL(verify(), STATUS_OK);
    count = load("image_other_key", image);
    CHECK_EQUAL(verify(), STATUS_OK);
}

/* ---- who signed ---- */

static void an_unknown_key_is_refused(void)
{
    begin();
    count = load("image_stranger", image);
    policy.key_count = 2;
    CHECK_EQUAL(verify(), STATUS_IMAGE_KEY);
    count = load("image_other_key", image);
    policy.key_count = 1;
    CHECK_EQUAL(verify(), STATUS_IMAGE_KEY);
    policy.key_count = 0;
    CHECK_EQUAL(verify(), STATUS_IMAGE_KEY);
    policy = (image_policy){NULL, 0, 0, 0, 0, 0, 0};
    CHECK_EQUAL(verify(), STATUS_IMAGE_KEY);
    CHECK(is_untouched());
}

static void a_signature_by_another_key_under_a_known_id_is_refused(void)
{
    uint8_t known[IMAGE_KEY_ID_BYTES];

    begin();
    memcpy(known, image + 24, sizeof known);
    count = load("image_other_key", image);
    memcpy(image + 24, known, sizeof known);
    CHECK_EQUAL(verify(), STATUS_IMAGE_SIGNATURE);
    CHECK(is_untouched());
}

static void degenerate_signatures_are_refused(void)
{
    static const uint8_t order[32] = {0xFF, 0xFF, 0xFF, 0xFF, 0,    0,    0,    0,    0xFF, 0xFF, 0xFF,
                                      0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17,
                                      0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51};
    uint8_t *r, *s;

    begin();
    r = image + count - 64;
    s = r + 32;
    memset(r, 0, 64);
    CHECK_EQUAL(verify(), STATUS_IMAGE_SIGNATURE);
    memset(r, 0xFF, 64);
    CHECK_EQUAL(verify(), STATUS_IMAGE_SIGNATURE);
    memcpy(r, order, 32);
    memcpy(s, order, 32);
    CHECK_EQUAL(verify(), STATUS_IMAGE_SIGNATURE);
    memset(r, 0, 64);
    r[31] = s[31] = 1;
    CHECK_EQUAL(verify(), STATUS_IMAGE_SIGNATURE);
}

static void a_key_that_is_no_point_verifies_nothing(void)
{
    br_sha256_context context;
    uint8_t hash[IMAGE_HASH_BYTES];

    begin();
    memset(keys[0] + 1, 0x11, 64);
    br_sha256_init(&context);
    br_sha256_update(&context, keys[0], IMAGE_KEY_BYTES);
    br_sha256_out(&context, hash);
    memcpy(image + 24, hash, IMAGE_KEY_ID_BYTES);
    CHECK_EQUAL(verify(), STATUS_IMAGE_SIGNATURE);
}

/* ---- damage ---- */

static void every_changed_byte_is_refused(void)
{
#ifdef EVERY_CHANGE
    enum { FIRST = 1, STEP = 1 };
#else
    enum { FIRST = 1, STEP = 127 }; /* 01, 80, FF: the lowest bit, the highest, all */
#endif
    unsigned tried = 0, refused = 0, wrong_reason = 0;
    uint8_t original;
    status_t status;

    begin();
    for (size_t at = 0; at < count; at += STRIDE) {
        for (unsigned change = FIRST; change < 256; change += STEP) {
            original = image[at];
            image[at] = (uint8_t)(image[at] ^ change);
            status = verify();
            image[at] = original;
            tried++;
            refused += status != STATUS_OK;
            /* Behind the header there is one reason only: nothing there is read before the signature is checked. */
            wrong_reason += at >= IMAGE_HEADER_BYTES && status != STATUS_IMAGE_SIGNATURE;
        }
    }
    CHECK_EQUAL(refused, tried);
    CHECK_EQUAL(wrong_reason, 0);
    CHECK(is_untouched());
    CHECK_EQUAL(verify(), STATUS_OK);
    printf("%u changes of single bytes refused; ", refused);
}

static void every_truncation_and_excess_is_refused(void)
{
    begin();
    for (size_t length = 0; length < count; length++) {
        /* A block of its own, so that the sanitizer sees a read beyond it. */
        uint8_t *part = malloc(length + 1);

        if (part == NULL) {
            exit(2);
        }
        memcpy(part + 1, image, length);
        CHECK_EQUAL(image_verify(part + 1, length, &policy, &view), STATUS_IMAGE_TRUNCATED);
        CHECK_EQUAL(image_parse(part + 1, length, &view), STATUS_IMAGE_TRUNCATED);
        free(part);
    }
    CHECK_EQUAL(image_verify(image, count + 1, &policy, &view), STATUS_IMAGE_TRUNCATED);
    CHECK_EQUAL(image_verify(image, count + 16, &policy, &view), STATUS_IMAGE_TRUNCATED);
    CHECK(is_untouched());
}

static void hostile_lengths_are_refused(void)
{
    static const uint32_t hostile[] = {0,  1,          7,          8,          15,         16,         63,
                                       64, 0x7FFFFFFF, 0x80000000, 0xFFFFFFC0, 0xFFFFFFF0, 0xFFFFFFF8, 0xFFFFFFFF};
    size_t length = 0;

    begin();
    for (unsigned field = 8; field < 24; field += 4) {
        for (unsigned i = 0; i < sizeof hostile / sizeof *hostile; i++) {
            uint32_t good = get_u32(image + field);
            status_t status;

            put_u32(image + field, hostile[i]);
            status = verify();
            CHECK(status == STATUS_IMAGE_STRUCTURE || status == STATUS_IMAGE_TRUNCATED);
            CHECK_EQUAL(image_length(image, sizeof image, &length), status);
            CHECK_EQUAL(image_parse(image, count, &view), status);
            put_u32(image + field, good);
        }
    }
    /* Lengths that go together, and whose sums wrap round in 32 bits. */
    put_u32(image + 12, 0xFFFFFFD0);
    put_u32(image + 16, 0);
    put_u32(image + 20, 1);
    put_u32(image + 8, 80);
    CHECK_EQUAL(verify(), STATUS_IMAGE_STRUCTURE);
    put_u32(image + 12, 0x10);
    put_u32(image + 16, 0x40);
    put_u32(image + 20, 0xFFFFFFC1);
    put_u32(image + 8, 0x50);
    CHECK_EQUAL(verify(), STATUS_IMAGE_STRUCTURE);
    CHECK_EQUAL(length, 0);
    CHECK(is_untouched());
}

static void header_fields_are_refused_by_name(void)
{
    begin();
    image[3] = 'N';
    CHECK_EQUAL(verify(), STATUS_IMAGE_MAGIC);
    begin();
    image[4] = 2;
    CHECK_EQUAL(verify(), STATUS_IMAGE_FORMAT);
    begin();
    image[6] = 64;
    CHECK_EQUAL(verify(), STATUS_IMAGE_FORMAT);
    begin();
    image[32] = 2;
    CHECK_EQUAL(verify(), STATUS_IMAGE_FORMAT);
    begin();
    image[47] = 1;
    CHECK_EQUAL(verify(), STATUS_IMAGE_STRUCTURE);
}

/* Soundly signed images with one fault each: "name=status,name=status,..." in the vector "refused". */
static void faults_behind_a_sound_signature_are_refused_by_name(void)
{
    static char list[4096];
    unsigned cases = 0;

    begin();
    list[vectors_bytes(vectors, "refused", (uint8_t *)list, sizeof list - 1)] = 0;
    for (char *name = strtok(list, ","); name != NULL; name = strtok(NULL, ","), cases++) {
        char *equals = strchr(name, '=');

        *equals = 0;
        count = load(name, image);
        if (verify() != (status_t)atoi(equals + 1)) {
            printf("image %s\n", name);
        }
        CHECK_EQUAL(verify(), atoi(equals + 1));
        CHECK_EQUAL(image_parse(image, count, &view), atoi(equals + 1));
    }
    CHECK(cases >= 30);
    CHECK(is_untouched());
}

static void a_model_under_another_hash_is_refused(void)
{
    begin();
    image[count - 64 - 48] ^= 1;
    CHECK_EQUAL(image_parse(image, count, &view), STATUS_IMAGE_MODEL_HASH);
    CHECK_EQUAL(verify(), STATUS_IMAGE_SIGNATURE);
    CHECK(is_untouched());
}

/* ---- what this board takes ---- */

static void the_policy_is_kept(void)
{
    begin();
    policy.lowest_version = 7;
    CHECK_EQUAL(verify(), STATUS_OK);
    policy.lowest_version = 8;
    CHECK_EQUAL(verify(), STATUS_IMAGE_VERSION);
    begin();
    policy.firmware_version = 0x000100;
    CHECK_EQUAL(verify(), STATUS_OK);
    policy.firmware_version = 0x0000FF;
    CHECK_EQUAL(verify(), STATUS_IMAGE_FIRMWARE);
    begin();
    policy.arena_bytes = 1999;
    CHECK_EQUAL(verify(), STATUS_IMAGE_LIMIT);
    begin();
    policy.buffer_bytes = 299;
    CHECK_EQUAL(verify(), STATUS_IMAGE_LIMIT);
    begin();
    policy.model_types = 1u << NN_INT8;
    CHECK_EQUAL(verify(), STATUS_OK);
    policy.model_types = 1u << NN_FLOAT32 | 1u << NN_INT16X8;
    CHECK_EQUAL(verify(), STATUS_IMAGE_TYPE);
}

int main(void)
{
    vectors = vectors_read(VECTORS_FOLDER "/image.json");
    sha256_gives_the_published_hashes();
    the_published_signatures_verify_and_no_others();
    a_golden_image_says_what_was_put_in();
    optional_fields_may_be_missing_or_unknown();
    either_of_two_keys_may_have_signed();
    an_unknown_key_is_refused();
    a_signature_by_another_key_under_a_known_id_is_refused();
    degenerate_signatures_are_refused();
    a_key_that_is_no_point_verifies_nothing();
    every_changed_byte_is_refused();
    every_truncation_and_excess_is_refused();
    hostile_lengths_are_refused();
    header_fields_are_refused_by_name();
    faults_behind_a_sound_signature_are_refused_by_name();
    a_model_under_another_hash_is_refused();
    the_policy_is_kept();
    return check_result();
}
