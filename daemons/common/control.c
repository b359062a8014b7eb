/* control - every daemon's control socket (config.h). */
#include "common/config.h"
#include "common/json.h"
#include "common/log.h"
#include "common/rpc.h"

#include <stdio.h>

struct sc_control {
    struct sc_loop *loop;
    const char *program; /* Borrowed: a literal of the caller. */
    struct cJSON *(*status)(void *arg);
    struct cJSON *(*dump)(void *arg);
    void *arg;
    uint64_t started_at; /* sc_wall_ms. */
    struct rpc_service service;
    struct rpc_unix_server *server; /* Owned. */
};

static void set_default(cJSON *o, const char *key, cJSON *value)
{
    if (cJSON_HasObjectItem(o, key) || !cJSON_AddItemToObject(o, key, value))
        cJSON_Delete(value);
}

static void on_status(void *ctx, struct rpc_conn *from, const cJSON *params,
                      struct rpc_request *req)
{
    (void)from;
    (void)params;
    struct sc_control *c = ctx;
    cJSON *o = c->status(c->arg);
    if (cJSON_IsObject(o)) {
        set_default(o, "program", cJSON_CreateString(c->program));
        set_default(o, "version", cJSON_CreateString(SC_VERSION));
        set_default(o, "pid", cJSON_CreateNumber(getpid()));
        set_default(o, "started_at", cJSON_CreateNumber((double)c->started_at));
    }
    rpc_reply(req, o);
}

static void on_dump(void *ctx, struct rpc_conn *from, const cJSON *params,
                    struct rpc_request *req)
{
    struct sc_control *c = ctx;
    if (!c->dump)
        on_status(ctx, from, params, req);
    else
        rpc_reply(req, c->dump(c->arg));
}

static void on_log_level(void *ctx, struct rpc_conn *from, const cJSON *params,
                         struct rpc_request *req)
{
    (void)ctx;
    (void)from;
    struct json_reader r = json_read(params, "daemon.log_level");
    const char *name = json_str(&r, "level", 1, 16);
    struct sc_err err;
    enum sc_log_level level;
    if (json_done(&r, &err) < 0) {
        rpc_fail(req, &err);
    } else if (sc_log_level_parse(name, &level) < 0) {
        rpc_failf(req, -EINVAL,
                  "daemon.log_level: 'level' is '%s'; it must be error, warn, "
                  "info or debug",
                  name);
    } else {
        sc_log_level_set(level);
        rpc_reply(req, NULL);
    }
}

static void on_stop(void *ctx, struct rpc_conn *from, const cJSON *params,
                    struct rpc_request *req)
{
    (void)params;
    struct sc_control *c = ctx;
    sc_log(SC_LOG_INFO, "daemon.stop", "by", rpc_conn_peer(from), NULL);
    rpc_reply(req, NULL);
    sc_loop_stop(c->loop);
}

static const struct rpc_method methods[] = {
    { "daemon.status", RPC_ROLE_LOCAL, on_status },
    { "daemon.dump", RPC_ROLE_LOCAL, on_dump },
    { "daemon.log_level", RPC_ROLE_LOCAL, on_log_level },
    { "daemon.stop", RPC_ROLE_LOCAL, on_stop },
    { 0 },
};

int sc_control_new(struct sc_loop *loop, const struct sc_config *config,
                   const char *program, const struct rpc_service *own,
                   struct cJSON *(*status)(void *arg),
                   struct cJSON *(*dump)(void *arg), void *arg,
                   struct sc_control **ret, struct sc_err *err)
{
    SC_AUTO(sc_control_free) struct sc_control *c = calloc(1, sizeof *c);
    SC_AUTO(free) char *path = NULL;
    if (!c || asprintf(&path, "%s/%s.sock", config->run_dir, program) < 0)
        return sc_fail(err, -ENOMEM, "%s: out of memory", program);
    *c = (struct sc_control){
        .loop = loop,
        .program = program,
        .status = status,
        .dump = dump,
        .arg = arg,
        .started_at = sc_wall_ms(),
        .service = { .methods = methods, .ctx = c, .more = own },
    };
    int r = rpc_unix_listen(loop, path, &c->service, &c->server, err);
    if (r < 0)
        return r;
    *ret = SC_TAKE(c);
    return 0;
}

void sc_control_free(struct sc_control *c)
{
    if (!c)
        return;
    rpc_unix_server_free(c->server);
    free(c);
}
