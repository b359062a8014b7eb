#include "controller/job.h"

#include <assert.h>
#include <stdarg.h>

struct job *job_new(const struct job_kind *kind, const char *object_id,
                    const char *object_name, cJSON *data, uint64_t now)
{
    SC_AUTO(job_free) struct job *job = calloc(1, sizeof *job);
    if (!job) {
        cJSON_Delete(data);
        return NULL;
    }
    job->kind = kind;
    job->data = data ? data : cJSON_CreateObject();
    job->result = cJSON_CreateObject();
    job->log = cJSON_CreateArray();
    job->started_at = now;
    sc_uuid_new(job->id);
    OBJ_SET(job->object_id, object_id);
    OBJ_SET(job->object_name, object_name);
    while (job->n_steps < JOB_STEPS_MAX && kind->steps[job->n_steps].name)
        job->n_steps++;
    return job->data && job->result && job->log ? SC_TAKE(job) : NULL;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    cJSON_Delete(job->data);
    cJSON_Delete(job->result);
    cJSON_Delete(job->log);
    free(job);
}

bool job_ended(const struct job *job)
{
    return job->state == JOB_DONE || job->state == JOB_FAILED ||
           job->state == JOB_CANCELLED;
}

int job_current(const struct job *job)
{
    if (job->state == JOB_RUNNING) {
        for (size_t i = 0; i < job->n_steps; i++) {
            if (job->steps[i].state != STEP_DONE)
                return (int)i;
        }
    } else if (job->state == JOB_ROLLING_BACK) {
        for (size_t i = job->n_steps; i-- > 0;) {
            enum step_state s = job->steps[i].state;
            if ((s == STEP_FAILED || s == STEP_DONE) &&
                job->kind->steps[i].undo)
                return (int)i;
        }
    }
    return -1;
}

static struct job_step *move_step(struct job *job, enum step_state to)
{
    int i = job_current(job);
    assert(i >= 0);
    struct job_step *step = &job->steps[i];
    assert(step_state_may(step->state, to));
    step->state = to;
    job->percent = 0;
    return step;
}

static void move_job(struct job *job, enum job_state to)
{
    assert(job_state_may(job->state, to));
    job->state = to;
}

void job_begin_step(struct job *job, uint64_t now)
{
    assert(job->state == JOB_RUNNING);
    struct job_step *step = move_step(job, STEP_RUNNING);
    if (!step->started_at)
        step->started_at = now;
}

void job_finish_step(struct job *job, uint64_t now)
{
    assert(job->state == JOB_RUNNING);
    struct job_step *step = move_step(job, STEP_DONE);
    step->ended_at = now;
    step->detail[0] = '\0';
}

void job_fail_step(struct job *job, const struct sc_err *err, uint64_t now)
{
    assert(job->state == JOB_RUNNING);
    struct job_step *step = move_step(job, STEP_FAILED);
    step->ended_at = now;
    OBJ_SET(step->detail, err->text);
    OBJ_SET(job->error, err->text);
    job->error_code = err->code;
    move_job(job, JOB_ROLLING_BACK);
    job_add_log(job, now, "%s failed: %s",
                job->kind->steps[step - job->steps].name, err->text);
}

void job_finish_undo(struct job *job, uint64_t now)
{
    assert(job->state == JOB_ROLLING_BACK);
    struct job_step *step = move_step(job, STEP_UNDONE);
    step->ended_at = now;
    job_add_log(job, now, "%s undone",
                job->kind->steps[step - job->steps].name);
}

void job_end(struct job *job, uint64_t now)
{
    assert(job_current(job) < 0);
    move_job(job, job->state == JOB_RUNNING ? JOB_DONE
                  : job->cancel_at          ? JOB_CANCELLED
                                            : JOB_FAILED);
    job->ended_at = now;
}

/* Why it cannot be cancelled, or NULL. */
static const char *refusal(const struct job *job)
{
    if (job->kind->fixed)
        return job->kind->fixed;
    if (job->state == JOB_ROLLING_BACK)
        return "it has failed already and is being undone";
    for (int i = job_current(job); i >= 0; i--) {
        if (job->kind->steps[i].late)
            return job->kind->steps[i].late;
    }
    return NULL;
}

