/* hv_xen - paravirtual guests on Xen (Xen-Blanket) through libxl.
 *
 * What the loop's thread does: keeps the list of guests, begins operations,
 * takes their ends, and hears from xenstore (@releaseDomain) that some domain
 * shut down, which is also how it sees a migrating guest being suspended.
 * Domains are named sc-<vm id>, so a restarted sc-node finds its guests again.
 * Source: libxl.h, libxl_event.h (4.17); paper section 3.1.1. */
#include "hypervisor/hv_xen.h"

#include "hypervisor/nbd_kernel.h"

#include <fcntl.h>
#include <libxl_utils.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <termios.h>
#include <xenstore.h>

static struct hv_xen *xen(struct hv *hv)
{
    return (struct hv_xen *)hv;
}

static struct xen_vm *find(struct hv_xen *x, const char *id)
{
    for (struct xen_vm *vm = x->vms; vm; vm = vm->next)
        if (!strcmp(vm->id, id))
            return vm;
    return NULL;
}

static int no_vm(const char *id, struct sc_err *err)
{
    return sc_fail(err, -ENOENT, "vm %s: it is not on this machine", id);
}

static struct xen_vm *vm_new(struct hv_xen *x, const char *id,
                             enum hv_state state)
{
    struct xen_vm *vm = calloc(1, sizeof *vm);
    if (!vm)
        return NULL;
    vm->hv = x;
    vm->state = state;
    snprintf(vm->id, sizeof vm->id, "%s", id);
    vm->next = x->vms;
    x->vms = vm;
    return vm;
}

static void vm_free(struct xen_vm *vm)
{
    struct xen_vm **p = &vm->hv->vms;
    while (*p != vm)
        p = &(*p)->next;
    *p = vm->next;
    sc_source_free(vm->grace_timer);
    free(vm);
}

/* --- operations -------------------------------------------------------------
 */
static void op_free(struct xen_op *op)
{
    free(op->spec);
    if (op->fd >= 0)
        close(op->fd);
    free(op);
}

static void op_ended(void *arg);

static void *op_thread(void *arg)
{
    struct xen_op *op = arg;
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD); /* libxl's own are told by it. */
    pthread_sigmask(SIG_UNBLOCK, &children, NULL);
    xen_op_work(op);
    /* Refused only when the loop ended: then hv_close joins and frees. */
    (void)!sc_loop_post(op->hv->up.o.loop, op_ended, op);
    return NULL;
}

/* Begins 'kind' for 'vm'.  Takes 'fd' and 'spec', whatever is returned. */
static int op_begin(struct xen_vm *vm, enum xen_op_kind kind,
                    struct hv_spec *spec, int fd, hv_done_fn *done, void *arg,
                    struct sc_err *err)
{
    struct xen_op *op = calloc(1, sizeof *op);
    if (!op) {
        free(spec);
        if (fd >= 0)
            close(fd);
        return sc_fail(err, -ENOMEM, "vm %s: out of memory", vm->id);
    }
    *op = (struct xen_op){ .hv = vm->hv,
                           .vm = vm,
                           .kind = kind,
                           .spec = spec,
                           .fd = fd,
                           .domid = vm->domid,
                           .suspended = vm->state == HV_SUSPENDED,
                           .done = done,
                           .arg = arg };
    int r = pthread_create(&op->thread, NULL, op_thread, op);
    if (r) {
        op_free(op);
        return sc_fail(err, -r, "vm %s: thread: %s", vm->id, strerror(r));
    }
    vm->op = op;
    return 0;
}

static void tell(hv_done_fn *done, void *arg, const struct sc_err *err)
{
    if (done)
        done(arg, err);
}

/* --- the console
 * -------------------------------------------------------------- */
static void give_console(struct xen_vm *vm)
{
    const struct hv_events *e = vm->hv->up.o.events;
    char *path = NULL;
    if (!e->console ||
        libxl_console_get_tty(vm->hv->ctx, vm->domid, 0, LIBXL_CONSOLE_TYPE_PV,
                              &path) ||
        !path)
        return;
    int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return;
    struct termios t;
    if (tcgetattr(fd, &t) == 0) {
        cfmakeraw(&t);
        tcsetattr(fd, TCSANOW, &t);
    }
    e->console(e->arg, vm->id, fd);
}

