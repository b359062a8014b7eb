/* volume_pull - open: the view is brought up to date from the authority, the
 * volume and its parents are made here if need be ("close-to-open", paper
 * section 3.2.2).
 *
 * What the authority says is merged by version.  If everything was asked for
 * (have_seq 0), it replaces what is known here.  Blocks written here that the
 * authority has never seen (the guest's node restarted before a flush) stay,
 * unless somebody else has written under a newer epoch: then they are the
 * past that fencing cut off, and are dropped. */
#include "storage/storage.h"

#include "common/json.h"
#include "common/log.h"
#include "model/view_delta.h"

#define OF(type, member, p) ((type *)((char *)(p)-offsetof(type, member)))

struct waiter {
    struct waiter *next;
    vol_fn *done;
    void *arg;
};
struct pull {
    struct storage *st;
    struct volume *v;
    bool rw;
    uint32_t epoch;
    uint64_t have_seq, seq;
    struct waiter *waiters;
    struct view_delta *all; /* Owned: what came so far. */
    cJSON *answer;          /* Owned: the first, while the store is made. */
    uint32_t n_blocks;
    struct bs_wait wait;
    struct sc_err err;
    struct sc_source *later;
};

static void ask(struct pull *p);
static void take(struct pull *p, const cJSON *result);

static void report(void *arg)
{
    struct pull *p = arg;
    struct sc_err err = p->err;
    struct waiter *w = p->waiters;
    struct volume *v = p->v;
    if (v->pull == p)
        v->pull = NULL;
    sc_source_free(p->later);
    view_delta_free(p->all);
    cJSON_Delete(p->answer);
    free(p);
    while (w) {
        struct waiter *next = w->next;
        w->done(w->arg, &err);
        free(w);
        w = next;
    }
}

static void pull_end(struct pull *p)
{
    if (sc_loop_add_timer(p->st->loop, 0, 0, report, p, &p->later) < 0)
        report(p);
}

static void pull_fail(struct pull *p, int code, const char *why)
{
    sc_fail(&p->err, code, "volume %s: %s", p->v->id, why);
    pull_end(p);
}

/* --- the last steps ----------------------------------------------------- */
static void on_committed(struct bs_wait *w, int res)
{
    struct pull *p = OF(struct pull, wait, w);
    if (res < 0)
        pull_fail(p, res, strerror(-res));
    else
        pull_end(p);
}

static void commit(struct pull *p)
{
    p->wait = (struct bs_wait){ .done = on_committed };
    bstore_commit(p->v->bs, &p->wait);
}

static void on_parent(void *arg, const struct sc_err *err)
{
    struct pull *p = arg;
    if (err->code < 0) {
        p->err = *err;
        pull_end(p);
    } else if (!storage_link_parent(p->st, p->v)) {
        pull_fail(p, -EIO, "its parent cannot be opened");
    } else {
        commit(p);
    }
}

static void find_parent(struct pull *p)
{
    if (storage_link_parent(p->st, p->v)) {
        commit(p);
        return;
    }
    char id[VOL_ID_LEN + 1];
    volume_id_format(bstore_info(p->v->bs)->parent, id);
    struct volume *parent;
    int r =
        strcmp(id, p->v->id) == 0 ? -ELOOP : storage_get(p->st, id, &parent);
    if (r < 0)
        pull_fail(p, r, "its parent cannot be opened");
    else
        volume_pull(p->st, parent, false, 0, on_parent, p);
}

/* --- merging ------------------------------------------------------------ */
/* Has somebody else written since our last epoch as writer? */
static bool others_wrote(const struct pull *p)
{
    for (size_t i = 0; i < p->all->n_runs; i++)
        if (p->all->runs[i].holder != p->st->env.self &&
            view_version_epoch(p->all->runs[i].version) > p->v->epoch)
            return true;
    return false;
}

int volume_forget_dirty(struct volume *v)
{
    const struct block_map *m = bstore_map(v->bs);
    for (uint32_t b = block_map_next(m, 0, true); b != UINT32_MAX;
         b = block_map_next(m, b + 1, true)) {
        int r = bstore_forget(v->bs, b);
        if (r < 0)
            return r;
    }
    return 0;
}

