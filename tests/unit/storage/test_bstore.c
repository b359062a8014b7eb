/* Tests of daemons/storage/bstore*.c: against a model in memory, with a disk
 * that loses, tears and reorders what was not synced, at every crash point. */
#include "storage/bstore.h"

#include "model/view_delta.h"
#include "storage/io_fake.h"

#include <criterion/criterion.h>

enum { N = 200, IN_FLIGHT = 16 };

struct op {
    struct bs_op up; /* Must be first. */
    uint64_t value;  /* That every block of it gets; 0: zeros. */
    bool busy;
    int res;
};

/* What may be in each block: the last committed value or any written later. */
struct world {
    struct io *io;
    struct bstore *bs;
    uint64_t now[N];       /* Last reported done. */
    uint64_t committed[N]; /* At the last commit that succeeded. */
    uint64_t cut[N];       /* When the present commit was asked for. */
    uint64_t next, random;
    struct op ops[IN_FLIGHT];
    uint64_t history[N][64]; /* Values tried since 'committed'. */
    unsigned n_history[N];
    struct bs_wait wait;
    bool waiting;
    uint64_t commits;
};

static uint64_t draw(struct world *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % below;
}

static void on_wait(struct bs_wait *wait, int res)
{
    struct world *w =
        (struct world *)((char *)wait - offsetof(struct world, wait));
    w->waiting = false;
    if (res < 0)
        return;
    w->commits++;
    memcpy(w->committed, w->cut, sizeof w->cut);
}

static void on_op(struct bs_op *up, int res)
{
    struct op *op = (struct op *)up;
    op->busy = false;
    op->res = res;
}

static void commit_all(struct world *w);

static int born_res;
static void on_born(struct bs_wait *wait, int res)
{
    (void)wait;
    born_res = res;
}

static const struct bstore_info info = { .id = "0123456789abcde",
                                         .size = N * 4096 };

static void world_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->random = seed * 7919 + 13;
    w->io = io_fake_new(seed);
    for (int i = 0; i < IN_FLIGHT; i++)
        w->ops[i].up.buf = aligned_alloc(4096, 8 * 4096);
    struct bs_wait born = { .done = on_born };
    born_res = 1;
    cr_assert_eq(
        bstore_create(w->io, "v", "r", &info, "new", &born, &w->bs, NULL), 0);
    io_fake_run(w->io);
    cr_assert_eq(born_res, 0);
    bstore_set_writer(w->bs, 1, 7);
}

static void world_free(struct world *w)
{
    io_fake_run(w->io);
    bstore_free(w->bs);
    io_free(w->io);
    for (int i = 0; i < IN_FLIGHT; i++)
        free(w->ops[i].up.buf);
}

static void fill(uint8_t *buf, uint64_t value, uint32_t block)
{
    memset(buf, 0, 4096);
    for (int i = 0; value && i < 512; i++)
        ((uint64_t *)(void *)buf)[i] = value * 1000003 + block;
}

static void try_value(struct world *w, uint32_t block, uint64_t value)
{
    cr_assert_lt(w->n_history[block], 64);
    w->history[block][w->n_history[block]++] = value;
}

static bool overlaps(struct world *w, uint32_t block, uint32_t n)
{
    for (int i = 0; i < IN_FLIGHT; i++)
        if (w->ops[i].busy && w->ops[i].up.block < block + n &&
            block < w->ops[i].up.block + w->ops[i].up.n)
            return true;
    return false;
}

/* Ends what completed: from now on its value is what a read must give. */
static void settle(struct world *w, bool was_busy[IN_FLIGHT])
{
    for (int i = 0; i < IN_FLIGHT; i++) {
        struct op *op = &w->ops[i];
        if (!was_busy[i] || op->busy || op->res != 0)
            continue;
        for (uint32_t k = 0; k < op->up.n; k++)
            w->now[op->up.block + k] = op->value;
    }
}

