/* volume_io - requests to a volume: through the layers, in whole blocks.
 *
 * A request is cut into parts, each a run of blocks of one layer.  A write
 * that does not cover a block wholly reads it, merges, and writes it if it is
 * still the one that was read (else again), so that writes to different parts
 * of one block never lose each other. */
#include "storage/volume.h"

#include "storage/fetch.h"

#include <assert.h>

enum { TRIES_MAX = 1000, ZERO_TURN = 16384, READ_PART_MAX = 1024 };

#define OF(type, member, p) ((type *)((char *)(p)-offsetof(type, member)))

static void plan_read(struct vol_req *req, struct volume *layer, uint32_t block,
                      uint32_t n, uint8_t *buf, unsigned tries);

/* --- the end of a request ----------------------------------------------- */
static void request_end(struct vol_req *req, int res)
{
    struct volume *v = req->vol;
    if (req->counted) {
        req->counted = false;
        v->n_writes--;
    }
    req->done(req, res);
    if (v->n_writes == 0 && v->drained) {
        void (*drained)(struct volume *) = v->drained;
        v->drained = NULL;
        drained(v);
    }
}

static void on_committed(struct bs_wait *w, int res)
{
    request_end(OF(struct vol_req, wait, w), res);
}

static void drop(struct vol_req *req)
{
    if (--req->pending > 0)
        return;
    if (req->error == 0 && req->cmd != VOL_READ &&
        (req->fua || bstore_must_commit(req->vol->bs))) {
        req->wait = (struct bs_wait){ .done = on_committed };
        bstore_commit(req->vol->bs, &req->wait);
        return;
    }
    request_end(req, req->error);
}

static void part_done(struct vol_part *part, int res)
{
    struct vol_req *req = part->req;
    if (res < 0 && req->error == 0)
        req->error = res == -EBADMSG ? -EIO : res;
    free(part->waiters);
    part->waiters = NULL;
    if (part == &req->first)
        req->first_used = false;
    else
        free(part);
    drop(req);
}

/* A part for the request; the first costs no memory. */
static struct vol_part *part_new(struct vol_req *req, struct volume *layer,
                                 uint32_t block, uint32_t n, uint8_t *buf)
{
    struct vol_part *part = &req->first;
    if (req->first_used)
        part = malloc(sizeof *part);
    if (!part) {
        req->error = -ENOMEM;
        return NULL;
    }
    if (part == &req->first)
        req->first_used = true;
    part->op.block = block;
    part->op.n = n;
    part->op.buf = buf;
    part->op.put = BS_WRITE;
    part->req = req;
    part->layer = layer;
    part->tries = 0;
    part->waiting = 0;
    part->again = false;
    part->waiters = NULL;
    req->pending++;
    return part;
}

/* --- reads -------------------------------------------------------------- */
/* Plans the blocks of 'part' again; the part itself is done. */
static void plan_again(struct vol_part *part)
{
    struct vol_req *req = part->req;
    struct volume *layer = part->layer;
    uint32_t block = part->op.block, n = part->op.n;
    uint8_t *buf = part->op.buf;
    unsigned tries = part->tries + 1;
    req->pending++; /* Not before the new parts are there. */
    part_done(part, 0);
    if (tries > TRIES_MAX)
        req->error = -EIO;
    else
        plan_read(req, layer, block, n, buf, tries);
    drop(req);
}

/* Copies here that proved wrong, but that others have, are dropped. */
static bool heal(struct vol_part *part)
{
    struct volume *v = part->layer;
    const struct block_map *m = bstore_map(v->bs);
    for (uint32_t i = 0; i < part->op.n; i++) {
        const struct block *b = block_map_get(m, part->op.block + i);
        if (b->holder == v->env->self || (b->flags & BLOCK_DIRTY))
            return false;
    }
    for (uint32_t i = 0; i < part->op.n; i++)
        if (bstore_drop(v->bs, part->op.block + i) < 0)
            return false;
    return true;
}

static void on_read(struct bs_op *op, int res)
{
    struct vol_part *part = (struct vol_part *)op;
    if (res == -EAGAIN || (res == -EBADMSG && heal(part)))
        plan_again(part);
    else
        part_done(part, res);
}

void volume_part_fetched(struct vol_part *part, int res)
{
    if (res == -EAGAIN)
        part->again = true;
    else if (res < 0 && part->req->error == 0)
        part->req->error = res;
    if (--part->waiting > 0)
        return;
    if (part->again && part->req->error == 0)
        plan_again(part);
    else
        part_done(part, 0);
}

