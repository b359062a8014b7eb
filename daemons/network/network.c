/* How: objects in arrays, found by network_index.c.  A change of an object
 * makes the switches it touches compute their BASE flows anew; only the
 * difference is sent. */
#include "network/network_state.h"

#include <stdio.h>

/* --- lookups -------------------------------------------------------------- */

struct nswitch *net_switch_get(const struct network *n, uint16_t nid)
{
    for (size_t i = 0; i < n->n_switches; i++) {
        if (n->switches[i]->nid == nid)
            return n->switches[i];
    }
    return NULL;
}

const struct net_switch_port *net_switch_port_named(const struct nswitch *s,
                                                    const char *name)
{
    for (size_t i = 0; s && i < s->n_ports; i++) {
        if (strcmp(s->ports[i].name, name) == 0)
            return &s->ports[i];
    }
    return NULL;
}

const struct net_switch_port *net_switch_port_get(const struct nswitch *s,
                                                  uint32_t ofport)
{
    for (size_t i = 0; s && i < s->n_ports; i++) {
        if (s->ports[i].ofport == ofport)
            return &s->ports[i];
    }
    return NULL;
}

uint32_t net_vport_ofport(const struct network *n, const struct vport *v)
{
    const struct net_switch_port *p =
        net_switch_port_named(net_switch_get(n, v->place), v->cfg.ifname);
    return p ? p->ofport : 0;
}

bool net_vport_allowed(const struct vport *v, uint16_t nid)
{
    return nid == v->cfg.nid ||
           (v->mig_to && (nid == v->mig_from || nid == v->mig_to));
}

uint16_t network_nid_of(const struct network *n, const char *node_id)
{
    for (size_t i = 0; i < n->n_nodes; i++) {
        if (strcmp(n->nodes[i].id, node_id) == 0)
            return n->nodes[i].nid;
    }
    return 0;
}

bool network_has_state(const struct network *n)
{
    return n->has_state;
}

/* --- BASE flows ----------------------------------------------------------- */

static void base_of_guest(struct network *n, const struct nswitch *s,
                          const struct net_switch_port *p, struct flow_list *l)
{
    const struct vport *v = net_vport_by_ifname(n, p->name);
    const struct net_network *net = v ? net_network_of(n, v) : NULL;
    if (!net || !net_vport_allowed(v, s->nid))
        return; /* Its packets meet table 0's miss: dropped. */
    enum flow_prepare prepare = !v->mig_to || v->place == s->nid ? PREPARE_NOT
                                : v->mig_to == s->nid            ? PREPARE_TURN
                                                                 : PREPARE_TELL;
    flows_guest(l, p->ofport, &v->cfg, net, prepare);
    if (v->place == s->nid) {
        flows_deliver(l, 0, p->ofport, &v->cfg, net);
    } else if (v->mig_to == s->nid) {
        /* Not there yet, but a switch that hears of the move before this one
         * already sends here; guests beside it still reach the old place. */
        for (size_t i = 0; i < s->n_ports; i++) {
            if (net_tunnel_nid(s->ports[i].name))
                flows_deliver(l, s->ports[i].ofport, p->ofport, &v->cfg, net);
        }
    }
}

static void base_of(struct network *n, const struct nswitch *s,
                    struct flow_list *l)
{
    flows_switch(l);
    for (size_t i = 0; i < s->n_ports; i++) {
        if (net_tunnel_nid(s->ports[i].name))
            flows_tunnel(l, s->ports[i].ofport);
        else
            base_of_guest(n, s, &s->ports[i], l);
    }
    qsort(l->v, l->n, sizeof *l->v, flow_compare_key);
}

void net_refresh(struct network *n, uint16_t nid)
{
    struct nswitch *s = net_switch_get(n, nid);
    struct flow_list now = { 0 };
    size_t i = 0, j = 0;
    if (!s || !n->has_state)
        return;
    base_of(n, s, &now);
    /* Adds before deletes: make before break. */
    for (; j < now.n; j++) {
        while (i < s->base.n && flow_compare_key(&s->base.v[i], &now.v[j]) < 0)
            i++;
        bool same = i < s->base.n &&
                    flow_compare_key(&s->base.v[i], &now.v[j]) == 0 &&
                    strcmp(s->base.v[i].actions, now.v[j].actions) == 0;
        if (!same)
            n->out.flow(n->out.arg, nid, true, &now.v[j]);
    }
    for (i = j = 0; i < s->base.n; i++) {
        while (j < now.n && flow_compare_key(&now.v[j], &s->base.v[i]) < 0)
            j++;
        if (j == now.n || flow_compare_key(&now.v[j], &s->base.v[i]) != 0)
            n->out.flow(n->out.arg, nid, false, &s->base.v[i]);
    }
    flow_list_clear(&s->base);
    s->base = now;
}

