/* sc-wan - the emulated WAN between emulated providers on one machine.
 *
 * sc-wan serve --control SOCKET [--rtt MS] [--jitter MS] [--loss PERCENT]
 *              [--rate MBIT]
 * sc-wan call --control SOCKET METHOD [JSON]       wan.attach, wan.set, ...
 * Methods: wan.attach {name, local, remote}, wan.detach {name},
 * wan.set {a, b, params}, wan.show {}. */
#include "common/json.h"
#include "common/log.h"
#include "common/rpc.h"
#include "common/rpc_sync.h"
#include "wan/wan.h"

#include <getopt.h>

static void on_attach(void *ctx, struct rpc_conn *from, const cJSON *params,
                      struct rpc_request *req)
{
    (void)from;
    struct json_reader r = json_read(params, "wan.attach");
    const char *name = json_str(&r, "name", 1, 63);
    const char *local = json_str(&r, "local", 1, 107);
    const char *remote = json_str(&r, "remote", 1, 107);
    struct sc_err err = { 0 };
    if (json_done(&r, &err) < 0 ||
        wan_attach(ctx, name, local, remote, &err) < 0)
        rpc_fail(req, &err);
    else
        rpc_reply(req, NULL);
}

static void on_detach(void *ctx, struct rpc_conn *from, const cJSON *params,
                      struct rpc_request *req)
{
    (void)from;
    struct json_reader r = json_read(params, "wan.detach");
    const char *name = json_str(&r, "name", 1, 63);
    struct sc_err err = { 0 };
    if (json_done(&r, &err) < 0 || wan_detach(ctx, name, &err) < 0)
        rpc_fail(req, &err);
    else
        rpc_reply(req, NULL);
}

static void on_set(void *ctx, struct rpc_conn *from, const cJSON *params,
                   struct rpc_request *req)
{
    (void)from;
    struct json_reader r = json_read(params, "wan.set");
    const char *a = json_str_or(&r, "a", 63, "*");
    const char *b = json_str_or(&r, "b", 63, "*");
    const cJSON *p = json_obj(&r, "params");
    struct sc_err err = { 0 };
    if (json_done(&r, &err) < 0 || wan_set(ctx, a, b, p, &err) < 0)
        rpc_fail(req, &err);
    else
        rpc_reply(req, NULL);
}

static void on_show(void *ctx, struct rpc_conn *from, const cJSON *params,
                    struct rpc_request *req)
{
    (void)from;
    (void)params;
    rpc_reply(req, wan_show(ctx));
}

static const struct rpc_method methods[] = {
    { "wan.attach", RPC_ROLE_LOCAL, on_attach },
    { "wan.detach", RPC_ROLE_LOCAL, on_detach },
    { "wan.set", RPC_ROLE_LOCAL, on_set },
    { "wan.show", RPC_ROLE_LOCAL, on_show },
    { NULL, 0, NULL },
};

static int serve(const char *control, const cJSON *params)
{
    struct sc_err err = { 0 };
    struct link_params defaults = { 0 };
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    SC_AUTO(wan_free) struct wan *w = NULL;
    SC_AUTO(rpc_unix_server_free) struct rpc_unix_server *server = NULL;
    if (wan_params_parse(params, &defaults, &err) < 0 ||
        sc_loop_new(true, &loop, &err) < 0 ||
        wan_new(loop, &defaults, &w, &err) < 0) {
        fprintf(stderr, "sc-wan: %s\n", err.text);
        return 1;
    }
    struct rpc_service service = { .methods = methods, .ctx = w };
    if (rpc_unix_listen(loop, control, &service, &server, &err) < 0) {
        fprintf(stderr, "sc-wan: %s\n", err.text);
        return 1;
    }
    sc_log(SC_LOG_INFO, "wan.emulated", "control", control, NULL);
    return sc_loop_run(loop) < 0;
}

static int call(const char *control, const char *method, const char *json)
{
    struct sc_err err = { 0 };
    cJSON *params = cJSON_Parse(json);
    SC_AUTO(cjson_free) cJSON *result = NULL;
    if (!params) {
        fprintf(stderr, "sc-wan: '%s' is not JSON\n", json);
        return 2;
    }
    if (rpc_unix_call(control, method, params, 10000, &result, &err) < 0) {
        fprintf(stderr, "sc-wan: %s\n", err.text);
        return 1;
    }
    SC_AUTO(free) char *text = cJSON_Print(result);
    puts(text ? text : "");
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "control", required_argument, NULL, 'c' },
        { "rtt", required_argument, NULL, 'r' },
        { "jitter", required_argument, NULL, 'j' },
        { "loss", required_argument, NULL, 'l' },
        { "rate", required_argument, NULL, 'b' },
        { NULL, 0, NULL, 0 },
    };
    const char *control = NULL, *key;
    SC_AUTO(cjson_free) cJSON *params = cJSON_CreateObject();
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        char *end = NULL;
        key = o == 'r'   ? "rtt_ms"
              : o == 'j' ? "jitter_ms"
              : o == 'l' ? "loss_percent"
                         : "rate_mbit";
        if (o == 'c')
            control = optarg;
        else if (o == '?')
            return 2;
        else
            cJSON_AddNumberToObject(params, key, strtod(optarg, &end));
        if (end && (*end || end == optarg)) {
            fprintf(stderr, "sc-wan: %s: '%s' is not a number\n", key, optarg);
            return 2;
        }
    }
    const char *verb = optind < argc ? argv[optind] : "";
    if (control && !strcmp(verb, "serve") && optind + 1 == argc)
        return serve(control, params);
    if (control && !strcmp(verb, "call") && optind + 2 <= argc)
        return call(control, argv[optind + 1],
                    optind + 2 < argc ? argv[optind + 2] : "{}");
    fprintf(stderr, "usage: sc-wan serve --control SOCKET [--rtt MS] "
                    "[--jitter MS] [--loss PERCENT] [--rate MBIT]\n"
                    "       sc-wan call --control SOCKET METHOD [JSON]\n");
    return 2;
}