/* --- ends
 * ---------------------------------------------------------------------- */
static int begin_destroy(struct xen_vm *vm);

/* The guest ended by itself: what is left of it goes, then the caller hears. */
static void begin_gone(struct xen_vm *vm, int code, const char *text)
{
    vm->ended = true;
    vm->why = (struct sc_err){ 0 };
    if (code)
        sc_fail(&vm->why, code, "vm %s: %s", vm->id, text);
    if (!vm->op && !vm->stopping)
        (void)begin_destroy(vm);
}

static void out_end(struct xen_vm *vm, struct xen_op *op)
{
    const struct hv_out_events *out = vm->out;
    vm->out = NULL;
    if (op->err.code == 0) {
        vm->state = HV_SUSPENDED;
        if (out && !vm->out_stopped && out->stopped)
            out->stopped(op->arg);
    }
    tell(op->done, op->arg, &op->err);
    if (op->lost && !vm->stopping)
        begin_gone(vm, -EIO, "it could not go on after a failed migration");
}

/* Built or received; or not, and then nothing of it is left. */
static void build_end(struct xen_vm *vm, struct xen_op *op)
{
    if (op->err.code < 0) {
        struct sc_err err = op->err;
        if (!vm->stopping) {
            vm_free(vm);
            tell(op->done, op->arg, &err);
        }
        return;
    }
    vm->has_domain = true;
    vm->domid = op->domid;
    vm->state = HV_PAUSED;
    if (vm->stopping)
        return;
    if (op->kind == XEN_OP_IN) {
        vm->received = true;
        tell(op->done, op->arg, &op->err);
        return;
    }
    give_console(vm);
    struct sc_err err = { 0 };
    if (op_begin(vm, XEN_OP_RESUME, NULL, -1, op->done, op->arg, &err) < 0) {
        hv_done_fn *done = op->done;
        (void)begin_destroy(vm);
        tell(done, op->arg, &err);
    }
}

static void destroy_end(struct xen_vm *vm, struct xen_op *op)
{
    struct sc_err err = op->err, why = vm->why;
    const struct hv_events *e = vm->hv->up.o.events;
    hv_done_fn *done = vm->stop_done;
    void *arg = vm->stop_arg;
    bool stopping = vm->stopping, ended = vm->ended;
    char id[SC_UUID_LEN + 1];
    snprintf(id, sizeof id, "%s", vm->id);
    if (err.code < 0) { /* Still there: the caller may try again. */
        vm->stopping = false;
        vm->stop_done = NULL;
    } else {
        vm_free(vm);
    }
    if (stopping)
        tell(done, arg, &err);
    else if (ended && err.code == 0 && e->gone)
        e->gone(e->arg, id, &why);
}

/* Whether the stop that waited can go on now; begins its next part. */
static void continue_stop(struct xen_vm *vm);

static void op_ended(void *arg)
{
    struct xen_op *op = arg;
    struct xen_vm *vm = op->vm;
    if (op->hv->closing)
        return; /* hv_close joins and frees. */
    pthread_join(op->thread, NULL);
    vm->op = NULL;
    bool gone = false;
    switch (op->kind) {
    case XEN_OP_START:
    case XEN_OP_IN:
        gone = op->err.code < 0 && !vm->stopping;
        build_end(vm, op);
        break;
    case XEN_OP_OUT:
        out_end(vm, op);
        break;
    case XEN_OP_RESUME:
        if (op->err.code == 0) {
            vm->state = HV_RUNNING;
            if (vm->received)
                give_console(vm);
            vm->received = false;
        }
        tell(op->done, op->arg, &op->err);
        break;
    case XEN_OP_PAUSE:
        if (op->err.code == 0)
            vm->state = HV_PAUSED;
        tell(op->done, op->arg, &op->err);
        break;
    case XEN_OP_SHUTDOWN:
        break; /* Its end is seen by the watch, or the grace is over. */
    case XEN_OP_DESTROY:
        gone = true;
        destroy_end(vm, op);
        break;
    }
    op_free(op);
    if (gone)
        return;
    /* 'vm' may have been stopped from inside a callback, not freed. */
    if (!vm->op && vm->stopping)
        continue_stop(vm);
    else if (!vm->op && vm->ended)
        (void)begin_destroy(vm);
}

