#define _XOPEN_SOURCE 700
#include "files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

size_t files_load(const char *path, void *bytes, size_t space)
{
    int file = open(path, O_RDONLY);
    ssize_t count;

    if (file < 0) {
        return 0;
    }
    count = read(file, bytes, space);
    (void)close(file);
    return count < 0 ? 0 : (size_t)count;
}

int files_open(const char *path, void *bytes, size_t count)
{
    int file = open(path, O_RDWR | O_CREAT, 0600);
    struct stat found;

    if (file < 0 || fstat(file, &found) != 0) {
        return -1;
    }
    if (found.st_size == (off_t)count) {
        return read(file, bytes, count) == (ssize_t)count ? file : -1;
    }
    if (ftruncate(file, 0) != 0) {
        return -1;
    }
    return files_store(file, 0, bytes, count) == 0 ? file : -1;
}

int files_store(int handle, uint32_t offset, const void *bytes, size_t count)
{
    return pwrite(handle, bytes, count, (off_t)offset) == (ssize_t)count ? 0 : -1;
}
