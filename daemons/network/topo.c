/* How: every switch's links stand together, found by its nid directly; a
 * path is Dijkstra's over the links that are up, with its marks in the nodes.
 * Latencies are a sorted array of pairs. */
#include "network/topo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a detour, or a change, may cost of what there is. */
#define KEEP (1 - TOPO_GAIN_PERCENT / 100.0)

struct pair_rtt {
    uint32_t key; /* smaller nid << 16 | larger */
    float rtt_ms;
};

struct node {
    uint16_t nid;
    struct topo_link *links; /* Owned. */
    size_t n_links, links_allocated;
    /* Of the path that is being looked for, if 'search' is the topo's. */
    uint64_t search;
    double cost;
    uint16_t before;
    uint8_t hops;
    bool done;
};

struct topo {
    struct node *by_nid[UINT16_MAX + 1]; /* Owned; NULL: no links ever. */
    struct node **nodes;                 /* The same, without the gaps. */
    size_t n_nodes, nodes_allocated, n_links;
    struct pair_rtt *rtts; /* Sorted by key. */
    size_t n_rtts, rtts_allocated;
    uint64_t search;
};

struct topo *topo_new(void)
{
    return calloc(1, sizeof(struct topo));
}

void topo_free(struct topo *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_nodes; i++) {
        free(t->nodes[i]->links);
        free(t->nodes[i]);
    }
    free(t->nodes);
    free(t->rtts);
    free(t);
}

static int reserve(void **items, size_t *allocated, size_t n, size_t size)
{
    if (n < *allocated)
        return 0;
    size_t want = *allocated ? *allocated * 2 : 16;
    void *bigger = reallocarray(*items, want, size);
    if (!bigger)
        return -ENOMEM;
    *items = bigger;
    *allocated = want;
    return 0;
}

/* The node, made if it is not there; NULL: out of memory. */
static struct node *node_of(struct topo *t, uint16_t nid)
{
    if (t->by_nid[nid])
        return t->by_nid[nid];
    struct node *n = calloc(1, sizeof *n);
    if (!n || reserve((void **)&t->nodes, &t->nodes_allocated, t->n_nodes,
                      sizeof(struct node *)) < 0) {
        free(n);
        return NULL;
    }
    n->nid = nid;
    t->nodes[t->n_nodes++] = n;
    return t->by_nid[nid] = n;
}

struct topo_link *topo_link_get(struct topo *t, uint16_t from, uint32_t port)
{
    struct node *n = t->by_nid[from];
    for (size_t i = 0; n && i < n->n_links; i++) {
        if (n->links[i].port == port)
            return &n->links[i];
    }
    return NULL;
}

int topo_port_up(struct topo *t, uint16_t from, uint16_t to, uint32_t port,
                 uint64_t now)
{
    struct topo_link *l = topo_link_get(t, from, port);
    struct node *n = node_of(t, from);
    if (l && l->to == to)
        return 0;
    if (!n || !node_of(t, to))
        return -ENOMEM;
    if (!l) {
        int r = reserve((void **)&n->links, &n->links_allocated, n->n_links,
                        sizeof *n->links);
        if (r < 0)
            return r;
        l = &n->links[n->n_links++];
        t->n_links++;
    }
    *l = (struct topo_link){
        .from = from, .to = to, .port = port, .up = true, .seen_at = now
    };
    return 0;
}

void topo_port_down(struct topo *t, uint16_t from, uint32_t port)
{
    struct topo_link *l = topo_link_get(t, from, port);
    if (l) {
        struct node *n = t->by_nid[from];
        *l = n->links[--n->n_links];
        t->n_links--;
    }
}

void topo_switch_down(struct topo *t, uint16_t nid)
{
    struct node *n = t->by_nid[nid];
    if (n) {
        t->n_links -= n->n_links;
        n->n_links = 0;
    }
}

bool topo_link_seen(struct topo *t, uint16_t from, uint32_t port, uint16_t to,
                    uint64_t now)
{
    struct topo_link *l = topo_link_get(t, from, port);
    if (!l || !node_of(t, to))
        return false;
    bool changed = !l->up || l->to != to;
    l->up = l->seen = true;
    l->to = to;
    l->seen_at = now;
    return changed;
}

uint64_t topo_probe_ms(const struct topo *t)
{
    uint64_t paced = t->n_links * 1000 / TOPO_PROBES_PER_S;
    return paced > TOPO_PROBE_MS ? paced : TOPO_PROBE_MS;
}

bool topo_age(struct topo *t, uint64_t now)
{
    uint64_t age = topo_probe_ms(t) * TOPO_LINK_AGE_MS / TOPO_PROBE_MS;
    bool changed = false;
    for (size_t i = 0; i < t->n_nodes; i++) {
        for (size_t k = 0; k < t->nodes[i]->n_links; k++) {
            struct topo_link *l = &t->nodes[i]->links[k];
            if (l->up && now > l->seen_at + age) {
                l->up = false;
                changed = true;
            }
        }
    }
    return changed;
}

uint32_t topo_port_to(const struct topo *t, uint16_t from, uint16_t to)
{
    const struct node *n = t->by_nid[from];
    for (size_t i = 0; n && i < n->n_links; i++) {
        if (n->links[i].to == to && n->links[i].up)
            return n->links[i].port;
    }
    return 0;
}

