/* migconn - see migconn.h.
 *
 * Output is one linear buffer with a hole at its front: DATA is compressed
 * straight into its end, and TLS takes from its beginning.  It is moved back
 * only when the end is reached.  Input likewise. */
#include "node/migconn.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    OUT_SIZE = 2 * MIG_QUEUE,
    IN_SIZE = 2 * (MIG_HEADER + MIG_PAYLOAD_MAX),
    TURN_MAX = 4 << 20, /* Bytes read before others get a turn. */
    FINISH_MS = 5000,
};

struct mig_conn {
    struct sc_loop *loop;
    struct tls_conn *tls;
    const struct mig_conn_events *events;
    void *arg;
    struct sc_source *source, *timer, *again;
    uint8_t *out, *in;
    size_t out_from, out_to, in_from, in_to;
    uint64_t sent, heard_at, spoke_at; /* bytes; ms */
    bool up, hold, lost, wants_room, finishing;
    uint64_t finish_at;
    bool *freed; /* Set while a callback runs. */
};

static void on_fd(void *arg, int fd, uint32_t events);
static void on_timer(void *arg);
static void read_more(struct mig_conn *c);

int mig_conn_new(struct sc_loop *loop, struct tls_ctx *tls, int fd, bool server,
                 const char *want_cn, const struct mig_conn_events *events,
                 void *arg, struct mig_conn **ret, struct sc_err *err)
{
    SC_AUTO(close) int own = fd;
    SC_AUTO(mig_conn_free) struct mig_conn *c = calloc(1, sizeof *c);
    if (!c || !(c->out = malloc(OUT_SIZE)) || !(c->in = malloc(IN_SIZE)))
        return sc_fail(err, -ENOMEM, "migration: out of memory");
    c->loop = loop;
    c->events = events;
    c->arg = arg;
    c->heard_at = c->spoke_at = sc_loop_now_ms(loop);
    int r = tls_conn_new(tls, SC_TAKE_FD(own), server, want_cn, &c->tls, err);
    if (r < 0)
        return r;
    /* A client begins: writable means connected. */
    r = sc_loop_add_fd(loop, tls_conn_fd(c->tls), server ? EPOLLIN : EPOLLOUT,
                       on_fd, c, &c->source);
    if (r == 0)
        r = sc_loop_add_timer(loop, 500, 500, on_timer, c, &c->timer);
    if (r < 0)
        return sc_fail(err, r, "migration: %s", strerror(-r));
    *ret = SC_TAKE(c);
    return 0;
}

void mig_conn_free(struct mig_conn *c)
{
    if (!c)
        return;
    if (c->freed)
        *c->freed = true;
    sc_source_free(c->source);
    sc_source_free(c->timer);
    sc_source_free(c->again);
    tls_conn_free(c->tls);
    free(c->out);
    free(c->in);
    free(c);
}

void mig_conn_set_events(struct mig_conn *c, const struct mig_conn_events *e,
                         void *arg)
{
    c->events = e;
    c->arg = arg;
}

const char *mig_conn_peer(const struct mig_conn *c)
{
    return tls_conn_peer(c->tls);
}

uint64_t mig_conn_sent(const struct mig_conn *c)
{
    return c->sent;
}

/* --- callbacks, after which the connection may be gone -------------------- */
static bool tell_lost(struct mig_conn *c, const struct sc_err *why)
{
    if (c->lost)
        return false;
    c->lost = true;
    sc_source_free(SC_TAKE(c->source));
    sc_source_free(SC_TAKE(c->timer));
    sc_source_free(SC_TAKE(c->again));
    if (c->finishing)
        mig_conn_free(c);
    else
        c->events->lost(c->arg, why);
    return false;
}

static bool lose(struct mig_conn *c, int code, const char *what)
{
    struct sc_err e = { 0 };
    sc_fail(&e, code, "migration link: %s", what);
    return tell_lost(c, &e);
}

