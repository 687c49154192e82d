/* HMAC-SHA256 of two pieces, by BearSSL. */
#ifndef EDGELOOP_HMAC_H
#define EDGELOOP_HMAC_H

#include <stddef.h>
#include <stdint.h>

void hmac_sha256(void *context, const uint8_t key[32], const uint8_t *first, size_t first_bytes, const uint8_t *second,
                 size_t second_bytes, uint8_t mac[32]);

#endif
