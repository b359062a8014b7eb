/* hv_fake - the driver without guests.
 *
 * Everything it promises is kept (asynchronous outcomes, order of events,
 * pause after receiving), so that what is tested over it holds over the real
 * ones.  Stream: "SCFAKE1\n", u64 total (big endian), 'total' bytes in two
 * rounds, then - after the guest is stopped - "END!". */
#include "hypervisor/hv_fake.h"

#include "common/json.h"
#include "hypervisor/hypervisor-class.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 64 << 10, HEADER = 16, TRAILER = 4 };
static const char magic[8] = "SCFAKE1\n", end_mark[TRAILER] = "END!";

struct fake_vm {
    struct fake_vm *next;
    struct hv_fake *hv;
    struct hv_spec *spec; /* NULL for an adopted one. */
    char id[SC_UUID_LEN + 1];
    uint64_t memory_mib;
    enum hv_state state;
    /* The one operation under way; its outcome is given by 'timer'. */
    hv_done_fn *done;
    void *done_arg;
    struct sc_err outcome;
    enum hv_state next_state;
    bool remove;
    struct sc_source *timer;
    /* Console: our end of a socket pair; echoes. */
    int console;
    struct sc_source *console_source;
    /* Migration, either direction. */
    int fd;
    struct sc_source *fd_source;
    uint64_t total, moved;
    unsigned rounds;
    bool stopped;
    struct hv_out_events out;
    void *out_arg;
};
struct hv_fake {
    struct hv up; /* Must be first. */
    struct fake_vm *vms;
    uint64_t memory_mib;
    int fail_next;
    struct sc_source *scan;
};

static void vm_free(struct fake_vm *vm);
static void out_fd(void *arg, int fd, uint32_t events);
static void in_fd(void *arg, int fd, uint32_t events);

static struct hv_fake *fake(struct hv *hv)
{
    return (struct hv_fake *)hv;
}

static struct fake_vm *find(struct hv *hv, const char *id)
{
    for (struct fake_vm *vm = fake(hv)->vms; vm; vm = vm->next)
        if (!strcmp(vm->id, id))
            return vm;
    return NULL;
}

static int no_vm(const char *id, struct sc_err *err)
{
    return sc_fail(err, -ENOENT, "vm %s: it is not on this machine", id);
}

/* --- the file that outlives us -------------------------------------------- */
static void vm_path(const struct fake_vm *vm, bool dir, char *ret, size_t size)
{
    snprintf(ret, size, "%s/vm/%s%s", vm->hv->up.run_dir, vm->id,
             dir ? "" : "/fake");
}

static void vm_write(struct fake_vm *vm)
{
    char path[512];
    snprintf(path, sizeof path, "%s/vm", vm->hv->up.run_dir);
    mkdir(path, 0750);
    vm_path(vm, true, path, sizeof path);
    mkdir(path, 0750);
    vm_path(vm, false, path, sizeof path);
    SC_AUTO(fclose) FILE *f = fopen(path, "we");
    if (f)
        fprintf(f, "%d %llu\n", (int)vm->state,
                (unsigned long long)vm->memory_mib);
}

static void set_state(struct fake_vm *vm, enum hv_state state)
{
    vm->state = state;
    vm_write(vm);
}

static struct fake_vm *vm_new(struct hv_fake *f, const char *id)
{
    struct fake_vm *vm = calloc(1, sizeof *vm);
    if (!vm)
        return NULL;
    vm->hv = f;
    snprintf(vm->id, sizeof vm->id, "%s", id);
    vm->fd = vm->console = -1;
    vm->next = f->vms;
    f->vms = vm;
    return vm;
}

static void vm_drop_fd(struct fake_vm *vm)
{
    sc_source_free(SC_TAKE(vm->fd_source));
    close_p(&vm->fd);
    vm->fd = -1;
}

static void vm_unlink(struct fake_vm *vm)
{
    struct fake_vm **p = &vm->hv->vms;
    while (*p != vm)
        p = &(*p)->next;
    *p = vm->next;
}

/* Forgets it; the file stays. */
static void vm_free(struct fake_vm *vm)
{
    vm_unlink(vm);
    vm_drop_fd(vm);
    sc_source_free(vm->timer);
    sc_source_free(vm->console_source);
    close_p(&vm->console);
    free(vm->spec);
    free(vm);
}

static void vm_remove(struct fake_vm *vm)
{
    char path[512];
    vm_path(vm, false, path, sizeof path);
    unlink(path);
    vm_path(vm, true, path, sizeof path);
    rmdir(path);
    vm_free(vm);
}

