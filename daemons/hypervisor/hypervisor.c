/* hypervisor - the base of all drivers: arguments are checked here once, so
 * that a driver sees only specs it may put into file names, option lists and
 * xenstore. */
#include "hypervisor/hypervisor.h"

#include "common/json.h"
#include "hypervisor/hypervisor-class.h"

#include <stdio.h>
#include <string.h>

enum { IFNAME_MAX = 15, CMDLINE_MAX = 2048, PATH_LEN_MAX = 1024 };

static const struct hv_class *const classes[] = {
    &hv_xen_class,
    &hv_qemu_class,
    &hv_fake_class,
};

static int spec_check(const struct hv_spec *s, struct sc_err *err);

int hv_open(const char *driver, const struct hv_options *o, struct hv **ret,
            struct sc_err *err)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(classes); i++)
        if (!strcmp(classes[i]->name, driver))
            return classes[i]->open(o, ret, err);
    return sc_fail(err, -ENOENT,
                   "hypervisor '%s': no such driver (there are "
                   "xen, qemu and fake)",
                   driver);
}

int hv_cpuid_faulting(const char *driver, bool *ret, struct sc_err *err)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(classes); i++)
        if (!strcmp(classes[i]->name, driver) && classes[i]->cpuid_faulting)
            return classes[i]->cpuid_faulting(ret, err);
    return sc_fail(err, -ENOTSUP,
                   "hypervisor '%s': its guests never see the machine's CPUID",
                   driver);
}

void hv_close(struct hv *hv)
{
    if (hv)
        hv->class->close(hv);
}

const char *hv_driver(const struct hv *hv)
{
    return hv->class->name;
}

int hv_host_info(struct hv *hv, struct hv_host *ret, struct sc_err *err)
{
    return hv->class->host_info(hv, ret, err);
}

int hv_state_of(struct hv *hv, const char *vm_id, enum hv_state *ret)
{
    return hv->class->state_of(hv, vm_id, ret);
}

static int need(struct hv *hv, bool has, const char *what, struct sc_err *err)
{
    if (has)
        return 0;
    return sc_fail(err, -ENOTSUP, "hypervisor '%s' cannot %s", hv->class->name,
                   what);
}

int hv_start(struct hv *hv, const struct hv_spec *spec, hv_done_fn *done,
             void *arg, struct sc_err *err)
{
    int r = spec_check(spec, err);
    return r < 0 ? r : hv->class->start(hv, spec, done, arg, err);
}

int hv_stop(struct hv *hv, const char *vm_id, uint32_t grace_ms,
            hv_done_fn *done, void *arg, struct sc_err *err)
{
    return hv->class->stop(hv, vm_id, grace_ms, done, arg, err);
}

int hv_pause(struct hv *hv, const char *vm_id, hv_done_fn *done, void *arg,
             struct sc_err *err)
{
    int r = need(hv, hv->class->pause, "pause a guest", err);
    return r < 0 ? r : hv->class->pause(hv, vm_id, done, arg, err);
}

int hv_resume(struct hv *hv, const char *vm_id, hv_done_fn *done, void *arg,
              struct sc_err *err)
{
    int r = need(hv, hv->class->resume, "resume a guest", err);
    return r < 0 ? r : hv->class->resume(hv, vm_id, done, arg, err);
}

int hv_migrate_out(struct hv *hv, const char *vm_id, int fd,
                   uint32_t max_downtime_ms, const struct hv_out_events *events,
                   void *arg, struct sc_err *err)
{
    SC_AUTO(close) int own = fd;
    int r = need(hv, hv->class->migrate_out, "migrate a guest", err);
    if (r < 0)
        return r;
    return hv->class->migrate_out(hv, vm_id, SC_TAKE_FD(own), max_downtime_ms,
                                  events, arg, err);
}

int hv_migrate_abort(struct hv *hv, const char *vm_id, struct sc_err *err)
{
    int r = need(hv, hv->class->migrate_abort, "migrate a guest", err);
    return r < 0 ? r : hv->class->migrate_abort(hv, vm_id, err);
}

int hv_migrate_in(struct hv *hv, const struct hv_spec *spec, int fd,
                  hv_done_fn *done, void *arg, struct sc_err *err)
{
    SC_AUTO(close) int own = fd;
    int r = need(hv, hv->class->migrate_in, "receive a guest", err);
    if (r == 0)
        r = spec_check(spec, err);
    if (r < 0)
        return r;
    return hv->class->migrate_in(hv, spec, SC_TAKE_FD(own), done, arg, err);
}

const char *hv_state_name(enum hv_state s)
{
    static const char *const names[] = {
        [HV_BUILDING] = "building",   [HV_INCOMING] = "incoming",
        [HV_PAUSED] = "paused",       [HV_RUNNING] = "running",
        [HV_SUSPENDED] = "suspended", [HV_STOPPING] = "stopping",
    };
    return (size_t)s < SC_ARRAY_LEN(names) ? names[s] : "?";
}

/* --- for drivers ---------------------------------------------------------- */
int hv_init(struct hv *hv, const struct hv_class *class,
            const struct hv_options *o)
{
    char *run_dir = strdup(o->run_dir ? o->run_dir : ".");
    if (!run_dir)
        return -ENOMEM;
    *hv = (struct hv){ .class = class, .o = *o, .run_dir = run_dir };
    hv->o.run_dir = run_dir;
    return 0;
}

void hv_fini(struct hv *hv)
{
    free(hv->run_dir);
    hv->run_dir = NULL;
}

