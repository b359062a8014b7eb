/* zpack - compresses the memory stream of a migration while it helps.
 *
 * zstd level 1, one frame a chunk.  When a window of ZPACK_WINDOW bytes shrank
 * by less than a tenth it is switched off for ZPACK_REST bytes, then tried
 * again.  Not thread-safe; each migration has its own.
 * Units: bytes.  Source: docs/protocols/migration.md "DATA". */
#ifndef SC_NODE_ZPACK_H
#define SC_NODE_ZPACK_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { ZPACK_WINDOW = 4 << 20, ZPACK_REST = 32 << 20 };

struct zpack;
int zpack_new(struct zpack **ret) SC_MUST_CHECK; /* 0 or -ENOMEM. */
void zpack_free(struct zpack *z);                /* NULL is allowed. */
SC_CLEANUP(struct zpack, zpack_free)
/* Whether the next chunk should be packed; else it goes as it is. */
bool zpack_wanted(const struct zpack *z);
/* 'size' bytes were sent as they are. */
void zpack_skipped(struct zpack *z, uint64_t size);
/* Packs 'src' to the payload of a MIG_F_ZSTD frame at 'dst'.  Returns its size,
 * or 0: not smaller (or no room); send it as it is. */
uint32_t zpack_pack(struct zpack *z, const void *src, uint32_t size, void *dst,
                    uint32_t dst_size);
/* Unpacks such a payload into 'dst'.  Returns the size, or -EPROTO. */
int zpack_unpack(struct zpack *z, const void *src, uint32_t size, void *dst,
                 uint32_t dst_size, struct sc_err *err);

#endif
