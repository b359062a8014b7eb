/* Images.  One appears 'queued', is filled by one upload, and is then read-only
 * for ever.  An upload that fails in any way removes it: nobody meets half an
 * image. */
#include "common/log.h"
#include "controller/authority.h"
#include "controller/jobs.h"
#include "controller/ops.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IMPORT_EPOCH = 1, IMPORT_TIMEOUT_MS = 3600000 };

static struct image *op_image(struct op_call *c)
{
    struct json_reader r = json_read(c->params, "image");
    const char *id = json_str(&r, "id", 1, OBJ_NAME);
    struct sc_err err;
    if (json_done(&r, &err) < 0) {
        op_fail(c, &err);
        return NULL;
    }
    struct image *image = ctl_image_find(c->ctl, id);
    if (!image)
        op_failf(c, -ENOENT, "image '%s': not found", id);
    return image;
}

void op_image_list(struct op_call *c)
{
    cJSON *j = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(j, "images");
    for (size_t i = 0; i < c->ctl->images.n; i++)
        cJSON_AddItemToArray(list,
                             ctl_image_json(c->ctl, c->ctl->images.items[i]));
    op_reply(c, 0, j);
}

void op_image_show(struct op_call *c)
{
    const struct image *image = op_image(c);
    if (image)
        op_reply(c, 0, ctl_image_json(c->ctl, image));
}

static bool digest_ok(const char *hex)
{
    return strlen(hex) == 64 && strspn(hex, "0123456789abcdef") == 64;
}

/* The image that boots with this one, by id or name, "" for none. */
static int boot_part(struct ctl *ctl, const char *wanted, const char *kind,
                     char ret[OBJ_ID], struct sc_err *err)
{
    if (!wanted[0])
        return 0;
    const struct image *part = ctl_image_find(ctl, wanted);
    if (!part)
        return sc_fail(err, -ENOENT, "%s image '%s': not found", kind, wanted);
    if (strcmp(part->kind, kind) != 0)
        return sc_fail(err, -EINVAL, "image '%s': is a %s, not a %s",
                       part->name, part->kind, kind);
    obj_copy(ret, OBJ_ID, part->id);
    return 0;
}

static int create_read(struct ctl *ctl, const cJSON *params, struct image *i,
                       struct sc_err *err)
{
    static const char *const keys[] = { "name",    "kind",           "size",
                                        "sha256",  "kernel",         "ramdisk",
                                        "cmdline", "min_memory_mib", NULL };
    struct json_reader r = json_read(params, "image.create");
    OBJ_SET(i->name, json_str(&r, "name", 1, OBJ_NAME - 1));
    OBJ_SET(i->kind, json_str_or(&r, "kind", 15, "disk"));
    i->size = (uint64_t)json_int(&r, "size", 1, INT64_C(1) << 44);
    OBJ_SET(i->sha256, json_str_or(&r, "sha256", 64, ""));
    const char *kernel = json_str_or(&r, "kernel", OBJ_NAME, "");
    const char *ramdisk = json_str_or(&r, "ramdisk", OBJ_NAME, "");
    OBJ_SET(i->cmdline, json_str_or(&r, "cmdline", OBJ_CMDLINE - 1, ""));
    i->min_memory_mib =
        (uint64_t)json_int_or(&r, "min_memory_mib", 0, 1 << 22, 0);
    json_only(&r, keys);
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    if (!sc_name_ok(i->name))
        return sc_fail(err, -EINVAL,
                       "image.create: 'name' '%s': must be 1 to 63 of a-z A-Z "
                       "0-9 . _ -, the first a letter or digit",
                       i->name);
    if (strcmp(i->kind, "disk") != 0 && strcmp(i->kind, "kernel") != 0 &&
        strcmp(i->kind, "ramdisk") != 0)
        return sc_fail(err, -EINVAL,
                       "image.create: 'kind' '%s': must be disk, kernel or "
                       "ramdisk",
                       i->kind);
    if (i->sha256[0] && !digest_ok(i->sha256))
        return sc_fail(err, -EINVAL,
                       "image.create: 'sha256': must be 64 lower-case hex "
                       "digits");
    if (ctl_image_find(ctl, i->name))
        return sc_fail(err, -EEXIST, "image '%s': exists already", i->name);
    e = boot_part(ctl, kernel, "kernel", i->kernel, err);
    return e < 0 ? e : boot_part(ctl, ramdisk, "ramdisk", i->ramdisk, err);
}