static void refresh_all(struct network *n)
{
    for (size_t i = 0; i < n->n_switches; i++)
        net_refresh(n, n->switches[i]->nid);
}

void network_wanted(struct network *n, uint16_t nid, struct flow_list *ret)
{
    struct nswitch *s = net_switch_get(n, nid);
    if (!s || !n->has_state)
        return;
    flow_list_clear(&s->base);
    base_of(n, s, &s->base);
    base_of(n, s, ret);
    net_pairs_wanted(n, nid, ret);
}

/* --- objects from the controller ------------------------------------------ */

static void *grow(void *items, size_t n, size_t size)
{
    /* Whole powers of two. */
    if (n & (n - 1))
        return items;
    void *bigger = reallocarray(items, n ? n * 2 : 1, size);
    if (!bigger)
        abort();
    return bigger;
}

void net_vport_move(struct network *n, struct vport *v, uint16_t nid)
{
    const struct net_network *net = net_network_of(n, v);
    uint16_t old = v->place;
    v->place = nid;
    if (!net || old == nid)
        return;
    /* First the new place, then who sends to it, at last the old place, which
     * meanwhile sends on what still comes. */
    struct net_flow stale = flow_forward(net->vni, v->cfg.mac, 0);
    if (net_switch_get(n, nid))
        n->out.flow(n->out.arg, nid, false, &stale);
    net_refresh(n, nid);
    net_pairs_moved(n, net->vni, v->cfg.mac);
    uint32_t out = nid ? topo_port_to(n->topo, old, nid) : 0;
    if (net_switch_get(n, old)) {
        struct net_flow f = flow_forward(net->vni, v->cfg.mac, out);
        if (out)
            n->out.flow(n->out.arg, old, true, &f);
        f = flow_learned(net->vni, v->cfg.mac);
        n->out.flow(n->out.arg, old, false, &f);
    }
    net_refresh(n, old);
}

static void vport_put(struct network *n, const struct net_port *cfg)
{
    struct vport *v = net_vport_by_id(n, cfg->id);
    if (!v) {
        n->vports = grow(n->vports, n->n_vports, sizeof *n->vports);
        n->vports[n->n_vports++] =
            (struct vport){ .cfg = *cfg, .told = n->states, .place = cfg->nid };
        net_index_added(n);
        net_refresh(n, cfg->nid);
        return;
    }
    const struct net_network *net = net_network_of(n, v);
    uint16_t was = v->cfg.nid;
    bool same = net && mac_eq(v->cfg.mac, cfg->mac) && v->cfg.ip == cfg->ip &&
                strcmp(v->cfg.network_id, cfg->network_id) == 0;
    if (net && !same)
        net_pairs_drop(n, net->vni, v->cfg.mac);
    v->cfg = *cfg;
    v->told = n->states;
    if (!same)
        net_index_drop(n);
    /* During a migration the guest itself says where it is. */
    if (!v->mig_to || !net_vport_allowed(v, v->place))
        net_vport_move(n, v, cfg->nid);
    net_refresh(n, was);
    net_refresh(n, v->place);
    net_refresh(n, cfg->nid);
}

void network_port_del(struct network *n, const char *id)
{
    struct vport *v = net_vport_by_id(n, id);
    if (!v)
        return;
    const struct net_network *net = net_network_of(n, v);
    if (net)
        net_pairs_drop(n, net->vni, v->cfg.mac);
    /* No other switch has anything of it but pairs. */
    const uint16_t nids[] = { v->cfg.nid, v->place, v->mig_from, v->mig_to };
    *v = n->vports[--n->n_vports];
    net_index_drop(n);
    for (size_t i = 0; i < SC_ARRAY_LEN(nids); i++)
        net_refresh(n, nids[i]);
}

static void network_put(struct network *n, const struct net_network *net)
{
    net_index_drop(n);
    for (size_t i = 0; i < n->n_networks; i++) {
        if (strcmp(n->networks[i].id, net->id) == 0) {
            n->networks[i] = *net;
            return;
        }
    }
    n->networks = grow(n->networks, n->n_networks, sizeof *n->networks);
    n->networks[n->n_networks++] = *net;
}

void network_network_del(struct network *n, const char *id)
{
    net_index_drop(n);
    for (size_t i = 0; i < n->n_networks; i++) {
        if (strcmp(n->networks[i].id, id) == 0) {
            n->networks[i] = n->networks[--n->n_networks];
            break;
        }
    }
    refresh_all(n);
    net_pairs_repath(n);
}

