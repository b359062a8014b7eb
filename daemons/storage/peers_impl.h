/* peers_impl - what peers.c (the table, our calls) and peer_guests.c (their
 * calls to us) share.  Included by those two alone. */
#ifndef SC_STORAGE_PEERS_IMPL_H
#define SC_STORAGE_PEERS_IMPL_H

#include "storage/peer_conn.h"
#include "storage/peers.h"

enum { PEER_ADDRESS_MAX = 255 };

struct call {
    struct call *next;
    uint32_t tag;
    uint64_t sent_ms, deadline_ms; /* sc_mono_ms */
    uint64_t handover;             /* 0: a fetch. */
    peer_done_fn *done;
    void *arg;
};
struct peer {
    struct peers *all;
    uint16_t nid;
    char node_id[64], address[PEER_ADDRESS_MAX + 1], region[64];
    uint16_t port;
    bool up;                /* As the controller says. */
    uint64_t told;          /* peers.tables when it was named; less: gone. */
    struct peer_conn *conn; /* Owned; NULL: none. */
    bool ready;
    uint64_t retry_at, backoff_ms;
    struct call *calls;
    unsigned n_calls;
    double rtt_ms; /* < 0: not measured. */
    uint64_t failures;
    uint64_t seen_in, progress_ms; /* Bytes at the last sweep; when they grew.*/
};
/* One of their connections to us. */
struct guest {
    struct guest *next;
    struct peers *all;
    struct peer_conn *conn; /* Owned. */
    bool ready;             /* It has shown its certificate. */
    struct peer_answer *answers;
};
struct peer_answer {
    struct peer_answer *next;
    struct guest *guest; /* NULL: it has gone. */
    uint32_t tag;
};
struct failed { /* A call that failed before it began. */
    struct failed *next;
    int res;
    peer_done_fn *done;
    void *arg;
};
struct peers {
    struct sc_loop *loop;
    struct tls_ctx *tls;
    struct peers_ops ops;
    char *table_file;
    uint16_t port, self;
    char self_region[64];
    struct peer **list;
    size_t n;
    uint64_t tables;      /* How many the controller has told. */
    struct guest *guests; /* The newest first. */
    unsigned n_strangers; /* Those of them that are not ready. */
    int fd;
    struct sc_source *listener, *sweep, *soon;
    struct failed *failed;
    uint32_t next_tag;
    uint64_t in, out; /* Bytes of connections that have ended. */
};

struct peer *peers_find_id(const struct peers *p, const char *node_id);
/* Frees 'c', its bytes stay counted. */
void peers_retire(struct peers *p, struct peer_conn *c);
sc_fd_fn peer_guests_accept; /* 'arg' is the struct peers. */
void peer_guests_free(struct peers *p);

#endif
