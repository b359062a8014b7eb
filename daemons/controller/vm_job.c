/* The jobs vm.create, vm.start, vm.stop and vm.delete.
 *
 * Placement, names and addresses are settled by the operation that makes the
 * job (ops_vm.c), so that a refusal is told at once and leaves nothing.
 * A VM whose start failed stays, as 'failed', with the reason; one whose
 * creation was cancelled is removed, one whose start was is stopped again. */
#include "common/log.h"
#include "controller/authority.h"
#include "controller/jobs.h"
#include "controller/sessions.h"

#include <assert.h>

enum {
    CONNECT_PATIENCE_MS = 60000,
    START_TIMEOUT_MS = 600000,
    START_PATIENCE_MS = 300000,
    STOP_EXTRA_MS = 60000,
    STOP_PATIENCE_MS = 180000,
};

struct vm *job_vm(struct ctl *ctl, const struct job *job)
{
    return ctl_vm_find(ctl, job->object_id);
}

void vm_move(struct vm *v, enum vm_state to)
{
    assert(vm_state_may(v->state, to));
    v->state = to;
}

cJSON *vm_spec_json(struct ctl *ctl, const struct vm *v, uint32_t epoch)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "id", v->id);
    cJSON_AddStringToObject(j, "name", v->name);
    json_set_u64(j, "epoch", epoch);
    json_set_u64(j, "vcpus", v->vcpus);
    json_set_u64(j, "memory_mib", v->memory_mib);
    if (v->kernel[0])
        cJSON_AddStringToObject(j, "kernel_volume", v->kernel);
    else
        cJSON_AddNullToObject(j, "kernel_volume");
    if (v->ramdisk[0])
        cJSON_AddStringToObject(j, "ramdisk_volume", v->ramdisk);
    else
        cJSON_AddNullToObject(j, "ramdisk_volume");
    cJSON_AddStringToObject(j, "cmdline", v->cmdline);
    cJSON *volumes = cJSON_AddArrayToObject(j, "volumes");
    for (uint32_t i = 0; i < v->n_volumes; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "id", v->volumes[i].id);
        cJSON_AddStringToObject(o, "dev", v->volumes[i].dev);
        cJSON_AddStringToObject(o, "mode", "rw");
        cJSON_AddItemToArray(volumes, o);
    }
    cJSON *ports = cJSON_AddArrayToObject(j, "ports");
    for (uint32_t i = 0; i < v->n_ports; i++) {
        const struct vm_port *p = &v->ports[i];
        const struct network *n = ctl_network_find(ctl, p->network);
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "id", p->id);
        cJSON_AddStringToObject(o, "mac", p->mac);
        cJSON_AddStringToObject(o, "ip", p->ip);
        cJSON_AddStringToObject(o, "network_id", p->network);
        json_set_u64(o, "vni", n ? n->vni : 0);
        json_set_u64(o, "mtu", n ? n->mtu : 0);
        cJSON_AddItemToArray(ports, o);
    }
    return j;
}

/* Ends 'x', the step's transaction: well, or with what 'r' and 'err' say. */
static void step_end(struct ctl *ctl, struct job *job, struct ctl_txn *x, int r,
                     const struct sc_err *err)
{
    if (r == 0) {
        job_ok_txn(ctl, job, x);
        return;
    }
    ctl_txn_fail(x, r, err);
    ctl_txn_commit(x, NULL);
    job_failed(ctl, job, err);
}

/* --- making volumes ----------------------------------------------------------
 */

static void volumes_run(struct ctl *ctl, struct job *job)
{
    struct vm *v = job_vm(ctl, job);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    struct store_txn *t = ctl_txn_store(x);
    struct sc_err err = { 0 };
    int r = 0;
    for (uint32_t i = 0; t && r == 0 && i < v->n_volumes; i++) {
        r = authority_create(t, v->volumes[i].id, v->volumes[i].size,
                             i == 0 ? v->image : "", &err);
        if (r == -EEXIST) /* Made before the controller was restarted. */
            r = 0;
    }
    step_end(ctl, job, x, r, &err);
}

/* --- starting
 * ----------------------------------------------------------------- */

static void allow_run(struct ctl *ctl, struct job *job)
{
    struct vm *v = job_vm(ctl, job);
    uint32_t epoch = (uint32_t)job_u64(job, "epoch");
    if (!epoch) {
        epoch = v->last_epoch + 1;
        job_set_u64(job, "epoch", epoch);
    }
    struct ctl_txn *x = ctl_txn_begin(ctl);
    struct store_txn *t = ctl_txn_store(x);
    struct sc_err err = { 0 };
    int r = 0;
    v->nid = (uint16_t)job_u64(job, "nid");
    v->epoch = v->last_epoch = epoch;
    if (v->state != VM_STARTING)
        vm_move(v, VM_STARTING);
    for (uint32_t i = 0; t && r == 0 && i < v->n_volumes; i++)
        r = authority_allow(t, v->volumes[i].id, epoch, v->nid, &err);
    ctl_put_vm(x, v);
    step_end(ctl, job, x, r, &err);
}