void op_image_create(struct op_call *c)
{
    struct sc_err err;
    SC_AUTO(free) struct image *image = calloc(1, sizeof *image);
    if (!image) {
        op_failf(c, -ENOMEM, "image.create: out of memory");
        return;
    }
    if (create_read(c->ctl, c->params, image, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    sc_uuid_new(image->id);
    image->state = IMAGE_QUEUED;
    image->created_at = ctl_now(c->ctl);
    if (!ctl_list_add(&c->ctl->images, image)) {
        op_failf(c, -ENOMEM, "image.create: out of memory");
        return;
    }
    struct image *made = SC_TAKE(image);
    struct ctl_txn *x = ctl_txn_begin(c->ctl);
    ctl_put_image(x, made);
    if (ctl_txn_commit(x, &err) < 0)
        op_fail(c, &err);
    else
        op_reply(c, 201, ctl_image_json(c->ctl, made));
}

/* --- upload
 * ------------------------------------------------------------------- */

void op_image_upload_begin(struct op_call *c)
{
    struct sc_err err;
    struct image *image = op_image(c);
    if (!image)
        return;
    if (image->state != IMAGE_QUEUED) {
        op_failf(c, -EBUSY, "image '%s': is %s, not queued", image->name,
                 image_state_name(image->state));
        return;
    }
    image->state = IMAGE_UPLOADING;
    struct ctl_txn *x = ctl_txn_begin(c->ctl);
    ctl_put_image(x, image);
    if (ctl_txn_commit(x, &err) < 0)
        op_fail(c, &err);
    else
        op_reply(c, 0, ctl_image_json(c->ctl, image));
}

void op_image_upload_progress(struct op_call *c)
{
    struct image *image = op_image(c);
    if (!image)
        return;
    cJSON *j = ctl_image_json(c->ctl, image);
    const cJSON *received =
        cJSON_GetObjectItemCaseSensitive(c->params, "received");
    if (cJSON_IsNumber(received))
        cJSON_AddNumberToObject(j, "received", received->valuedouble);
    c->ctl->env.changed(c->ctl->env.ctx, "image", image->id, j);
    cJSON_Delete(j);
    op_reply(c, 0, NULL);
}

static void drop(struct ctl *ctl, struct image *image, const char *reason)
{
    sc_log(SC_LOG_WARN, "image.dropped", "image", image->name, "reason", reason,
           NULL);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_image_drop(ctl, x, image);
    ctl_txn_commit(x, NULL);
}

void op_image_upload_abort(struct op_call *c)
{
    struct image *image = op_image(c);
    if (!image)
        return;
    if (image->state != IMAGE_UPLOADING) {
        op_failf(c, -EBUSY, "image '%s': is %s", image->name,
                 image_state_name(image->state));
        return;
    }
    const cJSON *reason = cJSON_GetObjectItemCaseSensitive(c->params, "reason");
    drop(c->ctl, image,
         cJSON_IsString(reason) ? reason->valuestring : "aborted");
    op_reply(c, 0, NULL);
}

struct import {
    struct op_call call;
    char id[OBJ_ID];
    char sha256[65];
    char path[4096];
};

static void import_answer(void *arg, const cJSON *result,
                          const struct sc_err *err)
{
    SC_AUTO(free) struct import *m = arg;
    struct ctl *ctl = m->call.ctl;
    struct sc_err failed = *err;
    (void)result;
    struct image *image = ctl_image_find(ctl, m->id);
    if (!image) {
        op_failf(&m->call, -ENOENT, "image '%s': was removed", m->id);
        return;
    }
    if (!failed.code) {
        struct ctl_txn *x = ctl_txn_begin(ctl);
        struct store_txn *t = ctl_txn_store(x);
        int r = t ? authority_seal(t, image->id, &failed) : -EIO;
        if (r < 0) {
            ctl_txn_fail(x, r, &failed);
        } else {
            image->state = IMAGE_ACTIVE;
            OBJ_SET(image->sha256, m->sha256);
            ctl_put_image(x, image);
        }
        ctl_txn_commit(x, &failed);
    }
    if (failed.code) {
        drop(ctl, image, failed.text);
        op_fail(&m->call, &failed);
        return;
    }
    (void)!unlink(m->path); /* If sc-storage copied instead of moving it. */
    op_reply(&m->call, 0, ctl_image_json(ctl, image));
}

/* The spool file lies on the controller's machine. */
static uint16_t import_node(struct ctl *ctl)
{
    if (ctl->own_nid)
        return ctl_connected(ctl, ctl->own_nid, PROGRAM_STORAGE) ? ctl->own_nid
                                                                 : 0;
    for (size_t i = 0; i < ctl->nodes.n; i++) {
        if (ctl->nodes.items[i]->connected[PROGRAM_STORAGE])
            return ctl->nodes.items[i]->n.nid;
    }
    return 0;
}

static int import_read(struct op_call *c, const struct image *image,
                       struct import *m, struct sc_err *err)
{
    struct json_reader r = json_read(c->params, "image.upload");
    OBJ_SET(m->path, json_str(&r, "path", 1, sizeof m->path - 1));
    int64_t size = json_int(&r, "size", 0, INT64_C(1) << 44);
    OBJ_SET(m->sha256, json_str(&r, "sha256", 64, 64));
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    if ((uint64_t)size != image->size)
        return sc_fail(err, -EINVAL,
                       "image '%s': has %" PRIu64 " bytes, %" PRId64
                       " were uploaded",
                       image->name, image->size, size);
    if (image->sha256[0] && strcmp(image->sha256, m->sha256) != 0)
        return sc_fail(err, -EINVAL,
                       "image '%s': has the digest %s, what was uploaded %s",
                       image->name, image->sha256, m->sha256);
    OBJ_SET(m->id, image->id);
    return 0;
}

static int import_allow(struct ctl *ctl, const struct image *image,
                        uint16_t nid, struct sc_err *err)
{
    struct ctl_txn *x = ctl_txn_begin(ctl);
    struct store_txn *t = ctl_txn_store(x);
    struct sc_err e;
    int r = t ? authority_create(t, image->id, image->size, "", &e) : 0;
    if (t && r == 0)
        r = authority_allow(t, image->id, IMPORT_EPOCH, nid, &e);
    ctl_txn_fail(x, r, &e);
    return ctl_txn_commit(x, err);
}

void op_image_upload(struct op_call *c)
{
    struct sc_err err;
    struct image *image = op_image(c);
    if (!image)
        return;
    if (image->state != IMAGE_UPLOADING) {
        op_failf(c, -EBUSY, "image '%s': is %s", image->name,
                 image_state_name(image->state));
        return;
    }
    SC_AUTO(free) struct import *m = calloc(1, sizeof *m);
    uint16_t nid = import_node(c->ctl);
    if (!m) {
        op_failf(c, -ENOMEM, "image.upload: out of memory");
        return;
    }
    int r = import_read(c, image, m, &err);
    if (r == 0 && !nid)
        r = sc_fail(&err, -EHOSTUNREACH,
                    "image '%s': sc-storage of the controller's machine is "
                    "not connected",
                    image->name);
    if (r == 0)
        r = import_allow(c->ctl, image, nid, &err);
    if (r < 0) {
        drop(c->ctl, image, err.text);
        op_fail(c, &err);
        return;
    }
    /* sc-storage is another user of our group.  If this fails, so will it, and
     * say why. */
    (void)!chmod(m->path, 0640);
    m->call = *c;
    m->call.who = NULL;
    m->call.params = NULL;
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "volume_id", image->id);
    cJSON_AddStringToObject(p, "path", m->path);
    json_set_u64(p, "size", image->size);
    cJSON_AddStringToObject(p, "sha256", m->sha256);
    c->ctl->env.call(c->ctl->env.ctx, nid, PROGRAM_STORAGE, "volume.import", p,
                     IMPORT_TIMEOUT_MS, import_answer, m);
    (void)SC_TAKE(m);
}

/* --- delete
 * -------------------------------------------------------------------- */

static int in_use(struct ctl *ctl, const struct image *image,
                  struct sc_err *err)
{
    for (size_t i = 0; i < ctl->vms.n; i++) {
        const struct vm *v = ctl->vms.items[i];
        if (!strcmp(v->image, image->id) || !strcmp(v->kernel, image->id) ||
            !strcmp(v->ramdisk, image->id))
            return sc_fail(err, -EBUSY, "image '%s': vm '%s' uses it",
                           image->name, v->name);
    }
    for (size_t i = 0; i < ctl->images.n; i++) {
        const struct image *other = ctl->images.items[i];
        if (!strcmp(other->kernel, image->id) ||
            !strcmp(other->ramdisk, image->id))
            return sc_fail(err, -EBUSY, "image '%s': image '%s' uses it",
                           image->name, other->name);
    }
    return 0;
}

void op_image_delete(struct op_call *c)
{
    struct sc_err err;
    struct image *image = op_image(c);
    if (!image)
        return;
    if (image->state == IMAGE_UPLOADING || image->state == IMAGE_DELETING) {
        op_failf(c, -EBUSY, "image '%s': is %s", image->name,
                 image_state_name(image->state));
        return;
    }
    if (in_use(c->ctl, image, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    image->state = IMAGE_DELETING;
    struct ctl_txn *x = ctl_txn_begin(c->ctl);
    struct job *job =
        job_add(c->ctl, x, &image_delete_job, image->id, image->name, NULL);
    ctl_put_image(x, image);
    op_begin_job(c, x, job);
}
