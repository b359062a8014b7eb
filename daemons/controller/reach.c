#include "controller/reach.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct attempt {
    struct reach_pool *pool;
    struct attempt *next, **link;
    int fd, code; /* code: told by the timer, if the connection never began. */
    struct sc_source *io, *timer;
    reach_done_fn *done;
    void *arg;
};
struct reach_pool {
    struct sc_loop *loop;
    struct attempt *first;
};

int reach_pool_new(struct sc_loop *loop, struct reach_pool **ret)
{
    struct reach_pool *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->loop = loop;
    *ret = p;
    return 0;
}

static void attempt_end(struct attempt *a, int code)
{
    reach_done_fn *done = a->done;
    void *arg = a->arg;
    *a->link = a->next;
    if (a->next)
        a->next->link = a->link;
    sc_source_free(a->io);
    sc_source_free(a->timer);
    if (a->fd >= 0)
        close(a->fd);
    free(a);
    done(arg, code);
}

void reach_pool_free(struct reach_pool *p)
{
    if (!p)
        return;
    while (p->first)
        attempt_end(p->first, -ECANCELED);
    free(p);
}

static void on_timer(void *arg)
{
    struct attempt *a = arg;
    attempt_end(a, a->code);
}

static void on_io(void *arg, int fd, uint32_t events)
{
    int code = 0;
    socklen_t size = sizeof code;
    (void)events;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
        code = errno;
    attempt_end(arg, -code);
}

static int begin(struct attempt *a, const char *address, uint16_t port)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                               .sin6_port = htons(port) };
    const struct sockaddr *to = (const struct sockaddr *)&v4;
    socklen_t size = sizeof v4;
    if (inet_pton(AF_INET, address, &v4.sin_addr) != 1) {
        if (inet_pton(AF_INET6, address, &v6.sin6_addr) != 1)
            return -EINVAL;
        to = (const struct sockaddr *)&v6;
        size = sizeof v6;
    }
    a->fd =
        socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (a->fd < 0)
        return -errno;
    if (connect(a->fd, to, size) < 0 && errno != EINPROGRESS)
        return -errno;
    return sc_loop_add_fd(a->pool->loop, a->fd, EPOLLOUT, on_io, a, &a->io);
}

void reach_begin(struct reach_pool *p, const char *address, uint16_t port,
                 uint64_t timeout_ms, reach_done_fn *done, void *arg)
{
    struct attempt *a = calloc(1, sizeof *a);
    if (!a)
        abort(); /* 'done' could not be kept. */
    *a = (struct attempt){ .pool = p,
                           .next = p->first,
                           .link = &p->first,
                           .fd = -1,
                           .code = -ETIMEDOUT,
                           .done = done,
                           .arg = arg };
    if (p->first)
        p->first->link = &a->next;
    p->first = a;
    int r = begin(a, address, port);
    if (r < 0)
        a->code = r;
    if (sc_loop_add_timer(p->loop, r < 0 ? 0 : timeout_ms, 0, on_timer, a,
                          &a->timer) < 0)
        abort();
}
