/* p_local - a provider emulated on this machine: each instance is a QEMU
 * machine that boots its own copy-on-write copy of an image.
 *
 * An instance is a folder <dir>/<name> with all that belongs to it: disk.qcow2
 * (over the image), seed.img (NoCloud: user-data, meta-data, network-config),
 * serial.log, qemu.pid, qmp.sock, instance.json.  A failed launch removes the
 * folder again.  eth0 is QEMU's user network without a way out (host forwards
 * only); eth1 is the emulated WAN (daemons/wan) if 'wan' is configured. KVM
 * only if the CPU says svm or vmx and /dev/kvm opens: the node alone proves
 * nothing.  No root needed.  Settings: p_local_fields.  A region is any name;
 * it is only written down.  publish registers nothing: an image is its file.
 * Launch options: {"address": "10.200.0.1/24", "forward": [{"host": 8443,
 * "guest": 8443}], "memory_mib", "vcpus"}. */
#include "provider/provider-class.h"

#include "common/json.h"
#include "common/loop.h"
#include "common/rpc_sync.h"
#include "common/tls.h"
#include "provider/run.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

/* TCG's faults are left out: SMAP checks on far returns are wrong, and AVX
 * state does not survive Xen's switches between guests.  Without ERMS and FSRM
 * pages are copied much faster. */
#define TCG_CPU                                                                \
    "max,-smap,-smep,-erms,-fsrm,-xsave,-xsaveopt,-avx,-avx2,-f16c,-fma,-mpx," \
    "-pku"

struct p_local {
    struct provider up; /* Must be first. */
    char *dir, *wan, *firmware;
};

static const struct provider_field p_local_fields[] = {
    { "dir", "folder for the instances", true, false },
    { "wan", "control socket of sc-wan, the emulated WAN", false, false },
    { "firmware", "UEFI code file; without it machines have a BIOS", false,
      false },
    { 0 },
};

static const struct {
    const char *name;
    unsigned vcpus, memory_mib;
} types[] = { { "local.small", 2, 2048 }, { "local.medium", 2, 4096 } };

static void p_local_free(struct p_local *p)
{
    if (!p)
        return;
    free(p->dir);
    free(p->wan);
    free(p->firmware);
    free(p);
}
SC_CLEANUP(struct p_local, p_local_free)

static void local_close(struct provider *up)
{
    p_local_free((struct p_local *)up);
}

static int local_open(const cJSON *config, struct provider **ret,
                      struct sc_err *err)
{
    struct json_reader r = json_read(config, "provider 'local'");
    const char *dir = json_str(&r, "dir", 1, 4000);
    const char *wan = json_str_or(&r, "wan", 107, NULL);
    const char *firmware = json_str_or(&r, "firmware", 4000, NULL);
    if (json_done(&r, err) < 0)
        return -EINVAL;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return sc_fail(err, -errno, "%s: %s", dir, strerror(errno));
    SC_AUTO(p_local_free) struct p_local *p = calloc(1, sizeof *p);
    SC_AUTO(free) char *real = realpath(dir, NULL);
    if (!p || !real || (wan && !(p->wan = strdup(wan))) ||
        (firmware && !(p->firmware = strdup(firmware))))
        return sc_fail(err, -ENOMEM, "provider 'local': out of memory");
    p->dir = SC_TAKE(real);
    *ret = &SC_TAKE(p)->up;
    return 0;
}

/* "<dir>/<instance><suffix>/<file>", malloc'd. */
static char *file_of(const struct p_local *p, const char *instance,
                     const char *suffix, const char *file)
{
    char *path;
    return asprintf(&path, "%s/%s%s%s%s", p->dir, instance, suffix,
                    *file ? "/" : "", file) < 0
               ? NULL
               : path;
}

static bool has_kvm(void)
{
    SC_AUTO(free) char *cpu = NULL;
    SC_AUTO(close) int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    return fd >= 0 && run_read_file("/proc/cpuinfo", &cpu) == 0 &&
           (strstr(cpu, " svm") || strstr(cpu, " vmx"));
}

