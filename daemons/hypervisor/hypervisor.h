/* hypervisor - running guests on this machine, whatever runs them.
 *
 * For callers (sc-node); drivers are written against hypervisor-class.h.
 * Everything runs on the loop's thread and never blocks for a guest: what
 * takes time is begun, and its 'done' (and every event) comes later from the
 * loop, never from inside the call that began it.
 * Units: memory MiB, sizes bytes, times ms.  VM ids are UUIDs.
 * Ownership: specs are copied; fds handed in are taken, whatever is returned.
 * Errors: -errno with 'err' (NULL allowed) filled; then nothing was begun and
 * 'done' will not run.  -ENOENT: no such VM here.  -ENOTSUP: not this driver.
 * -EBUSY: the VM is in the middle of something that forbids it.
 * Source: docs/protocols/rpc.md "Migration"; libxl.h, QEMU's QMP reference. */
#ifndef SC_HYPERVISOR_H
#define SC_HYPERVISOR_H

#include "common/err.h"
#include "common/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HV_DISKS_MAX = 8, HV_NICS_MAX = 8 };

/* A disk is an NBD export on this machine; how it becomes a device of the
 * guest is the driver's business (xen: kernel nbd; qemu: its own client).
 * The driver reconnects for as long as the guest lives, and the guest's I/O
 * waits meanwhile, so that the server may be restarted under it. */
struct hv_disk {
    const char *dev;        /* "xvda"; a driver may name it otherwise inside. */
    const char *nbd_socket; /* Path of the server's Unix socket. */
    const char *export;
    uint64_t size; /* bytes */
    bool readonly;
};
struct hv_nic {
    const char *ifname; /* What the interface is called on this machine. */
    const char *mac;    /* "52:54:00:12:34:56". */
    unsigned mtu;       /* 0: 1500. */
};
struct hv_spec {
    const char *id;   /* UUID. */
    const char *name; /* Unique only in its project. */
    unsigned vcpus;
    uint64_t memory_mib;
    const char *kernel;  /* Path of a kernel image. */
    const char *ramdisk; /* NULL: none. */
    const char *cmdline; /* NULL: "". */
    unsigned n_disks, n_nics;
    struct hv_disk disks[HV_DISKS_MAX];
    struct hv_nic nics[HV_NICS_MAX];
};

enum hv_state {
    HV_BUILDING,  /* Being started. */
    HV_INCOMING,  /* Its memory is being received; has not run here. */
    HV_PAUSED,    /* Complete and not running: after hv_pause, or received. */
    HV_RUNNING,   /* Also while it migrates out and before it is stopped. */
    HV_SUSPENDED, /* Migrated out; resume or destroy. */
    HV_STOPPING,
};
const char *hv_state_name(enum hv_state s); /* "running". */

/* Told of things nobody asked for.  Borrowed; must outlive the hv. */
struct hv_events {
    void *arg; /* First argument of all. */
    /* A guest of an earlier run of this program was found alive. */
    void (*adopted)(void *arg, const char *vm_id, enum hv_state state);
    /* Once, after the last 'adopted': hv_state_of now knows every VM. */
    void (*ready)(void *arg);
    /* A guest ended without hv_stop: it powered off (why->code 0), or crashed,
     * or its engine did. */
    void (*gone)(void *arg, const char *vm_id, const struct sc_err *why);
    /* The serial console's fd, non-blocking, two-way, the callee's to close.
     * Given before a started guest's first instruction, on adoption, and
     * again after hv_resume of a guest that was received. */
    void (*console)(void *arg, const char *vm_id, int fd);
};
struct hv_options {
    struct sc_loop *loop;
    const char *run_dir;   /* Sockets and pid files: <run_dir>/vm/<id>/. */
    uint64_t reserved_mib; /* Never given to guests. */
    bool plain_checksums;  /* Userspace switch: no checksum or segmentation
                              offload between guest and host. */
    const struct hv_events *events;
};
struct hv_host {
    unsigned cpus;
    uint64_t memory_mib;      /* All there is for guests, used or not. */
    uint64_t memory_free_mib; /* What new guests may have now. */
};

/* err->code is 0 for success. */
typedef void hv_done_fn(void *arg, const struct sc_err *err);