static void step(struct world *w)
{
    uint64_t what = draw(w, 100);
    uint32_t n = 1 + (uint32_t)draw(w, 8);
    uint32_t block = (uint32_t)draw(w, N - n + 1);
    if (what < 45) {
        struct op *op = &w->ops[draw(w, IN_FLIGHT)];
        if (op->busy || overlaps(w, block, n))
            return;
        op->up = (struct bs_op){
            .done = on_op, .block = block, .n = n, .buf = op->up.buf
        };
        op->value = draw(w, 10) ? ++w->next : 0;
        for (uint32_t i = 0; i < n; i++) {
            fill(op->up.buf + i * 4096, op->value, block + i);
            try_value(w, block + i, op->value);
        }
        op->busy = true;
        bstore_write(w->bs, &op->up);
    } else if (what < 50) {
        if (overlaps(w, block, n))
            return;
        for (uint32_t i = 0; i < n; i++)
            try_value(w, block + i, 0);
        if (bstore_zero(w->bs, block, n) == 0)
            memset(w->now + block, 0, n * sizeof w->now[0]);
    } else if (what < 55 && !w->waiting) {
        memcpy(w->cut, w->now, sizeof w->cut);
        w->wait = (struct bs_wait){ .done = on_wait };
        w->waiting = true;
        bstore_commit(w->bs, &w->wait);
    } else {
        bool was_busy[IN_FLIGHT];
        for (int i = 0; i < IN_FLIGHT; i++)
            was_busy[i] = w->ops[i].busy;
        io_fake_run_one(w->io);
        settle(w, was_busy);
    }
}

static void on_read(struct bs_op *op, int res)
{
    ((struct op *)op)->busy = false;
    ((struct op *)op)->res = res;
}

/* Which value has 'block'?  UINT64_MAX: bytes that nobody wrote. */
static uint64_t value_of(struct world *w, uint32_t block)
{
    uint8_t *buf = aligned_alloc(4096, 4096);
    uint8_t *want = aligned_alloc(4096, 4096);
    uint32_t n;
    uint64_t v = UINT64_MAX;
    enum bs_kind kind = bstore_run(w->bs, block, 1, &n);
    memset(buf, 0, 4096);
    if (kind == BS_LOCAL) {
        struct op op = {
            .up = { .done = on_read, .block = block, .n = 1, .buf = buf },
            .busy = true
        };
        bstore_read(w->bs, &op.up);
        io_fake_run(w->io);
        if (op.res != 0)
            buf[0] = 0x55;
    }
    fill(want, 0, block);
    if (memcmp(buf, want, 4096) == 0)
        v = 0;
    for (uint64_t i = 1; v == UINT64_MAX && i <= w->next; i++) {
        fill(want, i, block);
        if (memcmp(buf, want, 4096) == 0)
            v = i;
    }
    free(buf);
    free(want);
    return v;
}

/* Power loss (or kill -9), recovery; then every block is what a commit promised
 * (or what was answered), or something that was written after it.  Returns the
 * number that is not. */
static unsigned crash_and_check_by(struct world *w, bool kill)
{
    if (kill)
        io_fake_kill(w->io);
    else
        io_fake_crash(w->io);
    bstore_free(w->bs);
    w->bs = NULL;
    w->waiting = false;
    bool was_busy[IN_FLIGHT];
    for (int i = 0; i < IN_FLIGHT; i++) {
        was_busy[i] = w->ops[i].busy;
        if (w->ops[i].busy)
            free(w->ops[i].up.more); /* Its op will never end. */
        w->ops[i].busy = false;
    }
    struct sc_err err = { 0 };
    if (bstore_open(w->io, "v", "r", &w->bs, &err) < 0) {
        cr_log_warn("open: %s", err.text);
        return N;
    }
    bstore_set_writer(w->bs, 1, 7);
    unsigned wrong = 0;
    for (uint32_t b = 0; b < N; b++) {
        uint64_t v = value_of(w, b);
        bool ok = v == (kill ? w->now[b] : w->committed[b]);
        for (unsigned i = 0; !ok && !kill && i < w->n_history[b]; i++)
            ok = v == w->history[b][i];
        /* What was under way and not answered may be there as well. */
        for (int i = 0; !ok && i < IN_FLIGHT; i++)
            ok = w->ops[i].up.block <= b &&
                 b < w->ops[i].up.block + w->ops[i].up.n && was_busy[i] &&
                 v == w->ops[i].value;
        wrong += !ok;
        w->now[b] = v;
    }
    io_fake_run(w->io);
    memcpy(w->cut, w->now, sizeof w->now);
    return wrong;
}

static unsigned crash_and_check(struct world *w)
{
    return crash_and_check_by(w, false);
}