/* The pid of the instance's QEMU if it lives: the pid file's process must have
 * our folder on its command line, so a reused pid is never taken for it. */
static pid_t live_pid(const struct p_local *p, const char *id)
{
    SC_AUTO(free) char *pid_file = file_of(p, id, "", "qemu.pid");
    SC_AUTO(free) char *folder = file_of(p, id, "", "");
    SC_AUTO(free) char *text = NULL, *command = NULL;
    size_t size = 0;
    char proc[64];
    if (!pid_file || !folder || run_read_file(pid_file, &text) < 0)
        return 0;
    long pid = strtol(text, NULL, 10);
    snprintf(proc, sizeof proc, "/proc/%ld/cmdline", pid);
    if (pid <= 1 || run_read_file_size(proc, &command, &size) < 0)
        return 0;
    return memmem(command, size, folder, strlen(folder)) ? (pid_t)pid : 0;
}

static const char *region_of(const struct provider_launch *l)
{
    return l->region ? l->region : "local";
}

/* A stable locally administered MAC from the instance's name and the NIC. */
static void mac_of(const char *name, int nic, char ret[18])
{
    char text[160], hex[65];
    snprintf(text, sizeof text, "%s/%d", name, nic);
    tls_sha256_hex(text, strlen(text), hex);
    snprintf(ret, 18, "52:54:%.2s:%.2s:%.2s:%.2s", hex, hex + 2, hex + 4,
             hex + 6);
}

static int write_seed(const char *folder, const struct provider_launch *l,
                      const char *address, struct sc_err *err)
{
    char mac0[18], mac1[18], path[PATH_MAX];
    mac_of(l->name, 0, mac0);
    mac_of(l->name, 1, mac1);
    SC_AUTO(free) char *meta = NULL, *net = NULL;
    if (asprintf(&meta,
                 "{\"instance-id\": \"%s-%llx\", \"local-hostname\": \"%s\","
                 " \"region\": \"%s\", \"local-ipv4\": \"%.*s\"}\n",
                 l->name, (unsigned long long)sc_wall_ms(), l->name,
                 region_of(l), (int)strcspn(address, "/"), address) < 0 ||
        asprintf(&net,
                 "version: 2\nethernets:\n"
                 "  eth0:\n    match: {macaddress: '%s'}\n"
                 "    set-name: eth0\n    dhcp4: true\n"
                 "  eth1:\n    match: {macaddress: '%s'}\n"
                 "    set-name: eth1\n    optional: true\n    %s%s%s\n",
                 mac0, mac1, *address ? "addresses: ['" : "dhcp4: false",
                 address, *address ? "']" : "") < 0)
        return sc_fail(err, -ENOMEM, "seed: out of memory");
    const struct {
        const char *name, *text;
    } files[] = { { "user-data", l->user_data ? l->user_data : "" },
                  { "meta-data", meta },
                  { "network-config", net } };
    for (size_t i = 0; i < SC_ARRAY_LEN(files); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        int r = tls_write_file(path, files[i].text, 0600, err);
        if (r < 0)
            return r;
    }
    const char *format[] = { "mkfs.vfat", "-C",   "-n", "CIDATA",
                             "seed.img",  "2048", NULL };
    const char *copy[] = { "mcopy",     "-i",        "seed.img",
                           "user-data", "meta-data", "network-config",
                           "::",        NULL };
    int r = run_program(folder, format, err);
    return r < 0 ? r : run_program(folder, copy, err);
}

static int wan_call(const struct p_local *p, const char *method, cJSON *params,
                    struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *result = NULL;
    return rpc_unix_call(p->wan, method, params, 10000, &result, err);
}

static int wan_plug(const struct p_local *p, const char *name,
                    const char *folder, struct sc_err *err)
{
    cJSON *params = cJSON_CreateObject();
    cJSON_AddStringToObject(params, "name", name);
    json_set_strf(params, "local", "%s/wan.sock", folder);
    json_set_strf(params, "remote", "%s/vm.sock", folder);
    return wan_call(p, "wan.attach", params, err);
}

