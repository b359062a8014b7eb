/* block_map - see block_map.h. */
#include "storage/block_map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct leaf {
    uint16_t n_known, n_dirty;
    struct block blocks[BLOCK_LEAF];
};

struct block_map {
    uint32_t n_blocks, n_leaves;
    uint32_t n_local, n_dirty, n_known;
    struct leaf **leaves; /* NULL: all absent. */
};

static const struct block absent = { .slot = SLOT_NONE };

struct block_map *block_map_new(uint32_t n_blocks)
{
    struct block_map *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->n_blocks = n_blocks;
    m->n_leaves = n_blocks / BLOCK_LEAF + 1;
    m->leaves = calloc(m->n_leaves, sizeof(struct leaf *));
    if (!m->leaves) {
        free(m);
        return NULL;
    }
    return m;
}

void block_map_free(struct block_map *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < m->n_leaves; i++)
        free(m->leaves[i]);
    free(m->leaves);
    free(m);
}

uint32_t block_map_size(const struct block_map *m)
{
    return m->n_blocks;
}

const struct block *block_map_get(const struct block_map *m, uint32_t block)
{
    assert(block < m->n_blocks);
    const struct leaf *leaf = m->leaves[block / BLOCK_LEAF];
    return leaf ? &leaf->blocks[block % BLOCK_LEAF] : &absent;
}

int block_map_reserve(struct block_map *m, uint32_t block)
{
    assert(block < m->n_blocks);
    struct leaf **leaf = &m->leaves[block / BLOCK_LEAF];
    if (*leaf)
        return 0;
    *leaf = calloc(1, sizeof **leaf);
    if (!*leaf)
        return -ENOMEM;
    for (int i = 0; i < BLOCK_LEAF; i++)
        (*leaf)->blocks[i] = absent;
    return 0;
}

static bool is_local(const struct block *b)
{
    return b->slot < SLOT_MAX;
}

int block_map_set(struct block_map *m, uint32_t block, const struct block *b)
{
    int r = block_map_reserve(m, block);
    if (r < 0)
        return r;
    struct leaf *leaf = m->leaves[block / BLOCK_LEAF];
    struct block *old = &leaf->blocks[block % BLOCK_LEAF];
    int dirty = !!(b->flags & BLOCK_DIRTY) - !!(old->flags & BLOCK_DIRTY);
    int known = (b->version != 0) - (old->version != 0);
    leaf->n_dirty = (uint16_t)(leaf->n_dirty + dirty);
    leaf->n_known = (uint16_t)(leaf->n_known + known);
    m->n_dirty += (uint32_t)dirty;
    m->n_known += (uint32_t)known;
    m->n_local += (uint32_t)(is_local(b) - is_local(old));
    *old = *b;
    return 0;
}

void block_map_count(struct block_map *m, uint32_t block, bool write)
{
    struct leaf *leaf = m->leaves[block / BLOCK_LEAF];
    if (!leaf)
        return;
    struct block *b = &leaf->blocks[block % BLOCK_LEAF];
    uint16_t *n = write ? &b->fw : &b->fr;
    if (*n == UINT16_MAX) { /* Keeps the ratio, forgets the distant past. */
        b->fr /= 2;
        b->fw = (uint16_t)((b->fw + 1) / 2);
    }
    ++*n;
}

uint32_t block_map_next(const struct block_map *m, uint32_t from, bool dirty)
{
    for (uint64_t b = from; b < m->n_blocks;) {
        const struct leaf *leaf = m->leaves[b / BLOCK_LEAF];
        if (!leaf || (dirty ? leaf->n_dirty : leaf->n_known) == 0) {
            b = (b / BLOCK_LEAF + 1) * BLOCK_LEAF;
            continue;
        }
        const struct block *p = &leaf->blocks[b % BLOCK_LEAF];
        if (dirty ? (p->flags & BLOCK_DIRTY) != 0 : p->version != 0)
            return (uint32_t)b;
        b++;
    }
    return UINT32_MAX;
}

uint32_t block_map_n_local(const struct block_map *m)
{
    return m->n_local;
}

uint32_t block_map_n_dirty(const struct block_map *m)
{
    return m->n_dirty;
}

uint32_t block_map_n_known(const struct block_map *m)
{
    return m->n_known;
}
