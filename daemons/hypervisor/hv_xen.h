/* hv_xen - what the files of the xen driver share; nobody else's.
 *
 * The loop's thread owns all of it and talks to Xen only by calls that take
 * microseconds (hv_xen.c).  What takes longer (building, saving, destroying) is
 * an operation in a thread of its own with a libxl context of its own
 * (hv_xen_work.c), at most one for each VM; its end is posted to the loop.
 * Disks are kernel NBD devices (nbd_kernel.h); the table of them is shared with
 * a thread that reconnects, under 'devices_lock'. */
#ifndef SC_HV_XEN_H
#define SC_HV_XEN_H

#ifndef LIBXL_API_VERSION
#define LIBXL_API_VERSION 0x041400
#endif

#include "common/json.h"
#include "hypervisor/hypervisor-class.h"

#include <libxl.h>
#include <pthread.h>
#include <stdatomic.h>

enum { XEN_DEVICES_MAX = 64, XEN_NAME_MAX = 3 + SC_UUID_LEN + 1 };

/* A kernel NBD device of ours. */
struct xen_device {
    int index; /* /dev/nbdN; -1: this entry is free. */
    char vm_id[SC_UUID_LEN + 1];
    char path[108], export[64];
};

enum xen_op_kind {
    XEN_OP_START,
    XEN_OP_IN,
    XEN_OP_OUT,
    XEN_OP_RESUME,
    XEN_OP_PAUSE,
    XEN_OP_SHUTDOWN, /* Asks the guest. */
    XEN_OP_DESTROY,
};

struct xen_op {
    struct hv_xen *hv;
    struct xen_vm *vm;
    enum xen_op_kind kind;
    pthread_t thread;
    /* Given to the thread. */
    struct hv_spec *spec; /* START, IN; owned. */
    int fd;               /* IN, OUT; owned.  -1: none. */
    uint32_t domid;
    bool suspended;      /* RESUME: of a domain that was saved. */
    atomic_bool aborted; /* OUT, IN: the fd was shut down on purpose. */
    /* Given back. */
    struct sc_err err;
    bool lost; /* OUT failed and the guest could not be made to go on. */
    /* Whom to tell; NULL: nobody any more. */
    hv_done_fn *done;
    void *arg;
};

struct xen_vm {
    struct xen_vm *next;
    struct hv_xen *hv;
    char id[SC_UUID_LEN + 1];
    bool has_domain;
    uint32_t domid;
    enum hv_state state;
    bool received; /* Came in by migration and was not resumed yet. */
    bool ended;    /* Shut down by itself; 'why' says how. */
    struct sc_err why;
    struct xen_op *op; /* NULL: none. */
    /* Stop, waiting for 'op' or under way. */
    bool stopping;
    uint32_t grace_ms;
    hv_done_fn *stop_done;
    void *stop_arg;
    struct sc_source *grace_timer;
    /* Migration out. */
    const struct hv_out_events *out; /* NULL: none. */
    struct hv_out_events out_copy;
    bool out_stopped;
};

struct hv_xen {
    struct hv up; /* Must be first. */
    libxl_ctx *ctx;
    xentoollog_logger *log;
    struct xs_handle *xs; /* Watches @releaseDomain. */
    struct sc_source *xs_source, *nbd_source, *scan;
    int nbd_fd;
    struct xen_vm *vms;
    bool closing;
    pthread_mutex_t devices_lock;
    struct xen_device devices[XEN_DEVICES_MAX]; /* Under devices_lock. */
    pthread_t reconnector;
    bool has_reconnector;         /* Loop thread's. */
    atomic_bool stop_reconnector; /* Told to end. */
    atomic_uint lost_links;       /* Counts up with every notice. */
};

/* A libxl context that remembers its last error line, for one thread. */
struct xen_log;
libxl_ctx *xen_ctx_new(struct xen_log **ret_log);
void xen_ctx_free(libxl_ctx *ctx, struct xen_log *log);
/* sc_fail with libxl's code and last words. */
int xen_fail(struct sc_err *err, int libxl_rc, const struct xen_log *log,
             const char *what, const char *vm_id);

/* The thread's part of 'op': fills op->err (code 0: done) and results. */
void xen_op_work(struct xen_op *op);
/* The reconnector's thread. */
void *xen_reconnect(void *hv_xen);
/* Takes the devices of 'vm_id' away, all of them; worker threads. */
void xen_devices_detach(struct hv_xen *x, const char *vm_id);
/* Reads the table of devices of an earlier run; loop thread, before others. */
void xen_devices_load(struct hv_xen *x);
/* What became of a domain. */
struct xen_seen {
    bool exists, shutdown, suspended, paused, crashed;
};
int xen_look(libxl_ctx *ctx, uint32_t domid, struct xen_seen *ret);

/* 'spec' as libxl wants it; 'devices' are the /dev/nbdN of its disks.  '*ret'
 * is to be disposed of in every case. */
int xen_config_fill(libxl_ctx *ctx, const struct hv_spec *spec,
                    const int devices[], libxl_domain_config *ret,
                    struct sc_err *err);
void xen_name(const char *vm_id, char ret[XEN_NAME_MAX]); /* "sc-<id>" */

/* hv_xen_cpu.c */
int hv_xen_cpuid_faulting(bool *ret, struct sc_err *err);

#endif
