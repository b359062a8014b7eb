/* p_azure_image - see p_azure.h: an image from the VHD that images/build made.
 *
 * checksum; a disk of createOption Upload; its pages; the image from the disk;
 * the disk's removal.  The state saved is {"disk", "next"}: the first byte not
 * yet written.  A repeated call finds what is there: the image of this name
 * and checksum is the result, one that failed is removed first. */
#include "provider/p_azure.h"

#include "provider/image_file.h"

struct publish {
    struct p_azure *p;
    const struct provider_publish *q;
    char disk[96], location[64];
    uint64_t next;
    size_t piece;
    bool made_disk, made_image, whole;
};

static void save(void *arg, uint64_t next)
{
    struct publish *s = arg;
    s->next = next;
    SC_AUTO(cjson_free)
    cJSON *state = rest_json("{'disk':%s,'next':%u}", s->disk, next);
    if (state)
        provider_save(&s->p->up, state);
}

/* Waits while 'name' is being made.  '*ret_state': "" (not there), "Succeeded",
 * "Failed". */
static int settled(struct publish *s, enum azure_kind kind, const char *name,
                   struct rest_answer *ret, char ret_state[32],
                   struct sc_err *err)
{
    for (;;) {
        bool found;
        int r = azure_get(s->p, kind, name, ret, &found, err);
        *ret_state = '\0';
        if (r < 0 || !found)
            return r;
        snprintf(ret_state, 32, "%s",
                 rest_str(ret->json, "properties.provisioningState"));
        if (!strcmp(ret_state, "Succeeded") || !strcmp(ret_state, "Failed") ||
            !strcmp(ret_state, "Canceled"))
            return 0;
        rest_answer_clear(ret);
        r = web_pause(s->p->web, 1000, err);
        if (r < 0)
            return r;
    }
}

static int find_image(struct publish *s, bool *ret_found, struct sc_err *err)
{
    struct rest_answer a = { 0 };
    char state[32];
    int r = settled(s, AZURE_IMAGE, s->q->name, &a, state, err);
    bool same = !strcmp(rest_str(a.json, "tags." AZURE_SHA),
                        s->q->sha256 ? s->q->sha256 : "");
    rest_answer_clear(&a);
    *ret_found = r == 0 && !strcmp(state, "Succeeded");
    if (r < 0 || !*state)
        return r;
    if (!same)
        return sc_fail(err, -EEXIST,
                       "azure: image '%s': there is one of this name with "
                       "other content: take another name, or remove it",
                       s->q->name);
    return *ret_found ? 0
                      : azure_remove_one(s->p, AZURE_IMAGE, s->q->name, err);
}

static cJSON *disk_body(const struct publish *s, uint64_t size)
{
    return rest_json(
        "{'location':%s,'tags':%j,'sku':{'name':'Standard_LRS'},"
        "'properties':{'osType':'Linux','hyperVGeneration':%s,"
        "'creationData':{'createOption':'Upload','uploadSizeBytes':%u}}}",
        s->location, azure_tags(&s->q->tags),
        s->q->boot && !strcmp(s->q->boot, "uefi") ? "V2" : "V1", size);
}

/* A disk that pages can be written to; an older one of ours if it can. */
static int find_disk(struct publish *s, uint64_t size, struct sc_err *err)
{
    struct rest_answer a = { 0 };
    char state[32];
    int r = settled(s, AZURE_DISK, s->disk, &a, state, err);
    if (r < 0)
        return r;
    const char *upload = rest_str(a.json, "properties.diskState");
    bool ours =
        !strcmp(rest_str(a.json, "tags." AZURE_CLUSTER), s->q->tags.cluster);
    bool usable =
        azure_has_tags(a.json, &s->q->tags) && !strcmp(state, "Succeeded") &&
        (uint64_t)rest_num(a.json, "properties.creationData.uploadSizeBytes") ==
            size;
    bool open =
        !strcmp(upload, "ReadyToUpload") || !strcmp(upload, "ActiveUpload");
    s->whole = usable && !strcmp(upload, "Unattached") && s->next == size;
    rest_answer_clear(&a);
    if (*state && !ours)
        return sc_fail(err, -EEXIST,
                       "azure: disk '%s': there is one of this name, not of "
                       "ours: take another name for the image",
                       s->disk);
    s->made_disk = true;
    if (s->whole || (usable && open))
        return 0;
    s->next = 0;
    if (*state)
        r = azure_remove_one(s->p, AZURE_DISK, s->disk, err);
    provider_progress(&s->p->up, "disk", 0, 0);
    if (r == 0)
        r = azure_do(s->p, "PUT", AZURE_DISK, s->disk, "", "",
                     disk_body(s, size), false, NULL, err);
    if (r == 0)
        save(s, 0);
    return r;
}

