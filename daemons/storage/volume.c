/* volume - see volume.h: what a volume is, and its state on disk. */
#include "storage/volume.h"

#include "common/json.h"
#include "storage/fetch.h"

#include <assert.h>
#include <stdio.h>

static const struct {
    const char *name;
    unsigned next;
} states[] = {
#define S(id, text, next) { text, next },
    VOL_STATES(S)
#undef S
};

const char *vol_state_name(enum vol_state s)
{
    return states[s].name;
}

bool vol_state_may(enum vol_state from, enum vol_state to)
{
    return from == to || (states[from].next >> to & 1);
}

int volume_id_parse(const char *text, uint8_t ret[BSTORE_ID])
{
    if (!sc_uuid_ok(text))
        return -EINVAL;
    unsigned n = 0;
    for (const char *p = text; *p; p += 2) {
        if (*p == '-')
            p++;
        unsigned byte;
        if (sscanf(p, "%2x", &byte) != 1)
            return -EINVAL;
        ret[n++] = (uint8_t)byte;
    }
    return 0;
}

void volume_id_format(const uint8_t id[BSTORE_ID], char ret[VOL_ID_LEN + 1])
{
    char *p = ret;
    for (int i = 0; i < BSTORE_ID; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        p += sprintf(p, "%02x", id[i]);
    }
}

int volume_new(struct vol_env *env, const char *id, struct volume **ret)
{
    struct volume *v = calloc(1, sizeof *v);
    if (!v)
        return -ENOMEM;
    int r = volume_id_parse(id, v->raw_id);
    if (r < 0) {
        free(v);
        return r;
    }
    volume_id_format(v->raw_id, v->id);
    v->env = env;
    v->ops_end = &v->ops;
    v->held_end = &v->held;
    *ret = v;
    return 0;
}

void volume_free(struct volume *v)
{
    if (!v)
        return;
    assert(!v->ops && !v->held && v->children == 0);
    if (v->parent)
        v->parent->children--;
    bstore_free(v->bs);
    if (v->fetches)
        fetcher_forget(v->env->fetcher, v);
    free(v->fetches);
    free(v);
}

void volume_save_state(struct volume *v)
{
    char text[512];
    snprintf(text, sizeof text,
             "{\"state\":\"%s\",\"rw\":%s,\"epoch\":%u,\"view_seq\":%llu,"
             "\"told\":%s,\"migration\":\"%s\",\"peer\":%u}",
             vol_state_name(v->state), v->rw ? "true" : "false", v->epoch,
             (unsigned long long)v->view_seq, v->told ? "true" : "false",
             v->migration, v->peer);
    if (v->bs)
        bstore_set_state(v->bs, text);
}

void volume_set_state(struct volume *v, enum vol_state state)
{
    assert(vol_state_may(v->state, state));
    v->state = state;
    volume_save_state(v);
}

int volume_load_state(struct volume *v)
{
    SC_AUTO(cjson_free) cJSON *j = cJSON_Parse(bstore_state(v->bs));
    struct json_reader r = json_read(j, "volume state");
    const char *name = json_str(&r, "state", 1, 32);
    unsigned s = 0;
    while (s < VOL_N_STATES && strcmp(states[s].name, name) != 0)
        s++;
    bool rw = json_bool(&r, "rw"), told = json_bool(&r, "told");
    int64_t epoch = json_int(&r, "epoch", 0, UINT32_MAX);
    int64_t seq = json_int(&r, "view_seq", 0, INT64_MAX);
    int64_t peer = json_int(&r, "peer", 0, UINT16_MAX);
    const char *migration = json_str(&r, "migration", 0, VOL_MIGRATION_MAX);
    if (json_done(&r, NULL) < 0 || s == VOL_N_STATES)
        return -EUCLEAN;
    v->state = (enum vol_state)s;
    v->rw = rw;
    v->told = told;
    v->epoch = (uint32_t)epoch;
    v->view_seq = (uint64_t)seq;
    v->peer = (uint16_t)peer;
    snprintf(v->migration, sizeof v->migration, "%s", migration);
    bstore_set_writer(v->bs, v->epoch, v->env->self);
    return 0;
}

uint64_t volume_size(const struct volume *v)
{
    return v->bs ? bstore_info(v->bs)->size : 0;
}

bool volume_is_served(const struct volume *v)
{
    if (!v->bs || (bstore_info(v->bs)->has_parent && !v->parent))
        return false;
    return v->state == VOL_OPEN || v->state == VOL_FROZEN ||
           v->state == VOL_INCOMING || v->state == VOL_HANDED;
}

bool volume_may_write(const struct volume *v)
{
    switch (v->state) {
    case VOL_INCOMING:
    case VOL_HANDED:
        return true; /* Once activated. */
    case VOL_OPEN:
    case VOL_FROZEN:
        return v->rw;
    default:
        return false;
    }
}

cJSON *volume_dump(const struct volume *v)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "volume_id", v->id);
    cJSON_AddStringToObject(o, "state", vol_state_name(v->state));
    cJSON_AddStringToObject(o, "mode", v->rw ? "rw" : "ro");
    json_set_u64(o, "epoch", v->epoch);
    json_set_u64(o, "view_seq", v->view_seq);
    cJSON_AddBoolToObject(o, "told", v->told);
    json_set_u64(o, "connections", v->connections);
    if (v->migration[0]) {
        cJSON_AddStringToObject(o, "migration_id", v->migration);
        json_set_u64(o, "peer", v->peer);
    }
    if (v->parent)
        cJSON_AddStringToObject(o, "parent", v->parent->id);
    if (!v->bs)
        return o;
    const struct block_map *m = bstore_map(v->bs);
    const struct bstore_counters *c = bstore_counters(v->bs);
    json_set_u64(o, "size", volume_size(v));
    json_set_u64(o, "known_blocks", block_map_n_known(m));
    json_set_u64(o, "local_blocks", block_map_n_local(m));
    json_set_u64(o, "dirty_blocks", block_map_n_dirty(m));
    json_set_u64(o, "reads", c->reads);
    json_set_u64(o, "writes", c->writes);
    json_set_u64(o, "commits", c->commits);
    json_set_u64(o, "checkpoints", c->checkpoints);
    json_set_u64(o, "journal_bytes", c->journal_bytes);
    json_set_u64(o, "corrupt", c->corrupt);
    json_set_u64(o, "blocks_fetched", v->blocks_fetched);
    json_set_u64(o, "bytes_fetched", v->bytes_fetched);
    json_set_u64(o, "writes_held", v->n_held);
    cJSON_AddNumberToObject(o, "failed", bstore_failed(v->bs));
    return o;
}
