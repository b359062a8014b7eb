/* How: a packet that no flow takes is sent up once; the pair of its addresses
 * gets a path, every switch on it a flow, and the packet goes on by the same
 * path.  Pairs are in a hash table with open addressing, for there are many. */
#include "network/dhcp.h"
#include "network/network_state.h"
#include "network/spoof.h"

#include <stdio.h>

enum { MEMO_SLOTS = 1 << 14 };

/* --- the table of pairs --------------------------------------------------- */

static size_t pair_hash(uint32_t vni, struct mac src, struct mac dst)
{
    uint64_t h = (mac_u64(src) * UINT64_C(0x9e3779b97f4a7c15)) ^
                 (mac_u64(dst) * UINT64_C(0xc2b2ae3d27d4eb4f)) ^
                 ((uint64_t)vni * UINT64_C(0x165667b19e3779f9));
    return (size_t)(h ^ h >> 29 ^ h >> 47);
}

/* The pair's slot, or the free one where it would go. */
static struct pair *pair_slot(const struct network *n, uint32_t vni,
                              struct mac src, struct mac dst)
{
    size_t i = pair_hash(vni, src, dst) & n->pairs_mask;
    for (;; i = (i + 1) & n->pairs_mask) {
        struct pair *p = &n->pairs[i];
        if (!p->vni ||
            (p->vni == vni && mac_eq(p->src, src) && mac_eq(p->dst, dst)))
            return p;
    }
}

static struct pair *pair_add(struct network *n, uint32_t vni, struct mac src,
                             struct mac dst)
{
    if (n->n_pairs >= NET_PAIRS_MAX)
        return NULL;
    if (n->n_pairs * 2 > n->pairs_mask) {
        struct pair *old = n->pairs;
        size_t old_mask = n->pairs_mask;
        n->pairs_mask = old_mask * 2 + 1;
        n->pairs = calloc(n->pairs_mask + 1, sizeof *n->pairs);
        if (!n->pairs)
            abort();
        for (size_t i = 0; i <= old_mask; i++) {
            if (old[i].vni)
                *pair_slot(n, old[i].vni, old[i].src, old[i].dst) = old[i];
        }
        free(old);
    }
    struct pair *p = pair_slot(n, vni, src, dst);
    if (!p->vni) {
        *p = (struct pair){ .vni = vni, .src = src, .dst = dst };
        n->n_pairs++;
    }
    return p;
}

/* Empties the slot and moves up those that had to step over it. */
static void pair_remove(struct network *n, struct pair *p)
{
    size_t hole = (size_t)(p - n->pairs), i = hole;
    n->n_pairs--;
    for (;;) {
        i = (i + 1) & n->pairs_mask;
        struct pair *next = &n->pairs[i];
        if (!next->vni)
            break;
        size_t home =
            pair_hash(next->vni, next->src, next->dst) & n->pairs_mask;
        if (((i - home) & n->pairs_mask) < ((i - hole) & n->pairs_mask))
            continue;
        n->pairs[hole] = *next;
        hole = i;
    }
    n->pairs[hole] = (struct pair){ 0 };
}

/* --- paths and their flows ------------------------------------------------ */

/* Where 'nid' sends what goes along 'path'; 0: it is not on it, or last. */
static uint32_t hop_port(const struct network *n, const struct topo_path *path,
                         uint16_t nid)
{
    for (int i = 0; i + 1 < path->len; i++) {
        if (path->nids[i] == nid)
            return topo_port_to(n->topo, nid, path->nids[i + 1]);
    }
    return 0;
}

static bool is_hop(const struct topo_path *path, uint16_t nid)
{
    for (int i = 0; i + 1 < path->len; i++) {
        if (path->nids[i] == nid)
            return true;
    }
    return false;
}

static bool path_eq(const struct topo_path *a, const struct topo_path *b)
{
    return a->len == b->len &&
           memcmp(a->nids, b->nids, a->len * sizeof *a->nids) == 0;
}

/* Makes the switches follow 'path' for 'p': adds from the last hop back to the
 * first, so that nobody sends to one that does not know yet; then deletes. */
