/* view_delta - which blocks of a volume changed, to which version, and which
 * node holds that version; and its compact binary form.
 *
 * Used by sc-controller (authority over every volume's view) and sc-storage
 * (working copy, what it flushes).  A delta is an ordered list of disjoint runs
 * of blocks; a whole view is a delta from nothing.  A block that no run names
 * has never been written: it reads as the parent's, or zeros without a parent.
 * Pure; not thread-safe.
 * Units: blocks of VIEW_BLOCK_SIZE bytes; block numbers from 0.
 * Versions: a writer makes them by view_version(epoch, n), n counting up inside
 * the epoch (never going back in it, restarts included).  So two writers never
 * give one version to different bytes, and the larger version is the newer.
 *
 * Binary form, all numbers LEB128 (least significant 7 bits first, shortest
 * form only): bytes 'V' 'D' 1, number of runs, then for each run: gap (first
 * minus the end of the run before, the first run: minus 0), count, version
 * minus the version before (zigzag; the first: minus 0), holder.  Neighbours
 * that could be one run are one run, so each delta has exactly one form. */
#ifndef SC_MODEL_VIEW_DELTA_H
#define SC_MODEL_VIEW_DELTA_H

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

enum { VIEW_BLOCK_SIZE = 4096 };     /* bytes */
enum { VIEW_RUNS_MAX = 4 << 20 };    /* Runs a decoder accepts. */
enum { VIEW_MESSAGE_MAX = 4 << 20 }; /* Bytes of one encoded delta by RPC. */
#define VIEW_BLOCKS_MAX (UINT64_C(1) << 44) /* Blocks of a volume. */

struct view_run {
    uint64_t first;   /* First block. */
    uint64_t count;   /* Blocks; never 0. */
    uint64_t version; /* Never 0. */
    uint16_t holder;  /* nid of the node that has it; never 0. */
};

/* Read the members; change them by the functions only. */
struct view_delta {
    struct view_run *runs; /* By 'first', disjoint, coalesced. */
    size_t n_runs;
    size_t capacity;
};

static inline uint64_t view_version(uint32_t epoch, uint32_t n)
{
    return (uint64_t)epoch << 32 | n;
}
static inline uint32_t view_version_epoch(uint64_t version)
{
    return (uint32_t)(version >> 32);
}

struct view_delta *view_delta_new(void);    /* NULL: out of memory. */
void view_delta_free(struct view_delta *d); /* NULL is allowed. */
SC_CLEANUP(struct view_delta, view_delta_free)
void view_delta_clear(struct view_delta *d); /* Keeps the memory. */

/* Records 'run' where it is newer than what 'd' has; equal versions take the
 * new holder, older blocks of 'run' are ignored.  Appending at the end is
 * constant time, else linear in the runs.
 * 0, or with 'd' unchanged -EINVAL (a member out of its range), -ENOMEM. */
int view_delta_put(struct view_delta *d,
                   const struct view_run *run) SC_MUST_CHECK;
/* The same for every run of 'from', in one linear pass. */
int view_delta_merge(struct view_delta *d,
                     const struct view_delta *from) SC_MUST_CHECK;
/* The run that holds 'block', or NULL.  Borrowed until 'd' changes. */
const struct view_run *view_delta_get(const struct view_delta *d,
                                      uint64_t block);
/* Appends to 'ret' the parts of 'd' in [first, end).  0 or -ENOMEM. */
int view_delta_slice(const struct view_delta *d, uint64_t first, uint64_t end,
                     struct view_delta *ret) SC_MUST_CHECK;
uint64_t view_delta_blocks(const struct view_delta *d); /* Sum of counts. */

/* Encodes the runs from 'from_run' (an index) on, as many as fit in 'max_size'
 * bytes (0: all).  '*ret' is malloc'd; '*ret_next_run' (NULL allowed) is
 * n_runs when all of it was encoded.  0, -ENOMEM, or -EMSGSIZE: not even one
 * run fits (64 bytes always do). */
int view_delta_encode(const struct view_delta *d, size_t from_run,
                      size_t max_size, void **ret, size_t *ret_size,
                      size_t *ret_next_run) SC_MUST_CHECK;
/* Decodes exactly 'size' bytes; every block must be < 'n_blocks' (of the
 * volume).  Size 0 is the empty delta.  0, or -EBADMSG (with 'err' telling the
 * byte and the field), -ENOMEM. */
int view_delta_decode(const void *data, size_t size, uint64_t n_blocks,
                      struct view_delta **ret,
                      struct sc_err *err) SC_MUST_CHECK;
/* The same as the base64 text that RPC carries; encode gives malloc'd text,
 * NULL out of memory. */
char *view_delta_encode_text(const struct view_delta *d);
int view_delta_decode_text(const char *text, uint64_t n_blocks,
                           struct view_delta **ret,
                           struct sc_err *err) SC_MUST_CHECK;

#endif
