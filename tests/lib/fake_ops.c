/* fake_ops - the operations of the fake cluster, one function each. */
#include "tests/lib/fake_providers.h"

#include "common/json.h"

#include <arpa/inet.h>
#include <string.h>

#define OP(name)                                                               \
    static int name(struct fake_cluster *f, const struct api_caller *who,      \
                    const cJSON *p, int *status, cJSON **ret,                  \
                    struct sc_err *err)
#define UNUSED (void)f, (void)who, (void)p, (void)status, (void)ret, (void)err

static cJSON *new_object(const cJSON *params, const char *const keys[])
{
    cJSON *o = cJSON_CreateObject();
    char id[SC_UUID_LEN + 1];
    sc_uuid_new(id);
    fake_set_str(o, "id", id);
    for (size_t i = 0; keys[i]; i++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(params, keys[i]);
        cJSON_AddItemToObject(
            o, keys[i], v ? cJSON_Duplicate(v, true) : cJSON_CreateNull());
    }
    fake_set_num(o, "created_at", (double)sc_wall_ms());
    return o;
}

static int check_new_name(struct fake_cluster *f, enum fake_list list,
                          const char *name, struct sc_err *err)
{
    if (!sc_name_ok(name))
        return sc_fail(err, -EINVAL, "name: '%s' is not a name", name);
    if (fake_find(f, list, name, NULL))
        return sc_fail(err, -EEXIST, "'%s': exists already", name);
    return 0;
}

static int list(struct fake_cluster *f, enum fake_list which, const char *key,
                cJSON **ret)
{
    *ret = cJSON_CreateObject();
    cJSON_AddItemToObject(*ret, key, cJSON_Duplicate(f->lists[which], true));
    return 0;
}

static int show(struct fake_cluster *f, enum fake_list which, const cJSON *p,
                cJSON **ret, struct sc_err *err)
{
    cJSON *o = fake_find(f, which, fake_str(p, "id"), err);
    if (!o)
        return -ENOENT;
    *ret = cJSON_Duplicate(o, true);
    return 0;
}

/* --- nodes and tokens ------------------------------------------------------
 */

OP(node_list)
{
    UNUSED;
    return list(f, FAKE_NODES, "nodes", ret);
}

OP(node_show)
{
    UNUSED;
    return show(f, FAKE_NODES, p, ret, err);
}

OP(node_delete)
{
    UNUSED;
    cJSON *n = fake_find(f, FAKE_NODES, fake_str(p, "id"), err);
    if (!n)
        return -ENOENT;
    if (strcmp(fake_str(n, "state"), "down") != 0)
        return sc_fail(err, -EBUSY,
                       "node '%s': is %s, only a node that is "
                       "down can be deleted",
                       fake_str(n, "name"), fake_str(n, "state"));
    fake_remove(f, FAKE_NODES, n);
    return 0;
}

OP(token_create)
{
    UNUSED;
    static const char *const keys[] = { "region", "provider", NULL };
    struct json_reader in = json_read(p, "token.create");
    int64_t ttl_s = json_int_or(&in, "ttl_s", 1, 366 * 24 * 3600, 3600);
    int64_t uses = json_int_or(&in, "uses", 0, 100000, 1);
    if (json_done(&in, err) < 0)
        return -EINVAL;
    cJSON *t = new_object(p, keys);
    fake_set_num(t, "uses", (double)uses);
    fake_set_num(t, "used", 0);
    fake_set_num(t, "expires_at", (double)sc_wall_ms() + (double)ttl_s * 1000);
    cJSON_AddItemToArray(f->lists[FAKE_TOKENS], t);
    *ret = cJSON_Duplicate(t, true);
    json_set_strf(*ret, "token", "sct1.%s.%032x.%064x", fake_str(t, "id"),
                  0xfa4e, 0xfa4e);
    *status = 201;
    return 0;
}

OP(token_list)
{
    UNUSED;
    return list(f, FAKE_TOKENS, "tokens", ret);
}

OP(token_delete)
{
    UNUSED;
    cJSON *t = fake_find(f, FAKE_TOKENS, fake_str(p, "id"), err);
    if (!t)
        return -ENOENT;
    fake_remove(f, FAKE_TOKENS, t);
    return 0;
}

