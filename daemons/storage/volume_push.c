/* volume_push - flush: the authority is told what it does not know yet.
 *
 * Only what is durable here is told.  A destination that has just become the
 * writer says so first (view.handover), with what the source handed it.  A
 * delta too long for one message goes in several; each may be repeated.
 * After a close the volume has nothing left that only this node knows. */
#include "storage/storage.h"

#include "common/json.h"
#include "common/log.h"
#include "model/view_delta.h"

#define OF(type, member, p) ((type *)((char *)(p)-offsetof(type, member)))

struct push {
    struct storage *st;
    struct volume *v;
    bool close, closing; /* Wanted; being asked for by this message. */
    vol_fn *done;
    void *arg;
    struct view_delta *delta; /* Owned: all that is to be told. */
    size_t from_run, next_run;
    uint64_t version; /* All own versions up to this are in 'delta'. */
    struct bs_wait wait;
    struct sc_err err;
    struct sc_source *later;
};

static void tell(struct push *p);
static void begin(struct push *p);

static void report(void *arg)
{
    struct push *p = arg;
    struct sc_err err = p->err;
    vol_fn *done = p->done;
    void *done_arg = p->arg;
    sc_source_free(p->later);
    view_delta_free(p->delta);
    free(p);
    done(done_arg, &err);
}

static void push_end(struct push *p)
{
    if (sc_loop_add_timer(p->st->loop, 0, 0, report, p, &p->later) < 0)
        report(p);
}

static void push_fail(struct push *p, int code, const char *why)
{
    sc_fail(&p->err, code, "volume %s: flush: %s", p->v->id, why);
    push_end(p);
}

static int clean(struct push *p)
{
    for (size_t i = p->from_run; i < p->next_run; i++) {
        const struct view_run *run = &p->delta->runs[i];
        for (uint64_t k = 0; k < run->count; k++) {
            int r = bstore_clean(p->v->bs, (uint32_t)(run->first + k),
                                 run->version);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static void remember_flush(struct volume *v, uint64_t seq, uint64_t version)
{
    if (v->n_flushes == VOL_FLUSHES) {
        memmove(v->flushes, v->flushes + 1,
                (VOL_FLUSHES - 1) * sizeof v->flushes[0]);
        v->n_flushes--;
    }
    v->flushes[v->n_flushes].seq = seq;
    v->flushes[v->n_flushes++].version = version;
}

static void on_answer(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct push *p = arg;
    struct volume *v = p->v;
    if (err->code < 0) {
        p->err = *err;
        sc_fail_in(&p->err, "volume %s", v->id);
        push_end(p);
        return;
    }
    struct json_reader r = json_read(result, "the authority's answer");
    uint64_t seq = (uint64_t)json_int(&r, "view_seq", 0, INT64_MAX);
    if (json_done(&r, &p->err) < 0) {
        push_end(p);
        return;
    }
    int res = clean(p);
    if (res < 0) {
        push_fail(p, res, strerror(-res));
        return;
    }
    if (seq > v->view_seq)
        v->view_seq = seq;
    v->told = true;
    volume_save_state(v);
    p->from_run = p->next_run;
    if (p->from_run < p->delta->n_runs) {
        tell(p);
        return;
    }
    remember_flush(v, v->view_seq, p->version);
    if (p->close && !p->closing)
        begin(p); /* Nothing, by now; then the close itself. */
    else
        push_end(p);
}

static void tell(struct push *p)
{
    struct volume *v = p->v;
    void *data = NULL;
    size_t size = 0;
    int r = view_delta_encode(p->delta, p->from_run, VIEW_MESSAGE_MAX, &data,
                              &size, &p->next_run);
    char *text = r == 0 ? json_b64_encode(data, size) : NULL;
    free(data);
    if (!text) {
        push_fail(p, -ENOMEM, "out of memory");
        return;
    }
    p->closing = p->close && v->told && p->next_run == p->delta->n_runs;
    cJSON *q = cJSON_CreateObject();
    cJSON_AddStringToObject(q, "volume_id", v->id);
    json_set_u64(q, "epoch", v->epoch);
    cJSON_AddStringToObject(q, "delta", text);
    free(text);
    if (!v->told)
        cJSON_AddStringToObject(q, "migration_id", v->migration);
    const char *method = !v->told     ? "view.handover"
                         : p->closing ? "view.close"
                                      : "view.flush";
    rpc_call(p->st->loop, storage_controller(p->st), method, q,
             CONTROLLER_TIMEOUT_MS, on_answer, p);
}

/* Everything dirty and durable. */
static int gather(struct push *p)
{
    struct volume *v = p->v;
    const struct block_map *m = bstore_map(v->bs);
    p->version = bstore_durable_version(v->bs);
    for (uint32_t b = block_map_next(m, 0, true); b != UINT32_MAX;
         b = block_map_next(m, b + 1, true)) {
        const struct block *e = block_map_get(m, b);
        if (!bstore_is_durable(v->bs, b))
            continue;
        struct view_run run = { b, 1, e->version, e->holder };
        int r = view_delta_put(p->delta, &run);
        if (r < 0)
            return r;
    }
    return 0;
}

static void on_committed(struct bs_wait *w, int res)
{
    struct push *p = OF(struct push, wait, w);
    if (res == 0)
        res = gather(p);
    if (res < 0)
        push_fail(p, res, strerror(-res));
    else if (p->delta->n_runs || !p->v->told || p->close)
        tell(p);
    else
        push_end(p);
}

static void begin(struct push *p)
{
    view_delta_clear(p->delta);
    p->from_run = p->next_run = 0;
    p->wait = (struct bs_wait){ .done = on_committed };
    bstore_commit(p->v->bs, &p->wait);
}

void volume_push(struct storage *st, struct volume *v, bool close, vol_fn *done,
                 void *arg)
{
    struct push *p = calloc(1, sizeof *p);
    if (!p || !(p->delta = view_delta_new()))
        abort(); /* A few bytes: the machine is beyond help. */
    p->st = st;
    p->v = v;
    p->close = close;
    p->done = done;
    p->arg = arg;
    begin(p);
}
