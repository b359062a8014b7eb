/* mig_in - a guest arrives: the shell around migproto's destination.
 *
 * Preparing: volumes (readable, writes refused), kernel files where the driver
 * wants them, the guest's frame waiting for its stream, ports.  Everything is
 * ready before the source begins, so that after COMMIT only the volumes are
 * activated and the guest continued. */
#include "common/log.h"
#include "common/tls.h"
#include "node/mig_stream.h"
#include "node/node.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    QUEUE_MAX = 16,
    CALL_MS = 60000,
    RETRY_MS = 200,
    HELLO_MS = 60000, /* The source has so long to come. */
};

struct mig_in {
    struct node *node;
    struct vm *vm; /* NULL once nothing of it is left here. */
    struct rec_mig rec;
    struct mig_dst m;
    struct sc_err why;
    char ticket[MIG_TICKET_LEN + 1];
    struct rpc_request *prepare_req, *cancel_req;
    bool preparing; /* A callback of volumes or kernel files is to come. */
    bool cleaning, cleanup_wanted;
    struct mig_conn *conn;
    struct mig_stream *stream;
    struct vol_op *vol_op;
    struct sc_source *hello_timer, *end_timer;
    enum dst_event queue[QUEUE_MAX];
    unsigned n_queue;
    bool stepping;
};

static void feed(struct mig_in *i, enum dst_event e);
static void act(struct mig_in *i, unsigned actions);
static void prepare_ro(void *arg, const struct sc_err *err);
static void prepare_boot(void *arg, const struct sc_err *err);
static void prepare_guest(void *arg, const struct sc_err *err);
static void cleanup(struct mig_in *i);
static const struct mig_conn_events conn_events;

const char *mig_in_id(const struct mig_in *i)
{
    return i->rec.id;
}

const char *mig_in_state(const struct mig_in *i)
{
    return mig_dst_state_name(i->m.state);
}

/* --- the machine ---------------------------------------------------------- */
static void run_queue(struct mig_in *i)
{
    if (i->stepping)
        return;
    i->stepping = true;
    for (unsigned k = 0; k < i->n_queue; k++) {
        enum dst_state before = i->m.state;
        unsigned actions = mig_dst_step(&i->m, i->queue[k]);
        if (before != i->m.state)
            sc_logf(SC_LOG_DEBUG, "migration.in", "%s event %d: %d -> %d",
                    i->rec.id, (int)i->queue[k], (int)before, (int)i->m.state);
        act(i, actions);
    }
    i->n_queue = 0;
    i->stepping = false;
}

static void feed(struct mig_in *i, enum dst_event e)
{
    if (i->n_queue == QUEUE_MAX)
        abort(); /* A bug: actions bring at most a few events. */
    i->queue[i->n_queue++] = e;
    run_queue(i);
}

static void note(struct mig_in *i, const struct sc_err *why)
{
    if (i->why.code == 0)
        i->why = *why;
}

static void drop_link(struct mig_in *i)
{
    if (i->stream)
        mig_stream_cut(i->stream);
    if (i->conn)
        mig_conn_finish(SC_TAKE(i->conn));
}

void mig_in_free(struct mig_in *i)
{
    if (!i)
        return;
    if (i->vm)
        i->vm->in = NULL;
    node_answer_end(i->prepare_req);
    node_answer_end(i->cancel_req);
    mig_conn_free(i->conn);
    mig_stream_free(i->stream);
    vol_cancel(i->vol_op);
    sc_source_free(i->hello_timer);
    sc_source_free(i->end_timer);
    free(i);
}

static void free_later(void *arg)
{
    mig_in_free(arg);
}

static void end(struct mig_in *i)
{
    drop_link(i);
    if (!i->end_timer && sc_loop_add_timer(i->node->loop, 0, 0, free_later, i,
                                           &i->end_timer) < 0)
        abort(); /* Not even memory for a timer. */
}

static void reply_state(struct rpc_request *req, const char *state)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "state", state);
    rpc_reply(req, j);
}

