/* The store as the rest of the controller sees it: objects go in one by one,
 * commit makes them durable together and only then announces them. */
#include "controller/authority.h"
#include "controller/ctl.h"
#include "controller/jobs.h"
#include "controller/providers.h"

#include <inttypes.h>
#include <stdio.h>

const char *const ctl_tables[] = {
    "meta",      "nodes",     "networks",       "images",
    "vms",       "jobs",      AUTHORITY_TABLES, "errand",
    "tokens",    "users",     "sessions",       "node_facts",
    "providers", "published", "launched",       NULL,
};

enum { ANNOUNCE_MAX = 64 };
struct ctl_txn {
    struct ctl *ctl;
    struct store_txn *t; /* Owned. */
    int failed;          /* 0, or the first -errno. */
    bool refused;        /* Failed by the caller, not by the store. */
    struct sc_err err;
    size_t n_announce;
    struct {
        const char *kind;
        char id[OBJ_ID];
    } announce[ANNOUNCE_MAX];
};

struct ctl_txn *ctl_txn_begin(struct ctl *ctl)
{
    struct ctl_txn *x = calloc(1, sizeof *x);
    if (!x)
        abort(); /* Without memory for this there is no orderly way on. */
    x->ctl = ctl;
    x->failed = ctl->broken ? sc_fail(&x->err, -EIO, "the store is broken")
                            : store_begin(ctl->store, true, &x->t, &x->err);
    return x;
}

struct store_txn *ctl_txn_store(struct ctl_txn *x)
{
    return x->failed ? NULL : x->t;
}

int ctl_txn_fail(struct ctl_txn *x, int r, const struct sc_err *err)
{
    if (!x->failed && r < 0) {
        x->failed = r;
        x->refused = true;
        if (err)
            x->err = *err;
    }
    return r;
}

void ctl_announce(struct ctl_txn *x, const char *kind, const char *id)
{
    for (size_t i = 0; i < x->n_announce; i++) {
        if (!strcmp(x->announce[i].kind, kind) &&
            !strcmp(x->announce[i].id, id))
            return;
    }
    if (x->n_announce == ANNOUNCE_MAX)
        return; /* Listeners reload now and then; nothing is lost but haste. */
    x->announce[x->n_announce].kind = kind;
    OBJ_SET(x->announce[x->n_announce].id, id);
    x->n_announce++;
}

void ctl_put_json(struct ctl_txn *x, const char *table, const char *key,
                  cJSON *value)
{
    SC_AUTO(free) char *text = value ? cJSON_PrintUnformatted(value) : NULL;
    cJSON_Delete(value);
    if (x->failed)
        return;
    x->failed =
        text ? store_put(x->t, table, store_str(key), store_str(text), &x->err)
             : sc_fail(&x->err, -ENOMEM, "out of memory");
}

void ctl_put_node(struct ctl_txn *x, const struct node *n)
{
    ctl_put_json(x, "nodes", n->id, node_to_json(n));
    ctl_announce(x, "node", n->id);
}

void ctl_put_network(struct ctl_txn *x, const struct network *n)
{
    ctl_put_json(x, "networks", n->id, network_to_json(n));
    ctl_announce(x, "network", n->id);
}

void ctl_put_image(struct ctl_txn *x, const struct image *i)
{
    ctl_put_json(x, "images", i->id, image_to_json(i));
    ctl_announce(x, "image", i->id);
}

void ctl_put_vm(struct ctl_txn *x, const struct vm *v)
{
    ctl_put_json(x, "vms", v->id, vm_to_json(v));
    ctl_announce(x, "vm", v->id);
}

void ctl_put_job(struct ctl_txn *x, const struct job *j)
{
    ctl_put_json(x, "jobs", j->id, job_to_json(j, true));
    ctl_announce(x, "job", j->id);
}

void ctl_put_number(struct ctl_txn *x, const char *key, uint64_t value)
{
    ctl_put_json(x, "meta", key, cJSON_CreateNumber((double)value));
}

