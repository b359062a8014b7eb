/* server - sc-controller as a whole: the state (ctl.h) between the daemons
 * (RPC, 7443) and the users (console, 8443).
 *
 * Loop thread. */
#ifndef SC_CONTROLLER_SERVER_H
#define SC_CONTROLLER_SERVER_H

#include "common/config.h"
#include "common/loop.h"

struct server;

/* Opens the store, makes what is missing (certificates, first user), listens.
 * 'c' is borrowed.  0 or -errno with 'err' filled. */
int server_new(struct sc_loop *loop, const struct sc_config *c,
               struct server **ret, struct sc_err *err) SC_MUST_CHECK;
void server_free(struct server *s); /* NULL is allowed. */
SC_CLEANUP(struct server, server_free)
/* Did it end because the store failed? */
bool server_broken(const struct server *s);

#endif
