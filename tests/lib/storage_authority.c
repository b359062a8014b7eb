/* storage_authority - the controller as sc-storage sees it, for tests: the real
 * authority of daemons/controller over a store on disk, and nothing else.
 *
 * usage: sc-storage-authority LISTEN PKI_DIR STATE_DIR NODES_FILE
 *   NODES_FILE: the "peers" list of docs/protocols/rpc.md.  Certificates by
 *   `sc-net-controller pki`.  Standard input: one command a line, as JSON:
 *     {"do": "create", "volume_id", "size", "parent": "" or id}
 *     {"do": "allow"|"allow_next"|"cancel_next", "volume_id", "epoch", "nid"}
 *     {"do": "seal"|"get"|"delete", "volume_id"}
 *     {"do": "call", "nid", "method", "params"}     a call to that sc-storage
 *     {"do": "nodes"}                               who is connected
 *   Standard output: one line for each, {"result"} or {"error", "errno"}.
 *   Ends with standard input. */
#include "common/json.h"
#include "common/loop.h"
#include "common/rpc.h"
#include "common/rpc_ws.h"
#include "common/tls.h"
#include "controller/authority.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>

enum { NODES = 16 };
struct member {
    char id[64];
    uint16_t nid;
    struct rpc_conn *conn;
};
struct test {
    struct sc_loop *loop;
    struct store *store;
    cJSON *peers;
    struct member nodes[NODES];
    size_t n_nodes;
    char line[1 << 20];
    size_t size;
};

static struct member *node_of(struct test *t, const char *id, uint16_t nid)
{
    for (size_t i = 0; i < t->n_nodes; i++)
        if (id ? !strcmp(t->nodes[i].id, id) : t->nodes[i].nid == nid)
            return &t->nodes[i];
    return NULL;
}

/* --- what sc-storage asks ----------------------------------------------- */
static void on_hello(void *ctx, struct rpc_conn *from, const cJSON *params,
                     struct rpc_request *req)
{
    struct test *t = ctx;
    (void)params;
    struct member *n = node_of(t, rpc_conn_peer(from), 0);
    if (!n) {
        rpc_failf(req, -EACCES, "who is %s?", rpc_conn_peer(from));
        return;
    }
    n->conn = from;
    cJSON *o = cJSON_CreateObject();
    json_set_u64(o, "nid", n->nid);
    json_set_u64(o, "time_ms", sc_wall_ms());
    json_set_u64(o, "heartbeat_ms", 1000);
    rpc_reply(req, o);
    o = cJSON_CreateObject();
    json_set_u64(o, "self", n->nid);
    cJSON_AddItemToObject(o, "peers", cJSON_Duplicate(t->peers, true));
    (void)!rpc_notify(from, "peers", o);
}

static void on_down(void *ctx, struct rpc_conn *conn, const struct sc_err *why)
{
    struct test *t = ctx;
    (void)why;
    for (size_t i = 0; i < t->n_nodes; i++)
        if (t->nodes[i].conn == conn)
            t->nodes[i].conn = NULL;
}

static void add_delta(cJSON *o, struct store_txn *txn, const struct volume *v,
                      uint64_t have_seq, uint64_t first, int *r,
                      struct sc_err *err)
{
    SC_AUTO(view_delta_free) struct view_delta *d = NULL;
    uint64_t next;
    *r = authority_read(txn, v, have_seq, first, &d, &next, err);
    if (*r < 0)
        return;
    SC_AUTO(free) char *text = view_delta_encode_text(d);
    json_set_u64(o, "view_seq", v->seq);
    cJSON_AddStringToObject(o, "delta", text);
    if (next == UINT64_MAX)
        cJSON_AddNullToObject(o, "next_block");
    else
        json_set_u64(o, "next_block", next);
}

static void answer(struct rpc_request *req, int r, struct sc_err *err,
                   struct store_txn *txn, cJSON *o)
{
    if (r == 0)
        r = store_commit(txn, err);
    else
        store_abort(txn);
    if (r < 0) {
        cJSON_Delete(o);
        err->code = r;
        rpc_fail(req, err);
    } else {
        rpc_reply(req, o);
    }
}