static int make_disk(struct publish *s, struct sc_err *err)
{
    struct image_file f;
    int r = image_file_open(s->q->file, &f, err);
    if (r == 0)
        r = azure_vhd_check(&f, err);
    if (r == 0)
        r = image_file_check(&f, &s->p->up, s->q->sha256, NULL, err);
    if (r == 0)
        r = find_disk(s, f.size, err);
    if (r == 0 && s->next >= f.size) /* Written, but its access not ended. */
        s->next = f.size / s->piece * s->piece;
    if (r == 0 && s->next == f.size)
        s->next = 0;
    if (r == 0 && !s->whole)
        r = azure_upload(s->p, s->disk, &f, s->next, s->piece, save, s, err);
    image_file_close(&f);
    return r;
}

static int make_image(struct publish *s, struct sc_err *err)
{
    char id[AZURE_URL_MAX];
    azure_id(s->p, AZURE_DISK, s->disk, id);
    cJSON *tags = azure_tags(&s->q->tags);
    if (tags)
        cJSON_AddStringToObject(tags, AZURE_SHA,
                                s->q->sha256 ? s->q->sha256 : "");
    provider_progress(&s->p->up, "register", 0, 0);
    s->made_image = true;
    return azure_do(
        s->p, "PUT", AZURE_IMAGE, s->q->name, "", "",
        rest_json("{'location':%s,'tags':%j,'properties':{"
                  "'hyperVGeneration':%s,'storageProfile':{'osDisk':{"
                  "'osType':'Linux','osState':'Generalized',"
                  "'managedDisk':{'id':%s}}}}}",
                  s->location, tags,
                  s->q->boot && !strcmp(s->q->boot, "uefi") ? "V2" : "V1", id),
        false, NULL, err);
}

static void undo(struct publish *s)
{
    web_undoing(s->p->web, true);
    provider_progress(&s->p->up, "undo", 0, 0);
    if (s->made_image)
        (void)!azure_remove_one(s->p, AZURE_IMAGE, s->q->name, NULL);
    if (s->made_disk) {
        /* A disk with a signed URL out cannot be removed. */
        (void)!azure_do(s->p, "POST", AZURE_DISK, s->disk, "/endGetAccess", "",
                        NULL, true, NULL, NULL);
        (void)!azure_remove_one(s->p, AZURE_DISK, s->disk, NULL);
    }
    web_undoing(s->p->web, false);
}

static int prepare(struct publish *s, struct sc_err *err)
{
    const struct provider_publish *q = s->q;
    struct json_reader o = json_read(q->options, "options");
    int64_t kib =
        q->options ? json_int_or(&o, "piece_kib", 4, 4096, 4096) : 4096;
    if (q->options && json_done(&o, err) < 0)
        return -EINVAL;
    s->piece = (size_t)kib << 10;
    if (!azure_name_ok(q->name))
        return sc_fail(err, -EINVAL,
                       "azure: image name '%s': must be 1 to 64 letters, "
                       "digits or '-', and neither begin nor end with '-'",
                       q->name);
    snprintf(s->disk, sizeof s->disk, "%s-upload", q->name);
    if (!strcmp(rest_str(q->resume, "disk"), s->disk))
        s->next = (uint64_t)rest_num(q->resume, "next");
    if (s->next % 512)
        s->next = 0;
    return azure_location(s->p, q->region, s->location, err);
}

static int publish(struct publish *s, struct sc_err *err)
{
    bool found;
    int r = find_image(s, &found, err);
    if (r == 0 && !found) {
        r = make_disk(s, err);
        if (r == 0)
            r = make_image(s, err);
    }
    if (r < 0 && web_for_good(r))
        undo(s);
    if (r == 0) {
        /* The image is there; a disk that stays is for gc to find. */
        web_undoing(s->p->web, true);
        (void)!azure_remove_one(s->p, AZURE_DISK, s->disk, NULL);
        web_undoing(s->p->web, false);
    }
    return r;
}

int azure_publish(struct provider *up, const struct provider_publish *q,
                  struct provider_image *ret, struct sc_err *err)
{
    struct publish s = { .p = (struct p_azure *)up, .q = q };
    char id[AZURE_URL_MAX];
    int r = prepare(&s, err);
    if (r == 0)
        r = publish(&s, err);
    if (r < 0)
        return r;
    azure_id(s.p, AZURE_IMAGE, q->name, id);
    struct provider_image image = { .id = strdup(id),
                                    .name = strdup(q->name),
                                    .region = strdup(s.location) };
    if (!image.id || !image.name || !image.region) {
        provider_image_clear(&image);
        return sc_fail(err, -ENOMEM, "azure: out of memory");
    }
    *ret = image;
    return 0;
}
