/* The protocol itself, over a transport that keeps what was sent. */
#include "common/json.h"
#include "common/rpc.h"
#include "helper.h"

struct world {
    struct sc_loop *loop;
    struct rpc_conn *conn;
    struct rpc_service service, more;
    char *sent[16]; /* Owned. */
    size_t n_sent;
    int send_result;
    unsigned n_close, n_up, n_down, n_done;
    struct sc_err done, down;
    char *result;
    struct rpc_request *kept;
    char params[256];
};

static int on_send(void *impl, const char *text, size_t size)
{
    struct world *w = impl;
    if (w->send_result)
        return w->send_result;
    cr_assert_lt(w->n_sent, SC_ARRAY_LEN(w->sent));
    w->sent[w->n_sent++] = strndup(text, size);
    return 0;
}

static void on_close(void *impl)
{
    ((struct world *)impl)->n_close++;
}

static const struct rpc_transport transport = { .send = on_send,
                                                .close = on_close };

static void m_echo(void *ctx, struct rpc_conn *from, const cJSON *params,
                   struct rpc_request *req)
{
    struct world *w = ctx;
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(params);
    snprintf(w->params, sizeof w->params, "%s", text);
    cr_expect_eq(from, w->conn);
    rpc_reply(req, cJSON_Duplicate(params, true));
}

static void m_keep(void *ctx, struct rpc_conn *from, const cJSON *params,
                   struct rpc_request *req)
{
    (void)from;
    (void)params;
    ((struct world *)ctx)->kept = req;
}

static void m_fail(void *ctx, struct rpc_conn *from, const cJSON *params,
                   struct rpc_request *req)
{
    (void)ctx;
    (void)from;
    struct json_reader r = json_read(params, "fail");
    struct sc_err err;
    const char *name = json_str(&r, "errno", 1, 20);
    if (json_done(&r, &err) < 0)
        rpc_fail(req, &err);
    else
        rpc_failf(req, sc_err_code(name), "because");
}

static void m_free(void *ctx, struct rpc_conn *from, const cJSON *params,
                   struct rpc_request *req)
{
    struct world *w = ctx;
    (void)params;
    w->conn = NULL;
    rpc_conn_free(from, NULL);
    rpc_reply(req, NULL);
}

static const struct rpc_method methods[] = {
    { "echo", RPC_ROLE_ANY, m_echo },
    { "keep", RPC_ROLE_ANY, m_keep },
    { "fail", RPC_ROLE_ANY, m_fail },
    { "free", RPC_ROLE_ANY, m_free },
    { "controller.only", RPC_ROLE_CONTROLLER, m_echo },
    { 0 },
};

static void on_up(void *ctx, struct rpc_conn *conn)
{
    (void)conn;
    ((struct world *)ctx)->n_up++;
}

static void on_down(void *ctx, struct rpc_conn *conn, const struct sc_err *why)
{
    (void)conn;
    struct world *w = ctx;
    w->n_down++;
    w->down = *why;
}

static void on_done(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct world *w = arg;
    w->n_done++;
    w->done = *err;
    cr_expect_eq(!result, err->code != 0);
    free(w->result);
    w->result = result ? cJSON_PrintUnformatted(result) : NULL;
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    cr_assert_eq(sc_loop_new(false, &w->loop, NULL), 0);
    w->service = (struct rpc_service){
        .methods = methods, .ctx = w, .up = on_up, .down = on_down
    };
    w->conn = rpc_conn_new(w->loop, &transport, w, &w->service, RPC_ROLE_NODE,
                           "peer");
    rpc_conn_up(w->conn);
    return w;
}

static void world_free(struct world *w)
{
    rpc_conn_free(w->conn, NULL);
    sc_loop_free(w->loop);
    for (size_t i = 0; i < w->n_sent; i++)
        free(w->sent[i]);
    free(w->result);
    free(w);
}

static void receive(struct world *w, const char *text)
{
    rpc_conn_receive(w->conn, text, strlen(text));
}

static const char *last(struct world *w)
{
    return w->n_sent ? w->sent[w->n_sent - 1] : "(nothing)";
}