int job_may_cancel(const struct job *job, struct sc_err *err)
{
    if (job_ended(job))
        return sc_fail(err, -EALREADY, "job %s: has ended already: it is %s",
                       job->id, job_state_name(job->state));
    const char *why = job->cancel_at ? NULL : refusal(job);
    return why ? sc_fail(err, -EBUSY, "job %s (%s): cannot be cancelled%s: %s",
                         job->id, job->kind->name,
                         job->kind->fixed ? "" : " any more", why)
               : 0;
}

/* For people: what will become of the job's object if it is cancelled, or why
 * it cannot be. */
static const char *cancel_note(const struct job *job)
{
    if (job_ended(job))
        return "";
    if (job->cancel_at)
        return "it is being cancelled";
    const char *why = refusal(job);
    const char *what = job->kind->cancels ? job->kind->cancels : "";
    return why ? why : what;
}

void job_set_cancel(struct job *job, const char *by, uint64_t now)
{
    job->cancel_at = now;
    OBJ_SET(job->cancel_by, by);
    job_add_log(job, now, "%s asked to cancel it", job->cancel_by);
}

void job_drop_cancel(struct job *job)
{
    assert(job->state == JOB_RUNNING);
    job->cancel_at = 0;
    job->cancel_by[0] = '\0';
}

bool job_cancelling(const struct job *job)
{
    return job->state == JOB_RUNNING && job->cancel_at != 0;
}

void job_cancel_err(const struct job *job, struct sc_err *ret)
{
    sc_fail(ret, -ECANCELED, "cancelled by %s", job->cancel_by);
}

unsigned job_progress(const struct job *job)
{
    unsigned total = 0, done = 0;
    if (job_ended(job))
        return 100;
    for (size_t i = 0; i < job->n_steps; i++) {
        unsigned weight = job->kind->steps[i].weight;
        weight = weight ? weight : 1;
        total += 100 * weight;
        if (job->steps[i].state == STEP_DONE)
            done += 100 * weight;
        else if (job->steps[i].state == STEP_RUNNING)
            done += (job->percent < 100 ? job->percent : 100) * weight;
    }
    return total ? done * 100 / total : 0;
}

void job_add_log(struct job *job, uint64_t now, const char *fmt, ...)
{
    char text[OBJ_TEXT];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cJSON *entry = cJSON_CreateObject();
    json_set_u64(entry, "at", now);
    cJSON_AddStringToObject(entry, "text", text);
    cJSON_AddItemToArray(job->log, entry);
    if (cJSON_GetArraySize(job->log) > JOB_LOG_MAX)
        cJSON_DeleteItemFromArray(job->log, 0);
}

cJSON *job_to_json(const struct job *job, bool stored)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "id", job->id);
    cJSON_AddStringToObject(j, "kind", job->kind->name);
    cJSON_AddStringToObject(j, "object_id", job->object_id);
    cJSON_AddStringToObject(j, "object_name", job->object_name);
    cJSON_AddStringToObject(j, "state", job_state_name(job->state));
    cJSON_AddStringToObject(j, "error", job->error);
    json_set_u64(j, "progress", job_progress(job));
    json_set_u64(j, "started_at", job->started_at);
    json_set_u64(j, "ended_at", job->ended_at);
    cJSON *steps = cJSON_AddArrayToObject(j, "steps");
    for (size_t i = 0; i < job->n_steps; i++) {
        const struct job_step *s = &job->steps[i];
        cJSON *step = cJSON_CreateObject();
        cJSON_AddStringToObject(step, "name", job->kind->steps[i].name);
        cJSON_AddStringToObject(step, "state", step_state_name(s->state));
        json_set_u64(step, "started_at", s->started_at);
        json_set_u64(step, "ended_at", s->ended_at);
        cJSON_AddStringToObject(step, "detail", s->detail);
        cJSON_AddItemToArray(steps, step);
    }
    cJSON_AddItemToObject(j, "log", cJSON_Duplicate(job->log, true));
    cJSON_AddItemToObject(j, "result", cJSON_Duplicate(job->result, true));
    json_set_u64(j, "cancel_at", job->cancel_at);
    cJSON_AddStringToObject(j, "cancel_by", job->cancel_by);
    if (!stored) {
        cJSON_AddBoolToObject(
            j, "may_cancel", !job->cancel_at && job_may_cancel(job, NULL) == 0);
        cJSON_AddStringToObject(j, "cancel_note", cancel_note(job));
    }
    if (stored) {
        cJSON_AddItemToObject(j, "data", cJSON_Duplicate(job->data, true));
        cJSON_AddStringToObject(j, "error_name",
                                job->error_code ? sc_err_name(job->error_code)
                                                : "");
    }
    return j;
}