/* --- images ----------------------------------------------------------------
 */

OP(image_list)
{
    UNUSED;
    return list(f, FAKE_IMAGES, "images", ret);
}

OP(image_show)
{
    UNUSED;
    return show(f, FAKE_IMAGES, p, ret, err);
}

OP(image_create)
{
    UNUSED;
    static const char *const keys[] = { "name",    "kind",           "size",
                                        "sha256",  "kernel",         "ramdisk",
                                        "cmdline", "min_memory_mib", NULL };
    struct json_reader in = json_read(p, "image.create");
    const char *name = json_str(&in, "name", 1, 63);
    const char *kind = json_str(&in, "kind", 1, 16);
    json_int(&in, "size", 1, 1ll << 40);
    json_only(&in, keys);
    if (json_done(&in, err) < 0)
        return -EINVAL;
    if (strcmp(kind, "disk") != 0 && strcmp(kind, "kernel") != 0 &&
        strcmp(kind, "ramdisk") != 0)
        return sc_fail(err, -EINVAL,
                       "kind: '%s' is not disk, kernel or "
                       "ramdisk",
                       kind);
    int r = check_new_name(f, FAKE_IMAGES, name, err);
    if (r < 0)
        return r;
    cJSON *i = new_object(p, keys);
    fake_set_str(i, "state", "queued");
    cJSON_AddItemToArray(f->lists[FAKE_IMAGES], i);
    fake_changed(f, FAKE_IMAGES, i, false);
    *ret = cJSON_Duplicate(i, true);
    *status = 201;
    return 0;
}

OP(image_upload_begin)
{
    UNUSED;
    cJSON *i = fake_find(f, FAKE_IMAGES, fake_str(p, "id"), err);
    if (!i)
        return -ENOENT;
    if (strcmp(fake_str(i, "state"), "queued") != 0)
        return sc_fail(err, -EBUSY, "image '%s': is %s, not queued",
                       fake_str(i, "name"), fake_str(i, "state"));
    fake_set_str(i, "state", "uploading");
    fake_changed(f, FAKE_IMAGES, i, false);
    *ret = cJSON_Duplicate(i, true);
    return 0;
}

OP(image_upload_progress)
{
    UNUSED;
    cJSON *i = fake_find(f, FAKE_IMAGES, fake_str(p, "id"), err);
    if (!i)
        return -ENOENT;
    fake_set_num(i, "received", fake_num(p, "received"));
    fake_changed(f, FAKE_IMAGES, i, false);
    return 0;
}

OP(image_upload)
{
    UNUSED;
    cJSON *i = fake_find(f, FAKE_IMAGES, fake_str(p, "id"), err);
    if (!i)
        return -ENOENT;
    if (unlink(fake_str(p, "path")) < 0)
        return sc_fail(err, -errno, "image: %s: %s", fake_str(p, "path"),
                       strerror(errno));
    fake_set_str(i, "state", "active");
    fake_set_str(i, "sha256", fake_str(p, "sha256"));
    cJSON_DeleteItemFromObjectCaseSensitive(i, "received");
    fake_changed(f, FAKE_IMAGES, i, false);
    *ret = cJSON_Duplicate(i, true);
    return 0;
}

OP(image_upload_abort)
{
    UNUSED;
    cJSON *i = fake_find(f, FAKE_IMAGES, fake_str(p, "id"), err);
    if (!i)
        return -ENOENT;
    fake_remove(f, FAKE_IMAGES, i);
    return 0;
}

static int answer_job(cJSON *vm, cJSON *job, int *status, cJSON **ret)
{
    *ret = cJSON_CreateObject();
    if (vm)
        cJSON_AddItemToObject(*ret, "vm", cJSON_Duplicate(vm, true));
    cJSON_AddItemToObject(*ret, "job", cJSON_Duplicate(job, true));
    *status = 202;
    return 0;
}

