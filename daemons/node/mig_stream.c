/* mig_stream - see mig_stream.h. */
#include "node/mig_stream.h"

#include "node/zpack.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { SOCKET_BUFFER = 1 << 20, TURN_MAX = 2 << 20 };

struct mig_stream {
    struct sc_loop *loop;
    struct mig_conn *conn; /* NULL: cut. */
    int fd;                /* Our end; -1: closed. */
    struct sc_source *source;
    struct zpack *zpack;
    uint64_t bytes;
    void (*eof)(void *arg);
    void *arg;
    bool ended;      /* In: END came. */
    uint8_t *chunk;  /* MIG_CHUNK: raw data, either direction. */
    size_t from, to; /* In: what the engine has not taken yet. */
};

static void on_readable(void *arg, int fd, uint32_t events);
static void on_writable(void *arg, int fd, uint32_t events);

int mig_stream_new(struct sc_loop *loop, int *ret_engine_fd,
                   struct mig_stream **ret, struct sc_err *err)
{
    SC_AUTO(mig_stream_free) struct mig_stream *s = calloc(1, sizeof *s);
    int fds[2], size = SOCKET_BUFFER;
    if (!s)
        return sc_fail(err, -ENOMEM, "migration: out of memory");
    s->fd = -1;
    s->loop = loop;
    s->chunk = malloc(MIG_CHUNK);
    if (!s->chunk || zpack_new(&s->zpack) < 0)
        return sc_fail(err, -ENOMEM, "migration: out of memory");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return sc_fail(err, -errno, "socketpair: %s", strerror(errno));
    for (int i = 0; i < 2; i++) /* Larger buffers: fewer wake-ups. */
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    s->fd = fds[0];
    *ret_engine_fd = fds[1];
    *ret = SC_TAKE(s);
    return 0;
}

static void close_engine(struct mig_stream *s)
{
    sc_source_free(SC_TAKE(s->source));
    close_p(&s->fd);
    s->fd = -1;
}

void mig_stream_free(struct mig_stream *s)
{
    if (!s)
        return;
    close_engine(s);
    zpack_free(s->zpack);
    free(s->chunk);
    free(s);
}

uint64_t mig_stream_bytes(const struct mig_stream *s)
{
    return s->bytes;
}

void mig_stream_cut(struct mig_stream *s)
{
    s->conn = NULL;
    close_engine(s);
}

/* --- out ------------------------------------------------------------------ */
int mig_stream_out(struct mig_stream *s, struct mig_conn *conn,
                   void (*eof)(void *arg), void *arg, struct sc_err *err)
{
    s->conn = conn;
    s->eof = eof;
    s->arg = arg;
    int r = sc_loop_add_fd(s->loop, s->fd, EPOLLIN, on_readable, s, &s->source);
    return r < 0 ? sc_fail(err, r, "migration: %s", strerror(-r)) : 0;
}

void mig_stream_room(struct mig_stream *s)
{
    if (s->source && s->eof)
        sc_source_set_events(s->source, EPOLLIN);
}

/* One frame: n > 0 bytes taken from the engine, 0 its end, or -errno. */
static ssize_t pump(struct mig_stream *s)
{
    uint8_t *dst = mig_conn_data_begin(s->conn);
    if (!zpack_wanted(s->zpack)) {
        ssize_t n = recv(s->fd, dst, MIG_CHUNK, MSG_DONTWAIT);
        mig_conn_data_end(s->conn, 0, n > 0 ? (uint32_t)n : 0);
        if (n > 0)
            zpack_skipped(s->zpack, (uint64_t)n);
        return n < 0 ? -errno : n;
    }
    ssize_t n = recv(s->fd, s->chunk, MIG_CHUNK, MSG_DONTWAIT);
    if (n <= 0) {
        int e = errno;
        mig_conn_data_end(s->conn, 0, 0);
        return n < 0 ? -e : 0;
    }
    uint32_t size =
        zpack_pack(s->zpack, s->chunk, (uint32_t)n, dst, MIG_PAYLOAD_MAX);
    if (size == 0) {
        memcpy(dst, s->chunk, (size_t)n);
        mig_conn_data_end(s->conn, 0, (uint32_t)n);
    } else {
        mig_conn_data_end(s->conn, MIG_F_ZSTD, size);
    }
    return n;
}

