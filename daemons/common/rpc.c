/* rpc - see rpc.h: the protocol itself, above any transport. */
#include "common/rpc.h"
#include "common/json.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    JSONRPC_PARSE_ERROR = -32700,
    JSONRPC_INVALID = -32600,
    JSONRPC_NO_METHOD = -32601,
    JSONRPC_BAD_PARAMS = -32602,
    JSONRPC_OURS = -32000,
    PEER_LEN_MAX = 127, /* Characters of a peer's name that are kept. */
};

struct call { /* One of ours that waits for its answer. */
    struct call *next;
    struct call **prev; /* What points here. */
    struct rpc_conn *conn;
    uint64_t id;
    rpc_done_fn *done;
    void *arg;
    struct sc_source *timer; /* Owned; NULL: waits without end. */
    struct sc_err why;       /* What the timer will report. */
};

struct rpc_request { /* One of the peer's that waits for ours. */
    struct rpc_request *next, **prev;
    struct rpc_conn *conn; /* NULL once the connection is gone. */
    cJSON *id;             /* Owned. */
};

struct rpc_conn {
    struct sc_loop *loop;
    const struct rpc_transport *transport;
    void *impl;
    const struct rpc_service *service;
    unsigned role;
    char peer[PEER_LEN_MAX + 1];
    void *data;
    uint64_t next_id;
    struct call *calls, **last_call;
    size_t n_calls;
    struct rpc_request *requests;
    size_t n_requests;
    unsigned depth; /* rpc_conn_receive calls on the stack. */
    bool closing, freed;
    struct sc_err why; /* The reason, when the close is ours. */
};

/* Calls that never went out and report so on the loop's next turn.  A list per
 * thread is a list per loop; it exists so that rpc_forget can find them. */
static _Thread_local struct call *orphans;

static void call_free(struct call *call)
{
    struct rpc_conn *c = call->conn;
    *call->prev = call->next;
    if (call->next)
        call->next->prev = call->prev;
    else if (c)
        c->last_call = call->prev;
    if (c)
        c->n_calls--;
    sc_source_free(call->timer);
    free(call);
}

static void call_end(struct call *call, const cJSON *result,
                     const struct sc_err *err)
{
    rpc_done_fn *done = call->done;
    void *arg = call->arg;
    call_free(call);
    done(arg, result, err);
}

static void call_on_timer(void *arg)
{
    struct call *call = arg;
    struct sc_err why = call->why;
    call_end(call, NULL, &why);
}

/* Reports 'why' to 'done' on the next turn. */
static void fail_later(struct sc_loop *loop, const struct sc_err *why,
                       rpc_done_fn *done, void *arg)
{
    struct call *call = calloc(1, sizeof *call);
    if (!call ||
        sc_loop_add_timer(loop, 0, 0, call_on_timer, call, &call->timer) < 0) {
        /* Out of memory: late is impossible, never would be worse. */
        free(call);
        done(arg, NULL, why);
        return;
    }
    call->done = done;
    call->arg = arg;
    call->why = *why;
    call->prev = &orphans;
    call->next = orphans;
    if (orphans)
        orphans->prev = &call->next;
    orphans = call;
}

static void close_for(struct rpc_conn *c, int code, const char *text)
{
    if (c->closing)
        return;
    if (code)
        sc_fail(&c->why, code, "%s: %s", c->peer, text);
    c->closing = true;
    c->transport->close(c->impl);
}

/* Prints and sends; 0, -EMSGSIZE (nothing was sent), -ENOMEM, or the
 * transport's error, and then the connection closes. */
static int send_json(struct rpc_conn *c, const cJSON *message)
{
    if (c->closing)
        return -ENOTCONN;
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(message);
    if (!text)
        return -ENOMEM;
    size_t size = strlen(text);
    if (size > RPC_MESSAGE_MAX)
        return -EMSGSIZE;
    int r = c->transport->send(c->impl, text, size);
    if (r < 0)
        close_for(c, r, r == -ENOBUFS ? "reads too slowly" : "send failed");
    return r;
}

static cJSON *message_new(const char *method, cJSON *params)
{
    cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "jsonrpc", "2.0");
    cJSON_AddStringToObject(m, "method", method);
    if (!params)
        params = cJSON_CreateObject();
    if (!params || !cJSON_AddItemToObject(m, "params", params)) {
        cJSON_Delete(params);
        cJSON_Delete(m);
        return NULL;
    }
    return m;
}

