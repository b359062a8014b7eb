/* ovs - wiring of this node's Open vSwitch: bridge, tunnels, ports.
 *
 * Used by sc-node alone.  A small OVSDB client of ours (RFC 7047) over
 * ovsdb-server's Unix socket; why not libopenvswitch's IDL is in
 * docs/decisions/003-ovsdb-client.md.  Everything runs on the loop's thread
 * and never blocks.
 *
 * Every operation is idempotent and works by difference: it reads what the
 * database has, and writes only what differs, so repeating one after a restart
 * does not disturb a running switch.  Operations run one after another in the
 * order of the calls.  Each reports exactly once through 'done', never from
 * inside the call, after ovs-vswitchd has put the change into effect (cur_cfg).
 * While ovsdb-server cannot be reached an operation keeps trying.
 * Errors: -ETIMEDOUT (not done within OVS_TIMEOUT_MS: 'err' says whether
 * ovsdb-server or ovs-vswitchd did not answer), -ENODEV (OVS cannot open the
 * interface), -ENOENT (no bridge yet: ovs_ensure_bridge first), -EPROTO (the
 * database refused; its own text is in 'err'), -ECANCELED (ovs_free).
 * Ownership: strings and arrays passed in are copied.
 * Source: RFC 7047; ovs-vswitchd.conf.db(5); paper section 3.3.1. */
#ifndef SC_NODE_OVS_H
#define SC_NODE_OVS_H

#include "common/err.h"
#include "common/loop.h"

#include <stdint.h>

enum {
    OVS_IFNAME_LEN = 12,    /* "sc" and ten hex digits, without the NUL. */
    OVS_TIMEOUT_MS = 15000, /* For one operation. */
    OVS_VXLAN_PORT = 4789,  /* UDP; RFC 7348. */
};

struct ovs;

/* 'err' is never NULL; err->code is 0 when all went well. */
typedef void ovs_done_fn(void *arg, const struct sc_err *err);

struct ovs_bridge {
    const char *name;       /* "br-sc". */
    const char *datapath;   /* "system" (kernel) or "netdev" (userspace). */
    uint16_t nid;           /* Datapath id = nid. */
    const char *controller; /* "ssl:10.200.0.1:6653". */
    /* PEM files for TLS to 'controller' (ovs-vswitchd reads them); all NULL
     * with a "tcp:" controller. */
    const char *ca_file, *cert_file, *key_file;
    uint32_t probe_ms; /* Inactivity probe of OpenFlow; 0: 5000. */
};

struct ovs_peer {
    uint16_t nid;
    const char *address; /* IP address of its VXLAN end. */
};

struct ovs_port {
    const char *ifname;  /* An existing tap or vif, e.g. from ovs_ifname. */
    const char *port_id; /* external_ids:iface-id. */
    const char *vm_id;   /* external_ids:vm-id; NULL: none. */
};

/* Begins to connect to 'socket_path' (a Unix socket path).  0 or -errno. */
int ovs_new(struct sc_loop *loop, const char *socket_path, struct ovs **ret,
            struct sc_err *err) SC_MUST_CHECK;
/* Waiting operations report -ECANCELED from inside this call.  NULL allowed. */
void ovs_free(struct ovs *o);
SC_CLEANUP(struct ovs, ovs_free)

/* Makes the bridge what 'b' says: fail_mode secure, OpenFlow 1.3 and later,
 * the one controller, out of band.  Later operations work on this bridge. */
void ovs_ensure_bridge(struct ovs *o, const struct ovs_bridge *b,
                       ovs_done_fn *done, void *arg);
/* One VXLAN port "vx<nid>" a peer (key=flow); ports "vx..." of nodes that are
 * not in 'peers' are removed.  'n' 0 removes them all. */
void ovs_set_mesh(struct ovs *o, const struct ovs_peer *peers, size_t n,
                  ovs_done_fn *done, void *arg);
/* Attaches 'p->ifname'; on another of our bridges it is moved.  On -ENODEV the
 * port stays in the database and OVS attaches it when the device appears. */
void ovs_add_port(struct ovs *o, const struct ovs_port *p, ovs_done_fn *done,
                  void *arg);
/* Absent is not an error. */
void ovs_del_port(struct ovs *o, const char *ifname, ovs_done_fn *done,
                  void *arg);
/* Removes every VM port ("sc...") of the bridge that is not in 'ifnames'. */
void ovs_retain_ports(struct ovs *o, const char *const *ifnames, size_t n,
                      ovs_done_fn *done, void *arg);

/* "sc" + the first 10 hex digits of 'port_id', dashes left out. */
void ovs_ifname(const char *port_id, char ret[OVS_IFNAME_LEN + 1]);

#endif
