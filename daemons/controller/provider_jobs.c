/* The jobs provider.terminate, provider.fence and provider.gc.
 * job->data: provider, region, id, token, node; of gc: list, left, pass. */
#include "common/log.h"
#include "controller/gc.h"
#include "controller/providers.h"

#include <stdio.h>

enum {
    CALL_MS = 600000,
    FORGET_PATIENCE_MS = 120000,
    GC_PASSES = 3,
    GC_PAUSE_MS = 3000,
};

static const char *text(const cJSON *o, const char *key)
{
    const char *s =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
    return s ? s : "";
}

static cJSON *which(const struct job *job)
{
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "region", job_str(job, "region"));
    cJSON_AddStringToObject(args, "id", job_str(job, "id"));
    return args;
}

/* --- terminate ---------------------------------------------------------------
 */

static void terminated(struct ctl *ctl, struct job *job, const cJSON *result,
                       const struct sc_err *err)
{
    (void)result;
    if (err->code && err->code != -ENOENT) {
        job_provider_failed(ctl, job, err);
        return;
    }
    struct ctl_txn *x = ctl_txn_begin(ctl);
    struct launched *l =
        ctl_launched_find(ctl, job_str(job, "provider"), job_str(job, "id"));
    if (l)
        ctl_drop_launched(ctl, x, l);
    job_ok_txn(ctl, job, x);
}

static void terminate_run(struct ctl *ctl, struct job *job)
{
    job_provider_call(ctl, job, job_str(job, "provider"), "terminate",
                      which(job), job_str(job, "token"), NULL, CALL_MS, NULL,
                      terminated);
}

/* Its node is gone for good: it is forgotten as soon as it is seen to be down,
 * unless guests were on it; what becomes of those is for a person to say. */
static void forget_run(struct ctl *ctl, struct job *job)
{
    struct ctl_node *n = ctl_node_find(ctl, job_str(job, "node"));
    const struct job_step *step = &job->steps[job_current(job)];
    struct sc_err err;
    if (!n || !job_str(job, "node")[0]) {
        job_ok(ctl, job);
        return;
    }
    if (n->n.state == NODE_UP) {
        if (ctl_now(ctl) < step->started_at + FORGET_PATIENCE_MS) {
            job_again(ctl, job, 1000, "waiting for node '%s' to be down",
                      n->n.name);
            return;
        }
        job_note(ctl, job, "node '%s' is up still: it stays", n->n.name);
    } else if (ctl_node_remove(ctl, n, &err) < 0) {
        job_note(ctl, job, "%s: it stays", err.text);
    }
    job_ok(ctl, job);
}

const struct job_kind provider_terminate_job = {
    .name = "provider.terminate",
    .fixed = "the provider has been told to end the instance",
    .steps = { { "terminate", terminate_run, NULL, .weight = 4 },
               { "forget", forget_run, NULL, .weight = 1 } },
};

/* --- fence -------------------------------------------------------------------
 */

static void fenced(struct ctl *ctl, struct job *job, const cJSON *result,
                   const struct sc_err *err)
{
    (void)result;
    if (err->code)
        job_provider_failed(ctl, job, err);
    else
        job_ok(ctl, job);
}

static void fence_run(struct ctl *ctl, struct job *job)
{
    job_provider_call(ctl, job, job_str(job, "provider"), "fence", which(job),
                      job_str(job, "token"), NULL, CALL_MS, NULL, fenced);
}

const struct job_kind provider_fence_job = {
    .name = "provider.fence",
    .fixed = "the provider has been told to power the instance off",
    .steps = { { "fence", fence_run, NULL, .weight = 1 } },
};

/* --- gc ----------------------------------------------------------------------
 */

static bool is_live(const struct published *p)
{
    return p->state == PUBLISHED_ACTIVE || p->state == PUBLISHED_PUBLISHING ||
           p->state == PUBLISHED_DELETING;
}

/* What is known of all accounts counts: two of them may be of one cloud, and
 * each sees there what the other made. */
cJSON *ctl_gc(struct ctl *ctl, const cJSON *resources)
{
    SC_AUTO(free)
    struct gc_image *images = calloc(ctl->published.n + 1, sizeof *images);
    SC_AUTO(free)
    struct gc_instance *instances =
        calloc(ctl->launched.n + 1, sizeof *instances);
    SC_AUTO(free) const char **jobs = calloc(ctl->jobs.n + 1, sizeof *jobs);
    SC_AUTO(free) const char **nodes = calloc(ctl->nodes.n + 1, sizeof *nodes);
    if (!images || !instances || !jobs || !nodes)
        return NULL;
    struct gc_known k = {
        .images = images, .instances = instances, .jobs = jobs, .nodes = nodes
    };
    for (size_t i = 0; i < ctl->published.n; i++) {
        const struct published *p = ctl->published.items[i];
        if (is_live(p))
            images[k.n_images++] = (struct gc_image){ p->image_id, p->token };
    }
    for (size_t i = 0; i < ctl->launched.n; i++) {
        const struct launched *l = ctl->launched.items[i];
        instances[k.n_instances++] = (struct gc_instance){ l->id, l->token };
    }
    for (size_t i = 0; i < ctl->jobs.n; i++) {
        const struct job *job = ctl->jobs.items[i];
        if (!job_ended(job) && job->kind != &provider_gc_job)
            jobs[k.n_jobs++] = job->id;
    }
    for (size_t i = 0; i < ctl->nodes.n; i++) {
        if (ctl->nodes.items[i]->n.state == NODE_UP)
            nodes[k.n_nodes++] = ctl->nodes.items[i]->n.name;
    }
    return gc_decide(&k, resources);
}

