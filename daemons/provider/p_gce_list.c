/* p_gce_list - see p_gce.h: what is there, and its end. */
#include "provider/p_gce.h"

int gce_id_split(const char *id, char ret_zone[64], char ret_name[64],
                 struct sc_err *err)
{
    const char *dot = strchr(id, '.');
    if (dot && dot - id < 64 && strlen(dot + 1) < 64) {
        snprintf(ret_zone, 64, "%.*s", (int)(dot - id), id);
        snprintf(ret_name, 64, "%s", dot + 1);
        if (gce_name_ok(ret_zone) && gce_name_ok(ret_name))
            return 0;
    }
    return sc_fail(err, -EINVAL,
                   "gce: id '%.130s': an instance's is ZONE.NAME, for example "
                   "europe-west1-b.node-1",
                   id);
}

static enum provider_state state_of(const char *status)
{
    static const struct {
        const char *status;
        enum provider_state state;
    } states[] = {
        { "PROVISIONING", PROVIDER_PENDING },
        { "STAGING", PROVIDER_PENDING },
        { "RUNNING", PROVIDER_RUNNING },
        { "REPAIRING", PROVIDER_RUNNING },
        { "STOPPING", PROVIDER_RUNNING },
        { "SUSPENDING", PROVIDER_RUNNING },
        { "SUSPENDED", PROVIDER_STOPPED },
        { "TERMINATED", PROVIDER_STOPPED },
        { "STOPPED", PROVIDER_STOPPED },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(states); i++)
        if (!strcmp(states[i].status, status))
            return states[i].state;
    return PROVIDER_PENDING;
}

/* "europe-west1" of "europe-west1-b"; malloc'd. */
static char *region_of(const char *zone)
{
    const char *dash = strrchr(zone, '-');
    return strndup(zone, dash ? (size_t)(dash - zone) : strlen(zone));
}

static const char *metadata_of(const cJSON *instance, const char *key)
{
    const cJSON *i;
    cJSON_ArrayForEach(i, rest_at(instance, "metadata.items"))
    {
        if (!strcmp(rest_str(i, "key"), key))
            return rest_str(i, "value");
    }
    return "";
}

int gce_instance_of(const cJSON *item, struct provider_instance *ret)
{
    const char *zone = rest_base(rest_str(item, "zone"));
    const char *name = rest_str(item, "name");
    const char *image = metadata_of(item, GCE_IMAGE);
    struct provider_instance i = {
        .name = strdup(name),
        .region = region_of(zone),
        .zone = strdup(zone),
        .type = strdup(rest_base(rest_str(item, "machineType"))),
        .image = strdup(image),
        .address =
            strdup(rest_str(item, "networkInterfaces.0.accessConfigs.0.natIP")),
        .private_address =
            strdup(rest_str(item, "networkInterfaces.0.networkIP")),
        .cluster = strdup(rest_str(item, "labels." GCE_CLUSTER)),
        .token = strdup(rest_str(item, "labels." GCE_TOKEN)),
        .spot =
            !strcmp(rest_str(item, "scheduling.provisioningModel"), "SPOT") ||
            cJSON_IsTrue(rest_at(item, "scheduling.preemptible")),
        .state = state_of(rest_str(item, "status")),
        .created_at = rest_time(rest_str(item, "creationTimestamp")),
    };
    if (asprintf(&i.id, "%s.%s", zone, name) < 0)
        i.id = NULL;
    if (asprintf(&i.console, "%s/serialPort?port=1",
                 rest_str(item, "selfLink")) < 0)
        i.console = NULL;
    if (!i.id || !i.console || !i.name || !i.region || !i.zone || !i.type ||
        !i.image || !i.address || !i.private_address || !i.cluster ||
        !i.token) {
        provider_instance_clear(&i);
        return -ENOMEM;
    }
    *ret = i;
    return 0;
}

struct listing {
    const struct p_gce *p;
    const char *region;
    provider_each_fn *fn;
    void *arg;
};

static int on_instance(void *arg, const cJSON *item, struct sc_err *err)
{
    struct listing *l = arg;
    struct provider_instance i = { 0 };
    int r = gce_instance_of(item, &i);
    if (r < 0)
        return sc_fail(err, r, "gce: out of memory");
    if (l->region && *l->region ? !strcmp(l->region, i.region)
                                : settings_listed(l->p->region, i.region))
        r = l->fn(l->arg, &i);
    provider_instance_clear(&i);
    return r;
}

