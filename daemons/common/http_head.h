/* http_head - the first lines of an HTTP/1.1 message, request or response.
 *
 * For the WebSocket transport and sc-node's metadata client, which need no more
 * of HTTP than this.
 * Pure.  Strict: one space between the words of the first line, no folded or
 * nameless headers, CRLF (a bare LF is refused).  Source: RFC 9112. */
#ifndef SC_COMMON_HTTP_HEAD_H
#define SC_COMMON_HTTP_HEAD_H

#include "common/err.h"

#include <stdbool.h>

enum { HTTP_HEAD_MAX = 16 << 10, HTTP_HEADERS_MAX = 48 };

struct http_head {
    /* Request: method, target, version.  Response: version, status, reason. */
    const char *first, *second, *third;
    size_t n_headers;
    struct {
        const char *name, *value; /* Without white space around. */
    } headers[HTTP_HEADERS_MAX];
};

/* Reads the head at the start of 'text', into which it writes NULs and into
 * which 'ret' points.  Returns its size in bytes with the empty line; 0: not
 * all there yet ('text' unchanged); -EPROTO: not HTTP; -EMSGSIZE: too long. */
long http_head_parse(char *text, size_t size,
                     struct http_head *ret) SC_MUST_CHECK;
/* The header's value; NULL if it is absent.  'name' in any case. */
const char *http_head_get(const struct http_head *head, const char *name);
/* A comma separated header has 'token' (any case) as one of its members. */
bool http_head_has_token(const struct http_head *head, const char *name,
                         const char *token);

#endif
