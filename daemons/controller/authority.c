#include "controller/authority.h"

#include <inttypes.h>

static const char table_volumes[] = "volumes";
static const char table_views[] = "views";

enum { CHUNK_KEY = SC_UUID_LEN + 8, SEQ_SIZE = 8 };

static void put_be64(uint8_t out[8], uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        out[i] = (uint8_t)v;
}

static uint64_t get_be64(const uint8_t in[8])
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | in[i];
    return v;
}

static uint64_t volume_blocks(const struct volume *v)
{
    return (v->size + VIEW_BLOCK_SIZE - 1) / VIEW_BLOCK_SIZE;
}

/* --- the volume's record ------------------------------------------------ */

static int volume_put(struct store_txn *t, const struct volume *v,
                      struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "id", v->id);
    cJSON_AddStringToObject(j, "parent", v->parent);
    json_set_u64(j, "size", v->size);
    json_set_u64(j, "epoch", v->epoch);
    json_set_u64(j, "nid", v->nid);
    json_set_u64(j, "next_epoch", v->next_epoch);
    json_set_u64(j, "next_nid", v->next_nid);
    cJSON_AddBoolToObject(j, "open", v->open);
    cJSON_AddBoolToObject(j, "sealed", v->sealed);
    json_set_u64(j, "seq", v->seq);
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(j);
    if (!text)
        return sc_fail(err, -ENOMEM, "volume '%s': out of memory", v->id);
    return store_put(t, table_volumes, store_str(v->id), store_str(text), err);
}

static int volume_read(const struct store_slice *value, struct volume *ret,
                       struct sc_err *err)
{
    SC_AUTO(cjson_free)
    cJSON *j = cJSON_ParseWithLength(value->data, value->size);
    struct json_reader r = json_read(j, "volume");
    int64_t max = INT64_C(1) << 53;
    struct volume v = { 0 };
    OBJ_SET(v.id, json_str(&r, "id", 1, SC_UUID_LEN));
    OBJ_SET(v.parent, json_str_or(&r, "parent", SC_UUID_LEN, ""));
    v.size = (uint64_t)json_int(&r, "size", 0, max);
    v.epoch = (uint32_t)json_int(&r, "epoch", 0, UINT32_MAX);
    v.nid = (uint16_t)json_int(&r, "nid", 0, UINT16_MAX);
    v.next_epoch = (uint32_t)json_int(&r, "next_epoch", 0, UINT32_MAX);
    v.next_nid = (uint16_t)json_int(&r, "next_nid", 0, UINT16_MAX);
    v.open = json_bool(&r, "open");
    v.sealed = json_bool(&r, "sealed");
    v.seq = (uint64_t)json_int(&r, "seq", 0, max);
    int s = json_done(&r, err);
    if (s == 0)
        *ret = v;
    return s;
}

int authority_get(struct store_txn *t, const char *id, struct volume *ret,
                  struct sc_err *err)
{
    struct store_slice value;
    if (!sc_uuid_ok(id))
        return sc_fail(err, -EINVAL, "volume '%.64s': not a UUID", id);
    int r = store_get(t, table_volumes, store_str(id), &value);
    if (r == -ENOENT)
        return sc_fail(err, -ENOENT, "volume '%s': not found", id);
    if (r < 0)
        return sc_fail(err, r, "volume '%s': reading: %s", id, strerror(-r));
    return volume_read(&value, ret, err);
}

static int check_parent(struct store_txn *t, const char *parent, uint64_t size,
                        struct sc_err *err)
{
    char id[OBJ_ID];
    OBJ_SET(id, parent);
    for (int depth = 0; id[0]; depth++) {
        struct volume p = { 0 };
        int r = authority_get(t, id, &p, err);
        if (r < 0)
            return sc_fail_in(err, "parent");
        if (depth == AUTHORITY_PARENTS_MAX)
            return sc_fail(err, -EINVAL, "volume '%s': more than %d parents",
                           parent, AUTHORITY_PARENTS_MAX);
        if (!p.sealed)
            return sc_fail(err, -EINVAL, "parent '%s': is still written", id);
        if (depth == 0 && p.size > size)
            return sc_fail(err, -EINVAL,
                           "parent '%s': has %" PRIu64
                           " bytes, the new volume only %" PRIu64,
                           id, p.size, size);
        OBJ_SET(id, p.parent);
    }
    return 0;
}

