/* beat - what this node tells the controller unasked, and its peers. */
#include "common/log.h"
#include "node/node.h"
#include "node/notices.h"
#include "node/probe.h"

#include <stdio.h>
#include <string.h>

enum { HELLO_MS = 15000, BEAT_MIN_MS = 200, BEAT_MAX_MS = 60000 };

static void hello_done(void *arg, const cJSON *result,
                       const struct sc_err *err);

static void add_host(struct node *n, cJSON *p, bool all)
{
    struct hv_host host = { 0 };
    struct sc_err e = { 0 };
    if (hv_host_info(n->hv, &host, &e) < 0)
        sc_log(SC_LOG_ERROR, "hypervisor.info", "msg", e.text, NULL);
    if (all) {
        cJSON_AddNumberToObject(p, "cpus", host.cpus);
        json_set_u64(p, "memory_mib", host.memory_mib);
    }
    json_set_u64(p, "memory_free_mib", host.memory_free_mib);
}

static cJSON *vm_list(struct node *n)
{
    cJSON *list = cJSON_CreateArray();
    for (struct vm *vm = n->vms; vm; vm = vm->next) {
        if (vm->phase == VM_INCOMING)
            continue;
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "vm_id", vm->spec.id);
        json_set_u64(o, "epoch", vm->spec.epoch);
        cJSON_AddStringToObject(o, "state", vm_phase_name(vm->phase));
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

static void beat(void *arg)
{
    struct node *n = arg;
    double load = 0;
    if (!n->recovered)
        return; /* An empty list would be a lie. */
    cJSON *p = cJSON_CreateObject();
    add_host(n, p, false);
    if (getloadavg(&load, 1) == 1)
        cJSON_AddNumberToObject(p, "load", load);
    cJSON_AddItemToObject(p, "vms", vm_list(n));
    cJSON_AddItemToObject(p, "rtt", probe_report(n->probe));
    node_notify(n, "node.heartbeat", p);
}

/* "<run_dir>/boot.json" is written by the appliance when it boots. */
void beat_boot(struct node *n)
{
    SC_AUTO(free) char *path = sc_path(n->config->run_dir, "boot.json");
    SC_AUTO(free) char *text = NULL;
    if (!path || tls_read_file(path, &text, NULL) < 0)
        return;
    SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(text);
    struct json_reader r = json_read(o, path);
    const char *mode = json_str(&r, "mode", 1, sizeof n->boot_mode - 1);
    const char *reason = json_str_or(&r, "reason", SC_ERR_TEXT - 1, "");
    if (json_done(&r, NULL) < 0)
        return;
    snprintf(n->boot_mode, sizeof n->boot_mode, "%s", mode);
    if (*reason)
        snprintf(n->boot_reason, sizeof n->boot_reason, "%s", reason);
}

void beat_controller_up(void *node, struct rpc_conn *conn)
{
    struct node *n = node;
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "program", "sc-node");
    cJSON_AddStringToObject(p, "node_id", n->config->node_id);
    cJSON_AddStringToObject(p, "version", SC_VERSION);
    cJSON_AddStringToObject(p, "address", n->config->address);
    cJSON *boot = cJSON_AddObjectToObject(p, "boot");
    cJSON_AddStringToObject(boot, "mode", n->boot_mode);
    cJSON_AddStringToObject(boot, "reason", n->boot_reason);
    cJSON_AddStringToObject(p, "hypervisor", hv_driver(n->hv));
    add_host(n, p, true);
    rpc_call(n->loop, conn, "hello", p, HELLO_MS, hello_done, n);
}

static void hello_done(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct node *n = arg;
    struct rpc_conn *conn = rpc_client_conn(n->controller);
    if (!result) {
        sc_log(SC_LOG_ERROR, "controller.hello", "msg", err->text, NULL);
        if (conn)
            rpc_conn_close(conn); /* Tried again with the connection. */
        return;
    }
    struct json_reader r = json_read(result, "hello's answer");
    n->heartbeat_ms = (uint64_t)json_int_or(&r, "heartbeat_ms", BEAT_MIN_MS,
                                            BEAT_MAX_MS, 2000);
    sc_log(SC_LOG_INFO, "controller.up", "node", n->config->name, NULL);
    notices_again(n->notices);
    sc_source_free(SC_TAKE(n->beat_timer));
    if (sc_loop_add_timer(n->loop, 0, n->heartbeat_ms, beat, n,
                          &n->beat_timer) < 0)
        sc_log(SC_LOG_ERROR, "controller.hello", "msg", "no timer", NULL);
}

void beat_controller_down(void *node, struct rpc_conn *conn,
                          const struct sc_err *why)
{
    struct node *n = node;
    (void)conn;
    sc_log(SC_LOG_WARN, "controller.down", "msg", why ? why->text : "", NULL);
    sc_source_free(SC_TAKE(n->beat_timer));
    console_sessions_free(n, NULL);
}

/* --- peers ---------------------------------------------------------------- */
static bool peer_decode(const cJSON *o, struct node_peer *ret)
{
    struct json_reader r = json_read(o, "peers");
    struct node_peer p = { 0 };
    snprintf(p.node_id, sizeof p.node_id, "%s",
             json_str(&r, "node_id", SC_UUID_LEN, SC_UUID_LEN));
    p.nid = (uint16_t)json_int(&r, "nid", 1, 65535);
    snprintf(p.address, sizeof p.address, "%s",
             json_str(&r, "address", 1, sizeof p.address - 1));
    p.up = json_bool_or(&r, "up", true);
    const cJSON *ports = cJSON_GetObjectItemCaseSensitive(o, "ports");
    struct json_reader q = json_read(ports, "peers.ports");
    p.probe_port =
        ports ? (uint16_t)json_int_or(&q, "probe", 1, 65535, 7481) : 7481;
    if (json_done(&r, NULL) < 0)
        return false;
    *ret = p;
    return true;
}

void beat_peers(struct node *n, const cJSON *params)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(params, "peers"), *o;
    int len = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || len > NODE_PEERS_MAX)
        return;
    struct node_peer *peers = calloc((size_t)len + 1, sizeof *peers);
    size_t n_peers = 0;
    if (!peers)
        return;
    cJSON_ArrayForEach(o, list)
    {
        if (peer_decode(o, &peers[n_peers]))
            n_peers++;
        else
            sc_log(SC_LOG_WARN, "peers", "msg", "one is not understood", NULL);
    }
    free(n->peers);
    n->peers = peers;
    n->n_peers = n_peers;
    ports_mesh(n);
    probe_peers_changed(n->probe);
}

const struct node_peer *node_peer_find(const struct node *n,
                                       const char *node_id)
{
    for (size_t i = 0; i < n->n_peers; i++)
        if (!strcmp(n->peers[i].node_id, node_id))
            return &n->peers[i];
    return NULL;
}

cJSON *beat_status(void *node)
{
    struct node *n = node;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "node_id", n->config->node_id);
    cJSON_AddStringToObject(o, "hypervisor", hv_driver(n->hv));
    cJSON_AddBoolToObject(o, "recovered", n->recovered);
    cJSON_AddBoolToObject(o, "controller",
                          rpc_client_conn(n->controller) != NULL);
    cJSON_AddBoolToObject(o, "storage", rpc_client_conn(n->storage) != NULL);
    add_host(n, o, true);
    cJSON_AddItemToObject(o, "vms", vm_list(n));
    cJSON_AddItemToObject(o, "rtt", probe_report(n->probe));
    cJSON_AddItemToObject(o, "notice", notices_status(n->notices));
    return o;
}
