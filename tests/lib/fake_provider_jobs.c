/* fake_provider_jobs - the jobs of the simulated clouds: what each does when
 * its step's time is over. */
#include "tests/lib/fake_providers.h"

#include "common/json.h"

#include <string.h>

enum { PUBLISH_STEPS = 5 }; /* How much longer than others, in 'step_ms'. */

static bool begins(const cJSON *o, const char *prefix)
{
    return strncmp(fake_str(o, "object_name"), prefix, strlen(prefix)) == 0;
}

static cJSON *account_of(struct fake_cluster *f, const cJSON *job)
{
    return fake_find(f, FAKE_PROVIDERS, fake_str(job, "provider"), NULL);
}

static cJSON *by_id(struct fake_cluster *f, enum fake_list list, const char *id)
{
    cJSON *o;
    cJSON_ArrayForEach(o, f->lists[list]) if (strcmp(fake_str(o, "id"), id) ==
                                              0) return o;
    return NULL;
}

/* --- images ------------------------------------------------------------------
 */

/* The worker's stages, one after the other, in the step's detail. */
static void publish_stage(cJSON *job, const cJSON *image, double part)
{
    int at;
    cJSON *step = fake_job_running_step(job, &at);
    double total = fake_num(image, "size");
    if (part < 0.7)
        fake_set_strf(step, "detail", "upload %.0f of %.0f bytes",
                      total * part / 0.7, total);
    else
        fake_set_str(step, "detail", part < 0.9 ? "register" : "tidy up");
}

static void publish(struct fake_cluster *f, cJSON *job)
{
    cJSON *i = by_id(f, FAKE_PUBLISHED, fake_str(job, "object_id"));
    cJSON *account = account_of(f, job);
    int at;
    double ms = (double)f->step_ms * PUBLISH_STEPS;
    const cJSON *step = fake_job_running_step(job, &at);
    publish_stage(job, i,
                  ((double)sc_wall_ms() - fake_num(step, "started_at")) / ms);
    double part = fake_job_part(f, job, ms);
    if (part < 1 && !(part > 0.5 && begins(job, "fail-")))
        return;
    fake_set_null(i, "job");
    if (part < 1) {
        const char *why = "the snapshot was not completed: InternalError "
                          "(request id fake-0002); publish it again";
        fake_leave(f, account, "snapshot", fake_str(i, "name"),
                   fake_str(i, "region"), "pending, not completed");
        fake_set_str(i, "state", "failed");
        fake_set_str(i, "error", why);
        fake_job_end(f, job, why);
    } else {
        fake_job_next(f, job);
        fake_set_str(i, "state", "active");
        fake_set_strf(i, "image_id", "ami-0%.8s", fake_str(i, "id"));
        fake_set_str(cJSON_GetObjectItem(job, "result"), "image",
                     fake_str(i, "image_id"));
        fake_job_end(f, job, NULL);
    }
    fake_changed(f, FAKE_PUBLISHED, i, false);
}

static void image_delete(struct fake_cluster *f, cJSON *job)
{
    cJSON *i = by_id(f, FAKE_PUBLISHED, fake_str(job, "object_id"));
    fake_remove(f, FAKE_PUBLISHED, i);
}

/* --- instances ---------------------------------------------------------------
 */

static void add_instance(struct fake_cluster *f, cJSON *job, int k, int count)
{
    const cJSON *q = cJSON_GetObjectItem(job, "request");
    cJSON *account = account_of(f, job);
    cJSON *i = fake_add_object(f, FAKE_INSTANCES);
    char id[SC_UUID_LEN + 1], n[16] = "", zone = (char)('a' + k % 3);
    snprintf(id, sizeof id, "%s", fake_str(i, "id"));
    if (count > 1)
        snprintf(n, sizeof n, "-%d", k + 1);
    cJSON_DeleteItemFromObjectCaseSensitive(i, "id");
    fake_set_strf(i, "id", "i-0%.8s%.4s", id, id + 9);
    fake_set_strf(i, "name", "%s%s", fake_str(q, "name"), n);
    fake_set_str(i, "provider", fake_str(account, "id"));
    fake_set_str(i, "region", fake_str(q, "region"));
    if (fake_str(q, "zone")[0])
        fake_set_str(i, "zone", fake_str(q, "zone"));
    else
        fake_set_strf(i, "zone", "%s%c", fake_str(q, "region"), zone);
    fake_set_str(i, "type", fake_str(q, "type"));
    fake_set_str(i, "image", fake_str(q, "image"));
    fake_set_strf(i, "address", "198.51.100.%d",
                  10 + cJSON_GetArraySize(f->lists[FAKE_INSTANCES]));
    fake_set_strf(i, "private_address", "172.31.0.%d",
                  10 + cJSON_GetArraySize(f->lists[FAKE_INSTANCES]));
    fake_set_str(i, "console", "");
    fake_set_str(i, "state", "pending");
    cJSON_AddBoolToObject(i, "spot",
                          cJSON_IsTrue(cJSON_GetObjectItem(q, "spot")));
    fake_set_str(i, "cluster", "fake-cluster");
    fake_set_str(i, "token", fake_str(job, "id"));
    fake_set_null(i, "node");
    fake_set_null(i, "node_name");
    fake_set_str(i, "job", fake_str(job, "id"));
}