/* After a commit, older values may not come back. */
static void forget_history(struct world *w)
{
    for (uint32_t b = 0; b < N; b++) {
        unsigned n = 0;
        for (unsigned i = 0; i < w->n_history[b]; i++)
            if (w->history[b][i] > w->committed[b] || w->history[b][i] == 0)
                w->history[b][n++] = w->history[b][i];
        w->n_history[b] = n;
    }
}

static void commit_all(struct world *w)
{
    bool was_busy[IN_FLIGHT];
    for (int i = 0; i < IN_FLIGHT; i++)
        was_busy[i] = w->ops[i].busy;
    io_fake_run(w->io);
    settle(w, was_busy);
    memcpy(w->cut, w->now, sizeof w->cut);
    w->wait = (struct bs_wait){ .done = on_wait };
    w->waiting = true;
    bstore_commit(w->bs, &w->wait);
    io_fake_run(w->io);
    cr_assert_not(w->waiting);
    memset(w->n_history, 0, sizeof w->n_history);
}

Test(bstore, what_was_committed_survives_a_crash_at_any_point)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct world w;
        world_init(&w, seed);
        for (int life = 0; life < 4; life++) {
            uint64_t steps = draw(&w, 400);
            for (uint64_t i = 0; i < steps; i++) {
                uint64_t commits = w.commits;
                step(&w);
                if (w.commits != commits)
                    forget_history(&w);
            }
            unsigned wrong = crash_and_check(&w);
            cr_assert_eq(wrong, 0, "seed %d, life %d: %u blocks are wrong",
                         (int)seed, life, wrong);
            commit_all(&w);
        }
        world_free(&w);
    }
}

Test(bstore, what_was_answered_survives_kill_9_at_any_point)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct world w;
        world_init(&w, seed);
        for (int life = 0; life < 5; life++) {
            uint64_t steps = draw(&w, 300);
            for (uint64_t i = 0; i < steps; i++) {
                cr_assert_not(bstore_must_commit(w.bs) && life == 0);
                uint64_t commits = w.commits;
                step(&w);
                if (w.commits != commits)
                    forget_history(&w);
                /* Later lives: as the volume does it. */
                if (bstore_must_commit(w.bs))
                    commit_all(&w);
            }
            unsigned wrong = crash_and_check_by(&w, true);
            cr_assert_eq(wrong, 0, "seed %d, life %d: %u blocks are wrong",
                         (int)seed, life, wrong);
            if (draw(&w, 2)) { /* And then the power fails. */
                if (draw(&w, 2))
                    commit_all(&w);
                wrong = crash_and_check_by(&w, false);
                cr_assert_eq(wrong, 0, "seed %d, life %d, power: %u are wrong",
                             (int)seed, life, wrong);
            }
            memset(w.n_history, 0, sizeof w.n_history);
            commit_all(&w);
        }
        world_free(&w);
    }
}

Test(bstore, a_disk_that_ignores_syncs_is_noticed_by_the_same_test)
{
    unsigned wrong = 0;
    for (uint64_t seed = 1; seed <= 20 && wrong == 0; seed++) {
        struct world w;
        world_init(&w, seed);
        io_fake_set_lying(w.io, true);
        for (int i = 0; i < 200; i++)
            step(&w);
        commit_all(&w);
        wrong = crash_and_check(&w);
        world_free(&w);
    }
    cr_assert_gt(wrong, 0);
}

Test(bstore, reads_give_what_was_written_while_writes_and_commits_run)
{
    struct world w;
    world_init(&w, 99);
    for (int i = 0; i < 3000; i++) {
        step(&w);
        if (i % 50 == 0)
            commit_all(&w);
    }
    commit_all(&w);
    for (uint32_t b = 0; b < N; b++)
        cr_assert_eq(value_of(&w, b), w.now[b], "block %u", b);
    world_free(&w);
}

/* --- single cases ------------------------------------------------------- */
static int done_res;
static void on_done(struct bs_op *op, int res)
{
    (void)op;
    done_res = res;
}

