/* join - making this machine a node of a Supercloud, or its controller.
 *
 * Used by sc-join's main.c.  Blocks.  On failure -1 with 'f' filled, and no
 * file is left that was not there before.
 * Source: docs/protocols/joining.md. */
#ifndef SC_JOIN_JOIN_H
#define SC_JOIN_JOIN_H

#include "join/request.h"

struct join_result {
    char name[64], node_id[64];
    unsigned nid;
    bool was_member; /* Had joined before; nothing was done. */
};
/* Joins the controller that 'r' names; waits for it up to r->timeout_ms. */
int join_node(const struct join_request *r, struct join_result *ret,
              struct join_failure *f) SC_MUST_CHECK;
/* Makes the certificate authority and what the first machine needs. */
int join_init_controller(const struct join_request *r, struct join_result *ret,
                         struct join_failure *f) SC_MUST_CHECK;

/* --- pure parts, for the tests ------------------------------------------ */

/* What a refusal {"error": {"code", "message"}} means. */
int join_refusal(const char *body, long status, struct join_failure *f);
/* Both clocks in ms since 1970; a day apart or more is JOIN_CLOCK. */
int join_check_clock(uint64_t here_ms, uint64_t there_ms,
                     struct join_failure *f) SC_MUST_CHECK;

#endif
