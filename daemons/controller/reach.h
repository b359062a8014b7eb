/* reach - can a TCP port be connected to from here?
 *
 * Used by sc-controller, for a node's probe 'reachable'.  Loop thread, never
 * blocks: the connection is begun, and closed as soon as it stands. */
#ifndef SC_CONTROLLER_REACH_H
#define SC_CONTROLLER_REACH_H

#include "common/loop.h"

struct reach_pool; /* The attempts under way. */
int reach_pool_new(struct sc_loop *loop, struct reach_pool **ret);
/* Ends the attempts; their 'done' still runs, with -ECANCELED. */
void reach_pool_free(struct reach_pool *p); /* NULL is allowed. */

/* 'address' is an IP address.  'done' runs exactly once, never from inside: 0,
 * -ETIMEDOUT, or what connect(2) says. */
typedef void reach_done_fn(void *arg, int code);
void reach_begin(struct reach_pool *p, const char *address, uint16_t port,
                 uint64_t timeout_ms, reach_done_fn *done, void *arg);

#endif
