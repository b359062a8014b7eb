/* mig_out - a guest leaves: the shell around migproto's source.
 *
 * Actions are done in the order of their bits; what they bring about comes
 * back as events.  Events that arise inside an action are queued, so that
 * 'step' is never entered twice. */
#include "common/log.h"
#include "node/mig_stream.h"
#include "node/node.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
    QUEUE_MAX = 16,
    CALL_MS = 30000,
    RETRY_MS = 1000,
    FLUSH_EVERY_MS = 2000,
    PROGRESS_MS = 500,
    NOTSENT_LOWAT = 256 << 10, /* Bytes in the kernel that were not sent. */
};

struct mig_out {
    struct node *node;
    struct vm *vm; /* NULL once the VM is no longer ours. */
    struct mig_out_args a;
    struct mig_src m;
    struct sc_err why; /* The first thing that went wrong. */
    struct rpc_request *req, *resolve_req;
    bool resolve_resume;
    struct mig_conn *conn;
    struct mig_stream *stream;
    bool engine_done, stream_eof;
    struct vol_op *vol_op, *flush_op;
    struct sc_source *flush_timer, *progress_timer, *retry_timer, *end_timer;
    unsigned rounds, resume_tries;
    uint64_t bytes, wire, began_at, stopped_at, running_at; /* ms */
    enum src_event queue[QUEUE_MAX];
    unsigned n_queue;
    bool stepping, ended;
};

static void feed(struct mig_out *o, enum src_event e);
static void act(struct mig_out *o, unsigned actions);
static const struct mig_conn_events conn_events;
static const struct hv_out_events engine_events;

const char *mig_out_id(const struct mig_out *o)
{
    return o->a.rec.id;
}

const char *mig_out_state(const struct mig_out *o)
{
    return mig_src_state_name(o->m.state);
}

static void note(struct mig_out *o, const struct sc_err *why)
{
    if (o->why.code == 0)
        o->why = *why;
}

/* --- the machine ---------------------------------------------------------- */
static void run_queue(struct mig_out *o)
{
    if (o->stepping)
        return;
    o->stepping = true;
    for (unsigned i = 0; i < o->n_queue; i++) {
        enum src_state before = o->m.state;
        unsigned actions = mig_src_step(&o->m, o->queue[i]);
        if (before != o->m.state)
            sc_logf(SC_LOG_DEBUG, "migration.out", "%s event %d: %d -> %d",
                    o->a.rec.id, (int)o->queue[i], (int)before,
                    (int)o->m.state);
        act(o, actions);
    }
    o->n_queue = 0;
    o->stepping = false;
}

static void feed(struct mig_out *o, enum src_event e)
{
    if (o->n_queue == QUEUE_MAX)
        abort(); /* A bug: actions bring at most a few events. */
    o->queue[o->n_queue++] = e;
    run_queue(o);
}

/* --- ends ----------------------------------------------------------------- */
static void drop_link(struct mig_out *o)
{
    if (o->stream)
        mig_stream_cut(o->stream);
    if (o->conn) {
        o->wire = mig_conn_sent(o->conn);
        mig_conn_finish(SC_TAKE(o->conn));
    }
}

void mig_out_free(struct mig_out *o)
{
    if (!o)
        return;
    if (o->vm)
        o->vm->out = NULL;
    node_answer_end(o->req);
    node_answer_end(o->resolve_req);
    mig_conn_free(o->conn);
    mig_stream_free(o->stream);
    vol_cancel(o->vol_op);
    vol_cancel(o->flush_op);
    sc_source_free(o->flush_timer);
    sc_source_free(o->progress_timer);
    sc_source_free(o->retry_timer);
    sc_source_free(o->end_timer);
    free(o);
}

static void free_later(void *arg)
{
    mig_out_free(arg);
}

static void end(struct mig_out *o)
{
    o->ended = true;
    drop_link(o);
    if (sc_loop_add_timer(o->node->loop, 0, 0, free_later, o, &o->end_timer) <
        0)
        abort(); /* Not even memory for a timer. */
}

static void answer_resolve(struct mig_out *o, bool resumed)
{
    struct rpc_request *req = SC_TAKE(o->resolve_req);
    if (!req)
        return;
    if (resumed == o->resolve_resume)
        rpc_reply(req, NULL);
    else
        rpc_failf(req, -EBUSY, "migration %s: it %s", o->a.rec.id,
                  resumed ? "stayed here" : "was released");
}