/* The URL of an aggregated list, of what has the label 'cluster' (NULL: all).
 */
static void aggregated(const struct p_gce *p, const char *what,
                       const char *cluster, char ret[GCE_URL_MAX])
{
    if (cluster)
        snprintf(ret, GCE_URL_MAX,
                 "%s/projects/%s/aggregated/"
                 "%s?maxResults=500&filter=labels." GCE_CLUSTER "%%3D%s",
                 p->compute, p->project, what, cluster);
    else
        snprintf(ret, GCE_URL_MAX,
                 "%s/projects/%s/aggregated/%s?maxResults=500", p->compute,
                 p->project, what);
}

int gce_list(struct provider *up, const char *region, provider_each_fn *fn,
             void *arg, struct sc_err *err)
{
    struct p_gce *p = (struct p_gce *)up;
    struct listing l = { p, region, fn, arg };
    char url[GCE_URL_MAX];
    aggregated(p, "instances", NULL, url);
    return gce_pages(p, url, "instances", true, "instances", on_instance, &l,
                     err);
}

int gce_terminate(struct provider *up, const char *region, const char *id,
                  struct sc_err *err)
{
    struct p_gce *p = (struct p_gce *)up;
    char zone[64], name[64], what[GCE_WHAT_MAX];
    (void)region;
    int r = gce_id_split(id, zone, name, err);
    snprintf(what, sizeof what, "instance '%s'", id);
    if (r == 0)
        r = gce_do(p, "DELETE", NULL, true, err, what, "/zones/%s/instances/%s",
                   zone, name);
    return r < 0 ? r : gce_firewalls_remove(p, name, err);
}

int gce_console(struct provider *up, const char *region, const char *id,
                char **ret, size_t *ret_size, struct sc_err *err)
{
    struct p_gce *p = (struct p_gce *)up;
    char zone[64], name[64], what[GCE_WHAT_MAX];
    (void)region;
    int r = gce_id_split(id, zone, name, err);
    if (r < 0)
        return r;
    snprintf(what, sizeof what, "console of instance '%s'", id);
    struct rest_answer a = { 0 };
    /* A negative start counts from the end; one more byte than is kept. */
    r = gce_call(p, "GET", NULL, &a, err, what,
                 "/zones/%s/instances/%s/serialPort?port=1&start=-%d", zone,
                 name, PROVIDER_CONSOLE_MAX + 1);
    const cJSON *text = rest_at(a.json, "contents");
    if (r == 0 && !cJSON_IsString(text))
        r = sc_fail(err, -EPROTO, "gce: %s: the answer has no contents", what);
    char *log = r == 0 ? strdup(text->valuestring) : NULL;
    if (log) {
        *ret = log;
        *ret_size = strlen(log);
    } else if (r == 0) {
        r = sc_fail(err, -ENOMEM, "gce: out of memory");
    }
    rest_answer_clear(&a);
    return r;
}

int gce_fence(struct provider *up, const char *region, const char *id,
              struct sc_err *err)
{
    struct p_gce *p = (struct p_gce *)up;
    char zone[64], name[64], what[GCE_WHAT_MAX], status[32];
    (void)region;
    int r = gce_id_split(id, zone, name, err);
    snprintf(what, sizeof what, "instance '%s'", id);
    /* An operation that is done is not yet a machine that is off: look. */
    for (int i = 0; r == 0 && i < 60; i++) {
        struct rest_answer a = { 0 };
        r = gce_call(p, "GET", NULL, &a, err, what, "/zones/%s/instances/%s",
                     zone, name);
        snprintf(status, sizeof status, "%s", rest_str(a.json, "status"));
        rest_answer_clear(&a);
        if (r == -ENOENT)
            return rest_absent_ok(r, err);
        if (r == 0 &&
            (!strcmp(status, "TERMINATED") || !strcmp(status, "STOPPED")))
            return 0;
        if (r == 0 && i == 0)
            r = gce_do(p, "POST", NULL, true, err, what,
                       "/zones/%s/instances/%s/stop", zone, name);
        else if (r == 0)
            r = web_pause(p->web, 1000, err);
    }
    return r < 0 ? r
                 : sc_fail(err, -ETIMEDOUT,
                           "gce: %s: still %s a minute after it was stopped",
                           what, status);
}

