/* hv_xen_work - what the xen driver does in threads: everything that waits.
 *
 * Each operation has its own libxl context: libxl holds a context's lock while
 * it builds a guest, and the loop must not wait for that.  Children (the save
 * helper, hotplug scripts) are reaped by libxl itself, selectively.
 * Each operation undoes what it began when it fails. */
#include "hypervisor/hv_xen.h"

#include "hypervisor/nbd_kernel.h"

#include <libxl_utils.h>
#include <stdio.h>
#include <time.h>

/* --- libxl's words -------------------------------------------------------- */
struct xen_log {
    xentoollog_logger vtable; /* Must be first. */
    char last[256];           /* The last error, for people. */
};

static void on_message(struct xentoollog_logger *logger, xentoollog_level level,
                       int errnoval, const char *context, const char *format,
                       va_list al)
{
    (void)errnoval;
    (void)context;
    struct xen_log *log = (struct xen_log *)logger;
    if (level >= XTL_ERROR)
        vsnprintf(log->last, sizeof log->last, format, al);
}

static void on_progress(struct xentoollog_logger *logger, const char *context,
                        const char *doing_what, int percent, unsigned long done,
                        unsigned long total)
{
    (void)logger;
    (void)context;
    (void)doing_what;
    (void)percent;
    (void)done;
    (void)total;
}

static void on_destroy(struct xentoollog_logger *logger)
{
    free(logger);
}

libxl_ctx *xen_ctx_new(struct xen_log **ret_log)
{
    static const libxl_childproc_hooks reap = {
        .chldowner = libxl_sigchld_owner_libxl_always_selective_reap,
    };
    libxl_ctx *ctx = NULL;
    struct xen_log *log = calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->vtable = (xentoollog_logger){ .vmessage = on_message,
                                       .progress = on_progress,
                                       .destroy = on_destroy };
    if (libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, &log->vtable)) {
        free(log);
        return NULL;
    }
    libxl_childproc_setmode(ctx, &reap, NULL);
    *ret_log = log;
    return ctx;
}

void xen_ctx_free(libxl_ctx *ctx, struct xen_log *log)
{
    libxl_ctx_free(ctx);
    free(log);
}

int xen_fail(struct sc_err *err, int libxl_rc, const struct xen_log *log,
             const char *what, const char *vm_id)
{
    int code = libxl_rc == ERROR_NOMEM || libxl_rc == ERROR_NOPARAVIRT ? -ENOMEM
               : libxl_rc == ERROR_GUEST_TIMEDOUT  ? -ETIMEDOUT
               : libxl_rc == ERROR_DOMAIN_NOTFOUND ? -ENOENT
                                                   : -EIO;
    return sc_fail(err, code, "vm %s: %s: %s", vm_id, what,
                   *log->last ? log->last : libxl_error_to_string(libxl_rc));
}

int xen_look(libxl_ctx *ctx, uint32_t domid, struct xen_seen *ret)
{
    libxl_dominfo info;
    libxl_dominfo_init(&info);
    int rc = libxl_domain_info(ctx, &info, domid);
    struct xen_seen s = { 0 };
    if (rc == 0 && !info.dying) {
        s.exists = true;
        s.shutdown = info.shutdown;
        s.suspended = info.shutdown &&
                      info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND;
        s.crashed = info.shutdown &&
                    info.shutdown_reason == LIBXL_SHUTDOWN_REASON_CRASH;
        s.paused = info.paused;
    }
    libxl_dominfo_dispose(&info);
    if (rc && rc != ERROR_DOMAIN_NOTFOUND)
        return -EIO;
    *ret = s;
    return 0;
}

/* --- disks ------------------------------------------------------------------
 */
static void devices_path(const struct hv_xen *x, char ret[512])
{
    snprintf(ret, 512, "%s/xen-devices", x->up.run_dir);
}

