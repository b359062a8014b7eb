#include "controller/worker.h"

#include "common/json.h"
#include "common/log.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/wait.h>

enum { READ_SIZE = 64 << 10, GRACE_MS = 30000, TEXT_SHOWN = 80 };

struct worker {
    struct worker_pool *pool;
    struct worker *next, **link;
    pid_t pid; /* 0: none (any more). */
    bool drivers;
    int in, out; /* Ours: to its standard input, from its output; or -1. */
    struct sc_source *in_source, *out_source, *child, *timer;
    char *request; /* Owned; wiped when sent. */
    size_t request_size, sent;
    char *buf; /* Owned.  Output not taken yet. */
    size_t len, room;
    cJSON *result; /* Owned. */
    bool answered;
    uint64_t timeout_ms;
    struct sc_err err; /* Of ours, over whatever it says. */
    struct sc_err said;
    worker_line_fn *line;
    worker_done_fn *done;
    void *arg;
};
struct worker_pool {
    struct sc_loop *loop;
    char *program;
    struct worker *first;
    unsigned n;
};

void worker_wipe(cJSON *j)
{
    for (; j; j = j->next) {
        if (cJSON_IsString(j) && j->valuestring)
            explicit_bzero(j->valuestring, strlen(j->valuestring));
        worker_wipe(j->child);
    }
}

static char *beside(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n < 0)
        return NULL;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    char *ret = NULL;
    return asprintf(&ret, "%s/sc-provider", path) < 0 ? NULL : ret;
}

int worker_pool_new(struct sc_loop *loop, const char *program,
                    struct worker_pool **ret, struct sc_err *err)
{
    struct worker_pool *p = calloc(1, sizeof *p);
    if (!p || !(p->program = program ? strdup(program) : beside())) {
        free(p);
        return sc_fail(err, -ENOMEM, "sc-provider: out of memory");
    }
    p->loop = loop;
    *ret = p;
    return 0;
}

/* --- the end ---------------------------------------------------------------
 */

static void close_in(struct worker *w)
{
    sc_source_free(SC_TAKE(w->in_source));
    if (w->in >= 0)
        close(SC_TAKE_FD(w->in));
    if (w->request)
        explicit_bzero(w->request, w->request_size);
    free(SC_TAKE(w->request));
}

static void close_out(struct worker *w)
{
    sc_source_free(SC_TAKE(w->out_source));
    if (w->out >= 0)
        close(SC_TAKE_FD(w->out));
}

static void finish(struct worker *w)
{
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->pool->n--;
    close_in(w);
    close_out(w);
    sc_source_free(w->child);
    sc_source_free(w->timer);
    if (!w->err.code && !w->answered)
        sc_fail(&w->err, -EIO, "sc-provider ended without an answer");
    const struct sc_err *err = w->err.code ? &w->err : &w->said;
    w->done(w->arg, err->code ? NULL : w->result, err);
    cJSON_Delete(w->result);
    free(w->buf);
    free(w);
}

static void signal_group(const struct worker *w, int sig)
{
    if (w->pid > 0)
        (void)kill(-w->pid, sig);
}

static void on_grace(void *arg)
{
    signal_group(arg, SIGKILL);
}

/* The first reason wins; what it says afterwards does not count. */
static void stop(struct worker *w, int sig)
{
    uint64_t grace =
        w->timeout_ms / 4 < GRACE_MS ? w->timeout_ms / 4 : GRACE_MS;
    signal_group(w, sig);
    sc_source_free(SC_TAKE(w->timer));
    if (sig != SIGKILL &&
        sc_loop_add_timer(w->pool->loop, grace, 0, on_grace, w, &w->timer) < 0)
        signal_group(w, SIGKILL);
}

static void on_limit(void *arg)
{
    struct worker *w = arg;
    if (!w->err.code)
        sc_fail(&w->err, -ETIMEDOUT,
                "the provider's driver did not end within %lu s",
                (unsigned long)(w->timeout_ms / 1000));
    stop(w, SIGTERM);
}

void worker_cancel(struct worker *w)
{
    if (!w->err.code)
        sc_fail(&w->err, -ECANCELED, "cancelled");
    stop(w, SIGTERM);
}

