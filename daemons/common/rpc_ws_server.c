/* rpc_ws_server - see rpc_ws.h: accepts, answers plain HTTP, upgrades to
 * WebSocket (RFC 6455 section 4.2). */
#include "common/rpc_ws.h"
#include "common/config.h"
#include "common/http_head.h"
#include "common/rpc_ws_stream.h"
#include "common/json.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    PEERS_MAX = 4096,
    STRANGERS_MAX = 256, /* About 50 MiB, if all send what they may. */
    BODY_MAX = 64 << 10,
    ACCEPT_PAUSE_MS = 1000, /* When out of file descriptors. */
    ADDR_LEN = INET6_ADDRSTRLEN,
};

struct peer {
    struct peer *next, **prev;
    struct rpc_ws_server *server;
    struct ws_stream *stream; /* Owned. */
    bool upgraded;            /* By its certificate; else a stranger. */
    char address[ADDR_LEN];
};

struct rpc_ws_server {
    struct sc_loop *loop;
    const struct rpc_service *service;
    rpc_http_fn *http;
    char *path;                       /* Owned. */
    struct tls_ctx *tls;              /* Owned. */
    int fd;                           /* Owned. */
    struct sc_source *accept, *pause; /* Owned. */
    struct peer *peers;               /* The newest first. */
    unsigned n_peers, max_peers, n_strangers, max_strangers;
    uint64_t ping_ms;
};

static const struct {
    const char *ou;
    unsigned role;
} roles[] = {
    { "node", RPC_ROLE_NODE },
    { "network", RPC_ROLE_NETWORK },
    { "controller", RPC_ROLE_CONTROLLER },
};

/* --- HTTP ---------------------------------------------------------------- */

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        { 200, "OK" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 507, "Insufficient Storage" },
        { 413, "Content Too Large" },
        { 426, "Upgrade Required" },
        { 429, "Too Many Requests" },
        { 500, "Internal Server Error" },
        { 503, "Service Unavailable" },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Other";
}

/* Answers with 'o' (taken; NULL: {}) and ends the connection. */
static void answer(struct ws_stream *s, int status, cJSON *o)
{
    SC_AUTO(cjson_free) cJSON *object = o ? o : cJSON_CreateObject();
    SC_AUTO(free) char *body = cJSON_PrintUnformatted(object);
    SC_AUTO(free) char *text = NULL;
    int n = body ? asprintf(&text,
                            "HTTP/1.1 %d %s\r\n"
                            "Content-Type: application/json\r\n"
                            "Cache-Control: no-store\r\n"
                            "Content-Length: %zu\r\n"
                            "Connection: close\r\n\r\n%s",
                            status, reason_of(status), strlen(body), body)
                 : -1;
    if (n < 0) {
        text = NULL;
        ws_stream_end(s, -ENOMEM, "out of memory");
        return;
    }
    ws_stream_write(s, text, (size_t)n, true);
}

static void refuse(struct ws_stream *s, int status, int code, const char *text)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *e = cJSON_AddObjectToObject(o, "error");
    cJSON_AddStringToObject(e, "code", sc_err_name(code));
    cJSON_AddStringToObject(e, "message", text);
    answer(s, status, o);
}

static unsigned role_of(const struct tls_conn *tls)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(roles); i++)
        if (!strcmp(tls_conn_role(tls), roles[i].ou))
            return roles[i].role;
    return 0;
}

static void upgrade(struct peer *p, const struct http_head *head)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    struct ws_stream *s = p->stream;
    const struct tls_conn *tls = ws_stream_tls(s);
    if (!*tls_conn_peer(tls)) {
        refuse(s, 403, -EACCES,
               "a certificate of this Supercloud is needed here");
        return;
    }
    unsigned role = role_of(tls);
    if (!role) {
        refuse(s, 403, -EACCES, "the certificate's role is not known");
        return;
    }
    const char *key = http_head_get(head, "Sec-WebSocket-Key");
    const char *version = http_head_get(head, "Sec-WebSocket-Version");
    if (strcmp(head->first, "GET") != 0 ||
        !http_head_has_token(head, "Upgrade", "websocket") ||
        !http_head_has_token(head, "Connection", "Upgrade") || !key ||
        strlen(key) != 24 || !version || strcmp(version, "13") != 0) {
        refuse(s, 426, -EPROTO, "only WebSocket version 13 is spoken here");
        return;
    }
    char joined[24 + sizeof guid];
    snprintf(joined, sizeof joined, "%s%s", key, guid);
    uint8_t md[SHA_DIGEST_LENGTH];
    SHA1((const uint8_t *)joined, strlen(joined), md);
    SC_AUTO(free) char *accept = json_b64_encode(md, sizeof md);
    char text[256];
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 101 Switching Protocols\r\n"
                     "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n",
                     accept ? accept : "");
    struct rpc_conn *conn =
        accept ? ws_stream_open(s, p->server->service, role, tls_conn_peer(tls))
               : NULL;
    if (!conn) {
        ws_stream_end(s, -ENOMEM, "out of memory");
        return;
    }
    p->upgraded = true;
    p->server->n_strangers--;
    ws_stream_write(s, text, (size_t)n, false);
    rpc_conn_up(conn);
}

