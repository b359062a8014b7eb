/* The job vm.migrate, as the section "Migration" of docs/protocols/rpc.md.
 *
 *   check -> allow -> network -> prepare -> transfer -> finish -> announce
 *
 * Until 'transfer' ends well everything can be undone: the destination is told
 * to cancel, the next epoch is taken back, the VM stays at its source.  When
 * vm.migrate_out ends in any way but success, or this program was restarted
 * while it ran, the resolver asks both sides and goes on as migrate_decide
 * says; while it cannot know, it waits, however long.  'finish' and 'announce'
 * cannot fail.
 * Cancelled while 'transfer' runs, it is the destination that decides, as in
 * any other dispute: it promises never to run the VM, whereupon the source goes
 * on with it; or it runs it already, and it is too late.
 * job->data: from_nid, to_nid, memory_mib, max_downtime_ms, epoch, port,
 * ticket, begun (vm.migrate_out was called), cause, source, release. */
#include "common/log.h"
#include "controller/authority.h"
#include "controller/jobs.h"
#include "controller/migrate_decide.h"
#include "controller/sessions.h"

#include <inttypes.h>

enum {
    NETWORK_PATIENCE_MS = 15000,
    CONNECT_PATIENCE_MS = 20000,
    PREPARE_PATIENCE_MS = 60000,
    PREPARE_TIMEOUT_MS = 120000,
    QUERY_TIMEOUT_MS = 10000,
    RESOLVE_MS = 500,
    SEEN_GRACE_MS = 3000,
    CANCEL_PATIENCE_MS = 10000,
};

static uint16_t from_nid(const struct job *job)
{
    return (uint16_t)job_u64(job, "from_nid");
}

static uint16_t to_nid(const struct job *job)
{
    return (uint16_t)job_u64(job, "to_nid");
}

static uint32_t next_epoch(const struct job *job)
{
    return (uint32_t)job_u64(job, "epoch");
}

static const char *node_name(struct ctl *ctl, uint16_t nid)
{
    const struct ctl_node *n = ctl_node_by_nid(ctl, nid);
    return n ? n->n.name : "?";
}

static void add_node(struct ctl *ctl, cJSON *j, const char *key, uint16_t nid,
                     uint64_t port)
{
    const struct ctl_node *n = ctl_node_by_nid(ctl, nid);
    cJSON *o = cJSON_AddObjectToObject(j, key);
    cJSON_AddStringToObject(o, "node_id", n ? n->n.id : "");
    json_set_u64(o, "nid", nid);
    cJSON_AddStringToObject(o, "address", n ? n->n.address : "");
    if (port)
        json_set_u64(o, "port", port);
}

static cJSON *migration_params(const struct job *job)
{
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "vm_id", job->object_id);
    cJSON_AddStringToObject(p, "migration_id", job->id);
    return p;
}

static bool is_step(const struct job *job, const char *name)
{
    int i = job_current(job);
    return job->state == JOB_RUNNING && i >= 0 &&
           !strcmp(job->kind->steps[i].name, name);
}

/* --- check, allow
 * -------------------------------------------------------------- */

/* The result names both ends from the beginning: the console's map shows the
 * VM on its way. */
static void name_ends(struct ctl *ctl, struct job *job)
{
    cJSON_DeleteItemFromObject(job->result, "from");
    cJSON_DeleteItemFromObject(job->result, "to");
    cJSON_AddStringToObject(job->result, "from", node_name(ctl, from_nid(job)));
    cJSON_AddStringToObject(job->result, "to", node_name(ctl, to_nid(job)));
}

static void check_run(struct ctl *ctl, struct job *job)
{
    name_ends(ctl, job);
    const struct ctl_node *to = ctl_node_by_nid(ctl, to_nid(job));
    if (!to || to->n.state != NODE_UP)
        job_failedf(ctl, job, -EHOSTUNREACH, "node '%s': is not up",
                    node_name(ctl, to_nid(job)));
    else if (ctl_node_revoked(to))
        job_failedf(ctl, job, -EHOSTUNREACH,
                    "node '%s': its provider will take it away",
                    node_name(ctl, to_nid(job)));
    else if (job_need(ctl, job, from_nid(job), PROGRAM_NODE,
                      CONNECT_PATIENCE_MS) &&
             job_need(ctl, job, to_nid(job), PROGRAM_NODE, CONNECT_PATIENCE_MS))
        job_ok(ctl, job);
}

