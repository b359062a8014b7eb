/* hv_qemu - guests as QEMU processes: KVM where the CPU has it, else TCG.
 *
 * Life of a guest: sockets and TAPs are made here, QEMU is started stopped
 * (-S), QMP is greeted, then 'cont' (hv_qemu_migrate.c has receiving).  The end
 * of the process is seen through a pidfd, so adopted ones need not be our
 * children. */
#include "hypervisor/hv_qemu.h"

#include "hypervisor/qemu_args.h"
#include "hypervisor/tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

static void process_ended(void *arg, int fd, uint32_t events);

static struct hv_qemu *qemu(struct hv *hv)
{
    return (struct hv_qemu *)hv;
}

struct qemu_vm *qemu_find(struct hv *hv, const char *id)
{
    for (struct qemu_vm *vm = qemu(hv)->vms; vm; vm = vm->next)
        if (!strcmp(vm->id, id))
            return vm;
    return NULL;
}

int qemu_no_vm(const char *id, struct sc_err *err)
{
    return sc_fail(err, -ENOENT, "vm %s: it is not on this machine", id);
}

static void vm_path(const struct qemu_vm *vm, const char *file, char ret[512])
{
    snprintf(ret, 512, "%s/vm/%s%s%s", vm->hv->up.run_dir, vm->id,
             *file ? "/" : "", file);
}

/* --- objects ----------------------------------------------------------------
 */
static struct qemu_vm *vm_new(struct hv_qemu *q, const char *id)
{
    struct qemu_vm *vm = calloc(1, sizeof *vm);
    if (!vm)
        return NULL;
    vm->hv = q;
    snprintf(vm->id, sizeof vm->id, "%s", id);
    vm->pidfd = vm->in_fd = vm->out_fd = -1;
    vm->next = q->vms;
    q->vms = vm;
    return vm;
}

/* Forgets it; process and files stay. */
static void vm_free(struct qemu_vm *vm)
{
    struct qemu_vm **p = &vm->hv->vms;
    while (*p != vm)
        p = &(*p)->next;
    *p = vm->next;
    sc_source_free(vm->exit_source);
    sc_source_free(vm->poll);
    sc_source_free(vm->kill_timer);
    qmp_free(vm->qmp);
    close_p(&vm->pidfd);
    close_p(&vm->in_fd);
    close_p(&vm->out_fd);
    free(vm);
}

static void remove_files(const struct qemu_vm *vm)
{
    static const char *const files[] = { "pid", "qmp", "con", "log", "" };
    char path[512];
    for (size_t i = 0; i < SC_ARRAY_LEN(files); i++) {
        vm_path(vm, files[i], path);
        if (*files[i])
            unlink(path);
        else
            rmdir(path);
    }
}

/* The last line QEMU wrote to its stderr: why it gave up. */
static void last_words(const struct qemu_vm *vm, char ret[256])
{
    char path[512];
    vm_path(vm, "log", path);
    SC_AUTO(fclose) FILE *f = fopen(path, "re");
    char line[256];
    snprintf(ret, 256, "QEMU ended");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\r\n")] = 0;
        if (*line)
            snprintf(ret, 256, "%s", line);
    }
}

/* --- process -----------------------------------------------------------------
 */
/* Field 22 of /proc/PID/stat; 0: no such process. */
static unsigned long long start_time(pid_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    SC_AUTO(fclose) FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = 0;
    char *p = strrchr(text, ')');
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    return p ? strtoull(p, NULL, 10) : 0;
}

static int watch(struct qemu_vm *vm, struct sc_err *err)
{
    vm->pidfd = (int)syscall(SYS_pidfd_open, vm->pid, 0);
    if (vm->pidfd < 0)
        return sc_fail(err, -errno, "vm %s: pidfd: %s", vm->id,
                       strerror(errno));
    fcntl(vm->pidfd, F_SETFD, FD_CLOEXEC);
    int r = sc_loop_add_fd(vm->hv->up.o.loop, vm->pidfd, EPOLLIN, process_ended,
                           vm, &vm->exit_source);
    return r < 0 ? sc_fail(err, r, "vm %s: pidfd", vm->id) : 0;
}

void qemu_kill(struct qemu_vm *vm)
{
    if (vm->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, vm->pidfd, SIGKILL, NULL, 0);
}

