/* fail - see fail.h. */
#include "join/fail.h"

#include <stdarg.h>
#include <stdio.h>

int join_fail(struct join_failure *f, enum join_code code, const char *fmt, ...)
{
    f->code = code;
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->text, sizeof f->text, fmt, args);
    va_end(args);
    return -1;
}

static const char *hint_of(enum join_code code)
{
    switch (code) {
#define C(number, id, hint)                                                    \
    case JOIN_##id:                                                            \
        return hint;
        JOIN_CODES(C)
#undef C
    default:
        return "";
    }
}

void join_failure_line(const struct join_failure *f, char *ret, size_t size)
{
    snprintf(ret, size, "supercloud: join failed [SC-J%02d]: %s; %s",
             (int)f->code, f->text, hint_of(f->code));
    /* One line, whatever the controller's text held. */
    for (char *p = ret; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
}

int join_exit_status(const struct join_failure *f)
{
    return f->code == JOIN_OK ? 0 : 10 + (int)f->code;
}