/* The table outlives sc-node as the devices do.  Under devices_lock. */
static void devices_save(const struct hv_xen *x)
{
    char path[512], next[520];
    devices_path(x, path);
    snprintf(next, sizeof next, "%s.new", path);
    FILE *f = fopen(next, "we");
    if (!f)
        return;
    for (int i = 0; i < XEN_DEVICES_MAX; i++)
        if (x->devices[i].index >= 0)
            fprintf(f, "%d %s %s %s\n", x->devices[i].index,
                    x->devices[i].vm_id, x->devices[i].export,
                    x->devices[i].path);
    if (fclose(f) == 0)
        (void)rename(next, path);
}

void xen_devices_load(struct hv_xen *x)
{
    char path[512];
    int n = 0;
    devices_path(x, path);
    SC_AUTO(fclose) FILE *f = fopen(path, "re");
    for (int i = 0; i < XEN_DEVICES_MAX; i++)
        x->devices[i].index = -1;
    for (struct xen_device d; f && n < XEN_DEVICES_MAX &&
                              fscanf(f, "%d %36s %63s %107s", &d.index, d.vm_id,
                                     d.export, d.path) == 4;)
        if (d.index >= 0)
            x->devices[n++] = d;
}

static int device_attach(struct hv_xen *x, const char *vm_id,
                         const struct hv_disk *d, int *ret_index,
                         struct sc_err *err)
{
    pthread_mutex_lock(&x->devices_lock);
    struct xen_device *slot = NULL;
    for (int i = 0; i < XEN_DEVICES_MAX && !slot; i++)
        if (x->devices[i].index < 0)
            slot = &x->devices[i];
    int r = slot ? nbd_kernel_attach(d->nbd_socket, d->export, d->size,
                                     d->readonly, ret_index, err)
                 : sc_fail(err, -ENOSPC, "no more than %d disks on a node",
                           XEN_DEVICES_MAX);
    if (r == 0) {
        slot->index = *ret_index;
        snprintf(slot->vm_id, sizeof slot->vm_id, "%s", vm_id);
        snprintf(slot->path, sizeof slot->path, "%s", d->nbd_socket);
        snprintf(slot->export, sizeof slot->export, "%s", d->export);
        devices_save(x);
    }
    pthread_mutex_unlock(&x->devices_lock);
    return r;
}

void xen_devices_detach(struct hv_xen *x, const char *vm_id)
{
    pthread_mutex_lock(&x->devices_lock);
    for (int i = 0; i < XEN_DEVICES_MAX; i++) {
        struct xen_device *d = &x->devices[i];
        if (d->index < 0 || strcmp(d->vm_id, vm_id) != 0)
            continue;
        (void)!nbd_kernel_detach(d->index, NULL);
        d->index = -1;
        devices_save(x);
    }
    pthread_mutex_unlock(&x->devices_lock);
}

static void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ ms / 1000, (long)(ms % 1000) * 1000000 },
              NULL);
}

/* Tries every device until each has its connection, as often as some link was
 * lost; then waits for the next notice. */
void *xen_reconnect(void *arg)
{
    struct hv_xen *x = arg;
    unsigned done = 0;
    while (!atomic_load(&x->stop_reconnector)) {
        unsigned seen = atomic_load(&x->lost_links);
        if (seen == done) {
            sleep_ms(50);
            continue;
        }
        bool all = true;
        for (int i = 0; i < XEN_DEVICES_MAX; i++) {
            pthread_mutex_lock(&x->devices_lock);
            struct xen_device *d = &x->devices[i];
            int r = d->index < 0 ? 0
                                 : nbd_kernel_reconnect(d->index, d->path,
                                                        d->export, NULL);
            pthread_mutex_unlock(&x->devices_lock);
            if (r < 0 && r != -EEXIST)
                all = false;
        }
        if (all)
            done = seen;
        else
            sleep_ms(200);
    }
    return NULL;
}

/* --- operations
 * --------------------------------------------------------------- */
