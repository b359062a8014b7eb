/* rtt - the newest round-trip times to one peer: median and loss.  Pure.
 * Units: microseconds; sequence numbers count probes from 1. */
#ifndef SC_NODE_RTT_H
#define SC_NODE_RTT_H

#include <stdint.h>

enum {
    RTT_WINDOW = 32, /* Probes looked at. */
    RTT_LATE = 3,    /* The newest so many may still be answered. */
};
struct rtt {
    uint32_t last;           /* Newest probe sent; 0: none. */
    uint32_t us[RTT_WINDOW]; /* By seq % RTT_WINDOW; 0: no answer. */
};
/* A probe is sent now: returns its sequence number. */
uint32_t rtt_sent(struct rtt *r);
/* An answer; one too old, or a second one, changes nothing. */
void rtt_got(struct rtt *r, uint32_t seq, uint32_t us);
/* Median of the answers, ms; negative: none in the window. */
double rtt_median_ms(const struct rtt *r);
/* Share of probes lost, 0..1; those too young to be late are not counted. */
double rtt_loss(const struct rtt *r);

#endif