static void wan_unplug(const struct p_local *p, const char *name)
{
    cJSON *params = cJSON_CreateObject();
    cJSON_AddStringToObject(params, "name", name);
    (void)wan_call(p, "wan.detach", params, NULL); /* Absent is fine. */
}

/* user network, closed to the outside, with the host forwards asked for. */
static int net_argument(const cJSON *forwards, char *ret, size_t size,
                        struct sc_err *err)
{
    int len = snprintf(ret, size, "user,id=mgmt,restrict=on");
    for (const cJSON *f = forwards ? forwards->child : NULL; f; f = f->next) {
        struct json_reader r = json_read(f, "forward");
        int host = (int)json_int(&r, "host", 1, 65535);
        int guest = (int)json_int(&r, "guest", 1, 65535);
        if (json_done(&r, err) < 0)
            return -EINVAL;
        len += snprintf(ret + len, size - (size_t)len,
                        ",hostfwd=tcp:127.0.0.1:%d-:%d", host, guest);
        if ((size_t)len >= size)
            return sc_fail(err, -E2BIG, "forward: too many");
    }
    return 0;
}

static int start_qemu(const struct p_local *p, const struct provider_launch *l,
                      size_t type, const char *folder, struct sc_err *err)
{
    char net[1024], nic0[128], nic1[128], wan[512], memory[16], cpus[16];
    char disk[PATH_MAX], seed[PATH_MAX], mac0[18], mac1[18];
    bool kvm = has_kvm();
    struct json_reader o = json_read(l->options, "options");
    int mib = l->options ? (int)json_int_or(&o, "memory_mib", 512, 1 << 20,
                                            types[type].memory_mib)
                         : (int)types[type].memory_mib;
    int n_cpus = l->options
                     ? (int)json_int_or(&o, "vcpus", 1, 64, types[type].vcpus)
                     : (int)types[type].vcpus;
    if (l->options && json_done(&o, err) < 0)
        return -EINVAL;
    int r = net_argument(cJSON_GetObjectItem(l->options, "forward"), net,
                         sizeof net, err);
    if (r < 0)
        return r;
    mac_of(l->name, 0, mac0);
    mac_of(l->name, 1, mac1);
    snprintf(nic0, sizeof nic0, "virtio-net-pci,netdev=mgmt,romfile=,mac=%s",
             mac0);
    snprintf(nic1, sizeof nic1, "virtio-net-pci,netdev=wan,romfile=,mac=%s",
             mac1);
    snprintf(wan, sizeof wan,
             "dgram,id=wan,local.type=unix,local.path=%s/vm.sock,"
             "remote.type=unix,remote.path=%s/wan.sock",
             folder, folder);
    snprintf(memory, sizeof memory, "%d", mib);
    snprintf(cpus, sizeof cpus, "%d", n_cpus);
    snprintf(disk, sizeof disk,
             "if=virtio,format=qcow2,discard=unmap,cache=unsafe,file=%s/"
             "disk.qcow2",
             folder);
    snprintf(seed, sizeof seed,
             "if=virtio,format=raw,readonly=on,file=%s/seed.img", folder);
    const char *argv[64] = { "qemu-system-x86_64",
                             "-name",
                             l->name,
                             "-machine",
                             "q35",
                             "-accel",
                             kvm ? "kvm" : "tcg,thread=multi,tb-size=512",
                             "-cpu",
                             kvm ? "host" : TCG_CPU,
                             "-smp",
                             cpus,
                             "-m",
                             memory,
                             "-display",
                             "none",
                             "-no-user-config",
                             "-nodefaults",
                             "-drive",
                             disk,
                             "-drive",
                             seed,
                             "-netdev",
                             net,
                             "-device",
                             nic0,
                             "-device",
                             "virtio-rng-pci",
                             "-chardev",
                             "file,id=serial,path=serial.log",
                             "-serial",
                             "chardev:serial",
                             "-qmp",
                             "unix:qmp.sock,server=on,wait=off",
                             "-pidfile",
                             "qemu.pid",
                             "-daemonize",
                             NULL };
    int n = 0;
    while (argv[n])
        n++;
    if (p->wan) {
        argv[n++] = "-netdev";
        argv[n++] = wan;
        argv[n++] = "-device";
        argv[n++] = nic1;
    }
    if (p->firmware) {
        argv[n++] = "-bios";
        argv[n++] = p->firmware;
    }
    argv[n] = NULL;
    return run_program(folder, argv, err);
}

