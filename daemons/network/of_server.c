/* How a switch comes up: hello, features (its nid), the certificate checked
 * against the nid, ports, then network_switch_up; the network asks for a sync:
 * the switch's flows are read and only the difference is sent, so that a
 * restart of either side disturbs no traffic. */
#include <config.h>

#include "network/of_server.h"

#include <stdio.h>

#include "common/log.h"
#include "network/of_conn.h"
#include "network/of_msg.h"
#include "flow.h"
#include "openflow/openflow.h"
#include "openvswitch/list.h"
#include "openvswitch/ofp-errors.h"
#include "openvswitch/ofp-msgs.h"
#include "openvswitch/ofp-port.h"
#include "openvswitch/ofp-switch.h"
#include "openvswitch/ofpbuf.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "stream-ssl.h"
#include "stream.h"
#include "timeval.h"

enum {
    CONNS_MAX = 4096,
    UNKNOWN_MS = 5000, /* How long a switch of an unknown node may wait. */
};

enum sw_state {
    SW_HELLO,
    SW_FEATURES, /* Asked for. */
    SW_CHECK,    /* Waiting for the controller to tell of its node. */
    SW_PORTS,    /* Asked for. */
    SW_UP,
};

struct waiter {
    struct ovs_list node;
    ovs_be32 xid;
    of_done_fn *done;
    void *arg;
};

struct sw {
    struct ovs_list node;
    struct of_conn *conn; /* Owned. */
    enum sw_state state;
    uint16_t nid;
    uint64_t since;
    struct net_switch_port *ports; /* Owned; while SW_PORTS. */
    size_t n_ports;
    struct of_dump *dump; /* Owned; while a sync is under way. */
    ovs_be32 dump_xid;
    struct ovs_list waiters;
};

struct of_server {
    struct pstream *listener;
    struct network *network; /* Borrowed. */
    struct ovs_list switches;
    size_t n_switches;
};

int of_server_new(const struct of_server_options *o, struct of_server **ret,
                  struct sc_err *err)
{
    char target[160];
    const char *colon = strrchr(o->listen, ':');
    struct pstream *listener;
    if (!colon)
        return sc_fail(err, -EINVAL, "openflow_listen: '%s' is not HOST:PORT",
                       o->listen);
    snprintf(target, sizeof target, "pssl:%s:%.*s", colon + 1,
             (int)(colon - o->listen), o->listen);
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);
    vlog_set_levels(NULL, VLF_CONSOLE, VLL_ERR);
    vlog_set_pattern(VLF_CONSOLE, "<4>event=openvswitch module=%c msg=\"%m\"");
    stream_ssl_set_private_key_file(o->key_file);
    stream_ssl_set_certificate_file(o->cert_file);
    stream_ssl_set_ca_cert_file(o->ca_file, false);
    int r = pstream_open(target, &listener, 0);
    if (r)
        return sc_fail(err, -r, "openflow: listen on %s: %s", o->listen,
                       strerror(r));
    struct of_server *s = xzalloc(sizeof *s);
    s->listener = listener;
    ovs_list_init(&s->switches);
    *ret = s;
    return 0;
}

void of_server_set_network(struct of_server *s, struct network *n)
{
    s->network = n;
}

uint64_t of_server_now(void)
{
    return (uint64_t)time_msec();
}

static void fail_waiters(struct sw *w)
{
    struct sc_err err;
    struct waiter *i;
    sc_fail(&err, -EHOSTUNREACH, "openflow: switch %u was lost", w->nid);
    LIST_FOR_EACH_POP(i, node, &w->waiters) {
        i->done(i->arg, &err);
        free(i);
    }
}

static void sw_free(struct of_server *s, struct sw *w)
{
    ovs_list_remove(&w->node);
    s->n_switches--;
    if (w->state == SW_UP)
        network_switch_down(s->network, w->nid);
    fail_waiters(w);
    of_conn_free(w->conn);
    of_dump_free(w->dump);
    free(w->ports);
    free(w);
}

void of_server_free(struct of_server *s)
{
    struct sw *w, *next;
    if (!s)
        return;
    LIST_FOR_EACH_SAFE(w, next, node, &s->switches)
        sw_free(s, w);
    pstream_close(s->listener);
    free(s);
}

