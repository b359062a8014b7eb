#include "controller/jobs.h"

#include "common/log.h"
#include "controller/providers.h"

#include <stdarg.h>

enum { RETRY_MS = 1000, ENDED_KEPT = 500 };

const struct job_kind *const job_kinds[] = {
    &vm_create_job,
    &vm_start_job,
    &vm_stop_job,
    &vm_delete_job,
    &vm_migrate_job,
    &image_delete_job,
    &provider_publish_job,
    &provider_image_delete_job,
    &provider_launch_job,
    &provider_terminate_job,
    &provider_fence_job,
    &provider_gc_job,
    NULL,
};

static void step_begin(struct ctl *ctl, struct job *job);

/* The oldest ended jobs are forgotten when there are very many. */
static void forget_old(struct ctl *ctl, struct ctl_txn *x)
{
    size_t n_ended = 0;
    for (size_t i = 0; i < ctl->jobs.n; i++)
        n_ended += job_ended(ctl->jobs.items[i]);
    for (size_t i = 0; n_ended > ENDED_KEPT && i < ctl->jobs.n;) {
        struct job *job = ctl->jobs.items[i];
        if (!job_ended(job)) {
            i++;
            continue;
        }
        ctl_list_remove(&ctl->jobs, job);
        ctl_del(x, "jobs", job->id, "job");
        job_free(job);
        n_ended--;
    }
}

struct job *job_add(struct ctl *ctl, struct ctl_txn *x,
                    const struct job_kind *kind, const char *object_id,
                    const char *object_name, cJSON *data)
{
    struct job *job = job_new(kind, object_id, object_name, data, ctl_now(ctl));
    struct sc_err err;
    if (job && ctl_list_add(&ctl->jobs, job)) {
        forget_old(ctl, x);
        ctl_put_job(x, job);
        return job;
    }
    job_free(job);
    ctl_txn_fail(x, sc_fail(&err, -ENOMEM, "job: out of memory"), &err);
    return NULL;
}

void job_go(struct ctl *ctl, struct job *job)
{
    sc_log(SC_LOG_INFO, "job.begin", "job", job->id, "kind", job->kind->name,
           "object", job->object_name, NULL);
    step_begin(ctl, job);
}

void jobs_resume(struct ctl *ctl)
{
    for (size_t i = 0; i < ctl->jobs.n; i++) {
        struct job *job = ctl->jobs.items[i];
        if (job_ended(job))
            continue;
        sc_log(SC_LOG_INFO, "job.resume", "job", job->id, "kind",
               job->kind->name, "object", job->object_name, NULL);
        job_note(ctl, job, "the controller was restarted; going on");
        job->retry_at = ctl_now(ctl); /* jobs_run begins it. */
    }
}

void jobs_run(struct ctl *ctl)
{
    uint64_t now = ctl_now(ctl);
    for (size_t i = 0; i < ctl->jobs.n; i++) {
        struct job *job = ctl->jobs.items[i];
        if (!job_ended(job) && job->retry_at && job->retry_at <= now)
            step_begin(ctl, job);
    }
}

static void job_finish(struct ctl *ctl, struct job *job)
{
    bool ok = job->state == JOB_RUNNING;
    job_end(job, ctl_now(ctl));
    job->active = false;
    job->run = ++ctl->next_run;
    struct ctl_txn *x = ctl_txn_begin(ctl);
    if (job->kind->ended)
        job->kind->ended(ctl, job, x, ok);
    ctl_put_job(x, job);
    if (ctl_txn_commit(x, NULL) < 0)
        return;
    sc_log(job->state == JOB_FAILED ? SC_LOG_WARN : SC_LOG_INFO, "job.end",
           "job", job->id, "kind", job->kind->name, "object", job->object_name,
           "state", job_state_name(job->state), "error", job->error, NULL);
}

static void cancel_step(struct ctl *ctl, struct job *job)
{
    const struct job_step_kind *step = &job->kind->steps[job_current(job)];
    (step->cancel ? step->cancel : job_give_up)(ctl, job);
}

