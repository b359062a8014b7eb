/* node - sc-node: the guests of one machine.
 *
 * Internal header of this folder: the state struct and what its files use of
 * each other.  One loop, one thread; nothing blocks but the durable records
 * (milliseconds).  VMs are kept in 'vms' from vm.start or vm.prepare_in until
 * nothing of them is left here; each has at most one migration.
 *
 *   node_rpc.c  methods of docs/protocols/rpc.md -> the functions below
 *   vm.c        start and stop      console.c  serial consoles
 *   mig_out.c   leaving             mig_in.c   arriving    (migproto.c decides)
 *   volumes.c   calls to sc-storage boot.c     kernels as files
 *   ports.c     Open vSwitch        recover.c  after a restart (converge.c)
 *   beat.c      hello, heartbeats, peers       probe.c     round-trip times
 *   notices.c   what the provider announces (notice.c decides, metadata.c asks)
 *   probes.c    what this machine can do: its child measures (probes_main.c) */
#ifndef SC_NODE_NODE_H
#define SC_NODE_NODE_H

#include "common/config.h"
#include "common/loop.h"
#include "common/rpc.h"
#include "common/tls.h"
#include "hypervisor/hypervisor.h"
#include "node/migproto.h"
#include "node/records.h"
#include "node/ring.h"
#include "node/vmspec.h"

struct node;
struct vm;
struct mig_out;
struct mig_in;
struct ovs;
struct probe;
struct notices;
struct probes;
struct mig_listener;
struct console_session;
struct recovery;
struct vol_op;

/* As in heartbeats and vm.state. */
#define VM_PHASES(S)                                                           \
    S(STARTING, "starting")                                                    \
    S(RUNNING, "running")                                                      \
    S(MIGRATING, "migrating")                                                  \
    S(STOPPING, "stopping")                                                    \
    S(STOPPED, "stopped")                                                      \
    S(UNKNOWN, "unknown")   /* Given away, and nobody answers. */              \
    S(INCOMING, "incoming") /* Not ours yet; in no heartbeat. */
#define S(id, text) VM_##id,
enum vm_phase { VM_PHASES(S) VM_N_PHASES };
#undef S
const char *vm_phase_name(enum vm_phase p);

struct vm_disk {
    char nbd_socket[108], export[256];
    uint64_t size; /* bytes */
};
struct vm {
    struct vm *next;
    struct node *node;
    struct vmspec spec;
    enum vm_phase phase;
    char reason[SC_ERR_TEXT]; /* Why it is STOPPED or UNKNOWN. */
    struct vm_disk disks[VM_VOLUMES_MAX];
    struct rpc_request *start_req, *stop_req;
    struct sc_err start_err; /* Why the start is being undone. */
    bool hv_here; /* The hypervisor has (or may have) a guest of ours. */
    struct vol_op *vol_op;
    struct mig_out *out;
    struct mig_in *in;
    /* Console. */
    struct ring *ring;
    int console_fd;
    struct sc_source *console_source;
    char *console_out; /* Typed, not yet taken by the guest. */
    size_t console_out_size;
};

struct node_peer {
    char node_id[SC_UUID_LEN + 1];
    char address[256];
    uint16_t nid, probe_port;
    bool up;
};
enum { NODE_PEERS_MAX = 1024 };

struct node {
    struct sc_loop *loop;
    const struct sc_config *config; /* Borrowed. */
    struct tls_ctx *tls;
    struct hv *hv;
    bool recovered; /* After hv's 'ready' and convergence. */
    struct records *records;
    struct ovs *ovs; /* NULL: guests have no network here (fake driver). */
    struct rpc_client *controller, *storage;
    struct sc_control *control;
    struct mig_listener *listener;
    struct probe *probe;
    struct notices *notices;
    struct probes *probes;
    /* From hello's answer: the controller's clock less our monotonic one. */
    int64_t clock_offset_us;
    uint64_t clock_round_trip_us, hello_at_us;
    bool clock_heard;
    struct vm *vms;
    struct console_session *sessions;
    struct node_peer *peers;
    size_t n_peers;
    struct sc_source *beat_timer;
    struct sc_source *switch_retry; /* NULL: the switch is as it should be. */
    struct recovery *recovery;      /* Until 'recovered'. */
    char boot_mode[16], boot_reason[SC_ERR_TEXT];
    uint64_t heartbeat_ms;
    struct hv_events hv_events;
    struct rpc_service controller_service, storage_service, local_service;
};

