/* records - see records.h.  Values are JSON, so that a person can read them
 * with mdb_dump when something went wrong. */
#include "node/records.h"

#include "common/loop.h"

#include <stdio.h>
#include <string.h>

enum { MAP_MIB = 64 };
static const char *const tables[] = { "vm", "migration", NULL };

struct records {
    struct store *store;
};

#define S(id, text) [REC_##id] = text,
static const char *const state_names[] = { REC_STATES(S) };
#undef S

const char *rec_state_name(enum rec_state s)
{
    return s < REC_N_STATES ? state_names[s] : "unknown";
}

static bool ended(enum rec_state s)
{
    return s == REC_RELEASED || s == REC_RESUMED || s == REC_RUNNING ||
           s == REC_CANCELLED;
}

int records_open(const char *path, struct records **ret, struct sc_err *err)
{
    SC_AUTO(records_close) struct records *r = calloc(1, sizeof *r);
    if (!r)
        return sc_fail(err, -ENOMEM, "records: out of memory");
    int e = path ? store_lmdb_open(path, MAP_MIB, tables, &r->store, err)
                 : store_mem_open(tables, &r->store, err);
    if (e < 0)
        return e;
    *ret = SC_TAKE(r);
    return 0;
}

void records_close(struct records *r)
{
    if (!r)
        return;
    store_close(r->store);
    free(r);
}

/* --- JSON ----------------------------------------------------------------- */
static cJSON *mig_encode(const struct rec_mig *m)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "id", m->id);
    cJSON_AddStringToObject(o, "vm_id", m->vm_id);
    cJSON_AddStringToObject(o, "state", rec_state_name(m->state));
    json_set_u64(o, "epoch", m->epoch);
    cJSON_AddStringToObject(o, "peer_id", m->peer_id);
    cJSON_AddStringToObject(o, "peer_address", m->peer_address);
    cJSON_AddNumberToObject(o, "peer_nid", m->peer_nid);
    json_set_u64(o, "at", m->at);
    cJSON *list = m->n_volumes ? cJSON_AddArrayToObject(o, "volumes") : NULL;
    for (unsigned i = 0; i < m->n_volumes; i++) {
        cJSON *v = cJSON_CreateObject();
        cJSON_AddStringToObject(v, "id", m->volumes[i].id);
        cJSON_AddBoolToObject(v, "readonly", m->volumes[i].readonly);
        cJSON_AddItemToArray(list, v);
    }
    return o;
}

static void volumes_decode(const cJSON *list, struct rec_mig *m,
                           struct sc_err *err)
{
    const cJSON *o;
    cJSON_ArrayForEach(o, list)
    {
        struct json_reader r = json_read(o, "migration record's volume");
        struct vm_volume *v = &m->volumes[m->n_volumes];
        if (m->n_volumes == VM_VOLUMES_MAX || err->code)
            return;
        snprintf(v->id, sizeof v->id, "%s", json_str(&r, "id", 36, 36));
        v->readonly = json_bool_or(&r, "readonly", false);
        if (json_done(&r, err) == 0)
            m->n_volumes++;
    }
}

static int mig_decode(struct store_slice v, struct rec_mig *ret,
                      struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_ParseWithLength(v.data, v.size);
    struct json_reader r = json_read(o, "migration record");
    struct rec_mig m = { .state = REC_N_STATES };
    snprintf(m.id, sizeof m.id, "%s", json_str(&r, "id", 36, 36));
    snprintf(m.vm_id, sizeof m.vm_id, "%s", json_str(&r, "vm_id", 36, 36));
    const char *state = json_str(&r, "state", 1, 32);
    for (int s = 0; s < REC_N_STATES; s++)
        if (!strcmp(state_names[s], state))
            m.state = (enum rec_state)s;
    m.epoch = (uint64_t)json_int(&r, "epoch", 0, INT64_C(1) << 53);
    snprintf(m.peer_id, sizeof m.peer_id, "%s",
             json_str_or(&r, "peer_id", 36, ""));
    snprintf(m.peer_address, sizeof m.peer_address, "%s",
             json_str_or(&r, "peer_address", 255, ""));
    m.peer_nid = (uint16_t)json_int_or(&r, "peer_nid", 0, 65535, 0);
    m.at = (uint64_t)json_int(&r, "at", 0, INT64_C(1) << 53);
    volumes_decode(cJSON_GetObjectItemCaseSensitive(o, "volumes"), &m, &r.err);
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    if (m.state == REC_N_STATES)
        return sc_fail(err, -EINVAL, "migration record: unknown state");
    *ret = m;
    return 0;
}

static int vm_decode(struct store_slice v, struct rec_vm *ret,
                     struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_ParseWithLength(v.data, v.size);
    struct json_reader r = json_read(o, "vm record");
    const cJSON *spec = json_obj(&r, "spec");
    ret->stopped = json_bool_or(&r, "stopped", false);
    int e = json_done(&r, err);
    return e < 0 ? e : vmspec_decode(spec, &ret->spec, err);
}

