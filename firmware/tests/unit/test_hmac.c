/* HMAC-SHA256 against RFC 4231, chapters 4.2 to 4.5: a shorter key is one that ends with zeros. */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "hmac.h"

static const struct {
    uint8_t key[32];
    const char *data;
    const char *mac;
} cases[] = {
    {"\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b", "Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {"\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa",
     "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
     "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd",
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19",
     "\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd"
     "\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd",
     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
};

static void to_text(const uint8_t mac[32], char text[65])
{
    for (int i = 0; i < 32; i++) {
        text[2 * i] = "0123456789abcdef"[mac[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[mac[i] & 15];
    }
    text[64] = '\0';
}

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint8_t *data = (const uint8_t *)cases[i].data;
        size_t bytes = strlen(cases[i].data);
        uint8_t mac[32];
        char text[65];

        /* Wherever the data is cut in two. */
        for (size_t first = 0; first <= bytes; first++) {
            hmac_sha256(NULL, cases[i].key, data, first, data + first, bytes - first, mac);
            to_text(mac, text);
            CHECK_BYTES(text, cases[i].mac, 65);
        }
    }
    return check_result();
}
