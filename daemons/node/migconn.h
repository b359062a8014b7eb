/* migconn - one connection of a migration: frames over TLS, kept alive.
 *
 * Used by mig_out.c and mig_in.c.  Loop thread, never blocks.  Both ends send
 * PING after MIG_PING_MS of silence; an end that hears nothing for MIG_DEAD_MS
 * calls the link lost, so a cut cable is noticed in at most 10 s in any state.
 * What waits to be sent is bounded: the caller asks mig_conn_room before it
 * takes more from the engine; what is received is handed on frame by frame, and
 * mig_conn_hold stops reading while the engine cannot take more. */
#ifndef SC_NODE_MIGCONN_H
#define SC_NODE_MIGCONN_H

#include "common/err.h"
#include "common/loop.h"
#include "common/tls.h"
#include "node/migframe.h"

enum {
    MIG_PING_MS = 2000,
    MIG_DEAD_MS = 8000,
    MIG_QUEUE = 4 * MIG_PAYLOAD_MAX, /* Waiting to be sent, bytes. */
};

struct mig_conn;
/* The callee may free the connection in any of them. */
struct mig_conn_events {
    void (*up)(void *arg); /* Handshake done, mig_conn_peer known. */
    void (*frame)(void *arg, const struct mig_frame *f);
    void (*room)(void *arg); /* mig_conn_room became > 0 again. */
    /* Once; nothing follows. */
    void (*lost)(void *arg, const struct sc_err *why);
};
/* 'fd' (taken) may still be connecting.  'want_cn' as in tls_conn_new. */
int mig_conn_new(struct sc_loop *loop, struct tls_ctx *tls, int fd, bool server,
                 const char *want_cn, const struct mig_conn_events *events,
                 void *arg, struct mig_conn **ret,
                 struct sc_err *err) SC_MUST_CHECK;
void mig_conn_free(struct mig_conn *c); /* NULL is allowed. */
SC_CLEANUP(struct mig_conn, mig_conn_free)
/* Sends what is queued for at most 5 s more, then frees itself. */
void mig_conn_finish(struct mig_conn *c);
/* Others take the connection over: from the listener to a migration. */
void mig_conn_set_events(struct mig_conn *c, const struct mig_conn_events *e,
                         void *arg);
const char *mig_conn_peer(const struct mig_conn *c); /* Node id. */
uint64_t mig_conn_sent(const struct mig_conn *c);    /* Bytes, with headers. */

/* A small frame; always taken (the bound is for DATA). */
void mig_conn_send(struct mig_conn *c, enum mig_type type, const void *payload,
                   uint32_t size);
/* Payload bytes a DATA frame may have now: 0 or MIG_PAYLOAD_MAX. */
size_t mig_conn_room(const struct mig_conn *c);
/* Where to put the payload of a DATA frame, MIG_PAYLOAD_MAX bytes; then
 * mig_conn_data_end says how many there are (0: none after all). */
uint8_t *mig_conn_data_begin(struct mig_conn *c);
void mig_conn_data_end(struct mig_conn *c, uint8_t flags, uint32_t size);
/* Stops (true) and continues reading frames. */
void mig_conn_hold(struct mig_conn *c, bool hold);

#endif
