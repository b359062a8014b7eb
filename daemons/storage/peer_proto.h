/* peer_proto - the messages between two sc-storage: encoders and decoders.
 *
 * Pure.  A frame is a header of PEER_HEADER bytes and a payload; numbers are
 * little-endian.  Decoders take outside input: -EBADMSG for whatever is not
 * exactly right, nothing is trusted before it is checked.
 * Source: docs/protocols/peer.md. */
#ifndef SC_STORAGE_PEER_PROTO_H
#define SC_STORAGE_PEER_PROTO_H

#include "common/clean.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PEER_HEADER = 16,
    PEER_PAYLOAD_MAX = 48 << 20, /* Of a HANDOVER. */
    PEER_FETCH_MAX = 256,        /* Blocks of one FETCH. */
    PEER_BLOCK = 4096,
    PEER_ID = 16,
    PEER_MIGRATION_MAX = 64,
    PEER_TEXT_MAX = 400,
};
enum peer_type {
    PEER_FETCH = 1,
    PEER_DATA = 2,
    PEER_HANDOVER = 3,
    PEER_DONE = 4, /* Answers a HANDOVER; or any request with an error. */
    PEER_PREPARED = 5,
    PEER_PUSH = 6, /* Kept for propagation; answered with -EOPNOTSUPP. */
};
struct peer_frame {
    enum peer_type type;
    uint32_t tag;  /* Of the request; the answer has the same. */
    uint32_t size; /* Of the payload. */
};
void peer_frame_put(uint8_t p[PEER_HEADER], const struct peer_frame *f);
/* 'p' is PEER_HEADER bytes.  0 or -EBADMSG. */
int peer_frame_get(const uint8_t *p, struct peer_frame *ret) SC_MUST_CHECK;

struct peer_want {
    uint32_t block;
    uint64_t version;
};
struct peer_fetch {
    uint8_t volume[PEER_ID];
    uint32_t n; /* 1 to PEER_FETCH_MAX. */
    struct peer_want wants[PEER_FETCH_MAX];
};
/* '*ret' malloc'd: a whole frame.  0 or -ENOMEM. */
int peer_fetch_encode(const struct peer_fetch *q, uint32_t tag, uint8_t **ret,
                      size_t *ret_size) SC_MUST_CHECK;
int peer_fetch_decode(const uint8_t *p, size_t size,
                      struct peer_fetch *ret) SC_MUST_CHECK;

enum peer_status {
    PEER_BLOCK_OK = 0,      /* The version asked for, with data. */
    PEER_BLOCK_ZERO = 1,    /* The same, all zeros, no data. */
    PEER_BLOCK_NEWER = 2,   /* A newer version, with data. */
    PEER_BLOCK_MISSING = 3, /* Not here. */
    PEER_BLOCK_NEWER_ZERO = 4,
};
struct peer_block {
    uint8_t status; /* enum peer_status. */
    uint64_t version;
    uint32_t crc; /* crc32c of the data. */
};
static inline bool peer_block_has_data(const struct peer_block *b)
{
    return b->status == PEER_BLOCK_OK || b->status == PEER_BLOCK_NEWER;
}
struct peer_reply {
    int error; /* Of a PEER_DONE: 0 or -errno. */
    char text[PEER_TEXT_MAX + 1];
    uint32_t n; /* Of a PEER_DATA. */
    struct peer_block blocks[PEER_FETCH_MAX];
    uint8_t *data; /* Owned: of those that have some, in order; aligned. */
    size_t data_size;
    uint32_t wire; /* Bytes that came. */
};
void peer_reply_clear(struct peer_reply *r);
/* zstd makes the data smaller where it can.  As peer_fetch_encode. */
int peer_data_encode(uint32_t n, const struct peer_block *blocks,
                     const uint8_t *data, uint32_t tag, uint8_t **ret,
                     size_t *ret_size) SC_MUST_CHECK;
/* Checks every checksum.  0, -EBADMSG, -ENOMEM. */
int peer_data_decode(const uint8_t *p, size_t size,
                     struct peer_reply *ret) SC_MUST_CHECK;

struct peer_handover {
    uint8_t volume[PEER_ID];
    char migration[PEER_MIGRATION_MAX + 1];
    uint32_t epoch;       /* The next. */
    const uint8_t *delta; /* view_delta's form; borrowed. */
    uint32_t delta_size;
};
int peer_handover_encode(const struct peer_handover *h, uint32_t tag,
                         uint8_t **ret, size_t *ret_size) SC_MUST_CHECK;
int peer_handover_decode(const uint8_t *p, size_t size,
                         struct peer_handover *ret) SC_MUST_CHECK;

struct peer_prepared { /* The destination is ready, its view is at 'seq'. */
    uint8_t volume[PEER_ID];
    char migration[PEER_MIGRATION_MAX + 1];
    uint64_t seq;
};
int peer_prepared_encode(const struct peer_prepared *m, uint32_t tag,
                         uint8_t **ret, size_t *ret_size) SC_MUST_CHECK;
int peer_prepared_decode(const uint8_t *p, size_t size,
                         struct peer_prepared *ret) SC_MUST_CHECK;

int peer_done_encode(int error, const char *text, uint32_t tag, uint8_t **ret,
                     size_t *ret_size) SC_MUST_CHECK;
int peer_done_decode(const uint8_t *p, size_t size,
                     struct peer_reply *ret) SC_MUST_CHECK;

#endif