static bool write_state(struct mig_in *i, enum rec_state state)
{
    struct sc_err e = { 0 };
    struct rec_vm vm = { 0 };
    i->rec.state = state;
    i->rec.n_volumes = 0;
    if (state == REC_MINE)
        vm.spec = i->vm->spec;
    if (records_write(i->node->records, &i->rec, state == REC_MINE ? &vm : NULL,
                      NULL, &e) == 0)
        return true;
    sc_log(SC_LOG_ERROR, "records.write", "migration", i->rec.id, "msg", e.text,
           NULL);
    note(i, &e);
    return false;
}

/* --- preparing ------------------------------------------------------------ */
static void hello_timeout(void *arg)
{
    struct mig_in *i = arg;
    struct sc_err e = { 0 };
    sc_fail(&e, -ETIMEDOUT, "migration %s: the source did not come within %d s",
            i->rec.id, HELLO_MS / 1000);
    sc_source_free(SC_TAKE(i->hello_timer));
    note(i, &e);
    feed(i, DST_E_TIMEOUT);
}

static int may_come(struct node *n, const struct vmspec *spec,
                    const struct rec_mig *rec, struct sc_err *err)
{
    struct rec_mig known;
    struct vm *vm = vm_find(n, spec->id);
    if (!n->recovered)
        return sc_fail(err, -EAGAIN, "sc-node is still finding its guests");
    if (records_mig(n->records, rec->id, &known) == 0)
        return sc_fail(err, -EEXIST, "migration %s was made before: it is %s",
                       rec->id, rec_state_name(known.state));
    if (!vm)
        return 0;
    if (vm->in && vm->in->cleaning)
        return sc_fail(err, -EAGAIN,
                       "vm '%s': a cancelled migration is being cleaned up",
                       spec->name);
    if (vm->out && strcmp(mig_out_state(vm->out), "sending") != 0)
        return sc_fail(err, -EAGAIN,
                       "vm '%s': its last migration is still leaving here",
                       spec->name);
    if (vm->phase != VM_STOPPED || vm->vol_op)
        return sc_fail(err, -EEXIST, "vm '%s': it is here already, %s",
                       spec->name, vm_phase_name(vm->phase));
    if (vm->spec.epoch >= spec->epoch)
        return sc_fail(err, -ESTALE, "vm '%s': epoch %llu is not after %llu",
                       spec->name, (unsigned long long)spec->epoch,
                       (unsigned long long)vm->spec.epoch);
    vm_free(vm);
    return 0;
}

/* Room is checked before any byte is moved. */
static int has_room(struct node *n, const struct vmspec *spec,
                    struct sc_err *err)
{
    struct hv_host host;
    int r = hv_host_info(n->hv, &host, err);
    if (r == 0 && spec->memory_mib > host.memory_free_mib)
        r = sc_fail(err, -ENOSPC,
                    "vm '%s': it needs %llu MiB and node '%s' has %llu free",
                    spec->name, (unsigned long long)spec->memory_mib,
                    n->config->name, (unsigned long long)host.memory_free_mib);
    return r;
}

static void make_ticket(char ret[MIG_TICKET_LEN + 1])
{
    uint8_t secret[MIG_TICKET_LEN / 2];
    if (tls_random(secret, sizeof secret) < 0)
        abort(); /* A guessable ticket would be worse. */
    for (size_t k = 0; k < sizeof secret; k++)
        snprintf(ret + 2 * k, 3, "%02x", secret[k]);
}

static void volumes(struct mig_in *i, const char *method, enum vol_which which,
                    vol_done_fn *done, struct vm_disk *disks)
{
    struct vol_call c = { .method = method,
                          .which = which,
                          .timeout_ms = CALL_MS };
    if (which == VOL_RO) {
        c.mode = disks != NULL;
        c.epoch = disks ? i->rec.epoch : 0;
        c.absent_ok = !disks;
    } else {
        c.migration_id = i->rec.id;
    }
    if (!strcmp(method, "volume.prepare_in")) {
        c.peer_key = "from";
        c.peer = &i->rec;
    } else if (!strcmp(method, "volume.activate")) {
        c.epoch = i->rec.epoch;
        c.retry_ms = RETRY_MS;
    } else if (!disks) {
        c.retry_ms = RETRY_MS;
        c.transient_only = true;
        c.absent_ok = true;
    }
    vol_each(i->node, &i->vm->spec, &c, disks, done, i, &i->vol_op);
}

