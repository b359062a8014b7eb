/* ctl - the controller's state, and how its parts reach the store and the
 * world.
 *
 * Private to daemons/controller.  Reading order: ctl.h, txn.c (the store),
 * registry.c (nodes), jobs.c (the engine), vm_*.c and image_job.c (what the
 * engine runs), ops*.c (what users ask), server.c (the transport).
 * One thread, nothing blocks but the store's commit.  The world is reached
 * through struct ctl_env alone, so a test can be the world: fake nodes, a
 * fake clock.
 * Objects are kept in memory, and written through: change the object, then put
 * it into a ctl_txn and commit.  A commit that fails is fatal (ctl->broken):
 * memory and store would differ, so the program ends and starts again from the
 * store.  Nothing is told to anybody before it is committed.
 * Units: _at and now ms since 1970, _mib MiB. */
#ifndef SC_CONTROLLER_CTL_H
#define SC_CONTROLLER_CTL_H

#include "api/backend.h"
#include "common/rpc.h"
#include "common/store.h"
#include "controller/job.h"
#include "model/objects.h"

enum ctl_program { PROGRAM_NODE, PROGRAM_STORAGE, PROGRAM_NETWORK, N_PROGRAMS };
extern const char *const ctl_program_names[N_PROGRAMS]; /* "sc-node" ... */

typedef void ctl_reach_fn(void *arg, int code);
/* A line of a run of sc-provider: {"progress": ...} or {"save": ...}. */
typedef void ctl_worker_line_fn(void *arg, const cJSON *line);

/* The world.  All functions: loop thread, never block. */
struct ctl_env {
    void *ctx;
    uint64_t (*now)(void *ctx);
    /* As rpc_call, to 'program' on node 'nid' (0 for sc-network): 'params' is
     * taken; 'done' runs exactly once, never from inside. */
    void (*call)(void *ctx, uint16_t nid, enum ctl_program program,
                 const char *method, cJSON *params, uint64_t timeout_ms,
                 rpc_done_fn *done, void *arg);
    /* Told and forgotten; not connected: nothing happens. */
    void (*notify)(void *ctx, uint16_t nid, enum ctl_program program,
                   const char *method, cJSON *params);
    /* An object of the API changed; 'object' (borrowed) NULL: gone. */
    void (*changed)(void *ctx, const char *kind, const char *id,
                    const cJSON *object);
    /* The store failed; the program must end.  Once. */
    void (*broken)(void *ctx, const struct sc_err *err);
    /* Connects to a TCP port of an IP address and closes it again.  'done' runs
     * exactly once, never from inside: 0 or -errno.  NULL: nothing is tried. */
    void (*reach)(void *ctx, const char *address, uint16_t port,
                  uint64_t timeout_ms, ctl_reach_fn *done, void *arg);
    /* Runs sc-provider with 'request' (taken), or, if that is NULL, for its
     * list of drivers (worker.h).  'done' runs exactly once, never from
     * inside. */
    void (*worker)(void *ctx, cJSON *request, uint64_t timeout_ms,
                   ctl_worker_line_fn *line, rpc_done_fn *done, void *arg);
    /* The run that was begun with 'arg', if it has not ended, is to undo what
     * it made and end; its 'done' follows, with an error. */
    void (*worker_cancel)(void *ctx, const void *arg);
};

struct ctl_options {
    const char *pki_dir, *spool_dir; /* Copied, as all strings here. */
    const char *host;                /* How nodes reach the controller. */
    uint16_t port;
    uint16_t own_nid; /* The controller's machine, if it is a node; or 0. */
    const char *node_config; /* JSON object: what a joining node's config has in
                                common with ours (folders, ports, driver). */
    uint64_t heartbeat_ms;   /* 0: 2000. */
    unsigned heartbeats_missed; /* Then a node is down; 0: 3. */
};