/* --- outcomes, later ------------------------------------------------------ */
static void finish(void *arg)
{
    struct fake_vm *vm = arg;
    sc_source_free(SC_TAKE(vm->timer));
    hv_done_fn *done = SC_TAKE(vm->done);
    void *done_arg = vm->done_arg;
    struct sc_err outcome = vm->outcome;
    if (vm->remove)
        vm_remove(vm);
    else if (outcome.code == 0)
        set_state(vm, vm->next_state);
    if (done)
        done(done_arg, &outcome);
}

static int later(struct fake_vm *vm, hv_done_fn *done, void *arg, int code,
                 enum hv_state next, struct sc_err *err)
{
    vm->done = done;
    vm->done_arg = arg;
    vm->next_state = next;
    vm->outcome = (struct sc_err){ 0 };
    if (code < 0)
        sc_fail(&vm->outcome, code, "vm %s: the fake was told to fail", vm->id);
    int r = sc_loop_add_timer(vm->hv->up.o.loop, 0, 0, finish, vm, &vm->timer);
    return r < 0 ? sc_fail(err, r, "vm %s: no timer", vm->id) : 0;
}

/* Ends what was begun for 'vm'; its callers are told now. */
static void cancel(struct fake_vm *vm)
{
    struct sc_err why = { 0 };
    sc_fail(&why, -ECANCELED, "vm %s: it is being stopped", vm->id);
    sc_source_free(SC_TAKE(vm->timer));
    vm_drop_fd(vm);
    hv_done_fn *done = SC_TAKE(vm->done), *out = SC_TAKE(vm->out.done);
    if (done)
        done(vm->done_arg, &why);
    if (out)
        out(vm->out_arg, &why);
}

static int take_failure(struct hv_fake *f)
{
    int code = f->fail_next;
    f->fail_next = 0;
    return code;
}

/* --- console ---------------------------------------------------------------
 */
static void console_fd(void *arg, int fd, uint32_t events)
{
    struct fake_vm *vm = arg;
    char buf[512];
    (void)events;
    ssize_t n = read(fd, buf, sizeof buf);
    if (n > 0) {
        ssize_t sent = send(fd, buf, (size_t)n, MSG_NOSIGNAL);
        (void)sent;
    } else if (n == 0 || errno != EAGAIN) {
        sc_source_free(SC_TAKE(vm->console_source));
    }
}

static void console_start(struct fake_vm *vm)
{
    int fds[2];
    sc_source_free(SC_TAKE(vm->console_source));
    close_p(&vm->console);
    vm->console = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   fds) < 0)
        return;
    vm->console = fds[0];
    char text[128];
    int len = snprintf(text, sizeof text, "fake: guest %s\r\n", vm->id);
    ssize_t sent = send(vm->console, text, (size_t)len, MSG_NOSIGNAL);
    (void)sent;
    int r = sc_loop_add_fd(vm->hv->up.o.loop, vm->console, EPOLLIN, console_fd,
                           vm, &vm->console_source);
    if (r == 0 && vm->hv->up.o.events->console)
        vm->hv->up.o.events->console(vm->hv->up.o.events->arg, vm->id, fds[1]);
    else
        close(fds[1]);
}

/* --- life ------------------------------------------------------------------
 */
static void scan(void *arg)
{
    struct hv_fake *f = arg;
    char path[512];
    sc_source_free(SC_TAKE(f->scan));
    snprintf(path, sizeof path, "%s/vm", f->up.run_dir);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        int state;
        unsigned long long mib;
        if (!sc_uuid_ok(e->d_name) || find(&f->up, e->d_name))
            continue;
        snprintf(path, sizeof path, "%s/vm/%s/fake", f->up.run_dir, e->d_name);
        SC_AUTO(fclose) FILE *file = fopen(path, "re");
        struct fake_vm *vm = NULL;
        if (file && fscanf(file, "%d %llu", &state, &mib) == 2)
            vm = vm_new(f, e->d_name);
        if (!vm)
            continue;
        vm->memory_mib = mib;
        vm->state = (enum hv_state)state;
        /* What was being built or received by the dead process is lost. */
        if (vm->state == HV_BUILDING || vm->state == HV_INCOMING ||
            vm->state == HV_STOPPING) {
            vm_remove(vm);
            continue;
        }
        f->up.o.events->adopted(f->up.o.events->arg, vm->id, vm->state);
        console_start(vm);
    }
    if (dir)
        closedir(dir);
    f->up.o.events->ready(f->up.o.events->arg);
}

