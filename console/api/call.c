/* call - workers ask the loop: api_call and api_run.
 *
 * A call is shared by the worker that waits and the loop's side (the posted
 * function, then the backend's 'done'); it is freed by the last of the two, so
 * either may be late: a worker that timed out, a backend that answers after
 * api_free.  The list api->calls holds every call that still exists, so that
 * api_free can cut all of them loose ('cancelled': never touch 'api' again).
 * api_free and the loop's side run on the same thread. */
#include "api/request.h"

#include <string.h>
#include <time.h>

struct api_call {
    struct api *api;
    struct api_call *prev, *next; /* api->lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned refs;
    bool done, cancelled;
    sc_fn *fn; /* api_run; else an operation: */
    void *arg;
    const char *op; /* Constant. */
    char user[API_USER_SIZE];
    unsigned role;
    cJSON *params;
    struct api_answer answer;
};

void api_answer_clear(struct api_answer *a)
{
    cJSON_Delete(a->result);
    *a = (struct api_answer){ 0 };
}

static struct api_call *call_new(struct api *api)
{
    struct api_call *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->api = api;
    c->refs = 2;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_lock(&api->lock);
    c->cancelled = api->closing;
    if (!c->cancelled) {
        c->next = api->calls;
        if (c->next)
            c->next->prev = c;
        api->calls = c;
    }
    pthread_mutex_unlock(&api->lock);
    return c;
}

static void call_unlink(struct api *api, struct api_call *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else if (api->calls == c)
        api->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->prev = c->next = NULL;
}

static void call_unref(struct api_call *c)
{
    pthread_mutex_lock(&c->lock);
    unsigned refs = --c->refs;
    bool cancelled = c->cancelled;
    pthread_mutex_unlock(&c->lock);
    if (refs > 0)
        return;
    if (!cancelled) {
        pthread_mutex_lock(&c->api->lock);
        call_unlink(c->api, c);
        pthread_mutex_unlock(&c->api->lock);
    }
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    cJSON_Delete(c->params);
    api_answer_clear(&c->answer);
    free(c);
}

static void call_finish(struct api_call *c)
{
    pthread_mutex_lock(&c->lock);
    c->done = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    call_unref(c);
}

static void on_done(void *arg, int status_hint, const cJSON *result,
                    const struct sc_err *err)
{
    struct api_call *c = arg;
    pthread_mutex_lock(&c->lock);
    if (err && err->code) {
        c->answer.err = *err;
        c->answer.status = http_status_of(err->code);
    } else {
        c->answer.status = status_hint ? status_hint : 200;
        c->answer.result =
            result ? cJSON_Duplicate(result, true) : cJSON_CreateObject();
    }
    pthread_mutex_unlock(&c->lock);
    call_finish(c);
}

/* Loop thread. */
static void on_loop(void *arg)
{
    struct api_call *c = arg;
    if (c->cancelled) { /* Set on this thread only, once posted. */
        call_unref(c);
        return;
    }
    if (c->fn) {
        c->fn(c->arg);
        call_finish(c);
        return;
    }
    const struct api_backend *b = c->api->backend;
    struct api_caller who = { c->user, c->role };
    b->call(b->ctx, c->op, &who, c->params, on_done, c);
}

void api_calls_cancel(struct api *api)
{
    pthread_mutex_lock(&api->lock);
    api->closing = true;
    while (api->calls) {
        struct api_call *c = api->calls;
        call_unlink(api, c);
        pthread_mutex_lock(&c->lock);
        c->cancelled = true;
        pthread_cond_broadcast(&c->changed);
        pthread_mutex_unlock(&c->lock);
    }
    pthread_mutex_unlock(&api->lock);
}

/* Posts 'c' and waits.  0, -ESHUTDOWN, -ETIMEDOUT, -ENOMEM. */
static int call_wait(struct api_call *c, uint64_t timeout_ms)
{
    int r = c->cancelled ? -ESHUTDOWN : sc_loop_post(c->api->loop, on_loop, c);
    if (r < 0) {
        call_unref(c); /* The loop's half. */
        return r;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000);
    pthread_mutex_lock(&c->lock);
    while (!c->done && !c->cancelled && r != ETIMEDOUT) {
        if (timeout_ms)
            r = pthread_cond_timedwait(&c->changed, &c->lock, &until);
        else
            pthread_cond_wait(&c->changed, &c->lock);
    }
    r = c->done ? 0 : c->cancelled ? -ESHUTDOWN : -ETIMEDOUT;
    pthread_mutex_unlock(&c->lock);
    return r;
}

int api_call(struct api *api, const char *op, const struct api_caller *who,
             cJSON *params, struct api_answer *ret)
{
    *ret = (struct api_answer){ 0 };
    struct api_call *c = call_new(api);
    if (!c || (!params && !(params = cJSON_CreateObject()))) {
        if (c) {
            call_unref(c);
            call_unref(c);
        }
        cJSON_Delete(params);
        ret->status = 500;
        return sc_fail(&ret->err, -ENOMEM, "%s: out of memory", op);
    }
    c->op = op;
    c->params = params;
    c->role = who ? who->role : API_ROLE_ADMIN;
    snprintf(c->user, sizeof c->user, "%s", who ? who->user : "");
    int r = call_wait(c, API_CALL_TIMEOUT_MS);
    if (r == 0) {
        pthread_mutex_lock(&c->lock);
        *ret = c->answer;
        c->answer.result = NULL;
        pthread_mutex_unlock(&c->lock);
        if (!ret->err.code && !ret->result)
            sc_fail(&ret->err, -ENOMEM, "%s: out of memory", op);
    } else if (r == -ETIMEDOUT) {
        sc_fail(&ret->err, r, "%s: no answer within %d s; it may still happen",
                op, API_CALL_TIMEOUT_MS / 1000);
    } else {
        sc_fail(&ret->err, r, "%s: the controller is stopping", op);
    }
    if (ret->err.code)
        ret->status = http_status_of(ret->err.code);
    call_unref(c);
    return ret->err.code;
}

int api_run(struct api *api, sc_fn *fn, void *arg)
{
    struct api_call *c = call_new(api);
    if (!c)
        return -ENOMEM;
    c->fn = fn;
    c->arg = arg;
    int r = call_wait(c, 0);
    call_unref(c);
    return r;
}
