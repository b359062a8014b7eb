/* The two state machines of a migration against everything that can happen to
 * them: messages delayed, the link cut, either end killed and started again at
 * any point, durable writes that fail, guests that die, a controller that
 * resolves whenever it can.  All reachable worlds are visited. */
#include "node/migproto.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is on a disk. */
enum disk { D_NONE, D_SENDING, D_GIVEN, D_RELEASING, D_RELEASED, D_RESUMED };
enum dst_disk { DD_NONE, DD_MINE, DD_CANCELLED };
enum msg {
    M_NONE,
    M_HELLO,
    M_WELCOME,
    M_STOPPED,
    M_HANDED,
    M_END,
    M_READY,
    M_COMMIT,
    M_RUNNING,
    M_ABORT,
};
/* A durable write that reports failure may be on the disk all the same. */
enum { WORKS, FAIL_NOT_STORED, FAIL_STORED };
enum { FIFO = 4, CRASHES = 3, CUTS = 1, FAULTS = 2 };

struct world {
    struct mig_src s;
    struct mig_dst d;
    unsigned char s_alive, d_alive, d_known; /* known: has a machine. */
    unsigned char s_disk, d_disk;
    unsigned char s_run, d_run;     /* The guest executes. */
    unsigned char s_guest, d_guest; /* A guest object exists. */
    unsigned char link;
    unsigned char closed; /* 1: by the source, 2: by the destination. */
    unsigned char to_d[FIFO], to_s[FIFO];
    /* Outcomes not yet reported, as bits. */
    unsigned char s_engine; /* 1 running, 2 stopped told */
    unsigned char s_handing, s_thawing, s_resuming, s_destroying, s_releasing;
    unsigned char d_activating, d_resuming, d_engine;
    unsigned char crashes, cuts, faults;
};

/* --- a set of worlds ----------------------------------------------------- */
struct set {
    struct world *v;
    size_t n, size;
    size_t *hash, hash_size;
};