static bool used_by_vm(struct fake_cluster *f, const char *id)
{
    cJSON *v, *port;
    cJSON_ArrayForEach(v, f->lists[FAKE_VMS])
    {
        if (strcmp(fake_str(v, "image"), id) == 0)
            return true;
        cJSON_ArrayForEach(
            port, cJSON_GetObjectItem(
                      v, "ports")) if (strcmp(fake_str(port, "network"), id) ==
                                       0) return true;
    }
    return false;
}

static int delete_unused(struct fake_cluster *f, enum fake_list which,
                         const cJSON *p, struct sc_err *err)
{
    cJSON *o = fake_find(f, which, fake_str(p, "id"), err);
    if (!o)
        return -ENOENT;
    if (used_by_vm(f, fake_str(o, "id")))
        return sc_fail(err, -EBUSY, "'%s': a VM uses it", fake_str(o, "name"));
    fake_remove(f, which, o);
    return 0;
}

OP(image_delete)
{
    (void)who;
    cJSON *i = fake_find(f, FAKE_IMAGES, fake_str(p, "id"), err);
    cJSON *job = NULL;
    if (!i)
        return -ENOENT;
    if (strcmp(fake_str(i, "state"), "uploading") == 0)
        return sc_fail(err, -EBUSY, "image '%s': is uploading",
                       fake_str(i, "name"));
    if (used_by_vm(f, fake_str(i, "id")))
        return sc_fail(err, -EBUSY, "image '%s': a VM uses it",
                       fake_str(i, "name"));
    int r = fake_job_begin(f, "image.delete", i, NULL, &job, err);
    return r < 0 ? r : answer_job(NULL, job, status, ret);
}

/* --- networks --------------------------------------------------------------
 */

OP(network_list)
{
    UNUSED;
    return list(f, FAKE_NETWORKS, "networks", ret);
}

OP(network_show)
{
    UNUSED;
    return show(f, FAKE_NETWORKS, p, ret, err);
}

OP(network_create)
{
    UNUSED;
    static const char *const keys[] = { "name", "cidr", "gateway", "dns",
                                        NULL };
    struct json_reader in = json_read(p, "network.create");
    const char *name = json_str(&in, "name", 1, 63);
    const char *cidr = json_str(&in, "cidr", 9, 18);
    json_only(&in, keys);
    if (json_done(&in, err) < 0)
        return -EINVAL;
    unsigned a, b, c, bits;
    if (sscanf(cidr, "%u.%u.%u.0/%u", &a, &b, &c, &bits) != 4 || a > 255 ||
        b > 255 || c > 255 || bits < 16 || bits > 29)
        return sc_fail(err, -EINVAL,
                       "cidr: '%s' is not a network like "
                       "10.42.0.0/24",
                       cidr);
    int r = check_new_name(f, FAKE_NETWORKS, name, err);
    if (r < 0)
        return r;
    cJSON *n = new_object(p, keys);
    if (!fake_str(n, "gateway")[0]) {
        cJSON_DeleteItemFromObject(n, "gateway");
        json_set_strf(n, "gateway", "%u.%u.%u.1", a, b, c);
    }
    fake_set_num(n, "vni", 100 + cJSON_GetArraySize(f->lists[FAKE_NETWORKS]));
    fake_set_num(n, "mtu", 1400);
    json_set_strf(n, "dhcp_start", "%u.%u.%u.10", a, b, c);
    json_set_strf(n, "dhcp_end", "%u.%u.%u.250", a, b, c);
    cJSON_AddItemToArray(f->lists[FAKE_NETWORKS], n);
    fake_changed(f, FAKE_NETWORKS, n, false);
    *ret = cJSON_Duplicate(n, true);
    *status = 201;
    return 0;
}

OP(network_delete)
{
    UNUSED;
    return delete_unused(f, FAKE_NETWORKS, p, err);
}

/* --- VMs -------------------------------------------------------------------
 */

/* A node that is up and has room: the one asked for, or the first that fits.
 * 'not_on': where the VM is now (""): not a place to move to. */
