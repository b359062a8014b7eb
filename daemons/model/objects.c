/* Each object has one table of its fields; both directions walk it, so what is
 * written is what is read.  Fields that are lists or enums are few and have
 * code of their own below the table. */
#include "model/objects.h"

#include <stddef.h>
#include <stdio.h>

enum field_type { TEXT, U16, U32, U64 };
struct field {
    const char *name;
    enum field_type type;
    size_t offset, size;
};
#define F(T, member, kind)                                                     \
    {                                                                          \
#member, kind, offsetof(struct T, member),                             \
            sizeof(((struct T *)0)->member)                                    \
    }
#define END                                                                    \
    {                                                                          \
        NULL, TEXT, 0, 0                                                       \
    }

static const struct field node_fields[] = {
    F(node, id, TEXT),
    F(node, name, TEXT),
    F(node, region, TEXT),
    F(node, provider, TEXT),
    F(node, address, TEXT),
    F(node, nid, U16),
    F(node, csr_sha256, TEXT),
    F(node, token_id, TEXT),
    F(node, storage_port, U16),
    F(node, probe_port, U16),
    F(node, migration_port, U16),
    F(node, hypervisor, TEXT),
    F(node, version, TEXT),
    F(node, boot_mode, TEXT),
    F(node, boot_reason, TEXT),
    F(node, cpus, U32),
    F(node, memory_mib, U64),
    F(node, memory_free_mib, U64),
    F(node, last_seen_at, U64),
    F(node, joined_at, U64),
    END,
};
static const struct field network_fields[] = {
    F(network, id, TEXT),
    F(network, name, TEXT),
    F(network, cidr, TEXT),
    F(network, gateway, TEXT),
    F(network, dns, TEXT),
    F(network, dhcp_start, TEXT),
    F(network, dhcp_end, TEXT),
    F(network, vni, U32),
    F(network, mtu, U32),
    F(network, created_at, U64),
    END,
};
static const struct field image_fields[] = {
    F(image, id, TEXT),
    F(image, name, TEXT),
    F(image, kind, TEXT),
    F(image, size, U64),
    F(image, sha256, TEXT),
    F(image, kernel, TEXT),
    F(image, ramdisk, TEXT),
    F(image, cmdline, TEXT),
    F(image, min_memory_mib, U64),
    F(image, created_at, U64),
    END,
};
static const struct field vm_fields[] = {
    F(vm, id, TEXT),
    F(vm, name, TEXT),
    F(vm, nid, U16),
    F(vm, last_nid, U16),
    F(vm, epoch, U32),
    F(vm, last_epoch, U32),
    F(vm, vcpus, U32),
    F(vm, memory_mib, U64),
    F(vm, region, TEXT),
    F(vm, image, TEXT),
    F(vm, kernel, TEXT),
    F(vm, ramdisk, TEXT),
    F(vm, cmdline, TEXT),
    F(vm, created_at, U64),
    F(vm, error, TEXT),
    F(vm, job, TEXT),
    END,
};
static const struct field volume_fields[] = {
    F(vm_volume, id, TEXT),
    F(vm_volume, dev, TEXT),
    F(vm_volume, size, U64),
    END,
};
static const struct field port_fields[] = {
    F(vm_port, id, TEXT),
    F(vm_port, network, TEXT),
    F(vm_port, mac, TEXT),
    F(vm_port, ip, TEXT),
    END,
};

static cJSON *fields_write(const struct field *fields, const void *object)
{
    cJSON *j = cJSON_CreateObject();
    for (; j && fields->name; fields++) {
        const char *p = (const char *)object + fields->offset;
        switch (fields->type) {
        case TEXT:
            cJSON_AddStringToObject(j, fields->name, p);
            break;
        case U16:
            json_set_u64(j, fields->name, *(const uint16_t *)p);
            break;
        case U32:
            json_set_u64(j, fields->name, *(const uint32_t *)p);
            break;
        case U64:
            json_set_u64(j, fields->name, *(const uint64_t *)p);
            break;
        }
    }
    return j;
}

static void fields_read(struct json_reader *r, const struct field *fields,
                        void *object)
{
    for (; fields->name; fields++) {
        char *p = (char *)object + fields->offset;
        int64_t max = fields->type == U16   ? UINT16_MAX
                      : fields->type == U32 ? UINT32_MAX
                                            : INT64_C(1) << 53;
        switch (fields->type) {
        case TEXT:
            obj_copy(p, fields->size,
                     json_str_or(r, fields->name, fields->size - 1, ""));
            break;
        case U16:
            *(uint16_t *)p = (uint16_t)json_int_or(r, fields->name, 0, max, 0);
            break;
        case U32:
            *(uint32_t *)p = (uint32_t)json_int_or(r, fields->name, 0, max, 0);
            break;
        case U64:
            *(uint64_t *)p = (uint64_t)json_int_or(r, fields->name, 0, max, 0);
            break;
        }
    }
}