static void allow_run(struct ctl *ctl, struct job *job)
{
    struct vm *v = job_vm(ctl, job);
    if (!next_epoch(job))
        job_set_u64(job, "epoch", v->last_epoch + 1);
    v->last_epoch = next_epoch(job);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    struct store_txn *t = ctl_txn_store(x);
    struct sc_err err = { 0 };
    int r = 0;
    for (uint32_t i = 0; t && r == 0 && i < v->n_volumes; i++)
        r = authority_allow_next(t, v->volumes[i].id, next_epoch(job),
                                 to_nid(job), &err);
    ctl_put_vm(x, v);
    if (r == 0) {
        job_ok_txn(ctl, job, x);
        return;
    }
    ctl_txn_fail(x, r, &err);
    ctl_txn_commit(x, NULL);
    job_failed(ctl, job, &err);
}

static void allow_undo(struct ctl *ctl, struct job *job)
{
    struct vm *v = job_vm(ctl, job);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    struct store_txn *t = ctl_txn_store(x);
    for (uint32_t i = 0; t && i < v->n_volumes; i++) {
        struct sc_err err;
        int r =
            authority_cancel_next(t, v->volumes[i].id, next_epoch(job), &err);
        /* Cannot be, if the nodes keep their promises. */
        if (r < 0)
            sc_log(SC_LOG_ERROR, "vm.migrate.undo", "vm", v->name, "error",
                   err.text, NULL);
    }
    job_ok_txn(ctl, job, x);
}

/* --- network
 * --------------------------------------------------------------------- */

static void network_answer(struct ctl *ctl, struct job *job,
                           const cJSON *result, const struct sc_err *err);

static void network_port(struct ctl *ctl, struct job *job)
{
    const struct vm *v = job_vm(ctl, job);
    uint64_t i = job_u64(job, "port_index");
    if (i >= v->n_ports) {
        job_ok(ctl, job);
        return;
    }
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "port_id", v->ports[i].id);
    json_set_u64(p, "from_nid", from_nid(job));
    json_set_u64(p, "to_nid", to_nid(job));
    job_call(ctl, job, 0, PROGRAM_NETWORK, "net.migrate_prepare", p,
             NETWORK_PATIENCE_MS, network_answer);
}

static void network_answer(struct ctl *ctl, struct job *job,
                           const cJSON *result, const struct sc_err *err)
{
    (void)result;
    if (err->code && job_lost(err))
        job_again(ctl, job, 500, "sc-network: %s", err->text);
    else if (err->code == -EHOSTUNREACH) /* A switch may be about to return. */
        job_retry(ctl, job, NETWORK_PATIENCE_MS, err);
    else if (err->code)
        job_failed(ctl, job, err);
    else {
        job_set_u64(job, "port_index", job_u64(job, "port_index") + 1);
        network_port(ctl, job);
    }
}

static void network_run(struct ctl *ctl, struct job *job)
{
    job_set_u64(job, "port_index", 0);
    if (job_vm(ctl, job)->n_ports == 0 ||
        job_need(ctl, job, 0, PROGRAM_NETWORK, NETWORK_PATIENCE_MS))
        network_port(ctl, job);
}

/* Tells where the ports are now.  If sc-network is away, it gets all by
 * net.state when it comes. */
static void tell_network(struct ctl *ctl, const struct vm *v)
{
    ctl_net_tell_ports(ctl, v);
    for (uint32_t i = 0; i < v->n_ports; i++) {
        cJSON *p = cJSON_CreateObject();
        cJSON_AddStringToObject(p, "port_id", v->ports[i].id);
        json_set_u64(p, "nid", v->nid);
        ctl->env.notify(ctl->env.ctx, 0, PROGRAM_NETWORK, "net.migrate_end", p);
    }
}

static void network_undo(struct ctl *ctl, struct job *job)
{
    tell_network(ctl, job_vm(ctl, job));
    job_ok(ctl, job);
}

/* --- prepare
 * ----------------------------------------------------------------------- */

static void prepare_answer(struct ctl *ctl, struct job *job,
                           const cJSON *result, const struct sc_err *err)
{
    struct sc_err bad;
    if (err->code == -EAGAIN) {
        job_retry(ctl, job, PREPARE_PATIENCE_MS, err);
        return;
    }
    if (err->code) {
        job_failed(ctl, job, err);
        return;
    }
    struct json_reader r = json_read(result, "vm.prepare_in");
    int64_t port = json_int(&r, "port", 1, UINT16_MAX);
    const char *ticket = json_str(&r, "ticket", 0, 4096);
    if (json_done(&r, &bad) < 0) {
        job_failed(ctl, job, &bad);
        return;
    }
    job_set_u64(job, "port", (uint64_t)port);
    job_set_str(job, "ticket", ticket);
    job_ok(ctl, job);
}

