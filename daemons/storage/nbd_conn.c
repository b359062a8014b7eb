/* nbd_conn - see nbd_conn.h: receiving requests, sending replies.
 *
 * One receive is always under way, into a buffer that takes many requests; the
 * data of a write that is not whole yet is received straight to its place.
 * Replies of one turn leave in one sendmsg. */
#include "storage/nbd_conn.h"

#include "storage/bytes.h"

#include <sys/socket.h>

#define OF(type, member, p) ((type *)((char *)(p)-offsetof(type, member)))
enum { STATUS_EXTENTS_MAX = 2048, COPY_MAX = 128 << 10 };

static void receive(struct nbd_conn *c);
static void on_later(struct ring_later *l);

/* --- requests' memory --------------------------------------------------- */
static struct nbd_req *req_new(struct nbd_conn *c)
{
    struct nbd_req *q = c->spare;
    if (q)
        c->spare = q->next;
    else
        q = malloc(sizeof *q);
    if (!q)
        return NULL;
    q->conn = c;
    q->next = NULL;
    q->vr.buf = NULL;
    q->buf_size = 0;
    q->filled = 0;
    q->head_size = 0;
    q->data = NULL;
    q->data_size = 0;
    q->blob = NULL;
    c->n_requests++;
    return q;
}

static void req_free(struct nbd_req *q)
{
    struct nbd_conn *c = q->conn;
    if (q->buf_size) {
        bufpool_put(c->server->env->pool, q->vr.buf, q->buf_size);
        c->n_bytes -= q->buf_size;
    }
    free(q->blob);
    q->next = c->spare;
    c->spare = q;
    c->n_requests--;
}

static void conn_free(struct nbd_conn *c)
{
    struct nbd_server *s = c->server;
    for (struct nbd_conn **p = &s->conns; *p; p = &(*p)->next)
        if (*p == c) {
            *p = c->next;
            break;
        }
    s->n_conns--;
    ring_forget(s->ring, &c->later);
    if (c->vol)
        c->vol->connections--;
    while (c->spare) {
        struct nbd_req *q = c->spare;
        c->spare = q->next;
        free(q);
    }
    free(c->rx);
    close(c->fd);
    free(c);
}

static void free_list(struct nbd_req *q)
{
    while (q) {
        struct nbd_req *next = q->next;
        req_free(q);
        q = next;
    }
}

void nbd_conn_close(struct nbd_conn *c)
{
    if (!c->closing) {
        c->closing = true;
        shutdown(c->fd, SHUT_RDWR);
    }
    if (c->partial && !c->receiving) /* Else the kernel may write there yet. */
        req_free(SC_TAKE(c->partial));
    if (!c->sending) {
        free_list(SC_TAKE(c->tx));
        c->tx_end = &c->tx;
    }
    /* Freed from the top of the turn, as callers still use it. */
    ring_defer(c->server->ring, &c->later);
}

/* --- sending ------------------------------------------------------------ */
static void on_sent(struct io_op *op, int res);

static void submit_send(struct nbd_conn *c)
{
    c->send.done = on_sent;
    ring_sendmsg(c->server->ring, &c->send, c->fd, &c->tx_msg);
}

static void send_batch(struct nbd_conn *c)
{
    unsigned n = 0, iovs = 0;
    struct nbd_req **end = &c->tx;
    c->sending = c->tx;
    for (; *end && n < NBD_TX_BATCH; end = &(*end)->next, n++) {
        struct nbd_req *q = *end;
        if (q->head_size)
            c->tx_iov[iovs++] = (struct iovec){ q->head, q->head_size };
        if (q->data_size)
            c->tx_iov[iovs++] =
                (struct iovec){ (void *)(uintptr_t)q->data, q->data_size };
    }
    c->tx = *end;
    *end = NULL;
    if (!c->tx)
        c->tx_end = &c->tx;
    c->tx_msg = (struct msghdr){ .msg_iov = c->tx_iov, .msg_iovlen = iovs };
    submit_send(c);
}

static void on_later(struct ring_later *l)
{
    struct nbd_conn *c = OF(struct nbd_conn, later, l);
    if (c->closing) {
        if (!c->sending) {
            free_list(SC_TAKE(c->tx));
            c->tx_end = &c->tx;
        }
        if (!c->receiving && c->n_requests == 0)
            conn_free(c);
        return;
    }
    if (c->tx && !c->sending)
        send_batch(c);
}

