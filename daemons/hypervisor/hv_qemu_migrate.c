/* hv_qemu_migrate - live migration of the qemu driver, and adoption.
 *
 * Out: capabilities, the fd over SCM_RIGHTS, 'migrate'. pause-before-switchover
 * gives the moment "stopped": QEMU has then suspended the guest and flushed its
 * disks; it is told to go on at once, so that the caller's hand-over of storage
 * runs beside the last pages.  After 5 rounds the allowed downtime doubles
 * every 2 rounds, so that a guest that dirties memory fast is moved in the end.
 * In: -incoming defer with late-block-activate: the disks are only taken over
 * by 'cont', when the caller says so. */
#include "hypervisor/hv_qemu.h"

#include <string.h>

enum { POLL_MS = 200, ADOPT_POLL_MS = 50, ROUNDS_BEFORE_GROWTH = 5 };

static void send_fd(void *arg, const cJSON *result, const struct sc_err *err);
static void settle(void *arg, const cJSON *result, const struct sc_err *err);

static cJSON *capability(const char *const names[], size_t n)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(o, "capabilities");
    for (size_t i = 0; i < n; i++) {
        cJSON *c = cJSON_CreateObject();
        cJSON_AddStringToObject(c, "capability", names[i]);
        cJSON_AddBoolToObject(c, "state", true);
        cJSON_AddItemToArray(list, c);
    }
    return o;
}

static cJSON *one(const char *key, const char *value)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, key, value);
    return o;
}

/* --- out ------------------------------------------------------------------ */
static void out_end(struct qemu_vm *vm, int code, const char *text)
{
    struct sc_err e = { 0 };
    hv_done_fn *done = SC_TAKE(vm->out.done);
    sc_source_free(SC_TAKE(vm->poll));
    close_p(&vm->out_fd);
    vm->out_fd = -1;
    vm->out_stopped = false;
    if (code < 0)
        sc_fail(&e, code, "vm %s: migration: %s", vm->id, text);
    if (done)
        done(vm->out_arg, &e);
}

void qemu_migrate_lost(struct qemu_vm *vm, int code, const char *text)
{
    if (vm->out.done)
        out_end(vm, code, text);
}

int qemu_migrate_out(struct hv *hv, const char *vm_id, int fd,
                     uint32_t max_downtime_ms,
                     const struct hv_out_events *events, void *arg,
                     struct sc_err *err)
{
    static const char *const caps[] = { "events", "pause-before-switchover",
                                        "auto-converge" };
    SC_AUTO(close) int own = fd;
    struct qemu_vm *vm = qemu_find(hv, vm_id);
    if (!vm)
        return qemu_no_vm(vm_id, err);
    if (vm->state != HV_RUNNING || vm->done || vm->out.done || !vm->qmp)
        return sc_fail(err, -EBUSY, "vm %s: it is %s", vm_id,
                       hv_state_name(vm->state));
    vm->out = *events;
    vm->out_arg = arg;
    vm->out_fd = SC_TAKE_FD(own);
    vm->max_downtime_ms = max_downtime_ms ? max_downtime_ms : 300;
    vm->grown = 0;
    vm->out_stopped = vm->out_aborted = false;
    cJSON *p = cJSON_CreateObject();
    cJSON_AddNumberToObject(p, "max-bandwidth", (double)(1ull << 40));
    cJSON_AddNumberToObject(p, "downtime-limit", vm->max_downtime_ms);
    qmp_command(vm->qmp, "migrate-set-capabilities",
                capability(caps, SC_ARRAY_LEN(caps)), -1, NULL, NULL);
    qmp_command(vm->qmp, "migrate-set-parameters", p, -1, send_fd, vm);
    return 0;
}

static void out_failed(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct qemu_vm *vm = arg;
    if (!result && vm->out.done)
        out_end(vm, err->code, err->text);
}

