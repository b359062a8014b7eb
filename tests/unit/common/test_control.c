#include "common/config.h"
#include "common/json.h"
#include "common/log.h"
#include "common/rpc.h"
#include "helper.h"

struct world {
    struct temp_dir dir;
    struct sc_loop *loop;
    struct sc_control *control;
    struct rpc_client *client;
    unsigned n_done, n_own;
    struct sc_err done;
    cJSON *result;
};

static cJSON *status(void *arg)
{
    (void)arg;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "state", "fine");
    return o;
}

static void m_own(void *ctx, struct rpc_conn *from, const cJSON *params,
                  struct rpc_request *req)
{
    (void)from;
    (void)params;
    ((struct world *)ctx)->n_own++;
    rpc_reply(req, NULL);
}

static const struct rpc_method own[] = {
    { "own.method", RPC_ROLE_LOCAL, m_own }, { 0 }
};
static const struct rpc_method none[] = { { 0 } };

static void on_done(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct world *w = arg;
    w->n_done++;
    w->done = *err;
    cJSON_Delete(w->result);
    w->result = result ? cJSON_Duplicate(result, true) : NULL;
}

static void call(struct world *w, const char *method, const char *params)
{
    unsigned before = w->n_done;
    rpc_call(w->loop, rpc_client_conn(w->client), method,
             params ? cJSON_Parse(params) : NULL, 2000, on_done, w);
    LOOP_UNTIL(w->loop, w->n_done == before + 1);
}

Test(control, every_daemon_answers_on_its_socket, .timeout = 20)
{
    struct world w = { .dir = temp_dir_new() };
    struct sc_err err;
    cr_assert_eq(sc_loop_new(false, &w.loop, NULL), 0);
    struct sc_config config = { .run_dir = w.dir.path };
    struct rpc_service service = { .methods = own, .ctx = &w };
    cr_assert_eq(sc_control_new(w.loop, &config, "sc-test", &service, status,
                                NULL, &w, &w.control, &err),
                 0, "%s", err.text);
    struct rpc_service quiet = { .methods = none };
    cr_assert_eq(rpc_unix_client_new(w.loop, in(&w.dir, "sc-test.sock"), &quiet,
                                     &w.client, NULL),
                 0);
    LOOP_UNTIL(w.loop, rpc_client_conn(w.client));

    call(&w, "daemon.status", NULL);
    struct json_reader r = json_read(w.result, "status");
    cr_expect_str_eq(json_str(&r, "state", 1, 9), "fine");
    cr_expect_str_eq(json_str(&r, "program", 1, 9), "sc-test");
    cr_expect_eq(json_int(&r, "pid", 1, INT32_MAX), getpid());
    call(&w, "daemon.dump", NULL);
    cr_expect_eq(w.done.code, 0);

    call(&w, "daemon.log_level", "{\"level\":\"debug\"}");
    cr_expect_eq(sc_log_level_get(), SC_LOG_DEBUG);
    call(&w, "daemon.log_level", "{\"level\":\"loud\"}");
    cr_expect_eq(w.done.code, -EINVAL);
    cr_expect(strstr(w.done.text, "'loud'"));
    call(&w, "daemon.log_level", NULL);
    cr_expect_eq(w.done.code, -EINVAL);

    call(&w, "own.method", NULL);
    cr_expect_eq(w.n_own, 1);

    rpc_call(w.loop, rpc_client_conn(w.client), "daemon.stop", NULL, 0, on_done,
             &w);
    uint64_t end = sc_mono_ms() + 5000;
    bool runs = true;
    while (runs && sc_mono_ms() < end)
        runs = sc_loop_run_once(w.loop, 20);
    cr_expect_not(runs);
    rpc_client_free(w.client);
    sc_control_free(w.control);
    sc_loop_free(w.loop);
    cJSON_Delete(w.result);
    temp_dir_p(&w.dir);
}