static void on_open(void *ctx, struct rpc_conn *from, const cJSON *params,
                    struct rpc_request *req)
{
    struct test *t = ctx;
    struct member *n = node_of(t, rpc_conn_peer(from), 0);
    struct json_reader r = json_read(params, "view.open");
    const char *id = json_str(&r, "volume_id", 36, 36);
    const char *mode = json_str(&r, "mode", 2, 2);
    uint32_t epoch = (uint32_t)json_int(&r, "epoch", 0, UINT32_MAX);
    uint64_t have = (uint64_t)json_int(&r, "have_seq", 0, INT64_MAX);
    struct sc_err err = { 0 };
    struct store_txn *txn = NULL;
    struct volume v;
    int e = json_done(&r, &err);
    if (e < 0 || store_begin(t->store, true, &txn, &err) < 0) {
        rpc_fail(req, &err);
        return;
    }
    e = authority_open(txn, id, !strcmp(mode, "rw"), epoch, n->nid, &v, &err);
    cJSON *o = cJSON_CreateObject();
    if (e == 0) {
        json_set_u64(o, "size", v.size);
        json_set_u64(o, "epoch", v.epoch);
        if (v.parent[0])
            cJSON_AddStringToObject(o, "parent", v.parent);
        else
            cJSON_AddNullToObject(o, "parent");
        add_delta(o, txn, &v, have, 0, &e, &err);
    }
    answer(req, e, &err, txn, o);
}

static void on_more(void *ctx, struct rpc_conn *from, const cJSON *params,
                    struct rpc_request *req)
{
    struct test *t = ctx;
    (void)from;
    struct json_reader r = json_read(params, "view.more");
    const char *id = json_str(&r, "volume_id", 36, 36);
    uint64_t have = (uint64_t)json_int(&r, "have_seq", 0, INT64_MAX);
    uint64_t first = (uint64_t)json_int(&r, "first_block", 0, INT64_MAX);
    struct sc_err err = { 0 };
    struct store_txn *txn = NULL;
    struct volume v;
    int e = json_done(&r, &err);
    if (e < 0 || store_begin(t->store, true, &txn, &err) < 0) {
        rpc_fail(req, &err);
        return;
    }
    cJSON *o = cJSON_CreateObject();
    e = authority_get(txn, id, &v, &err);
    if (e == 0)
        add_delta(o, txn, &v, have, first, &e, &err);
    answer(req, e, &err, txn, o);
}

static void tell(struct test *t, struct rpc_conn *from, const cJSON *params,
                 struct rpc_request *req, char what)
{
    struct member *n = node_of(t, rpc_conn_peer(from), 0);
    struct json_reader r = json_read(params, "view");
    const char *id = json_str(&r, "volume_id", 36, 36);
    const char *delta = json_str(&r, "delta", 0, RPC_MESSAGE_MAX);
    uint32_t epoch = (uint32_t)json_int(&r, "epoch", 0, UINT32_MAX);
    struct sc_err err = { 0 };
    struct store_txn *txn = NULL;
    struct volume v;
    int e = json_done(&r, &err);
    if (e < 0 || store_begin(t->store, true, &txn, &err) < 0) {
        rpc_fail(req, &err);
        return;
    }
    e = what == 'h'
            ? authority_handover(txn, id, epoch, n->nid, delta, &v, &err)
            : authority_flush(txn, id, epoch, n->nid, what == 'c', delta, &v,
                              &err);
    cJSON *o = cJSON_CreateObject();
    if (e == 0)
        json_set_u64(o, "view_seq", v.seq);
    answer(req, e, &err, txn, o);
}

static void on_flush(void *ctx, struct rpc_conn *from, const cJSON *params,
                     struct rpc_request *req)
{
    tell(ctx, from, params, req, 'f');
}