static int find_node(struct fake_cluster *f, const cJSON *p, double memory_mib,
                     const char *not_on, cJSON **ret, struct sc_err *err)
{
    const char *want = fake_str(p, "node"), *region = fake_str(p, "region");
    bool region_known = !*region;
    if (*want) {
        cJSON *n = fake_find(f, FAKE_NODES, want, err);
        if (!n)
            return -ENOENT;
        if (strcmp(fake_str(n, "id"), not_on) == 0)
            return sc_fail(err, -EALREADY, "node '%s': the VM is there already",
                           want);
        if (strcmp(fake_str(n, "state"), "up") != 0)
            return sc_fail(err, -ENOTCONN, "node '%s': is %s", want,
                           fake_str(n, "state"));
        if (fake_revoked(n))
            return sc_fail(err, -EBUSY,
                           "node '%s': its provider has announced its end",
                           want);
        if (fake_num(n, "memory_free_mib") < memory_mib)
            return sc_fail(err, -ENOSPC,
                           "node '%s': no room: %.0f MiB free, %.0f wanted",
                           want, fake_num(n, "memory_free_mib"), memory_mib);
        *ret = n;
        return 0;
    }
    cJSON *n;
    cJSON_ArrayForEach(n, f->lists[FAKE_NODES])
    {
        if (*region && strcmp(fake_str(n, "region"), region) != 0)
            continue;
        region_known = true;
        if (strcmp(fake_str(n, "id"), not_on) != 0 &&
            strcmp(fake_str(n, "state"), "up") == 0 && !fake_revoked(n) &&
            fake_num(n, "memory_free_mib") >= memory_mib) {
            *ret = n;
            return 0;
        }
    }
    if (!region_known)
        return sc_fail(err, -ENOENT, "region '%s': not found", region);
    return sc_fail(err, -ENOSPC, "no node has room for %.0f MiB", memory_mib);
}

OP(vm_list)
{
    UNUSED;
    return list(f, FAKE_VMS, "vms", ret);
}

OP(vm_show)
{
    UNUSED;
    return show(f, FAKE_VMS, p, ret, err);
}

static void add_port_and_disk(struct fake_cluster *f, cJSON *vm,
                              const cJSON *image, const cJSON *network,
                              double disk_gib)
{
    char id[SC_UUID_LEN + 1];
    unsigned n = f->n_ips++;
    unsigned a = 10, b = 42, c = 0;
    sscanf(fake_str(network, "cidr"), "%u.%u.%u.", &a, &b, &c);
    cJSON *port = cJSON_CreateObject();
    sc_uuid_new(id);
    fake_set_str(port, "id", id);
    fake_set_str(port, "network", fake_str(network, "id"));
    fake_set_str(port, "network_name", fake_str(network, "name"));
    json_set_strf(port, "mac", "02:5c:00:00:%02x:%02x", n >> 8, n & 255);
    json_set_strf(port, "ip", "%u.%u.%u.%u", a, b, c, n % 240 + 10);
    json_set_strf(port, "iface", "sc%.8s%.2s", id, id + 9);
    cJSON_AddItemToArray(cJSON_AddArrayToObject(vm, "ports"), port);
    cJSON *disk = cJSON_CreateObject();
    sc_uuid_new(id);
    fake_set_str(disk, "id", id);
    fake_set_str(disk, "dev", "xvda");
    fake_set_num(disk, "size",
                 disk_gib ? disk_gib * (1 << 30) : fake_num(image, "size"));
    cJSON_AddItemToArray(cJSON_AddArrayToObject(vm, "volumes"), disk);
}

