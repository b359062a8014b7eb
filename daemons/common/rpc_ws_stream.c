/* rpc_ws_stream - see rpc_ws_stream.h.
 *
 * Bytes out go through one buffer: what wslay frames (or HTTP writes) is put
 * there, and the socket takes it when it can, in records of up to 16 KiB.
 * A stream that is freed from inside one of its own callbacks is only marked,
 * and freed when the outermost of them returns ('depth'). */
#include "common/rpc_ws_stream.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

enum {
    HTTP_IN_MAX = 96 << 10, /* Head and body. */
    OUT_SIZE = 128 << 10,   /* Holds every answer of HTTP. */
    FLUSH_MS = 1000,        /* What is unsent may take this long at the end. */
    CLOSE_NORMAL = 1000,    /* RFC 6455 section 7.4.1 */
};

struct ws_stream {
    struct sc_loop *loop;
    const struct ws_stream_owner *class;
    void *owner;
    bool server;
    struct tls_conn *tls;               /* Owned. */
    struct sc_source *io, *quit, *tick; /* Owned. */
    char *in; /* Owned: HTTP so far; NULL once open. */
    size_t in_size;
    char *out; /* Owned: OUT_SIZE bytes. */
    size_t out_start, out_end;
    wslay_event_context_ptr ws; /* Owned: NULL before the upgrade. */
    struct rpc_conn *conn;
    uint64_t ping_ms, heard_at; /* sc_mono_ms */
    struct sc_err why;
    bool secure, up, closing, dead;
    unsigned depth;
};

static void stream_io(void *arg, int fd, uint32_t events);

/* --- end ---------------------------------------------------------------- */

/* Frees, or leaves that to stream_leave. */
static void stream_destroy(struct ws_stream *s)
{
    if (s->dead)
        return;
    s->dead = true;
    struct rpc_conn *conn = SC_TAKE(s->conn);
    sc_source_free(SC_TAKE(s->io));
    sc_source_free(SC_TAKE(s->quit));
    sc_source_free(SC_TAKE(s->tick));
    s->depth++;
    rpc_conn_free(conn, &s->why);
    if (--s->depth > 0)
        return;
    wslay_event_context_free(s->ws);
    tls_conn_free(s->tls);
    free(s->in);
    free(s->out);
    free(s);
}

/* Leaves a callback; false if the stream is gone now. */
static bool stream_leave(struct ws_stream *s)
{
    if (--s->depth > 0 || !s->dead)
        return !s->dead;
    s->dead = false; /* Sources and conn are gone; frees the rest. */
    stream_destroy(s);
    return false;
}

static void stream_on_quit(void *arg)
{
    struct ws_stream *s = arg;
    s->depth++;
    if (!s->why.code)
        sc_fail(&s->why, -ECONNRESET, "connection closed");
    s->class->on_end(s->owner, s, &s->why, s->up);
    stream_destroy(s);
    stream_leave(s);
}

/* Ends from the loop: now, or 'after_ms' if the unsent has not left before. */
static void stream_quit(struct ws_stream *s, uint64_t after_ms)
{
    if (s->dead || (s->closing && after_ms > 0))
        return;
    s->closing = true;
    if (after_ms == 0) {
        sc_source_free(SC_TAKE(s->io));
    }
    sc_source_free(SC_TAKE(s->quit));
    sc_source_free(SC_TAKE(s->tick));
    if (sc_loop_add_timer(s->loop, after_ms, 0, stream_on_quit, s, &s->quit) <
        0)
        shutdown(tls_conn_fd(s->tls), SHUT_RDWR);
}

void ws_stream_end(struct ws_stream *s, int code, const char *fmt, ...)
{
    if (s->dead)
        return;
    if (!s->why.code) {
        s->why.code = code;
        va_list args;
        va_start(args, fmt);
        vsnprintf(s->why.text, sizeof s->why.text, fmt, args);
        va_end(args);
    }
    stream_quit(s, 0);
}

