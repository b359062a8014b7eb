/* p_openstack_server - servers: listed, ended, powered off; flavors. */
#include "provider/p_openstack.h"

#include <arpa/inet.h>

/* -- A server as Nova tells it ----------------------------------------------
 */

static bool is_private(const char *address)
{
    struct in_addr a;
    if (inet_pton(AF_INET, address, &a) != 1)
        return true;
    uint32_t x = ntohl(a.s_addr);
    return x >> 24 == 10 || x >> 20 == 0xac1 || x >> 16 == 0xc0a8 ||
           x >> 22 == (100U << 2 | 1); /* RFC 6598 */
}

/* The address others reach, and the one inside. */
static void find_addresses(const cJSON *s, const char **ret_public,
                           const char **ret_private)
{
    const char *floating = "", *outer = "", *inner = "", *v6 = "";
    const cJSON *network, *a;
    cJSON_ArrayForEach(network, cJSON_GetObjectItem(s, "addresses"))
    {
        cJSON_ArrayForEach(a, network)
        {
            const char *text = os_str(a, "addr");
            const char **place =
                os_num(a, "version") == 6                           ? &v6
                : !strcmp(os_str(a, "OS-EXT-IPS:type"), "floating") ? &floating
                : is_private(text)                                  ? &inner
                                                                    : &outer;
            if (!**place)
                *place = text;
        }
    }
    const char *access = os_str(s, "accessIPv4");
    *ret_private = inner;
    *ret_public = *floating ? floating
                  : *access ? access
                  : *outer  ? outer
                  : *inner  ? inner
                            : v6;
}

static enum provider_state state_of(const cJSON *s)
{
    static const struct {
        const char *status;
        enum provider_state state;
    } known[] = {
        { "BUILD", PROVIDER_PENDING },
        { "REBUILD", PROVIDER_PENDING },
        { "SHUTOFF", PROVIDER_STOPPED },
        { "SUSPENDED", PROVIDER_STOPPED },
        { "SHELVED", PROVIDER_STOPPED },
        { "SHELVED_OFFLOADED", PROVIDER_STOPPED },
        { "DELETED", PROVIDER_TERMINATED },
        { "SOFT_DELETED", PROVIDER_TERMINATED },
    };
    const char *status = os_str(s, "status");
    for (size_t i = 0; i < SC_ARRAY_LEN(known); i++)
        if (!strcmp(known[i].status, status))
            return known[i].state;
    /* ERROR says that something failed, not that nothing runs. */
    if (!strcmp(status, "ERROR"))
        return os_num(s, "OS-EXT-STS:power_state") == 1 ? PROVIDER_RUNNING
                                                        : PROVIDER_STOPPED;
    return PROVIDER_RUNNING;
}

int os_server_read(const cJSON *s, const char *region, const char *type,
                   struct provider_instance *ret)
{
    const char *address, *inside;
    const cJSON *tags = cJSON_GetObjectItem(s, "metadata");
    find_addresses(s, &address, &inside);
    struct provider_instance i = {
        .id = strdup(os_str(s, "id")),
        .name = strdup(os_str(s, "name")),
        .region = strdup(region),
        .zone = strdup(os_str(s, "OS-EXT-AZ:availability_zone")),
        .type = strdup(type),
        .image = strdup(os_str(cJSON_GetObjectItem(s, "image"), "id")),
        .address = strdup(address),
        .private_address = strdup(inside),
        .console = strdup(""),
        .cluster = strdup(os_str(tags, "supercloud_cluster")),
        .token = strdup(os_str(tags, "supercloud_token")),
        .state = state_of(s),
        .created_at = os_time(os_str(s, "created")),
    };
    if (!i.id || !i.name || !i.region || !i.zone || !i.type || !i.image ||
        !i.address || !i.private_address || !i.console || !i.cluster ||
        !i.token) {
        provider_instance_clear(&i);
        return -ENOMEM;
    }
    *ret = i;
    return 0;
}

/* -- Lists --------------------------------------------------------------------
 */

struct listing {
    struct openstack *o;
    const char *region;
    cJSON *flavors; /* id -> name */
    provider_each_fn *fn;
    void *arg;
    struct sc_err *err;
};

static int add_flavor(void *arg, const cJSON *f)
{
    return cJSON_AddStringToObject(arg, os_str(f, "id"), os_str(f, "name"))
               ? 0
               : -ENOMEM;
}

static int tell_server(void *arg, const cJSON *s)
{
    struct listing *l = arg;
    const char *flavor = os_str(cJSON_GetObjectItem(s, "flavor"), "id");
    const char *name = os_str(l->flavors, flavor);
    struct provider_instance i;
    int r = os_server_read(s, l->region, *name ? name : flavor, &i);
    if (r < 0)
        return sc_fail(l->err, r, "out of memory");
    r = l->fn(l->arg, &i);
    provider_instance_clear(&i);
    return r;
}

