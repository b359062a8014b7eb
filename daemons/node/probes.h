/* probes - has this machine probed, in a child process, and tells the result.
 *
 * One per sc-node.  A run is one child ("sc-node --probes"): niced, last at
 * the disk, with a time limit; it measures (probes_measure.h) while the loop
 * goes on.  The first run begins some seconds after probes_begin, so that
 * joining is not slowed, and then one each hour.
 * Source: docs/protocols/provider.md ("What a node reports"). */
#ifndef SC_NODE_PROBES_H
#define SC_NODE_PROBES_H

#include "common/loop.h"

#include <cjson/cJSON.h>

struct probes;
struct probes_options {
    struct sc_loop *loop;
    const char *program; /* "/proc/self/exe"; borrowed. */
    uint64_t first_ms, period_ms, limit_ms;
    /* What the child gets on its standard input (below); returned to probes. */
    cJSON *(*ask)(void *arg);
    /* A report {"at", "probes"} is there; taken. */
    void (*tell)(void *arg, cJSON *report);
    void *arg;
};
int probes_new(const struct probes_options *o, struct probes **ret,
               struct sc_err *err) SC_MUST_CHECK;
void probes_free(struct probes *p); /* Ends a run.  NULL is allowed. */
SC_CLEANUP(struct probes, probes_free)
/* The controller is there: the runs begin.  Again: nothing. */
void probes_begin(struct probes *p);
/* A copy of the newest report; NULL: none yet. */
cJSON *probes_report(const struct probes *p);

/* --- the child ------------------------------------------------------------ */

/* Reads {"hypervisor", "state_dir", "address", "nid", "nonce" (hex),
 * "peers": [{"name", "address", "port"}], "clock"?: {"offset_us",
 * "round_trip_us"}} from standard input, probes, prints the report.  The exit
 * status. */
int probes_main(void);

#endif
