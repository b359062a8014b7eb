/* volume_move - a volume goes to another node with its guest.
 *
 * At the source: OPEN -> FROZEN (handover: writes held, all durable, what the
 * destination's view lacks sent to it in one message, acknowledged when it is
 * durable there) -> IDLE (release) or back to OPEN (thaw).
 * At the destination: IDLE -> INCOMING (prepare_in: the view is brought up to
 * date, reads are served, writes refused) -> HANDED (the source's message is
 * durable) -> OPEN (activate) or IDLE (cancel_in).
 * Each state is durable before it is answered; each call may be repeated.
 * Source: docs/protocols/rpc.md "Migration"; paper section 3.2.2. */
#include "storage/storage.h"

#include "common/json.h"
#include "common/log.h"
#include "model/view_delta.h"

#include <stdio.h>

static void copy_id(char to[VOL_MIGRATION_MAX + 1], const char *from)
{
    snprintf(to, VOL_MIGRATION_MAX + 1, "%s", from);
}

static bool same_migration(const struct vol_op *op)
{
    return strcmp(op->v->migration, op->migration) == 0;
}

static void wrong_state(struct vol_op *op)
{
    op_failf(op, -EBUSY, "%s: it is %s%s%s here", op->name,
             vol_state_name(op->v->state),
             op->v->migration[0] ? " in migration " : "", op->v->migration);
}

static void answered(struct vol_op *op, int res)
{
    if (res < 0)
        op_failf(op, res, "%s: %s", op->name, strerror(-res));
    else
        op_done(op, NULL);
}

/* --- the source --------------------------------------------------------- */
static void on_handed(void *arg, int res, struct peer_reply *reply)
{
    struct vol_op *op = arg;
    if (res < 0)
        op_failf(op, res, "handover: node %u: %s", op->nid, strerror(-res));
    else if (reply->error < 0)
        op_failf(op, reply->error, "handover: node %u: %s", op->nid,
                 reply->text);
    else
        op_done(op, NULL);
}

/* The version up to which the destination knows everything. */
static uint64_t known_there(const struct volume *v)
{
    bool told = v->dst_seq && strcmp(v->dst_migration, v->migration) == 0;
    for (unsigned i = v->n_flushes; told && i-- > 0;)
        if (v->flushes[i].seq <= v->dst_seq)
            return v->flushes[i].version;
    return 0;
}

static int last_delta(struct volume *v, void **ret, size_t *ret_size)
{
    SC_AUTO(view_delta_free) struct view_delta *d = view_delta_new();
    const struct block_map *m = bstore_map(v->bs);
    uint64_t known = known_there(v);
    bool dirty_only = known >= bstore_durable_version(v->bs);
    int r = d ? 0 : -ENOMEM;
    for (uint32_t b = block_map_next(m, 0, dirty_only);
         r == 0 && b != UINT32_MAX; b = block_map_next(m, b + 1, dirty_only)) {
        const struct block *e = block_map_get(m, b);
        struct view_run run = { b, 1, e->version, e->holder };
        if (e->version > known || (e->flags & BLOCK_DIRTY))
            r = view_delta_put(d, &run);
    }
    return r < 0 ? r : view_delta_encode(d, 0, 0, ret, ret_size, NULL);
}

static void send_delta(struct vol_op *op, int res)
{
    struct volume *v = op->v;
    SC_AUTO(free) void *delta = NULL;
    size_t size = 0;
    if (res == 0)
        res = last_delta(v, &delta, &size);
    if (res < 0) {
        op_failf(op, res, "handover: %s", strerror(-res));
        return;
    }
    struct peer_handover h = { .epoch = op->epoch,
                               .delta = delta,
                               .delta_size = (uint32_t)size };
    memcpy(h.volume, v->raw_id, sizeof h.volume);
    copy_id(h.migration, op->migration);
    peers_handover(op->st->peers, op->nid, &h, on_handed, op);
}

static void on_drained(struct volume *v)
{
    op_commit(v->ops, send_delta);
}

void op_run_handover(struct vol_op *op)
{
    struct volume *v = op->v;
    bool again = v->state == VOL_FROZEN && same_migration(op);
    if (!again && (v->state != VOL_OPEN || !v->rw)) {
        wrong_state(op);
        return;
    }
    if (op->epoch <= v->epoch) {
        op_failf(op, -ESTALE, "handover: epoch %u is not after %u", op->epoch,
                 v->epoch);
        return;
    }
    copy_id(v->migration, op->migration);
    v->peer = op->nid;
    volume_set_state(v, VOL_FROZEN);
    if (v->n_writes)
        v->drained = on_drained;
    else
        on_drained(v);
}

static void thawed(struct vol_op *op, int res)
{
    if (res == 0)
        volume_thaw_held(op->v, 0);
    answered(op, res);
}

