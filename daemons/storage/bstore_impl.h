/* bstore_impl - what the files of bstore share: the state of an open volume.
 *
 * Included by bstore*.c alone.  bstore.c: reads, writes, changes of the map;
 * bstore_commit.c: commits and giving space back; bstore_checkpoint.c;
 * bstore_open.c: making and recovering; bstore_recent.c: for kill -9. */
#ifndef SC_STORAGE_BSTORE_IMPL_H
#define SC_STORAGE_BSTORE_IMPL_H

#include "storage/bstore.h"
#include "storage/layout.h"
#include "storage/slots.h"

enum {
    COMMIT_BLOCKS = 8192,          /* Commit by itself after so many changes. */
    GROW_MIN = 1024,               /* Slots. */
    GROW_MAX = 16384,              /* Slots. */
    GROW_BELOW = 768,              /* Free slots: grow ahead of need. */
    SPARE_BUSY = 24576,            /* Free slots kept backed under load. */
    SPARE_IDLE = 256,              /* The same when nobody writes. */
    PUNCH_MIN = 16,                /* Slots: 64 KiB. */
    PUNCH_MAX = 16384,             /* Slots. */
    JOURNAL_STEP = 1 << 20,        /* Bytes a journal file grows by. */
    JOURNAL_MIN = 8 << 20,         /* Bytes before a checkpoint is worth it. */
    CHECKPOINT_CHUNK = 21 * 12288, /* Bytes of records written at once. */
};

struct u32_list {
    uint32_t *v;
    size_t n, capacity;
};
int u32_list_reserve(struct u32_list *l, size_t more) SC_MUST_CHECK;
static inline void u32_list_push(struct u32_list *l, uint32_t v)
{
    l->v[l->n++] = v; /* Reserved before. */
}

struct commit {
    bool busy;    /* A group is being made durable. */
    bool stuck;   /* It failed in a way that may pass: try it again. */
    uint8_t *buf; /* Owned: the groups. */
    size_t size, capacity;
    uint64_t last_seq;            /* Of the last group in 'buf'. */
    uint64_t version;             /* All versions up to this are in it. */
    struct u32_list freed;        /* Slots free once it is durable. */
    char state[BSTORE_STATE_MAX]; /* In it, or in one before. */
    bool again;                   /* This try is of a group that was stuck. */
    struct bs_wait *waiters;
    struct io_op allocate, write, sync_data, sync_journal;
    unsigned pending;
    int error; /* Of this try. */
};

struct checkpoint {
    bool busy;
    uint64_t seq;        /* First group of the journal that continues it. */
    uint32_t prev_crc;   /* Of the group before that. */
    uint32_t next_block; /* Where the walk goes on. */
    uint64_t n_records;
    uint32_t records_crc;
    uint64_t offset; /* In the file. */
    uint8_t *buf;    /* Owned: CHECKPOINT_CHUNK bytes. */
    size_t used;     /* Bytes of records in 'buf' not yet written. */
    size_t writing;  /* Bytes of 'buf' being written, padded. */
    struct io_op op;
    struct bs_wait wait;
    struct bs_wait *born; /* Told when the first is done. */
};

struct bstore {
    struct io *io;
    struct bstore_info info;
    uint32_t n_blocks;
    struct block_map *map;         /* Owned. */
    struct slots *slots;           /* Owned. */
    int data, journal[2], meta[2]; /* Files. */
    char state[BSTORE_STATE_MAX];
    char durable_state[BSTORE_STATE_MAX]; /* Of the last commit. */
    bool state_changed;
    bool born;
    int failed; /* -errno: nothing can be made durable any more. */

    uint16_t self;             /* nid. */
    uint64_t version;          /* The next that a write gets. */
    uint64_t durable_version;  /* Own versions up to this are durable. */
    uint64_t generation;       /* Of the journal being written. */
    uint64_t valid_generation; /* Of the newest complete checkpoint. */
    uint64_t valid_records;    /* In it. */
    uint64_t seq, durable_seq; /* Last given, last durable. */
    uint32_t prev_crc;         /* Of group 'seq'. */
    uint64_t tail;             /* Bytes in the journal being written. */
    uint64_t journal_size[2];  /* Allocated. */

    struct u32_list listed; /* Blocks for the next group. */
    struct u32_list freed;  /* Slots free after the next group. */
    uint64_t installs;      /* Changes of the map. */
    unsigned ops;           /* Reads and writes under way. */
    uint64_t writes_at_tick;
    struct bs_wait *waiters;              /* For the next commit. */
    struct bs_op *waiting, **waiting_end; /* Writes without slots. */
    bool want; /* A commit, though nobody waits for it. */
    bool growing, punching;
    uint32_t grow_to, punch_first, punch_n;
    struct io_op grow, punch;
    void *recent; /* Mapped; NULL: none. */
    uint64_t recent_order;
    unsigned recent_which;   /* The area that is added to. */
    bool recent_full;        /* It takes no more. */
    uint64_t unrecorded_seq; /* Last group with changes that are in no area. */
    bool recent_kept;        /* Both areas are kept until the next commit. */
    struct commit commit;
    struct checkpoint checkpoint;
    struct bstore_counters counters;
};

/* Replaces the entry of 'block' and notes it for the next group; 'b' keeps its
 * counters from the old.  Lists were reserved by bstore_reserve. */
void bstore_install(struct bstore *bs, uint32_t block, struct block b);
int bstore_reserve(struct bstore *bs, uint32_t block, uint32_t n) SC_MUST_CHECK;
/* Starts the next commit if one is wanted and none is under way. */
void bstore_commit_next(struct bstore *bs);
void bstore_retry_waiting(struct bstore *bs, int error);
void bstore_give_space_back(struct bstore *bs, uint32_t keep);
/* Begins a checkpoint if the journal has become long; 'resume': of the present
 * generation (after recovery, or of a new volume). */
void bstore_checkpoint_begin(struct bstore *bs, bool resume);
void bstore_checkpoint_maybe(struct bstore *bs);
/* --- bstore_recent.c */
void bstore_recent_map(struct bstore *bs, const char *path);
void bstore_recent_unmap(struct bstore *bs);
void bstore_recent_begin(struct bstore *bs); /* Of a new volume. */
void bstore_recent_note(struct bstore *bs, uint32_t block,
                        const struct block *b);
void bstore_recent_cut(struct bstore *bs); /* After the group has its number. */
void bstore_recent_committed(struct bstore *bs);
int bstore_recent_replay(struct bstore *bs, struct sc_err *err) SC_MUST_CHECK;

struct bstore *bstore_alloc(struct io *io);
int bstore_open_files(struct bstore *bs, const char *dir, bool create,
                      struct sc_err *err) SC_MUST_CHECK;

#endif