void ws_stream_free(struct ws_stream *s)
{
    if (!s)
        return;
    if (!s->why.code)
        sc_fail(&s->why, -ECONNRESET, "closed by ourselves");
    stream_destroy(s);
}

/* --- out ---------------------------------------------------------------- */

static bool socket_flush(struct ws_stream *s)
{
    while (s->out_start < s->out_end) {
        long n = tls_conn_write(s->tls, s->out + s->out_start,
                                s->out_end - s->out_start);
        if (n == -EAGAIN)
            return true;
        if (n < 0) {
            ws_stream_end(s, (int)n, "send: %s", strerror((int)-n));
            return false;
        }
        s->out_start += (size_t)n;
    }
    s->out_start = s->out_end = 0;
    return true;
}

/* Sends what there is until the socket takes no more; sets the events. */
static void stream_flush(struct ws_stream *s)
{
    if (s->dead || !s->io || !s->secure)
        return;
    while (socket_flush(s)) {
        size_t before = s->out_end;
        if (s->ws && s->out_end < OUT_SIZE && wslay_event_want_write(s->ws)) {
            s->depth++;
            int r = wslay_event_send(s->ws);
            s->depth--;
            if (r != 0) {
                ws_stream_end(s, -EPROTO, "WebSocket: cannot frame (%d)", r);
                return;
            }
        }
        if (s->out_end == before)
            break;
    }
    if (!s->io)
        return;
    bool unsent = s->out_start < s->out_end;
    if (s->closing && !unsent) {
        stream_quit(s, 0);
        return;
    }
    sc_source_set_events(s->io, EPOLLIN | (unsent ? EPOLLOUT : 0));
}

void ws_stream_write(struct ws_stream *s, const char *text, size_t size,
                     bool last)
{
    if (s->dead || s->closing)
        return;
    if (size > OUT_SIZE - s->out_end) {
        ws_stream_end(s, -EMSGSIZE, "HTTP answer over %d bytes", OUT_SIZE);
        return;
    }
    memcpy(s->out + s->out_end, text, size);
    s->out_end += size;
    if (last)
        stream_quit(s, FLUSH_MS);
    stream_flush(s);
}