/* Stores what the job has become, then begins what is next. */
static void step_begin(struct ctl *ctl, struct job *job)
{
    if (ctl->broken || ctl->stopping)
        return;
    int i = job_current(job);
    job->retry_at = 0;
    if (i < 0) {
        job_finish(ctl, job);
        return;
    }
    const struct job_step_kind *step = &job->kind->steps[i];
    bool forward = job->state == JOB_RUNNING;
    if (forward && !(job->active && job->steps[i].state == STEP_RUNNING)) {
        job_begin_step(job, ctl_now(ctl));
        if (job_cancelling(job) && step->late) {
            job_drop_cancel(job);
            job_note(ctl, job, "too late to cancel: %s", step->late);
        }
        struct ctl_txn *x = ctl_txn_begin(ctl);
        ctl_put_job(x, job);
        if (ctl_txn_commit(x, NULL) < 0)
            return;
    }
    job->active = true;
    job->run = ++ctl->next_run;
    if (job_cancelling(job) && !step->late)
        cancel_step(ctl, job);
    else
        (forward ? step->run : step->undo)(ctl, job);
}

void job_cancel(struct ctl *ctl, struct job *job, const char *by,
                job_asked_fn *done, void *arg)
{
    struct sc_err err;
    bool again = job->cancel_at != 0;
    if (job_may_cancel(job, &err) < 0) {
        done(arg, &err);
        return;
    }
    if (!again) {
        job_set_cancel(job, by, ctl_now(ctl));
        sc_log(SC_LOG_INFO, "job.cancel", "job", job->id, "kind",
               job->kind->name, "object", job->object_name, "by", by, NULL);
        struct ctl_txn *x = ctl_txn_begin(ctl);
        ctl_put_job(x, job);
        if (ctl_txn_commit(x, &err) < 0) {
            done(arg, &err);
            return;
        }
    }
    /* One that was not taken up yet after a restart will see it then. */
    if (job->active && job_cancelling(job)) {
        if (job->kind->ask && job->kind->ask(ctl, job, done, arg))
            return;
        if (!again)
            cancel_step(ctl, job);
    }
    done(arg, NULL);
}

void job_give_up(struct ctl *ctl, struct job *job)
{
    struct sc_err err;
    job_cancel_err(job, &err);
    job_failed(ctl, job, &err);
}

void job_ok_txn(struct ctl *ctl, struct job *job, struct ctl_txn *x)
{
    if (job->state == JOB_RUNNING)
        job_finish_step(job, ctl_now(ctl));
    else
        job_finish_undo(job, ctl_now(ctl));
    job->run = ++ctl->next_run;
    ctl_put_job(x, job);
    if (ctl_txn_commit(x, NULL) == 0)
        step_begin(ctl, job);
}

void job_ok(struct ctl *ctl, struct job *job)
{
    job_ok_txn(ctl, job, ctl_txn_begin(ctl));
}

void job_failed(struct ctl *ctl, struct job *job, const struct sc_err *err)
{
    if (job->state == JOB_ROLLING_BACK) {
        job_again(ctl, job, RETRY_MS, "%s", err->text);
        return;
    }
    job_fail_step(job, err, ctl_now(ctl));
    job->run = ++ctl->next_run;
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_put_job(x, job);
    if (ctl_txn_commit(x, NULL) == 0)
        step_begin(ctl, job);
}

void job_failedf(struct ctl *ctl, struct job *job, int code, const char *fmt,
                 ...)
{
    struct sc_err err = { .code = code };
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.text, sizeof err.text, fmt, ap);
    va_end(ap);
    job_failed(ctl, job, &err);
}

void job_again(struct ctl *ctl, struct job *job, uint64_t delay_ms,
               const char *why, ...)
{
    int i = job_current(job);
    char text[JOB_DETAIL];
    va_list ap;
    va_start(ap, why);
    vsnprintf(text, sizeof text, why, ap);
    va_end(ap);
    job->run = ++ctl->next_run;
    job->retry_at = ctl_now(ctl) + (delay_ms ? delay_ms : 1);
    if (i < 0 || !strcmp(job->steps[i].detail, text))
        return;
    OBJ_SET(job->steps[i].detail, text);
    job_note(ctl, job, "%s: %s; trying again", job->kind->steps[i].name, text);
    ctl_announce_job(ctl, job);
}