OP(vm_create)
{
    (void)who;
    static const char *const allowed[] = { "name",       "image",    "network",
                                           "memory_mib", "vcpus",    "region",
                                           "node",       "disk_gib", "cmdline",
                                           NULL };
    static const char *const keys[] = { "name", "vcpus", "memory_mib", NULL };
    struct json_reader in = json_read(p, "vm.create");
    const char *name = json_str(&in, "name", 1, 63);
    const char *image_name = json_str(&in, "image", 1, 63);
    const char *network_name = json_str(&in, "network", 1, 63);
    int64_t memory_mib = json_int(&in, "memory_mib", 16, 1 << 20);
    json_int(&in, "vcpus", 1, 64);
    int64_t disk_gib = json_int_or(&in, "disk_gib", 1, 1024, 0);
    json_only(&in, allowed);
    if (json_done(&in, err) < 0)
        return -EINVAL;
    int r = check_new_name(f, FAKE_VMS, name, err);
    if (r < 0)
        return r;
    cJSON *image = fake_find(f, FAKE_IMAGES, image_name, err);
    if (!image)
        return -ENOENT;
    cJSON *network = fake_find(f, FAKE_NETWORKS, network_name, err);
    if (!network)
        return -ENOENT;
    if (strcmp(fake_str(image, "state"), "active") != 0)
        return sc_fail(err, -EBUSY, "image '%s': is %s, not active", image_name,
                       fake_str(image, "state"));
    cJSON *node = NULL, *job = NULL;
    r = find_node(f, p, (double)memory_mib, "", &node, err);
    if (r < 0)
        return r;
    cJSON *vm = new_object(p, keys);
    fake_set_str(vm, "state", "pending");
    fake_set_str(vm, "node", fake_str(node, "id"));
    fake_set_str(vm, "node_name", fake_str(node, "name"));
    fake_set_str(vm, "region", fake_str(node, "region"));
    fake_set_num(vm, "epoch", 1);
    fake_set_str(vm, "image", fake_str(image, "id"));
    fake_set_str(vm, "image_name", fake_str(image, "name"));
    fake_set_null(vm, "error");
    fake_set_null(vm, "job");
    add_port_and_disk(f, vm, image, network, (double)disk_gib);
    cJSON_AddItemToArray(f->lists[FAKE_VMS], vm);
    fake_free_memory(f);
    r = fake_job_begin(f, "vm.create", vm, NULL, &job, err);
    return r < 0 ? r : answer_job(vm, job, status, ret);
}

static int check_state(const cJSON *vm, const char *want, struct sc_err *err)
{
    if (strstr(want, fake_str(vm, "state")))
        return 0;
    return sc_fail(err, -EBUSY, "vm '%s': is %s, must be %s",
                   fake_str(vm, "name"), fake_str(vm, "state"), want);
}

OP(vm_start)
{
    (void)who;
    cJSON *vm = fake_find(f, FAKE_VMS, fake_str(p, "id"), err);
    cJSON *node = NULL, *job = NULL;
    if (!vm)
        return -ENOENT;
    int r = check_state(vm, "stopped or failed", err);
    if (r == 0)
        r = find_node(f, p, fake_num(vm, "memory_mib"), "", &node, err);
    if (r == 0)
        r = fake_job_begin(f, "vm.start", vm, NULL, &job, err);
    if (r < 0)
        return r;
    fake_set_null(vm, "error");
    fake_set_str(vm, "node", fake_str(node, "id"));
    fake_set_str(vm, "node_name", fake_str(node, "name"));
    fake_set_str(vm, "region", fake_str(node, "region"));
    fake_free_memory(f);
    return answer_job(vm, job, status, ret);
}

OP(vm_stop)
{
    (void)who;
    cJSON *vm = fake_find(f, FAKE_VMS, fake_str(p, "id"), err);
    cJSON *job = NULL;
    if (!vm)
        return -ENOENT;
    int r = check_state(vm, "running", err);
    if (r == 0)
        r = fake_job_begin(f, "vm.stop", vm, NULL, &job, err);
    return r < 0 ? r : answer_job(vm, job, status, ret);
}

OP(vm_migrate)
{
    (void)who;
    cJSON *vm = fake_find(f, FAKE_VMS, fake_str(p, "id"), err);
    cJSON *node = NULL, *job = NULL;
    if (!vm)
        return -ENOENT;
    if (!fake_str(p, "node")[0] == !fake_str(p, "region")[0])
        return sc_fail(err, -EINVAL, "vm.migrate: give node or region");
    int r = check_state(vm, "running", err);
    if (r == 0)
        r = find_node(f, p, fake_num(vm, "memory_mib"), fake_str(vm, "node"),
                      &node, err);
    if (r == 0)
        r = fake_job_begin(f, "vm.migrate", vm, fake_str(node, "name"), &job,
                           err);
    return r < 0 ? r : answer_job(vm, job, status, ret);
}

