/* flows - what a switch is told, as flows in ovs-ofctl's syntax.
 *
 * Used by network.c; of_switch.c turns the text into OpenFlow.  Pure, so that
 * a test compares lines.  The tables (docs/protocols/network.md):
 *   0 where a packet comes from: a guest's port gives it its network's VNI
 *   1 what a guest may send: its own MAC and address; DHCP, ARP, gateway
 *   2 where it goes: a pair's next switch, or the guest's port
 * Out of memory ends the process, as in libopenvswitch beside it: the switches
 * keep their flows (fail_mode secure).
 * Source: paper sections 3.3.1, 3.3.2; ovs-fields(7), ovs-actions(7). */
#ifndef SC_NETWORK_FLOWS_H
#define SC_NETWORK_FLOWS_H

#include "network/objects.h"

enum flow_kind {
    FLOW_BASE = 1,    /* What follows from switches, networks and ports. */
    FLOW_PAIR = 2,    /* One flow between two guests; goes when idle. */
    FLOW_FORWARD = 3, /* From a guest's old place to its new one; short. */
    FLOW_DROP = 4,    /* To nobody; short. */
    FLOW_PREPARE = 5, /* Tell when a migrated guest speaks.  Else as BASE. */
    FLOW_SPOOF = 6,   /* As BASE. */
};
enum {
    FLOW_PAIR_IDLE_S = 60,
    FLOW_FORWARD_S = 30,
    FLOW_DROP_S = 3,
    FLOW_MATCH_MAX = 160,
    FLOW_ACTIONS_MAX = 512,
    FLOW_TEXT_MAX = 800,
};
/* Cookies are FLOW_COOKIE | kind. */
#define FLOW_COOKIE UINT64_C(0x5343000000000000)

struct net_flow {
    enum flow_kind kind;
    uint8_t table;
    uint16_t priority;
    char match[FLOW_MATCH_MAX];     /* "" matches all. */
    char actions[FLOW_ACTIONS_MAX]; /* "drop", "output:3", ... */
};
struct flow_list {
    struct net_flow *v; /* Owned. */
    size_t n, allocated;
};
void flow_list_clear(struct flow_list *l);

/* By table, priority and match: two flows that compare 0 replace each other. */
int flow_compare_key(const void *a, const void *b);
/* A line for parse_ofp_str: cookie, time-outs, match, actions. */
void flow_text(const struct net_flow *f, char ret[FLOW_TEXT_MAX]);
/* Only what names the flow, for a strict delete. */
void flow_key_text(const struct net_flow *f, char ret[FLOW_TEXT_MAX]);

/* What every switch has. */
void flows_switch(struct flow_list *l);
/* A tunnel port. */
void flows_tunnel(struct flow_list *l, uint32_t ofport);
/* A guest's port, and what its packets do beside being let through. */
enum flow_prepare {
    PREPARE_NOT,
    PREPARE_TELL, /* sc-network hears of each. */
    PREPARE_TURN, /* And guests beside it reach it here from the first on. */
};
void flows_guest(struct flow_list *l, uint32_t ofport,
                 const struct net_port *port, const struct net_network *net,
                 enum flow_prepare prepare);
/* Packets for 'port' go out of its 'ofport' here; 'in_port' 0: from anywhere.
 */
void flows_deliver(struct flow_list *l, uint32_t in_port, uint32_t ofport,
                   const struct net_port *port, const struct net_network *net);
/* One flow each. */
struct net_flow flow_pair(uint32_t vni, struct mac src, struct mac dst,
                          uint32_t ofport);
struct net_flow flow_drop(uint32_t vni, struct mac src, struct mac dst);
struct net_flow flow_forward(uint32_t vni, struct mac dst, uint32_t ofport);
/* The flow a switch makes itself when a prepared guest speaks there; good for
 * deleting it. */
struct net_flow flow_learned(uint32_t vni, struct mac dst);

#endif
