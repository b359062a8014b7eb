/* peer_conn - frames over one TLS connection, either side.
 *
 * Used by peers.c.  The loop's thread only; never blocks.  A connection tells
 * of its end once, by 'closed', after which only peer_conn_free is allowed
 * (inside 'closed' too). */
#ifndef SC_STORAGE_PEER_CONN_H
#define SC_STORAGE_PEER_CONN_H

#include "common/loop.h"
#include "common/tls.h"
#include "storage/peer_proto.h"

enum { PEER_OUT_MAX = 64 << 20 }; /* Bytes unsent before it is closed. */

struct peer_conn;
struct peer_conn_ops {
    void (*ready)(void *arg, struct peer_conn *c); /* After the handshake. */
    /* 'payload' is borrowed for the call. */
    void (*frame)(void *arg, struct peer_conn *c, const struct peer_frame *f,
                  const uint8_t *payload);
    void (*closed)(void *arg, struct peer_conn *c, const struct sc_err *why);
};
/* 'fd' (taken) is connected, or connecting if 'client'.  'want_cn' as for
 * tls_conn_new. */
int peer_conn_new(struct sc_loop *loop, struct tls_ctx *tls, int fd,
                  bool client, const char *want_cn,
                  const struct peer_conn_ops *ops, void *arg,
                  struct peer_conn **ret, struct sc_err *err) SC_MUST_CHECK;
void peer_conn_free(struct peer_conn *c); /* NULL is allowed. */
/* Sends a whole frame (malloc'd, taken), after the handshake if need be. */
int peer_conn_send(struct peer_conn *c, uint8_t *frame,
                   size_t size) SC_MUST_CHECK;
const char *peer_conn_cn(const struct peer_conn *c); /* After 'ready'. */
uint64_t peer_conn_in(const struct peer_conn *c);    /* Bytes. */
uint64_t peer_conn_out(const struct peer_conn *c);

#endif