static struct sw *sw_get(struct of_server *s, uint16_t nid)
{
    struct sw *w;
    LIST_FOR_EACH(w, node, &s->switches) {
        if (w->state == SW_UP && w->nid == nid)
            return w;
    }
    return NULL;
}

/* --- what the network asks for -------------------------------------------- */

void of_server_flow(struct of_server *s, uint16_t nid, bool add,
                    const struct net_flow *f)
{
    struct sw *w = sw_get(s, nid);
    struct sc_err err;
    if (!w)
        return;
    struct ofpbuf *m = of_msg_flow(f, add, of_conn_version(w->conn), &err);
    if (m)
        of_conn_send(w->conn, m);
    else
        sc_logf(SC_LOG_ERROR, "openflow.flow", "%s", err.text);
}

void of_server_packet(struct of_server *s, uint16_t nid, const char *actions,
                      const void *frame, size_t size)
{
    struct sw *w = sw_get(s, nid);
    struct sc_err err;
    if (!w)
        return;
    struct ofpbuf *m =
        of_msg_packet(actions, frame, size, of_conn_version(w->conn), &err);
    if (m)
        of_conn_send(w->conn, m);
    else
        sc_logf(SC_LOG_ERROR, "openflow.packet", "%s", err.text);
}

void of_server_sync(struct of_server *s, uint16_t nid)
{
    struct sw *w = sw_get(s, nid);
    if (!w)
        return;
    struct ofpbuf *m = of_msg_dump(of_conn_version(w->conn));
    of_dump_free(w->dump);
    w->dump = of_dump_new();
    w->dump_xid = ((const struct ofp_header *)m->data)->xid;
    of_conn_send(w->conn, m);
}

void of_server_barrier(struct of_server *s, uint16_t nid, of_done_fn *done,
                       void *arg)
{
    struct sw *w = sw_get(s, nid);
    if (!w) {
        struct sc_err err;
        sc_fail(&err, -EHOSTUNREACH, "openflow: switch %u is not connected",
                nid);
        done(arg, &err);
        return;
    }
    struct ofpbuf *m = of_msg_barrier(of_conn_version(w->conn));
    struct waiter *i = xzalloc(sizeof *i);
    *i = (struct waiter){ .xid = ((const struct ofp_header *)m->data)->xid,
                          .done = done,
                          .arg = arg };
    ovs_list_push_back(&w->waiters, &i->node);
    of_conn_send(w->conn, m);
}

/* --- messages of a switch ------------------------------------------------- */

struct found {
    struct network *network;
    uint16_t nid;
};

static bool on_found(void *arg, const struct of_pair *p)
{
    const struct found *f = arg;
    return network_pair_found(f->network, f->nid, p->vni, p->src, p->dst);
}

static void on_diff(void *arg, struct ofpbuf *msg)
{
    struct sw *w = arg;
    of_conn_send(w->conn, msg);
}

static int on_flow_stats(struct of_server *s, struct sw *w,
                         const struct ofp_header *h)
{
    struct flow_list wanted = { 0 };
    struct sc_err err;
    if (!w->dump || h->xid != w->dump_xid)
        return 0;
    if (of_dump_add(w->dump, h) < 0)
        return -EPROTO;
    if (ofpmp_more(h))
        return 0;
    struct found found = { s->network, w->nid };
    of_dump_pairs(w->dump, on_found, &found);
    network_wanted(s->network, w->nid, &wanted);
    int n = of_dump_diff(w->dump, &wanted, of_conn_version(w->conn), on_diff, w,
                         &err);
    if (n < 0)
        sc_logf(SC_LOG_ERROR, "openflow.sync", "%s", err.text);
    else
        sc_logf(SC_LOG_INFO, "openflow.sync",
                "switch %u: %zu flows wanted, %d changes", w->nid, wanted.n, n);
    flow_list_clear(&wanted);
    of_dump_free(w->dump);
    w->dump = NULL;
    return 0;
}

static struct net_switch_port port_of(const struct ofputil_phy_port *p)
{
    struct net_switch_port port = { .ofport = ofp_to_u16(p->port_no) };
    snprintf(port.name, sizeof port.name, "%.*s", IFNAME_LEN, p->name);
    return port;
}