OP(vm_delete)
{
    (void)who;
    cJSON *vm = fake_find(f, FAKE_VMS, fake_str(p, "id"), err);
    cJSON *job = NULL;
    if (!vm)
        return -ENOENT;
    int r = fake_job_begin(f, "vm.delete", vm, NULL, &job, err);
    return r < 0 ? r : answer_job(NULL, job, status, ret);
}

OP(vm_console_log)
{
    UNUSED;
    cJSON *vm = fake_find(f, FAKE_VMS, fake_str(p, "id"), err);
    if (!vm)
        return -ENOENT;
    *ret = cJSON_CreateObject();
    json_set_strf(
        *ret, "data",
        "[    0.000000] Linux version 6.1.0 (fake)\r\n[    0.4217] "
        "eth0: %s\r\nFake guest %s on hvc0\r\n~ # ",
        fake_str(cJSON_GetArrayItem(cJSON_GetObjectItem(vm, "ports"), 0), "ip"),
        fake_str(vm, "name"));
    return 0;
}

/* --- jobs and the overview --------------------------------------------------
 */

OP(job_list)
{
    UNUSED;
    int limit = (int)fake_num(p, "limit");
    *ret = cJSON_CreateObject();
    cJSON *out = cJSON_AddArrayToObject(*ret, "jobs");
    for (int i = cJSON_GetArraySize(f->lists[FAKE_JOBS]) - 1, n = 0;
         i >= 0 && (limit == 0 || n < limit); i--, n++)
        cJSON_AddItemToArray(
            out,
            cJSON_Duplicate(cJSON_GetArrayItem(f->lists[FAKE_JOBS], i), true));
    return 0;
}

OP(job_show)
{
    UNUSED;
    return show(f, FAKE_JOBS, p, ret, err);
}

static void add_regions(struct fake_cluster *f, cJSON *out)
{
    cJSON *regions = cJSON_AddArrayToObject(out, "regions"), *n, *r;
    cJSON_ArrayForEach(n, f->lists[FAKE_NODES])
    {
        cJSON_ArrayForEach(r, regions) if (strcmp(fake_str(r, "name"),
                                                  fake_str(n, "region")) ==
                                           0) break;
        if (!r) {
            r = cJSON_CreateObject();
            fake_set_str(r, "name", fake_str(n, "region"));
            cJSON_AddItemToArray(regions, r);
        }
        fake_set_num(r, "nodes", fake_num(r, "nodes") + 1);
        fake_set_num(r, "nodes_up",
                     fake_num(r, "nodes_up") +
                         !strcmp(fake_str(n, "state"), "up"));
        fake_set_num(r, "vms", fake_num(r, "vms") + fake_num(n, "vms"));
        fake_set_num(r, "memory_mib",
                     fake_num(r, "memory_mib") + fake_num(n, "memory_mib"));
        fake_set_num(r, "memory_free_mib",
                     fake_num(r, "memory_free_mib") +
                         fake_num(n, "memory_free_mib"));
    }
}

OP(overview)
{
    UNUSED;
    *ret = cJSON_CreateObject();
    add_regions(f, *ret);
    cJSON *latency = cJSON_AddArrayToObject(*ret, "latency"), *a, *b, *j;
    cJSON_ArrayForEach(a, f->lists[FAKE_NODES])
    {
        cJSON_ArrayForEach(b, f->lists[FAKE_NODES])
        {
            if (a == b)
                continue;
            cJSON *l = cJSON_CreateObject();
            fake_set_str(l, "from", fake_str(a, "name"));
            fake_set_str(l, "to", fake_str(b, "name"));
            fake_set_num(l, "rtt_ms", 75 + (rand() % 40) / 10.0);
            cJSON_AddItemToArray(latency, l);
        }
    }
    cJSON *counts = cJSON_AddObjectToObject(*ret, "counts");
    static const char *const names[] = { "nodes", "vms", "images", "networks",
                                         "jobs" };
    for (int i = 0; i <= FAKE_JOBS; i++)
        fake_set_num(counts, names[i], cJSON_GetArraySize(f->lists[i]));
    cJSON *running = cJSON_AddArrayToObject(*ret, "jobs_running");
    cJSON_ArrayForEach(j, f->lists[FAKE_JOBS]) if (strcmp(fake_str(j, "state"),
                                                          "running") == 0)
        cJSON_AddItemToArray(running, cJSON_Duplicate(j, true));
    cJSON *wan = cJSON_AddObjectToObject(*ret, "wan");
    fake_set_num(wan, "in", f->wan_in);
    fake_set_num(wan, "out", f->wan_out);
    return 0;
}

