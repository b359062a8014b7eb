/* peers - the other nodes' sc-storage: who they are, and talking to them.
 *
 * Keeps the table of nodes (from the controller, kept in a file for a restart
 * without it), one outgoing TLS connection to each node that is needed, and
 * serves theirs.  The loop's thread only; nothing blocks.
 * Source: docs/protocols/peer.md. */
#ifndef SC_STORAGE_PEERS_H
#define SC_STORAGE_PEERS_H

#include "common/err.h"
#include "common/loop.h"
#include "common/tls.h"
#include "storage/peer_proto.h"

#include <cjson/cJSON.h>

enum {
    PEERS_MAX = 4096,
    PEER_PENDING_MAX = 256,  /* Requests under way to one peer. */
    PEER_TIMEOUT_MS = 10000, /* An answer to a FETCH. */
    PEER_HANDOVER_TIMEOUT_MS = 30000,
};

struct peers;
struct peer_conn;

/* What peers ask of us; all answer at once or later, exactly once. */
struct peer_answer; /* Where an answer goes. */
struct peers_ops {
    void *arg;
    /* Answered by peers_answer_fetch. */
    void (*fetch)(void *arg, const struct peer_fetch *q,
                  struct peer_answer *to);
    /* Answered by peers_answer.  'from' is the nid of the certificate. */
    void (*handover)(void *arg, uint16_t from, const struct peer_handover *h,
                     struct peer_answer *to);
    void (*prepared)(void *arg, uint16_t from, const struct peer_prepared *p);
    /* A peer can be reached again. */
    void (*up)(void *arg, uint16_t nid);
};
struct peers_options {
    const char *listen_host; /* "0.0.0.0"; NULL: any address. */
    uint16_t port;           /* Of every node that does not name another. */
    struct tls_ctx *tls;     /* Borrowed. */
    const char *table_file;  /* Where the table is kept. */
};
int peers_new(struct sc_loop *loop, const struct peers_options *o,
              const struct peers_ops *ops, struct peers **ret,
              struct sc_err *err) SC_MUST_CHECK;
void peers_free(struct peers *p); /* NULL is allowed. */
SC_CLEANUP(struct peers, peers_free)

/* The "peers" message of the controller.  0 or -errno. */
int peers_set(struct peers *p, const cJSON *message,
              struct sc_err *err) SC_MUST_CHECK;
/* One node by name, from a migration's "from" or "to". */
int peers_learn(struct peers *p, const char *node_id, uint16_t nid,
                const char *address) SC_MUST_CHECK;
/* Other nodes that can be asked, the best first: at most 'max' nids. */
size_t peers_candidates(struct peers *p, uint16_t first, uint16_t *ret,
                        size_t max);
/* Begins to connect, so that a later request does not wait for it. */
void peers_warm(struct peers *p, uint16_t nid);
cJSON *peers_dump(const struct peers *p);
uint64_t peers_wire_in(const struct peers *p); /* Bytes, since the start. */
uint64_t peers_wire_out(const struct peers *p);

/* 'done' once, never inside the call; 'reply' is borrowed for the call (its
 * data may be taken), NULL if res < 0: -ETIMEDOUT, -ECONNRESET, -EHOSTUNREACH,
 * -EBUSY. */
typedef void peer_done_fn(void *arg, int res, struct peer_reply *reply);
void peers_fetch(struct peers *p, uint16_t nid, const struct peer_fetch *q,
                 peer_done_fn *done, void *arg);
void peers_handover(struct peers *p, uint16_t nid,
                    const struct peer_handover *h, peer_done_fn *done,
                    void *arg);
void peers_prepared(struct peers *p, uint16_t nid,
                    const struct peer_prepared *m);

/* --- answering ---------------------------------------------------------- */
/* Blocks in the order asked; 'status' one of PEER_BLOCK_* for each, data of
 * those that have any, one after the other.  Borrowed for the call. */
void peers_answer_fetch(struct peer_answer *to, uint32_t n,
                        const struct peer_block *blocks, const uint8_t *data);
void peers_answer(struct peer_answer *to, int error, const char *text);

#endif