static int steps_from_json(const cJSON *steps, struct job *job,
                           struct sc_err *err)
{
    size_t i = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, steps)
    {
        struct json_reader r = json_read(item, "job: step");
        const char *name = json_str(&r, "name", 1, OBJ_NAME);
        const char *state = json_str(&r, "state", 1, 16);
        int64_t max = INT64_C(1) << 53;
        struct job_step s = { 0 };
        s.started_at = (uint64_t)json_int(&r, "started_at", 0, max);
        s.ended_at = (uint64_t)json_int(&r, "ended_at", 0, max);
        OBJ_SET(s.detail, json_str_or(&r, "detail", JOB_DETAIL - 1, ""));
        int e = json_done(&r, err);
        if (e < 0)
            return e;
        if (i >= job->n_steps || strcmp(name, job->kind->steps[i].name) != 0)
            return sc_fail(err, -ENOENT, "job: %s has no step '%s' here",
                           job->kind->name, name);
        if (!step_state_parse(state, &s.state))
            return sc_fail(err, -EINVAL, "job: step state '%s'", state);
        job->steps[i++] = s;
    }
    if (i != job->n_steps)
        return sc_fail(err, -EINVAL, "job: %zu steps instead of %zu", i,
                       job->n_steps);
    return 0;
}

static void take_child(const cJSON *from, cJSON **to)
{
    if (!from)
        return;
    cJSON_Delete(*to);
    *to = cJSON_Duplicate(from, true);
}

int job_from_json(const cJSON *j, const struct job_kind *const kinds[],
                  struct job **ret, struct sc_err *err)
{
    struct json_reader r = json_read(j, "job");
    int64_t max = INT64_C(1) << 53;
    const char *kind = json_str(&r, "kind", 1, OBJ_NAME);
    const char *id = json_str(&r, "id", 1, SC_UUID_LEN);
    const char *object_id = json_str(&r, "object_id", 0, SC_UUID_LEN);
    const char *name = json_str(&r, "object_name", 0, OBJ_NAME - 1);
    const char *state = json_str(&r, "state", 1, 16);
    const char *error = json_str_or(&r, "error", OBJ_TEXT - 1, "");
    const char *error_name = json_str_or(&r, "error_name", 32, "");
    int64_t started_at = json_int(&r, "started_at", 0, max);
    int64_t ended_at = json_int(&r, "ended_at", 0, max);
    int64_t cancel_at = json_int_or(&r, "cancel_at", 0, max, 0);
    const char *cancel_by = json_str_or(&r, "cancel_by", OBJ_NAME - 1, "");
    const cJSON *steps = json_arr(&r, "steps");
    const cJSON *log = json_arr(&r, "log");
    const cJSON *data = json_obj(&r, "data");
    const cJSON *result = json_obj(&r, "result");
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    while (*kinds && strcmp((*kinds)->name, kind) != 0)
        kinds++;
    if (!*kinds)
        return sc_fail(err, -ENOENT, "job: no kind '%s'", kind);
    SC_AUTO(job_free)
    struct job *job =
        job_new(*kinds, object_id, name, NULL, (uint64_t)started_at);
    if (!job)
        return sc_fail(err, -ENOMEM, "job: out of memory");
    OBJ_SET(job->id, id);
    OBJ_SET(job->error, error);
    job->error_code = error_name[0] ? sc_err_code(error_name) : 0;
    job->ended_at = (uint64_t)ended_at;
    job->cancel_at = (uint64_t)cancel_at;
    OBJ_SET(job->cancel_by, cancel_by);
    if (!job_state_parse(state, &job->state))
        return sc_fail(err, -EINVAL, "job: state '%s'", state);
    e = steps_from_json(steps, job, err);
    if (e < 0)
        return e;
    take_child(log, &job->log);
    take_child(data, &job->data);
    take_child(result, &job->result);
    if (!job->log || !job->data || !job->result)
        return sc_fail(err, -ENOMEM, "job: out of memory");
    *ret = SC_TAKE(job);
    return 0;
}
