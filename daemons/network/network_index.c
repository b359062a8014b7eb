/* How: open-addressed tables of indexes into n->vports, one a key, made anew at
 * the first lookup after a change: changes are rare beside lookups, and a
 * rebuild is a few microseconds a port. */
#include "network/network_state.h"

enum index_key { BY_ID, BY_IFNAME, BY_MAC, BY_IP, N_KEYS };

struct net_index {
    uint32_t *slots[N_KEYS]; /* Index + 1; 0: free. */
    uint32_t mask;
    uint32_t *networks; /* Of each vport: index + 1 into n->networks. */
};

/* FNV-1a. */
static uint32_t hash(uint32_t h, const void *data, size_t size)
{
    const uint8_t *p = data;
    for (; size; p++, size--)
        h = (h ^ *p) * 16777619u;
    return h;
}

static uint32_t hash_str(const char *s)
{
    return hash(2166136261u, s, strlen(s));
}

static uint32_t hash_mac(struct mac mac)
{
    return hash(2166136261u, mac.b, sizeof mac.b);
}

static uint32_t hash_ip(const char *network_id, uint32_t ip)
{
    return hash(hash_str(network_id), &ip, sizeof ip);
}

void net_index_drop(struct network *n)
{
    if (!n->index)
        return;
    for (int k = 0; k < N_KEYS; k++)
        free(n->index->slots[k]);
    free(n->index->networks);
    free(SC_TAKE(n->index));
}

static void put(struct net_index *x, enum index_key k, uint32_t h, uint32_t i)
{
    for (h &= x->mask; x->slots[k][h]; h = (h + 1) & x->mask)
        ;
    x->slots[k][h] = i + 1;
}

static uint32_t network_index(const struct network *n, const char *id)
{
    for (uint32_t i = 0; i < n->n_networks; i++) {
        if (strcmp(n->networks[i].id, id) == 0)
            return i + 1;
    }
    return 0;
}

static void put_vport(const struct network *n, struct net_index *x, uint32_t i)
{
    const struct net_port *p = &n->vports[i].cfg;
    put(x, BY_ID, hash_str(p->id), i);
    put(x, BY_IFNAME, hash_str(p->ifname), i);
    put(x, BY_MAC, hash_mac(p->mac), i);
    put(x, BY_IP, hash_ip(p->network_id, p->ip), i);
    /* Ports of one network mostly follow each other. */
    uint32_t before = i ? x->networks[i - 1] : 0;
    x->networks[i] =
        before && strcmp(n->networks[before - 1].id, p->network_id) == 0
            ? before
            : network_index(n, p->network_id);
}

static struct net_index *make(const struct network *n)
{
    struct net_index *x = calloc(1, sizeof *x);
    if (!x)
        abort();
    for (x->mask = 15; x->mask < n->n_vports * 4;)
        x->mask = x->mask * 2 + 1;
    x->networks = calloc(x->mask + 1, sizeof *x->networks);
    for (int k = 0; k < N_KEYS; k++) {
        x->slots[k] = calloc(x->mask + 1, sizeof *x->slots[k]);
        if (!x->slots[k])
            abort();
    }
    if (!x->networks)
        abort();
    for (uint32_t i = 0; i < n->n_vports; i++)
        put_vport(n, x, i);
    return x;
}

void net_index_added(struct network *n)
{
    if (n->index && n->n_vports * 2 < n->index->mask)
        put_vport(n, n->index, (uint32_t)n->n_vports - 1);
    else
        net_index_drop(n);
}

static const struct net_index *index_of(const struct network *n)
{
    if (!n->index) /* A cache: nothing that a caller could see changes. */
        ((struct network *)n)->index = make(n);
    return n->index;
}

/* The next vport of that hash, from '*at' on; NULL: no more.  Begin with
 * '*at' = the hash. */
static struct vport *next(const struct network *n, enum index_key k,
                          uint32_t *at)
{
    const struct net_index *x = index_of(n);
    uint32_t i = x->slots[k][*at & x->mask];
    *at = (*at + 1) & x->mask;
    return i ? &n->vports[i - 1] : NULL;
}

const struct net_network *net_network_of(const struct network *n,
                                         const struct vport *v)
{
    uint32_t i = index_of(n)->networks[v - n->vports];
    return i ? &n->networks[i - 1] : NULL;
}

struct vport *net_vport_by_id(const struct network *n, const char *id)
{
    uint32_t at = hash_str(id);
    struct vport *v;
    while ((v = next(n, BY_ID, &at)) && strcmp(v->cfg.id, id) != 0)
        ;
    return v;
}

struct vport *net_vport_by_ifname(const struct network *n, const char *name)
{
    uint32_t at = hash_str(name);
    struct vport *v;
    while ((v = next(n, BY_IFNAME, &at)) && strcmp(v->cfg.ifname, name) != 0)
        ;
    return v;
}

struct vport *net_vport_by_mac(const struct network *n, uint32_t vni,
                               struct mac mac)
{
    uint32_t at = hash_mac(mac);
    struct vport *v;
    while ((v = next(n, BY_MAC, &at))) {
        const struct net_network *net = net_network_of(n, v);
        if (mac_eq(v->cfg.mac, mac) && net && net->vni == vni)
            return v;
    }
    return NULL;
}

struct vport *net_vport_by_ip(const struct network *n, const char *network_id,
                              uint32_t ip)
{
    uint32_t at = hash_ip(network_id, ip);
    struct vport *v;
    while ((v = next(n, BY_IP, &at)) &&
           (v->cfg.ip != ip || strcmp(v->cfg.network_id, network_id) != 0))
        ;
    return v;
}
