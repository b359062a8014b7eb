#include "controller/ctl.h"

#include "common/log.h"
#include "controller/jobs.h"
#include "controller/providers.h"
#include "controller/secrets.h"
#include "controller/sessions.h"

#include <stdio.h>

enum { CLOCK_GAP_MS = 2000 }; /* ctl_run is called several times a second. */

const char *const ctl_program_names[N_PROGRAMS] = {
    [PROGRAM_NODE] = "sc-node",
    [PROGRAM_STORAGE] = "sc-storage",
    [PROGRAM_NETWORK] = "sc-network",
};

static bool copy_options(struct ctl *ctl, const struct ctl_options *o)
{
    ctl->pki_dir = strdup(o->pki_dir ? o->pki_dir : "");
    ctl->spool_dir = strdup(o->spool_dir ? o->spool_dir : "");
    ctl->host = strdup(o->host ? o->host : "");
    ctl->node_config = strdup(o->node_config ? o->node_config : "{}");
    ctl->port = o->port;
    ctl->own_nid = o->own_nid;
    ctl->heartbeat_ms = o->heartbeat_ms ? o->heartbeat_ms : 2000;
    ctl->heartbeats_missed = o->heartbeats_missed ? o->heartbeats_missed : 3;
    return ctl->pki_dir && ctl->spool_dir && ctl->host && ctl->node_config;
}

/* An upload that was cut off by our own end leaves nothing behind. */
static void drop_half_images(struct ctl *ctl)
{
    struct ctl_txn *x = ctl_txn_begin(ctl);
    for (size_t i = ctl->images.n; i-- > 0;) {
        struct image *image = ctl->images.items[i];
        if (image->state == IMAGE_UPLOADING)
            ctl_image_drop(ctl, x, image);
    }
    ctl_txn_commit(x, NULL);
}

/* Once and for ever: what we make at providers carries it. */
static void name_cluster(struct ctl *ctl)
{
    if (ctl->cluster_id[0])
        return;
    sc_uuid_new(ctl->cluster_id);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_put_json(x, "meta", "cluster_id", cJSON_CreateString(ctl->cluster_id));
    ctl_txn_commit(x, NULL);
}

int ctl_new(struct store *store, const struct ctl_env *env,
            const struct ctl_options *o, struct ctl **ret, struct sc_err *err)
{
    SC_AUTO(ctl_free) struct ctl *ctl = calloc(1, sizeof *ctl);
    if (!ctl || !copy_options(ctl, o)) {
        store_close(store);
        return sc_fail(err, -ENOMEM, "controller: out of memory");
    }
    ctl->store = store;
    ctl->env = *env;
    ctl->started_at = ctl_now(ctl);
    ctl->next_nid = 1;
    ctl->next_vni = 1000;
    ctl->next_errand = 1;
    int r = ctl_load(ctl, err);
    if (r < 0)
        return r;
    drop_half_images(ctl);
    name_cluster(ctl);
    ctl_providers_begin(ctl);
    jobs_resume(ctl);
    *ret = SC_TAKE(ctl);
    return 0;
}

#define FREE_ALL(list, fn)                                                     \
    do {                                                                       \
        for (size_t i_ = 0; i_ < (list).n; i_++)                               \
            fn((list).items[i_]);                                              \
        free((list).items);                                                    \
    } while (0)

static void errand_free(struct ctl_errand *t)
{
    cJSON_Delete(t->params);
    free(t);
}

void ctl_free(struct ctl *ctl)
{
    if (!ctl)
        return;
    FREE_ALL(ctl->nodes, ctl_node_free);
    FREE_ALL(ctl->networks, free);
    FREE_ALL(ctl->images, free);
    FREE_ALL(ctl->vms, free);
    FREE_ALL(ctl->jobs, job_free);
    FREE_ALL(ctl->errands, errand_free);
    FREE_ALL(ctl->latencies, free);
    FREE_ALL(ctl->sessions, ctl_session_free);
    FREE_ALL(ctl->accounts, account_free);
    FREE_ALL(ctl->published, published_free);
    FREE_ALL(ctl->launched, free);
    cJSON_Delete(ctl->drivers);
    secrets_close(ctl->secrets);
    store_close(ctl->store);
    free(ctl->pki_dir);
    free(ctl->spool_dir);
    free(ctl->host);
    free(ctl->node_config);
    free(ctl);
}