static void on_sent(struct io_op *op, int res)
{
    struct nbd_conn *c = OF(struct nbd_conn, send, op);
    size_t n = res > 0 ? (size_t)res : 0;
    struct msghdr *m = &c->tx_msg;
    while (n > 0 && m->msg_iovlen > 0 && n >= m->msg_iov->iov_len) {
        n -= m->msg_iov->iov_len;
        m->msg_iov++;
        m->msg_iovlen--;
    }
    if (m->msg_iovlen > 0 && res > 0 && !c->closing) {
        m->msg_iov->iov_base = (uint8_t *)m->msg_iov->iov_base + n;
        m->msg_iov->iov_len -= n;
        submit_send(c);
        return;
    }
    free_list(SC_TAKE(c->sending));
    if (res <= 0 || (c->closing_after_tx && !c->tx))
        nbd_conn_close(c);
    else if (!c->closing && !c->receiving)
        receive(c);
    ring_defer(c->server->ring, &c->later);
}

static void queue_reply(struct nbd_req *q)
{
    struct nbd_conn *c = q->conn;
    if (c->closing) {
        req_free(q);
    } else {
        q->next = NULL;
        *c->tx_end = q;
        c->tx_end = &q->next;
    }
    ring_defer(c->server->ring, &c->later);
}

int nbd_conn_send(struct nbd_conn *c, uint8_t *blob, uint32_t size)
{
    struct nbd_req *q = req_new(c);
    if (!q) {
        free(blob);
        return -ENOMEM;
    }
    q->blob = blob;
    q->data = blob;
    q->data_size = size;
    queue_reply(q);
    return 0;
}

static void reply_error(struct nbd_req *q, int error)
{
    uint32_t e = nbd_error(error);
    bool chunk = q->conn->structured && (q->q.type == NBD_CMD_READ ||
                                         q->q.type == NBD_CMD_BLOCK_STATUS);
    q->data_size = 0;
    if (chunk) {
        q->head_size = (uint32_t)nbd_put_chunk(q->head, NBD_CHUNK_DONE,
                                               NBD_CHUNK_ERROR, q->q.cookie, 6);
        put_be32(q->head + q->head_size, e);
        put_be16(q->head + q->head_size + 4, 0);
        q->head_size += 6;
    } else {
        q->head_size = (uint32_t)nbd_put_simple(q->head, e, q->q.cookie);
    }
    queue_reply(q);
}

static void on_done(struct vol_req *vr, int res)
{
    struct nbd_req *q = (struct nbd_req *)vr;
    if (res < 0) {
        reply_error(q, res);
        return;
    }
    if (q->q.type == NBD_CMD_READ) {
        q->data = vr->buf + q->q.offset % BLOCK_SIZE;
        q->data_size = q->q.length;
        if (q->conn->structured) {
            q->head_size =
                (uint32_t)nbd_put_chunk(q->head, NBD_CHUNK_DONE, NBD_CHUNK_DATA,
                                        q->q.cookie, 8 + q->q.length);
            put_be64(q->head + q->head_size, q->q.offset);
            q->head_size += 8;
            queue_reply(q);
            return;
        }
    }
    q->head_size = (uint32_t)nbd_put_simple(q->head, 0, q->q.cookie);
    queue_reply(q);
}

/* --- block status ------------------------------------------------------- */
/* How many blocks from 'block' are alike, zeros or not, through the layers. */
static uint32_t alike(const struct volume *v, uint32_t block, uint32_t max,
                      bool *ret_zero)
{
    uint32_t n;
    enum bs_kind kind = bstore_run(v->bs, block, max, &n);
    *ret_zero = kind == BS_ZERO;
    if (kind != BS_ABSENT)
        return n;
    uint32_t end = v->parent ? bstore_n_blocks(v->parent->bs) : 0;
    if (block >= end) {
        *ret_zero = true;
        return n;
    }
    return alike(v->parent, block, end - block < n ? end - block : n, ret_zero);
}