/* Content-Length as a number; 0 if absent; -EINVAL, -EMSGSIZE. */
static long body_size(const struct http_head *head)
{
    const char *text = http_head_get(head, "Content-Length");
    if (http_head_get(head, "Transfer-Encoding"))
        return -EINVAL;
    if (!text)
        return 0;
    size_t len = strspn(text, "0123456789");
    if (len == 0 || text[len] || len > 10)
        return -EINVAL;
    long size = strtol(text, NULL, 10);
    return size > BODY_MAX ? -EMSGSIZE : size;
}

static size_t on_http(void *owner, struct ws_stream *s, char *text, size_t size)
{
    struct peer *p = owner;
    struct rpc_ws_server *server = p->server;
    /* The parser writes into its input; the body may still be to come. */
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
    if (head_size < 0 || strncmp(head.third, "HTTP/1.", 7) != 0) {
        refuse(s, 400, -EPROTO, "not an HTTP/1.1 request");
        return 0;
    }
    long body = body_size(&head);
    if (body < 0) {
        refuse(s, body == -EMSGSIZE ? 413 : 400, (int)body,
               "the body must have a Content-Length up to 64 KiB");
        return 0;
    }
    if (!strcmp(head.second, server->path)) {
        upgrade(p, &head);
        return (size_t)head_size;
    }
    if (size < (size_t)head_size + (size_t)body)
        return 0;
    copy[head_size + body] = '\0';
    cJSON *ret = NULL;
    int status = 200;
    if (server->http)
        server->http(server->service->ctx, head.first, head.second,
                     copy + head_size, p->address, &status, &ret);
    else
        status = 404;
    answer(s, status, ret);
    return (size_t)(head_size + body);
}

/* --- connections ---------------------------------------------------------- */

static void peer_forget(struct peer *p)
{
    *p->prev = p->next;
    if (p->next)
        p->next->prev = p->prev;
    p->server->n_peers--;
    p->server->n_strangers -= !p->upgraded;
    free(p);
}

/* Whoever wants to hold us up must at least be quicker than the handshakes of
 * those who come for something. */
static void drop_stranger(struct rpc_ws_server *server)
{
    struct peer *oldest = NULL;
    for (struct peer *p = server->peers; p; p = p->next)
        oldest = p->upgraded ? oldest : p;
    if (!oldest)
        return;
    struct ws_stream *stream = oldest->stream;
    peer_forget(oldest);
    ws_stream_free(stream);
}

static void on_secure(void *owner, struct ws_stream *s)
{
    (void)owner;
    (void)s;
}

static void on_end(void *owner, struct ws_stream *s, const struct sc_err *why,
                   bool was_open)
{
    (void)s;
    (void)why;
    (void)was_open;
    peer_forget(owner);
}

static const struct ws_stream_owner stream_owner = { .on_secure = on_secure,
                                                     .on_http = on_http,
                                                     .on_end = on_end };

static void on_pause_end(void *arg)
{
    struct rpc_ws_server *s = arg;
    sc_source_free(SC_TAKE(s->pause));
    sc_source_set_events(s->accept, EPOLLIN);
}

