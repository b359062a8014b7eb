/* console - the serial console of a VM over a WebSocket.
 *
 * A terminal has two threads beside the loop: civetweb's worker, which reads
 * from the browser and waits for the loop with each message, and a writer,
 * which sends what the loop queued, so that a browser that does not read holds
 * up nobody.  The loop's side ('console', the backend's handle) is touched on
 * the loop's thread only.  'lock' guards the queue.
 * The writer also looks at the session again, as often as an event stream
 * does: a logout, or another role, ends the console. */
#include "api/request.h"

#include <string.h>
#include <strings.h>
#include <time.h>

enum { QUEUE_MAX = 1 << 20 }; /* bytes */

struct api_terminal {
    struct api *api;
    struct api_terminal *prev, *next; /* api->lock */
    struct api_console *console;      /* Loop.  NULL: closed. */
    const struct api_caller *who;     /* During open. */
    const char *vm;                   /* During open. */
    struct sc_err err;                /* Of open. */
    struct api_request watch;         /* Writer: whose console it is. */

    pthread_mutex_t lock;
    pthread_cond_t more;
    char *queue;
    size_t queued, cap;
    bool ended; /* No output will follow; 'why' says the reason. */
    bool gone;  /* The WebSocket is closing. */
    bool typed; /* Since the session was last looked at. */
    char why[128];

    struct http_ws *ws;
    pthread_t writer;
    bool has_writer;

    const void *in; /* During data. */
    size_t in_size;
};

static void terminal_end(struct api_terminal *t, const char *why)
{
    pthread_mutex_lock(&t->lock);
    if (!t->ended)
        snprintf(t->why, sizeof t->why, "%.120s", why);
    t->ended = true;
    pthread_cond_broadcast(&t->more);
    pthread_mutex_unlock(&t->lock);
}

/* --- loop thread --------------------------------------------------------- */

static void on_out(void *arg, const void *data, size_t size)
{
    struct api_terminal *t = arg;
    pthread_mutex_lock(&t->lock);
    if (size > QUEUE_MAX - t->queued) {
        pthread_mutex_unlock(&t->lock);
        terminal_end(t, "output came faster than it was read");
        return;
    }
    if (t->queued + size > t->cap) {
        size_t cap = t->cap ? t->cap : 4096;
        while (cap < t->queued + size)
            cap *= 2;
        char *more = realloc(t->queue, cap);
        if (!more) {
            pthread_mutex_unlock(&t->lock);
            terminal_end(t, "out of memory");
            return;
        }
        t->queue = more;
        t->cap = cap;
    }
    memcpy(t->queue + t->queued, data, size);
    t->queued += size;
    pthread_cond_broadcast(&t->more);
    pthread_mutex_unlock(&t->lock);
}

static void on_closed(void *arg, const struct sc_err *why)
{
    struct api_terminal *t = arg;
    t->console = NULL;
    terminal_end(t, why && why->text[0] ? why->text : "the console ended");
}

static void do_open(void *arg)
{
    struct api_terminal *t = arg;
    const struct api_backend *b = t->api->backend;
    int r = b->console_open(b->ctx, t->vm, t->who, on_out, on_closed, t,
                            &t->console, &t->err);
    if (r < 0 && !t->err.code)
        sc_fail(&t->err, r, "console: cannot be opened");
}

static void do_in(void *arg)
{
    struct api_terminal *t = arg;
    const struct api_backend *b = t->api->backend;
    if (t->console)
        b->console_in(b->ctx, t->console, t->in, t->in_size);
}

static void do_close(void *arg)
{
    struct api_terminal *t = arg;
    const struct api_backend *b = t->api->backend;
    if (t->console)
        b->console_close(b->ctx, SC_TAKE(t->console));
}

void api_terminals_close(struct api *api)
{
    pthread_mutex_lock(&api->lock);
    for (struct api_terminal *t = api->terminals; t; t = t->next) {
        do_close(t);
        terminal_end(t, "the controller is stopping");
    }
    pthread_mutex_unlock(&api->lock);
}

/* --- worker and writer --------------------------------------------------- */

static struct timespec timespec_of(uint64_t ms)
{
    return (struct timespec){ .tv_sec = (time_t)(ms / 1000),
                              .tv_nsec = (long)(ms % 1000) * 1000000 };
}

/* Looks at the session; called and returns with the lock held. */
static void check_session(struct api_terminal *t)
{
    bool typed = t->typed;
    t->typed = false;
    pthread_mutex_unlock(&t->lock);
    bool valid = api_still_valid(&t->watch, typed);
    if (!valid)
        terminal_end(t, "the session has ended; log in again");
    pthread_mutex_lock(&t->lock);
    if (!valid)
        t->queued = 0;
}

static void *writer_main(void *arg)
{
    struct api_terminal *t = arg;
    char *chunk = NULL;
    size_t cap = 0;
    uint64_t period_ms = t->api->o.keep_alive_ms;
    uint64_t check_at = sc_mono_ms() + period_ms;
    pthread_mutex_lock(&t->lock);
    while (!t->gone) {
        if (!t->ended && sc_mono_ms() >= check_at) {
            check_session(t);
            check_at = sc_mono_ms() + period_ms;
            continue;
        }
        if (!t->queued && !t->ended) {
            struct timespec until = timespec_of(check_at);
            pthread_cond_timedwait(&t->more, &t->lock, &until);
            continue;
        }
        if (!t->queued)
            break;
        /* Swap the buffers: write outside the lock. */
        char *filled = t->queue;
        size_t size = t->queued, filled_cap = t->cap;
        t->queue = chunk;
        t->cap = cap;
        t->queued = 0;
        chunk = filled;
        cap = filled_cap;
        pthread_mutex_unlock(&t->lock);
        int r = http_ws_write(t->ws, chunk, size);
        pthread_mutex_lock(&t->lock);
        if (r < 0)
            break;
    }
    bool gone = t->gone;
    pthread_mutex_unlock(&t->lock);
    free(chunk);
    if (!gone)
        http_ws_end(t->ws, 1000, t->why);
    return NULL;
}

