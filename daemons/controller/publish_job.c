/* The jobs provider.publish and provider.image_delete.
 *
 * publish: the driver says what its next run must know ("save"), and that is
 * stored before anything else is read from it; so whenever this program or the
 * run ends, the next run goes on there.  The uploaded file goes when the job
 * ends, well or not.
 * job->data: provider, resume, made, tries. */
#include "common/log.h"
#include "controller/providers.h"

#include <inttypes.h>
#include <sys/stat.h>

enum { PUBLISH_MS = 6 * 3600 * 1000, REMOVE_MS = 600000 };

static struct published *job_published(struct ctl *ctl, const struct job *job)
{
    for (size_t i = 0; i < ctl->published.n; i++) {
        if (!strcmp(ctl->published.items[i]->id, job->object_id))
            return ctl->published.items[i];
    }
    return NULL;
}

static void check_run(struct ctl *ctl, struct job *job)
{
    const struct published *p = job_published(ctl, job);
    struct stat st;
    if (!p)
        job_failedf(ctl, job, -ENOENT, "the image was removed");
    else if (stat(p->path, &st) < 0)
        job_failedf(ctl, job, -errno, "the uploaded file: %s", strerror(errno));
    else if ((uint64_t)st.st_size != p->size)
        job_failedf(ctl, job, -EBADMSG,
                    "the uploaded file has %" PRIu64 " bytes instead of "
                    "%" PRIu64,
                    (uint64_t)st.st_size, p->size);
    else
        job_ok(ctl, job);
}

static void save(struct ctl *ctl, struct job *job, const cJSON *state)
{
    (void)ctl;
    cJSON_DeleteItemFromObjectCaseSensitive(job->data, "resume");
    cJSON_AddItemToObject(job->data, "resume", cJSON_Duplicate(state, true));
}

static void published_answer(struct ctl *ctl, struct job *job,
                             const cJSON *result, const struct sc_err *err)
{
    struct published *p = job_published(ctl, job);
    const cJSON *image = cJSON_GetObjectItemCaseSensitive(result, "image");
    const char *id =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(image, "id"));
    struct sc_err none;
    if (!err->code && (!id || !id[0])) {
        sc_fail(&none, -EPROTO, "the driver named no image");
        err = &none;
    }
    if (err->code || !p) {
        job_provider_failed(ctl, job, err);
        return;
    }
    struct ctl_txn *x = ctl_txn_begin(ctl);
    OBJ_SET(p->image_id, id);
    ctl_put_published(x, p);
    cJSON_DeleteItemFromObjectCaseSensitive(job->data, "resume");
    cJSON_DeleteItemFromObjectCaseSensitive(job->result, "image");
    cJSON_AddStringToObject(job->result, "image", id);
    job_ok_txn(ctl, job, x);
}

static void publish_run(struct ctl *ctl, struct job *job)
{
    const struct published *p = job_published(ctl, job);
    if (!p) {
        job_failedf(ctl, job, -ENOENT, "the image was removed");
        return;
    }
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "name", p->name);
    cJSON_AddStringToObject(args, "region", p->region);
    cJSON_AddStringToObject(args, "file", p->path);
    cJSON_AddStringToObject(args, "format", p->format);
    cJSON_AddStringToObject(args, "sha256", p->sha256);
    cJSON_AddStringToObject(args, "boot", p->boot);
    json_set_u64(args, "virtual_size", p->virtual_size);
    if (p->options)
        cJSON_AddItemToObject(args, "options",
                              cJSON_Duplicate(p->options, true));
    job_provider_call(ctl, job, p->account, "publish", args, job->id,
                      cJSON_GetObjectItemCaseSensitive(job->data, "resume"),
                      PUBLISH_MS, save, published_answer);
}

/* A driver removes what it made when it fails; when it was killed, or lost the
 * cloud just then, something may be left. */
static void publish_undo(struct ctl *ctl, struct job *job)
{
    job_provider_sweep(ctl, job, job_str(job, "provider"));
}

static void publish_ended(struct ctl *ctl, struct job *job, struct ctl_txn *x,
                          bool ok)
{
    struct published *p = job_published(ctl, job);
    if (!p)
        return;
    if (p->path[0] && unlink(p->path) < 0 && errno != ENOENT)
        sc_log(SC_LOG_WARN, "publish.unlink", "path", p->path, "error",
               strerror(errno), NULL);
    p->path[0] = '\0';
    p->job[0] = '\0';
    published_move(p, ok ? PUBLISHED_ACTIVE : PUBLISHED_FAILED);
    if (!ok)
        p->image_id[0] = '\0';
    OBJ_SET(p->error, ok ? "" : job->error);
    ctl_put_published(x, p);
}

const struct job_kind provider_publish_job = {
    .name = "provider.publish",
    .steps = { { "check", check_run, NULL, .weight = 1 },
               { "publish", publish_run, publish_undo, .weight = 20,
                 .cancel = job_provider_cancel } },
    .ended = publish_ended,
    .cancels = "what was uploaded to the provider is removed; publishing it "
               "again begins anew",
};

/* --- delete ------------------------------------------------------------------
 */

static void removed(struct ctl *ctl, struct job *job, const cJSON *result,
                    const struct sc_err *err)
{
    (void)result;
    if (err->code && err->code != -ENOENT)
        job_provider_failed(ctl, job, err);
    else
        job_ok(ctl, job);
}

static void remove_run(struct ctl *ctl, struct job *job)
{
    const struct published *p = job_published(ctl, job);
    if (!p || !p->image_id[0]) {
        job_ok(ctl, job);
        return;
    }
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "kind", "image");
    cJSON_AddStringToObject(args, "region", p->region);
    cJSON_AddStringToObject(args, "id", p->image_id);
    job_provider_call(ctl, job, p->account, "remove", args, job->id, NULL,
                      REMOVE_MS, NULL, removed);
}

static void delete_ended(struct ctl *ctl, struct job *job, struct ctl_txn *x,
                         bool ok)
{
    struct published *p = job_published(ctl, job);
    if (!p)
        return;
    if (ok) {
        ctl_drop_published(ctl, x, p);
        return;
    }
    p->job[0] = '\0';
    published_move(p, p->image_id[0] ? PUBLISHED_ACTIVE : PUBLISHED_FAILED);
    OBJ_SET(p->error, job->error);
    ctl_put_published(x, p);
}

const struct job_kind provider_image_delete_job = {
    .name = "provider.image_delete",
    .fixed = "the provider has been told to remove it",
    .steps = { { "remove", remove_run, NULL, .weight = 1 } },
    .ended = delete_ended,
};