static int save_record(const struct provider_launch *l, size_t type,
                       const char *address, const char *folder,
                       struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "id", l->name);
    cJSON_AddStringToObject(o, "name", l->name);
    cJSON_AddStringToObject(o, "region", region_of(l));
    cJSON_AddStringToObject(o, "type", types[type].name);
    cJSON_AddStringToObject(o, "image", l->image);
    cJSON_AddStringToObject(o, "cluster", l->tags.cluster);
    cJSON_AddStringToObject(o, "token", l->tags.token);
    json_set_strf(o, "address", "%.*s", (int)strcspn(address, "/"), address);
    json_set_u64(o, "created_at", sc_wall_ms());
    SC_AUTO(free) char *text = cJSON_Print(o);
    SC_AUTO(free) char *path = NULL;
    if (!text || asprintf(&path, "%s/instance.json", folder) < 0)
        return sc_fail(err, -ENOMEM, "instance: out of memory");
    return tls_write_file(path, text, 0600, err);
}

static int load_record(const struct p_local *p, const char *id,
                       struct provider_instance *ret, struct sc_err *err)
{
    SC_AUTO(free) char *path = file_of(p, id, "", "instance.json");
    SC_AUTO(free) char *text = NULL;
    if (!path || run_read_file(path, &text) < 0)
        return sc_fail(err, -ENOENT, "instance '%s': there is none", id);
    SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(text);
    struct json_reader r = json_read(o, path);
    struct provider_instance i = {
        .id = strdup(id),
        .name = strdup(json_str(&r, "name", 1, 63)),
        .region = strdup(json_str(&r, "region", 1, 63)),
        .zone = strdup(""),
        .type = strdup(json_str(&r, "type", 1, 63)),
        .image = strdup(json_str_or(&r, "image", 4000, "")),
        .address = strdup(json_str(&r, "address", 0, 63)),
        .private_address = strdup(json_str(&r, "address", 0, 63)),
        .cluster = strdup(json_str_or(&r, "cluster", 63, "")),
        .token = strdup(json_str_or(&r, "token", 63, "")),
        .console = file_of(p, id, "", "serial.log"),
        .created_at = (uint64_t)json_int(&r, "created_at", 0, INT64_MAX),
        .state = live_pid(p, id) ? PROVIDER_RUNNING : PROVIDER_STOPPED,
    };
    int e = json_done(&r, err);
    if (e == 0 && (!i.id || !i.name || !i.region || !i.zone || !i.type ||
                   !i.image || !i.address || !i.private_address || !i.console ||
                   !i.cluster || !i.token))
        e = sc_fail(err, -ENOMEM, "instance: out of memory");
    if (e < 0) {
        provider_instance_clear(&i);
        return e;
    }
    *ret = i;
    return 0;
}

static int local_fence(struct provider *up, const char *region, const char *id,
                       struct sc_err *err)
{
    (void)region;
    struct p_local *p = (struct p_local *)up;
    pid_t pid = live_pid(p, id);
    if (pid && kill(pid, SIGKILL) < 0 && errno != ESRCH)
        return sc_fail(err, -errno, "instance '%s': kill: %s", id,
                       strerror(errno));
    for (int i = 0; i < 1000 && live_pid(p, id); i++)
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    if (live_pid(p, id))
        return sc_fail(err, -ETIMEDOUT,
                       "instance '%s': still there 10 s after SIGKILL", id);
    return 0;
}

static int local_terminate(struct provider *up, const char *region,
                           const char *id, struct sc_err *err)
{
    struct p_local *p = (struct p_local *)up;
    SC_AUTO(free) char *folder = file_of(p, id, "", "");
    if (!sc_name_ok(id) || !folder)
        return sc_fail(err, -EINVAL, "instance '%s': not a name", id);
    int r = local_fence(up, region, id, err);
    if (r < 0)
        return r;
    if (p->wan)
        wan_unplug(p, id);
    run_remove_folder(folder);
    return 0;
}

