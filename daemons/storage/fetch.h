/* fetch - blocks that this node lacks, brought from those that have them.
 *
 * A block is asked for once however many wait for it; neighbours go in one
 * request; reads in sequence are read ahead.  What arrives is checked
 * (checksum and version), given to those who wait, and kept.  The holder that
 * the view names is asked first, then every other peer that is up, again and
 * again until the time-out: a guest rather waits than sees an error.
 * Source: paper section 3.2.1; docs/protocols/peer.md. */
#ifndef SC_STORAGE_FETCH_H
#define SC_STORAGE_FETCH_H

#include "storage/volume.h"

enum {
    FETCH_BATCH = 256,        /* Blocks of one request. */
    FETCH_AHEAD_MAX = 256,    /* Blocks read ahead. */
    FETCH_ASKED_MAX = 4096,   /* Blocks asked for and not answered. */
    FETCH_TIMEOUT_MS = 60000, /* Until a read is -EIO. */
    FETCH_RETRY_MS = 300,
};

struct peers;
struct fetcher;
int fetcher_new(struct vol_env *env, struct peers *peers, uint64_t timeout_ms,
                struct fetcher **ret) SC_MUST_CHECK;
void fetcher_free(struct fetcher *f); /* NULL is allowed. */
SC_CLEANUP(struct fetcher, fetcher_free)
/* Brings the blocks of 'part' (op.block, op.n, op.buf), all BS_MISSING in its
 * layer; volume_part_fetched is called for each, not before this returns. */
int fetch_part(struct fetcher *f, struct vol_part *part) SC_MUST_CHECK;
/* Something may have changed for the better (a peer is up): retry now. */
void fetcher_kick(struct fetcher *f);
/* Forgets what is asked for 'v'; those who wait get 'error'. */
void fetcher_drop(struct fetcher *f, struct volume *v, int error);
void fetcher_forget(struct fetcher *f, struct volume *v); /* It is freed. */
struct fetch_counters {
    uint64_t requests, blocks, bytes_wire, retries, failures, ahead;
};
struct fetch_counters fetcher_counters(const struct fetcher *f);

#endif
