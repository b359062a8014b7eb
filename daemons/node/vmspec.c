/* vmspec - see vmspec.h.  Fields of the document that this node has no use for
 * (a port's ip, network_id, vni) are checked by those who use them. */
#include "node/vmspec.h"

#include <stdio.h>
#include <string.h>

enum { EPOCH_MAX_BITS = 53 };

static void uuid(struct json_reader *r, const char *key, bool needed,
                 char ret[SC_UUID_LEN + 1])
{
    const char *s = needed ? json_str(r, key, SC_UUID_LEN, SC_UUID_LEN)
                           : json_str_or(r, key, SC_UUID_LEN, "");
    if (r->err.code == 0 && (needed || *s) && !sc_uuid_ok(s))
        sc_fail(&r->err, -EINVAL, "%s: '%s' is '%.40s'; it must be a UUID",
                r->what, key, s);
    snprintf(ret, SC_UUID_LEN + 1, "%s", r->err.code ? "" : s);
}

static int volume(const cJSON *o, struct vm_volume *ret, struct sc_err *err)
{
    struct json_reader r = json_read(o, "vm.volumes");
    uuid(&r, "id", true, ret->id);
    const char *dev = json_str(&r, "dev", 1, sizeof ret->dev - 1);
    const char *mode = json_str(&r, "mode", 2, 2);
    if (r.err.code == 0 && strcmp(mode, "rw") != 0 && strcmp(mode, "ro") != 0)
        sc_fail(&r.err, -EINVAL, "vm.volumes: 'mode' is '%s'; rw or ro", mode);
    snprintf(ret->dev, sizeof ret->dev, "%s", dev);
    ret->readonly = !strcmp(mode, "ro");
    return json_done(&r, err);
}

static int port(const cJSON *o, struct vm_port *ret, struct sc_err *err)
{
    struct json_reader r = json_read(o, "vm.ports");
    uuid(&r, "id", true, ret->id);
    snprintf(ret->mac, sizeof ret->mac, "%s", json_str(&r, "mac", 17, 17));
    ret->mtu = (unsigned)json_int_or(&r, "mtu", 0, 9216, 0);
    return json_done(&r, err);
}

int vmspec_decode(const cJSON *o, struct vmspec *ret, struct sc_err *err)
{
    struct json_reader r = json_read(o, "vm");
    struct vmspec s = { 0 };
    uuid(&r, "id", true, s.id);
    const char *name = json_str(&r, "name", 1, sizeof s.name - 1);
    if (r.err.code == 0 && !sc_name_ok(name))
        sc_fail(&r.err, -EINVAL, "vm: 'name' is not a name");
    snprintf(s.name, sizeof s.name, "%s", name);
    s.epoch = (uint64_t)json_int(&r, "epoch", 1, INT64_C(1) << EPOCH_MAX_BITS);
    s.vcpus = (unsigned)json_int(&r, "vcpus", 1, 128);
    s.memory_mib = (uint64_t)json_int(&r, "memory_mib", 16, 4 << 20);
    uuid(&r, "kernel_volume", false, s.kernel_volume);
    uuid(&r, "ramdisk_volume", false, s.ramdisk_volume);
    snprintf(s.cmdline, sizeof s.cmdline, "%s",
             json_str_or(&r, "cmdline", VM_CMDLINE_MAX, ""));
    const cJSON *volumes = json_arr(&r, "volumes"), *v;
    const cJSON *ports = json_arr(&r, "ports"), *p;
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    if (cJSON_GetArraySize(volumes) > VM_VOLUMES_MAX ||
        cJSON_GetArraySize(ports) > VM_PORTS_MAX)
        return sc_fail(err, -EINVAL, "vm: more than %d volumes or %d ports",
                       VM_VOLUMES_MAX, VM_PORTS_MAX);
    cJSON_ArrayForEach(v, volumes)
    {
        e = volume(v, &s.volumes[s.n_volumes++], err);
        if (e < 0)
            return e;
    }
    cJSON_ArrayForEach(p, ports)
    {
        e = port(p, &s.ports[s.n_ports++], err);
        if (e < 0)
            return e;
    }
    *ret = s;
    return 0;
}

static void add_or_null(cJSON *o, const char *key, const char *value)
{
    if (*value)
        cJSON_AddStringToObject(o, key, value);
    else
        cJSON_AddNullToObject(o, key);
}

cJSON *vmspec_encode(const struct vmspec *s)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "id", s->id);
    cJSON_AddStringToObject(o, "name", s->name);
    json_set_u64(o, "epoch", s->epoch);
    cJSON_AddNumberToObject(o, "vcpus", s->vcpus);
    json_set_u64(o, "memory_mib", s->memory_mib);
    add_or_null(o, "kernel_volume", s->kernel_volume);
    add_or_null(o, "ramdisk_volume", s->ramdisk_volume);
    cJSON_AddStringToObject(o, "cmdline", s->cmdline);
    cJSON *volumes = cJSON_AddArrayToObject(o, "volumes");
    for (unsigned i = 0; i < s->n_volumes; i++) {
        cJSON *v = cJSON_CreateObject();
        cJSON_AddStringToObject(v, "id", s->volumes[i].id);
        cJSON_AddStringToObject(v, "dev", s->volumes[i].dev);
        cJSON_AddStringToObject(v, "mode",
                                s->volumes[i].readonly ? "ro" : "rw");
        cJSON_AddItemToArray(volumes, v);
    }
    cJSON *ports = cJSON_AddArrayToObject(o, "ports");
    for (unsigned i = 0; i < s->n_ports; i++) {
        cJSON *p = cJSON_CreateObject();
        cJSON_AddStringToObject(p, "id", s->ports[i].id);
        cJSON_AddStringToObject(p, "mac", s->ports[i].mac);
        cJSON_AddNumberToObject(p, "mtu", s->ports[i].mtu);
        cJSON_AddItemToArray(ports, p);
    }
    return o;
}
