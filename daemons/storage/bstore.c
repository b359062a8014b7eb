/* bstore - see bstore.h: reads, writes and changes of the map.
 *
 * A write is never in place: slots are taken, written, and only then does the
 * map point to them.  A read therefore needs no lock: if the entry changed
 * while it was under way, it is done again. */
#include "storage/bstore_impl.h"

#include "model/view_delta.h"
#include "storage/crc32c.h"

#include <assert.h>

static const uint8_t zeros[BLOCK_SIZE];

int u32_list_reserve(struct u32_list *l, size_t more)
{
    if (l->n + more <= l->capacity)
        return 0;
    size_t capacity = (l->n + more) * 2 + 64;
    uint32_t *v = realloc(l->v, capacity * sizeof *v);
    if (!v)
        return -ENOMEM;
    l->v = v;
    l->capacity = capacity;
    return 0;
}

const struct bstore_info *bstore_info(const struct bstore *bs)
{
    return &bs->info;
}

const struct block_map *bstore_map(const struct bstore *bs)
{
    return bs->map;
}

uint32_t bstore_n_blocks(const struct bstore *bs)
{
    return bs->n_blocks;
}

const char *bstore_state(const struct bstore *bs)
{
    return bs->state;
}

void bstore_set_state(struct bstore *bs, const char *text)
{
    assert(strlen(text) < sizeof bs->state);
    if (strcmp(bs->state, text) == 0)
        return;
    memcpy(bs->state, text, strlen(text) + 1);
    bs->state_changed = true;
}

void bstore_set_writer(struct bstore *bs, uint32_t epoch, uint16_t self)
{
    bs->self = self;
    if (view_version_epoch(bs->version) < epoch)
        bs->version = view_version(epoch, 1);
}

int bstore_failed(const struct bstore *bs)
{
    return bs->failed;
}

const struct bstore_counters *bstore_counters(const struct bstore *bs)
{
    return &bs->counters;
}

static enum bs_kind kind_of(const struct block *b)
{
    if (b->version == 0)
        return BS_ABSENT;
    if (b->slot == SLOT_ZERO)
        return BS_ZERO;
    return b->slot == SLOT_NONE ? BS_MISSING : BS_LOCAL;
}

enum bs_kind bstore_run(const struct bstore *bs, uint32_t block, uint32_t max,
                        uint32_t *ret_n)
{
    const struct block *b = block_map_get(bs->map, block);
    enum bs_kind kind = kind_of(b);
    uint32_t slot = b->slot, n = 1;
    for (; n < max && block + n < bs->n_blocks; n++) {
        b = block_map_get(bs->map, block + n);
        if (kind_of(b) != kind || (kind == BS_LOCAL && b->slot != slot + n))
            break;
    }
    *ret_n = n;
    return kind;
}

bool bstore_is_durable(const struct bstore *bs, uint32_t block)
{
    const struct block *b = block_map_get(bs->map, block);
    if (!(b->flags & BLOCK_DIRTY) || b->holder != bs->self)
        return true;
    return !(b->flags & BLOCK_FRESH) && b->version <= bs->durable_version;
}

uint64_t bstore_durable_version(const struct bstore *bs)
{
    return bs->durable_version;
}

bool bstore_is_quiet(const struct bstore *bs)
{
    return bs->ops == 0 && !bs->commit.busy && !bs->checkpoint.busy &&
           !bs->growing && !bs->punching && !bs->waiting && !bs->waiters;
}

/* --- changes of the map ------------------------------------------------- */
int bstore_reserve(struct bstore *bs, uint32_t block, uint32_t n)
{
    if (u32_list_reserve(&bs->listed, n) < 0 ||
        u32_list_reserve(&bs->freed, n) < 0)
        return -ENOMEM;
    for (uint32_t b = block / BLOCK_LEAF; b <= (block + n - 1) / BLOCK_LEAF;
         b++)
        if (block_map_reserve(bs->map, b * BLOCK_LEAF) < 0)
            return -ENOMEM;
    return 0;
}

void bstore_install(struct bstore *bs, uint32_t block, struct block b)
{
    const struct block *old = block_map_get(bs->map, block);
    b.fr = old->fr;
    b.fw = old->fw;
    b.flags &= BLOCK_KEEP_FLAGS;
    if (b.slot != old->slot) {
        if (old->slot < SLOT_MAX) {
            if (old->flags & BLOCK_FRESH)
                slots_give(bs->slots, old->slot, 1);
            else
                u32_list_push(&bs->freed, old->slot);
        }
        b.flags |= BLOCK_FRESH;
    } else {
        b.flags |= old->flags & BLOCK_FRESH;
    }
    if (!(old->flags & BLOCK_LISTED))
        u32_list_push(&bs->listed, block);
    b.flags |= BLOCK_LISTED;
    bs->installs++;
    bstore_recent_note(bs, block, &b);
    int r = block_map_set(bs->map, block, &b);
    assert(r == 0); /* Reserved. */
    (void)r;
}

