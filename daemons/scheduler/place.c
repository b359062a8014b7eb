#include "scheduler/place.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

uint64_t place_room_mib(const struct place_node *node)
{
    return node->memory_free_mib > node->memory_promised_mib
               ? node->memory_free_mib - node->memory_promised_mib
               : 0;
}

static bool in_region(const struct place_snapshot *s, uint16_t nid,
                      const char *region)
{
    for (size_t i = 0; i < s->n_nodes; i++) {
        if (s->nodes[i].nid == nid)
            return !strcmp(s->nodes[i].region, region);
    }
    return false;
}

double place_distance(const struct place_snapshot *s,
                      const struct place_node *node, const char *region)
{
    double nearest = PLACE_FAR;
    if (!region[0] || !strcmp(node->region, region))
        return 0;
    for (size_t i = 0; i < s->n_latencies; i++) {
        const struct place_latency *l = &s->latencies[i];
        uint16_t other = l->a == node->nid ? l->b : l->a;
        if ((l->a == node->nid || l->b == node->nid) &&
            in_region(s, other, region) && l->rtt_ms < nearest)
            nearest = l->rtt_ms;
    }
    return nearest;
}

static bool asked_for(const struct place_node *n, const struct place_request *q)
{
    return (!q->node[0] || !strcmp(q->node, n->id) ||
            !strcmp(q->node, n->name)) &&
           (!q->in_region[0] || !strcmp(q->in_region, n->region));
}

/* The reasons, one a node: "us-1: 300 MiB free; jp-1: down". */
struct reasons {
    char text[SC_ERR_TEXT];
    size_t len;
};

static void SC_PRINTF(3, 4)
    add_reason(struct reasons *r, const char *node, const char *fmt, ...)
{
    size_t left = sizeof r->text - r->len;
    int n =
        snprintf(r->text + r->len, left, "%s%s: ", r->len ? "; " : "", node);
    if (n < 0 || (size_t)n >= left)
        return;
    r->len += (size_t)n;
    left -= (size_t)n;
    va_list ap;
    va_start(ap, fmt);
    n = vsnprintf(r->text + r->len, left, fmt, ap);
    va_end(ap);
    if (n > 0)
        r->len += (size_t)n < left ? (size_t)n : left - 1;
}

static bool better(const struct place_snapshot *s, const char *region,
                   const struct place_node *a, const struct place_node *b)
{
    double da = place_distance(s, a, region), db = place_distance(s, b, region);
    if (da < db || db < da)
        return da < db;
    uint64_t ra = place_room_mib(a), rb = place_room_mib(b);
    return ra != rb ? ra > rb : a->nid < b->nid;
}

int place(const struct place_snapshot *s, const struct place_request *q,
          const struct place_node **ret, struct sc_err *err)
{
    const struct place_node *best = NULL;
    struct reasons reasons = { 0 };
    unsigned n_asked = 0, n_usable = 0, n_here = 0;
    for (size_t i = 0; i < s->n_nodes; i++) {
        const struct place_node *n = &s->nodes[i];
        if (!asked_for(n, q))
            continue;
        n_asked++;
        if (q->not_nid && n->nid == q->not_nid) {
            n_here++;
            add_reason(&reasons, n->name, "the VM is on it");
        } else if (n->unusable) {
            add_reason(&reasons, n->name, "%s", n->unusable);
        } else if (place_room_mib(n) < q->memory_mib) {
            n_usable++;
            add_reason(&reasons, n->name,
                       "%" PRIu64 " MiB free (%" PRIu64
                       " MiB of them promised), %" PRIu64 " MiB needed",
                       n->memory_free_mib, n->memory_promised_mib,
                       q->memory_mib);
        } else if (n_usable++, !best || better(s, q->region, n, best)) {
            best = n;
        }
    }
    if (best) {
        *ret = best;
        return 0;
    }
    if (!n_asked && q->node[0])
        return sc_fail(err, -ENOENT, "node '%s': not found", q->node);
    if (!n_asked && q->in_region[0])
        return sc_fail(err, -ENOENT, "region '%s': no node is in it",
                       q->in_region);
    if (!n_asked)
        return sc_fail(err, -EHOSTUNREACH, "there is no node yet");
    if (n_here == n_asked && q->node[0])
        return sc_fail(err, -EALREADY, "is on node '%s' already", q->node);
    if (n_here == n_asked && q->in_region[0])
        return sc_fail(err, -EALREADY,
                       "is in region '%s' already, on its only node",
                       q->in_region);
    if (n_here == n_asked)
        return sc_fail(err, -EALREADY, "no other node to go to: %s",
                       reasons.text);
    if (!n_usable)
        return sc_fail(err, -EHOSTUNREACH, "no node can take the VM: %s",
                       reasons.text);
    return sc_fail(err, -ENOSPC, "no room for %" PRIu64 " MiB: %s",
                   q->memory_mib, reasons.text);
}
