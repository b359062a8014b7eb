/* converge - what to do after a start of sc-node, from what it remembers and
 * what it finds running.  Pure.
 *
 * 'wanted': the VMs in the durable state, each once.  'seen': what the
 * hypervisor has.  A guest nobody remembers is destroyed: it was received but
 * never became ours, or was given away. */
#ifndef SC_NODE_CONVERGE_H
#define SC_NODE_CONVERGE_H

#include "hypervisor/hypervisor.h"

#include <stddef.h>

enum want {
    WANT_OWNED,     /* Ours, and nothing else is going on. */
    WANT_STOPPED,   /* Ours and known to be stopped. */
    WANT_SENDING,   /* A migration out was begun; still ours. */
    WANT_GIVEN,     /* Given away; whose it is must be resolved. */
    WANT_RELEASING, /* Runs elsewhere; clean up here. */
    WANT_MINE,      /* Became ours; perhaps not yet resumed. */
};
struct wanted {
    const char *vm_id;
    enum want want;
};
struct seen {
    const char *vm_id;
    enum hv_state state;
};
enum step_op {
    STEP_ADOPT,     /* It runs: take it over. */
    STEP_RESUME,    /* It is here but paused: run it. */
    STEP_STOPPED,   /* It is gone: clean up and tell. */
    STEP_DESTROY,   /* Not ours. */
    STEP_PAUSE,     /* It must not run until resolved. */
    STEP_TAKE_BACK, /* mig_src_restart, not given. */
    STEP_HOLD,      /* mig_src_restart, given. */
    STEP_RELEASE,   /* Continue to release. */
    STEP_FINISH_IN, /* mig_dst_restart_mine. */
};
struct step {
    enum step_op op;
    const char *vm_id; /* Borrowed from the arguments. */
};
/* At most CONVERGE_STEPS(n_wanted, n_seen) steps; returns how many. */
#define CONVERGE_STEPS(n_wanted, n_seen) (2 * (n_wanted) + (n_seen))
size_t converge(const struct wanted *wanted, size_t n_wanted,
                const struct seen *seen, size_t n_seen, struct step *ret);

#endif