/* Runs one callback; false: the connection is gone or lost. */
#define TELL(c, call)                                                          \
    __extension__({                                                            \
        bool freed_ = false;                                                   \
        (c)->freed = &freed_;                                                  \
        call;                                                                  \
        if (!freed_)                                                           \
            (c)->freed = NULL;                                                 \
        !freed_ && !(c)->lost;                                                 \
    })

/* --- output --------------------------------------------------------------- */
static void want(struct mig_conn *c)
{
    uint32_t e = 0;
    if (!c->source)
        return;
    if (!c->up)
        e = tls_conn_events(c->tls);
    else
        e = (c->hold ? 0 : EPOLLIN) | (c->out_from < c->out_to ? EPOLLOUT : 0);
    sc_source_set_events(c->source, e);
}

static bool flush(struct mig_conn *c)
{
    while (c->up && c->out_from < c->out_to) {
        long n = tls_conn_write(c->tls, c->out + c->out_from,
                                c->out_to - c->out_from);
        if (n == -EAGAIN)
            break;
        if (n <= 0)
            return lose(c, n < 0 ? (int)n : -EPIPE,
                        n < 0 ? strerror((int)-n) : "closed");
        c->out_from += (size_t)n;
        c->sent += (uint64_t)n;
        c->spoke_at = sc_loop_now_ms(c->loop);
    }
    if (c->out_from == c->out_to) {
        c->out_from = c->out_to = 0;
        if (c->finishing)
            return lose(c, -EPIPE, "finished");
    }
    if (c->wants_room && mig_conn_room(c)) {
        c->wants_room = false;
        return TELL(c, c->events->room(c->arg));
    }
    return true;
}

static void make_space(struct mig_conn *c, size_t size)
{
    if (OUT_SIZE - c->out_to >= size)
        return;
    memmove(c->out, c->out + c->out_from, c->out_to - c->out_from);
    c->out_to -= c->out_from;
    c->out_from = 0;
}

/* Frames leave from the loop, not from inside the caller. */
void mig_conn_send(struct mig_conn *c, enum mig_type type, const void *payload,
                   uint32_t size)
{
    make_space(c, MIG_HEADER + size);
    if (OUT_SIZE - c->out_to < MIG_HEADER + size)
        return; /* Only pings come so often; the link is dead anyway. */
    mig_header_encode(c->out + c->out_to, type, 0, size);
    if (size)
        memcpy(c->out + c->out_to + MIG_HEADER, payload, size);
    c->out_to += MIG_HEADER + size;
    want(c);
}

size_t mig_conn_room(const struct mig_conn *c)
{
    return c->out_to - c->out_from <= MIG_QUEUE - MIG_PAYLOAD_MAX
               ? MIG_PAYLOAD_MAX
               : 0;
}

uint8_t *mig_conn_data_begin(struct mig_conn *c)
{
    make_space(c, MIG_HEADER + MIG_PAYLOAD_MAX);
    return c->out + c->out_to + MIG_HEADER;
}

void mig_conn_data_end(struct mig_conn *c, uint8_t flags, uint32_t size)
{
    if (size) {
        mig_header_encode(c->out + c->out_to, MIG_DATA, flags, size);
        c->out_to += MIG_HEADER + size;
        want(c);
    }
    if (!mig_conn_room(c))
        c->wants_room = true;
}

/* Who finishes it forgets it: nobody is left to be told. */
static void nobody(void *arg)
{
    (void)arg;
}

static void nobody_frame(void *arg, const struct mig_frame *f)
{
    (void)arg, (void)f;
}

static void nobody_lost(void *arg, const struct sc_err *why)
{
    (void)arg, (void)why;
}

static const struct mig_conn_events nobodys_events = { nobody, nobody_frame,
                                                       nobody, nobody_lost };

void mig_conn_finish(struct mig_conn *c)
{
    c->finishing = true;
    c->events = &nobodys_events;
    c->arg = NULL;
    c->finish_at = sc_loop_now_ms(c->loop) + FINISH_MS;
    c->hold = true;
    if (c->lost) {
        mig_conn_free(c);
        return;
    }
    want(c);
    if (c->out_from == c->out_to) { /* Still end it from the loop. */
        mig_conn_send(c, MIG_PING, NULL, 0);
    }
}