void ctl_del(struct ctl_txn *x, const char *table, const char *key,
             const char *kind)
{
    if (!x->failed)
        x->failed = store_del(x->t, table, store_str(key), &x->err);
    if (kind)
        ctl_announce(x, kind, key);
}

static cJSON *announced_json(struct ctl *ctl, const char *kind, const char *id)
{
    void *p;
    if (!strcmp(kind, "vm"))
        return (p = ctl_vm_find(ctl, id)) ? ctl_vm_json(ctl, p) : NULL;
    if (!strcmp(kind, "node"))
        return (p = ctl_node_find(ctl, id)) ? ctl_node_json(ctl, p) : NULL;
    if (!strcmp(kind, "image"))
        return (p = ctl_image_find(ctl, id)) ? ctl_image_json(ctl, p) : NULL;
    if (!strcmp(kind, "network"))
        return (p = ctl_network_find(ctl, id)) ? ctl_network_json(ctl, p)
                                               : NULL;
    if (!strcmp(kind, "provider"))
        return (p = ctl_account_find(ctl, id)) ? ctl_account_json(p) : NULL;
    if (!strcmp(kind, "provider-image")) {
        for (size_t i = 0; i < ctl->published.n; i++) {
            if (!strcmp(ctl->published.items[i]->id, id))
                return ctl_published_json(ctl->published.items[i]);
        }
        return NULL;
    }
    return (p = ctl_job_find(ctl, id)) ? job_to_json(p, false) : NULL;
}

static void tell_changed(struct ctl *ctl, const char *kind, const char *id)
{
    SC_AUTO(cjson_free) cJSON *j = announced_json(ctl, kind, id);
    ctl->env.changed(ctl->env.ctx, kind, id, j);
}

void ctl_announce_node(struct ctl *ctl, const struct ctl_node *n)
{
    tell_changed(ctl, "node", n->n.id);
}

void ctl_announce_job(struct ctl *ctl, const struct job *j)
{
    tell_changed(ctl, "job", j->id);
}

void ctl_break(struct ctl *ctl, const struct sc_err *err)
{
    if (ctl->broken)
        return;
    ctl->broken = true;
    ctl->env.broken(ctl->env.ctx, err);
}

int ctl_txn_commit(struct ctl_txn *x, struct sc_err *err)
{
    struct ctl *ctl = x->ctl;
    int r = x->failed;
    if (r == 0)
        r = store_commit(SC_TAKE(x->t), &x->err);
    else
        store_abort(SC_TAKE(x->t));
    if (r < 0) {
        sc_fail(err, r, "%s", x->err.text);
        if (!x->refused)
            ctl_break(ctl, &x->err);
    }
    for (size_t i = 0; r == 0 && i < x->n_announce; i++)
        tell_changed(ctl, x->announce[i].kind, x->announce[i].id);
    free(x);
    return r;
}

cJSON *ctl_read_json(struct ctl *ctl, const char *table, const char *key)
{
    SC_AUTO(store_abort) struct store_txn *t = NULL;
    struct store_slice value;
    if (ctl->broken || store_begin(ctl->store, false, &t, NULL) < 0 ||
        store_get(t, table, store_str(key), &value) < 0)
        return NULL;
    return cJSON_ParseWithLength(value.data, value.size);
}

/* --- loading -------------------------------------------------------------- */

struct load {
    struct ctl *ctl;
    struct sc_err *err;
    int (*one)(struct ctl *ctl, const char *key, const cJSON *j,
               struct sc_err *err);
};

static int load_each(void *arg, struct store_slice key,
                     struct store_slice value)
{
    struct load *l = arg;
    char name[512] = "";
    memcpy(name, key.data, key.size < sizeof name ? key.size : sizeof name - 1);
    SC_AUTO(cjson_free)
    cJSON *j = cJSON_ParseWithLength(value.data, value.size);
    if (!j)
        return sc_fail(l->err, -EINVAL, "'%s': not JSON", name);
    int r = l->one(l->ctl, name, j, l->err);
    return r < 0 ? sc_fail_in(l->err, "'%s'", name) : 0;
}

