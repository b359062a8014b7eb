/* What the controller tells sc-network, and asks of it (docs/protocols/rpc.md,
 * "controller <-> sc-network"). */
#include "network/netd.h"

#include "common/json.h"
#include "common/log.h"

#include <stdio.h>

enum { HELLO_TIMEOUT_MS = 10000 };

/* Answers 'req', or logs why a notification could not be followed. */
static void answer(struct rpc_request *req, const char *what, int r,
                   const struct sc_err *err)
{
    if (r < 0 && !req)
        sc_logf(SC_LOG_WARN, what, "%s", err->text);
    else if (r < 0)
        rpc_fail(req, err);
    else
        rpc_reply(req, NULL);
}

static void on_state(void *ctx, struct rpc_conn *from, const cJSON *params,
                     struct rpc_request *req)
{
    struct netd *d = ctx;
    struct sc_err err;
    (void)from;
    int r = network_state_set(d->network, params, &err);
    if (r == 0)
        of_server_nodes(d->of);
    answer(req, "net.state", r, &err);
}

static void on_node_set(void *ctx, struct rpc_conn *from, const cJSON *params,
                        struct rpc_request *req)
{
    struct netd *d = ctx;
    struct sc_err err;
    (void)from;
    answer(req, "net.node_set", network_node_set(d->network, params, &err),
           &err);
}

static void on_node_del(void *ctx, struct rpc_conn *from, const cJSON *params,
                        struct rpc_request *req)
{
    struct netd *d = ctx;
    struct sc_err err;
    struct json_reader j = json_read(params, "net.node_del");
    const char *id = json_str(&j, "id", 1, SC_UUID_LEN);
    int r = json_done(&j, &err);
    (void)from;
    if (r == 0) {
        network_node_del(d->network, id);
        of_server_nodes(d->of);
    }
    answer(req, "net.node_del", r, &err);
}

static void on_network_set(void *ctx, struct rpc_conn *from,
                           const cJSON *params, struct rpc_request *req)
{
    struct netd *d = ctx;
    struct sc_err err;
    (void)from;
    answer(req, "net.network_set",
           network_network_set(d->network, params, &err), &err);
}

static void on_port_set(void *ctx, struct rpc_conn *from, const cJSON *params,
                        struct rpc_request *req)
{
    struct netd *d = ctx;
    struct sc_err err;
    (void)from;
    answer(req, "net.port_set", network_port_set(d->network, params, &err),
           &err);
}

static void on_network_del(void *ctx, struct rpc_conn *from,
                           const cJSON *params, struct rpc_request *req)
{
    struct netd *d = ctx;
    struct sc_err err;
    struct json_reader j = json_read(params, "net.network_del");
    const char *id = json_str(&j, "id", 1, SC_UUID_LEN);
    int r = json_done(&j, &err);
    (void)from;
    if (r == 0)
        network_network_del(d->network, id);
    answer(req, "net.network_del", r, &err);
}

static void on_port_del(void *ctx, struct rpc_conn *from, const cJSON *params,
                        struct rpc_request *req)
{
    struct netd *d = ctx;
    struct sc_err err;
    struct json_reader j = json_read(params, "net.port_del");
    const char *id = json_str(&j, "id", 1, SC_UUID_LEN);
    int r = json_done(&j, &err);
    (void)from;
    if (r == 0)
        network_port_del(d->network, id);
    answer(req, "net.port_del", r, &err);
}

static void on_latency(void *ctx, struct rpc_conn *from, const cJSON *params,
                       struct rpc_request *req)
{
    struct netd *d = ctx;
    struct sc_err err;
    (void)from;
    answer(req, "net.latency", network_latency_set(d->network, params, &err),
           &err);
}

/* The destination's switch has the preparation rule. */
static void on_prepared(void *arg, const struct sc_err *err)
{
    answer(arg, "net.migrate_prepare", err->code, err);
}

static void on_migrate_prepare(void *ctx, struct rpc_conn *from,
                               const cJSON *params, struct rpc_request *req)
{
    struct netd *d = ctx;
    struct sc_err err;
    struct json_reader j = json_read(params, "net.migrate_prepare");
    const char *id = json_str(&j, "port_id", 1, SC_UUID_LEN);
    uint16_t source = (uint16_t)json_int(&j, "from_nid", 1, UINT16_MAX);
    uint16_t to = (uint16_t)json_int(&j, "to_nid", 1, UINT16_MAX);
    int r = json_done(&j, &err);
    (void)from;
    if (r == 0)
        r = network_migrate_prepare(d->network, id, source, to, &err);
    if (r < 0 || !req)
        answer(req, "net.migrate_prepare", r, &err);
    else
        of_server_barrier(d->of, to, on_prepared, req);
}

