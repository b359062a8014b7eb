/* node - the daemon's state put together and taken apart. */
#include "node/node.h"

#include "common/log.h"
#include "node/notices.h"
#include "node/ovs.h"
#include "node/probe.h"
#include "node/probes.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    PROBES_FIRST_MS = 5000,
    PROBES_PERIOD_MS = 3600000,
    PROBES_LIMIT_MS = 120000,
};

static const struct rpc_method no_methods[] = { { NULL, 0, NULL } };

void node_answer_end(struct rpc_request *req)
{
    if (req)
        rpc_failf(req, -ESHUTDOWN, "sc-node ends");
}

void node_notify(struct node *n, const char *method, cJSON *params)
{
    struct rpc_conn *conn = rpc_client_conn(n->controller);
    if (conn)
        rpc_notify(conn, method, params);
    else
        cJSON_Delete(params);
}

/* sc-storage is there (again): it may have forgotten what was open. */
static void storage_up(void *arg, struct rpc_conn *conn)
{
    struct node *n = arg;
    (void)conn;
    sc_log(SC_LOG_INFO, "storage.up", NULL);
    for (struct vm *vm = n->vms; vm && n->recovered; vm = vm->next)
        if (vm->phase == VM_RUNNING && !vm->out && !vm->in)
            vm_reattach(vm);
}

static void storage_down(void *arg, struct rpc_conn *conn,
                         const struct sc_err *why)
{
    (void)arg, (void)conn;
    sc_log(SC_LOG_WARN, "storage.down", "msg", why ? why->text : "", NULL);
}

static void controller_trouble(void *arg, const struct sc_err *why)
{
    (void)arg;
    sc_log(SC_LOG_WARN, "controller.connect", "msg", why->text, NULL);
}

static int open_tls(struct node *n, struct sc_err *err)
{
    const char *pki = n->config->pki_dir;
    SC_AUTO(free) char *ca = sc_path(pki, "ca.crt");
    SC_AUTO(free) char *cert = sc_path(pki, "node.crt");
    SC_AUTO(free) char *key = sc_path(pki, "node.key");
    if (!ca || !cert || !key)
        return sc_fail(err, -ENOMEM, "sc-node: out of memory");
    int r = tls_ctx_new(ca, cert, key, &n->tls, err);
    if (r < 0)
        return r;
    n->controller_service =
        (struct rpc_service){ .methods = node_methods,
                              .ctx = n,
                              .up = beat_controller_up,
                              .down = beat_controller_down,
                              .trouble = controller_trouble };
    struct rpc_ws_options o = { .host = n->config->controller_host,
                                .port = n->config->controller_port,
                                .path = "/rpc",
                                .ca_file = ca,
                                .cert_file = cert,
                                .key_file = key };
    return rpc_ws_client_new(n->loop, &o, &n->controller_service,
                             &n->controller, err);
}

static int open_storage(struct node *n, struct sc_err *err)
{
    SC_AUTO(free) char *path = sc_path(n->config->run_dir, "sc-storage.sock");
    if (!path)
        return sc_fail(err, -ENOMEM, "sc-node: out of memory");
    n->storage_service = (struct rpc_service){
        .methods = no_methods, .ctx = n, .up = storage_up, .down = storage_down
    };
    return rpc_unix_client_new(n->loop, path, &n->storage_service, &n->storage,
                               err);
}

/* The hypervisor of the configuration; an instance whose Xen did not come up
 * still serves with QEMU, and says so. */
static int open_hypervisor(struct node *n, struct sc_err *err)
{
    const char *driver = n->config->hypervisor;
    n->hv_events = (struct hv_events){ n, recover_adopted, recover_ready,
                                       vm_gone, console_attach };
    struct hv_options o = {
        .loop = n->loop,
        .run_dir = n->config->run_dir,
        .reserved_mib = n->config->reserved_mib,
        .plain_checksums = !strcmp(n->config->datapath, "netdev"),
        .events = &n->hv_events,
    };
    snprintf(n->boot_mode, sizeof n->boot_mode, "%s",
             !strcmp(driver, "xen") ? "xen" : "plain");
    int r = hv_open(driver, &o, &n->hv, err);
    if (r < 0 && !strcmp(driver, "xen")) {
        struct sc_err why = *err;
        sc_log(SC_LOG_ERROR, "hypervisor.open", "msg", why.text, NULL);
        snprintf(n->boot_mode, sizeof n->boot_mode, "fallback");
        snprintf(n->boot_reason, sizeof n->boot_reason, "%s", why.text);
        r = hv_open("qemu", &o, &n->hv, err);
    }
    if (r == 0)
        beat_boot(n);
    return r;
}

