/* fake_instances - instances at the simulated clouds: launch, list, terminate,
 * fence, gc; the user-data and the probes of the nodes they become. */
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
    const cJSON *a = fake_account(f, p, err), *i;
    if (!a)
        return -ENOENT;
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
    int64_t count = json_int_or(&in, "count", 1, 100, 1);
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

OP(fake_op_gc)
{
    (void)who;
    const cJSON *a = fake_account(f, p, err), *r;
    if (!a)
        return -ENOENT;
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

/* --- what a node is started with, and what it reports ----------------------
 */

OP(fake_op_user_data)
{
    static const char *const keys[] = { "region", "provider",   "name",
                                        "ttl_s",  "uses",       "role",
                                        "format", "hypervisor", NULL };
    struct json_reader in = json_read(p, "node.user_data");
    const char *region = json_str(&in, "region", 1, 63);
    const char *provider = json_str(&in, "provider", 1, 63);
    const char *name = json_str_or(&in, "name", 63, "");
    const char *role = json_str_or(&in, "role", 16, "node");
    const char *hypervisor = json_str_or(&in, "hypervisor", 16, "");
    const char *format = json_str_or(&in, "format", 16, "cloud-config");
    json_only(&in, keys);
    if (json_done(&in, err) < 0)
        return -EINVAL;
    bool terraform = strcmp(format, "terraform") == 0;
    if (!terraform && strcmp(format, "cloud-config") != 0)
        return sc_fail(err, -EINVAL,
                       "format: '%s' is not cloud-config or terraform", format);
    SC_AUTO(cjson_free) cJSON *token = NULL;
    SC_AUTO(cjson_free) cJSON *q = cJSON_Duplicate(p, true);
    int r = fake_op_find("token.create")(f, who, q, status, &token, err);
    if (r < 0)
        return r;
    SC_AUTO(free) char *pad = calloc(1, 2 << 20);
    if (strncmp(region, "huge-", 5) == 0)
        memset(pad, '#', (2 << 20) - 1);
    SC_AUTO(cjson_free) cJSON *text = cJSON_CreateObject();
    fake_set_strf(text, "text",
                  "#cloud-config\nsupercloud:\n  role: %s\n  controller: "
                  "10.200.0.1:7443\n  token: %s\n  region: %s\n  provider: "
                  "%s\n%s%s%s%s%s%s%s",
                  role, fake_str(token, "token"), region, provider,
                  *name ? "  name: " : "", name, *name ? "\n" : "",
                  *hypervisor ? "  hypervisor: " : "", hypervisor,
                  *hypervisor ? "\n" : "", pad);
    size_t size = strlen(fake_str(text, "text"));
    const struct fake_driver *d = fake_driver_find(
        strcmp(provider, "rackspace") == 0 ? "openstack" : provider);
    if (d && (double)size > d->user_data_max) {
        fake_remove(f, FAKE_TOKENS,
                    fake_find(f, FAKE_TOKENS, fake_str(token, "id"), NULL));
        return sc_fail(err, -EFBIG,
                       "node.user_data: %zu bytes, but %s takes at most %.0f",
                       size, provider, d->user_data_max);
    }
    *ret = cJSON_CreateObject();
    if (terraform)
        fake_set_strf(*ret, "user_data",
                      "locals {\n  supercloud_user_data = <<-EOT\n%sEOT\n}\n",
                      fake_str(text, "text"));
    else
        fake_set_str(*ret, "user_data", fake_str(text, "text"));
    fake_set_num(*ret, "size", (double)size);
    if (d)
        fake_set_num(*ret, "limit", d->user_data_max);
    else
        fake_set_null(*ret, "limit");
    cJSON_AddBoolToObject(*ret, "fits", true);
    fake_set_str(*ret, "token_id", fake_str(token, "id"));
    fake_set_num(*ret, "expires_at", fake_num(token, "expires_at"));
    return 0;
}

static void add_probe(cJSON *list, const char *name, bool ok, const char *value,
                      const char *why)
{
    cJSON *o = cJSON_CreateObject();
    fake_set_str(o, "name", name);
    cJSON_AddBoolToObject(o, "ok", ok);
    fake_set_str(o, "value", value);
    fake_set_str(o, "why", ok ? "" : why);
    cJSON_AddItemToArray(list, o);
}

void fake_probe(cJSON *node)
{
    const char *provider = fake_str(node, "provider");
    bool azure = strcmp(provider, "azure") == 0;
    bool far = strcmp(fake_str(node, "region"), "ap-northeast") == 0;
    if (azure) {
        cJSON *boot = cJSON_GetObjectItem(node, "boot");
        fake_set_str(boot, "mode", "plain");
        fake_set_str(node, "hypervisor", "qemu");
    }
    cJSON_DeleteItemFromObjectCaseSensitive(node, "probes");
    cJSON *list = cJSON_AddArrayToObject(node, "probes");
    add_probe(list, "cpuid-faulting", !far || azure,
              azure ? "CPUID cannot be made to fault; QEMU's guests do not "
                      "need it"
              : far ? "CPUID cannot be made to fault"
                    : "CPUID can be made to fault",
              "features cannot be hidden from the programs of guests: those "
              "that look for themselves may break when they move to an older "
              "processor; keep such nodes to one kind of machine");
    add_probe(list, "kvm", true,
              azure ? "runs an instruction"
                    : "/dev/kvm cannot be opened; the processor has neither "
                      "vmx nor svm; not needed under Xen",
              "");
    add_probe(list, "clock", true,
              "0.3 ms behind the controller's, give or take 0.2 ms", "");
    add_probe(list, "disk", true,
              "writes 187 MiB/s (64 MiB), a flush takes 0.9 ms (32)", "");
    add_probe(list, "nic", true,
              azure ? "hv_netvsc, 10000 Mbit/s" : "virtio_net, 10000 Mbit/s",
              "");
    add_probe(list, "mtu", true, "1500 to the controller", "");
    add_probe(list, "reachable", !far,
              far ? "7482/tcp: no answer" : "7480/tcp, 7482/tcp",
              "no VM can move here until port 7482/tcp is open in the "
              "provider's firewall");
    fake_set_num(node, "probed_at", (double)sc_wall_ms());
}

bool fake_revoked(const cJSON *node)
{
    const cJSON *notice = cJSON_GetObjectItem(node, "notice");
    return strcmp(fake_str(notice, "kind"), "revocation") == 0;
}
