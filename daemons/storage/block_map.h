/* block_map - what a node knows of each block of one volume: the data view
 * (newest version and its holder) and the data store (the copy here).
 *
 * One per volume in memory; the only index on the read and write paths.  Two
 * levels, leaves made on first use, so that an empty volume costs little.
 * Pure: no I/O, no clock, no locks.  Not thread-safe.
 * Units: blocks of 4096 bytes, numbered from 0; slots are blocks of the data
 * file.  A local copy always has the version of the view: one that the view
 * has overtaken is dropped.
 * Source: docs/storage-format.md; paper sections 3.2.1 and 3.2.3 (fr, fw). */
#ifndef SC_STORAGE_BLOCK_MAP_H
#define SC_STORAGE_BLOCK_MAP_H

#include "common/clean.h"

#include <stdbool.h>
#include <stdint.h>

enum { BLOCK_SIZE = 4096, BLOCK_LEAF = 512 };
#define BLOCK_COUNT_MAX UINT32_C(0xfffffff0) /* Blocks of a volume. */
#define SLOT_NONE UINT32_C(0xffffffff)       /* No copy here. */
#define SLOT_ZERO UINT32_C(0xfffffffe)       /* All zeros; takes no space. */
#define SLOT_MAX UINT32_C(0xfffffff0)

enum block_flags {
    BLOCK_DIRTY = 1 << 0, /* The authority has not been told this version. */
    BLOCK_KEEP_FLAGS = BLOCK_DIRTY, /* Those that are stored. */
    BLOCK_LISTED = 1 << 1,          /* The next journal group will have it. */
    BLOCK_FRESH = 1 << 2,           /* Its slot is in no journal group yet. */
};

struct block {
    uint64_t version; /* 0: absent, reads as the parent's. */
    uint32_t slot;    /* SLOT_NONE, SLOT_ZERO or a slot of the data file. */
    uint32_t crc;     /* crc32c of the copy here. */
    uint16_t holder;  /* nid of the node that has 'version'. */
    uint16_t fr, fw;  /* Reads and writes seen, saturating (propagation). */
    uint8_t flags;    /* enum block_flags. */
};

struct block_map;
struct block_map *block_map_new(uint32_t n_blocks); /* NULL: out of memory. */
void block_map_free(struct block_map *m);           /* NULL is allowed. */
SC_CLEANUP(struct block_map, block_map_free)
uint32_t block_map_size(const struct block_map *m);

/* Never NULL; a block that is absent has version 0 and SLOT_NONE.  Borrowed
 * until the next block_map_set. */
const struct block *block_map_get(const struct block_map *m, uint32_t block);
/* Replaces what is known of 'block' (< size).  0, or -ENOMEM (unchanged). */
int block_map_set(struct block_map *m, uint32_t block,
                  const struct block *b) SC_MUST_CHECK;
/* Makes sure that block_map_set of 'block' cannot fail. */
int block_map_reserve(struct block_map *m, uint32_t block) SC_MUST_CHECK;
/* Counts one access; never fails (absent leaves are not counted). */
void block_map_count(struct block_map *m, uint32_t block, bool write);
/* The first block >= 'from' that is not absent (or, with 'dirty', that is
 * dirty), or UINT32_MAX. */
uint32_t block_map_next(const struct block_map *m, uint32_t from, bool dirty);

uint32_t block_map_n_local(const struct block_map *m); /* With a slot. */
uint32_t block_map_n_dirty(const struct block_map *m);
uint32_t block_map_n_known(const struct block_map *m); /* Not absent. */

#endif
