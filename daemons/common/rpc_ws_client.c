/* rpc_ws_client - the WebSocket client of rpc.h: keeps itself connected.
 *
 * A name is resolved by a thread that shares nothing with us: it gets copies
 * and writes what it found into a socket pair, or finds that closed. */
#include "common/http_head.h"
#include "common/json.h"
#include "common/rpc_client.h"
#include "common/rpc_ws_stream.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { ADDRESSES_MAX = 8, RESOLVE_MS = 20000 };

struct address {
    socklen_t size;
    struct sockaddr_storage sa;
};

struct ws_client {
    struct rpc_client up; /* Must be first. */
    struct sc_loop *loop;
    const struct rpc_service *service;
    char *host, *path; /* Owned. */
    uint16_t port;
    uint64_t ping_ms;
    struct tls_ctx *tls;                      /* Owned. */
    struct sc_source *retry, *resolve, *late; /* Owned. */
    int resolve_fd;                           /* Owned; -1: none. */
    struct address addresses[ADDRESSES_MAX];
    size_t n_addresses, next; /* 'next' to try. */
    struct ws_stream *stream; /* Owned. */
    char expect[32];          /* Sec-WebSocket-Accept that must come. */
    uint64_t backoff_ms, up_at;
    bool upgraded;
};

static void client_try(void *arg);

static void client_retry(struct ws_client *c, const struct sc_err *why)
{
    if (c->up_at && sc_mono_ms() - c->up_at >= RPC_STABLE_MS)
        c->backoff_ms = 0;
    c->up_at = 0;
    /* The next address at once; after the last one a pause. */
    bool more = !c->upgraded && c->next < c->n_addresses;
    if (!more) {
        c->backoff_ms = rpc_backoff_next(c->backoff_ms);
        c->n_addresses = c->next = 0;
    }
    c->upgraded = false;
    sc_source_free(SC_TAKE(c->retry));
    if (sc_loop_add_timer(c->loop, more ? 0 : c->backoff_ms, 0, client_try, c,
                          &c->retry) < 0)
        c->retry = NULL; /* Out of memory. */
    for (const struct rpc_service *s = c->service; why && s; s = s->more)
        if (s->trouble)
            s->trouble(s->ctx, why); /* May free 'c' if it is the last. */
}

static void client_fail(struct ws_client *c, int code, const char *text)
{
    struct sc_err err;
    sc_fail(&err, code, "%s port %u: %s", c->host, c->port, text);
    client_retry(c, &err);
}

/* --- the stream's owner --------------------------------------------------- */

static void on_secure(void *owner, struct ws_stream *s)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    struct ws_client *c = owner;
    uint8_t nonce[16], md[SHA_DIGEST_LENGTH];
    SC_AUTO(free) char *key = NULL;
    SC_AUTO(free) char *accept = NULL;
    if (tls_random(nonce, sizeof nonce) == 0)
        key = json_b64_encode(nonce, sizeof nonce);
    char joined[24 + sizeof guid];
    snprintf(joined, sizeof joined, "%s%s", key ? key : "", guid);
    SHA1((const uint8_t *)joined, strlen(joined), md);
    accept = json_b64_encode(md, sizeof md);
    SC_AUTO(free) char *text = NULL;
    int n = key && accept ? asprintf(&text,
                                     "GET %s HTTP/1.1\r\n"
                                     "Host: supercloud-controller\r\n"
                                     "Upgrade: websocket\r\n"
                                     "Connection: Upgrade\r\n"
                                     "Sec-WebSocket-Key: %s\r\n"
                                     "Sec-WebSocket-Version: 13\r\n\r\n",
                                     c->path, key)
                          : -1;
    if (n < 0) {
        text = NULL;
        ws_stream_end(s, -ENOMEM, "out of memory");
        return;
    }
    snprintf(c->expect, sizeof c->expect, "%s", accept);
    ws_stream_write(s, text, (size_t)n, false);
}

/* The error's text in the answer's body, if all of it is there. */
static void refused(struct ws_stream *s, const struct http_head *head,
                    const char *body)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(body);
    const cJSON *e = cJSON_GetObjectItemCaseSensitive(o, "error");
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(e, "message");
    ws_stream_end(s, -EACCES, "refused: %s %s%s%s", head->second, head->third,
                  cJSON_IsString(text) ? ": " : "",
                  cJSON_IsString(text) ? text->valuestring : "");
}

