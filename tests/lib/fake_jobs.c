/* fake_jobs - jobs of the fake cluster ('vm' may be an image): each step takes
 * 'step_ms'; at its end a job does what it was for. */
#include "tests/lib/fake_providers.h"

#include "common/json.h"

#include <string.h>

enum { N_STEPS = 5 };

static const struct {
    const char *kind, *state; /* The VM's state meanwhile. */
    const char *steps[N_STEPS + 1];
} plans[] = {
    { "vm.create",
      "starting",
      { "place", "create disk", "wire port", "start guest",
        "wait for guest" } },
    { "vm.start",
      "starting",
      { "place", "open disks", "wire port", "start guest" } },
    { "vm.stop", "stopping", { "ask guest", "wait for guest", "close disks" } },
    { "vm.migrate",
      "migrating",
      { "prepare destination", "copy memory", "hand disks over",
        "switch network", "clean up source" } },
    { "image.delete", "deleting", { "remove" } },
    { "vm.delete",
      "deleting",
      { "stop guest", "release port", "delete disks" } },
};

/* What a job of this kind is about. */
static enum fake_list list_of(const char *kind)
{
    return strncmp(kind, "image.", 6) == 0 ? FAKE_IMAGES : FAKE_VMS;
}

cJSON *fake_job_new(struct fake_cluster *f, const char *kind,
                    const char *object_id, const char *object_name,
                    const char *const steps[])
{
    char id[SC_UUID_LEN + 1];
    sc_uuid_new(id);
    cJSON *job = cJSON_CreateObject();
    double now = (double)sc_wall_ms();
    fake_set_str(job, "id", id);
    fake_set_str(job, "kind", kind);
    fake_set_str(job, "object_id", object_id);
    fake_set_str(job, "object_name", object_name);
    fake_set_str(job, "state", "running");
    fake_set_null(job, "error");
    fake_set_num(job, "progress", 0);
    fake_set_num(job, "started_at", now);
    fake_set_null(job, "ended_at");
    cJSON *list = cJSON_AddArrayToObject(job, "steps");
    for (size_t k = 0; steps[k]; k++) {
        cJSON *s = cJSON_CreateObject();
        fake_set_str(s, "name", steps[k]);
        fake_set_str(s, "state", k ? "waiting" : "running");
        if (k)
            fake_set_null(s, "started_at");
        else
            fake_set_num(s, "started_at", now);
        fake_set_null(s, "ended_at");
        fake_set_str(s, "detail", "");
        cJSON_AddItemToArray(list, s);
    }
    cJSON_AddArrayToObject(job, "log");
    cJSON_AddObjectToObject(job, "result");
    fake_set_null(job, "cancel_at");
    fake_set_null(job, "cancel_by");
    fake_cancel_note(job);
    cJSON_AddItemToArray(f->lists[FAKE_JOBS], job);
    return job;
}

int fake_job_begin(struct fake_cluster *f, const char *kind, cJSON *vm,
                   const char *to_node, cJSON **ret, struct sc_err *err)
{
    if (fake_str(vm, "job")[0])
        return sc_fail(err, -EBUSY, "'%s': a job is running on it",
                       fake_str(vm, "name"));
    size_t i = 0;
    while (strcmp(plans[i].kind, kind) != 0)
        i++;
    cJSON *job = fake_job_new(f, kind, fake_str(vm, "id"), fake_str(vm, "name"),
                              plans[i].steps);
    if (to_node) {
        cJSON *result = cJSON_GetObjectItem(job, "result");
        fake_set_str(result, "from", fake_str(vm, "node_name"));
        fake_set_str(result, "to", to_node);
    }
    fake_set_str(vm, "job", fake_str(job, "id"));
    fake_set_str(vm, "state", plans[i].state);
    fake_changed(f, list_of(kind), vm, false);
    fake_changed(f, FAKE_JOBS, job, false);
    *ret = job;
    return 0;
}

void fake_job_log(cJSON *job, const char *step, const char *text)
{
    cJSON *line = cJSON_CreateObject();
    fake_set_num(line, "at", (double)sc_wall_ms());
    json_set_strf(line, "text", "%s: %s", step, text);
    cJSON_AddItemToArray(cJSON_GetObjectItem(job, "log"), line);
}

static void place(struct fake_cluster *f, cJSON *vm, const cJSON *node)
{
    if (node) {
        fake_set_str(vm, "node", fake_str(node, "id"));
        fake_set_str(vm, "node_name", fake_str(node, "name"));
        fake_set_str(vm, "region", fake_str(node, "region"));
    } else {
        fake_set_null(vm, "node");
        fake_set_null(vm, "node_name");
    }
    fake_free_memory(f);
}