struct ctl_node {
    struct node n;
    bool connected[N_PROGRAMS];
    uint64_t heard_at; /* Last heartbeat or hello of sc-node. */
    uint64_t blocks_local, blocks_dirty, wan_in, wan_out;
    /* Bytes of migrations between this region and others, since our start. */
    uint64_t moved_in, moved_out;
    /* What it reported of itself (probes.c); stored. */
    cJSON *probes; /* Owned.  Array; NULL: none yet. */
    cJSON *notice; /* Owned.  Of its provider; NULL: none. */
    uint64_t probed_at;
    uint64_t reach_at; /* When to try its ports next. */
    bool reaching;
};
void ctl_node_free(struct ctl_node *n); /* NULL is allowed. */
SC_CLEANUP(struct ctl_node, ctl_node_free)
struct ctl_latency {
    uint16_t a, b; /* a measured towards b. */
    double rtt_ms;
    uint64_t at;
};
/* A call that must reach a node some time, whatever happens meanwhile. */
struct ctl_errand {
    uint64_t seq;
    uint16_t nid;
    enum ctl_program program;
    char method[OBJ_NAME];
    cJSON *params; /* Owned. */
    bool busy;
    uint64_t retry_at;
};

#define CTL_LIST(T)                                                            \
    struct {                                                                   \
        T **items;                                                             \
        size_t n, capacity;                                                    \
    }

struct ctl {
    struct store *store; /* Owned. */
    struct ctl_env env;
    char *pki_dir, *spool_dir, *host, *node_config; /* Owned. */
    uint16_t port, own_nid;
    uint64_t heartbeat_ms;
    unsigned heartbeats_missed;

    CTL_LIST(struct ctl_node) nodes;
    CTL_LIST(struct network) networks;
    CTL_LIST(struct image) images;
    CTL_LIST(struct vm) vms;
    CTL_LIST(struct job) jobs; /* Oldest first; the ended ones too. */
    CTL_LIST(struct ctl_errand) errands;
    CTL_LIST(struct ctl_latency) latencies;
    CTL_LIST(struct ctl_session) sessions; /* Serial consoles. */
    CTL_LIST(struct account) accounts;     /* At providers: providers.h. */
    CTL_LIST(struct published) published;
    CTL_LIST(struct launched) launched;
    cJSON *drivers;          /* Owned.  Of sc-provider; NULL: not asked yet. */
    struct secrets *secrets; /* Owned.  NULL: not opened yet. */
    char cluster_id[OBJ_ID]; /* What our things at providers are tagged with. */
    bool network_connected;  /* sc-network */
    bool peers_changed;
    uint64_t latency_told_at, latency_changed_at;
    uint32_t next_nid, next_vni;
    uint64_t next_errand, next_session, next_run;
    uint64_t started_at, ran_at; /* ran_at: of the last ctl_run; 0: none. */
    bool broken, stopping;
};

/* Loads everything from 'store' (taken, also on failure), and takes up the
 * jobs that were running.  0 or -errno with 'err' filled. */
extern const char *const ctl_tables[];
int ctl_new(struct store *store, const struct ctl_env *env,
            const struct ctl_options *o, struct ctl **ret,
            struct sc_err *err) SC_MUST_CHECK;
/* Pending calls may still report afterwards only through ctl_wait, which
 * knows; so: close the transport first, then this. */
void ctl_free(struct ctl *ctl);
SC_CLEANUP(struct ctl, ctl_free)
/* Does what is due: call it every 100 to 500 ms. */
void ctl_run(struct ctl *ctl);
static inline uint64_t ctl_now(const struct ctl *ctl)
{
    return ctl->env.now(ctl->env.ctx);
}

/* --- lists -------------------------------------------------------------- */

/* Appends 'p' to the CTL_LIST 'l' points to; false: out of memory. */
#define ctl_list_add(l, p)                                                     \
    __extension__({                                                            \
        bool ok_ = true;                                                       \
        if ((l)->n == (l)->capacity) {                                         \
            size_t c_ = (l)->capacity ? 2 * (l)->capacity : 16;                \
            void *i_ = realloc((l)->items, c_ * sizeof(void *));               \
            if ((ok_ = i_ != NULL)) {                                          \
                (l)->items = i_;                                               \
                (l)->capacity = c_;                                            \
            }                                                                  \
        }                                                                      \
        if (ok_)                                                               \
            (l)->items[(l)->n++] = (p);                                        \
        ok_;                                                                   \
    })
/* Takes 'p' out (it is not freed); the order stays. */
#define ctl_list_remove(l, p)                                                  \
    do {                                                                       \
        size_t to_ = 0;                                                        \
        for (size_t i_ = 0; i_ < (l)->n; i_++) {                               \
            if ((l)->items[i_] != (p))                                         \
                (l)->items[to_++] = (l)->items[i_];                            \
        }                                                                      \
        (l)->n = to_;                                                          \
    } while (0)

