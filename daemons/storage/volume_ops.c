/* volume_ops - operations on a volume, one after the other; attach, detach and
 * flush.  Each is safe to repeat: sc-node asks again when in doubt. */
#include "storage/storage.h"

#include "common/json.h"
#include "common/log.h"
#include "model/view_delta.h"

#include <stdarg.h>
#include <stdio.h>

#define OF(type, member, p) ((type *)((char *)(p)-offsetof(type, member)))

struct vol_op *op_new(struct storage *st, struct volume *v, const char *name,
                      struct rpc_request *req, void (*run)(struct vol_op *op))
{
    struct vol_op *op = calloc(1, sizeof *op);
    if (!op)
        abort(); /* A few bytes: the machine is beyond help. */
    op->st = st;
    op->v = v;
    op->name = name;
    op->req = req;
    op->run = run;
    op->started_ms = sc_mono_ms();
    return op;
}

void op_begin(struct vol_op *op)
{
    struct volume *v = op->v;
    bool first = !v->ops;
    op->next = NULL;
    *v->ops_end = op;
    v->ops_end = &op->next;
    if (first)
        op->run(op);
}

static void op_end(struct vol_op *op)
{
    struct volume *v = op->v;
    struct storage *st = op->st;
    v->ops = op->next;
    if (!v->ops)
        v->ops_end = &v->ops;
    free(op->data);
    free(op);
    if (v->ops)
        v->ops->run(v->ops);
    else if (!v->bs && !v->pull)
        storage_drop(st, v); /* It never came to be, or was deleted. */
}

static void log_op(const struct vol_op *op, const struct sc_err *err)
{
    char ms[24];
    snprintf(ms, sizeof ms, "%llu",
             (unsigned long long)(sc_mono_ms() - op->started_ms));
    sc_log(err && err->code ? SC_LOG_WARN : SC_LOG_INFO, op->name, "volume",
           op->v->id, "state", vol_state_name(op->v->state), "ms", ms,
           err && err->code ? "error" : NULL, err ? err->text : NULL, NULL);
}

void op_done(struct vol_op *op, cJSON *result)
{
    log_op(op, NULL);
    if (op->req)
        rpc_reply(op->req, result);
    else
        cJSON_Delete(result);
    op_end(op);
}

void op_fail(struct vol_op *op, const struct sc_err *err)
{
    log_op(op, err);
    if (op->req)
        rpc_fail(op->req, err);
    op_end(op);
}

int op_failf(struct vol_op *op, int code, const char *fmt, ...)
{
    char text[SC_ERR_TEXT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct sc_err err;
    sc_fail(&err, code, "volume %s: %s", op->v->id, text);
    op_fail(op, &err);
    return code;
}

static void on_op_committed(struct bs_wait *w, int res)
{
    struct vol_op *op = OF(struct vol_op, wait, w);
    op->then(op, res);
}

void op_commit(struct vol_op *op, void (*then)(struct vol_op *op, int res))
{
    op->then = then;
    op->wait = (struct bs_wait){ .done = on_op_committed };
    bstore_commit(op->v->bs, &op->wait);
}

cJSON *op_nbd_result(struct vol_op *op)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "nbd_socket", nbd_server_path(op->st->nbd));
    cJSON_AddStringToObject(o, "export", op->v->id);
    json_set_u64(o, "size", volume_size(op->v));
    return o;
}

/* --- attach ------------------------------------------------------------- */
static void attached(struct vol_op *op, int res)
{
    if (res < 0)
        op_failf(op, res, "attach: %s", strerror(-res));
    else
        op_done(op, op_nbd_result(op));
}

