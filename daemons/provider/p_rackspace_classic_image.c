/* p_rackspace_classic_image - a VHD becomes an image: an import task from Cloud
 * Files.
 *
 * The import takes no property but the name, so the tags come afterwards (a
 * PATCH).  Until then the task, which names our object, is what ties the image
 * to us: a killed run finds its task again by it, and so does gc. */
#include "provider/p_rackspace_classic.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { IMPORT_MS = 6 * 3600 * 1000 };
#define OBJECT_MAX (5ULL * 1000 * 1000 * 1000) /* bytes, of one object */
#define SEGMENT (1ULL << 30)

struct import {
    struct openstack *o;
    const struct provider_publish *q;
    const char *region;
    struct rax_file file;
    char *from; /* "CONTAINER/OBJECT" */
    char *image;
    char *stale; /* An image of the name with other contents. */
};

static void import_free(struct import *x)
{
    if (x->file.fd >= 0)
        close(x->file.fd);
    free(x->file.object);
    free(x->from);
    free(x->image);
    free(x->stale);
}
static inline void import_free_p(struct import *x)
{
    import_free(x);
}

/* -- The image, if it is there
 * ------------------------------------------------------ */

static int look_at_image(void *arg, const cJSON *i)
{
    struct import *x = arg;
    bool same = !strcmp(os_str(i, "supercloud_sha256"), x->q->sha256);
    if (strcmp(os_str(i, "status"), "active") != 0)
        return 0;
    char **place = same ? &x->image : &x->stale;
    free(*place);
    return (*place = strdup(os_str(i, "id"))) ? 0 : -ENOMEM;
}

static int look_for_image(struct import *x, struct sc_err *err)
{
    SC_AUTO(free) char *path = NULL;
    SC_AUTO(free) char *name = web_escape(x->q->name, false);
    if (!name ||
        asprintf(&path, "/images?name=%s&owner=%s&supercloud_cluster=%s", name,
                 x->o->project_id, x->q->tags.cluster) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    int r = os_list(x->o, x->region, "image", path, "images", look_at_image, x,
                    err);
    if (r == 0 && !x->image && x->stale)
        r = sc_fail(err, -EEXIST,
                    "%s: image '%s': there is one with other contents; remove "
                    "it, or choose another name",
                    x->o->up.class->name, x->q->name);
    return r;
}

static int tag_image(struct import *x, struct sc_err *err)
{
    const struct {
        const char *path, *value;
    } tags[] = { { "/supercloud_cluster", x->q->tags.cluster },
                 { "/supercloud_token", x->q->tags.token },
                 { "/supercloud_sha256", x->q->sha256 } };
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateArray();
    char path[OS_UUID_MAX + 16];
    for (size_t i = 0; i < SC_ARRAY_LEN(tags); i++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "op", "add");
        cJSON_AddStringToObject(one, "path", tags[i].path);
        cJSON_AddStringToObject(one, "value", tags[i].value);
        cJSON_AddItemToArray(body, one);
    }
    snprintf(path, sizeof path, "/images/%s", x->image);
    struct os_call c = {
        .region = x->region,
        .service = "image",
        .method = "PATCH",
        .path = path,
        .body = body,
        .type = "application/openstack-images-v2.1-json-patch",
    };
    return os_call(x->o, &c, NULL, err);
}

/* -- The task
 * ----------------------------------------------------------------------------
 */

struct task_search {
    struct openstack *o;
    const char *region;
    const char *prefix; /* What its import_from begins with. */
    os_item_fn *fn;     /* Told of each that was not a failure. */
    void *arg;
    struct sc_err *err;
};

/* Lists leave out what a task is about: each is asked for. */
static int look_at_task(void *arg, const cJSON *t)
{
    struct task_search *s = arg;
    if (strcmp(os_str(t, "type"), "import") != 0 ||
        !strcmp(os_str(t, "status"), "failure"))
        return 0;
    struct os_answer a = { 0 };
    struct sc_err e = { 0 };
    int r =
        os_get(s->o, s->region, "image", &a, &e, "/tasks/%s", os_str(t, "id"));
    if (r == -ENOENT)
        return 0;
    const char *from =
        os_str(cJSON_GetObjectItem(a.json, "input"), "import_from");
    if (r == 0 && !strncmp(from, s->prefix, strlen(s->prefix)))
        r = s->fn(s->arg, a.json);
    else if (r < 0 && s->err)
        *s->err = e;
    os_answer_clear(&a);
    return r;
}

