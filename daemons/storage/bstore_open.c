/* bstore_open - making a volume's files, and recovering them.
 *
 * Recovery: the newest valid checkpoint, then the journal of its generation,
 * then the next one if a checkpoint was under way.  Groups follow each other
 * by number and by the checksum of the one before, so that what an earlier use
 * of the file left behind is never taken for a continuation.  Groups that no
 * later group confirms are checked against the data (see bstore_commit.c). */
#include "storage/bstore_impl.h"

#include "storage/crc32c.h"

#include <stdio.h>

struct recovery {
    struct bstore *bs;
    struct sc_err *err;
    uint8_t *file[2]; /* Journals, read whole. */
    size_t size[2];
    uint64_t confirmed;
    uint64_t last; /* Last group that follows from the checkpoint. */
};

struct bstore *bstore_alloc(struct io *io)
{
    struct bstore *bs = calloc(1, sizeof *bs);
    if (!bs)
        return NULL;
    bs->io = io;
    bs->data = bs->journal[0] = bs->journal[1] = bs->meta[0] = bs->meta[1] = -1;
    bs->waiting_end = &bs->waiting;
    bs->slots = slots_new();
    if (!bs->slots) {
        free(bs);
        return NULL;
    }
    return bs;
}

void bstore_free(struct bstore *bs)
{
    if (!bs)
        return;
    const int files[] = { bs->data, bs->journal[0], bs->journal[1], bs->meta[0],
                          bs->meta[1] };
    for (size_t i = 0; i < SC_ARRAY_LEN(files); i++)
        if (files[i] >= 0)
            bs->io->class->close(bs->io, files[i]);
    bstore_recent_unmap(bs);
    block_map_free(bs->map);
    slots_free(bs->slots);
    free(bs->listed.v);
    free(bs->freed.v);
    free(bs->commit.freed.v);
    free(bs->commit.buf);
    free(bs->checkpoint.buf);
    free(bs);
}

static const char *const names[] = { "data", "journal.0", "journal.1", "meta.0",
                                     "meta.1" };

int bstore_open_files(struct bstore *bs, const char *dir, bool create,
                      struct sc_err *err)
{
    int *files[] = { &bs->data, &bs->journal[0], &bs->journal[1], &bs->meta[0],
                     &bs->meta[1] };
    for (size_t i = 0; i < SC_ARRAY_LEN(names); i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        int f = bs->io->class->open(bs->io, path, create);
        if (f < 0)
            return sc_fail(err, f, "%s: open: %s", path, strerror(-f));
        *files[i] = f;
    }
    return 0;
}

int bstore_remove(struct io *io, const char *dir, const char *recent)
{
    int ignored = recent ? io->class->remove(io, recent) : 0;
    (void)ignored; /* Without the volume it means nothing. */
    for (size_t i = SC_ARRAY_LEN(names); i-- > 0;) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        int r = io->class->remove(io, path);
        if (r < 0 && r != -ENOENT)
            return r;
    }
    return io->class->remove(io, dir);
}

static int set_size(struct bstore *bs, struct sc_err *err)
{
    uint64_t n = (bs->info.size + BLOCK_SIZE - 1) / BLOCK_SIZE;
    if (n == 0 || n >= BLOCK_COUNT_MAX)
        return sc_fail(err, -EINVAL, "a volume of %llu bytes cannot be",
                       (unsigned long long)bs->info.size);
    bs->n_blocks = (uint32_t)n;
    bs->map = block_map_new(bs->n_blocks);
    return bs->map ? 0 : sc_fail(err, -ENOMEM, "volume: out of memory");
}

int bstore_create(struct io *io, const char *dir, const char *recent,
                  const struct bstore_info *info, const char *state,
                  struct bs_wait *born, struct bstore **ret, struct sc_err *err)
{
    SC_AUTO(bstore_free) struct bstore *bs = bstore_alloc(io);
    if (!bs)
        return sc_fail(err, -ENOMEM, "volume: out of memory");
    bs->info = *info;
    int r = set_size(bs, err);
    if (r < 0)
        return r;
    r = io->class->mkdir(io, dir);
    if (r < 0)
        return sc_fail(err, r, "%s: mkdir: %s", dir, strerror(-r));
    r = bstore_open_files(bs, dir, true, err);
    if (r < 0)
        return r;
    r = io->class->sync_dir(io, dir);
    if (r < 0)
        return sc_fail(err, r, "%s: sync: %s", dir, strerror(-r));
    snprintf(bs->state, sizeof bs->state, "%s", state);
    memcpy(bs->durable_state, bs->state, sizeof bs->durable_state);
    bs->version = 1;
    bs->generation = 1;
    bs->checkpoint.seq = 1;
    bs->checkpoint.born = born;
    bstore_recent_map(bs, recent);
    bstore_recent_begin(bs);
    bstore_checkpoint_begin(bs, true);
    if (!bs->checkpoint.busy)
        return sc_fail(err, -ENOMEM, "volume: out of memory");
    *ret = SC_TAKE(bs);
    return 0;
}

