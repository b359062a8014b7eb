/* Peers: each connection of a daemon is one struct peer, anonymous until its
 * hello.  A program that says hello again on a new connection takes the place
 * of its old one (which may be a dead TCP connection nobody has noticed). */
#include "controller/server.h"

#include "api/api.h"
#include "common/log.h"
#include "common/rpc_ws.h"
#include "controller/ctl.h"
#include "controller/join.h"
#include "controller/pki.h"
#include "controller/reach.h"
#include "controller/sessions.h"
#include "controller/users.h"
#include "controller/worker.h"

#include <stdio.h>
#include <sys/stat.h>

enum { TICK_MS = 200 };

struct peer {
    struct rpc_conn *conn;
    bool known; /* Has said hello and was not replaced. */
    uint16_t nid;
    enum ctl_program program;
};

struct server {
    struct sc_loop *loop;
    const struct sc_config *config;
    struct ctl *ctl;          /* Owned. */
    struct rpc_ws_server *ws; /* Owned. */
    struct api *api;          /* Owned. */
    struct sc_control *control;
    struct sc_source *tick;
    struct reach_pool *reach;    /* Owned. */
    struct worker_pool *workers; /* Owned. */
    struct rpc_service service;
    struct api_backend backend;
    CTL_LIST(struct peer) peers;
    bool broken;
};

bool server_broken(const struct server *s)
{
    return s->broken;
}

/* --- the world, as ctl.h wants it
 * ---------------------------------------------- */

static struct peer *find_peer(struct server *s, uint16_t nid,
                              enum ctl_program program)
{
    for (size_t i = 0; i < s->peers.n; i++) {
        struct peer *p = s->peers.items[i];
        if (p->known && p->program == program && p->nid == nid)
            return p;
    }
    return NULL;
}

static uint64_t env_now(void *ctx)
{
    (void)ctx;
    return sc_wall_ms();
}

static void env_call(void *ctx, uint16_t nid, enum ctl_program program,
                     const char *method, cJSON *params, uint64_t timeout_ms,
                     rpc_done_fn *done, void *arg)
{
    struct server *s = ctx;
    struct peer *p = find_peer(s, nid, program);
    rpc_call(s->loop, p ? p->conn : NULL, method, params, timeout_ms, done,
             arg);
}

static void env_notify(void *ctx, uint16_t nid, enum ctl_program program,
                       const char *method, cJSON *params)
{
    struct peer *p = find_peer(ctx, nid, program);
    if (p)
        (void)rpc_notify(p->conn, method, params);
    else
        cJSON_Delete(params);
}

static void env_changed(void *ctx, const char *kind, const char *id,
                        const cJSON *object)
{
    struct server *s = ctx;
    if (s->api)
        api_changed(s->api, kind, id, object);
}

static void env_broken(void *ctx, const struct sc_err *err)
{
    struct server *s = ctx;
    sc_log(SC_LOG_ERROR, "store.failed", "error", err->text, NULL);
    s->broken = true;
    sc_loop_stop(s->loop);
}

static void env_reach(void *ctx, const char *address, uint16_t port,
                      uint64_t timeout_ms, ctl_reach_fn *done, void *arg)
{
    struct server *s = ctx;
    reach_begin(s->reach, address, port, timeout_ms, done, arg);
}

static void env_worker(void *ctx, cJSON *request, uint64_t timeout_ms,
                       ctl_worker_line_fn *line, rpc_done_fn *done, void *arg)
{
    struct server *s = ctx;
    (void)worker_start(s->workers, request, timeout_ms, line, done, arg);
}

static void env_worker_cancel(void *ctx, const void *arg)
{
    struct server *s = ctx;
    struct worker *w = worker_find(s->workers, arg);
    if (w)
        worker_cancel(w);
}

/* --- RPC
 * ------------------------------------------------------------------------ */

static void peer_up(void *ctx, struct rpc_conn *conn)
{
    struct server *s = ctx;
    struct peer *p = calloc(1, sizeof *p);
    if (!p || !ctl_list_add(&s->peers, p)) {
        free(p);
        rpc_conn_close(conn);
        return;
    }
    p->conn = conn;
    rpc_conn_set_data(conn, p);
}