struct worker *worker_find(struct worker_pool *p, const void *arg)
{
    struct worker *w = p->first;
    while (w && (w->arg != arg || w->pid == 0))
        w = w->next;
    return w;
}

static void protocol_error(struct worker *w, const char *what)
{
    if (!w->err.code)
        sc_fail(&w->err, -EPROTO, "sc-provider: %s", what);
    close_out(w);
    stop(w, SIGKILL);
}

void worker_pool_free(struct worker_pool *p)
{
    if (!p)
        return;
    while (p->first) {
        struct worker *w = p->first;
        signal_group(w, SIGKILL);
        if (w->pid > 0)
            waitpid(w->pid, NULL, 0);
        w->err = (struct sc_err){ 0 };
        sc_fail(&w->err, -ESHUTDOWN, "the controller is stopping");
        finish(w);
    }
    free(p->program);
    free(p);
}

/* --- what it says ----------------------------------------------------------
 */

static void take_error(struct worker *w, const cJSON *e)
{
    const char *code =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "code"));
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "message"));
    sc_fail(&w->said, sc_err_code(code), "%s",
            text ? text : "the driver gave no reason");
}

static void take_line(struct worker *w, const char *text, size_t size)
{
    SC_AUTO(cjson_free) cJSON *j = cJSON_ParseWithLength(text, size);
    const cJSON *e = cJSON_GetObjectItemCaseSensitive(j, "error");
    cJSON *result = cJSON_GetObjectItemCaseSensitive(j, "result");
    if (!cJSON_IsObject(j) || w->answered) {
        protocol_error(w, w->answered ? "it goes on after its answer"
                                      : "a line that is not a JSON object");
    } else if (result || e) {
        w->answered = true;
        if (e)
            take_error(w, e);
        else
            w->result = cJSON_DetachItemViaPointer(j, result);
    } else if (w->line && !w->err.code) {
        w->line(w->arg, j);
    }
}

static void take_lines(struct worker *w)
{
    size_t begin = 0;
    while (!w->drivers && w->out >= 0) {
        char *end = memchr(w->buf + begin, '\n', w->len - begin);
        if (!end)
            break;
        take_line(w, w->buf + begin, (size_t)(end - w->buf) - begin);
        begin = (size_t)(end - w->buf) + 1;
    }
    memmove(w->buf, w->buf + begin, w->len - begin);
    w->len -= begin;
    if (w->len >= WORKER_LINE_MAX && w->out >= 0)
        protocol_error(w, "a line that is too long");
}

static bool make_room(struct worker *w)
{
    if (w->room - w->len >= READ_SIZE)
        return true;
    size_t room = w->room ? 2 * w->room : 2 * READ_SIZE;
    char *p = realloc(w->buf, room);
    if (!p)
        return false;
    w->buf = p;
    w->room = room;
    return true;
}

/* The list of drivers is one document on many lines. */
static void take_drivers(struct worker *w)
{
    w->result = cJSON_ParseWithLength(w->buf ? w->buf : "", w->len);
    w->answered = cJSON_IsArray(w->result);
}

/* Reads what is there; at most 'rounds' times, so that one that talks without
 * end does not keep the loop. */
static void read_out(struct worker *w, int rounds)
{
    while (w->out >= 0 && rounds-- > 0) {
        if (!make_room(w)) {
            protocol_error(w, "out of memory");
            return;
        }
        ssize_t n = read(w->out, w->buf + w->len, READ_SIZE);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            close_out(w);
            if (w->drivers)
                take_drivers(w);
            return;
        }
        w->len += (size_t)n;
        take_lines(w);
    }
}

static void on_out(void *arg, int fd, uint32_t events)
{
    (void)fd;
    (void)events;
    read_out(arg, 4);
}

static void on_child(void *arg, pid_t pid, int status)
{
    struct worker *w = arg;
    (void)pid;
    w->pid = 0;
    /* All it wrote is in the pipe; a child of its own may hold the other end,
     * so the end of file is not waited for. */
    read_out(w, 2 * WORKER_LINE_MAX / READ_SIZE);
    if (w->drivers && w->out >= 0)
        take_drivers(w);
    if (!w->answered && !w->err.code) {
        if (WIFSIGNALED(status))
            sc_fail(&w->err, -EIO, "sc-provider was ended by signal %d",
                    WTERMSIG(status));
        else
            sc_fail(&w->err, -EIO,
                    "sc-provider ended with status %d, without an answer",
                    WEXITSTATUS(status));
    }
    finish(w);
}

