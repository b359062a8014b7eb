/* Tests of daemons/controller/reach.c, on loopback. */
#include "controller/reach.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <sys/socket.h>

struct outcome {
    int n, code;
};

static void done(void *arg, int code)
{
    struct outcome *o = arg;
    o->n++;
    o->code = code;
}

static int listener(uint16_t *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    socklen_t size = sizeof a;
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&a, size) == 0 &&
              listen(fd, 4) == 0 &&
              getsockname(fd, (struct sockaddr *)&a, &size) == 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static int try_it(const char *address, uint16_t port, uint64_t timeout_ms)
{
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    struct reach_pool *p = NULL;
    struct outcome o = { 0 };
    cr_assert_eq(sc_loop_new(false, &loop, NULL), 0);
    cr_assert_eq(reach_pool_new(loop, &p), 0);
    reach_begin(p, address, port, timeout_ms, done, &o);
    cr_expect_eq(o.n, 0, "never from inside");
    for (int i = 0; i < 200 && !o.n; i++)
        sc_loop_run_once(loop, 50);
    cr_expect_eq(o.n, 1);
    reach_pool_free(p);
    cr_expect_eq(o.n, 1);
    return o.code;
}

Test(reach, a_port_that_listens_is_reached_and_one_that_does_not_is_not)
{
    uint16_t port;
    SC_AUTO(close) int fd = listener(&port);
    cr_expect_eq(try_it("127.0.0.1", port, 5000), 0);
    close(SC_TAKE_FD(fd));
    cr_expect_eq(try_it("127.0.0.1", port, 5000), -ECONNREFUSED);
    cr_expect_eq(try_it("node.example", port, 5000), -EINVAL);
}

Test(reach, the_end_of_the_pool_ends_every_attempt)
{
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    struct reach_pool *p = NULL;
    struct outcome o[3] = { 0 };
    uint16_t port;
    SC_AUTO(close) int fd = listener(&port);
    cr_assert_eq(sc_loop_new(false, &loop, NULL), 0);
    cr_assert_eq(reach_pool_new(loop, &p), 0);
    for (int i = 0; i < 3; i++)
        reach_begin(p, "127.0.0.1", port, 5000, done, &o[i]);
    reach_pool_free(p);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(o[i].n, 1);
        cr_expect_eq(o[i].code, -ECANCELED);
    }
    reach_pool_free(NULL);
}
