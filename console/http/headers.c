/* headers - see headers.h. */
#include "http/headers.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Neither scripts nor styles may be inline; console/web/src/lib/csp_styles.ts
 * tells how the dashboard's terminal does without. */
static const char security[] =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; "
    "style-src 'self'; img-src 'self'; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'\r\n"
    "Strict-Transport-Security: max-age=31536000\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n";

int http_headers_format(char *buf, size_t size, int status, const char *reason,
                        bool keep_alive, const char *extra, const char *type,
                        long long content_length)
{
    char length[64] = "";
    if (content_length >= 0 && status != 304 && status != 204)
        snprintf(length, sizeof length, "Content-Length: %lld\r\n",
                 content_length);
    /* What may be cached says so itself in 'extra'. */
    const char *cache = strcasestr(extra, "Cache-Control:")
                            ? ""
                            : "Cache-Control: no-store\r\n";
    int n = snprintf(buf, size,
                     "HTTP/1.1 %d %s\r\n%s%s%s%s%s%s%sConnection: %s\r\n\r\n",
                     status, reason, *type ? "Content-Type: " : "", type,
                     *type ? "\r\n" : "", length, cache, security, extra,
                     keep_alive ? "keep-alive" : "close");
    return n < 0 || (size_t)n >= size ? -ENOSPC : n;
}

int http_cookie_get(const char *header, const char *name, char *ret,
                    size_t size)
{
    size_t name_len = strlen(name);
    for (const char *p = header; p && *p;) {
        p += strspn(p, " \t;");
        size_t len = strcspn(p, ";");
        if (len > name_len && strncmp(p, name, name_len) == 0 &&
            p[name_len] == '=') {
            const char *value = p + name_len + 1;
            size_t n = len - name_len - 1;
            while (n > 0 && isspace((unsigned char)value[n - 1]))
                n--;
            if (n >= size)
                return -ENOSPC;
            memcpy(ret, value, n);
            ret[n] = '\0';
            return 0;
        }
        p += len;
    }
    return -ENOENT;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place; -EINVAL on a bad escape or an escaped NUL. */
static int unescape(char *s)
{
    char *out = s;
    for (; *s; s++) {
        if (*s == '+') {
            *out++ = ' ';
        } else if (*s == '%') {
            int hi = hex_digit(s[1]), lo = hi < 0 ? -1 : hex_digit(s[2]);
            if (lo < 0 || (hi == 0 && lo == 0))
                return -EINVAL;
            *out++ = (char)(hi * 16 + lo);
            s += 2;
        } else {
            *out++ = *s;
        }
    }
    *out = '\0';
    return 0;
}

/* 0: 'key' is not in 'allowed'; else 's', 'i' (":int") or 'b' (":bool"). */
static char query_type(const char *allowed, const char *key)
{
    size_t len = strlen(key);
    for (const char *p = allowed; p && *p;) {
        size_t n = strcspn(p, ",:");
        if (len > 0 && n == len && strncmp(p, key, len) == 0)
            return p[n] == ':' ? p[n + 1] : 's';
        p += strcspn(p, ",");
        p += *p == ',';
    }
    return 0;
}

static int query_put(cJSON *into, char type, const char *key, const char *value,
                     struct sc_err *err)
{
    if (cJSON_GetObjectItemCaseSensitive(into, key))
        return sc_fail(err, -EINVAL, "query: '%s' is given twice", key);
    if (type == 's')
        return cJSON_AddStringToObject(into, key, value) ? 0 : -ENOMEM;
    if (type == 'b' && strcmp(value, "true") != 0 &&
        strcmp(value, "false") != 0)
        return sc_fail(err, -EINVAL, "query: '%s' must be true or false", key);
    if (type == 'b')
        return cJSON_AddBoolToObject(into, key, *value == 't') ? 0 : -ENOMEM;
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno || end == value || *end || number < 0 || number > 1ll << 53)
        return sc_fail(err, -EINVAL, "query: '%s' must be a whole number", key);
    return cJSON_AddNumberToObject(into, key, (double)number) ? 0 : -ENOMEM;
}

int http_query_decode(const char *query, const char *allowed, cJSON *into,
                      struct sc_err *err)
{
    SC_AUTO(free) char *copy = strdup(query);
    if (!copy)
        return sc_fail(err, -ENOMEM, "query: out of memory");
    char *rest = copy, *pair;
    while ((pair = strsep(&rest, "&"))) {
        if (!*pair)
            continue;
        char *value = strchr(pair, '=');
        if (value)
            *value++ = '\0';
        else
            value = pair + strlen(pair);
        if (unescape(pair) < 0 || unescape(value) < 0)
            return sc_fail(err, -EINVAL, "query: bad %%-escape");
        char type = query_type(allowed, pair);
        if (!type)
            return sc_fail(err, -EINVAL, "query: '%.64s' is not known here",
                           pair);
        int r = query_put(into, type, pair, value, err);
        if (r < 0)
            return r;
    }
    return 0;
}

bool http_accepts(const char *header, const char *coding)
{
    size_t len = strlen(coding);
    for (const char *p = header; p && *p;) {
        p += strspn(p, " \t,");
        size_t n = strcspn(p, ",");
        if (n >= len && strncasecmp(p, coding, len) == 0 &&
            (n == len || strchr(" \t;", p[len]))) {
            const char *q = memmem(p, n, "q=", 2);
            return !q || strtod(q + 2, NULL) > 0;
        }
        p += n;
    }
    return false;
}