/* The folder appears with its record in it: whatever a killed launch leaves can
 * be listed. */
static int make_folder(const struct p_local *p, const struct provider_launch *l,
                       size_t type, const char *address, const char *folder,
                       struct sc_err *err)
{
    SC_AUTO(free) char *fresh = NULL;
    if (asprintf(&fresh, "%s/.%s.new", p->dir, l->name) < 0)
        return sc_fail(err, -ENOMEM, "instance: out of memory");
    run_remove_folder(fresh);
    if (mkdir(fresh, 0700) < 0)
        return sc_fail(err, -errno, "%s: %s", fresh, strerror(errno));
    int r = save_record(l, type, address, fresh, err);
    if (r == 0 && rename(fresh, folder) < 0)
        r = errno == ENOTEMPTY || errno == EEXIST
                ? sc_fail(err, -EEXIST,
                          "instance '%s': the name is in use; terminate it "
                          "first or choose another",
                          l->name)
                : sc_fail(err, -errno, "instance '%s': %s", l->name,
                          strerror(errno));
    if (r < 0)
        run_remove_folder(fresh);
    return r;
}

static int local_launch(struct provider *up, const struct provider_launch *l,
                        struct provider_instance *ret, struct sc_err *err)
{
    struct p_local *p = (struct p_local *)up;
    size_t t = 0;
    while (l->type && t < SC_ARRAY_LEN(types) &&
           strcmp(types[t].name, l->type) != 0)
        t++;
    if (t == SC_ARRAY_LEN(types))
        return sc_fail(err, -ENOENT,
                       "type '%s': unknown; there are local.small and "
                       "local.medium",
                       l->type);
    SC_AUTO(free) char *image = realpath(l->image, NULL);
    if (!image)
        return sc_fail(err, -ENOENT, "image '%s': %s", l->image,
                       strerror(ENOENT));
    struct provider_instance old = { 0 };
    if (load_record(p, l->name, &old, NULL) == 0) {
        bool same = !strcmp(old.token, l->tags.token);
        if (same && old.state == PROVIDER_RUNNING) { /* This call, again. */
            *ret = old;
            return 0;
        }
        provider_instance_clear(&old);
        if (same) /* It was interrupted. */
            (void)local_terminate(up, NULL, l->name, NULL);
    }
    const char *address =
        cJSON_GetStringValue(cJSON_GetObjectItem(l->options, "address"));
    if (!address)
        address = "";
    SC_AUTO(free) char *folder = file_of(p, l->name, "", "");
    if (!folder)
        return sc_fail(err, -ENOMEM, "instance: out of memory");
    int r = make_folder(p, l, t, address, folder, err);
    if (r < 0)
        return r;
    size_t n = strlen(image);
    const char *format =
        n > 6 && !strcmp(image + n - 6, ".qcow2") ? "qcow2" : "raw";
    const char *overlay[] = { "qemu-img", "create",     "-q",   "-f",
                              "qcow2",    "-F",         format, "-b",
                              image,      "disk.qcow2", NULL };
    r = run_program(folder, overlay, err);
    if (r == 0)
        r = write_seed(folder, l, address, err);
    if (r == 0 && p->wan)
        r = wan_plug(p, l->name, folder, err);
    if (r == 0)
        r = start_qemu(p, l, t, folder, err);
    if (r == 0)
        return load_record(p, l->name, ret, err);
    if (p->wan)
        wan_unplug(p, l->name);
    run_remove_folder(folder);
    return r;
}

static int local_list(struct provider *up, const char *region,
                      provider_each_fn *fn, void *arg, struct sc_err *err)
{
    struct p_local *p = (struct p_local *)up;
    DIR *d = opendir(p->dir);
    if (!d)
        return sc_fail(err, -errno, "%s: %s", p->dir, strerror(errno));
    int r = 0;
    for (struct dirent *e; r == 0 && (e = readdir(d));) {
        struct provider_instance i = { 0 };
        if (e->d_name[0] == '.' || load_record(p, e->d_name, &i, NULL) < 0)
            continue;
        if (!region || !strcmp(region, i.region))
            r = fn(arg, &i);
        provider_instance_clear(&i);
    }
    closedir(d);
    return r;
}

