/* clean - ownership that ends by itself: cleanup attributes and transfers.
 *
 * Used by every .c of the project.  A type with 'x_free' says
 * SC_CLEANUP(struct x, x_free) in its header; a local that owns says
 * SC_AUTO(x_free) struct x *p = NULL; ownership leaves by SC_TAKE(p).
 * Pure, thread-safe. */
#ifndef SC_COMMON_CLEAN_H
#define SC_COMMON_CLEAN_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SC_AUTO(fn) __attribute__((cleanup(fn##_p)))
#define SC_CLEANUP(T, fn)                                                      \
    static inline void fn##_p(T **p)                                           \
    {                                                                          \
        fn(*p);                                                                \
    }
#define SC_TAKE(p)                                                             \
    __extension__({                                                            \
        __typeof__(p) t_ = (p);                                                \
        (p) = NULL;                                                            \
        t_;                                                                    \
    })
#define SC_TAKE_FD(fd)                                                         \
    __extension__({                                                            \
        int t_ = (fd);                                                         \
        (fd) = -1;                                                             \
        t_;                                                                    \
    })
#define SC_MUST_CHECK __attribute__((warn_unused_result))
#define SC_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define SC_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Cleanups for what libc owns: free(3), close(2) of an fd >= 0, fclose(3). */
static inline void free_p(void *p)
{
    free(*(void **)p);
}
static inline void close_p(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
static inline void fclose_p(FILE **f)
{
    if (*f)
        fclose(*f);
}

#endif
