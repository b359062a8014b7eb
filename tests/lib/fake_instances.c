/* fake_instances - instances at the simulated clouds: launch, list, terminate,
 * fence, serial log, gc. */
#include "tests/lib/fake_providers.h"

#include "common/json.h"

#include <string.h>

#define OP(name)                                                               \
    int name(struct fake_cluster *f, const struct api_caller *who,             \
             const cJSON *p, int *status, cJSON **ret, struct sc_err *err)

cJSON *fake_provider_job(struct fake_cluster *f, const char *kind,
                         const cJSON *account, cJSON *o, const char *name,
                         int *status, cJSON **ret)
{
    static const struct {
        const char *kind, *steps[4];
    } plans[] = {
        { "provider.publish", { "publish" } },
        { "provider.image_delete", { "remove" } },
        { "provider.launch", { "user-data", "launch", "join" } },
        { "provider.terminate", { "terminate", "forget" } },
        { "provider.fence", { "fence" } },
        { "provider.gc", { "find", "remove" } },
    };
    size_t i = 0;
    while (strcmp(plans[i].kind, kind) != 0)
        i++;
    /* Jobs on instances are jobs of the account, by the instance's name. */
    cJSON *job = fake_job_new(f, kind, fake_str(o ? o : account, "id"), name,
                              plans[i].steps);
    fake_set_str(job, "provider", fake_str(account, "id"));
    if (o)
        fake_set_str(o, "job", fake_str(job, "id"));
    fake_changed(f, FAKE_JOBS, job, false);
    *ret = cJSON_CreateObject();
    cJSON_AddItemToObject(*ret, "job", cJSON_Duplicate(job, true));
    *status = 202;
    return job;
}

OP(fake_op_instances)
{
    (void)who, (void)status;
    const cJSON *a = fake_cloud(f, p, err), *i;
    if (!a)
        return err->code;
    *ret = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(*ret, "instances");
    cJSON_ArrayForEach(i, f->lists[FAKE_INSTANCES])
    {
        if (strcmp(fake_str(i, "provider"), fake_str(a, "id")) != 0)
            continue;
        cJSON *o = cJSON_Duplicate(i, true);
        cJSON_DeleteItemFromObjectCaseSensitive(o, "provider");
        cJSON_AddItemToArray(list, o);
    }
    return 0;
}

static int check_rules(const cJSON *rules, struct sc_err *err)
{
    const cJSON *rule;
    cJSON_ArrayForEach(rule, rules)
    {
        struct json_reader in = json_read(rule, "rule");
        json_str(&in, "protocol", 3, 4);
        int64_t from = json_int(&in, "port_from", 0, 65535);
        int64_t to = json_int(&in, "port_to", 0, 65535);
        json_str(&in, "cidr", 9, 43);
        if (json_done(&in, err) < 0)
            return -EINVAL;
        if (from > to)
            return sc_fail(err, -EINVAL, "rule: ports %d to %d", (int)from,
                           (int)to);
    }
    return 0;
}

static int check_image(struct fake_cluster *f, const cJSON *a,
                       const char *image, const char *region,
                       struct sc_err *err)
{
    const cJSON *i = fake_of_account(f, FAKE_PUBLISHED, a, image, NULL);
    if (!i)
        return 0; /* The cloud's own id of an image. */
    if (strcmp(fake_str(i, "state"), "active") != 0)
        return sc_fail(err, -EBUSY, "image '%s': is %s, not active",
                       fake_str(i, "name"), fake_str(i, "state"));
    if (strcmp(fake_str(i, "region"), region) != 0)
        return sc_fail(err, -EINVAL, "image '%s': is in %s, not in %s",
                       fake_str(i, "name"), fake_str(i, "region"), region);
    return 0;
}

OP(fake_op_launch)
{
    (void)who;
    static const char *const keys[] = { "id",        "name",       "region",
                                        "zone",      "type",       "image",
                                        "count",     "spot",       "rules",
                                        "options",   "hypervisor", "ttl_s",
                                        "max_price", "disk_gib",   NULL };
    const cJSON *a = fake_account(f, p, err);
    if (!a)
        return -ENOENT;
    const struct fake_driver *d = fake_driver_of(a);
    struct json_reader in = json_read(p, "provider.launch");
    const char *name = json_str(&in, "name", 1, 60);
    const char *region = json_str(&in, "region", 1, 63);
    const char *image = json_str(&in, "image", 1, 255);
    const char *type = json_str_or(&in, "type", 63, "");
    json_str_or(&in, "zone", 63, "");
    json_str_or(&in, "hypervisor", 16, "");
    int64_t count = json_int_or(&in, "count", 1, 32, 1);
    json_int_or(&in, "disk_gib", 0, 16384, 0);
    json_int_or(&in, "ttl_s", 1, 366 * 86400, 3600);
    bool spot = json_bool_or(&in, "spot", false);
    json_only(&in, keys);
    if (json_done(&in, err) < 0)
        return -EINVAL;
    if (!sc_name_ok(name))
        return sc_fail(err, -EINVAL, "name: '%s' is not a name", name);
    const struct fake_type *t = NULL;
    int r = fake_region_check(d, region, err);
    if (r == 0 && !(t = fake_type_find(d, type, err)))
        r = -ENOENT;
    if (r == 0)
        r = check_image(f, a, image, region, err);
    if (r == 0)
        r = check_rules(cJSON_GetObjectItem(p, "rules"), err);
    if (r < 0)
        return r;
    double most = fake_num(p, "max_price");
    double now = fake_price(d, t, region, 0, true);
    if (spot && t->spot == 0)
        return sc_fail(err, -EINVAL, "%s: has no spot instances", d->name);
    if (spot && most > 0 && most < now)
        return sc_fail(err, -ENOSPC,
                       "%s: SpotMaxPriceTooLow: %.4f USD an hour is below the "
                       "present %.4f (request id fake-0004); offer more, or "
                       "take another zone",
                       d->name, most, now);
    cJSON *job =
        fake_provider_job(f, "provider.launch", a, NULL, name, status, ret);
    cJSON *request = cJSON_Duplicate(p, true);
    fake_set_str(request, "type", t->name);
    fake_set_num(request, "count", (double)count);
    cJSON_AddItemToObject(job, "request", request);
    return 0;
}

