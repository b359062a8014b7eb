/* fake_cancel - cancelling jobs of the fake cluster: what may be, and what
 * becomes of a job's object.  Undoing takes 'step_ms'. */
#include "tests/lib/fake_providers.h"

#include "common/json.h"

#include <string.h>

static const struct {
    const char *kind;
    int late;             /* The first step in which it is too late; 0: never */
    const char *fixed;    /* Why it is never cancelled; or NULL. */
    const char *what;     /* What becomes of its object, */
    const char *too_late; /* or why not any more. */
} kinds[] = {
    { "vm.create", 0, NULL, "the VM and its disk are removed", NULL },
    { "vm.start", 0, NULL, "the VM is stopped again", NULL },
    { "vm.migrate", 3, NULL,
      "the VM goes on where it is, and nothing is left at the destination",
      "the VM runs at its destination already" },
    { "vm.stop", 0,
      "the guest has been told to stop; start it again afterwards", NULL,
      NULL },
    { "vm.delete", 0, "its guest is ended and its disks go", NULL, NULL },
    { "image.delete", 0, "its blocks are being removed from every node", NULL,
      NULL },
    { "provider.publish", 0, NULL,
      "what was uploaded to the provider is removed; publishing it again "
      "begins anew",
      NULL },
    { "provider.launch", 0, NULL,
      "the instances are ended, but for those that have become nodes", NULL },
    { "provider.gc", 0, NULL, "what was removed stays removed, the rest stays",
      NULL },
    { "", 0, "the provider has been told already", NULL, NULL },
};

static bool is(const cJSON *job, const char *state)
{
    return strcmp(fake_str(job, "state"), state) == 0;
}

/* May it be cancelled?  'ret_note': what then, or why not. */
static bool may_cancel(const cJSON *job, const char **ret_note)
{
    size_t k = 0;
    int at;
    while (kinds[k].kind[0] &&
           strcmp(kinds[k].kind, fake_str(job, "kind")) != 0)
        k++;
    *ret_note = "";
    if (!is(job, "running") && !is(job, "rolling-back"))
        return false;
    fake_job_running_step(job, &at);
    if (fake_num(job, "cancel_at") > 0)
        *ret_note = "it is being cancelled";
    else if (kinds[k].fixed)
        *ret_note = kinds[k].fixed;
    else if (kinds[k].late && at >= kinds[k].late)
        *ret_note = kinds[k].too_late;
    else {
        *ret_note = kinds[k].what;
        return true;
    }
    return false;
}

void fake_cancel_note(cJSON *job)
{
    const char *note;
    bool may = may_cancel(job, &note);
    cJSON_DeleteItemFromObjectCaseSensitive(job, "may_cancel");
    cJSON_AddBoolToObject(job, "may_cancel", may);
    fake_set_str(job, "cancel_note", note);
}

static cJSON *object_of(struct fake_cluster *f, const cJSON *job,
                        enum fake_list *ret)
{
    const char *kind = fake_str(job, "kind"), *id = fake_str(job, "object_id");
    cJSON *o;
    *ret = strcmp(kind, "provider.publish") == 0 ? FAKE_PUBLISHED : FAKE_VMS;
    cJSON_ArrayForEach(o, f->lists[*ret]) if (strcmp(fake_str(o, "id"), id) ==
                                              0) return o;
    return NULL;
}

static void end_instances(struct fake_cluster *f, const cJSON *job)
{
    cJSON *i, *next;
    for (i = f->lists[FAKE_INSTANCES]->child; i; i = next) {
        next = i->next;
        if (strcmp(fake_str(i, "token"), fake_str(job, "id")) == 0 &&
            !fake_str(i, "node")[0])
            fake_remove(f, FAKE_INSTANCES, i);
    }
}

void fake_cancel_step(struct fake_cluster *f, cJSON *job)
{
    const char *kind = fake_str(job, "kind");
    enum fake_list list;
    char why[128];
    if ((double)sc_wall_ms() - fake_num(job, "cancel_at") < (double)f->step_ms)
        return;
    cJSON *o = object_of(f, job, &list);
    snprintf(why, sizeof why, "cancelled by %.64s", fake_str(job, "cancel_by"));
    if (o)
        fake_set_null(o, "job");
    if (strcmp(kind, "vm.create") == 0) {
        fake_remove(f, FAKE_VMS, o);
        o = NULL;
    } else if (strcmp(kind, "vm.start") == 0) {
        fake_set_str(o, "state", "stopped");
        fake_set_null(o, "node");
        fake_set_null(o, "node_name");
    } else if (strcmp(kind, "vm.migrate") == 0) {
        fake_set_str(o, "state", "running");
    } else if (strcmp(kind, "provider.publish") == 0) {
        fake_set_str(o, "state", "failed");
        fake_set_str(o, "error", why);
    } else if (strcmp(kind, "provider.launch") == 0) {
        end_instances(f, job);
    }
    fake_free_memory(f);
    fake_job_end(f, job, why);
    if (o)
        fake_changed(f, list, o, false);
}

int fake_op_job_cancel(struct fake_cluster *f, const struct api_caller *who,
                       const cJSON *p, int *status, cJSON **ret,
                       struct sc_err *err)
{
    cJSON *job = fake_find(f, FAKE_JOBS, fake_str(p, "id"), err);
    const char *note;
    if (!job)
        return -ENOENT;
    if (!is(job, "running") && !is(job, "rolling-back"))
        return sc_fail(err, -EALREADY, "job %s: has ended already: it is %s",
                       fake_str(job, "id"), fake_str(job, "state"));
    if (strncmp(fake_str(job, "kind"), "provider.", 9) == 0 &&
        who->role < API_ROLE_ADMIN)
        return sc_fail(err, -EACCES, "job %s: only an admin may cancel it",
                       fake_str(job, "id"));
    if (may_cancel(job, &note)) {
        fake_set_num(job, "cancel_at", (double)sc_wall_ms());
        fake_set_str(job, "cancel_by", who->user);
        fake_set_str(job, "state", "rolling-back");
        fake_cancel_note(job);
        fake_changed(f, FAKE_JOBS, job, false);
    } else if (fake_num(job, "cancel_at") == 0) {
        return sc_fail(err, -EBUSY, "job %s (%s): cannot be cancelled: %s",
                       fake_str(job, "id"), fake_str(job, "kind"), note);
    }
    *status = 202;
    *ret = cJSON_CreateObject();
    cJSON_AddItemToObject(*ret, "job", cJSON_Duplicate(job, true));
    return 0;
}
