/* http_client - one HTTPS request, for programs that run once; over libcurl.
 *
 * Used by sc-join.  BLOCKS until the answer is there or the time is up, so it
 * is not for a daemon's loop.
 * HTTPS only, TLS 1.3, no proxy, no redirects; http_proxy is ignored.
 * Units: ms, bytes. */
#ifndef SC_COMMON_HTTP_CLIENT_H
#define SC_COMMON_HTTP_CLIENT_H

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

struct http_request {
    const char *host; /* To connect to: name or address. */
    uint16_t port;
    const char *server_name; /* What its certificate must be for. */
    const char *ca_pem;      /* NULL: anybody is believed. */
    const char *method;      /* "GET" or "POST". */
    const char *path;        /* "/join". */
    const char *body;        /* JSON; NULL: none. */
    uint64_t timeout_ms;     /* 0: 60 s. */
};
struct http_response {
    long status; /* 200, ... */
    char *body;  /* Owned; NUL-ended; at most HTTP_RESPONSE_MAX. */
};
enum { HTTP_RESPONSE_MAX = 1 << 20 };

/* 0: there was an answer, whatever its status.  -EHOSTUNREACH (not reached,
 * name unknown, refused, cut), -ETIMEDOUT, -EACCES (certificate), -EMSGSIZE,
 * -ENOMEM, -EPROTO. */
int http_request_run(const struct http_request *q, struct http_response *ret,
                     struct sc_err *err) SC_MUST_CHECK;
void http_response_fini(struct http_response *r);

#endif