/* Find by id, or by name where an object has one; NULL: not there. */
struct ctl_node *ctl_node_by_nid(struct ctl *ctl, uint16_t nid);
struct ctl_node *ctl_node_find(struct ctl *ctl, const char *id_or_name);
struct network *ctl_network_find(struct ctl *ctl, const char *id_or_name);
struct image *ctl_image_find(struct ctl *ctl, const char *id_or_name);
struct vm *ctl_vm_find(struct ctl *ctl, const char *id_or_name);
struct job *ctl_job_find(struct ctl *ctl, const char *id);

/* --- the store (txn.c) -------------------------------------------------- */

/* One write transaction; errors stick, commit tells.  Changes are announced to
 * env.changed after the commit. */
struct ctl_txn;
struct ctl_txn *ctl_txn_begin(struct ctl *ctl);
struct store_txn *ctl_txn_store(struct ctl_txn *x); /* NULL: broken. */
void ctl_put_node(struct ctl_txn *x, const struct node *n);
void ctl_put_network(struct ctl_txn *x, const struct network *n);
void ctl_put_image(struct ctl_txn *x, const struct image *i);
void ctl_put_vm(struct ctl_txn *x, const struct vm *v);
void ctl_put_job(struct ctl_txn *x, const struct job *j);
void ctl_put_json(struct ctl_txn *x, const char *table, const char *key,
                  cJSON *value); /* 'value' is taken. */
void ctl_put_number(struct ctl_txn *x, const char *key, uint64_t value);
/* 'kind' (as in the API's events) NULL: nothing is announced. */
void ctl_del(struct ctl_txn *x, const char *table, const char *key,
             const char *kind);
/* 'id' of 'kind' is told to listeners after the commit. */
void ctl_announce(struct ctl_txn *x, const char *kind, const char *id);
/* Keeps the first failure; returns 'r'. */
int ctl_txn_fail(struct ctl_txn *x, int r, const struct sc_err *err);
/* Ends 'x'.  0; or -errno: nothing was stored, and unless 'x' was failed by
 * ctl_txn_fail the controller is broken now. */
int ctl_txn_commit(struct ctl_txn *x, struct sc_err *err);
/* Reads the JSON at 'key'; NULL if there is none.  The caller's. */
cJSON *ctl_read_json(struct ctl *ctl, const char *table,
                     const char *key) SC_MUST_CHECK;
void ctl_break(struct ctl *ctl, const struct sc_err *err);
int ctl_load(struct ctl *ctl, struct sc_err *err) SC_MUST_CHECK;
/* Announces an object whose change was not stored (progress, free memory). */
void ctl_announce_node(struct ctl *ctl, const struct ctl_node *n);
void ctl_announce_job(struct ctl *ctl, const struct job *j);

/* --- API forms (views.c) ------------------------------------------------ */

cJSON *ctl_node_json(struct ctl *ctl, const struct ctl_node *n);
cJSON *ctl_network_json(struct ctl *ctl, const struct network *n);
cJSON *ctl_image_json(struct ctl *ctl, const struct image *i);
cJSON *ctl_vm_json(struct ctl *ctl, const struct vm *v);
cJSON *ctl_overview_json(struct ctl *ctl);

/* --- nodes (registry.c) -------------------------------------------------- */

bool ctl_connected(struct ctl *ctl, uint16_t nid, enum ctl_program program);
/* Adds a node that has joined; stored in 'x'.  NULL: out of memory. */
struct ctl_node *ctl_node_add(struct ctl *ctl, struct ctl_txn *x,
                              const struct node *n);
/* The controller's own machine, which joins nobody: adds it, or corrects what
 * its config file says otherwise now. */
int ctl_node_own(struct ctl *ctl, const struct node *n,
                 struct sc_err *err) SC_MUST_CHECK;
int ctl_node_remove(struct ctl *ctl, struct ctl_node *n, struct sc_err *err);
/* A program said hello.  'node_id' is its certificate's; the answer to give is
 * '*ret'.  -ENOENT: no such node; -EINVAL. */
int ctl_hello(struct ctl *ctl, enum ctl_program program, const char *node_id,
              const cJSON *params, uint16_t *ret_nid, cJSON **ret,
              struct sc_err *err) SC_MUST_CHECK;
