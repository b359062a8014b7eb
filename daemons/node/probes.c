/* probes - see probes.h. */
#include "node/probes.h"

#include "common/json.h"
#include "common/log.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/wait.h>

enum { REPORT_MAX = 64 << 10 };

struct probes {
    struct probes_options o;
    struct sc_source *next; /* When the next run begins; NULL: not begun. */
    /* A run. */
    pid_t pid; /* 0: none. */
    int fd;    /* Its standard output; -1: none. */
    struct sc_source *source, *child, *limit;
    char text[REPORT_MAX + 1];
    size_t size;
    cJSON *report; /* Owned.  The newest; NULL: none. */
};

static void run_free(struct probes *p)
{
    sc_source_free(SC_TAKE(p->source));
    sc_source_free(SC_TAKE(p->child));
    sc_source_free(SC_TAKE(p->limit));
    close_p(&p->fd);
    p->fd = -1;
    p->pid = 0;
    p->size = 0;
}

static void take_report(struct probes *p)
{
    p->text[p->size] = '\0';
    cJSON *o = cJSON_Parse(p->text);
    struct json_reader r = json_read(o, "the probes' report");
    struct sc_err err;
    json_int(&r, "at", 0, INT64_C(1) << 52);
    json_arr(&r, "probes");
    if (json_done(&r, &err) < 0) {
        sc_log(SC_LOG_WARN, "probes", "msg", err.text, NULL);
        cJSON_Delete(o);
        return;
    }
    cJSON_Delete(p->report);
    p->report = o;
    p->o.tell(p->o.arg, cJSON_Duplicate(o, true));
}

/* Both the end of its output and its own end must have been seen. */
static void maybe_done(struct probes *p)
{
    if (p->source || p->child)
        return;
    if (p->size > 0)
        take_report(p);
    run_free(p);
}

static void on_output(void *arg, int fd, uint32_t events)
{
    struct probes *p = arg;
    (void)events;
    ssize_t n = read(fd, p->text + p->size, REPORT_MAX - p->size);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        p->size += (size_t)n;
        return;
    }
    sc_source_free(SC_TAKE(p->source));
    maybe_done(p);
}

static void on_end(void *arg, pid_t pid, int status)
{
    struct probes *p = arg;
    (void)pid;
    p->pid = 0;
    if (status != 0) {
        sc_logf(SC_LOG_WARN, "probes", "the probing child ended with %s %d",
                WIFSIGNALED(status) ? "signal" : "status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        p->size = 0;
    }
    sc_source_free(SC_TAKE(p->child));
    maybe_done(p);
}

static void on_limit(void *arg)
{
    struct probes *p = arg;
    if (p->pid > 0)
        kill(-p->pid, SIGKILL);
}

/* 'in' and 'out' become its standard input and output; a group of its own. */
static int spawn(struct probes *p, int in, int out)
{
    char *argv[] = { "sc-node", "--probes", NULL };
    char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    int r = posix_spawn_file_actions_adddup2(&files, in, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&files, out, 1);
    if (r == 0)
        r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    if (r == 0)
        r = posix_spawn(&p->pid, p->o.program, &files, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return -r;
}

static int run_start(struct probes *p)
{
    SC_AUTO(cjson_free) cJSON *ask = p->o.ask(p->o.arg);
    SC_AUTO(free) char *text = ask ? cJSON_PrintUnformatted(ask) : NULL;
    int in[2] = { -1, -1 }, out[2] = { -1, -1 };
    if (!text)
        return -ENOMEM;
    int r = pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 ? -errno : 0;
    /* Some KiB: a pipe takes it at once, and nobody need read yet. */
    ssize_t size = (ssize_t)strlen(text);
    if (r == 0 && (fcntl(in[1], F_SETFL, O_NONBLOCK) < 0 ||
                   write(in[1], text, (size_t)size) != size))
        r = -EMSGSIZE;
    if (r == 0)
        r = spawn(p, in[0], out[1]);
    close_p(&in[0]);
    close_p(&in[1]);
    close_p(&out[1]);
    p->fd = out[0];
    if (r == 0 && fcntl(p->fd, F_SETFL, O_NONBLOCK) < 0)
        r = -errno;
    if (r == 0)
        r = sc_loop_add_fd(p->o.loop, p->fd, EPOLLIN, on_output, p, &p->source);
    if (r == 0)
        r = sc_loop_add_child(p->o.loop, p->pid, on_end, p, &p->child);
    if (r == 0)
        r = sc_loop_add_timer(p->o.loop, p->o.limit_ms, 0, on_limit, p,
                              &p->limit);
    return r;
}

static void kill_run(struct probes *p)
{
    if (p->pid > 0) {
        kill(-p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
    }
    run_free(p);
}

static void on_next(void *arg)
{
    struct probes *p = arg;
    /* If the last one still runs its limit ends it, and the next one comes. */
    int r = p->pid > 0 || p->source ? 0 : run_start(p);
    if (r < 0) {
        sc_logf(SC_LOG_WARN, "probes", "cannot be started: %s", strerror(-r));
        kill_run(p);
    }
    if (p->o.period_ms == 0)
        return;
    sc_source_free(SC_TAKE(p->next));
    if (sc_loop_add_timer(p->o.loop, p->o.period_ms, 0, on_next, p, &p->next) <
        0)
        sc_log(SC_LOG_ERROR, "probes", "msg", "no timer", NULL);
}

void probes_begin(struct probes *p)
{
    if (p->next)
        return;
    if (sc_loop_add_timer(p->o.loop, p->o.first_ms, 0, on_next, p, &p->next) <
        0)
        sc_log(SC_LOG_ERROR, "probes", "msg", "no timer", NULL);
}

cJSON *probes_report(const struct probes *p)
{
    return p->report ? cJSON_Duplicate(p->report, true) : NULL;
}

int probes_new(const struct probes_options *o, struct probes **ret,
               struct sc_err *err)
{
    struct probes *p = calloc(1, sizeof *p);
    if (!p)
        return sc_fail(err, -ENOMEM, "probes: out of memory");
    p->o = *o;
    p->fd = -1;
    *ret = p;
    return 0;
}

void probes_free(struct probes *p)
{
    if (!p)
        return;
    kill_run(p);
    sc_source_free(p->next);
    cJSON_Delete(p->report);
    free(p);
}
