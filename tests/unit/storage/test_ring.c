/* Tests of daemons/storage/ring.c: real files and sockets on a real loop. */
#include "storage/ring.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/un.h>

enum { TURNS = 2000, PAGE = 4096 };

struct op {
    struct io_op up; /* Must be first. */
    int res;
    bool done;
};

static void on_done(struct io_op *up, int res)
{
    ((struct op *)up)->res = res;
    ((struct op *)up)->done = true;
}

static struct sc_loop *loop;
static struct ring *ring;
static char dir[64];

static void setup(void)
{
    struct sc_err err;
    strcpy(dir, "/tmp/sc-ring-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(sc_loop_new(false, &loop, &err), 0);
    cr_assert_eq(ring_new(loop, &ring, &err), 0, "%s", err.text);
}

static void teardown(void)
{
    char command[128];
    ring_free(ring);
    sc_loop_free(loop);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}

static int finish(struct op *op)
{
    for (int i = 0; !op->done && i < TURNS; i++)
        sc_loop_run_once(loop, 1000);
    cr_assert(op->done, "nothing woke the loop");
    return op->res;
}

#define OP                                                                     \
    {                                                                          \
        .up.done = on_done                                                     \
    }

Test(ring, what_is_written_is_read, .init = setup, .fini = teardown)
{
    struct io *io = ring_io(ring);
    char path[128];
    snprintf(path, sizeof path, "%s/f", dir);
    int f = io->class->open(io, path, true);
    cr_assert_geq(f, 0);
    uint8_t *buf = aligned_alloc(PAGE, PAGE), *got = aligned_alloc(PAGE, PAGE);
    memset(buf, 7, PAGE);
    struct op a = OP, w = OP, s = OP, r = OP, p = OP, z = OP, n = OP;
    io->class->allocate(io, &a.up, f, 0, 16 * PAGE);
    cr_assert_eq(finish(&a), 0);
    io->class->write(io, &w.up, f, buf, PAGE, 3 * PAGE);
    cr_assert_eq(finish(&w), PAGE);
    io->class->sync(io, &s.up, f);
    cr_assert_eq(finish(&s), 0);
    io->class->read(io, &r.up, f, got, PAGE, 3 * PAGE);
    cr_assert_eq(finish(&r), PAGE);
    cr_expect(memcmp(buf, got, PAGE) == 0);
    io->class->punch(io, &p.up, f, 0, 8 * PAGE);
    cr_assert_eq(finish(&p), 0);
    io->class->read(io, &z.up, f, got, PAGE, 3 * PAGE);
    cr_assert_eq(finish(&z), PAGE);
    cr_expect_eq(got[0], 0);
    io->class->nop(io, &n.up);
    cr_expect_eq(finish(&n), 0);
    cr_expect_eq(io->class->size(io, f), 16 * PAGE);
    io->class->close(io, f);
    free(buf);
    free(got);
}

Test(ring, many_operations_at_once_all_end, .init = setup, .fini = teardown)
{
    enum { MANY = 3000 }; /* More than the ring has entries. */
    struct io *io = ring_io(ring);
    struct op *ops = calloc(MANY, sizeof *ops);
    for (int i = 0; i < MANY; i++) {
        ops[i].up.done = on_done;
        io->class->nop(io, &ops[i].up);
    }
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(finish(&ops[i]), 0);
    free(ops);
}

/* Each side answers the other: a lost wake-up would end it. */
struct player {
    struct io_op recv, send;
    int fd;
    char c;
    struct msghdr msg;
    struct iovec iov;
    unsigned left;
};

static void on_received(struct io_op *op, int res);
static void on_sent(struct io_op *op, int res)
{
    (void)op;
    cr_assert_eq(res, 1);
}

static void listen_for(struct player *p)
{
    p->recv.done = on_received;
    ring_recv(ring, &p->recv, p->fd, &p->c, 1);
}

static void on_received(struct io_op *op, int res)
{
    struct player *p = (struct player *)op;
    cr_assert_eq(res, 1);
    if (p->left == 0)
        return;
    p->left--;
    p->iov = (struct iovec){ &p->c, 1 };
    p->msg = (struct msghdr){ .msg_iov = &p->iov, .msg_iovlen = 1 };
    p->send.done = on_sent;
    ring_sendmsg(ring, &p->send, p->fd, &p->msg);
    listen_for(p);
}

Test(ring, a_long_exchange_never_loses_a_wake_up, .init = setup,
     .fini = teardown)
{
    int fds[2];
    struct player a = { .left = 3000 }, b = { .left = 3000 };
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    a.fd = fds[0];
    b.fd = fds[1];
    listen_for(&a);
    listen_for(&b);
    cr_assert_eq(write(fds[0], "x", 1), 1);
    for (int i = 0; i < 200000 && a.left; i++)
        sc_loop_run_once(loop, 2000);
    cr_expect_eq(a.left, 0);
    close(fds[0]);
    close(fds[1]);
}

static unsigned n_later;
static void on_later(struct ring_later *l)
{
    (void)l;
    n_later++;
}

Test(ring, what_is_deferred_runs_once, .init = setup, .fini = teardown)
{
    struct ring_later l = { .fn = on_later }, gone = { .fn = on_later };
    struct op n = OP;
    n_later = 0;
    ring_defer(ring, &l);
    ring_defer(ring, &l);
    ring_defer(ring, &gone);
    ring_forget(ring, &gone);
    ring_io(ring)->class->nop(ring_io(ring), &n.up);
    cr_assert_eq(finish(&n), 0);
    cr_expect_eq(n_later, 1);
}

Test(ring, a_waiting_operation_can_be_cancelled, .init = setup,
     .fini = teardown)
{
    int fds[2];
    char c;
    struct op r = OP;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ring_recv(ring, &r.up, fds[0], &c, 1);
    sc_loop_run_once(loop, 0);
    ring_cancel(ring, &r.up);
    cr_expect_eq(finish(&r), -ECANCELED);
    close(fds[0]);
    close(fds[1]);
}

Test(ring, mapped_memory_outlives_the_mapping, .init = setup, .fini = teardown)
{
    struct io *io = ring_io(ring);
    char path[128];
    void *mem;
    uint8_t boot[IO_BOOT_ID], again[IO_BOOT_ID];
    snprintf(path, sizeof path, "%s/m", dir);
    cr_assert_eq(io->class->map(io, path, 8192, &mem), 0);
    strcpy(mem, "here");
    io->class->unmap(io, mem, 8192);
    cr_assert_eq(io->class->map(io, path, 8192, &mem), 0);
    cr_expect_str_eq(mem, "here");
    io->class->unmap(io, mem, 8192);
    cr_assert_eq(io->class->boot_id(io, boot), 0);
    cr_assert_eq(io->class->boot_id(io, again), 0);
    cr_expect(memcmp(boot, again, sizeof boot) == 0);
}