/* 'c' is borrowed and outlives the node. */
int node_new(struct sc_loop *loop, const struct sc_config *c, struct node **ret,
             struct sc_err *err) SC_MUST_CHECK;
void node_free(struct node *n); /* Guests go on running. */
SC_CLEANUP(struct node, node_free)
/* Answers a request that is still open when sc-node ends; NULL allowed. */
void node_answer_end(struct rpc_request *req);
/* Tells the controller, if it is there; 'params' is taken. */
void node_notify(struct node *n, const char *method, cJSON *params);

extern const struct rpc_method node_methods[]; /* node_rpc.c */

/* --- vm.c ------------------------------------------------------------------
 */
struct vm *vm_find(struct node *n, const char *id);
struct vm *vm_add(struct node *n, const struct vmspec *spec,
                  enum vm_phase phase); /* NULL: out of memory. */
void vm_free(struct vm *vm);
/* Answers 'req' once it runs, or why not and nothing of it is left. */
void vm_start(struct node *n, const struct vmspec *spec,
              struct rpc_request *req);
void vm_stop(struct node *n, const char *id, uint64_t epoch, uint32_t grace_ms,
             struct rpc_request *req);
/* The guest has ended by itself, or was found gone: cleans up, keeps the
 * record as stopped, tells the controller. */
void vm_ended(struct vm *vm, const struct sc_err *why);
/* Opens its volumes again at an sc-storage that was restarted. */
void vm_reattach(struct vm *vm);
/* Sets the phase and tells the controller. */
void vm_set_phase(struct vm *vm, enum vm_phase phase, const char *reason);
void vm_gone(void *arg, const char *vm_id, const struct sc_err *why);
/* What the hypervisor needs of 'vm'; pointers into 'vm' and 'paths'. */
struct vm_paths {
    char kernel[512], ramdisk[512];
    char ifnames[VM_PORTS_MAX][16];
};
void vm_hv_spec(const struct vm *vm, struct vm_paths *paths,
                struct hv_spec *ret);

/* --- volumes.c ------------------------------------------------------------ */
enum vol_which { VOL_ALL, VOL_RW, VOL_RO };
struct vol_call {
    const char *method; /* A literal: "volume.attach". */
    enum vol_which which;
    bool mode;                /* Send 'mode'. */
    uint64_t epoch;           /* 0: not sent. */
    const char *migration_id; /* NULL: not sent. */
    const char *peer_key;     /* "from", "to"; NULL: not sent. */
    const struct rec_mig *peer;
    uint64_t timeout_ms;
    uint64_t retry_ms;   /* 0: give up at the first error. */
    bool transient_only; /* Retry only if sc-storage cannot be reached. */
    bool absent_ok;      /* -ENOENT is as good as done. */
};
typedef void vol_done_fn(void *arg, const struct sc_err *err);
/* Calls 'c->method' for the chosen volumes at once.  'disks' (NULL allowed) is
 * filled from the answers.  'done' comes later, once.  '*ret' is for
 * vol_cancel until then; copies all it needs. */
void vol_each(struct node *n, const struct vmspec *spec,
              const struct vol_call *c, struct vm_disk *disks,
              vol_done_fn *done, void *arg, struct vol_op **ret);
/* 'done' will not run; what was asked may still happen.  NULL allowed. */
void vol_cancel(struct vol_op *op);

/* --- boot.c: <state_dir>/boot/<volume id> --------------------------------- */
void boot_path(const struct node *n, const char *volume_id, char ret[512]);
/* Makes sure that the VM's kernel and ramdisk are there. */
void boot_fetch(struct node *n, const struct vmspec *spec, vol_done_fn *done,
                void *arg);