void rpc_call(struct sc_loop *loop, struct rpc_conn *conn, const char *method,
              cJSON *params, uint64_t timeout_ms, rpc_done_fn *done, void *arg)
{
    struct sc_err why = { 0 };
    if (!conn || conn->closing || conn->freed) {
        cJSON_Delete(params);
        sc_fail(&why, -ENOTCONN, "%s: not connected%s%s", method,
                conn ? " to " : "", conn ? conn->peer : "");
        fail_later(loop, &why, done, arg);
        return;
    }
    if (conn->n_calls >= RPC_PENDING_MAX) {
        cJSON_Delete(params);
        sc_fail(&why, -EAGAIN, "%s: %d calls to %s wait already", method,
                RPC_PENDING_MAX, conn->peer);
        fail_later(loop, &why, done, arg);
        return;
    }
    uint64_t id = ++conn->next_id;
    SC_AUTO(cjson_free) cJSON *m = message_new(method, params);
    struct call *call = calloc(1, sizeof *call);
    int r = m && call ? 0 : -ENOMEM;
    if (r == 0) {
        cJSON_AddNumberToObject(m, "id", (double)id);
        sc_fail(&call->why, -ETIMEDOUT, "%s: no answer from %s within %llu ms",
                method, conn->peer, (unsigned long long)timeout_ms);
        if (timeout_ms)
            r = sc_loop_add_timer(loop, timeout_ms, 0, call_on_timer, call,
                                  &call->timer);
    }
    if (r == 0)
        r = send_json(conn, m);
    if (r < 0) {
        if (call)
            sc_source_free(call->timer);
        free(call);
        sc_fail(&why, r, "%s: cannot send to %s: %s", method, conn->peer,
                strerror(-r));
        fail_later(loop, &why, done, arg);
        return;
    }
    call->conn = conn;
    call->id = id;
    call->done = done;
    call->arg = arg;
    call->prev = conn->last_call;
    *conn->last_call = call;
    conn->last_call = &call->next;
    conn->n_calls++;
}

void rpc_forget(struct rpc_conn *conn, void *arg)
{
    struct call *lists[] = { orphans, conn ? conn->calls : NULL };
    for (size_t i = 0; i < SC_ARRAY_LEN(lists); i++) {
        for (struct call *c = lists[i], *next; c; c = next) {
            next = c->next;
            if (c->arg == arg)
                call_free(c);
        }
    }
}

int rpc_notify(struct rpc_conn *conn, const char *method, cJSON *params)
{
    if (!conn || conn->closing || conn->freed) {
        cJSON_Delete(params);
        return -ENOTCONN;
    }
    SC_AUTO(cjson_free) cJSON *m = message_new(method, params);
    return m ? send_json(conn, m) : -ENOMEM;
}

/* --- answers ------------------------------------------------------------ */

static cJSON *error_new(const struct sc_err *err)
{
    int code = err->code == -EINVAL   ? JSONRPC_BAD_PARAMS
               : err->code == -ENOSYS ? JSONRPC_NO_METHOD
                                      : JSONRPC_OURS;
    cJSON *e = cJSON_CreateObject();
    cJSON_AddNumberToObject(e, "code", code);
    cJSON_AddStringToObject(e, "message", err->text);
    cJSON *data = cJSON_AddObjectToObject(e, "data");
    cJSON_AddStringToObject(data, "errno", sc_err_name(err->code));
    return e;
}

/* 'id' and 'value' are taken. */
static int send_answer(struct rpc_conn *c, cJSON *id, const char *key,
                       cJSON *value)
{
    SC_AUTO(cjson_free) cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "jsonrpc", "2.0");
    if (!id || !cJSON_AddItemToObject(m, "id", id)) {
        cJSON_Delete(id);
        cJSON_Delete(value);
        return -ENOMEM;
    }
    if (!value || !cJSON_AddItemToObject(m, key, value)) {
        cJSON_Delete(value);
        return -ENOMEM;
    }
    return send_json(c, m);
}

static void request_free(struct rpc_request *req)
{
    if (req->conn) {
        *req->prev = req->next;
        if (req->next)
            req->next->prev = req->prev;
        req->conn->n_requests--;
    }
    cJSON_Delete(req->id);
    free(req);
}

