/* p_openstack_volume - Cinder: a disk of its own where the flavor has none, or
 * a smaller one than asked for.
 *
 * Made here, not by Nova, so that it carries our tags from its first moment. */
#include "provider/p_openstack.h"

enum { VOLUME_MS = 30 * 60000, IN_USE_MS = 60000 };

struct found {
    const struct provider_tags *tags; /* NULL: all of ours are told. */
    const char *region;
    cJSON *ids;
    provider_each_resource_fn *fn;
    void *arg;
};

static int look_at(void *arg, const cJSON *v)
{
    struct found *f = arg;
    const cJSON *tags = cJSON_GetObjectItem(v, "metadata");
    if (f->tags) {
        if (os_has_tags(tags, f->tags))
            cJSON_AddItemToArray(f->ids, cJSON_CreateString(os_str(v, "id")));
        return 0;
    }
    if (!*os_str(tags, "supercloud_cluster"))
        return 0;
    char detail[64];
    snprintf(detail, sizeof detail, "%.20s, %.0f GiB", os_str(v, "status"),
             os_num(v, "size"));
    struct provider_resource r = {
        .kind = (char *)"volume",
        .id = (char *)os_str(v, "id"),
        .name = (char *)os_str(v, "name"),
        .region = (char *)f->region,
        .cluster = (char *)os_str(tags, "supercloud_cluster"),
        .token = (char *)os_str(tags, "supercloud_token"),
        .detail = detail,
        .created_at = os_time(os_str(v, "created_at")),
    };
    return f->fn(f->arg, &r);
}

int os_volume_each(struct openstack *o, const char *region,
                   provider_each_resource_fn *fn, void *arg, struct sc_err *err)
{
    struct found f = { .region = region, .fn = fn, .arg = arg };
    return o->classic || !os_endpoint(o, "volume", region)
               ? 0
               : os_list(o, region, "volume", "/volumes/detail", "volumes",
                         look_at, &f, err);
}

struct finder {
    struct openstack *o;
    const char *region;
    const struct provider_tags *tags;
};

static int find_volume(void *arg, char **ret, struct sc_err *err)
{
    struct finder *x = arg;
    SC_AUTO(cjson_free) cJSON *ids = cJSON_CreateArray();
    struct found f = { .tags = x->tags, .ids = ids };
    int r = os_list(x->o, x->region, "volume", "/volumes/detail", "volumes",
                    look_at, &f, err);
    if (r < 0 || !cJSON_GetArraySize(ids))
        return r < 0 ? r : -ENOENT;
    *ret = strdup(cJSON_GetArrayItem(ids, 0)->valuestring);
    return *ret ? 0 : sc_fail(err, -ENOMEM, "out of memory");
}

int os_volume_make(struct openstack *o, const char *region,
                   const struct provider_launch *l, const char *image,
                   unsigned gib, char **ret, struct sc_err *err)
{
    if (o->classic || !os_endpoint(o, "volume", region))
        return sc_fail(err, -EINVAL,
                       "%s: a disk of %u GiB is asked for, the type has a "
                       "smaller one, and region '%s' has no volumes: choose "
                       "another type",
                       o->up.class->name, gib, region);
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    SC_AUTO(free) char *id = NULL;
    cJSON *v = cJSON_AddObjectToObject(body, "volume");
    cJSON_AddNumberToObject(v, "size", gib);
    cJSON_AddStringToObject(v, "name", l->name);
    cJSON_AddStringToObject(v, "imageRef", image);
    os_add_tags(cJSON_AddObjectToObject(v, "metadata"), &l->tags);
    if (l->zone)
        cJSON_AddStringToObject(v, "availability_zone", l->zone);
    struct finder f = { o, region, &l->tags };
    struct os_make m = { .region = region,
                         .service = "volume",
                         .path = "/volumes",
                         .key = "volume",
                         .body = body,
                         .find = find_volume,
                         .arg = &f };
    provider_progress(&o->up, "disk", 0, 0);
    int r = os_make(o, &m, &id, err);
    uint64_t end = os_clock() + VOLUME_MS;
    for (unsigned ms = 0; r == 0;) {
        struct os_answer a = { 0 };
        r = os_get(o, region, "volume", &a, err, "/volumes/%s", id);
        if (r < 0)
            return r;
        char status[32];
        snprintf(status, sizeof status, "%s",
                 os_str(cJSON_GetObjectItem(a.json, "volume"), "status"));
        os_answer_clear(&a);
        if (!strcmp(status, "available") || !strcmp(status, "in-use")) {
            *ret = SC_TAKE(id);
            return 0;
        }
        r = !strncmp(status, "error", 5)
                ? sc_fail(err, -EIO, "%s: volume: its state is '%s'",
                          o->up.class->name, status)
                : os_pause(o, &ms, end, "the disk to be filled", err);
    }
    return r;
}

/* 0: it is on its way out; -ENOENT: it is gone. */
static int ask_delete(struct openstack *o, const char *region, const char *id,
                      bool *asked, struct sc_err *err)
{
    if (!*asked) {
        int r = os_delete(o, region, "volume", err, "/volumes/%s", id);
        *asked = r == 0;
        if (r == -EEXIST || r == -EINVAL) /* Still attached: 400 or 409. */
            return 0;
        if (r < 0)
            return r;
    }
    struct os_answer a = { 0 };
    int r = os_get(o, region, "volume", &a, err, "/volumes/%s", id);
    const cJSON *v = cJSON_GetObjectItem(a.json, "volume");
    if (r == 0 && !strcmp(os_str(v, "status"), "error_deleting"))
        r = sc_fail(err, -EIO, "%s: volume %s: the cloud cannot delete it",
                    o->up.class->name, id);
    os_answer_clear(&a);
    return r;
}

int os_volume_delete(struct openstack *o, const char *region, const char *id,
                     struct sc_err *err)
{
    uint64_t end = os_clock() + IN_USE_MS;
    bool asked = false;
    for (unsigned ms = 0;;) {
        struct sc_err e = { 0 };
        int r = ask_delete(o, region, id, &asked, &e);
        if (r == -ENOENT)
            return 0;
        if (r == 0)
            r = os_pause(o, &ms, end, "the volume to be gone", &e);
        if (r < 0) {
            if (err)
                *err = e;
            return r;
        }
    }
}

int os_volume_remove(struct openstack *o, const char *region,
                     const struct provider_tags *t, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *ids = cJSON_CreateArray();
    struct found f = { .tags = t, .ids = ids };
    const cJSON *id;
    if (o->classic || !os_endpoint(o, "volume", region))
        return 0;
    int r = os_list(o, region, "volume", "/volumes/detail", "volumes", look_at,
                    &f, err);
    cJSON_ArrayForEach(id, ids)
    {
        if (r == 0)
            r = os_volume_delete(o, region, id->valuestring, err);
    }
    return r;
}
