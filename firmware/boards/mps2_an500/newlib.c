/* What newlib asks of a system, through semihosting: test programs print, read files and allocate as on the host.
 * The firmware itself is linked without this file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "semihosting.h"

#undef errno
extern int errno;
extern char heap_start[], heap_end[];

enum { FIRST_FILE = 3, FILES = 8 };

static struct {
    int handle;
    uint32_t position;
    int used;
} files[FILES];

void _fini(void);

/* Called after destructors; there is nothing to do. */
void _fini(void)
{
}

void _exit(int code)
{
    semihosting_exit(code);
}

void *_sbrk(int increment)
{
    static char *end = heap_start;
    char *previous = end;

    if (increment > heap_end - end || increment < heap_start - end) {
        errno = ENOMEM;
        return (void *)-1;
    }
    end += increment;
    return previous;
}

int _open(const char *path, int flags, int mode)
{
    int access = (flags & O_ACCMODE) == O_RDONLY ? SEMIHOSTING_READ
                 : (flags & O_APPEND) != 0       ? SEMIHOSTING_APPEND
                 : (flags & O_TRUNC) != 0        ? SEMIHOSTING_WRITE
                                                 : SEMIHOSTING_UPDATE;

    (void)mode;
    for (int file = 0; file < FILES; file++) {
        if (files[file].used)
            continue;
        files[file].handle = semihosting_open(path, access);
        if (files[file].handle < 0)
            break;
        files[file].used = 1;
        files[file].position = 0;
        return FIRST_FILE + file;
    }
    errno = ENOENT;
    return -1;
}

int _close(int file)
{
    if (file < FIRST_FILE || file >= FIRST_FILE + FILES || !files[file - FIRST_FILE].used)
        return -1;
    files[file - FIRST_FILE].used = 0;
    return semihosting_close(files[file - FIRST_FILE].handle);
}

static int transfer(int file, size_t missing, int count)
{
    int done = count - (int)missing;

    if (file >= FIRST_FILE)
        files[file - FIRST_FILE].position += (uint32_t)done;
    return done;
}

int _write(int file, const char *bytes, int count)
{
    static int terminal = -1;

    if (file < FIRST_FILE && terminal < 0)
        terminal = semihosting_open(":tt", SEMIHOSTING_WRITE);
    return transfer(
        file, semihosting_write(file < FIRST_FILE ? terminal : files[file - FIRST_FILE].handle, bytes, (size_t)count),
        count);
}

int _read(int file, char *bytes, int count)
{
    if (file < FIRST_FILE)
        return 0;
    return transfer(file, semihosting_read(files[file - FIRST_FILE].handle, bytes, (size_t)count), count);
}

int _lseek(int file, int offset, int whence)
{
    int32_t base = 0;

    if (file < FIRST_FILE)
        return 0;
    if (whence == SEEK_CUR)
        base = (int32_t)files[file - FIRST_FILE].position;
    else if (whence == SEEK_END)
        base = semihosting_length(files[file - FIRST_FILE].handle);
    if (base + offset < 0 || semihosting_seek(files[file - FIRST_FILE].handle, (uint32_t)(base + offset)) != 0)
        return -1;
    files[file - FIRST_FILE].position = (uint32_t)(base + offset);
    return base + offset;
}

int _fstat(int file, struct stat *state)
{
    memset(state, 0, sizeof *state);
    state->st_mode = file < FIRST_FILE ? S_IFCHR : S_IFREG;
    if (file >= FIRST_FILE)
        state->st_size = semihosting_length(files[file - FIRST_FILE].handle);
    return 0;
}

int _isatty(int file)
{
    return file < FIRST_FILE;
}

int _getpid(void)
{
    return 1;
}

int _kill(int process, int signal)
{
    (void)process;
    semihosting_exit(128 + signal);
}
