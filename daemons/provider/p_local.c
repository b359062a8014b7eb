/* p_local - a provider emulated on this machine: each instance is a QEMU
 * machine that boots its own copy-on-write copy of an image.
 *
 * An instance is a folder <dir>/<name> with all that belongs to it: disk.qcow2
 * (over the image), seed.img (NoCloud: user-data, meta-data, network-config),
 * serial.log, qemu.pid, qmp.sock, instance.json.  A failed launch removes the
 * folder again.  The machine itself, and what it can be like, is
 * p_local_machine's.  KVM only if the CPU says svm or vmx and /dev/kvm opens:
 * the node alone proves nothing.  No root needed.  Settings: p_local_fields.  A
 * region is any name; it is only written down.  publish registers nothing: an
 * image is its file (raw, qcow2, VHD).
 * Launch options: {"address": "10.200.0.1/24", "forward": [{"host": 8443,
 * "guest": 8443}], "memory_mib", "vcpus"}. */
#include "provider/provider-class.h"

#include "common/json.h"
#include "common/loop.h"
#include "common/rpc_sync.h"
#include "common/tls.h"
#include "provider/p_local_machine.h"
#include "provider/run.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

struct p_local {
    struct provider up; /* Must be first. */
    char *dir, *wan, *firmware, *emulator;
    const struct local_hardware *hardware;
};