void rpc_reply(struct rpc_request *req, cJSON *result)
{
    if (!req) {
        cJSON_Delete(result);
        return;
    }
    if (!result)
        result = cJSON_CreateObject();
    if (!req->conn) {
        cJSON_Delete(result);
    } else {
        cJSON *id = cJSON_Duplicate(req->id, false);
        int r = send_answer(req->conn, id, "result", result);
        if (r == -EMSGSIZE) {
            rpc_failf(req, r, "the answer is larger than %d bytes",
                      RPC_MESSAGE_MAX);
            return;
        }
        if (r == -ENOMEM) /* The peer would wait for ever. */
            close_for(req->conn, r, "out of memory for an answer");
    }
    request_free(req);
}

void rpc_fail(struct rpc_request *req, const struct sc_err *err)
{
    if (!req)
        return;
    if (req->conn && send_answer(req->conn, SC_TAKE(req->id), "error",
                                 error_new(err)) == -ENOMEM)
        close_for(req->conn, -ENOMEM, "out of memory for an answer");
    request_free(req);
}

int rpc_failf(struct rpc_request *req, int code, const char *fmt, ...)
{
    struct sc_err err = { .code = code };
    va_list args;
    va_start(args, fmt);
    vsnprintf(err.text, sizeof err.text, fmt, args);
    va_end(args);
    rpc_fail(req, &err);
    return code;
}

/* --- receiving ---------------------------------------------------------- */

static void protocol_error(struct rpc_conn *c, int code, const char *text)
{
    cJSON *e = cJSON_CreateObject();
    cJSON_AddNumberToObject(e, "code", code);
    cJSON_AddStringToObject(e, "message", text);
    send_answer(c, cJSON_CreateNull(), "error", e);
}

static void receive_answer(struct rpc_conn *c, const cJSON *id, const cJSON *m)
{
    struct call *call = c->calls;
    while (call && (!cJSON_IsNumber(id) || (double)call->id != id->valuedouble))
        call = call->next;
    if (!call)
        return; /* Too late, or forgotten. */
    const cJSON *e = cJSON_GetObjectItemCaseSensitive(m, "error");
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(m, "result");
    struct sc_err err = { 0 };
    if (e && !cJSON_IsNull(e)) {
        const cJSON *text = cJSON_GetObjectItemCaseSensitive(e, "message");
        const cJSON *code = cJSON_GetObjectItemCaseSensitive(e, "code");
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(
            cJSON_GetObjectItemCaseSensitive(e, "data"), "errno");
        int n = cJSON_IsNumber(code) ? code->valueint : 0;
        int errno_code = cJSON_IsString(name) ? sc_err_code(name->valuestring)
                         : n == JSONRPC_NO_METHOD  ? -ENOSYS
                         : n == JSONRPC_BAD_PARAMS ? -EINVAL
                                                   : -EIO;
        sc_fail(&err, errno_code, "%s",
                cJSON_IsString(text) ? text->valuestring : "unknown error");
        result = NULL;
    } else if (!result) {
        sc_fail(&err, -EPROTO, "%s: an answer without a result", c->peer);
    }
    call_end(call, result, &err);
}

/* The service of the chain that has 'method', and its entry. */
static const struct rpc_method *find(const struct rpc_service *s,
                                     const char *method,
                                     const struct rpc_service **ret_owner)
{
    for (; s; s = s->more) {
        for (const struct rpc_method *m = s->methods; m && m->name; m++) {
            if (!strcmp(m->name, method)) {
                *ret_owner = s;
                return m;
            }
        }
    }
    return NULL;
}

