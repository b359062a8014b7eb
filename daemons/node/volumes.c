/* volumes - the same call to sc-storage for several volumes of a VM at once.
 *
 * Every single call has a time limit, so an op always drains, also when its
 * caller has forgotten it (vol_cancel): it frees itself after the last answer.
 */
#include "common/log.h"
#include "node/node.h"

#include <stdio.h>
#include <string.h>

struct one {
    struct vol_op *op;
    unsigned volume; /* Index in the spec. */
    bool done;
};
struct vol_op {
    struct node *node;
    struct vmspec spec;
    struct vol_call call;
    char migration_id[SC_UUID_LEN + 1];
    struct rec_mig peer;
    struct vm_disk *disks; /* NULL: not wanted, or cancelled. */
    vol_done_fn *done;     /* NULL: cancelled. */
    void *arg;
    unsigned n, waiting;
    struct one ones[VM_VOLUMES_MAX];
    struct sc_err first;
    bool warned; /* Said once in a row of retries. */
    struct sc_source *timer;
};

static void begin(struct vol_op *op);

static void end(void *arg)
{
    struct vol_op *op = arg;
    vol_done_fn *done = op->done;
    void *done_arg = op->arg;
    struct sc_err e = op->first;
    sc_source_free(op->timer);
    free(op);
    if (done)
        done(done_arg, &e);
}

static void again(void *arg)
{
    struct vol_op *op = arg;
    sc_source_free(SC_TAKE(op->timer));
    begin(op);
}

static void later(struct vol_op *op, uint64_t ms, sc_fn *fn)
{
    if (sc_loop_add_timer(op->node->loop, ms, 0, fn, op, &op->timer) < 0)
        abort(); /* Not even memory for a timer. */
}

static void all_answered(struct vol_op *op)
{
    if (op->first.code && !op->warned)
        sc_log(SC_LOG_WARN, op->call.method, "msg", op->first.text, NULL);
    op->warned = op->first.code != 0;
    int code = op->first.code;
    bool transient = code == -ENOTCONN || code == -ECONNRESET ||
                     code == -ETIMEDOUT || code == -EAGAIN;
    if (code == 0 || !op->call.retry_ms || !op->done ||
        (op->call.transient_only && !transient))
        end(op);
    else
        later(op, op->call.retry_ms, again);
}

static int take_disk(const cJSON *result, struct vm_disk *ret,
                     struct sc_err *err)
{
    struct json_reader r = json_read(result, "sc-storage's answer");
    const char *socket =
        json_str(&r, "nbd_socket", 1, sizeof ret->nbd_socket - 1);
    const char *export = json_str(&r, "export", 1, sizeof ret->export - 1);
    int64_t size = json_int(&r, "size", 1, INT64_C(1) << 50);
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    snprintf(ret->nbd_socket, sizeof ret->nbd_socket, "%s", socket);
    snprintf(ret->export, sizeof ret->export, "%s", export);
    ret->size = (uint64_t)size;
    return 0;
}

static void answered(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct one *one = arg;
    struct vol_op *op = one->op;
    struct sc_err e = *err;
    if (e.code == -ENOENT && op->call.absent_ok)
        e.code = 0;
    if (e.code == 0 && op->disks && result)
        take_disk(result, &op->disks[one->volume], &e);
    one->done = e.code == 0;
    if (e.code < 0 && op->first.code == 0) {
        op->first = e;
        sc_fail_in(&op->first, "%s of %s", op->call.method,
                   op->spec.volumes[one->volume].id);
    }
    if (--op->waiting == 0)
        all_answered(op);
}

static cJSON *params(const struct vol_op *op, const struct vm_volume *v)
{
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "volume_id", v->id);
    if (op->call.mode)
        cJSON_AddStringToObject(p, "mode", v->readonly ? "ro" : "rw");
    if (op->call.epoch)
        json_set_u64(p, "epoch", op->call.epoch);
    if (op->call.migration_id)
        cJSON_AddStringToObject(p, "migration_id", op->migration_id);
    if (op->call.peer_key) {
        cJSON *peer = cJSON_AddObjectToObject(p, op->call.peer_key);
        cJSON_AddStringToObject(peer, "node_id", op->peer.peer_id);
        cJSON_AddNumberToObject(peer, "nid", op->peer.peer_nid);
        cJSON_AddStringToObject(peer, "address", op->peer.peer_address);
    }
    return p;
}

static void begin(struct vol_op *op)
{
    op->first = (struct sc_err){ 0 };
    for (unsigned i = 0; i < op->n; i++)
        op->waiting += !op->ones[i].done;
    if (op->waiting == 0) {
        later(op, 0, end);
        return;
    }
    for (unsigned i = 0; i < op->n; i++) {
        struct one *one = &op->ones[i];
        if (!one->done)
            rpc_call(op->node->loop, rpc_client_conn(op->node->storage),
                     op->call.method,
                     params(op, &op->spec.volumes[one->volume]),
                     op->call.timeout_ms, answered, one);
    }
}

/* A read-only volume may be open for several VMs of this node. */
static bool used_by_others(const struct node *n, const struct vmspec *spec,
                           const char *volume_id)
{
    for (const struct vm *vm = n->vms; vm; vm = vm->next)
        for (unsigned i = 0; i < vm->spec.n_volumes; i++)
            if (strcmp(vm->spec.id, spec->id) != 0 && vm->phase != VM_STOPPED &&
                !strcmp(vm->spec.volumes[i].id, volume_id))
                return true;
    return false;
}

void vol_each(struct node *n, const struct vmspec *spec,
              const struct vol_call *c, struct vm_disk *disks,
              vol_done_fn *done, void *arg, struct vol_op **ret)
{
    struct vol_op *op = calloc(1, sizeof *op);
    if (!op)
        abort(); /* Some KiB: the machine is beyond help. */
    op->node = n;
    op->spec = *spec;
    op->call = *c;
    if (c->migration_id) {
        snprintf(op->migration_id, sizeof op->migration_id, "%s",
                 c->migration_id);
        op->call.migration_id = op->migration_id;
    }
    if (c->peer)
        op->peer = *c->peer;
    op->disks = disks;
    op->done = done;
    op->arg = arg;
    for (unsigned i = 0; i < spec->n_volumes; i++) {
        bool ro = spec->volumes[i].readonly;
        if (!strcmp(c->method, "volume.detach") && ro &&
            used_by_others(n, spec, spec->volumes[i].id))
            continue;
        if (c->which == VOL_ALL || ro == (c->which == VOL_RO))
            op->ones[op->n++] = (struct one){ op, i, false };
    }
    if (ret)
        *ret = op;
    begin(op);
}

void vol_cancel(struct vol_op *op)
{
    if (!op)
        return;
    op->done = NULL;
    op->disks = NULL;
    if (op->waiting == 0 && op->timer) {
        sc_source_free(op->timer);
        free(op);
    }
}