int authority_create(struct store_txn *t, const char *id, uint64_t size,
                     const char *parent, struct sc_err *err)
{
    struct volume v = { .size = size };
    struct store_slice value;
    if (!sc_uuid_ok(id) || size > VIEW_BLOCKS_MAX * VIEW_BLOCK_SIZE)
        return sc_fail(err, -EINVAL, "volume '%.64s': bad id or size", id);
    if (store_get(t, table_volumes, store_str(id), &value) == 0)
        return sc_fail(err, -EEXIST, "volume '%s': exists", id);
    int r = check_parent(t, parent, size, err);
    if (r < 0)
        return r;
    OBJ_SET(v.id, id);
    OBJ_SET(v.parent, parent);
    return volume_put(t, &v, err);
}

/* Deleting while walking is not allowed, so keys are taken in batches. */
enum { DELETE_BATCH = 256 };
struct key_batch {
    uint8_t keys[DELETE_BATCH][CHUNK_KEY];
    size_t n;
};

static int collect_key(void *arg, struct store_slice key,
                       struct store_slice value)
{
    struct key_batch *batch = arg;
    (void)value;
    if (key.size != CHUNK_KEY)
        return 0;
    memcpy(batch->keys[batch->n++], key.data, CHUNK_KEY);
    return batch->n == DELETE_BATCH;
}

int authority_delete(struct store_txn *t, const char *id, struct sc_err *err)
{
    struct key_batch batch;
    do {
        batch.n = 0;
        int r = store_each(t, table_views, store_str(id), collect_key, &batch);
        if (r < 0)
            return sc_fail(err, r, "volume '%s': reading its view", id);
        for (size_t i = 0; i < batch.n; i++) {
            struct store_slice key = { batch.keys[i], CHUNK_KEY };
            r = store_del(t, table_views, key, err);
            if (r < 0)
                return r;
        }
    } while (batch.n == DELETE_BATCH);
    return store_del(t, table_volumes, store_str(id), err);
}

int authority_seal(struct store_txn *t, const char *id, struct sc_err *err)
{
    struct volume v = { 0 };
    int r = authority_get(t, id, &v, err);
    if (r < 0)
        return r;
    v.sealed = true;
    v.open = false;
    v.next_epoch = v.next_nid = 0;
    return volume_put(t, &v, err);
}

/* --- writers ------------------------------------------------------------ */

static int get_writable(struct store_txn *t, const char *id, struct volume *v,
                        struct sc_err *err)
{
    int r = authority_get(t, id, v, err);
    if (r == 0 && v->sealed)
        return sc_fail(err, -EROFS, "volume '%s': is read-only", id);
    return r;
}

static int stale(const struct volume *v, uint32_t epoch, struct sc_err *err)
{
    return sc_fail(err, -ESTALE,
                   "volume '%s': epoch %" PRIu32
                   " may not write (any more): the writer has epoch %" PRIu32,
                   v->id, epoch, v->epoch);
}

int authority_allow(struct store_txn *t, const char *id, uint32_t epoch,
                    uint16_t nid, struct sc_err *err)
{
    struct volume v = { 0 };
    int r = get_writable(t, id, &v, err);
    if (r < 0 || (v.epoch == epoch && v.nid == nid && !v.next_epoch))
        return r;
    if (epoch <= v.epoch || epoch <= v.next_epoch)
        return stale(&v, epoch, err);
    v.epoch = epoch;
    v.nid = nid;
    v.next_epoch = v.next_nid = 0;
    v.open = false;
    return volume_put(t, &v, err);
}

int authority_allow_next(struct store_txn *t, const char *id, uint32_t epoch,
                         uint16_t nid, struct sc_err *err)
{
    struct volume v = { 0 };
    int r = get_writable(t, id, &v, err);
    if (r < 0 || (v.next_epoch == epoch && v.next_nid == nid))
        return r;
    if (v.epoch == epoch && v.nid == nid)
        return 0; /* It has handed over already. */
    if (epoch <= v.epoch || epoch <= v.next_epoch)
        return stale(&v, epoch, err);
    v.next_epoch = epoch;
    v.next_nid = nid;
    return volume_put(t, &v, err);
}

int authority_cancel_next(struct store_txn *t, const char *id, uint32_t epoch,
                          struct sc_err *err)
{
    struct volume v = { 0 };
    int r = authority_get(t, id, &v, err);
    if (r < 0)
        return r;
    if (v.epoch == epoch)
        return sc_fail(err, -EALREADY,
                       "volume '%s': epoch %" PRIu32 " is the writer by now",
                       id, epoch);
    if (v.next_epoch != epoch)
        return 0;
    v.next_epoch = v.next_nid = 0;
    return volume_put(t, &v, err);
}