static int on_port_desc(struct of_server *s, struct sw *w,
                        const struct ofp_header *h)
{
    struct ofpbuf msg = ofpbuf_const_initializer(h, ntohs(h->length));
    struct ofputil_phy_port p;
    if (w->state != SW_PORTS)
        return 0;
    ofpraw_pull_assert(&msg);
    while (msg.size &&
           ofputil_pull_phy_port((enum ofp_version)h->version, &msg, &p) == 0) {
        if (ofp_to_u16(p.port_no) >= ofp_to_u16(OFPP_MAX))
            continue; /* The bridge's own. */
        w->ports = xrealloc(w->ports, (w->n_ports + 1) * sizeof *w->ports);
        w->ports[w->n_ports++] = port_of(&p);
    }
    if (ofpmp_more(h))
        return 0;
    struct sw *old = sw_get(s, w->nid);
    if (old)
        sw_free(s, old); /* A connection whose end we did not see. */
    w->state = SW_UP;
    sc_logf(SC_LOG_INFO, "openflow.up", "switch %u at %s, %zu ports", w->nid,
            of_conn_name(w->conn), w->n_ports);
    network_switch_up(s->network, w->nid, w->ports, w->n_ports,
                      of_server_now());
    free(w->ports);
    w->ports = NULL;
    w->n_ports = 0;
    return 0;
}

static void on_port_status(struct of_server *s, struct sw *w,
                           const struct ofp_header *h)
{
    struct ofputil_port_status ps;
    if (ofputil_decode_port_status(h, &ps))
        return;
    struct net_switch_port port = port_of(&ps.desc);
    if (port.ofport >= ofp_to_u16(OFPP_MAX))
        return;
    if (w->state == SW_UP && ps.reason == OFPPR_DELETE)
        network_port_down(s->network, w->nid, port.ofport);
    else if (w->state == SW_UP)
        network_port_up(s->network, w->nid, &port, of_server_now());
}

static int on_features(struct sw *w, const struct ofp_header *h)
{
    struct ofpbuf msg = ofpbuf_const_initializer(h, ntohs(h->length));
    struct ofputil_switch_features f;
    if (w->state != SW_FEATURES)
        return 0;
    if (ofputil_pull_switch_features(&msg, &f))
        return -EPROTO;
    if (f.datapath_id == 0 || f.datapath_id > UINT16_MAX) {
        sc_logf(SC_LOG_WARN, "openflow.refused",
                "%s: datapath id %016llx is no node's", of_conn_name(w->conn),
                (unsigned long long)f.datapath_id);
        return -EPROTO;
    }
    w->nid = (uint16_t)f.datapath_id;
    w->state = SW_CHECK;
    w->since = of_server_now();
    return 0;
}

static void on_barrier(struct sw *w, const struct ofp_header *h)
{
    struct waiter *i, *next;
    const struct sc_err ok = { 0 };
    LIST_FOR_EACH_SAFE(i, next, node, &w->waiters) {
        if (i->xid != h->xid)
            continue;
        ovs_list_remove(&i->node);
        i->done(i->arg, &ok);
        free(i);
        return;
    }
}

static void on_error(const struct sw *w, const struct ofp_header *h)
{
    struct ofpbuf payload;
    enum ofperr e = ofperr_decode_msg(h, &payload);
    if (e)
        ofpbuf_uninit(&payload);
    sc_logf(SC_LOG_WARN, "openflow.error", "switch %u: %s", w->nid,
            e ? ofperr_get_name(e) : "undecodable error");
}

static void on_packet_in(struct of_server *s, struct sw *w,
                         const struct ofp_header *h)
{
    struct net_packet_in in;
    SC_AUTO(free) void *frame = NULL;
    if (of_msg_packet_in(h, &in, &frame) == 0)
        network_packet_in(s->network, w->nid, &in, of_server_now());
}

static int on_message(struct of_server *s, struct sw *w,
                      const struct ofp_header *h)
{
    enum ofptype type;
    struct of_pair pair;
    if (ofptype_decode(&type, h))
        return 0; /* An extension of the switch's: nothing we asked for. */
    switch ((int)type) {
    case OFPTYPE_FEATURES_REPLY:
        return on_features(w, h);
    case OFPTYPE_PORT_DESC_STATS_REPLY:
        return on_port_desc(s, w, h);
    case OFPTYPE_FLOW_STATS_REPLY:
        return on_flow_stats(s, w, h);
    case OFPTYPE_PORT_STATUS:
        on_port_status(s, w, h);
        return 0;
    case OFPTYPE_PACKET_IN:
        if (w->state == SW_UP)
            on_packet_in(s, w, h);
        return 0;
    case OFPTYPE_FLOW_REMOVED:
        if (w->state == SW_UP && of_msg_removed(h, &pair) && pair.idle)
            network_pair_idle(s->network, w->nid, pair.vni, pair.src, pair.dst);
        return 0;
    case OFPTYPE_BARRIER_REPLY:
        on_barrier(w, h);
        return 0;
    case OFPTYPE_ERROR:
        on_error(w, h);
        return 0;
    default:
        return 0;
    }
}

