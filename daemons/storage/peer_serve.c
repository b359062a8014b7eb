/* peer_serve - the blocks of our volumes for other nodes.
 *
 * Only what is durable is shown (a version that a crash could take back would
 * be taken for another's bytes later): if need be a commit comes first. */
#include "storage/storage.h"

enum { TRIES_MAX = 4 };

struct serve {
    struct storage *st;
    struct volume *v;
    struct peer_answer *to;
    struct peer_fetch q;
    struct peer_block blocks[PEER_FETCH_MAX];
    bool settled[PEER_FETCH_MAX];
    uint8_t *buf; /* One block each, in order. */
    struct bs_wait wait;
    unsigned pending, tries;
};
struct serve_read {
    struct bs_op op; /* Must be first. */
    struct serve *s;
    uint32_t at; /* Index of the first. */
};
static void look(struct serve *s);

static void settle(struct serve *s, uint32_t i, uint8_t status,
                   const struct block *b)
{
    s->settled[i] = true;
    s->blocks[i] = (struct peer_block){ .status = status };
    if (b) {
        s->blocks[i].version = b->version;
        s->blocks[i].crc = b->crc;
    }
}

static void finish(struct serve *s)
{
    uint8_t *to = s->buf;
    for (uint32_t i = 0; i < s->q.n; i++) {
        if (!s->settled[i])
            settle(s, i, PEER_BLOCK_MISSING, NULL);
        if (!peer_block_has_data(&s->blocks[i]))
            continue;
        const uint8_t *from = s->buf + (size_t)i * BLOCK_SIZE;
        if (to != from)
            memcpy(to, from, BLOCK_SIZE);
        to += BLOCK_SIZE;
    }
    peers_answer_fetch(s->to, s->q.n, s->blocks, s->buf);
    bufpool_put(s->st->pool, s->buf, (size_t)s->q.n * BLOCK_SIZE);
    free(s);
}

static void drop(struct serve *s)
{
    if (--s->pending > 0)
        return;
    bool all = true;
    for (uint32_t i = 0; i < s->q.n; i++)
        all = all && s->settled[i];
    if (all || ++s->tries >= TRIES_MAX || !s->v->bs)
        finish(s);
    else
        look(s); /* Some changed while they were read. */
}

static void on_read(struct bs_op *op, int res)
{
    struct serve_read *r = (struct serve_read *)op;
    struct serve *s = r->s;
    for (uint32_t k = 0; k < op->n; k++) {
        uint32_t i = r->at + k;
        const struct block *b =
            block_map_get(bstore_map(s->v->bs), op->block + k);
        bool same = b->version == s->q.wants[i].version;
        if (res == 0)
            settle(s, i, same ? PEER_BLOCK_OK : PEER_BLOCK_NEWER, b);
        else if (res != -EAGAIN)
            settle(s, i, PEER_BLOCK_MISSING, NULL);
    }
    free(r);
    drop(s);
}

static void read_run(struct serve *s, uint32_t i, uint32_t n)
{
    struct serve_read *r = calloc(1, sizeof *r);
    if (!r)
        return; /* MISSING, after some tries. */
    r->s = s;
    r->at = i;
    r->op = (struct bs_op){ .done = on_read,
                            .block = s->q.wants[i].block,
                            .n = n,
                            .buf = s->buf + (size_t)i * BLOCK_SIZE };
    s->pending++;
    bstore_read(s->v->bs, &r->op);
}

static void on_committed(struct bs_wait *w, int res)
{
    struct serve *s =
        (struct serve *)((char *)w - offsetof(struct serve, wait));
    (void)res; /* If it failed, what is not durable stays unserved. */
    drop(s);
}

/* What of block 'i' can be told now?  Returns true if it has to be read. */
static bool look_at(struct serve *s, uint32_t i, bool *commit)
{
    const struct peer_want *want = &s->q.wants[i];
    uint32_t one;
    if (want->block >= bstore_n_blocks(s->v->bs)) {
        settle(s, i, PEER_BLOCK_MISSING, NULL);
        return false;
    }
    const struct block *b = block_map_get(bstore_map(s->v->bs), want->block);
    enum bs_kind kind = bstore_run(s->v->bs, want->block, 1, &one);
    if (b->version < want->version || kind == BS_MISSING || kind == BS_ABSENT) {
        settle(s, i, PEER_BLOCK_MISSING, NULL);
        return false;
    }
    if (!bstore_is_durable(s->v->bs, want->block)) {
        *commit = true;
        return false;
    }
    if (kind == BS_LOCAL)
        return true;
    settle(s, i,
           b->version == want->version ? PEER_BLOCK_ZERO
                                       : PEER_BLOCK_NEWER_ZERO,
           b);
    return false;
}

static void look(struct serve *s)
{
    bool commit = false;
    s->pending = 1;
    for (uint32_t i = 0; i < s->q.n;) {
        if (s->settled[i] || !look_at(s, i, &commit)) {
            i++;
            continue;
        }
        uint32_t side, n = 1;
        bstore_run(s->v->bs, s->q.wants[i].block, s->q.n - i, &side);
        while (n < side && !s->settled[i + n] &&
               s->q.wants[i + n].block == s->q.wants[i].block + n &&
               look_at(s, i + n, &commit))
            n++;
        read_run(s, i, n);
        i += n;
    }
    if (commit) {
        s->pending++;
        s->wait = (struct bs_wait){ .done = on_committed };
        bstore_commit(s->v->bs, &s->wait);
    }
    drop(s);
}

void storage_on_fetch(void *arg, const struct peer_fetch *q,
                      struct peer_answer *to)
{
    struct storage *st = arg;
    struct volume *v = storage_find_raw(st, q->volume);
    if (!v || !v->bs || v->state == VOL_IMPORTING) {
        peers_answer(to, -ENOENT, "no such volume here");
        return;
    }
    struct serve *s = calloc(1, sizeof *s);
    uint8_t *buf = bufpool_get(st->pool, (size_t)q->n * BLOCK_SIZE);
    if (!s || !buf) {
        bufpool_put(st->pool, buf, (size_t)q->n * BLOCK_SIZE);
        free(s);
        peers_answer(to, -ENOMEM, "out of memory");
        return;
    }
    s->st = st;
    s->v = v;
    s->to = to;
    s->q = *q;
    s->buf = buf;
    look(s);
}