/* --- the beginning ---------------------------------------------------------
 */

static void on_in(void *arg, int fd, uint32_t events)
{
    struct worker *w = arg;
    (void)events;
    ssize_t n = write(fd, w->request + w->sent, w->request_size - w->sent);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        w->sent += (size_t)n;
    if (n < 0 || w->sent == w->request_size)
        close_in(w); /* Its end of file; or it does not listen. */
}

static int spawn(struct worker *w, int child_in, int child_out)
{
    char *argv[] = { w->pool->program, w->drivers ? "drivers" : "worker",
                     NULL };
    char *envp[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
                     "/sbin:/bin",
                     "LANG=C.UTF-8", "HOME=/nonexistent", NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&files) != 0)
        return -ENOMEM;
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return -ENOMEM;
    }
    posix_spawn_file_actions_adddup2(&files, child_in, 0);
    posix_spawn_file_actions_adddup2(&files, child_out, 1);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP |
                                        POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    int r = posix_spawn(&w->pid, argv[0], &files, &attr, argv, envp);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    if (r != 0)
        w->pid = 0;
    return -r;
}

static int begin(struct worker *w)
{
    struct sc_loop *loop = w->pool->loop;
    SC_AUTO(close) int child_in = -1;
    SC_AUTO(close) int child_out = -1;
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) < 0)
        return -errno;
    child_in = in[0];
    w->in = in[1];
    if (pipe2(out, O_CLOEXEC) < 0)
        return -errno;
    w->out = out[0];
    child_out = out[1];
    if (fcntl(w->in, F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(w->out, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    int r = spawn(w, child_in, child_out);
    if (r < 0)
        return r;
    r = sc_loop_add_child(loop, w->pid, on_child, w, &w->child);
    if (r == 0)
        r = sc_loop_add_fd(loop, w->out, EPOLLIN, on_out, w, &w->out_source);
    if (r == 0 && w->request)
        r = sc_loop_add_fd(loop, w->in, EPOLLOUT, on_in, w, &w->in_source);
    if (r == 0)
        r = sc_loop_add_timer(loop, w->timeout_ms, 0, on_limit, w, &w->timer);
    if (r == 0 && !w->request)
        close_in(w);
    if (r < 0) {
        sc_source_free(SC_TAKE(w->child));
        signal_group(w, SIGKILL);
        waitpid(w->pid, NULL, 0);
        w->pid = 0;
    }
    return r;
}

static void on_not_begun(void *arg)
{
    finish(arg);
}

struct worker *worker_start(struct worker_pool *p, cJSON *request,
                            uint64_t timeout_ms, worker_line_fn *line,
                            worker_done_fn *done, void *arg)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        abort(); /* 'done' could not be kept. */
    *w = (struct worker){ .pool = p,
                          .next = p->first,
                          .link = &p->first,
                          .drivers = !request,
                          .in = -1,
                          .out = -1,
                          .timeout_ms = timeout_ms,
                          .line = line,
                          .done = done,
                          .arg = arg };
    if (p->first)
        p->first->link = &w->next;
    p->first = w;
    p->n++;
    int r = 0;
    if (request) {
        w->request = cJSON_PrintUnformatted(request);
        w->request_size = w->request ? strlen(w->request) : 0;
        worker_wipe(request);
        cJSON_Delete(request);
        r = w->request ? 0 : -ENOMEM;
    }
    if (r == 0)
        r = p->n > WORKERS_MAX ? -EAGAIN : begin(w);
    if (r == 0)
        return w;
    if (r == -EAGAIN)
        sc_fail(&w->err, r, "%d calls to providers are under way already",
                WORKERS_MAX);
    else
        sc_fail(&w->err, r, "%s: cannot be started: %s", p->program,
                strerror(-r));
    sc_source_free(SC_TAKE(w->timer));
    if (sc_loop_add_timer(p->loop, 0, 0, on_not_begun, w, &w->timer) < 0)
        abort();
    return NULL;
}