static int listen_at(const char *path, int *ret, struct sc_err *err)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof a.sun_path)
        return sc_fail(err, -ENAMETOOLONG,
                       "%s: too long for a socket; shorten run_dir", path);
    memcpy(a.sun_path, path, strlen(path) + 1);
    unlink(path);
    SC_AUTO(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        chmod(path, 0600) < 0 || listen(fd, 4) < 0)
        return sc_fail(err, -errno, "%s: %s", path, strerror(errno));
    *ret = SC_TAKE_FD(fd);
    return 0;
}

/* In the child: nothing but async-signal-safe calls. */
static void child(char **argv, int log_fd, const int *fds, size_t n)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    dup2(log_fd, 2);
    /* Not every library opens its files close-on-exec (LMDB does not). */
    syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0)
            fcntl(fds[i], F_SETFD, 0);
    execvp(argv[0], argv);
    static const char text[] = "qemu-system-x86_64 cannot be started\n";
    if (write(2, text, sizeof text - 1) < 0)
        _exit(126);
    _exit(127);
}

static void fds_close(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        close_p(&fds[i]);
}

static int spawn(struct qemu_vm *vm, const struct hv_spec *spec, bool incoming,
                 struct sc_err *err)
{
    char path[512];
    int fds[3 + HV_NICS_MAX], n_nics = (int)spec->n_nics, r;
    memset(fds, -1, sizeof fds);
    snprintf(path, sizeof path, "%s/vm", vm->hv->up.run_dir);
    mkdir(path, 0750);
    vm_path(vm, "", path);
    if (mkdir(path, 0750) < 0 && errno != EEXIST)
        return sc_fail(err, -errno, "%s: %s", path, strerror(errno));
    struct qemu_args a = { .spec = spec,
                           .kvm = vm->hv->kvm,
                           .incoming = incoming,
                           .plain_checksums = vm->hv->up.o.plain_checksums,
                           .binary = "qemu-system-x86_64" };
    vm_path(vm, "qmp", path);
    r = listen_at(path, &fds[0], err);
    vm_path(vm, "con", path);
    if (r == 0)
        r = listen_at(path, &fds[1], err);
    for (int i = 0; i < n_nics && r == 0; i++)
        r = tap_open(spec->nics[i].ifname, spec->nics[i].mtu,
                     !a.plain_checksums, &fds[3 + i], err);
    vm_path(vm, "log", path);
    if (r == 0) {
        fds[2] = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
        if (fds[2] < 0)
            r = sc_fail(err, -errno, "%s: %s", path, strerror(errno));
    }
    a.qmp_fd = fds[0];
    a.console_fd = fds[1];
    memcpy(a.tap_fds, fds + 3, sizeof a.tap_fds);
    SC_AUTO(qemu_args_free) char **argv = NULL;
    if (r == 0 && qemu_args_make(&a, &argv) < 0)
        r = sc_fail(err, -ENOMEM, "vm %s: out of memory", vm->id);
    if (r == 0) {
        vm->pid = fork();
        if (vm->pid == 0)
            child(argv, fds[2], fds, SC_ARRAY_LEN(fds));
        if (vm->pid < 0)
            r = sc_fail(err, -errno, "fork: %s", strerror(errno));
    }
    fds_close(fds, SC_ARRAY_LEN(fds));
    return r;
}

static int write_pid(struct qemu_vm *vm, struct sc_err *err)
{
    char path[512];
    vm_path(vm, "pid", path);
    SC_AUTO(fclose) FILE *f = fopen(path, "we");
    if (!f ||
        fprintf(f, "%d %llu %llu\n", (int)vm->pid, start_time(vm->pid),
                (unsigned long long)vm->memory_mib) < 0 ||
        fflush(f))
        return sc_fail(err, -EIO, "%s: cannot be written", path);
    return 0;
}

/* --- outcomes ------------------------------------------------------------- */
void qemu_op_end(struct qemu_vm *vm, int code, const char *text)
{
    struct sc_err e = { 0 };
    hv_done_fn *done = SC_TAKE(vm->done);
    if (!done)
        return; /* Cancelled meanwhile. */
    if (code < 0)
        sc_fail(&e, code, "vm %s: %s", vm->id, text);
    else
        vm->state = vm->next_state;
    done(vm->done_arg, &e);
}