/* --- recovery ----------------------------------------------------------- */
static int read_whole(struct bstore *bs, int file, uint8_t **ret, size_t *size)
{
    int64_t n = bs->io->class->size(bs->io, file);
    if (n < 0)
        return (int)n;
    size_t room = ((size_t)n + LAYOUT_PAGE - 1) / LAYOUT_PAGE * LAYOUT_PAGE;
    uint8_t *buf = aligned_alloc(LAYOUT_PAGE, room ? room : LAYOUT_PAGE);
    if (!buf)
        return -ENOMEM;
    size_t at = 0;
    while (at < room) {
        size_t part = room - at < (1 << 20) ? room - at : (1 << 20);
        long r = bs->io->class->read_now(bs->io, file, buf + at, part, at);
        if (r < 0) {
            free(buf);
            return (int)r;
        }
        if (r == 0)
            break;
        at += (size_t)r;
    }
    *ret = buf;
    *size = at;
    return 0;
}

static int apply_record(struct bstore *bs, const uint8_t *p)
{
    uint32_t block;
    struct block b;
    int r = layout_record_get(p, &block, &b);
    if (r < 0 || block >= bs->n_blocks)
        return -EBADMSG;
    return block_map_set(bs->map, block, &b);
}

/* Takes one checkpoint, if it is valid: 1; 0: it is not; -errno. */
static int load_checkpoint(struct bstore *bs, unsigned which,
                           uint64_t newer_than, struct sc_err *err)
{
    SC_AUTO(free) uint8_t *buf = NULL;
    size_t size;
    int r = read_whole(bs, bs->meta[which], &buf, &size);
    if (r < 0)
        return sc_fail(err, r, "meta.%u: read: %s", which, strerror(-r));
    struct layout_checkpoint c;
    if (layout_checkpoint_decode(buf, size, &c) < 0 ||
        c.generation <= newer_than || (c.generation & 1) != which)
        return 0;
    size_t bytes = (size_t)c.n_records * LAYOUT_RECORD;
    if (bytes > size - LAYOUT_PAGE ||
        crc32c(0, buf + LAYOUT_PAGE, bytes) != c.records_crc)
        return 0;
    block_map_free(SC_TAKE(bs->map));
    memcpy(bs->info.id, c.id, LAYOUT_ID);
    memcpy(bs->info.parent, c.parent, LAYOUT_ID);
    bs->info.has_parent = c.has_parent;
    bs->info.size = c.size;
    r = set_size(bs, err);
    if (r < 0)
        return r;
    for (uint64_t i = 0; i < c.n_records; i++)
        if (apply_record(bs, buf + LAYOUT_PAGE + i * LAYOUT_RECORD) < 0)
            return sc_fail(err, -EUCLEAN, "meta.%u: record %llu is wrong",
                           which, (unsigned long long)i);
    memset(bs->state, 0, sizeof bs->state);
    memcpy(bs->state, c.state,
           c.state_size < sizeof bs->state ? c.state_size
                                           : sizeof bs->state - 1);
    bs->generation = bs->valid_generation = c.generation;
    bs->valid_records = c.n_records;
    bs->version = c.version;
    bs->seq = c.seq - 1;
    bs->prev_crc = c.prev_crc;
    bs->checkpoint.seq = c.seq;
    bs->checkpoint.prev_crc = c.prev_crc;
    return 1;
}

typedef int group_fn(struct recovery *r, const struct layout_group *g);

/* Calls 'fn' for each group that follows, in both journals; leaves 'bs' at the
 * end of the last for which it returned 0.  Ends early if it returns 1. */
static int each_group(struct recovery *r, group_fn *fn)
{
    struct bstore *bs = r->bs;
    for (uint64_t generation = bs->valid_generation;
         generation <= bs->valid_generation + 1; generation++) {
        const uint8_t *buf = r->file[generation & 1];
        size_t size = r->size[generation & 1], at = 0;
        struct layout_group g;
        while (layout_group_decode(buf + at, size - at, &g) == 0 &&
               g.generation == generation && g.seq == bs->seq + 1 &&
               g.prev_crc == bs->prev_crc &&
               memcmp(g.id, bs->info.id, LAYOUT_ID) == 0) {
            int res = fn(r, &g);
            if (res != 0)
                return res;
            if (generation != bs->generation) {
                bs->checkpoint.seq = g.seq;
                bs->checkpoint.prev_crc = g.prev_crc;
            }
            at += g.total_size;
            bs->generation = generation;
            bs->seq = g.seq;
            bs->prev_crc = g.crc;
            bs->tail = at;
        }
    }
    return 0;
}

static int note_group(struct recovery *r, const struct layout_group *g)
{
    if (g->confirmed > r->confirmed)
        r->confirmed = g->confirmed;
    r->last = g->seq;
    return 0;
}