static int begin_destroy(struct xen_vm *vm)
{
    struct sc_err err = { 0 };
    int r = op_begin(vm, XEN_OP_DESTROY, NULL, -1, NULL, NULL, &err);
    if (r < 0 && vm->stopping) {
        vm->stopping = false;
        tell(vm->stop_done, vm->stop_arg, &err);
    }
    return r;
}

static void grace_over(void *arg)
{
    struct xen_vm *vm = arg;
    vm->grace_ms = 0;
    if (!vm->op)
        (void)begin_destroy(vm);
}

static void continue_stop(struct xen_vm *vm)
{
    if (!vm->has_domain) { /* What was begun failed: nothing is left. */
        struct sc_err ok = { 0 };
        hv_done_fn *done = vm->stop_done;
        void *arg = vm->stop_arg;
        vm_free(vm);
        tell(done, arg, &ok);
        return;
    }
    if (vm->grace_ms && !vm->grace_timer && vm->state == HV_RUNNING &&
        !vm->ended) {
        vm->state = HV_STOPPING;
        if (sc_loop_add_timer(vm->hv->up.o.loop, vm->grace_ms, 0, grace_over,
                              vm, &vm->grace_timer) == 0 &&
            op_begin(vm, XEN_OP_SHUTDOWN, NULL, -1, NULL, NULL, NULL) == 0)
            return;
        vm->grace_ms = 0;
    }
    if (vm->grace_ms && vm->grace_timer && !vm->ended)
        return; /* Waits for the guest or the timer. */
    vm->state = HV_STOPPING;
    (void)begin_destroy(vm);
}

/* --- what xenstore tells
 * ------------------------------------------------------ */
static void look_at(struct xen_vm *vm)
{
    struct xen_seen seen;
    if (!vm->has_domain || vm->ended || vm->state == HV_SUSPENDED ||
        (vm->op && vm->op->kind == XEN_OP_DESTROY) ||
        xen_look(vm->hv->ctx, vm->domid, &seen) < 0)
        return;
    if (seen.suspended) {
        if (vm->out && vm->op && !vm->out_stopped) {
            vm->out_stopped = true;
            if (vm->out->stopped)
                vm->out->stopped(vm->op->arg);
        }
        return;
    }
    if (seen.exists && !seen.shutdown)
        return;
    if (vm->stopping) {
        vm->ended = true;
        if (!vm->op)
            (void)begin_destroy(vm);
    } else {
        begin_gone(vm,
                   seen.crashed  ? -EFAULT
                   : seen.exists ? 0
                                 : -EIO,
                   seen.crashed ? "the guest crashed" : "it was destroyed");
    }
}

static void on_xenstore(void *arg, int fd, uint32_t events)
{
    (void)fd;
    (void)events;
    struct hv_xen *x = arg;
    char **event;
    bool any = false;
    while ((event = xs_check_watch(x->xs))) {
        free(event);
        any = true;
    }
    /* 'stopped' and 'gone' never free a VM from inside this walk: they begin
     * operations, whose ends come from the loop. */
    for (struct xen_vm *vm = any ? x->vms : NULL, *next; vm; vm = next) {
        next = vm->next;
        look_at(vm);
    }
}

static void on_lost_link(void *arg, int fd, uint32_t events)
{
    (void)events;
    struct hv_xen *x = arg;
    char buf[8192];
    while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
        ;
    atomic_fetch_add(&x->lost_links, 1);
}

/* --- calls
 * --------------------------------------------------------------------- */