#define CALL(id, method, params)                                               \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method                  \
    "\",\"params\":" params "}"
#define OK(id, result)                                                         \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":" result "}"
#define ERR(id, code, text, name)                                              \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"error\":{\"code\":" code             \
    ",\"message\":\"" text "\",\"data\":{\"errno\":\"" name "\"}}}"
#define BAD(code, text)                                                        \
    "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":" code               \
    ",\"message\":\"" text "\"}}"

static const struct {
    const char *in, *out; /* out NULL: no answer */
} dialogues[] = {
    { CALL("1", "echo", "{\"a\":1}"), OK("1", "{\"a\":1}") },
    { CALL("\"x-1\"", "echo", "{}"), OK("\"x-1\"", "{}") },
    { "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\"}", OK("2", "{}") },
    { " \n" CALL("3", "echo", "[1]") " \r\n", OK("3", "[1]") },
    { "{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}", NULL },
    { CALL("4", "nope", "{}"),
      ERR("4", "-32601", "unknown method 'nope'", "ENOSYS") },
    { "{\"jsonrpc\":\"2.0\",\"method\":\"nope\"}", NULL },
    { CALL("5", "controller.only", "{}"),
      ERR("5", "-32000", "controller.only: not allowed to peer", "EACCES") },
    { CALL("6", "fail", "{\"errno\":\"ESTALE\"}"),
      ERR("6", "-32000", "because", "ESTALE") },
    { CALL("7", "fail", "{\"errno\":4}"),
      ERR("7", "-32602", "fail: 'errno' is a number; it must be a string",
          "EINVAL") },
    { "{", BAD("-32700", "not a JSON document") },
    { "", BAD("-32700", "not a JSON document") },
    { "{} {}", BAD("-32700", "not a JSON document") },
    { "[]", BAD("-32600", "not a JSON-RPC 2.0 message") },
    { "\"x\"", BAD("-32600", "not a JSON-RPC 2.0 message") },
    { "{\"method\":7,\"id\":1}", BAD("-32600", "not a JSON-RPC 2.0 message") },
    { "{\"method\":\"echo\",\"id\":{}}",
      BAD("-32600", "not a JSON-RPC 2.0 message") },
    { "{\"id\":99,\"result\":{}}", NULL /* nobody asked */ },
    { "{\"id\":null,\"error\":{}}", NULL },
    { "{}", NULL },
};

Test(rpc, each_message_has_its_answer)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(dialogues); i++) {
        struct world *w = world_new();
        receive(w, dialogues[i].in);
        cr_expect_str_eq(last(w),
                         dialogues[i].out ? dialogues[i].out : "(nothing)",
                         "case %s", dialogues[i].in);
        world_free(w);
    }
}

Test(rpc, deep_nesting_is_refused_not_followed)
{
    struct world *w = world_new();
    char *text = malloc(100001);
    memset(text, '[', 100000);
    text[100000] = '\0';
    receive(w, text);
    free(text);
    cr_expect(strstr(last(w), "-32700"));
    world_free(w);
}

Test(rpc, a_call_gets_its_own_answer_whatever_the_order)
{
    struct world *w = world_new();
    struct world other = { 0 };
    rpc_call(w->loop, w->conn, "a", cJSON_Parse("{\"p\":1}"), 0, on_done, w);
    rpc_call(w->loop, w->conn, "b", NULL, 0, on_done, &other);
    cr_expect_str_eq(w->sent[0], "{\"jsonrpc\":\"2.0\",\"method\":\"a\","
                                 "\"params\":{\"p\":1},\"id\":1}");
    receive(w, OK("2", "{\"r\":2}"));
    cr_expect_eq(w->n_done, 0);
    cr_expect_eq(other.n_done, 1);
    receive(w, OK("1", "{\"r\":1}"));
    receive(w, OK("1", "{\"r\":3}"));
    cr_expect_eq(w->n_done, 1, "an answer counts once");
    cr_expect_str_eq(w->result, "{\"r\":1}");
    cr_expect_str_eq(other.result, "{\"r\":2}");
    free(other.result);
    world_free(w);
}

