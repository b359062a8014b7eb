/* vm - starting and stopping guests.
 *
 * Start: record, volumes, kernel files, guest; what fails is undone in the
 * opposite order, by the same path as a stop.  Stop: guest, ports, volumes,
 * record.  The record is removed last, so that after a crash in between the
 * rest is done again. */
#include "common/log.h"
#include "node/node.h"
#include "node/ovs.h"

#include <stdio.h>
#include <string.h>

enum {
    ATTACH_MS = 60000,
    DETACH_MS = 120000,
    RETRY_MS = 1000,
};

static void start_boot(void *arg, const struct sc_err *err);
static void start_guest(void *arg, const struct sc_err *err);
static void started(void *arg, const struct sc_err *err);
static void undo(struct vm *vm, const struct sc_err *why);
static void stop_volumes(void *arg, const struct sc_err *err);
static void stopped(void *arg, const struct sc_err *err);

#define S(id, text) [VM_##id] = text,
static const char *const phase_names[] = { VM_PHASES(S) };
#undef S

const char *vm_phase_name(enum vm_phase p)
{
    return p < VM_N_PHASES ? phase_names[p] : "unknown";
}

/* --- the list ------------------------------------------------------------- */
struct vm *vm_find(struct node *n, const char *id)
{
    for (struct vm *vm = n->vms; vm; vm = vm->next)
        if (!strcmp(vm->spec.id, id))
            return vm;
    return NULL;
}

struct vm *vm_add(struct node *n, const struct vmspec *spec,
                  enum vm_phase phase)
{
    struct vm *vm = calloc(1, sizeof *vm);
    if (!vm)
        return NULL;
    vm->node = n;
    vm->spec = *spec;
    vm->phase = phase;
    vm->console_fd = -1;
    vm->next = n->vms;
    n->vms = vm;
    return vm;
}

void vm_free(struct vm *vm)
{
    struct vm **p = &vm->node->vms;
    while (*p != vm)
        p = &(*p)->next;
    *p = vm->next;
    node_answer_end(vm->start_req);
    node_answer_end(vm->stop_req);
    vol_cancel(vm->vol_op);
    console_detach(vm);
    console_sessions_free(vm->node, vm->spec.id);
    free(vm->console_out);
    free(vm->ring);
    free(vm);
}

void vm_set_phase(struct vm *vm, enum vm_phase phase, const char *reason)
{
    vm->phase = phase;
    snprintf(vm->reason, sizeof vm->reason, "%s", reason ? reason : "");
    sc_log(SC_LOG_INFO, "vm.state", "vm", vm->spec.id, "name", vm->spec.name,
           "state", vm_phase_name(phase), "reason", vm->reason, NULL);
    if (phase == VM_INCOMING)
        return;
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "vm_id", vm->spec.id);
    json_set_u64(p, "epoch", vm->spec.epoch);
    cJSON_AddStringToObject(p, "state", vm_phase_name(phase));
    cJSON_AddStringToObject(p, "reason", vm->reason);
    node_notify(vm->node, "vm.state", p);
}

void vm_hv_spec(const struct vm *vm, struct vm_paths *paths,
                struct hv_spec *ret)
{
    const struct vmspec *s = &vm->spec;
    *ret = (struct hv_spec){
        .id = s->id,
        .name = s->name,
        .vcpus = s->vcpus,
        .memory_mib = s->memory_mib,
        .kernel = paths->kernel,
        .cmdline = s->cmdline,
        .n_disks = s->n_volumes,
        .n_nics = s->n_ports,
    };
    boot_path(vm->node, s->kernel_volume, paths->kernel);
    if (*s->ramdisk_volume) {
        boot_path(vm->node, s->ramdisk_volume, paths->ramdisk);
        ret->ramdisk = paths->ramdisk;
    }
    for (unsigned i = 0; i < s->n_volumes; i++)
        ret->disks[i] = (struct hv_disk){
            .dev = s->volumes[i].dev,
            .nbd_socket = vm->disks[i].nbd_socket,
            .export = vm->disks[i].export,
            .size = vm->disks[i].size,
            .readonly = s->volumes[i].readonly,
        };
    for (unsigned i = 0; i < s->n_ports; i++) {
        ovs_ifname(s->ports[i].id, paths->ifnames[i]);
        ret->nics[i] = (struct hv_nic){
            .ifname = paths->ifnames[i],
            .mac = s->ports[i].mac,
            .mtu = s->ports[i].mtu,
        };
    }
}

