/* p_openstack_net - Neutron: a security group for the rules of a launch,
 * networks by name, a floating address.
 *
 * Neutron's tags are shorter than ours may be, and not everywhere; its
 * descriptions are 255 characters everywhere, so they carry the mark. */
#include "provider/p_openstack.h"

enum { IN_USE_MS = 60000 };

static bool has_net(const struct openstack *o, const char *region)
{
    return !o->classic && os_endpoint(o, "network", region);
}

/* -- Found by their mark
 * ------------------------------------------------------- */

struct marked {
    const struct provider_tags *tags;
    const char *kind, *region;
    cJSON *ids;                    /* Those with 'tags' are collected ... */
    provider_each_resource_fn *fn; /* ... or all with a mark are told. */
    void *arg;
};

static int look_at(void *arg, const cJSON *x)
{
    struct marked *m = arg;
    char cluster[64] = "", token[64] = "";
    if (!os_mark_read(os_str(x, "description"), cluster, token))
        return 0;
    if (m->ids) {
        bool ours = !strcmp(cluster, m->tags->cluster) &&
                    !strcmp(token, m->tags->token);
        if (ours)
            cJSON_AddItemToArray(m->ids, cJSON_CreateString(os_str(x, "id")));
        return 0;
    }
    const char *address = os_str(x, "floating_ip_address");
    struct provider_resource r = {
        .kind = (char *)m->kind,
        .id = (char *)os_str(x, "id"),
        .name = (char *)(*address ? address : os_str(x, "name")),
        .region = (char *)m->region,
        .cluster = cluster,
        .token = token,
        .detail = (char *)os_str(x, "status"),
        .created_at = os_time(os_str(x, "created_at")),
    };
    return m->fn(m->arg, &r);
}

static int each_marked(struct openstack *o, const char *region,
                       const char *path, const char *key, struct marked *m,
                       struct sc_err *err)
{
    char full[128];
    snprintf(full, sizeof full, "%s?project_id=%.64s", path, o->project_id);
    return os_list(o, region, "network", full, key, look_at, m, err);
}

int os_net_each(struct openstack *o, const char *region,
                provider_each_resource_fn *fn, void *arg, struct sc_err *err)
{
    struct marked m = {
        .kind = "floating-ip", .region = region, .fn = fn, .arg = arg
    };
    if (!has_net(o, region))
        return 0;
    int r = each_marked(o, region, "/floatingips", "floatingips", &m, err);
    m.kind = "security-group";
    return r != 0 ? r
                  : each_marked(o, region, "/security-groups",
                                "security_groups", &m, err);
}

struct finder {
    struct openstack *o;
    const char *region, *path, *key;
    const struct provider_tags *tags;
};

static int find_marked(void *arg, char **ret, struct sc_err *err)
{
    struct finder *f = arg;
    SC_AUTO(cjson_free) cJSON *ids = cJSON_CreateArray();
    struct marked m = { .tags = f->tags, .ids = ids };
    if (!ids)
        return sc_fail(err, -ENOMEM, "out of memory");
    int r = each_marked(f->o, f->region, f->path, f->key, &m, err);
    if (r < 0 || !cJSON_GetArraySize(ids))
        return r < 0 ? r : -ENOENT;
    *ret = strdup(cJSON_GetArrayItem(ids, 0)->valuestring);
    return *ret ? 0 : sc_fail(err, -ENOMEM, "out of memory");
}

/* -- Security groups
 * ------------------------------------------------------------ */

static cJSON *rule_json(const char *group, const struct provider_rule *u)
{
    bool v6 = strchr(u->cidr, ':');
    bool icmp = !strcmp(u->protocol, "icmp");
    cJSON *body = cJSON_CreateObject();
    cJSON *r = cJSON_AddObjectToObject(body, "security_group_rule");
    cJSON_AddStringToObject(r, "security_group_id", group);
    cJSON_AddStringToObject(r, "direction", "ingress");
    cJSON_AddStringToObject(r, "ethertype", v6 ? "IPv6" : "IPv4");
    cJSON_AddStringToObject(r, "protocol",
                            icmp && v6 ? "ipv6-icmp" : u->protocol);
    if (!icmp) {
        cJSON_AddNumberToObject(r, "port_range_min", u->port_from);
        cJSON_AddNumberToObject(r, "port_range_max", u->port_to);
    }
    cJSON_AddStringToObject(r, "remote_ip_prefix", u->cidr);
    return body;
}

static int add_rule(struct openstack *o, const char *region, const char *group,
                    const struct provider_rule *u, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *body = rule_json(group, u);
    /* The same rule twice is refused with 409, so it may be repeated. */
    struct os_call c = { .region = region,
                         .service = "network",
                         .method = "POST",
                         .path = "/security-group-rules",
                         .body = body };
    struct sc_err e = { 0 };
    int r = os_call(o, &c, NULL, &e);
    if (r == -EEXIST)
        return 0;
    if (r < 0 && err)
        *err = e;
    return r;
}