/* --- users and sessions ------------------------------------------------------
 */

OP(user_get)
{
    UNUSED;
    cJSON *u = fake_find(f, FAKE_USERS, fake_str(p, "user"), err);
    if (!u)
        return -ENOENT;
    *ret = cJSON_Duplicate(u, true);
    return 0;
}

static int put(struct fake_cluster *f, enum fake_list which, const char *key,
               const cJSON *p)
{
    cJSON *o;
    cJSON_ArrayForEach(o, f->lists[which])
    {
        if (strcmp(fake_str(o, key), fake_str(p, key)) == 0) {
            cJSON_Delete(cJSON_DetachItemViaPointer(f->lists[which], o));
            break;
        }
    }
    cJSON_AddItemToArray(f->lists[which], cJSON_Duplicate(p, true));
    return 0;
}

OP(user_set)
{
    UNUSED;
    return put(f, FAKE_USERS, "user", p);
}

OP(user_del)
{
    UNUSED;
    cJSON *u = fake_find(f, FAKE_USERS, fake_str(p, "user"), err);
    if (!u)
        return -ENOENT;
    for (int i = cJSON_GetArraySize(f->lists[FAKE_SESSIONS]) - 1; i >= 0; i--)
        if (strcmp(fake_str(cJSON_GetArrayItem(f->lists[FAKE_SESSIONS], i),
                            "user"),
                   fake_str(p, "user")) == 0)
            cJSON_DeleteItemFromArray(f->lists[FAKE_SESSIONS], i);
    fake_remove(f, FAKE_USERS, u);
    return 0;
}

OP(user_list)
{
    UNUSED;
    return list(f, FAKE_USERS, "users", ret);
}

OP(session_put)
{
    UNUSED;
    return put(f, FAKE_SESSIONS, "id", p);
}

OP(session_get)
{
    UNUSED;
    return show(f, FAKE_SESSIONS, p, ret, err);
}

OP(session_del)
{
    UNUSED;
    cJSON *s = fake_find(f, FAKE_SESSIONS, fake_str(p, "id"), NULL);
    if (s)
        fake_remove(f, FAKE_SESSIONS, s);
    return 0;
}

OP(session_list)
{
    UNUSED;
    return list(f, FAKE_SESSIONS, "sessions", ret);
}

static const struct {
    const char *name;
    fake_op *fn;
} ops[] = {
    { "overview", overview },
    { "node.list", node_list },
    { "node.show", node_show },
    { "node.delete", node_delete },
    { "token.create", token_create },
    { "token.list", token_list },
    { "token.delete", token_delete },
    { "image.list", image_list },
    { "image.show", image_show },
    { "image.create", image_create },
    { "image.delete", image_delete },
    { "image.upload_begin", image_upload_begin },
    { "image.upload_progress", image_upload_progress },
    { "image.upload", image_upload },
    { "image.upload_abort", image_upload_abort },
    { "network.list", network_list },
    { "network.show", network_show },
    { "network.create", network_create },
    { "network.delete", network_delete },
    { "vm.list", vm_list },
    { "vm.show", vm_show },
    { "vm.create", vm_create },
    { "vm.start", vm_start },
    { "vm.stop", vm_stop },
    { "vm.migrate", vm_migrate },
    { "vm.delete", vm_delete },
    { "vm.console_log", vm_console_log },
    { "job.list", job_list },
    { "job.show", job_show },
    { "job.cancel", fake_op_job_cancel },
    { "user.get", user_get },
    { "user.set", user_set },
    { "user.del", user_del },
    { "user.list", user_list },
    { "session.put", session_put },
    { "session.get", session_get },
    { "session.del", session_del },
    { "session.list", session_list },
};

fake_op *fake_op_find(const char *op)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(ops); i++)
        if (strcmp(ops[i].name, op) == 0)
            return ops[i].fn;
    return fake_provider_op_find(op);
}