static int xen_start_or_receive(struct hv *hv, enum xen_op_kind kind,
                                const struct hv_spec *spec, int fd,
                                hv_done_fn *done, void *arg, struct sc_err *err)
{
    struct hv_xen *x = xen(hv);
    SC_AUTO(close) int owned = fd;
    if (find(x, spec->id))
        return sc_fail(err, -EEXIST, "vm %s: it is here already", spec->id);
    struct hv_spec *copy = hv_spec_dup(spec);
    struct xen_vm *vm =
        copy
            ? vm_new(x, spec->id, kind == XEN_OP_IN ? HV_INCOMING : HV_BUILDING)
            : NULL;
    if (!vm) {
        free(copy);
        return sc_fail(err, -ENOMEM, "vm %s: out of memory", spec->id);
    }
    int r = op_begin(vm, kind, copy, SC_TAKE_FD(owned), done, arg, err);
    if (r < 0)
        vm_free(vm);
    return r;
}

static int xen_start(struct hv *hv, const struct hv_spec *spec,
                     hv_done_fn *done, void *arg, struct sc_err *err)
{
    return xen_start_or_receive(hv, XEN_OP_START, spec, -1, done, arg, err);
}

static int xen_migrate_in(struct hv *hv, const struct hv_spec *spec, int fd,
                          hv_done_fn *done, void *arg, struct sc_err *err)
{
    return xen_start_or_receive(hv, XEN_OP_IN, spec, fd, done, arg, err);
}

/* Finds a VM that is free for an operation in one of the states 'mask'. */
static int take_vm(struct hv *hv, const char *id, unsigned mask,
                   struct xen_vm **ret, struct sc_err *err)
{
    struct xen_vm *vm = find(xen(hv), id);
    if (!vm)
        return no_vm(id, err);
    if (vm->op || vm->stopping || vm->ended || !(mask & 1u << vm->state))
        return sc_fail(err, -EBUSY, "vm %s: it is %s%s", id,
                       hv_state_name(vm->state),
                       vm->op ? ", in the middle of something" : "");
    *ret = vm;
    return 0;
}

static int xen_pause(struct hv *hv, const char *vm_id, hv_done_fn *done,
                     void *arg, struct sc_err *err)
{
    struct xen_vm *vm = NULL;
    int r = take_vm(hv, vm_id, 1u << HV_RUNNING, &vm, err);
    return !vm ? r : op_begin(vm, XEN_OP_PAUSE, NULL, -1, done, arg, err);
}

static int xen_resume(struct hv *hv, const char *vm_id, hv_done_fn *done,
                      void *arg, struct sc_err *err)
{
    struct xen_vm *vm = NULL;
    int r = take_vm(hv, vm_id, 1u << HV_PAUSED | 1u << HV_SUSPENDED, &vm, err);
    return !vm ? r : op_begin(vm, XEN_OP_RESUME, NULL, -1, done, arg, err);
}

static int xen_stop(struct hv *hv, const char *vm_id, uint32_t grace_ms,
                    hv_done_fn *done, void *arg, struct sc_err *err)
{
    struct xen_vm *vm = find(xen(hv), vm_id);
    if (!vm)
        return no_vm(vm_id, err);
    if (vm->stopping)
        return sc_fail(err, -EBUSY, "vm %s: it is being stopped", vm_id);
    vm->stopping = true;
    vm->grace_ms = grace_ms;
    vm->stop_done = done;
    vm->stop_arg = arg;
    struct xen_op *op = vm->op;
    if (!op) {
        continue_stop(vm);
        return 0;
    }
    struct sc_err canceled = { 0 };
    sc_fail(&canceled, -ECANCELED, "vm %s: stopped", vm_id);
    hv_done_fn *told = op->done;
    op->done = NULL;
    vm->out = NULL;
    if (op->fd >= 0) {
        atomic_store(&op->aborted, true);
        shutdown(op->fd, SHUT_RDWR);
    }
    tell(told, op->arg, &canceled);
    return 0;
}

