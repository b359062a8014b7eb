/* of_server - the OpenFlow side of sc-network: every switch's connection, from
 * hello to the flows that are to be there.
 *
 * Runs in libopenvswitch's poll loop: run, wait, of_server_block.  Events go to
 * 'struct network'; what that asks for goes to the switches.
 * A switch is known by its datapath id (= nid), and must show the certificate
 * of that node: otherwise it could take another node's guests.
 * Source: paper section 3.3.1; OpenFlow 1.3.5; docs/protocols/network.md. */
#ifndef SC_NETWORK_OF_SERVER_H
#define SC_NETWORK_OF_SERVER_H

#include "network/network.h"

struct of_server;
struct of_server_options {
    const char *listen;                         /* "0.0.0.0:6653". */
    const char *ca_file, *cert_file, *key_file; /* PEM. */
};
/* Listens.  libopenvswitch's TLS files are the process's: one server only. */
int of_server_new(const struct of_server_options *o, struct of_server **ret,
                  struct sc_err *err) SC_MUST_CHECK;
void of_server_free(struct of_server *s); /* NULL is allowed. */
SC_CLEANUP(struct of_server, of_server_free)
/* Whom to tell; before the first run.  Borrowed. */
void of_server_set_network(struct of_server *s, struct network *n);

void of_server_run(struct of_server *s);
void of_server_flush(struct of_server *s); /* Sends what was decided since. */
void of_server_wait(struct of_server *s);
/* Sleeps until something the waits named, 'fd' is readable, or 'timeout_ms'
 * have passed. */
void of_server_block(int fd, int timeout_ms);
uint64_t of_server_now(void); /* ms, monotonic; for network.h's 'now'. */

/* For 'struct net_out'; unknown switches are ignored. */
void of_server_flow(struct of_server *s, uint16_t nid, bool add,
                    const struct net_flow *f);
void of_server_packet(struct of_server *s, uint16_t nid, const char *actions,
                      const void *frame, size_t size);
void of_server_sync(struct of_server *s, uint16_t nid);
/* The nodes have changed: switches of those that are gone are cut off. */
void of_server_nodes(struct of_server *s);
/* Calls 'done' once the switch has done all it was told before: err->code 0;
 * -EHOSTUNREACH: it is not connected, or was lost meanwhile. */
typedef void of_done_fn(void *arg, const struct sc_err *err);
void of_server_barrier(struct of_server *s, uint16_t nid, of_done_fn *done,
                       void *arg);

#endif
