/* rpc - JSON-RPC 2.0 in both directions over one connection.
 *
 * Used by every daemon.  Two transports, one interface: Unix sockets with a
 * JSON document a line (local daemons, `supercloud daemon`), and WebSocket
 * over mutual TLS (to the controller; server side in common/rpc_ws.h).
 * Everything here runs on the loop's thread; transports with threads of their
 * own post to it.  Never blocks.
 * Limits: a message is at most RPC_MESSAGE_MAX bytes, RPC_PENDING_MAX calls of
 * the peer may be unanswered, RPC_OUT_MAX bytes unsent; over that the
 * connection is closed.  Own calls over RPC_PENDING_MAX end with -EAGAIN, a
 * call or answer too large to send with -EMSGSIZE.
 * Ownership: cJSON passed as 'params' or 'result' is taken, whatever happens;
 * cJSON given to a callback is borrowed for the call.
 * Errors on the wire: {"code": -32000, "message": text, "data": {"errno":
 * "ENOENT"}}; -32601 for an unknown method, -32602 for bad params (-EINVAL).
 * Source: https://www.jsonrpc.org/specification, docs/protocols/rpc.md. */
#ifndef SC_COMMON_RPC_H
#define SC_COMMON_RPC_H

#include "common/err.h"
#include "common/loop.h"

#include <cjson/cJSON.h>
#include <stdint.h>

enum {
    RPC_MESSAGE_MAX = 8 << 20,
    RPC_PENDING_MAX = 4096,
    RPC_OUT_MAX = 64 << 20,
};

struct rpc_conn;    /* One connection; belongs to its transport. */
struct rpc_request; /* A call that was received and waits for an answer. */

/* Roles a peer may have; a method lists who may call it. */
enum {
    RPC_ROLE_LOCAL = 1 << 0,      /* Unix socket; root or the daemon's group. */
    RPC_ROLE_NODE = 1 << 1,       /* Certificate OU=node. */
    RPC_ROLE_NETWORK = 1 << 2,    /* OU=network. */
    RPC_ROLE_CONTROLLER = 1 << 3, /* OU=controller. */
    RPC_ROLE_ANY = 0xff,
};

/* Answers 'req' exactly once, now or later: rpc_reply or rpc_fail.  For a
 * notification 'req' is NULL, and both calls ignore it. */
typedef void rpc_handler(void *ctx, struct rpc_conn *from, const cJSON *params,
                         struct rpc_request *req);
struct rpc_method {
    const char *name;
    unsigned roles; /* RPC_ROLE_* bits that may call it. */
    rpc_handler *fn;
};
/* What a connection serves and whom it tells.  Borrowed; must outlive it. */
struct rpc_service {
    const struct rpc_method *methods; /* Ends with a NULL name. */
    void *ctx;                        /* First argument of all below. */
    void (*up)(void *ctx, struct rpc_conn *conn); /* NULL allowed. */
    /* After 'down' the conn is gone; pending calls were failed -ECONNRESET. */
    void (*down)(void *ctx, struct rpc_conn *conn, const struct sc_err *why);
    /* A client's attempt to connect failed; it will try again.  NULL allowed.
     */
    void (*trouble)(void *ctx, const struct sc_err *why);
    /* Asked for methods not found here, with its own ctx; its 'up' and 'down'
     * are called too.  NULL: none. */
    const struct rpc_service *more;
};

/* Absent params arrive as an empty object.  A handler may answer after the
 * connection is lost: the answer is then dropped. */
void rpc_reply(struct rpc_request *req, cJSON *result); /* NULL result: {}. */
void rpc_fail(struct rpc_request *req, const struct sc_err *err);
int rpc_failf(struct rpc_request *req, int code, const char *fmt, ...)
    SC_PRINTF(3, 4);

/* 'result' is NULL exactly if err->code != 0. */
typedef void rpc_done_fn(void *arg, const cJSON *result,
                         const struct sc_err *err);
/* Calls 'method'; 'done' runs exactly once, never from inside this call, also
 * on time-out (-ETIMEDOUT) and loss (-ECONNRESET).  'conn' NULL or closed:
 * -ENOTCONN is reported by 'done' too.  'timeout_ms' 0: none. */