static void on_attach_pulled(void *arg, const struct sc_err *err)
{
    struct vol_op *op = arg;
    struct volume *v = op->v;
    if (err->code < 0) {
        op_fail(op, err);
        return;
    }
    v->rw = op->rw;
    v->told = true;
    v->migration[0] = 0;
    v->peer = 0;
    if (op->rw) {
        v->epoch = op->epoch;
        bstore_set_writer(v->bs, op->epoch, op->st->env.self);
        v->n_flushes = 1; /* The authority has all before this epoch. */
        v->flushes[0].seq = v->view_seq;
        v->flushes[0].version = view_version(op->epoch, 0);
        if (block_map_n_dirty(bstore_map(v->bs)))
            v->n_flushes = 0; /* But not what is left of an earlier one. */
    }
    volume_set_state(v, VOL_OPEN);
    op_commit(op, attached);
}

static void on_attach_told(void *arg, const struct sc_err *err)
{
    struct vol_op *op = arg;
    if (err->code < 0 && err->code != -ESTALE) {
        op_fail(op, err);
        return;
    }
    op->v->told = true;
    op_run_attach(op);
}

void op_run_attach(struct vol_op *op)
{
    struct volume *v = op->v;
    if (v->state == VOL_OPEN && v->rw == op->rw &&
        (!op->rw || v->epoch == op->epoch)) {
        op_done(op, op_nbd_result(op));
        return;
    }
    bool again =
        v->state == VOL_OPEN && v->rw && op->rw && op->epoch > v->epoch;
    if (again && !v->told) { /* What it came with is not told yet. */
        volume_push(op->st, v, false, on_attach_told, op);
        return;
    }
    if (v->state != VOL_NEW && v->state != VOL_IDLE && !again) {
        op_failf(op,
                 v->state == VOL_OPEN && op->rw && op->epoch < v->epoch
                     ? -ESTALE
                     : -EBUSY,
                 "attach: it is %s here%s", vol_state_name(v->state),
                 v->rw ? " for writing" : "");
        return;
    }
    volume_pull(op->st, v, op->rw, op->epoch, on_attach_pulled, op);
}

/* --- detach ------------------------------------------------------------- */
static void detached(struct vol_op *op, int res)
{
    nbd_server_kick(op->st->nbd, op->v);
    if (res < 0)
        op_failf(op, res, "detach: %s", strerror(-res));
    else
        op_done(op, NULL);
}

static void on_detach_pushed(void *arg, const struct sc_err *err)
{
    struct vol_op *op = arg;
    if (err->code < 0 && err->code != -ESTALE) {
        op_fail(op, err);
        return;
    }
    /* Fenced: somebody else is the writer; there is nothing left to close. */
    volume_set_state(op->v, VOL_IDLE);
    op_commit(op, detached);
}

void op_run_detach(struct vol_op *op)
{
    struct volume *v = op->v;
    if (v->state == VOL_NEW || v->state == VOL_IDLE) {
        op_done(op, NULL);
    } else if (v->state != VOL_OPEN) {
        op_failf(op, -EBUSY, "detach: it is %s", vol_state_name(v->state));
    } else if (v->rw) {
        volume_push(op->st, v, true, on_detach_pushed, op);
    } else if (v->connections) {
        op_done(op, NULL); /* Another guest reads it too. */
    } else {
        volume_set_state(v, VOL_IDLE);
        op_commit(op, detached);
    }
}

/* --- flush -------------------------------------------------------------- */
static void on_flushed(void *arg, const struct sc_err *err)
{
    struct vol_op *op = arg;
    if (err->code < 0) {
        op_fail(op, err);
        return;
    }
    cJSON *o = cJSON_CreateObject();
    json_set_u64(o, "view_seq", op->v->view_seq);
    op_done(op, o);
}

void op_run_flush(struct vol_op *op)
{
    struct volume *v = op->v;
    if (!v->bs)
        op_failf(op, -ENOENT, "flush: it is not here");
    else if (v->state == VOL_OPEN && v->rw)
        volume_push(op->st, v, false, on_flushed, op);
    else
        on_flushed(op, &(struct sc_err){ 0 });
}
