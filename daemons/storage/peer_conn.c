/* peer_conn - see peer_conn.h. */
#include "storage/peer_conn.h"

#include <sys/epoll.h>
#include <sys/socket.h>

struct out {
    struct out *next;
    uint8_t *frame;
    size_t size, sent;
};
struct peer_conn {
    struct sc_loop *loop;
    struct tls_conn *tls;
    struct sc_source *source;
    struct peer_conn_ops ops;
    void *arg;
    bool connecting, ready, closed, in_call, free_me;
    struct out *out, **out_end;
    size_t unsent;
    uint8_t head[PEER_HEADER];
    size_t head_got;
    struct peer_frame frame;
    uint8_t *payload; /* Owned: of 'frame', 'got' bytes of it. */
    size_t got;
    uint64_t in, sent;
};

static void close_now(struct peer_conn *c, int code, const char *why)
{
    struct sc_err err;
    if (c->closed)
        return;
    c->closed = true;
    sc_source_free(SC_TAKE(c->source));
    sc_fail(&err, code, "%s", why);
    c->ops.closed(c->arg, c, &err);
}

static void destroy(struct peer_conn *c)
{
    sc_source_free(c->source);
    tls_conn_free(c->tls);
    while (c->out) {
        struct out *o = c->out;
        c->out = o->next;
        free(o->frame);
        free(o);
    }
    free(c->payload);
    free(c);
}

void peer_conn_free(struct peer_conn *c)
{
    if (!c)
        return;
    c->closed = true;
    if (c->in_call)
        c->free_me = true;
    else
        destroy(c);
}

static void end_frame(struct peer_conn *c)
{
    uint8_t *payload = SC_TAKE(c->payload);
    struct peer_frame f = c->frame;
    c->head_got = 0;
    c->got = 0;
    c->ops.frame(c->arg, c, &f, payload);
    free(payload);
}

/* Reads all that is there (what TLS has decrypted would not wake us again).
 * False: closed. */
static bool read_frames(struct peer_conn *c)
{
    while (!c->closed) {
        bool head = c->head_got < PEER_HEADER;
        void *to = head ? c->head + c->head_got : c->payload + c->got;
        size_t size = head ? PEER_HEADER - c->head_got : c->frame.size - c->got;
        long n = size ? tls_conn_read(c->tls, to, size) : 0;
        if (n == -EAGAIN)
            return true;
        if (n < 0 || (n == 0 && size)) {
            close_now(c, n < 0 ? (int)n : -ECONNRESET,
                      n < 0 ? strerror((int)-n) : "the peer hung up");
            return false;
        }
        c->in += (size_t)n;
        if (head) {
            c->head_got += (size_t)n;
            if (c->head_got < PEER_HEADER)
                continue;
            if (peer_frame_get(c->head, &c->frame) < 0) {
                close_now(c, -EBADMSG, "not a frame of ours");
                return false;
            }
            c->payload = malloc(c->frame.size ? c->frame.size : 1);
            if (!c->payload) {
                close_now(c, -ENOMEM, "out of memory");
                return false;
            }
        } else {
            c->got += (size_t)n;
        }
        if (c->got == c->frame.size)
            end_frame(c);
    }
    return !c->closed;
}

static bool write_frames(struct peer_conn *c)
{
    while (c->out) {
        struct out *o = c->out;
        long n = tls_conn_write(c->tls, o->frame + o->sent, o->size - o->sent);
        if (n == -EAGAIN)
            return true;
        if (n <= 0) {
            close_now(c, n < 0 ? (int)n : -ECONNRESET, "write failed");
            return false;
        }
        o->sent += (size_t)n;
        c->sent += (size_t)n;
        c->unsent -= (size_t)n;
        if (o->sent < o->size)
            continue;
        c->out = o->next;
        if (!c->out)
            c->out_end = &c->out;
        free(o->frame);
        free(o);
    }
    return true;
}

static bool handshake(struct peer_conn *c)
{
    struct sc_err err = { 0 };
    if (c->connecting) {
        int code = 0;
        socklen_t size = sizeof code;
        getsockopt(tls_conn_fd(c->tls), SOL_SOCKET, SO_ERROR, &code, &size);
        if (code) {
            close_now(c, -code, strerror(code));
            return false;
        }
        c->connecting = false;
    }
    int r = tls_conn_handshake(c->tls, &err);
    if (r == -EAGAIN)
        return true;
    if (r < 0) {
        close_now(c, r, err.text);
        return false;
    }
    c->ready = true;
    c->ops.ready(c->arg, c);
    return !c->closed;
}

static void on_event(void *arg, int fd, uint32_t events)
{
    struct peer_conn *c = arg;
    (void)fd;
    (void)events;
    c->in_call = true;
    bool ok = !c->closed;
    if (ok && !c->ready)
        ok = handshake(c);
    if (ok && c->ready)
        ok = read_frames(c);
    if (ok && c->ready)
        ok = write_frames(c);
    c->in_call = false;
    if (c->free_me) {
        destroy(c);
        return;
    }
    if (ok && c->source) {
        uint32_t want = EPOLLIN | (c->out && c->ready ? EPOLLOUT : 0);
        if (!c->ready)
            want = tls_conn_events(c->tls);
        sc_source_set_events(c->source, want ? want : EPOLLIN);
    }
}

int peer_conn_new(struct sc_loop *loop, struct tls_ctx *tls, int fd,
                  bool client, const char *want_cn,
                  const struct peer_conn_ops *ops, void *arg,
                  struct peer_conn **ret, struct sc_err *err)
{
    struct peer_conn *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return sc_fail(err, -ENOMEM, "out of memory");
    }
    c->loop = loop;
    c->ops = *ops;
    c->arg = arg;
    c->connecting = client;
    c->out_end = &c->out;
    int r = tls_conn_new(tls, fd, !client, want_cn, &c->tls, err);
    if (r == 0 && sc_loop_add_fd(loop, fd, client ? EPOLLOUT : EPOLLIN,
                                 on_event, c, &c->source) < 0)
        r = sc_fail(err, -ENOMEM, "out of memory");
    if (r < 0) {
        destroy(c);
        return r;
    }
    *ret = c;
    return 0;
}

int peer_conn_send(struct peer_conn *c, uint8_t *frame, size_t size)
{
    struct out *o = calloc(1, sizeof *o);
    if (!o || c->closed || c->unsent + size > PEER_OUT_MAX) {
        free(o);
        free(frame);
        return c->closed ? -ECONNRESET : -ENOBUFS;
    }
    *o = (struct out){ .frame = frame, .size = size };
    *c->out_end = o;
    c->out_end = &o->next;
    c->unsent += size;
    if (c->ready && c->source && !c->in_call)
        sc_source_set_events(c->source, EPOLLIN | EPOLLOUT);
    return 0;
}

const char *peer_conn_cn(const struct peer_conn *c)
{
    return tls_conn_peer(c->tls);
}

uint64_t peer_conn_in(const struct peer_conn *c)
{
    return c->in;
}

uint64_t peer_conn_out(const struct peer_conn *c)
{
    return c->sent;
}
