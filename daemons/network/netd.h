/* netd - sc-network as a daemon: what main.c makes and the loop runs.
 *
 * Joins the decisions (network.c), the switches (of_server.c), the controller
 * (net_rpc.c) and the control socket.  One thread. */
#ifndef SC_NETWORK_NETD_H
#define SC_NETWORK_NETD_H

#include "common/config.h"
#include "common/loop.h"
#include "common/rpc.h"
#include "network/network.h"
#include "network/of_server.h"

struct netd {
    struct sc_loop *loop;           /* Borrowed. */
    const struct sc_config *config; /* Borrowed. */
    struct network *network;        /* Owned, as all below. */
    struct of_server *of;
    struct rpc_client *controller;
    struct rpc_service service; /* What the controller may call. */
    struct sc_control *control;
};

/* 0 or -errno with 'err' filled; free in every case. */
int netd_open(struct netd *d, struct sc_loop *loop, const struct sc_config *c,
              struct sc_err *err) SC_MUST_CHECK;
void netd_run(struct netd *d); /* Until the loop is stopped. */
void netd_close(struct netd *d);

/* net_rpc.c: begins to connect to the controller. */
int netd_rpc_open(struct netd *d, struct sc_err *err) SC_MUST_CHECK;
void netd_port_seen(struct netd *d, const struct net_port *p, uint16_t nid);

#endif