static void set_list(struct job *job, const char *key, cJSON *list)
{
    cJSON_DeleteItemFromObjectCaseSensitive(job->data, key);
    cJSON_AddItemToObject(job->data, key, list);
}

static void found(struct ctl *ctl, struct job *job, const cJSON *result,
                  const struct sc_err *err)
{
    cJSON *list = err->code ? NULL
                            : ctl_gc(ctl, cJSON_GetObjectItemCaseSensitive(
                                              result, "resources"));
    if (!list) {
        struct sc_err none;
        sc_fail(&none, -ENOMEM, "out of memory");
        job_provider_failed(ctl, job, err->code ? err : &none);
        return;
    }
    job_note(ctl, job, "%d things nobody needs", cJSON_GetArraySize(list));
    set_list(job, "list", list);
    set_list(job, "left", cJSON_CreateArray());
    job_set_u64(job, "removed", 0);
    job_ok(ctl, job);
}

static void find_run(struct ctl *ctl, struct job *job)
{
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "cluster", ctl->cluster_id);
    job_provider_call(ctl, job, job_str(job, "provider"), "leftovers", args,
                      NULL, NULL, CALL_MS, NULL, found);
}

static void remove_run(struct ctl *ctl, struct job *job);

static void remove_answer(struct ctl *ctl, struct job *job, const cJSON *result,
                          const struct sc_err *err)
{
    (void)result;
    cJSON *list = cJSON_GetObjectItemCaseSensitive(job->data, "list");
    cJSON *left = cJSON_GetObjectItemCaseSensitive(job->data, "left");
    cJSON *r = cJSON_DetachItemFromArray(list, 0);
    if (err->code && err->code != -ENOENT) {
        job_note(ctl, job, "%s '%s': %.300s", text(r, "kind"), text(r, "id"),
                 err->text);
        job_set_str(job, "why", err->text);
        cJSON_AddItemToArray(left, r);
    } else {
        job_note(ctl, job, "removed %s '%s'", text(r, "kind"), text(r, "id"));
        job_set_u64(job, "removed", job_u64(job, "removed") + 1);
        cJSON_Delete(r);
    }
    remove_run(ctl, job);
}

static void gc_finish(struct ctl *ctl, struct job *job)
{
    cJSON *left = cJSON_GetObjectItemCaseSensitive(job->data, "left");
    int n = cJSON_GetArraySize(left);
    uint64_t pass = job_u64(job, "pass") + 1;
    if (n > 0 && pass < GC_PASSES) {
        /* What was in use by something that is gone now. */
        job_set_u64(job, "pass", pass);
        set_list(job, "list", cJSON_Duplicate(left, true));
        set_list(job, "left", cJSON_CreateArray());
        job_again(ctl, job, GC_PAUSE_MS, "%d things could not be removed", n);
        return;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(job->result, "removed");
    cJSON_DeleteItemFromObjectCaseSensitive(job->result, "left");
    json_set_u64(job->result, "removed", job_u64(job, "removed"));
    cJSON_AddItemToObject(job->result, "left", cJSON_Duplicate(left, true));
    if (n > 0)
        job_failedf(ctl, job, -EBUSY, "%d things could not be removed: %.300s",
                    n, job_str(job, "why"));
    else
        job_ok(ctl, job);
}

static void remove_run(struct ctl *ctl, struct job *job)
{
    static const char *const keys[] = { "kind", "region", "id" };
    const cJSON *r = cJSON_GetArrayItem(
        cJSON_GetObjectItemCaseSensitive(job->data, "list"), 0);
    if (!r) {
        gc_finish(ctl, job);
        return;
    }
    cJSON *args = cJSON_CreateObject();
    for (size_t i = 0; i < SC_ARRAY_LEN(keys); i++)
        cJSON_AddStringToObject(args, keys[i], text(r, keys[i]));
    job_provider_call(ctl, job, job_str(job, "provider"), "remove", args, NULL,
                      NULL, CALL_MS, NULL, remove_answer);
}

/* Cancelled: a removal that is under way ends unheard; it can be repeated. */
static void gc_ended(struct ctl *ctl, struct job *job, struct ctl_txn *x,
                     bool ok)
{
    (void)ctl, (void)x;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(job->data, "list");
    const cJSON *r;
    if (ok || cJSON_GetObjectItemCaseSensitive(job->result, "left"))
        return;
    cJSON *left = cJSON_AddArrayToObject(job->result, "left");
    json_set_u64(job->result, "removed", job_u64(job, "removed"));
    cJSON_ArrayForEach(r, cJSON_GetObjectItemCaseSensitive(job->data, "left"))
        cJSON_AddItemToArray(left, cJSON_Duplicate(r, true));
    cJSON_ArrayForEach(r, list)
        cJSON_AddItemToArray(left, cJSON_Duplicate(r, true));
}

const struct job_kind provider_gc_job = {
    .name = "provider.gc",
    .steps = { { "find", find_run, NULL, .weight = 1 },
               { "remove", remove_run, NULL, .weight = 5 } },
    .ended = gc_ended,
    .cancels = "what was removed stays removed, the rest stays",
};
