/* rpc_client - what the self-reconnecting clients of both transports share.
 *
 * Private to rpc_unix.c and rpc_ws_client.c; users see rpc.h.  Loop thread. */
#ifndef SC_COMMON_RPC_CLIENT_H
#define SC_COMMON_RPC_CLIENT_H

#include "common/rpc.h"

enum {
    RPC_BACKOFF_MIN_MS = 100,
    RPC_BACKOFF_MAX_MS = 5000,
    RPC_STABLE_MS = 1000, /* Alive this long: the next loss starts afresh. */
};

/* First member of each transport's client. */
struct rpc_client {
    void (*free)(struct rpc_client *c);
    struct rpc_conn *conn; /* NULL: not now. */
};

/* Time to wait before the next attempt, given the last wait (0: first try). */
uint64_t rpc_backoff_next(uint64_t last_ms);

#endif
