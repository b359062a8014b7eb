/* node_rpc - the methods of sc-node (docs/protocols/rpc.md): parameters are
 * checked here, the work is in vm.c, mig_out.c, mig_in.c and console.c.
 * The same methods answer on the local socket, for root. */
#include "node/node.h"

#include <stdio.h>
#include <string.h>

static const char *id_of(struct json_reader *r, const char *key)
{
    const char *s = json_str(r, key, SC_UUID_LEN, SC_UUID_LEN);
    if (r->err.code == 0 && !sc_uuid_ok(s))
        sc_fail(&r->err, -EINVAL, "%s: '%s' is '%.40s'; it must be a UUID",
                r->what, key, s);
    return s;
}

/* Answers a bad request; true: all was well. */
static bool good(struct json_reader *r, struct rpc_request *req)
{
    struct sc_err e;
    if (json_done(r, &e) == 0)
        return true;
    rpc_fail(req, &e);
    return false;
}

static void peer_of(const cJSON *o, const char *what, struct json_reader *outer,
                    struct rec_mig *ret, uint16_t *port)
{
    struct json_reader r = json_read(o, what);
    snprintf(ret->peer_id, sizeof ret->peer_id, "%s", id_of(&r, "node_id"));
    ret->peer_nid = (uint16_t)json_int(&r, "nid", 1, 65535);
    snprintf(ret->peer_address, sizeof ret->peer_address, "%s",
             json_str(&r, "address", 1, sizeof ret->peer_address - 1));
    if (port)
        *port = (uint16_t)json_int_or(&r, "port", 1, 65535, 7482);
    if (outer->err.code == 0)
        outer->err = r.err;
}

static void on_vm_start(void *ctx, struct rpc_conn *from, const cJSON *params,
                        struct rpc_request *req)
{
    struct json_reader r = json_read(params, "vm.start");
    struct vmspec spec;
    struct sc_err e;
    (void)from;
    const cJSON *vm = json_obj(&r, "vm");
    if (!good(&r, req))
        return;
    if (vmspec_decode(vm, &spec, &e) < 0)
        rpc_fail(req, &e);
    else
        vm_start(ctx, &spec, req);
}

static void on_vm_stop(void *ctx, struct rpc_conn *from, const cJSON *params,
                       struct rpc_request *req)
{
    struct json_reader r = json_read(params, "vm.stop");
    (void)from;
    const char *id = id_of(&r, "vm_id");
    uint64_t epoch = (uint64_t)json_int_or(&r, "epoch", 0, INT64_C(1) << 53, 0);
    uint32_t grace = (uint32_t)json_int_or(&r, "grace_ms", 0, 600000, 30000);
    bool destroy = json_bool_or(&r, "destroy", false);
    if (good(&r, req))
        vm_stop(ctx, id, epoch, destroy ? 0 : grace, req);
}

static void on_prepare_in(void *ctx, struct rpc_conn *from, const cJSON *params,
                          struct rpc_request *req)
{
    struct json_reader r = json_read(params, "vm.prepare_in");
    struct vmspec spec;
    struct rec_mig rec = { 0 };
    struct sc_err e;
    (void)from;
    const cJSON *vm = json_obj(&r, "vm");
    snprintf(rec.id, sizeof rec.id, "%s", id_of(&r, "migration_id"));
    peer_of(json_obj(&r, "from"), "vm.prepare_in from", &r, &rec, NULL);
    if (!good(&r, req))
        return;
    if (vmspec_decode(vm, &spec, &e) < 0) {
        rpc_fail(req, &e);
        return;
    }
    memcpy(rec.vm_id, spec.id, sizeof rec.vm_id);
    rec.epoch = spec.epoch;
    mig_in_prepare(ctx, &spec, &rec, req);
}

static void on_migrate_out(void *ctx, struct rpc_conn *from,
                           const cJSON *params, struct rpc_request *req)
{
    struct json_reader r = json_read(params, "vm.migrate_out");
    struct mig_out_args a = { 0 };
    (void)from;
    snprintf(a.rec.vm_id, sizeof a.rec.vm_id, "%s", id_of(&r, "vm_id"));
    snprintf(a.rec.id, sizeof a.rec.id, "%s", id_of(&r, "migration_id"));
    a.rec.epoch = (uint64_t)json_int(&r, "epoch", 1, INT64_C(1) << 53);
    snprintf(a.ticket, sizeof a.ticket, "%s", json_str(&r, "ticket", 64, 64));
    a.max_downtime_ms =
        (uint32_t)json_int_or(&r, "max_downtime_ms", 0, 600000, 300);
    peer_of(json_obj(&r, "to"), "vm.migrate_out to", &r, &a.rec, &a.port);
    if (good(&r, req))
        mig_out_start(ctx, &a, req);
}

static const char *ended_state(enum rec_state s)
{
    switch (s) {
    case REC_SENDING:
        return "sending";
    case REC_GIVEN:
        return "uncertain";
    case REC_RELEASING:
    case REC_RELEASED:
        return "released";
    case REC_RESUMED:
        return "resumed";
    case REC_MINE:
    case REC_RUNNING:
        return "running";
    case REC_PREPARING:
    case REC_CANCELLED:
        return "cancelled";
    default:
        return "unknown";
    }
}