static void prepare_run(struct ctl *ctl, struct job *job)
{
    if (!job_need(ctl, job, to_nid(job), PROGRAM_NODE, CONNECT_PATIENCE_MS))
        return;
    cJSON *p = cJSON_CreateObject();
    cJSON_AddItemToObject(p, "vm",
                          vm_spec_json(ctl, job_vm(ctl, job), next_epoch(job)));
    cJSON_AddStringToObject(p, "migration_id", job->id);
    add_node(ctl, p, "from", from_nid(job), 0);
    job_call(ctl, job, to_nid(job), PROGRAM_NODE, "vm.prepare_in", p,
             PREPARE_TIMEOUT_MS, prepare_answer);
}

static void cancel_later(struct ctl *ctl, struct job *job)
{
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_errand_add(ctl, x, to_nid(job), PROGRAM_NODE, "vm.migrate_cancel",
                   migration_params(job));
    job_ok_txn(ctl, job, x);
}

static const char *answer_state(const cJSON *result)
{
    const cJSON *s = cJSON_GetObjectItemCaseSensitive(result, "state");
    return cJSON_IsString(s) ? s->valuestring : "";
}

static void cancel_answer(struct ctl *ctl, struct job *job, const cJSON *result,
                          const struct sc_err *err)
{
    if (err->code && job_lost(err))
        cancel_later(ctl, job);
    else if (err->code && err->code != -ENOENT)
        job_failed(ctl, job, err); /* Undoing: tries again. */
    else if (!err->code && !strcmp(answer_state(result), "running"))
        job_again(ctl, job, RESOLVE_MS,
                  "the destination says it runs the VM; waiting");
    else
        job_ok(ctl, job);
}

static void prepare_undo(struct ctl *ctl, struct job *job)
{
    if (!ctl_connected(ctl, to_nid(job), PROGRAM_NODE))
        cancel_later(ctl, job);
    else
        job_call(ctl, job, to_nid(job), PROGRAM_NODE, "vm.migrate_cancel",
                 migration_params(job), CANCEL_PATIENCE_MS, cancel_answer);
}

/* --- transfer
 * ------------------------------------------------------------------------ */

static void resolve(struct ctl *ctl, struct job *job);

static void add_number(cJSON *to, const cJSON *from, const char *key)
{
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(from, key);
    cJSON_DeleteItemFromObjectCaseSensitive(to, key);
    if (cJSON_IsNumber(n))
        cJSON_AddNumberToObject(to, key, n->valuedouble);
    else
        cJSON_AddNullToObject(to, key);
}

static void set_cause(struct job *job, const struct sc_err *err)
{
    if (job_str(job, "cause")[0])
        return;
    job_set_str(job, "cause", err->text);
    job_set_str(job, "cause_name", sc_err_name(err->code));
}

/* Adds to the traffic of both ends what 'news' says beyond the last report. */
static void count_wire(struct ctl *ctl, const struct job *job,
                       const cJSON *news)
{
    struct ctl_node *from = ctl_node_by_nid(ctl, from_nid(job));
    struct ctl_node *to = ctl_node_by_nid(ctl, to_nid(job));
    const cJSON *was =
        cJSON_GetObjectItemCaseSensitive(job->result, "bytes_wire");
    const cJSON *is = cJSON_GetObjectItemCaseSensitive(news, "bytes_wire");
    double more = cJSON_IsNumber(is) ? is->valuedouble : 0;
    more -= cJSON_IsNumber(was) ? was->valuedouble : 0;
    if (!from || !to || !strcmp(from->n.region, to->n.region) || !(more > 0) ||
        more > 1e15)
        return;
    from->moved_out += (uint64_t)more;
    to->moved_in += (uint64_t)more;
}

static void transfer_answer(struct ctl *ctl, struct job *job,
                            const cJSON *result, const struct sc_err *err)
{
    static const char *const keys[] = { "total_ms", "pause_ms", "rounds",
                                        "bytes_sent", "bytes_wire" };
    if (err->code) {
        set_cause(job, err);
        job_note(ctl, job, "the transfer ended early: %s", err->text);
        resolve(ctl, job);
        return;
    }
    count_wire(ctl, job, result);
    for (size_t i = 0; i < SC_ARRAY_LEN(keys); i++)
        add_number(job->result, result, keys[i]);
    job_ok(ctl, job);
}

