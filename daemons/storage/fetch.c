/* fetch - see fetch.h.
 *
 * One 'struct fetch' a block, in a small table of its volume from the first
 * question until its bytes are kept here: who asks in between just waits. */
#include "storage/fetch.h"

#include "common/loop.h"
#include "storage/peers.h"

#include <assert.h>

enum { BUCKETS = 256, CANDIDATES = 8 };

enum fetch_state { QUEUED, ASKED, RESTING, KEEPING };
struct fetch {
    struct fetch *next; /* In its bucket. */
    struct fetch *link; /* In the queue. */
    struct volume *v;
    uint32_t block;
    uint64_t version;
    uint16_t holder;
    enum fetch_state state;
    unsigned attempt;
    uint64_t deadline_ms; /* 0: nobody waits. */
    struct fetch_waiter *waiters;
    const uint8_t *data; /* While KEEPING. */
};
struct fetcher {
    struct vol_env *env;
    struct peers *peers;
    uint64_t timeout_ms;
    struct fetch *queue, **queue_end;
    unsigned asked; /* Blocks under way. */
    struct sc_source *timer;
    bool resting;
    struct fetch_counters counters;
    struct volume *volumes; /* That have fetches, or had. */
};
/* One request. */
struct batch {
    struct fetcher *f;
    struct volume *v;
    uint16_t nid;
    uint32_t n;
    struct peer_want wants[FETCH_BATCH];
};
/* Bytes that arrived, until all of them are kept. */
struct arrived {
    uint8_t *data; /* Owned. */
    unsigned refs;
};
struct keep {
    struct bs_op op; /* Must be first. */
    struct fetcher *f;
    struct volume *v;
    struct arrived *arrived;
};

/* --- the table ---------------------------------------------------------- */
static struct fetch *find(struct volume *v, uint32_t block)
{
    struct fetch *x = v->fetches ? v->fetches[block % BUCKETS] : NULL;
    while (x && x->block != block)
        x = x->next;
    return x;
}

static struct fetch *make(struct fetcher *f, struct volume *v, uint32_t block)
{
    if (!v->fetches) {
        v->fetches = calloc(BUCKETS, sizeof(struct fetch *));
        if (!v->fetches)
            return NULL;
        v->next_fetching = f->volumes;
        f->volumes = v;
    }
    struct fetch *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    const struct block *b = block_map_get(bstore_map(v->bs), block);
    x->v = v;
    x->block = block;
    x->version = b->version;
    x->holder = b->holder;
    x->next = v->fetches[block % BUCKETS];
    v->fetches[block % BUCKETS] = x;
    *f->queue_end = x;
    f->queue_end = &x->link;
    return x;
}

static void requeue(struct fetcher *f, struct fetch *x)
{
    x->state = QUEUED;
    x->link = NULL;
    *f->queue_end = x;
    f->queue_end = &x->link;
}

/* Takes it from the table, tells those who wait. */
static void end(struct fetch *x, const uint8_t *data, int res)
{
    struct fetch **at = &x->v->fetches[x->block % BUCKETS];
    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    assert(x->state != QUEUED);
    struct fetch_waiter *w = x->waiters;
    free(x);
    while (w) {
        struct fetch_waiter *next = w->next; /* It goes with its part. */
        if (res == 0 && data)
            memcpy(w->to, data, BLOCK_SIZE);
        else if (res == 0)
            memset(w->to, 0, BLOCK_SIZE);
        volume_part_fetched(w->part, res);
        w = next;
    }
}

/* --- what arrives ------------------------------------------------------- */
static void release(struct arrived *a)
{
    if (--a->refs == 0) {
        free(a->data);
        free(a);
    }
}

static void on_kept(struct bs_op *op, int res)
{
    struct keep *k = (struct keep *)op;
    (void)
        res; /* Not kept (no space): it was given, and can be fetched again. */
    for (uint32_t i = 0; i < op->n; i++) {
        struct fetch *x = find(k->v, op->block + i);
        if (!x || x->state != KEEPING)
            continue;
        const struct block *b = block_map_get(bstore_map(k->v->bs), x->block);
        end(x, x->data, b->version == x->version ? 0 : -EAGAIN);
    }
    release(k->arrived);
    free(k);
}