static size_t on_http(void *owner, struct ws_stream *s, char *text, size_t size)
{
    struct ws_client *c = owner;
    SC_AUTO(free) char *copy = malloc(size + 1);
    if (!copy) {
        ws_stream_end(s, -ENOMEM, "out of memory");
        return 0;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    struct http_head head;
    long head_size = http_head_parse(copy, size, &head);
    if (head_size == 0)
        return 0;
    if (head_size < 0 || strncmp(head.first, "HTTP/1.", 7) != 0) {
        ws_stream_end(s, -EPROTO, "not an HTTP/1.1 answer");
        return 0;
    }
    if (strcmp(head.second, "101") != 0) {
        const char *length = http_head_get(&head, "Content-Length");
        if (length && size - (size_t)head_size < strtoul(length, NULL, 10))
            return 0;
        refused(s, &head, copy + head_size);
        return 0;
    }
    const char *accept = http_head_get(&head, "Sec-WebSocket-Accept");
    if (!accept || strcmp(accept, c->expect) != 0 ||
        !http_head_has_token(&head, "Upgrade", "websocket")) {
        ws_stream_end(s, -EPROTO, "not a WebSocket answer");
        return 0;
    }
    struct rpc_conn *conn = ws_stream_open(s, c->service, RPC_ROLE_CONTROLLER,
                                           tls_conn_peer(ws_stream_tls(s)));
    if (!conn) {
        ws_stream_end(s, -ENOMEM, "out of memory");
        return 0;
    }
    c->up.conn = conn;
    c->upgraded = true;
    c->up_at = sc_mono_ms();
    rpc_conn_up(conn); /* May free 'c'. */
    return (size_t)head_size;
}

static void on_end(void *owner, struct ws_stream *s, const struct sc_err *why,
                   bool was_open)
{
    (void)s;
    struct ws_client *c = owner;
    c->up.conn = NULL;
    c->stream = NULL;
    if (was_open) /* 'down' tells. */
        client_retry(c, NULL);
    else
        client_fail(c, why->code, why->text);
}

static const struct ws_stream_owner stream_owner = { .on_secure = on_secure,
                                                     .on_http = on_http,
                                                     .on_end = on_end };

/* --- addresses ------------------------------------------------------------ */

/* Copies what getaddrinfo gave; the number of them. */
static size_t copy_addresses(const struct addrinfo *ai,
                             struct address ret[ADDRESSES_MAX])
{
    size_t n = 0;
    for (; ai && n < ADDRESSES_MAX; ai = ai->ai_next) {
        if (ai->ai_addrlen > sizeof ret[n].sa)
            continue;
        ret[n].size = ai->ai_addrlen;
        memcpy(&ret[n].sa, ai->ai_addr, ai->ai_addrlen);
        n++;
    }
    return n;
}

static size_t lookup(const char *host, uint16_t port, int flags,
                     struct address ret[ADDRESSES_MAX])
{
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                              .ai_flags = flags | AI_NUMERICSERV };
    struct addrinfo *ai = NULL;
    if (getaddrinfo(host, service, &hints, &ai) != 0)
        return 0;
    size_t n = copy_addresses(ai, ret);
    freeaddrinfo(ai);
    return n;
}

struct question {
    int fd;
    uint16_t port;
    char host[];
};

static void *resolver(void *arg)
{
    struct question *q = arg;
    struct address found[ADDRESSES_MAX];
    memset(found, 0, sizeof found);
    size_t n = lookup(q->host, q->port, 0, found);
    /* Nothing found: the end of the stream alone says so. */
    send(q->fd, found, n * sizeof found[0], MSG_NOSIGNAL);
    close(q->fd);
    free(q);
    return NULL;
}

static void resolve_end(struct ws_client *c)
{
    sc_source_free(SC_TAKE(c->resolve));
    sc_source_free(SC_TAKE(c->late));
    if (c->resolve_fd >= 0)
        close(SC_TAKE_FD(c->resolve_fd));
}