static void peer_down(void *ctx, struct rpc_conn *conn,
                      const struct sc_err *why)
{
    struct server *s = ctx;
    SC_AUTO(free) struct peer *p = rpc_conn_data(conn);
    (void)why;
    if (!p)
        return;
    ctl_list_remove(&s->peers, p);
    if (p->known && !s->ctl->stopping)
        ctl_gone(s->ctl, p->nid, p->program);
}

static int hello_program(struct rpc_conn *from, const cJSON *params,
                         enum ctl_program *ret, struct sc_err *err)
{
    struct json_reader r = json_read(params, "hello");
    const char *program = json_str(&r, "program", 1, 32);
    const char *node_id = json_str_or(&r, "node_id", SC_UUID_LEN, "");
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    int i = 0;
    while (i < N_PROGRAMS && strcmp(program, ctl_program_names[i]) != 0)
        i++;
    if (i == N_PROGRAMS)
        return sc_fail(err, -EINVAL, "hello: 'program' '%s': not known",
                       program);
    bool network = i == PROGRAM_NETWORK;
    unsigned role = network ? RPC_ROLE_NETWORK : RPC_ROLE_NODE;
    if (rpc_conn_role(from) != role)
        return sc_fail(err, -EACCES, "hello: the certificate is not one for %s",
                       program);
    if (!network && node_id[0] && strcmp(node_id, rpc_conn_peer(from)) != 0)
        return sc_fail(err, -EACCES,
                       "hello: 'node_id' %s: the certificate is of node %s",
                       node_id, rpc_conn_peer(from));
    *ret = (enum ctl_program)i;
    return 0;
}

static void on_hello(void *ctx, struct rpc_conn *from, const cJSON *params,
                     struct rpc_request *req)
{
    struct server *s = ctx;
    struct peer *p = rpc_conn_data(from);
    enum ctl_program program = N_PROGRAMS;
    struct sc_err err;
    uint16_t nid;
    cJSON *answer = NULL;
    if (!p || hello_program(from, params, &program, &err) < 0 ||
        ctl_hello(s->ctl, program, rpc_conn_peer(from), params, &nid, &answer,
                  &err) < 0) {
        sc_log(SC_LOG_WARN, "hello.refused", "peer", rpc_conn_peer(from),
               "error", p ? err.text : "out of memory", NULL);
        rpc_fail(req, &err);
        return;
    }
    struct peer *old = find_peer(s, nid, program);
    if (old && old != p) {
        old->known = false;
        rpc_conn_close(old->conn);
    }
    p->known = true;
    p->nid = nid;
    p->program = program;
    rpc_reply(req, answer);
    ctl_welcome(s->ctl, nid, program);
}

/* The peer if it has said hello as 'program'; else the request is refused. */
static struct peer *known_peer(struct rpc_conn *from, enum ctl_program program,
                               struct rpc_request *req)
{
    struct peer *p = rpc_conn_data(from);
    if (p && p->known && p->program == program)
        return p;
    rpc_failf(req, -EPERM, "say hello as %s first", ctl_program_names[program]);
    return NULL;
}

#define NOTIFICATION(name, program, call)                                      \
    static void name(void *ctx, struct rpc_conn *from, const cJSON *params,    \
                     struct rpc_request *req)                                  \
    {                                                                          \
        struct server *s = ctx;                                                \
        struct peer *p = known_peer(from, (program), req);                     \
        if (!p)                                                                \
            return;                                                            \
        call(s->ctl, p->nid, params);                                          \
        rpc_reply(req, NULL);                                                  \
    }
NOTIFICATION(on_heartbeat, PROGRAM_NODE, ctl_heartbeat)
NOTIFICATION(on_vm_state, PROGRAM_NODE, ctl_vm_state)
NOTIFICATION(on_vm_progress, PROGRAM_NODE, ctl_vm_progress)
NOTIFICATION(on_node_probes, PROGRAM_NODE, ctl_node_probes)
NOTIFICATION(on_node_notice, PROGRAM_NODE, ctl_node_notice)
NOTIFICATION(on_console_out, PROGRAM_NODE, ctl_session_out)
NOTIFICATION(on_storage_stats, PROGRAM_STORAGE, ctl_storage_stats)

static void port_seen(struct ctl *ctl, uint16_t nid, const cJSON *params)
{
    (void)ctl;
    (void)nid;
    const cJSON *port = cJSON_GetObjectItemCaseSensitive(params, "port_id");
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(params, "nid");
    sc_logf(SC_LOG_DEBUG, "net.port_seen", "port %s at node %d",
            cJSON_IsString(port) ? port->valuestring : "?",
            cJSON_IsNumber(at) ? at->valueint : 0);
}
NOTIFICATION(on_port_seen, PROGRAM_NETWORK, port_seen)