static void progress(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct qemu_vm *vm = arg;
    const cJSON *ram = cJSON_GetObjectItemCaseSensitive(result, "ram");
    (void)err;
    if (!ram || !vm->out.done)
        return;
    const cJSON *sent = cJSON_GetObjectItemCaseSensitive(ram, "transferred");
    const cJSON *left = cJSON_GetObjectItemCaseSensitive(ram, "remaining");
    const cJSON *rounds =
        cJSON_GetObjectItemCaseSensitive(ram, "dirty-sync-count");
    struct hv_progress p = {
        .bytes = cJSON_IsNumber(sent) ? (uint64_t)sent->valuedouble : 0,
        .remaining = cJSON_IsNumber(left) ? (uint64_t)left->valuedouble : 0,
        .rounds = cJSON_IsNumber(rounds) ? (unsigned)rounds->valuedouble : 0,
    };
    unsigned want = p.rounds > ROUNDS_BEFORE_GROWTH
                        ? (p.rounds - ROUNDS_BEFORE_GROWTH) / 2
                        : 0;
    if (want > vm->grown && vm->grown < 8 && !vm->out_stopped) {
        vm->grown++;
        cJSON *q = cJSON_CreateObject();
        cJSON_AddNumberToObject(q, "downtime-limit",
                                vm->max_downtime_ms << vm->grown);
        qmp_command(vm->qmp, "migrate-set-parameters", q, -1, NULL, NULL);
    }
    if (vm->out.progress)
        vm->out.progress(vm->out_arg, &p);
}

static void ask_progress(void *arg)
{
    struct qemu_vm *vm = arg;
    if (vm->qmp)
        qmp_command(vm->qmp, "query-migrate", NULL, -1, progress, vm);
}

static void send_fd(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct qemu_vm *vm = arg;
    if (!vm->out.done || vm->out_aborted) {
        if (vm->out.done)
            out_end(vm, -ECANCELED, "given up");
        return;
    }
    if (!result) {
        out_end(vm, err->code, err->text);
        return;
    }
    qmp_command(vm->qmp, "getfd", one("fdname", "out"), vm->out_fd, out_failed,
                vm);
    qmp_command(vm->qmp, "migrate", one("uri", "fd:out"), -1, out_failed, vm);
    close_p(&vm->out_fd);
    vm->out_fd = -1;
    if (!vm->poll && sc_loop_add_timer(vm->hv->up.o.loop, POLL_MS, POLL_MS,
                                       ask_progress, vm, &vm->poll) < 0)
        vm->poll = NULL; /* Goes without progress. */
}

/* It failed or was given up: QEMU resumes the guest by itself; make sure. */
static void ran_on(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct qemu_vm *vm = arg;
    bool aborted = vm->out_aborted;
    if (!vm->out.done)
        return;
    if (!result) { /* Cannot be made to run: end it, 'gone' follows. */
        out_end(vm, err->code, err->text);
        qemu_kill(vm);
        return;
    }
    vm->state = HV_RUNNING;
    out_end(vm, aborted ? -ECANCELED : -EPIPE,
            aborted ? "given up" : "the stream broke");
}

int qemu_migrate_abort(struct hv *hv, const char *vm_id, struct sc_err *err)
{
    struct qemu_vm *vm = qemu_find(hv, vm_id);
    if (!vm)
        return qemu_no_vm(vm_id, err);
    if (!vm->out.done || !vm->qmp)
        return sc_fail(err, -EALREADY, "vm %s: it is not migrating", vm_id);
    if (vm->out_aborted)
        return 0;
    vm->out_aborted = true;
    if (vm->out_fd < 0) /* Else 'migrate' was not sent: send_fd ends it. */
        qmp_command(vm->qmp, "migrate_cancel", NULL, -1, NULL, NULL);
    return 0;
}

static void in_failed(struct qemu_vm *vm)
{
    /* QEMU exits with 1 and says why on stderr; be sure that it does. */
    qemu_kill(vm);
}