static void take_next(struct volume *v)
{
    v->epoch = v->next_epoch;
    v->nid = v->next_nid;
    v->next_epoch = v->next_nid = 0;
    v->open = true;
}

int authority_commit_next(struct store_txn *t, const char *id, uint32_t epoch,
                          struct sc_err *err)
{
    struct volume v = { 0 };
    int r = authority_get(t, id, &v, err);
    if (r < 0 || v.epoch == epoch)
        return r;
    if (v.next_epoch != epoch)
        return stale(&v, epoch, err);
    take_next(&v);
    return volume_put(t, &v, err);
}

/* --- the view ----------------------------------------------------------- */

static void chunk_key(const char *id, uint64_t chunk, uint8_t key[CHUNK_KEY])
{
    memcpy(key, id, SC_UUID_LEN);
    put_be64(key + SC_UUID_LEN, chunk);
}

static int chunk_decode(const struct volume *v, struct store_slice value,
                        struct view_delta **ret, struct sc_err *err)
{
    if (value.size < SEQ_SIZE)
        return sc_fail(err, -EIO, "volume '%s': short chunk", v->id);
    int r =
        view_delta_decode((const uint8_t *)value.data + SEQ_SIZE,
                          value.size - SEQ_SIZE, volume_blocks(v), ret, err);
    return r < 0 ? sc_fail_in(err, "volume '%s': stored chunk", v->id) : 0;
}

static int chunk_update(struct store_txn *t, const struct volume *v,
                        uint64_t chunk, const struct view_delta *delta,
                        struct sc_err *err)
{
    uint8_t key_bytes[CHUNK_KEY];
    chunk_key(v->id, chunk, key_bytes);
    struct store_slice key = { key_bytes, CHUNK_KEY }, value;
    SC_AUTO(view_delta_free) struct view_delta *whole = NULL;
    SC_AUTO(view_delta_free) struct view_delta *part = view_delta_new();
    int r = part ? view_delta_slice(delta, chunk * AUTHORITY_CHUNK,
                                    (chunk + 1) * AUTHORITY_CHUNK, part)
                 : -ENOMEM;
    if (r < 0)
        return sc_fail(err, r, "volume '%s': out of memory", v->id);
    if (store_get(t, table_views, key, &value) == 0)
        r = chunk_decode(v, value, &whole, err);
    else if (!(whole = view_delta_new()))
        r = -ENOMEM;
    if (r == 0)
        r = view_delta_merge(whole, part);
    if (r < 0)
        return r == -ENOMEM
                   ? sc_fail(err, r, "volume '%s': out of memory", v->id)
                   : r;
    SC_AUTO(free) void *data = NULL;
    size_t size;
    r = view_delta_encode(whole, 0, 0, &data, &size, NULL);
    SC_AUTO(free) uint8_t *out = r == 0 ? malloc(SEQ_SIZE + size) : NULL;
    if (!out)
        return sc_fail(err, -ENOMEM, "volume '%s': out of memory", v->id);
    put_be64(out, v->seq);
    memcpy(out + SEQ_SIZE, data, size);
    return store_put(t, table_views, key,
                     (struct store_slice){ out, SEQ_SIZE + size }, err);
}

/* Merges 'delta' into the view as one change: the next sequence number. */
static int view_apply(struct store_txn *t, struct volume *v,
                      const char *delta_text, struct sc_err *err)
{
    SC_AUTO(view_delta_free) struct view_delta *delta = NULL;
    int r = view_delta_decode_text(delta_text, volume_blocks(v), &delta, err);
    if (r < 0)
        return sc_fail_in(err, "volume '%s'", v->id);
    if (!delta->n_runs)
        return 0;
    v->seq++;
    uint64_t next_chunk = 0;
    for (size_t i = 0; i < delta->n_runs; i++) {
        const struct view_run *run = &delta->runs[i];
        if (view_version_epoch(run->version) > v->epoch)
            return sc_fail(
                err, -EBADMSG,
                "volume '%s': block %" PRIu64 " has a version of epoch %" PRIu32
                ", the writer's is %" PRIu32,
                v->id, run->first, view_version_epoch(run->version), v->epoch);
        uint64_t chunk = run->first / AUTHORITY_CHUNK;
        uint64_t last = (run->first + run->count - 1) / AUTHORITY_CHUNK;
        for (chunk = chunk < next_chunk ? next_chunk : chunk; chunk <= last;
             chunk++) {
            r = chunk_update(t, v, chunk, delta, err);
            if (r < 0)
                return r;
        }
        next_chunk = last + 1;
    }
    return 0;
}

