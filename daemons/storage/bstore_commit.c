/* bstore_commit - making what was done durable: journal groups.
 *
 * One commit is under way at a time; those who ask meanwhile share the next.
 * The group (which slots hold what, with checksums) and the data are made
 * durable side by side, not one after the other: a group that reached the
 * disk before its data did is recognised after a crash by the checksums, and
 * dropped as a whole (bstore_open.c).  Every later group says that this one
 * was complete, so only the very last is ever checked so.
 * A failed write of the journal is tried again, the same bytes at the same
 * place, before anything newer is cut: who asks after the failure waits for
 * both.  A failed sync is final (what the kernel dropped cannot be known), so
 * the volume refuses writes until it is opened anew. */
#include "storage/bstore_impl.h"

#include "model/view_delta.h"

#include <assert.h>

#define OF(type, member, p) ((type *)((char *)(p)-offsetof(type, member)))

static void tell(struct bs_wait *w, int res)
{
    while (w) {
        struct bs_wait *next = w->next;
        w->done(w, res);
        w = next;
    }
}

static void fail(struct bstore *bs, int error)
{
    if (!bs->failed)
        bs->failed = error;
}

static void on_punched(struct io_op *op, int res)
{
    struct bstore *bs = OF(struct bstore, punch, op);
    bs->punching = false;
    if (res < 0) /* A file system that cannot: the slots stay backed. */
        slots_give(bs->slots, bs->punch_first, bs->punch_n);
    else
        slots_give_punched(bs->slots, bs->punch_first, bs->punch_n);
    bstore_retry_waiting(bs, 0);
}

void bstore_give_space_back(struct bstore *bs, uint32_t keep)
{
    uint32_t spare = slots_n_spare(bs->slots);
    if (bs->punching || bs->waiting || spare < keep + PUNCH_MIN)
        return;
    uint32_t max = spare - keep;
    bs->punch_n =
        slots_take_spare(bs->slots, PUNCH_MIN,
                         max < PUNCH_MAX ? max : PUNCH_MAX, &bs->punch_first);
    if (bs->punch_n == 0)
        return;
    bs->punching = true;
    bs->punch = (struct io_op){ .done = on_punched };
    bs->io->class->punch(bs->io, &bs->punch, bs->data,
                         (uint64_t)bs->punch_first * BLOCK_SIZE,
                         (uint64_t)bs->punch_n * BLOCK_SIZE);
}

/* The end of one try, good or bad. */
static void commit_end(struct bstore *bs)
{
    struct commit *c = &bs->commit;
    int r = c->error ? c->error : bs->failed;
    c->busy = false;
    c->stuck = c->error != 0 && !bs->failed;
    if (r == 0) {
        bs->durable_seq = c->last_seq;
        bs->durable_version = c->version;
        memcpy(bs->durable_state, c->state, sizeof bs->durable_state);
        bstore_recent_committed(bs);
        bs->tail += c->size;
        for (size_t i = 0; i < c->freed.n; i++)
            slots_give(bs->slots, c->freed.v[i], 1);
        c->freed.n = 0;
        bs->counters.commits++;
        bs->counters.journal_bytes += c->size;
    }
    struct bs_wait *waiters = c->waiters;
    c->waiters = NULL;
    tell(waiters, r);
    if (r < 0 && c->again) /* What they wait for cannot even be cut. */
        tell(SC_TAKE(bs->waiters), r);
    bstore_retry_waiting(bs, r);
    if (r == 0) {
        bstore_give_space_back(bs, SPARE_BUSY);
        bstore_checkpoint_maybe(bs);
    }
    bstore_commit_next(bs);
}

static void part_done(struct bstore *bs)
{
    if (--bs->commit.pending == 0)
        commit_end(bs);
}

static void on_data_synced(struct io_op *op, int res)
{
    struct bstore *bs = OF(struct bstore, commit.sync_data, op);
    if (res < 0)
        fail(bs, res);
    part_done(bs);
}

static void on_journal_synced(struct io_op *op, int res)
{
    struct bstore *bs = OF(struct bstore, commit.sync_journal, op);
    if (res < 0)
        fail(bs, res);
    part_done(bs);
}

static void on_journal_written(struct io_op *op, int res)
{
    struct bstore *bs = OF(struct bstore, commit.write, op);
    struct commit *c = &bs->commit;
    if (res < 0 || (size_t)res != c->size) {
        c->error = res < 0 ? res : -ENOSPC;
        part_done(bs);
        return;
    }
    c->sync_journal = (struct io_op){ .done = on_journal_synced };
    bs->io->class->sync(bs->io, &c->sync_journal,
                        bs->journal[bs->generation & 1]);
}

static void write_journal(struct bstore *bs)
{
    struct commit *c = &bs->commit;
    c->write = (struct io_op){ .done = on_journal_written };
    bs->io->class->write(bs->io, &c->write, bs->journal[bs->generation & 1],
                         c->buf, (uint32_t)c->size, bs->tail);
}

static void on_allocated(struct io_op *op, int res)
{
    struct bstore *bs = OF(struct bstore, commit.allocate, op);
    struct commit *c = &bs->commit;
    if (res < 0) {
        c->error = res;
        part_done(bs);
        return;
    }
    bs->journal_size[bs->generation & 1] = bs->tail + c->size + JOURNAL_STEP;
    write_journal(bs);
}