static void block_status(struct nbd_req *q)
{
    struct nbd_conn *c = q->conn;
    uint64_t at = q->q.offset, end = at + q->q.length;
    unsigned max = q->q.flags & NBD_CMD_F_REQ_ONE ? 1 : STATUS_EXTENTS_MAX;
    unsigned n = 0;
    uint32_t last = UINT32_MAX;
    if (!c->allocation || q->q.length == 0) {
        reply_error(q, -EINVAL);
        return;
    }
    q->blob = malloc(4 + (size_t)max * 8);
    if (!q->blob) {
        reply_error(q, -ENOMEM);
        return;
    }
    uint8_t *p = q->blob + 4;
    put_be32(q->blob, 1);
    uint32_t length = 0;
    for (unsigned turns = 0; at < end && turns < 65536; turns++) {
        bool zero;
        uint32_t block = (uint32_t)(at / BLOCK_SIZE);
        uint32_t left = (uint32_t)((end - 1) / BLOCK_SIZE) - block + 1;
        uint64_t next =
            ((uint64_t)block + alike(c->vol, block, left, &zero)) * BLOCK_SIZE;
        if (next > end)
            next = end;
        uint32_t state = zero ? NBD_STATE_HOLE | NBD_STATE_ZERO : 0;
        if (state != last) {
            if (n == max)
                break;
            n++;
            p += last == UINT32_MAX ? 0 : 8;
            length = 0;
            last = state;
        }
        length += (uint32_t)(next - at);
        put_be32(p, length);
        put_be32(p + 4, state);
        at = next;
    }
    q->data = q->blob;
    q->data_size = 4 + n * 8;
    q->head_size = (uint32_t)nbd_put_chunk(
        q->head, NBD_CHUNK_DONE, NBD_CHUNK_STATUS, q->q.cookie, q->data_size);
    queue_reply(q);
}

/* --- receiving ---------------------------------------------------------- */
static int check(const struct nbd_conn *c, const struct nbd_request *q)
{
    if (q->type == NBD_CMD_FLUSH)
        return 0;
    if (q->offset > c->size || q->length > c->size - q->offset)
        return q->type == NBD_CMD_WRITE || q->type == NBD_CMD_WRITE_ZEROES
                   ? -ENOSPC
                   : -EINVAL;
    if (q->length > VOL_REQUEST_MAX &&
        (q->type == NBD_CMD_READ || q->type == NBD_CMD_WRITE))
        return -EOVERFLOW;
    return 0;
}

static int reserve(struct nbd_req *q)
{
    uint64_t first = q->q.offset / BLOCK_SIZE * BLOCK_SIZE;
    uint64_t end = q->q.offset + q->q.length + BLOCK_SIZE - 1;
    size_t size = (size_t)(end / BLOCK_SIZE * BLOCK_SIZE - first);
    if (size == 0)
        size = BLOCK_SIZE;
    q->vr.buf = bufpool_get(q->conn->server->env->pool, size);
    if (!q->vr.buf)
        return -ENOMEM;
    q->buf_size = size;
    q->conn->n_bytes += size;
    return 0;
}

static void run(struct nbd_req *q)
{
    static const enum vol_cmd cmds[] = {
        [NBD_CMD_READ] = VOL_READ,         [NBD_CMD_WRITE] = VOL_WRITE,
        [NBD_CMD_FLUSH] = VOL_FLUSH,       [NBD_CMD_TRIM] = VOL_TRIM,
        [NBD_CMD_WRITE_ZEROES] = VOL_ZERO,
    };
    q->vr.cmd = cmds[q->q.type];
    q->vr.fua = q->q.flags & NBD_CMD_F_FUA;
    q->vr.internal = false;
    q->vr.offset = q->q.offset;
    q->vr.length = q->q.length;
    q->vr.done = on_done;
    volume_submit(q->conn->vol, &q->vr);
}

/* Begins one request.  A write's data follows: 'partial' is set. */
static int begin_request(struct nbd_conn *c, const struct nbd_request *header)
{
    if (header->type == NBD_CMD_DISC)
        return -ESHUTDOWN;
    struct nbd_req *q = req_new(c);
    if (!q)
        return -ENOMEM;
    q->q = *header;
    int r = check(c, header);
    switch (header->type) {
    case NBD_CMD_WRITE:
        if (header->length > VOL_REQUEST_MAX) {
            req_free(q); /* Nobody may send so much. */
            return -EPROTO;
        }
        if (r < 0) /* Its data still has to be taken off the stream. */
            q->q.offset = 0;
        if (reserve(q) < 0) {
            req_free(q);
            return -ENOMEM;
        }
        q->vr.error = r;
        c->partial = q;
        return 0;
    case NBD_CMD_READ:
        if (r == 0)
            r = reserve(q);
        if (r == 0)
            run(q);
        break;
    case NBD_CMD_FLUSH:
    case NBD_CMD_TRIM:
    case NBD_CMD_WRITE_ZEROES:
        if (r == 0)
            run(q);
        break;
    case NBD_CMD_BLOCK_STATUS:
        if (r == 0)
            block_status(q);
        break;
    default:
        r = -EINVAL;
    }
    if (r < 0)
        reply_error(q, r);
    return 0;
}

static void end_write(struct nbd_conn *c)
{
    struct nbd_req *q = SC_TAKE(c->partial);
    if (q->vr.error < 0)
        reply_error(q, q->vr.error);
    else
        run(q);
}

