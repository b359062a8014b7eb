/* loop - see loop.h; over sd-event.
 *
 * Signals are taken by handlers that write to the loop's eventfd, rather than
 * blocked and read by sd-event: a blocked mask would pass to every program we
 * start (qemu, ip), which then could not be stopped by SIGTERM; handlers go
 * back to the default by themselves at exec.  Children are watched by pidfd
 * for the same reason (sd-event would want SIGCHLD blocked). */
#include "common/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <time.h>

enum { TURN_MAX = 64 }; /* Sources dispatched by one sc_loop_run_once. */

struct post {
    struct post *next;
    sc_fn *fn;
    void *arg;
};

struct sc_loop {
    sd_event *event;       /* Owned. */
    int wake_fd;           /* eventfd: posts, stop, signals. */
    sd_event_source *wake; /* Owned. */
    bool has_signals;
    atomic_bool stop;
    pthread_mutex_t lock; /* Of the fields below. */
    struct post *first, **last;
    bool ended;
};

struct sc_source {
    sd_event_source *source; /* Owned. */
    uint64_t period_ms;
    sc_fn *timer_fn;
    sc_fd_fn *fd_fn;
    sc_child_fn *child_fn;
    void *arg;
    pid_t pid;
    int pidfd; /* Of a child; owned; -1 else. */
};

/* What a signal handler can reach; set while one loop takes the signals. */
static volatile sig_atomic_t signal_fd = -1;
static volatile sig_atomic_t signal_pid;
static atomic_bool signal_seen;

static void on_signal(int sig)
{
    int saved = errno;
    if (getpid() != signal_pid) { /* A child of ours before its exec. */
        signal(sig, SIG_DFL);
        raise(sig);
    } else {
        atomic_store(&signal_seen, true);
        uint64_t one = 1;
        if (write(signal_fd, &one, sizeof one) < 0) {
            /* Full counter: the loop will wake anyway. */
        }
    }
    errno = saved;
}

static void on_sigpipe(int sig)
{
    (void)sig; /* Only so that write(2) says EPIPE; undone by exec. */
}

static void wake(struct sc_loop *loop)
{
    uint64_t one = 1;
    while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static int on_wake(sd_event_source *s, int fd, uint32_t events, void *arg)
{
    (void)s;
    (void)events;
    struct sc_loop *loop = arg;
    uint64_t n;
    while (read(fd, &n, sizeof n) < 0 && errno == EINTR)
        ;
    if (loop->has_signals && atomic_load(&signal_seen))
        atomic_store(&loop->stop, true);
    pthread_mutex_lock(&loop->lock);
    struct post *p = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    pthread_mutex_unlock(&loop->lock);
    while (p) {
        struct post *next = p->next;
        p->fn(p->arg);
        free(p);
        p = next;
    }
    return 0;
}

static void take_signals(struct sc_loop *loop)
{
    loop->has_signals = true;
    atomic_store(&signal_seen, false);
    signal_fd = loop->wake_fd;
    signal_pid = getpid();
    struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigemptyset(&sa.sa_mask);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
}

int sc_loop_new(bool signals, struct sc_loop **ret, struct sc_err *err)
{
    SC_AUTO(sc_loop_free) struct sc_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return sc_fail(err, -ENOMEM, "event loop: out of memory");
    pthread_mutex_init(&loop->lock, NULL);
    loop->last = &loop->first;
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd < 0)
        return sc_fail(err, -errno, "event loop: eventfd: %s", strerror(errno));
    int r = sd_event_new(&loop->event);
    if (r >= 0)
        r = sd_event_add_io(loop->event, &loop->wake, loop->wake_fd, EPOLLIN,
                            on_wake, loop);
    if (r >= 0)
        r = sd_event_set_watchdog(loop->event, true);
    if (r < 0)
        return sc_fail(err, r, "event loop: sd-event: %s", strerror(-r));
    struct sigaction old;
    struct sigaction sa = { .sa_handler = on_sigpipe, .sa_flags = SA_RESTART };
    sigemptyset(&sa.sa_mask);
    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        sigaction(SIGPIPE, &sa, NULL);
    if (signals)
        take_signals(loop);
    *ret = SC_TAKE(loop);
    return 0;
}