/* After the answer to hello was sent: peers, net.state, what waited. */
void ctl_welcome(struct ctl *ctl, uint16_t nid, enum ctl_program program);
void ctl_gone(struct ctl *ctl, uint16_t nid, enum ctl_program program);
void ctl_heartbeat(struct ctl *ctl, uint16_t nid, const cJSON *params);
void ctl_vm_state(struct ctl *ctl, uint16_t nid, const cJSON *params);
void ctl_vm_progress(struct ctl *ctl, uint16_t nid, const cJSON *params);
void ctl_storage_stats(struct ctl *ctl, uint16_t nid, const cJSON *params);
void ctl_registry_run(struct ctl *ctl);
double ctl_rtt(struct ctl *ctl, uint16_t a, uint16_t b); /* < 0: unknown. */

/* --- what nodes report (probes.c) -------------------------------------------
 */

void ctl_node_probes(struct ctl *ctl, uint16_t nid, const cJSON *params);
void ctl_node_probes_hello(struct ctl *ctl, struct ctl_node *n,
                           const cJSON *hello);
/* Takes a report into 'n', unstored.  -EINVAL: 'n' is unchanged. */
int ctl_node_take_probes(struct ctl_node *n, const cJSON *report, uint64_t now,
                         struct sc_err *err);
void ctl_node_notice(struct ctl *ctl, uint16_t nid, const cJSON *params);
/* Will its provider take it away?  Then nothing new goes there. */
bool ctl_node_revoked(const struct ctl_node *n);
void ctl_node_facts_add(const struct ctl_node *n, cJSON *to);
int ctl_node_facts_load(struct ctl *ctl, const char *id, const cJSON *j,
                        struct sc_err *err);
void ctl_reach_run(struct ctl *ctl);

/* --- views of volumes (view_ops.c) ---------------------------------------- */

/* view.open, view.more, view.flush, view.close, view.handover of node 'nid';
 * '*ret' is the answer. */
int ctl_view(struct ctl *ctl, uint16_t nid, const char *method,
             const cJSON *params, cJSON **ret,
             struct sc_err *err) SC_MUST_CHECK;

/* --- calls that must arrive (errand.c) ------------------------------------ */

/* Stores the call in 'x'; it is made as soon as the node is connected, and
 * again until it was answered.  'params' is taken. */
void ctl_errand_add(struct ctl *ctl, struct ctl_txn *x, uint16_t nid,
                    enum ctl_program program, const char *method,
                    cJSON *params);
void ctl_errand_run(struct ctl *ctl);
void ctl_errand_forget_node(struct ctl *ctl, struct ctl_txn *x, uint16_t nid);
int ctl_errand_load(struct ctl *ctl, uint64_t seq, const cJSON *j,
                    struct sc_err *err);

/* Removes the image and everything its upload left (image_job.c). */
void ctl_image_drop(struct ctl *ctl, struct ctl_txn *x, struct image *image);
/* Removes volume 'id': its view now, its blocks from every node that may have
 * some (now or when it is back). */
void ctl_volume_drop(struct ctl *ctl, struct ctl_txn *x, const char *id);

/* --- networks (networks.c) ---------------------------------------------- */

/* The lowest free address of the DHCP range.  -ENOSPC. */
int ctl_network_take_ip(struct ctl *ctl, const struct network *n, char ret[16],
                        struct sc_err *err) SC_MUST_CHECK;
cJSON *ctl_net_port_json(struct ctl *ctl, const struct vm *v,
                         const struct vm_port *p);
void ctl_net_tell_ports(struct ctl *ctl, const struct vm *v);
void ctl_net_tell_state(struct ctl *ctl); /* net.state: everything. */
cJSON *ctl_net_node_json(const struct ctl_node *n);
cJSON *ctl_net_network_json(const struct network *n);

/* --- placement ----------------------------------------------------------- */

struct place_request;
int ctl_place(struct ctl *ctl, const struct place_request *q,
              struct ctl_node **ret, struct sc_err *err) SC_MUST_CHECK;

/* --- operations (ops.c) -------------------------------------------------- */

void ctl_op(struct ctl *ctl, const char *op, const struct api_caller *who,
            const cJSON *params, api_done_fn *done, void *arg);

#endif
