#include "files.h"

#include "semihosting.h"

size_t files_load(const char *path, void *bytes, size_t space)
{
    int handle = semihosting_open(path, SEMIHOSTING_READ);
    size_t missing;

    if (handle < 0) {
        return 0;
    }
    missing = semihosting_read(handle, bytes, space);
    (void)semihosting_close(handle);
    return missing > space ? 0 : space - missing;
}

int files_open(const char *path, void *bytes, size_t count)
{
    int handle = semihosting_open(path, SEMIHOSTING_UPDATE);

    if (handle >= 0 && semihosting_length(handle) == (int32_t)count) {
        return semihosting_read(handle, bytes, count) == 0 ? handle : -1;
    }
    if (handle >= 0) {
        (void)semihosting_close(handle);
    }
    handle = semihosting_open(path, SEMIHOSTING_WRITE);
    if (handle < 0) {
        return -1;
    }
    return files_store(handle, 0, bytes, count) == 0 ? handle : -1;
}

int files_store(int handle, uint32_t offset, const void *bytes, size_t count)
{
    return semihosting_seek(handle, offset) == 0 && semihosting_write(handle, bytes, count) == 0 ? 0 : -1;
}
