/* headers - the head of every answer, the security headers among them; the
 * status of an error; cookies and query strings.  Pure, thread-safe. */
#ifndef SC_HTTP_HEADERS_H
#define SC_HTTP_HEADERS_H

#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

/* Formats status line and headers, up to and with the empty line, into 'buf'.
 * 'extra': lines ended by \r\n, or ""; 'content_length' < 0: a stream.
 * Bytes, or -ENOSPC. */
int http_headers_format(char *buf, size_t size, int status, const char *reason,
                        bool keep_alive, const char *extra, const char *type,
                        long long content_length);

/* The value of cookie 'name' in a Cookie header (NULL allowed) into 'ret'.
 * 0, -ENOENT, or -ENOSPC if it does not fit into 'size'. */
int http_cookie_get(const char *header, const char *name, char *ret,
                    size_t size);

/* Decodes "a=1&b=x%20y" into the object 'into' by 'allowed', a list like
 * "limit:int,name" (NULL: nothing allowed).  -EINVAL: unknown key, key twice,
 * bad escape, or not a number; 'err' names it. */
int http_query_decode(const char *query, const char *allowed, cJSON *into,
                      struct sc_err *err) SC_MUST_CHECK;

/* True if a header like Accept-Encoding lists 'coding' with q > 0. */
bool http_accepts(const char *header, const char *coding);

#endif