static int list_region(void *arg, const char *region)
{
    struct listing *l = arg;
    SC_AUTO(cjson_free) cJSON *flavors = cJSON_CreateObject();
    l->region = region;
    l->flavors = flavors;
    int r = os_list(l->o, region, "compute", "/flavors/detail", "flavors",
                    add_flavor, flavors, l->err);
    return r < 0 ? r
                 : os_list(l->o, region, "compute", "/servers/detail",
                           "servers", tell_server, l, l->err);
}

int os_server_list(struct provider *up, const char *region,
                   provider_each_fn *fn, void *arg, struct sc_err *err)
{
    struct listing l = {
        .o = (struct openstack *)up, .fn = fn, .arg = arg, .err = err
    };
    return os_each_region(l.o, region, list_region, &l, err);
}

struct type_listing {
    provider_each_type_fn *fn;
    void *arg;
};

static int tell_type(void *arg, const cJSON *f)
{
    struct type_listing *l = arg;
    if (cJSON_IsTrue(cJSON_GetObjectItem(f, "OS-FLV-DISABLED:disabled")))
        return 0;
    /* No API says whether a flavor's hosts offer nested virtualisation. */
    struct provider_type t = {
        .name = (char *)os_str(f, "name"),
        .vcpus = (unsigned)os_num(f, "vcpus"),
        .memory_mib = (unsigned)os_num(f, "ram"),
        .nested_virtualisation = false,
        .xen = true,
    };
    return l->fn(l->arg, &t);
}

int os_types(struct provider *up, const char *region, provider_each_type_fn *fn,
             void *arg, struct sc_err *err)
{
    struct openstack *o = (struct openstack *)up;
    struct type_listing l = { fn, arg };
    int r = os_region(o, region, &region, err);
    return r < 0 ? r
                 : os_list(o, region, "compute", "/flavors/detail", "flavors",
                           tell_type, &l, err);
}

/* -- The end of a server
 * --------------------------------------------------------- */

static int get_server(struct openstack *o, const char *region, const char *id,
                      struct os_answer *ret, struct sc_err *err)
{
    SC_AUTO(free) char *escaped = web_escape(id, false);
    return escaped
               ? os_get(o, region, "compute", ret, err, "/servers/%s", escaped)
               : sc_fail(err, -ENOMEM, "out of memory");
}