void op_run_thaw(struct vol_op *op)
{
    struct volume *v = op->v;
    if (v->state == VOL_OPEN && v->rw) { /* Done before. */
        op_done(op, NULL);
        return;
    }
    if (v->state != VOL_FROZEN || !same_migration(op)) {
        wrong_state(op);
        return;
    }
    v->migration[0] = 0;
    v->peer = 0;
    v->dst_seq = 0;
    volume_set_state(v, VOL_OPEN);
    op_commit(op, thawed);
}

static void released(struct vol_op *op, int res)
{
    volume_thaw_held(op->v, -ESHUTDOWN);
    nbd_server_kick(op->st->nbd, op->v);
    answered(op, res);
}

void op_run_release(struct vol_op *op)
{
    struct volume *v = op->v;
    if (v->state == VOL_IDLE || v->state == VOL_NEW) {
        op_done(op, NULL);
        return;
    }
    if (v->state != VOL_FROZEN || !same_migration(op)) {
        wrong_state(op);
        return;
    }
    /* The destination tells the authority: none of it is ours to tell. */
    const struct block_map *m = bstore_map(v->bs);
    for (uint32_t b = block_map_next(m, 0, true); b != UINT32_MAX;
         b = block_map_next(m, b + 1, true)) {
        int r = bstore_clean(v->bs, b, block_map_get(m, b)->version);
        if (r < 0) {
            op_failf(op, r, "release: %s", strerror(-r));
            return;
        }
    }
    v->dst_seq = 0;
    volume_set_state(v, VOL_IDLE);
    op_commit(op, released);
}

void storage_on_prepared(void *arg, uint16_t from,
                         const struct peer_prepared *p)
{
    struct storage *st = arg;
    struct volume *v = storage_find_raw(st, p->volume);
    if (!v || v->state != VOL_OPEN || !v->rw)
        return;
    v->dst_seq = p->seq;
    copy_id(v->dst_migration, p->migration);
    peers_warm(st->peers, from); /* The handover will not wait for TLS. */
}

/* --- the destination ---------------------------------------------------- */
static void prepared(struct vol_op *op, int res)
{
    struct volume *v = op->v;
    if (res < 0) {
        op_failf(op, res, "prepare_in: %s", strerror(-res));
        return;
    }
    struct peer_prepared p = { .seq = v->view_seq };
    memcpy(p.volume, v->raw_id, sizeof p.volume);
    copy_id(p.migration, v->migration);
    peers_prepared(op->st->peers, v->peer, &p);
    op_done(op, op_nbd_result(op));
}

static void on_prepare_pulled(void *arg, const struct sc_err *err)
{
    struct vol_op *op = arg;
    struct volume *v = op->v;
    if (err->code < 0) {
        op_fail(op, err);
        return;
    }
    copy_id(v->migration, op->migration);
    v->peer = op->nid;
    v->rw = true;
    v->told = false;
    volume_set_state(v, VOL_INCOMING);
    op_commit(op, prepared);
}

/* Written here under an epoch that was fenced since: another node's guest comes
 * with the truth. */
static void prepare_fenced(struct vol_op *op)
{
    struct volume *v = op->v;
    sc_logf(SC_LOG_WARN, "volume.fenced",
            "volume %s: %u blocks written here under epoch %u are dropped",
            v->id, block_map_n_dirty(bstore_map(v->bs)), v->epoch);
    int r = volume_forget_dirty(v);
    v->view_seq = 0;
    if (r < 0)
        op_failf(op, r, "prepare_in: %s", strerror(-r));
    else
        volume_pull(op->st, v, false, 0, on_prepare_pulled, op);
}

void op_run_prepare_in(struct vol_op *op)
{
    struct volume *v = op->v;
    if ((v->state == VOL_INCOMING || v->state == VOL_HANDED) &&
        same_migration(op))
        prepared(op, 0);
    else if (v->state != VOL_NEW && v->state != VOL_IDLE)
        wrong_state(op);
    else if (v->bs && block_map_n_dirty(bstore_map(v->bs)))
        prepare_fenced(op);
    else
        volume_pull(op->st, v, false, 0, on_prepare_pulled, op);
}

struct incoming {
    struct peer_answer *to;
    struct view_delta *delta; /* Owned. */
};

static void incoming_answer(struct vol_op *op, int error, const char *text)
{
    struct incoming *in = op->data;
    peers_answer(in->to, error, text);
    view_delta_free(in->delta);
    if (error < 0)
        op_failf(op, error, "handover: %s", text);
    else
        op_done(op, NULL);
}

static void incoming_durable(struct vol_op *op, int res)
{
    incoming_answer(op, res, res < 0 ? strerror(-res) : "");
}