static void read_missing(struct vol_req *req, struct volume *layer,
                         uint32_t block, uint32_t n, uint8_t *buf)
{
    if (!layer->env->fetcher) {
        req->error = -EIO;
        return;
    }
    struct vol_part *part = part_new(req, layer, block, n, buf);
    if (!part)
        return;
    int r = fetch_part(layer->env->fetcher, part);
    if (r < 0)
        part_done(part, r);
}

/* What 'layer' does not have is its parent's. */
static void read_absent(struct vol_req *req, struct volume *layer,
                        uint32_t block, uint32_t n, uint8_t *buf,
                        unsigned tries)
{
    struct volume *parent = layer->parent;
    if (bstore_info(layer->bs)->has_parent && !parent) {
        req->error = -EIO;
        return;
    }
    uint32_t end = parent ? bstore_n_blocks(parent->bs) : 0;
    uint32_t in = block >= end ? 0 : end - block < n ? end - block : n;
    if (in)
        plan_read(req, parent, block, in, buf, tries);
    memset(buf + (size_t)in * BLOCK_SIZE, 0, (size_t)(n - in) * BLOCK_SIZE);
}

static void plan_read(struct vol_req *req, struct volume *layer, uint32_t block,
                      uint32_t n, uint8_t *buf, unsigned tries)
{
    while (n > 0) {
        uint32_t k;
        uint32_t max = n < READ_PART_MAX ? n : READ_PART_MAX;
        switch (bstore_run(layer->bs, block, max, &k)) {
        case BS_ZERO:
            memset(buf, 0, (size_t)k * BLOCK_SIZE);
            break;
        case BS_ABSENT:
            read_absent(req, layer, block, k, buf, tries);
            break;
        case BS_MISSING:
            read_missing(req, layer, block, k, buf);
            break;
        case BS_LOCAL: {
            struct vol_part *part = part_new(req, layer, block, k, buf);
            if (!part)
                return;
            part->tries = tries;
            part->op.done = on_read;
            bstore_read(layer->bs, &part->op);
        }
        }
        block += k;
        n -= k;
        buf += (size_t)k * BLOCK_SIZE;
    }
}

/* --- writes ------------------------------------------------------------- */
/* A write to a part of one block. */
struct merge {
    struct bs_op op;     /* Must be first. */
    struct vol_req read; /* Of the whole block. */
    struct vol_req *req;
    uint8_t *block;       /* Owned: what it is now. */
    const uint8_t *bytes; /* What to put there; NULL: zeros. */
    uint32_t at, size;    /* Where in the block. */
    unsigned tries;
};
static void merge_read(struct merge *m);

static void merge_end(struct merge *m, int res)
{
    struct vol_req *req = m->req;
    if (res < 0 && req->error == 0)
        req->error = res;
    bufpool_put(req->vol->env->pool, m->block, BLOCK_SIZE);
    free(m);
    drop(req);
}

static void on_merged(struct bs_op *op, int res)
{
    struct merge *m = (struct merge *)op;
    if (res == -EAGAIN && m->tries++ < TRIES_MAX)
        merge_read(m);
    else
        merge_end(m, res == -EAGAIN ? -EIO : res);
}

static void on_merge_read(struct vol_req *read, int res)
{
    struct merge *m = OF(struct merge, read, read);
    if (res < 0) {
        merge_end(m, res);
        return;
    }
    if (m->bytes)
        memcpy(m->block + m->at, m->bytes, m->size);
    else
        memset(m->block + m->at, 0, m->size);
    bstore_write(m->req->vol->bs, &m->op);
}

static void merge_read(struct merge *m)
{
    struct volume *v = m->req->vol;
    const struct block *now = block_map_get(bstore_map(v->bs), m->op.block);
    m->op.slot = now->slot;
    m->op.crc = now->crc;
    m->read.vol = v;
    m->read.pending = 1;
    m->read.error = 0;
    plan_read(&m->read, v, m->op.block, 1, m->block, 0);
    drop(&m->read);
}

static void write_part_of_block(struct vol_req *req, uint32_t block,
                                uint32_t at, uint32_t size,
                                const uint8_t *bytes)
{
    struct merge *m = calloc(1, sizeof *m);
    uint8_t *buf = bufpool_get(req->vol->env->pool, BLOCK_SIZE);
    if (!m || !buf) {
        req->error = -ENOMEM;
        bufpool_put(req->vol->env->pool, buf, BLOCK_SIZE);
        free(m);
        return;
    }
    m->op = (struct bs_op){
        .done = on_merged, .block = block, .n = 1, .buf = buf, .put = BS_REPLACE
    };
    m->read.done = on_merge_read;
    m->read.cmd = VOL_READ;
    m->req = req;
    m->block = buf;
    m->bytes = bytes;
    m->at = at;
    m->size = size;
    req->pending++;
    merge_read(m);
}

static void on_written(struct bs_op *op, int res)
{
    part_done((struct vol_part *)op, res);
}