static void view(struct server *s, struct rpc_conn *from, const char *method,
                 const cJSON *params, struct rpc_request *req)
{
    struct peer *p = known_peer(from, PROGRAM_STORAGE, req);
    struct sc_err err;
    cJSON *answer = NULL;
    if (!p)
        return;
    if (ctl_view(s->ctl, p->nid, method, params, &answer, &err) < 0) {
        sc_log(SC_LOG_WARN, "view.refused", "method", method, "error", err.text,
               NULL);
        rpc_fail(req, &err);
    } else {
        rpc_reply(req, answer);
    }
}

#define VIEW(name, method)                                                     \
    static void name(void *ctx, struct rpc_conn *from, const cJSON *params,    \
                     struct rpc_request *req)                                  \
    {                                                                          \
        view(ctx, from, method, params, req);                                  \
    }
VIEW(on_view_open, "view.open")
VIEW(on_view_more, "view.more")
VIEW(on_view_flush, "view.flush")
VIEW(on_view_close, "view.close")
VIEW(on_view_handover, "view.handover")

static const struct rpc_method rpc_methods[] = {
    { "hello", RPC_ROLE_NODE | RPC_ROLE_NETWORK, on_hello },
    { "node.heartbeat", RPC_ROLE_NODE, on_heartbeat },
    { "node.probes", RPC_ROLE_NODE, on_node_probes },
    { "node.notice", RPC_ROLE_NODE, on_node_notice },
    { "vm.state", RPC_ROLE_NODE, on_vm_state },
    { "vm.progress", RPC_ROLE_NODE, on_vm_progress },
    { "vm.console_out", RPC_ROLE_NODE, on_console_out },
    { "view.open", RPC_ROLE_NODE, on_view_open },
    { "view.more", RPC_ROLE_NODE, on_view_more },
    { "view.flush", RPC_ROLE_NODE, on_view_flush },
    { "view.close", RPC_ROLE_NODE, on_view_close },
    { "view.handover", RPC_ROLE_NODE, on_view_handover },
    { "storage.stats", RPC_ROLE_NODE, on_storage_stats },
    { "net.port_seen", RPC_ROLE_NETWORK, on_port_seen },
    { NULL, 0, NULL },
};

static void on_http(void *ctx, const char *method, const char *uri,
                    const char *body, const char *remote_addr, int *status,
                    cJSON **ret)
{
    struct server *s = ctx;
    ctl_http(s->ctl, method, uri, body, remote_addr, status, ret);
}

/* --- the console's backend
 * -------------------------------------------------------- */

static void backend_call(void *ctx, const char *op,
                         const struct api_caller *who, const cJSON *params,
                         api_done_fn *done, void *arg)
{
    struct server *s = ctx;
    ctl_op(s->ctl, op, who, params, done, arg);
}

static int backend_open(void *ctx, const char *vm, const struct api_caller *who,
                        api_console_out_fn *out, api_console_closed_fn *closed,
                        void *arg, struct api_console **ret, struct sc_err *err)
{
    struct server *s = ctx;
    struct ctl_session *session;
    if (who->role < API_ROLE_OPERATOR)
        return sc_fail(err, -EACCES, "vm.console: user '%.64s' may not do that",
                       who->user);
    int r = ctl_session_open(s->ctl, vm, out, closed, arg, &session, err);
    if (r == 0)
        *ret = (struct api_console *)session;
    return r;
}

static void backend_in(void *ctx, struct api_console *c, const void *data,
                       size_t size)
{
    struct server *s = ctx;
    ctl_session_in(s->ctl, (struct ctl_session *)c, data, size);
}

static void backend_close(void *ctx, struct api_console *c)
{
    struct server *s = ctx;
    ctl_session_close(s->ctl, (struct ctl_session *)c);
}

/* --- control socket
 * ----------------------------------------------------------------- */

