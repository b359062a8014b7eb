/* rpc_sync - one blocking RPC call over a Unix socket, for command-line
 * programs and worker threads.  Daemons' loops use rpc.h instead. */
#ifndef SC_COMMON_RPC_SYNC_H
#define SC_COMMON_RPC_SYNC_H

#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/* Connects to 'path', calls, waits up to 'timeout_ms', closes.  'params' is
 * taken.  0 and '*ret' (the caller's), or with 'err' filled: the peer's error,
 * -ENOENT / -ECONNREFUSED (nobody listens there), -ETIMEDOUT, -EPROTO. */
int rpc_unix_call(const char *path, const char *method, cJSON *params,
                  uint64_t timeout_ms, cJSON **ret,
                  struct sc_err *err) SC_MUST_CHECK;

#endif
