/* Images at providers.  One appears 'queued', from a manifest; its file is
 * uploaded into the spool, and from there the job provider.publish goes on.
 * Whatever breaks an upload, it can be begun again. */
#include "common/log.h"
#include "controller/providers.h"

#include <inttypes.h>
#include <stdio.h>

static struct published *op_published(struct op_call *c, struct account **ret)
{
    struct account *a = op_account(c);
    struct json_reader r = json_read(c->params, "provider image");
    const char *image = json_str(&r, "image", 1, PROVIDER_ID - 1);
    struct sc_err err;
    if (!a)
        return NULL;
    if (json_done(&r, &err) < 0) {
        op_fail(c, &err);
        return NULL;
    }
    struct published *p = ctl_published_find(c->ctl, a->id, image, "");
    if (!p)
        op_failf(c, -ENOENT, "provider '%s': no image '%s'", a->name, image);
    if (ret)
        *ret = a;
    return p;
}

void op_provider_images(struct op_call *c)
{
    const struct account *a = op_account(c);
    if (!a)
        return;
    cJSON *j = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(j, "images");
    for (size_t i = 0; i < c->ctl->published.n; i++) {
        const struct published *p = c->ctl->published.items[i];
        if (!strcmp(p->account, a->id))
            cJSON_AddItemToArray(list, ctl_published_json(p));
    }
    op_reply(c, 0, j);
}

/* --- create ------------------------------------------------------------------
 */

static int create_read(const struct account *a, const cJSON *params,
                       struct published *p, struct sc_err *err)
{
    static const char *const keys[] = { "id",           "name",    "region",
                                        "format",       "file",    "size",
                                        "virtual_size", "sha256",  "boot",
                                        "distro",       "options", NULL };
    struct json_reader r = json_read(params, "provider.image_create");
    int64_t max = INT64_C(1) << 44;
    OBJ_SET(p->name, json_str_or(&r, "name", OBJ_NAME - 1, ""));
    const char *region = json_str_or(&r, "region", OBJ_NAME - 1, "");
    OBJ_SET(p->format, json_str(&r, "format", 1, 15));
    OBJ_SET(p->file, json_str(&r, "file", 1, PROVIDER_ID - 1));
    p->size = (uint64_t)json_int(&r, "size", 1, max);
    p->virtual_size = (uint64_t)json_int(&r, "virtual_size", 1, max);
    OBJ_SET(p->sha256, json_str(&r, "sha256", 64, 64));
    OBJ_SET(p->boot, json_str_or(&r, "boot", 15, "bios"));
    OBJ_SET(p->distro, json_str_or(&r, "distro", OBJ_NAME - 1, ""));
    json_only(&r, keys);
    int e = json_done(&r, err);
    if (e == 0)
        e = account_region(a, region, p->region, err);
    if (e < 0)
        return e;
    if (strspn(p->sha256, "0123456789abcdef") != 64)
        return sc_fail(err, -EINVAL,
                       "provider.image_create: 'sha256': must be 64 lower-case "
                       "hex digits");
    if (!p->name[0])
        snprintf(p->name, sizeof p->name, "supercloud-%.32s%s%.8s", p->distro,
                 p->distro[0] ? "-" : "", p->sha256);
    if (!sc_name_ok(p->name))
        return sc_fail(err, -EINVAL,
                       "provider.image_create: 'name' '%s': is not a name",
                       p->name);
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(params, "options");
    if (options && !cJSON_IsObject(options))
        return sc_fail(err, -EINVAL,
                       "provider.image_create: 'options': must be an object");
    if (options && !(p->options = cJSON_Duplicate(options, true)))
        return sc_fail(err, -ENOMEM, "provider.image_create: out of memory");
    return 0;
}

static int check_format(struct ctl *ctl, const struct account *a,
                        const struct published *p, struct sc_err *err)
{
    const char *want = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(
        ctl_driver(ctl, a->driver), "image_format"));
    if (!want || !want[0] || !strcmp(want, p->format))
        return 0;
    return sc_fail(err, -EINVAL,
                   "provider '%s': takes images of format %s, this is %s; make "
                   "one with 'make image PROVIDER=%s'",
                   a->name, want, p->format, a->driver);
}