static cJSON *status_json(void *arg)
{
    struct server *s = arg;
    cJSON *j = cJSON_CreateObject();
    unsigned n_up = 0, n_jobs = 0;
    for (size_t i = 0; i < s->ctl->nodes.n; i++)
        n_up += s->ctl->nodes.items[i]->n.state == NODE_UP;
    for (size_t i = 0; i < s->ctl->jobs.n; i++)
        n_jobs += !job_ended(s->ctl->jobs.items[i]);
    json_set_u64(j, "nodes", s->ctl->nodes.n);
    json_set_u64(j, "nodes_up", n_up);
    json_set_u64(j, "vms", s->ctl->vms.n);
    json_set_u64(j, "jobs_running", n_jobs);
    json_set_u64(j, "errands", s->ctl->errands.n);
    json_set_u64(j, "connections", s->peers.n);
    cJSON_AddBoolToObject(j, "network_connected", s->ctl->network_connected);
    return j;
}

static cJSON *dump_json(void *arg)
{
    struct server *s = arg;
    cJSON *j = status_json(s);
    cJSON *nodes = cJSON_AddArrayToObject(j, "node_list");
    for (size_t i = 0; i < s->ctl->nodes.n; i++)
        cJSON_AddItemToArray(nodes,
                             ctl_node_json(s->ctl, s->ctl->nodes.items[i]));
    cJSON *vms = cJSON_AddArrayToObject(j, "vm_list");
    for (size_t i = 0; i < s->ctl->vms.n; i++)
        cJSON_AddItemToArray(vms, vm_to_json(s->ctl->vms.items[i]));
    cJSON *jobs = cJSON_AddArrayToObject(j, "job_list");
    for (size_t i = 0; i < s->ctl->jobs.n; i++) {
        if (!job_ended(s->ctl->jobs.items[i]))
            cJSON_AddItemToArray(jobs,
                                 job_to_json(s->ctl->jobs.items[i], true));
    }
    return j;
}

/* --- life
 * ------------------------------------------------------------------------------
 */

static void on_tick(void *arg)
{
    struct server *s = arg;
    ctl_run(s->ctl);
}

/* What a joining node's config has in common with ours; what belongs to a
 * machine (folders, memory) its sc-join knows better. */
static char *node_config(const struct sc_config *c)
{
    SC_AUTO(cjson_free) cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "hypervisor", c->hypervisor);
    cJSON_AddStringToObject(j, "datapath", c->datapath);
    cJSON_AddStringToObject(j, "bridge", c->bridge);
    cJSON *ports = cJSON_AddObjectToObject(j, "ports");
    json_set_u64(ports, "storage", c->storage_port);
    json_set_u64(ports, "probe", c->probe_port);
    json_set_u64(ports, "migration", c->migration_port);
    return cJSON_PrintUnformatted(j);
}

static int add_own_node(struct server *s, struct sc_err *err)
{
    const struct sc_config *c = s->config;
    struct node n = { .nid = c->nid,
                      .storage_port = c->storage_port,
                      .probe_port = c->probe_port,
                      .migration_port = c->migration_port,
                      .joined_at = sc_wall_ms(),
                      .state = NODE_JOINING };
    if (!c->is_node)
        return 0;
    OBJ_SET(n.id, c->node_id);
    OBJ_SET(n.name, c->name);
    OBJ_SET(n.region, c->region);
    OBJ_SET(n.provider, c->provider);
    OBJ_SET(n.address, c->address);
    return ctl_node_own(s->ctl, &n, err);
}

static int make_ctl(struct server *s, const char *spool, struct sc_err *err)
{
    const struct sc_config *c = s->config;
    const struct ctl_env env = { .ctx = s,
                                 .now = env_now,
                                 .call = env_call,
                                 .notify = env_notify,
                                 .changed = env_changed,
                                 .broken = env_broken,
                                 .reach = env_reach,
                                 .worker = env_worker,
                                 .worker_cancel = env_worker_cancel };
    SC_AUTO(free) char *common = node_config(c);
    SC_AUTO(store_close) struct store *store = NULL;
    const struct ctl_options o = { .pki_dir = c->pki_dir,
                                   .spool_dir = spool,
                                   .host = c->controller_host,
                                   .port = c->controller_port,
                                   .own_nid = c->is_node ? c->nid : 0,
                                   .node_config = common };
    int r = users_open_store(c, &store, err);
    if (r == 0)
        r = users_first(store, c, err);
    if (r == 0)
        r = ctl_new(SC_TAKE(store), &env, &o, &s->ctl, err);
    return r < 0 ? r : add_own_node(s, err);
}