/* Begins one try of the groups in the buffer. */
static void try_commit(struct bstore *bs)
{
    struct commit *c = &bs->commit;
    unsigned which = bs->generation & 1;
    c->busy = true;
    c->again = c->stuck;
    c->error = 0;
    c->pending = 2;
    c->sync_data = (struct io_op){ .done = on_data_synced };
    bs->io->class->sync(bs->io, &c->sync_data, bs->data);
    if (bs->tail + c->size <= bs->journal_size[which]) {
        write_journal(bs);
        return;
    }
    c->allocate = (struct io_op){ .done = on_allocated };
    bs->io->class->allocate(bs->io, &c->allocate, bs->journal[which], bs->tail,
                            c->size + JOURNAL_STEP);
}

static int reserve_buffer(struct commit *c, size_t size)
{
    if (size <= c->capacity)
        return 0;
    uint8_t *buf = aligned_alloc(LAYOUT_PAGE, size * 2);
    if (!buf)
        return -ENOMEM;
    if (c->size)
        memcpy(buf, c->buf, c->size);
    free(c->buf);
    c->buf = buf;
    c->capacity = size * 2;
    return 0;
}

/* Appends one group of at most 'max' listed blocks, the state with the first.
 * The list is read from its end. */
static int add_group(struct bstore *bs, size_t from, uint32_t n, bool state)
{
    struct commit *c = &bs->commit;
    uint32_t state_size = state ? (uint32_t)strlen(bs->state) : 0;
    int r = reserve_buffer(c, c->size + layout_group_size(n, state_size));
    if (r < 0)
        return r;
    uint8_t *buf = c->buf + c->size;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t block = bs->listed.v[from + i];
        struct block b = *block_map_get(bs->map, block);
        layout_record_put(buf + LAYOUT_GROUP_HEADER + (size_t)i * LAYOUT_RECORD,
                          block, &b);
    }
    struct layout_group g = {
        .generation = bs->generation,
        .seq = bs->seq + 1,
        .confirmed = bs->durable_seq,
        .version = bs->version + 1,
        .prev_crc = bs->prev_crc,
        .n_records = n,
        .state_size = state_size,
    };
    memcpy(g.id, bs->info.id, LAYOUT_ID);
    layout_group_seal(buf, &g, (const uint8_t *)bs->state);
    bs->seq = g.seq;
    bs->prev_crc = g.crc;
    c->size += g.total_size;
    return 0;
}

/* Everything listed goes into groups; the lists are empty afterwards. */
static int cut(struct bstore *bs)
{
    struct commit *c = &bs->commit;
    uint64_t seq = bs->seq;
    uint32_t prev_crc = bs->prev_crc;
    c->size = 0;
    size_t from = 0;
    bool state = bs->state_changed;
    int r = 0;
    do {
        size_t left = bs->listed.n - from;
        uint32_t n = left < LAYOUT_GROUP_RECORDS_MAX ? (uint32_t)left
                                                     : LAYOUT_GROUP_RECORDS_MAX;
        r = add_group(bs, from, n, state);
        state = false;
        from += n;
    } while (r == 0 && from < bs->listed.n);
    if (r < 0) {
        bs->seq = seq;
        bs->prev_crc = prev_crc;
        return r;
    }
    for (size_t i = 0; i < bs->listed.n; i++) {
        struct block b = *block_map_get(bs->map, bs->listed.v[i]);
        b.flags &= (uint8_t) ~(BLOCK_LISTED | BLOCK_FRESH);
        r = block_map_set(bs->map, bs->listed.v[i], &b);
        assert(r == 0);
    }
    bs->listed.n = 0;
    struct u32_list freed = c->freed; /* Empty: the last commit ended. */
    c->freed = bs->freed;
    bs->freed = freed;
    bs->state_changed = false;
    memcpy(c->state, bs->state, sizeof c->state);
    c->last_seq = bs->seq;
    c->version = bs->version;
    bs->version++;
    bstore_recent_cut(bs);
    return 0;
}

void bstore_commit_next(struct bstore *bs)
{
    struct commit *c = &bs->commit;
    if (c->busy || !bs->born)
        return;
    bool full = bs->listed.n >= COMMIT_BLOCKS || bs->freed.n >= COMMIT_BLOCKS;
    bool room = bs->waiting && (bs->freed.n > 0);
    if (!bs->waiters && !bs->want && (c->stuck || (!full && !room)))
        return;
    bs->want = false;
    int r = bs->failed;
    if (r == 0 && c->stuck) { /* Who waits now did so for what comes next. */
        try_commit(bs);
        return;
    }
    bool changed = bs->listed.n || bs->state_changed || bs->freed.n;
    if (r == 0 && changed)
        r = cut(bs);
    if (r == 0 && changed) {
        c->waiters = SC_TAKE(bs->waiters);
        try_commit(bs);
        return;
    }
    tell(SC_TAKE(bs->waiters), r); /* Nothing to do, or no hope. */
}

void bstore_commit(struct bstore *bs, struct bs_wait *w)
{
    w->next = bs->waiters;
    bs->waiters = w;
    bstore_commit_next(bs);
}

void bstore_tick(struct bstore *bs)
{
    bool idle = bs->writes_at_tick == bs->installs;
    bs->writes_at_tick = bs->installs;
    if (!bs->born || bs->commit.busy || bs->failed)
        return;
    if (bs->generation != bs->valid_generation)
        bstore_checkpoint_begin(bs, true); /* It failed before: once more. */
    bs->want = bs->listed.n || bs->state_changed || bs->commit.stuck;
    bstore_commit_next(bs);
    if (idle)
        bstore_give_space_back(bs, SPARE_IDLE);
}
