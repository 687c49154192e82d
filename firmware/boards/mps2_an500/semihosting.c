#include "semihosting.h"

#include <string.h>

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_SEEK = 0x0A,
    SYS_FLEN = 0x0C,
    SYS_TIME = 0x11,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20
};
#define STOPPED_APPLICATION_EXIT 0x20026u

static int32_t call(int operation, const void *argument)
{
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;

    __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void semihosting_print(const char *text)
{
    (void)call(SYS_WRITE0, text);
}

void semihosting_exit(int code)
{
    const uint32_t block[2] = {STOPPED_APPLICATION_EXIT, (uint32_t)code};

    (void)call(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

int semihosting_open(const char *path, int mode)
{
    const uint32_t block[3] = {(uint32_t)path, (uint32_t)mode, (uint32_t)strlen(path)};

    return call(SYS_OPEN, block);
}

int semihosting_close(int handle)
{
    const uint32_t block[1] = {(uint32_t)handle};

    return call(SYS_CLOSE, block);
}

size_t semihosting_read(int handle, void *bytes, size_t count)
{
    const uint32_t block[3] = {(uint32_t)handle, (uint32_t)bytes, (uint32_t)count};

    return (size_t)call(SYS_READ, block);
}

size_t semihosting_write(int handle, const void *bytes, size_t count)
{
    const uint32_t block[3] = {(uint32_t)handle, (uint32_t)bytes, (uint32_t)count};

    return (size_t)call(SYS_WRITE, block);
}

int semihosting_seek(int handle, uint32_t offset)
{
    const uint32_t block[2] = {(uint32_t)handle, offset};

    return call(SYS_SEEK, block);
}

int32_t semihosting_length(int handle)
{
    const uint32_t block[1] = {(uint32_t)handle};

    return call(SYS_FLEN, block);
}

uint32_t semihosting_time(void)
{
    return (uint32_t)call(SYS_TIME, NULL);
}

int semihosting_command_line(char *text, size_t bytes)
{
    const uint32_t block[2] = {(uint32_t)text, (uint32_t)bytes};

    return call(SYS_GET_CMDLINE, block);
}