static void allow_undo(struct ctl *ctl, struct job *job)
{
    struct vm *v = job_vm(ctl, job);
    if (v->state != VM_UNKNOWN) {
        v->last_nid = v->nid ? v->nid : v->last_nid;
        v->nid = 0;
    }
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_put_vm(x, v);
    ctl_net_tell_ports(ctl, v);
    job_ok_txn(ctl, job, x);
}

static void boot_answer(struct ctl *ctl, struct job *job, const cJSON *result,
                        const struct sc_err *err)
{
    struct vm *v = job_vm(ctl, job);
    (void)result;
    if (err->code) { /* -EEXIST: an earlier asking of ours is under way. */
        if (job_transient(err) || err->code == -EEXIST)
            job_retry(ctl, job, START_PATIENCE_MS, err);
        else
            job_failed(ctl, job, err);
        return;
    }
    struct ctl_txn *x = ctl_txn_begin(ctl);
    vm_move(v, VM_RUNNING);
    v->error[0] = '\0';
    v->missed = 0;
    v->placed_at = ctl_now(ctl);
    ctl_put_vm(x, v);
    job_ok_txn(ctl, job, x);
}

static void boot_run(struct ctl *ctl, struct job *job)
{
    struct vm *v = job_vm(ctl, job);
    if (!job_need(ctl, job, v->nid, PROGRAM_NODE, CONNECT_PATIENCE_MS))
        return;
    ctl_net_tell_ports(ctl, v);
    cJSON *p = cJSON_CreateObject();
    cJSON_AddItemToObject(p, "vm", vm_spec_json(ctl, v, v->epoch));
    job_call(ctl, job, v->nid, PROGRAM_NODE, "vm.start", p, START_TIMEOUT_MS,
             boot_answer);
}

static cJSON *stop_params(const struct vm *v, uint64_t grace_ms, bool destroy)
{
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "vm_id", v->id);
    json_set_u64(p, "epoch", v->epoch);
    json_set_u64(p, "grace_ms", grace_ms);
    cJSON_AddBoolToObject(p, "destroy", destroy);
    return p;
}

static bool node_is_down(struct ctl *ctl, uint16_t nid)
{
    const struct ctl_node *n = ctl_node_by_nid(ctl, nid);
    return !n || n->n.state == NODE_DOWN;
}

static void boot_undone(struct ctl *ctl, struct job *job, const cJSON *result,
                        const struct sc_err *err)
{
    (void)result;
    if (err->code && err->code != -ENOENT)
        job_failed(ctl, job, err);
    else
        job_ok(ctl, job);
}

/* A node that is down may still run it (perhaps only we cannot see it): then
 * the VM is unknown, and is ended when the node is back. */
static void boot_undo(struct ctl *ctl, struct job *job)
{
    struct vm *v = job_vm(ctl, job);
    if (node_is_down(ctl, v->nid)) {
        struct ctl_txn *x = ctl_txn_begin(ctl);
        if (v->state != VM_UNKNOWN)
            vm_move(v, VM_UNKNOWN);
        ctl_put_vm(x, v);
        ctl_errand_add(ctl, x, v->nid, PROGRAM_NODE, "vm.stop",
                       stop_params(v, 0, true));
        job_ok_txn(ctl, job, x);
        return;
    }
    if (job_need(ctl, job, v->nid, PROGRAM_NODE, 0))
        job_call(ctl, job, v->nid, PROGRAM_NODE, "vm.stop",
                 stop_params(v, 0, true), STOP_EXTRA_MS, boot_undone);
}

static void tell_unplugged(struct ctl *ctl, const struct vm *v)
{
    for (uint32_t i = 0; i < v->n_ports; i++) {
        cJSON *p = cJSON_CreateObject();
        cJSON_AddStringToObject(p, "id", v->ports[i].id);
        ctl->env.notify(ctl->env.ctx, 0, PROGRAM_NETWORK, "net.port_del", p);
    }
}

static void drop_vm(struct ctl *ctl, struct ctl_txn *x, struct vm *v)
{
    for (uint32_t i = 0; i < v->n_volumes; i++)
        ctl_volume_drop(ctl, x, v->volumes[i].id);
    ctl_list_remove(&ctl->vms, v);
    ctl_del(x, "vms", v->id, "vm");
    free(v);
}