/* The record of an earlier attempt with the same bytes; or it is in the way. */
static int earlier(struct ctl *ctl, const struct account *a,
                   const struct published *p, struct published **ret,
                   struct sc_err *err)
{
    struct published *old = ctl_published_find(ctl, a->id, p->name, p->region);
    *ret = NULL;
    if (!old || strcmp(old->region, p->region) != 0)
        return 0;
    bool again =
        old->state == PUBLISHED_QUEUED || old->state == PUBLISHED_FAILED;
    if (!again)
        return sc_fail(err, -EEXIST,
                       "provider '%s': image '%s' is there already (%s)",
                       a->name, p->name, published_state_name(old->state));
    *ret = old;
    return 0;
}

static void create_next(struct provider_op *taken)
{
    SC_AUTO(provider_op_free) struct provider_op *q = taken;
    SC_AUTO(published_free) struct published *p = calloc(1, sizeof *p);
    struct ctl *ctl = q->c.ctl;
    struct published *old = NULL;
    struct sc_err err;
    const struct account *a = op_account(&q->c);
    if (!a)
        return;
    if (!p) {
        op_failf(&q->c, -ENOMEM, "provider: out of memory");
        return;
    }
    int r = create_read(a, q->params, p, &err);
    if (r == 0)
        r = check_format(ctl, a, p, &err);
    if (r == 0)
        r = earlier(ctl, a, p, &old, &err);
    if (r < 0) {
        op_fail(&q->c, &err);
        return;
    }
    struct ctl_txn *x = ctl_txn_begin(ctl);
    if (old)
        ctl_drop_published(ctl, x, old);
    sc_uuid_new(p->id);
    OBJ_SET(p->account, a->id);
    p->state = PUBLISHED_QUEUED;
    p->created_at = ctl_now(ctl);
    struct published *made = p;
    if (ctl_list_add(&ctl->published, made))
        (void)SC_TAKE(p);
    else
        ctl_txn_fail(x, sc_fail(&err, -ENOMEM, "out of memory"), &err);
    ctl_put_published(x, made);
    if (ctl_txn_commit(x, &err) < 0)
        op_fail(&q->c, &err);
    else
        op_reply(&q->c, 201, ctl_published_json(made));
}

void op_provider_image_create(struct op_call *c)
{
    struct provider_op *q = provider_op_new(c);
    if (q)
        provider_op_with_drivers(q, create_next);
}

/* --- upload ------------------------------------------------------------------
 */

static bool put(struct op_call *c, const struct published *p)
{
    struct sc_err err;
    struct ctl_txn *x = ctl_txn_begin(c->ctl);
    ctl_put_published(x, p);
    if (ctl_txn_commit(x, &err) == 0)
        return true;
    op_fail(c, &err);
    return false;
}

void op_provider_image_upload_begin(struct op_call *c)
{
    struct published *p = op_published(c, NULL);
    if (!p)
        return;
    if (p->state != PUBLISHED_QUEUED) {
        op_failf(c, -EBUSY, "image '%s': is %s, not queued", p->name,
                 published_state_name(p->state));
        return;
    }
    published_move(p, PUBLISHED_UPLOADING);
    p->error[0] = '\0';
    p->received = 0;
    if (put(c, p))
        op_reply(c, 0, ctl_published_json(p));
}

void op_provider_image_upload_progress(struct op_call *c)
{
    struct published *p = op_published(c, NULL);
    if (!p)
        return;
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(c->params, "received");
    p->received =
        cJSON_IsNumber(n) && n->valuedouble > 0 ? (uint64_t)n->valuedouble : 0;
    SC_AUTO(cjson_free) cJSON *j = ctl_published_json(p);
    c->ctl->env.changed(c->ctl->env.ctx, "provider-image", p->id, j);
    op_reply(c, 0, NULL);
}

