/* nbd_server - see nbd_server.h: the socket and its connections. */
#include "storage/nbd_conn.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>

#define OF(type, member, p) ((type *)((char *)(p)-offsetof(type, member)))

static void accept_next(struct nbd_server *s);

static void on_accepted(struct io_op *op, int res)
{
    struct nbd_server *s = OF(struct nbd_server, accept, op);
    s->accepting = false;
    if (s->stopping) {
        if (res >= 0)
            close(res);
        return;
    }
    if (res >= 0 && s->n_conns >= NBD_CLIENTS_MAX)
        close(res);
    else if (res >= 0)
        res = nbd_conn_start(s, res); /* Closed if there is no memory. */
    accept_next(s);
}

static void accept_next(struct nbd_server *s)
{
    s->accepting = true;
    s->accept.done = on_accepted;
    ring_accept(s->ring, &s->accept, s->fd);
}

int nbd_server_new(struct ring *ring, struct vol_env *env, const char *path,
                   const struct nbd_server_ops *ops, struct nbd_server **ret,
                   struct sc_err *err)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof a.sun_path)
        return sc_fail(err, -ENAMETOOLONG, "%s: too long for a socket", path);
    memcpy(a.sun_path, path, strlen(path) + 1);
    SC_AUTO(nbd_server_free) struct nbd_server *s = calloc(1, sizeof *s);
    if (!s)
        return sc_fail(err, -ENOMEM, "nbd: out of memory");
    s->ring = ring;
    s->env = env;
    s->ops = *ops;
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    s->path = strdup(path);
    if (s->fd < 0 || !s->path)
        return sc_fail(err, -errno, "nbd: socket: %s", strerror(errno));
    unlink(path); /* Of an earlier life. */
    if (bind(s->fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        chmod(path, 0660) < 0 || listen(s->fd, 64) < 0)
        return sc_fail(err, -errno, "%s: %s", path, strerror(errno));
    accept_next(s);
    *ret = SC_TAKE(s);
    return 0;
}

void nbd_server_free(struct nbd_server *s)
{
    if (!s)
        return;
    s->stopping = true;
    if (s->accepting)
        ring_cancel(s->ring, &s->accept);
    if (s->fd >= 0)
        close(s->fd);
    if (s->path)
        unlink(s->path);
    free(s->path);
    free(s);
}

const char *nbd_server_path(const struct nbd_server *s)
{
    return s->path;
}

void nbd_server_kick(struct nbd_server *s, struct volume *v)
{
    for (struct nbd_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        if (c->vol == v)
            nbd_conn_close(c);
    }
}
