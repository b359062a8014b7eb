/* p_local_machine - see p_local_machine.h.  The hardware is a table: a line of
 * devices for each provider, in QEMU's words.  In the SMBIOS texts '%U' stands
 * for the machine's UUID and '%I' for EC2's instance id, which are also what
 * the emulated metadata service tells. */
#include "provider/p_local_machine.h"

#include "common/json.h"
#include "common/loop.h"
#include "common/tls.h"
#include "provider/run.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>

/* TCG's faults are left out: SMAP checks on far returns are wrong, and AVX
 * state does not survive Xen's switches between guests.  Without ERMS and FSRM
 * pages are copied much faster. */
#define TCG_CPU                                                                \
    "max,-smap,-smep,-erms,-fsrm,-xsave,-xsaveopt,-avx,-avx2,-f16c,-fma,-mpx," \
    "-pku"

struct local_hardware {
    const char *name;
    const char *uuid_begin; /* The first digits of the machine's UUID. */
    const char *machine, *nic;
    const char *disk[2]; /* Devices; the last one has the drive "disk". */
    const char *disc;    /* Device of the provider's disc; NULL: none. */
    const char *smbios[4];
};

static const struct local_hardware hardwares[] = {
    { .name = "",
      .machine = "q35",
      .nic = "virtio-net-pci",
      .disk = { "virtio-blk-pci,drive=disk,bootindex=1" } },
    { .name = "ec2",
      .uuid_begin = "ec2",
      .machine = "q35",
      .nic = "e1000e",
      .disk = { "nvme,serial=vol0123456789abcdef0,drive=disk,bootindex=1" },
      .smbios = { "type=0,vendor=Amazon EC2,version=1.0",
                  "type=1,manufacturer=Amazon EC2,product=m5.large,uuid=%U,"
                  "serial=%U",
                  "type=2,manufacturer=Amazon EC2,asset=%I",
                  "type=3,manufacturer=Amazon EC2,asset=Amazon EC2" } },
    { .name = "gce",
      .machine = "q35",
      .nic = "virtio-net-pci",
      .disk = { "virtio-scsi-pci,id=scsi",
                "scsi-hd,bus=scsi.0,drive=disk,bootindex=1" },
      .smbios = { "type=0,vendor=Google,version=Google",
                  "type=1,manufacturer=Google,product=Google Compute Engine,"
                  "uuid=%U,serial=GoogleCloud-%U",
                  "type=2,manufacturer=Google,product=Google Compute Engine",
                  "type=3,manufacturer=Google" } },
    { .name = "azure",
      .machine = "q35",
      .nic = "e1000e",
      .disk = { "ide-hd,bus=ide.0,drive=disk,bootindex=1" },
      .disc = "ide-cd,bus=ide.1,drive=disc",
      .smbios = { "type=0,vendor=American Megatrends Inc.,version=090008",
                  "type=1,manufacturer=Microsoft Corporation,"
                  "product=Virtual Machine,uuid=%U",
                  "type=2,manufacturer=Microsoft Corporation",
                  "type=3,manufacturer=Microsoft Corporation,"
                  "asset=7783-7084-3265-9085-8269-3286-77" } },
    { .name = "rackspace",
      .machine = "q35",
      .nic = "virtio-net-pci",
      .disk = { "virtio-blk-pci,drive=disk,bootindex=1" },
      .smbios = { "type=1,manufacturer=OpenStack Foundation,"
                  "product=OpenStack Nova,version=26.2.0,uuid=%U,serial=%U",
                  "type=3,manufacturer=QEMU,asset=" } },
    { .name = "rackspace-classic",
      .machine = "pc",
      .nic = "rtl8139",
      .disk = { "ide-hd,bus=ide.0,drive=disk,bootindex=1" },
      .disc = "ide-cd,bus=ide.1,drive=disc",
      .smbios = { "type=1,manufacturer=Xen,product=HVM domU,uuid=%U" } },
};

const struct local_hardware *local_hardware_find(const char *like)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(hardwares); i++)
        if (!strcmp(hardwares[i].name, like))
            return &hardwares[i];
    return NULL;
}