static int listen_rpc(struct server *s, struct sc_err *err)
{
    const struct sc_config *c = s->config;
    SC_AUTO(free) char *ca = sc_path(c->pki_dir, "ca.crt");
    SC_AUTO(free) char *cert = sc_path(c->pki_dir, "controller.crt");
    SC_AUTO(free) char *key = sc_path(c->pki_dir, "controller.key");
    const struct rpc_ws_server_options o = { .listen = c->controller_listen,
                                             .path = "/rpc",
                                             .ca_file = ca,
                                             .cert_file = cert,
                                             .key_file = key };
    if (!ca || !cert || !key)
        return sc_fail(err, -ENOMEM, "out of memory");
    s->service = (struct rpc_service){
        .methods = rpc_methods, .ctx = s, .up = peer_up, .down = peer_down
    };
    return rpc_ws_server_new(s->loop, &o, &s->service, on_http, &s->ws, err);
}

static int listen_console(struct server *s, const char *spool,
                          struct sc_err *err)
{
    const struct sc_config *c = s->config;
    SC_AUTO(free) char *cert = sc_path(c->pki_dir, "controller.crt");
    SC_AUTO(free) char *key = sc_path(c->pki_dir, "controller.key");
    SC_AUTO(free) char *ca = sc_path(c->pki_dir, "ca.crt");
    /* Of the console's public name, if it has one: sc-acme's, or somebody's. */
    SC_AUTO(free) char *named = sc_path(c->pki_dir, "console.crt");
    SC_AUTO(free) char *named_key = sc_path(c->pki_dir, "console.key");
    const struct api_options o = { .listen = c->console_listen,
                                   .cert_file = cert,
                                   .key_file = key,
                                   .named_cert_file = named,
                                   .named_key_file = named_key,
                                   .ca_file = ca,
                                   .spool_dir = spool };
    if (!cert || !key || !ca || !named || !named_key)
        return sc_fail(err, -ENOMEM, "out of memory");
    s->backend = (struct api_backend){ .ctx = s,
                                       .call = backend_call,
                                       .console_open = backend_open,
                                       .console_in = backend_in,
                                       .console_close = backend_close };
    return api_new(s->loop, &s->backend, &o, &s->api, err);
}

static int make_dir(const char *path, unsigned mode, struct sc_err *err)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return sc_fail(err, -errno, "%s: mkdir: %s", path, strerror(errno));
    return 0;
}

int server_new(struct sc_loop *loop, const struct sc_config *c,
               struct server **ret, struct sc_err *err)
{
    SC_AUTO(server_free) struct server *s = calloc(1, sizeof *s);
    SC_AUTO(free) char *spool = sc_path(c->state_dir, "spool");
    if (!s || !spool)
        return sc_fail(err, -ENOMEM, "out of memory");
    s->loop = loop;
    s->config = c;
    if (reach_pool_new(loop, &s->reach) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    int r = worker_pool_new(loop,
                            c->provider_program[0] ? c->provider_program : NULL,
                            &s->workers, err);
    if (r == 0)
        r = make_dir(c->state_dir, 0755, err);
    if (r == 0)
        r = make_dir(spool, 0770, err);
    if (r == 0)
        r = make_dir(c->run_dir, 0755, err);
    if (r == 0)
        r = pki_ensure(c, err);
    if (r == 0)
        r = make_ctl(s, spool, err);
    if (r == 0)
        r = listen_rpc(s, err);
    if (r == 0)
        r = listen_console(s, spool, err);
    if (r == 0)
        r = sc_control_new(loop, c, "sc-controller", NULL, status_json,
                           dump_json, s, &s->control, err);
    if (r < 0)
        return r;
    r = sc_loop_add_timer(loop, TICK_MS, TICK_MS, on_tick, s, &s->tick);
    if (r < 0)
        return sc_fail(err, r, "timer: %s", strerror(-r));
    *ret = SC_TAKE(s);
    return 0;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    if (s->ctl)
        s->ctl->stopping = true;
    sc_source_free(s->tick);
    sc_control_free(s->control);
    api_free(s->api);
    rpc_ws_server_free(s->ws);
    reach_pool_free(s->reach);
    worker_pool_free(s->workers);
    ctl_free(s->ctl);
    for (size_t i = 0; i < s->peers.n; i++)
        free(s->peers.items[i]);
    free(s->peers.items);
    free(s);
}