void mig_in_prepare(struct node *n, const struct vmspec *spec,
                    const struct rec_mig *rec, struct rpc_request *req)
{
    struct sc_err err = { 0 };
    struct vm *vm = vm_find(n, spec->id);
    if (vm && vm->in && !strcmp(vm->in->rec.id, rec->id) &&
        vm->in->m.state == DST_PREPARED && !vm->in->preparing) {
        cJSON *j = cJSON_CreateObject(); /* Asked again. */
        cJSON_AddNumberToObject(j, "port", n->config->migration_port);
        cJSON_AddStringToObject(j, "ticket", vm->in->ticket);
        rpc_reply(req, j);
        return;
    }
    if (vm && vm->in && !strcmp(vm->in->rec.id, rec->id) && vm->in->preparing) {
        rpc_failf(req, -EAGAIN, "migration %s: being prepared", rec->id);
        return;
    }
    int r = may_come(n, spec, rec, &err);
    if (r == 0)
        r = has_room(n, spec, &err);
    SC_AUTO(mig_in_free) struct mig_in *i = calloc(1, sizeof *i);
    if (!i) {
        rpc_failf(req, -ENOMEM, "migration: out of memory");
        return;
    }
    if (r == 0) {
        i->node = n;
        i->rec = *rec;
        i->rec.state = REC_PREPARING;
        i->rec.n_volumes = spec->n_volumes;
        memcpy(i->rec.volumes, spec->volumes, sizeof spec->volumes);
        r = records_write(n->records, &i->rec, NULL, NULL, &err);
    }
    vm = r == 0 ? vm_add(n, spec, VM_INCOMING) : NULL;
    if (r == 0 && !vm)
        sc_fail(&err, -ENOMEM, "migration: out of memory");
    if (!vm) {
        rpc_fail(req, &err);
        return;
    }
    i->prepare_req = req;
    i->preparing = true;
    make_ticket(i->ticket);
    i->vm = vm;
    vm->in = i;
    sc_log(SC_LOG_INFO, "migration.in", "migration", rec->id, "vm", spec->id,
           "from", rec->peer_id, NULL);
    volumes(SC_TAKE(i), "volume.prepare_in", VOL_RW, prepare_ro, vm->disks);
}

/* True: go on; else the preparation ended here. */
static bool prepared(struct mig_in *i, const struct sc_err *err)
{
    i->vol_op = NULL;
    if (err->code == 0 && i->m.state == DST_PREPARED)
        return true;
    i->preparing = false;
    note(i, err);
    if (i->prepare_req) {
        struct sc_err why = i->why;
        if (!why.code)
            sc_fail(&why, -ECANCELED, "migration %s: cancelled", i->rec.id);
        rpc_fail(SC_TAKE(i->prepare_req), &why);
    }
    if (i->cleanup_wanted)
        cleanup(i);
    else
        feed(i, DST_E_ENGINE_FAILED);
    return false;
}

static void prepare_ro(void *arg, const struct sc_err *err)
{
    struct mig_in *i = arg;
    if (prepared(i, err))
        volumes(i, "volume.attach", VOL_RO, prepare_boot, i->vm->disks);
}

static void prepare_boot(void *arg, const struct sc_err *err)
{
    struct mig_in *i = arg;
    if (!prepared(i, err))
        return;
    /* A received Xen guest has its kernel in its memory; QEMU must lay out
     * its firmware as the source did. */
    if (!strcmp(hv_driver(i->node->hv), "xen"))
        prepare_guest(i, err);
    else
        boot_fetch(i->node, &i->vm->spec, prepare_guest, i);
}

static void engine_done(void *arg, const struct sc_err *err)
{
    struct mig_in *i = arg;
    if (err->code < 0) {
        i->vm->hv_here = false;
        note(i, err);
    }
    feed(i, err->code < 0 ? DST_E_ENGINE_FAILED : DST_E_ENGINE_DONE);
}

