/* holder - where to fetch a block from, and which block to propagate first.
 *
 * Decisions only: pure functions of their arguments.  Nothing here propagates;
 * the queue that uses propagation_priority comes with proactive propagation.
 * Source: paper sections 3.2.1 and 3.2.3. */
#ifndef SC_STORAGE_HOLDER_H
#define SC_STORAGE_HOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One node that has, or may have, a block. */
struct holder_option {
    uint16_t nid;
    bool up;           /* Can be reached, as far as is known. */
    double latency_ms; /* Round trip; < 0: never measured. */
    double price;      /* Of a GiB from there to here, in any one currency. */
};
/* What a choice weighs: a GiB's price against the time a guest waits. */
struct holder_weights {
    double ms_per_price; /* How many ms one unit of price is worth. */
};
/* Index of the cheapest: those that are up before those that are not, then
 * latency + price * ms_per_price, then the smaller nid.  An unmeasured latency
 * counts as HOLDER_UNKNOWN_MS.  SIZE_MAX: 'n' is 0. */
#define HOLDER_UNKNOWN_MS 500.0
size_t cheapest_holder(const struct holder_option *options, size_t n,
                       const struct holder_weights *w);

/* The paper's priority of propagating a block: K * fr/fw + fr if it was
 * written and fr/fw >= S, else -1: not to be propagated. */
struct propagation_knobs {
    double k, s; /* 1000 and 1 in the paper's prototype. */
};
double propagation_priority(const struct propagation_knobs *knobs, uint32_t fr,
                            uint32_t fw);

#endif