static void transfer_run(struct ctl *ctl, struct job *job)
{
    if (job_u64(job, "begun")) {
        resolve(ctl, job);
        return;
    }
    if (job_cancelling(job)) {
        job_give_up(ctl, job);
        return;
    }
    if (!job_need(ctl, job, from_nid(job), PROGRAM_NODE, CONNECT_PATIENCE_MS))
        return;
    job_set_u64(job, "begun", 1);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_put_job(x, job);
    if (ctl_txn_commit(x, NULL) < 0)
        return;
    cJSON *p = migration_params(job);
    json_set_u64(p, "epoch", next_epoch(job));
    add_node(ctl, p, "to", to_nid(job), job_u64(job, "port"));
    cJSON_AddStringToObject(p, "ticket", job_str(job, "ticket"));
    json_set_u64(p, "max_downtime_ms", job_u64(job, "max_downtime_ms"));
    job_call(ctl, job, from_nid(job), PROGRAM_NODE, "vm.migrate_out", p, 0,
             transfer_answer);
}

/* The resolver: asks the destination, then the source, then acts.  (In this
 * order: what the source says is then not older than the destination's
 * answer, and a destination that runs needs no source.)  job->data "source"
 * and "destination" hold what was heard in this round. */

static void go_forward(struct ctl *ctl, struct job *job)
{
    job_set_u64(job, "release", 1);
    if (!cJSON_GetObjectItem(job->result, "total_ms"))
        json_set_u64(job->result, "total_ms",
                     ctl_now(ctl) - job->steps[job_current(job)].started_at);
    job_note(ctl, job, "the destination runs the VM: going on");
    job_ok(ctl, job);
}

static void go_back(struct ctl *ctl, struct job *job)
{
    struct sc_err err;
    const char *cause = job_str(job, "cause");
    const char *name = job_str(job, "cause_name");
    if (job->cancel_at) {
        job_cancel_err(job, &err);
        cause = err.text;
        name = sc_err_name(err.code);
    }
    struct sc_err why;
    sc_fail(&why, name[0] ? sc_err_code(name) : -ECONNABORTED,
            "%s; the VM stays at '%s'",
            cause[0] ? cause : "the migration was broken off",
            node_name(ctl, from_nid(job)));
    job_failed(ctl, job, &why);
}

static void resumed(struct ctl *ctl, struct job *job, const cJSON *result,
                    const struct sc_err *err)
{
    (void)result;
    if (err->code && err->code != -ENOENT)
        job_again(ctl, job, RESOLVE_MS, "telling the source to go on: %s",
                  err->text);
    else
        go_back(ctl, job);
}

/* The destination has promised: the VM is the source's, for good.  A source
 * that is away hears it as soon as it is back. */
static void go_resume(struct ctl *ctl, struct job *job)
{
    cJSON *p = migration_params(job);
    cJSON_AddStringToObject(p, "outcome", "resume");
    if (ctl_connected(ctl, from_nid(job), PROGRAM_NODE)) {
        job_call(ctl, job, from_nid(job), PROGRAM_NODE, "vm.migrate_resolve", p,
                 QUERY_TIMEOUT_MS, resumed);
        return;
    }
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_errand_add(ctl, x, from_nid(job), PROGRAM_NODE, "vm.migrate_resolve",
                   p);
    if (ctl_txn_commit(x, NULL) == 0)
        go_back(ctl, job);
}

static void act(struct ctl *ctl, struct job *job);

static void promised(struct ctl *ctl, struct job *job, const cJSON *result,
                     const struct sc_err *err)
{
    job_set_str(job, "destination",
                err->code ? "unreachable" : answer_state(result));
    act(ctl, job);
}

