/* nbd_conn - one NBD client: what nbd_server.c and nbd_conn.c share.
 *
 * Private to those two and nbd_options.c.  A connection lives until nothing of
 * it is under way; then nbd_conn_maybe_free frees it. */
#ifndef SC_STORAGE_NBD_CONN_H
#define SC_STORAGE_NBD_CONN_H

#include "storage/nbd_proto.h"
#include "storage/nbd_server.h"

#include <sys/uio.h>

enum { NBD_RX_SIZE = 256 << 10, NBD_TX_BATCH = 128 };

struct nbd_req {
    struct vol_req vr; /* Must be first. */
    struct nbd_conn *conn;
    struct nbd_req *next;
    struct nbd_request q;
    size_t buf_size; /* Of vr.buf, 0: none. */
    uint32_t filled; /* Bytes of a write's data that are here. */
    uint8_t head[NBD_HEAD_MAX];
    uint32_t head_size;
    const uint8_t *data; /* After the head; NULL: nothing. */
    uint32_t data_size;
    uint8_t *blob; /* Owned: data of another kind than vr.buf. */
};

struct nbd_conn {
    struct nbd_server *server;
    struct nbd_conn *next; /* Of the server. */
    struct volume *vol;    /* After GO. */
    int fd;
    enum { NBD_FLAGS, NBD_OPTIONS, NBD_REQUESTS } phase;
    bool closing, no_zeroes, structured, allocation;
    bool closing_after_tx;
    uint64_t size; /* Of the export, as the client was told. */
    uint64_t skip; /* Bytes of an option that was too long. */

    uint8_t *rx;
    size_t rx_at, rx_end;
    struct io_op recv;
    bool receiving;
    struct nbd_req *partial; /* A write whose data is not all here. */
    struct iovec rx_iov[2];
    struct msghdr rx_msg;

    struct nbd_req *tx, **tx_end; /* To be sent, in order. */
    struct nbd_req *sending;      /* Being sent. */
    struct iovec tx_iov[2 * NBD_TX_BATCH];
    struct msghdr tx_msg;
    struct io_op send;
    struct ring_later later;

    struct nbd_req *spare;
    unsigned n_requests;
    size_t n_bytes;
};

struct nbd_server {
    struct ring *ring;
    struct vol_env *env;
    struct nbd_server_ops ops;
    char *path;
    int fd;
    struct io_op accept;
    struct nbd_conn *conns;
    unsigned n_conns;
    bool stopping;
    bool accepting;
};

int nbd_conn_start(struct nbd_server *s, int fd) SC_MUST_CHECK;
void nbd_conn_close(struct nbd_conn *c); /* Begins; frees itself later. */
/* A reply that is not a request's: 'blob' is taken. */
int nbd_conn_send(struct nbd_conn *c, uint8_t *blob,
                  uint32_t size) SC_MUST_CHECK;
/* Negotiation: takes what it can from 'buf'.  Bytes taken, or -errno: the
 * connection is of no use. */
long nbd_options_take(struct nbd_conn *c, const uint8_t *buf, size_t size);

#endif