static void give_notice(struct fake_cluster *f, cJSON *node, const cJSON *job)
{
    bool end = begins(job, "evict-");
    double now = (double)sc_wall_ms();
    if (!end && !begins(job, "patch-"))
        return;
    cJSON *notice = cJSON_CreateObject();
    fake_set_str(notice, "kind", end ? "revocation" : "maintenance");
    fake_set_str(notice, "action", end ? "terminate" : "reboot");
    fake_set_num(notice, "at", now + (end ? 120e3 : 1800e3));
    fake_set_str(notice, "source",
                 end ? "ec2-spot-action" : "ec2-scheduled-event");
    fake_set_str(notice, "text",
                 end ? "the spot instance is taken back"
                     : "the machine below is restarted");
    fake_set_num(notice, "heard_at", now);
    cJSON_ReplaceItemInObjectCaseSensitive(node, "notice", notice);
    fake_changed(f, FAKE_NODES, node, false);
}

static void join(struct fake_cluster *f, cJSON *job, cJSON *i)
{
    cJSON *account = account_of(f, job);
    cJSON *n =
        fake_node_add(f, fake_str(i, "name"), fake_str(i, "region"),
                      fake_str(account, "driver"), fake_str(i, "address"));
    const struct fake_type *t =
        fake_type_find(fake_driver_of(account), fake_str(i, "type"), NULL);
    if (t) {
        fake_set_num(n, "cpus", t->vcpus);
        fake_set_num(n, "memory_mib", t->memory_mib - 1024);
    }
    fake_free_memory(f);
    fake_set_str(i, "state", "running");
    fake_set_str(i, "node", fake_str(n, "id"));
    fake_set_str(i, "node_name", fake_str(n, "name"));
    fake_set_null(i, "job");
    fake_changed(f, FAKE_NODES, n, false);
    give_notice(f, n, job);
}

static void launch(struct fake_cluster *f, cJSON *job)
{
    const cJSON *q = cJSON_GetObjectItem(job, "request");
    int at, count = (int)fake_num(q, "count");
    cJSON *step = fake_job_running_step(job, &at), *i;
    if (at == 1 && begins(job, "fail-")) {
        const char *region = fake_str(q, "region");
        fake_leave(f, account_of(f, job), "security-group", fake_str(q, "name"),
                   region, "4 rules, not in use");
        fake_job_end(f, job,
                     "InsufficientInstanceCapacity: no capacity for this type "
                     "in the zone (request id fake-0005); take another type, "
                     "zone or region");
        return;
    }
    if (at == 0)
        fake_set_str(step, "detail", "412 bytes");
    for (int k = 0; at == 1 && k < count; k++)
        add_instance(f, job, k, count);
    if (at == 2)
        cJSON_ArrayForEach(
            i, f->lists[FAKE_INSTANCES]) if (strcmp(fake_str(i, "token"),
                                                    fake_str(job, "id")) == 0)
            join(f, job, i);
    if (fake_job_next(f, job))
        return;
    cJSON *list =
        cJSON_AddArrayToObject(cJSON_GetObjectItem(job, "result"), "instances");
    static const char *const keys[] = { "id", "name", "region", "node" };
    cJSON_ArrayForEach(i, f->lists[FAKE_INSTANCES])
    {
        if (strcmp(fake_str(i, "token"), fake_str(job, "id")) != 0)
            continue;
        cJSON *o = cJSON_CreateObject();
        for (size_t k = 0; k < SC_ARRAY_LEN(keys); k++)
            fake_set_str(o, keys[k], fake_str(i, keys[k]));
        cJSON_AddItemToArray(list, o);
    }
    fake_job_end(f, job, NULL);
}

/* The instance is off; its node is down. */
static cJSON *power_off(struct fake_cluster *f, const cJSON *job)
{
    cJSON *i = by_id(f, FAKE_INSTANCES, fake_str(job, "instance"));
    cJSON *n = i ? by_id(f, FAKE_NODES, fake_str(i, "node")) : NULL;
    if (n) {
        fake_set_str(n, "state", "down");
        fake_set_null(n, "notice");
        fake_changed(f, FAKE_NODES, n, false);
    }
    if (i)
        fake_set_str(i, "state", "stopped");
    return i;
}

/* Its node is forgotten with it, unless guests were on it. */
static void terminate(struct fake_cluster *f, cJSON *job)
{
    int at;
    fake_job_running_step(job, &at);
    if (at == 0) {
        cJSON *i = power_off(f, job);
        fake_set_str(job, "node", fake_str(i, "node"));
        if (i)
            fake_remove(f, FAKE_INSTANCES, i);
    } else {
        cJSON *n = by_id(f, FAKE_NODES, fake_str(job, "node"));
        if (n && fake_num(n, "vms") == 0)
            fake_remove(f, FAKE_NODES, n);
    }
}

static void collect(struct fake_cluster *f, const cJSON *job)
{
    cJSON *r, *next;
    for (r = f->lists[FAKE_RESOURCES]->child; r; r = next) {
        next = r->next;
        if (strcmp(fake_str(r, "provider"), fake_str(job, "provider")) == 0)
            fake_remove(f, FAKE_RESOURCES, r);
    }
}

void fake_provider_step(struct fake_cluster *f, cJSON *job)
{
    const char *kind = fake_str(job, "kind") + strlen("provider.");
    if (!account_of(f, job)) {
        fake_job_end(f, job, "the provider was deleted");
        return;
    }
    if (strcmp(kind, "publish") == 0) {
        publish(f, job);
        return;
    }
    if (fake_job_part(f, job, (double)f->step_ms) < 1)
        return;
    if (strcmp(kind, "launch") == 0) {
        launch(f, job);
        return;
    }
    if (strcmp(kind, "image_delete") == 0)
        image_delete(f, job);
    else if (strcmp(kind, "terminate") == 0)
        terminate(f, job);
    else if (strcmp(kind, "fence") == 0)
        power_off(f, job);
    if (fake_job_next(f, job))
        return;
    if (strcmp(kind, "gc") == 0)
        collect(f, job);
    fake_job_end(f, job, NULL);
}