static int learn_run(struct pull *p, const struct view_run *run)
{
    const struct block_map *m = bstore_map(p->v->bs);
    for (uint64_t i = 0; i < run->count; i++) {
        uint32_t b = (uint32_t)(run->first + i);
        const struct block *e = block_map_get(m, b);
        bool newer = e->version > run->version;
        if (newer && ((e->flags & BLOCK_DIRTY) || p->have_seq))
            continue;
        if (e->version == run->version && e->slot != SLOT_NONE &&
            !(e->flags & BLOCK_DIRTY))
            continue; /* Here already; who else has it does not matter. */
        int r = bstore_learn(p->v->bs, b, run->version, run->holder, false);
        if (r < 0)
            return r;
    }
    return 0;
}

/* With everything asked for: what the authority does not name is not there. */
static int forget_others(struct pull *p)
{
    const struct block_map *m = bstore_map(p->v->bs);
    size_t i = 0;
    for (uint32_t b = block_map_next(m, 0, false); b != UINT32_MAX;
         b = block_map_next(m, b + 1, false)) {
        while (i < p->all->n_runs &&
               p->all->runs[i].first + p->all->runs[i].count <= b)
            i++;
        bool named = i < p->all->n_runs && p->all->runs[i].first <= b;
        if (named || (block_map_get(m, b)->flags & BLOCK_DIRTY))
            continue;
        int r = bstore_forget(p->v->bs, b);
        if (r < 0)
            return r;
    }
    return 0;
}

static void merge(struct pull *p)
{
    struct volume *v = p->v;
    int r = 0;
    if (block_map_n_dirty(bstore_map(v->bs)) && others_wrote(p)) {
        sc_logf(SC_LOG_WARN, "volume.fenced",
                "volume %s: %u blocks written here under epoch %u are dropped: "
                "a newer writer has taken over",
                v->id, block_map_n_dirty(bstore_map(v->bs)), v->epoch);
        r = volume_forget_dirty(v);
        if (r == 0 && p->have_seq) { /* Their old versions are needed. */
            v->view_seq = p->have_seq = 0;
            view_delta_clear(p->all);
            ask(p);
            return;
        }
    }
    if (r == 0 && p->have_seq == 0)
        r = forget_others(p);
    for (size_t i = 0; r == 0 && i < p->all->n_runs; i++)
        r = learn_run(p, &p->all->runs[i]);
    if (r < 0) {
        pull_fail(p, r, strerror(-r));
        return;
    }
    v->view_seq = p->seq;
    volume_save_state(v);
    find_parent(p);
}

/* --- asking ------------------------------------------------------------- */
static void on_more(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct pull *p = arg;
    if (err->code < 0) {
        p->err = *err;
        pull_end(p);
    } else {
        take(p, result);
    }
}

static void ask_more(struct pull *p, uint64_t first_block)
{
    cJSON *q = cJSON_CreateObject();
    cJSON_AddStringToObject(q, "volume_id", p->v->id);
    json_set_u64(q, "have_seq", p->have_seq);
    json_set_u64(q, "first_block", first_block);
    rpc_call(p->st->loop, storage_controller(p->st), "view.more", q,
             CONTROLLER_TIMEOUT_MS, on_more, p);
}

/* One part of the delta: of view.open or view.more. */
static void take(struct pull *p, const cJSON *result)
{
    struct json_reader r = json_read(result, "the authority's answer");
    const char *text = json_str(&r, "delta", 0, RPC_MESSAGE_MAX);
    uint64_t seq = (uint64_t)json_int(&r, "view_seq", 0, INT64_MAX);
    int64_t next = json_int_or(&r, "next_block", 0, INT64_MAX, -1);
    SC_AUTO(view_delta_free) struct view_delta *part = NULL;
    if (json_done(&r, &p->err) < 0 ||
        view_delta_decode_text(text, p->n_blocks, &part, &p->err) < 0) {
        pull_end(p);
        return;
    }
    if (view_delta_merge(p->all, part) < 0) {
        pull_fail(p, -ENOMEM, "out of memory");
        return;
    }
    /* Of several answers the oldest number counts: nothing is skipped. */
    if (p->seq == 0 || seq < p->seq)
        p->seq = seq;
    if (next >= 0)
        ask_more(p, (uint64_t)next);
    else
        merge(p);
}