void qemu_migrate_event(struct qemu_vm *vm, const char *status)
{
    bool failed = !strcmp(status, "failed") || !strcmp(status, "cancelled");
    if (vm->state == HV_INCOMING) {
        if (!strcmp(status, "completed"))
            qemu_op_end(vm, 0, NULL);
        else if (failed)
            in_failed(vm);
        return;
    }
    if (!vm->out.done)
        return;
    if (!strcmp(status, "pre-switchover")) {
        vm->out_stopped = true;
        qmp_command(vm->qmp, "migrate-continue", one("state", "pre-switchover"),
                    -1, NULL, NULL);
        vm->out.stopped(vm->out_arg);
    } else if (!strcmp(status, "completed")) {
        vm->state = HV_SUSPENDED;
        out_end(vm, 0, NULL);
    } else if (failed) {
        qmp_command(vm->qmp, "cont", NULL, -1, ran_on, vm);
    }
}

/* --- in ------------------------------------------------------------------- */
static void in_began(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct qemu_vm *vm = arg;
    (void)err;
    if (!result)
        in_failed(vm);
}

void qemu_migrate_in_begin(struct qemu_vm *vm)
{
    static const char *const caps[] = { "events", "late-block-activate" };
    qmp_command(vm->qmp, "migrate-set-capabilities",
                capability(caps, SC_ARRAY_LEN(caps)), -1, in_began, vm);
    qmp_command(vm->qmp, "getfd", one("fdname", "in"), vm->in_fd, in_began, vm);
    qmp_command(vm->qmp, "migrate-incoming", one("uri", "fd:in"), -1, in_began,
                vm);
    close_p(&vm->in_fd);
    vm->in_fd = -1;
}

/* --- adoption ------------------------------------------------------------- */
/* A migration that an earlier sc-node began cannot be continued: it is
 * cancelled, and the guest's state asked once that has settled. */
static void adopt_end(struct qemu_vm *vm)
{
    struct hv_qemu *q = vm->hv;
    vm->adopting = false;
    sc_source_free(SC_TAKE(vm->poll));
    q->up.o.events->adopted(q->up.o.events->arg, vm->id, vm->state);
    qemu_console(vm);
    if (--q->adopting == 0)
        q->up.o.events->ready(q->up.o.events->arg);
}

static void known(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct qemu_vm *vm = arg;
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(result, "status");
    const char *s = cJSON_IsString(status) ? status->valuestring : "";
    (void)err;
    if (!vm->adopting)
        return;
    if (!strcmp(s, "running")) {
        vm->state = HV_RUNNING;
    } else if (!strcmp(s, "postmigrate") || !strcmp(s, "finish-migrate")) {
        vm->state = HV_SUSPENDED;
    } else if (!strcmp(s, "paused") || !strcmp(s, "prelaunch")) {
        vm->state = HV_PAUSED;
    } else { /* Half received, or broken: nothing to go on with. */
        qemu_kill(vm);
        return;
    }
    adopt_end(vm);
}

static void ask_settled(void *arg)
{
    struct qemu_vm *vm = arg;
    if (vm->qmp)
        qmp_command(vm->qmp, "query-migrate", NULL, -1, settle, vm);
}

static void settle(void *arg, const cJSON *result, const struct sc_err *err)
{
    static const char *const moving[] = { "setup",          "cancelling",
                                          "active",         "device",
                                          "pre-switchover", "wait-unplug" };
    struct qemu_vm *vm = arg;
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(result, "status");
    (void)err;
    if (!vm->adopting || !vm->qmp)
        return;
    for (size_t i = 0; cJSON_IsString(status) && i < SC_ARRAY_LEN(moving); i++)
        if (!strcmp(status->valuestring, moving[i])) {
            sc_source_free(SC_TAKE(vm->poll));
            if (sc_loop_add_timer(vm->hv->up.o.loop, ADOPT_POLL_MS, 0,
                                  ask_settled, vm, &vm->poll) < 0)
                qemu_kill(vm);
            return;
        }
    qmp_command(vm->qmp, "query-status", NULL, -1, known, vm);
}

void qemu_adopt_begin(struct qemu_vm *vm)
{
    qmp_command(vm->qmp, "migrate_cancel", NULL, -1, NULL, NULL);
    qmp_command(vm->qmp, "query-migrate", NULL, -1, settle, vm);
}