static void shift(uint64_t *at, int64_t by)
{
    if (*at)
        *at = (uint64_t)((int64_t)*at + by);
}

/* The clock was set back:
 * what waits for a time waits for as long as it meant to. */
static void clock_set_back(struct ctl *ctl, int64_t by)
{
    shift(&ctl->started_at, by);
    shift(&ctl->latency_changed_at, by);
    shift(&ctl->latency_told_at, by);
    for (size_t i = 0; i < ctl->errands.n; i++)
        shift(&ctl->errands.items[i]->retry_at, by);
    for (size_t i = 0; i < ctl->jobs.n; i++) {
        struct job *job = ctl->jobs.items[i];
        int step = job_ended(job) ? -1 : job_current(job);
        shift(&job->retry_at, by);
        if (step >= 0)
            shift(&job->steps[step].started_at, by);
    }
}

/* Wall clocks are set, and machines are stopped for a while.  Time that did
 * not pass here is not held against the nodes, which could not be heard. */
static void follow_clock(struct ctl *ctl)
{
    uint64_t now = ctl_now(ctl), before = ctl->ran_at;
    ctl->ran_at = now;
    if (!before || (now >= before && now - before < CLOCK_GAP_MS))
        return;
    int64_t by = (int64_t)(now - before);
    sc_logf(SC_LOG_WARN, "clock.jump", "%lld ms", (long long)by);
    for (size_t i = 0; i < ctl->nodes.n; i++)
        shift(&ctl->nodes.items[i]->heard_at, by);
    if (by < 0)
        clock_set_back(ctl, by);
}

void ctl_run(struct ctl *ctl)
{
    if (ctl->broken || ctl->stopping)
        return;
    follow_clock(ctl);
    ctl_registry_run(ctl);
    ctl_errand_run(ctl);
    ctl_reach_run(ctl);
    jobs_run(ctl);
}

struct ctl_node *ctl_node_by_nid(struct ctl *ctl, uint16_t nid)
{
    for (size_t i = 0; nid && i < ctl->nodes.n; i++) {
        if (ctl->nodes.items[i]->n.nid == nid)
            return ctl->nodes.items[i];
    }
    return NULL;
}

/* An id wins over an equal name of another object. */
#define FIND(list, id_of, name_of, wanted)                                     \
    do {                                                                       \
        for (size_t i = 0; i < (list).n; i++) {                                \
            if (!strcmp((list).items[i]->id_of, (wanted)))                     \
                return (list).items[i];                                        \
        }                                                                      \
        for (size_t i = 0; i < (list).n; i++) {                                \
            if (!strcmp((list).items[i]->name_of, (wanted)))                   \
                return (list).items[i];                                        \
        }                                                                      \
        return NULL;                                                           \
    } while (0)

struct ctl_node *ctl_node_find(struct ctl *ctl, const char *wanted)
{
    FIND(ctl->nodes, n.id, n.name, wanted);
}

struct network *ctl_network_find(struct ctl *ctl, const char *wanted)
{
    FIND(ctl->networks, id, name, wanted);
}

struct image *ctl_image_find(struct ctl *ctl, const char *wanted)
{
    FIND(ctl->images, id, name, wanted);
}

struct vm *ctl_vm_find(struct ctl *ctl, const char *wanted)
{
    FIND(ctl->vms, id, name, wanted);
}

struct job *ctl_job_find(struct ctl *ctl, const char *id)
{
    for (size_t i = 0; i < ctl->jobs.n; i++) {
        if (!strcmp(ctl->jobs.items[i]->id, id))
            return ctl->jobs.items[i];
    }
    return NULL;
}