static cJSON *result(const struct mig_out *o)
{
    cJSON *j = cJSON_CreateObject();
    uint64_t now = sc_loop_now_ms(o->node->loop);
    json_set_u64(j, "total_ms", now - o->began_at);
    json_set_u64(j, "pause_ms",
                 o->running_at > o->stopped_at ? o->running_at - o->stopped_at
                                               : 0);
    cJSON_AddNumberToObject(j, "rounds", o->rounds);
    json_set_u64(j, "bytes_sent", o->bytes);
    json_set_u64(j, "bytes_wire", o->wire);
    return j;
}

static void progress(struct mig_out *o, const char *phase)
{
    cJSON *p = cJSON_CreateObject();
    o->bytes = o->stream ? mig_stream_bytes(o->stream) : o->bytes;
    o->wire = o->conn ? mig_conn_sent(o->conn) : o->wire;
    cJSON_AddStringToObject(p, "migration_id", o->a.rec.id);
    cJSON_AddStringToObject(p, "phase", phase);
    json_set_u64(p, "bytes_sent", o->bytes);
    json_set_u64(p, "bytes_wire", o->wire);
    cJSON_AddNumberToObject(p, "rounds", o->rounds);
    node_notify(o->node, "vm.progress", p);
}

/* --- records -------------------------------------------------------------- */
static bool write_state(struct mig_out *o, enum rec_state state,
                        const char *del_vm)
{
    struct sc_err e = { 0 };
    o->a.rec.state = state;
    if (records_write(o->node->records, &o->a.rec, NULL, del_vm, &e) == 0)
        return true;
    sc_log(SC_LOG_ERROR, "records.write", "migration", o->a.rec.id, "msg",
           e.text, NULL);
    note(o, &e);
    return false;
}

/* --- volumes -------------------------------------------------------------- */
static void handed_over(void *arg, const struct sc_err *err)
{
    struct mig_out *o = arg;
    o->vol_op = NULL;
    if (err->code < 0)
        note(o, err);
    else
        progress(o, "handover");
    feed(o, err->code < 0 ? SRC_E_HANDOVER_FAILED : SRC_E_HANDED_OVER);
}

static void thawed(void *arg, const struct sc_err *err)
{
    struct mig_out *o = arg;
    (void)err; /* Retried until it worked. */
    o->vol_op = NULL;
    feed(o, SRC_E_THAWED);
}

static void released_ro(void *arg, const struct sc_err *err)
{
    struct mig_out *o = arg;
    (void)err;
    o->vol_op = NULL;
    feed(o, SRC_E_VOLUMES_RELEASED);
}

static void released(void *arg, const struct sc_err *err)
{
    struct mig_out *o = arg;
    struct vol_call c = { .method = "volume.detach",
                          .which = VOL_RO,
                          .timeout_ms = CALL_MS,
                          .retry_ms = RETRY_MS,
                          .transient_only = true,
                          .absent_ok = true };
    (void)err;
    vol_each(o->node, &o->vm->spec, &c, NULL, released_ro, o, &o->vol_op);
}

static void volumes(struct mig_out *o, const char *method, uint64_t retry_ms,
                    vol_done_fn *done)
{
    struct vol_call c = { .method = method,
                          .which = VOL_RW,
                          .migration_id = o->a.rec.id,
                          .timeout_ms = CALL_MS,
                          .retry_ms = retry_ms,
                          .absent_ok = retry_ms > 0 };
    if (!retry_ms) {
        c.epoch = o->a.rec.epoch;
        c.peer_key = "to";
        c.peer = &o->a.rec;
    }
    vol_cancel(o->vol_op);
    vol_each(o->node, &o->vm->spec, &c, NULL, done, o, &o->vol_op);
}

/* Shortens what is left to hand over once the guest stands still. */
static void flushed(void *arg, const struct sc_err *err)
{
    struct mig_out *o = arg;
    (void)err;
    o->flush_op = NULL;
}

static void flush_volumes(void *arg)
{
    struct mig_out *o = arg;
    struct vol_call c = { .method = "volume.flush",
                          .which = VOL_RW,
                          .timeout_ms = CALL_MS };
    if (!o->flush_op && !o->m.stopped)
        vol_each(o->node, &o->vm->spec, &c, NULL, flushed, o, &o->flush_op);
}

static void tell_progress(void *arg)
{
    progress(arg, "precopy");
}