static void node_put(struct network *n, const struct net_node *node)
{
    for (size_t i = 0; i < n->n_nodes; i++) {
        if (strcmp(n->nodes[i].id, node->id) == 0) {
            n->nodes[i] = *node;
            return;
        }
    }
    n->nodes = grow(n->nodes, n->n_nodes, sizeof *n->nodes);
    n->nodes[n->n_nodes++] = *node;
}

int network_node_set(struct network *n, const cJSON *j, struct sc_err *err)
{
    struct net_node node;
    int r = net_node_read(j, &node, err);
    if (r == 0 && n->n_nodes >= NET_OBJECTS_MAX)
        r = sc_fail(err, -ENOSPC, "network: too many nodes");
    if (r == 0)
        node_put(n, &node);
    return r;
}

void network_node_del(struct network *n, const char *id)
{
    for (size_t i = 0; i < n->n_nodes; i++) {
        if (strcmp(n->nodes[i].id, id) == 0) {
            n->nodes[i] = n->nodes[--n->n_nodes];
            return;
        }
    }
}

int network_network_set(struct network *n, const cJSON *j, struct sc_err *err)
{
    struct net_network net;
    int r = net_network_read(j, &net, err);
    if (r == 0 && n->n_networks >= NET_OBJECTS_MAX)
        r = sc_fail(err, -ENOSPC, "network: too many networks");
    if (r < 0)
        return r;
    network_put(n, &net);
    refresh_all(n);
    return 0;
}

int network_port_set(struct network *n, const cJSON *j, struct sc_err *err)
{
    struct net_port port;
    int r = net_port_read(j, &port, err);
    if (r == 0 && n->n_vports >= NET_OBJECTS_MAX)
        r = sc_fail(err, -ENOSPC, "network: too many ports");
    if (r == 0)
        vport_put(n, &port);
    return r;
}

/* Reads the whole state once without taking it, so that a fault changes
 * nothing. */
static int state_check(const cJSON *nodes, const cJSON *networks,
                       const cJSON *ports, struct sc_err *err)
{
    struct net_node node;
    struct net_network net;
    struct net_port port;
    const cJSON *j;
    int r = 0;
    cJSON_ArrayForEach(j, nodes) r = r ? r : net_node_read(j, &node, err);
    cJSON_ArrayForEach(j, networks) r = r ? r : net_network_read(j, &net, err);
    cJSON_ArrayForEach(j, ports) r = r ? r : net_port_read(j, &port, err);
    if (!r && (cJSON_GetArraySize(nodes) > NET_OBJECTS_MAX ||
               cJSON_GetArraySize(networks) > NET_OBJECTS_MAX ||
               cJSON_GetArraySize(ports) > NET_OBJECTS_MAX))
        r = sc_fail(err, -ENOSPC, "network: too many objects");
    return r;
}

int network_state_set(struct network *n, const cJSON *state, struct sc_err *err)
{
    struct json_reader reader = json_read(state, "net.state");
    const cJSON *nodes = json_arr(&reader, "nodes"), *j;
    const cJSON *networks = json_arr(&reader, "networks");
    const cJSON *ports = json_arr(&reader, "ports");
    bool first = !n->has_state;
    int r = json_done(&reader, err);
    if (r == 0)
        r = state_check(nodes, networks, ports, err);
    if (r < 0)
        return r;
    n->n_nodes = 0;
    cJSON_ArrayForEach(j, nodes)
    {
        struct net_node node;
        if (net_node_read(j, &node, NULL) == 0)
            node_put(n, &node);
    }
    n->has_state = false; /* Nothing is sent until all is in. */
    n->states++;
    n->n_networks = 0;
    net_index_drop(n);
    cJSON_ArrayForEach(j, networks)
    {
        struct net_network net;
        if (net_network_read(j, &net, NULL) == 0)
            network_put(n, &net);
    }
    cJSON_ArrayForEach(j, ports)
    {
        struct net_port port;
        if (net_port_read(j, &port, NULL) == 0)
            vport_put(n, &port);
    }
    for (size_t i = n->n_vports; i-- > 0;) {
        if (n->vports[i].told != n->states)
            network_port_del(n, n->vports[i].cfg.id);
    }
    n->has_state = true;
    if (first) {
        for (size_t i = 0; i < n->n_switches; i++)
            n->out.sync(n->out.arg, n->switches[i]->nid);
    } else {
        refresh_all(n);
        net_pairs_repath(n);
    }
    return 0;
}