static int check_guests(struct fake_cluster *f, const cJSON *i, const cJSON *p,
                        struct sc_err *err)
{
    const cJSON *v;
    if (cJSON_IsTrue(cJSON_GetObjectItem(p, "force")))
        return 0;
    cJSON_ArrayForEach(v, f->lists[FAKE_VMS]) if (
        fake_str(i, "node")[0] &&
        strcmp(fake_str(v, "node"), fake_str(i, "node")) ==
            0) return sc_fail(err, -EBUSY,
                              "node '%s': vm '%s' is on it; move it away "
                              "first, or use force",
                              fake_str(i, "node_name"), fake_str(v, "name"));
    return 0;
}

static int on_instance(struct fake_cluster *f, const char *kind, const cJSON *p,
                       int *status, cJSON **ret, struct sc_err *err)
{
    const cJSON *a = fake_account(f, p, err);
    cJSON *i =
        a ? fake_of_account(f, FAKE_INSTANCES, a, fake_str(p, "instance"), err)
          : NULL;
    if (!i)
        return -ENOENT;
    if (fake_str(i, "job")[0])
        return sc_fail(err, -EBUSY, "instance '%s': job %s is launching it",
                       fake_str(i, "name"), fake_str(i, "job"));
    if (strcmp(kind, "provider.terminate") == 0 &&
        check_guests(f, i, p, err) < 0)
        return -EBUSY;
    cJSON *job =
        fake_provider_job(f, kind, a, NULL, fake_str(i, "name"), status, ret);
    fake_set_str(job, "instance", fake_str(i, "id"));
    return 0;
}

OP(fake_op_terminate)
{
    (void)who;
    return on_instance(f, "provider.terminate", p, status, ret, err);
}

OP(fake_op_fence)
{
    (void)who;
    return on_instance(f, "provider.fence", p, status, ret, err);
}

OP(fake_op_instance_log)
{
    (void)who, (void)status;
    const cJSON *a = fake_cloud(f, p, err);
    const cJSON *i =
        a ? fake_of_account(f, FAKE_INSTANCES, a, fake_str(p, "instance"), err)
          : NULL;
    if (!i)
        return err->code;
    SC_AUTO(free) char *said = NULL;
    if (asprintf(
            &said,
            "simulated serial log of %s\r\n"
            "\033[32m(XEN)\033[0m booting\r\n"
            "[SC-B01] %s: Xen did not come up; booting the plain kernel\r\n",
            fake_str(i, "id"), fake_str(i, "name")) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    *ret = cJSON_CreateObject();
    fake_set_str(*ret, "data", said);
    return 0;
}

OP(fake_op_gc)
{
    (void)who;
    const cJSON *a = fake_cloud(f, p, err), *r;
    if (!a)
        return err->code;
    if (!cJSON_IsTrue(cJSON_GetObjectItem(p, "dry_run"))) {
        fake_provider_job(f, "provider.gc", a, NULL, fake_str(a, "name"),
                          status, ret);
        return 0;
    }
    *ret = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(*ret, "resources");
    cJSON_ArrayForEach(r, f->lists[FAKE_RESOURCES])
    {
        if (strcmp(fake_str(r, "provider"), fake_str(a, "id")) != 0)
            continue;
        cJSON *o = cJSON_Duplicate(r, true);
        cJSON_DeleteItemFromObjectCaseSensitive(o, "provider");
        cJSON_AddItemToArray(list, o);
    }
    return 0;
}

void fake_leave(struct fake_cluster *f, const cJSON *account, const char *kind,
                const char *name, const char *region, const char *detail)
{
    char id[SC_UUID_LEN + 1], token[SC_UUID_LEN + 1];
    sc_uuid_new(token);
    cJSON *r = fake_add_object(f, FAKE_RESOURCES);
    snprintf(id, sizeof id, "%s", fake_str(r, "id"));
    fake_set_strf(r, "name", "%s", name);
    cJSON_DeleteItemFromObjectCaseSensitive(r, "id");
    fake_set_strf(r, "id", "%.4s-0%.8s", kind, id);
    fake_set_str(r, "provider", fake_str(account, "id"));
    fake_set_str(r, "kind", kind);
    fake_set_str(r, "region", region);
    fake_set_str(r, "detail", detail);
    fake_set_str(r, "cluster", "fake-cluster");
    fake_set_str(r, "token", token);
    fake_set_str(r, "why", "the job that made it has ended");
}