static uint8_t *write_place(struct nbd_req *q)
{
    return q->vr.buf + q->q.offset % BLOCK_SIZE + q->filled;
}

/* Takes one thing from the buffer.  1: took; 0: wants more bytes; -errno. */
static int take(struct nbd_conn *c)
{
    const uint8_t *at = c->rx + c->rx_at;
    size_t size = c->rx_end - c->rx_at;
    if (c->partial) {
        struct nbd_req *q = c->partial;
        size_t n = q->q.length - q->filled;
        n = n < size ? n : size;
        memcpy(write_place(q), at, n);
        q->filled += (uint32_t)n;
        c->rx_at += n;
        if (q->filled < q->q.length)
            return 0;
        end_write(c);
        return 1;
    }
    if (c->phase != NBD_REQUESTS) {
        long n = nbd_options_take(c, at, size);
        c->rx_at += n > 0 ? (size_t)n : 0;
        return n < 0 ? (int)n : n > 0;
    }
    if (c->n_requests >= NBD_REQUESTS_MAX || c->n_bytes >= NBD_BYTES_MAX)
        return 0;
    struct nbd_request q;
    int r = nbd_request_decode(at, size, &q);
    if (r == -EAGAIN)
        return 0;
    c->rx_at += NBD_REQUEST_SIZE;
    if (r == 0)
        r = begin_request(c, &q);
    return r < 0 ? r : 1;
}

static void on_received(struct io_op *op, int res)
{
    struct nbd_conn *c = OF(struct nbd_conn, recv, op);
    c->receiving = false;
    if (res <= 0 || c->closing) {
        nbd_conn_close(c);
        return;
    }
    size_t n = (size_t)res;
    if (c->partial && c->rx_msg.msg_iovlen == 2) {
        struct nbd_req *q = c->partial;
        size_t direct = c->rx_iov[0].iov_len < n ? c->rx_iov[0].iov_len : n;
        q->filled += (uint32_t)direct;
        n -= direct;
        if (q->filled == q->q.length)
            end_write(c);
    }
    c->rx_end += n;
    receive(c);
}

/* Takes what is there, then asks for more, unless too much is under way: then
 * the next reply that leaves goes on. */
static void receive(struct nbd_conn *c)
{
    int r;
    while ((r = take(c)) > 0)
        ;
    if (r < 0) {
        nbd_conn_close(c);
        return;
    }
    if (c->phase == NBD_REQUESTS && !c->partial &&
        (c->n_requests >= NBD_REQUESTS_MAX || c->n_bytes >= NBD_BYTES_MAX))
        return;
    if (c->rx_at == c->rx_end) {
        c->rx_at = c->rx_end = 0;
    } else if (c->rx_at) {
        memmove(c->rx, c->rx + c->rx_at, c->rx_end - c->rx_at);
        c->rx_end -= c->rx_at;
        c->rx_at = 0;
    }
    c->rx_iov[1] = (struct iovec){ c->rx + c->rx_end, NBD_RX_SIZE - c->rx_end };
    c->rx_msg = (struct msghdr){ .msg_iov = &c->rx_iov[1], .msg_iovlen = 1 };
    if (c->partial) { /* The buffer is empty: all of it was the data. */
        struct nbd_req *q = c->partial;
        c->rx_iov[0] =
            (struct iovec){ write_place(q), q->q.length - q->filled };
        c->rx_msg = (struct msghdr){ .msg_iov = c->rx_iov, .msg_iovlen = 2 };
    }
    c->receiving = true;
    c->recv.done = on_received;
    ring_recvmsg(c->server->ring, &c->recv, c->fd, &c->rx_msg);
}

int nbd_conn_start(struct nbd_server *s, int fd)
{
    struct nbd_conn *c = calloc(1, sizeof *c);
    uint8_t *rx = malloc(NBD_RX_SIZE);
    uint8_t *greeting = malloc(18);
    if (!c || !rx || !greeting) {
        free(c);
        free(rx);
        free(greeting);
        close(fd);
        return -ENOMEM;
    }
    /* Room for a batch of large replies; more than the default if allowed. */
    int room = 4 << 20;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    c->server = s;
    c->fd = fd;
    c->rx = rx;
    c->tx_end = &c->tx;
    c->later.fn = on_later;
    c->next = s->conns;
    s->conns = c;
    s->n_conns++;
    nbd_put_greeting(greeting);
    if (nbd_conn_send(c, greeting, 18) < 0)
        nbd_conn_close(c);
    else
        receive(c);
    return 0;
}