static struct api_terminal *terminal_new(const struct api_request *q)
{
    struct api_terminal *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->api = q->api;
    t->watch = (struct api_request){ .api = q->api,
                                     .route = q->route,
                                     .by_token = q->by_token };
    memcpy(t->watch.session_id, q->session_id, sizeof q->session_id);
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->more, &attr);
    pthread_condattr_destroy(&attr);
    return t;
}

static bool add_terminal(struct api_terminal *t)
{
    struct api *api = t->api;
    pthread_mutex_lock(&api->lock);
    bool ok = !api->closing && api->n_terminals < api->o.n_threads / 6;
    if (ok) {
        api->n_terminals++;
        t->next = api->terminals;
        if (t->next)
            t->next->prev = t;
        api->terminals = t;
    }
    pthread_mutex_unlock(&api->lock);
    return ok;
}

static void remove_terminal(struct api_terminal *t)
{
    struct api *api = t->api;
    pthread_mutex_lock(&api->lock);
    if (t->prev)
        t->prev->next = t->next;
    else
        api->terminals = t->next;
    if (t->next)
        t->next->prev = t->prev;
    api->n_terminals--;
    pthread_mutex_unlock(&api->lock);
}

static void terminal_free(struct api_terminal *t)
{
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->more);
    free(t->queue);
    free(t);
}

/* A page of another origin must not open a console with our user's cookie:
 * SameSite forbids it already, this does for browsers that do not know it. */
static int check_origin(struct http_request *rq, struct sc_err *err)
{
    const char *origin = http_header(rq, "Origin");
    const char *host = http_header(rq, "Host");
    if (!origin)
        return 0;
    const char *sep = strstr(origin, "://");
    if (!sep || !host || strcasecmp(sep + 3, host) != 0)
        return sc_fail(err, -EACCES, "console: origin '%.100s' is foreign",
                       origin);
    return 0;
}

/* The part of the path between "/vms/" and "/console". */
static int vm_of(const char *path, char *ret, size_t size)
{
    const char *begin = strstr(path, "/vms/");
    size_t len = begin ? strcspn(begin + 5, "/") : 0;
    if (len == 0 || len >= size)
        return -ENOENT;
    memcpy(ret, begin + 5, len);
    ret[len] = '\0';
    return 0;
}

static int ws_open(void *ctx, struct http_request *rq, void **ret_conn)
{
    struct api *api = ctx;
    struct sc_err err = { 0 };
    struct api_request q = { .api = api,
                             .http = rq,
                             .route = api_route_find_op("vm.console") };
    char vm[256];
    if (vm_of(http_path(rq), vm, sizeof vm) < 0)
        sc_fail(&err, -ENOENT, "no such resource");
    if (err.code || api_authenticate(&q, &err) < 0 ||
        check_origin(rq, &err) < 0) {
        api_fail(&q, &err);
        return -1;
    }
    struct api_terminal *t = terminal_new(&q);
    if (!t) {
        http_reply_errorf(rq, 0, -ENOMEM, "console: out of memory");
        return -1;
    }
    t->vm = vm;
    t->who = &q.caller;
    if (!add_terminal(t)) {
        terminal_free(t);
        http_reply_errorf(rq, 0, -EAGAIN, "console: too many are open");
        return -1;
    }
    int r = api_run(api, do_open, t);
    if (r < 0)
        sc_fail(&t->err, r, "console: the controller is stopping");
    if (t->err.code) {
        api_fail(&q, &t->err);
        remove_terminal(t);
        terminal_free(t);
        return -1;
    }
    t->vm = NULL;
    t->who = NULL;
    *ret_conn = t;
    return 0;
}

static void ws_ready(void *ctx, void *conn, struct http_ws *ws)
{
    (void)ctx;
    struct api_terminal *t = conn;
    t->ws = ws;
    t->has_writer = pthread_create(&t->writer, NULL, writer_main, t) == 0;
}

static bool ws_data(void *ctx, void *conn, const void *data, size_t size)
{
    struct api_terminal *t = conn;
    pthread_mutex_lock(&t->lock);
    bool ended = t->ended;
    t->typed = true;
    pthread_mutex_unlock(&t->lock);
    t->in = data;
    t->in_size = size;
    return !ended && t->has_writer && api_run(ctx, do_in, t) == 0;
}

static void ws_close(void *ctx, void *conn)
{
    struct api_terminal *t = conn;
    (void)api_run(ctx, do_close, t);
    remove_terminal(t);
    pthread_mutex_lock(&t->lock);
    t->gone = true;
    pthread_cond_broadcast(&t->more);
    pthread_mutex_unlock(&t->lock);
    if (t->has_writer)
        pthread_join(t->writer, NULL);
    terminal_free(t);
}

const struct http_ws_handler api_console_ws = {
    .pattern = "/api/v1/vms/*/console",
    .open = ws_open,
    .ready = ws_ready,
    .data = ws_data,
    .close = ws_close,
};

void api_console_plain(struct api_request *q)
{
    struct sc_err err;
    sc_fail(&err, -EINVAL, "vm.console: only as a WebSocket");
    http_reply_error(q->http, 426, "Upgrade: websocket\r\n", &err);
}
