/* net_controller - the controller as sc-network and sc-node see it, for tests.
 *
 * usage: sc-net-controller pki DIR NODE_ID...
 *            makes a CA in DIR, certificates for the controller and for
 *            sc-network in it, and DIR/<NODE_ID>/{ca,node}.{crt,key}
 *        sc-net-controller serve LISTEN PKI_DIR STATE_FILE
 *            serves RPC; gives STATE_FILE as net.state to each sc-network that
 *            says hello (a file that is not there: nothing).  Standard input: a
 * line is {"method", "params"} to notify, with "call": true to call.  Standard
 * output: a line for each notification received, each answer, each hello.  Ends
 * with standard input. */
#include "common/json.h"
#include "common/loop.h"
#include "common/rpc.h"
#include "common/rpc_ws.h"
#include "common/tls.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>

struct ctl {
    struct sc_loop *loop;
    struct rpc_conn *peer; /* The newest sc-network; NULL: none. */
    const char *state_file;
    char line[1 << 20];
    size_t size;
};

static int die(const struct sc_err *err)
{
    fprintf(stderr, "sc-net-controller: %s\n", err->text);
    return 1;
}

/* --- certificates ----------------------------------------------------------
 */

static int issue(const char *dir, const char *base, const char *into,
                 const char *name, const char *cn, const char *ou,
                 const char *const names[], struct sc_err *err)
{
    char ca[512], ca_key[512], key[512], cert[512];
    SC_AUTO(free) char *csr = NULL;
    SC_AUTO(free) char *pem = NULL;
    (void)base;
    snprintf(ca, sizeof ca, "%s/ca.crt", dir);
    snprintf(ca_key, sizeof ca_key, "%s/ca.key", dir);
    snprintf(key, sizeof key, "%s/%s.key", into, name);
    snprintf(cert, sizeof cert, "%s/%s.crt", into, name);
    int r = tls_request_create(key, cn, ou, &csr, err);
    if (r == 0)
        r = tls_sign(ca, ca_key, csr, cn, ou, names, 30, &pem, err);
    if (r == 0)
        r = tls_write_file(cert, pem, 0644, err);
    return r;
}

static int make_pki(const char *dir, char *ids[], int n)
{
    static const char *const names[] = { "supercloud-controller", "127.0.0.1",
                                         NULL };
    char ca[512], key[512];
    struct sc_err err;
    mkdir(dir, 0755);
    snprintf(ca, sizeof ca, "%s/ca.crt", dir);
    snprintf(key, sizeof key, "%s/ca.key", dir);
    int r = tls_ca_create(ca, key, "test", &err);
    if (r == 0)
        r = issue(dir, dir, dir, "controller", "supercloud-controller",
                  "controller", names, &err);
    if (r == 0)
        r = issue(dir, dir, dir, "network", "sc-network", "network", names,
                  &err);
    for (int i = 0; r == 0 && i < n; i++) {
        char into[512], copy[512];
        SC_AUTO(free) char *pem = NULL;
        snprintf(into, sizeof into, "%s/%s", dir, ids[i]);
        snprintf(copy, sizeof copy, "%.480s/ca.crt", into);
        mkdir(into, 0755);
        r = issue(dir, dir, into, "node", ids[i], "node", NULL, &err);
        if (r == 0)
            r = tls_read_file(ca, &pem, &err);
        if (r == 0)
            r = tls_write_file(copy, pem, 0644, &err);
    }
    return r == 0 ? 0 : die(&err);
}

/* --- serving ---------------------------------------------------------------
 */

/* Prints {"event": 'event', ...'j'}; borrows 'j' (NULL: nothing more). */
static void say(const char *event, const cJSON *j)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "event", event);
    if (j)
        cJSON_AddItemToObject(o, "data", cJSON_Duplicate(j, true));
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(o);
    if (text)
        puts(text);
    fflush(stdout);
}

static void on_hello(void *ctx, struct rpc_conn *from, const cJSON *params,
                     struct rpc_request *req)
{
    struct ctl *c = ctx;
    struct sc_err err;
    SC_AUTO(free) char *text = NULL;
    cJSON *result = cJSON_CreateObject();
    cJSON_AddNumberToObject(result, "nid", 0);
    cJSON_AddNumberToObject(result, "heartbeat_ms", 500);
    json_set_u64(result, "time_ms", sc_wall_ms());
    rpc_reply(req, result);
    c->peer = from;
    if (tls_read_file(c->state_file, &text, &err) == 0)
        (void)rpc_notify(from, "net.state", cJSON_Parse(text));
    say("hello", params);
}

static void on_port_seen(void *ctx, struct rpc_conn *from, const cJSON *params,
                         struct rpc_request *req)
{
    (void)ctx;
    (void)from;
    say("net.port_seen", params);
    rpc_reply(req, NULL);
}

