/* What lwIP asks of a compiler and a C library. */
#ifndef EDGELOOP_LWIP_CC_H
#define EDGELOOP_LWIP_CC_H

#include <stdint.h>

/* An assertion of lwIP that fails is a fault of this firmware: the board ends it like any other fault. */
void board_panic(const char *reason);
uint32_t board_random(void);

#define LWIP_PLATFORM_DIAG(text)
#define LWIP_PLATFORM_ASSERT(text) board_panic(text)
#define LWIP_RAND() board_random()
#define LWIP_NO_INTTYPES_H 1
#define LWIP_NO_CTYPE_H 1
#define X8_F "02x"
#define U16_F "u"
#define S16_F "d"
#define X16_F "x"
#define U32_F "u"
#define S32_F "d"
#define X32_F "x"
#define SZT_F "u"

#endif