static int load_meta(struct ctl *ctl, const char *key, const cJSON *j,
                     struct sc_err *err)
{
    (void)err;
    uint64_t v = cJSON_IsNumber(j) ? (uint64_t)j->valuedouble : 0;
    if (!strcmp(key, "next_nid"))
        ctl->next_nid = (uint32_t)v;
    else if (!strcmp(key, "next_vni"))
        ctl->next_vni = (uint32_t)v;
    else if (!strcmp(key, "next_errand"))
        ctl->next_errand = v;
    else if (!strcmp(key, "cluster_id") && cJSON_IsString(j))
        OBJ_SET(ctl->cluster_id, j->valuestring);
    return 0;
}

static int no_memory(struct sc_err *err)
{
    return sc_fail(err, -ENOMEM, "out of memory");
}

#define LOAD_OBJECT(type)                                                      \
    static int load_##type(struct ctl *ctl, const char *key, const cJSON *j,   \
                           struct sc_err *err)                                 \
    {                                                                          \
        (void)key;                                                             \
        SC_AUTO(free) struct type *o = calloc(1, sizeof *o);                   \
        if (!o)                                                                \
            return no_memory(err);                                             \
        int r = type##_from_json(j, o, err);                                   \
        if (r < 0)                                                             \
            return r;                                                          \
        if (!ctl_list_add(&ctl->type##s, o))                                   \
            return no_memory(err);                                             \
        (void)SC_TAKE(o);                                                      \
        return 0;                                                              \
    }
LOAD_OBJECT(network)
LOAD_OBJECT(image)
LOAD_OBJECT(vm)

static int load_node(struct ctl *ctl, const char *key, const cJSON *j,
                     struct sc_err *err)
{
    (void)key;
    SC_AUTO(ctl_node_free) struct ctl_node *n = calloc(1, sizeof *n);
    if (!n)
        return no_memory(err);
    int r = node_from_json(j, &n->n, err);
    if (r < 0)
        return r;
    n->heard_at = ctl->started_at; /* It gets time to connect again. */
    if (!ctl_list_add(&ctl->nodes, n))
        return no_memory(err);
    (void)SC_TAKE(n);
    return 0;
}

static int load_job(struct ctl *ctl, const char *key, const cJSON *j,
                    struct sc_err *err)
{
    (void)key;
    SC_AUTO(job_free) struct job *job = NULL;
    int r = job_from_json(j, job_kinds, &job, err);
    if (r < 0)
        return r;
    /* By time of beginning, whatever the keys are. */
    size_t i = ctl->jobs.n;
    if (!ctl_list_add(&ctl->jobs, job))
        return no_memory(err);
    for (; i > 0 && ctl->jobs.items[i - 1]->started_at > job->started_at; i--)
        ctl->jobs.items[i] = ctl->jobs.items[i - 1];
    ctl->jobs.items[i] = SC_TAKE(job);
    return 0;
}

static int load_errand(struct ctl *ctl, const char *key, const cJSON *j,
                       struct sc_err *err)
{
    return ctl_errand_load(ctl, strtoull(key, NULL, 16), j, err);
}

int ctl_load(struct ctl *ctl, struct sc_err *err)
{
    static const struct {
        const char *table;
        int (*one)(struct ctl *, const char *, const cJSON *, struct sc_err *);
    } loads[] = {
        { "meta", load_meta },
        { "nodes", load_node },
        { "networks", load_network },
        { "images", load_image },
        { "vms", load_vm },
        { "jobs", load_job },
        { "errand", load_errand },
        { "node_facts", ctl_node_facts_load },
        { "providers", ctl_account_load },
        { "published", ctl_published_load },
        { "launched", ctl_launched_load },
    };
    SC_AUTO(store_abort) struct store_txn *t = NULL;
    int r = store_begin(ctl->store, false, &t, err);
    for (size_t i = 0; r == 0 && i < SC_ARRAY_LEN(loads); i++) {
        struct load l = { ctl, err, loads[i].one };
        r = store_each(t, loads[i].table, (struct store_slice){ "", 0 },
                       load_each, &l);
        if (r < 0)
            sc_fail_in(err, "store: table %s", loads[i].table);
    }
    return r;
}
