/* p_gce_image - see p_gce.h: an image from the tar.gz that images/build made.
 *
 * checksum, upload to the bucket, images.insert, the object's removal.  The
 * state saved is {"session", "object"} (the upload goes on) and then
 * {"object", "inserted"}.  A repeated call finds what is there: the image of
 * this name and checksum is the result, one that failed is removed first. */
#include "provider/p_gce.h"

enum { PIECE_KIB = 32768, UNIT_KIB = 256 };

struct publish {
    struct p_gce *p;
    const struct provider_publish *q;
    char what[GCE_WHAT_MAX];
    char object[256], sha[GCE_SHA_LEN + 1], region[64];
    struct gce_upload upload; /* The session in it is ours. */
    bool made_object, made_image, inserted;
};

static void save(void *arg)
{
    struct publish *s = arg;
    SC_AUTO(cjson_free)
    cJSON *state = s->upload.session ? rest_json("{'object':%s,'session':%s}",
                                                 s->object, s->upload.session)
                                     : rest_json("{'object':%s,'inserted':%b}",
                                                 s->object, (int)s->inserted);
    if (state)
        provider_save(&s->p->up, state);
}

enum found { FOUND_NONE, FOUND_OURS, FOUND_FAILED };

/* Waits while an image of the name is being made. */
static int find_image(struct publish *s, enum found *ret, struct sc_err *err)
{
    struct p_gce *p = s->p;
    for (;;) {
        struct rest_answer a = { 0 };
        int r = gce_call(p, "GET", NULL, &a, err, s->what, "/global/images/%s",
                         s->q->name);
        const char *status = rest_str(a.json, "status");
        bool same = !strcmp(rest_str(a.json, "labels." GCE_SHA), s->sha);
        bool pending = !strcmp(status, "PENDING");
        *ret = r == -ENOENT                ? FOUND_NONE
               : !strcmp(status, "FAILED") ? FOUND_FAILED
                                           : FOUND_OURS;
        rest_answer_clear(&a);
        if (r < 0)
            return rest_absent_ok(r, err);
        if (!same)
            return sc_fail(err, -EEXIST,
                           "gce: %s: there is one of this name with other "
                           "content: take another name, or remove it",
                           s->what);
        if (!pending)
            return 0;
        provider_progress(&p->up, "register", 0, 0);
        r = web_pause(p->web, 1000, err);
        if (r < 0)
            return r;
    }
}

static int remove_image(struct publish *s, struct sc_err *err)
{
    return gce_do(s->p, "DELETE", NULL, true, err, s->what, "/global/images/%s",
                  s->q->name);
}

static cJSON *image_body(const struct publish *s)
{
    const struct provider_publish *q = s->q;
    SC_AUTO(free) char *source = NULL;
    if (asprintf(&source, "https://storage.googleapis.com/%s/%s", s->p->bucket,
                 s->object) < 0) {
        source = NULL;
        return NULL;
    }
    cJSON *features = rest_json("[{'type':'VIRTIO_SCSI_MULTIQUEUE'},"
                                "{'type':'GVNIC'}]");
    /* With it machines start by UEFI, so only where the image can. */
    if (features && q->boot && !strcmp(q->boot, "uefi"))
        cJSON_AddItemToArray(features, rest_json("{'type':'UEFI_COMPATIBLE'}"));
    cJSON *labels = gce_labels(&q->tags);
    if (labels)
        cJSON_AddStringToObject(labels, GCE_SHA, s->sha);
    return rest_json("{'name':%s,'description':%s,'labels':%j,"
                     "'rawDisk':{'source':%s,'containerType':'TAR'},"
                     "'guestOsFeatures':%j,'storageLocations':[%s],"
                     "'architecture':'X86_64'}",
                     q->name, "Supercloud appliance", labels, source, features,
                     s->region);
}

static int insert(struct publish *s, struct sc_err *err)
{
    char id[37], seed[512];
    snprintf(seed, sizeof seed, "%s/%s/%s/%llu", s->q->tags.token, s->q->name,
             s->sha, (unsigned long long)rest_now());
    rest_uuid_of(seed, id);
    provider_progress(&s->p->up, "register", 0, 0);
    s->made_image = true; /* From now on one may be there. */
    int r = gce_do(s->p, "POST", image_body(s), false, err, s->what,
                   "/global/images?requestId=%s", id);
    if (r == -EEXIST) { /* An earlier try of ours, or another's. */
        enum found found;
        s->made_image = false;
        if (err)
            *err = (struct sc_err){ 0 };
        r = find_image(s, &found, err);
        if (r == 0 && found != FOUND_OURS)
            r = sc_fail(err, -EIO, "gce: %s: the import failed", s->what);
    }
    return r;
}

