/* Two ends of a migration's link in one loop, over real TLS: frames, memory
 * streams with a slow engine, and what happens when an end goes away. */
#include "node/migconn.h"
#include "node/mig_stream.h"

#include "common/tls.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define A "11111111-1111-4111-8111-111111111111"
#define B "22222222-2222-4222-8222-222222222222"
enum { BYTES = 24 << 20 };

struct end {
    struct mig_conn *conn;
    struct mig_stream *stream;
    struct tls_ctx *tls;
    bool up, lost, eof;
    unsigned frames;
    enum mig_type last;
    char text[32];
};
struct world {
    struct sc_loop *loop;
    char dir[64];
    struct end s, d;
};

static void up(void *arg)
{
    ((struct end *)arg)->up = true;
}

static void frame(void *arg, const struct mig_frame *f)
{
    struct end *e = arg;
    e->frames++;
    e->last = f->type;
    if (f->type == MIG_DATA && e->stream) {
        struct sc_err err = { 0 };
        cr_assert_eq(mig_stream_data(e->stream, f, &err), 0, "%s", err.text);
    } else if (f->type == MIG_ABORT) {
        snprintf(e->text, sizeof e->text, "%.*s", (int)f->size,
                 (const char *)f->payload);
    } else if (f->type == MIG_END && e->stream) {
        mig_stream_end(e->stream);
    }
}

static void room(void *arg)
{
    struct end *e = arg;
    if (e->stream)
        mig_stream_room(e->stream);
}

static void lost(void *arg, const struct sc_err *why)
{
    struct end *e = arg;
    (void)why;
    e->lost = true;
    mig_conn_free(SC_TAKE(e->conn));
}

static const struct mig_conn_events events = { up, frame, room, lost };

static void eof(void *arg)
{
    ((struct end *)arg)->eof = true;
}