/* --- engine --------------------------------------------------------------- */
static void engine_over(struct mig_out *o)
{
    sc_source_free(SC_TAKE(o->flush_timer));
    sc_source_free(SC_TAKE(o->progress_timer));
}

static void engine_progress(void *arg, const struct hv_progress *p)
{
    struct mig_out *o = arg;
    o->rounds = p->rounds;
}

static void engine_stopped(void *arg)
{
    struct mig_out *o = arg;
    o->stopped_at = sc_loop_now_ms(o->node->loop);
    engine_over(o);
    feed(o, SRC_E_ENGINE_STOPPED);
    progress(o, "stopped");
}

static void engine_maybe_done(struct mig_out *o)
{
    /* On the way back nobody waits for the stream. */
    if (o->engine_done && (o->stream_eof || o->m.state == SRC_ABORTING)) {
        o->engine_done = false;
        feed(o, SRC_E_ENGINE_DONE);
    }
}

static void engine_done(void *arg, const struct sc_err *err)
{
    struct mig_out *o = arg;
    engine_over(o);
    if (err->code < 0) {
        note(o, err);
        feed(o, SRC_E_ENGINE_FAILED);
        return;
    }
    o->engine_done = true;
    engine_maybe_done(o);
}

static void stream_eof(void *arg)
{
    struct mig_out *o = arg;
    o->stream_eof = true;
    engine_maybe_done(o);
}

static const struct hv_out_events engine_events = {
    engine_progress,
    engine_stopped,
    engine_done,
};

static void start_engine(struct mig_out *o)
{
    struct sc_err e = { 0 };
    int fd = -1;
    int r = mig_stream_new(o->node->loop, &fd, &o->stream, &e);
    if (r == 0)
        r = mig_stream_out(o->stream, o->conn, stream_eof, o, &e);
    if (r == 0)
        r = hv_migrate_out(o->node->hv, o->vm->spec.id, SC_TAKE_FD(fd),
                           o->a.max_downtime_ms, &engine_events, o, &e);
    close_p(&fd);
    flush_volumes(o);
    if (r == 0)
        r = sc_loop_add_timer(o->node->loop, FLUSH_EVERY_MS, FLUSH_EVERY_MS,
                              flush_volumes, o, &o->flush_timer);
    if (r == 0)
        r = sc_loop_add_timer(o->node->loop, PROGRESS_MS, PROGRESS_MS,
                              tell_progress, o, &o->progress_timer);
    if (r < 0) {
        note(o, &e);
        feed(o, SRC_E_ENGINE_FAILED);
    }
}

static void abort_engine(struct mig_out *o)
{
    if (o->engine_done)
        engine_maybe_done(o);
    else if (hv_migrate_abort(o->node->hv, o->vm->spec.id, NULL) == -ENOENT)
        feed(o, SRC_E_GUEST_GONE);
}

static void guest_resumed(void *arg, const struct sc_err *err);

static void resume(void *arg)
{
    struct mig_out *o = arg;
    enum hv_state s;
    struct sc_err e = { 0 };
    sc_source_free(SC_TAKE(o->retry_timer));
    if (hv_state_of(o->node->hv, o->vm->spec.id, &s) < 0) {
        feed(o, SRC_E_GUEST_GONE);
        return;
    }
    if (s == HV_RUNNING)
        feed(o, SRC_E_GUEST_RESUMED);
    else if (hv_resume(o->node->hv, o->vm->spec.id, guest_resumed, o, &e) < 0)
        guest_resumed(o, &e);
}

static void guest_resumed(void *arg, const struct sc_err *err)
{
    struct mig_out *o = arg;
    if (err->code == 0) {
        feed(o, SRC_E_GUEST_RESUMED);
        return;
    }
    sc_log(SC_LOG_ERROR, "migration.resume", "vm", o->vm->spec.id, "msg",
           err->text, NULL);
    if (err->code == -ECANCELED || ++o->resume_tries > 30 ||
        sc_loop_add_timer(o->node->loop, RETRY_MS, 0, resume, o,
                          &o->retry_timer) < 0) {
        note(o, err);
        feed(o, SRC_E_GUEST_GONE);
    }
}

static void destroyed(void *arg, const struct sc_err *err)
{
    struct mig_out *o = arg;
    (void)err;
    o->vm->hv_here = false;
    feed(o, SRC_E_GUEST_GONE);
}

static void destroy(struct mig_out *o)
{
    struct sc_err e = { 0 };
    if (hv_stop(o->node->hv, o->vm->spec.id, 0, destroyed, o, &e) < 0)
        destroyed(o, &e); /* -ENOENT: it is gone. */
    ports_del(o->vm);
}

