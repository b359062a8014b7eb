/* rpc_ws - the server side of RPC over WebSocket, over mutual TLS 1.3.
 *
 * Used by sc-controller alone.  Everything runs on the loop's thread, without
 * blocking: OpenSSL (common/tls.h) for the connection, wslay for the frames.
 * A peer without a certificate of our CA is refused on 'path', and may use only
 * the plain HTTP requests of 'http' (joining); one that shows a certificate of
 * somebody else is refused altogether.
 * Role and peer name come from the certificate: OU and CN.
 * Limits: HTTP head 16 KiB, body 64 KiB, 10 s to say what it wants; 256 who
 * have not said it (or join) at once: of one more, the oldest is dropped.
 * Source: RFC 6455, RFC 9112. */
#ifndef SC_COMMON_RPC_WS_H
#define SC_COMMON_RPC_WS_H

#include "common/rpc.h"

struct rpc_ws_server;
struct rpc_ws_server_options {
    const char *listen; /* "0.0.0.0:7443". */
    const char *path;   /* "/rpc". */
    const char *ca_file;
    const char *cert_file; /* PEM: certificate. */
    const char *key_file;
    unsigned max_peers;     /* Connections at once; 0: 4096. */
    uint64_t ping_ms;       /* 0: RPC_WS_PING_MS. */
    unsigned max_strangers; /* Before the upgrade; 0: 256. */
};
/* An HTTP request outside 'path'; 'fn' answers at once.  'body' is NUL-ended
 * text, at most 64 KiB; 'status' is 200 unless set; '*ret' is the answer
 * (cJSON, taken; NULL: {}). */
typedef void rpc_http_fn(void *ctx, const char *method, const char *uri,
                         const char *body, const char *remote_addr, int *status,
                         cJSON **ret);
int rpc_ws_server_new(struct sc_loop *loop,
                      const struct rpc_ws_server_options *o,
                      const struct rpc_service *service, rpc_http_fn *http,
                      struct rpc_ws_server **ret,
                      struct sc_err *err) SC_MUST_CHECK;
/* The port it listens on (for "HOST:0" in tests). */
uint16_t rpc_ws_server_port(const struct rpc_ws_server *s);
/* Closes every connection: their 'down' runs.  NULL is allowed. */
void rpc_ws_server_free(struct rpc_ws_server *s);
SC_CLEANUP(struct rpc_ws_server, rpc_ws_server_free)

#endif