int bstore_learn(struct bstore *bs, uint32_t block, uint64_t version,
                 uint16_t holder, bool dirty)
{
    struct block b = *block_map_get(bs->map, block);
    uint8_t flags = dirty ? BLOCK_DIRTY : 0;
    if (b.version == version && b.holder == holder &&
        (b.flags & BLOCK_DIRTY) == flags)
        return 0;
    if (bstore_reserve(bs, block, 1) < 0)
        return -ENOMEM;
    if (b.version != version)
        b.slot = SLOT_NONE;
    b.version = version;
    b.holder = holder;
    b.flags = flags;
    bstore_install(bs, block, b);
    return 0;
}

int bstore_forget(struct bstore *bs, uint32_t block)
{
    if (block_map_get(bs->map, block)->version == 0)
        return 0;
    if (bstore_reserve(bs, block, 1) < 0)
        return -ENOMEM;
    bstore_install(bs, block, (struct block){ .slot = SLOT_NONE });
    return 0;
}

int bstore_drop(struct bstore *bs, uint32_t block)
{
    struct block b = *block_map_get(bs->map, block);
    if (bstore_reserve(bs, block, 1) < 0)
        return -ENOMEM;
    b.slot = SLOT_NONE;
    bstore_install(bs, block, b);
    return 0;
}

int bstore_clean(struct bstore *bs, uint32_t block, uint64_t version)
{
    struct block b = *block_map_get(bs->map, block);
    if (b.version != version || !(b.flags & BLOCK_DIRTY))
        return 0;
    if (bstore_reserve(bs, block, 1) < 0)
        return -ENOMEM;
    b.flags &= (uint8_t)~BLOCK_DIRTY;
    bstore_install(bs, block, b);
    return 0;
}

int bstore_zero(struct bstore *bs, uint32_t block, uint32_t n)
{
    if (bs->failed)
        return bs->failed;
    while (n > 0) {
        uint32_t k;
        enum bs_kind kind = bstore_run(bs, block, n, &k);
        /* Absent without a parent is zero already. */
        if (kind != BS_ZERO && (kind != BS_ABSENT || bs->info.has_parent)) {
            if (k > BLOCK_LEAF)
                k = BLOCK_LEAF;
            if (bstore_reserve(bs, block, k) < 0)
                return -ENOMEM;
            for (uint32_t i = 0; i < k; i++) {
                bstore_install(bs, block + i,
                               (struct block){ .slot = SLOT_ZERO,
                                               .version = bs->version,
                                               .holder = bs->self,
                                               .flags = BLOCK_DIRTY });
                block_map_count(bs->map, block + i, true);
            }
        }
        block += k;
        n -= k;
    }
    bstore_commit_next(bs);
    return 0;
}

/* --- reads -------------------------------------------------------------- */
static void finish(struct bs_op *op, int res)
{
    struct bstore *bs = op->bs;
    free(op->more);
    op->more = NULL;
    bs->ops--;
    op->done(op, res);
}

/* What was read of one block is right if the entry is the one it was read by
 * and the sum fits it. */
static int check_block(struct bs_op *op, uint32_t i)
{
    struct bstore *bs = op->bs;
    const struct block *b = block_map_get(bs->map, op->block + i);
    if (b->slot != op->first.slot + i)
        return -EAGAIN;
    if (crc32c(0, op->buf + (size_t)i * BLOCK_SIZE, BLOCK_SIZE) == b->crc) {
        block_map_count(bs->map, op->block + i, false);
        return 0;
    }
    if (bs->installs != op->installs)
        return -EAGAIN;
    bs->counters.corrupt++;
    return -EBADMSG;
}

static void on_read(struct io_op *io, int res)
{
    struct bs_run *run =
        (struct bs_run *)((char *)io - offsetof(struct bs_run, io));
    struct bs_op *op = run->op;
    int r = res < 0 ? res : 0;
    if (r == 0 && (uint32_t)res != op->n * BLOCK_SIZE)
        r = -EIO;
    for (uint32_t i = 0; r == 0 && i < op->n; i++)
        r = check_block(op, i);
    op->bs->counters.reads++;
    op->bs->counters.bytes_read += (uint64_t)op->n * BLOCK_SIZE;
    finish(op, r);
}