void mig_out_guest_gone(struct mig_out *o)
{
    struct sc_err e = { 0 };
    sc_fail(&e, -ESRCH, "vm '%s': the guest ended during the migration",
            o->vm->spec.name);
    note(o, &e);
    feed(o, SRC_E_GUEST_GONE);
}

/* --- reports -------------------------------------------------------------- */
static void report_uncertain(struct mig_out *o)
{
    struct sc_err e = { 0 };
    drop_link(o);
    sc_fail(&e, -ENOLINK,
            "migration %s: the link to the destination broke after COMMIT; "
            "to be resolved",
            o->a.rec.id);
    vm_set_phase(o->vm, VM_UNKNOWN, e.text);
    if (o->req)
        rpc_fail(SC_TAKE(o->req), &e);
    if (o->resolve_req) /* "sending" could not be written over "given". */
        rpc_fail(SC_TAKE(o->resolve_req), o->why.code ? &o->why : &e);
}

static void report_resumed(struct mig_out *o)
{
    struct vm *vm = o->vm;
    struct sc_err why = o->why;
    if (!why.code)
        sc_fail(&why, -ECANCELED, "the migration was given up");
    sc_log(SC_LOG_WARN, "migration.resumed", "migration", o->a.rec.id, "vm",
           vm->spec.id, "msg", why.text, NULL);
    vm->out = NULL;
    o->vm = NULL;
    if (o->m.gone)
        vm_ended(vm, &why);
    else
        vm_set_phase(vm, VM_RUNNING, why.text);
    if (o->req)
        rpc_fail(SC_TAKE(o->req), &why);
    answer_resolve(o, true);
    end(o);
}

static void report_released(struct mig_out *o)
{
    struct vm *vm = o->vm;
    progress(o, "committed");
    sc_log(SC_LOG_INFO, "migration.done", "migration", o->a.rec.id, "vm",
           vm->spec.id, "to", o->a.rec.peer_id, NULL);
    vm->out = NULL;
    o->vm = NULL;
    vm_free(vm);
    if (o->req)
        rpc_reply(SC_TAKE(o->req), result(o));
    answer_resolve(o, false);
    end(o);
    boot_trim(o->node);
}

static void act(struct mig_out *o, unsigned a)
{
    if (a & SRC_A_WRITE_GIVEN)
        feed(o, write_state(o, REC_GIVEN, NULL) ? SRC_E_WRITTEN
                                                : SRC_E_WRITE_FAILED);
    if (a & SRC_A_WRITE_SENDING)
        feed(o, write_state(o, REC_SENDING, NULL) ? SRC_E_WRITTEN
                                                  : SRC_E_WRITE_FAILED);
    if (a & SRC_A_WRITE_RESUMED)
        write_state(o, REC_RESUMED, NULL);
    if (a & SRC_A_WRITE_RELEASING) {
        o->running_at = sc_loop_now_ms(o->node->loop);
        write_state(o, REC_RELEASING, NULL);
    }
    if (a & SRC_A_WRITE_RELEASED)
        write_state(o, REC_RELEASED, o->vm->spec.id);
    if (a & SRC_A_SEND_HELLO) {
        struct mig_hello h = { .epoch = o->a.rec.epoch };
        memcpy(h.migration_id, o->a.rec.id, sizeof h.migration_id);
        memcpy(h.vm_id, o->a.rec.vm_id, sizeof h.vm_id);
        memcpy(h.ticket, o->a.ticket, sizeof h.ticket);
        SC_AUTO(free) char *text = mig_hello_encode(&h);
        mig_conn_send(o->conn, MIG_HELLO, text ? text : "",
                      text ? (uint32_t)strlen(text) : 0);
    }
    if (a & SRC_A_START_ENGINE)
        start_engine(o);
    if (a & SRC_A_SEND_STOPPED)
        mig_conn_send(o->conn, MIG_STOPPED, NULL, 0);
    if (a & SRC_A_HANDOVER)
        volumes(o, "volume.handover", 0, handed_over);
    if (a & SRC_A_SEND_HANDED_OVER)
        mig_conn_send(o->conn, MIG_HANDED_OVER, NULL, 0);
    if (a & SRC_A_SEND_END)
        mig_conn_send(o->conn, MIG_END, NULL, 0);
    if (a & SRC_A_SEND_COMMIT)
        mig_conn_send(o->conn, MIG_COMMIT, NULL, 0);
    if (a & SRC_A_SEND_ABORT && o->conn)
        mig_conn_send(o->conn, MIG_ABORT, o->why.text,
                      (uint32_t)strlen(o->why.text));
    if (a & SRC_A_CLOSE)
        drop_link(o);
    if (a & SRC_A_ABORT_ENGINE)
        abort_engine(o);
    if (a & SRC_A_THAW)
        volumes(o, "volume.thaw", RETRY_MS, thawed);
    if (a & SRC_A_RESUME)
        resume(o);
    if (a & SRC_A_DESTROY)
        destroy(o);
    if (a & SRC_A_RELEASE)
        volumes(o, "volume.release", RETRY_MS, released);
    if (a & SRC_A_REPORT_UNCERTAIN)
        report_uncertain(o);
    if (a & SRC_A_REPORT_RESUMED)
        report_resumed(o);
    if (a & SRC_A_REPORT_RELEASED)
        report_released(o);
}