static size_t hash_of(const struct world *w)
{
    const unsigned char *p = (const unsigned char *)w;
    size_t h = 1469598103934665603u;
    for (size_t i = 0; i < sizeof *w; i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

static void set_grow(struct set *s)
{
    s->hash_size = s->hash_size ? s->hash_size * 2 : 1 << 16;
    free(s->hash);
    s->hash = calloc(s->hash_size, sizeof *s->hash);
    for (size_t i = 0; i < s->n; i++) {
        size_t h = hash_of(&s->v[i]) % s->hash_size;
        while (s->hash[h])
            h = (h + 1) % s->hash_size;
        s->hash[h] = i + 1;
    }
}

static void set_add(struct set *s, const struct world *w)
{
    if (s->n * 2 >= s->hash_size)
        set_grow(s);
    size_t h = hash_of(w) % s->hash_size;
    for (; s->hash[h]; h = (h + 1) % s->hash_size)
        if (!memcmp(&s->v[s->hash[h] - 1], w, sizeof *w))
            return;
    if (s->n == s->size) {
        s->size = s->size ? s->size * 2 : 1 << 14;
        s->v = realloc(s->v, s->size * sizeof *s->v);
    }
    s->v[s->n++] = *w;
    s->hash[h] = s->n;
}

/* --- the world's rules ---------------------------------------------------- */
static void push(unsigned char *fifo, enum msg m)
{
    for (int i = 0; i < FIFO; i++)
        if (!fifo[i]) {
            fifo[i] = (unsigned char)m;
            return;
        }
    cr_assert(false, "more messages under way than the model holds");
}

static enum msg pop(unsigned char *fifo)
{
    enum msg m = fifo[0];
    memmove(fifo, fifo + 1, FIFO - 1);
    fifo[FIFO - 1] = 0;
    return m;
}

static void src_event(struct world *w, enum src_event e, int fail_write);
static void dst_event(struct world *w, enum dst_event e, int fail_write);

static void say(struct world *w, bool to_d, enum msg m)
{
    if (w->link)
        push(to_d ? w->to_d : w->to_s, m);
}

/* A link closed by one end: what was said before arrives, then the end. */
static void src_do(struct world *w, unsigned a, int fail_write)
{
    int written = 0; /* 1: WRITTEN, 2: WRITE_FAILED */
    if (a & (SRC_A_WRITE_GIVEN | SRC_A_WRITE_SENDING)) {
        if (fail_write != FAIL_NOT_STORED)
            w->s_disk = a & SRC_A_WRITE_GIVEN ? D_GIVEN : D_SENDING;
        written = fail_write ? 2 : 1;
    }
    if (a & SRC_A_WRITE_RESUMED)
        w->s_disk = D_RESUMED;
    if (a & SRC_A_WRITE_RELEASING)
        w->s_disk = D_RELEASING;
    if (a & SRC_A_WRITE_RELEASED)
        w->s_disk = D_RELEASED;
    if (a & SRC_A_SEND_HELLO)
        say(w, true, M_HELLO);
    if (a & SRC_A_START_ENGINE)
        w->s_engine = 1;
    if (a & SRC_A_SEND_STOPPED)
        say(w, true, M_STOPPED);
    if (a & SRC_A_HANDOVER)
        w->s_handing = 1;
    if (a & SRC_A_SEND_HANDED_OVER)
        say(w, true, M_HANDED);
    if (a & SRC_A_SEND_END)
        say(w, true, M_END);
    if (a & SRC_A_SEND_COMMIT) {
        cr_assert_eq(w->s_disk, D_GIVEN, "COMMIT before 'given' is written");
        say(w, true, M_COMMIT);
    }
    if (a & SRC_A_SEND_ABORT)
        say(w, true, M_ABORT);
    if (a & SRC_A_CLOSE)
        w->closed |= 1;
    if (a & SRC_A_ABORT_ENGINE && w->s_engine)
        w->s_engine = 3; /* Ends either way. */
    if (a & SRC_A_THAW) {
        w->s_handing = 0;
        w->s_thawing = 1;
    }
    if (a & SRC_A_RESUME)
        w->s_resuming = 1;
    if (a & SRC_A_DESTROY)
        w->s_destroying = 1;
    if (a & SRC_A_RELEASE)
        w->s_releasing = 1;
    if (written)
        src_event(w, written == 1 ? SRC_E_WRITTEN : SRC_E_WRITE_FAILED,
                  fail_write);
}

static void src_event(struct world *w, enum src_event e, int fail_write)
{
    src_do(w, mig_src_step(&w->s, e), fail_write);
}

static void dst_do(struct world *w, unsigned a, int fail_write)
{
    int written = 0;
    if (a & (DST_A_WRITE_MINE | DST_A_WRITE_CANCELLED)) {
        if (fail_write != FAIL_NOT_STORED)
            w->d_disk = a & DST_A_WRITE_MINE ? DD_MINE : DD_CANCELLED;
        written = fail_write ? 2 : 1;
    }
    if (a & DST_A_SEND_WELCOME)
        say(w, false, M_WELCOME);
    if (a & DST_A_SEND_READY)
        say(w, false, M_READY);
    if (a & DST_A_ACTIVATE)
        w->d_activating = 1;
    if (a & DST_A_RESUME)
        w->d_resuming = 1;
    if (a & DST_A_SEND_RUNNING)
        say(w, false, M_RUNNING);
    if (a & DST_A_SEND_ABORT)
        say(w, false, M_ABORT);
    if (a & DST_A_CLOSE)
        w->closed |= 2;
    if (a & DST_A_CLEANUP) {
        cr_assert_not(w->d_run, "a running guest is cleaned up");
        w->d_guest = w->d_engine = 0;
    }
    if (written)
        dst_event(w, written == 1 ? DST_E_WRITTEN : DST_E_WRITE_FAILED,
                  fail_write);
}

static void dst_event(struct world *w, enum dst_event e, int fail_write)
{
    dst_do(w, mig_dst_step(&w->d, e), fail_write);
}

static void cut(struct world *w)
{
    w->link = 0;
    memset(w->to_d, 0, FIFO);
    memset(w->to_s, 0, FIFO);
}

/* What was said before an end closed the link still arrives. */
static void settle(struct world *w)
{
    if (w->link && (((w->closed & 1) && w->to_d[0] == M_NONE) ||
                    ((w->closed & 2) && w->to_s[0] == M_NONE)))
        cut(w);
}

static void src_message(struct world *w, enum msg m, int fail)
{
    static const enum src_event map[] = {
        [M_WELCOME] = SRC_E_WELCOME,
        [M_READY] = SRC_E_READY,
        [M_RUNNING] = SRC_E_RUNNING,
        [M_ABORT] = SRC_E_ABORT,
    };
    if (w->s.link)
        src_event(w, map[m], fail);
}

static void dst_message(struct world *w, enum msg m, int fail)
{
    static const enum dst_event map[] = {
        [M_HELLO] = DST_E_HELLO,        [M_STOPPED] = DST_E_STOPPED,
        [M_HANDED] = DST_E_HANDED_OVER, [M_END] = DST_E_END,
        [M_COMMIT] = DST_E_COMMIT,      [M_ABORT] = DST_E_ABORT,
    };
    if (m == M_HELLO && w->d.state != DST_PREPARED)
        say(w, false, M_ABORT); /* The listener: not expected here. */
    else
        dst_event(w, map[m], fail);
}

static bool empty(const unsigned char *fifo)
{
    return fifo[0] == M_NONE;
}

/* --- what may happen next --------------------------------------------------
 */
struct next {
    struct set *set;
    size_t n;
};

static void put(struct next *x, const struct world *w)
{
    struct world t = *w;
    settle(&t);
    x->n++;
    set_add(x->set, &t);
}

static void src_restart(struct world *w)
{
    unsigned char disk = w->s_disk;
    memset(&w->s, 0, sizeof w->s);
    if (disk == D_SENDING || disk == D_GIVEN) {
        src_do(w, mig_src_restart(&w->s, disk == D_GIVEN), WORKS);
    } else if (disk == D_RELEASING) {
        w->s.state = SRC_RELEASING;
        w->s_destroying = 1;
    } else if (disk == D_RELEASED) {
        w->s.state = SRC_RELEASED;
    } else {
        w->s.state = SRC_RESUMED;
    }
}

/* All variants of every durable write. */
#define EVERY(change)                                                          \
    do {                                                                       \
        int last = w->faults < FAULTS ? FAIL_STORED : WORKS;                   \
        for (int fail = WORKS; fail <= last; fail++) {                         \
            struct world t = *w;                                               \
            struct world *v = &t;                                              \
            change;                                                            \
            t.faults += fail != WORKS;                                         \
            put(x, &t);                                                        \
        }                                                                      \
    } while (0)

static void src_moves(const struct world *w, struct next *x)
{
    if (w->s.state == SRC_CONNECTING && !w->s.link && w->link && w->d_alive)
        EVERY(src_event(v, SRC_E_LINK_UP, fail));
    if (w->s_engine == 1)
        EVERY((v->s_engine = 2, v->s_run = 0,
               src_event(v, SRC_E_ENGINE_STOPPED, fail)));
    if (w->s_engine == 2)
        EVERY((v->s_engine = 0, src_event(v, SRC_E_ENGINE_DONE, fail)));
    if (w->s_engine) { /* Fails by itself, or was aborted: it
                          runs on. */
        EVERY((v->s_engine = 0, v->s_run = 1,
               src_event(v, SRC_E_ENGINE_FAILED, fail)));
        if (w->s_engine == 3)
            EVERY((v->s_engine = 0, v->s_run = 0,
                   src_event(v, SRC_E_ENGINE_DONE, fail)));
    }
    if (w->s_handing) {
        EVERY((v->s_handing = 0, src_event(v, SRC_E_HANDED_OVER, fail)));
        EVERY((v->s_handing = 0, src_event(v, SRC_E_HANDOVER_FAILED, fail)));
    }
    if (w->s_thawing)
        EVERY((v->s_thawing = 0, src_event(v, SRC_E_THAWED, fail)));
    if (w->s_resuming == 1) /* It runs; we hear of it later. */
        EVERY((v->s_resuming = 2, v->s_run = 1));
    if (w->s_resuming == 2)
        EVERY((v->s_resuming = 0, src_event(v, SRC_E_GUEST_RESUMED, fail)));
    if (w->s_destroying)
        EVERY((v->s_destroying = 0, v->s_run = 0, v->s_guest = 0,
               src_event(v, SRC_E_GUEST_GONE, fail)));
    if (w->s_releasing)
        EVERY((v->s_releasing = 0, src_event(v, SRC_E_VOLUMES_RELEASED, fail)));
    if (w->link && !(w->closed & 1) && !empty(w->to_s))
        EVERY(src_message(v, pop(v->to_s), fail));
    if (!w->link && (w->s.link || w->s.state == SRC_CONNECTING))
        EVERY(src_event(v, SRC_E_LINK_LOST, fail));
}

static void dst_moves(const struct world *w, struct next *x)
{
    if (w->d_known && w->d_engine)
        EVERY((v->d_engine = 0, dst_event(v, DST_E_ENGINE_DONE, fail)));
    if (w->d_known && w->d_engine && w->d.state == DST_RECEIVING)
        EVERY((v->d_engine = 0, dst_event(v, DST_E_ENGINE_FAILED, fail)));
    if (w->d_activating)
        EVERY((v->d_activating = 0, dst_event(v, DST_E_ACTIVATED, fail)));
    if (w->d_resuming == 1)
        EVERY((v->d_resuming = 2, v->d_run = 1));
    if (w->d_resuming == 2)
        EVERY((v->d_resuming = 0, dst_event(v, DST_E_RESUMED, fail)));
    if (w->link && !(w->closed & 2) && w->d_known && !empty(w->to_d))
        EVERY(dst_message(v, pop(v->to_d), fail));
    if (!w->link && w->d_known && w->d.link)
        EVERY(dst_event(v, DST_E_LINK_LOST, fail));
    if (w->d_known && w->d.state == DST_PREPARED)
        EVERY(dst_event(v, DST_E_TIMEOUT, fail));
}

/* vm.migrate_cancel at the destination; what it answers. */
enum answer { A_NOT_YET, A_CANCELLED, A_RUNNING };
static enum answer ask(struct world *w, int fail)
{
    if (!w->d_known) { /* After a restart without "mine". */
        if (w->d_disk == DD_MINE)
            return A_RUNNING;
        w->d_disk = DD_CANCELLED;
        return A_CANCELLED;
    }
    if (w->d.state >= DST_ACTIVATING && w->d.state <= DST_RUNNING)
        return A_RUNNING;
    if (w->d.state != DST_CANCELLED)
        dst_event(w, DST_E_CANCEL, fail);
    return w->d.state == DST_CANCELLED ? A_CANCELLED : A_NOT_YET;
}

/* The controller resolves only what is uncertain, and asks first. */
static void resolve(struct world *w, int fail)
{
    enum answer a = ask(w, fail);
    if (a == A_CANCELLED)
        src_event(w, SRC_E_RESOLVE_RESUME, fail);
    else if (a == A_RUNNING)
        src_event(w, SRC_E_RESOLVE_RELEASE, fail);
}

static void controller(const struct world *w, struct next *x)
{
    if (w->s_alive && w->d_alive && w->s.state == SRC_UNCERTAIN)
        EVERY(resolve(v, fail));
}

static void accidents(const struct world *w, struct next *x)
{
    if (w->link && w->cuts < CUTS) {
        struct world t = *w;
        t.cuts++;
        cut(&t);
        put(x, &t);
    }
    if (w->crashes >= CRASHES)
        return;
    if (w->s_alive) { /* sc-node alone: the guest stays as it is.
                       */
        struct world t = *w;
        t.crashes++;
        t.s_alive = 0;
        cut(&t);
        if (t.s_engine == 1 || t.s_engine == 3)
            t.s_run = 1; /* The engine's stream broke: it runs on. */
        t.s_engine = t.s_handing = t.s_thawing = t.s_resuming = 0;
        t.s_destroying = t.s_releasing = 0;
        put(x, &t);
    }
    if (w->d_alive) {
        struct world t = *w;
        t.crashes++;
        t.d_alive = t.d_known = 0;
        memset(&t.d, 0, sizeof t.d);
        cut(&t);
        t.d_activating = t.d_resuming = t.d_engine = 0;
        put(x, &t);
    }
}

static size_t step(struct set *set, const struct world *w)
{
    struct next x = { set, 0 };
    if (w->s_alive) {
        src_moves(w, &x);
    } else {
        struct world t = *w;
        t.s_alive = 1;
        src_restart(&t);
        put(&x, &t);
    }
    if (w->d_alive) {
        dst_moves(w, &x);
    } else {
        struct world t = *w;
        t.d_alive = 1;
        if (t.d_disk == DD_MINE) {
            t.d_known = 1;
            dst_do(&t, mig_dst_restart_mine(&t.d), WORKS);
        } else {
            t.d_guest = 0; /* Not ours: destroyed. */
            cr_assert_not(t.d_run, "a guest ran without 'mine'");
        }
        put(&x, &t);
    }
    controller(w, &x);
    size_t moves = x.n;
    accidents(w, &x);
    return moves;
}

static void describe(const struct world *w, char *buf, size_t size)
{
    snprintf(buf, size,
             "source: state %d disk %d run %d; destination: state %d "
             "disk %d "
             "run %d known %d; link %d, crashes %d, cuts %d, faults %d",
             w->s.state, w->s_disk, w->s_run, w->d.state, w->d_disk, w->d_run,
             w->d_known, w->link, w->crashes, w->cuts, w->faults);
}

static struct world start(void)
{
    struct world w;
    memset(&w, 0, sizeof w);
    w.s_alive = w.d_alive = w.d_known = w.link = 1;
    w.s_disk = D_SENDING;
    w.s_run = w.s_guest = w.d_guest = w.d_engine = 1;
    return w;
}

Test(migproto, never_two_places_run_a_guest_and_one_does_in_the_end)
{
    struct set set = { 0 };
    struct world w = start();
    size_t ends = 0, there = 0, here = 0;
    char text[300];
    set_add(&set, &w);
    for (size_t i = 0; i < set.n; i++) {
        w = set.v[i];
        describe(&w, text, sizeof text);
        cr_assert_not(w.s_run && w.d_run, "both run it: %s", text);
        cr_assert_not(w.d_run && w.d_disk != DD_MINE,
                      "it runs there and was not taken durably: %s", text);
        cr_assert_not(w.s_run && w.s_disk == D_GIVEN,
                      "it runs here though given away: %s", text);
        if (step(&set, &w) > 0)
            continue;
        /* Nothing more happens by itself: all are alive and can
         * talk. */
        ends++;
        there += w.d_run;
        here += w.s_run;
        cr_assert(w.s_run || w.d_run, "nobody runs it: %s", text);
        cr_assert(w.s.state == SRC_RESUMED || w.s.state == SRC_RELEASED,
                  "the source has not come to an end: %s", text);
    }
    cr_assert(set.n > 10000 && there > 0 && here > 0,
              "the search was not wide: %zu worlds, %zu ends", set.n, ends);
    free(set.v);
    free(set.hash);
}

Test(migproto, without_accidents_it_ends_at_the_destination)
{
    struct world w = start();
    w.crashes = CRASHES;
    w.cuts = CUTS;
    w.faults = FAULTS;
    /* Only the good moves, in order. */
    src_event(&w, SRC_E_LINK_UP, WORKS);
    dst_message(&w, pop(w.to_d), WORKS);
    src_message(&w, pop(w.to_s), WORKS);
    cr_assert_eq(w.s_engine, 1);
    src_event(&w, SRC_E_ENGINE_STOPPED, WORKS);
    w.s_run = 0;
    src_event(&w, SRC_E_ENGINE_DONE, WORKS);
    src_event(&w, SRC_E_HANDED_OVER, WORKS);
    while (!empty(w.to_d))
        dst_message(&w, pop(w.to_d), WORKS);
    cr_assert_eq(w.d.state, DST_RECEIVING, "READY before the stream is read");
    dst_event(&w, DST_E_ENGINE_DONE, WORKS);
    cr_assert_eq(w.d.state, DST_READY);
    src_message(&w, pop(w.to_s), WORKS);
    cr_assert_eq(w.s.state, SRC_GIVEN);
    dst_message(&w, pop(w.to_d), WORKS);
    cr_assert_eq(w.d_disk, DD_MINE);
    dst_event(&w, DST_E_ACTIVATED, WORKS);
    dst_event(&w, DST_E_RESUMED, WORKS);
    src_message(&w, pop(w.to_s), WORKS);
    cr_assert_eq(w.s.state, SRC_RELEASING);
    src_event(&w, SRC_E_GUEST_GONE, WORKS);
    src_event(&w, SRC_E_VOLUMES_RELEASED, WORKS);
    cr_assert_eq(w.s.state, SRC_RELEASED);
    cr_assert_eq(w.s_disk, D_RELEASED);
}

Test(migproto, every_event_in_every_state_leaves_a_known_state)
{
    for (int s = 0; s < SRC_N_STATES; s++)
        for (int e = 0; e < SRC_N_EVENTS; e++) {
            struct mig_src m = { .state = (enum src_state)s, .link = true };
            mig_src_step(&m, (enum src_event)e);
            cr_expect_lt(m.state, SRC_N_STATES, "state %d event %d", s, e);
        }
    for (int s = 0; s < DST_N_STATES; s++)
        for (int e = 0; e < DST_N_EVENTS; e++) {
            struct mig_dst m = { .state = (enum dst_state)s, .link = true };
            mig_dst_step(&m, (enum dst_event)e);
            cr_expect_lt(m.state, DST_N_STATES, "state %d event %d", s, e);
        }
}

Test(migproto, a_guest_that_dies_while_it_leaves_is_not_resumed)
{
    struct mig_src m = { 0 };
    mig_src_step(&m, SRC_E_LINK_UP);
    mig_src_step(&m, SRC_E_WELCOME);
    unsigned a = mig_src_step(&m, SRC_E_GUEST_GONE);
    cr_expect_neq(a & SRC_A_SEND_ABORT, 0);
    cr_expect_eq(a & SRC_A_RESUME, 0);
    cr_expect_eq(m.state, SRC_RESUMED);
    cr_expect(m.gone);
}

Test(migproto, names_are_those_of_vm_migrate_query)
{
    cr_expect_str_eq(mig_src_state_name(SRC_STREAMING), "sending");
    cr_expect_str_eq(mig_src_state_name(SRC_GIVEN), "uncertain");
    cr_expect_str_eq(mig_dst_state_name(DST_PREPARED), "preparing");
    cr_expect_str_eq(mig_dst_state_name(DST_ACTIVATING), "running");
}
