/* server - see server.h.  How: civetweb calls 'on_request' for every URI; a
 * struct http_request on its worker's stack is all the state of a request.
 * TLS is set up by our own callback, because civetweb wants certificate and
 * key in one file and we keep them in two. */
#include "http/server.h"

#include "common/loop.h"
#include "http/headers.h"
#include "http/named_cert.h"

#include <civetweb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>

enum {
    REQUEST_TIMEOUT_MS = 10000,
    DRAIN_MS = 10000,    /* How long an answer waits for the rest of a body. */
    DRAIN_MAX = 1 << 30, /* bytes */
    WS_KEY_LEN = 24,     /* RFC 6455 section 4.1: 16 bytes in base64. */
};

struct http_server {
    struct mg_context *mg;
    struct http_server_options o;
    char *cert_file, *key_file;
    struct named_cert *named; /* NULL: none. */
    uint16_t port;
};

struct http_request {
    struct mg_connection *conn;
    const struct mg_request_info *info;
    bool is_answered, is_continued;
    bool keep; /* The body was read, so the connection may serve on. */
    int64_t n_read;
};

struct http_ws {
    struct mg_connection *conn;
    atomic_bool ended; /* We said close: nothing more is taken. */
    struct http_server *server;
    void *user;
};

static int on_request(struct mg_connection *conn, void *arg);
static int on_error(struct mg_connection *conn, int status, const char *text);
static int on_tls(void *ssl_ctx, void *arg);
static int on_ws_open(const struct mg_connection *conn, void *arg);
static void on_ws_ready(struct mg_connection *conn, void *arg);
static int on_ws_data(struct mg_connection *conn, int bits, char *data,
                      size_t size, void *arg);
static void on_ws_close(const struct mg_connection *conn, void *arg);
static int quiet(const struct mg_connection *conn, const char *text);

int http_server_new(const struct http_server_options *o,
                    struct http_server **ret, struct sc_err *err)
{
    SC_AUTO(http_server_free)
    struct http_server *s = calloc(1, sizeof *s);
    if (!s)
        return sc_fail(err, -ENOMEM, "console: out of memory");
    s->o = *o;
    s->cert_file = strdup(o->cert_file);
    s->key_file = strdup(o->key_file);
    if (o->named_cert_file)
        s->named = named_cert_new(o->named_cert_file, o->named_key_file);
    if (!s->cert_file || !s->key_file || (o->named_cert_file && !s->named))
        return sc_fail(err, -ENOMEM, "console: out of memory");

    char ports[128], n_threads[16], timeout[16], text[256] = "";
    snprintf(ports, sizeof ports, "%ss", o->listen);
    snprintf(n_threads, sizeof n_threads, "%u", o->n_threads);
    snprintf(timeout, sizeof timeout, "%d", REQUEST_TIMEOUT_MS);
    const char *options[] = {
        "listening_ports",
        ports,
        "num_threads",
        n_threads,
        "request_timeout_ms",
        timeout,
        "keep_alive_timeout_ms",
        "5000",
        "enable_keep_alive",
        "yes",
        "tcp_nodelay",
        "1",
        "websocket_timeout_ms",
        "20000",
        "enable_websocket_ping_pong",
        "yes",
        "enable_directory_listing",
        "no",
        "access_control_allow_origin",
        "",
        "access_control_allow_methods",
        "",
        "access_control_allow_headers",
        "",
        NULL,
    };
    static const struct mg_callbacks callbacks = {
        .init_ssl = on_tls,
        .http_error = on_error,
        .log_message = quiet,
    };
    unsigned code = 0;
    mg_init_library(MG_FEATURES_SSL | MG_FEATURES_WEBSOCKET);
    struct mg_init_data init = { .callbacks = &callbacks,
                                 .user_data = s,
                                 .configuration_options = options };
    struct mg_error_data why = { .code = &code,
                                 .text = text,
                                 .text_buffer_size = sizeof text };
    s->mg = mg_start2(&init, &why);
    if (!s->mg)
        return sc_fail(err, -EADDRINUSE,
                       "console: cannot listen on %s with %s: %s", o->listen,
                       o->cert_file,
                       text[0] ? text : "civetweb gives no reason");
    struct mg_server_port bound[2];
    if (mg_get_server_ports(s->mg, 2, bound) > 0)
        s->port = (uint16_t)bound[0].port;
    mg_set_request_handler(s->mg, "**", on_request, s);
    if (o->ws)
        mg_set_websocket_handler(s->mg, o->ws->pattern, on_ws_open, on_ws_ready,
                                 on_ws_data, on_ws_close, s);
    *ret = SC_TAKE(s);
    return 0;
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    if (s->mg)
        mg_stop(s->mg);
    named_cert_free(s->named);
    free(s->cert_file);
    free(s->key_file);
    free(s);
}

uint16_t http_server_port(const struct http_server *s)
{
    return s->port;
}

const char *http_method(const struct http_request *rq)
{
    return rq->info->request_method;
}

