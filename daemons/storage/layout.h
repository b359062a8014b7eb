/* layout - the bytes of a volume's files: journal groups and checkpoints.
 *
 * Used by bstore alone.  Pure encoders and decoders; a decoder never trusts a
 * length, and says -EBADMSG for anything that is not exactly ours (which, at
 * the end of a journal, is no error but the end).
 * Source: docs/storage-format.md, where the offsets are listed. */
#ifndef SC_STORAGE_LAYOUT_H
#define SC_STORAGE_LAYOUT_H

#include "storage/block_map.h"

#include <stddef.h>

enum {
    LAYOUT_PAGE = 4096,
    LAYOUT_RECORD = 24, /* Bytes of one block record. */
    LAYOUT_GROUP_HEADER = 80,
    LAYOUT_STATE_MAX = 2048,            /* Bytes of a state. */
    LAYOUT_GROUP_RECORDS_MAX = 1 << 26, /* 1.5 GiB: one write. */
    LAYOUT_ID = 16,                     /* Bytes of a volume's id. */
};

/* One journal group: what one commit made durable. */
struct layout_group {
    uint8_t id[LAYOUT_ID];
    uint64_t generation; /* Of the journal it belongs to. */
    uint64_t seq;        /* Counts up by one, never restarts. */
    uint64_t confirmed;  /* Every group up to this one was durable. */
    uint64_t version;    /* The next version a writer here will give. */
    uint32_t prev_crc;   /* crc of the group before. */
    uint32_t n_records;
    uint32_t state_size;            /* 0: the state did not change. */
    uint32_t total_size;            /* Multiple of LAYOUT_PAGE. */
    uint32_t crc;                   /* Of the whole group. */
    const uint8_t *records, *state; /* Borrowed from the buffer. */
};

struct layout_checkpoint {
    uint8_t id[LAYOUT_ID], parent[LAYOUT_ID];
    bool has_parent;
    uint64_t size;       /* Bytes of the volume as a guest sees it. */
    uint64_t generation; /* The journal of the same number continues it. */
    uint64_t seq;        /* Of the first group of that journal. */
    uint64_t version;
    uint64_t n_records;
    uint32_t records_crc; /* Of all records, unpadded. */
    uint32_t prev_crc;    /* Of the last group before 'seq'. */
    uint32_t state_size;
    uint8_t state[LAYOUT_STATE_MAX];
};

void layout_record_put(uint8_t *p, uint32_t block, const struct block *b);
/* 0 or -EBADMSG: a number out of its range.  Flags other than those stored are
 * clear in 'ret', counters are 0. */
int layout_record_get(const uint8_t *p, uint32_t *ret_block,
                      struct block *ret) SC_MUST_CHECK;

/* Bytes that a group of so much takes. */
size_t layout_group_size(uint32_t n_records, uint32_t state_size);
/* Completes 'buf' (layout_group_size bytes; records already in their place,
 * at LAYOUT_GROUP_HEADER): header, state, padding, crc, which it also puts
 * into 'g'. */
void layout_group_seal(uint8_t *buf, struct layout_group *g,
                       const uint8_t *state);
int layout_group_decode(const uint8_t *buf, size_t size,
                        struct layout_group *ret) SC_MUST_CHECK;

/* 'buf' is LAYOUT_PAGE bytes. */
void layout_checkpoint_encode(uint8_t *buf, const struct layout_checkpoint *c);
int layout_checkpoint_decode(const uint8_t *buf, size_t size,
                             struct layout_checkpoint *ret) SC_MUST_CHECK;

#endif