const char *local_hardware_names(void)
{
    return "ec2, gce, azure, rackspace and rackspace-classic";
}

bool local_has_kvm(void)
{
    SC_AUTO(free) char *cpu = NULL;
    SC_AUTO(close) int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    return fd >= 0 && run_read_file("/proc/cpuinfo", &cpu) == 0 &&
           (strstr(cpu, " svm") || strstr(cpu, " vmx"));
}

const char *local_image_format(const char *path)
{
    static const struct {
        const char *end, *format;
    } known[] = { { ".qcow2", "qcow2" }, { ".vhd", "vpc" } };
    size_t n = strlen(path);
    for (size_t i = 0; i < SC_ARRAY_LEN(known); i++) {
        size_t len = strlen(known[i].end);
        if (n > len && !strcmp(path + n - len, known[i].end))
            return known[i].format;
    }
    return "raw";
}

/* What names the machine: the firmware and the provider must say the same. */
struct identity {
    char mac0[18], mac1[18], uuid[37], ec2_id[20];
};

/* A stable locally administered MAC from the instance's name and the NIC. */
static void mac_of(const char *name, int nic, char ret[18])
{
    char text[160], hex[65];
    snprintf(text, sizeof text, "%s/%d", name, nic);
    tls_sha256_hex(text, strlen(text), hex);
    snprintf(ret, 18, "52:54:%.2s:%.2s:%.2s:%.2s", hex, hex + 2, hex + 4,
             hex + 6);
}

static struct identity identity_of(const struct local_machine *m)
{
    struct identity i;
    char text[160], hex[65];
    const char *begin = m->hardware->uuid_begin;
    mac_of(m->launch->name, 0, i.mac0);
    mac_of(m->launch->name, 1, i.mac1);
    snprintf(text, sizeof text, "%s/%llx", m->launch->name,
             (unsigned long long)sc_wall_ms());
    tls_sha256_hex(text, strlen(text), hex);
    for (size_t k = 0; begin && begin[k]; k++)
        hex[k] = begin[k];
    hex[12] = '4'; /* A random UUID, RFC 4122. */
    hex[16] = '8';
    snprintf(i.uuid, sizeof i.uuid, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
             hex + 12, hex + 16, hex + 20);
    snprintf(i.ec2_id, sizeof i.ec2_id, "i-0%.16s", hex + 3);
    return i;
}

/* For a machine like none: NoCloud's files on a disk. */
static int write_seed(const struct local_machine *m, const struct identity *id,
                      struct sc_err *err)
{
    const struct provider_launch *l = m->launch;
    char path[PATH_MAX];
    SC_AUTO(free) char *meta = NULL, *net = NULL;
    if (asprintf(&meta,
                 "{\"instance-id\": \"%s-%llx\", \"local-hostname\": \"%s\","
                 " \"region\": \"%s\", \"local-ipv4\": \"%.*s\"}\n",
                 l->name, (unsigned long long)sc_wall_ms(), l->name, m->region,
                 (int)strcspn(m->address, "/"), m->address) < 0 ||
        asprintf(&net,
                 "version: 2\nethernets:\n"
                 "  eth0:\n    match: {macaddress: '%s'}\n"
                 "    set-name: eth0\n    dhcp4: true\n"
                 "  eth1:\n    match: {macaddress: '%s'}\n"
                 "    set-name: eth1\n    optional: true\n    %s%s%s\n",
                 id->mac0, id->mac1,
                 *m->address ? "addresses: ['" : "dhcp4: false", m->address,
                 *m->address ? "']" : "") < 0)
        return sc_fail(err, -ENOMEM, "seed: out of memory");
    const struct {
        const char *name, *text;
    } files[] = { { "user-data", l->user_data ? l->user_data : "" },
                  { "meta-data", meta },
                  { "network-config", net } };
    for (size_t i = 0; i < SC_ARRAY_LEN(files); i++) {
        snprintf(path, sizeof path, "%s/%s", m->folder, files[i].name);
        int r = tls_write_file(path, files[i].text, 0600, err);
        if (r < 0)
            return r;
    }
    const char *format[] = { "mkfs.vfat", "-C",   "-n", "CIDATA",
                             "seed.img",  "2048", NULL };
    const char *copy[] = { "mcopy",     "-i",        "seed.img",
                           "user-data", "meta-data", "network-config",
                           "::",        NULL };
    int r = run_program(m->folder, format, err);
    return r < 0 ? r : run_program(m->folder, copy, err);
}