static ssize_t on_ws_send(wslay_event_context_ptr ws, const uint8_t *data,
                          size_t size, int flags, void *arg)
{
    (void)flags;
    struct ws_stream *s = arg;
    size_t room = OUT_SIZE - s->out_end;
    if (room == 0) {
        wslay_event_set_error(ws, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    size_t n = size < room ? size : room;
    memcpy(s->out + s->out_end, data, n);
    s->out_end += n;
    return (ssize_t)n;
}

static int on_ws_mask(wslay_event_context_ptr ws, uint8_t *buf, size_t size,
                      void *arg)
{
    (void)arg;
    if (tls_random(buf, size) == 0)
        return 0;
    wslay_event_set_error(ws, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int conn_send(void *impl, const char *text, size_t size)
{
    struct ws_stream *s = impl;
    if (wslay_event_get_queued_msg_length(s->ws) + size > RPC_OUT_MAX)
        return -ENOBUFS;
    struct wslay_event_msg m = { .opcode = WSLAY_TEXT_FRAME,
                                 .msg = (const uint8_t *)text,
                                 .msg_length = size };
    int r = wslay_event_queue_msg(s->ws, &m);
    if (r != 0)
        return r == WSLAY_ERR_NOMEM ? -ENOMEM : -EPIPE;
    if (s->depth == 0)
        stream_flush(s); /* Else whoever called us does. */
    return s->why.code;
}

static void conn_close(void *impl)
{
    struct ws_stream *s = impl;
    if (s->closing || s->dead)
        return;
    wslay_event_queue_close(s->ws, CLOSE_NORMAL, NULL, 0);
    stream_quit(s, FLUSH_MS);
    if (s->depth == 0)
        stream_flush(s);
}

static const struct rpc_transport transport = { .send = conn_send,
                                                .close = conn_close };

/* --- in ----------------------------------------------------------------- */

static ssize_t on_ws_recv(wslay_event_context_ptr ws, uint8_t *buf, size_t size,
                          int flags, void *arg)
{
    (void)flags;
    struct ws_stream *s = arg;
    if (s->in_size > 0) { /* Frames that came right behind the upgrade. */
        size_t n = size < s->in_size ? size : s->in_size;
        memcpy(buf, s->in, n);
        s->in_size -= n;
        memmove(s->in, s->in + n, s->in_size);
        return (ssize_t)n;
    }
    free(SC_TAKE(s->in)); /* HTTP is over. */
    long n = s->dead ? -ECONNRESET : tls_conn_read(s->tls, buf, size);
    if (n > 0) {
        s->heard_at = sc_mono_ms();
        return n;
    }
    if (n != -EAGAIN && !s->why.code)
        sc_fail(&s->why, n ? (int)n : -ECONNRESET, "%s",
                n ? strerror((int)-n) : "closed by the other side");
    wslay_event_set_error(ws, n == -EAGAIN ? WSLAY_ERR_WOULDBLOCK
                                           : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void on_ws_message(wslay_event_context_ptr ws,
                          const struct wslay_event_on_msg_recv_arg *m,
                          void *arg)
{
    (void)ws;
    struct ws_stream *s = arg;
    if (s->conn && !s->closing && !wslay_is_ctrl_frame(m->opcode))
        rpc_conn_receive(s->conn, (const char *)m->msg, m->msg_length);
}

static void read_frames(struct ws_stream *s)
{
    s->depth++;
    int r = wslay_event_recv(s->ws);
    if (!stream_leave(s))
        return;
    if (s->closing) {
        if (r != 0)
            stream_quit(s, 0); /* Nobody takes the rest. */
        else
            stream_flush(s);
        return;
    }
    if (r != 0 || s->why.code) {
        ws_stream_end(s, -EPROTO, "WebSocket: frames are malformed (%d)", r);
        return;
    }
    if (wslay_event_get_close_received(s->ws)) {
        /* wslay has queued the answer to it. */
        unsigned code = wslay_event_get_status_code_received(s->ws);
        sc_fail(&s->why, code == 1009 ? -EMSGSIZE : -ECONNRESET,
                "closed by the other side (%u)", code);
        stream_quit(s, FLUSH_MS);
    } else if (wslay_event_get_close_sent(s->ws) ||
               !wslay_event_want_read(s->ws)) {
        /* wslay itself refuses what came: too long, not UTF-8, bad frame. */
        sc_fail(&s->why, -EPROTO, "WebSocket: refused what it sent (%u)",
                (unsigned)wslay_event_get_status_code_sent(s->ws));
        stream_quit(s, FLUSH_MS);
    }
    stream_flush(s);
}

static void read_http(struct ws_stream *s)
{
    while (!s->closing && !s->ws) {
        long n =
            tls_conn_read(s->tls, s->in + s->in_size, HTTP_IN_MAX - s->in_size);
        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            ws_stream_end(s, n ? (int)n : -ECONNRESET, "%s",
                          n ? strerror((int)-n) : "closed by the other side");
            return;
        }
        s->in_size += (size_t)n;
        s->depth++;
        size_t used = s->class->on_http(s->owner, s, s->in, s->in_size);
        if (!stream_leave(s))
            return;
        s->in_size -= used;
        memmove(s->in, s->in + used, s->in_size);
        if (s->in_size == HTTP_IN_MAX)
            ws_stream_end(s, -EMSGSIZE, "HTTP over %d bytes", HTTP_IN_MAX);
    }
    if (s->ws)
        read_frames(s);
}

static void handshake(struct ws_stream *s)
{
    struct sc_err err;
    int r = tls_conn_handshake(s->tls, &err);
    if (r == -EAGAIN) {
        sc_source_set_events(s->io, tls_conn_events(s->tls));
        return;
    }
    if (r < 0) {
        ws_stream_end(s, r, "%s", err.text);
        return;
    }
    s->secure = true;
    sc_source_set_events(s->io, EPOLLIN);
    s->depth++;
    s->class->on_secure(s->owner, s);
    if (stream_leave(s))
        read_http(s);
}

static void stream_io(void *arg, int fd, uint32_t events)
{
    struct ws_stream *s = arg;
    if (!s->secure) {
        int code = 0;
        socklen_t size = sizeof code;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) == 0 && code)
            ws_stream_end(s, -code, "connect: %s", strerror(code));
        else
            handshake(s);
        return;
    }
    if (events & EPOLLOUT)
        stream_flush(s);
    if (!s->io)
        return;
    if (s->ws)
        read_frames(s);
    else if (!s->closing)
        read_http(s);
    else if (events & (EPOLLERR | EPOLLHUP))
        stream_quit(s, 0);
    else if (s->out_start < s->out_end)
        sc_source_set_events(s->io, EPOLLOUT); /* It may not talk any more. */
}

/* --- keep-alive, beginning ---------------------------------------------- */

static void stream_on_tick(void *arg)
{
    struct ws_stream *s = arg;
    uint64_t silent_ms = sc_mono_ms() - s->heard_at;
    if (!s->ws) {
        if (silent_ms >= WS_SETUP_MS)
            ws_stream_end(s, -ETIMEDOUT, "no connection within %d ms",
                          WS_SETUP_MS);
        return;
    }
    if (silent_ms >= s->ping_ms * RPC_WS_LOST_PINGS) {
        ws_stream_end(s, -ETIMEDOUT, "nothing heard for %llu ms",
                      (unsigned long long)silent_ms);
        return;
    }
    struct wslay_event_msg m = { .opcode = WSLAY_PING };
    wslay_event_queue_msg(s->ws, &m);
    stream_flush(s);
}

int ws_stream_new(struct sc_loop *loop, struct tls_ctx *tls, int fd,
                  bool server, uint64_t ping_ms,
                  const struct ws_stream_owner *class, void *owner,
                  struct ws_stream **ret, struct sc_err *err)
{
    struct tls_conn *conn;
    int r = tls_conn_new(tls, fd, server, NULL, &conn, err);
    if (r < 0)
        return r;
    struct ws_stream *s = calloc(1, sizeof *s);
    if (!s) {
        tls_conn_free(conn);
        return sc_fail(err, -ENOMEM, "WebSocket: out of memory");
    }
    *s = (struct ws_stream){ .loop = loop,
                             .class = class,
                             .owner = owner,
                             .server = server,
                             .tls = conn,
                             .in = malloc(HTTP_IN_MAX),
                             .out = malloc(OUT_SIZE),
                             .ping_ms = ping_ms ? ping_ms : RPC_WS_PING_MS,
                             .heard_at = sc_mono_ms() };
    r = s->in && s->out ? 0 : -ENOMEM;
    if (r == 0)
        r = sc_loop_add_fd(loop, fd, EPOLLIN | EPOLLOUT, stream_io, s, &s->io);
    if (r == 0)
        r = sc_loop_add_timer(loop, s->ping_ms, s->ping_ms, stream_on_tick, s,
                              &s->tick);
    if (r < 0) {
        ws_stream_free(s);
        return sc_fail(err, r, "WebSocket: %s", strerror(-r));
    }
    *ret = s;
    return 0;
}

struct rpc_conn *ws_stream_open(struct ws_stream *s,
                                const struct rpc_service *service,
                                unsigned role, const char *peer)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_ws_recv,
        .send_callback = on_ws_send,
        .genmask_callback = on_ws_mask,
        .on_msg_recv_callback = on_ws_message,
    };
    int r = s->server ? wslay_event_context_server_init(&s->ws, &callbacks, s)
                      : wslay_event_context_client_init(&s->ws, &callbacks, s);
    if (r != 0)
        return NULL;
    wslay_event_config_set_max_recv_msg_length(s->ws, RPC_MESSAGE_MAX);
    s->conn = rpc_conn_new(s->loop, &transport, s, service, role, peer);
    s->up = s->conn != NULL;
    return s->conn;
}

const struct tls_conn *ws_stream_tls(const struct ws_stream *s)
{
    return s->tls;
}