/* --- link ----------------------------------------------------------------- */
static void link_up(void *arg)
{
    feed(arg, SRC_E_LINK_UP);
}

static void link_lost(void *arg, const struct sc_err *why)
{
    struct mig_out *o = arg;
    note(o, why);
    o->wire = mig_conn_sent(o->conn);
    if (o->stream)
        mig_stream_cut(o->stream);
    mig_conn_free(SC_TAKE(o->conn));
    feed(o, SRC_E_LINK_LOST);
}

static void link_room(void *arg)
{
    struct mig_out *o = arg;
    if (o->stream)
        mig_stream_room(o->stream);
}

static void link_frame(void *arg, const struct mig_frame *f)
{
    struct mig_out *o = arg;
    struct sc_err e = { 0 };
    switch (f->type) {
    case MIG_WELCOME:
        feed(o, SRC_E_WELCOME);
        return;
    case MIG_READY:
        feed(o, SRC_E_READY);
        return;
    case MIG_RUNNING:
        feed(o, SRC_E_RUNNING);
        return;
    case MIG_ABORT:
        sc_fail(&e, -ECANCELED, "the destination gave up: %.*s",
                (int)(f->size < 400 ? f->size : 400), (const char *)f->payload);
        note(o, &e);
        feed(o, SRC_E_ABORT);
        return;
    default:
        sc_fail(&e, -EPROTO, "the destination sent %s", mig_type_name(f->type));
        note(o, &e);
        feed(o, SRC_E_GIVE_UP);
    }
}

static const struct mig_conn_events conn_events = {
    link_up,
    link_frame,
    link_room,
    link_lost,
};

static int dial(const char *address, uint16_t port, struct sc_err *err)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST,
                              .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    char service[8];
    int on = 1, low = NOTSENT_LOWAT;
    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(address, service, &hints, &list) || !list)
        return sc_fail(err, -EINVAL, "'%s' is not an IP address", address);
    SC_AUTO(close)
    int fd =
        socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = fd < 0 ? -1 : connect(fd, list->ai_addr, list->ai_addrlen);
    int e = errno;
    freeaddrinfo(list);
    if (r < 0 && e != EINPROGRESS)
        return sc_fail(err, -e, "%s:%u: %s", address, port, strerror(e));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof low);
    return SC_TAKE_FD(fd);
}

/* --- entry ---------------------------------------------------------------- */
static int may_leave(struct node *n, const struct rec_mig *rec, struct vm **ret,
                     struct sc_err *err)
{
    struct rec_mig known;
    struct vm *vm = vm_find(n, rec->vm_id);
    if (!n->recovered)
        return sc_fail(err, -EAGAIN, "sc-node is still finding its guests");
    if (!vm || vm->phase == VM_INCOMING)
        return sc_fail(err, -ENOENT, "vm %s: it is not on this node",
                       rec->vm_id);
    if (vm->phase != VM_RUNNING || vm->out)
        return sc_fail(err, -EBUSY, "vm '%s': it is %s", vm->spec.name,
                       vm_phase_name(vm->phase));
    if (rec->epoch <= vm->spec.epoch)
        return sc_fail(err, -ESTALE, "vm '%s': epoch %llu is not after %llu",
                       vm->spec.name, (unsigned long long)rec->epoch,
                       (unsigned long long)vm->spec.epoch);
    if (!strcmp(rec->peer_id, n->config->node_id))
        return sc_fail(err, -EINVAL, "vm '%s': it is on that node already",
                       vm->spec.name);
    if (records_mig(n->records, rec->id, &known) == 0)
        return sc_fail(err, -EEXIST, "migration %s was made before: it is %s",
                       rec->id, rec_state_name(known.state));
    *ret = vm;
    return 0;
}