static int local_types(struct provider *up, const char *region,
                       provider_each_type_fn *fn, void *arg, struct sc_err *err)
{
    (void)up, (void)region, (void)err;
    int r = 0;
    for (size_t i = 0; r == 0 && i < SC_ARRAY_LEN(types); i++) {
        struct provider_type t = { (char *)types[i].name, types[i].vcpus,
                                   types[i].memory_mib, false, true };
        r = fn(arg, &t);
    }
    return r;
}

/* What runs here costs nothing: an empty list, rather than no such call. */
static int local_prices(struct provider *up, const char *region,
                        const char *type, provider_each_price_fn *fn, void *arg,
                        struct sc_err *err)
{
    (void)up, (void)region, (void)type, (void)fn, (void)arg, (void)err;
    return 0;
}

static int local_check(struct provider *up, char **ret, struct sc_err *err)
{
    const struct p_local *p = (struct p_local *)up;
    if (access(p->dir, W_OK) < 0)
        return sc_fail(err, -errno, "%s: %s", p->dir, strerror(errno));
    return asprintf(ret, "this machine, %s%s", p->dir,
                    has_kvm() ? "" : " (no KVM: slow)") < 0
               ? sc_fail(err, -ENOMEM, "out of memory")
               : 0;
}

static int local_regions(struct provider *up, provider_each_region_fn *fn,
                         void *arg, struct sc_err *err)
{
    (void)up, (void)err;
    return fn(arg, "local");
}

static int local_publish(struct provider *up, const struct provider_publish *q,
                         struct provider_image *ret, struct sc_err *err)
{
    (void)up;
    struct stat st;
    SC_AUTO(free) char *path = realpath(q->file, NULL);
    if (!path || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return sc_fail(err, -ENOENT, "file '%s': not a file", q->file);
    struct provider_image i = { SC_TAKE(path), strdup(q->name),
                                strdup(q->region ? q->region : "local") };
    if (i.name && i.region) {
        *ret = i;
        return 0;
    }
    provider_image_clear(&i);
    return sc_fail(err, -ENOMEM, "out of memory");
}

struct leftovers {
    const char *cluster;
    provider_each_resource_fn *fn;
    void *arg;
};

static int leftover(void *arg, const struct provider_instance *i)
{
    const struct leftovers *l = arg;
    struct provider_resource r = {
        .kind = (char *)"instance",
        .id = i->id,
        .name = i->name,
        .region = i->region,
        .cluster = i->cluster,
        .token = i->token,
        .detail = (char *)provider_state_name(i->state),
        .created_at = i->created_at,
    };
    return i->cluster && strcmp(i->cluster, l->cluster) == 0 ? l->fn(l->arg, &r)
                                                             : 0;
}

static int local_leftovers(struct provider *up, const char *cluster,
                           provider_each_resource_fn *fn, void *arg,
                           struct sc_err *err)
{
    struct leftovers l = { cluster, fn, arg };
    return local_list(up, NULL, leftover, &l, err);
}

static int local_remove(struct provider *up, const char *kind,
                        const char *region, const char *id, struct sc_err *err)
{
    return strcmp(kind, "instance") == 0
               ? local_terminate(up, region, id, err)
               : sc_fail(err, -EINVAL, "kind '%s': there are instances alone",
                         kind);
}

const struct provider_class p_local_class = {
    .name = "local",
    .about = "emulated on this machine by QEMU",
    .fields = p_local_fields,
    .image_format = "",
    .permissions = "none: it needs QEMU and a folder it may write to",
    .open = local_open,
    .close = local_close,
    .check = local_check,
    .regions = local_regions,
    .publish = local_publish,
    .launch = local_launch,
    .list = local_list,
    .terminate = local_terminate,
    .fence = local_fence,
    .types = local_types,
    .prices = local_prices,
    .leftovers = local_leftovers,
    .remove = local_remove,
};
