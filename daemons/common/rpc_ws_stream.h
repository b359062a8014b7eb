/* rpc_ws_stream - one connection of the WebSocket transport, of either side.
 *
 * Private to rpc_ws_server.c and rpc_ws_client.c.  Life: the TLS handshake;
 * HTTP, whose bytes go to the owner until it says the upgrade is done
 * (ws_stream_open) or ends it; frames; end.  The owner hears of the end exactly
 * once, by 'on_end', unless it freed the stream itself.
 * Loop thread.  Never blocks. */
#ifndef SC_COMMON_RPC_WS_STREAM_H
#define SC_COMMON_RPC_WS_STREAM_H

#include "common/rpc.h"
#include "common/tls.h"

#include <stdbool.h>

enum { WS_SETUP_MS = 10000 }; /* From TCP connection to the first frame. */

struct ws_stream;
struct ws_stream_owner {
    /* Handshake done: a client now sends its request. */
    void (*on_secure)(void *owner, struct ws_stream *s);
    /* All HTTP bytes so far; takes some by returning how many (0: needs more),
     * or ends the stream by ws_stream_end. */
    size_t (*on_http)(void *owner, struct ws_stream *s, char *text,
                      size_t size);
    /* It is over; 's' and its rpc_conn go right after.  'was_open': 'up' of
     * the service was called. */
    void (*on_end)(void *owner, struct ws_stream *s, const struct sc_err *why,
                   bool was_open);
};

/* Takes 'fd', a connected or connecting socket, in every case. */
int ws_stream_new(struct sc_loop *loop, struct tls_ctx *tls, int fd,
                  bool server, uint64_t ping_ms,
                  const struct ws_stream_owner *class, void *owner,
                  struct ws_stream **ret, struct sc_err *err) SC_MUST_CHECK;
/* At once; calls 'down' of an open one, but not 'on_end'.  NULL allowed. */
void ws_stream_free(struct ws_stream *s);

/* HTTP bytes out.  'last': end the stream when they have left. */
void ws_stream_write(struct ws_stream *s, const char *text, size_t size,
                     bool last);
/* From now on frames.  NULL: out of memory.  The caller then calls rpc_conn_up,
 * last. */
struct rpc_conn *ws_stream_open(struct ws_stream *s,
                                const struct rpc_service *service,
                                unsigned role, const char *peer);
/* Ends it from the loop, with this reason. */
void ws_stream_end(struct ws_stream *s, int code, const char *fmt, ...)
    SC_PRINTF(3, 4);
const struct tls_conn *ws_stream_tls(const struct ws_stream *s);

#endif
