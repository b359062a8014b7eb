/* volume - one volume of this node: its layers, its state, its requests.
 *
 * Reads go through the layers: a block that the volume's view lacks is the
 * parent's; one that the view has and the store lacks is fetched from its
 * holder (paper section 3.2.1).  Writes go to the volume's own store.
 * Used by the NBD server, the RPC methods and the peer server.  The loop's
 * thread only; nothing blocks.
 * Units: bytes and blocks as named.  Errors are -errno. */
#ifndef SC_STORAGE_VOLUME_H
#define SC_STORAGE_VOLUME_H

#include "storage/bstore.h"
#include "storage/bufpool.h"

#include <cjson/cJSON.h>

enum {
    VOL_ID_LEN = 36,
    VOL_MIGRATION_MAX = 64,
    VOL_REQUEST_MAX = 32 << 20, /* Bytes of one read or write. */
    VOL_HELD_MAX = 1024,        /* Writes held while frozen. */
    VOL_FLUSHES = 64,           /* Flushes remembered. */
};

/* What a volume is here.  Durable, changed by volume_set_state alone. */
#define VOL_STATES(S)                                                          \
    S(NEW, "new", VOL_(IDLE) | VOL_(IMPORTING))                                \
    S(IMPORTING, "importing", VOL_(IDLE))                                      \
    S(IDLE, "idle", VOL_(OPEN) | VOL_(INCOMING) | VOL_(IMPORTING))             \
    S(OPEN, "open", VOL_(IDLE) | VOL_(FROZEN))                                 \
    S(FROZEN, "frozen", VOL_(OPEN) | VOL_(IDLE))                               \
    S(INCOMING, "incoming", VOL_(HANDED) | VOL_(IDLE))                         \
    S(HANDED, "handed", VOL_(OPEN) | VOL_(IDLE))
#define VOL_(state) (1u << VOL_##state)
#define S(id, text, next) VOL_##id,
enum vol_state { VOL_STATES(S) VOL_N_STATES };
#undef S
const char *vol_state_name(enum vol_state s);
bool vol_state_may(enum vol_state from, enum vol_state to);

struct fetcher; /* fetch.h */
struct volume;
struct vol_op; /* volume_ops.c */

/* What all volumes share. */
struct vol_env {
    struct sc_loop *loop;
    struct io *io;
    struct bufpool *pool;
    struct fetcher *fetcher; /* NULL: what is not here is -EIO. */
    uint16_t self;           /* nid. */
};

struct volume {
    char id[VOL_ID_LEN + 1];
    uint8_t raw_id[BSTORE_ID];
    struct vol_env *env;
    struct bstore *bs;     /* Owned; NULL while VOL_NEW. */
    struct volume *parent; /* NULL: none, or not yet found. */
    unsigned children;

    enum vol_state state;
    bool rw;
    uint32_t epoch;
    uint64_t view_seq; /* The authority's, that our view includes. */
    bool told;         /* The authority knows that we are the writer. */
    char migration[VOL_MIGRATION_MAX + 1];
    uint16_t peer; /* nid of the other side of the migration. */

    unsigned n_writes; /* Under way. */
    void (*drained)(struct volume *v);
    struct vol_op *ops, **ops_end; /* The first is running. */
    struct vol_req *held, **held_end;
    unsigned n_held;
    void *pull; /* volume_pull.c: one that is under way. */
    struct {
        uint64_t seq, version;
    } flushes[VOL_FLUSHES]; /* What the authority had at which seq. */
    unsigned n_flushes;
    uint64_t dst_seq; /* The destination's view_seq, as it told; 0: unknown. */
    char dst_migration[VOL_MIGRATION_MAX + 1]; /* In which it told so. */
    struct fetch **fetches;                    /* fetch.c: by block. */
    struct volume *next_fetching;
    unsigned n_batches; /* Requests to peers under way. */
    uint32_t ra_next, ra_window;
    unsigned connections; /* NBD. */
    uint64_t bytes_fetched, blocks_fetched;
};

/* 'env' is borrowed.  '*ret' is VOL_NEW and has no store. */
int volume_new(struct vol_env *env, const char *id,
               struct volume **ret) SC_MUST_CHECK;
void volume_free(struct volume *v); /* NULL is allowed; must be quiet. */
SC_CLEANUP(struct volume, volume_free)
/* The state as JSON text goes into the store; durable with the next commit. */
void volume_set_state(struct volume *v, enum vol_state state);
void volume_save_state(struct volume *v); /* Members changed. */
/* Reads the text of the store.  0 or -EUCLEAN. */
int volume_load_state(struct volume *v) SC_MUST_CHECK;
uint64_t volume_size(const struct volume *v); /* Bytes. */
/* Opened and made for NBD clients? */
bool volume_is_served(const struct volume *v);
bool volume_may_write(const struct volume *v); /* By a guest, in time. */
cJSON *volume_dump(const struct volume *v);
int volume_id_parse(const char *text, uint8_t ret[BSTORE_ID]) SC_MUST_CHECK;
void volume_id_format(const uint8_t id[BSTORE_ID], char ret[VOL_ID_LEN + 1]);

/* --- requests ----------------------------------------------------------- */
struct vol_req;
typedef void vol_done_fn(struct vol_req *req, int res);
struct vol_part {
    struct bs_op op; /* Must be first. */
    struct vol_req *req;
    struct volume *layer;
    unsigned tries;
    unsigned waiting;             /* Blocks that are being fetched. */
    bool again;                   /* Some of them have changed meanwhile. */
    struct fetch_waiter *waiters; /* Owned. */
};
enum vol_cmd { VOL_READ, VOL_WRITE, VOL_ZERO, VOL_TRIM, VOL_FLUSH };
/* Embedded by the caller, who sets the first group of members. */
struct vol_req {
    vol_done_fn *done; /* Exactly once; may run inside volume_submit. */
    enum vol_cmd cmd;
    bool fua;
    bool internal;   /* A read of ours: the volume need not be open. */
    uint64_t offset; /* Bytes; with 'length' inside the volume. */
    uint32_t length;
    /* Reads and writes: aligned, and covers whole blocks: the byte at 'offset'
     * is at buf[offset % BLOCK_SIZE].  Its parts outside the request may be
     * overwritten. */
    uint8_t *buf;
    /* Private. */
    struct volume *vol;
    struct vol_req *next;
    struct bs_wait wait;
    struct vol_part first;
    bool first_used, counted;
    unsigned pending;
    int error;
    struct io_op again; /* The rest of a long VOL_ZERO. */
    uint32_t zero_at, zero_end;
};
void volume_submit(struct volume *v, struct vol_req *req);
/* Reads 'n' blocks of one layer and those below; for the peers and the rest.*/
void volume_thaw_held(struct volume *v, int error);

/* --- for fetch.c -------------------------------------------------------- */
struct fetch_waiter {
    struct fetch_waiter *next;
    struct vol_part *part;
    uint8_t *to; /* BLOCK_SIZE bytes. */
};
/* One block of 'part' has arrived at its place, or 'res' says why not; -EAGAIN:
 * the view has changed, look again. */
void volume_part_fetched(struct vol_part *part, int res);

#endif