void sc_loop_free(struct sc_loop *loop)
{
    if (!loop)
        return;
    if (loop->has_signals) {
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        signal_fd = -1;
    }
    while (loop->first) { /* Never to be run; their 'arg' is the poster's. */
        struct post *p = loop->first;
        loop->first = p->next;
        free(p);
    }
    sd_event_source_disable_unref(loop->wake);
    sd_event_unref(loop->event);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

int sc_loop_run(struct sc_loop *loop)
{
    sd_notify(0, "READY=1");
    while (sc_loop_run_once(loop, -1))
        ;
    pthread_mutex_lock(&loop->lock);
    loop->ended = true;
    pthread_mutex_unlock(&loop->lock);
    sd_notify(0, "STOPPING=1");
    return 0;
}

/* Brings sd-event from where the last turn left it to "something is pending":
 * true; or to "nothing within 'timeout_ms'": false. */
static bool await(sd_event *e, int timeout_ms)
{
    int state = sd_event_get_state(e);
    if (state == SD_EVENT_INITIAL && sd_event_prepare(e) > 0)
        return true;
    if (sd_event_get_state(e) == SD_EVENT_ARMED)
        return sd_event_wait(e, timeout_ms < 0
                                    ? UINT64_MAX
                                    : (uint64_t)timeout_ms * 1000) > 0;
    return sd_event_get_state(e) == SD_EVENT_PENDING;
}

bool sc_loop_run_once(struct sc_loop *loop, int timeout_ms)
{
    sd_event *e = loop->event;
    for (int i = 0; i < TURN_MAX && !atomic_load(&loop->stop); i++) {
        if (!await(e, i == 0 ? timeout_ms : 0))
            break;
        if (sd_event_dispatch(e) < 0)
            break;
    }
    if (atomic_load(&loop->stop))
        return false;
    /* Leave it armed, so that sc_loop_fd tells of timers; if more is pending
     * already, the descriptor would not say so: wake ourselves. */
    if (sd_event_get_state(e) == SD_EVENT_INITIAL)
        sd_event_prepare(e);
    if (sd_event_get_state(e) == SD_EVENT_PENDING)
        wake(loop);
    return true;
}

int sc_loop_fd(struct sc_loop *loop)
{
    return sd_event_get_fd(loop->event);
}

void sc_loop_stop(struct sc_loop *loop)
{
    atomic_store(&loop->stop, true);
    wake(loop);
}

uint64_t sc_loop_now_ms(struct sc_loop *loop)
{
    uint64_t us = 0;
    return sd_event_now(loop->event, CLOCK_MONOTONIC, &us) < 0 ? sc_mono_ms()
                                                               : us / 1000;
}

struct sd_event *sc_loop_event(struct sc_loop *loop)
{
    return loop->event;
}

static struct sc_source *source_new(void *arg)
{
    struct sc_source *s = calloc(1, sizeof *s);
    if (s) {
        s->arg = arg;
        s->pidfd = -1;
    }
    return s;
}

/* The callbacks below do not touch 's' after its function: it may be gone. */
static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
    (void)usec;
    struct sc_source *s = arg;
    if (s->period_ms) {
        sd_event_source_set_time_relative(source, s->period_ms * 1000);
        sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    s->timer_fn(s->arg);
    return 0;
}

static int on_fd(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    (void)source;
    struct sc_source *s = arg;
    s->fd_fn(s->arg, fd, events);
    return 0;
}

static int on_child(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    (void)fd;
    (void)events;
    struct sc_source *s = arg;
    int status = 0;
    pid_t pid = waitpid(s->pid, &status, WNOHANG);
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return 0;
    if (pid < 0)
        status = 0; /* Somebody else reaped it. */
    sd_event_source_set_enabled(source, SD_EVENT_OFF);
    s->child_fn(s->arg, s->pid, status);
    return 0;
}

int sc_loop_add_timer(struct sc_loop *loop, uint64_t after_ms,
                      uint64_t period_ms, sc_fn *fn, void *arg,
                      struct sc_source **ret)
{
    SC_AUTO(sc_source_free) struct sc_source *s = source_new(arg);
    if (!s)
        return -ENOMEM;
    s->timer_fn = fn;
    s->period_ms = period_ms;
    int r = sd_event_add_time_relative(loop->event, &s->source, CLOCK_MONOTONIC,
                                       after_ms * 1000, 1000, on_timer, s);
    if (r < 0)
        return r;
    if (sd_event_get_state(loop->event) != SD_EVENT_RUNNING)
        wake(loop); /* Timers are armed when the next turn begins. */
    *ret = SC_TAKE(s);
    return 0;
}

int sc_loop_add_fd(struct sc_loop *loop, int fd, uint32_t events, sc_fd_fn *fn,
                   void *arg, struct sc_source **ret)
{
    SC_AUTO(sc_source_free) struct sc_source *s = source_new(arg);
    if (!s)
        return -ENOMEM;
    s->fd_fn = fn;
    int r = sd_event_add_io(loop->event, &s->source, fd, events, on_fd, s);
    if (r < 0)
        return r;
    *ret = SC_TAKE(s);
    return 0;
}

int sc_loop_add_child(struct sc_loop *loop, pid_t pid, sc_child_fn *fn,
                      void *arg, struct sc_source **ret)
{
    SC_AUTO(sc_source_free) struct sc_source *s = source_new(arg);
    if (!s)
        return -ENOMEM;
    s->child_fn = fn;
    s->pid = pid;
    s->pidfd = pidfd_open(pid, 0);
    if (s->pidfd < 0)
        return -errno;
    int r = sd_event_add_io(loop->event, &s->source, s->pidfd, EPOLLIN,
                            on_child, s);
    if (r < 0)
        return r;
    *ret = SC_TAKE(s);
    return 0;
}

int sc_source_set_events(struct sc_source *s, uint32_t events)
{
    return sd_event_source_set_io_events(s->source, events);
}

void sc_source_free(struct sc_source *s)
{
    if (!s)
        return;
    sd_event_source_disable_unref(s->source);
    if (s->pidfd >= 0)
        close(s->pidfd);
    free(s);
}

int sc_loop_post(struct sc_loop *loop, sc_fn *fn, void *arg)
{
    struct post *p = malloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    *p = (struct post){ .fn = fn, .arg = arg };
    pthread_mutex_lock(&loop->lock);
    bool ended = loop->ended;
    if (!ended) {
        *loop->last = p;
        loop->last = &p->next;
    }
    pthread_mutex_unlock(&loop->lock);
    if (ended) {
        free(p);
        return -ESHUTDOWN;
    }
    wake(loop);
    return 0;
}

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t sc_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

uint64_t sc_mono_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}
