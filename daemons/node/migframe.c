/* migframe - see migframe.h. */
#include "node/migframe.h"

#include "common/json.h"

#include <stdio.h>
#include <string.h>

static const char *const names[MIG_N_TYPES] = {
    [MIG_HELLO] = "HELLO",     [MIG_WELCOME] = "WELCOME",
    [MIG_DATA] = "DATA",       [MIG_STOPPED] = "STOPPED",
    [MIG_END] = "END",         [MIG_HANDED_OVER] = "HANDED_OVER",
    [MIG_READY] = "READY",     [MIG_COMMIT] = "COMMIT",
    [MIG_RUNNING] = "RUNNING", [MIG_ABORT] = "ABORT",
    [MIG_PING] = "PING",
};

const char *mig_type_name(enum mig_type t)
{
    return t > 0 && t < MIG_N_TYPES ? names[t] : "?";
}

void mig_header_encode(uint8_t ret[MIG_HEADER], enum mig_type type,
                       uint8_t flags, uint32_t size)
{
    ret[0] = (uint8_t)type;
    ret[1] = flags;
    ret[2] = ret[3] = 0;
    ret[4] = (uint8_t)(size >> 24);
    ret[5] = (uint8_t)(size >> 16);
    ret[6] = (uint8_t)(size >> 8);
    ret[7] = (uint8_t)size;
}

/* Only these say something beyond their type. */
static bool may_carry(enum mig_type t)
{
    return t == MIG_HELLO || t == MIG_DATA || t == MIG_ABORT;
}

long mig_frame_decode(const uint8_t *buf, size_t size, struct mig_frame *ret,
                      struct sc_err *err)
{
    if (size < MIG_HEADER)
        return 0;
    uint32_t len = (uint32_t)buf[4] << 24 | (uint32_t)buf[5] << 16 |
                   (uint32_t)buf[6] << 8 | buf[7];
    uint8_t type = buf[0], flags = buf[1];
    if (type == 0 || type >= MIG_N_TYPES || buf[2] || buf[3])
        return sc_fail(err, -EPROTO, "migration: not a frame");
    if ((flags & ~MIG_F_ZSTD) || (flags && type != MIG_DATA))
        return sc_fail(err, -EPROTO, "migration: unknown flags in %s",
                       names[type]);
    if (len > MIG_PAYLOAD_MAX || (len && !may_carry(type)))
        return sc_fail(err, -EPROTO, "migration: %s of %u bytes", names[type],
                       len);
    if (size - MIG_HEADER < len)
        return 0;
    *ret = (struct mig_frame){ type, flags, buf + MIG_HEADER, len };
    return MIG_HEADER + (long)len;
}

char *mig_hello_encode(const struct mig_hello *h)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "version", MIG_VERSION);
    cJSON_AddStringToObject(o, "migration_id", h->migration_id);
    cJSON_AddStringToObject(o, "vm_id", h->vm_id);
    json_set_u64(o, "epoch", h->epoch);
    cJSON_AddStringToObject(o, "ticket", h->ticket);
    return cJSON_PrintUnformatted(o);
}

int mig_hello_decode(const uint8_t *payload, size_t size, struct mig_hello *ret,
                     struct sc_err *err)
{
    SC_AUTO(cjson_free)
    cJSON *o = cJSON_ParseWithLength((const char *)payload, size);
    struct json_reader r = json_read(o, "HELLO");
    struct mig_hello h = { 0 };
    json_int(&r, "version", MIG_VERSION, MIG_VERSION);
    const char *migration = json_str(&r, "migration_id", 36, 36);
    const char *vm = json_str(&r, "vm_id", 36, 36);
    const char *ticket = json_str(&r, "ticket", MIG_TICKET_LEN, MIG_TICKET_LEN);
    h.epoch = (uint64_t)json_int(&r, "epoch", 1, INT64_C(1) << 53);
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    if (!sc_uuid_ok(migration) || !sc_uuid_ok(vm))
        return sc_fail(err, -EINVAL, "HELLO: an id is not a UUID");
    snprintf(h.migration_id, sizeof h.migration_id, "%s", migration);
    snprintf(h.vm_id, sizeof h.vm_id, "%s", vm);
    snprintf(h.ticket, sizeof h.ticket, "%s", ticket);
    *ret = h;
    return 0;
}
