/* server - HTTPS by civetweb: one handler for requests, one for WebSockets.
 *
 * The only place of the console that knows civetweb.  Each connection has a
 * worker thread of its own while it lives; handlers run on it and may block.
 * Answers carry the security headers (CSP, HSTS, nosniff, no framing) always.
 * TLS 1.2 and 1.3; no client certificates; no redirects; no CORS. */
#ifndef SC_HTTP_SERVER_H
#define SC_HTTP_SERVER_H

#include "common/err.h"
#include "common/json.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct http_server;
struct http_request; /* Lives as long as the handler's call. */
struct http_ws;      /* A WebSocket connection. */

struct http_ws_handler {
    const char *pattern; /* civetweb's: "/api/v1/vms/X/console", X a star. */
    /* Worker.  0 and '*ret_conn' accepts; otherwise it has answered 'rq' with
     * an HTTP error, and the connection closes. */
    int (*open)(void *ctx, struct http_request *rq, void **ret_conn);
    /* The handshake is done: 'ws' may be written to until 'close' returns. */
    void (*ready)(void *ctx, void *conn, struct http_ws *ws);
    /* A text or binary message.  False: close the connection. */
    bool (*data)(void *ctx, void *conn, const void *data, size_t size);
    /* Once for each accepted 'open', even if 'ready' never ran. */
    void (*close)(void *ctx, void *conn);
};

struct http_server_options {
    const char *listen;    /* "HOST:PORT", IPv4. */
    const char *cert_file; /* PEM */
    const char *key_file;  /* PEM */
    /* For clients that ask for a name it is for (named_cert.h); NULL: none. */
    const char *named_cert_file, *named_key_file;
    unsigned n_threads;
    void *ctx;                                          /* Of the callbacks. */
    void (*handle)(void *ctx, struct http_request *rq); /* Answers 'rq'. */
    const struct http_ws_handler *ws;                   /* NULL: none. */
};

int http_server_new(const struct http_server_options *o,
                    struct http_server **ret, struct sc_err *err) SC_MUST_CHECK;
/* Stops listening, ends connections, waits for the workers (which must not be
 * waiting for the calling thread).  NULL is allowed. */
void http_server_free(struct http_server *s);
SC_CLEANUP(struct http_server, http_server_free)
uint16_t http_server_port(const struct http_server *s); /* Really bound. */

/* --- the request; strings are borrowed --------------------------------- */
const char *http_method(const struct http_request *rq);
const char *http_path(const struct http_request *rq);  /* Decoded, clean. */
const char *http_query(const struct http_request *rq); /* Raw; "" if none. */
const char *http_header(const struct http_request *rq, const char *name);
const char *http_remote(const struct http_request *rq);     /* IP address. */
int64_t http_content_length(const struct http_request *rq); /* -1: none. */
bool http_is_chunked(const struct http_request *rq);
/* Bytes of the body (> 0), 0 at its end or when the peer went away (the caller
 * compares with the length), -errno. */
ssize_t http_read(struct http_request *rq, void *buf, size_t size);
/* Tells a client that waits for it ("Expect") to send the body now. */
void http_continue(struct http_request *rq);

/* --- the answer: exactly one of these ---------------------------------- */
/* 'headers' are extra lines, each ended by \r\n, or "". */
void http_reply(struct http_request *rq, int status, const char *headers,
                const char *type, const void *body, size_t size);
void http_reply_json(struct http_request *rq, int status, const char *headers,
                     const cJSON *body);
/* {"error": {"code", "message"}} with 'status' (0: by err->code, as in
 * docs/protocols/api.md). */
void http_reply_error(struct http_request *rq, int status, const char *headers,
                      const struct sc_err *err);
void http_reply_errorf(struct http_request *rq, int status, int code,
                       const char *fmt, ...) SC_PRINTF(4, 5);
/* Begins an answer without end; then http_write.  The connection closes when
 * the handler returns. */
void http_stream_begin(struct http_request *rq, const char *type);
/* 0, or -EPIPE: the peer is gone, or stalled for longer than 10 s. */
int http_write(struct http_request *rq, const void *data, size_t size);

/* The HTTP status for an error code of ours (-ENOENT: 404 ...). */
int http_status_of(int code);

/* Sends a binary message; from one thread at a time.  0 or -EPIPE. */
int http_ws_write(struct http_ws *ws, const void *data, size_t size);
/* Sends a close frame with 'code' and 'reason' (cut at 120 bytes). */
void http_ws_end(struct http_ws *ws, uint16_t code, const char *reason);

#endif