static const struct {
    const char *answer;
    int code;
    const char *text;
} errors[] = {
    { ERR("1", "-32000", "gone", "ENOENT"), -ENOENT, "gone" },
    { "{\"id\":1,\"error\":{\"code\":-32601,\"message\":\"what?\"}}", -ENOSYS,
      "what?" },
    { "{\"id\":1,\"error\":{\"code\":-32602,\"message\":\"no\"}}", -EINVAL,
      "no" },
    { "{\"id\":1,\"error\":{\"code\":5}}", -EIO, "unknown error" },
    { "{\"id\":1,\"error\":\"x\"}", -EIO, "unknown error" },
    { ERR("1", "1", "odd", "EWHAT"), -EIO, "odd" },
    { "{\"id\":1}", -EPROTO, "peer: an answer without a result" },
};

Test(rpc, an_error_comes_back_with_code_and_text)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(errors); i++) {
        struct world *w = world_new();
        rpc_call(w->loop, w->conn, "a", NULL, 0, on_done, w);
        receive(w, errors[i].answer);
        cr_expect_eq(w->n_done, 1, "case %s", errors[i].answer);
        cr_expect_eq(w->done.code, errors[i].code, "case %s", errors[i].answer);
        cr_expect_str_eq(w->done.text, errors[i].text);
        world_free(w);
    }
}

Test(rpc, a_call_without_an_answer_times_out, .timeout = 10)
{
    struct world *w = world_new();
    rpc_call(w->loop, w->conn, "slow", NULL, 20, on_done, w);
    cr_expect_eq(w->n_done, 0);
    LOOP_UNTIL(w->loop, w->n_done == 1);
    cr_expect_eq(w->done.code, -ETIMEDOUT);
    cr_expect_str_eq(w->done.text, "slow: no answer from peer within 20 ms");
    receive(w, OK("1", "{}"));
    cr_expect_eq(w->n_done, 1, "too late");
    world_free(w);
}

Test(rpc, no_connection_is_reported_later_not_from_inside, .timeout = 10)
{
    struct world *w = world_new();
    rpc_call(w->loop, NULL, "x", cJSON_CreateObject(), 0, on_done, w);
    cr_expect_eq(w->n_done, 0);
    LOOP_UNTIL(w->loop, w->n_done == 1);
    cr_expect_eq(w->done.code, -ENOTCONN);
    cr_expect_eq(rpc_notify(NULL, "x", cJSON_CreateObject()), -ENOTCONN);
    world_free(w);
}

Test(rpc, a_failing_transport_closes_and_fails_the_call, .timeout = 10)
{
    struct world *w = world_new();
    w->send_result = -EPIPE;
    rpc_call(w->loop, w->conn, "x", NULL, 0, on_done, w);
    cr_expect_eq(w->n_done, 0);
    cr_expect_eq(w->n_close, 1);
    LOOP_UNTIL(w->loop, w->n_done == 1);
    cr_expect_eq(w->done.code, -EPIPE);
    rpc_call(w->loop, w->conn, "y", NULL, 0, on_done, w);
    LOOP_UNTIL(w->loop, w->n_done == 2);
    cr_expect_eq(w->done.code, -ENOTCONN);
    cr_expect_eq(w->n_close, 1, "once");
    world_free(w);
}

Test(rpc, loss_fails_what_is_pending_before_down)
{
    struct world *w = world_new();
    rpc_call(w->loop, w->conn, "a", NULL, 1000, on_done, w);
    rpc_call(w->loop, w->conn, "b", NULL, 0, on_done, w);
    struct sc_err why;
    sc_fail(&why, -ETIMEDOUT, "silence");
    rpc_conn_free(w->conn, &why);
    w->conn = NULL;
    cr_expect_eq(w->n_done, 2);
    cr_expect_eq(w->done.code, -ECONNRESET);
    cr_expect_str_eq(w->done.text, "connection lost: silence");
    cr_expect_eq(w->n_down, 1);
    cr_expect_eq(w->down.code, -ETIMEDOUT);
    world_free(w);
}

