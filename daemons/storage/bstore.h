/* bstore - the blocks of one volume on this node: map, data file, journal.
 *
 * The data view's working copy and the data store of paper section 3.2.1 in
 * one index.  Used by volume.c.  All I/O through io.h; the loop's thread only.
 *
 * Promise: when a commit has succeeded, everything that was reported done
 * before the commit began survives kill -9 and power loss.  What was not
 * committed may be lost by a power loss, whole blocks at a time, never mixed: a
 * write goes to a free slot, and the slot it replaces is used again only after
 * a commit.  A kill -9 loses nothing that was reported done (unless
 * bstore_must_commit said so).
 * Every block is checked against its crc32c when it is read.
 * Recovery never needs more than the files of the volume.
 * Versions: view_version(epoch, n), n counting commits (model/view_delta.h);
 * a version is shown to others only when it is durable (bstore_is_durable).
 * Source: docs/storage-format.md. */
#ifndef SC_STORAGE_BSTORE_H
#define SC_STORAGE_BSTORE_H

#include "common/err.h"
#include "storage/block_map.h"
#include "storage/io.h"

enum { BSTORE_ID = 16, BSTORE_STATE_MAX = 2048 };

struct bstore;
struct bstore_info {
    uint8_t id[BSTORE_ID], parent[BSTORE_ID];
    bool has_parent;
    uint64_t size; /* Bytes; the last block may be partly used. */
};

/* A waiter for a commit; embedded by the caller. */
struct bs_wait {
    void (*done)(struct bs_wait *w, int res); /* May run inside the call. */
    struct bs_wait *next;                     /* Private. */
};

/* 'recent' in both: a file for what is not committed yet, in a folder that a
 * restart of the machine empties or not (NULL: none; then bstore_must_commit is
 * always so).
 * Makes the folder 'dir' with an empty volume.  It exists, durably, once
 * 'born' has been told 0; until then only bstore_free is allowed.  A folder
 * whose making was interrupted gives -ENOENT from bstore_open. */
int bstore_create(struct io *io, const char *dir, const char *recent,
                  const struct bstore_info *info, const char *state,
                  struct bs_wait *born, struct bstore **ret,
                  struct sc_err *err) SC_MUST_CHECK;
/* Recovers what was committed.  Reads at once (blocks): for start-up.
 * -ENOENT: was never born; -EUCLEAN: the files contradict themselves. */
int bstore_open(struct io *io, const char *dir, const char *recent,
                struct bstore **ret, struct sc_err *err) SC_MUST_CHECK;
/* True when nothing is under way, so that bstore_free is allowed. */
bool bstore_is_quiet(const struct bstore *bs);
void bstore_free(struct bstore *bs); /* NULL is allowed. */
SC_CLEANUP(struct bstore, bstore_free)
/* Removes the folder of a volume that is not open, and 'recent'. */
int bstore_remove(struct io *io, const char *dir, const char *recent);

const struct bstore_info *bstore_info(const struct bstore *bs);
const struct block_map *bstore_map(const struct bstore *bs);
uint32_t bstore_n_blocks(const struct bstore *bs);
/* The owner's durable words, at most BSTORE_STATE_MAX - 1 bytes, kept as given.
 * Durable with the next commit. */
const char *bstore_state(const struct bstore *bs);
void bstore_set_state(struct bstore *bs, const char *text);
/* Versions of writes from now on are of 'epoch', held by 'self'. */
void bstore_set_writer(struct bstore *bs, uint32_t epoch, uint16_t self);
int bstore_failed(const struct bstore *bs); /* 0, or why writes are refused. */
struct bstore_counters {
    uint64_t commits, checkpoints, reads, writes, bytes_read, bytes_written,
        journal_bytes, corrupt;
};
const struct bstore_counters *bstore_counters(const struct bstore *bs);

/* What the blocks from 'block' are: the kind, and how many of them (1..max)
 * are of the same kind; of BS_LOCAL only as many as lie side by side. */
enum bs_kind { BS_ABSENT, BS_ZERO, BS_LOCAL, BS_MISSING };
enum bs_kind bstore_run(const struct bstore *bs, uint32_t block, uint32_t max,
                        uint32_t *ret_n);
bool bstore_is_durable(const struct bstore *bs, uint32_t block);
uint64_t bstore_durable_version(const struct bstore *bs);

struct bs_op;
typedef void bs_done_fn(struct bs_op *op, int res);
struct bs_run {
    struct io_op io;
    struct bs_op *op;
    uint32_t at, n, slot; /* Blocks of the op [at, at + n). */
};
/* What a write means for the view. */
enum bs_put {
    BS_WRITE,   /* The writer's: a new version. */
    BS_REPLACE, /* As BS_WRITE, if the one block still has 'slot' and 'crc'. */
    BS_FILL,    /* Bytes of 'version', fetched: if that is still wanted. */
};
/* One read or write of 'n' blocks; embedded by the caller, who sets the first
 * group of members.  'buf' is aligned to 4096 and stays until 'done'. */
struct bs_op {
    bs_done_fn *done; /* Never from inside the call. */
    uint32_t block, n;
    uint8_t *buf;
    enum bs_put put;
    uint64_t version;   /* BS_FILL; of all 'n' blocks. */
    uint32_t slot, crc; /* BS_REPLACE. */
    /* Private. */
    struct bstore *bs;
    struct bs_op *next;
    struct bs_run first, *more;
    uint32_t n_more, pending;
    uint64_t installs;
    int error;
};
/* Reads a run that bstore_run called BS_LOCAL.  0, -EAGAIN: the blocks changed
 * meanwhile, look again; -EBADMSG: the checksum is wrong; other -errno. */
void bstore_read(struct bstore *bs, struct bs_op *op);
/* Writes.  0, -EAGAIN: BS_REPLACE found another block; BS_FILL that is not
 * wanted any more is 0 and nothing changes.  -ENOSPC, -EIO: nothing changed. */
void bstore_write(struct bstore *bs, struct bs_op *op);
/* Makes blocks zeros, at once.  0 or -errno (a part may be done). */
int bstore_zero(struct bstore *bs, uint32_t block, uint32_t n) SC_MUST_CHECK;

/* The view learns from elsewhere that 'version' of 'block' is at 'holder';
 * a copy here of another version is dropped.  0 or -ENOMEM. */
int bstore_learn(struct bstore *bs, uint32_t block, uint64_t version,
                 uint16_t holder, bool dirty) SC_MUST_CHECK;
int bstore_forget(struct bstore *bs, uint32_t block) SC_MUST_CHECK;
/* Drops the copy here, keeps the view.  For copies that proved wrong. */
int bstore_drop(struct bstore *bs, uint32_t block) SC_MUST_CHECK;
/* The authority knows 'version' of 'block' now. */
int bstore_clean(struct bstore *bs, uint32_t block,
                 uint64_t version) SC_MUST_CHECK;

/* Makes all that is done so far durable, then calls 'w->done' with 0 or
 * -errno.  Commits that wait are joined into one. */
void bstore_commit(struct bstore *bs, struct bs_wait *w);
/* True: what is done since the last commit would not survive kill -9; who
 * reports it done must commit first. */
bool bstore_must_commit(const struct bstore *bs);
/* Called now and then (seconds): commits what waits, gives space back. */
void bstore_tick(struct bstore *bs);

#endif