int network_latency_set(struct network *n, const cJSON *params,
                        struct sc_err *err)
{
    struct json_reader r = json_read(params, "net.latency");
    const cJSON *pairs = json_arr(&r, "pairs"), *j;
    int e = json_done(&r, err);
    cJSON_ArrayForEach(j, pairs)
    {
        struct json_reader p = json_read(j, "net.latency: pairs");
        uint16_t a = (uint16_t)json_int(&p, "a", 1, UINT16_MAX);
        uint16_t b = (uint16_t)json_int(&p, "b", 1, UINT16_MAX);
        const cJSON *rtt = cJSON_GetObjectItemCaseSensitive(j, "rtt_ms");
        if (e == 0)
            e = json_done(&p, err);
        if (e == 0 && a != b &&
            topo_latency_set(n->topo, a, b,
                             cJSON_IsNumber(rtt) ? rtt->valuedouble : -1) < 0)
            abort();
    }
    net_pairs_repath(n);
    return e;
}

int network_migrate_prepare(struct network *n, const char *port_id,
                            uint16_t from, uint16_t to, struct sc_err *err)
{
    struct vport *v = net_vport_by_id(n, port_id);
    if (!v)
        return sc_fail(err, -ENOENT, "network: there is no port '%s'", port_id);
    if (!net_switch_get(n, to))
        return sc_fail(err, -EHOSTUNREACH,
                       "network: the switch of node %u is not connected", to);
    uint16_t other = v->mig_to;
    v->mig_from = from;
    v->mig_to = to;
    if (!net_vport_allowed(v, v->place))
        net_vport_move(n, v, from);
    net_refresh(n, other);
    net_refresh(n, to);
    net_refresh(n, from);
    net_pairs_prepare(n, v, to);
    return 0;
}

int network_migrate_end(struct network *n, const char *port_id, uint16_t nid,
                        struct sc_err *err)
{
    struct vport *v = net_vport_by_id(n, port_id);
    if (!v)
        return sc_fail(err, -ENOENT, "network: there is no port '%s'", port_id);
    uint16_t from = v->mig_from, to = v->mig_to, was = v->cfg.nid;
    net_vport_move(n, v, nid);
    v->mig_from = v->mig_to = 0;
    v->cfg.nid = nid;
    net_refresh(n, nid);
    net_refresh(n, to);
    net_refresh(n, from);
    net_refresh(n, was);
    return 0;
}

/* --- switches ------------------------------------------------------------- */

static void tunnel_up(struct network *n, uint16_t nid,
                      const struct net_switch_port *p, uint64_t now)
{
    uint16_t to = net_tunnel_nid(p->name);
    if (to && topo_port_up(n->topo, nid, to, p->ofport, now) < 0)
        abort();
}

void network_switch_up(struct network *n, uint16_t nid,
                       const struct net_switch_port *ports, size_t n_ports,
                       uint64_t now)
{
    network_switch_down(n, nid);
    struct nswitch *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->nid = nid;
    for (size_t i = 0; i < n_ports; i++) {
        s->ports = grow(s->ports, s->n_ports, sizeof *s->ports);
        s->ports[s->n_ports++] = ports[i];
        tunnel_up(n, nid, &ports[i], now);
    }
    n->switches = grow(n->switches, n->n_switches, sizeof(struct nswitch *));
    n->switches[n->n_switches++] = s;
    n->next_probe_at = now; /* Probe the new one at once. */
    if (n->has_state) {
        n->out.sync(n->out.arg, nid);
        net_pairs_repath(n);
    }
}

void network_switch_down(struct network *n, uint16_t nid)
{
    for (size_t i = 0; i < n->n_switches; i++) {
        struct nswitch *s = n->switches[i];
        if (s->nid != nid)
            continue;
        n->switches[i] = n->switches[--n->n_switches];
        free(s->ports);
        flow_list_clear(&s->base);
        free(s);
        /* Its links stay until they age: the switch goes on forwarding by the
         * flows it has while only its OpenFlow connection is gone. */
        return;
    }
}

void network_port_up(struct network *n, uint16_t nid,
                     const struct net_switch_port *port, uint64_t now)
{
    struct nswitch *s = net_switch_get(n, nid);
    if (!s)
        return;
    const struct net_switch_port *old = net_switch_port_get(s, port->ofport);
    if (old && strcmp(old->name, port->name) == 0)
        return;
    if (old)
        network_port_down(n, nid, port->ofport);
    s->ports = grow(s->ports, s->n_ports, sizeof *s->ports);
    s->ports[s->n_ports++] = *port;
    tunnel_up(n, nid, port, now);
    net_refresh(n, nid);
    if (!net_tunnel_nid(port->name))
        return; /* No way leads through a guest. */
    n->next_probe_at = now;
    net_pairs_repath(n);
}

