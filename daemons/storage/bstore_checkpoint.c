/* bstore_checkpoint - the whole map in one file, so that journals stay short.
 *
 * A checkpoint is written while the volume is used: first the journal is
 * changed over (generation + 1), then the map is walked in pieces, then what
 * is listed is committed, then the header makes it valid.  What changes
 * during the walk is in the new journal, which is replayed over it, so it does
 * not matter which of both states the walk saw.
 * The files alternate: generation g uses meta.(g & 1) and journal.(g & 1); the
 * other two stay whole until the header of g is durable.  One that fails (no
 * space) is begun again later and costs nothing but the old journal. */
#include "storage/bstore_impl.h"

#include "storage/crc32c.h"

#define OF(type, member, p) ((type *)((char *)(p)-offsetof(type, member)))

static void walk(struct bstore *bs);

static int file(const struct bstore *bs)
{
    return bs->meta[bs->generation & 1];
}

static void checkpoint_end(struct bstore *bs, int res)
{
    struct checkpoint *c = &bs->checkpoint;
    c->busy = false;
    free(SC_TAKE(c->buf));
    if (res >= 0) {
        bs->valid_generation = bs->generation;
        bs->valid_records = c->n_records;
        bs->counters.checkpoints++;
        bs->born = true;
    } else if (!bs->born) {
        bs->failed = res;
    }
    struct bs_wait *born = SC_TAKE(c->born);
    if (born)
        born->done(born, res < 0 ? res : 0);
    bstore_commit_next(bs);
}

static void on_header_synced(struct io_op *op, int res)
{
    checkpoint_end(OF(struct bstore, checkpoint.op, op), res);
}

static void on_header(struct io_op *op, int res)
{
    struct bstore *bs = OF(struct bstore, checkpoint.op, op);
    if (res != LAYOUT_PAGE) {
        checkpoint_end(bs, res < 0 ? res : -ENOSPC);
        return;
    }
    op->done = on_header_synced;
    bs->io->class->sync(bs->io, op, file(bs));
}

static void on_records_synced(struct io_op *op, int res)
{
    struct bstore *bs = OF(struct bstore, checkpoint.op, op);
    struct checkpoint *c = &bs->checkpoint;
    if (res < 0) {
        checkpoint_end(bs, res);
        return;
    }
    struct layout_checkpoint h = {
        .has_parent = bs->info.has_parent,
        .size = bs->info.size,
        .generation = bs->generation,
        .seq = c->seq,
        .version = bs->version,
        .n_records = c->n_records,
        .records_crc = c->records_crc,
        .prev_crc = c->prev_crc,
        /* Not a newer one: the blocks it speaks of may be in no group yet. */
        .state_size = (uint32_t)strlen(bs->durable_state),
    };
    memcpy(h.id, bs->info.id, LAYOUT_ID);
    memcpy(h.parent, bs->info.parent, LAYOUT_ID);
    memcpy(h.state, bs->durable_state, h.state_size);
    layout_checkpoint_encode(c->buf, &h);
    op->done = on_header;
    bs->io->class->write(bs->io, op, file(bs), c->buf, LAYOUT_PAGE, 0);
}

static void sync_records(struct bstore *bs)
{
    struct checkpoint *c = &bs->checkpoint;
    c->op.done = on_records_synced;
    bs->io->class->sync(bs->io, &c->op, file(bs));
}

/* All that the walk saw uncommitted is committed now. */
static void on_committed(struct bs_wait *w, int res)
{
    struct bstore *bs = OF(struct bstore, checkpoint.wait, w);
    if (res < 0)
        checkpoint_end(bs, res);
    else
        sync_records(bs);
}

static void on_chunk(struct io_op *op, int res)
{
    struct bstore *bs = OF(struct bstore, checkpoint.op, op);
    struct checkpoint *c = &bs->checkpoint;
    if (res < 0 || (size_t)res != c->writing) {
        checkpoint_end(bs, res < 0 ? res : -ENOSPC);
        return;
    }
    c->offset += c->writing;
    walk(bs);
}

static void walk(struct bstore *bs)
{
    struct checkpoint *c = &bs->checkpoint;
    size_t used = 0;
    while (used + LAYOUT_RECORD <= CHECKPOINT_CHUNK) {
        uint32_t b = block_map_next(bs->map, c->next_block, false);
        if (b == UINT32_MAX) {
            c->next_block = bs->n_blocks;
            break;
        }
        layout_record_put(c->buf + used, b, block_map_get(bs->map, b));
        used += LAYOUT_RECORD;
        c->n_records++;
        c->next_block = b + 1;
    }
    if (used == 0) {
        c->wait = (struct bs_wait){ .done = on_committed };
        if (bs->born)
            bstore_commit(bs, &c->wait);
        else
            sync_records(bs);
        return;
    }
    c->records_crc = crc32c(c->records_crc, c->buf, used);
    c->writing = (used + LAYOUT_PAGE - 1) / LAYOUT_PAGE * LAYOUT_PAGE;
    memset(c->buf + used, 0, c->writing - used);
    c->op.done = on_chunk;
    bs->io->class->write(bs->io, &c->op, file(bs), c->buf, (uint32_t)c->writing,
                         c->offset);
}

void bstore_checkpoint_begin(struct bstore *bs, bool resume)
{
    struct checkpoint *c = &bs->checkpoint;
    if (c->busy || bs->commit.busy || bs->commit.stuck || bs->failed)
        return;
    c->buf = aligned_alloc(LAYOUT_PAGE, CHECKPOINT_CHUNK);
    if (!c->buf)
        return;
    c->busy = true;
    if (!resume) {
        bs->generation++;
        bs->tail = 0;
        c->seq = bs->seq + 1;
        c->prev_crc = bs->prev_crc;
    }
    c->next_block = 0;
    c->n_records = 0;
    c->records_crc = 0;
    c->offset = LAYOUT_PAGE;
    walk(bs);
}

void bstore_checkpoint_maybe(struct bstore *bs)
{
    if (bs->generation == bs->valid_generation && bs->tail > JOURNAL_MIN &&
        bs->tail > 2 * bs->valid_records * LAYOUT_RECORD)
        bstore_checkpoint_begin(bs, false);
}
