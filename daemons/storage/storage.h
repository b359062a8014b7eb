/* storage - sc-storage's state, and what its files ask of each other.
 *
 *   storage.c        volumes found at start, the tick, status and dump
 *   storage_rpc.c    the controller's connection, methods -> operations
 *   volume_pull.c    open: the view brought up to date from the authority
 *   volume_push.c    flush: what the authority does not know yet
 *   volume_ops.c     attach and detach      volume_move.c   migration
 *   volume_files.c   import, export, delete
 *   peer_serve.c     what peers ask of our volumes
 * Operations on one volume run one after the other (op_begin).
 * Source: docs/protocols/rpc.md. */
#ifndef SC_STORAGE_STORAGE_H
#define SC_STORAGE_STORAGE_H

#include "common/config.h"
#include "common/rpc.h"
#include "storage/fetch.h"
#include "storage/nbd_server.h"
#include "storage/peers.h"

enum {
    CONTROLLER_TIMEOUT_MS = 20000,
    TICK_MS = 3000,
    STOP_MS = 10000,
    STATS_TICKS = 4, /* Ticks between storage.stats. */
};

struct storage {
    const struct sc_config *config; /* Borrowed. */
    struct sc_loop *loop;           /* Borrowed. */
    struct ring *ring;              /* Owned, as all below. */
    struct bufpool *pool;
    struct vol_env env;
    struct tls_ctx *tls;
    struct peers *peers;
    struct fetcher *fetcher;
    struct nbd_server *nbd;
    struct sc_control *control;
    struct rpc_client *client;
    struct sc_source *tick;
    char *volumes_dir;
    struct volume **volumes;
    size_t n_volumes;
    struct rpc_service local_service, controller_service;
    bool greeted; /* The controller answered our hello. */
    unsigned ticks;
    uint8_t (*damaged)[BSTORE_ID]; /* Could not be opened at the start. */
    size_t n_damaged;
};

int storage_new(struct sc_loop *loop, const struct sc_config *c,
                struct storage **ret, struct sc_err *err) SC_MUST_CHECK;
void storage_free(struct storage *st); /* NULL is allowed. */
SC_CLEANUP(struct storage, storage_free)
/* When the loop has ended: commits everything, for at most some seconds. */
void storage_stop(struct storage *st);
int storage_connect(struct storage *st, struct sc_err *err) SC_MUST_CHECK;
const struct rpc_service *storage_local_service(struct storage *st);
struct rpc_conn *storage_controller(struct storage *st); /* NULL: not now. */

struct volume *storage_find(struct storage *st, const char *id);
struct volume *storage_find_raw(struct storage *st,
                                const uint8_t id[BSTORE_ID]);
/* Finds, or makes one that is VOL_NEW.  -EUCLEAN: its files are here, but could
 * not be opened; they are left as they are. */
int storage_get(struct storage *st, const char *id,
                struct volume **ret) SC_MUST_CHECK;
/* Takes it out of the table and frees it; nothing of it may be under way. */
void storage_drop(struct storage *st, struct volume *v);
void storage_volume_dir(struct storage *st, const struct volume *v,
                        char ret[4096]);
void storage_recent_path(struct storage *st, const struct volume *v,
                         char ret[4096]);
/* Links 'v' to its parent if that is here and known.  True: no need of it, or
 * linked. */
bool storage_link_parent(struct storage *st, struct volume *v);

/* --- operations --------------------------------------------------------- */
struct vol_op {
    struct vol_op *next;
    struct storage *st;
    struct volume *v;
    struct rpc_request *req; /* NULL: nobody waits for the answer. */
    const char *name;        /* For the log. */
    void (*run)(struct vol_op *op);
    void (*then)(struct vol_op *op, int res); /* op_commit */
    struct bs_wait wait;
    char migration[VOL_MIGRATION_MAX + 1];
    uint32_t epoch;
    bool rw;
    uint16_t nid;
    uint64_t started_ms;
    void *data; /* The operation's own; freed at its end. */
};
/* Queues 'op' (malloc'd, taken); it runs when those before it have ended. */
void op_begin(struct vol_op *op);
/* Ends it: answers with 'result' (taken; NULL: {}), frees it. */
void op_done(struct vol_op *op, cJSON *result);
void op_fail(struct vol_op *op, const struct sc_err *err);
int op_failf(struct vol_op *op, int code, const char *fmt, ...) SC_PRINTF(3, 4);
void op_commit(struct vol_op *op, void (*then)(struct vol_op *op, int res));
struct vol_op *op_new(struct storage *st, struct volume *v, const char *name,
                      struct rpc_request *req, void (*run)(struct vol_op *op));
cJSON *op_nbd_result(struct vol_op *op);

void op_run_attach(struct vol_op *op);
void op_run_detach(struct vol_op *op);
void op_run_flush(struct vol_op *op);
void op_run_prepare_in(struct vol_op *op);
void op_run_handover(struct vol_op *op);
void op_run_thaw(struct vol_op *op);
void op_run_release(struct vol_op *op);
void op_run_activate(struct vol_op *op);
void op_run_cancel_in(struct vol_op *op);
void op_run_import(struct vol_op *op); /* data: struct import_args */
void op_run_export(struct vol_op *op); /* data: path, malloc'd */
void op_run_delete(struct vol_op *op);
struct import_args {
    uint64_t size;
    char sha256[65];
    char path[1024];
};

/* The view of 'v' is brought up to date; 'v' has a store and its parents
 * afterwards, all durable.  'done' once, never inside the call. */
typedef void vol_fn(void *arg, const struct sc_err *err);
void volume_pull(struct storage *st, struct volume *v, bool rw, uint32_t epoch,
                 vol_fn *done, void *arg);
/* What the authority was never told is dropped; the next pull must be whole. */
int volume_forget_dirty(struct volume *v) SC_MUST_CHECK;
/* Everything durable that the authority does not know is told to it; with
 * 'close', the volume is closed there. */
void volume_push(struct storage *st, struct volume *v, bool close, vol_fn *done,
                 void *arg);

void storage_tell_authority(struct storage *st, struct volume *v);

/* --- peers -------------------------------------------------------------- */
void storage_on_fetch(void *arg, const struct peer_fetch *q,
                      struct peer_answer *to);
void storage_on_handover(void *arg, uint16_t from,
                         const struct peer_handover *h, struct peer_answer *to);
void storage_on_prepared(void *arg, uint16_t from,
                         const struct peer_prepared *p);

#endif