static void work_build(struct xen_op *op, libxl_ctx *ctx, struct xen_log *log)
{
    const struct hv_spec *s = op->spec;
    int devices[HV_DISKS_MAX];
    libxl_domain_config config;
    for (unsigned i = 0; i < s->n_disks; i++)
        if (device_attach(op->hv, s->id, &s->disks[i], &devices[i], &op->err) <
            0) {
            xen_devices_detach(op->hv, s->id);
            return;
        }
    int r = xen_config_fill(ctx, s, devices, &config, &op->err);
    if (r == 0 && op->kind == XEN_OP_START) {
        r = libxl_domain_create_new(ctx, &config, &op->domid, NULL, NULL);
        if (r)
            xen_fail(&op->err, r, log, "building it", s->id);
    } else if (r == 0) {
        libxl_domain_restore_params params;
        libxl_domain_restore_params_init(&params);
        params.stream_version = 2;
        r = libxl_domain_create_restore(ctx, &config, &op->domid, op->fd, -1,
                                        &params, NULL, NULL);
        libxl_domain_restore_params_dispose(&params);
        if (r)
            xen_fail(&op->err, r, log, "receiving it", s->id);
    }
    libxl_domain_config_dispose(&config);
    if (r)
        xen_devices_detach(op->hv, s->id);
    if (r && atomic_load(&op->aborted))
        sc_fail(&op->err, -ECANCELED, "vm %s: given up", s->id);
}

static void work_out(struct xen_op *op, libxl_ctx *ctx, struct xen_log *log)
{
    struct xen_seen seen = { 0 };
    int rc =
        libxl_domain_suspend(ctx, op->domid, op->fd, LIBXL_SUSPEND_LIVE, NULL);
    if (rc == 0)
        return;
    xen_fail(&op->err, rc, log, "sending it", op->vm->id);
    if (atomic_load(&op->aborted))
        sc_fail(&op->err, -ECANCELED, "vm %s: migration given up", op->vm->id);
    /* It may have failed before or after the guest was suspended. */
    if (xen_look(ctx, op->domid, &seen) < 0 || !seen.exists)
        op->lost = true;
    else if (seen.suspended && libxl_domain_resume(ctx, op->domid, 1, NULL))
        op->lost = true;
}

static void work_resume(struct xen_op *op, libxl_ctx *ctx, struct xen_log *log)
{
    int rc = op->suspended ? libxl_domain_resume(ctx, op->domid, 1, NULL)
                           : libxl_domain_unpause(ctx, op->domid, NULL);
    if (rc)
        xen_fail(&op->err, rc, log, "resuming it", op->vm->id);
}

static void work_destroy(struct xen_op *op, libxl_ctx *ctx, struct xen_log *log)
{
    struct xen_seen seen = { 0 };
    int rc = libxl_domain_destroy(ctx, op->domid, NULL);
    if (rc && (xen_look(ctx, op->domid, &seen) < 0 || seen.exists))
        xen_fail(&op->err, rc, log, "destroying it", op->vm->id);
    else
        xen_devices_detach(op->hv, op->vm->id);
}

void xen_op_work(struct xen_op *op)
{
    struct xen_log *log = NULL;
    libxl_ctx *ctx = xen_ctx_new(&log);
    int rc = 0;
    if (!ctx) {
        sc_fail(&op->err, -EIO, "vm %s: no connection to Xen", op->vm->id);
        return;
    }
    switch (op->kind) {
    case XEN_OP_START:
    case XEN_OP_IN:
        work_build(op, ctx, log);
        break;
    case XEN_OP_OUT:
        work_out(op, ctx, log);
        break;
    case XEN_OP_RESUME:
        work_resume(op, ctx, log);
        break;
    case XEN_OP_PAUSE:
        if ((rc = libxl_domain_pause(ctx, op->domid, NULL)))
            xen_fail(&op->err, rc, log, "pausing it", op->vm->id);
        break;
    case XEN_OP_SHUTDOWN:
        if ((rc = libxl_domain_shutdown(ctx, op->domid, NULL)))
            xen_fail(&op->err, rc, log, "asking it to stop", op->vm->id);
        break;
    case XEN_OP_DESTROY:
        work_destroy(op, ctx, log);
        break;
    }
    xen_ctx_free(ctx, log);
}