static int open_switch(struct node *n, struct sc_err *err)
{
    const struct sc_config *c = n->config;
    if (!strcmp(hv_driver(n->hv), "fake"))
        return 0; /* Its guests have no interfaces. */
    int r = ovs_new(n->loop, c->ovsdb, &n->ovs, err);
    if (r < 0)
        return r;
    ports_bridge(n);
    return 0;
}

static void tell_notice(void *node, cJSON *params)
{
    node_notify(node, "node.notice", params);
}

static int open_notices(struct node *n, struct sc_err *err)
{
    struct notices_options o = {
        .loop = n->loop,
        .metadata = n->config->metadata,
        .endpoint = n->config->metadata_endpoint,
        .tell = tell_notice,
        .arg = n,
    };
    return notices_new(&o, &n->notices, err);
}

static int open_probes(struct node *n, struct sc_err *err)
{
    struct probes_options o = {
        .loop = n->loop,
        .program = "/proc/self/exe",
        .first_ms = PROBES_FIRST_MS,
        .period_ms = PROBES_PERIOD_MS,
        .limit_ms = PROBES_LIMIT_MS,
        .ask = beat_probes_ask,
        .tell = beat_probes_tell,
        .arg = n,
    };
    return probes_new(&o, &n->probes, err);
}

static int open_all(struct node *n, struct sc_err *err)
{
    const struct sc_config *c = n->config;
    SC_AUTO(free) char *state = sc_path(c->state_dir, "node");
    if (!state)
        return sc_fail(err, -ENOMEM, "sc-node: out of memory");
    mkdir(c->run_dir, 0755);
    mkdir(c->state_dir, 0755);
    int r = records_open(state, &n->records, err);
    if (r == 0)
        r = recover_begin(n, err);
    if (r == 0)
        r = open_hypervisor(n, err);
    if (r == 0)
        r = open_tls(n, err);
    if (r == 0)
        r = open_storage(n, err);
    if (r == 0)
        r = open_switch(n, err);
    if (r == 0)
        r = mig_listener_new(n, &n->listener, err);
    if (r == 0)
        r = probe_new(n, &n->probe, err);
    if (r == 0)
        r = open_notices(n, err);
    if (r == 0)
        r = open_probes(n, err);
    if (r == 0) {
        n->local_service =
            (struct rpc_service){ .methods = node_methods, .ctx = n };
        r = sc_control_new(n->loop, c, "sc-node", &n->local_service,
                           beat_status, NULL, n, &n->control, err);
    }
    return r;
}

int node_new(struct sc_loop *loop, const struct sc_config *c, struct node **ret,
             struct sc_err *err)
{
    SC_AUTO(node_free) struct node *n = calloc(1, sizeof *n);
    if (!n)
        return sc_fail(err, -ENOMEM, "sc-node: out of memory");
    n->loop = loop;
    n->config = c;
    int r = open_all(n, err);
    if (r < 0)
        return r;
    *ret = SC_TAKE(n);
    return 0;
}

void node_free(struct node *n)
{
    if (!n)
        return;
    mig_listener_free(n->listener);
    hv_close(n->hv); /* First: no 'done' runs any more. */
    for (struct vm *vm = n->vms; vm; vm = vm->next) {
        mig_out_free(vm->out);
        mig_in_free(vm->in);
    }
    while (n->vms)
        vm_free(n->vms);
    sc_control_free(n->control); /* Those who wait were answered above. */
    sc_source_free(n->beat_timer);
    sc_source_free(n->switch_retry);
    ovs_free(n->ovs);
    rpc_client_free(SC_TAKE(n->storage));
    rpc_client_free(SC_TAKE(n->controller));
    probe_free(n->probe);
    notices_free(n->notices);
    probes_free(n->probes);
    recover_free(n);
    records_close(n->records);
    tls_ctx_free(n->tls);
    console_sessions_free(n, NULL);
    free(n->peers);
    free(n);
}