static int make_image(struct publish *s, struct sc_err *err)
{
    int r = 0;
    if (!s->inserted) {
        s->made_object = true;
        r = gce_upload(s->p, &s->upload, save, s, err);
    }
    if (r == 0) {
        free(SC_TAKE(s->upload.session));
        s->inserted = true; /* At least: the object is whole. */
        save(s);
        r = insert(s, err);
    }
    return r;
}

static void undo(struct publish *s)
{
    web_undoing(s->p->web, true);
    provider_progress(&s->p->up, "undo", 0, 0);
    if (s->made_image)
        (void)!remove_image(s, NULL);
    if (s->upload.session)
        gce_upload_forget(s->p, s->upload.session);
    if (s->made_object)
        (void)!gce_object_remove(s->p, s->object, NULL);
    web_undoing(s->p->web, false);
}

static int prepare(struct publish *s, struct sc_err *err)
{
    const struct provider_publish *q = s->q;
    struct json_reader o = json_read(q->options, "options");
    int64_t kib =
        q->options ? json_int_or(&o, "piece_kib", UNIT_KIB, 1 << 20, PIECE_KIB)
                   : PIECE_KIB;
    if (q->options && json_done(&o, err) < 0)
        return -EINVAL;
    if (kib % UNIT_KIB)
        return sc_fail(err, -EINVAL,
                       "options: 'piece_kib' is %d; it must be a multiple of "
                       "%d",
                       (int)kib, UNIT_KIB);
    if (!gce_name_ok(q->name))
        return sc_fail(err, -EINVAL,
                       "gce: image name '%s': must be 1 to 63 of a-z, 0-9 and "
                       "'-', begin with a letter and not end with '-'",
                       q->name);
    if (!s->p->bucket)
        return sc_fail(err, -EINVAL,
                       "gce: bucket: the settings name none; an image is "
                       "uploaded through one (gsutil mb -l REGION gs://NAME)");
    snprintf(s->what, sizeof s->what, "image '%s'", q->name);
    snprintf(s->sha, sizeof s->sha, "%.*s", GCE_SHA_LEN,
             q->sha256 ? q->sha256 : "");
    snprintf(s->object, sizeof s->object, "supercloud/%s/%s-%.8s.tar.gz",
             q->tags.cluster, q->name, s->sha);
    s->upload = (struct gce_upload){ .file = q->file,
                                     .object = s->object,
                                     .sha256 = q->sha256,
                                     .tags = &q->tags,
                                     .piece = (uint64_t)kib << 10 };
    if (!strcmp(rest_str(q->resume, "object"), s->object)) {
        const char *session = rest_str(q->resume, "session");
        if (*session && !(s->upload.session = strdup(session)))
            return sc_fail(err, -ENOMEM, "gce: out of memory");
        s->inserted = cJSON_IsTrue(rest_at(q->resume, "inserted"));
    }
    return gce_region(s->p, q->region, s->region, err);
}

static int publish(struct publish *s, struct sc_err *err)
{
    enum found found;
    int r = find_image(s, &found, err);
    if (r == 0 && found == FOUND_FAILED) {
        r = remove_image(s, err);
        found = FOUND_NONE;
    }
    if (r == 0 && found == FOUND_NONE)
        r = make_image(s, err);
    if (r < 0 && web_for_good(r)) {
        undo(s);
    } else if (r == 0) {
        /* The image is there; an object that stays is for gc to find. */
        web_undoing(s->p->web, true);
        (void)!gce_object_remove(s->p, s->object, NULL);
        web_undoing(s->p->web, false);
    }
    return r;
}

int gce_publish(struct provider *up, const struct provider_publish *q,
                struct provider_image *ret, struct sc_err *err)
{
    struct publish s = { .p = (struct p_gce *)up, .q = q };
    int r = prepare(&s, err);
    if (r == 0)
        r = publish(&s, err);
    free(s.upload.session);
    if (r < 0)
        return r;
    struct provider_image image = { .name = strdup(q->name),
                                    .region = strdup(s.region) };
    if (asprintf(&image.id, "projects/%s/global/images/%s", s.p->project,
                 q->name) < 0)
        image.id = NULL;
    if (!image.id || !image.name || !image.region) {
        provider_image_clear(&image);
        return sc_fail(err, -ENOMEM, "gce: out of memory");
    }
    *ret = image;
    return 0;
}