/* --- start ---------------------------------------------------------------- */
static int may_start(struct node *n, const struct vmspec *spec,
                     struct sc_err *err)
{
    struct vm *vm = vm_find(n, spec->id);
    if (!n->recovered)
        return sc_fail(err, -EAGAIN, "sc-node is still finding its guests");
    if (!*spec->kernel_volume)
        return sc_fail(err, -EINVAL, "vm '%s': it has no kernel", spec->name);
    if (!vm)
        return 0;
    if (vm->phase != VM_STOPPED)
        return sc_fail(err, -EEXIST, "vm '%s': it is here already, %s",
                       spec->name, vm_phase_name(vm->phase));
    if (vm->stop_req || vm->vol_op)
        return sc_fail(err, -EBUSY, "vm '%s': its last end is being cleaned up",
                       spec->name);
    if (spec->epoch < vm->spec.epoch)
        return sc_fail(err, -ESTALE, "vm '%s': epoch %llu is older than %llu",
                       spec->name, (unsigned long long)spec->epoch,
                       (unsigned long long)vm->spec.epoch);
    vm_free(vm);
    return 0;
}

void vm_start(struct node *n, const struct vmspec *spec,
              struct rpc_request *req)
{
    struct sc_err err = { 0 };
    struct vm *vm = vm_find(n, spec->id);
    if (vm && vm->phase == VM_RUNNING && vm->spec.epoch == spec->epoch) {
        rpc_reply(req, NULL); /* Asked again after a lost answer. */
        return;
    }
    struct rec_vm rec = { .spec = *spec };
    int r = may_start(n, spec, &err);
    if (r == 0)
        r = records_write(n->records, NULL, &rec, NULL, &err);
    vm = r == 0 ? vm_add(n, spec, VM_STARTING) : NULL;
    if (r == 0 && !vm)
        sc_fail(&err, -ENOMEM, "vm '%s': out of memory", spec->name);
    if (!vm) {
        rpc_fail(req, &err);
        return;
    }
    sc_log(SC_LOG_INFO, "vm.start", "vm", spec->id, "name", spec->name, NULL);
    vm->start_req = req;
    struct vol_call c = { .method = "volume.attach",
                          .mode = true,
                          .epoch = spec->epoch,
                          .timeout_ms = ATTACH_MS };
    vol_each(n, spec, &c, vm->disks, start_boot, vm, &vm->vol_op);
}

static void start_boot(void *arg, const struct sc_err *err)
{
    struct vm *vm = arg;
    vm->vol_op = NULL;
    if (err->code < 0)
        undo(vm, err);
    else
        boot_fetch(vm->node, &vm->spec, start_guest, vm);
}

static void start_guest(void *arg, const struct sc_err *err)
{
    struct vm *vm = arg;
    struct vm_paths paths;
    struct hv_spec spec;
    struct sc_err e = *err;
    if (e.code == 0) {
        vm_hv_spec(vm, &paths, &spec);
        int r = hv_start(vm->node->hv, &spec, started, vm, &e);
        vm->hv_here = r == 0;
    }
    if (e.code < 0)
        undo(vm, &e);
    else
        ports_add(vm);
}

static void started(void *arg, const struct sc_err *err)
{
    struct vm *vm = arg;
    if (err->code < 0) {
        vm->hv_here = false;
        undo(vm, err);
        return;
    }
    ports_add(vm); /* The interfaces of some drivers exist only now. */
    vm_set_phase(vm, VM_RUNNING, NULL);
    rpc_reply(SC_TAKE(vm->start_req), NULL);
}

static void undo(struct vm *vm, const struct sc_err *why)
{
    vm->start_err = *why;
    sc_log(SC_LOG_ERROR, "vm.start_failed", "vm", vm->spec.id, "msg", why->text,
           NULL);
    vm->phase = VM_STOPPING;
    stop_volumes(vm, &(struct sc_err){ 0 });
}