/* --- firewalls ------------------------------------------------------------ */

struct firewalls {
    const char *tag;
    char of_cluster[128];
    gce_each_fn *fn;
    void *arg;
};

static int on_firewall(void *arg, const cJSON *item, struct sc_err *err)
{
    struct firewalls *f = arg;
    const char *about = rest_str(item, "description");
    if (strncmp(about, GCE_CLUSTER "=", strlen(GCE_CLUSTER) + 1) != 0 ||
        strncmp(about, f->of_cluster, strlen(f->of_cluster)) != 0 ||
        (f->tag && strcmp(rest_str(item, "targetTags.0"), f->tag) != 0))
        return 0;
    return f->fn(f->arg, item, err);
}

int gce_firewalls(struct p_gce *p, const char *instance, const char *cluster,
                  gce_each_fn *fn, void *arg, struct sc_err *err)
{
    char url[GCE_URL_MAX], tag[64];
    struct firewalls f = { .fn = fn, .arg = arg };
    if (instance) {
        gce_tag_of(instance, tag);
        f.tag = tag;
    }
    if (cluster)
        snprintf(f.of_cluster, sizeof f.of_cluster, "%s=%s ", GCE_CLUSTER,
                 cluster);
    snprintf(url, sizeof url, "%s/projects/%s/global/firewalls?maxResults=500",
             p->compute, p->project);
    return gce_pages(p, url, "items", false, "firewalls", on_firewall, &f, err);
}

static int add_name(void *arg, const cJSON *item, struct sc_err *err)
{
    return cJSON_AddItemToArray(arg, cJSON_CreateString(rest_str(item, "name")))
               ? 0
               : sc_fail(err, -ENOMEM, "gce: out of memory");
}

static int remove_firewall(struct p_gce *p, const char *name,
                           struct sc_err *err)
{
    char what[GCE_WHAT_MAX];
    if (!gce_name_ok(name))
        return sc_fail(err, -EINVAL, "gce: firewall '%.63s': not a name", name);
    snprintf(what, sizeof what, "firewall '%s'", name);
    return gce_do(p, "DELETE", NULL, true, err, what, "/global/firewalls/%s",
                  name);
}

int gce_firewalls_remove(struct p_gce *p, const char *instance,
                         struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *names = cJSON_CreateArray();
    const cJSON *name;
    int r = gce_firewalls(p, instance, NULL, add_name, names, err);
    cJSON_ArrayForEach(name, names)
    {
        if (r == 0)
            r = remove_firewall(p, name->valuestring, err);
    }
    return r;
}

/* --- leftovers ------------------------------------------------------------ */

struct leftovers {
    const char *kind, *project;
    provider_each_resource_fn *fn;
    void *arg;
};

static int on_resource(void *arg, const cJSON *item, struct sc_err *err)
{
    struct leftovers *l = arg;
    const char *zone = rest_base(rest_str(item, "zone"));
    const char *name = rest_str(item, "name");
    const char *about = rest_str(item, "description");
    const char *token = rest_str(item, "labels." GCE_TOKEN);
    const char *cluster = rest_str(item, "labels." GCE_CLUSTER);
    char own[2][64] = { "", "" }; /* From a firewall's description. */
    if (!strcmp(l->kind, "firewall")) {
        (void)!sscanf(about, GCE_CLUSTER "=%63s " GCE_TOKEN "=%63s", own[0],
                      own[1]);
        cluster = own[0];
        token = own[1];
    } else if (!strcmp(l->kind, "object")) {
        cluster = rest_str(item, "metadata." GCE_CLUSTER);
        token = rest_str(item, "metadata." GCE_TOKEN);
    }
    const char *created = rest_str(item, "creationTimestamp");
    char detail[160];
    double gb = rest_num(item, "sizeGb");
    if (gb > 0)
        snprintf(detail, sizeof detail, "%.64s, %.0f GiB",
                 rest_str(item, "status"), gb);
    else if (rest_num(item, "size") > 0)
        snprintf(detail, sizeof detail, "%.0f bytes", rest_num(item, "size"));
    else
        snprintf(detail, sizeof detail, "%.64s", rest_str(item, "status"));
    struct provider_resource q = {
        .kind = strdup(l->kind),
        .name = strdup(name),
        .region = region_of(zone),
        .cluster = strdup(cluster),
        .token = strdup(token),
        .detail = strdup(detail),
        .created_at =
            rest_time(*created ? created : rest_str(item, "timeCreated")),
    };
    int len =
        strcmp(l->kind, "image") /* As publish gives it. */
            ? asprintf(&q.id, "%s%s%s", zone, *zone ? "." : "", name)
            : asprintf(&q.id, "projects/%s/global/images/%s", l->project, name);
    if (len < 0)
        q.id = NULL;
    int r =
        q.id && q.kind && q.name && q.region && q.cluster && q.token && q.detail
            ? l->fn(l->arg, &q)
            : sc_fail(err, -ENOMEM, "gce: out of memory");
    provider_resource_clear(&q);
    return r;
}