/* The process is gone: tells whoever waits, then forgets. */
static void process_ended(void *arg, int fd, uint32_t events)
{
    struct qemu_vm *vm = arg;
    struct sc_err why = { 0 };
    char id[SC_UUID_LEN + 1], words[256];
    struct hv_qemu *q = vm->hv;
    (void)fd, (void)events;
    waitpid(vm->pid, NULL, WNOHANG); /* -ECHILD for an adopted one. */
    sc_source_free(SC_TAKE(vm->exit_source));
    snprintf(id, sizeof id, "%s", vm->id);
    last_words(vm, words);
    bool started =
        !vm->adopting && vm->state != HV_BUILDING && vm->state != HV_INCOMING;
    hv_done_fn *stop_done = SC_TAKE(vm->stop_done);
    void *stop_arg = vm->stop_arg;
    if (!vm->powered_off)
        sc_fail(&why, -EIO, "vm %s: %s", id, words);
    remove_files(vm);
    bool adopting = vm->adopting;
    qemu_migrate_lost(vm, -EIO, words);
    hv_done_fn *done = SC_TAKE(vm->done);
    void *done_arg = vm->done_arg;
    vm_free(vm);
    if (adopting && --q->adopting == 0)
        q->up.o.events->ready(q->up.o.events->arg);
    if (done) {
        struct sc_err e = { 0 };
        sc_fail(&e, -EIO, "vm %s: %s", id, words);
        done(done_arg, &e);
    }
    if (stop_done)
        stop_done(stop_arg, &(struct sc_err){ 0 });
    else if (started)
        q->up.o.events->gone(q->up.o.events->arg, id, &why);
}

/* --- QMP ------------------------------------------------------------------ */
static void continued(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct qemu_vm *vm = arg;
    if (result)
        qemu_op_end(vm, 0, NULL);
    else if (vm->state == HV_BUILDING)
        qemu_kill(vm); /* process_ended tells. */
    else
        qemu_op_end(vm, err->code, err->text);
}

static void qmp_up(void *arg)
{
    struct qemu_vm *vm = arg;
    if (vm->adopting)
        qemu_adopt_begin(vm);
    else if (vm->state == HV_INCOMING)
        qemu_migrate_in_begin(vm);
    else
        qmp_command(vm->qmp, "cont", NULL, -1, continued, vm);
}

static void qmp_event(void *arg, const char *name, const cJSON *data)
{
    struct qemu_vm *vm = arg;
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(data, "status");
    if (!strcmp(name, "SHUTDOWN"))
        vm->powered_off = true;
    else if (!strcmp(name, "MIGRATION") && cJSON_IsString(status))
        qemu_migrate_event(vm, status->valuestring);
}

/* QEMU closed QMP: it is ending (its pidfd tells when), or hung for good. */
static void qmp_down(void *arg)
{
    struct qemu_vm *vm = arg;
    qmp_free(SC_TAKE(vm->qmp));
    qemu_kill(vm);
}

static const struct qmp_events qmp_events = { qmp_up, qmp_event, qmp_down };

static int attach(struct qemu_vm *vm, struct sc_err *err)
{
    char path[512];
    vm_path(vm, "qmp", path);
    int r = watch(vm, err);
    if (r == 0)
        r = qmp_open(vm->hv->up.o.loop, path, &qmp_events, vm, &vm->qmp, err);
    return r;
}

void qemu_console(struct qemu_vm *vm)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    char path[512];
    vm_path(vm, "con", path);
    if (strlen(path) >= sizeof a.sun_path || !vm->hv->up.o.events->console)
        return;
    memcpy(a.sun_path, path, strlen(path) + 1);
    SC_AUTO(close)
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        vm->hv->up.o.events->console(vm->hv->up.o.events->arg, vm->id,
                                     SC_TAKE_FD(fd));
}

/* --- the class ------------------------------------------------------------ */
/* /dev/kvm alone proves nothing: the CPU must have the extension. */
static bool kvm_works(void)
{
    SC_AUTO(fclose) FILE *f = fopen("/proc/cpuinfo", "re");
    char line[4096];
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "flags", 5))
            return (strstr(line, " svm") || strstr(line, " vmx")) &&
                   access("/dev/kvm", R_OK | W_OK) == 0;
    return false;
}