struct read_state {
    const struct volume *v;
    uint64_t have_seq, first_block;
    size_t size; /* An upper bound of the encoded size so far. */
    struct view_delta *out;
    uint64_t next_block;
    struct sc_err *err;
};

static int read_chunk(void *arg, struct store_slice key,
                      struct store_slice value)
{
    struct read_state *s = arg;
    if (key.size != CHUNK_KEY || value.size < SEQ_SIZE)
        return 0;
    uint64_t first =
        get_be64((const uint8_t *)key.data + SC_UUID_LEN) * AUTHORITY_CHUNK;
    if (first + AUTHORITY_CHUNK <= s->first_block ||
        get_be64(value.data) <= s->have_seq)
        return 0;
    /* Numbers relative to the chunk before may be longer by some bytes. */
    if (s->size && s->size + value.size + 64 > VIEW_MESSAGE_MAX) {
        s->next_block = first;
        return 1;
    }
    SC_AUTO(view_delta_free) struct view_delta *chunk = NULL;
    int r = chunk_decode(s->v, value, &chunk, s->err);
    for (size_t i = 0; r == 0 && i < chunk->n_runs; i++) {
        r = view_delta_put(s->out, &chunk->runs[i]);
        if (r < 0)
            sc_fail(s->err, r, "volume '%s': out of memory", s->v->id);
    }
    s->size += value.size + 64;
    return r;
}

int authority_read(struct store_txn *t, const struct volume *v,
                   uint64_t have_seq, uint64_t first_block,
                   struct view_delta **ret, uint64_t *ret_next_block,
                   struct sc_err *err)
{
    SC_AUTO(view_delta_free) struct view_delta *out = view_delta_new();
    struct read_state s = { v, have_seq, first_block, 0, out, UINT64_MAX, err };
    if (!out)
        return sc_fail(err, -ENOMEM, "volume '%s': out of memory", v->id);
    int r = store_each(t, table_views, store_str(v->id), read_chunk, &s);
    if (r < 0)
        return r;
    *ret = SC_TAKE(out);
    *ret_next_block = s.next_block;
    return 0;
}

/* --- what the daemons ask ------------------------------------------------ */

static int check_writer(const struct volume *v, uint32_t epoch, uint16_t nid,
                        struct sc_err *err)
{
    if (v->sealed)
        return sc_fail(err, -EROFS, "volume '%s': is read-only", v->id);
    if (epoch == 0 || epoch != v->epoch)
        return stale(v, epoch, err);
    if (nid != v->nid)
        return sc_fail(err, -EACCES,
                       "volume '%s': epoch %" PRIu32
                       " belongs to node %u, not to node %u",
                       v->id, epoch, v->nid, nid);
    return 0;
}

int authority_open(struct store_txn *t, const char *id, bool write,
                   uint32_t epoch, uint16_t nid, struct volume *ret,
                   struct sc_err *err)
{
    struct volume v = { 0 };
    int r = authority_get(t, id, &v, err);
    if (r < 0)
        return r;
    if (write) {
        if (!v.sealed && v.next_epoch && v.next_epoch == epoch &&
            v.next_nid == nid)
            take_next(&v);
        r = check_writer(&v, epoch, nid, err);
        if (r < 0)
            return r;
        v.open = true;
        r = volume_put(t, &v, err);
    }
    if (r == 0)
        *ret = v;
    return r;
}

int authority_flush(struct store_txn *t, const char *id, uint32_t epoch,
                    uint16_t nid, bool close, const char *delta_text,
                    struct volume *ret, struct sc_err *err)
{
    struct volume v = { 0 };
    int r = authority_get(t, id, &v, err);
    if (r == 0)
        r = check_writer(&v, epoch, nid, err);
    if (r == 0)
        r = view_apply(t, &v, delta_text, err);
    if (r < 0)
        return r;
    if (close)
        v.open = false;
    r = volume_put(t, &v, err);
    if (r == 0)
        *ret = v;
    return r;
}

int authority_handover(struct store_txn *t, const char *id, uint32_t epoch,
                       uint16_t nid, const char *delta_text, struct volume *ret,
                       struct sc_err *err)
{
    struct volume v = { 0 };
    int r = authority_get(t, id, &v, err);
    if (r < 0)
        return r;
    if (!v.sealed && v.next_epoch && v.next_epoch == epoch && v.next_nid == nid)
        take_next(&v);
    r = check_writer(&v, epoch, nid, err);
    if (r == 0)
        r = view_apply(t, &v, delta_text, err);
    if (r == 0)
        r = volume_put(t, &v, err);
    if (r == 0)
        *ret = v;
    return r;
}