static void pair_follow(struct network *n, struct pair *p,
                        const struct topo_path *path)
{
    struct topo_path old = p->path;
    p->path = *path;
    for (int i = path->len - 2; i >= 0; i--) {
        uint16_t nid = path->nids[i];
        uint32_t port = hop_port(n, path, nid);
        if (!port || !net_switch_get(n, nid))
            continue;
        struct net_flow f = flow_pair(p->vni, p->src, p->dst, port);
        n->out.flow(n->out.arg, nid, true, &f);
    }
    for (int i = 0; i + 1 < old.len; i++) {
        if (is_hop(path, old.nids[i]) || !net_switch_get(n, old.nids[i]))
            continue;
        struct net_flow f = flow_pair(p->vni, p->src, p->dst, 0);
        n->out.flow(n->out.arg, old.nids[i], false, &f);
    }
}

/* Paths found during one net_pairs_repath, by the two switches. */
struct memo {
    struct memo_slot {
        uint32_t key; /* from << 16 | to; 0: free. */
        struct topo_path path;
    } * slots;
    size_t mask, n;
};

static struct topo_path best_path(const struct network *n, struct memo *m,
                                  uint16_t from, uint16_t to)
{
    uint32_t key = (uint32_t)from << 16 | to;
    if (!m)
        return topo_best(n->topo, from, to);
    size_t i = (key * UINT32_C(2654435761) >> 7) & m->mask;
    for (; m->slots[i].key; i = (i + 1) & m->mask) {
        if (m->slots[i].key == key)
            return m->slots[i].path;
    }
    struct topo_path path = topo_best(n->topo, from, to);
    if (m->n * 2 < m->mask) {
        m->slots[i] = (struct memo_slot){ key, path };
        m->n++;
    }
    return path;
}

/* The path of 'p' now; len 0: it cannot be told (someone is nowhere, or the
 * switches are not connected), so what is in stays in. */
static struct topo_path pair_path(const struct network *n, const struct pair *p,
                                  struct memo *m)
{
    const struct vport *src = net_vport_by_mac(n, p->vni, p->src);
    const struct vport *dst = net_vport_by_mac(n, p->vni, p->dst);
    if (!src || !dst || !src->place || !dst->place)
        return (struct topo_path){ .len = 0 };
    return topo_prefer(n->topo, best_path(n, m, src->place, dst->place),
                       &p->path);
}

void net_pairs_repath(struct network *n)
{
    struct memo m = { .mask = MEMO_SLOTS - 1 };
    if (!n->n_pairs)
        return;
    SC_AUTO(free)
    struct memo_slot *slots = calloc(MEMO_SLOTS, sizeof *slots);
    if (!slots)
        abort();
    m.slots = slots;
    for (size_t i = 0; i <= n->pairs_mask; i++) {
        struct pair *p = &n->pairs[i];
        if (!p->vni)
            continue;
        struct topo_path path = pair_path(n, p, &m);
        if (path.len && !path_eq(&path, &p->path))
            pair_follow(n, p, &path);
    }
}

void net_pairs_moved(struct network *n, uint32_t vni, struct mac mac)
{
    for (size_t i = 0; i <= n->pairs_mask; i++) {
        struct pair *p = &n->pairs[i];
        if (p->vni != vni || (!mac_eq(p->src, mac) && !mac_eq(p->dst, mac)))
            continue;
        struct topo_path path = pair_path(n, p, NULL);
        if (!path.len)
            continue;
        pair_follow(n, p, &path);
        /* A migration given up may have left one at the end of the path, where
         * it would send away what has arrived. */
        uint16_t last = path.nids[path.len - 1];
        struct net_flow f = flow_pair(p->vni, p->src, p->dst, 0);
        if (mac_eq(p->dst, mac) && net_switch_get(n, last))
            n->out.flow(n->out.arg, last, false, &f);
    }
}

