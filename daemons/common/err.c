/* err - see err.h.  Names come from glibc's own table, so none is missing. */
#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>

enum { ERRNO_MAX = 133 }; /* EHWPOISON, Linux's last. */

int sc_fail(struct sc_err *err, int code, const char *fmt, ...)
{
    if (err) {
        err->code = code;
        va_list args;
        va_start(args, fmt);
        vsnprintf(err->text, sizeof err->text, fmt, args);
        va_end(args);
    }
    return code;
}

int sc_fail_in(struct sc_err *err, const char *fmt, ...)
{
    if (!err)
        return -EIO;
    char old[SC_ERR_TEXT], prefix[SC_ERR_TEXT];
    memcpy(old, err->text, sizeof old);
    va_list args;
    va_start(args, fmt);
    vsnprintf(prefix, sizeof prefix, fmt, args);
    va_end(args);
    /* Two copies rather than "%s: %s": both may be cut, which is intended. */
    size_t size = strnlen(prefix, sizeof prefix - 3);
    memcpy(err->text, prefix, size);
    memcpy(err->text + size, ": ", 2);
    size += 2;
    size_t rest = strnlen(old, sizeof err->text - 1 - size);
    memcpy(err->text + size, old, rest);
    err->text[size + rest] = '\0';
    return err->code;
}

const char *sc_err_name(int code)
{
    const char *name = strerrorname_np(code < 0 ? -code : code);
    return code && name ? name : "E?";
}

int sc_err_code(const char *name)
{
    if (!name)
        return -EIO;
    if (!strcmp(name, "ENOTSUP"))
        return -ENOTSUP;
    if (!strcmp(name, "EWOULDBLOCK"))
        return -EAGAIN;
    for (int i = 1; i <= ERRNO_MAX; i++) {
        const char *s = strerrorname_np(i);
        if (s && !strcmp(s, name))
            return -i;
    }
    return -EIO;
}