static int fake_open(const struct hv_options *o, struct hv **ret,
                     struct sc_err *err)
{
    SC_AUTO(free) struct hv_fake *f = calloc(1, sizeof *f);
    if (!f || hv_init(&f->up, &hv_fake_class, o) < 0)
        return sc_fail(err, -ENOMEM, "fake hypervisor: out of memory");
    f->memory_mib = 4096;
    int r = sc_loop_add_timer(o->loop, 0, 0, scan, f, &f->scan);
    if (r < 0) {
        hv_fini(&f->up);
        return sc_fail(err, r, "fake hypervisor: no timer");
    }
    *ret = &SC_TAKE(f)->up;
    return 0;
}

static void fake_close(struct hv *hv)
{
    struct hv_fake *f = fake(hv);
    while (f->vms)
        vm_free(f->vms);
    sc_source_free(f->scan);
    hv_fini(hv);
    free(f);
}

static int fake_host_info(struct hv *hv, struct hv_host *ret,
                          struct sc_err *err)
{
    (void)err;
    uint64_t used = hv->o.reserved_mib;
    for (struct fake_vm *vm = fake(hv)->vms; vm; vm = vm->next)
        used += vm->memory_mib;
    *ret = (struct hv_host){
        .cpus = 4,
        .memory_mib = fake(hv)->memory_mib - hv->o.reserved_mib,
        .memory_free_mib =
            fake(hv)->memory_mib > used ? fake(hv)->memory_mib - used : 0,
    };
    return 0;
}

static int fake_state_of(struct hv *hv, const char *vm_id, enum hv_state *ret)
{
    struct fake_vm *vm = find(hv, vm_id);
    if (!vm)
        return -ENOENT;
    *ret = vm->state;
    return 0;
}

static int build(struct hv *hv, const struct hv_spec *spec,
                 struct fake_vm **ret, struct sc_err *err)
{
    struct hv_host host;
    if (find(hv, spec->id))
        return sc_fail(err, -EEXIST, "vm %s: it is already here", spec->id);
    fake_host_info(hv, &host, NULL);
    if (spec->memory_mib > host.memory_free_mib)
        return sc_fail(err, -ENOSPC,
                       "vm %s: it needs %llu MiB and %llu are free", spec->id,
                       (unsigned long long)spec->memory_mib,
                       (unsigned long long)host.memory_free_mib);
    struct fake_vm *vm = vm_new(fake(hv), spec->id);
    if (!vm)
        return sc_fail(err, -ENOMEM, "vm %s: out of memory", spec->id);
    vm->spec = hv_spec_dup(spec);
    vm->memory_mib = spec->memory_mib;
    *ret = vm;
    return 0;
}

static int fake_start(struct hv *hv, const struct hv_spec *spec,
                      hv_done_fn *done, void *arg, struct sc_err *err)
{
    struct fake_vm *vm = NULL;
    int r = build(hv, spec, &vm, err);
    if (r < 0 || !vm)
        return r;
    set_state(vm, HV_BUILDING);
    int code = take_failure(fake(hv));
    vm->remove = code < 0;
    r = later(vm, done, arg, code, HV_RUNNING, err);
    if (r < 0)
        vm_remove(vm);
    else
        console_start(vm);
    return r;
}

static int fake_stop(struct hv *hv, const char *vm_id, uint32_t grace_ms,
                     hv_done_fn *done, void *arg, struct sc_err *err)
{
    struct fake_vm *vm = find(hv, vm_id);
    (void)grace_ms;
    if (!vm)
        return no_vm(vm_id, err);
    if (vm->state == HV_STOPPING)
        return sc_fail(err, -EALREADY, "vm %s: already stopping", vm_id);
    set_state(vm, HV_STOPPING);
    cancel(vm);
    vm->remove = true;
    return later(vm, done, arg, 0, HV_STOPPING, err);
}

static int change(struct hv *hv, const char *vm_id, bool may, hv_done_fn *done,
                  void *arg, int code, enum hv_state next, struct sc_err *err)
{
    struct fake_vm *vm = find(hv, vm_id);
    if (vm->done || vm->out.done || !may)
        return sc_fail(err, -EBUSY, "vm %s: it is %s", vm_id,
                       hv_state_name(vm->state));
    return later(vm, done, arg, code, next, err);
}

static int fake_pause(struct hv *hv, const char *vm_id, hv_done_fn *done,
                      void *arg, struct sc_err *err)
{
    struct fake_vm *vm = find(hv, vm_id);
    if (!vm)
        return no_vm(vm_id, err);
    return change(hv, vm_id, vm->state == HV_RUNNING, done, arg, 0, HV_PAUSED,
                  err);
}

