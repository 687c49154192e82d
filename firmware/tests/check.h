/* Checks for test programs: a failed one is printed with its place and counted, and the program goes on.
 *
 *     int main(void) { ...; return check_result(); } */
#ifndef EDGELOOP_CHECK_H
#define EDGELOOP_CHECK_H

#include <stdio.h>
#include <string.h>

static int check_count;
static int check_failures;

/* Stops printing after this many failures: one fault in a loop would hide everything else. */
enum { CHECK_PRINTED = 20 };

#define CHECK(condition) check_true((condition) != 0, #condition, __FILE__, __LINE__)
#define CHECK_EQUAL(found, expected) \
    check_equal((long long)(found), (long long)(expected), #found " == " #expected, __FILE__, __LINE__)
#define CHECK_NEAR(found, expected, tolerance) \
    check_near((double)(found), (double)(expected), (double)(tolerance), #found, __FILE__, __LINE__)
#define CHECK_BYTES(found, expected, count) \
    check_true(memcmp((found), (expected), (count)) == 0, #found " holds " #expected, __FILE__, __LINE__)

static inline int check_failed(void)
{
    return ++check_failures <= CHECK_PRINTED;
}

static inline void check_true(int holds, const char *text, const char *file, int line)
{
    check_count++;
    if (!holds && check_failed())
        printf("%s:%d: not so: %s\n", file, line, text);
}

static inline void check_equal(long long found, long long expected, const char *text, const char *file, int line)
{
    check_count++;
    if (found != expected && check_failed())
        printf("%s:%d: %s: found %lld, expected %lld\n", file, line, text, found, expected);
}

static inline void check_near(double found, double expected, double tolerance, const char *text, const char *file,
                              int line)
{
    check_count++;
    if (!(found - expected <= tolerance && expected - found <= tolerance) && check_failed())
        printf("%s:%d: %s: found %.9g, expected %.9g within %g\n", file, line, text, found, expected, tolerance);
}

static inline int check_result(void)
{
    printf("%d checks, %d failed\n", check_count, check_failures);
    return check_failures != 0;
}

#endif
