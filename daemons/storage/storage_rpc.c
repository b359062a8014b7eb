/* storage_rpc - the methods of sc-storage, and its connection to the
 * controller.  Each method reads its params and queues an operation.
 * Source: docs/protocols/rpc.md. */
#include "storage/storage.h"

#include "common/json.h"
#include "common/log.h"

#include <stdio.h>

static struct json_reader params_of(const cJSON *params, const char *what,
                                    const char **ret_id)
{
    struct json_reader r = json_read(params, what);
    *ret_id = json_str(&r, "volume_id", VOL_ID_LEN, VOL_ID_LEN);
    return r;
}

/* The volume's operation, or NULL and the call is answered. */
static struct vol_op *new_op(struct storage *st, struct json_reader *r,
                             const char *id, const char *name,
                             struct rpc_request *req,
                             void (*run)(struct vol_op *))
{
    struct sc_err err;
    struct volume *v;
    if (json_done(r, &err) < 0) {
        rpc_fail(req, &err);
        return NULL;
    }
    int e = storage_get(st, id, &v);
    if (e < 0) {
        rpc_failf(req, e, "%s: volume '%s': %s", name, id,
                  e == -EUCLEAN ? "its files on this node could not be opened "
                                  "when sc-storage started; its log says why"
                                : strerror(-e));
        return NULL;
    }
    return op_new(st, v, name, req, run);
}

static void copy_migration(struct vol_op *op, const char *id)
{
    snprintf(op->migration, sizeof op->migration, "%s", id);
}

static const char *migration_of(struct json_reader *r)
{
    const char *id = json_str(r, "migration_id", 1, VOL_MIGRATION_MAX);
    for (const char *p = id; *p; p++)
        if (!strchr(
                "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
                "XYZ-_.",
                *p) &&
            r->err.code == 0)
            sc_fail(&r->err, -EINVAL, "'migration_id' has a strange character");
    return id;
}

static uint16_t node_of(struct storage *st, struct json_reader *r,
                        const char *key)
{
    struct json_reader n = json_read(json_obj(r, key), key);
    const char *id = json_str(&n, "node_id", VOL_ID_LEN, VOL_ID_LEN);
    uint16_t nid = (uint16_t)json_int(&n, "nid", 1, UINT16_MAX);
    const char *address = json_str(&n, "address", 1, 255);
    if (r->err.code == 0 && json_done(&n, &r->err) == 0) {
        int e = peers_learn(st->peers, id, nid, address);
        if (e < 0)
            sc_fail(&r->err, e, "'%s': %s", key, strerror(-e));
    }
    return nid;
}

static void on_attach(void *ctx, struct rpc_conn *from, const cJSON *params,
                      struct rpc_request *req)
{
    (void)from;
    const char *id;
    struct json_reader r = params_of(params, "volume.attach", &id);
    const char *mode = json_str(&r, "mode", 2, 2);
    bool rw = strcmp(mode, "rw") == 0;
    if (!rw && strcmp(mode, "ro") != 0 && r.err.code == 0)
        sc_fail(&r.err, -EINVAL, "volume.attach: 'mode' must be rw or ro");
    int64_t epoch = rw ? json_int(&r, "epoch", 1, UINT32_MAX)
                       : json_int_or(&r, "epoch", 0, UINT32_MAX, 0);
    struct vol_op *op =
        new_op(ctx, &r, id, "volume.attach", req, op_run_attach);
    if (!op)
        return;
    op->rw = rw;
    op->epoch = (uint32_t)epoch;
    op_begin(op);
}

static void simple(struct storage *st, const cJSON *params, const char *name,
                   struct rpc_request *req, void (*run)(struct vol_op *))
{
    const char *id;
    struct json_reader r = params_of(params, name, &id);
    struct vol_op *op = new_op(st, &r, id, name, req, run);
    if (op)
        op_begin(op);
}

static void on_detach(void *ctx, struct rpc_conn *from, const cJSON *params,
                      struct rpc_request *req)
{
    (void)from;
    simple(ctx, params, "volume.detach", req, op_run_detach);
}

static void on_flush(void *ctx, struct rpc_conn *from, const cJSON *params,
                     struct rpc_request *req)
{
    (void)from;
    simple(ctx, params, "volume.flush", req, op_run_flush);
}

static void on_delete(void *ctx, struct rpc_conn *from, const cJSON *params,
                      struct rpc_request *req)
{
    (void)from;
    simple(ctx, params, "volume.delete", req, op_run_delete);
}