static void start_ended(struct ctl *ctl, struct job *job, struct ctl_txn *x,
                        bool ok)
{
    struct vm *v = job_vm(ctl, job);
    v->job[0] = '\0';
    if (job->state == JOB_CANCELLED) {
        v->error[0] = '\0';
        if (job->kind == &vm_create_job) {
            tell_unplugged(ctl, v);
            drop_vm(ctl, x, v);
            return;
        }
        if (v->state != VM_UNKNOWN)
            vm_move(v, VM_STOPPED);
    } else if (!ok) {
        OBJ_SET(v->error, job->error);
        if (v->state != VM_UNKNOWN)
            vm_move(v, VM_FAILED);
    }
    ctl_put_vm(x, v);
}

const struct job_kind vm_create_job = {
    .name = "vm.create",
    .steps = { { "volumes", volumes_run, NULL, .weight = 1 },
               { "allow", allow_run, allow_undo, .weight = 1 },
               { "start", boot_run, boot_undo, .weight = 8 } },
    .ended = start_ended,
    .cancels = "the VM and its disk are removed",
};
const struct job_kind vm_start_job = {
    .name = "vm.start",
    .steps = { { "allow", allow_run, allow_undo, .weight = 1 },
               { "start", boot_run, boot_undo, .weight = 8 } },
    .ended = start_ended,
    .cancels = "the VM is stopped again",
};

/* --- stopping
 * ------------------------------------------------------------------ */

static void stop_answer(struct ctl *ctl, struct job *job, const cJSON *result,
                        const struct sc_err *err)
{
    struct vm *v = job_vm(ctl, job);
    (void)result;
    if (err->code && err->code != -ENOENT) {
        if (job_transient(err))
            job_retry(ctl, job, job_u64(job, "grace_ms") + STOP_PATIENCE_MS,
                      err);
        else
            job_failed(ctl, job, err);
        return;
    }
    struct ctl_txn *x = ctl_txn_begin(ctl);
    v->last_nid = v->nid;
    v->nid = 0;
    ctl_put_vm(x, v);
    ctl_net_tell_ports(ctl, v);
    ctl_sessions_close_vm(ctl, v->id, "the VM was stopped");
    job_ok_txn(ctl, job, x);
}

static void stop_run(struct ctl *ctl, struct job *job)
{
    struct vm *v = job_vm(ctl, job);
    uint64_t grace_ms = job_u64(job, "grace_ms");
    if (!v->nid) {
        job_ok(ctl, job);
        return;
    }
    if (job_u64(job, "abandon") && node_is_down(ctl, v->nid)) {
        struct ctl_txn *x = ctl_txn_begin(ctl);
        ctl_errand_add(ctl, x, v->nid, PROGRAM_NODE, "vm.stop",
                       stop_params(v, 0, true));
        v->nid = 0;
        ctl_put_vm(x, v);
        job_ok_txn(ctl, job, x);
        return;
    }
    if (job_need(ctl, job, v->nid, PROGRAM_NODE, CONNECT_PATIENCE_MS / 2))
        job_call(ctl, job, v->nid, PROGRAM_NODE, "vm.stop",
                 stop_params(v, grace_ms, job_u64(job, "destroy") != 0),
                 grace_ms + STOP_EXTRA_MS, stop_answer);
}

static void stop_ended(struct ctl *ctl, struct job *job, struct ctl_txn *x,
                       bool ok)
{
    struct vm *v = job_vm(ctl, job);
    v->job[0] = '\0';
    vm_move(v, ok ? VM_STOPPED : VM_UNKNOWN); /* A heartbeat will tell. */
    OBJ_SET(v->error, ok ? "" : job->error);
    ctl_put_vm(x, v);
}

const struct job_kind vm_stop_job = {
    .name = "vm.stop",
    .fixed = "the guest has been told to stop; start it again afterwards",
    .steps = { { "stop", stop_run, NULL, .weight = 1 } },
    .ended = stop_ended,
};

/* --- deleting
 * -------------------------------------------------------------------- */

static void unplug_run(struct ctl *ctl, struct job *job)
{
    tell_unplugged(ctl, job_vm(ctl, job));
    job_ok(ctl, job);
}

static void remove_run(struct ctl *ctl, struct job *job)
{
    struct ctl_txn *x = ctl_txn_begin(ctl);
    drop_vm(ctl, x, job_vm(ctl, job));
    job_ok_txn(ctl, job, x);
}

static void delete_ended(struct ctl *ctl, struct job *job, struct ctl_txn *x,
                         bool ok)
{
    struct vm *v = job_vm(ctl, job);
    if (ok || !v)
        return;
    v->job[0] = '\0';
    vm_move(v, v->nid ? VM_UNKNOWN : VM_FAILED);
    OBJ_SET(v->error, job->error);
    ctl_put_vm(x, v);
}

const struct job_kind vm_delete_job = {
    .name = "vm.delete",
    .fixed = "its guest is ended and its disks go",
    .steps = { { "stop", stop_run, NULL, .weight = 4 },
               { "unplug", unplug_run, NULL, .weight = 1 },
               { "remove", remove_run, NULL, .weight = 1 } },
    .ended = delete_ended,
};
