#include "hmac.h"

#include "bearssl_hash.h"
#include "bearssl_hmac.h"

void hmac_sha256(void *context, const uint8_t key[32], const uint8_t *first, size_t first_bytes, const uint8_t *second,
                 size_t second_bytes, uint8_t mac[32])
{
    br_hmac_key_context keyed;
    br_hmac_context running;

    (void)context;
    br_hmac_key_init(&keyed, &br_sha256_vtable, key, 32);
    br_hmac_init(&running, &keyed, 0);
    br_hmac_update(&running, first, first_bytes);
    br_hmac_update(&running, second, second_bytes);
    (void)br_hmac_out(&running, mac);
}