static int write_value(struct world *w, uint32_t block, uint32_t n,
                       uint64_t value)
{
    uint8_t *buf = aligned_alloc(4096, n * 4096);
    for (uint32_t i = 0; i < n; i++)
        fill(buf + i * 4096, value, block + i);
    if (value > w->next)
        w->next = value;
    struct bs_op op = { .done = on_done, .block = block, .n = n, .buf = buf };
    done_res = 1;
    bstore_write(w->bs, &op);
    io_fake_run(w->io);
    free(buf);
    return done_res;
}

static int commit_res;
static void on_commit(struct bs_wait *wait, int res)
{
    (void)wait;
    commit_res = res;
}

static int commit(struct world *w)
{
    struct bs_wait wait = { .done = on_commit };
    commit_res = 1;
    bstore_commit(w->bs, &wait);
    io_fake_run(w->io);
    return commit_res;
}

Test(bstore, the_state_comes_back_as_it_was_committed)
{
    struct world w;
    world_init(&w, 1);
    bstore_set_state(w.bs, "attached rw 5");
    cr_assert_eq(commit(&w), 0);
    bstore_set_state(w.bs, "never committed");
    crash_and_check(&w);
    cr_expect_str_eq(bstore_state(w.bs), "attached rw 5");
    world_free(&w);
}

Test(bstore, a_block_with_a_flipped_bit_is_an_error_not_data)
{
    struct world w;
    world_init(&w, 1);
    cr_assert_eq(write_value(&w, 3, 1, 42), 0);
    uint32_t slot = block_map_get(bstore_map(w.bs), 3)->slot;
    cr_assert_eq(value_of(&w, 3), 42);
    io_fake_rot(w.io, "v/data", slot * 4096 + 77);
    cr_expect_eq(value_of(&w, 3), UINT64_MAX);
    cr_expect_eq(bstore_counters(w.bs)->corrupt, 1);
    world_free(&w);
}

Test(bstore, a_failed_sync_refuses_writes_until_opened_anew)
{
    struct world w;
    world_init(&w, 1);
    cr_assert_eq(write_value(&w, 0, 1, 1), 0);
    cr_assert_eq(commit(&w), 0);
    cr_assert_eq(write_value(&w, 0, 1, 2), 0);
    io_fake_fail(w.io, IO_FAKE_SYNC, 1, -EIO);
    cr_expect_eq(commit(&w), -EIO);
    cr_expect_eq(write_value(&w, 0, 1, 3), -EIO);
    cr_expect_eq(commit(&w), -EIO);
    memset(w.committed, 0, sizeof w.committed);
    w.committed[0] = 1;
    try_value(&w, 0, 2);
    cr_expect_eq(crash_and_check(&w), 0);
    cr_expect_eq(write_value(&w, 0, 1, 4), 0);
    cr_expect_eq(commit(&w), 0);
    world_free(&w);
}

Test(bstore, a_full_disk_fails_the_write_and_harms_nothing_else)
{
    struct world w;
    world_init(&w, 1);
    cr_assert_eq(write_value(&w, 0, 8, 1), 0);
    cr_assert_eq(commit(&w), 0);
    io_fake_set_space(w.io, 1);
    int r = 0;
    uint64_t value = 1;
    for (int i = 0; i < 300 && r == 0; i++)
        r = write_value(&w, (uint32_t)(i % 20) * 8, 8, ++value);
    cr_expect_eq(r, -ENOSPC);
    io_fake_set_space(w.io, 0);
    cr_expect_eq(write_value(&w, 0, 8, ++value), 0);
    cr_expect_eq(commit(&w), 0);
    cr_expect_eq(value_of(&w, 7), value);
    world_free(&w);
}

Test(bstore, a_journal_without_room_is_tried_again)
{
    struct world w;
    world_init(&w, 1);
    cr_assert_eq(write_value(&w, 5, 1, 9), 0);
    io_fake_fail(w.io, IO_FAKE_ALLOCATE, 1, -ENOSPC);
    cr_expect_eq(commit(&w), -ENOSPC);
    cr_expect_eq(commit(&w), 0);
    memset(w.committed, 0, sizeof w.committed);
    w.committed[5] = 9;
    cr_expect_eq(crash_and_check(&w), 0);
    world_free(&w);
}

