/* ports - a VM's interfaces on the switch of this node. */
#include "common/log.h"
#include "node/node.h"
#include "node/ovs.h"

#include <stdio.h>
#include <string.h>

enum { SWITCH_RETRY_MS = 2000 };

static void again(void *arg)
{
    struct node *n = arg;
    sc_source_free(SC_TAKE(n->switch_retry));
    ports_bridge(n);
    ports_retain(n);
    ports_mesh(n);
    for (struct vm *vm = n->vms; vm; vm = vm->next)
        ports_add(vm);
}

/* Every change is by difference, so what failed (a switch that starts slowly or
 * again) is mended by asking for everything once more, a little later. */
static void done(void *arg, const struct sc_err *err)
{
    struct node *n = arg;
    if (err->code == 0 || err->code == -ECANCELED)
        return;
    sc_log(err->code == -ENODEV ? SC_LOG_DEBUG : SC_LOG_WARN, "ovs.retry",
           "msg", err->text, NULL);
    if (err->code != -ENODEV && !n->switch_retry)
        (void)!sc_loop_add_timer(n->loop, SWITCH_RETRY_MS, 0, again, n,
                                 &n->switch_retry);
}

void ports_bridge(struct node *n)
{
    const struct sc_config *c = n->config;
    SC_AUTO(free) char *ca = sc_path(c->pki_dir, "ca.crt");
    SC_AUTO(free) char *cert = sc_path(c->pki_dir, "node.crt");
    SC_AUTO(free) char *key = sc_path(c->pki_dir, "node.key");
    const char *port = strrchr(c->openflow_listen, ':');
    char controller[320];
    bool v6 = strchr(c->controller_host, ':') != NULL;
    snprintf(controller, sizeof controller, "ssl:%s%s%s%s", v6 ? "[" : "",
             c->controller_host, v6 ? "]" : "", port ? port : ":6653");
    struct ovs_bridge b = { .name = c->bridge,
                            .datapath = c->datapath,
                            .nid = c->nid,
                            .controller = controller,
                            .ca_file = ca,
                            .cert_file = cert,
                            .key_file = key };
    if (n->ovs)
        ovs_ensure_bridge(n->ovs, &b, done, n);
}

void ports_add(struct vm *vm)
{
    for (unsigned i = 0; vm->node->ovs && i < vm->spec.n_ports; i++) {
        char ifname[OVS_IFNAME_LEN + 1];
        ovs_ifname(vm->spec.ports[i].id, ifname);
        struct ovs_port p = { ifname, vm->spec.ports[i].id, vm->spec.id };
        ovs_add_port(vm->node->ovs, &p, done, vm->node);
    }
}

void ports_del(struct vm *vm)
{
    for (unsigned i = 0; vm->node->ovs && i < vm->spec.n_ports; i++) {
        char ifname[OVS_IFNAME_LEN + 1];
        ovs_ifname(vm->spec.ports[i].id, ifname);
        ovs_del_port(vm->node->ovs, ifname, done, vm->node);
    }
}

void ports_retain(struct node *n)
{
    char names[256][OVS_IFNAME_LEN + 1];
    const char *list[256];
    size_t len = 0;
    for (struct vm *vm = n->vms; vm; vm = vm->next)
        for (unsigned i = 0; i < vm->spec.n_ports && len < 256; i++) {
            ovs_ifname(vm->spec.ports[i].id, names[len]);
            list[len] = names[len];
            len++;
        }
    if (n->ovs && len < 256) /* Too many to be sure: nothing is removed. */
        ovs_retain_ports(n->ovs, list, len, done, n);
}

void ports_mesh(struct node *n)
{
    SC_AUTO(free)
    struct ovs_peer *peers = calloc(n->n_peers + 1, sizeof *peers);
    size_t len = 0;
    for (size_t i = 0; peers && i < n->n_peers; i++)
        if (strcmp(n->peers[i].node_id, n->config->node_id) != 0)
            peers[len++] =
                (struct ovs_peer){ n->peers[i].nid, n->peers[i].address };
    if (n->ovs && peers)
        ovs_set_mesh(n->ovs, peers, len, done, n);
}