static void on_close(void *ctx, struct rpc_conn *from, const cJSON *params,
                     struct rpc_request *req)
{
    tell(ctx, from, params, req, 'c');
}

static void on_handover(void *ctx, struct rpc_conn *from, const cJSON *params,
                        struct rpc_request *req)
{
    tell(ctx, from, params, req, 'h');
}

static void on_stats(void *ctx, struct rpc_conn *from, const cJSON *params,
                     struct rpc_request *req)
{
    (void)ctx;
    (void)from;
    (void)params;
    rpc_reply(req, NULL);
}

static const struct rpc_method methods[] = {
    { "hello", RPC_ROLE_NODE, on_hello },
    { "view.open", RPC_ROLE_NODE, on_open },
    { "view.more", RPC_ROLE_NODE, on_more },
    { "view.flush", RPC_ROLE_NODE, on_flush },
    { "view.close", RPC_ROLE_NODE, on_close },
    { "view.handover", RPC_ROLE_NODE, on_handover },
    { "storage.stats", RPC_ROLE_NODE, on_stats },
    { 0 },
};

/* --- commands ----------------------------------------------------------- */
static void say(const cJSON *result, const struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    if (err && err->code) {
        cJSON_AddStringToObject(o, "error", err->text);
        cJSON_AddStringToObject(o, "errno", sc_err_name(err->code));
    } else {
        cJSON_AddItemToObject(o, "result",
                              result ? cJSON_Duplicate(result, true)
                                     : cJSON_CreateObject());
    }
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(o);
    puts(text ? text : "{}");
    fflush(stdout);
}

static void on_called(void *arg, const cJSON *result, const struct sc_err *err)
{
    (void)arg;
    say(result, err);
}

static int act(struct store_txn *txn, const char *what, const cJSON *j,
               cJSON *result, struct sc_err *err)
{
    struct json_reader r = json_read(j, what);
    const char *id = json_str(&r, "volume_id", 36, 36);
    const char *parent = json_str_or(&r, "parent", 36, "");
    uint64_t size = (uint64_t)json_int_or(&r, "size", 0, INT64_MAX, 0);
    uint32_t epoch = (uint32_t)json_int_or(&r, "epoch", 0, UINT32_MAX, 0);
    uint16_t nid = (uint16_t)json_int_or(&r, "nid", 0, UINT16_MAX, 0);
    struct volume v;
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    if (!strcmp(what, "create"))
        return authority_create(txn, id, size, parent, err);
    if (!strcmp(what, "allow"))
        return authority_allow(txn, id, epoch, nid, err);
    if (!strcmp(what, "allow_next"))
        return authority_allow_next(txn, id, epoch, nid, err);
    if (!strcmp(what, "cancel_next"))
        return authority_cancel_next(txn, id, epoch, err);
    if (!strcmp(what, "seal"))
        return authority_seal(txn, id, err);
    if (!strcmp(what, "delete"))
        return authority_delete(txn, id, err);
    if (strcmp(what, "get") != 0)
        return sc_fail(err, -EINVAL, "what is '%s'?", what);
    e = authority_get(txn, id, &v, err);
    if (e == 0) {
        json_set_u64(result, "epoch", v.epoch);
        json_set_u64(result, "nid", v.nid);
        json_set_u64(result, "seq", v.seq);
        cJSON_AddBoolToObject(result, "open", v.open);
    }
    return e;
}

