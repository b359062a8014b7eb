/* Tenant networks: free addresses, and what sc-network is told. */
#include "controller/ctl.h"
#include "model/network.h"

static bool ip_taken(struct ctl *ctl, const struct network *n, const char *ip)
{
    if (!strcmp(n->gateway, ip) || !strcmp(n->dns, ip))
        return true;
    for (size_t i = 0; i < ctl->vms.n; i++) {
        const struct vm *v = ctl->vms.items[i];
        for (uint32_t p = 0; p < v->n_ports; p++) {
            if (!strcmp(v->ports[p].network, n->id) &&
                !strcmp(v->ports[p].ip, ip))
                return true;
        }
    }
    return false;
}

int ctl_network_take_ip(struct ctl *ctl, const struct network *n, char ret[16],
                        struct sc_err *err)
{
    uint32_t start = 0, end = 0;
    char ip[16];
    if (!network_ip_parse(n->dhcp_start, &start) ||
        !network_ip_parse(n->dhcp_end, &end))
        return sc_fail(err, -EINVAL, "network '%s': bad range", n->name);
    for (uint32_t a = start; a <= end; a++) {
        network_ip_format(a, ip);
        if (!ip_taken(ctl, n, ip)) {
            memcpy(ret, ip, 16);
            return 0;
        }
    }
    return sc_fail(err, -ENOSPC,
                   "network '%s': no address is free between %s and %s",
                   n->name, n->dhcp_start, n->dhcp_end);
}

/* --- telling sc-network ------------------------------------------------------
 */

cJSON *ctl_net_node_json(const struct ctl_node *n)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "node_id", n->n.id);
    json_set_u64(j, "nid", n->n.nid);
    cJSON_AddStringToObject(j, "name", n->n.name);
    cJSON_AddStringToObject(j, "region", n->n.region);
    cJSON_AddStringToObject(j, "address", n->n.address);
    cJSON_AddBoolToObject(j, "up", n->n.state == NODE_UP);
    return j;
}

cJSON *ctl_net_network_json(const struct network *n)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "id", n->id);
    cJSON_AddStringToObject(j, "name", n->name);
    json_set_u64(j, "vni", n->vni);
    cJSON_AddStringToObject(j, "cidr", n->cidr);
    cJSON_AddStringToObject(j, "gateway", n->gateway);
    cJSON_AddStringToObject(j, "dns", n->dns);
    json_set_u64(j, "mtu", n->mtu);
    cJSON_AddStringToObject(j, "dhcp_start", n->dhcp_start);
    cJSON_AddStringToObject(j, "dhcp_end", n->dhcp_end);
    return j;
}

cJSON *ctl_net_port_json(struct ctl *ctl, const struct vm *v,
                         const struct vm_port *p)
{
    (void)ctl;
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "id", p->id);
    cJSON_AddStringToObject(j, "network_id", p->network);
    cJSON_AddStringToObject(j, "vm_id", v->id);
    cJSON_AddStringToObject(j, "mac", p->mac);
    cJSON_AddStringToObject(j, "ip", p->ip);
    json_set_u64(j, "nid", v->nid);
    return j;
}

void ctl_net_tell_ports(struct ctl *ctl, const struct vm *v)
{
    for (uint32_t i = 0; i < v->n_ports; i++)
        ctl->env.notify(ctl->env.ctx, 0, PROGRAM_NETWORK, "net.port_set",
                        ctl_net_port_json(ctl, v, &v->ports[i]));
}

void ctl_net_tell_state(struct ctl *ctl)
{
    cJSON *j = cJSON_CreateObject();
    cJSON *nodes = cJSON_AddArrayToObject(j, "nodes");
    for (size_t i = 0; i < ctl->nodes.n; i++)
        cJSON_AddItemToArray(nodes, ctl_net_node_json(ctl->nodes.items[i]));
    cJSON *networks = cJSON_AddArrayToObject(j, "networks");
    for (size_t i = 0; i < ctl->networks.n; i++)
        cJSON_AddItemToArray(networks,
                             ctl_net_network_json(ctl->networks.items[i]));
    cJSON *ports = cJSON_AddArrayToObject(j, "ports");
    for (size_t i = 0; i < ctl->vms.n; i++) {
        const struct vm *v = ctl->vms.items[i];
        for (uint32_t p = 0; p < v->n_ports; p++)
            cJSON_AddItemToArray(ports,
                                 ctl_net_port_json(ctl, v, &v->ports[p]));
    }
    ctl->env.notify(ctl->env.ctx, 0, PROGRAM_NETWORK, "net.state", j);
    ctl->latency_changed_at = ctl_now(ctl);
    ctl->latency_told_at = 0;
}