static int each_task(struct task_search *s)
{
    return os_list(s->o, s->region, "image", "/tasks?type=import", "tasks",
                   look_at_task, s, s->err);
}

static int take_task(void *arg, const cJSON *t)
{
    char **id = arg;
    free(*id);
    return (*id = strdup(os_str(t, "id"))) ? 0 : -ENOMEM;
}

static int find_task(void *arg, char **ret, struct sc_err *err)
{
    struct import *x = arg;
    SC_AUTO(free) char *id = NULL;
    struct task_search s = { x->o, x->region, x->from, take_task, &id, err };
    int r = each_task(&s);
    if (r < 0 || !id)
        return r < 0 ? r : -ENOENT;
    *ret = SC_TAKE(id);
    return 0;
}

static cJSON *task_json(const struct import *x)
{
    cJSON *t = cJSON_CreateObject();
    cJSON_AddStringToObject(t, "type", "import");
    cJSON *input = cJSON_AddObjectToObject(t, "input");
    cJSON *properties = cJSON_AddObjectToObject(input, "image_properties");
    cJSON_AddStringToObject(properties, "name", x->q->name);
    cJSON_AddStringToObject(input, "import_from", x->from);
    return t;
}

static int wait_task(struct import *x, const char *id, struct sc_err *err)
{
    uint64_t end = os_clock() + IMPORT_MS;
    for (unsigned ms = 0;;) {
        struct os_answer a = { 0 };
        int r = os_get(x->o, x->region, "image", &a, err, "/tasks/%s", id);
        if (r < 0)
            return r;
        const char *status = os_str(a.json, "status");
        if (!strcmp(status, "success")) {
            x->image = strdup(
                os_str(cJSON_GetObjectItem(a.json, "result"), "image_id"));
            r = x->image && *x->image
                    ? 0
                    : sc_fail(err, -EPROTO,
                              "%s: the import ended without an image",
                              x->o->up.class->name);
            os_answer_clear(&a);
            return r;
        }
        if (!strcmp(status, "failure")) {
            const char *why = os_str(a.json, "message");
            r = sc_fail(err, os_reason(why, 400), "%s: import failed: %.300s%s",
                        x->o->up.class->name, *why ? why : "no reason given",
                        os_advice(os_reason(why, 400), 0));
        }
        os_answer_clear(&a);
        if (r < 0)
            return r;
        provider_progress(&x->o->up, "import", 0, 0);
        r = os_pause(x->o, &ms, end, "the import", err);
        if (r < 0)
            return r;
    }
}

static int import(struct import *x, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *body = task_json(x);
    SC_AUTO(cjson_free) cJSON *state = cJSON_CreateObject();
    SC_AUTO(free) char *task = NULL;
    struct os_make m = { .region = x->region,
                         .service = "image",
                         .path = "/tasks",
                         .body = body,
                         .find = find_task,
                         .arg = x };
    /* A task of an earlier run goes on by itself: its file is not sent twice.
     */
    int r = find_task(x, &task, err);
    if (r == -ENOENT)
        r = rax_store(&x->file, err);
    if (r == 0 && !task)
        r = os_make(x->o, &m, &task, err);
    if (r < 0)
        return r;
    cJSON_AddStringToObject(state, "task", task);
    provider_save(&x->o->up, state);
    r = wait_task(x, task, err);
    return r < 0 ? r : tag_image(x, err);
}

/* -- The whole
 * ------------------------------------------------------------------------------
 */