/* --- writing -------------------------------------------------------------- */
static int put_json(struct store_txn *t, const char *table, const char *key,
                    cJSON *o, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *own = o;
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(own);
    if (!text)
        return sc_fail(err, -ENOMEM, "records: out of memory");
    return store_put(t, table, store_str(key), store_str(text), err);
}

int records_write(struct records *r, struct rec_mig *mig,
                  const struct rec_vm *vm, const char *del_vm,
                  struct sc_err *err)
{
    SC_AUTO(store_abort) struct store_txn *t = NULL;
    int e = store_begin(r->store, true, &t, err);
    if (e == 0 && mig) {
        mig->at = sc_wall_ms();
        e = put_json(t, "migration", mig->id, mig_encode(mig), err);
    }
    if (e == 0 && del_vm)
        e = store_del(t, "vm", store_str(del_vm), err);
    if (e == 0 && vm) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddItemToObject(o, "spec", vmspec_encode(&vm->spec));
        cJSON_AddBoolToObject(o, "stopped", vm->stopped);
        e = put_json(t, "vm", vm->spec.id, o, err);
    }
    return e < 0 ? e : store_commit(SC_TAKE(t), err);
}

/* --- reading -------------------------------------------------------------- */
int records_mig(struct records *r, const char *migration_id,
                struct rec_mig *ret)
{
    SC_AUTO(store_abort) struct store_txn *t = NULL;
    struct store_slice v = { 0 };
    int e = store_begin(r->store, false, &t, NULL);
    if (e == 0)
        e = store_get(t, "migration", store_str(migration_id), &v);
    return e < 0 ? e : mig_decode(v, ret, NULL);
}

struct each {
    void (*vm)(void *arg, const struct rec_vm *vm);
    void (*mig)(void *arg, const struct rec_mig *mig);
    void *arg;
    struct sc_err *err;
};

static int each_vm(void *arg, struct store_slice key, struct store_slice value)
{
    struct each *e = arg;
    struct rec_vm vm = { 0 };
    (void)key;
    int r = vm_decode(value, &vm, e->err);
    if (r == 0)
        e->vm(e->arg, &vm);
    return r;
}

static int each_mig(void *arg, struct store_slice key, struct store_slice value)
{
    struct each *e = arg;
    struct rec_mig mig;
    (void)key;
    int r = mig_decode(value, &mig, e->err);
    if (r == 0)
        e->mig(e->arg, &mig);
    return r;
}

static int each(struct records *r, const char *table, store_each_fn *fn,
                struct each *e)
{
    SC_AUTO(store_abort) struct store_txn *t = NULL;
    int x = store_begin(r->store, false, &t, e->err);
    return x < 0 ? x : store_each(t, table, store_str(""), fn, e);
}

int records_each_vm(struct records *r,
                    void (*fn)(void *arg, const struct rec_vm *vm), void *arg,
                    struct sc_err *err)
{
    return each(r, "vm", each_vm, &(struct each){ fn, NULL, arg, err });
}

int records_each_mig(struct records *r,
                     void (*fn)(void *arg, const struct rec_mig *mig),
                     void *arg, struct sc_err *err)
{
    return each(r, "migration", each_mig, &(struct each){ NULL, fn, arg, err });
}

/* --- trimming ------------------------------------------------------------- */
struct old {
    size_t n;
    struct {
        char id[SC_UUID_LEN + 1];
        uint64_t at;
    } v[4096];
};

static void collect(void *arg, const struct rec_mig *mig)
{
    struct old *o = arg;
    if (!ended(mig->state) || o->n == SC_ARRAY_LEN(o->v))
        return;
    snprintf(o->v[o->n].id, sizeof o->v[o->n].id, "%s", mig->id);
    o->v[o->n++].at = mig->at;
}

static int newest_first(const void *a, const void *b)
{
    const uint64_t x = ((const __typeof__(((struct old *)0)->v[0]) *)a)->at;
    const uint64_t y = ((const __typeof__(((struct old *)0)->v[0]) *)b)->at;
    return x < y ? 1 : x > y ? -1 : 0;
}

int records_trim(struct records *r, struct sc_err *err)
{
    SC_AUTO(free) struct old *o = calloc(1, sizeof *o);
    if (!o)
        return sc_fail(err, -ENOMEM, "records: out of memory");
    int e = records_each_mig(r, collect, o, err);
    if (e < 0 || o->n <= REC_ENDED_KEPT)
        return e;
    qsort(o->v, o->n, sizeof o->v[0], newest_first);
    SC_AUTO(store_abort) struct store_txn *t = NULL;
    e = store_begin(r->store, true, &t, err);
    for (size_t i = REC_ENDED_KEPT; i < o->n && e == 0; i++)
        e = store_del(t, "migration", store_str(o->v[i].id), err);
    return e < 0 ? e : store_commit(SC_TAKE(t), err);
}