Test(bstore, a_commit_after_one_that_failed_has_what_was_written_in_between)
{
    struct world w;
    world_init(&w, 1);
    cr_assert_eq(write_value(&w, 5, 1, 9), 0);
    io_fake_fail(w.io, IO_FAKE_ALLOCATE, 1, -ENOSPC);
    cr_expect_eq(commit(&w), -ENOSPC);
    cr_assert_eq(write_value(&w, 6, 1, 10), 0);
    bstore_set_state(w.bs, "said in between");
    cr_expect_eq(commit(&w), 0); /* The old group, and then the new. */
    memset(w.committed, 0, sizeof w.committed);
    w.committed[5] = 9;
    w.committed[6] = 10;
    cr_expect_eq(crash_and_check(&w), 0);
    cr_expect_str_eq(bstore_state(w.bs), "said in between");
    world_free(&w);
}

Test(bstore, a_journal_that_stays_without_room_is_told_to_all_who_wait)
{
    struct world w;
    world_init(&w, 1);
    cr_assert_eq(write_value(&w, 5, 1, 9), 0);
    io_fake_set_space(w.io, 1);
    cr_expect_eq(commit(&w), -ENOSPC);
    struct bs_wait more[3];
    for (int i = 0; i < 3; i++) {
        more[i] = (struct bs_wait){ .done = on_commit };
        commit_res = 1;
        bstore_commit(w.bs, &more[i]);
        if (i == 1)
            continue; /* Two at once. */
        io_fake_run(w.io);
        cr_expect_eq(commit_res, -ENOSPC);
    }
    io_fake_set_space(w.io, 0);
    cr_expect_eq(commit(&w), 0);
    world_free(&w);
}

/* A checkpoint is under way for the whole of it: whatever the moment, the state
 * says nothing that the blocks do not bear out. */
Test(bstore, a_checkpoint_never_has_a_state_before_the_blocks_it_speaks_of)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world w;
        world_init(&w, seed);
        uint64_t before = bstore_counters(w.bs)->checkpoints;
        int last = 0;
        for (int i = 1; i < 2200; i++) { /* Until one has begun. */
            char state[32];
            snprintf(state, sizeof state, "%d", i);
            bstore_set_state(w.bs, state);
            cr_assert_eq(bstore_learn(w.bs, (uint32_t)i % N,
                                      view_version(1, (uint64_t)i + 1), 9,
                                      false),
                         0);
            struct bs_wait wait = { .done = on_commit };
            commit_res = 1;
            bstore_commit(w.bs, &wait);
            while (commit_res == 1 && io_fake_run_one(w.io))
                ;
            cr_assert_eq(commit_res, 0);
            last = i;
            if (io_fake_pending(w.io))
                break;
        }
        /* It goes on; at some step the state and a block change. */
        for (uint64_t k = 0; k < seed % 8; k++)
            io_fake_run_one(w.io);
        cr_assert_eq(bstore_learn(w.bs, 0, view_version(1, 1 << 20), 9, false),
                     0);
        bstore_set_state(w.bs, "after");
        while (bstore_counters(w.bs)->checkpoints == before &&
               io_fake_run_one(w.io))
            ;
        cr_assert_gt(bstore_counters(w.bs)->checkpoints, before);
        io_fake_crash(w.io);
        bstore_free(w.bs);
        cr_assert_eq(bstore_open(w.io, "v", "r", &w.bs, NULL), 0);
        bool knows = block_map_get(bstore_map(w.bs), 0)->version ==
                     view_version(1, 1 << 20);
        bool says = strcmp(bstore_state(w.bs), "after") == 0;
        cr_expect(!says || knows, "seed %d: after group %d the state is '%s'",
                  (int)seed, last, bstore_state(w.bs));
        world_free(&w);
    }
}

Test(bstore, trimmed_space_is_given_back)
{
    struct world w;
    world_init(&w, 1);
    cr_assert_eq(write_value(&w, 0, 100, 3), 0);
    cr_assert_eq(commit(&w), 0);
    uint64_t before = io_fake_used(w.io, "v/data");
    cr_assert_eq(bstore_zero(w.bs, 0, 100), 0);
    cr_assert_eq(commit(&w), 0);
    for (int i = 0; i < 20; i++) {
        bstore_tick(w.bs);
        io_fake_run(w.io);
    }
    cr_expect_leq(io_fake_used(w.io, "v/data"), before - 100 * 4096);
    cr_expect_eq(value_of(&w, 50), 0);
    world_free(&w);
}