void net_pairs_prepare(struct network *n, const struct vport *v, uint16_t to)
{
    const struct net_network *net = net_network_of(n, v);
    for (size_t i = 0; net && i <= n->pairs_mask; i++) {
        const struct pair *p = &n->pairs[i];
        if (p->vni != net->vni)
            continue;
        bool out = mac_eq(p->src, v->cfg.mac), in = mac_eq(p->dst, v->cfg.mac);
        const struct vport *peer =
            out || in ? net_vport_by_mac(n, p->vni, out ? p->dst : p->src)
                      : NULL;
        if (!peer || !peer->place)
            continue;
        struct topo_path path = topo_path(n->topo, out ? to : peer->place,
                                          out ? peer->place : to, NULL);
        /* Where the pair has a flow already, that one is still needed; and
         * the peer's own switch sends to the old place until the move. */
        for (int k = out ? 0 : 1; k + 1 < path.len; k++) {
            uint32_t port = hop_port(n, &path, path.nids[k]);
            if (!port || is_hop(&p->path, path.nids[k]) ||
                !net_switch_get(n, path.nids[k]))
                continue;
            struct net_flow f = flow_pair(p->vni, p->src, p->dst, port);
            n->out.flow(n->out.arg, path.nids[k], true, &f);
        }
    }
}

void net_pairs_drop(struct network *n, uint32_t vni, struct mac mac)
{
    static const struct topo_path nowhere = { .len = 0 };
    for (size_t i = 0; i <= n->pairs_mask;) {
        struct pair *p = &n->pairs[i];
        if (p->vni == vni && (mac_eq(p->src, mac) || mac_eq(p->dst, mac))) {
            pair_follow(n, p, &nowhere);
            pair_remove(n, p); /* Another may stand here now. */
        } else {
            i++;
        }
    }
}

void net_pairs_wanted(struct network *n, uint16_t nid, struct flow_list *l)
{
    for (size_t i = 0; i <= n->pairs_mask; i++) {
        const struct pair *p = &n->pairs[i];
        uint32_t port = p->vni ? hop_port(n, &p->path, nid) : 0;
        if (!port)
            continue;
        if (l->n == l->allocated) {
            l->allocated = l->allocated ? l->allocated * 2 : 64;
            l->v = reallocarray(l->v, l->allocated, sizeof *l->v);
            if (!l->v)
                abort();
        }
        l->v[l->n++] = flow_pair(p->vni, p->src, p->dst, port);
    }
}

/* Finds or makes the pair and sees that its path is in the switches. */
static void pair_ensure(struct network *n, uint32_t vni, struct mac src,
                        struct mac dst)
{
    struct pair *p = pair_add(n, vni, src, dst);
    if (!p)
        return;
    struct topo_path path = pair_path(n, p, NULL);
    if (path.len)
        pair_follow(n, p, &path); /* Also when equal: a switch had lost it. */
    if (p->path.len < 2)
        pair_remove(n, p); /* Both at one place: BASE flows do it. */
}

void network_pair_idle(struct network *n, uint16_t nid, uint32_t vni,
                       struct mac src, struct mac dst)
{
    static const struct topo_path nowhere = { .len = 0 };
    struct pair *p = pair_slot(n, vni, src, dst);
    if (!p->vni || !is_hop(&p->path, nid))
        return;
    pair_follow(n, p, &nowhere);
    pair_remove(n, p);
}

bool network_pair_found(struct network *n, uint16_t nid, uint32_t vni,
                        struct mac src, struct mac dst)
{
    const struct vport *from = net_vport_by_mac(n, vni, src);
    const struct vport *to = net_vport_by_mac(n, vni, dst);
    /* Meanwhile 'to' may have come to this very switch: the flow would send
     * away what has arrived, and being used would never go by itself. */
    if (!from || !to || !from->place || !to->place || to->place == nid)
        return false;
    struct pair *p = pair_add(n, vni, src, dst);
    if (!p)
        return false;
    struct topo_path path = pair_path(n, p, NULL);
    if (path.len)
        p->path = path;
    if (p->path.len == 1)
        pair_remove(n, p);
    /* A path that cannot be told yet (the other switch has not come back) is
     * found by net_pairs_repath; until then the flow may stay. */
    return !path.len || is_hop(&path, nid);
}

/* --- packets -------------------------------------------------------------- */

static void send_to_port(struct network *n, uint16_t nid, uint32_t ofport,
                         const void *frame, size_t size)
{
    char actions[64];
    snprintf(actions, sizeof actions, "output:%u", ofport);
    n->out.packet(n->out.arg, nid, actions, frame, size);
}

/* Brings a frame to the guest 'to': by the tunnel from 'nid' where there is
 * one, else carried by us to the guest's own switch. */