/* Keeps blocks [first, first + n) of one version, side by side in 'data'. */
static void keep(struct fetcher *f, struct volume *v, struct arrived *a,
                 uint32_t first, uint32_t n, uint64_t version,
                 const uint8_t *data)
{
    struct keep *k = calloc(1, sizeof *k);
    if (!k)
        abort(); /* A few bytes: the machine is beyond help. */
    k->f = f;
    k->v = v;
    k->arrived = a;
    a->refs++;
    k->op = (struct bs_op){ .done = on_kept,
                            .block = first,
                            .n = n,
                            .buf = (uint8_t *)(uintptr_t)data,
                            .put = BS_FILL,
                            .version = version };
    bstore_write(v->bs, &k->op);
}

/* Those who wait get it now; later ones until it is kept. */
static void deliver(struct fetch *x, const uint8_t *data)
{
    struct fetch_waiter *w = SC_TAKE(x->waiters);
    x->state = KEEPING;
    x->data = data;
    while (w) {
        struct fetch_waiter *next = w->next;
        memcpy(w->to, data, BLOCK_SIZE);
        volume_part_fetched(w->part, 0);
        w = next;
    }
}

/* This holder did not have it, or did not answer: the next one. */
static void try_next(struct fetcher *f, struct fetch *x)
{
    uint16_t nids[CANDIDATES];
    size_t n = peers_candidates(f->peers, x->holder, nids, CANDIDATES);
    x->attempt++;
    f->counters.retries++;
    if (!x->waiters) { /* Read ahead: not worth it. */
        x->state = ASKED;
        end(x, NULL, -EIO);
    } else if (n && x->attempt % n) {
        requeue(f, x);
    } else {
        x->state = RESTING;
        f->resting = true;
    }
}

/* The view has changed while it was fetched: look at it anew. */
static bool overtaken(struct fetch *x)
{
    const struct block *b = block_map_get(bstore_map(x->v->bs), x->block);
    if (b->version == x->version && b->slot == SLOT_NONE)
        return false;
    end(x, NULL, -EAGAIN);
    return true;
}

/* A version newer than the view's may be shown to a guest that is not the
 * writer (it reads what is there), but is never kept as what it is not. */
static bool may_show_newer(const struct volume *v)
{
    return v->state != VOL_OPEN || !v->rw;
}

static const uint8_t zero_block[BLOCK_SIZE]
    __attribute__((aligned(BLOCK_SIZE)));

static void take_reply(struct batch *b, struct peer_reply *reply)
{
    struct fetcher *f = b->f;
    struct volume *v = b->v;
    struct arrived *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    a->refs = 1;
    a->data = SC_TAKE(reply->data);
    const uint8_t *at = a->data, *run_data = NULL;
    uint32_t run_first = 0, run_n = 0;
    uint64_t run_version = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        const struct peer_block *p = &reply->blocks[i];
        bool has = peer_block_has_data(p);
        const uint8_t *data = has ? at : zero_block;
        at += has ? BLOCK_SIZE : 0;
        struct fetch *x = find(v, b->wants[i].block);
        if (!x || x->state != ASKED || x->version != b->wants[i].version ||
            overtaken(x))
            continue;
        bool right = p->version == x->version && (p->status == PEER_BLOCK_OK ||
                                                  p->status == PEER_BLOCK_ZERO);
        bool newer =
            p->version > x->version && (p->status == PEER_BLOCK_NEWER ||
                                        p->status == PEER_BLOCK_NEWER_ZERO);
        if (newer && may_show_newer(v)) {
            end(x, data, 0);
            continue;
        }
        if (!right) {
            try_next(f, x);
            continue;
        }
        f->counters.blocks++;
        v->blocks_fetched++;
        uint32_t block = x->block;
        uint64_t version = x->version;
        bool joins = run_n && block == run_first + run_n &&
                     version == run_version && has &&
                     data == run_data + (size_t)run_n * BLOCK_SIZE;
        deliver(x, data);
        if (joins) {
            run_n++;
            continue;
        }
        if (run_n)
            keep(f, v, a, run_first, run_n, run_version, run_data);
        run_first = block;
        run_n = 1;
        run_version = version;
        run_data = data;
    }
    if (run_n)
        keep(f, v, a, run_first, run_n, run_version, run_data);
    release(a);
}

