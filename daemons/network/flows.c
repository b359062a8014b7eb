/* How: the numbers of priorities stand in one place, below; a flow's text is
 * made from its parts only when it is sent. */
#include "network/flows.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    T_IN = 0,
    T_GUEST = 1,
    T_OUT = 2,
    /* Table 0. */
    P_PREPARE = 300,
    P_SPOOF = 200,
    P_PORT = 100,
    /* Table 1. */
    P_DHCP = 140,
    P_GATEWAY = 130,
    P_ARP = 120,
    P_OWN = 110,
    /* Table 2. */
    P_LEARNED = 110,
    P_PAIR = 100,
    P_FORWARD = 60,
    P_DELIVER = 50,
    P_GROUP = 40,
    P_MISS = 0,
};
#define TO_CONTROLLER "CONTROLLER:65535"

void flow_list_clear(struct flow_list *l)
{
    free(l->v);
    *l = (struct flow_list){ 0 };
}

static struct net_flow *add(struct flow_list *l, enum flow_kind kind,
                            uint8_t table, uint16_t priority)
{
    if (l->n == l->allocated) {
        l->allocated = l->allocated ? l->allocated * 2 : 64;
        l->v = reallocarray(l->v, l->allocated, sizeof *l->v);
        if (!l->v)
            abort();
    }
    struct net_flow *f = &l->v[l->n++];
    *f =
        (struct net_flow){ .kind = kind, .table = table, .priority = priority };
    return f;
}

static void SC_PRINTF(2, 3) match(struct net_flow *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->match, sizeof f->match, fmt, args);
    va_end(args);
}

static void SC_PRINTF(2, 3) act(struct net_flow *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->actions, sizeof f->actions, fmt, args);
    va_end(args);
}

int flow_compare_key(const void *a, const void *b)
{
    const struct net_flow *x = a, *y = b;
    if (x->table != y->table)
        return x->table < y->table ? -1 : 1;
    if (x->priority != y->priority)
        return x->priority < y->priority ? -1 : 1;
    return strcmp(x->match, y->match);
}

void flow_key_text(const struct net_flow *f, char ret[FLOW_TEXT_MAX])
{
    snprintf(ret, FLOW_TEXT_MAX, "table=%u,priority=%u%s%s", f->table,
             f->priority, *f->match ? "," : "", f->match);
}

void flow_text(const struct net_flow *f, char ret[FLOW_TEXT_MAX])
{
    char life[64] = "";
    if (f->kind == FLOW_PAIR)
        snprintf(life, sizeof life, "idle_timeout=%d,send_flow_rem,",
                 FLOW_PAIR_IDLE_S);
    else if (f->kind == FLOW_FORWARD || f->kind == FLOW_DROP)
        snprintf(life, sizeof life, "hard_timeout=%d,",
                 f->kind == FLOW_DROP ? FLOW_DROP_S : FLOW_FORWARD_S);
    snprintf(ret, FLOW_TEXT_MAX,
             "cookie=0x%" PRIx64 ",table=%u,priority=%u,%s%s%sactions=%s",
             FLOW_COOKIE | f->kind, f->table, f->priority, life, f->match,
             *f->match ? " " : "", f->actions);
}

void flows_switch(struct flow_list *l)
{
    act(add(l, FLOW_BASE, T_IN, P_MISS), "drop");
    act(add(l, FLOW_BASE, T_GUEST, P_MISS), "drop");
    act(add(l, FLOW_BASE, T_OUT, P_MISS), TO_CONTROLLER);
    struct net_flow *f = add(l, FLOW_BASE, T_OUT, P_GROUP);
    match(f, "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00");
    act(f, "drop");
}

void flows_tunnel(struct flow_list *l, uint32_t ofport)
{
    struct net_flow *f = add(l, FLOW_SPOOF, T_IN, P_SPOOF);
    match(f, "in_port=%u,dl_type=0x%04x", ofport, ETH_SPOOF);
    act(f, TO_CONTROLLER);
    f = add(l, FLOW_BASE, T_IN, P_PORT);
    match(f, "in_port=%u", ofport);
    act(f, "goto_table:2");
}

/* The gateway is every switch: it answers ARP and pings by itself, so that it
 * is there also while sc-network is not. */
static void gateway(struct flow_list *l, const char *from, const char *mac,
                    const char *ip, const struct net_network *net)
{
    char gw_mac[MAC_LEN + 1], gw_ip[IP4_LEN + 1];
    mac_format(net_gateway_mac(net), gw_mac);
    ip4_format(net->gateway, gw_ip);
    struct net_flow *f = add(l, FLOW_BASE, T_GUEST, P_GATEWAY);
    match(f, "%s,arp,arp_op=1,arp_spa=%s,arp_sha=%s,arp_tpa=%s", from, ip, mac,
          gw_ip);
    act(f,
        "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:%s->eth_src,"
        "set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],"
        "set_field:%s->arp_sha,move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],"
        "set_field:%s->arp_spa,IN_PORT",
        gw_mac, gw_mac, gw_ip);
    f = add(l, FLOW_BASE, T_GUEST, P_GATEWAY);
    match(f, "%s,dl_dst=%s,icmp,nw_src=%s,nw_dst=%s,icmp_type=8,icmp_code=0",
          from, gw_mac, ip, gw_ip);
    act(f,
        "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:%s->eth_src,"
        "move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[],set_field:%s->ip_src,"
        "set_field:0->icmp_type,set_field:64->nw_ttl,IN_PORT",
        gw_mac, gw_ip);
}