static void prepare_guest(void *arg, const struct sc_err *err)
{
    struct mig_in *i = arg;
    struct vm_paths paths;
    struct hv_spec spec;
    struct sc_err e = { 0 };
    int fd = -1;
    if (!prepared(i, err))
        return;
    vm_hv_spec(i->vm, &paths, &spec);
    int r = mig_stream_new(i->node->loop, &fd, &i->stream, &e);
    if (r == 0)
        r = hv_migrate_in(i->node->hv, &spec, fd, engine_done, i, &e);
    if (r == 0) {
        i->vm->hv_here = true;
        r = sc_loop_add_timer(i->node->loop, HELLO_MS, 0, hello_timeout, i,
                              &i->hello_timer);
        if (r < 0)
            sc_fail(&e, r, "migration: no timer");
    }
    if (r < 0) {
        prepared(i, &e);
        return;
    }
    i->preparing = false;
    ports_add(i->vm);
    cJSON *j = cJSON_CreateObject();
    cJSON_AddNumberToObject(j, "port", i->node->config->migration_port);
    cJSON_AddStringToObject(j, "ticket", i->ticket);
    rpc_reply(SC_TAKE(i->prepare_req), j);
}

/* --- link ----------------------------------------------------------------- */
/* In time that depends only on the length. */
static bool same_ticket(const char *a, const char *b)
{
    unsigned diff = 0;
    for (size_t k = 0; k < MIG_TICKET_LEN; k++)
        diff |= (unsigned)(a[k] ^ b[k]);
    return diff == 0;
}

int mig_in_hello(struct node *n, struct mig_conn *conn,
                 const struct mig_hello *h, struct sc_err *err)
{
    struct vm *vm = vm_find(n, h->vm_id);
    struct mig_in *i = vm ? vm->in : NULL;
    if (!i || strcmp(i->rec.id, h->migration_id) != 0 || i->conn ||
        i->m.state != DST_PREPARED || i->preparing)
        return sc_fail(err, -ENOENT, "migration %s is not expected here",
                       h->migration_id);
    if (!same_ticket(i->ticket, h->ticket) || h->epoch != i->rec.epoch ||
        strcmp(mig_conn_peer(conn), i->rec.peer_id) != 0)
        return sc_fail(err, -EACCES,
                       "migration %s: wrong ticket, epoch or node",
                       h->migration_id);
    int r = mig_stream_in(i->stream, conn, err);
    if (r < 0)
        return r;
    sc_source_free(SC_TAKE(i->hello_timer));
    i->conn = conn;
    mig_conn_set_events(conn, &conn_events, i);
    feed(i, DST_E_HELLO);
    return 0;
}

static void link_up(void *arg)
{
    (void)arg; /* Was up before it came here. */
}

static void link_room(void *arg)
{
    (void)arg; /* Nothing big is sent this way. */
}

static void link_lost(void *arg, const struct sc_err *why)
{
    struct mig_in *i = arg;
    note(i, why);
    mig_stream_cut(i->stream);
    mig_conn_free(SC_TAKE(i->conn));
    feed(i, DST_E_LINK_LOST);
}

static void link_frame(void *arg, const struct mig_frame *f)
{
    struct mig_in *i = arg;
    struct sc_err e = { 0 };
    switch (f->type) {
    case MIG_DATA:
        if (mig_stream_data(i->stream, f, &e) < 0) {
            note(i, &e);
            feed(i, DST_E_ABORT);
        }
        return;
    case MIG_STOPPED:
        feed(i, DST_E_STOPPED);
        return;
    case MIG_HANDED_OVER:
        feed(i, DST_E_HANDED_OVER);
        return;
    case MIG_END:
        mig_stream_end(i->stream);
        feed(i, DST_E_END);
        return;
    case MIG_COMMIT:
        feed(i, DST_E_COMMIT);
        return;
    case MIG_ABORT:
        sc_fail(&e, -ECANCELED, "the source gave up: %.*s",
                (int)(f->size < 400 ? f->size : 400), (const char *)f->payload);
        note(i, &e);
        feed(i, DST_E_ABORT);
        return;
    default:
        sc_fail(&e, -EPROTO, "the source sent %s", mig_type_name(f->type));
        note(i, &e);
        feed(i, DST_E_ABORT);
    }
}