int os_group_make(struct openstack *o, const char *region,
                  const struct provider_launch *l, char **ret,
                  struct sc_err *err)
{
    char mark[OS_MARK_MAX];
    *ret = NULL;
    if (!l->n_rules || !has_net(o, region))
        return 0;
    os_mark(&l->tags, mark);
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    cJSON *g = cJSON_AddObjectToObject(body, "security_group");
    cJSON_AddStringToObject(g, "name", l->name);
    cJSON_AddStringToObject(g, "description", mark);
    struct finder f = { o, region, "/security-groups", "security_groups",
                        &l->tags };
    struct os_make m = { .region = region,
                         .service = "network",
                         .path = "/security-groups",
                         .key = "security_group",
                         .body = body,
                         .find = find_marked,
                         .arg = &f };
    provider_progress(&o->up, "firewall", 0, 0);
    int r = os_make(o, &m, ret, err);
    for (size_t i = 0; r == 0 && i < l->n_rules; i++)
        r = add_rule(o, region, *ret, &l->rules[i], err);
    return r;
}

int os_group_delete(struct openstack *o, const char *region, const char *id,
                    struct sc_err *err)
{
    uint64_t end = os_clock() + IN_USE_MS;
    for (unsigned ms = 0;;) {
        int r = os_delete(o, region, "network", err, "/security-groups/%s", id);
        if (r != -EEXIST) /* In use: the port goes a little after its server. */
            return r;
        struct sc_err e = { 0 };
        if (os_pause(o, &ms, end, "the security group to be free", &e) < 0) {
            if (e.code != -ETIMEDOUT && err)
                *err = e;
            return e.code == -ETIMEDOUT ? r : e.code;
        }
    }
}

/* -- Networks and addresses
 * -------------------------------------------------------- */

struct named {
    char id[OS_UUID_MAX];
    unsigned n;
};

static int take_named(void *arg, const cJSON *x)
{
    struct named *n = arg;
    snprintf(n->id, sizeof n->id, "%s", os_str(x, "id"));
    n->n++;
    return 0;
}

int os_network_find(struct openstack *o, const char *region, const char *wanted,
                    char **ret, struct sc_err *err)
{
    struct named n = { 0 };
    if (os_is_id(wanted) || !has_net(o, region)) {
        *ret = strdup(wanted);
        return *ret ? 0 : sc_fail(err, -ENOMEM, "out of memory");
    }
    SC_AUTO(free) char *path = NULL;
    SC_AUTO(free) char *name = web_escape(wanted, false);
    if (!name || asprintf(&path, "/networks?name=%s", name) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    int r =
        os_list(o, region, "network", path, "networks", take_named, &n, err);
    if (r < 0)
        return r;
    if (n.n != 1)
        return sc_fail(err, n.n ? -EINVAL : -ENOENT,
                       n.n ? "%s: network '%s': several in region '%s' have "
                             "this name: give the id"
                           : "%s: network '%s': there is none in region '%s'",
                       o->up.class->name, wanted, region);
    *ret = strdup(n.id);
    return *ret ? 0 : sc_fail(err, -ENOMEM, "out of memory");
}

int os_address_make(struct openstack *o, const char *region,
                    const struct provider_tags *t, const char *server,
                    char **ret, struct sc_err *err)
{
    SC_AUTO(free) char *network = NULL, *id = NULL;
    *ret = NULL;
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    char mark[OS_MARK_MAX], path[OS_UUID_MAX + 32];
    struct named port = { 0 };
    if (!o->external_network || !has_net(o, region))
        return 0;
    provider_progress(&o->up, "address", 0, 0);
    int r = os_network_find(o, region, o->external_network, &network, err);
    snprintf(path, sizeof path, "/ports?device_id=%s", server);
    if (r == 0)
        r = os_list(o, region, "network", path, "ports", take_named, &port,
                    err);
    if (r == 0 && !port.n)
        r = sc_fail(err, -ENOENT,
                    "%s: the server has no port to give an address to: "
                    "external_network needs a network",
                    o->up.class->name);
    if (r < 0)
        return r;
    os_mark(t, mark);
    cJSON *f = cJSON_AddObjectToObject(body, "floatingip");
    cJSON_AddStringToObject(f, "floating_network_id", network);
    cJSON_AddStringToObject(f, "port_id", port.id);
    cJSON_AddStringToObject(f, "description", mark);
    struct finder find = { o, region, "/floatingips", "floatingips", t };
    struct os_make m = { .region = region,
                         .service = "network",
                         .path = "/floatingips",
                         .key = "floatingip",
                         .body = body,
                         .find = find_marked,
                         .arg = &find };
    struct os_answer a = { 0 };
    r = os_make(o, &m, &id, err);
    if (r == 0)
        r = os_get(o, region, "network", &a, err, "/floatingips/%s", id);
    if (r < 0)
        return r;
    *ret = strdup(os_str(cJSON_GetObjectItem(a.json, "floatingip"),
                         "floating_ip_address"));
    os_answer_clear(&a);
    return *ret ? 0 : sc_fail(err, -ENOMEM, "out of memory");
}

int os_net_remove(struct openstack *o, const char *region,
                  const struct provider_tags *t, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *ids = cJSON_CreateArray();
    SC_AUTO(cjson_free) cJSON *groups = cJSON_CreateArray();
    struct marked m = { .tags = t, .ids = ids };
    const cJSON *id;
    if (!has_net(o, region))
        return 0;
    int r = each_marked(o, region, "/floatingips", "floatingips", &m, err);
    m.ids = groups;
    if (r == 0)
        r = each_marked(o, region, "/security-groups", "security_groups", &m,
                        err);
    cJSON_ArrayForEach(id, ids)
    {
        if (r == 0)
            r = os_delete(o, region, "network", err, "/floatingips/%s",
                          id->valuestring);
    }
    cJSON_ArrayForEach(id, groups)
    {
        if (r == 0)
            r = os_group_delete(o, region, id->valuestring, err);
    }
    return r;
}