Test(rpc, a_forgotten_call_is_silent, .timeout = 10)
{
    struct world *w = world_new();
    rpc_call(w->loop, w->conn, "a", NULL, 10, on_done, w);
    rpc_call(w->loop, NULL, "b", NULL, 0, on_done, w);
    rpc_forget(w->conn, w);
    for (int i = 0; i < 5; i++)
        sc_loop_run_once(w->loop, 10);
    receive(w, OK("1", "{}"));
    cr_expect_eq(w->n_done, 0);
    rpc_call(w->loop, w->conn, "c", NULL, 0, on_done, w);
    receive(w, OK("2", "{}"));
    cr_expect_eq(w->n_done, 1, "the list is whole");
    world_free(w);
}

Test(rpc, an_answer_may_come_later_or_after_the_loss)
{
    struct world *w = world_new();
    receive(w, CALL("1", "keep", "{}"));
    cr_expect_eq(w->n_sent, 0);
    rpc_reply(w->kept, cJSON_Parse("{\"late\":true}"));
    cr_expect_str_eq(last(w), OK("1", "{\"late\":true}"));
    receive(w, CALL("2", "keep", "{}"));
    rpc_conn_free(w->conn, NULL);
    w->conn = NULL;
    rpc_failf(w->kept, -EIO, "nobody hears it");
    cr_expect_eq(w->n_sent, 1);
    world_free(w);
}

Test(rpc, a_handler_may_free_the_connection)
{
    struct world *w = world_new();
    receive(w, CALL("1", "free", "{}"));
    cr_expect_eq(w->n_down, 1);
    world_free(w);
}

Test(rpc, too_many_unanswered_calls_close)
{
    struct world *w = world_new();
    for (int i = 0; i < RPC_PENDING_MAX; i++) {
        receive(w, CALL("1", "keep", "{}"));
        struct rpc_request *req = w->kept;
        w->kept = NULL;
        cr_assert(req);
        if (i < RPC_PENDING_MAX - 1)
            cr_assert_eq(w->n_close, 0);
        /* Given up to the connection's end; answered after it, below. */
        static struct rpc_request *all[RPC_PENDING_MAX];
        all[i] = req;
        if (i == RPC_PENDING_MAX - 1) {
            receive(w, CALL("1", "keep", "{}"));
            cr_expect_null(w->kept);
            cr_expect_eq(w->n_close, 1);
            rpc_conn_free(w->conn, NULL);
            w->conn = NULL;
            cr_expect_eq(w->down.code, -EDQUOT);
            for (int k = 0; k < RPC_PENDING_MAX; k++)
                rpc_reply(all[k], NULL);
        }
    }
    world_free(w);
}

Test(rpc, an_answer_over_the_limit_becomes_an_error)
{
    struct world *w = world_new();
    receive(w, CALL("1", "keep", "{}"));
    char *text = malloc(RPC_MESSAGE_MAX + 1);
    memset(text, 'x', RPC_MESSAGE_MAX);
    text[RPC_MESSAGE_MAX] = '\0';
    rpc_reply(w->kept, cJSON_CreateString(text));
    free(text);
    cr_expect(strstr(last(w), "\"errno\":\"EMSGSIZE\""), "%s", last(w));
    cr_expect_eq(w->n_close, 0);
    world_free(w);
}

static void m_second(void *ctx, struct rpc_conn *from, const cJSON *params,
                     struct rpc_request *req)
{
    (void)from;
    (void)params;
    ++*(int *)ctx;
    rpc_reply(req, NULL);
}

Test(rpc, a_second_service_answers_with_its_own_context)
{
    static const struct rpc_method more[] = {
        { "second", RPC_ROLE_ANY, m_second },
        { "echo", RPC_ROLE_ANY, m_second /* hidden by the first */ },
        { 0 },
    };
    struct world *w = world_new();
    int n = 0;
    w->more = (struct rpc_service){ .methods = more, .ctx = &n };
    w->service.more = &w->more;
    receive(w, CALL("1", "second", "{}"));
    cr_expect_str_eq(last(w), OK("1", "{}"));
    receive(w, CALL("2", "echo", "{\"q\":1}"));
    cr_expect_str_eq(last(w), OK("2", "{\"q\":1}"));
    cr_expect_eq(n, 1);
    world_free(w);
}