static void finish(struct fake_cluster *f, cJSON *job, cJSON *vm)
{
    const char *kind = fake_str(job, "kind");
    cJSON *result = cJSON_GetObjectItem(job, "result");
    double now = (double)sc_wall_ms();
    fake_set_null(vm, "job");
    fake_set_str(vm, "state", "running");
    if (strcmp(kind, "vm.stop") == 0) {
        fake_set_str(vm, "state", "stopped");
        place(f, vm, NULL);
    } else if (strcmp(kind, "vm.migrate") == 0) {
        place(f, vm, fake_find(f, FAKE_NODES, fake_str(result, "to"), NULL));
        fake_set_num(vm, "epoch", fake_num(vm, "epoch") + 1);
        fake_set_num(result, "total_ms", now - fake_num(job, "started_at"));
        fake_set_num(result, "pause_ms", 187);
        fake_set_num(result, "bytes_sent",
                     fake_num(vm, "memory_mib") * 1048576);
        fake_set_num(result, "bytes_wire", fake_num(vm, "memory_mib") * 400000);
        fake_set_num(result, "rounds", 4);
        f->wan_out += fake_num(result, "bytes_wire");
    }
    fake_job_end(f, job, NULL);
    if (strcmp(kind, "image.delete") == 0) {
        fake_remove(f, FAKE_IMAGES, vm);
    } else if (strcmp(kind, "vm.delete") == 0) {
        fake_remove(f, FAKE_VMS, vm);
        fake_free_memory(f);
    } else {
        fake_changed(f, FAKE_VMS, vm, false);
    }
}

static void fail_job(struct fake_cluster *f, cJSON *job, cJSON *vm)
{
    const char *why = "the fake guest was told to fail here";
    bool was_there = strcmp(fake_str(job, "kind"), "vm.migrate") == 0;
    fake_set_null(vm, "job");
    fake_set_str(vm, "state", was_there ? "running" : "failed");
    fake_set_str(vm, "error", why);
    if (!was_there)
        place(f, vm, NULL);
    fake_job_end(f, job, why);
    fake_changed(f, FAKE_VMS, vm, false);
}

cJSON *fake_job_running_step(const cJSON *job, int *ret_at)
{
    cJSON *steps = cJSON_GetObjectItem(job, "steps");
    int at = 0;
    while (strcmp(fake_str(cJSON_GetArrayItem(steps, at), "state"), "done") ==
           0)
        at++;
    *ret_at = at;
    return cJSON_GetArrayItem(steps, at);
}

double fake_job_part(struct fake_cluster *f, cJSON *job, double step_ms)
{
    int at, n = cJSON_GetArraySize(cJSON_GetObjectItem(job, "steps"));
    const cJSON *step = fake_job_running_step(job, &at);
    double part =
        ((double)sc_wall_ms() - fake_num(step, "started_at")) / step_ms;
    if (part < 1) {
        fake_set_num(job, "progress", (int)(100 * (at + part) / n));
        fake_changed(f, FAKE_JOBS, job, false);
    }
    return part;
}

bool fake_job_next(struct fake_cluster *f, cJSON *job)
{
    cJSON *steps = cJSON_GetObjectItem(job, "steps");
    int at, n = cJSON_GetArraySize(steps);
    cJSON *step = fake_job_running_step(job, &at);
    double now = (double)sc_wall_ms();
    fake_set_str(step, "state", "done");
    fake_set_num(step, "ended_at", now);
    fake_job_log(job, fake_str(step, "name"), "done");
    if (at + 1 == n)
        return false;
    step = cJSON_GetArrayItem(steps, at + 1);
    fake_set_str(step, "state", "running");
    fake_set_num(step, "started_at", now);
    fake_set_num(job, "progress", 100 * (at + 1) / n);
    fake_cancel_note(job);
    fake_changed(f, FAKE_JOBS, job, false);
    return true;
}

void fake_job_end(struct fake_cluster *f, cJSON *job, const char *why)
{
    double now = (double)sc_wall_ms();
    if (why) {
        int at;
        cJSON *step = fake_job_running_step(job, &at);
        fake_set_str(step, "state", "failed");
        fake_set_str(step, "detail", why);
        fake_set_num(step, "ended_at", now);
        fake_job_log(job, fake_str(step, "name"), why);
        fake_set_str(job, "error", why);
    } else {
        fake_set_num(job, "progress", 100);
    }
    fake_set_str(job, "state",
                 !why                             ? "done"
                 : fake_num(job, "cancel_at") > 0 ? "cancelled"
                                                  : "failed");
    fake_set_num(job, "ended_at", now);
    fake_cancel_note(job);
    fake_changed(f, FAKE_JOBS, job, false);
}

static void step_job(struct fake_cluster *f, cJSON *job)
{
    cJSON *vm = fake_find(f, list_of(fake_str(job, "kind")),
                          fake_str(job, "object_id"), NULL);
    int at;
    fake_job_running_step(job, &at);
    if (fake_job_part(f, job, (double)f->step_ms) < 1)
        return;
    if (at == 2 && strncmp(fake_str(vm, "name"), "fail-", 5) == 0 &&
        strcmp(fake_str(job, "kind"), "vm.delete") != 0)
        fail_job(f, job, vm);
    else if (!fake_job_next(f, job))
        finish(f, job, vm);
}

void fake_jobs_step(void *cluster)
{
    struct fake_cluster *f = cluster;
    cJSON *job;
    cJSON_ArrayForEach(job, f->lists[FAKE_JOBS])
    {
        if (strcmp(fake_str(job, "state"), "rolling-back") == 0)
            fake_cancel_step(f, job);
        if (strcmp(fake_str(job, "state"), "running") != 0)
            continue;
        if (strncmp(fake_str(job, "kind"), "provider.", 9) == 0)
            fake_provider_step(f, job);
        else
            step_job(f, job);
    }
}