static void on_accept(void *arg, int listen_fd, uint32_t events)
{
    (void)events;
    struct rpc_ws_server *server = arg;
    struct sockaddr_storage sa;
    socklen_t size = sizeof sa;
    int fd = accept4(listen_fd, (struct sockaddr *)&sa, &size,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if ((errno == EMFILE || errno == ENFILE || errno == ENOMEM) &&
            !server->pause &&
            sc_loop_add_timer(server->loop, ACCEPT_PAUSE_MS, 0, on_pause_end,
                              server, &server->pause) == 0)
            sc_source_set_events(server->accept, 0);
        return;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (server->n_strangers >= server->max_strangers)
        drop_stranger(server);
    struct peer *p =
        server->n_peers < server->max_peers ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        close(fd);
        return;
    }
    p->server = server;
    if (getnameinfo((struct sockaddr *)&sa, size, p->address, sizeof p->address,
                    NULL, 0, NI_NUMERICHOST) != 0)
        p->address[0] = '\0';
    if (ws_stream_new(server->loop, server->tls, fd, true, server->ping_ms,
                      &stream_owner, p, &p->stream, NULL) < 0) {
        free(p);
        return;
    }
    p->prev = &server->peers;
    p->next = server->peers;
    if (p->next)
        p->next->prev = &p->next;
    server->peers = p;
    server->n_peers++;
    server->n_strangers++;
}

/* --- server -------------------------------------------------------------- */

static int listen_on(const char *text, int *ret, struct sc_err *err)
{
    char host[SC_HOST_MAX + 1], service[8];
    const char *colon = strrchr(text, ':');
    uint16_t port = 0;
    /* ":0" (any free port, for tests) is no port to sc_host_port_split. */
    bool any = colon && !strcmp(colon, ":0");
    SC_AUTO(free)
    char *name = any ? strndup(text, (size_t)(colon - text)) : NULL;
    if ((any && !name) ||
        sc_host_port_split(any ? name : text, any, host, &port) < 0)
        return sc_fail(err, -EINVAL, "listen '%s': must be HOST:PORT", text);
    snprintf(service, sizeof service, "%u", any ? 0u : port);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV |
                                          AI_PASSIVE };
    struct addrinfo *ai = NULL;
    int r = getaddrinfo(host, service, &hints, &ai);
    if (r != 0)
        return sc_fail(err, -EINVAL, "listen '%s': %s", text, gai_strerror(r));
    SC_AUTO(close)
    int fd =
        socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;
    if (fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, 512) < 0)
        r = -errno;
    freeaddrinfo(ai);
    if (r < 0)
        return sc_fail(err, r, "listen '%s': %s", text, strerror(-r));
    *ret = SC_TAKE_FD(fd);
    return 0;
}

int rpc_ws_server_new(struct sc_loop *loop,
                      const struct rpc_ws_server_options *o,
                      const struct rpc_service *service, rpc_http_fn *http,
                      struct rpc_ws_server **ret, struct sc_err *err)
{
    SC_AUTO(rpc_ws_server_free) struct rpc_ws_server *s = calloc(1, sizeof *s);
    if (!s)
        return sc_fail(err, -ENOMEM, "RPC server: out of memory");
    *s = (struct rpc_ws_server){
        .loop = loop,
        .service = service,
        .http = http,
        .fd = -1,
        .path = strdup(o->path),
        .max_peers = o->max_peers ? o->max_peers : PEERS_MAX,
        .max_strangers = o->max_strangers ? o->max_strangers : STRANGERS_MAX,
        .ping_ms = o->ping_ms
    };
    if (!s->path)
        return sc_fail(err, -ENOMEM, "RPC server: out of memory");
    int r = tls_ctx_new_for(TLS_AT_CONTROLLER, o->ca_file, o->cert_file,
                            o->key_file, &s->tls, err);
    if (r == 0)
        r = listen_on(o->listen, &s->fd, err);
    if (r < 0)
        return r;
    r = sc_loop_add_fd(loop, s->fd, EPOLLIN, on_accept, s, &s->accept);
    if (r < 0)
        return sc_fail(err, r, "RPC server: %s", strerror(-r));
    *ret = SC_TAKE(s);
    return 0;
}

uint16_t rpc_ws_server_port(const struct rpc_ws_server *s)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } sa = { 0 };
    socklen_t size = sizeof sa;
    if (getsockname(s->fd, &sa.any, &size) < 0)
        return 0;
    return ntohs(sa.any.sa_family == AF_INET6 ? sa.v6.sin6_port
                                              : sa.v4.sin_port);
}

void rpc_ws_server_free(struct rpc_ws_server *s)
{
    if (!s)
        return;
    sc_source_free(s->accept);
    sc_source_free(s->pause);
    while (s->peers) {
        struct ws_stream *stream = s->peers->stream;
        peer_forget(s->peers);
        ws_stream_free(stream);
    }
    if (s->fd >= 0)
        close(s->fd);
    tls_ctx_free(s->tls);
    free(s->path);
    free(s);
}