static int fake_resume(struct hv *hv, const char *vm_id, hv_done_fn *done,
                       void *arg, struct sc_err *err)
{
    struct fake_vm *vm = find(hv, vm_id);
    if (!vm)
        return no_vm(vm_id, err);
    return change(hv, vm_id,
                  vm->state == HV_PAUSED || vm->state == HV_SUSPENDED, done,
                  arg, take_failure(fake(hv)), HV_RUNNING, err);
}

/* --- migration --------------------------------------------------------------
 */
static int migration_begin(struct fake_vm *vm, int fd, uint32_t events,
                           sc_fd_fn *fn, struct sc_err *err)
{
    int r = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    vm->fd = fd;
    vm->moved = 0;
    vm->rounds = 0;
    vm->stopped = false;
    if (r == 0)
        r = sc_loop_add_fd(vm->hv->up.o.loop, fd, events, fn, vm,
                           &vm->fd_source);
    return r < 0 ? sc_fail(err, r, "vm %s: migration fd", vm->id) : 0;
}

static int fake_migrate_out(struct hv *hv, const char *vm_id, int fd,
                            uint32_t max_downtime_ms,
                            const struct hv_out_events *events, void *arg,
                            struct sc_err *err)
{
    SC_AUTO(close) int own = fd;
    struct fake_vm *vm = find(hv, vm_id);
    (void)max_downtime_ms;
    if (!vm)
        return no_vm(vm_id, err);
    if (vm->state != HV_RUNNING || vm->done || vm->out.done)
        return sc_fail(err, -EBUSY, "vm %s: it is %s", vm_id,
                       hv_state_name(vm->state));
    vm->total = vm->memory_mib * HV_FAKE_BYTES_PER_MIB;
    int r = migration_begin(vm, SC_TAKE_FD(own), EPOLLOUT, out_fd, err);
    if (r < 0) {
        vm_drop_fd(vm);
        return r;
    }
    vm->out = *events;
    vm->out_arg = arg;
    return 0;
}

static void out_end(struct fake_vm *vm, int code, const char *what)
{
    struct sc_err e = { 0 };
    if (code < 0)
        sc_fail(&e, code, "vm %s: migration: %s", vm->id, what);
    set_state(vm, code < 0 ? HV_RUNNING : HV_SUSPENDED);
    vm_drop_fd(vm);
    hv_done_fn *done = SC_TAKE(vm->out.done);
    done(vm->out_arg, &e);
}

/* What stands at 'pos' of the stream, at most 'size' bytes. */
static size_t stream_at(const struct fake_vm *vm, uint64_t pos, char *buf,
                        size_t size)
{
    uint64_t end = HEADER + vm->total;
    if (pos < HEADER) {
        uint64_t total = htobe64(vm->total);
        memcpy(buf, magic, sizeof magic);
        memcpy(buf + sizeof magic, &total, sizeof total);
        memmove(buf, buf + pos, HEADER - pos);
        return HEADER - pos;
    }
    if (pos < end) {
        size_t n = end - pos < size ? end - pos : size;
        memset(buf, (int)(pos >> 12), n);
        return n;
    }
    memcpy(buf, end_mark + (pos - end), TRAILER - (pos - end));
    return TRAILER - (pos - end);
}

static void out_fd(void *arg, int fd, uint32_t events)
{
    struct fake_vm *vm = arg;
    char buf[CHUNK];
    uint64_t end = HEADER + vm->total;
    (void)events;
    size_t n = stream_at(vm, vm->moved, buf, sizeof buf);
    ssize_t sent = send(fd, buf, n, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN)
        return;
    if (sent < 0) {
        out_end(vm, -errno, strerror(errno));
        return;
    }
    vm->moved += (uint64_t)sent;
    if (vm->moved == end + TRAILER) {
        out_end(vm, 0, NULL);
        return;
    }
    if (vm->moved == end && !vm->stopped) {
        vm->stopped = true;
        set_state(vm, HV_SUSPENDED);
        vm->out.stopped(vm->out_arg);
        return;
    }
    struct hv_progress p = { vm->moved, 1, end + TRAILER - vm->moved };
    if (vm->out.progress)
        vm->out.progress(vm->out_arg, &p);
}

static void abort_later(void *arg)
{
    struct fake_vm *vm = arg;
    sc_source_free(SC_TAKE(vm->timer));
    if (vm->out.done)
        out_end(vm, -ECANCELED, "given up");
}

