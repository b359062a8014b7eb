/* of_conn - one OpenFlow connection: framing, version, liveness.
 *
 * Used by of_server.c; the only files that know libopenvswitch are of_*.c.
 * Over libopenvswitch's 'struct stream' rather than its vconn, because only
 * the stream tells whose certificate the other side showed.
 * Errors are -errno.  Never blocks.
 * Source: OpenFlow 1.3.5 section 6; libopenvswitch's stream.h, ofp-msgs.h. */
#ifndef SC_NETWORK_OF_CONN_H
#define SC_NETWORK_OF_CONN_H

#include "common/clean.h"

#include <stdbool.h>
#include <stdint.h>

struct ofpbuf;
struct stream;
struct of_conn;

enum {
    OF_PROBE_MS = 5000,    /* Silence after which we ask for an echo. */
    OF_DEAD_MS = 15000,    /* Silence after which the connection is closed. */
    OF_OUT_MAX = 64 << 20, /* Bytes unsent; over that it is closed. */
};

struct of_conn *of_conn_new(struct stream *s); /* Takes 's'. */
void of_conn_free(struct of_conn *c);          /* NULL is allowed. */
/* Handshakes, sends, receives.  0; -errno: the connection is over. */
int of_conn_run(struct of_conn *c) SC_MUST_CHECK;
void of_conn_flush(struct of_conn *c); /* Sends what it can, now. */
void of_conn_wait(struct of_conn *c);  /* Registers with the poll loop. */
/* The next whole message but hello and echo; NULL: none now.  The caller's. */
struct ofpbuf *of_conn_recv(struct of_conn *c);
void of_conn_send(struct of_conn *c, struct ofpbuf *msg); /* Takes 'msg'. */
/* enum ofp_version once hello was exchanged; 0 before. */
int of_conn_version(const struct of_conn *c);
/* CN of the peer's certificate; NULL: none yet. */
const char *of_conn_peer(const struct of_conn *c);
const char *of_conn_name(const struct of_conn *c); /* "ssl:10.0.0.1:4711" */

#endif