/* provider.json, which says to the emulator what the machine is; it holds the
 * user-data, so it is ours alone to read. */
static int start_emulator(const struct local_machine *m,
                          const struct identity *id, struct sc_err *err)
{
    const struct provider_launch *l = m->launch;
    char path[PATH_MAX];
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "like", m->hardware->name);
    cJSON_AddStringToObject(o, "name", l->name);
    cJSON_AddStringToObject(o, "region", m->region);
    cJSON_AddStringToObject(o, "uuid", id->uuid);
    cJSON_AddStringToObject(o, "mac", id->mac0);
    cJSON_AddStringToObject(o, "address", m->address);
    cJSON_AddStringToObject(o, "user_data", l->user_data ? l->user_data : "");
    cJSON_AddBoolToObject(o, "wan", m->wan);
    json_set_u64(o, "created_at", sc_wall_ms());
    const cJSON *f = cJSON_GetObjectItem(l->options, "forward");
    if (f)
        cJSON_AddItemToObject(o, "forward", cJSON_Duplicate(f, true));
    SC_AUTO(free) char *text = cJSON_Print(o);
    if (!text)
        return sc_fail(err, -ENOMEM, "provider.json: out of memory");
    snprintf(path, sizeof path, "%s/provider.json", m->folder);
    int r = tls_write_file(path, text, 0600, err);
    if (r < 0)
        return r;
    const char *start[] = { m->emulator, "start", m->folder, NULL };
    return run_program(m->folder, start, err);
}

/* A command line that grows; 'failed' once is failed for good. */
struct args {
    char *v[96];
    size_t n;
    bool failed;
};

static void args_clear(struct args *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->v[i]);
}

static void __attribute__((format(printf, 2, 3)))
add(struct args *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = NULL;
    if (a->n + 1 >= SC_ARRAY_LEN(a->v) || vasprintf(&text, fmt, ap) < 0)
        a->failed = true;
    else
        a->v[a->n++] = text;
    va_end(ap);
}

/* 'text' with '%U' and '%I' filled in. */
static void add_named(struct args *a, const char *text,
                      const struct identity *id)
{
    char out[512];
    size_t n = 0;
    for (; *text && n < sizeof out - 40; text++) {
        bool uuid = !strncmp(text, "%U", 2), ec2 = !strncmp(text, "%I", 2);
        if (uuid || ec2)
            n += (size_t)snprintf(out + n, sizeof out - n, "%s",
                                  uuid ? id->uuid : id->ec2_id);
        else
            out[n++] = *text;
        text += uuid || ec2;
    }
    out[n] = '\0';
    add(a, "%s", out);
}

static void add_all(struct args *a, const char *const words[])
{
    for (; *words; words++)
        add(a, "%s", *words);
}

/* The user network, closed to the outside, with the host forwards asked for. */
static void add_user_network(struct args *a, const cJSON *forwards)
{
    char text[1024];
    int len = snprintf(text, sizeof text, "user,id=net0,restrict=on");
    for (const cJSON *f = forwards ? forwards->child : NULL; f; f = f->next) {
        len += snprintf(text + len, sizeof text - (size_t)len,
                        ",hostfwd=tcp:127.0.0.1:%d-:%d",
                        cJSON_GetObjectItem(f, "host")->valueint,
                        cJSON_GetObjectItem(f, "guest")->valueint);
        if ((size_t)len >= sizeof text) {
            a->failed = true;
            return;
        }
    }
    add(a, "-netdev");
    add(a, "%s", text);
}

static void add_socket_network(struct args *a, const char *id,
                               const char *folder, const char *local,
                               const char *remote)
{
    add(a, "-netdev");
    add(a,
        "dgram,id=%s,local.type=unix,local.path=%s/%s,remote.type=unix,"
        "remote.path=%s/%s",
        id, folder, local, folder, remote);
}