bool job_need(struct ctl *ctl, struct job *job, uint16_t nid,
              enum ctl_program program, uint64_t patience_ms)
{
    if (ctl_connected(ctl, nid, program))
        return true;
    const struct ctl_node *n = ctl_node_by_nid(ctl, nid);
    const char *name = n ? n->n.name : "the controller";
    const struct job_step *step = &job->steps[job_current(job)];
    uint64_t since =
        step->started_at > ctl->started_at ? step->started_at : ctl->started_at;
    if (patience_ms && ctl_now(ctl) >= since + patience_ms)
        job_failedf(ctl, job, -EHOSTUNREACH, "%s of %s is not connected",
                    ctl_program_names[program], name);
    else
        job_again(ctl, job, 250, "waiting for %s of %s",
                  ctl_program_names[program], name);
    return false;
}

struct job_wait {
    struct ctl *ctl;
    char id[OBJ_ID];
    uint64_t run;
    job_answer_fn *fn;
};

static void job_answered(void *arg, const cJSON *result,
                         const struct sc_err *err)
{
    SC_AUTO(free) struct job_wait *w = arg;
    if (w->ctl->stopping || w->ctl->broken)
        return;
    struct job *job = ctl_job_find(w->ctl, w->id);
    if (job && job->run == w->run)
        w->fn(w->ctl, job, result, err);
}

void job_call(struct ctl *ctl, struct job *job, uint16_t nid,
              enum ctl_program program, const char *method, cJSON *params,
              uint64_t timeout_ms, job_answer_fn *fn)
{
    struct job_wait *w = malloc(sizeof *w);
    if (!w) {
        cJSON_Delete(params);
        job_again(ctl, job, RETRY_MS, "out of memory");
        return;
    }
    *w = (struct job_wait){ .ctl = ctl, .run = job->run, .fn = fn };
    OBJ_SET(w->id, job->id);
    ctl->env.call(ctl->env.ctx, nid, program, method, params, timeout_ms,
                  job_answered, w);
}

bool job_lost(const struct sc_err *err)
{
    return err->code == -ECONNRESET || err->code == -ENOTCONN ||
           err->code == -ETIMEDOUT || err->code == -ESHUTDOWN ||
           err->code == -EPIPE;
}

bool job_transient(const struct sc_err *err)
{
    return job_lost(err) || err->code == -EAGAIN || err->code == -EBUSY;
}

void job_retry(struct ctl *ctl, struct job *job, uint64_t patience_ms,
               const struct sc_err *err)
{
    const struct job_step *step = &job->steps[job_current(job)];
    if (ctl_now(ctl) < step->started_at + patience_ms)
        job_again(ctl, job, 500, "%s", err->text);
    else
        job_failed(ctl, job, err);
}

void job_note(struct ctl *ctl, struct job *job, const char *fmt, ...)
{
    char text[OBJ_TEXT];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    job_add_log(job, ctl_now(ctl), "%s", text);
}

uint64_t job_u64(const struct job *job, const char *key)
{
    const cJSON *j = cJSON_GetObjectItemCaseSensitive(job->data, key);
    return cJSON_IsNumber(j) && j->valuedouble > 0 ? (uint64_t)j->valuedouble
                                                   : 0;
}

const char *job_str(const struct job *job, const char *key)
{
    const cJSON *j = cJSON_GetObjectItemCaseSensitive(job->data, key);
    return cJSON_IsString(j) ? j->valuestring : "";
}

void job_set_u64(struct job *job, const char *key, uint64_t v)
{
    cJSON_DeleteItemFromObjectCaseSensitive(job->data, key);
    json_set_u64(job->data, key, v);
}

void job_set_str(struct job *job, const char *key, const char *v)
{
    cJSON_DeleteItemFromObjectCaseSensitive(job->data, key);
    cJSON_AddStringToObject(job->data, key, v);
}