void flows_guest(struct flow_list *l, uint32_t ofport,
                 const struct net_port *port, const struct net_network *net,
                 enum flow_prepare prepare)
{
    char mac[MAC_LEN + 1], ip[IP4_LEN + 1], from[64];
    struct net_flow *f;
    mac_format(port->mac, mac);
    ip4_format(port->ip, ip);
    snprintf(from, sizeof from, "in_port=%u", ofport);

    f = add(l, FLOW_BASE, T_IN, P_PORT);
    match(f, "%s,dl_src=%s", from, mac);
    act(f, "set_field:%u->tun_id,goto_table:1", net->vni);
    if (prepare != PREPARE_NOT) {
        char turn[200] = "";
        /* Turns this switch's own guests to the new place without waiting for
         * sc-network; see flow_learned. */
        if (prepare == PREPARE_TURN)
            snprintf(turn, sizeof turn,
                     "learn(table=%u,hard_timeout=%u,priority=%u,"
                     "cookie=0x%" PRIx64 ",NXM_NX_TUN_ID[],"
                     "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],"
                     "output:NXM_OF_IN_PORT[]),",
                     T_OUT, FLOW_FORWARD_S, P_LEARNED,
                     FLOW_COOKIE | FLOW_FORWARD);
        f = add(l, FLOW_PREPARE, T_IN, P_PREPARE);
        match(f, "%s,dl_src=%s", from, mac);
        act(f, TO_CONTROLLER ",set_field:%u->tun_id,%sgoto_table:1", net->vni,
            turn);
    }

    f = add(l, FLOW_BASE, T_GUEST, P_DHCP);
    match(f, "%s,udp,nw_src=0.0.0.0,tp_src=68,tp_dst=67", from);
    act(f, TO_CONTROLLER);
    f = add(l, FLOW_BASE, T_GUEST, P_DHCP);
    match(f, "%s,udp,nw_src=%s,tp_src=68,tp_dst=67", from, ip);
    act(f, TO_CONTROLLER);
    if (net->gateway)
        gateway(l, from, mac, ip, net);
    f = add(l, FLOW_BASE, T_GUEST, P_ARP);
    match(f, "%s,dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_spa=%s,arp_sha=%s", from, ip,
          mac);
    act(f, TO_CONTROLLER);
    f = add(l, FLOW_BASE, T_GUEST, P_ARP);
    match(f, "%s,dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_spa=0.0.0.0,arp_sha=%s", from,
          mac);
    act(f, TO_CONTROLLER);
    f = add(l, FLOW_BASE, T_GUEST, P_ARP);
    match(f, "%s,dl_type=0x8035", from);
    act(f, TO_CONTROLLER);
    f = add(l, FLOW_BASE, T_GUEST, P_OWN);
    match(f, "%s,arp,arp_spa=%s,arp_sha=%s", from, ip, mac);
    act(f, "goto_table:2");
    f = add(l, FLOW_BASE, T_GUEST, P_OWN);
    match(f, "%s,ip,nw_src=%s", from, ip);
    act(f, "goto_table:2");
}

void flows_deliver(struct flow_list *l, uint32_t in_port, uint32_t ofport,
                   const struct net_port *port, const struct net_network *net)
{
    char mac[MAC_LEN + 1], from[32] = "";
    mac_format(port->mac, mac);
    if (in_port)
        snprintf(from, sizeof from, "in_port=%u,", in_port);
    struct net_flow *f = add(l, FLOW_BASE, T_OUT, P_DELIVER);
    match(f, "%stun_id=%u,dl_dst=%s", from, net->vni, mac);
    act(f, "output:%u", ofport);
}

static struct net_flow pair_flow(enum flow_kind kind, uint32_t vni,
                                 struct mac src, struct mac dst)
{
    struct net_flow f = { .kind = kind, .table = T_OUT, .priority = P_PAIR };
    char s[MAC_LEN + 1], d[MAC_LEN + 1];
    mac_format(src, s);
    mac_format(dst, d);
    match(&f, "tun_id=%u,dl_src=%s,dl_dst=%s", vni, s, d);
    return f;
}

struct net_flow flow_pair(uint32_t vni, struct mac src, struct mac dst,
                          uint32_t ofport)
{
    struct net_flow f = pair_flow(FLOW_PAIR, vni, src, dst);
    act(&f, "output:%u", ofport);
    return f;
}

struct net_flow flow_drop(uint32_t vni, struct mac src, struct mac dst)
{
    struct net_flow f = pair_flow(FLOW_DROP, vni, src, dst);
    act(&f, "drop");
    return f;
}

struct net_flow flow_learned(uint32_t vni, struct mac dst)
{
    struct net_flow f = flow_forward(vni, dst, 0);
    f.priority = P_LEARNED;
    return f;
}

struct net_flow flow_forward(uint32_t vni, struct mac dst, uint32_t ofport)
{
    struct net_flow f = { .kind = FLOW_FORWARD,
                          .table = T_OUT,
                          .priority = P_FORWARD };
    char d[MAC_LEN + 1];
    mac_format(dst, d);
    match(&f, "tun_id=%u,dl_dst=%s", vni, d);
    act(&f, "output:%u", ofport);
    return f;
}