void rpc_call(struct sc_loop *loop, struct rpc_conn *conn, const char *method,
              cJSON *params, uint64_t timeout_ms, rpc_done_fn *done, void *arg);
/* Forgets every pending call with 'arg' on 'conn' (NULL: only those that wait
 * to report -ENOTCONN): their 'done' will not run. */
void rpc_forget(struct rpc_conn *conn, void *arg);
int rpc_notify(struct rpc_conn *conn, const char *method, cJSON *params);

unsigned rpc_conn_role(const struct rpc_conn *conn);    /* RPC_ROLE_*. */
const char *rpc_conn_peer(const struct rpc_conn *conn); /* Certificate's CN (a
                                          node id) or "pid 123"; never NULL. */
void rpc_conn_set_data(struct rpc_conn *conn, void *data); /* The server's. */
void *rpc_conn_data(const struct rpc_conn *conn);
void rpc_conn_close(struct rpc_conn *conn); /* 'down' follows, later. */

/* Unix socket server: makes 'path' (mode 0660, replaced if stale). */
struct rpc_unix_server;
int rpc_unix_listen(struct sc_loop *loop, const char *path,
                    const struct rpc_service *service,
                    struct rpc_unix_server **ret,
                    struct sc_err *err) SC_MUST_CHECK;
void rpc_unix_server_free(struct rpc_unix_server *s); /* Removes 'path'. */
SC_CLEANUP(struct rpc_unix_server, rpc_unix_server_free)

/* A client that keeps itself connected: tries at once, then with a back-off of
 * 100 ms doubling to 5 s.  'up' and 'down' tell of each connection. */
struct rpc_client;
int rpc_unix_client_new(struct sc_loop *loop, const char *path,
                        const struct rpc_service *service,
                        struct rpc_client **ret,
                        struct sc_err *err) SC_MUST_CHECK;
struct rpc_ws_options {
    const char *host; /* Controller's name or address. */
    uint16_t port;
    const char *path;                           /* "/rpc". */
    const char *ca_file, *cert_file, *key_file; /* PEM. */
    uint64_t ping_ms;                           /* 0: RPC_WS_PING_MS. */
};
/* Each side sends a ping every RPC_WS_PING_MS; one that has heard nothing for
 * RPC_WS_LOST_PINGS of them takes the other for lost (-ETIMEDOUT). */
enum { RPC_WS_PING_MS = 3000, RPC_WS_LOST_PINGS = 3 };
/* WebSocket over mutual TLS; copies 'o'. */
int rpc_ws_client_new(struct sc_loop *loop, const struct rpc_ws_options *o,
                      const struct rpc_service *service,
                      struct rpc_client **ret,
                      struct sc_err *err) SC_MUST_CHECK;
struct rpc_conn *rpc_client_conn(struct rpc_client *c); /* NULL: not now. */
void rpc_client_free(struct rpc_client *c);             /* NULL is allowed. */
SC_CLEANUP(struct rpc_client, rpc_client_free)

/* --- for transports ---------------------------------------------------- */
struct rpc_transport {
    /* Sends one whole message (not NUL-ended); takes nothing.  -errno closes.
     */
    int (*send)(void *impl, const char *text, size_t size);
    void (*close)(void *impl); /* Begins to close; rpc_conn_free follows. */
};
/* NULL: out of memory.  rpc_conn_up then tells the service, once the transport
 * can send. */
struct rpc_conn *rpc_conn_new(struct sc_loop *loop,
                              const struct rpc_transport *t, void *impl,
                              const struct rpc_service *service, unsigned role,
                              const char *peer);
void rpc_conn_up(struct rpc_conn *c);
/* One whole message.  'c' may be closed by it, and even freed if a handler
 * frees its transport. */
void rpc_conn_receive(struct rpc_conn *c, const char *text, size_t size);
/* Fails what is pending, calls 'down', frees.  Loop thread. */
void rpc_conn_free(struct rpc_conn *c, const struct sc_err *why);

#endif
