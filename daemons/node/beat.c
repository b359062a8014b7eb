/* beat - what this node tells the controller unasked, and its peers. */
#include "common/log.h"
#include "node/node.h"
#include "node/notices.h"
#include "node/probe.h"
#include "node/probes.h"
#include "node/probes_measure.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

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

/* --- probes ---------------------------------------------------------------
 */
static uint64_t clock_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static uint64_t mono_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

/* 'time_ms': the controller's clock, somewhere between hello and its answer. */
static void note_clock(struct node *n, int64_t time_ms)
{
    uint64_t now = mono_us();
    n->clock_heard = time_ms > 0;
    n->clock_round_trip_us = now - n->hello_at_us;
    n->clock_offset_us = time_ms * 1000 + 500 -
                         (int64_t)(n->hello_at_us + n->clock_round_trip_us / 2);
}

static void add_peers(const struct node *n, cJSON *list)
{
    for (size_t i = 0; i < n->n_peers; i++) {
        const struct node_peer *p = &n->peers[i];
        if (p->nid == n->config->nid || !p->up)
            continue;
        cJSON *o = cJSON_CreateObject();
        json_set_strf(o, "name", "node %u", p->nid);
        cJSON_AddStringToObject(o, "address", p->address);
        cJSON_AddNumberToObject(o, "port", p->probe_port);
        cJSON_AddItemToArray(list, o);
        if (cJSON_GetArraySize(list) == PROBES_PEERS_MAX)
            return;
    }
}

cJSON *beat_probes_ask(void *node)
{
    struct node *n = node;
    const uint8_t *nonce = probe_nonce(n->probe);
    char hex[2 * PROBE_NONCE + 1] = "";
    cJSON *o = cJSON_CreateObject();
    for (int i = 0; i < PROBE_NONCE; i++)
        snprintf(hex + (size_t)i * 2, 3, "%02x", nonce[i]);
    cJSON_AddStringToObject(o, "hypervisor", hv_driver(n->hv));
    cJSON_AddStringToObject(o, "state_dir", n->config->state_dir);
    cJSON_AddStringToObject(o, "address", n->config->address);
    cJSON_AddNumberToObject(o, "nid", n->config->nid);
    cJSON_AddStringToObject(o, "nonce", hex);
    add_peers(n, cJSON_AddArrayToObject(o, "peers"));
    if (n->clock_heard) {
        /* Ours may have been set since. */
        int64_t ours = (int64_t)(clock_us(CLOCK_REALTIME) - mono_us());
        cJSON *c = cJSON_AddObjectToObject(o, "clock");
        cJSON_AddNumberToObject(c, "offset_us",
                                (double)(n->clock_offset_us - ours));
        json_set_u64(c, "round_trip_us", n->clock_round_trip_us);
    }
    return o;
}

void beat_probes_tell(void *node, cJSON *report)
{
    const cJSON *p;
    cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(report, "probes"))
    {
        const char *name =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "name"));
        const char *value =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "value"));
        bool ok = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(p, "ok"));
        sc_log(ok ? SC_LOG_INFO : SC_LOG_WARN, "probe", "name",
               name ? name : "", "msg", value ? value : "", NULL);
    }
    node_notify(node, "node.probes", report);
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
    cJSON *report = probes_report(n->probes);
    if (report)
        cJSON_AddItemToObject(p, "probes", report);
    n->hello_at_us = mono_us();
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
    note_clock(n, json_int_or(&r, "time_ms", 0, INT64_C(1) << 52, 0));
    notices_again(n->notices);
    probes_begin(n->probes);
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
