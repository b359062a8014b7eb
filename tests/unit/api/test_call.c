/* Workers and the loop: answers, errors, and the end of one of the two. */
#include "api/request.h"

#include <criterion/criterion.h>
#include <string.h>

struct late {
    api_done_fn *done;
    void *arg;
};

static struct late late; /* Of the test's own process. */

static void fake_call(void *ctx, const char *op, const struct api_caller *who,
                      const cJSON *params, api_done_fn *done, void *arg)
{
    (void)ctx;
    if (strcmp(op, "late") == 0) {
        late = (struct late){ done, arg };
        return;
    }
    if (strcmp(op, "fail") == 0) {
        struct sc_err err;
        sc_fail(&err, -ENOSPC, "no room for %s", who->user);
        done(arg, 0, NULL, &err);
        return;
    }
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "user", who->user);
    cJSON_AddItemToObject(o, "params", cJSON_Duplicate(params, true));
    done(arg, 202, o, NULL);
}

static const struct api_backend backend = { .call = fake_call };

struct worker {
    struct api *api;
    const char *op;
    struct api_answer answer;
    int r;
    atomic_bool ended;
    pthread_t thread;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct api_caller who = { "eve", API_ROLE_OPERATOR };
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "id", "x");
    w->r = api_call(w->api, w->op, &who, p, &w->answer);
    atomic_store(&w->ended, true);
    return NULL;
}

static void start(struct worker *w, struct api *api, const char *op)
{
    *w = (struct worker){ .api = api, .op = op };
    cr_assert_eq(pthread_create(&w->thread, NULL, work, w), 0);
}

static struct api *api_bare(void)
{
    struct api *api = calloc(1, sizeof *api);
    cr_assert_eq(sc_loop_new(false, &api->loop, NULL), 0);
    api->backend = &backend;
    pthread_mutex_init(&api->lock, NULL);
    return api;
}

static void api_bare_free(struct api *api)
{
    sc_loop_free(api->loop);
    pthread_mutex_destroy(&api->lock);
    free(api);
}

static void turn_until_ended(struct worker *w)
{
    while (!atomic_load(&w->ended))
        sc_loop_run_once(w->api->loop, 10);
    pthread_join(w->thread, NULL);
}

Test(call, an_operation_runs_on_the_loop_and_its_answer_comes_back)
{
    struct api *api = api_bare();
    struct worker w;
    start(&w, api, "echo");
    turn_until_ended(&w);
    cr_expect_eq(w.r, 0);
    cr_expect_eq(w.answer.status, 202);
    cr_expect_str_eq(
        cJSON_GetStringValue(cJSON_GetObjectItem(w.answer.result, "user")),
        "eve");
    api_answer_clear(&w.answer);
    cr_expect_null(api->calls);
    api_bare_free(api);
}

Test(call, an_error_keeps_its_code_and_text_and_gets_its_status)
{
    struct api *api = api_bare();
    struct worker w;
    start(&w, api, "fail");
    turn_until_ended(&w);
    cr_expect_eq(w.r, -ENOSPC);
    cr_expect_eq(w.answer.status, 507);
    cr_expect_str_eq(w.answer.err.text, "no room for eve");
    api_bare_free(api);
}

Test(call, when_the_api_ends_the_waiting_worker_is_told)
{
    struct api *api = api_bare();
    struct worker w;
    late.done = NULL;
    start(&w, api, "late");
    while (!late.done)
        sc_loop_run_once(api->loop, 10);
    api_calls_cancel(api);
    pthread_join(w.thread, NULL);
    cr_expect_eq(w.r, -ESHUTDOWN);
    cr_expect_eq(w.answer.status, 503);
    api_bare_free(api);
    /* The backend answers after all; nobody is there any more. */
    late.done(late.arg, 0, NULL, NULL);
}

Test(call, after_the_end_nothing_is_begun)
{
    struct api *api = api_bare();
    struct worker w;
    api_calls_cancel(api);
    start(&w, api, "echo");
    pthread_join(w.thread, NULL);
    cr_expect_eq(w.r, -ESHUTDOWN);
    cr_expect_null(api->calls);
    api_bare_free(api);
}