static void flush(struct fetcher *f);

static void on_answer(void *arg, int res, struct peer_reply *reply)
{
    struct batch *b = arg;
    struct fetcher *f = b->f;
    if (res == 0 && reply->error == 0 && reply->n == b->n) {
        f->counters.bytes_wire += reply->wire;
        b->v->bytes_fetched += reply->wire;
        take_reply(b, reply);
    } else {
        for (uint32_t i = 0; i < b->n; i++) {
            struct fetch *x = find(b->v, b->wants[i].block);
            if (x && x->state == ASKED && !overtaken(x))
                try_next(f, x);
        }
    }
    b->v->n_batches--;
    f->asked -= b->n;
    free(b);
    flush(f);
}

/* --- asking ------------------------------------------------------------- */
static uint16_t target(struct fetcher *f, const struct fetch *x)
{
    uint16_t nids[CANDIDATES];
    size_t n = peers_candidates(f->peers, x->holder, nids, CANDIDATES);
    return n ? nids[x->attempt % n] : 0;
}

static void ask(struct fetcher *f, struct batch *b)
{
    struct peer_fetch q = { .n = b->n };
    memcpy(q.volume, b->v->raw_id, sizeof q.volume);
    memcpy(q.wants, b->wants, b->n * sizeof b->wants[0]);
    f->counters.requests++;
    f->asked += b->n;
    b->v->n_batches++;
    peers_fetch(f->peers, b->nid, &q, on_answer, b);
}

/* What is queued goes out, neighbours together, as long as not too much is
 * under way: the answers must find room on the way and here. */
static void flush(struct fetcher *f)
{
    struct batch *b = NULL;
    unsigned n = 0; /* In 'b'. */
    uint16_t nid = 0, holder = 0;
    unsigned attempt = 0;
    while (f->queue && f->asked + n < FETCH_ASKED_MAX) {
        struct fetch *x = f->queue;
        f->queue = x->link;
        if (!f->queue)
            f->queue_end = &f->queue;
        x->state = ASKED;
        if (overtaken(x))
            continue;
        /* The peers are ranked once for blocks that are alike. */
        if (holder != x->holder || attempt != x->attempt || nid == 0)
            nid = target(f, x);
        holder = x->holder;
        attempt = x->attempt;
        if (nid == 0) {
            x->state = RESTING;
            f->resting = true;
            continue;
        }
        if (b && (b->v != x->v || b->nid != nid || b->n == FETCH_BATCH)) {
            ask(f, b);
            b = NULL;
            n = 0;
        }
        if (!b) {
            b = calloc(1, sizeof *b);
            if (!b)
                abort();
            *b = (struct batch){ .f = f, .v = x->v, .nid = nid };
        }
        b->wants[b->n++] = (struct peer_want){ x->block, x->version };
        n = b->n;
    }
    if (b)
        ask(f, b);
}

/* Reads in sequence double what is fetched beyond them. */
static void read_ahead(struct fetcher *f, struct volume *v, uint32_t block,
                       uint32_t n)
{
    bool sequential = block == v->ra_next && block != 0;
    v->ra_next = block + n;
    if (!sequential) {
        v->ra_window = 0;
        return;
    }
    v->ra_window = v->ra_window ? v->ra_window * 2 : 8;
    if (v->ra_window > FETCH_AHEAD_MAX)
        v->ra_window = FETCH_AHEAD_MAX;
    uint32_t end = block + n + v->ra_window;
    if (end > bstore_n_blocks(v->bs))
        end = bstore_n_blocks(v->bs);
    for (uint32_t b = block + n; b < end; b++) {
        uint32_t one;
        if (bstore_run(v->bs, b, 1, &one) != BS_MISSING || find(v, b))
            continue;
        if (!make(f, v, b))
            return;
        f->counters.ahead++;
        v->ra_next = b + 1; /* The next miss is beyond what was fetched. */
    }
}

