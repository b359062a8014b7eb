/* p_openstack_image - an image goes to Glance and is there for certain.
 *
 * By PUT /v2/images/ID/file, the one way every Glance has.  'glance-direct' (a
 * stage and an import) needs a staging store that many clouds do not have,
 * and cannot go on after a break either, so it would gain nothing.  A broken
 * upload is therefore deleted and made anew; and since Glance takes a body that
 * was cut for a whole one behind some servers, what it holds is compared by
 * size and checksum before the image counts as published. */
#include "provider/p_openstack.h"

#include "provider/digest.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { UPLOAD_TRIES = 3, GIB_SHIFT = 30 };

struct upload {
    struct openstack *o;
    const struct provider_publish *q;
    const char *region;
    int fd;
    uint64_t size;
    char digest_of[16];          /* The algorithm of 'digest'; "": none yet. */
    char digest[DIGEST_HEX_MAX]; /* Of the file. */
    char *found;                 /* An image that is as wanted. */
    char *broken;                /* One of ours that is not. */
};

static void upload_free(struct upload *u)
{
    if (u->fd >= 0)
        close(u->fd);
    free(u->found);
    free(u->broken);
}
static inline void upload_free_p(struct upload *u)
{
    upload_free(u);
}

/* Does the image 'i', as Glance tells it, hold the file?  0; -EIO: no. */
static int verify(struct upload *u, const cJSON *i, struct sc_err *err)
{
    const char *algorithm = os_str(i, "os_hash_algo");
    const char *value = os_str(i, "os_hash_value");
    if (!*algorithm || !*value) {
        algorithm = "md5";
        value = os_str(i, "checksum");
    }
    if ((uint64_t)os_num(i, "size") != u->size)
        return sc_fail(err, -EIO,
                       "%s: image: the cloud holds %.0f bytes of %llu",
                       u->o->up.class->name, os_num(i, "size"),
                       (unsigned long long)u->size);
    if (strcmp(u->digest_of, algorithm) != 0) {
        provider_progress(&u->o->up, "verify", 0, u->size);
        int r = digest_file(u->fd, algorithm, 0, u->size, u->digest, err);
        if (r < 0)
            return r;
        snprintf(u->digest_of, sizeof u->digest_of, "%s", algorithm);
    }
    provider_progress(&u->o->up, "verify", u->size, u->size);
    return strcasecmp(u->digest, value) == 0
               ? 0
               : sc_fail(err, -EIO,
                         "%s: image: the cloud's copy has another %s",
                         u->o->up.class->name, algorithm);
}

/* What there is of the name: see 'found' and 'broken'. */
static int look_at(void *arg, const cJSON *i)
{
    struct upload *u = arg;
    const char *status = os_str(i, "status"), *id = os_str(i, "id");
    bool active = !strcmp(status, "active");
    bool same = !strcmp(os_str(i, "supercloud_sha256"), u->q->sha256);
    if (active && same && !u->found && verify(u, i, NULL) == 0)
        return (u->found = strdup(id)) ? 0 : -ENOMEM;
    if (!active && strcmp(status, "killed") != 0 &&
        !os_has_tags(i, &u->q->tags))
        return 0; /* Another call is at it, or gc's. */
    if (active && !same && !os_has_tags(i, &u->q->tags))
        return -EEXIST;
    if (!u->found && !u->broken && (!active || os_has_tags(i, &u->q->tags)))
        return (u->broken = strdup(id)) ? 0 : -ENOMEM;
    return 0;
}

