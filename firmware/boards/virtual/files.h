/* Files of the machine that runs a virtual board; each board has its own files.c. */
#ifndef EDGELOOP_FILES_H
#define EDGELOOP_FILES_H

#include <stddef.h>
#include <stdint.h>

/* Bytes read from the start of the file, at most `space`; 0 if there is no such file. */
size_t files_load(const char *path, void *bytes, size_t space);

/* A handle for files_store, or -1. The file is made with this content if it is missing or of another length; else its
 * content replaces that of `bytes`. */
int files_open(const char *path, void *bytes, size_t count);
/* 0, or -1. */
int files_store(int handle, uint32_t offset, const void *bytes, size_t count);

#endif
