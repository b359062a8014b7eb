/* notice - what a provider's metadata service announces to an instance, and
 * when to ask it: the decisions alone.
 *
 * Used by notices.c, which does the I/O.  Pure: 'now' comes in, requests go
 * out as values.  Not thread-safe.
 *
 * A service has up to three sources, each asked on its own: every second
 * (EC2, Azure), or by one request that is answered when the value changes
 * (GCE).  What a source said last counts until it says otherwise; one that
 * does not answer is asked less often, up to every NOTICE_BACKOFF_MAX_MS.
 * EC2 wants a token first, Azure's list is of several machines, so the own
 * name is asked first.  The worst of the sources is the node's notice.
 * Units: 'now' is CLOCK_MONOTONIC ms, 'wall' and 'at' are ms since 1970.
 * Source: docs/protocols/provider.md; docs/decisions/020-notices.md. */
#ifndef SC_NODE_NOTICE_H
#define SC_NODE_NOTICE_H

#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    NOTICE_SOURCES = 3,
    NOTICE_POLL_MS = 1000,
    NOTICE_TIMEOUT_MS = 5000,
    NOTICE_WAIT_S = 60, /* Of one waiting request (GCE). */
    NOTICE_BACKOFF_MAX_MS = 30000,
};

#define NOTICE_KINDS(K)                                                        \
    K(NONE, "none")                                                            \
    K(REBALANCE, "rebalance")                                                  \
    K(MAINTENANCE, "maintenance")                                              \
    K(REVOCATION, "revocation") /* From the mildest to the worst. */
enum notice_kind {
#define K(id, text) NOTICE_##id,
    NOTICE_KINDS(K) NOTICE_N_KINDS
#undef K
};
const char *notice_kind_name(enum notice_kind k);

struct notice {
    enum notice_kind kind;
    const char *action; /* A literal: "terminate", "stop", ...; "". */
    const char *source; /* A literal: "ec2-spot-action"; "". */
    uint64_t at;        /* When it happens; 0: not known, or now. */
    char text[160];     /* For people. */
};
bool notice_equal(const struct notice *a, const struct notice *b);
/* As in the protocol; NULL: out of memory. */
cJSON *notice_to_json(const struct notice *n);

/* --- one answer -> one notice ---------------------------------------------
 * 'status' and 'body' of the answer.  0 with 'ret' (kind NONE: nothing is
 * announced), or -EPROTO: not understood, what was known stays. */
int notice_ec2_spot(int status, const char *body, struct notice *ret);
int notice_ec2_rebalance(int status, const char *body, struct notice *ret);
int notice_ec2_events(int status, const char *body, struct notice *ret);
int notice_gce_preempted(int status, const char *body, struct notice *ret);
int notice_gce_maintenance(int status, const char *body, struct notice *ret);
/* 'name': events of other machines in the list do not count; "": all do. */
int notice_azure(int status, const char *body, const char *name,
                 struct notice *ret);
/* "2017-09-18T08:22:00Z", "Mon, 19 Sep 2016 18:29:47 GMT", "21 Jan 2019
 * 09:00:43 GMT"; 0: none of them. */
uint64_t notice_time(const char *text);

/* --- when to ask what ------------------------------------------------------
 */
enum notice_service {
    NOTICE_SERVICE_NONE,
    NOTICE_SERVICE_EC2,
    NOTICE_SERVICE_GCE,
    NOTICE_SERVICE_AZURE,
};
/* "openstack" announces nothing: NONE, as "none". */
enum notice_service notice_service_of(const char *metadata);

/* Which request an answer belongs to: a source's number, or the first step. */
enum { NOTICE_FIRST_STEP = NOTICE_SOURCES };
struct notice_ask {
    unsigned which;
    const char *method;
    char path[256], headers[256];
    uint64_t timeout_ms;
};
struct notice_source {
    bool busy, known;
    unsigned failures;
    uint64_t due_at;
    char etag[65];
    struct notice last;
};
struct notice_watch {
    enum notice_service service;
    struct notice_source sources[NOTICE_SOURCES];
    struct notice_source first; /* EC2's token, Azure's name. */
    char word[128];             /* What it gave. */
    uint64_t word_until;        /* The token's end. */
};
void notice_watch_init(struct notice_watch *w, enum notice_service s,
                       uint64_t now);
/* The next request that is due, now marked busy; false: none. */
bool notice_watch_next(struct notice_watch *w, uint64_t now,
                       struct notice_ask *ret);
/* When to call notice_watch_next again; UINT64_MAX: after an answer. */
uint64_t notice_watch_due(const struct notice_watch *w);
/* 'status' 0: there was no answer.  'etag' NULL: none. */
void notice_watch_answer(struct notice_watch *w, unsigned which, int status,
                         const char *body, const char *etag, uint64_t now,
                         uint64_t wall);
/* The worst that is announced; ties: the earliest. */
const struct notice *notice_watch_worst(const struct notice_watch *w);
/* Every source has answered at least once. */
bool notice_watch_knows(const struct notice_watch *w);

#endif