void mig_out_start(struct node *n, const struct mig_out_args *a,
                   struct rpc_request *req)
{
    struct sc_err err = { 0 };
    struct vm *vm = NULL;
    SC_AUTO(mig_out_free) struct mig_out *o = calloc(1, sizeof *o);
    int r = may_leave(n, &a->rec, &vm, &err);
    if (!o) {
        rpc_failf(req, -ENOMEM, "migration: out of memory");
        return;
    }
    if (r == 0) {
        o->node = n;
        o->a = *a;
        o->began_at = sc_loop_now_ms(n->loop);
        r = dial(a->rec.peer_address, a->port, &err);
    }
    if (r >= 0)
        r = mig_conn_new(n->loop, n->tls, r, false, a->rec.peer_id,
                         &conn_events, o, &o->conn, &err);
    if (r == 0) {
        o->a.rec.state = REC_SENDING;
        r = records_write(n->records, &o->a.rec, NULL, NULL, &err);
    }
    if (r < 0 || !vm) {
        rpc_fail(req, &err);
        return;
    }
    sc_log(SC_LOG_INFO, "migration.out", "migration", a->rec.id, "vm",
           vm->spec.id, "to", a->rec.peer_id, NULL);
    vm_set_phase(vm, VM_MIGRATING, NULL);
    o->req = req;
    o->vm = vm;
    vm->out = SC_TAKE(o);
}

void mig_out_recover(struct vm *vm, const struct rec_mig *rec)
{
    struct mig_out *o = calloc(1, sizeof *o);
    if (!o)
        abort(); /* Some KiB: the machine is beyond help. */
    o->node = vm->node;
    o->a.rec = *rec;
    o->vm = vm;
    o->began_at = sc_loop_now_ms(vm->node->loop);
    vm->out = o;
    sc_fail(&o->why, -ECANCELED, "sc-node was restarted");
    o->stepping = true; /* Collect what the first actions bring. */
    if (rec->state == REC_RELEASING) {
        o->m = (struct mig_src){ .state = SRC_RELEASING };
        act(o, SRC_A_DESTROY);
    } else {
        act(o, mig_src_restart(&o->m, rec->state == REC_GIVEN));
    }
    o->stepping = false;
    run_queue(o);
}

static void resolve_ended(struct node *n, const char *migration_id,
                          bool resume_it, struct rpc_request *req)
{
    struct rec_mig rec;
    int r = records_mig(n->records, migration_id, &rec);
    if (r < 0)
        rpc_failf(req, -ENOENT, "migration %s: it is not known here",
                  migration_id);
    else if (rec.state == (resume_it ? REC_RESUMED : REC_RELEASED))
        rpc_reply(req, NULL);
    else
        rpc_failf(req, -EBUSY, "migration %s: it is %s", migration_id,
                  rec_state_name(rec.state));
}

void mig_out_resolve(struct node *n, const char *vm_id,
                     const char *migration_id, bool resume_it,
                     struct rpc_request *req)
{
    struct vm *vm = vm_find(n, vm_id);
    struct mig_out *o = vm ? vm->out : NULL;
    if (!n->recovered) {
        rpc_failf(req, -EAGAIN, "sc-node is still finding its guests");
        return;
    }
    if (!o || strcmp(o->a.rec.id, migration_id) != 0) {
        resolve_ended(n, migration_id, resume_it, req);
        return;
    }
    if (o->resolve_req) {
        rpc_failf(req, -EALREADY, "migration %s: being resolved", migration_id);
        return;
    }
    if (!resume_it && (o->m.state < SRC_GIVEN || o->m.state == SRC_ABORTING ||
                       o->m.state == SRC_TAKING_BACK)) {
        rpc_failf(req, -EBUSY,
                  "migration %s: it was not committed; it goes on here",
                  migration_id);
        return;
    }
    o->resolve_req = req;
    o->resolve_resume = resume_it;
    if (resume_it && !o->why.code)
        sc_fail(&o->why, -ECANCELED, "the controller decided that it stays");
    feed(o, resume_it ? SRC_E_RESOLVE_RESUME : SRC_E_RESOLVE_RELEASE);
}
