/* How: libopenvswitch's poll loop is the outer one; it also watches the
 * descriptor of our sd-event loop, where the controller's connection and the
 * control socket live. */
#include "network/netd.h"

#include "common/tls.h"

#include <systemd/sd-daemon.h>

enum { TURN_MS = 500 }; /* The longest sleep: spoof packets, ages. */

static void out_flow(void *arg, uint16_t nid, bool add,
                     const struct net_flow *f)
{
    of_server_flow(((struct netd *)arg)->of, nid, add, f);
}

static void out_packet(void *arg, uint16_t nid, const char *actions,
                       const void *frame, size_t size)
{
    of_server_packet(((struct netd *)arg)->of, nid, actions, frame, size);
}

static void out_sync(void *arg, uint16_t nid)
{
    of_server_sync(((struct netd *)arg)->of, nid);
}

static uint64_t out_random(void *arg)
{
    uint64_t v = 0;
    (void)arg;
    if (tls_random(&v, sizeof v) < 0)
        return 0; /* A nonce of 0 is never believed: no link, not a false one.
                   */
    return v | 1;
}

static void out_port_seen(void *arg, const struct net_port *p, uint16_t nid)
{
    netd_port_seen(arg, p, nid);
}

static cJSON *on_status(void *arg)
{
    struct netd *d = arg;
    cJSON *j = network_dump(d->network, false);
    cJSON_AddBoolToObject(j, "controller",
                          rpc_client_conn(d->controller) != NULL);
    return j;
}

static cJSON *on_dump(void *arg)
{
    return network_dump(((struct netd *)arg)->network, true);
}

int netd_open(struct netd *d, struct sc_loop *loop, const struct sc_config *c,
              struct sc_err *err)
{
    SC_AUTO(free) char *ca = sc_path(c->pki_dir, "ca.crt");
    SC_AUTO(free) char *cert = sc_path(c->pki_dir, "network.crt");
    SC_AUTO(free) char *key = sc_path(c->pki_dir, "network.key");
    struct of_server_options o = { .listen = c->openflow_listen,
                                   .ca_file = ca,
                                   .cert_file = cert,
                                   .key_file = key };
    struct net_out out = { d,        out_flow,   out_packet,
                           out_sync, out_random, out_port_seen };
    *d = (struct netd){ .loop = loop, .config = c };
    if (!ca || !cert || !key)
        return sc_fail(err, -ENOMEM, "sc-network: out of memory");
    int r = of_server_new(&o, &d->of, err);
    if (r < 0)
        return r;
    d->network = network_new(&out);
    of_server_set_network(d->of, d->network);
    r = netd_rpc_open(d, err);
    if (r < 0)
        return r;
    return sc_control_new(loop, c, "sc-network", NULL, on_status, on_dump, d,
                          &d->control, err);
}

void netd_run(struct netd *d)
{
    sd_notify(0, "READY=1");
    while (sc_loop_run_once(d->loop, 0)) {
        of_server_run(d->of);
        network_tick(d->network, of_server_now());
        of_server_flush(d->of);
        of_server_wait(d->of);
        of_server_block(sc_loop_fd(d->loop), TURN_MS);
    }
    sd_notify(0, "STOPPING=1");
}

void netd_close(struct netd *d)
{
    sc_control_free(d->control);
    rpc_client_free(d->controller);
    of_server_free(d->of);
    network_free(d->network);
}