/* Is all the data there that an unconfirmed group promises?  1: no. */
static int verify_group(struct recovery *r, const struct layout_group *g)
{
    struct bstore *bs = r->bs;
    SC_AUTO(free) uint8_t *buf = aligned_alloc(LAYOUT_PAGE, BLOCK_SIZE);
    if (!buf)
        return -ENOMEM;
    for (uint32_t i = 0; i < g->n_records; i++) {
        uint32_t block;
        struct block b;
        if (layout_record_get(g->records + (size_t)i * LAYOUT_RECORD, &block,
                              &b) < 0)
            return 1;
        if (b.slot >= SLOT_MAX)
            continue;
        long n = bs->io->class->read_now(bs->io, bs->data, buf, BLOCK_SIZE,
                                         (uint64_t)b.slot * BLOCK_SIZE);
        if (n < 0)
            return (int)n;
        if (n != BLOCK_SIZE || crc32c(0, buf, BLOCK_SIZE) != b.crc)
            return 1;
    }
    return 0;
}

static int apply_group(struct recovery *r, const struct layout_group *g)
{
    struct bstore *bs = r->bs;
    if (g->seq > r->confirmed) {
        int res = verify_group(r, g);
        if (res != 0)
            return res;
    }
    for (uint32_t i = 0; i < g->n_records; i++)
        if (apply_record(bs, g->records + (size_t)i * LAYOUT_RECORD) < 0)
            return sc_fail(r->err, -EUCLEAN, "journal group %llu: record %u",
                           (unsigned long long)g->seq, i);
    if (g->state_size) {
        size_t n = g->state_size < sizeof bs->state ? g->state_size
                                                    : sizeof bs->state - 1;
        memset(bs->state, 0, sizeof bs->state);
        memcpy(bs->state, g->state, n);
    }
    if (g->version > bs->version)
        bs->version = g->version;
    return 0;
}

static int replay(struct recovery *r)
{
    struct bstore *bs = r->bs;
    uint64_t seq = bs->seq;
    uint32_t prev_crc = bs->prev_crc;
    for (int i = 0; i < 2; i++) {
        int res = read_whole(bs, bs->journal[i], &r->file[i], &r->size[i]);
        if (res < 0)
            return sc_fail(r->err, res, "journal.%d: read: %s", i,
                           strerror(-res));
        bs->journal_size[i] = r->size[i];
    }
    int res = each_group(r, note_group); /* First: what is confirmed? */
    if (res < 0)
        return res;
    bs->seq = seq;
    bs->prev_crc = prev_crc;
    bs->generation = bs->valid_generation;
    bs->tail = 0;
    res = each_group(r, apply_group);
    /* What nothing confirms may still be on its way to the disk (after a
     * kill); nothing may be built on it before it has arrived. */
    if (res >= 0 && bs->seq > r->confirmed) {
        int s = bs->io->class->sync_now(bs->io, bs->data);
        if (s == 0)
            s = bs->io->class->sync_now(bs->io,
                                        bs->journal[bs->generation & 1]);
        if (s < 0)
            return sc_fail(r->err, s, "recovery: sync: %s", strerror(-s));
    }
    if (res < 0 && (!r->err || r->err->code == 0))
        return sc_fail(r->err, res, "recovery: %s", strerror(-res));
    return res < 0 ? res : 0;
}

static int mark_slots(struct bstore *bs, struct sc_err *err)
{
    int64_t size = bs->io->class->size(bs->io, bs->data);
    if (size < 0)
        return sc_fail(err, (int)size, "data: %s", strerror((int)-size));
    if (slots_grow(bs->slots, (uint32_t)(size / BLOCK_SIZE)) < 0)
        return sc_fail(err, -ENOMEM, "volume: out of memory");
    for (uint32_t b = block_map_next(bs->map, 0, false); b != UINT32_MAX;
         b = block_map_next(bs->map, b + 1, false)) {
        const struct block *e = block_map_get(bs->map, b);
        if (e->slot < SLOT_MAX && !slots_take_at(bs->slots, e->slot))
            return sc_fail(err, -EUCLEAN,
                           "block %u: slot %u is used twice or not there", b,
                           e->slot);
    }
    return 0;
}

int bstore_open(struct io *io, const char *dir, const char *recent,
                struct bstore **ret, struct sc_err *err)
{
    SC_AUTO(bstore_free) struct bstore *bs = bstore_alloc(io);
    if (!bs)
        return sc_fail(err, -ENOMEM, "volume: out of memory");
    int r = bstore_open_files(bs, dir, false, err);
    if (r < 0)
        return r;
    for (unsigned which = 0; which < 2; which++) {
        r = load_checkpoint(bs, which, bs->valid_generation, err);
        if (r < 0)
            return r;
    }
    if (bs->valid_generation == 0)
        return sc_fail(err, -ENOENT, "%s: was never completely made", dir);
    struct recovery rec = { .bs = bs, .err = err };
    r = replay(&rec);
    free(rec.file[0]);
    free(rec.file[1]);
    if (r < 0)
        return r;
    r = mark_slots(bs, err);
    if (r < 0)
        return r;
    bs->durable_seq = bs->seq;
    memcpy(bs->durable_state, bs->state, sizeof bs->durable_state);
    bs->durable_version = bs->version - 1;
    bstore_recent_map(bs, recent);
    r = bstore_recent_replay(bs, err);
    if (r < 0)
        return r;
    bs->born = true;
    if (bs->generation != bs->valid_generation)
        bstore_checkpoint_begin(bs, true);
    *ret = SC_TAKE(bs);
    return 0;
}
