/* recover - after a start: what the records say and what the hypervisor has
 * are brought together (converge.c decides). */
#include "common/log.h"
#include "node/converge.h"
#include "node/node.h"

#include <stdio.h>
#include <string.h>

enum { SEEN_MAX = 1024, CLEAN_MS = 60000, RETRY_MS = 1000 };

struct recovery {
    size_t n_seen;
    struct {
        char id[SC_UUID_LEN + 1];
        enum hv_state state;
    } seen[SEEN_MAX];
    struct node *node;
    size_t n_migs, size_migs;
    struct rec_mig *migs; /* That have not ended. */
};

/* --- records -------------------------------------------------------------- */
static void load_vm(void *arg, const struct rec_vm *rec)
{
    struct vm *vm = vm_add(arg, &rec->spec, VM_STOPPED);
    if (!vm)
        abort(); /* Some KiB: the machine is beyond help. */
    if (!rec->stopped)
        vm->phase = VM_UNKNOWN; /* Until 'ready'. */
}

static void load_mig(void *arg, const struct rec_mig *rec)
{
    struct recovery *r = arg;
    if (rec->state != REC_SENDING && rec->state != REC_GIVEN &&
        rec->state != REC_RELEASING && rec->state != REC_PREPARING &&
        rec->state != REC_MINE)
        return;
    if (r->n_migs == r->size_migs) {
        r->size_migs = r->size_migs ? 2 * r->size_migs : 16;
        r->migs = realloc(r->migs, r->size_migs * sizeof *r->migs);
        if (!r->migs)
            abort(); /* Some KiB: the machine is beyond help. */
    }
    r->migs[r->n_migs++] = *rec;
}

int recover_begin(struct node *n, struct sc_err *err)
{
    n->recovery = calloc(1, sizeof *n->recovery);
    if (!n->recovery)
        return sc_fail(err, -ENOMEM, "sc-node: out of memory");
    n->recovery->node = n;
    int r = records_each_vm(n->records, load_vm, n, err);
    if (r == 0)
        r = records_each_mig(n->records, load_mig, n->recovery, err);
    return r;
}

void recover_free(struct node *n)
{
    if (n->recovery)
        free(n->recovery->migs);
    free(SC_TAKE(n->recovery));
}

void recover_adopted(void *node, const char *vm_id, enum hv_state state)
{
    struct node *n = node;
    struct recovery *r = n->recovery;
    if (!r || r->n_seen == SEEN_MAX)
        return;
    snprintf(r->seen[r->n_seen].id, sizeof r->seen[0].id, "%s", vm_id);
    r->seen[r->n_seen++].state = state;
}

/* --- convergence ---------------------------------------------------------- */
/* The last migration of a VM that has not ended; NULL: none. */
static const struct rec_mig *mig_of(const struct recovery *r, const char *vm_id)
{
    const struct rec_mig *best = NULL;
    for (size_t i = 0; i < r->n_migs; i++)
        if (!strcmp(r->migs[i].vm_id, vm_id) &&
            r->migs[i].state != REC_PREPARING &&
            (!best || r->migs[i].epoch > best->epoch))
            best = &r->migs[i];
    return best;
}

static enum want want_of(const struct vm *vm, const struct rec_mig *mig)
{
    if (!mig)
        return vm->phase == VM_STOPPED ? WANT_STOPPED : WANT_OWNED;
    switch (mig->state) {
    case REC_SENDING:
        return WANT_SENDING;
    case REC_GIVEN:
        return WANT_GIVEN;
    case REC_RELEASING:
        return WANT_RELEASING;
    default:
        return WANT_MINE;
    }
}

static void runs(struct vm *vm)
{
    vm_set_phase(vm, VM_RUNNING, NULL);
    vm_reattach(vm);
    ports_add(vm);
}

static void resumed(void *arg, const struct sc_err *err)
{
    struct vm *vm = arg;
    if (err->code == 0)
        runs(vm);
    else
        vm_ended(vm, err);
}

static void quietly(void *arg, const struct sc_err *err)
{
    (void)arg, (void)err;
}

