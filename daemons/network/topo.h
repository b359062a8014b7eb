/* topo - how the switches are connected, how far apart they are, and the
 * shortest path between two.
 *
 * Used by network.c.  Pure; 'now' is in milliseconds, as everywhere.
 * A link is directed: out of a port of switch 'from' one reaches 'to'.  It is
 * up as long as spoof packets cross it (TOPO_LINK_AGE_MS), or, before the
 * first one can have come back, on the word of the port's name for the same
 * time: so that a restart does not find a network without links.
 * Latency: a matrix of round-trip times in milliseconds, measured by the
 * nodes; TOPO_UNKNOWN_MS for a pair not measured.
 * Source: paper section 3.3.1. */
#ifndef SC_NETWORK_TOPO_H
#define SC_NETWORK_TOPO_H

#include "common/clean.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TOPO_PROBE_MS = 2000,    /* A round of spoof packets. */
    TOPO_LINK_AGE_MS = 7000, /* Three rounds and a slow way. */
    TOPO_PROBES_PER_S = 500, /* More links: longer rounds, longer ages. */
    TOPO_UNKNOWN_MS = 1000,  /* RTT of a pair not measured. */
    TOPO_PATH_MAX = 8,       /* Switches on a path. */
    TOPO_GAIN_PERCENT = 10,  /* A detour, or a change, must win this much. */
};

struct topo;
struct topo *topo_new(void); /* NULL: out of memory. */
void topo_free(struct topo *t);
SC_CLEANUP(struct topo, topo_free)

/* A tunnel port appeared on 'from', by its name to 'to'.  0 or -ENOMEM. */
int topo_port_up(struct topo *t, uint16_t from, uint16_t to, uint32_t port,
                 uint64_t now) SC_MUST_CHECK;
void topo_port_down(struct topo *t, uint16_t from, uint32_t port);
void topo_switch_down(struct topo *t, uint16_t nid); /* All ports of it. */
/* A spoof packet out of 'port' of 'from' came to 'to'.  True if that changed
 * what is up.  A port whose name says otherwise is believed by the packet. */
bool topo_link_seen(struct topo *t, uint16_t from, uint32_t port, uint16_t to,
                    uint64_t now);
/* How long a round of spoof packets is to last now, and so links live. */
uint64_t topo_probe_ms(const struct topo *t);
/* Ages links; true if one went down. */
bool topo_age(struct topo *t, uint64_t now);
/* The port of 'from' that leads straight to 'to' and is up; 0: none. */
uint32_t topo_port_to(const struct topo *t, uint16_t from, uint16_t to);

/* 0 or -ENOMEM.  'rtt_ms' < 0: no longer known. */
int topo_latency_set(struct topo *t, uint16_t a, uint16_t b,
                     double rtt_ms) SC_MUST_CHECK;
double topo_latency(const struct topo *t, uint16_t a, uint16_t b);

struct topo_path {
    uint16_t nids[TOPO_PATH_MAX]; /* From the first to the last switch. */
    uint8_t len;                  /* 0: no path. */
};
/* The shortest path by measured latency.  The direct link is left only for one
 * more than TOPO_GAIN_PERCENT shorter; and 'now_used' (NULL: none), as long as
 * it is up, likewise, so that jitter moves no flow. */
struct topo_path topo_path(struct topo *t, uint16_t from, uint16_t to,
                           const struct topo_path *now_used);
/* The two halves of it, for one who asks for many paths: the best one, which
 * may be kept for all flows between two switches; and the choice between that
 * and the one in use (which may have any ends, or none). */
struct topo_path topo_best(struct topo *t, uint16_t from, uint16_t to);
struct topo_path topo_prefer(const struct topo *t, struct topo_path best,
                             const struct topo_path *now_used);

/* Calls 'fn' for every port that has a link, for spoof packets and dumps. */
struct topo_link {
    uint16_t from, to;
    uint32_t port;
    bool up, seen; /* 'seen': by a spoof packet, not only by name. */
    uint64_t seen_at;
    uint64_t nonce, nonce_before; /* Of the last two spoof packets; 0: none. */
};
void topo_each(struct topo *t, void (*fn)(void *arg, struct topo_link *link),
               void *arg);
struct topo_link *topo_link_get(struct topo *t, uint16_t from, uint32_t port);

#endif