/* Removes what no VM of this node uses. */
void boot_trim(struct node *n);

/* --- ports.c -------------------------------------------------------------- */
/* The bridge as it must be; what fails is tried again, with all that is on it.
 */
void ports_bridge(struct node *n);
void ports_add(struct vm *vm);
void ports_del(struct vm *vm);
void ports_retain(struct node *n);
void ports_mesh(struct node *n);

/* --- console.c ------------------------------------------------------------ */
void console_attach(void *node, const char *vm_id, int fd); /* hv_events */
void console_detach(struct vm *vm);
int console_open(struct vm *vm, const char *session, struct sc_err *err);
void console_close(struct node *n, const char *session);
void console_in(struct node *n, const char *session, const void *data,
                size_t size);
void console_sessions_free(struct node *n, const char *vm_id); /* NULL: all */

/* --- beat.c --------------------------------------------------------------- */
void beat_controller_up(void *node, struct rpc_conn *conn);
void beat_controller_down(void *node, struct rpc_conn *conn,
                          const struct sc_err *why);
void beat_peers(struct node *n, const cJSON *params);
void beat_boot(struct node *n);     /* Reads how this machine was booted. */
cJSON *beat_status(void *node);     /* For daemon.status. */
cJSON *beat_probes_ask(void *node); /* What is to be probed. */
void beat_probes_tell(void *node, cJSON *report); /* Takes it. */
const struct node_peer *node_peer_find(const struct node *n,
                                       const char *node_id);

/* --- recover.c ------------------------------------------------------------ */
int recover_begin(struct node *n, struct sc_err *err) SC_MUST_CHECK;
void recover_free(struct node *n);
void recover_adopted(void *node, const char *vm_id, enum hv_state state);
void recover_ready(void *node);

/* --- mig_out.c ------------------------------------------------------------ */
struct mig_out_args {
    struct rec_mig rec; /* id, vm_id, epoch, peer. */
    uint16_t port;
    char ticket[65];
    uint32_t max_downtime_ms;
};
void mig_out_start(struct node *n, const struct mig_out_args *a,
                   struct rpc_request *req);
void mig_out_recover(struct vm *vm, const struct rec_mig *rec);
void mig_out_guest_gone(struct mig_out *o);
/* Answers once it has resumed or been released. */
void mig_out_resolve(struct node *n, const char *vm_id,
                     const char *migration_id, bool resume,
                     struct rpc_request *req);
const char *mig_out_id(const struct mig_out *o);
const char *mig_out_state(const struct mig_out *o);
void mig_out_free(struct mig_out *o); /* NULL is allowed. */
SC_CLEANUP(struct mig_out, mig_out_free)

/* --- mig_in.c ------------------------------------------------------------- */
struct mig_conn;
struct mig_hello;
void mig_in_prepare(struct node *n, const struct vmspec *spec,
                    const struct rec_mig *rec, struct rpc_request *req);
void mig_in_cancel(struct node *n, const char *vm_id, const char *migration_id,
                   struct rpc_request *req);
void mig_in_recover(struct vm *vm, const struct rec_mig *rec);
void mig_in_guest_gone(struct mig_in *i);
/* A connection said HELLO.  0: it is taken; else -errno with 'err' filled. */
int mig_in_hello(struct node *n, struct mig_conn *conn,
                 const struct mig_hello *h, struct sc_err *err);
const char *mig_in_id(const struct mig_in *i);
const char *mig_in_state(const struct mig_in *i);
void mig_in_free(struct mig_in *i); /* NULL is allowed. */
SC_CLEANUP(struct mig_in, mig_in_free)

/* --- mig_listen.c --------------------------------------------------------- */
int mig_listener_new(struct node *n, struct mig_listener **ret,
                     struct sc_err *err) SC_MUST_CHECK;
void mig_listener_free(struct mig_listener *l);

#endif