/* One allocation: the struct, then its strings. */
static size_t spec_strings(struct hv_spec *s, char *at)
{
    size_t size = 0;
    const char **fields[5 + 3 * HV_DISKS_MAX + 2 * HV_NICS_MAX];
    size_t n = 0;
    fields[n++] = &s->id;
    fields[n++] = &s->name;
    fields[n++] = &s->kernel;
    fields[n++] = &s->ramdisk;
    fields[n++] = &s->cmdline;
    for (unsigned i = 0; i < s->n_disks; i++) {
        fields[n++] = &s->disks[i].dev;
        fields[n++] = &s->disks[i].nbd_socket;
        fields[n++] = &s->disks[i].export;
    }
    for (unsigned i = 0; i < s->n_nics; i++) {
        fields[n++] = &s->nics[i].ifname;
        fields[n++] = &s->nics[i].mac;
    }
    for (size_t i = 0; i < n; i++) {
        if (!*fields[i])
            continue;
        size_t len = strlen(*fields[i]) + 1;
        if (at) {
            memcpy(at + size, *fields[i], len);
            *fields[i] = at + size;
        }
        size += len;
    }
    return size;
}

struct hv_spec *hv_spec_dup(const struct hv_spec *spec)
{
    struct hv_spec tmp = *spec;
    size_t strings = spec_strings(&tmp, NULL);
    struct hv_spec *copy = malloc(sizeof *copy + strings);
    if (!copy)
        return NULL;
    *copy = *spec;
    spec_strings(copy, (char *)(copy + 1));
    return copy;
}

uint64_t hv_meminfo_mib(const char *key)
{
    SC_AUTO(fclose) FILE *f = fopen("/proc/meminfo", "re");
    char line[128];
    size_t len = strlen(key);
    while (f && fgets(line, sizeof line, f)) {
        unsigned long long kib;
        if (!strncmp(line, key, len) && line[len] == ':' &&
            sscanf(line + len + 1, "%llu", &kib) == 1)
            return kib / 1024;
    }
    return 0;
}

/* Printable ASCII without the characters that end an option (',' and '='). */
static bool word_ok(const char *s, size_t max)
{
    size_t len = s ? strlen(s) : 0;
    if (len == 0 || len > max)
        return false;
    for (; *s; s++)
        if (*s <= ' ' || *s > '~' || *s == ',' || *s == '=' || *s == '"')
            return false;
    return true;
}

static bool mac_ok(const char *s)
{
    for (int i = 0; i < 17; i++) {
        bool hex = (s[i] >= '0' && s[i] <= '9') ||
                   (s[i] >= 'a' && s[i] <= 'f') || (s[i] >= 'A' && s[i] <= 'F');
        if (i % 3 == 2 ? s[i] != ':' : !hex)
            return false;
    }
    return s[17] == 0;
}

static bool cmdline_ok(const char *s)
{
    size_t len = strlen(s);
    for (size_t i = 0; i < len; i++)
        if (s[i] < ' ' || s[i] > '~')
            return false;
    return len <= CMDLINE_MAX;
}

static int spec_check(const struct hv_spec *s, struct sc_err *err)
{
    if (!s->id || !sc_uuid_ok(s->id))
        return sc_fail(err, -EINVAL, "vm: its id is not a UUID");
    if (!s->name || !sc_name_ok(s->name))
        return sc_fail(err, -EINVAL, "vm %s: its name is not a name", s->id);
    if (s->vcpus < 1 || s->vcpus > 128)
        return sc_fail(err, -EINVAL, "vm %s: %u vcpus; 1 to 128 are possible",
                       s->id, s->vcpus);
    if (s->memory_mib < 16 || s->memory_mib > 4u << 20)
        return sc_fail(err, -EINVAL, "vm %s: %llu MiB of memory; 16 to %u",
                       s->id, (unsigned long long)s->memory_mib, 4u << 20);
    if (!s->kernel || !word_ok(s->kernel, PATH_LEN_MAX))
        return sc_fail(err, -EINVAL, "vm %s: it has no kernel to boot", s->id);
    if (s->ramdisk && !word_ok(s->ramdisk, PATH_LEN_MAX))
        return sc_fail(err, -EINVAL, "vm %s: bad path of the ramdisk", s->id);
    if (s->cmdline && !cmdline_ok(s->cmdline))
        return sc_fail(err, -EINVAL,
                       "vm %s: the kernel's command line is too "
                       "long or not printable",
                       s->id);
    if (s->n_disks > HV_DISKS_MAX || s->n_nics > HV_NICS_MAX)
        return sc_fail(err, -EINVAL, "vm %s: more than %d disks or %d ports",
                       s->id, HV_DISKS_MAX, HV_NICS_MAX);
    for (unsigned i = 0; i < s->n_disks; i++) {
        const struct hv_disk *d = &s->disks[i];
        if (!word_ok(d->dev, 16) || strchr(d->dev, '/') ||
            !word_ok(d->nbd_socket, 107) || !word_ok(d->export, 255))
            return sc_fail(err, -EINVAL,
                           "vm %s: disk %u is not described "
                           "rightly",
                           s->id, i);
    }
    for (unsigned i = 0; i < s->n_nics; i++) {
        const struct hv_nic *n = &s->nics[i];
        if (!word_ok(n->ifname, IFNAME_MAX) || strchr(n->ifname, '/') ||
            !n->mac || !mac_ok(n->mac) || n->mtu > 9216)
            return sc_fail(err, -EINVAL,
                           "vm %s: port %u is not described "
                           "rightly",
                           s->id, i);
    }
    return 0;
}
