/* The fake keeps the contract of hypervisor.h; what is tested over it would
 * otherwise prove nothing. */
#include "hypervisor/hv_fake.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ID "11111111-1111-4111-8111-111111111111"

struct world {
    struct sc_loop *loop;
    struct hv *hv;
    struct hv_events events;
    char dir[40];
    unsigned n_done, n_ready, n_adopted, n_gone, n_stopped;
    struct sc_err err, why;
    enum hv_state adopted;
    bool inside; /* In a call: no callback may come. */
};

static void done(void *arg, const struct sc_err *err)
{
    struct world *w = arg;
    cr_expect_not(w->inside, "'done' from inside the call");
    w->n_done++;
    w->err = *err;
}

static void adopted(void *arg, const char *id, enum hv_state state)
{
    struct world *w = arg;
    cr_expect_str_eq(id, ID);
    cr_expect_eq(w->n_ready, 0, "adopted after ready");
    w->n_adopted++;
    w->adopted = state;
}

static void ready(void *arg)
{
    ((struct world *)arg)->n_ready++;
}

static void gone(void *arg, const char *id, const struct sc_err *why)
{
    struct world *w = arg;
    (void)id;
    w->n_gone++;
    w->why = *why;
}

static void out_stopped(void *arg)
{
    struct world *w = arg;
    enum hv_state s;
    w->n_stopped++;
    cr_assert_eq(hv_state_of(w->hv, ID, &s), 0);
    cr_expect_eq(w->n_done, 0, "stopped after done");
}

static const struct hv_out_events out_events = { NULL, out_stopped, done };

#define CALL(w, call)                                                          \
    __extension__({                                                            \
        (w)->inside = true;                                                    \
        int r_ = (call);                                                       \
        (w)->inside = false;                                                   \
        r_;                                                                    \
    })
