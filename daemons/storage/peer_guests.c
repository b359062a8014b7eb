/* peer_guests - what other nodes ask of us, on the connections they made: see
 * peers.h. */
#include "storage/peers_impl.h"

#include "common/log.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* Strangers can hold no more than so many connections: one more, and the
 * oldest is dropped, which has had the longest time to show a certificate. */
enum { STRANGERS_MAX = 256 };

static void answer(struct peer_answer *to, uint8_t *frame, size_t size)
{
    if (!to->guest) {
        free(frame);
        free(to);
        return;
    }
    struct peer_answer **at = &to->guest->answers;
    while (*at != to)
        at = &(*at)->next;
    *at = to->next;
    (void)!peer_conn_send(to->guest->conn, frame, size);
    free(to);
}

void peers_answer_fetch(struct peer_answer *to, uint32_t n,
                        const struct peer_block *blocks, const uint8_t *data)
{
    uint8_t *frame;
    size_t size;
    if (peer_data_encode(n, blocks, data, to->tag, &frame, &size) < 0)
        peers_answer(to, -ENOMEM, "out of memory");
    else
        answer(to, frame, size);
}

void peers_answer(struct peer_answer *to, int error, const char *text)
{
    uint8_t *frame;
    size_t size;
    if (peer_done_encode(error, text, to->tag, &frame, &size) < 0)
        abort(); /* A few bytes. */
    answer(to, frame, size);
}

static void guest_free(struct guest *g)
{
    struct peers *p = g->all;
    struct guest **at = &p->guests;
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    p->n_strangers -= !g->ready;
    for (struct peer_answer *a = g->answers; a; a = a->next)
        a->guest = NULL;
    peers_retire(p, g->conn);
    free(g);
}

static void on_guest_ready(void *arg, struct peer_conn *c)
{
    struct guest *g = arg;
    (void)c;
    g->ready = true;
    g->all->n_strangers--;
}

static void drop_stranger(struct peers *p)
{
    struct guest *oldest = NULL;
    for (struct guest *g = p->guests; g; g = g->next)
        oldest = g->ready ? oldest : g;
    if (oldest)
        guest_free(oldest);
}

static void on_guest_closed(void *arg, struct peer_conn *c,
                            const struct sc_err *why)
{
    (void)c;
    if (why->code == -EACCES)
        sc_log(SC_LOG_WARN, "peer.refused", "error", why->text, NULL);
    guest_free(arg);
}

static void handle(struct guest *g, uint16_t from, const struct peer_frame *f,
                   const uint8_t *payload, struct peer_answer *to)
{
    struct peers *p = g->all;
    struct peer_handover h;
    SC_AUTO(free) struct peer_fetch *q = NULL;
    if (!from) { /* Not yet, or no longer: its certificate outlives it. */
        peers_answer(to, -EACCES, "this node does not know you");
        return;
    }
    switch (f->type) {
    case PEER_FETCH:
        q = malloc(sizeof *q);
        if (q && peer_fetch_decode(payload, f->size, q) == 0)
            p->ops.fetch(p->ops.arg, q, to);
        else
            peers_answer(to, -EBADMSG, "malformed FETCH");
        break;
    case PEER_HANDOVER:
        if (peer_handover_decode(payload, f->size, &h) < 0)
            peers_answer(to, -EBADMSG, "malformed HANDOVER");
        else
            p->ops.handover(p->ops.arg, from, &h, to);
        break;
    default: /* PEER_PUSH's place is kept. */
        peers_answer(to, -EOPNOTSUPP, "this message is not for here");
    }
}

static void on_guest_frame(void *arg, struct peer_conn *c,
                           const struct peer_frame *f, const uint8_t *payload)
{
    struct guest *g = arg;
    const struct peer *o = peers_find_id(g->all, peer_conn_cn(c));
    uint16_t from = o ? o->nid : 0;
    if (f->type == PEER_PREPARED) { /* A notice; nobody waits. */
        struct peer_prepared m;
        if (from && peer_prepared_decode(payload, f->size, &m) == 0)
            g->all->ops.prepared(g->all->ops.arg, from, &m);
        return;
    }
    struct peer_answer *to = malloc(sizeof *to);
    if (!to)
        abort(); /* A few bytes. */
    *to = (struct peer_answer){ g->answers, g, f->tag };
    g->answers = to;
    handle(g, from, f, payload, to);
}

void peer_guests_accept(void *arg, int fd, uint32_t events)
{
    struct peers *p = arg;
    (void)events;
    static const struct peer_conn_ops ops = { .ready = on_guest_ready,
                                              .frame = on_guest_frame,
                                              .closed = on_guest_closed };
    int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (s < 0)
        return;
    int one = 1;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (p->n_strangers >= STRANGERS_MAX)
        drop_stranger(p);
    struct guest *g = calloc(1, sizeof *g);
    if (!g) {
        close(s);
        return;
    }
    g->all = p;
    if (peer_conn_new(p->loop, p->tls, s, false, NULL, &ops, g, &g->conn,
                      NULL) < 0) {
        free(g);
        return;
    }
    g->next = p->guests;
    p->guests = g;
    p->n_strangers++;
}

void peer_guests_free(struct peers *p)
{
    while (p->guests) {
        struct guest *g = p->guests;
        while (g->answers) { /* Theirs who are gone too. */
            struct peer_answer *a = g->answers;
            g->answers = a->next;
            free(a);
        }
        guest_free(g);
    }
}
