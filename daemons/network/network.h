/* network - the decisions of sc-network: where everybody is, what every switch
 * shall do, what to answer.
 *
 * Events come in by the calls below, from the OpenFlow side (of_server.c) and
 * from the controller (net_rpc.c); what is to be done goes out through
 * 'struct net_out'.  Pure apart from that: no I/O, no clock ('now' is in
 * milliseconds, monotonic), so tests play whole networks.  Not thread-safe.
 * Out of memory ends the process (see flows.h).
 * A guest's place is where the controller says it runs.  During a migration
 * (prepare .. end) it is where the guest was last heard, of the two.
 * Source: paper sections 3.3.1 and 3.3.2; docs/protocols/network.md. */
#ifndef SC_NETWORK_NETWORK_H
#define SC_NETWORK_NETWORK_H

#include "network/flows.h"
#include "network/topo.h"

enum {
    NET_PAIRS_MAX = 1 << 17,   /* Flows known at once; over that a packet is
                                  carried by sc-network, without a flow. */
    NET_DROPS_PER_S = 100,     /* FLOW_DROPs a switch is given in a second. */
    NET_OBJECTS_MAX = 1 << 16, /* Of each kind. */
};

struct net_out {
    void *arg; /* First argument of all. */
    /* Adds (or replaces) a flow on a switch that is up; or deletes it. */
    void (*flow)(void *arg, uint16_t nid, bool add, const struct net_flow *f);
    /* Sends 'frame' by 'actions' (ovs-ofctl's syntax). */
    void (*packet)(void *arg, uint16_t nid, const char *actions,
                   const void *frame, size_t size);
    /* Asks for network_wanted to be compared with what the switch has. */
    void (*sync)(void *arg, uint16_t nid);
    /* A number nobody can guess; not 0.  For spoof packets. */
    uint64_t (*random)(void *arg);
    /* A guest was heard at a place for the first time. */
    void (*port_seen)(void *arg, const struct net_port *p, uint16_t nid);
};

struct network;
struct network *network_new(const struct net_out *out); /* Copies 'out'. */
void network_free(struct network *n);                   /* NULL is allowed. */
SC_CLEANUP(struct network, network_free)

/* --- from the controller ------------------------------------------------ */
/* All at once; what is not in it is gone.  0, or -EINVAL with nothing changed
 * and 'err' filled. */
int network_state_set(struct network *n, const cJSON *state,
                      struct sc_err *err) SC_MUST_CHECK;
bool network_has_state(const struct network *n);
int network_node_set(struct network *n, const cJSON *j,
                     struct sc_err *err) SC_MUST_CHECK;
int network_network_set(struct network *n, const cJSON *j,
                        struct sc_err *err) SC_MUST_CHECK;
int network_port_set(struct network *n, const cJSON *j,
                     struct sc_err *err) SC_MUST_CHECK;
void network_node_del(struct network *n, const char *id);
void network_network_del(struct network *n, const char *id);
void network_port_del(struct network *n, const char *id);
int network_latency_set(struct network *n, const cJSON *params,
                        struct sc_err *err) SC_MUST_CHECK;
/* From now on the first packet at 'to' moves the port there.  -ENOENT: no such
 * port; -EHOSTUNREACH: the switch of 'to' is not connected. */
int network_migrate_prepare(struct network *n, const char *port_id,
                            uint16_t from, uint16_t to,
                            struct sc_err *err) SC_MUST_CHECK;
/* The port runs at 'nid' for good: the migration ended or was given up. */
int network_migrate_end(struct network *n, const char *port_id, uint16_t nid,
                        struct sc_err *err) SC_MUST_CHECK;

/* --- from the switches --------------------------------------------------- */
struct net_switch_port {
    uint32_t ofport;
    char name[IFNAME_LEN + 1];
};
/* The nid of node 'node_id', or 0: which switch its certificate may be. */
uint16_t network_nid_of(const struct network *n, const char *node_id);
/* A switch connected, or again; 'sync' follows as soon as there is state. */
void network_switch_up(struct network *n, uint16_t nid,
                       const struct net_switch_port *ports, size_t n_ports,
                       uint64_t now);
void network_switch_down(struct network *n, uint16_t nid);
void network_port_up(struct network *n, uint16_t nid,
                     const struct net_switch_port *port, uint64_t now);
void network_port_down(struct network *n, uint16_t nid, uint32_t ofport);
/* A packet was sent up. */
struct net_packet_in {
    uint32_t in_port;
    uint32_t tun_id;     /* VNI the switch had for it; 0: none. */
    enum flow_kind kind; /* Of the flow that sent it. */
    const void *frame;   /* Borrowed. */
    size_t size;         /* bytes */
};
void network_packet_in(struct network *n, uint16_t nid,
                       const struct net_packet_in *p, uint64_t now);
/* A FLOW_PAIR of 'nid' went by itself. */
void network_pair_idle(struct network *n, uint16_t nid, uint32_t vni,
                       struct mac src, struct mac dst);
/* 'nid', which connected, has this FLOW_PAIR, of our life before a restart.
 * True: it is known again; false: it has no place there (any more), delete it.
 */
bool network_pair_found(struct network *n, uint16_t nid, uint32_t vni,
                        struct mac src, struct mac dst);
/* Every BASE, SPOOF, PREPARE and PAIR flow 'nid' shall have, appended. */
void network_wanted(struct network *n, uint16_t nid, struct flow_list *ret);

/* Call at least every TOPO_PROBE_MS / 2: probes, ages. */
void network_tick(struct network *n, uint64_t now);
/* For `supercloud daemon network dump`; the caller's. */
cJSON *network_dump(const struct network *n, bool whole);

#endif
