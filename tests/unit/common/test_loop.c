#include "helper.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>

static void count(void *arg)
{
    ++*(int *)arg;
}

Test(loop, timers_fire_once_or_again_and_again, .timeout = 10)
{
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    cr_assert_eq(sc_loop_new(false, &loop, NULL), 0);
    int once = 0, often = 0;
    struct sc_source *a, *b;
    cr_assert_eq(sc_loop_add_timer(loop, 5, 0, count, &once, &a), 0);
    cr_assert_eq(sc_loop_add_timer(loop, 5, 5, count, &often, &b), 0);
    LOOP_UNTIL(loop, often >= 5);
    cr_expect_eq(once, 1);
    sc_source_free(a);
    sc_source_free(b);
    int before = often;
    for (int i = 0; i < 5; i++)
        sc_loop_run_once(loop, 10);
    cr_expect_eq(often, before, "a freed timer is silent");
}

struct self_free {
    struct sc_source *source;
    int n;
};

static void free_self(void *arg)
{
    struct self_free *s = arg;
    s->n++;
    sc_source_free(s->source);
}

Test(loop, a_callback_may_free_its_own_source, .timeout = 10)
{
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    cr_assert_eq(sc_loop_new(false, &loop, NULL), 0);
    struct self_free s = { 0 };
    cr_assert_eq(sc_loop_add_timer(loop, 0, 1, free_self, &s, &s.source), 0);
    LOOP_UNTIL(loop, s.n == 1);
    for (int i = 0; i < 5; i++)
        sc_loop_run_once(loop, 3);
    cr_expect_eq(s.n, 1);
}

static void on_readable(void *arg, int fd, uint32_t events)
{
    char c;
    if ((events & EPOLLIN) && read(fd, &c, 1) == 1)
        ++*(int *)arg;
}

Test(loop, descriptors_wake_it, .timeout = 10)
{
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    cr_assert_eq(sc_loop_new(false, &loop, NULL), 0);
    int pipes[2], n = 0;
    cr_assert_eq(pipe(pipes), 0);
    struct sc_source *s;
    cr_assert_eq(sc_loop_add_fd(loop, pipes[0], EPOLLIN, on_readable, &n, &s),
                 0);
    cr_assert_eq(write(pipes[1], "ab", 2), 2);
    LOOP_UNTIL(loop, n == 2);
    cr_assert_eq(sc_source_set_events(s, 0), 0);
    cr_assert_eq(write(pipes[1], "c", 1), 1);
    sc_loop_run_once(loop, 20);
    cr_expect_eq(n, 2, "no events were asked for");
    sc_source_free(s);
}

static int child_status;
static pid_t child_seen;

static void on_child(void *arg, pid_t pid, int status)
{
    (void)arg;
    child_seen = pid;
    child_status = status;
}

Test(loop, a_childs_end_is_told, .timeout = 10)
{
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    cr_assert_eq(sc_loop_new(true, &loop, NULL), 0);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0)
        _exit(7);
    struct sc_source *s;
    cr_assert_eq(sc_loop_add_child(loop, pid, on_child, NULL, &s), 0);
    LOOP_UNTIL(loop, child_seen == pid);
    cr_expect(WIFEXITED(child_status) && WEXITSTATUS(child_status) == 7);
    sc_source_free(s);
}

Test(loop, programs_started_from_it_can_be_terminated, .timeout = 10)
{
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    cr_assert_eq(sc_loop_new(true, &loop, NULL), 0);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        execlp("sleep", "sleep", "100", NULL);
        _exit(127);
    }
    struct sc_source *s;
    cr_assert_eq(sc_loop_add_child(loop, pid, on_child, NULL, &s), 0);
    usleep(100000); /* Until its exec: the dispositions under test. */
    kill(pid, SIGTERM);
    LOOP_UNTIL(loop, child_seen == pid);
    cr_expect(WIFSIGNALED(child_status) && WTERMSIG(child_status) == SIGTERM);
    sc_source_free(s);
}

