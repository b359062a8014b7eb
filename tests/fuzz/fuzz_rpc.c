/* Whatever a peer sends, with calls of our own waiting for answers. */
#include "common/rpc.h"

#include <cjson/cJSON.h>

static int on_send(void *impl, const char *text, size_t size)
{
    (void)impl;
    (void)text;
    (void)size;
    return 0;
}

static void on_close(void *impl)
{
    (void)impl;
}

static void echo(void *ctx, struct rpc_conn *from, const cJSON *params,
                 struct rpc_request *req)
{
    (void)ctx;
    (void)from;
    rpc_reply(req, cJSON_Duplicate(params, true));
}

static void done(void *arg, const cJSON *result, const struct sc_err *err)
{
    ++*(int *)arg;
    if (!result != (err->code != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct rpc_transport transport = { .send = on_send,
                                                    .close = on_close };
    static const struct rpc_method methods[] = {
        { "echo", RPC_ROLE_ANY, echo },
        { "no", RPC_ROLE_CONTROLLER, echo },
        { 0 },
    };
    static struct sc_loop *loop;
    struct rpc_service service = { .methods = methods };
    int n_done = 0;
    if (!loop && sc_loop_new(false, &loop, NULL) < 0)
        return 0;
    struct rpc_conn *c =
        rpc_conn_new(loop, &transport, NULL, &service, RPC_ROLE_NODE, "fuzz");
    if (!c)
        return 0;
    for (int i = 0; i < 3; i++)
        rpc_call(loop, c, "x", NULL, 0, done, &n_done);
    /* Lines, as the Unix transport cuts them. */
    const char *p = (const char *)data, *end = p + size;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        rpc_conn_receive(c, p, (size_t)((nl ? nl : end) - p));
        p = nl ? nl + 1 : end;
    }
    rpc_conn_free(c, NULL);
    if (n_done != 3)
        abort(); /* Each call ends exactly once. */
    return 0;
}