static void add_card(struct args *a, const char *model, const char *netdev,
                     const char *mac)
{
    add(a, "-device");
    add(a, "%s,netdev=%s,romfile=,mac=%s", model, netdev, mac);
}

static void add_hardware(struct args *a, const struct local_machine *m,
                         const struct identity *id)
{
    const struct local_hardware *h = m->hardware;
    add(a, "-drive");
    add(a,
        "if=none,id=disk,format=qcow2,discard=unmap,cache=unsafe,file=%s/"
        "disk.qcow2",
        m->folder);
    for (size_t i = 0; i < SC_ARRAY_LEN(h->disk) && h->disk[i]; i++) {
        add(a, "-device");
        add_named(a, h->disk[i], id);
    }
    for (size_t i = 0; i < SC_ARRAY_LEN(h->smbios) && h->smbios[i]; i++) {
        add(a, "-smbios");
        add_named(a, h->smbios[i], id);
    }
    if (h->disc) {
        add(a, "-drive");
        add(a,
            "if=none,id=disc,media=cdrom,format=raw,readonly=on,file=%s/"
            "disc.iso",
            m->folder);
        add(a, "-device");
        add(a, "%s", h->disc);
    }
    if (m->emulator) {
        add_socket_network(a, "net0", m->folder, "nic.sock", "net.sock");
        add_card(a, h->nic, "net0", id->mac0);
        return;
    }
    add(a, "-drive");
    add(a, "if=virtio,format=raw,readonly=on,file=%s/seed.img", m->folder);
    add_user_network(a, cJSON_GetObjectItem(m->launch->options, "forward"));
    add_card(a, h->nic, "net0", id->mac0);
    if (m->wan) {
        add_socket_network(a, "wan", m->folder, "vm.sock", "wan.sock");
        add_card(a, h->nic, "wan", id->mac1);
    }
}

static int check_forwards(const cJSON *forwards, struct sc_err *err)
{
    for (const cJSON *f = forwards ? forwards->child : NULL; f; f = f->next) {
        struct json_reader r = json_read(f, "forward");
        (void)json_int(&r, "host", 1, 65535);
        (void)json_int(&r, "guest", 1, 65535);
        if (json_done(&r, err) < 0)
            return -EINVAL;
    }
    return 0;
}

static int start_qemu(const struct local_machine *m, const struct identity *id,
                      struct sc_err *err)
{
    static const char *const fixed[] = { "-display",
                                         "none",
                                         "-no-user-config",
                                         "-nodefaults",
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
    bool kvm = local_has_kvm();
    struct args a = { 0 };
    add(&a, "qemu-system-x86_64");
    add(&a, "-name");
    add(&a, "%s", m->launch->name);
    add(&a, "-machine");
    add(&a, "%s", m->hardware->machine);
    add(&a, "-accel");
    add(&a, "%s", kvm ? "kvm" : "tcg,thread=multi,tb-size=512");
    add(&a, "-cpu");
    add(&a, "%s", kvm ? "host" : TCG_CPU);
    add(&a, "-smp");
    add(&a, "%u", m->vcpus);
    add(&a, "-m");
    add(&a, "%u", m->memory_mib);
    add_all(&a, fixed);
    add_hardware(&a, m, id);
    if (m->firmware) {
        add(&a, "-bios");
        add(&a, "%s", m->firmware);
    }
    int r = a.failed ? sc_fail(err, -E2BIG, "QEMU's arguments: too many")
                     : run_program(m->folder, (const char *const *)a.v, err);
    args_clear(&a);
    return r;
}

int local_machine_start(const struct local_machine *m, struct sc_err *err)
{
    struct identity id = identity_of(m);
    int r =
        check_forwards(cJSON_GetObjectItem(m->launch->options, "forward"), err);
    if (r == 0)
        r = m->emulator ? start_emulator(m, &id, err) : write_seed(m, &id, err);
    return r < 0 ? r : start_qemu(m, &id, err);
}