/* The whole blocks of a write or a zeroing. */
static void write_whole(struct vol_req *req, uint32_t block, uint32_t n,
                        uint8_t *buf)
{
    struct vol_part *part = part_new(req, req->vol, block, n, buf);
    if (!part)
        return;
    part->op.done = on_written;
    bstore_write(req->vol->bs, &part->op);
}

static void on_zero_more(struct io_op *op, int res)
{
    (void)res;
    struct vol_req *req = OF(struct vol_req, again, op);
    struct volume *v = req->vol;
    uint32_t n = req->zero_end - req->zero_at;
    n = n < ZERO_TURN ? n : ZERO_TURN;
    int r = n ? bstore_zero(v->bs, req->zero_at, n) : 0;
    req->zero_at += n;
    if (r < 0)
        req->error = r;
    if (r < 0 || req->zero_at == req->zero_end) {
        drop(req);
        return;
    }
    v->env->io->class->nop(v->env->io, &req->again);
}

static void zero_whole(struct vol_req *req, uint32_t block, uint32_t n)
{
    req->zero_at = block;
    req->zero_end = block + n;
    req->again = (struct io_op){ .done = on_zero_more };
    req->pending++;
    on_zero_more(&req->again, 0);
}

/* Cuts a write or zeroing into a head, whole blocks and a tail. */
static void change(struct vol_req *req)
{
    uint64_t at = req->offset, end = req->offset + req->length;
    uint64_t base = at / BLOCK_SIZE * BLOCK_SIZE;
    bool merge = req->cmd != VOL_TRIM; /* A trim of less may be ignored. */
    uint64_t size = volume_size(req->vol);
    while (at < end) {
        uint32_t block = (uint32_t)(at / BLOCK_SIZE);
        uint32_t in = (uint32_t)(at % BLOCK_SIZE);
        uint64_t left = end - at;
        uint8_t *from = req->cmd == VOL_WRITE ? req->buf + (at - base) : NULL;
        bool tail_of_volume = end == size && in == 0 && left < BLOCK_SIZE;
        if (in || (left < BLOCK_SIZE && !tail_of_volume)) {
            uint32_t n = BLOCK_SIZE - in;
            n = left < n ? (uint32_t)left : n;
            if (merge)
                write_part_of_block(req, block, in, n, from);
            at += n;
            continue;
        }
        uint32_t n = (uint32_t)(left / BLOCK_SIZE);
        if (tail_of_volume) {
            n = 1;
            if (from)
                memset(from + left, 0, BLOCK_SIZE - left);
        }
        if (from)
            write_whole(req, block, n, from);
        else
            zero_whole(req, block, n);
        at += (uint64_t)n * BLOCK_SIZE;
    }
}

static void start(struct vol_req *req)
{
    struct volume *v = req->vol;
    req->pending = 1;
    req->error = 0;
    req->first_used = false;
    if (req->cmd == VOL_READ) {
        uint32_t first = (uint32_t)(req->offset / BLOCK_SIZE);
        uint64_t end = req->offset + req->length + BLOCK_SIZE - 1;
        plan_read(req, v, first, (uint32_t)(end / BLOCK_SIZE) - first, req->buf,
                  0);
    } else if (req->cmd == VOL_FLUSH) {
        req->fua = true;
    } else {
        req->counted = true;
        v->n_writes++;
        change(req);
    }
    drop(req);
}

void volume_submit(struct volume *v, struct vol_req *req)
{
    req->vol = v;
    req->counted = false;
    uint64_t size = (volume_size(v) + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
    int r = 0;
    if (!volume_is_served(v) && !(req->internal && v->bs))
        r = -ESHUTDOWN;
    else if (req->cmd != VOL_FLUSH &&
             (req->offset > size || req->length > size - req->offset))
        r = req->cmd == VOL_READ ? -EINVAL : -ENOSPC;
    if (r == 0 && req->cmd != VOL_READ && req->cmd != VOL_FLUSH) {
        if (v->state == VOL_FROZEN && v->rw && v->n_held < VOL_HELD_MAX) {
            req->next = NULL;
            *v->held_end = req;
            v->held_end = &req->next;
            v->n_held++;
            return;
        }
        if (v->state != VOL_OPEN || !v->rw)
            r = -EPERM;
    }
    if (r < 0) {
        req->done(req, r);
        return;
    }
    start(req);
}

void volume_thaw_held(struct volume *v, int error)
{
    struct vol_req *req = v->held;
    v->held = NULL;
    v->held_end = &v->held;
    v->n_held = 0;
    while (req) {
        struct vol_req *next = req->next;
        if (error < 0)
            req->done(req, error);
        else
            volume_submit(v, req);
        req = next;
    }
}