Test(bstore, a_checkpoint_under_load_loses_nothing)
{
    struct world w;
    world_init(&w, 5);
    /* Small journals only: force many by many state changes. */
    for (int i = 0; i < 2500; i++) {
        char state[32];
        snprintf(state, sizeof state, "s%d", i);
        bstore_set_state(w.bs, state);
        cr_assert_eq(write_value(&w, (uint32_t)i % N, 1, (uint64_t)i + 1), 0);
        cr_assert_eq(commit(&w), 0);
    }
    cr_expect_geq(bstore_counters(w.bs)->checkpoints, 2);
    for (uint32_t b = 0; b < N; b++)
        w.committed[b] = 2300 + b + 1 - 100 + (b < 100 ? 200 : 0);
    cr_expect_eq(crash_and_check(&w), 0);
    cr_expect_str_eq(bstore_state(w.bs), "s2499");
    world_free(&w);
}

Test(bstore, a_volume_whose_making_was_cut_short_is_not_there)
{
    int seen[2] = { 0, 0 };
    for (uint64_t seed = 1; seed < 60; seed++) {
        struct io *io = io_fake_new(seed);
        struct bstore *bs = NULL;
        struct bs_wait born = { .done = on_born };
        cr_assert_eq(bstore_create(io, "v", "r", &info, "x", &born, &bs, NULL),
                     0);
        for (uint64_t i = 0; i < seed % 4; i++)
            io_fake_run_one(io);
        io_fake_crash(io);
        bstore_free(bs);
        bs = NULL;
        int r = bstore_open(io, "v", "r", &bs, NULL);
        cr_assert(r == 0 || r == -ENOENT);
        seen[r == 0]++;
        bstore_free(bs);
        io_free(io);
    }
    cr_expect(seen[0] > 0 && seen[1] > 0);
}

Test(bstore, a_version_shown_to_others_is_durable_and_never_reused)
{
    struct world w;
    world_init(&w, 1);
    cr_assert_eq(write_value(&w, 0, 1, 1), 0);
    cr_expect_not(bstore_is_durable(w.bs, 0));
    cr_assert_eq(commit(&w), 0);
    cr_expect(bstore_is_durable(w.bs, 0));
    uint64_t shown = block_map_get(bstore_map(w.bs), 0)->version;
    cr_assert_eq(write_value(&w, 0, 1, 2), 0);
    cr_expect_not(bstore_is_durable(w.bs, 0));
    memset(w.committed, 0, sizeof w.committed);
    w.committed[0] = 1;
    cr_assert_eq(crash_and_check(&w), 0);
    cr_assert_eq(write_value(&w, 0, 1, 3), 0);
    cr_expect_gt(block_map_get(bstore_map(w.bs), 0)->version, shown);
    world_free(&w);
}

Test(bstore, a_fetched_block_fills_only_the_version_that_is_wanted)
{
    struct world w;
    world_init(&w, 1);
    uint64_t v = view_version(3, 9);
    cr_assert_eq(bstore_learn(w.bs, 4, v, 2, false), 0);
    uint32_t n;
    cr_expect_eq(bstore_run(w.bs, 4, 1, &n), BS_MISSING);
    uint8_t *buf = aligned_alloc(4096, 4096);
    fill(buf, 5, 4);
    w.next = 5;
    struct bs_op op = { .done = on_done,
                        .block = 4,
                        .n = 1,
                        .buf = buf,
                        .put = BS_FILL,
                        .version = v - 1 };
    bstore_write(w.bs, &op);
    io_fake_run(w.io);
    cr_expect_eq(bstore_run(w.bs, 4, 1, &n), BS_MISSING);
    op = (struct bs_op){ .done = on_done,
                         .block = 4,
                         .n = 1,
                         .buf = buf,
                         .put = BS_FILL,
                         .version = v };
    bstore_write(w.bs, &op);
    io_fake_run(w.io);
    cr_expect_eq(bstore_run(w.bs, 4, 1, &n), BS_LOCAL);
    cr_expect_eq(value_of(&w, 4), 5);
    cr_expect_eq(block_map_get(bstore_map(w.bs), 4)->holder, 2);
    cr_assert_eq(bstore_learn(w.bs, 4, v + 1, 3, false), 0);
    cr_expect_eq(bstore_run(w.bs, 4, 1, &n), BS_MISSING);
    free(buf);
    world_free(&w);
}