static int look(struct upload *u, struct sc_err *err)
{
    SC_AUTO(free) char *path = NULL;
    SC_AUTO(free) char *name = web_escape(u->q->name, false);
    if (!name ||
        asprintf(&path, "/images?name=%s&owner=%s&supercloud_cluster=%s", name,
                 u->o->project_id, u->q->tags.cluster) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    free(u->found);
    free(u->broken);
    u->found = u->broken = NULL;
    int r = os_list(u->o, u->region, "image", path, "images", look_at, u, err);
    return r == -EEXIST
               ? sc_fail(err, r,
                         "%s: image '%s': there is one with other contents; "
                         "remove it, or choose another name",
                         u->o->up.class->name, u->q->name)
           : r == -ENOMEM ? sc_fail(err, r, "out of memory")
                          : r;
}

static int find_image(void *arg, char **ret, struct sc_err *err)
{
    struct upload *u = arg;
    int r = look(u, err);
    if (r < 0)
        return r;
    if (!u->found && !u->broken)
        return -ENOENT;
    *ret = u->found ? SC_TAKE(u->found) : SC_TAKE(u->broken);
    return 0;
}

static cJSON *image_json(const struct upload *u)
{
    const struct provider_publish *q = u->q;
    cJSON *o = cJSON_CreateObject();
    const cJSON *p;
    cJSON_AddStringToObject(o, "name", q->name);
    cJSON_AddStringToObject(o, "disk_format",
                            q->format && *q->format ? q->format : "qcow2");
    cJSON_AddStringToObject(o, "container_format", "bare");
    cJSON_AddStringToObject(o, "visibility", "private");
    cJSON_AddNumberToObject(
        o, "min_disk",
        (double)((q->virtual_size + (1ULL << GIB_SHIFT) - 1) >> GIB_SHIFT));
    cJSON_AddStringToObject(o, "os_type", "linux");
    if (q->boot && !strcmp(q->boot, "uefi"))
        cJSON_AddStringToObject(o, "hw_firmware_type", "uefi");
    os_add_tags(o, &q->tags);
    cJSON_AddStringToObject(o, "supercloud_sha256", q->sha256);
    cJSON_ArrayForEach(p, cJSON_GetObjectItem(q->options, "properties"))
    {
        if (cJSON_IsString(p) && !cJSON_HasObjectItem(o, p->string))
            cJSON_AddStringToObject(o, p->string, p->valuestring);
    }
    return o;
}

static long read_file(void *arg, uint64_t at, void *buf, size_t size)
{
    struct upload *u = arg;
    if (provider_cancelled(&u->o->up))
        return -ECANCELED;
    ssize_t n = pread(u->fd, buf, size, (off_t)at);
    if (n > 0)
        provider_progress(&u->o->up, "upload", at + (uint64_t)n, u->size);
    return n < 0 ? -errno : n;
}

/* Until the image is active.  -EIO: it will not be. */
static int wait_active(struct upload *u, const char *id, struct sc_err *err)
{
    uint64_t end = os_clock() + OS_IMAGE_MS;
    for (unsigned ms = 0;;) {
        struct os_answer a = { 0 };
        int r = os_get(u->o, u->region, "image", &a, err, "/images/%s", id);
        if (r < 0)
            return r;
        const char *status = os_str(a.json, "status");
        bool busy = !strcmp(status, "saving") || !strcmp(status, "importing") ||
                    !strcmp(status, "uploading");
        if (!strcmp(status, "active"))
            r = verify(u, a.json, err);
        else if (!busy)
            r = sc_fail(err, -EIO, "%s: image: it is '%.30s' after upload",
                        u->o->up.class->name, status);
        os_answer_clear(&a);
        if (!busy)
            return r;
        provider_progress(&u->o->up, "wait", 0, 0);
        r = os_pause(u->o, &ms, end, "the image to become active", err);
        if (r < 0)
            return r;
    }
}

/* 0: 'id' is active and right.  What is worth another image says so by
 * os_unknown_outcome. */
static int send_file(struct upload *u, const char *id, struct sc_err *err)
{
    char path[OS_UUID_MAX + 32];
    snprintf(path, sizeof path, "/images/%s/file", id);
    struct os_call c = { .region = u->region,
                         .service = "image",
                         .method = "PUT",
                         .path = path,
                         .type = "application/octet-stream",
                         .once = true,
                         .read = read_file,
                         .read_size = u->size,
                         .arg = u };
    provider_progress(&u->o->up, "upload", 0, u->size);
    int r = os_call(u->o, &c, NULL, err);
    if (r < 0 && !os_unknown_outcome(r))
        return r;
    struct sc_err e = { 0 };
    int w = wait_active(u, id, &e);
    if (w == 0)
        return 0; /* Only the answer was lost. */
    if (r == 0 && err)
        *err = e;
    return r == 0 ? w : r;
}

static int upload_once(struct upload *u, char **ret_id, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *body = image_json(u);
    SC_AUTO(cjson_free) cJSON *state = cJSON_CreateObject();
    struct os_make m = { .region = u->region,
                         .service = "image",
                         .path = "/images",
                         .body = body,
                         .find = find_image,
                         .arg = u };
    provider_progress(&u->o->up, "create", 0, 0);
    int r = os_make(u->o, &m, ret_id, err);
    if (r < 0)
        return r;
    cJSON_AddStringToObject(state, "image", *ret_id);
    provider_save(&u->o->up, state);
    return send_file(u, *ret_id, err);
}

static int upload(struct upload *u, char **ret_id, struct sc_err *err)
{
    unsigned ms = 0;
    for (int n = 1;; n++) {
        SC_AUTO(free) char *id = NULL;
        int r = upload_once(u, &id, err);
        if (r == 0) {
            *ret_id = SC_TAKE(id);
            return 0;
        }
        web_undoing(u->o->web, true);
        if (id &&
            os_delete(u->o, u->region, "image", NULL, "/images/%s", id) < 0)
            sc_fail_in(err, "an image (%s) is left, gc removes it", id);
        web_undoing(u->o->web, false);
        if ((!os_unknown_outcome(r) && r != -ENOENT) || n == UPLOAD_TRIES)
            return n > 1 ? sc_fail_in(err, "tried %d times", n) : r;
        struct sc_err e = { 0 };
        if (os_pause(u->o, &ms, UINT64_MAX, "another upload", &e) < 0) {
            if (err)
                *err = e;
            return e.code;
        }
    }
}

int os_image_done(const struct provider_publish *q, const char *region,
                  const char *id, struct provider_image *ret,
                  struct sc_err *err)
{
    struct provider_image i = { .id = strdup(id),
                                .name = strdup(q->name),
                                .region = strdup(region) };
    if (!i.id || !i.name || !i.region) {
        provider_image_clear(&i);
        return sc_fail(err, -ENOMEM, "out of memory");
    }
    *ret = i;
    return 0;
}

int os_publish(struct provider *up, const struct provider_publish *q,
               struct provider_image *ret, struct sc_err *err)
{
    SC_AUTO(upload_free)
    struct upload u = { .o = (struct openstack *)up, .q = q, .fd = -1 };
    struct stat st;
    u.fd = open(q->file, O_RDONLY | O_CLOEXEC);
    if (u.fd < 0 || fstat(u.fd, &st) < 0)
        return sc_fail(err, -errno, "file '%s': %s", q->file, strerror(errno));
    u.size = (uint64_t)st.st_size;
    int r = os_region(u.o, q->region, &u.region, err);
    if (r < 0)
        return r;
    /* What a killed run of the same job left is removed first. */
    for (int i = 0; r == 0 && i < 100; i++) {
        r = look(&u, err);
        if (r < 0 || !u.broken || u.found)
            break;
        r = os_delete(u.o, u.region, "image", err, "/images/%s", u.broken);
    }
    if (r < 0)
        return r;
    SC_AUTO(free) char *id = SC_TAKE(u.found);
    if (!id)
        r = upload(&u, &id, err);
    return r < 0 ? r : os_image_done(q, u.region, id, ret, err);
}

/* -- Images by name ---------------------------------------------------------
 */

struct search {
    char *id;
    unsigned gib, n;
};

static unsigned gib_of(const cJSON *i)
{
    double gib = os_num(i, "min_disk");
    double bytes = os_num(i, "virtual_size");
    if (bytes <= 0)
        bytes = os_num(i, "size");
    unsigned by_size =
        (unsigned)(((uint64_t)bytes + (1ULL << GIB_SHIFT) - 1) >> GIB_SHIFT);
    return gib > by_size ? (unsigned)gib : by_size;
}

static int take_active(void *arg, const cJSON *i)
{
    struct search *s = arg;
    if (strcmp(os_str(i, "status"), "active") != 0)
        return 0;
    s->n++;
    s->gib = gib_of(i);
    free(s->id);
    return (s->id = strdup(os_str(i, "id"))) ? 0 : -ENOMEM;
}

int os_image_find(struct openstack *o, const char *region, const char *wanted,
                  char **ret, unsigned *ret_gib, struct sc_err *err)
{
    struct search s = { 0 };
    int r = -ENOENT;
    if (os_is_id(wanted)) {
        struct os_answer a = { 0 };
        r = os_get(o, region, "image", &a, err, "/images/%s", wanted);
        if (r == 0)
            r = take_active(&s, a.json);
        os_answer_clear(&a);
    }
    if (r == -ENOENT) {
        SC_AUTO(free) char *path = NULL;
        SC_AUTO(free) char *name = web_escape(wanted, false);
        if (!name || asprintf(&path, "/images?name=%s", name) < 0)
            return sc_fail(err, -ENOMEM, "out of memory");
        r = os_list(o, region, "image", path, "images", take_active, &s, err);
    }
    if (r == 0 && !s.n)
        r = sc_fail(err, -ENOENT,
                    "%s: image '%s': there is no such image in region '%s', or "
                    "it is not active",
                    o->up.class->name, wanted, region);
    if (r == 0 && s.n > 1)
        r = sc_fail(err, -EINVAL,
                    "%s: image '%s': %u images in region '%s' have this name: "
                    "give the id",
                    o->up.class->name, wanted, s.n, region);
    if (r < 0) {
        free(s.id);
        return r;
    }
    *ret = s.id;
    *ret_gib = s.gib;
    return 0;
}

struct each {
    const char *region;
    provider_each_resource_fn *fn;
    void *arg;
};

static int tell_image(void *arg, const cJSON *i)
{
    struct each *e = arg;
    char detail[96];
    snprintf(detail, sizeof detail, "%.30s, %.0f bytes", os_str(i, "status"),
             os_num(i, "size"));
    struct provider_resource x = {
        .kind = (char *)"image",
        .id = (char *)os_str(i, "id"),
        .name = (char *)os_str(i, "name"),
        .region = (char *)e->region,
        .cluster = (char *)os_str(i, "supercloud_cluster"),
        .token = (char *)os_str(i, "supercloud_token"),
        .detail = detail,
        .created_at = os_time(os_str(i, "created_at")),
    };
    return e->fn(e->arg, &x);
}

int os_image_each(struct openstack *o, const char *region, const char *cluster,
                  provider_each_resource_fn *fn, void *arg, struct sc_err *err)
{
    char path[256];
    struct each e = { region, fn, arg };
    snprintf(path, sizeof path, "/images?owner=%.100s&supercloud_cluster=%s",
             o->project_id, cluster);
    return os_list(o, region, "image", path, "images", tell_image, &e, err);
}