static void on_migrate_end(void *ctx, struct rpc_conn *from,
                           const cJSON *params, struct rpc_request *req)
{
    struct netd *d = ctx;
    struct sc_err err;
    struct json_reader j = json_read(params, "net.migrate_end");
    const char *id = json_str(&j, "port_id", 1, SC_UUID_LEN);
    uint16_t nid = (uint16_t)json_int(&j, "nid", 0, UINT16_MAX);
    int r = json_done(&j, &err);
    (void)from;
    if (r == 0)
        r = network_migrate_end(d->network, id, nid, &err);
    answer(req, "net.migrate_end", r, &err);
}

static const struct rpc_method methods[] = {
    { "net.state", RPC_ROLE_CONTROLLER, on_state },
    { "net.node_set", RPC_ROLE_CONTROLLER, on_node_set },
    { "net.node_del", RPC_ROLE_CONTROLLER, on_node_del },
    { "net.network_set", RPC_ROLE_CONTROLLER, on_network_set },
    { "net.network_del", RPC_ROLE_CONTROLLER, on_network_del },
    { "net.port_set", RPC_ROLE_CONTROLLER, on_port_set },
    { "net.port_del", RPC_ROLE_CONTROLLER, on_port_del },
    { "net.latency", RPC_ROLE_CONTROLLER, on_latency },
    { "net.migrate_prepare", RPC_ROLE_CONTROLLER, on_migrate_prepare },
    { "net.migrate_end", RPC_ROLE_CONTROLLER, on_migrate_end },
    { NULL, 0, NULL },
};

static void on_hello(void *arg, const cJSON *result, const struct sc_err *err)
{
    (void)arg;
    (void)result;
    if (err->code)
        sc_logf(SC_LOG_WARN, "controller.hello", "%s", err->text);
    else
        sc_log(SC_LOG_INFO, "controller.up", NULL);
}

static void on_up(void *ctx, struct rpc_conn *conn)
{
    struct netd *d = ctx;
    cJSON *hello = cJSON_CreateObject();
    cJSON_AddStringToObject(hello, "program", "sc-network");
    cJSON_AddStringToObject(hello, "node_id",
                            d->config->node_id ? d->config->node_id : "");
    cJSON_AddStringToObject(hello, "version", SC_VERSION);
    cJSON_AddStringToObject(hello, "address",
                            d->config->address ? d->config->address : "");
    rpc_call(d->loop, conn, "hello", hello, HELLO_TIMEOUT_MS, on_hello, d);
}

/* The switches go on, and so do we, by what we know. */
static void on_down(void *ctx, struct rpc_conn *conn, const struct sc_err *why)
{
    (void)ctx;
    (void)conn;
    sc_logf(SC_LOG_WARN, "controller.down", "%s", why ? why->text : "");
}

/* An attempt to connect failed; the client goes on trying. */
static void on_trouble(void *ctx, const struct sc_err *why)
{
    (void)ctx;
    sc_logf(SC_LOG_WARN, "controller.unreachable", "%s", why->text);
}

int netd_rpc_open(struct netd *d, struct sc_err *err)
{
    const struct sc_config *c = d->config;
    SC_AUTO(free) char *ca = sc_path(c->pki_dir, "ca.crt");
    SC_AUTO(free) char *cert = sc_path(c->pki_dir, "network.crt");
    SC_AUTO(free) char *key = sc_path(c->pki_dir, "network.key");
    struct rpc_ws_options o = { .host = c->controller_host,
                                .port = c->controller_port,
                                .path = "/rpc",
                                .ca_file = ca,
                                .cert_file = cert,
                                .key_file = key };
    d->service = (struct rpc_service){ .methods = methods,
                                       .ctx = d,
                                       .up = on_up,
                                       .down = on_down,
                                       .trouble = on_trouble };
    if (!ca || !cert || !key)
        return sc_fail(err, -ENOMEM, "sc-network: out of memory");
    return rpc_ws_client_new(d->loop, &o, &d->service, &d->controller, err);
}

void netd_port_seen(struct netd *d, const struct net_port *p, uint16_t nid)
{
    struct rpc_conn *conn = rpc_client_conn(d->controller);
    char mac[MAC_LEN + 1], ip[IP4_LEN + 1], text[8];
    mac_format(p->mac, mac);
    ip4_format(p->ip, ip);
    snprintf(text, sizeof text, "%u", nid);
    sc_log(SC_LOG_INFO, "port.seen", "port", p->id, "nid", text, "mac", mac,
           NULL);
    if (!conn)
        return; /* The controller asks the nodes when it is back. */
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "port_id", p->id);
    cJSON_AddNumberToObject(j, "nid", nid);
    cJSON_AddStringToObject(j, "ip", ip);
    cJSON_AddStringToObject(j, "mac", mac);
    if (rpc_notify(conn, "net.port_seen", j) < 0)
        sc_log(SC_LOG_WARN, "controller.notify", "method", "net.port_seen",
               NULL);
}