static void act(struct ctl *ctl, struct job *job)
{
    const char *source = job_str(job, "source");
    const char *destination = job_str(job, "destination");
    bool source_runs = job_u64(job, "source_runs") != 0;
    struct sc_err lost;
    if (!strcmp(source, "unknown")) { /* From here its heartbeats count. */
        sc_fail(&lost, -ECONNABORTED, "the source does not know the migration");
        set_cause(job, &lost);
    }
    switch (migrate_decide(migrate_side_parse(source),
                           migrate_side_parse(destination), source_runs,
                           job->cancel_at != 0)) {
    case MIGRATE_FORWARD:
        go_forward(ctl, job);
        return;
    case MIGRATE_BACK:
        go_back(ctl, job);
        return;
    case MIGRATE_RESUME:
        go_resume(ctl, job);
        return;
    case MIGRATE_CANCEL:
        job_call(ctl, job, to_nid(job), PROGRAM_NODE, "vm.migrate_cancel",
                 migration_params(job), QUERY_TIMEOUT_MS, promised);
        return;
    case MIGRATE_WAIT:
        job_again(ctl, job, RESOLVE_MS, "source %s, destination %s", source,
                  destination);
        return;
    }
}

static void source_answer(struct ctl *ctl, struct job *job, const cJSON *result,
                          const struct sc_err *err)
{
    job_set_str(job, "source",
                err->code ? "unreachable" : answer_state(result));
    act(ctl, job);
}

static void destination_answer(struct ctl *ctl, struct job *job,
                               const cJSON *result, const struct sc_err *err)
{
    job_set_str(job, "destination",
                err->code ? "unreachable" : answer_state(result));
    job_call(ctl, job, from_nid(job), PROGRAM_NODE, "vm.migrate_query",
             migration_params(job), QUERY_TIMEOUT_MS, source_answer);
}

static void resolve(struct ctl *ctl, struct job *job)
{
    job_call(ctl, job, to_nid(job), PROGRAM_NODE, "vm.migrate_query",
             migration_params(job), QUERY_TIMEOUT_MS, destination_answer);
}

/* --- cancelling ---------------------------------------------------------- */

struct ask {
    struct ctl *ctl;
    char id[OBJ_ID];
    job_asked_fn *done;
    void *arg;
};

static void too_late(struct ctl *ctl, struct job *job, struct sc_err *err)
{
    sc_fail(err, -EBUSY,
            "job %s: too late to cancel: the VM is given over, '%s' runs it",
            job->id, node_name(ctl, to_nid(job)));
    job_drop_cancel(job);
    job_note(ctl, job, "%s", err->text);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_put_job(x, job);
    ctl_txn_commit(x, NULL);
}

/* What the destination says to a user who waits.  Its promise makes the source
 * go on, which ends vm.migrate_out; if that is not heard of, the resolver asks.
 */
static void ask_answer(void *arg, const cJSON *result, const struct sc_err *err)
{
    SC_AUTO(free) struct ask *a = arg;
    struct ctl *ctl = a->ctl;
    struct sc_err why = { 0 };
    struct job *job = NULL;
    if (ctl->stopping || ctl->broken)
        sc_fail(&why, -ESHUTDOWN, "the controller is stopping");
    else if (!(job = ctl_job_find(ctl, a->id)))
        sc_fail(&why, -ENOENT, "job %s: not found", a->id);
    else if (!job_cancelling(job) || !is_step(job, "transfer"))
        (void)job_may_cancel(job, &why); /* It went on meanwhile. */
    else if (!err->code && !strcmp(answer_state(result), "running"))
        too_late(ctl, job, &why);
    else if (err->code || !job->retry_at)
        job->retry_at = ctl_now(ctl) + (err->code ? RESOLVE_MS : SEEN_GRACE_MS);
    a->done(a->arg, why.code ? &why : NULL);
}

static bool migrate_ask(struct ctl *ctl, struct job *job, job_asked_fn *done,
                        void *arg)
{
    struct ask *a = is_step(job, "transfer") && job_u64(job, "begun")
                        ? malloc(sizeof *a)
                        : NULL;
    if (!a)
        return false;
    *a = (struct ask){ .ctl = ctl, .done = done, .arg = arg };
    OBJ_SET(a->id, job->id);
    ctl->env.call(ctl->env.ctx, to_nid(job), PROGRAM_NODE, "vm.migrate_cancel",
                  migration_params(job), QUERY_TIMEOUT_MS, ask_answer, a);
    return true;
}

void vm_migrate_seen(struct ctl *ctl, struct vm *v, uint16_t nid,
                     uint32_t epoch)
{
    struct job *job = ctl_job_find(ctl, v->job);
    if (!job || job->kind != &vm_migrate_job || !is_step(job, "transfer"))
        return;
    if (nid == v->nid && epoch == v->epoch) {
        if (job_str(job, "cause")[0]) /* Only since the trouble began. */
            job_set_u64(job, "source_runs", 1);
        return;
    }
    if (nid != to_nid(job) || epoch != next_epoch(job))
        return;
    /* The source will tell the same, with its figures; if it cannot, the
     * resolver asks. */
    if (!job->retry_at)
        job->retry_at = ctl_now(ctl) + SEEN_GRACE_MS;
}