static int bad_state(struct sc_err *err, const char *what)
{
    return sc_fail(err, -EINVAL, "%s: 'state' is not a known state", what);
}

cJSON *node_to_json(const struct node *n)
{
    cJSON *j = fields_write(node_fields, n);
    cJSON_AddStringToObject(j, "state", node_state_name(n->state));
    return j;
}

int node_from_json(const cJSON *j, struct node *ret, struct sc_err *err)
{
    struct node n = { 0 };
    struct json_reader r = json_read(j, "node");
    fields_read(&r, node_fields, &n);
    const char *state = json_str(&r, "state", 1, 16);
    int s = json_done(&r, err);
    if (s < 0)
        return s;
    if (!node_state_parse(state, &n.state))
        return bad_state(err, "node");
    *ret = n;
    return 0;
}

cJSON *network_to_json(const struct network *n)
{
    return fields_write(network_fields, n);
}

int network_from_json(const cJSON *j, struct network *ret, struct sc_err *err)
{
    struct network n = { 0 };
    struct json_reader r = json_read(j, "network");
    fields_read(&r, network_fields, &n);
    int s = json_done(&r, err);
    if (s == 0)
        *ret = n;
    return s;
}

cJSON *image_to_json(const struct image *i)
{
    cJSON *j = fields_write(image_fields, i);
    cJSON_AddStringToObject(j, "state", image_state_name(i->state));
    return j;
}

int image_from_json(const cJSON *j, struct image *ret, struct sc_err *err)
{
    struct image i = { 0 };
    struct json_reader r = json_read(j, "image");
    fields_read(&r, image_fields, &i);
    const char *state = json_str(&r, "state", 1, 16);
    int s = json_done(&r, err);
    if (s < 0)
        return s;
    if (!image_state_parse(state, &i.state))
        return bad_state(err, "image");
    *ret = i;
    return 0;
}

cJSON *vm_to_json(const struct vm *v)
{
    cJSON *j = fields_write(vm_fields, v);
    cJSON_AddStringToObject(j, "state", vm_state_name(v->state));
    cJSON *volumes = cJSON_AddArrayToObject(j, "volumes");
    for (uint32_t i = 0; i < v->n_volumes; i++)
        cJSON_AddItemToArray(volumes,
                             fields_write(volume_fields, &v->volumes[i]));
    cJSON *ports = cJSON_AddArrayToObject(j, "ports");
    for (uint32_t i = 0; i < v->n_ports; i++)
        cJSON_AddItemToArray(ports, fields_write(port_fields, &v->ports[i]));
    return j;
}

int vm_from_json(const cJSON *j, struct vm *ret, struct sc_err *err)
{
    struct vm v = { 0 };
    struct json_reader r = json_read(j, "vm");
    fields_read(&r, vm_fields, &v);
    const char *state = json_str(&r, "state", 1, 16);
    const cJSON *volumes = json_arr(&r, "volumes");
    const cJSON *ports = json_arr(&r, "ports");
    int s = json_done(&r, err);
    if (s < 0)
        return s;
    if (!vm_state_parse(state, &v.state))
        return bad_state(err, "vm");
    if (cJSON_GetArraySize(volumes) > VM_VOLUMES_MAX ||
        cJSON_GetArraySize(ports) > VM_PORTS_MAX)
        return sc_fail(err, -EINVAL, "vm: more than %d volumes or %d ports",
                       VM_VOLUMES_MAX, VM_PORTS_MAX);
    const cJSON *item;
    cJSON_ArrayForEach(item, volumes)
    {
        struct json_reader ri = json_read(item, "vm: volume");
        fields_read(&ri, volume_fields, &v.volumes[v.n_volumes++]);
        s = json_done(&ri, err);
        if (s < 0)
            return s;
    }
    cJSON_ArrayForEach(item, ports)
    {
        struct json_reader ri = json_read(item, "vm: port");
        fields_read(&ri, port_fields, &v.ports[v.n_ports++]);
        s = json_done(&ri, err);
        if (s < 0)
            return s;
    }
    *ret = v;
    return 0;
}

/* The first 10 hex digits of a UUID, its dashes left out. */
static void id_digits(const char *id, char ret[11])
{
    size_t n = 0;
    for (; *id && n < 10; id++) {
        if (*id != '-')
            ret[n++] = *id;
    }
    ret[n] = '\0';
}

void port_iface(const char *port_id, char ret[16])
{
    char digits[11] = "";
    id_digits(port_id, digits);
    snprintf(ret, 16, "sc%s", digits);
}

void port_mac(const char *port_id, char ret[18])
{
    char d[11] = "";
    id_digits(port_id, d);
    snprintf(ret, 18, "02:%.2s:%.2s:%.2s:%.2s:%.2s", d, d + 2, d + 4, d + 6,
             d + 8);
}

void obj_copy(char *to, size_t size, const char *text)
{
    size_t len = strlen(text);
    if (len >= size) {
        len = size - 1;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    memmove(to, text, len);
    to[len] = '\0';
}
