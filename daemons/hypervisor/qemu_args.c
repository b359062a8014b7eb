/* qemu_args - see qemu_args.h.  What a guest's owner can choose (command line,
 * names) is an argument of its own or JSON, never part of a "key=value" list;
 * hypervisor.c refuses commas in the rest. */
#include "hypervisor/qemu_args.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* QEMU before 9.0 loses writes of a TCG guest while it migrates live: where a
 * block of memory is a multiple of 256 KiB, its dirty bits are cleared 64 pages
 * at a time without telling the vCPU's TLB (corrected by QEMU's "physmem: Fix
 * migration dirty bitmap coherency with TCG memory access").  Memory of an odd
 * size takes the careful path.  Seen: one guest in 40 died after a migration on
 * a busy machine; none in 110 with this.
 * 'no_timer_check': Linux leaves out a test of its timer that needs a prompt
 * machine; under KVM it does so by itself. */
enum { TCG_ODD_KIB = 8 };
static const char sandbox[] = "on,obsolete=deny,elevateprivileges=deny,"
                              "spawn=deny,resourcecontrol=deny";

struct list {
    char **v;
    size_t n, size;
    bool failed;
};

static void put(struct list *l, char *own)
{
    if (l->n + 2 > l->size) {
        size_t size = l->size ? l->size * 2 : 64;
        char **v = realloc(l->v, size * sizeof *v);
        if (!v) {
            l->failed = true;
            free(own);
            return;
        }
        l->v = v;
        l->size = size;
    }
    if (!own)
        l->failed = true;
    l->v[l->n++] = own;
    l->v[l->n] = NULL;
}

static void add(struct list *l, const char *fmt, ...) SC_PRINTF(2, 3);
static void add(struct list *l, const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    put(l, text);
}

static void add_disk(struct list *l, const struct hv_disk *d, unsigned i)
{
    cJSON *j = cJSON_CreateObject();
    char node[16];
    snprintf(node, sizeof node, "disk%u", i);
    cJSON_AddStringToObject(j, "driver", "nbd");
    cJSON_AddStringToObject(j, "node-name", node);
    cJSON *server = cJSON_AddObjectToObject(j, "server");
    cJSON_AddStringToObject(server, "type", "unix");
    cJSON_AddStringToObject(server, "path", d->nbd_socket);
    cJSON_AddStringToObject(j, "export", d->export);
    cJSON_AddNumberToObject(j, "reconnect-delay", QEMU_RECONNECT_S);
    cJSON_AddBoolToObject(j, "read-only", d->readonly);
    cJSON_AddStringToObject(j, "discard", "unmap");
    add(l, "-blockdev");
    put(l, cJSON_PrintUnformatted(j));
    cJSON_Delete(j);
    add(l, "-device");
    add(l, "virtio-blk-pci,drive=%s,id=d%u,serial=%s,disable-legacy=on", node,
        i, d->dev);
}

static void add_nic(struct list *l, const struct qemu_args *a, unsigned i)
{
    const struct hv_nic *n = &a->spec->nics[i];
    static const char plain[] =
        ",csum=off,gso=off,guest_csum=off,guest_tso4=off,guest_tso6=off,"
        "guest_ecn=off,guest_ufo=off,host_tso4=off,host_tso6=off,"
        "host_ecn=off,host_ufo=off";
    char mtu[32] = "";
    if (n->mtu)
        snprintf(mtu, sizeof mtu, ",host_mtu=%u", n->mtu);
    add(l, "-netdev");
    add(l, "tap,id=net%u,fd=%d", i, a->tap_fds[i]);
    add(l, "-device");
    add(l,
        "virtio-net-pci,netdev=net%u,id=n%u,mac=%s,disable-legacy=on,"
        "romfile=%s%s",
        i, i, n->mac, mtu, a->plain_checksums ? plain : "");
}

int qemu_args_make(const struct qemu_args *a, char ***ret)
{
    struct list l = { 0 };
    const struct hv_spec *s = a->spec;
    const char *cmdline = s->cmdline ? s->cmdline : "";
    add(&l, "%s", a->binary);
    add(&l, "-name");
    add(&l, "guest=%s,process=sc-guest,debug-threads=on", s->name);
    add(&l, "-uuid");
    add(&l, "%s", s->id);
    add(&l, "-machine");
    add(&l, "pc-q35-7.2,vmport=off,dump-guest-core=off");
    add(&l, "-accel");
    add(&l, "%s", a->kvm ? "kvm" : "tcg,thread=multi");
    add(&l, "-cpu");
    add(&l, "%s", a->kvm ? "host" : "max");
    add(&l, "-smp");
    add(&l, "%u", s->vcpus);
    add(&l, "-m");
    add(&l, "size=%lluK",
        (unsigned long long)s->memory_mib * 1024 + (a->kvm ? 0 : TCG_ODD_KIB));
    static const char *const fixed[] = {
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-vga",
        "none",
        "-S",
        "-sandbox",
        sandbox,
        "-object",
        "rng-random,id=rng0,filename=/dev/urandom",
        "-device",
        "virtio-rng-pci,rng=rng0,disable-legacy=on",
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(fixed); i++)
        add(&l, "%s", fixed[i]);
    add(&l, "-chardev");
    add(&l, "socket,id=qmp,fd=%d,server=on,wait=off", a->qmp_fd);
    add(&l, "-mon");
    add(&l, "chardev=qmp,mode=control");
    add(&l, "-chardev");
    add(&l, "socket,id=con,fd=%d,server=on,wait=off", a->console_fd);
    add(&l, "-serial");
    add(&l, "chardev:con");
    add(&l, "-kernel");
    add(&l, "%s", s->kernel);
    if (s->ramdisk) {
        add(&l, "-initrd");
        add(&l, "%s", s->ramdisk);
    }
    add(&l, "-append");
    add(&l, "%s%s%s", cmdline,
        strstr(cmdline, "console=ttyS0") ? "" : " console=ttyS0",
        a->kvm ? "" : " no_timer_check");
    for (unsigned i = 0; i < s->n_disks; i++)
        add_disk(&l, &s->disks[i], i);
    for (unsigned i = 0; i < s->n_nics; i++)
        add_nic(&l, a, i);
    if (a->incoming) {
        add(&l, "-incoming");
        add(&l, "defer");
    }
    if (l.failed) {
        qemu_args_free(l.v);
        return -ENOMEM;
    }
    *ret = l.v;
    return 0;
}

void qemu_args_free(char **argv)
{
    for (char **p = argv; p && *p; p++)
        free(*p);
    free(argv);
}