static int fake_migrate_abort(struct hv *hv, const char *vm_id,
                              struct sc_err *err)
{
    struct fake_vm *vm = find(hv, vm_id);
    if (!vm)
        return no_vm(vm_id, err);
    if (!vm->out.done)
        return sc_fail(err, -EALREADY, "vm %s: it is not migrating", vm_id);
    sc_source_free(SC_TAKE(vm->fd_source));
    if (vm->timer)
        return 0;
    int r = sc_loop_add_timer(hv->o.loop, 0, 0, abort_later, vm, &vm->timer);
    return r < 0 ? sc_fail(err, r, "vm %s: no timer", vm_id) : 0;
}

static int fake_migrate_in(struct hv *hv, const struct hv_spec *spec, int fd,
                           hv_done_fn *done, void *arg, struct sc_err *err)
{
    SC_AUTO(close) int own = fd;
    struct fake_vm *vm = NULL;
    int r = build(hv, spec, &vm, err);
    if (r < 0 || !vm)
        return r;
    set_state(vm, HV_INCOMING);
    int code = take_failure(fake(hv));
    if (code < 0) {
        vm->remove = true;
        return later(vm, done, arg, code, HV_PAUSED, err);
    }
    r = migration_begin(vm, SC_TAKE_FD(own), EPOLLIN, in_fd, err);
    if (r < 0) {
        vm_remove(vm);
        return r;
    }
    vm->done = done;
    vm->done_arg = arg;
    return 0;
}

static void in_end(struct fake_vm *vm, int code, const char *what)
{
    vm_drop_fd(vm);
    if (code < 0)
        sc_fail(&vm->outcome, code, "vm %s: migration: %s", vm->id, what);
    vm->remove = code < 0;
    vm->next_state = HV_PAUSED;
    if (code == 0)
        console_start(vm);
    finish(vm);
}

static void in_fd(void *arg, int fd, uint32_t events)
{
    struct fake_vm *vm = arg;
    char buf[CHUNK], want[CHUNK];
    size_t size = vm->moved < HEADER ? HEADER - vm->moved : sizeof buf;
    (void)events;
    ssize_t n = recv(fd, buf, size, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        in_end(vm, -EPIPE, "the stream ended early");
        return;
    }
    if (vm->moved == 0) {
        if (n != HEADER || memcmp(buf, magic, sizeof magic) != 0) {
            in_end(vm, -EPROTO, "not a stream of the fake driver");
            return;
        }
        memcpy(&vm->total, buf + sizeof magic, sizeof vm->total);
        vm->total = be64toh(vm->total);
    }
    for (size_t done = 0; done < (size_t)n;) {
        size_t left = (size_t)n - done;
        size_t m = stream_at(vm, vm->moved + done, want, left);
        m = m < left ? m : left;
        if (memcmp(want, buf + done, m) != 0) {
            in_end(vm, -EBADMSG, "the stream is damaged");
            return;
        }
        done += m;
        if (vm->moved + done > HEADER + vm->total + TRAILER) {
            in_end(vm, -EBADMSG, "the stream is too long");
            return;
        }
        if (vm->moved + done == HEADER + vm->total + TRAILER)
            break;
    }
    vm->moved += (uint64_t)n;
    if (vm->moved == HEADER + vm->total + TRAILER)
        in_end(vm, 0, NULL);
}

/* --- knobs ------------------------------------------------------------------
 */
void hv_fake_end(struct hv *hv, const char *vm_id, int why)
{
    struct fake_vm *vm = find(hv, vm_id);
    struct sc_err e = { 0 };
    char id[SC_UUID_LEN + 1];
    if (!vm)
        return;
    if (why < 0)
        sc_fail(&e, why, "the guest died");
    snprintf(id, sizeof id, "%s", vm_id);
    cancel(vm);
    vm_remove(vm);
    hv->o.events->gone(hv->o.events->arg, id, &e);
}

void hv_fake_set_memory(struct hv *hv, uint64_t mib)
{
    fake(hv)->memory_mib = mib;
}

void hv_fake_fail_next(struct hv *hv, int code)
{
    fake(hv)->fail_next = code;
}

const struct hv_class hv_fake_class = {
    .name = "fake",
    .open = fake_open,
    .close = fake_close,
    .host_info = fake_host_info,
    .state_of = fake_state_of,
    .start = fake_start,
    .stop = fake_stop,
    .pause = fake_pause,
    .resume = fake_resume,
    .migrate_out = fake_migrate_out,
    .migrate_abort = fake_migrate_abort,
    .migrate_in = fake_migrate_in,
};