static const struct mig_conn_events conn_events = {
    link_up,
    link_frame,
    link_room,
    link_lost,
};

/* --- becoming ours -------------------------------------------------------- */
static void activated(void *arg, const struct sc_err *err)
{
    struct mig_in *i = arg;
    (void)err; /* Repeated until it worked. */
    i->vol_op = NULL;
    feed(i, DST_E_ACTIVATED);
}

static void resumed(void *arg, const struct sc_err *err)
{
    struct mig_in *i = arg;
    if (err->code < 0)
        note(i, err);
    feed(i, err->code < 0 ? DST_E_GUEST_GONE : DST_E_RESUMED);
}

static void resume(struct mig_in *i)
{
    struct sc_err e = { 0 };
    enum hv_state s;
    if (hv_state_of(i->node->hv, i->vm->spec.id, &s) == 0 && s == HV_RUNNING)
        resumed(i, &e);
    else if (hv_resume(i->node->hv, i->vm->spec.id, resumed, i, &e) < 0)
        resumed(i, &e);
}

void mig_in_guest_gone(struct mig_in *i)
{
    struct sc_err e = { 0 };
    sc_fail(&e, -ESRCH, "vm '%s': the received guest ended", i->vm->spec.name);
    note(i, &e);
    feed(i, DST_E_GUEST_GONE);
}

static void report_running(struct mig_in *i, bool stopped)
{
    struct vm *vm = i->vm;
    assert(vm);
    write_state(i, REC_RUNNING); /* At worst recovery resumes it again. */
    vm->in = NULL;
    i->vm = NULL;
    if (stopped) {
        vm_ended(vm, &i->why);
    } else {
        ports_add(vm);
        vm_set_phase(vm, VM_RUNNING, NULL);
    }
    if (i->cancel_req)
        reply_state(SC_TAKE(i->cancel_req), "running");
    end(i);
}

/* --- cleaning up after a cancelled one ------------------------------------ */
static void cleaned(void *arg, const struct sc_err *err)
{
    struct mig_in *i = arg;
    struct vm *vm = i->vm;
    (void)err;
    i->vol_op = NULL;
    vm->in = NULL;
    i->vm = NULL;
    vm_free(vm);
    end(i);
}

static void clean_ro(void *arg, const struct sc_err *err)
{
    struct mig_in *i = arg;
    (void)err;
    i->vol_op = NULL;
    volumes(i, "volume.detach", VOL_RO, cleaned, NULL);
}

static void clean_volumes(void *arg, const struct sc_err *err)
{
    struct mig_in *i = arg;
    (void)err;
    i->vm->hv_here = false;
    ports_del(i->vm);
    volumes(i, "volume.cancel_in", VOL_RW, clean_ro, NULL);
}

static void cleanup(struct mig_in *i)
{
    struct sc_err e = { 0 };
    if (i->cancel_req) /* The promise is written: no need to wait. */
        reply_state(SC_TAKE(i->cancel_req), "cancelled");
    if (i->cleaning)
        return;
    if (i->preparing) { /* Its callback comes here again. */
        i->cleanup_wanted = true;
        return;
    }
    i->cleaning = true;
    sc_log(SC_LOG_WARN, "migration.cancelled", "migration", i->rec.id, "msg",
           i->why.text, NULL);
    sc_source_free(SC_TAKE(i->hello_timer));
    if (!i->vm->hv_here ||
        hv_stop(i->node->hv, i->vm->spec.id, 0, clean_volumes, i, &e) < 0)
        clean_volumes(i, &e);
}

