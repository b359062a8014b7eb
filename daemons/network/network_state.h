/* network_state - the struct behind network.h, for its three files: network.c
 * (objects, switches, places), network_flow.c (packets, pairs, paths) and
 * network_index.c (finding objects). */
#ifndef SC_NETWORK_NETWORK_STATE_H
#define SC_NETWORK_NETWORK_STATE_H

#include "network/network.h"

struct vport {
    struct net_port cfg;
    uint32_t told;  /* network.states when the controller named it. */
    uint16_t place; /* nid where the guest is; 0: nowhere. */
    uint16_t mig_from, mig_to; /* Of a migration under way; 0: none. */
    uint16_t seen_at;          /* nid told by port_seen; 0: not yet. */
};

struct nswitch {
    uint16_t nid;
    struct net_switch_port *ports; /* Owned. */
    size_t n_ports;
    struct flow_list base; /* Sorted; what we told it. */
    uint64_t drops_until;  /* Of the budget of FLOW_DROP: this second's end, */
    unsigned n_drops;      /* and how many were used. */
};

struct pair {
    uint32_t vni; /* 0: a free slot. */
    struct mac src, dst;
    struct topo_path path; /* len < 2: no flow is in. */
};

struct net_index; /* network_index.c */

struct network {
    struct net_out out;
    struct net_index *index; /* Owned; NULL: to be made at the next lookup. */
    struct topo *topo;
    bool has_state;
    uint32_t states; /* How many net.state there were. */
    struct net_node *nodes;
    size_t n_nodes;
    struct net_network *networks;
    size_t n_networks;
    struct vport *vports;
    size_t n_vports;
    struct nswitch **switches; /* Connected ones; owned. */
    size_t n_switches;
    struct pair *pairs; /* Hash table, open addressing, by 'pair_hash'. */
    size_t n_pairs, pairs_mask;
    uint64_t next_probe_at;
    uint64_t n_packets_in, n_spoofed, n_flips, n_dhcp, n_arp; /* Counters. */
};

struct nswitch *net_switch_get(const struct network *n, uint16_t nid);
const struct net_switch_port *net_switch_port_named(const struct nswitch *s,
                                                    const char *name);
const struct net_switch_port *net_switch_port_get(const struct nswitch *s,
                                                  uint32_t ofport);

/* Port of the guest at its place; 0: not to be reached now. */
uint32_t net_vport_ofport(const struct network *n, const struct vport *v);
/* May 'v' speak at 'nid'? */
bool net_vport_allowed(const struct vport *v, uint16_t nid);
/* Moves the guest: every switch that has its MAC is told. */
void net_vport_move(struct network *n, struct vport *v, uint16_t nid);
/* Computes BASE flows of a switch anew and tells it the difference. */
void net_refresh(struct network *n, uint16_t nid);

/* network_flow.c */
void net_pairs_repath(struct network *n); /* All. */
void net_pairs_moved(struct network *n, uint32_t vni, struct mac mac);
/* Puts in, where it disturbs nobody yet, what 'v' will need at 'to'. */
void net_pairs_prepare(struct network *n, const struct vport *v, uint16_t to);
void net_pairs_drop(struct network *n, uint32_t vni, struct mac mac);
void net_pairs_wanted(struct network *n, uint16_t nid, struct flow_list *l);

/* network_index.c.  Pointers are good until the next change of an object. */
void net_index_drop(struct network *n);  /* After every change of an object, */
void net_index_added(struct network *n); /* but of a vport added at the end. */
const struct net_network *net_network_of(const struct network *n,
                                         const struct vport *v);
struct vport *net_vport_by_mac(const struct network *n, uint32_t vni,
                               struct mac mac);
struct vport *net_vport_by_ip(const struct network *n, const char *network_id,
                              uint32_t ip);
struct vport *net_vport_by_id(const struct network *n, const char *id);
struct vport *net_vport_by_ifname(const struct network *n, const char *name);

#endif