void network_port_down(struct network *n, uint16_t nid, uint32_t ofport)
{
    struct nswitch *s = net_switch_get(n, nid);
    for (size_t i = 0; s && i < s->n_ports; i++) {
        if (s->ports[i].ofport != ofport)
            continue;
        struct vport *v = net_vport_by_ifname(n, s->ports[i].name);
        if (v && v->seen_at == nid)
            v->seen_at = 0;
        bool tunnel = net_tunnel_nid(s->ports[i].name);
        s->ports[i] = s->ports[--s->n_ports];
        topo_port_down(n->topo, nid, ofport);
        net_refresh(n, nid);
        if (tunnel)
            net_pairs_repath(n);
        return;
    }
}

/* --- life ----------------------------------------------------------------- */

struct network *network_new(const struct net_out *out)
{
    struct network *n = calloc(1, sizeof *n);
    if (!n)
        abort();
    n->out = *out;
    n->topo = topo_new();
    n->pairs_mask = 1023;
    n->pairs = calloc(n->pairs_mask + 1, sizeof *n->pairs);
    if (!n->topo || !n->pairs)
        abort();
    return n;
}

void network_free(struct network *n)
{
    if (!n)
        return;
    while (n->n_switches)
        network_switch_down(n, n->switches[0]->nid);
    free(n->switches);
    free(n->nodes);
    free(n->networks);
    net_index_drop(n);
    free(n->vports);
    free(n->pairs);
    topo_free(n->topo);
    free(n);
}

static void dump_link(void *arg, struct topo_link *l)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddNumberToObject(j, "from", l->from);
    cJSON_AddNumberToObject(j, "to", l->to);
    cJSON_AddNumberToObject(j, "port", l->port);
    cJSON_AddBoolToObject(j, "up", l->up);
    cJSON_AddBoolToObject(j, "seen", l->seen);
    cJSON_AddItemToArray(arg, j);
}

static void dump_whole(const struct network *n, cJSON *j)
{
    cJSON *ports = cJSON_AddArrayToObject(j, "ports");
    cJSON *pairs = cJSON_AddArrayToObject(j, "pairs");
    for (size_t i = 0; i < n->n_vports; i++) {
        const struct vport *v = &n->vports[i];
        char mac[MAC_LEN + 1], ip[IP4_LEN + 1];
        cJSON *p = cJSON_CreateObject();
        mac_format(v->cfg.mac, mac);
        ip4_format(v->cfg.ip, ip);
        cJSON_AddStringToObject(p, "id", v->cfg.id);
        cJSON_AddStringToObject(p, "mac", mac);
        cJSON_AddStringToObject(p, "ip", ip);
        cJSON_AddNumberToObject(p, "place", v->place);
        cJSON_AddNumberToObject(p, "migrating_to", v->mig_to);
        cJSON_AddItemToArray(ports, p);
    }
    for (size_t i = 0; i <= n->pairs_mask; i++) {
        const struct pair *x = &n->pairs[i];
        if (!x->vni)
            continue;
        cJSON *p = cJSON_CreateObject(), *path;
        char mac[MAC_LEN + 1];
        cJSON_AddNumberToObject(p, "vni", x->vni);
        mac_format(x->src, mac);
        cJSON_AddStringToObject(p, "src", mac);
        mac_format(x->dst, mac);
        cJSON_AddStringToObject(p, "dst", mac);
        path = cJSON_AddArrayToObject(p, "path");
        for (int k = 0; k < x->path.len; k++)
            cJSON_AddItemToArray(path, cJSON_CreateNumber(x->path.nids[k]));
        cJSON_AddItemToArray(pairs, p);
    }
}

cJSON *network_dump(const struct network *n, bool whole)
{
    cJSON *j = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(j, "switches");
    for (size_t i = 0; i < n->n_switches; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(n->switches[i]->nid));
    topo_each(n->topo, dump_link, cJSON_AddArrayToObject(j, "links"));
    cJSON_AddBoolToObject(j, "has_state", n->has_state);
    json_set_u64(j, "n_networks", n->n_networks);
    json_set_u64(j, "n_ports", n->n_vports);
    json_set_u64(j, "n_pairs", n->n_pairs);
    json_set_u64(j, "packets_in", n->n_packets_in);
    json_set_u64(j, "spoofed", n->n_spoofed);
    json_set_u64(j, "moves", n->n_flips);
    json_set_u64(j, "dhcp_answers", n->n_dhcp);
    json_set_u64(j, "arp_carried", n->n_arp);
    if (whole)
        dump_whole(n, j);
    return j;
}