static void on_resolved(void *arg, int fd, uint32_t events)
{
    (void)events;
    struct ws_client *c = arg;
    ssize_t n = recv(fd, c->addresses, sizeof c->addresses, 0);
    resolve_end(c);
    c->n_addresses = n > 0 ? (size_t)n / sizeof c->addresses[0] : 0;
    if (c->n_addresses == 0)
        client_fail(c, -EHOSTUNREACH, "the name cannot be resolved");
    else
        client_try(c);
}

static void on_resolve_late(void *arg)
{
    struct ws_client *c = arg;
    resolve_end(c);
    client_fail(c, -ETIMEDOUT, "the name servers do not answer");
}

static int resolve_begin(struct ws_client *c)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    c->resolve_fd = pair[0];
    struct question *q = malloc(sizeof *q + strlen(c->host) + 1);
    int r = q ? 0 : -ENOMEM;
    if (r == 0)
        r = sc_loop_add_fd(c->loop, pair[0], EPOLLIN, on_resolved, c,
                           &c->resolve);
    if (r == 0)
        r = sc_loop_add_timer(c->loop, RESOLVE_MS, 0, on_resolve_late, c,
                              &c->late);
    if (r == 0) {
        q->fd = pair[1];
        q->port = c->port;
        memcpy(q->host, c->host, strlen(c->host) + 1);
        pthread_t thread;
        r = -pthread_create(&thread, NULL, resolver, q);
        if (r == 0)
            pthread_detach(thread);
    }
    if (r < 0) {
        free(q);
        close(pair[1]);
        resolve_end(c);
    }
    return r;
}

/* --- attempts ---------------------------------------------------------------
 */

static void client_try(void *arg)
{
    struct ws_client *c = arg;
    if (c->n_addresses == 0) {
        c->next = 0;
        c->n_addresses = lookup(c->host, c->port, AI_NUMERICHOST, c->addresses);
    }
    if (c->n_addresses == 0) {
        int r = resolve_begin(c);
        if (r < 0)
            client_fail(c, r, strerror(-r));
        return;
    }
    const struct address *a = &c->addresses[c->next++];
    int fd =
        socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd < 0 || (connect(fd, (const struct sockaddr *)&a->sa, a->size) < 0 &&
                   errno != EINPROGRESS)) {
        int code = -errno;
        if (fd >= 0)
            close(fd);
        client_fail(c, code, strerror(-code));
        return;
    }
    struct sc_err err;
    int r = ws_stream_new(c->loop, c->tls, fd, false, c->ping_ms, &stream_owner,
                          c, &c->stream, &err);
    if (r < 0)
        client_fail(c, r, err.text);
}

static void ws_client_free(struct rpc_client *up)
{
    struct ws_client *c = (struct ws_client *)up;
    if (!c)
        return;
    c->up.conn = NULL;
    sc_source_free(c->retry);
    resolve_end(c);
    ws_stream_free(c->stream);
    tls_ctx_free(c->tls);
    free(c->host);
    free(c->path);
    free(c);
}

int rpc_ws_client_new(struct sc_loop *loop, const struct rpc_ws_options *o,
                      const struct rpc_service *service,
                      struct rpc_client **ret, struct sc_err *err)
{
    struct ws_client *c = calloc(1, sizeof *c);
    if (!c)
        return sc_fail(err, -ENOMEM, "RPC client: out of memory");
    *c = (struct ws_client){ .up.free = ws_client_free,
                             .loop = loop,
                             .service = service,
                             .host = strdup(o->host),
                             .path = strdup(o->path),
                             .port = o->port,
                             .ping_ms = o->ping_ms,
                             .resolve_fd = -1 };
    int r = 0;
    if (!c->host || !c->path)
        r = sc_fail(err, -ENOMEM, "RPC client: out of memory");
    if (r == 0)
        r = tls_ctx_new_for(TLS_TO_CONTROLLER, o->ca_file, o->cert_file,
                            o->key_file, &c->tls, err);
    if (r == 0) {
        r = sc_loop_add_timer(loop, 0, 0, client_try, c, &c->retry);
        if (r < 0)
            sc_fail(err, r, "RPC client: %s", strerror(-r));
    }
    if (r < 0) {
        ws_client_free(&c->up);
        return r;
    }
    *ret = &c->up;
    return 0;
}