static const struct provider_field p_local_fields[] = {
    { "dir", "folder for the instances", true, false },
    { "wan", "control socket of sc-wan, the emulated WAN", false, false },
    { "firmware", "UEFI code file; without it machines have a BIOS", false,
      false },
    { "like",
      "provider whose hardware and services machines have: ec2, gce, "
      "azure, rackspace, rackspace-classic",
      false, false },
    { "emulator", "program that plays that provider's network and services",
      false, false },
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
    free(p->emulator);
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
    const char *like = json_str_or(&r, "like", 63, "");
    const char *emulator = json_str_or(&r, "emulator", 4000, NULL);
    if (json_done(&r, err) < 0)
        return -EINVAL;
    const struct local_hardware *hardware = local_hardware_find(like);
    if (!hardware)
        return sc_fail(err, -EINVAL, "like: '%s' is unknown; there are %s",
                       like, local_hardware_names());
    if (*like && !emulator)
        return sc_fail(err, -EINVAL, "emulator: needed for machines like %s's",
                       like);
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return sc_fail(err, -errno, "%s: %s", dir, strerror(errno));
    SC_AUTO(p_local_free) struct p_local *p = calloc(1, sizeof *p);
    SC_AUTO(free) char *real = realpath(dir, NULL);
    if (!p || !real || (wan && !(p->wan = strdup(wan))) ||
        (firmware && !(p->firmware = strdup(firmware))) ||
        (*like && !(p->emulator = strdup(emulator))))
        return sc_fail(err, -ENOMEM, "provider 'local': out of memory");
    p->hardware = hardware;
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

#define QEMU "qemu.pid"
#define EMULATOR "metadata.pid"

/* The pid of the instance's 'program' if it lives: the pid file's process must
 * have our folder on its command line, so a reused pid is never taken for it.
 */
static pid_t live_pid(const struct p_local *p, const char *id,
                      const char *program)
{
    SC_AUTO(free) char *pid_file = file_of(p, id, "", program);
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
        .state = live_pid(p, id, QEMU) ? PROVIDER_RUNNING : PROVIDER_STOPPED,
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

/* Ends a program of the instance for certain. */
static int end_program(const struct p_local *p, const char *id,
                       const char *program, struct sc_err *err)
{
    pid_t pid = live_pid(p, id, program);
    if (pid && kill(pid, SIGKILL) < 0 && errno != ESRCH)
        return sc_fail(err, -errno, "instance '%s': kill: %s", id,
                       strerror(errno));
    for (int i = 0; i < 1000 && live_pid(p, id, program); i++)
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    if (live_pid(p, id, program))
        return sc_fail(err, -ETIMEDOUT,
                       "instance '%s': still there 10 s after SIGKILL", id);
    return 0;
}

static int local_fence(struct provider *up, const char *region, const char *id,
                       struct sc_err *err)
{
    (void)region;
    return end_program((struct p_local *)up, id, QEMU, err);
}

static int local_console(struct provider *up, const char *region,
                         const char *id, char **ret, size_t *ret_size,
                         struct sc_err *err)
{
    const struct p_local *p = (struct p_local *)up;
    (void)region;
    SC_AUTO(free) char *path = file_of(p, id, "", "serial.log");
    SC_AUTO(free) char *log = malloc(PROVIDER_CONSOLE_MAX + 1);
    if (!sc_name_ok(id) || !path || !log)
        return sc_fail(err, -EINVAL, "instance '%s': not a name", id);
    SC_AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return sc_fail(err, -errno, "instance '%s': its serial log: %s", id,
                       strerror(errno));
    /* One more than is kept: where its first line begins is seen by it. */
    off_t max = PROVIDER_CONSOLE_MAX + 1, end = lseek(fd, 0, SEEK_END);
    ssize_t n = pread(fd, log, (size_t)max, end > max ? end - max : 0);
    if (n < 0)
        return sc_fail(err, -errno, "%s: %s", path, strerror(errno));
    *ret_size = (size_t)n;
    *ret = SC_TAKE(log);
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
    if (r == 0)
        r = end_program(p, id, EMULATOR, err);
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

/* The instance's own copy-on-write copy, as large as asked for. */
static int make_disk(const struct provider_launch *l, const char *image,
                     const char *folder, struct sc_err *err)
{
    char size[32] = "";
    if (l->disk_gib)
        snprintf(size, sizeof size, "%uG", l->disk_gib);
    const char *overlay[] = { "qemu-img",
                              "create",
                              "-q",
                              "-f",
                              "qcow2",
                              "-F",
                              local_image_format(image),
                              "-b",
                              image,
                              "disk.qcow2",
                              *size ? size : NULL,
                              NULL };
    return run_program(folder, overlay, err);
}

static int start_machine(const struct p_local *p,
                         const struct provider_launch *l, size_t type,
                         const char *address, const char *folder,
                         struct sc_err *err)
{
    struct local_machine m = {
        .folder = folder,
        .launch = l,
        .region = region_of(l),
        .hardware = p->hardware,
        .firmware = p->firmware,
        .emulator = p->emulator,
        .address = address,
        .wan = p->wan != NULL,
        .memory_mib = types[type].memory_mib,
        .vcpus = types[type].vcpus,
    };
    if (l->options) {
        struct json_reader o = json_read(l->options, "options");
        m.memory_mib = (unsigned)json_int_or(&o, "memory_mib", 512, 1 << 20,
                                             types[type].memory_mib);
        m.vcpus = (unsigned)json_int_or(&o, "vcpus", 1, 64, types[type].vcpus);
        if (json_done(&o, err) < 0)
            return -EINVAL;
    }
    return local_machine_start(&m, err);
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
    if (!address && p->emulator)
        return sc_fail(err, -EINVAL,
                       "options: 'address' is needed, such as 10.200.0.1/24");
    if (!address)
        address = "";
    SC_AUTO(free) char *folder = file_of(p, l->name, "", "");
    if (!folder)
        return sc_fail(err, -ENOMEM, "instance: out of memory");
    int r = make_folder(p, l, t, address, folder, err);
    if (r < 0)
        return r;
    r = make_disk(l, image, folder, err);
    if (r == 0 && p->wan)
        r = wan_plug(p, l->name, folder, err);
    if (r == 0)
        r = start_machine(p, l, t, address, folder, err);
    if (r == 0)
        return load_record(p, l->name, ret, err);
    (void)end_program(p, l->name, EMULATOR, NULL);
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
                    local_has_kvm() ? "" : " (no KVM: slow)") < 0
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
    .console = local_console,
    .types = local_types,
    .prices = local_prices,
    .leftovers = local_leftovers,
    .remove = local_remove,
};