/* --- input ---------------------------------------------------------------- */
/* Hands on whole frames; false: gone, lost or held. */
static bool take_frames(struct mig_conn *c)
{
    while (!c->hold) {
        struct mig_frame f;
        struct sc_err e = { 0 };
        long n =
            mig_frame_decode(c->in + c->in_from, c->in_to - c->in_from, &f, &e);
        if (n < 0)
            return tell_lost(c, &e);
        if (n == 0)
            break;
        c->in_from += (size_t)n;
        if (f.type != MIG_PING && !TELL(c, c->events->frame(c->arg, &f)))
            return false;
    }
    if (c->in_from == c->in_to)
        c->in_from = c->in_to = 0;
    if (c->in_from && IN_SIZE - c->in_to < MIG_HEADER + MIG_PAYLOAD_MAX) {
        memmove(c->in, c->in + c->in_from, c->in_to - c->in_from);
        c->in_to -= c->in_from;
        c->in_from = 0;
    }
    return !c->hold;
}

static void on_again(void *arg)
{
    struct mig_conn *c = arg;
    sc_source_free(SC_TAKE(c->again));
    read_more(c);
}

static void read_again_later(struct mig_conn *c)
{
    if (!c->again && !c->lost &&
        sc_loop_add_timer(c->loop, 0, 0, on_again, c, &c->again) < 0)
        lose(c, -ENOMEM, "out of memory");
}

static void read_more(struct mig_conn *c)
{
    size_t turn = 0;
    if (!take_frames(c))
        return;
    while (turn < TURN_MAX) {
        long n = tls_conn_read(c->tls, c->in + c->in_to, IN_SIZE - c->in_to);
        if (n == -EAGAIN) {
            want(c);
            return;
        }
        if (n <= 0) {
            lose(c, n < 0 ? (int)n : -EPIPE,
                 n < 0 ? strerror((int)-n) : "the peer closed it");
            return;
        }
        c->heard_at = sc_loop_now_ms(c->loop);
        c->in_to += (size_t)n;
        turn += (size_t)n;
        if (!take_frames(c))
            return;
    }
    read_again_later(c);
}

void mig_conn_hold(struct mig_conn *c, bool hold)
{
    if (c->hold == hold || c->finishing)
        return;
    c->hold = hold;
    c->heard_at = sc_loop_now_ms(c->loop);
    want(c);
    if (!hold)
        read_again_later(c);
}

/* --- loop ----------------------------------------------------------------- */
static void on_fd(void *arg, int fd, uint32_t events)
{
    struct mig_conn *c = arg;
    (void)fd;
    if (!c->up) {
        struct sc_err e = { 0 };
        int r = tls_conn_handshake(c->tls, &e);
        if (r == -EAGAIN) {
            want(c);
            return;
        }
        if (r < 0) {
            tell_lost(c, &e);
            return;
        }
        c->up = true;
        c->heard_at = sc_loop_now_ms(c->loop);
        if (!TELL(c, c->events->up(c->arg)))
            return;
    }
    if (!flush(c))
        return;
    want(c);
    if (!c->hold && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        read_more(c);
    else if (c->hold && (events & (EPOLLHUP | EPOLLERR)))
        lose(c, -EPIPE, "the connection broke");
}

static void on_timer(void *arg)
{
    struct mig_conn *c = arg;
    uint64_t now = sc_loop_now_ms(c->loop);
    if (c->finishing && now >= c->finish_at) {
        lose(c, -ETIMEDOUT, "finished");
        return;
    }
    /* Held, we do not listen: our own engine is slow, not the peer. */
    if (!c->hold && now - c->heard_at >= MIG_DEAD_MS) {
        lose(c, -ETIMEDOUT, "nothing heard from the peer for 8 s");
        return;
    }
    if (c->up && now - c->spoke_at >= MIG_PING_MS && !c->finishing &&
        c->out_from == c->out_to)
        mig_conn_send(c, MIG_PING, NULL, 0);
}