static int prepare(struct import *x, struct sc_err *err)
{
    struct stat st;
    const struct provider_publish *q = x->q;
    x->file.fd = open(q->file, O_RDONLY | O_CLOEXEC);
    if (x->file.fd < 0 || fstat(x->file.fd, &st) < 0)
        return sc_fail(err, -errno, "file '%s': %s", q->file, strerror(errno));
    x->file.o = x->o;
    x->file.size = (uint64_t)st.st_size;
    double mib = os_num(q->options, "segment_mib");
    x->file.segment = mib >= 1                    ? (uint64_t)mib << 20
                      : x->file.size > OBJECT_MAX ? SEGMENT
                                                  : OBJECT_MAX;
    int r = rax_check_vhd(x->file.fd, x->file.size, err);
    if (r == 0)
        r = os_region(x->o, q->region, &x->region, err);
    x->file.region = x->region;
    if (r < 0)
        return r;
    return asprintf(&x->file.object, RAX_PREFIX "%s/%s/%s.vhd", q->tags.cluster,
                    q->tags.token, q->name) < 0 ||
                   asprintf(&x->from, "%s/%s", rax_container(x->o),
                            x->file.object) < 0
               ? sc_fail(err, -ENOMEM, "out of memory")
               : 0;
}

int rax_publish(struct provider *up, const struct provider_publish *q,
                struct provider_image *ret, struct sc_err *err)
{
    SC_AUTO(import_free)
    struct import x = { .o = (struct openstack *)up, .q = q };
    x.file.fd = -1;
    int r = prepare(&x, err);
    if (r == 0)
        r = look_for_image(&x, err);
    if (r < 0)
        return r;
    if (!x.image)
        r = import(&x, err);
    struct sc_err why = { 0 };
    web_undoing(x.o->web, r < 0);
    if (r < 0 && x.image)
        (void)!os_delete(x.o, x.region, "image", NULL, "/images/%s", x.image);
    /* The file has done its work, or never will. */
    int u = rax_unstore(x.o, x.region, x.file.object, &why);
    web_undoing(x.o->web, false);
    if (r < 0 && u < 0)
        sc_fail_in(err, "its file may be left (%.120s), gc removes it",
                   why.text);
    return r < 0 ? r : os_image_done(q, x.region, x.image, ret, err);
}

/* -- Images without tags
 * -------------------------------------------------------------------- */

struct untagged {
    struct openstack *o;
    const char *region, *cluster;
    provider_each_resource_fn *fn;
    void *arg;
    struct sc_err *err;
};

static int tell_untagged(void *arg, const cJSON *t)
{
    struct untagged *x = arg;
    const char *id = os_str(cJSON_GetObjectItem(t, "result"), "image_id");
    const char *from = os_str(cJSON_GetObjectItem(t, "input"), "import_from");
    char token[64] = "";
    struct os_answer a = { 0 };
    struct sc_err e = { 0 };
    int r = *id ? os_get(x->o, x->region, "image", &a, &e, "/images/%s", id)
                : -ENOENT;
    if (r < 0) {
        if (r != -ENOENT && x->err)
            *x->err = e;
        return r == -ENOENT ? 0 : r;
    }
    const char *mine = strstr(from, "/" RAX_PREFIX);
    (void)sscanf(mine ? mine : "", "/" RAX_PREFIX "%*[^/]/%63[^/]", token);
    struct provider_resource p = {
        .kind = (char *)"image",
        .id = (char *)id,
        .name = (char *)os_str(a.json, "name"),
        .region = (char *)x->region,
        .cluster = (char *)x->cluster,
        .token = token,
        .detail = (char *)"imported, never tagged",
        .created_at = os_time(os_str(a.json, "created_at")),
    };
    if (!*os_str(a.json, "supercloud_cluster") &&
        strcmp(os_str(a.json, "status"), "deleted") != 0)
        r = x->fn(x->arg, &p);
    os_answer_clear(&a);
    return r;
}

int rax_untagged_each(struct openstack *o, const char *region,
                      const char *cluster, provider_each_resource_fn *fn,
                      void *arg, struct sc_err *err)
{
    SC_AUTO(free) char *prefix = NULL;
    struct untagged x = { o, region, cluster, fn, arg, err };
    if (asprintf(&prefix, "%s/" RAX_PREFIX "%s/", rax_container(o), cluster) <
        0)
        return sc_fail(err, -ENOMEM, "out of memory");
    struct task_search s = { o, region, prefix, tell_untagged, &x, err };
    return each_task(&s);
}