static void on_readable(void *arg, int fd, uint32_t events)
{
    struct mig_stream *s = arg;
    (void)fd, (void)events;
    for (size_t turn = 0; turn < TURN_MAX;) {
        if (!mig_conn_room(s->conn)) {
            mig_conn_data_end(s->conn, 0, 0); /* Asks for 'room'. */
            sc_source_set_events(s->source, 0);
            return;
        }
        ssize_t n = pump(s);
        if (n == -EAGAIN || n == -EINTR)
            return;
        if (n <= 0) {
            close_engine(s);
            s->eof(s->arg);
            return;
        }
        s->bytes += (uint64_t)n;
        turn += (size_t)n;
    }
}

/* --- in ------------------------------------------------------------------- */
int mig_stream_in(struct mig_stream *s, struct mig_conn *conn,
                  struct sc_err *err)
{
    s->conn = conn;
    int r = sc_loop_add_fd(s->loop, s->fd, 0, on_writable, s, &s->source);
    return r < 0 ? sc_fail(err, r, "migration: %s", strerror(-r)) : 0;
}

/* Writes what the engine takes.  A write error is left to the engine, which
 * knows better why it ended: the data is dropped. */
static size_t give(struct mig_stream *s, const uint8_t *p, size_t size)
{
    size_t done = 0;
    while (done < size && s->fd >= 0) {
        ssize_t n =
            send(s->fd, p + done, size - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return done;
        if (n < 0 && errno != EINTR)
            return size;
        if (n > 0)
            done += (size_t)n;
    }
    return s->fd < 0 ? size : done;
}

static void on_writable(void *arg, int fd, uint32_t events)
{
    struct mig_stream *s = arg;
    (void)fd, (void)events;
    if (s->from == s->to) { /* The engine closed its end. */
        sc_source_free(SC_TAKE(s->source));
        return;
    }
    s->from += give(s, s->chunk + s->from, s->to - s->from);
    if (s->from < s->to)
        return;
    s->from = s->to = 0;
    if (s->source)
        sc_source_set_events(s->source, 0);
    if (s->ended)
        shutdown(s->fd, SHUT_WR);
    if (s->conn)
        mig_conn_hold(s->conn, false);
}

int mig_stream_data(struct mig_stream *s, const struct mig_frame *f,
                    struct sc_err *err)
{
    const uint8_t *p = f->payload;
    size_t size = f->size;
    if (s->from < s->to || s->ended)
        return sc_fail(err, -EPROTO, "migration: DATA out of place");
    if (f->flags & MIG_F_ZSTD) {
        int n = zpack_unpack(s->zpack, p, f->size, s->chunk, MIG_CHUNK, err);
        if (n < 0)
            return n;
        p = s->chunk;
        size = (size_t)n;
    } else if (size > MIG_CHUNK) {
        return sc_fail(err, -EPROTO, "migration: DATA too long");
    }
    s->bytes += size;
    size_t done = give(s, p, size);
    if (done == size)
        return 0;
    if (p != s->chunk)
        memcpy(s->chunk, p + done, size - done);
    else
        memmove(s->chunk, p + done, size - done);
    s->from = 0;
    s->to = size - done;
    if (s->source)
        sc_source_set_events(s->source, EPOLLOUT);
    mig_conn_hold(s->conn, true);
    return 0;
}

void mig_stream_end(struct mig_stream *s)
{
    s->ended = true;
    if (s->from == s->to && s->fd >= 0)
        shutdown(s->fd, SHUT_WR);
}