const char *http_path(const struct http_request *rq)
{
    return rq->info->local_uri ? rq->info->local_uri : "/";
}

const char *http_query(const struct http_request *rq)
{
    return rq->info->query_string ? rq->info->query_string : "";
}

const char *http_header(const struct http_request *rq, const char *name)
{
    return mg_get_header(rq->conn, name);
}

const char *http_remote(const struct http_request *rq)
{
    return rq->info->remote_addr;
}

int64_t http_content_length(const struct http_request *rq)
{
    return http_is_chunked(rq) ? -1 : rq->info->content_length;
}

bool http_is_chunked(const struct http_request *rq)
{
    const char *te = http_header(rq, "Transfer-Encoding");
    return te && strcasecmp(te, "identity") != 0;
}

ssize_t http_read(struct http_request *rq, void *buf, size_t size)
{
    http_continue(rq);
    int r = mg_read(rq->conn, buf, size);
    if (r < 0)
        return -EIO;
    rq->n_read += r;
    if (rq->n_read == http_content_length(rq))
        rq->keep = true;
    return r;
}

void http_continue(struct http_request *rq)
{
    const char *expect = http_header(rq, "Expect");
    if (rq->is_continued || !expect || strcasecmp(expect, "100-continue") != 0)
        return;
    rq->is_continued = true;
    mg_printf(rq->conn, "HTTP/1.1 100 Continue\r\n\r\n");
}

/* A body that nobody read must not be taken for the next request. */
static bool keep_alive(const struct http_request *rq)
{
    int64_t len = http_content_length(rq);
    return !http_is_chunked(rq) && (len <= 0 || rq->keep);
}

/* A client that is still sending when the connection closes may never see the
 * answer; so what remains of a refused body is read first, within limits,
 * unless the client waits to be asked for it. */
static void drain(struct http_request *rq)
{
    int64_t left =
        http_is_chunked(rq) ? DRAIN_MAX : http_content_length(rq) - rq->n_read;
    const char *expect = http_header(rq, "Expect");
    if (left <= 0 || left > DRAIN_MAX || (expect && !rq->is_continued))
        return;
    uint64_t end = sc_mono_ms() + DRAIN_MS;
    char buf[16384];
    while (left > 0 && sc_mono_ms() < end) {
        ssize_t n = http_read(rq, buf, sizeof buf);
        if (n <= 0)
            return;
        left -= n;
    }
}

static int write_all(struct mg_connection *conn, const void *data, size_t size)
{
    const char *p = data;
    while (size > 0) {
        size_t n = size < (1u << 20) ? size : 1u << 20;
        int r = mg_write(conn, p, n);
        if (r <= 0)
            return -EPIPE;
        p += r;
        size -= (size_t)r;
    }
    return 0;
}

void http_reply(struct http_request *rq, int status, const char *headers,
                const char *type, const void *body, size_t size)
{
    drain(rq);
    bool keep = keep_alive(rq);
    rq->is_answered = true;
    if (!keep)
        mg_disable_keep_alive(rq->conn);
    char head[4096];
    int n = http_headers_format(head, sizeof head, status,
                                mg_get_response_code_text(rq->conn, status),
                                keep, headers, type, (long long)size);
    if (n < 0 || write_all(rq->conn, head, (size_t)n) < 0)
        return;
    if (size > 0 && strcmp(http_method(rq), "HEAD") != 0)
        (void)write_all(rq->conn, body, size);
}

void http_reply_json(struct http_request *rq, int status, const char *headers,
                     const cJSON *body)
{
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(body);
    if (!text) {
        static const char oom[] =
            "{\"error\":{\"code\":\"ENOMEM\",\"message\":\"out of memory\"}}";
        http_reply(rq, 500, "", "application/json", oom, sizeof oom - 1);
        return;
    }
    http_reply(rq, status, headers, "application/json", text, strlen(text));
}

void http_reply_error(struct http_request *rq, int status, const char *headers,
                      const struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    cJSON *e = cJSON_AddObjectToObject(body, "error");
    cJSON_AddStringToObject(e, "code", sc_err_name(err->code));
    cJSON_AddStringToObject(e, "message", err->text);
    http_reply_json(rq, status ? status : http_status_of(err->code), headers,
                    body);
}

void http_reply_errorf(struct http_request *rq, int status, int code,
                       const char *fmt, ...)
{
    struct sc_err err = { .code = code };
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.text, sizeof err.text, fmt, ap);
    va_end(ap);
    http_reply_error(rq, status, "", &err);
}

void http_stream_begin(struct http_request *rq, const char *type)
{
    rq->is_answered = true;
    mg_disable_keep_alive(rq->conn);
    char head[4096];
    int n = http_headers_format(head, sizeof head, 200, "OK", false,
                                "Cache-Control: no-store\r\n", type, -1);
    if (n > 0)
        (void)write_all(rq->conn, head, (size_t)n);
}

