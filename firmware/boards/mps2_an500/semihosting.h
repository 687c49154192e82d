/* Calls to the machine that runs the virtual board: text, files and the exit code.
 *
 * Numbers and arguments: ARM, "Semihosting for AArch32 and AArch64", release 2.0. */
#ifndef EDGELOOP_SEMIHOSTING_H
#define EDGELOOP_SEMIHOSTING_H

#include <stddef.h>
#include <stdint.h>

enum { SEMIHOSTING_READ = 1, SEMIHOSTING_UPDATE = 3, SEMIHOSTING_WRITE = 5, SEMIHOSTING_APPEND = 9 };

void semihosting_print(const char *text);
__attribute__((noreturn)) void semihosting_exit(int code);

/* A handle, or -1. `mode` is one of the above (binary modes of fopen). */
int semihosting_open(const char *path, int mode);
int semihosting_close(int handle);
/* Bytes that were NOT read or written: 0 when all were. */
size_t semihosting_read(int handle, void *bytes, size_t count);
size_t semihosting_write(int handle, const void *bytes, size_t count);
int semihosting_seek(int handle, uint32_t offset);
/* Bytes of the file, or -1. */
int32_t semihosting_length(int handle);
/* Seconds since 1970 on the machine that runs the board. */
uint32_t semihosting_time(void);
/* The words of -semihosting-config arg=..., separated by spaces; 0 if they fit. */
int semihosting_command_line(char *text, size_t bytes);

#endif
