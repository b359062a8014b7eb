/* err - the one way an error reaches a human.
 *
 * A function that can fail returns 0 or -errno; if a person will read the
 * reason, its last parameter is 'struct sc_err *err' (NULL allowed), filled
 * once, at the place that knows: return sc_fail(err, -EINVAL, "...").
 * Fixed size, nothing to free.  Pure, thread-safe. */
#ifndef SC_COMMON_ERR_H
#define SC_COMMON_ERR_H

#include "common/clean.h"

#include <errno.h>
#include <string.h>

enum { SC_ERR_TEXT = 512 };

struct sc_err {
    int code;               /* 0, or the -errno returned with it. */
    char text[SC_ERR_TEXT]; /* One sentence, no newline; "" if code is 0. */
};

/* Fills 'err' (NULL allowed) with 'code' (< 0) and the formatted text (cut at
 * SC_ERR_TEXT - 1 bytes).  Returns 'code'. */
int sc_fail(struct sc_err *err, int code, const char *fmt, ...) SC_PRINTF(3, 4);

/* Puts "PREFIX: " before the text of an already filled 'err'; returns its
 * code.  For callers that know more of the context than the callee. */
int sc_fail_in(struct sc_err *err, const char *fmt, ...) SC_PRINTF(2, 3);

/* "ENOENT" for -ENOENT (or ENOENT); "E?" for a number not in the table. */
const char *sc_err_name(int code);
/* -ENOENT for "ENOENT"; -EIO for a name not in the table (or NULL). */
int sc_err_code(const char *name);

#endif