void bstore_read(struct bstore *bs, struct bs_op *op)
{
    op->bs = bs;
    op->more = NULL;
    op->installs = bs->installs;
    op->first = (struct bs_run){
        .io.done = on_read,
        .op = op,
        .n = op->n,
        .slot = block_map_get(bs->map, op->block)->slot,
    };
    bs->ops++;
    bs->io->class->read(bs->io, &op->first.io, bs->data, op->buf,
                        op->n * BLOCK_SIZE,
                        (uint64_t)op->first.slot * BLOCK_SIZE);
}

/* --- writes ------------------------------------------------------------- */
static struct bs_run *run_at(struct bs_op *op, uint32_t i)
{
    return i == 0 ? &op->first : &op->more[i - 1];
}

static void give_runs(struct bs_op *op)
{
    for (uint32_t i = 0; i <= op->n_more; i++) {
        struct bs_run *run = run_at(op, i);
        if (run->n && run->slot < SLOT_MAX)
            slots_give(op->bs->slots, run->slot, run->n);
    }
}

static void install_block(struct bs_op *op, uint32_t at, uint32_t slot)
{
    struct bstore *bs = op->bs;
    uint32_t block = op->block + at;
    const struct block *old = block_map_get(bs->map, block);
    const uint8_t *data = op->buf + (size_t)at * BLOCK_SIZE;
    struct block b = {
        .slot = slot,
        .crc = slot == SLOT_ZERO ? 0 : crc32c(0, data, BLOCK_SIZE),
        .version = bs->version,
        .holder = bs->self,
        .flags = BLOCK_DIRTY,
    };
    if (op->put == BS_FILL) {
        if (old->version != op->version || old->slot != SLOT_NONE) {
            if (slot < SLOT_MAX) /* No longer wanted. */
                slots_give(bs->slots, slot, 1);
            return;
        }
        b.version = old->version;
        b.holder = old->holder;
        b.flags = old->flags & BLOCK_DIRTY;
    }
    bstore_install(bs, block, b);
    if (op->put != BS_FILL)
        block_map_count(bs->map, block, true);
}

static void write_end(struct bs_op *op)
{
    struct bstore *bs = op->bs;
    int r = op->error;
    if (r == 0)
        r = bs->failed;
    if (r == 0 && op->put == BS_REPLACE) {
        const struct block *b = block_map_get(bs->map, op->block);
        if (b->slot != op->slot || b->crc != op->crc)
            r = -EAGAIN;
    }
    if (r == 0)
        r = bstore_reserve(bs, op->block, op->n);
    if (r < 0)
        give_runs(op);
    for (uint32_t i = 0; r == 0 && i <= op->n_more; i++) {
        const struct bs_run *run = run_at(op, i);
        for (uint32_t k = 0; k < run->n; k++)
            install_block(op, run->at + k,
                          run->slot == SLOT_ZERO ? SLOT_ZERO : run->slot + k);
    }
    bs->counters.writes++;
    bs->counters.bytes_written += (uint64_t)op->n * BLOCK_SIZE;
    finish(op, r);
    bstore_commit_next(bs);
}

static void on_write(struct io_op *io, int res)
{
    struct bs_run *run =
        (struct bs_run *)((char *)io - offsetof(struct bs_run, io));
    struct bs_op *op = run->op;
    if (res < 0)
        op->error = res;
    else if (run->slot < SLOT_MAX && (uint32_t)res != run->n * BLOCK_SIZE)
        op->error = -EIO;
    if (--op->pending == 0)
        write_end(op);
}

static bool is_zero(const uint8_t *p)
{
    uint64_t first;
    memcpy(&first, p, sizeof first);
    return first == 0 && memcmp(p, zeros, BLOCK_SIZE) == 0;
}

static void on_grown(struct io_op *io, int res)
{
    struct bstore *bs =
        (struct bstore *)((char *)io - offsetof(struct bstore, grow));
    bs->growing = false;
    if (res >= 0)
        res = slots_grow(bs->slots, bs->grow_to);
    bstore_retry_waiting(bs, res);
    bstore_commit_next(bs);
}

/* False: the file cannot grow any more. */
static bool grow(struct bstore *bs)
{
    uint32_t n = slots_size(bs->slots);
    uint32_t step = n / 8;
    step = step < GROW_MIN ? GROW_MIN : step > GROW_MAX ? GROW_MAX : step;
    if (bs->growing)
        return true;
    if (n >= SLOT_MAX - step)
        return false;
    bs->growing = true;
    bs->grow_to = n + step;
    bs->grow = (struct io_op){ .done = on_grown };
    bs->io->class->allocate(bs->io, &bs->grow, bs->data,
                            (uint64_t)n * BLOCK_SIZE,
                            (uint64_t)step * BLOCK_SIZE);
    return true;
}