static void adopt(struct hv_qemu *q, const char *id)
{
    char path[512];
    int pid;
    unsigned long long started, mib;
    struct qemu_vm *vm = vm_new(q, id);
    if (!vm)
        return;
    vm_path(vm, "pid", path);
    SC_AUTO(fclose) FILE *f = fopen(path, "re");
    if (!f || fscanf(f, "%d %llu %llu", &pid, &started, &mib) != 3 ||
        start_time((pid_t)pid) != started || started == 0) {
        remove_files(vm);
        vm_free(vm);
        return;
    }
    vm->pid = pid;
    vm->memory_mib = mib;
    vm->adopting = true;
    vm->state = HV_PAUSED;
    q->adopting++;
    if (attach(vm, NULL) < 0) {
        /* Without its control socket it can be neither asked nor trusted. */
        if (vm->pidfd < 0) {
            remove_files(vm);
            vm_free(vm);
            q->adopting--;
        } else {
            qemu_kill(vm);
        }
    }
}

static void scan(void *arg)
{
    struct hv_qemu *q = arg;
    char path[512];
    snprintf(path, sizeof path, "%s/vm", q->up.run_dir);
    sc_source_free(SC_TAKE(q->scan));
    q->adopting = 1; /* Ours, so that 'ready' comes after the last. */
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (sc_uuid_ok(e->d_name) && !qemu_find(&q->up, e->d_name))
            adopt(q, e->d_name);
    if (dir)
        closedir(dir);
    if (--q->adopting == 0)
        q->up.o.events->ready(q->up.o.events->arg);
}

static int q_open(const struct hv_options *o, struct hv **ret,
                  struct sc_err *err)
{
    SC_AUTO(free) struct hv_qemu *q = calloc(1, sizeof *q);
    if (!q || hv_init(&q->up, &hv_qemu_class, o) < 0)
        return sc_fail(err, -ENOMEM, "qemu: out of memory");
    q->kvm = kvm_works();
    int r = sc_loop_add_timer(o->loop, 0, 0, scan, q, &q->scan);
    if (r < 0) {
        hv_fini(&q->up);
        return sc_fail(err, r, "qemu: no timer");
    }
    *ret = &SC_TAKE(q)->up;
    return 0;
}

static void q_close(struct hv *hv)
{
    struct hv_qemu *q = qemu(hv);
    while (q->vms)
        vm_free(q->vms);
    sc_source_free(q->scan);
    hv_fini(hv);
    free(q);
}

/* Guests touch their memory little by little: what they may still take counts
 * as used, and so does what the rest of the machine uses now. */
static int q_host_info(struct hv *hv, struct hv_host *ret, struct sc_err *err)
{
    uint64_t total = hv_meminfo_mib("MemTotal");
    uint64_t available = hv_meminfo_mib("MemAvailable");
    uint64_t keep = hv->o.reserved_mib, used = keep;
    if (!total)
        return sc_fail(err, -EIO, "/proc/meminfo cannot be read");
    for (struct qemu_vm *vm = qemu(hv)->vms; vm; vm = vm->next)
        used += vm->memory_mib + 64; /* QEMU's own. */
    uint64_t free_mib = total > used ? total - used : 0;
    available = available > keep ? available - keep : 0;
    *ret = (struct hv_host){
        .cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
        .memory_mib = total > keep ? total - keep : 0,
        .memory_free_mib = free_mib < available ? free_mib : available,
    };
    return 0;
}

static int q_state_of(struct hv *hv, const char *vm_id, enum hv_state *ret)
{
    struct qemu_vm *vm = qemu_find(hv, vm_id);
    if (!vm)
        return -ENOENT;
    *ret = vm->state;
    return 0;
}