static int xen_migrate_out(struct hv *hv, const char *vm_id, int fd,
                           uint32_t max_downtime_ms,
                           const struct hv_out_events *events, void *arg,
                           struct sc_err *err)
{
    /* libxl decides by itself when to stop and copy (5 rounds or few dirty
     * pages); a bound needs a save helper of our own. */
    (void)max_downtime_ms;
    struct xen_vm *vm = NULL;
    SC_AUTO(close) int owned = fd;
    int r = take_vm(hv, vm_id, 1u << HV_RUNNING, &vm, err);
    if (!vm)
        return r;
    vm->out_copy = *events;
    vm->out = &vm->out_copy;
    vm->out_stopped = false;
    r = op_begin(vm, XEN_OP_OUT, NULL, SC_TAKE_FD(owned), events->done, arg,
                 err);
    if (r < 0)
        vm->out = NULL;
    return r;
}

static int xen_migrate_abort(struct hv *hv, const char *vm_id,
                             struct sc_err *err)
{
    struct xen_vm *vm = find(xen(hv), vm_id);
    if (!vm)
        return no_vm(vm_id, err);
    if (!vm->op || vm->op->kind != XEN_OP_OUT)
        return sc_fail(err, -EBUSY, "vm %s: it does not migrate", vm_id);
    atomic_store(&vm->op->aborted, true);
    shutdown(vm->op->fd, SHUT_RDWR);
    return 0;
}

static int xen_state_of(struct hv *hv, const char *vm_id, enum hv_state *ret)
{
    struct xen_vm *vm = find(xen(hv), vm_id);
    if (!vm)
        return -ENOENT;
    *ret = vm->stopping ? HV_STOPPING : vm->state;
    return 0;
}

static int xen_host_info(struct hv *hv, struct hv_host *ret, struct sc_err *err)
{
    struct hv_xen *x = xen(hv);
    libxl_physinfo p;
    libxl_physinfo_init(&p);
    int rc = libxl_get_physinfo(x->ctx, &p);
    if (rc)
        return sc_fail(err, -EIO, "Xen: physical information: %s",
                       libxl_error_to_string(rc));
    uint64_t free_mib = (p.free_pages + p.scrub_pages) >> 8, given = 0;
    ret->cpus = p.nr_cpus;
    libxl_physinfo_dispose(&p);
    int n = 0;
    libxl_dominfo *list = libxl_list_domain(x->ctx, &n);
    for (int i = 0; i < n; i++)
        if (list[i].domid)
            given += (list[i].current_memkb + list[i].outstanding_memkb) >> 10;
    libxl_dominfo_list_free(list, n);
    uint64_t kept = x->up.o.reserved_mib;
    ret->memory_free_mib = free_mib > kept ? free_mib - kept : 0;
    ret->memory_mib = ret->memory_free_mib + given;
    return 0;
}

/* --- open, close
 * --------------------------------------------------------------- */
/* Finds what an earlier run left; from the loop, as events must be. */
static void scan(void *arg)
{
    struct hv_xen *x = arg;
    const struct hv_events *e = x->up.o.events;
    int n = 0;
    libxl_dominfo *list = libxl_list_domain(x->ctx, &n);
    for (int i = 0; i < n; i++) {
        char *name = libxl_domid_to_name(x->ctx, list[i].domid);
        struct xen_seen seen;
        if (name && !strncmp(name, "sc-", 3) && sc_uuid_ok(name + 3) &&
            !find(x, name + 3) && xen_look(x->ctx, list[i].domid, &seen) == 0 &&
            seen.exists) {
            struct xen_vm *vm = vm_new(x, name + 3,
                                       seen.suspended ? HV_SUSPENDED
                                       : seen.paused  ? HV_PAUSED
                                                      : HV_RUNNING);
            if (vm) {
                vm->has_domain = true;
                vm->domid = list[i].domid;
                if (e->adopted)
                    e->adopted(e->arg, vm->id, vm->state);
                give_console(vm);
                look_at(vm);
            }
        }
        free(name);
    }
    libxl_dominfo_list_free(list, n);
    /* What lost its connection while nobody looked gets it back. */
    atomic_fetch_add(&x->lost_links, 1);
    if (e->ready)
        e->ready(e->arg);
}