static void on_notice(void *ctx, struct rpc_conn *from, const cJSON *params,
                      struct rpc_request *req)
{
    (void)ctx;
    (void)from;
    say("node.notice", params);
    rpc_reply(req, NULL);
}

static void on_probes(void *ctx, struct rpc_conn *from, const cJSON *params,
                      struct rpc_request *req)
{
    (void)ctx;
    (void)from;
    say("node.probes", params);
    rpc_reply(req, NULL);
}

static void on_heartbeat(void *ctx, struct rpc_conn *from, const cJSON *params,
                         struct rpc_request *req)
{
    (void)ctx;
    (void)from;
    say("node.heartbeat", params);
    rpc_reply(req, NULL);
}

static void on_down(void *ctx, struct rpc_conn *conn, const struct sc_err *why)
{
    struct ctl *c = ctx;
    (void)why;
    if (c->peer == conn)
        c->peer = NULL;
    say("down", NULL);
}

static void on_answer(void *arg, const cJSON *result, const struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *j = cJSON_CreateObject();
    (void)arg;
    if (err->code)
        cJSON_AddStringToObject(j, "error", err->text);
    else
        cJSON_AddItemToObject(j, "result", cJSON_Duplicate(result, true));
    say("answer", j);
}

static void on_line(struct ctl *c, const char *line)
{
    SC_AUTO(cjson_free) cJSON *j = cJSON_Parse(line);
    const cJSON *method = cJSON_GetObjectItem(j, "method");
    cJSON *params = cJSON_DetachItemFromObject(j, "params");
    if (!cJSON_IsString(method)) {
        cJSON_Delete(params);
        say("bad line", NULL);
    } else if (cJSON_IsTrue(cJSON_GetObjectItem(j, "call"))) {
        rpc_call(c->loop, c->peer, method->valuestring, params, 10000,
                 on_answer, c);
    } else if (!c->peer ||
               rpc_notify(c->peer, method->valuestring, params) < 0) {
        say("not connected", NULL);
    }
}

static void on_stdin(void *arg, int fd, uint32_t events)
{
    struct ctl *c = arg;
    (void)events;
    ssize_t n = read(fd, c->line + c->size, sizeof c->line - 1 - c->size);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        sc_loop_stop(c->loop);
        return;
    }
    c->size += (size_t)n;
    for (char *end; (end = memchr(c->line, '\n', c->size));) {
        size_t size = (size_t)(end - c->line) + 1;
        *end = '\0';
        on_line(c, c->line);
        memmove(c->line, c->line + size, c->size -= size);
    }
}

static int serve(const char *listen, const char *pki, const char *state)
{
    static const struct rpc_method methods[] = {
        { "hello", RPC_ROLE_NETWORK | RPC_ROLE_NODE, on_hello },
        { "node.heartbeat", RPC_ROLE_NODE, on_heartbeat },
        { "node.notice", RPC_ROLE_NODE, on_notice },
        { "node.probes", RPC_ROLE_NODE, on_probes },
        { "net.port_seen", RPC_ROLE_NETWORK, on_port_seen },
        { NULL, 0, NULL },
    };
    static struct ctl c;
    struct sc_err err;
    SC_AUTO(sc_source_free) struct sc_source *in = NULL;
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    SC_AUTO(rpc_ws_server_free) struct rpc_ws_server *server = NULL;
    SC_AUTO(free) char *ca = NULL;
    SC_AUTO(free) char *cert = NULL;
    SC_AUTO(free) char *key = NULL;
    struct rpc_service service = { .methods = methods,
                                   .ctx = &c,
                                   .down = on_down };
    c.state_file = state;
    if (asprintf(&ca, "%s/ca.crt", pki) < 0 ||
        asprintf(&cert, "%s/controller.crt", pki) < 0 ||
        asprintf(&key, "%s/controller.key", pki) < 0)
        return 1;
    struct rpc_ws_server_options o = { .listen = listen,
                                       .path = "/rpc",
                                       .ca_file = ca,
                                       .cert_file = cert,
                                       .key_file = key };
    int r = sc_loop_new(true, &loop, &err);
    c.loop = loop;
    if (r == 0)
        r = rpc_ws_server_new(loop, &o, &service, NULL, &server, &err);
    if (r == 0 && fcntl(0, F_SETFL, O_NONBLOCK) == 0)
        r = sc_loop_add_fd(loop, 0, EPOLLIN, on_stdin, &c, &in);
    if (r < 0)
        return die(&err);
    say("ready", NULL);
    sc_loop_run(loop);
    return 0;
}

int main(int argc, char *argv[])
{
    if (argc >= 3 && strcmp(argv[1], "pki") == 0)
        return make_pki(argv[2], argv + 3, argc - 3);
    if (argc == 5 && strcmp(argv[1], "serve") == 0)
        return serve(argv[2], argv[3], argv[4]);
    fprintf(stderr, "usage: sc-net-controller pki DIR NODE_ID...\n"
                    "       sc-net-controller serve LISTEN PKI STATE\n");
    return 2;
}