static uint32_t rtt_key(uint16_t a, uint16_t b)
{
    return a < b ? (uint32_t)a << 16 | b : (uint32_t)b << 16 | a;
}

/* Index of the first entry whose key is not below 'key'. */
static size_t rtt_find(const struct topo *t, uint32_t key)
{
    size_t low = 0, high = t->n_rtts;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (t->rtts[mid].key < key)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int topo_latency_set(struct topo *t, uint16_t a, uint16_t b, double rtt_ms)
{
    uint32_t key = rtt_key(a, b);
    size_t i = rtt_find(t, key);
    bool there = i < t->n_rtts && t->rtts[i].key == key;
    if (rtt_ms < 0) {
        if (there)
            memmove(&t->rtts[i], &t->rtts[i + 1],
                    (--t->n_rtts - i) * sizeof *t->rtts);
        return 0;
    }
    if (!there) {
        int r = reserve((void **)&t->rtts, &t->rtts_allocated, t->n_rtts,
                        sizeof *t->rtts);
        if (r < 0)
            return r;
        memmove(&t->rtts[i + 1], &t->rtts[i],
                (t->n_rtts++ - i) * sizeof *t->rtts);
    }
    t->rtts[i] = (struct pair_rtt){ key, (float)rtt_ms };
    return 0;
}

double topo_latency(const struct topo *t, uint16_t a, uint16_t b)
{
    uint32_t key = rtt_key(a, b);
    size_t i = rtt_find(t, key);
    if (a == b)
        return 0;
    return i < t->n_rtts && t->rtts[i].key == key ? (double)t->rtts[i].rtt_ms
                                                  : TOPO_UNKNOWN_MS;
}

/* Cost of a path in ms of RTT; < 0: a link of it is down. */
static double path_cost(const struct topo *t, const struct topo_path *p)
{
    double cost = 0;
    for (int i = 0; i + 1 < p->len; i++) {
        if (!topo_port_to(t, p->nids[i], p->nids[i + 1]))
            return -1;
        cost += topo_latency(t, p->nids[i], p->nids[i + 1]);
    }
    return p->len ? cost : -1;
}

/* The node's marks, fresh for this search; cost < 0: not reached. */
static struct node *mark(const struct topo *t, uint16_t nid)
{
    struct node *n = t->by_nid[nid];
    if (n && n->search != t->search) {
        n->search = t->search;
        n->cost = -1;
        n->done = false;
    }
    return n;
}

static struct topo_path dijkstra(struct topo *t, uint16_t from, uint16_t to)
{
    struct topo_path path = { .len = 0 };
    t->search++;
    struct node *v = mark(t, from);
    if (!v || !mark(t, to))
        return path;
    v->cost = 0;
    v->hops = 0;
    while (v && v->nid != to) {
        v->done = true;
        for (size_t i = 0; i < v->n_links; i++) {
            const struct topo_link *l = &v->links[i];
            if (!l->up || v->hops + 2 > TOPO_PATH_MAX)
                continue;
            struct node *next = mark(t, l->to);
            double cost = v->cost + topo_latency(t, l->from, l->to);
            if (next && (next->cost < 0 || cost < next->cost)) {
                next->cost = cost;
                next->before = v->nid;
                next->hops = (uint8_t)(v->hops + 1);
            }
        }
        v = NULL;
        for (size_t i = 0; i < t->n_nodes; i++) {
            struct node *n = t->nodes[i];
            if (n->search == t->search && !n->done && n->cost >= 0 &&
                (!v || n->cost < v->cost))
                v = n;
        }
    }
    if (!v)
        return path;
    path.len = (uint8_t)(v->hops + 1);
    for (int i = path.len - 1; i >= 0; i--, v = t->by_nid[v->before])
        path.nids[i] = v->nid;
    return path;
}

struct topo_path topo_best(struct topo *t, uint16_t from, uint16_t to)
{
    struct topo_path best, direct = { { from, to }, 2 };
    if (from == to)
        return (struct topo_path){ { from }, 1 };
    best = dijkstra(t, from, to);
    double cost = path_cost(t, &best), direct_cost = path_cost(t, &direct);
    return direct_cost >= 0 && cost >= direct_cost * KEEP ? direct : best;
}

struct topo_path topo_prefer(const struct topo *t, struct topo_path best,
                             const struct topo_path *now_used)
{
    if (best.len < 2 || now_used->len < 2 ||
        now_used->nids[0] != best.nids[0] ||
        now_used->nids[now_used->len - 1] != best.nids[best.len - 1])
        return best;
    double used = path_cost(t, now_used);
    return used >= 0 && path_cost(t, &best) >= used * KEEP ? *now_used : best;
}

struct topo_path topo_path(struct topo *t, uint16_t from, uint16_t to,
                           const struct topo_path *now_used)
{
    struct topo_path best = topo_best(t, from, to);
    return now_used ? topo_prefer(t, best, now_used) : best;
}

void topo_each(struct topo *t, void (*fn)(void *arg, struct topo_link *link),
               void *arg)
{
    for (size_t i = 0; i < t->n_nodes; i++) {
        for (size_t k = 0; k < t->nodes[i]->n_links; k++)
            fn(arg, &t->nodes[i]->links[k]);
    }
}