static int act(struct openstack *o, const char *region, const char *id,
               const char *action, const char *argument, struct sc_err *err)
{
    SC_AUTO(free) char *path = NULL;
    SC_AUTO(free) char *escaped = web_escape(id, false);
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    if (!escaped || asprintf(&path, "/servers/%s/action", escaped) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    if (argument)
        cJSON_AddStringToObject(cJSON_AddObjectToObject(body, action), "state",
                                argument);
    else
        cJSON_AddNullToObject(body, action);
    /* Each of them twice is once. */
    struct os_call c = { .region = region,
                         .service = "compute",
                         .method = "POST",
                         .path = path,
                         .body = body };
    return os_call(o, &c, NULL, err);
}

int os_server_delete(struct openstack *o, const char *region, const char *id,
                     struct sc_err *err)
{
    SC_AUTO(free) char *escaped = web_escape(id, false);
    uint64_t end = os_clock() + OS_GONE_MS;
    bool forced = false;
    int r = escaped
                ? os_delete(o, region, "compute", err, "/servers/%s", escaped)
                : sc_fail(err, -ENOMEM, "out of memory");
    for (unsigned ms = 0; r == 0;) {
        struct os_answer a = { 0 };
        struct sc_err e = { 0 };
        r = get_server(o, region, id, &a, &e);
        if (r == -ENOENT)
            return 0;
        if (r < 0) {
            if (err)
                *err = e;
            return r;
        }
        const cJSON *s = cJSON_GetObjectItem(a.json, "server");
        const char *status = os_str(s, "status");
        bool gone = !strcmp(status, "DELETED");
        bool kept = !strcmp(status, "SOFT_DELETED");
        bool failed = !strcmp(status, "ERROR") &&
                      !*os_str(s, "OS-EXT-STS:task_state") && ms > 0;
        os_answer_clear(&a);
        if (gone)
            return 0;
        /* A cloud that keeps deleted servers a while still counts them. */
        if (kept && !forced) {
            forced = true;
            r = act(o, region, id, "forceDelete", NULL, err);
        } else if (failed) {
            r = os_delete(o, region, "compute", err, "/servers/%s", escaped);
        }
        if (r == 0) {
            provider_progress(&o->up, "delete", 0, 0);
            r = os_pause(o, &ms, end, "the server to be gone", err);
        }
    }
    return r;
}

int os_terminate(struct provider *up, const char *region, const char *id,
                 struct sc_err *err)
{
    struct openstack *o = (struct openstack *)up;
    struct os_answer a = { 0 };
    struct sc_err e = { 0 };
    int r = os_region(o, region, &region, err);
    if (r < 0)
        return r;
    /* Its tags first: they name what was made for it alone. */
    r = get_server(o, region, id, &a, &e);
    if (r < 0 && r != -ENOENT) {
        if (err)
            *err = e;
        return r;
    }
    char cluster[64], token[64];
    const cJSON *tags =
        cJSON_GetObjectItem(cJSON_GetObjectItem(a.json, "server"), "metadata");
    snprintf(cluster, sizeof cluster, "%s", os_str(tags, "supercloud_cluster"));
    snprintf(token, sizeof token, "%s", os_str(tags, "supercloud_token"));
    os_answer_clear(&a);
    if (r == 0)
        r = os_server_delete(o, region, id, err);
    if (r == -ENOENT || (r == 0 && !*token))
        return 0;
    struct provider_tags t = { cluster, token };
    if (r == 0)
        r = os_volume_remove(o, region, &t, err);
    if (r == 0)
        r = os_net_remove(o, region, &t, err);
    return r;
}

/* -- Power off
 * -------------------------------------------------------------------- */

struct power {
    char status[32], task[64];
    int power; /* Nova's: 0 none, 1 running, 4 shut down. */
};

/* 0, or -ENOENT: it is gone, which is off too. */
static int get_power(struct openstack *o, const char *region, const char *id,
                     struct power *ret, struct sc_err *err)
{
    struct os_answer a = { 0 };
    int r = get_server(o, region, id, &a, err);
    if (r < 0)
        return r;
    const cJSON *s = cJSON_GetObjectItem(a.json, "server");
    const cJSON *power = cJSON_GetObjectItem(s, "OS-EXT-STS:power_state");
    snprintf(ret->status, sizeof ret->status, "%s", os_str(s, "status"));
    snprintf(ret->task, sizeof ret->task, "%s",
             os_str(s, "OS-EXT-STS:task_state"));
    /* A cloud that does not tell: its SHUTOFF is believed. */
    ret->power = cJSON_IsNumber(power) ? power->valueint : 4;
    os_answer_clear(&a);
    return 0;
}

static bool is_off(const struct power *p)
{
    static const char *const off[] = { "SHUTOFF",      "SUSPENDED",
                                       "SHELVED",      "SHELVED_OFFLOADED",
                                       "SOFT_DELETED", "DELETED" };
    bool named = false;
    for (size_t i = 0; i < SC_ARRAY_LEN(off); i++)
        named = named || !strcmp(p->status, off[i]);
    return named && p->power != 1 && !*p->task;
}

/* Asks Nova once for power off, in the way its state wants. */
static int ask_off(struct openstack *o, const char *region, const char *id,
                   const struct power *p, bool *forced, struct sc_err *err)
{
    if (!strcmp(p->status, "PAUSED")) /* No state to stop from. */
        return act(o, region, id, "unpause", NULL, err);
    if (!strcmp(p->status, "RESCUE"))
        return act(o, region, id, "unrescue", NULL, err);
    int r = act(o, region, id, "os-stop", NULL, err);
    if (r != -EEXIST || *forced)
        return r;
    /* A task that is stuck holds the server's state: an administrator's
     * credential may take it away, others wait for its end. */
    *forced = true;
    struct sc_err e = { 0 };
    if (act(o, region, id, "os-resetState", "active", &e) < 0)
        return r;
    return act(o, region, id, "os-stop", NULL, err);
}

int os_fence(struct provider *up, const char *region, const char *id,
             struct sc_err *err)
{
    struct openstack *o = (struct openstack *)up;
    int r = os_region(o, region, &region, err);
    if (r < 0)
        return r;
    uint64_t end = os_clock() + OS_STOP_MS;
    struct sc_err last = { 0 }; /* Why Nova refused, if it did. */
    bool forced = false, asked = false;
    for (unsigned ms = 0;;) {
        struct power p;
        struct sc_err e = { 0 };
        r = get_power(o, region, id, &p, &e);
        if (r == -ENOENT || (r == 0 && is_off(&p)))
            return 0;
        if (r == 0 && (!asked || !*p.task)) {
            r = ask_off(o, region, id, &p, &forced, &last);
            asked = r == 0;
            if (r == -ENOENT)
                continue; /* Gone between the two. */
            if (r == -EEXIST)
                r = 0; /* Its state is in the way: perhaps not for long. */
            e = last;
        }
        if (r == 0) {
            provider_progress(up, "stop", 0, 0);
            r = os_pause(o, &ms, end, "the server to be off", &e);
            if (r == -ETIMEDOUT && last.code)
                e = last;
        }
        if (r < 0) {
            if (err)
                *err = e;
            return r;
        }
    }
}