int http_write(struct http_request *rq, const void *data, size_t size)
{
    return write_all(rq->conn, data, size);
}

int http_ws_write(struct http_ws *ws, const void *data, size_t size)
{
    int r =
        mg_websocket_write(ws->conn, MG_WEBSOCKET_OPCODE_BINARY, data, size);
    return r > 0 ? 0 : -EPIPE;
}

void http_ws_end(struct http_ws *ws, uint16_t code, const char *reason)
{
    char frame[125];
    atomic_store(&ws->ended, true);
    int n = snprintf(frame + 2, sizeof frame - 4, "%s", reason);
    if (n > (int)sizeof frame - 5)
        n = (int)sizeof frame - 5;
    frame[0] = (char)(code >> 8);
    frame[1] = (char)code;
    (void)mg_websocket_write(ws->conn, MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE,
                             frame, (size_t)n + 2);
}

/* --- civetweb's callbacks ----------------------------------------------- */

static int on_request(struct mg_connection *conn, void *arg)
{
    struct http_server *s = arg;
    struct http_request rq = { .conn = conn,
                               .info = mg_get_request_info(conn) };
    s->o.handle(s->o.ctx, &rq);
    if (!rq.is_answered)
        http_reply_errorf(&rq, 500, -EIO, "no answer to %s %s",
                          http_method(&rq), http_path(&rq));
    return 200;
}

static int on_error(struct mg_connection *conn, int status, const char *text)
{
    struct http_request rq = { .conn = conn,
                               .info = mg_get_request_info(conn) };
    /* Whatever civetweb refuses by itself is malformed: no keep-alive. */
    mg_disable_keep_alive(conn);
    if (!rq.info || !rq.info->request_method)
        return 1;
    http_reply_errorf(&rq, status, status == 404 ? -ENOENT : -EINVAL, "%s",
                      text && *text ? text : "malformed request");
    return 0;
}

static int quiet(const struct mg_connection *conn, const char *text)
{
    (void)conn;
    (void)text;
    return 1;
}

static int on_tls(void *ssl_ctx, void *arg)
{
    struct http_server *s = arg;
    SSL_CTX *ctx = ssl_ctx;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    bool ok =
        SSL_CTX_use_certificate_chain_file(ctx, s->cert_file) == 1 &&
        SSL_CTX_use_PrivateKey_file(ctx, s->key_file, SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_check_private_key(ctx) == 1;
    ERR_clear_error();
    if (s->named)
        named_cert_use(s->named, ctx);
    return ok ? 1 : -1;
}

static int on_ws_open(const struct mg_connection *conn, void *arg)
{
    struct http_server *s = arg;
    struct http_request rq = { .conn = (struct mg_connection *)conn,
                               .info = mg_get_request_info(conn) };
    /* civetweb would find out too late: 'open' would have no 'close'. */
    const char *key = http_header(&rq, "Sec-WebSocket-Key");
    if (!key || strlen(key) != WS_KEY_LEN) {
        http_reply_errorf(&rq, 400, -EINVAL,
                          "Sec-WebSocket-Key must have %d characters",
                          WS_KEY_LEN);
        return 1;
    }
    struct http_ws *ws = calloc(1, sizeof *ws);
    if (!ws) {
        http_reply_errorf(&rq, 500, -ENOMEM, "out of memory");
        return 1;
    }
    ws->conn = rq.conn;
    ws->server = s;
    if (s->o.ws->open(s->o.ctx, &rq, &ws->user) != 0) {
        if (!rq.is_answered)
            http_reply_errorf(&rq, 500, -EIO, "console refused");
        free(ws);
        return 1;
    }
    mg_set_user_connection_data(conn, ws);
    return 0;
}

static void on_ws_ready(struct mg_connection *conn, void *arg)
{
    struct http_server *s = arg;
    struct http_ws *ws = mg_get_user_connection_data(conn);
    s->o.ws->ready(s->o.ctx, ws->user, ws);
}

static int on_ws_data(struct mg_connection *conn, int bits, char *data,
                      size_t size, void *arg)
{
    struct http_server *s = arg;
    struct http_ws *ws = mg_get_user_connection_data(conn);
    if (atomic_load(&ws->ended))
        return 0; /* Whatever it is; a pong comes at least. */
    switch (bits & 0xf) {
    case MG_WEBSOCKET_OPCODE_CONTINUATION:
    case MG_WEBSOCKET_OPCODE_TEXT:
    case MG_WEBSOCKET_OPCODE_BINARY:
        return s->o.ws->data(s->o.ctx, ws->user, data, size);
    case MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE:
        return 0;
    default:
        return 1;
    }
}

static void on_ws_close(const struct mg_connection *conn, void *arg)
{
    struct http_server *s = arg;
    struct http_ws *ws = mg_get_user_connection_data(conn);
    if (!ws)
        return;
    s->o.ws->close(s->o.ctx, ws->user);
    mg_set_user_connection_data(conn, NULL);
    free(ws);
}