static void run_incoming(struct vol_op *op)
{
    struct volume *v = op->v;
    struct incoming *in = op->data;
    if (v->state == VOL_OPEN && v->epoch == op->epoch && same_migration(op)) {
        incoming_answer(op, 0, ""); /* The same message once more. */
        return;
    }
    if ((v->state != VOL_INCOMING && v->state != VOL_HANDED) ||
        !same_migration(op) || v->peer != op->nid) {
        incoming_answer(op, -EBUSY, "this migration was not prepared here");
        return;
    }
    int r = 0;
    for (size_t i = 0; r == 0 && i < in->delta->n_runs; i++) {
        const struct view_run *run = &in->delta->runs[i];
        for (uint64_t k = 0; r == 0 && k < run->count; k++)
            r = bstore_learn(v->bs, (uint32_t)(run->first + k), run->version,
                             run->holder, true);
    }
    if (r < 0) {
        incoming_answer(op, r, strerror(-r));
        return;
    }
    v->epoch = op->epoch;
    volume_set_state(v, VOL_HANDED);
    op_commit(op, incoming_durable);
}

void storage_on_handover(void *arg, uint16_t from,
                         const struct peer_handover *h, struct peer_answer *to)
{
    struct storage *st = arg;
    struct volume *v = storage_find_raw(st, h->volume);
    if (!v || !v->bs) {
        peers_answer(to, -ENOENT, "no such volume was prepared here");
        return;
    }
    struct sc_err err;
    struct view_delta *delta = NULL;
    int r = view_delta_decode(h->delta, h->delta_size, bstore_n_blocks(v->bs),
                              &delta, &err);
    if (r < 0) {
        peers_answer(to, r, err.text);
        return;
    }
    struct vol_op *op = op_new(st, v, "volume.handed", NULL, run_incoming);
    struct incoming *in = calloc(1, sizeof *in);
    if (!in)
        abort();
    *in = (struct incoming){ to, delta };
    op->data = in;
    op->epoch = h->epoch;
    op->nid = from;
    copy_id(op->migration, h->migration);
    op_begin(op);
}

static void on_told(void *arg, const struct sc_err *err)
{
    struct vol_op *op = arg;
    if (err->code == -ESTALE) { /* Another writer has come since. */
        op->v->told = true;
        volume_save_state(op->v);
    }
    if (err->code < 0)
        op_fail(op, err); /* The tick tries again. */
    else
        op_done(op, NULL);
}

static void run_tell(struct vol_op *op)
{
    struct volume *v = op->v;
    if (v->state == VOL_OPEN && v->rw && !v->told)
        volume_push(op->st, v, false, on_told, op);
    else
        op_done(op, NULL);
}

void storage_tell_authority(struct storage *st, struct volume *v)
{
    if (v->state == VOL_OPEN && v->rw && !v->told && !v->ops)
        op_begin(op_new(st, v, "volume.tell", NULL, run_tell));
}

static void activated(struct vol_op *op, int res)
{
    struct storage *st = op->st;
    struct volume *v = op->v;
    answered(op, res);
    if (res == 0)
        storage_tell_authority(st, v);
}

void op_run_activate(struct vol_op *op)
{
    struct volume *v = op->v;
    if (v->state == VOL_OPEN && v->rw && v->epoch == op->epoch) {
        op_done(op, NULL);
        return;
    }
    if (v->state != VOL_HANDED || !same_migration(op)) {
        wrong_state(op);
        return;
    }
    if (op->epoch != v->epoch) {
        op_failf(op, -ESTALE, "activate: epoch %u, but %u was handed over",
                 op->epoch, v->epoch);
        return;
    }
    v->n_flushes = 0;
    bstore_set_writer(v->bs, v->epoch, op->st->env.self);
    volume_set_state(v, VOL_OPEN);
    op_commit(op, activated);
}

static void cancelled(struct vol_op *op, int res)
{
    nbd_server_kick(op->st->nbd, op->v);
    answered(op, res);
}

void op_run_cancel_in(struct vol_op *op)
{
    struct volume *v = op->v;
    if (v->state == VOL_NEW || v->state == VOL_IDLE) {
        op_done(op, NULL);
        return;
    }
    if ((v->state != VOL_INCOMING && v->state != VOL_HANDED) ||
        !same_migration(op)) {
        wrong_state(op);
        return;
    }
    /* What was handed may never come to pass, and what is forgotten here (left
     * by an activation that was cut short) is missing then: the next open asks
     * for the whole view. */
    if (v->state == VOL_HANDED || block_map_n_dirty(bstore_map(v->bs)) > 0)
        v->view_seq = 0;
    int r = volume_forget_dirty(v);
    if (r < 0) {
        op_failf(op, r, "cancel_in: %s", strerror(-r));
        return;
    }
    v->migration[0] = 0;
    v->peer = 0;
    v->rw = false;
    v->told = true;
    volume_set_state(v, VOL_IDLE);
    op_commit(op, cancelled);
}
