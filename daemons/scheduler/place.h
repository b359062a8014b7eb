/* place - on which node a VM begins to run.
 *
 * Used by sc-controller, which makes the snapshot.  Pure: the answer depends
 * on the arguments alone, and the same arguments give the same answer.
 * A node fits if it is usable and has room; of those that fit, the nearest to
 * the region asked for by measured round-trip time wins, then the one with
 * most room left, then the smallest nid.
 * Units: MiB, milliseconds. */
#ifndef SC_SCHEDULER_PLACE_H
#define SC_SCHEDULER_PLACE_H

#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

struct place_node {
    uint16_t nid;
    const char *id, *name, *region;
    const char *unusable;     /* Why nothing may start here; NULL: it may. */
    uint64_t memory_free_mib; /* As the node reported last. */
    uint64_t memory_promised_mib; /* Given to VMs that do not hold it yet. */
};
struct place_latency {
    uint16_t a, b; /* nids, in either order. */
    double rtt_ms;
};
struct place_snapshot {
    const struct place_node *nodes;
    size_t n_nodes;
    const struct place_latency *latencies;
    size_t n_latencies;
};
struct place_request {
    uint64_t memory_mib;
    const char *region;    /* "": anywhere. */
    const char *node;      /* Id or name it must be; "": any. */
    uint16_t not_nid;      /* Where it must not be (it runs there); 0: none. */
    const char *in_region; /* Region it must be in; "": any. */
};

uint64_t place_room_mib(const struct place_node *node);
/* Round-trip time from 'nid' to the nearest node of 'region': 0 for a node of
 * that region, PLACE_FAR if nobody measured it. */
#define PLACE_FAR 1e9
double place_distance(const struct place_snapshot *s,
                      const struct place_node *node, const char *region);

/* 0 and '*ret' (points into 's').  -ENOENT: no node has that id or name, or
 * that region.  -EALREADY: the node asked for is 'not_nid'.  -EHOSTUNREACH:
 * no candidate is usable.  -ENOSPC: some are, none has the room.  'err' says
 * for each node why it does not fit. */
int place(const struct place_snapshot *s, const struct place_request *request,
          const struct place_node **ret, struct sc_err *err) SC_MUST_CHECK;

#endif