static void of_migration(struct storage *st, const cJSON *params,
                         const char *name, const char *node_key, bool epoch,
                         struct rpc_request *req, void (*run)(struct vol_op *))
{
    const char *id;
    struct json_reader r = params_of(params, name, &id);
    const char *migration = migration_of(&r);
    uint16_t nid = node_key ? node_of(st, &r, node_key) : 0;
    int64_t e = epoch ? json_int(&r, "epoch", 1, UINT32_MAX) : 0;
    struct vol_op *op = new_op(st, &r, id, name, req, run);
    if (!op)
        return;
    copy_migration(op, migration);
    op->nid = nid;
    op->epoch = (uint32_t)e;
    op_begin(op);
}

static void on_prepare_in(void *ctx, struct rpc_conn *from, const cJSON *params,
                          struct rpc_request *req)
{
    (void)from;
    of_migration(ctx, params, "volume.prepare_in", "from", false, req,
                 op_run_prepare_in);
}

static void on_handover(void *ctx, struct rpc_conn *from, const cJSON *params,
                        struct rpc_request *req)
{
    (void)from;
    of_migration(ctx, params, "volume.handover", "to", true, req,
                 op_run_handover);
}

static void on_thaw(void *ctx, struct rpc_conn *from, const cJSON *params,
                    struct rpc_request *req)
{
    (void)from;
    of_migration(ctx, params, "volume.thaw", NULL, false, req, op_run_thaw);
}

static void on_release(void *ctx, struct rpc_conn *from, const cJSON *params,
                       struct rpc_request *req)
{
    (void)from;
    of_migration(ctx, params, "volume.release", NULL, false, req,
                 op_run_release);
}

static void on_activate(void *ctx, struct rpc_conn *from, const cJSON *params,
                        struct rpc_request *req)
{
    (void)from;
    of_migration(ctx, params, "volume.activate", NULL, true, req,
                 op_run_activate);
}

static void on_cancel_in(void *ctx, struct rpc_conn *from, const cJSON *params,
                         struct rpc_request *req)
{
    (void)from;
    of_migration(ctx, params, "volume.cancel_in", NULL, false, req,
                 op_run_cancel_in);
}

static void on_export(void *ctx, struct rpc_conn *from, const cJSON *params,
                      struct rpc_request *req)
{
    (void)from;
    const char *id;
    struct json_reader r = params_of(params, "volume.export_file", &id);
    const char *path = json_str(&r, "path", 1, 1000);
    if (path[0] != '/' && r.err.code == 0)
        sc_fail(&r.err, -EINVAL,
                "volume.export_file: 'path' must begin with "
                "'/'");
    struct vol_op *op =
        new_op(ctx, &r, id, "volume.export_file", req, op_run_export);
    if (!op)
        return;
    op->data = strdup(path);
    if (!op->data)
        abort();
    op_begin(op);
}

/* 'path' must be a file of the spool, by name. */
static void check_spool(struct storage *st, struct json_reader *r,
                        const char *path)
{
    char spool[1024];
    int n = snprintf(spool, sizeof spool, "%s/spool/", st->config->state_dir);
    if (r->err.code == 0 &&
        (strncmp(path, spool, (size_t)n) != 0 || strchr(path + n, '/') ||
         path[n] == '.' || path[n] == 0))
        sc_fail(&r->err, -EINVAL, "volume.import: 'path' must be a file in %s",
                spool);
}

static void on_import(void *ctx, struct rpc_conn *from, const cJSON *params,
                      struct rpc_request *req)
{
    (void)from;
    const char *id;
    struct json_reader r = params_of(params, "volume.import", &id);
    const char *path = json_str(&r, "path", 1, 1000);
    const char *sha256 = json_str(&r, "sha256", 64, 64);
    int64_t size = json_int(&r, "size", 1, INT64_C(1) << 43);
    check_spool(ctx, &r, path);
    struct vol_op *op =
        new_op(ctx, &r, id, "volume.import", req, op_run_import);
    if (!op)
        return;
    struct import_args *args = calloc(1, sizeof *args);
    if (!args)
        abort();
    args->size = (uint64_t)size;
    snprintf(args->path, sizeof args->path, "%s", path);
    snprintf(args->sha256, sizeof args->sha256, "%s", sha256);
    op->data = args;
    op->epoch = 1;
    op_begin(op);
}

static void on_peers(void *ctx, struct rpc_conn *from, const cJSON *params,
                     struct rpc_request *req)
{
    (void)from;
    (void)req;
    struct storage *st = ctx;
    struct sc_err err;
    if (peers_set(st->peers, params, &err) < 0)
        sc_log(SC_LOG_WARN, "peers", "error", err.text, NULL);
    else
        fetcher_kick(st->fetcher);
}

