/* mig_listen - port 7482: connections of sources, until they said HELLO. */
#include "common/log.h"
#include "node/migconn.h"
#include "node/node.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { WAITING_MAX = 64, WAIT_MS = 15000 };

struct waiting {
    struct waiting *next;
    struct mig_listener *listener;
    struct mig_conn *conn;
    struct sc_source *timer;
};
struct mig_listener {
    struct node *node;
    int fd;
    struct sc_source *source;
    struct waiting *list; /* The newest first. */
    unsigned n;
};

static void waiting_free(struct waiting *w)
{
    struct waiting **p = &w->listener->list;
    while (*p != w)
        p = &(*p)->next;
    *p = w->next;
    w->listener->n--;
    mig_conn_free(w->conn);
    sc_source_free(w->timer);
    free(w);
}

static void up(void *arg)
{
    (void)arg;
}

static void room(void *arg)
{
    (void)arg;
}

static void lost(void *arg, const struct sc_err *why)
{
    sc_log(SC_LOG_WARN, "migration.refused", "msg", why->text, NULL);
    waiting_free(arg);
}

static void too_late(void *arg)
{
    waiting_free(arg);
}

static void frame(void *arg, const struct mig_frame *f)
{
    struct waiting *w = arg;
    struct sc_err e = { 0 };
    struct mig_hello h;
    int r = f->type == MIG_HELLO ? mig_hello_decode(f->payload, f->size, &h, &e)
                                 : sc_fail(&e, -EPROTO, "%s before HELLO",
                                           mig_type_name(f->type));
    struct mig_conn *conn = SC_TAKE(w->conn);
    struct node *n = w->listener->node;
    waiting_free(w);
    if (r == 0)
        r = mig_in_hello(n, conn, &h, &e);
    if (r == 0)
        return;
    sc_log(SC_LOG_WARN, "migration.refused", "peer", mig_conn_peer(conn), "msg",
           e.text, NULL);
    mig_conn_send(conn, MIG_ABORT, e.text, (uint32_t)strlen(e.text));
    mig_conn_finish(conn);
}

static const struct mig_conn_events events = { up, frame, room, lost };

/* Strangers that say nothing must not keep a source out. */
static void drop_oldest(struct mig_listener *l)
{
    struct waiting *w = l->list;
    while (w && w->next)
        w = w->next;
    if (w)
        waiting_free(w);
}

static void on_accept(void *arg, int fd, uint32_t ev)
{
    struct mig_listener *l = arg;
    int on = 1;
    (void)ev;
    SC_AUTO(close)
    int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (conn < 0)
        return;
    if (l->n >= WAITING_MAX)
        drop_oldest(l);
    setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct waiting *w = calloc(1, sizeof *w);
    if (!w)
        return;
    w->listener = l;
    w->next = l->list;
    l->list = w;
    l->n++;
    struct sc_err e = { 0 };
    int r = mig_conn_new(l->node->loop, l->node->tls, SC_TAKE_FD(conn), true,
                         NULL, &events, w, &w->conn, &e);
    if (r == 0)
        r = sc_loop_add_timer(l->node->loop, WAIT_MS, 0, too_late, w,
                              &w->timer);
    if (r < 0)
        waiting_free(w);
}

int mig_listener_new(struct node *n, struct mig_listener **ret,
                     struct sc_err *err)
{
    struct mig_listener *l = calloc(1, sizeof *l);
    struct sockaddr_in6 a = { .sin6_family = AF_INET6,
                              .sin6_port = htons(n->config->migration_port) };
    int on = 1, off = 0;
    if (!l)
        return sc_fail(err, -ENOMEM, "migration: out of memory");
    l->node = n;
    l->fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = l->fd < 0 ? -errno : 0;
    if (r == 0) {
        setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        if (bind(l->fd, (struct sockaddr *)&a, sizeof a) < 0 ||
            listen(l->fd, 16) < 0)
            r = -errno;
    }
    if (r == 0)
        r = sc_loop_add_fd(n->loop, l->fd, EPOLLIN, on_accept, l, &l->source);
    if (r < 0) {
        mig_listener_free(l);
        return sc_fail(err, r, "migration port %u: %s",
                       n->config->migration_port, strerror(-r));
    }
    *ret = l;
    return 0;
}

void mig_listener_free(struct mig_listener *l)
{
    if (!l)
        return;
    while (l->list)
        waiting_free(l->list);
    sc_source_free(l->source);
    close_p(&l->fd);
    free(l);
}
