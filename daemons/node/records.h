/* records - what sc-node remembers durably: the VMs that are its own, and the
 * migrations that decide whose a VM is.
 *
 * Over common/store.h (LMDB at <state_dir>/node; memory in tests).  Writes are
 * on the disk when the call returns; a few ms.  Loop thread. */
#ifndef SC_NODE_RECORDS_H
#define SC_NODE_RECORDS_H

#include "common/store.h"
#include "node/vmspec.h"

#include <stdint.h>

/* On the disk by these names; see migproto.h for what each means. */
#define REC_STATES(S)                                                          \
    S(SENDING, "sending")     /* src: ours; thaw and go on after a restart */  \
    S(GIVEN, "given")         /* src: to be resolved */                        \
    S(RELEASING, "releasing") /* src: runs there; cleaning up */               \
    S(RELEASED, "released")   /* src, the end */                               \
    S(RESUMED, "resumed")     /* src, the end: stayed here */                  \
    S(PREPARING, "preparing") /* dst: never ours; clean up after a restart */  \
    S(MINE, "mine")           /* dst: ours, perhaps not yet resumed */         \
    S(RUNNING, "running")     /* dst, the end: ours and was resumed */         \
    S(CANCELLED, "cancelled") /* dst, the end: never runs here */
#define S(id, text) REC_##id,
enum rec_state { REC_STATES(S) REC_N_STATES };
#undef S
const char *rec_state_name(enum rec_state s);

struct rec_mig {
    char id[SC_UUID_LEN + 1], vm_id[SC_UUID_LEN + 1];
    enum rec_state state;
    uint64_t epoch; /* The one it would have at the destination. */
    char peer_id[SC_UUID_LEN + 1];
    char peer_address[256];
    uint16_t peer_nid;
    uint64_t at;        /* ms since 1970: last change. */
    unsigned n_volumes; /* PREPARING only: what sc-storage has open for it. */
    struct vm_volume volumes[VM_VOLUMES_MAX];
};
struct rec_vm {
    struct vmspec spec; /* spec.epoch is the epoch it runs with. */
    bool stopped;       /* Known to have ended; kept until vm.stop. */
};
enum { REC_ENDED_KEPT = 256 }; /* Ended migrations remembered. */

struct records;
/* 'path' NULL: in memory. */
int records_open(const char *path, struct records **ret,
                 struct sc_err *err) SC_MUST_CHECK;
void records_close(struct records *r); /* NULL is allowed. */
SC_CLEANUP(struct records, records_close)

/* In one transaction: puts 'mig', puts 'vm', deletes the VM 'del_vm'; NULL:
 * not. 'mig->at' is set. */
int records_write(struct records *r, struct rec_mig *mig,
                  const struct rec_vm *vm, const char *del_vm,
                  struct sc_err *err) SC_MUST_CHECK;
/* -ENOENT: none (err untouched). */
int records_mig(struct records *r, const char *migration_id,
                struct rec_mig *ret) SC_MUST_CHECK;
/* Calls 'fn' for each; a record that cannot be read is an error. */
int records_each_vm(struct records *r,
                    void (*fn)(void *arg, const struct rec_vm *vm), void *arg,
                    struct sc_err *err) SC_MUST_CHECK;
int records_each_mig(struct records *r,
                     void (*fn)(void *arg, const struct rec_mig *mig),
                     void *arg, struct sc_err *err) SC_MUST_CHECK;
/* Forgets the oldest ended migrations over REC_ENDED_KEPT. */
int records_trim(struct records *r, struct sc_err *err) SC_MUST_CHECK;

#endif