int fetch_part(struct fetcher *f, struct vol_part *part)
{
    struct volume *v = part->layer;
    uint32_t n = part->op.n;
    part->waiters = calloc(n, sizeof *part->waiters);
    if (!part->waiters)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        if (!find(v, part->op.block + i) && !make(f, v, part->op.block + i))
            return -ENOMEM;
    uint64_t deadline = sc_mono_ms() + f->timeout_ms;
    for (uint32_t i = 0; i < n; i++) {
        struct fetch *x = find(v, part->op.block + i);
        struct fetch_waiter *w = &part->waiters[i];
        w->part = part;
        w->to = part->op.buf + (size_t)i * BLOCK_SIZE;
        w->next = x->waiters;
        x->waiters = w;
        if (!x->deadline_ms)
            x->deadline_ms = deadline;
    }
    part->waiting = n;
    read_ahead(f, v, part->op.block, n);
    flush(f);
    return 0;
}

/* --- waiting and giving up ---------------------------------------------- */
/* One that waits too long, or that must go: 'error' to its waiters. */
static struct fetch *next_to_end(struct volume *v, uint64_t now, bool all)
{
    for (int i = 0; v->fetches && i < BUCKETS; i++)
        for (struct fetch *x = v->fetches[i]; x; x = x->next)
            if (x->state != KEEPING &&
                (all || (x->state == RESTING && x->deadline_ms &&
                         now >= x->deadline_ms)))
                return x;
    return NULL;
}

static void wake(struct fetcher *f, struct volume *v)
{
    for (int i = 0; v->fetches && i < BUCKETS; i++)
        for (struct fetch *x = v->fetches[i]; x; x = x->next)
            if (x->state == RESTING)
                requeue(f, x);
}

static void on_timer(void *arg)
{
    struct fetcher *f = arg;
    if (!f->resting)
        return;
    f->resting = false;
    uint64_t now = sc_mono_ms();
    for (struct volume *v = f->volumes; v; v = v->next_fetching) {
        for (struct fetch *x; (x = next_to_end(v, now, false));) {
            f->counters.failures++;
            end(x, NULL, -EIO);
        }
        wake(f, v);
    }
    flush(f);
}

void fetcher_kick(struct fetcher *f)
{
    for (struct volume *v = f->volumes; v; v = v->next_fetching)
        wake(f, v);
    flush(f);
}

void fetcher_drop(struct fetcher *f, struct volume *v, int error)
{
    f->queue_end = &f->queue;
    while (*f->queue_end) { /* Nothing of it stays in the queue. */
        struct fetch *x = *f->queue_end;
        if (x->v == v) {
            *f->queue_end = x->link;
            x->state = RESTING;
        } else {
            f->queue_end = &x->link;
        }
    }
    for (struct fetch *x; (x = next_to_end(v, 0, true));)
        end(x, NULL, error);
}

void fetcher_forget(struct fetcher *f, struct volume *v)
{
    struct volume **at = &f->volumes;
    while (*at && *at != v)
        at = &(*at)->next_fetching;
    if (*at)
        *at = v->next_fetching;
}

struct fetch_counters fetcher_counters(const struct fetcher *f)
{
    return f->counters;
}

int fetcher_new(struct vol_env *env, struct peers *peers, uint64_t timeout_ms,
                struct fetcher **ret)
{
    struct fetcher *f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->env = env;
    f->peers = peers;
    f->timeout_ms = timeout_ms;
    f->queue_end = &f->queue;
    if (sc_loop_add_timer(env->loop, FETCH_RETRY_MS, FETCH_RETRY_MS, on_timer,
                          f, &f->timer) < 0) {
        free(f);
        return -ENOMEM;
    }
    *ret = f;
    return 0;
}

void fetcher_free(struct fetcher *f)
{
    if (f)
        sc_source_free(f->timer);
    free(f);
}