static void take(struct node *n, const struct step *s)
{
    struct vm *vm = vm_find(n, s->vm_id);
    const struct rec_mig *mig = mig_of(n->recovery, s->vm_id);
    struct sc_err e = { 0 };
    switch (s->op) {
    case STEP_ADOPT:
        runs(vm);
        break;
    case STEP_RESUME:
        if (hv_resume(n->hv, s->vm_id, resumed, vm, &e) < 0)
            vm_ended(vm, &e);
        break;
    case STEP_STOPPED:
        sc_fail(&e, -ESRCH, "it did not run any more when sc-node started");
        if (mig && mig->state == REC_MINE) {
            struct rec_mig ended = *mig;
            ended.state = REC_RUNNING;
            if (records_write(n->records, &ended, NULL, NULL, NULL) < 0)
                sc_log(SC_LOG_ERROR, "records.write", "migration", mig->id,
                       NULL);
        }
        vm_ended(vm, &e);
        break;
    case STEP_DESTROY:
        sc_log(SC_LOG_WARN, "vm.destroy", "vm", s->vm_id, "msg",
               "it is not this node's", NULL);
        if (hv_stop(n->hv, s->vm_id, 0, quietly, NULL, &e) < 0)
            sc_log(SC_LOG_ERROR, "vm.destroy", "vm", s->vm_id, "msg", e.text,
                   NULL);
        break;
    case STEP_PAUSE:
        if (hv_pause(n->hv, s->vm_id, quietly, NULL, &e) < 0)
            sc_log(SC_LOG_ERROR, "vm.pause", "vm", s->vm_id, "msg", e.text,
                   NULL);
        break;
    case STEP_TAKE_BACK:
    case STEP_HOLD:
    case STEP_RELEASE:
        mig_out_recover(vm, mig);
        break;
    case STEP_FINISH_IN:
        mig_in_recover(vm, mig);
        break;
    }
}

/* What was prepared for a guest that never became ours is given back. */
static void cancel_prepared(struct node *n, const struct rec_mig *mig)
{
    struct vmspec spec = { .n_volumes = mig->n_volumes };
    struct rec_mig ended = *mig;
    struct sc_err e = { 0 };
    struct vol_call c = { .method = "volume.cancel_in",
                          .which = VOL_RW,
                          .migration_id = mig->id,
                          .timeout_ms = CLEAN_MS,
                          .retry_ms = RETRY_MS,
                          .transient_only = true,
                          .absent_ok = true };
    memcpy(spec.volumes, mig->volumes, sizeof spec.volumes);
    vol_each(n, &spec, &c, NULL, quietly, NULL, NULL);
    c.method = "volume.detach";
    c.which = VOL_RO;
    c.migration_id = NULL;
    vol_each(n, &spec, &c, NULL, quietly, NULL, NULL);
    ended.state = REC_CANCELLED;
    ended.n_volumes = 0;
    if (records_write(n->records, &ended, NULL, NULL, &e) < 0)
        sc_log(SC_LOG_ERROR, "records.write", "migration", mig->id, "msg",
               e.text, NULL);
}

void recover_ready(void *node)
{
    struct node *n = node;
    struct recovery *r = n->recovery;
    size_t n_vms = 0, i = 0;
    struct sc_err e = { 0 };
    if (!r)
        return;
    for (struct vm *vm = n->vms; vm; vm = vm->next)
        n_vms++;
    SC_AUTO(free) struct wanted *wanted = calloc(n_vms + 1, sizeof *wanted);
    SC_AUTO(free) struct seen *seen = calloc(r->n_seen + 1, sizeof *seen);
    SC_AUTO(free)
    struct step *steps =
        calloc(CONVERGE_STEPS(n_vms, r->n_seen) + 1, sizeof *steps);
    if (!wanted || !seen || !steps)
        abort(); /* Some KiB: the machine is beyond help. */
    for (size_t k = 0; k < r->n_seen; k++)
        seen[k] = (struct seen){ r->seen[k].id, r->seen[k].state };
    for (struct vm *vm = n->vms; vm; vm = vm->next) {
        enum hv_state state;
        vm->hv_here = hv_state_of(n->hv, vm->spec.id, &state) == 0;
        wanted[i++] =
            (struct wanted){ vm->spec.id, want_of(vm, mig_of(r, vm->spec.id)) };
    }
    n->recovered = true;
    size_t n_steps = converge(wanted, n_vms, seen, r->n_seen, steps);
    ports_retain(n);
    for (size_t k = 0; k < n_steps; k++)
        take(n, &steps[k]);
    for (size_t k = 0; k < r->n_migs; k++)
        if (r->migs[k].state == REC_PREPARING)
            cancel_prepared(n, &r->migs[k]);
    recover_free(n);
    boot_trim(n);
    if (records_trim(n->records, &e) < 0)
        sc_log(SC_LOG_ERROR, "records.trim", "msg", e.text, NULL);
    sc_logf(SC_LOG_INFO, "node.recovered", "%zu VMs in the records", n_vms);
}
