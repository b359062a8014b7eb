/* log - see log.h.  A line is built in memory and leaves by one write(2), so
 * lines of different threads do not mix. */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

enum { VALUE_MAX = 4096 }; /* bytes of one value; more is cut with "..." */

static atomic_int level_now = SC_LOG_INFO;

static const struct {
    const char *name;
    enum sc_log_level level;
} levels[] = {
    { "error", SC_LOG_ERROR },
    { "warn", SC_LOG_WARN },
    { "info", SC_LOG_INFO },
    { "debug", SC_LOG_DEBUG },
};

void sc_log_level_set(enum sc_log_level level)
{
    atomic_store(&level_now, level);
}

enum sc_log_level sc_log_level_get(void)
{
    return (enum sc_log_level)atomic_load(&level_now);
}

int sc_log_level_parse(const char *name, enum sc_log_level *ret)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(levels); i++) {
        if (name && !strcmp(name, levels[i].name)) {
            *ret = levels[i].level;
            return 0;
        }
    }
    return -EINVAL;
}

static bool is_plain(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || *s == '"' || *s == '\\' || *s == '=' ||
            *s == 0x7f)
            return false;
    return true;
}

static void put_value(FILE *f, const char *s)
{
    if (!s)
        s = "(null)";
    size_t size = strnlen(s, VALUE_MAX + 1);
    if (size <= VALUE_MAX && is_plain(s)) {
        fputs(s, f);
        return;
    }
    fputc('"', f);
    for (size_t i = 0; i < size && i < VALUE_MAX; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", f);
        else if (c < ' ' || c == 0x7f)
            fprintf(f, "\\x%02x", c);
        else
            fputc(c, f);
    }
    fputs(size > VALUE_MAX ? "...\"" : "\"", f);
}

static void write_line(char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(STDERR_FILENO, text, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* Nowhere left to say so. */
        text += n;
        size -= (size_t)n;
    }
}

void sc_log(enum sc_log_level level, const char *event, ...)
{
    if ((int)level > atomic_load(&level_now))
        return;
    int saved = errno;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f) {
        fprintf(f, "<%d>event=", (int)level);
        put_value(f, event);
        va_list args;
        va_start(args, event);
        for (const char *key; (key = va_arg(args, const char *));) {
            fprintf(f, " %s=", key);
            put_value(f, va_arg(args, const char *));
        }
        va_end(args);
        fputc('\n', f);
        if (fclose(f) == 0)
            write_line(text, size);
        free(text);
    }
    errno = saved;
}

void sc_logf(enum sc_log_level level, const char *event, const char *fmt, ...)
{
    if ((int)level > atomic_load(&level_now))
        return;
    int saved = errno;
    char text[VALUE_MAX + 2];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    sc_log(level, event, "msg", text, NULL);
    errno = saved;
}