static void receive_request(struct rpc_conn *c, const char *method,
                            const cJSON *id, const cJSON *params)
{
    struct rpc_request *req = NULL;
    if (id) {
        if (c->n_requests >= RPC_PENDING_MAX) {
            close_for(c, -EDQUOT, "too many unanswered calls");
            return;
        }
        req = calloc(1, sizeof *req);
        cJSON *copy = cJSON_Duplicate(id, false);
        if (!req || !copy) {
            free(req);
            cJSON_Delete(copy);
            close_for(c, -ENOMEM, "out of memory for a call");
            return;
        }
        *req = (struct rpc_request){
            .conn = c, .id = copy, .next = c->requests, .prev = &c->requests
        };
        if (c->requests)
            c->requests->prev = &req->next;
        c->requests = req;
        c->n_requests++;
    }
    const struct rpc_service *owner = NULL;
    const struct rpc_method *m = find(c->service, method, &owner);
    if (!m) {
        rpc_failf(req, -ENOSYS, "unknown method '%.64s'", method);
        return;
    }
    if (!(m->roles & c->role)) {
        rpc_failf(req, -EACCES, "%s: not allowed to %s", method, c->peer);
        return;
    }
    SC_AUTO(cjson_free) cJSON *none = NULL;
    if (!params || cJSON_IsNull(params))
        params = none = cJSON_CreateObject();
    m->fn(owner->ctx, c, params, req);
}

static void receive_object(struct rpc_conn *c, const cJSON *m)
{
    const cJSON *method = cJSON_GetObjectItemCaseSensitive(m, "method");
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(m, "id");
    if (!cJSON_IsObject(m) || (method && !cJSON_IsString(method)) ||
        (method && id && !cJSON_IsNumber(id) && !cJSON_IsString(id)))
        protocol_error(c, JSONRPC_INVALID, "not a JSON-RPC 2.0 message");
    else if (method)
        receive_request(c, method->valuestring, id,
                        cJSON_GetObjectItemCaseSensitive(m, "params"));
    else
        receive_answer(c, id, m);
}

void rpc_conn_receive(struct rpc_conn *c, const char *text, size_t size)
{
    if (c->closing || c->freed)
        return;
    if (size > RPC_MESSAGE_MAX) {
        close_for(c, -EMSGSIZE, "sent a message over the limit");
        return;
    }
    const char *end = NULL;
    SC_AUTO(cjson_free)
    cJSON *m = cJSON_ParseWithLengthOpts(text, size, &end, false);
    while (m && end < text + size && isspace((unsigned char)*end))
        end++;
    if (!m || end != text + size) {
        protocol_error(c, JSONRPC_PARSE_ERROR, "not a JSON document");
        return;
    }
    c->depth++;
    receive_object(c, m);
    if (--c->depth == 0 && c->freed)
        free(c);
}

/* --- connections -------------------------------------------------------- */

struct rpc_conn *rpc_conn_new(struct sc_loop *loop,
                              const struct rpc_transport *t, void *impl,
                              const struct rpc_service *service, unsigned role,
                              const char *peer)
{
    struct rpc_conn *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->loop = loop;
    c->transport = t;
    c->impl = impl;
    c->service = service;
    c->role = role;
    c->last_call = &c->calls;
    snprintf(c->peer, sizeof c->peer, "%s", peer);
    return c;
}

void rpc_conn_up(struct rpc_conn *c)
{
    for (const struct rpc_service *s = c->service; s; s = s->more)
        if (s->up)
            s->up(s->ctx, c);
}

void rpc_conn_free(struct rpc_conn *c, const struct sc_err *why)
{
    if (!c || c->freed)
        return;
    c->closing = true;
    c->freed = true;
    struct sc_err reason = c->why.code ? c->why : why ? *why : c->why;
    if (!reason.code)
        sc_fail(&reason, -ECONNRESET, "%s: connection closed", c->peer);
    while (c->requests) {
        struct rpc_request *req = c->requests;
        c->requests = req->next;
        req->conn = NULL;
    }
    struct sc_err lost;
    sc_fail(&lost, -ECONNRESET, "connection lost: %s", reason.text);
    while (c->calls)
        call_end(c->calls, NULL, &lost);
    for (const struct rpc_service *s = c->service; s; s = s->more)
        if (s->down)
            s->down(s->ctx, c, &reason);
    if (c->depth == 0)
        free(c); /* Else rpc_conn_receive, further up the stack, does. */
}

unsigned rpc_conn_role(const struct rpc_conn *conn)
{
    return conn->role;
}

const char *rpc_conn_peer(const struct rpc_conn *conn)
{
    return conn->peer;
}

void rpc_conn_set_data(struct rpc_conn *conn, void *data)
{
    conn->data = data;
}

void *rpc_conn_data(const struct rpc_conn *conn)
{
    return conn->data;
}

void rpc_conn_close(struct rpc_conn *conn)
{
    if (conn)
        close_for(conn, 0, NULL);
}
