/* view.*: what sc-storage asks of the authority, as JSON. */
#include "controller/authority.h"
#include "controller/ctl.h"

enum { DELTA_TEXT_MAX = 4 * (VIEW_MESSAGE_MAX / 3) + 64 };

static int add_delta(struct store_txn *t, const struct volume *v,
                     uint64_t have_seq, uint64_t first_block, cJSON *j,
                     struct sc_err *err)
{
    SC_AUTO(view_delta_free) struct view_delta *delta = NULL;
    uint64_t next;
    int r = authority_read(t, v, have_seq, first_block, &delta, &next, err);
    if (r < 0)
        return r;
    SC_AUTO(free) char *text = view_delta_encode_text(delta);
    if (!text)
        return sc_fail(err, -ENOMEM, "volume '%s': out of memory", v->id);
    cJSON_AddStringToObject(j, "delta", text);
    if (next == UINT64_MAX)
        cJSON_AddNullToObject(j, "next_block");
    else
        json_set_u64(j, "next_block", next);
    return 0;
}

struct view_params {
    const char *id, *mode, *delta;
    uint32_t epoch;
    uint64_t have_seq, first_block;
};

static int view_open(struct store_txn *t, uint16_t nid,
                     const struct view_params *p, cJSON *j, struct sc_err *err)
{
    struct volume v;
    bool write = !strcmp(p->mode, "rw");
    if (!write && strcmp(p->mode, "ro") != 0)
        return sc_fail(err, -EINVAL, "view.open: 'mode' must be rw or ro");
    int r = authority_open(t, p->id, write, p->epoch, nid, &v, err);
    if (r < 0)
        return r;
    json_set_u64(j, "size", v.size);
    if (v.parent[0])
        cJSON_AddStringToObject(j, "parent", v.parent);
    else
        cJSON_AddNullToObject(j, "parent");
    json_set_u64(j, "epoch", v.epoch);
    json_set_u64(j, "view_seq", v.seq);
    return add_delta(t, &v, p->have_seq, 0, j, err);
}

static int view_more(struct store_txn *t, uint16_t nid,
                     const struct view_params *p, cJSON *j, struct sc_err *err)
{
    struct volume v;
    (void)nid;
    int r = authority_get(t, p->id, &v, err);
    if (r < 0)
        return r;
    json_set_u64(j, "view_seq", v.seq);
    return add_delta(t, &v, p->have_seq, p->first_block, j, err);
}

static int view_flush(struct store_txn *t, uint16_t nid,
                      const struct view_params *p, cJSON *j, struct sc_err *err)
{
    struct volume v;
    int r = authority_flush(t, p->id, p->epoch, nid, false, p->delta, &v, err);
    if (r == 0)
        json_set_u64(j, "view_seq", v.seq);
    return r;
}

static int view_close(struct store_txn *t, uint16_t nid,
                      const struct view_params *p, cJSON *j, struct sc_err *err)
{
    struct volume v;
    int r = authority_flush(t, p->id, p->epoch, nid, true, p->delta, &v, err);
    if (r == 0)
        json_set_u64(j, "view_seq", v.seq);
    return r;
}

static int view_handover(struct store_txn *t, uint16_t nid,
                         const struct view_params *p, cJSON *j,
                         struct sc_err *err)
{
    struct volume v;
    int r = authority_handover(t, p->id, p->epoch, nid, p->delta, &v, err);
    if (r == 0)
        json_set_u64(j, "view_seq", v.seq);
    return r;
}

static const struct view_method {
    const char *name;
    bool writes;
    int (*fn)(struct store_txn *t, uint16_t nid, const struct view_params *p,
              cJSON *j, struct sc_err *err);
} methods[] = {
    { "view.open", true, view_open },
    { "view.more", false, view_more },
    { "view.flush", true, view_flush },
    { "view.close", true, view_close },
    { "view.handover", true, view_handover },
};

static int read_params(const char *method, const cJSON *params,
                       struct view_params *p, struct sc_err *err)
{
    struct json_reader r = json_read(params, method);
    int64_t max = INT64_C(1) << 53;
    p->id = json_str(&r, "volume_id", SC_UUID_LEN, SC_UUID_LEN);
    p->mode = json_str_or(&r, "mode", 8, "");
    p->delta = json_str_or(&r, "delta", DELTA_TEXT_MAX, "");
    p->epoch = (uint32_t)json_int_or(&r, "epoch", 0, UINT32_MAX, 0);
    p->have_seq = (uint64_t)json_int_or(&r, "have_seq", 0, max, 0);
    p->first_block = (uint64_t)json_int_or(&r, "first_block", 0, max, 0);
    return json_done(&r, err);
}

int ctl_view(struct ctl *ctl, uint16_t nid, const char *name,
             const cJSON *params, cJSON **ret, struct sc_err *err)
{
    const struct view_method *m = NULL;
    struct view_params p;
    for (size_t i = 0; i < SC_ARRAY_LEN(methods) && !m; i++) {
        if (!strcmp(methods[i].name, name))
            m = &methods[i];
    }
    if (!m)
        return sc_fail(err, -ENOSYS, "%s: no such method", name);
    /* Its connection may have outlived it. */
    if (!ctl_node_by_nid(ctl, nid))
        return sc_fail(err, -EACCES,
                       "%s: node %u is not (or no longer) of this Supercloud",
                       name, nid);
    int r = read_params(name, params, &p, err);
    if (r < 0)
        return r;
    SC_AUTO(cjson_free) cJSON *j = cJSON_CreateObject();
    if (!m->writes) {
        SC_AUTO(store_abort) struct store_txn *t = NULL;
        r = store_begin(ctl->store, false, &t, err);
        if (r == 0)
            r = m->fn(t, nid, &p, j, err);
    } else {
        struct ctl_txn *x = ctl_txn_begin(ctl);
        struct store_txn *t = ctl_txn_store(x);
        struct sc_err e;
        if (t)
            ctl_txn_fail(x, m->fn(t, nid, &p, j, &e), &e);
        r = ctl_txn_commit(x, err);
    }
    if (r == 0)
        *ret = SC_TAKE(j);
    return r;
}
