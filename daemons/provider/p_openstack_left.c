/* p_openstack_left - what of ours is at the cloud, and its removal.
 *
 * Told in the order in which it can be removed: servers before what they
 * hold. */
#include "provider/p_openstack.h"

struct left {
    struct openstack *o;
    const char *cluster, *region;
    provider_each_resource_fn *fn;
    void *arg;
    struct sc_err *err;
};

static int tell_server(void *arg, const cJSON *s)
{
    struct left *l = arg;
    const cJSON *tags = cJSON_GetObjectItem(s, "metadata");
    if (strcmp(os_str(tags, "supercloud_cluster"), l->cluster) != 0 ||
        !strcmp(os_str(s, "status"), "DELETED"))
        return 0;
    struct provider_resource x = {
        .kind = (char *)"instance",
        .id = (char *)os_str(s, "id"),
        .name = (char *)os_str(s, "name"),
        .region = (char *)l->region,
        .cluster = (char *)l->cluster,
        .token = (char *)os_str(tags, "supercloud_token"),
        .detail = (char *)os_str(s, "status"),
        .created_at = os_time(os_str(s, "created")),
    };
    return l->fn(l->arg, &x);
}

static int tell_if_ours(void *arg, const struct provider_resource *r)
{
    struct left *l = arg;
    return strcmp(r->cluster, l->cluster) == 0 ? l->fn(l->arg, r) : 0;
}

static int look_in(void *arg, const char *region)
{
    struct left *l = arg;
    l->region = region;
    int r = os_list(l->o, region, "compute", "/servers/detail", "servers",
                    tell_server, l, l->err);
    if (r == 0)
        r = os_volume_each(l->o, region, tell_if_ours, l, l->err);
    if (r == 0)
        r = os_net_each(l->o, region, tell_if_ours, l, l->err);
    if (r == 0)
        r = os_image_each(l->o, region, l->cluster, l->fn, l->arg, l->err);
    return r;
}

int os_leftovers(struct provider *up, const char *cluster,
                 provider_each_resource_fn *fn, void *arg, struct sc_err *err)
{
    struct left l = { .o = (struct openstack *)up,
                      .cluster = cluster,
                      .fn = fn,
                      .arg = arg,
                      .err = err };
    return os_each_region(l.o, NULL, look_in, &l, err);
}

int os_remove(struct provider *up, const char *kind, const char *region,
              const char *id, struct sc_err *err)
{
    struct openstack *o = (struct openstack *)up;
    SC_AUTO(free) char *escaped = web_escape(id, false);
    if (!escaped)
        return sc_fail(err, -ENOMEM, "out of memory");
    int r = os_region(o, region, &region, err);
    if (r < 0)
        return r;
    if (!strcmp(kind, "instance"))
        return os_terminate(up, region, id, err);
    if (!strcmp(kind, "image"))
        return os_delete(o, region, "image", err, "/images/%s", escaped);
    if (!strcmp(kind, "volume"))
        return os_volume_delete(o, region, escaped, err);
    if (!strcmp(kind, "floating-ip"))
        return os_delete(o, region, "network", err, "/floatingips/%s", escaped);
    if (!strcmp(kind, "security-group"))
        return os_group_delete(o, region, escaped, err);
    return sc_fail(err, -EINVAL,
                   "%s: kind '%s': must be instance, image, volume, "
                   "floating-ip or security-group",
                   up->class->name, kind);
}