static const struct rpc_method local_methods[] = {
    { "volume.attach", RPC_ROLE_LOCAL, on_attach },
    { "volume.detach", RPC_ROLE_LOCAL, on_detach },
    { "volume.flush", RPC_ROLE_LOCAL, on_flush },
    { "volume.export_file", RPC_ROLE_LOCAL, on_export },
    { "volume.prepare_in", RPC_ROLE_LOCAL, on_prepare_in },
    { "volume.handover", RPC_ROLE_LOCAL, on_handover },
    { "volume.thaw", RPC_ROLE_LOCAL, on_thaw },
    { "volume.release", RPC_ROLE_LOCAL, on_release },
    { "volume.activate", RPC_ROLE_LOCAL, on_activate },
    { "volume.cancel_in", RPC_ROLE_LOCAL, on_cancel_in },
    { 0 },
};
static const struct rpc_method controller_methods[] = {
    { "peers", RPC_ROLE_CONTROLLER, on_peers },
    { "volume.import", RPC_ROLE_CONTROLLER, on_import },
    { "volume.delete", RPC_ROLE_CONTROLLER, on_delete },
    { "volume.flush", RPC_ROLE_CONTROLLER, on_flush },
    { 0 },
};

const struct rpc_service *storage_local_service(struct storage *st)
{
    st->local_service =
        (struct rpc_service){ .methods = local_methods, .ctx = st };
    return &st->local_service;
}

/* --- the controller ----------------------------------------------------- */
struct rpc_conn *storage_controller(struct storage *st)
{
    return st->client && st->greeted ? rpc_client_conn(st->client) : NULL;
}

static void on_hello(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct storage *st = arg;
    struct json_reader r = json_read(result, "hello's answer");
    if (err->code < 0) {
        sc_log(SC_LOG_WARN, "controller.hello", "error", err->text, NULL);
        if (rpc_client_conn(
                st->client)) /* The next connection says it again. */
            rpc_conn_close(rpc_client_conn(st->client));
        return;
    }
    int64_t nid = json_int(&r, "nid", 1, UINT16_MAX);
    struct sc_err bad;
    if (json_done(&r, &bad) < 0 || nid != st->env.self) {
        sc_logf(SC_LOG_ERROR, "controller.hello",
                "the controller calls this node %lld, its configuration %u",
                (long long)nid, st->env.self);
        return;
    }
    st->greeted = true;
    sc_log(SC_LOG_INFO, "controller.up", NULL);
    for (size_t i = 0; i < st->n_volumes; i++)
        storage_tell_authority(st, st->volumes[i]);
}

static void on_up(void *ctx, struct rpc_conn *conn)
{
    struct storage *st = ctx;
    cJSON *q = cJSON_CreateObject();
    cJSON_AddStringToObject(q, "program", "sc-storage");
    cJSON_AddStringToObject(q, "node_id", st->config->node_id);
    cJSON_AddStringToObject(q, "version", SC_VERSION);
    cJSON_AddStringToObject(q, "address", st->config->address);
    rpc_call(st->loop, conn, "hello", q, CONTROLLER_TIMEOUT_MS, on_hello, st);
}

static void on_down(void *ctx, struct rpc_conn *conn, const struct sc_err *why)
{
    struct storage *st = ctx;
    (void)conn;
    if (st->greeted)
        sc_log(SC_LOG_WARN, "controller.down", "error", why->text, NULL);
    st->greeted = false;
}

int storage_connect(struct storage *st, struct sc_err *err)
{
    const struct sc_config *c = st->config;
    SC_AUTO(free) char *ca = sc_path(c->pki_dir, "ca.crt");
    SC_AUTO(free) char *cert = sc_path(c->pki_dir, "node.crt");
    SC_AUTO(free) char *key = sc_path(c->pki_dir, "node.key");
    if (!ca || !cert || !key)
        return sc_fail(err, -ENOMEM, "out of memory");
    st->controller_service = (struct rpc_service){
        .methods = controller_methods,
        .ctx = st,
        .up = on_up,
        .down = on_down,
    };
    const struct rpc_ws_options o = { .host = c->controller_host,
                                      .port = c->controller_port,
                                      .path = "/rpc",
                                      .ca_file = ca,
                                      .cert_file = cert,
                                      .key_file = key };
    return rpc_ws_client_new(st->loop, &o, &st->controller_service, &st->client,
                             err);
}