static void on_migrate_query(void *ctx, struct rpc_conn *from,
                             const cJSON *params, struct rpc_request *req)
{
    struct node *n = ctx;
    struct json_reader r = json_read(params, "vm.migrate_query");
    struct rec_mig rec;
    const char *state = "unknown";
    (void)from;
    const char *vm_id = id_of(&r, "vm_id");
    const char *id = id_of(&r, "migration_id");
    if (!good(&r, req))
        return;
    if (!n->recovered) {
        rpc_failf(req, -EAGAIN, "sc-node is still finding its guests");
        return;
    }
    struct vm *vm = vm_find(n, vm_id);
    if (vm && vm->in && !strcmp(mig_in_id(vm->in), id))
        state = mig_in_state(vm->in);
    else if (vm && vm->out && !strcmp(mig_out_id(vm->out), id))
        state = mig_out_state(vm->out);
    else if (records_mig(n->records, id, &rec) == 0)
        state = ended_state(rec.state);
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "state", state);
    rpc_reply(req, j);
}

static void on_migrate_cancel(void *ctx, struct rpc_conn *from,
                              const cJSON *params, struct rpc_request *req)
{
    struct json_reader r = json_read(params, "vm.migrate_cancel");
    (void)from;
    const char *vm_id = id_of(&r, "vm_id");
    const char *id = id_of(&r, "migration_id");
    if (good(&r, req))
        mig_in_cancel(ctx, vm_id, id, req);
}

static void on_migrate_resolve(void *ctx, struct rpc_conn *from,
                               const cJSON *params, struct rpc_request *req)
{
    struct json_reader r = json_read(params, "vm.migrate_resolve");
    (void)from;
    const char *vm_id = id_of(&r, "vm_id");
    const char *id = id_of(&r, "migration_id");
    const char *outcome = json_str(&r, "outcome", 1, 16);
    if (r.err.code == 0 && strcmp(outcome, "resume") != 0 &&
        strcmp(outcome, "release") != 0)
        sc_fail(&r.err, -EINVAL,
                "vm.migrate_resolve: 'outcome' is '%s'; resume or release",
                outcome);
    if (good(&r, req))
        mig_out_resolve(ctx, vm_id, id, !strcmp(outcome, "resume"), req);
}

/* --- consoles ------------------------------------------------------------- */
static struct vm *console_vm(struct node *n, const char *id,
                             struct rpc_request *req)
{
    struct vm *vm = vm_find(n, id);
    if (!vm)
        rpc_failf(req, -ENOENT, "vm %s: it is not on this node", id);
    return vm;
}

static void on_console_log(void *ctx, struct rpc_conn *from,
                           const cJSON *params, struct rpc_request *req)
{
    struct json_reader r = json_read(params, "vm.console_log");
    (void)from;
    const char *id = id_of(&r, "vm_id");
    size_t max = (size_t)json_int_or(&r, "max_bytes", 1, RING_SIZE, RING_SIZE);
    struct vm *vm = good(&r, req) ? console_vm(ctx, id, req) : NULL;
    if (!vm)
        return;
    SC_AUTO(free) uint8_t *data = malloc(max);
    size_t size = vm->ring && data ? ring_newest(vm->ring, data, max) : 0;
    SC_AUTO(free) char *text = json_b64_encode(data ? data : (void *)"", size);
    if (!text || !data) {
        rpc_failf(req, -ENOMEM, "vm.console_log: out of memory");
        return;
    }
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "data", text);
    rpc_reply(req, j);
}

static void on_console_open(void *ctx, struct rpc_conn *from,
                            const cJSON *params, struct rpc_request *req)
{
    struct json_reader r = json_read(params, "vm.console_open");
    struct sc_err e = { 0 };
    (void)from;
    const char *id = id_of(&r, "vm_id");
    const char *session = json_str(&r, "session", 1, 127);
    struct vm *vm = good(&r, req) ? console_vm(ctx, id, req) : NULL;
    if (!vm)
        return;
    if (console_open(vm, session, &e) < 0)
        rpc_fail(req, &e);
    else
        rpc_reply(req, NULL);
}

static void on_console_close(void *ctx, struct rpc_conn *from,
                             const cJSON *params, struct rpc_request *req)
{
    struct json_reader r = json_read(params, "vm.console_close");
    (void)from;
    const char *session = json_str(&r, "session", 1, 127);
    if (!good(&r, req))
        return;
    console_close(ctx, session);
    rpc_reply(req, NULL);
}

static void on_console_in(void *ctx, struct rpc_conn *from, const cJSON *params,
                          struct rpc_request *req)
{
    struct json_reader r = json_read(params, "vm.console_in");
    void *data = NULL;
    size_t size = 0;
    (void)from;
    const char *session = json_str(&r, "session", 1, 127);
    const char *text = json_str(&r, "data", 0, 128 << 10);
    if (!good(&r, req))
        return;
    if (json_b64_decode(text, &data, &size) == 0)
        console_in(ctx, session, data, size);
    free(data);
    rpc_reply(req, NULL);
}

static void on_peers(void *ctx, struct rpc_conn *from, const cJSON *params,
                     struct rpc_request *req)
{
    (void)from;
    beat_peers(ctx, params);
    rpc_reply(req, NULL);
}

#define WHO (RPC_ROLE_CONTROLLER | RPC_ROLE_LOCAL)
const struct rpc_method node_methods[] = {
    { "peers", WHO, on_peers },
    { "vm.start", WHO, on_vm_start },
    { "vm.stop", WHO, on_vm_stop },
    { "vm.prepare_in", WHO, on_prepare_in },
    { "vm.migrate_out", WHO, on_migrate_out },
    { "vm.migrate_query", WHO, on_migrate_query },
    { "vm.migrate_cancel", WHO, on_migrate_cancel },
    { "vm.migrate_resolve", WHO, on_migrate_resolve },
    { "vm.console_log", WHO, on_console_log },
    { "vm.console_open", WHO, on_console_open },
    { "vm.console_close", WHO, on_console_close },
    { "vm.console_in", WHO, on_console_in },
    { NULL, 0, NULL },
};