#define UNTIL(w, condition)                                                    \
    do {                                                                       \
        uint64_t end_ = sc_mono_ms() + 30000;                                  \
        while (!(condition) && sc_mono_ms() < end_)                            \
            sc_loop_run_once((w)->loop, 20);                                   \
        cr_assert(condition, "it did not come to: " #condition);               \
    } while (0)

static void make_tls(struct world *w, struct end *e, const char *id)
{
    char ca[100], ca_key[100], key[100], crt[100], *csr = NULL, *pem = NULL;
    snprintf(ca, sizeof ca, "%s/ca.crt", w->dir);
    snprintf(ca_key, sizeof ca_key, "%s/ca.key", w->dir);
    snprintf(key, sizeof key, "%s/%s.key", w->dir, id);
    snprintf(crt, sizeof crt, "%s/%s.crt", w->dir, id);
    if (access(ca, R_OK))
        cr_assert_eq(tls_ca_create(ca, ca_key, "test", NULL), 0);
    cr_assert_eq(tls_request_create(key, id, "node", &csr, NULL), 0);
    cr_assert_eq(tls_sign(ca, ca_key, csr, id, "node", NULL, 1, &pem, NULL), 0);
    cr_assert_eq(tls_write_file(crt, pem, 0640, NULL), 0);
    cr_assert_eq(tls_ctx_new(ca, crt, key, &e->tls, NULL), 0);
    free(csr);
    free(pem);
}

static void world_start(struct world *w)
{
    int fds[2];
    memset(w, 0, sizeof *w);
    strcpy(w->dir, "/tmp/scconnXXXXXX");
    cr_assert(mkdtemp(w->dir) != NULL);
    cr_assert_eq(sc_loop_new(false, &w->loop, NULL), 0);
    make_tls(w, &w->s, A);
    make_tls(w, &w->d, B);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(mig_conn_new(w->loop, w->s.tls, fds[0], false, B, &events,
                              &w->s, &w->s.conn, NULL),
                 0);
    cr_assert_eq(mig_conn_new(w->loop, w->d.tls, fds[1], true, NULL, &events,
                              &w->d, &w->d.conn, NULL),
                 0);
    UNTIL(w, w->s.up && w->d.up);
}

static void end_free(struct end *e)
{
    mig_conn_free(e->conn);
    mig_stream_free(e->stream);
    tls_ctx_free(e->tls);
}

static void world_end(struct world *w)
{
    char cmd[100];
    end_free(&w->s);
    end_free(&w->d);
    sc_loop_free(w->loop);
    snprintf(cmd, sizeof cmd, "rm -rf %s", w->dir);
    cr_assert_eq(system(cmd), 0);
}

Test(migconn, frames_arrive_in_order_and_peers_know_each_other)
{
    struct world w;
    world_start(&w);
    cr_expect_str_eq(mig_conn_peer(w.s.conn), B);
    cr_expect_str_eq(mig_conn_peer(w.d.conn), A);
    mig_conn_send(w.s.conn, MIG_STOPPED, NULL, 0);
    mig_conn_send(w.s.conn, MIG_ABORT, "why", 3);
    UNTIL(&w, w.d.frames == 2);
    cr_expect_eq(w.d.last, MIG_ABORT);
    cr_expect_str_eq(w.d.text, "why");
    world_end(&w);
}

Test(migconn, what_was_queued_before_finish_still_arrives_and_then_the_end)
{
    struct world w;
    world_start(&w);
    mig_conn_send(w.s.conn, MIG_ABORT, "bye", 3);
    mig_conn_finish(SC_TAKE(w.s.conn));
    UNTIL(&w, w.d.lost);
    cr_expect_str_eq(w.d.text, "bye");
    world_end(&w);
}

/* Runs BYTES of 'noise' or text through both pumps; the reading engine takes
 * 'bite' bytes at a time. */
static void pump(bool noisy, size_t bite)
{
    struct world w;
    int out = -1, in = -1;
    uint8_t *data = malloc(BYTES), *got = malloc(BYTES);
    size_t written = 0, n_got = 0;
    uint64_t x = 1;
    for (size_t i = 0; i < BYTES; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        data[i] = noisy ? (uint8_t)(x >> 56) : (uint8_t)(i >> 12);
    }
    world_start(&w);
    cr_assert_eq(mig_stream_new(w.loop, &out, &w.s.stream, NULL), 0);
    cr_assert_eq(mig_stream_new(w.loop, &in, &w.d.stream, NULL), 0);
    cr_assert_eq(mig_stream_out(w.s.stream, w.s.conn, eof, &w.s, NULL), 0);
    cr_assert_eq(mig_stream_in(w.d.stream, w.d.conn, NULL), 0);
    bool sent_end = false, ended = false;
    uint64_t deadline = sc_mono_ms() + 60000;
    while (!ended && sc_mono_ms() < deadline) {
        if (written < BYTES) {
            ssize_t n =
                send(out, data + written, BYTES - written, MSG_DONTWAIT);
            written += n > 0 ? (size_t)n : 0;
            if (written == BYTES) {
                close(out);
                out = -1;
            }
        }
        if (w.s.eof && !sent_end) {
            sent_end = true;
            mig_conn_send(w.s.conn, MIG_END, NULL, 0);
        }
        sc_loop_run_once(w.loop, 0);
        size_t want = BYTES - n_got < bite ? BYTES - n_got : bite;
        ssize_t n = recv(in, got + n_got, want ? want : 1, MSG_DONTWAIT);
        if (n > 0)
            n_got += (size_t)n;
        else if (n == 0)
            ended = true;
    }
    cr_expect(ended, "the engine saw no end");
    cr_expect_eq(n_got, BYTES);
    cr_expect_eq(memcmp(data, got, BYTES), 0);
    cr_expect_eq(mig_stream_bytes(w.s.stream), BYTES);
    if (!noisy)
        cr_expect_lt(mig_conn_sent(w.s.conn), BYTES / 20);
    close(in);
    world_end(&w);
    free(data);
    free(got);
}

Test(migconn, a_stream_of_text_is_carried_compressed)
{
    pump(false, 1 << 20);
}

Test(migconn, a_stream_of_noise_is_carried_and_a_slow_engine_holds_it_back)
{
    pump(true, 48 << 10);
}

Test(migconn, a_cut_ends_the_engines_stream)
{
    struct world w;
    int in = -1;
    char c;
    world_start(&w);
    cr_assert_eq(mig_stream_new(w.loop, &in, &w.d.stream, NULL), 0);
    cr_assert_eq(mig_stream_in(w.d.stream, w.d.conn, NULL), 0);
    mig_conn_free(SC_TAKE(w.s.conn));
    UNTIL(&w, w.d.lost);
    mig_stream_cut(w.d.stream);
    cr_expect_eq(recv(in, &c, 1, MSG_DONTWAIT), 0);
    close(in);
    world_end(&w);
}

Test(migconn, another_node_than_the_one_wanted_is_refused)
{
    struct world w;
    int fds[2];
    world_start(&w);
    mig_conn_free(SC_TAKE(w.s.conn));
    mig_conn_free(SC_TAKE(w.d.conn));
    w.s.up = w.d.up = w.s.lost = false;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(mig_conn_new(w.loop, w.s.tls, fds[0], false, A, &events, &w.s,
                              &w.s.conn, NULL),
                 0);
    cr_assert_eq(mig_conn_new(w.loop, w.d.tls, fds[1], true, NULL, &events,
                              &w.d, &w.d.conn, NULL),
                 0);
    UNTIL(&w, w.s.lost);
    cr_expect_not(w.s.up);
    world_end(&w);
}