static void send_to_guest(struct network *n, uint16_t nid,
                          const struct vport *to, uint32_t vni,
                          const struct topo_path *path, const void *frame,
                          size_t size)
{
    uint32_t out = path ? hop_port(n, path, nid) : 0;
    char actions[96];
    if (!out)
        out = topo_port_to(n->topo, nid, to->place);
    if (nid == to->place || !out) {
        uint32_t ofport = net_vport_ofport(n, to);
        if (ofport)
            send_to_port(n, to->place, ofport, frame, size);
        return;
    }
    snprintf(actions, sizeof actions, "set_field:%u->tun_id,output:%u", vni,
             out);
    n->out.packet(n->out.arg, nid, actions, frame, size);
}

/* Keeps a packet to nobody off sc-network for a moment; within limits, for a
 * guest may invent as many addresses as it likes. */
static void drop(struct network *n, uint16_t nid, uint32_t vni,
                 const struct packet *k, uint64_t now)
{
    struct nswitch *s = net_switch_get(n, nid);
    if (!s || !vni)
        return;
    if (now >= s->drops_until) {
        s->drops_until = now + 1000;
        s->n_drops = 0;
    }
    if (s->n_drops++ < NET_DROPS_PER_S) {
        struct net_flow f = flow_drop(vni, k->src, k->dst);
        n->out.flow(n->out.arg, nid, true, &f);
    }
}

/* A packet in table 2 that no flow takes. */
static void on_miss(struct network *n, uint16_t nid, uint32_t vni,
                    const struct packet *k, const struct net_packet_in *in,
                    uint64_t now)
{
    const struct vport *src = net_vport_by_mac(n, vni, k->src);
    const struct vport *dst = net_vport_by_mac(n, vni, k->dst);
    if (!src || !dst || !net_vport_ofport(n, dst) || mac_eq(k->src, k->dst)) {
        drop(n, nid, vni, k, now);
        return;
    }
    pair_ensure(n, vni, k->src, k->dst);
    pair_ensure(n, vni, k->dst, k->src);
    const struct pair *p = pair_slot(n, vni, k->src, k->dst);
    send_to_guest(n, nid, dst, vni, p->vni ? &p->path : NULL, in->frame,
                  in->size);
}

static void on_arp(struct network *n, uint16_t nid, const struct vport *from,
                   const struct net_network *net, const struct packet *k,
                   const struct net_packet_in *in)
{
    uint8_t frame[PACKET_MAX];
    if (k->arp.op != ARP_REQUEST || k->arp.tpa == k->arp.spa ||
        k->arp.tpa == from->cfg.ip)
        return; /* An announcement: it was heard, that is all. */
    if (net->gateway && k->arp.tpa == net->gateway) {
        struct mac gw = net_gateway_mac(net);
        size_t size = packet_arp(frame, gw, k->src, ARP_REPLY, gw, net->gateway,
                                 k->arp.sha, k->arp.spa);
        send_to_port(n, nid, in->in_port, frame, size);
        return;
    }
    const struct vport *to = net_vport_by_ip(n, net->id, k->arp.tpa);
    if (!to || !net_vport_ofport(n, to) || in->size > sizeof frame)
        return;
    /* To the one it asks for, and nobody else. */
    memcpy(frame, in->frame, in->size);
    memcpy(frame, to->cfg.mac.b, 6);
    n->n_arp++;
    pair_ensure(n, net->vni, from->cfg.mac, to->cfg.mac);
    pair_ensure(n, net->vni, to->cfg.mac, from->cfg.mac);
    const struct pair *p = pair_slot(n, net->vni, from->cfg.mac, to->cfg.mac);
    send_to_guest(n, nid, to, net->vni, p->vni ? &p->path : NULL, frame,
                  in->size);
}

