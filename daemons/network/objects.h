/* objects - the nodes, networks and ports the controller tells sc-network of,
 * taken out of its JSON.
 *
 * Used by network.c.  Pure.  Plain values: no ownership.  Unknown keys are
 * ignored (a newer controller may say more).
 * Source: docs/protocols/rpc.md, "controller <-> sc-network". */
#ifndef SC_NETWORK_OBJECTS_H
#define SC_NETWORK_OBJECTS_H

#include "common/json.h"
#include "network/packet.h"

enum { IFNAME_LEN = 15 };

struct net_node {
    char id[SC_UUID_LEN + 1];
    uint16_t nid; /* 1..65535; also its bridge's datapath id. */
    bool up;
};

struct net_network {
    char id[SC_UUID_LEN + 1];
    uint32_t vni; /* 1..2^24-1. */
    uint32_t net; /* Network address. */
    uint8_t prefix_len;
    uint32_t gateway, dns; /* 0: none. */
    uint16_t mtu;
};

struct net_port {
    char id[SC_UUID_LEN + 1];
    char network_id[SC_UUID_LEN + 1];
    char ifname[IFNAME_LEN + 1]; /* "sc" + ten hex digits of 'id'. */
    struct mac mac;              /* Never a group address. */
    uint32_t ip;
    uint16_t nid; /* Where the controller says it runs; 0: nowhere. */
};

/* 0, or -EINVAL with 'err' naming the field. */
int net_node_read(const cJSON *j, struct net_node *ret,
                  struct sc_err *err) SC_MUST_CHECK;
int net_network_read(const cJSON *j, struct net_network *ret,
                     struct sc_err *err) SC_MUST_CHECK;
int net_port_read(const cJSON *j, struct net_port *ret,
                  struct sc_err *err) SC_MUST_CHECK;

/* The address that answers as gateway and DHCP server of a network:
 * 02:53:43 and the VNI. */
struct mac net_gateway_mac(const struct net_network *n);
/* The DHCP server's identifier: the gateway, or 169.254.169.253 without one. */
uint32_t net_dhcp_server(const struct net_network *n);
/* N of a tunnel port named "vxN", or 0. */
uint16_t net_tunnel_nid(const char *ifname);

#endif