static void command(struct test *t, const char *line)
{
    SC_AUTO(cjson_free) cJSON *j = cJSON_Parse(line);
    SC_AUTO(cjson_free) cJSON *result = cJSON_CreateObject();
    const char *what = cJSON_GetStringValue(cJSON_GetObjectItem(j, "do"));
    struct sc_err err = { 0 };
    struct store_txn *txn = NULL;
    if (!what) {
        sc_fail(&err, -EINVAL, "no command: %s", line);
    } else if (!strcmp(what, "nodes")) {
        cJSON *a = cJSON_AddArrayToObject(result, "connected");
        for (size_t i = 0; i < t->n_nodes; i++)
            if (t->nodes[i].conn)
                cJSON_AddItemToArray(a, cJSON_CreateNumber(t->nodes[i].nid));
    } else if (!strcmp(what, "call")) {
        struct member *n = node_of(
            t, NULL,
            (uint16_t)cJSON_GetNumberValue(cJSON_GetObjectItem(j, "nid")));
        rpc_call(t->loop, n ? n->conn : NULL,
                 cJSON_GetStringValue(cJSON_GetObjectItem(j, "method")),
                 cJSON_Duplicate(cJSON_GetObjectItem(j, "params"), true), 60000,
                 on_called, NULL);
        return;
    } else if (store_begin(t->store, true, &txn, &err) == 0) {
        int r = act(txn, what, j, result, &err);
        if (r < 0) {
            store_abort(txn);
            err.code = r;
        } else {
            (void)!store_commit(txn, &err);
        }
    }
    say(result, &err);
}

static void on_input(void *arg, int fd, uint32_t events)
{
    struct test *t = arg;
    (void)events;
    ssize_t n = read(fd, t->line + t->size, sizeof t->line - 1 - t->size);
    if (n <= 0) {
        sc_loop_stop(t->loop);
        return;
    }
    t->size += (size_t)n;
    for (char *end; (end = memchr(t->line, '\n', t->size));) {
        *end++ = 0;
        command(t, t->line);
        t->size -= (size_t)(end - t->line);
        memmove(t->line, end, t->size);
    }
}

static int die(const struct sc_err *err)
{
    fprintf(stderr, "sc-storage-authority: %s\n", err->text);
    return 1;
}

int main(int argc, char **argv)
{
    static const char *const tables[] = { AUTHORITY_TABLES, NULL };
    static struct test t;
    struct sc_err err = { 0 };
    SC_AUTO(free) char *nodes = NULL;
    struct rpc_ws_server *server = NULL;
    struct sc_source *input = NULL;
    char ca[512], cert[512], key[512];
    if (argc != 5) {
        fprintf(stderr, "usage: sc-storage-authority LISTEN PKI_DIR STATE_DIR "
                        "NODES_FILE\n");
        return 2;
    }
    snprintf(ca, sizeof ca, "%s/ca.crt", argv[2]);
    snprintf(cert, sizeof cert, "%s/controller.crt", argv[2]);
    snprintf(key, sizeof key, "%s/controller.key", argv[2]);
    if (tls_read_file(argv[4], &nodes, &err) < 0)
        return die(&err);
    t.peers = cJSON_Parse(nodes);
    const cJSON *item;
    cJSON_ArrayForEach(item, t.peers)
    {
        struct member *n = &t.nodes[t.n_nodes++ % NODES];
        snprintf(n->id, sizeof n->id, "%s",
                 cJSON_GetStringValue(cJSON_GetObjectItem(item, "node_id")));
        n->nid =
            (uint16_t)cJSON_GetNumberValue(cJSON_GetObjectItem(item, "nid"));
    }
    const struct rpc_service service = { .methods = methods,
                                         .ctx = &t,
                                         .down = on_down };
    const struct rpc_ws_server_options o = { .listen = argv[1],
                                             .path = "/rpc",
                                             .ca_file = ca,
                                             .cert_file = cert,
                                             .key_file = key };
    if (sc_loop_new(true, &t.loop, &err) < 0 ||
        store_lmdb_open(argv[3], 256, tables, &t.store, &err) < 0 ||
        rpc_ws_server_new(t.loop, &o, &service, NULL, &server, &err) < 0)
        return die(&err);
    if (sc_loop_add_fd(t.loop, 0, EPOLLIN, on_input, &t, &input) < 0)
        return 1;
    sc_loop_run(t.loop);
    sc_source_free(input);
    rpc_ws_server_free(server);
    store_close(t.store);
    sc_loop_free(t.loop);
    cJSON_Delete(t.peers);
    return 0;
}