/* --- stop ----------------------------------------------------------------- */
void vm_stop(struct node *n, const char *id, uint64_t epoch, uint32_t grace_ms,
             struct rpc_request *req)
{
    struct vm *vm = vm_find(n, id);
    struct sc_err err = { 0 };
    if (!n->recovered) {
        rpc_failf(req, -EAGAIN, "sc-node is still finding its guests");
        return;
    }
    if (!vm || vm->phase == VM_INCOMING) {
        rpc_reply(req, NULL); /* Gone is what was asked for. */
        return;
    }
    if (epoch && epoch != vm->spec.epoch) {
        rpc_failf(req, -ESTALE, "vm '%s': its epoch is %llu, not %llu",
                  vm->spec.name, (unsigned long long)vm->spec.epoch,
                  (unsigned long long)epoch);
        return;
    }
    if (vm->phase == VM_STARTING || vm->out || vm->stop_req) {
        rpc_failf(req, -EBUSY, "vm '%s': it is %s", vm->spec.name,
                  vm_phase_name(vm->phase));
        return;
    }
    vm->stop_req = req;
    if (vm->vol_op)
        return; /* Its own end is being cleaned up: 'stopped' answers. */
    vm_set_phase(vm, VM_STOPPING, NULL);
    if (!vm->hv_here ||
        hv_stop(vm->node->hv, id, grace_ms, stop_volumes, vm, &err) == -ENOENT)
        stop_volumes(vm, &(struct sc_err){ 0 });
    else if (err.code < 0)
        rpc_fail(SC_TAKE(vm->stop_req), &err);
}

static void stop_volumes(void *arg, const struct sc_err *err)
{
    struct vm *vm = arg;
    struct vol_call c = { .method = "volume.detach",
                          .timeout_ms = DETACH_MS,
                          .retry_ms = RETRY_MS,
                          .transient_only = true,
                          .absent_ok = true };
    (void)err; /* A guest is always stopped in the end. */
    vm->hv_here = false;
    ports_del(vm);
    vol_each(vm->node, &vm->spec, &c, NULL, stopped, vm, &vm->vol_op);
}

/* Nothing of it is left but the record. */
static void stopped(void *arg, const struct sc_err *err)
{
    struct vm *vm = arg;
    struct node *n = vm->node;
    struct rpc_request *start_req = SC_TAKE(vm->start_req);
    struct rpc_request *stop_req = SC_TAKE(vm->stop_req);
    struct sc_err e = *err, start_err = vm->start_err;
    vm->vol_op = NULL;
    int r;
    if (e.code < 0) /* Nothing more can be done for it here. */
        sc_log(SC_LOG_ERROR, "volume.detach", "vm", vm->spec.id, "msg", e.text,
               NULL);
    bool forget = start_req || stop_req || start_err.code;
    if (forget) {
        r = records_write(n->records, NULL, NULL, vm->spec.id, &e);
        if (!start_err.code)
            vm_set_phase(vm, VM_STOPPED, NULL);
        vm_free(vm);
    } else {
        struct rec_vm rec = { .spec = vm->spec, .stopped = true };
        r = records_write(n->records, NULL, &rec, NULL, &e);
        vm_set_phase(vm, VM_STOPPED, vm->reason);
    }
    if (r < 0)
        sc_log(SC_LOG_ERROR, "records.write", "msg", e.text, NULL);
    if (start_req)
        rpc_fail(start_req, &start_err);
    if (stop_req)
        rpc_reply(stop_req, NULL);
    boot_trim(n);
}

/* --- after a restart of sc-storage ------------------------------------------
 */
static void reattached(void *arg, const struct sc_err *err)
{
    if (err->code < 0)
        sc_log(SC_LOG_WARN, "volume.attach", "vm", (const char *)arg, "msg",
               err->text, NULL);
    free(arg);
}

void vm_reattach(struct vm *vm)
{
    struct vol_call c = { .method = "volume.attach",
                          .mode = true,
                          .epoch = vm->spec.epoch,
                          .timeout_ms = ATTACH_MS };
    vol_each(vm->node, &vm->spec, &c, NULL, reattached, strdup(vm->spec.id),
             NULL);
}

/* --- ends nobody asked for ------------------------------------------------ */
void vm_ended(struct vm *vm, const struct sc_err *why)
{
    snprintf(vm->reason, sizeof vm->reason, "%s",
             why->code ? why->text : "the guest powered off");
    sc_log(SC_LOG_WARN, "vm.ended", "vm", vm->spec.id, "msg", vm->reason, NULL);
    vm->phase = VM_STOPPED;
    console_detach(vm);
    stop_volumes(vm, &(struct sc_err){ 0 });
}

void vm_gone(void *arg, const char *vm_id, const struct sc_err *why)
{
    struct vm *vm = vm_find(arg, vm_id);
    if (!vm)
        return;
    vm->hv_here = false;
    if (vm->out)
        mig_out_guest_gone(vm->out);
    else if (vm->in)
        mig_in_guest_gone(vm->in);
    else if (vm->phase == VM_RUNNING || vm->phase == VM_UNKNOWN)
        vm_ended(vm, why);
}