void op_provider_image_upload_abort(struct op_call *c)
{
    struct published *p = op_published(c, NULL);
    if (!p)
        return;
    if (p->state != PUBLISHED_UPLOADING) {
        op_failf(c, -EBUSY, "image '%s': is %s", p->name,
                 published_state_name(p->state));
        return;
    }
    const char *reason = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(c->params, "reason"));
    published_move(p, PUBLISHED_QUEUED);
    OBJ_SET(p->error, reason ? reason : "aborted");
    p->received = 0;
    if (put(c, p))
        op_reply(c, 0, NULL);
}

/* The spool's own file name is swept when the console starts; from now on it is
 * the job's. */
static int take_file(struct ctl *ctl, struct published *p, const char *path,
                     struct sc_err *err)
{
    snprintf(p->path, sizeof p->path, "%s/publish-%s.image", ctl->spool_dir,
             p->id);
    if (rename(path, p->path) == 0)
        return 0;
    int code = -errno;
    p->path[0] = '\0';
    return sc_fail(err, code, "image '%s': taking over %s: %s", p->name, path,
                   strerror(-code));
}

void op_provider_image_upload(struct op_call *c)
{
    struct ctl *ctl = c->ctl;
    struct account *a;
    struct sc_err err;
    struct published *p = op_published(c, &a);
    if (!p)
        return;
    struct json_reader r = json_read(c->params, "provider.image_upload");
    const char *path = json_str(&r, "path", 1, sizeof p->path - 1);
    const char *sha256 = json_str(&r, "sha256", 64, 64);
    int e = json_done(&r, &err);
    if (e == 0 && p->state != PUBLISHED_UPLOADING)
        e = sc_fail(&err, -EBUSY, "image '%s': is %s", p->name,
                    published_state_name(p->state));
    if (e == 0 && strcmp(sha256, p->sha256) != 0)
        e = sc_fail(&err, -EBADMSG,
                    "image '%s': has the digest %s, what was uploaded %s",
                    p->name, p->sha256, sha256);
    if (e == 0)
        e = take_file(ctl, p, path, &err);
    if (e < 0) {
        if (p->state == PUBLISHED_UPLOADING) {
            published_move(p, PUBLISHED_QUEUED);
            OBJ_SET(p->error, err.text);
            struct ctl_txn *x = ctl_txn_begin(ctl);
            ctl_put_published(x, p);
            ctl_txn_commit(x, NULL);
        }
        op_fail(c, &err);
        return;
    }
    cJSON *data = cJSON_CreateObject();
    cJSON_AddStringToObject(data, "provider", a->id);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    struct job *job =
        job_add(ctl, x, &provider_publish_job, p->id, p->name, data);
    published_move(p, PUBLISHED_PUBLISHING);
    p->received = p->size;
    OBJ_SET(p->job, job ? job->id : "");
    OBJ_SET(p->token, p->job);
    ctl_put_published(x, p);
    if (ctl_txn_commit(x, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    op_reply(c, 202, ctl_published_json(p));
    job_go(ctl, job);
}

/* --- delete ------------------------------------------------------------------
 */

void op_provider_image_delete(struct op_call *c)
{
    struct ctl *ctl = c->ctl;
    struct account *a;
    struct published *p = op_published(c, &a);
    if (!p)
        return;
    if (!published_state_may(p->state, PUBLISHED_DELETING) ||
        p->state == PUBLISHED_DELETING) {
        op_failf(c, -EBUSY, "image '%s': is %s", p->name,
                 published_state_name(p->state));
        return;
    }
    cJSON *data = cJSON_CreateObject();
    cJSON_AddStringToObject(data, "provider", a->id);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    struct job *job =
        job_add(ctl, x, &provider_image_delete_job, p->id, p->name, data);
    published_move(p, PUBLISHED_DELETING);
    OBJ_SET(p->job, job ? job->id : "");
    ctl_put_published(x, p);
    op_begin_job(c, x, job);
}