static int build(struct hv *hv, const struct hv_spec *spec, enum hv_state state,
                 int in_fd, hv_done_fn *done, void *arg, struct sc_err *err)
{
    SC_AUTO(close) int own = in_fd;
    struct hv_host host = { 0 };
    if (qemu_find(hv, spec->id))
        return sc_fail(err, -EEXIST, "vm %s: it is already here", spec->id);
    int r = q_host_info(hv, &host, err);
    if (r < 0)
        return r;
    if (spec->memory_mib > host.memory_free_mib)
        return sc_fail(err, -ENOSPC,
                       "vm %s: it needs %llu MiB and %llu are free", spec->id,
                       (unsigned long long)spec->memory_mib,
                       (unsigned long long)host.memory_free_mib);
    struct qemu_vm *vm = vm_new(qemu(hv), spec->id);
    if (!vm)
        return sc_fail(err, -ENOMEM, "vm %s: out of memory", spec->id);
    vm->memory_mib = spec->memory_mib;
    vm->state = state;
    vm->in_fd = SC_TAKE_FD(own);
    r = spawn(vm, spec, state == HV_INCOMING, err);
    if (r < 0) {
        remove_files(vm);
        vm_free(vm);
        return r;
    }
    r = write_pid(vm, err);
    if (r == 0)
        r = attach(vm, err);
    if (r < 0) {
        kill(vm->pid, SIGKILL);
        waitpid(vm->pid, NULL, 0);
        remove_files(vm);
        vm_free(vm);
        return r;
    }
    vm->done = done;
    vm->done_arg = arg;
    vm->next_state = state == HV_INCOMING ? HV_PAUSED : HV_RUNNING;
    qemu_console(vm);
    return 0;
}

static int q_start(struct hv *hv, const struct hv_spec *spec, hv_done_fn *done,
                   void *arg, struct sc_err *err)
{
    return build(hv, spec, HV_BUILDING, -1, done, arg, err);
}

static int q_migrate_in(struct hv *hv, const struct hv_spec *spec, int fd,
                        hv_done_fn *done, void *arg, struct sc_err *err)
{
    return build(hv, spec, HV_INCOMING, fd, done, arg, err);
}

static void grace_over(void *arg)
{
    qemu_kill(arg);
}

static int q_stop(struct hv *hv, const char *vm_id, uint32_t grace_ms,
                  hv_done_fn *done, void *arg, struct sc_err *err)
{
    struct qemu_vm *vm = qemu_find(hv, vm_id);
    if (!vm)
        return qemu_no_vm(vm_id, err);
    if (vm->stop_done)
        return sc_fail(err, -EALREADY, "vm %s: it is stopping already", vm_id);
    bool ask =
        grace_ms && vm->state == HV_RUNNING && vm->qmp && !vm->out_stopped;
    int r = 0;
    if (ask)
        r = sc_loop_add_timer(hv->o.loop, grace_ms, 0, grace_over, vm,
                              &vm->kill_timer);
    if (r < 0)
        return sc_fail(err, r, "vm %s: no timer", vm_id);
    vm->state = HV_STOPPING;
    vm->stop_done = done;
    vm->stop_arg = arg;
    qemu_migrate_lost(vm, -ECANCELED, "it is being stopped");
    qemu_op_end(vm, -ECANCELED, "it is being stopped");
    if (ask)
        qmp_command(vm->qmp, "system_powerdown", NULL, -1, NULL, NULL);
    else
        qemu_kill(vm);
    return 0;
}

static int command(struct hv *hv, const char *vm_id, const char *name,
                   enum hv_state next, hv_done_fn *done, void *arg,
                   struct sc_err *err)
{
    struct qemu_vm *vm = qemu_find(hv, vm_id);
    if (!vm)
        return qemu_no_vm(vm_id, err);
    bool may = next == HV_PAUSED
                   ? vm->state == HV_RUNNING
                   : vm->state == HV_PAUSED || vm->state == HV_SUSPENDED;
    if (!may || vm->done || vm->out.done || !vm->qmp)
        return sc_fail(err, -EBUSY, "vm %s: it is %s", vm_id,
                       hv_state_name(vm->state));
    vm->done = done;
    vm->done_arg = arg;
    vm->next_state = next;
    qmp_command(vm->qmp, name, NULL, -1, continued, vm);
    return 0;
}

static int q_pause(struct hv *hv, const char *vm_id, hv_done_fn *done,
                   void *arg, struct sc_err *err)
{
    return command(hv, vm_id, "stop", HV_PAUSED, done, arg, err);
}

static int q_resume(struct hv *hv, const char *vm_id, hv_done_fn *done,
                    void *arg, struct sc_err *err)
{
    return command(hv, vm_id, "cont", HV_RUNNING, done, arg, err);
}

const struct hv_class hv_qemu_class = {
    .name = "qemu",
    .open = q_open,
    .close = q_close,
    .host_info = q_host_info,
    .state_of = q_state_of,
    .start = q_start,
    .stop = q_stop,
    .pause = q_pause,
    .resume = q_resume,
    .migrate_out = qemu_migrate_out,
    .migrate_abort = qemu_migrate_abort,
    .migrate_in = q_migrate_in,
};