static void xen_close(struct hv *hv)
{
    struct hv_xen *x = xen(hv);
    x->closing = true;
    atomic_store(&x->stop_reconnector, true);
    for (struct xen_vm *vm = x->vms; vm; vm = vm->next)
        if (vm->op && vm->op->fd >= 0) {
            atomic_store(&vm->op->aborted, true);
            shutdown(vm->op->fd, SHUT_RDWR);
        }
    while (x->vms) {
        struct xen_vm *vm = x->vms;
        if (vm->op) {
            pthread_join(vm->op->thread, NULL);
            op_free(vm->op);
        }
        vm_free(vm);
    }
    if (x->has_reconnector)
        pthread_join(x->reconnector, NULL);
    sc_source_free(x->xs_source);
    sc_source_free(x->nbd_source);
    sc_source_free(x->scan);
    if (x->nbd_fd >= 0)
        close(x->nbd_fd);
    if (x->xs)
        xs_close(x->xs);
    if (x->ctx)
        xen_ctx_free(x->ctx, (struct xen_log *)x->log);
    pthread_mutex_destroy(&x->devices_lock);
    hv_fini(&x->up);
    free(x);
}

static void hv_xen_free(struct hv_xen *x)
{
    if (x)
        xen_close(&x->up);
}
SC_CLEANUP(struct hv_xen, hv_xen_free)

static int connect_xen(struct hv_xen *x, struct sc_err *err)
{
    struct xen_log *log = NULL;
    x->ctx = xen_ctx_new(&log);
    x->log = (xentoollog_logger *)log;
    if (!x->ctx)
        return sc_fail(err, -ENODEV,
                       "Xen: no connection; is this a dom0 with xenstored?");
    x->xs = xs_open(0);
    if (!x->xs || !xs_watch(x->xs, "@releaseDomain", "release"))
        return sc_fail(err, -ENODEV, "xenstore: %s", strerror(errno));
    x->nbd_fd = nbd_kernel_watch(err);
    return x->nbd_fd < 0 ? x->nbd_fd : 0;
}

static int xen_open(const struct hv_options *o, struct hv **ret,
                    struct sc_err *err)
{
    struct hv_xen *made = calloc(1, sizeof *made);
    if (!made)
        return sc_fail(err, -ENOMEM, "Xen: out of memory");
    int r = hv_init(&made->up, &hv_xen_class, o);
    if (r < 0) {
        free(made);
        return sc_fail(err, r, "Xen: out of memory");
    }
    pthread_mutex_init(&made->devices_lock, NULL);
    made->nbd_fd = -1;
    SC_AUTO(hv_xen_free) struct hv_xen *x = made;
    if ((r = connect_xen(x, err)) < 0)
        return r;
    xen_devices_load(x);
    if ((r = sc_loop_add_fd(o->loop, xs_fileno(x->xs), EPOLLIN, on_xenstore, x,
                            &x->xs_source)) < 0 ||
        (r = sc_loop_add_fd(o->loop, x->nbd_fd, EPOLLIN, on_lost_link, x,
                            &x->nbd_source)) < 0 ||
        (r = sc_loop_add_timer(o->loop, 0, 0, scan, x, &x->scan)) < 0 ||
        (r = -pthread_create(&x->reconnector, NULL, xen_reconnect, x)) < 0)
        return sc_fail(err, r, "Xen: %s", strerror(-r));
    x->has_reconnector = true;
    *ret = &SC_TAKE(x)->up;
    return 0;
}

const struct hv_class hv_xen_class = {
    .name = "xen",
    .open = xen_open,
    .close = xen_close,
    .cpuid_faulting = hv_xen_cpuid_faulting,
    .host_info = xen_host_info,
    .state_of = xen_state_of,
    .start = xen_start,
    .stop = xen_stop,
    .pause = xen_pause,
    .resume = xen_resume,
    .migrate_out = xen_migrate_out,
    .migrate_abort = xen_migrate_abort,
    .migrate_in = xen_migrate_in,
};