/* Is it the node it says it is?  0: go on; 1: not to be told yet. */
static int check(struct of_server *s, struct sw *w)
{
    const char *peer = of_conn_peer(w->conn);
    if (!network_has_state(s->network)) {
        w->since = of_server_now(); /* The controller has told nothing yet. */
        return 1;
    }
    uint16_t nid = peer ? network_nid_of(s->network, peer) : 0;
    if (nid == w->nid)
        return 0;
    if (!nid && of_server_now() < w->since + UNKNOWN_MS)
        return 1;
    sc_logf(SC_LOG_WARN, "openflow.refused",
            "%s: datapath id %u, but the certificate is of '%s' (node %u)",
            of_conn_name(w->conn), w->nid, peer ? peer : "", nid);
    return -EACCES;
}

void of_server_nodes(struct of_server *s)
{
    struct sw *w, *next;
    LIST_FOR_EACH_SAFE(w, next, node, &s->switches) {
        const char *peer = of_conn_peer(w->conn);
        if ((w->state != SW_PORTS && w->state != SW_UP) ||
            (peer && network_nid_of(s->network, peer) == w->nid))
            continue;
        sc_logf(SC_LOG_INFO, "openflow.down", "switch %u: its node is gone",
                w->nid);
        sw_free(s, w);
    }
}

static int sw_run(struct of_server *s, struct sw *w)
{
    int r = of_conn_run(w->conn), version = of_conn_version(w->conn);
    struct ofpbuf *m;
    while (r == 0 && (m = of_conn_recv(w->conn))) {
        r = on_message(s, w, m->data);
        ofpbuf_delete(m);
    }
    version = of_conn_version(w->conn);
    if (r == 0 && w->state == SW_HELLO && version) {
        of_conn_send(w->conn, of_msg_features(version));
        w->state = SW_FEATURES;
    }
    if (r == 0 && w->state == SW_CHECK) {
        r = check(s, w);
        if (r == 0) {
            of_conn_send(w->conn, of_msg_ports(version));
            w->state = SW_PORTS;
        }
        r = r < 0 ? r : 0;
    }
    return r;
}

static void accept_all(struct of_server *s)
{
    struct stream *stream;
    while (s->n_switches < CONNS_MAX &&
           pstream_accept(s->listener, &stream) == 0) {
        struct sw *w = xzalloc(sizeof *w);
        w->conn = of_conn_new(stream);
        ovs_list_init(&w->waiters);
        ovs_list_push_back(&s->switches, &w->node);
        s->n_switches++;
    }
}

void of_server_run(struct of_server *s)
{
    struct sw *w;
    accept_all(s);
    /* A switch that comes up may free another: begin again after an end. */
    for (bool again = true; again;) {
        again = false;
        LIST_FOR_EACH(w, node, &s->switches) {
            size_t n = s->n_switches;
            int r = sw_run(s, w);
            if (r < 0) {
                if (w->state == SW_UP || w->nid)
                    sc_logf(SC_LOG_INFO, "openflow.down", "switch %u: %s",
                            w->nid, strerror(-r));
                sw_free(s, w);
            }
            again = s->n_switches != n;
            if (again)
                break;
        }
    }
}

void of_server_flush(struct of_server *s)
{
    struct sw *w;
    LIST_FOR_EACH(w, node, &s->switches)
        of_conn_flush(w->conn);
}

void of_server_wait(struct of_server *s)
{
    struct sw *w;
    pstream_wait(s->listener);
    LIST_FOR_EACH(w, node, &s->switches) {
        of_conn_wait(w->conn);
        if (w->state == SW_CHECK)
            poll_timer_wait(100);
    }
}

void of_server_block(int fd, int timeout_ms)
{
    poll_fd_wait(fd, POLLIN);
    poll_timer_wait(timeout_ms);
    poll_block();
}