void vm_migrate_progress(struct ctl *ctl, struct vm *v, const char *phase,
                         const cJSON *params)
{
    struct job *job = ctl_job_find(ctl, v->job);
    if (!job || job->kind != &vm_migrate_job || !is_step(job, "transfer"))
        return;
    const cJSON *sent = cJSON_GetObjectItemCaseSensitive(params, "bytes_sent");
    double whole = (double)v->memory_mib * (1 << 20);
    double part =
        cJSON_IsNumber(sent) && whole > 0 ? 90 * sent->valuedouble / whole : 0;
    unsigned percent = part > 90 ? 90 : part > 0 ? (unsigned)part : 0;
    if (strcmp(phase, "precopy") != 0) {
        percent = !strcmp(phase, "committed") ? 98 : 94;
        char text[JOB_DETAIL];
        snprintf(text, sizeof text, "%s", phase);
        struct job_step *step = &job->steps[job_current(job)];
        if (strcmp(step->detail, text) != 0)
            job_note(ctl, job, "transfer: %s", text);
        OBJ_SET(step->detail, text);
    }
    if (percent > job->percent)
        job->percent = percent;
    count_wire(ctl, job, params);
    add_number(job->result, params, "bytes_sent");
    add_number(job->result, params, "bytes_wire");
    add_number(job->result, params, "rounds");
    ctl_announce_job(ctl, job);
}

/* --- finish, announce
 * ------------------------------------------------------------------- */

static void finish_run(struct ctl *ctl, struct job *job)
{
    struct vm *v = job_vm(ctl, job);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    struct store_txn *t = ctl_txn_store(x);
    v->last_nid = from_nid(job);
    v->nid = to_nid(job);
    v->epoch = next_epoch(job);
    v->missed = 0;
    v->placed_at = ctl_now(ctl);
    v->error[0] = '\0';
    for (uint32_t i = 0; t && i < v->n_volumes; i++) {
        struct sc_err err;
        if (authority_commit_next(t, v->volumes[i].id, v->epoch, &err) < 0)
            sc_log(SC_LOG_ERROR, "vm.migrate.finish", "vm", v->name, "error",
                   err.text, NULL);
    }
    if (job_u64(job, "release")) {
        cJSON *p = migration_params(job);
        cJSON_AddStringToObject(p, "outcome", "release");
        ctl_errand_add(ctl, x, from_nid(job), PROGRAM_NODE,
                       "vm.migrate_resolve", p);
    }
    ctl_put_vm(x, v);
    job_ok_txn(ctl, job, x);
}

static void announce_run(struct ctl *ctl, struct job *job)
{
    struct vm *v = job_vm(ctl, job);
    tell_network(ctl, v);
    ctl_sessions_close_vm(ctl, v->id, "the VM moved; open it again");
    job_ok(ctl, job);
}

static void migrate_ended(struct ctl *ctl, struct job *job, struct ctl_txn *x,
                          bool ok)
{
    struct vm *v = job_vm(ctl, job);
    const struct ctl_node *n = ctl_node_by_nid(ctl, v->nid);
    (void)ok;
    v->job[0] = '\0';
    v->missed = 0;
    vm_move(v, n && n->n.state == NODE_UP ? VM_RUNNING : VM_UNKNOWN);
    ctl_put_vm(x, v);
    name_ends(ctl, job);
}

const struct job_kind vm_migrate_job = {
    .name = "vm.migrate",
    .steps = { { "check", check_run, NULL, .weight = 1 },
               { "allow", allow_run, allow_undo, .weight = 1 },
               { "network", network_run, network_undo, .weight = 1 },
               { "prepare", prepare_run, prepare_undo, .weight = 3 },
               { "transfer", transfer_run, NULL, .weight = 40,
                 .cancel = transfer_run },
               { "finish", finish_run, NULL, .weight = 1,
                 .late = "the VM runs at its destination already" },
               { "announce", announce_run, NULL, .weight = 1 } },
    .ended = migrate_ended,
    .ask = migrate_ask,
    .cancels = "the VM goes on where it is, and nothing is left at the "
               "destination",
};