Test(loop, sigterm_ends_the_run, .timeout = 10)
{
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    cr_assert_eq(sc_loop_new(true, &loop, NULL), 0);
    kill(getpid(), SIGTERM);
    cr_expect_eq(sc_loop_run(loop), 0);
    int n = 0;
    cr_expect_eq(sc_loop_post(loop, count, &n), -ESHUTDOWN);
}

Test(loop, a_write_to_a_closed_pipe_is_an_error_not_the_end, .timeout = 10)
{
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    cr_assert_eq(sc_loop_new(true, &loop, NULL), 0);
    int pipes[2];
    cr_assert_eq(pipe(pipes), 0);
    close(pipes[0]);
    cr_expect_eq(write(pipes[1], "x", 1), -1);
    cr_expect_eq(errno, EPIPE);
}

enum { POSTS = 20000 };

struct posts {
    struct sc_loop *loop;
    int next; /* Only the loop's thread. */
    int wrong;
    pthread_t owner;
};
struct one_post {
    struct posts *posts;
    int i;
};

static void on_post(void *arg)
{
    struct one_post *o = arg;
    o->posts->wrong += o->i != o->posts->next++ ||
                       !pthread_equal(pthread_self(), o->posts->owner);
    free(o);
}

static void *poster(void *arg)
{
    struct posts *p = arg;
    for (int i = 0; i < POSTS; i++) {
        struct one_post *o = malloc(sizeof *o);
        *o = (struct one_post){ p, i };
        if (sc_loop_post(p->loop, on_post, o) < 0)
            abort();
    }
    return NULL;
}

Test(loop, posts_of_a_thread_run_in_order_on_the_loops_thread, .timeout = 30)
{
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    cr_assert_eq(sc_loop_new(false, &loop, NULL), 0);
    struct posts p = { .loop = loop, .owner = pthread_self() };
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, poster, &p), 0);
    LOOP_UNTIL(loop, p.next == POSTS);
    pthread_join(thread, NULL);
    cr_expect_eq(p.wrong, 0);
}

static void stop(void *arg)
{
    sc_loop_stop(arg);
}

Test(loop, stop_ends_the_run, .timeout = 10)
{
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    cr_assert_eq(sc_loop_new(false, &loop, NULL), 0);
    struct sc_source *s;
    cr_assert_eq(sc_loop_add_timer(loop, 1, 0, stop, loop, &s), 0);
    cr_expect_eq(sc_loop_run(loop), 0);
    cr_expect_not(sc_loop_run_once(loop, 0));
    sc_source_free(s);
}

/* As sc-network does it: another poll loop watches sc_loop_fd. */
static bool readable(struct sc_loop *loop, int ms)
{
    struct pollfd p = { .fd = sc_loop_fd(loop), .events = POLLIN };
    return poll(&p, 1, ms) == 1;
}

Test(loop, another_poll_loop_can_drive_it, .timeout = 10)
{
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    cr_assert_eq(sc_loop_new(false, &loop, NULL), 0);
    sc_loop_run_once(loop, 0);
    cr_expect_not(readable(loop, 0), "nothing to do");
    int n = 0, posted = 0;
    struct sc_source *s;
    /* Added between two turns, when sd-event is armed already. */
    cr_assert_eq(sc_loop_add_timer(loop, 10, 0, count, &n, &s), 0);
    cr_assert_eq(sc_loop_post(loop, count, &posted), 0);
    for (int i = 0; i < 100 && !n; i++) {
        cr_assert(readable(loop, 2000), "it must wake for the timer");
        sc_loop_run_once(loop, 0);
    }
    cr_expect_eq(n, 1);
    cr_expect_eq(posted, 1);
    sc_source_free(s);
}

Test(loop, many_ready_sources_are_not_forgotten_by_an_outer_poll, .timeout = 10)
{
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    cr_assert_eq(sc_loop_new(false, &loop, NULL), 0);
    enum { N = 300 };
    struct sc_source *s[N];
    int n = 0;
    for (int i = 0; i < N; i++)
        cr_assert_eq(sc_loop_add_timer(loop, 0, 0, count, &n, &s[i]), 0);
    while (n < N) {
        cr_assert(readable(loop, 2000), "%d of %d", n, N);
        sc_loop_run_once(loop, 0);
    }
    for (int i = 0; i < N; i++)
        sc_source_free(s[i]);
}
