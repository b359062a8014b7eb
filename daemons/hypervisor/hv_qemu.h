/* hv_qemu - what the files of the qemu driver share; nobody else's.
 *
 * One QEMU process per guest, not a child in spirit: it goes on when sc-node
 * ends, and is adopted again by <run_dir>/vm/<id>/: 'pid' (number, start time,
 * MiB), sockets 'qmp' and 'con' (QEMU inherits them listening, so connecting
 * never races its start), 'log' (its stderr). */
#ifndef SC_HV_QEMU_H
#define SC_HV_QEMU_H

#include "common/json.h"
#include "hypervisor/hypervisor-class.h"
#include "hypervisor/qmp.h"

struct hv_qemu {
    struct hv up; /* Must be first. */
    struct qemu_vm *vms;
    bool kvm;
    unsigned adopting; /* VMs whose state is not known yet. */
    struct sc_source *scan;
};

struct qemu_vm {
    struct qemu_vm *next;
    struct hv_qemu *hv;
    char id[SC_UUID_LEN + 1];
    uint64_t memory_mib;
    enum hv_state state;
    pid_t pid;
    int pidfd;
    struct sc_source *exit_source;
    struct qmp *qmp;
    bool adopting;
    struct sc_source *poll; /* Migration progress, adoption. */
    /* The operation under way: start, resume, pause or migrate_in. */
    hv_done_fn *done;
    void *done_arg;
    enum hv_state next_state;
    int in_fd; /* The stream, until QEMU has it. */
    /* Stop. */
    hv_done_fn *stop_done;
    void *stop_arg;
    struct sc_source *kill_timer;
    bool powered_off; /* QEMU said the guest shut down. */
    /* Migration out. */
    struct hv_out_events out; /* out.done NULL: none. */
    void *out_arg;
    int out_fd;
    uint32_t max_downtime_ms;
    unsigned grown; /* Times the downtime bound was raised. */
    bool out_stopped, out_aborted;
};

/* Ends the operation under way (code 0: reaching next_state). */
void qemu_op_end(struct qemu_vm *vm, int code, const char *text);
/* Kills the process; its end is seen by the loop. */
void qemu_kill(struct qemu_vm *vm);
void qemu_console(struct qemu_vm *vm);
int qemu_no_vm(const char *id, struct sc_err *err);
struct qemu_vm *qemu_find(struct hv *hv, const char *id);

/* hv_qemu_migrate.c */
int qemu_migrate_out(struct hv *hv, const char *vm_id, int fd,
                     uint32_t max_downtime_ms,
                     const struct hv_out_events *events, void *arg,
                     struct sc_err *err);
int qemu_migrate_abort(struct hv *hv, const char *vm_id, struct sc_err *err);
void qemu_migrate_in_begin(struct qemu_vm *vm); /* QMP is up. */
void qemu_migrate_event(struct qemu_vm *vm, const char *status);
void qemu_adopt_begin(struct qemu_vm *vm); /* QMP is up. */
/* The process died or is being stopped: tells 'out.done'. */
void qemu_migrate_lost(struct qemu_vm *vm, int code, const char *text);

#endif