static void on_dhcp(struct network *n, uint16_t nid, const struct vport *from,
                    const struct net_network *net, const struct packet *k,
                    const struct net_packet_in *in)
{
    struct dhcp_message m;
    uint8_t frame[PACKET_MAX];
    size_t size;
    struct dhcp_facts facts = {
        .mac = from->cfg.mac,
        .ip = from->cfg.ip,
        .gateway = net->gateway,
        .gateway_mac = net_gateway_mac(net),
        .server = net_dhcp_server(net),
        .dns = net->dns,
        .prefix_len = net->prefix_len,
        .mtu = net->mtu,
    };
    if (dhcp_decode(k->payload, k->payload_size, &m) < 0)
        return;
    if (dhcp_answer(&m, &facts, frame, &size)) {
        n->n_dhcp++;
        send_to_port(n, nid, in->in_port, frame, size);
    }
}

/* A guest was heard at 'nid': the MAC learning of the paper. */
static void learn(struct network *n, struct vport *v, uint16_t nid)
{
    if (v->mig_to && v->place != nid) {
        n->n_flips++;
        net_vport_move(n, v, nid);
    }
    if (v->seen_at != nid && v->place == nid) {
        v->seen_at = nid;
        n->out.port_seen(n->out.arg, &v->cfg, nid);
    }
}

static void on_spoof(struct network *n, uint16_t nid,
                     const struct net_packet_in *in, uint64_t now)
{
    struct spoof s;
    if (spoof_decode(in->frame, in->size, &s) < 0)
        return;
    struct topo_link *l = topo_link_get(n->topo, s.nid, s.port);
    if (!l || !s.nonce || (s.nonce != l->nonce && s.nonce != l->nonce_before)) {
        n->n_spoofed++;
        return;
    }
    if (topo_link_seen(n->topo, s.nid, s.port, nid, now))
        net_pairs_repath(n);
}

void network_packet_in(struct network *n, uint16_t nid,
                       const struct net_packet_in *in, uint64_t now)
{
    const struct nswitch *s = net_switch_get(n, nid);
    const struct net_switch_port *port =
        s ? net_switch_port_get(s, in->in_port) : NULL;
    struct packet k;
    n->n_packets_in++;
    if (!port || !n->has_state || packet_decode(in->frame, in->size, &k) < 0)
        return;
    if (net_tunnel_nid(port->name)) {
        if (in->kind == FLOW_SPOOF)
            on_spoof(n, nid, in, now);
        else if (in->tun_id)
            on_miss(n, nid, in->tun_id, &k, in, now);
        return;
    }
    struct vport *v = net_vport_by_ifname(n, port->name);
    const struct net_network *net = v ? net_network_of(n, v) : NULL;
    bool arp = k.type == ETH_ARP || k.type == ETH_RARP;
    if (!net || !net_vport_allowed(v, nid) || !mac_eq(k.src, v->cfg.mac) ||
        (arp && !mac_eq(k.arp.sha, v->cfg.mac)) ||
        (k.type == ETH_ARP && k.arp.spa && k.arp.spa != v->cfg.ip)) {
        n->n_spoofed++;
        return;
    }
    learn(n, v, nid);
    if (in->kind == FLOW_PREPARE)
        return; /* A copy: the packet itself has gone on. */
    if (k.type == ETH_ARP && mac_is_group(k.dst))
        on_arp(n, nid, v, net, &k, in);
    else if (k.has_udp && k.udp.dst == DHCP_SERVER_PORT &&
             k.udp.src == DHCP_CLIENT_PORT)
        on_dhcp(n, nid, v, net, &k, in);
    else if (k.type != ETH_RARP && !mac_is_group(k.dst))
        on_miss(n, nid, net->vni, &k, in, now);
}

/* --- time ----------------------------------------------------------------- */

static void probe(void *arg, struct topo_link *l)
{
    struct network *n = arg;
    uint8_t frame[SPOOF_SIZE];
    if (!net_switch_get(n, l->from))
        return;
    l->nonce_before = l->nonce;
    l->nonce = n->out.random(n->out.arg);
    struct spoof s = { .nid = l->from, .port = l->port, .nonce = l->nonce };
    spoof_encode(&s, frame);
    send_to_port(n, l->from, l->port, frame, sizeof frame);
}

void network_tick(struct network *n, uint64_t now)
{
    if (!n->has_state)
        return;
    if (now >= n->next_probe_at) {
        n->next_probe_at = now + topo_probe_ms(n->topo);
        topo_each(n->topo, probe, n);
    }
    if (topo_age(n->topo, now))
        net_pairs_repath(n);
}