static void act(struct mig_in *i, unsigned a)
{
    if (a & DST_A_WRITE_MINE)
        feed(i, write_state(i, REC_MINE) ? DST_E_WRITTEN : DST_E_WRITE_FAILED);
    if (a & DST_A_WRITE_CANCELLED) {
        bool ok = write_state(i, REC_CANCELLED);
        if (!ok && i->cancel_req)
            rpc_fail(SC_TAKE(i->cancel_req), &i->why);
        feed(i, ok ? DST_E_WRITTEN : DST_E_WRITE_FAILED);
    }
    if (a & DST_A_SEND_WELCOME)
        mig_conn_send(i->conn, MIG_WELCOME, NULL, 0);
    if (a & DST_A_SEND_READY)
        mig_conn_send(i->conn, MIG_READY, NULL, 0);
    if (a & DST_A_ACTIVATE)
        volumes(i, "volume.activate", VOL_RW, activated, NULL);
    if (a & DST_A_RESUME)
        resume(i);
    if (a & DST_A_SEND_RUNNING)
        mig_conn_send(i->conn, MIG_RUNNING, NULL, 0);
    if (a & DST_A_SEND_ABORT)
        mig_conn_send(i->conn, MIG_ABORT, i->why.text,
                      (uint32_t)strlen(i->why.text));
    if (a & DST_A_CLOSE)
        drop_link(i);
    if (a & DST_A_CLEANUP)
        cleanup(i);
    if (a & DST_A_REPORT_RUNNING)
        report_running(i, false);
    if (a & DST_A_REPORT_STOPPED)
        report_running(i, true);
}

/* --- the controller asks -------------------------------------------------- */
/* Also of a migration never heard of: it will be refused when it comes. */
static void cancel_unknown(struct node *n, const char *vm_id,
                           const char *migration_id, struct rpc_request *req)
{
    struct rec_mig rec;
    struct sc_err err = { 0 };
    int r = records_mig(n->records, migration_id, &rec);
    if (r == 0 && rec.state != REC_PREPARING) {
        bool mine = rec.state == REC_MINE || rec.state == REC_RUNNING;
        if (mine || rec.state == REC_CANCELLED)
            reply_state(req, mine ? "running" : "cancelled");
        else
            rpc_failf(req, -EINVAL, "migration %s left from here",
                      migration_id);
        return;
    }
    rec = (struct rec_mig){ .state = REC_CANCELLED };
    snprintf(rec.id, sizeof rec.id, "%s", migration_id);
    snprintf(rec.vm_id, sizeof rec.vm_id, "%s", vm_id);
    if (records_write(n->records, &rec, NULL, NULL, &err) < 0)
        rpc_fail(req, &err);
    else
        reply_state(req, "cancelled");
}

void mig_in_cancel(struct node *n, const char *vm_id, const char *migration_id,
                   struct rpc_request *req)
{
    struct vm *vm = vm_find(n, vm_id);
    struct mig_in *i = vm ? vm->in : NULL;
    if (!n->recovered) {
        rpc_failf(req, -EAGAIN, "sc-node is still finding its guests");
        return;
    }
    if (!i || strcmp(i->rec.id, migration_id) != 0) {
        cancel_unknown(n, vm_id, migration_id, req);
        return;
    }
    if (i->m.state == DST_CANCELLED || i->cancel_req) {
        rpc_failf(req, -EAGAIN, "migration %s: being cancelled", migration_id);
        return;
    }
    if (i->m.state >= DST_ACTIVATING && i->m.state <= DST_RUNNING) {
        reply_state(req, "running");
        return;
    }
    struct sc_err e = { 0 };
    sc_fail(&e, -ECANCELED, "the controller cancelled it");
    note(i, &e);
    i->cancel_req = req;
    feed(i, DST_E_CANCEL);
}

void mig_in_recover(struct vm *vm, const struct rec_mig *rec)
{
    struct mig_in *i = calloc(1, sizeof *i);
    if (!i)
        abort(); /* Some KiB: the machine is beyond help. */
    i->node = vm->node;
    i->rec = *rec;
    i->vm = vm;
    vm->in = i;
    i->stepping = true; /* Collect what the first actions bring. */
    act(i, mig_dst_restart_mine(&i->m));
    i->stepping = false;
    run_queue(i);
}