static int objects(struct p_gce *p, const char *cluster, struct leftovers *l,
                   struct sc_err *err)
{
    char url[GCE_URL_MAX];
    SC_AUTO(free) char *bucket = p->bucket ? gce_escape(p->bucket) : NULL;
    if (!bucket)
        return 0;
    snprintf(url, sizeof url,
             "%s/storage/v1/b/%s/o?maxResults=500&prefix=supercloud%%2F%s%%2F",
             p->storage, bucket, cluster);
    l->kind = "object";
    return gce_pages(p, url, "items", false, "objects", on_resource, l, err);
}

int gce_leftovers(struct provider *up, const char *cluster,
                  provider_each_resource_fn *fn, void *arg, struct sc_err *err)
{
    struct p_gce *p = (struct p_gce *)up;
    struct leftovers l = { "instance", p->project, fn, arg };
    char url[GCE_URL_MAX];
    aggregated(p, "instances", cluster, url);
    int r =
        gce_pages(p, url, "instances", true, "instances", on_resource, &l, err);
    l.kind = "firewall";
    if (r == 0)
        r = gce_firewalls(p, NULL, cluster, on_resource, &l, err);
    l.kind = "disk";
    aggregated(p, "disks", cluster, url);
    if (r == 0)
        r = gce_pages(p, url, "disks", true, "disks", on_resource, &l, err);
    l.kind = "image";
    snprintf(
        url, sizeof url,
        "%s/projects/%s/global/images?maxResults=500&filter=labels." GCE_CLUSTER
        "%%3D%s",
        p->compute, p->project, cluster);
    if (r == 0)
        r = gce_pages(p, url, "items", false, "images", on_resource, &l, err);
    return r == 0 ? objects(p, cluster, &l, err) : r;
}

int gce_remove(struct provider *up, const char *kind, const char *region,
               const char *id, struct sc_err *err)
{
    struct p_gce *p = (struct p_gce *)up;
    char zone[64], name[64], what[GCE_WHAT_MAX];
    snprintf(what, sizeof what, "%.20s '%.100s'", kind, id);
    if (!strcmp(kind, "instance"))
        return gce_terminate(up, region, id, err);
    if (!strcmp(kind, "firewall"))
        return remove_firewall(p, id, err);
    if (!strcmp(kind, "object"))
        return strncmp(id, "supercloud/", 11) == 0
                   ? gce_object_remove(p, id, err)
                   : sc_fail(err, -EINVAL, "gce: %s: not one of ours", what);
    if (!strcmp(kind, "disk")) {
        int r = gce_id_split(id, zone, name, err);
        return r < 0 ? r
                     : gce_do(p, "DELETE", NULL, true, err, what,
                              "/zones/%s/disks/%s", zone, name);
    }
    if (!strcmp(kind, "image") && gce_name_ok(rest_base(id)))
        return gce_do(p, "DELETE", NULL, true, err, what, "/global/images/%s",
                      rest_base(id));
    return sc_fail(err, -EINVAL,
                   "gce: %s: kinds are instance, firewall, disk, image, object",
                   what);
}