struct hv_progress {
    uint64_t bytes; /* Written into the fd so far, as far as is known. */
    unsigned rounds;
    uint64_t remaining; /* Dirty memory still to be sent, bytes; 0: unknown. */
};
/* What migration out tells, in this order. */
struct hv_out_events {
    void (*progress)(void *arg, const struct hv_progress *p);
    /* The guest is suspended and writes to its disks no more; the last bytes
     * of its memory may still be on their way into the fd. */
    void (*stopped)(void *arg);
    /* 0: all is written and the guest is HV_SUSPENDED.  Else (-ECANCELED after
     * hv_migrate_abort) it runs on here; if it could not be made to, 'gone'
     * follows. */
    hv_done_fn *done;
};

struct hv;
/* 'driver' is "xen", "qemu" or "fake".  Begins to look for guests that run
 * already.  0 or -errno with 'err' filled (-ENOENT: no such driver). */
int hv_open(const char *driver, const struct hv_options *o, struct hv **ret,
            struct sc_err *err) SC_MUST_CHECK;
/* Forgets the hypervisor; its guests go on running.  No 'done' runs after. */
void hv_close(struct hv *hv); /* NULL is allowed. */
SC_CLEANUP(struct hv, hv_close)
const char *hv_driver(const struct hv *hv); /* "qemu". */
int hv_host_info(struct hv *hv, struct hv_host *ret,
                 struct sc_err *err) SC_MUST_CHECK;
int hv_state_of(struct hv *hv, const char *vm_id, enum hv_state *ret);

/* Whether CPUID of a guest's user space can be made to fault here, so that
 * features can be hidden from it (paper 3.1.2).  Blocks for milliseconds; needs
 * no 'hv' and is for a process of its own.  -ENOTSUP: the driver's guests never
 * see the machine's CPUID. */
int hv_cpuid_faulting(const char *driver, bool *ret,
                      struct sc_err *err) SC_MUST_CHECK;

/* Builds the guest and runs it.  -EEXIST: it is already here.  When 'done'
 * says why it failed, nothing of it is left. */
int hv_start(struct hv *hv, const struct hv_spec *spec, hv_done_fn *done,
             void *arg, struct sc_err *err) SC_MUST_CHECK;
/* Asks the guest to power off and destroys it 'grace_ms' later if it has not;
 * at once if 'grace_ms' is 0.  What else was begun for it ends with -ECANCELED,
 * told inside this call.  After 'done' nothing of it is left: no process, no
 * interface, no connection to its disks. */
int hv_stop(struct hv *hv, const char *vm_id, uint32_t grace_ms,
            hv_done_fn *done, void *arg, struct sc_err *err) SC_MUST_CHECK;
int hv_pause(struct hv *hv, const char *vm_id, hv_done_fn *done, void *arg,
             struct sc_err *err) SC_MUST_CHECK;
/* From HV_PAUSED and HV_SUSPENDED to HV_RUNNING. */
int hv_resume(struct hv *hv, const char *vm_id, hv_done_fn *done, void *arg,
              struct sc_err *err) SC_MUST_CHECK;

/* Writes the running guest's memory into 'fd' (a socket, blocking; the other
 * end is the caller's relay) while it runs on, suspends it, writes the rest.
 * 'max_downtime_ms' is the aim for the last part. */
int hv_migrate_out(struct hv *hv, const char *vm_id, int fd,
                   uint32_t max_downtime_ms, const struct hv_out_events *events,
                   void *arg, struct sc_err *err) SC_MUST_CHECK;
/* Gives up before 'done': the guest goes on here and 'done' says -ECANCELED.
 * If it came too late, 'done' says 0 and hv_resume does the same. */
int hv_migrate_abort(struct hv *hv, const char *vm_id,
                     struct sc_err *err) SC_MUST_CHECK;
/* Builds the guest from the stream read from 'fd' and leaves it HV_PAUSED:
 * only hv_resume ever makes it run.  'done' 0: the stream is complete. */
int hv_migrate_in(struct hv *hv, const struct hv_spec *spec, int fd,
                  hv_done_fn *done, void *arg,
                  struct sc_err *err) SC_MUST_CHECK;

#endif