#define UNTIL(w, condition)                                                    \
    do {                                                                       \
        uint64_t end_ = sc_mono_ms() + 10000;                                  \
        while (!(condition) && sc_mono_ms() < end_)                            \
            sc_loop_run_once((w)->loop, 20);                                   \
        cr_assert(condition, "it did not come to: " #condition);               \
    } while (0)

static void reopen(struct world *w)
{
    struct hv_options o = { .loop = w->loop,
                            .run_dir = w->dir,
                            .events = &w->events };
    hv_close(w->hv);
    w->n_ready = w->n_adopted = 0;
    cr_assert_eq(hv_open("fake", &o, &w->hv, NULL), 0);
    UNTIL(w, w->n_ready);
}

static void world_start(struct world *w, struct sc_loop *loop)
{
    memset(w, 0, sizeof *w);
    strcpy(w->dir, "/tmp/schvXXXXXX");
    cr_assert(mkdtemp(w->dir) != NULL);
    w->loop = loop;
    w->events = (struct hv_events){ w, adopted, ready, gone, NULL };
    reopen(w);
}

static struct sc_loop *new_loop(void)
{
    struct sc_loop *loop = NULL;
    cr_assert_eq(sc_loop_new(false, &loop, NULL), 0);
    return loop;
}

static void world_end(struct world *w)
{
    char cmd[80];
    hv_close(w->hv);
    snprintf(cmd, sizeof cmd, "rm -rf %s", w->dir);
    cr_assert_eq(system(cmd), 0);
}

static struct hv_spec spec(void)
{
    return (struct hv_spec){
        .id = ID, .name = "x", .vcpus = 1, .memory_mib = 256, .kernel = "/k"
    };
}

static void start(struct world *w)
{
    struct hv_spec s = spec();
    cr_assert_eq(CALL(w, hv_start(w->hv, &s, done, w, NULL)), 0);
    UNTIL(w, w->n_done);
    cr_assert_eq(w->err.code, 0);
    w->n_done = 0;
}

static enum hv_state state(struct world *w)
{
    enum hv_state s;
    cr_assert_eq(hv_state_of(w->hv, ID, &s), 0);
    return s;
}

Test(hv_fake, a_guest_runs_pauses_and_stops)
{
    struct sc_loop *loop = new_loop();
    struct world w;
    struct hv_spec s = spec();
    world_start(&w, loop);
    start(&w);
    cr_expect_eq(hv_start(w.hv, &s, done, &w, NULL), -EEXIST);
    cr_expect_eq(CALL(&w, hv_pause(w.hv, ID, done, &w, NULL)), 0);
    UNTIL(&w, w.n_done == 1);
    cr_expect_eq(state(&w), HV_PAUSED);
    cr_expect_eq(hv_pause(w.hv, ID, done, &w, NULL), -EBUSY);
    cr_expect_eq(CALL(&w, hv_resume(w.hv, ID, done, &w, NULL)), 0);
    UNTIL(&w, w.n_done == 2);
    cr_expect_eq(CALL(&w, hv_stop(w.hv, ID, 0, done, &w, NULL)), 0);
    UNTIL(&w, w.n_done == 3);
    enum hv_state now;
    cr_expect_eq(hv_state_of(w.hv, ID, &now), -ENOENT);
    cr_expect_eq(hv_stop(w.hv, ID, 0, done, &w, NULL), -ENOENT);
    cr_expect_eq(w.n_gone, 0, "a stop is not told as an end");
    world_end(&w);
    sc_loop_free(loop);
}

Test(hv_fake, a_guest_is_adopted_by_the_next_driver)
{
    struct sc_loop *loop = new_loop();
    struct world w;
    world_start(&w, loop);
    start(&w);
    reopen(&w);
    cr_expect_eq(w.n_adopted, 1);
    cr_expect_eq(w.adopted, HV_RUNNING);
    world_end(&w);
    sc_loop_free(loop);
}

Test(hv_fake, memory_is_refused_when_there_is_no_more)
{
    struct sc_loop *loop = new_loop();
    struct world w;
    struct hv_spec s = spec();
    struct hv_host host;
    world_start(&w, loop);
    hv_fake_set_memory(w.hv, 300);
    start(&w);
    cr_assert_eq(hv_host_info(w.hv, &host, NULL), 0);
    cr_expect_eq(host.memory_free_mib, 44);
    s.id = "22222222-2222-4222-8222-222222222222";
    cr_expect_eq(hv_start(w.hv, &s, done, &w, NULL), -ENOSPC);
    world_end(&w);
    sc_loop_free(loop);
}

Test(hv_fake, a_start_that_fails_leaves_nothing)
{
    struct sc_loop *loop = new_loop();
    struct world w;
    struct hv_spec s = spec();
    enum hv_state now;
    world_start(&w, loop);
    hv_fake_fail_next(w.hv, -EIO);
    cr_assert_eq(CALL(&w, hv_start(w.hv, &s, done, &w, NULL)), 0);
    UNTIL(&w, w.n_done);
    cr_expect_eq(w.err.code, -EIO);
    cr_expect_eq(hv_state_of(w.hv, ID, &now), -ENOENT);
    world_end(&w);
    sc_loop_free(loop);
}

Test(hv_fake, an_end_of_its_own_is_told_with_the_reason)
{
    struct sc_loop *loop = new_loop();
    struct world w;
    world_start(&w, loop);
    start(&w);
    hv_fake_end(w.hv, ID, -EIO);
    cr_expect_eq(w.n_gone, 1);
    cr_expect_eq(w.why.code, -EIO);
    world_end(&w);
    sc_loop_free(loop);
}

Test(hv_fake, a_guest_moves_and_is_paused_until_it_is_resumed)
{
    struct sc_loop *loop = new_loop();
    struct world a, b;
    struct hv_spec s = spec();
    int fds[2];
    world_start(&a, loop);
    world_start(&b, loop);
    start(&a);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(CALL(&b, hv_migrate_in(b.hv, &s, fds[1], done, &b, NULL)), 0);
    cr_expect_eq(state(&b), HV_INCOMING);
    cr_assert_eq(
        CALL(&a, hv_migrate_out(a.hv, ID, fds[0], 300, &out_events, &a, NULL)),
        0);
    UNTIL(&a, a.n_done && b.n_done);
    cr_expect_eq(a.err.code, 0);
    cr_expect_eq(b.err.code, 0, "%s", b.err.text);
    cr_expect_eq(a.n_stopped, 1);
    cr_expect_eq(state(&a), HV_SUSPENDED);
    cr_expect_eq(state(&b), HV_PAUSED);
    world_end(&a);
    world_end(&b);
    sc_loop_free(loop);
}

Test(hv_fake, an_aborted_migration_leaves_the_guest_running)
{
    struct sc_loop *loop = new_loop();
    struct world w;
    int fds[2];
    world_start(&w, loop);
    start(&w);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(hv_migrate_out(w.hv, ID, fds[0], 300, &out_events, &w, NULL),
                 0);
    cr_assert_eq(CALL(&w, hv_migrate_abort(w.hv, ID, NULL)), 0);
    UNTIL(&w, w.n_done);
    cr_expect_eq(w.err.code, -ECANCELED);
    cr_expect_eq(state(&w), HV_RUNNING);
    close(fds[1]);
    world_end(&w);
    sc_loop_free(loop);
}

Test(hv_fake, a_stream_that_ends_early_leaves_nothing_at_the_destination)
{
    struct sc_loop *loop = new_loop();
    struct world w;
    struct hv_spec s = spec();
    enum hv_state now;
    int fds[2];
    world_start(&w, loop);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(hv_migrate_in(w.hv, &s, fds[1], done, &w, NULL), 0);
    cr_assert_eq(write(fds[0], "SCFAKE1\n", 8), 8);
    close(fds[0]);
    UNTIL(&w, w.n_done);
    cr_expect_lt(w.err.code, 0);
    cr_expect_eq(hv_state_of(w.hv, ID, &now), -ENOENT);
    world_end(&w);
    sc_loop_free(loop);
}