static void on_born(struct bs_wait *w, int res)
{
    struct pull *p = OF(struct pull, wait, w);
    if (res < 0) {
        pull_fail(p, res, "its files cannot be made");
        return;
    }
    bstore_set_writer(p->v->bs, 0, p->st->env.self);
    volume_set_state(p->v, VOL_IDLE);
    SC_AUTO(cjson_free) cJSON *answer = SC_TAKE(p->answer);
    take(p, answer);
}

static void make_store(struct pull *p, uint64_t size, const char *parent)
{
    struct bstore_info info = { .size = size, .has_parent = parent[0] != 0 };
    char dir[4096], recent[4096];
    memcpy(info.id, p->v->raw_id, sizeof info.id);
    int r = info.has_parent ? volume_id_parse(parent, info.parent) : 0;
    if (r < 0) {
        pull_fail(p, r, "the parent's id is none");
        return;
    }
    storage_volume_dir(p->st, p->v, dir);
    storage_recent_path(p->st, p->v, recent);
    p->wait = (struct bs_wait){ .done = on_born };
    static const char state[] =
        "{\"state\":\"idle\",\"rw\":false,\"epoch\":0,\"view_seq\":0,"
        "\"told\":true,\"migration\":\"\",\"peer\":0}";
    r = bstore_create(p->st->env.io, dir, recent, &info, state, &p->wait,
                      &p->v->bs, &p->err);
    if (r < 0)
        pull_end(p);
}

static void on_opened(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct pull *p = arg;
    if (err->code < 0) {
        p->err = *err;
        pull_end(p);
        return;
    }
    struct json_reader r = json_read(result, "view.open's answer");
    uint64_t size = (uint64_t)json_int(&r, "size", 1, INT64_MAX);
    const char *parent = json_str_or(&r, "parent", VOL_ID_LEN, "");
    if (json_done(&r, &p->err) < 0) {
        pull_end(p);
        return;
    }
    uint64_t n = size / BLOCK_SIZE + (size % BLOCK_SIZE != 0);
    if (n >= BLOCK_COUNT_MAX) {
        pull_fail(p, -EFBIG, "too large for this node");
        return;
    }
    p->n_blocks = (uint32_t)n;
    if (p->v->bs) {
        if (volume_size(p->v) != size)
            pull_fail(p, -EUCLEAN, "the authority says it has another size");
        else
            take(p, result);
        return;
    }
    p->answer = cJSON_Duplicate(result, true);
    if (p->answer)
        make_store(p, size, parent);
    else
        pull_fail(p, -ENOMEM, "out of memory");
}

static void ask(struct pull *p)
{
    cJSON *q = cJSON_CreateObject();
    p->seq = 0;
    cJSON_AddStringToObject(q, "volume_id", p->v->id);
    cJSON_AddStringToObject(q, "mode", p->rw ? "rw" : "ro");
    json_set_u64(q, "epoch", p->epoch);
    json_set_u64(q, "have_seq", p->have_seq);
    rpc_call(p->st->loop, storage_controller(p->st), "view.open", q,
             CONTROLLER_TIMEOUT_MS, on_opened, p);
}

void volume_pull(struct storage *st, struct volume *v, bool rw, uint32_t epoch,
                 vol_fn *done, void *arg)
{
    struct waiter *w = calloc(1, sizeof *w);
    if (!w)
        abort(); /* A few bytes: the machine is beyond help. */
    *w = (struct waiter){ NULL, done, arg };
    struct pull *running = v->pull;
    if (running && !running->rw && !rw) { /* The same again: share it. */
        w->next = running->waiters;
        running->waiters = w;
        return;
    }
    struct pull *p = calloc(1, sizeof *p);
    if (!p || !(p->all = view_delta_new()))
        abort();
    p->st = st;
    p->v = v;
    p->rw = rw;
    p->epoch = epoch;
    p->have_seq = v->bs ? v->view_seq : 0;
    p->waiters = w;
    v->pull = p;
    ask(p);
}