/* Cuts the op into runs with slots of their own.  1: no slots now; -errno. */
static int plan_write(struct bs_op *op)
{
    struct bstore *bs = op->bs;
    uint32_t capacity = 0;
    op->first.n = 0;
    op->n_more = 0;
    for (uint32_t at = 0; at < op->n;) {
        bool zero = is_zero(op->buf + (size_t)at * BLOCK_SIZE);
        uint32_t n = 1, slot = SLOT_ZERO;
        while (at + n < op->n &&
               is_zero(op->buf + (size_t)(at + n) * BLOCK_SIZE) == zero)
            n++;
        if (!zero)
            n = slots_take(bs->slots, n, &slot);
        if (n == 0) {
            give_runs(op);
            return 1;
        }
        struct bs_run *run = &op->first;
        if (op->first.n) {
            if (op->n_more == capacity) {
                uint32_t want = capacity ? capacity * 2 : 4;
                struct bs_run *more = realloc(op->more, want * sizeof *more);
                if (!more) {
                    if (!zero)
                        slots_give(bs->slots, slot, n);
                    give_runs(op);
                    return -ENOMEM;
                }
                op->more = more;
                capacity = want;
            }
            run = &op->more[op->n_more++];
        }
        *run = (struct bs_run){
            .io.done = on_write, .op = op, .at = at, .n = n, .slot = slot
        };
        at += n;
    }
    return 0;
}

/* Puts 'op' where it waits for free slots: of the growing file, or of the next
 * commit.  Returns 0, or -ENOSPC: there is nothing to wait for. */
static int wait_for_room(struct bs_op *op, int grow_error)
{
    struct bstore *bs = op->bs;
    bool soon = bs->freed.n > 0 || bs->commit.busy;
    if (grow_error == 0 && grow(bs))
        soon = true;
    if (!soon)
        return grow_error ? grow_error : -ENOSPC;
    op->next = NULL;
    *bs->waiting_end = op;
    bs->waiting_end = &op->next;
    return 0;
}

/* 'grow_error' is why the file did not grow, or 0. */
static void write_begin(struct bs_op *op, int grow_error)
{
    struct bstore *bs = op->bs;
    int r = plan_write(op);
    if (r != 0) {
        free(op->more);
        op->more = NULL;
        op->n_more = 0;
        op->first.n = 0;
    }
    if (r > 0) {
        r = wait_for_room(op, grow_error);
        if (r == 0) {
            bstore_commit_next(bs);
            return;
        }
    }
    op->error = r;
    if (grow_error == 0 && slots_n_free(bs->slots) < GROW_BELOW &&
        bs->freed.n < COMMIT_BLOCKS / 2)
        grow(bs);
    op->pending = 0;
    for (uint32_t i = 0; r == 0 && i <= op->n_more; i++)
        if (run_at(op, i)->slot < SLOT_MAX)
            op->pending++;
    if (op->pending == 0) { /* Only zeros, or an error: answered later. */
        op->pending = 1;
        op->first.io.done = on_write;
        op->first.op = op;
        bs->io->class->nop(bs->io, &op->first.io);
        return;
    }
    for (uint32_t i = 0; i <= op->n_more; i++) {
        struct bs_run *run = run_at(op, i);
        if (run->slot < SLOT_MAX)
            bs->io->class->write(bs->io, &run->io, bs->data,
                                 op->buf + (size_t)run->at * BLOCK_SIZE,
                                 run->n * BLOCK_SIZE,
                                 (uint64_t)run->slot * BLOCK_SIZE);
    }
}

void bstore_write(struct bstore *bs, struct bs_op *op)
{
    op->bs = bs;
    op->more = NULL;
    op->error = 0;
    bs->ops++;
    if (bs->waiting) { /* In order. */
        op->next = NULL;
        *bs->waiting_end = op;
        bs->waiting_end = &op->next;
        return;
    }
    write_begin(op, 0);
}

void bstore_retry_waiting(struct bstore *bs, int error)
{
    struct bs_op *op = bs->waiting;
    bs->waiting = NULL;
    bs->waiting_end = &bs->waiting;
    while (op) {
        struct bs_op *next = op->next;
        write_begin(op, error);
        op = next;
    }
}
