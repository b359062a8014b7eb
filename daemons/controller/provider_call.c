/* Calls of drivers: who is asked, with which credential, and how the answer
 * finds its way back to an operation or to a step of a job. */
#include "common/log.h"
#include "controller/gc.h"
#include "controller/providers.h"
#include "controller/secrets.h"
#include "controller/worker.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    DRIVERS_MS = 15000,
    ANNOUNCE_MS = 500, /* Between two of a step's progress. */
    TRIES = 4,
    TRY_MS = 2000, /* Doubled each time. */
    UNDO_TRIES = 8,
    SWEEP_MS = 180000,
};

/* --- drivers ----------------------------------------------------------------
 */

struct drivers_wait {
    struct ctl *ctl;
    ctl_drivers_fn *fn;
    void *arg;
};

static void drivers_done(void *arg, const cJSON *result,
                         const struct sc_err *err)
{
    SC_AUTO(free) struct drivers_wait *w = arg;
    if (!err->code && !w->ctl->drivers)
        w->ctl->drivers = cJSON_Duplicate(result, true);
    w->fn(w->arg, err->code ? err : NULL);
}

void ctl_drivers(struct ctl *ctl, ctl_drivers_fn *fn, void *arg)
{
    if (ctl->drivers) {
        fn(arg, NULL);
        return;
    }
    struct sc_err err;
    struct drivers_wait *w = malloc(sizeof *w);
    if (!w || !ctl->env.worker) {
        free(w);
        sc_fail(&err, w ? -ENOTSUP : -ENOMEM, "sc-provider: is not here");
        fn(arg, &err);
        return;
    }
    *w = (struct drivers_wait){ ctl, fn, arg };
    ctl->env.worker(ctl->env.ctx, NULL, DRIVERS_MS, NULL, drivers_done, w);
}

const cJSON *ctl_driver(struct ctl *ctl, const char *name)
{
    const cJSON *d;
    cJSON_ArrayForEach(d, ctl->drivers)
    {
        const char *is =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(d, "name"));
        if (is && !strcmp(is, name))
            return d;
    }
    return NULL;
}

static const cJSON *field_named(const cJSON *driver, const char *name)
{
    const cJSON *f;
    cJSON_ArrayForEach(f, cJSON_GetObjectItemCaseSensitive(driver, "fields"))
    {
        const char *is =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(f, "name"));
        if (is && !strcmp(is, name))
            return f;
    }
    return NULL;
}

static bool is_secret(const cJSON *field)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(field, "secret"));
}

static bool is_given(const cJSON *from, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(from, name);
    return v && !cJSON_IsNull(v) && !(cJSON_IsString(v) && !v->valuestring[0]);
}

int driver_check_fields(const cJSON *driver, const cJSON *config,
                        const cJSON *secret, struct sc_err *err)
{
    const char *name =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(driver, "name"));
    const cJSON *v;
    for (int s = 0; s < 2; s++) {
        const cJSON *from = s ? secret : config;
        cJSON_ArrayForEach(v, from)
        {
            const cJSON *f = field_named(driver, v->string);
            if (!f)
                return sc_fail(err, -EINVAL,
                               "driver '%s' has no setting "
                               "'%.64s'",
                               name, v->string);
            if (!s && is_secret(f))
                return sc_fail(err, -EINVAL,
                               "'%s' is a secret: it belongs into 'secret', "
                               "not into 'config'",
                               v->string);
            if (s && !is_secret(f))
                return sc_fail(err, -EINVAL,
                               "'%s' is no secret: it belongs into 'config'",
                               v->string);
        }
    }
    cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(driver, "fields"))
    {
        const char *field =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(v, "name"));
        const char *about =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(v, "about"));
        if (field &&
            cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(v, "required")) &&
            !is_given(is_secret(v) ? secret : config, field))
            return sc_fail(err, -EINVAL, "driver '%s' needs %s'%s': %s", name,
                           is_secret(v) ? "the secret " : "", field,
                           about ? about : "");
    }
    return 0;
}

/* --- calls ------------------------------------------------------------------
 */

static int open_secrets(struct ctl *ctl, struct sc_err *err)
{
    return ctl->secrets ? 0 : secrets_open(ctl->pki_dir, &ctl->secrets, err);
}

int ctl_seal(struct ctl *ctl, const char *name, const char *text, char **ret,
             struct sc_err *err)
{
    int r = open_secrets(ctl, err);
    return r < 0 ? r : secrets_seal(ctl->secrets, name, text, ret, err);
}

int ctl_unseal(struct ctl *ctl, const char *name, const char *sealed,
               char **ret, struct sc_err *err)
{
    int r = open_secrets(ctl, err);
    return r < 0 ? r : secrets_unseal(ctl->secrets, name, sealed, ret, err);
}

int account_seal(struct ctl *ctl, struct account *a, const cJSON *secret,
                 struct sc_err *err)
{
    char *sealed = NULL;
    if (secret && secret->child) {
        SC_AUTO(secrets_free_text) char *text = cJSON_PrintUnformatted(secret);
        if (!text)
            return sc_fail(err, -ENOMEM, "provider: out of memory");
        int r = ctl_seal(ctl, a->id, text, &sealed, err);
        if (r < 0)
            return r;
    }
    free(a->sealed);
    a->sealed = sealed;
    return 0;
}

static int add_secret(struct ctl *ctl, const struct account *a, cJSON *config,
                      struct sc_err *err)
{
    SC_AUTO(secrets_free_text) char *text = NULL;
    if (!a->sealed)
        return 0;
    int r = ctl_unseal(ctl, a->id, a->sealed, &text, err);
    if (r < 0)
        return sc_fail_in(err, "provider '%s'", a->name);
    SC_AUTO(cjson_free) cJSON *secret = cJSON_Parse(text);
    while (secret && secret->child) {
        cJSON *v = cJSON_DetachItemViaPointer(secret, secret->child);
        cJSON_AddItemToArray(config, v); /* Keeps its key. */
    }
    return 0;
}

int account_call(struct ctl *ctl, const struct account *a, const char *call,
                 cJSON *taken, const char *token, const cJSON *resume,
                 uint64_t timeout_ms, ctl_worker_line_fn *line,
                 rpc_done_fn *done, void *arg, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *args = taken;
    if (!ctl->env.worker)
        return sc_fail(err, -ENOTSUP, "sc-provider: is not here");
    cJSON *q = cJSON_CreateObject();
    cJSON_AddStringToObject(q, "driver", a->driver);
    cJSON *config = cJSON_Duplicate(a->config, true);
    cJSON_AddItemToObject(q, "config", config);
    int r = add_secret(ctl, a, config, err);
    if (r < 0) {
        cJSON_Delete(q);
        return r;
    }
    cJSON_AddStringToObject(q, "call", call);
    cJSON_AddItemToObject(q, "args",
                          args ? SC_TAKE(args) : cJSON_CreateObject());
    cJSON *tags = cJSON_AddObjectToObject(q, "tags");
    cJSON_AddStringToObject(tags, "cluster", ctl->cluster_id);
    cJSON_AddStringToObject(tags, "token", token ? token : "");
    if (resume && cJSON_IsObject(resume))
        cJSON_AddItemToObject(q, "resume", cJSON_Duplicate(resume, true));
    ctl->env.worker(ctl->env.ctx, q, timeout_ms, line, done, arg);
    return 0;
}

void account_heard(struct ctl *ctl, const char *account,
                   const struct sc_err *err)
{
    struct account *a = ctl_account_find(ctl, account);
    bool refused = err->code == -EACCES;
    if (!a || (err->code && !refused) || (!refused && !a->failed))
        return;
    if (refused && a->failed && !strcmp(a->error, err->text))
        return;
    a->failed = refused;
    a->checked_at = ctl_now(ctl);
    OBJ_SET(a->error, refused ? err->text : "");
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_put_account(x, a);
    ctl_txn_commit(x, NULL);
}

/* --- inside jobs -------------------------------------------------------------
 */

struct call_wait {
    struct ctl *ctl;
    char id[OBJ_ID], account[OBJ_ID];
    uint64_t run, told_at;
    job_save_fn *save;
    job_answer_fn *fn;
};

static struct job *waiting_job(struct call_wait *w)
{
    if (w->ctl->stopping || w->ctl->broken)
        return NULL;
    struct job *job = ctl_job_find(w->ctl, w->id);
    return job && job->run == w->run ? job : NULL;
}

static void tell_progress(struct call_wait *w, struct job *job,
                          const cJSON *progress)
{
    struct json_reader r = json_read(progress, "progress");
    const char *stage = json_str_or(&r, "stage", 64, "");
    const cJSON *done = cJSON_GetObjectItemCaseSensitive(progress, "done");
    const cJSON *total = cJSON_GetObjectItemCaseSensitive(progress, "total");
    int i = job_current(job);
    uint64_t now = ctl_now(w->ctl);
    if (i < 0 || !cJSON_IsNumber(done) || !cJSON_IsNumber(total))
        return;
    char *detail = job->steps[i].detail;
    bool same = !strncmp(detail, stage, strlen(stage));
    if (total->valuedouble > 0)
        job->percent = (unsigned)(100 * done->valuedouble / total->valuedouble);
    if (total->valuedouble >= 1 << 20)
        snprintf(detail, JOB_DETAIL, "%s: %.0f of %.0f MiB", stage,
                 done->valuedouble / (1 << 20), total->valuedouble / (1 << 20));
    else
        snprintf(detail, JOB_DETAIL, "%s", stage);
    if (same && now - w->told_at < ANNOUNCE_MS)
        return;
    w->told_at = now;
    ctl_announce_job(w->ctl, job);
}

static void call_line(void *arg, const cJSON *line)
{
    struct call_wait *w = arg;
    struct job *job = waiting_job(w);
    const cJSON *state = cJSON_GetObjectItemCaseSensitive(line, "save");
    if (!job)
        return;
    if (!state) {
        tell_progress(w, job,
                      cJSON_GetObjectItemCaseSensitive(line, "progress"));
    } else if (w->save) {
        w->save(w->ctl, job, state);
        struct ctl_txn *x = ctl_txn_begin(w->ctl);
        ctl_put_job(x, job);
        ctl_txn_commit(x, NULL);
    }
}

static void call_done(void *arg, const cJSON *result, const struct sc_err *err)
{
    SC_AUTO(free) struct call_wait *w = arg;
    struct job *job = ctl_job_find(w->ctl, w->id);
    if (job && job->call == w)
        job->call = NULL;
    job = waiting_job(w);
    if (!job)
        return;
    account_heard(w->ctl, w->account, err);
    w->fn(w->ctl, job, result, err);
}

void job_provider_call(struct ctl *ctl, struct job *job, const char *account,
                       const char *call, cJSON *args, const char *token,
                       const cJSON *resume, uint64_t timeout_ms,
                       job_save_fn *save, job_answer_fn *fn)
{
    const struct account *a = ctl_account_find(ctl, account);
    struct call_wait *w = calloc(1, sizeof *w);
    struct sc_err err;
    if (!a || !w) {
        cJSON_Delete(args);
        sc_fail(&err, a ? -ENOMEM : -ENOENT, "%s",
                a ? "out of memory" : "the provider was removed");
        free(w);
        fn(ctl, job, NULL, &err);
        return;
    }
    *w = (struct call_wait){
        .ctl = ctl, .run = job->run, .save = save, .fn = fn
    };
    OBJ_SET(w->id, job->id);
    OBJ_SET(w->account, a->id);
    if (account_call(ctl, a, call, args, token, resume, timeout_ms, call_line,
                     call_done, w, &err) < 0) {
        free(w);
        fn(ctl, job, NULL, &err);
        return;
    }
    job->call = w;
}

void job_provider_cancel(struct ctl *ctl, struct job *job)
{
    if (job->call && ctl->env.worker_cancel)
        ctl->env.worker_cancel(ctl->env.ctx, job->call);
    else
        job_give_up(ctl, job);
}

/* A driver tries again by itself what the cloud may do next time; here is what
 * befalls the run as a whole. */
static bool worth_another_try(int code)
{
    return code == -EAGAIN || code == -EIO || code == -EHOSTUNREACH ||
           code == -ETIMEDOUT || code == -ENOMEM || code == -ESHUTDOWN;
}

static uint64_t next_try(struct job *job, uint64_t *ret_delay)
{
    uint64_t n = job_u64(job, "tries") + 1;
    job_set_u64(job, "tries", n);
    *ret_delay = TRY_MS << (n < 6 ? n - 1 : 5);
    return n;
}

void job_provider_failed(struct ctl *ctl, struct job *job,
                         const struct sc_err *err)
{
    uint64_t delay_ms;
    if (job_cancelling(job)) {
        if (err->code != -ECANCELED)
            job_note(ctl, job, "%s", err->text);
        job_give_up(ctl, job);
        return;
    }
    if (worth_another_try(err->code) && next_try(job, &delay_ms) < TRIES) {
        job_again(ctl, job, delay_ms, "%s", err->text);
        return;
    }
    job_set_u64(job, "tries", 0);
    job_failed(ctl, job, err);
}

bool job_provider_undo_again(struct ctl *ctl, struct job *job,
                             const struct sc_err *err)
{
    uint64_t delay_ms;
    bool hopeless = err->code == -EACCES || err->code == -ENOTSUP ||
                    err->code == -ENOENT || err->code == -EINVAL;
    if (!hopeless && next_try(job, &delay_ms) < UNDO_TRIES) {
        job_again(ctl, job, delay_ms, "%s", err->text);
        return true;
    }
    if (err->code != -ENOTSUP)
        job_note(ctl, job,
                 "not undone: %s; what is left is found by "
                 "'supercloud provider gc'",
                 err->text);
    job_set_u64(job, "tries", 0);
    return false;
}

static void sweep_failed(struct ctl *ctl, struct job *job,
                         const struct sc_err *err)
{
    if (!job_provider_undo_again(ctl, job, err))
        job_ok(ctl, job);
}

/* --- sweeping ----------------------------------------------------------------
 */

static void sweep_next(struct ctl *ctl, struct job *job);

static void sweep_removed(struct ctl *ctl, struct job *job, const cJSON *result,
                          const struct sc_err *err)
{
    (void)result;
    cJSON *list = cJSON_GetObjectItemCaseSensitive(job->data, "sweep");
    if (err->code && err->code != -ENOENT) {
        sweep_failed(ctl, job, err);
        return;
    }
    const char *id = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(list, 0), "id"));
    job_note(ctl, job, "removed '%s'", id ? id : "?");
    cJSON_DeleteItemFromArray(list, 0);
    sweep_next(ctl, job);
}

static void sweep_next(struct ctl *ctl, struct job *job)
{
    const cJSON *r = cJSON_GetArrayItem(
        cJSON_GetObjectItemCaseSensitive(job->data, "sweep"), 0);
    if (!r) {
        cJSON_DeleteItemFromObjectCaseSensitive(job->data, "sweep");
        job_ok(ctl, job);
        return;
    }
    cJSON *args = cJSON_CreateObject();
    static const char *const keys[] = { "kind", "region", "id" };
    for (size_t i = 0; i < SC_ARRAY_LEN(keys); i++) {
        const char *v =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r, keys[i]));
        cJSON_AddStringToObject(args, keys[i], v ? v : "");
    }
    job_provider_call(ctl, job, job_str(job, "provider"), "remove", args, NULL,
                      NULL, SWEEP_MS, NULL, sweep_removed);
}

static bool of_job(const struct job *job, const cJSON *resource)
{
    const char *token = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(resource, "token"));
    return token && !strncmp(token, job->id, SC_UUID_LEN);
}

/* Is it (part of) an instance that became a node?  That one stays. */
static bool is_kept(struct ctl *ctl, const cJSON *resource)
{
    const char *token = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(resource, "token"));
    for (size_t i = 0; i < ctl->launched.n; i++) {
        if (ctl->launched.items[i]->node[0] &&
            !strcmp(ctl->launched.items[i]->token, token))
            return true;
    }
    return false;
}

static void sweep_found(struct ctl *ctl, struct job *job, const cJSON *result,
                        const struct sc_err *err)
{
    if (err->code) {
        sweep_failed(ctl, job, err);
        return;
    }
    cJSON *list = cJSON_CreateArray();
    const cJSON *r;
    cJSON_ArrayForEach(r, cJSON_GetObjectItemCaseSensitive(result, "resources"))
    {
        if (of_job(job, r) && !is_kept(ctl, r))
            cJSON_AddItemToArray(list, cJSON_Duplicate(r, true));
    }
    cJSON_DeleteItemFromObjectCaseSensitive(job->data, "sweep");
    gc_sort(list);
    cJSON_AddItemToObject(job->data, "sweep", list);
    sweep_next(ctl, job);
}

void job_provider_sweep(struct ctl *ctl, struct job *job, const char *account)
{
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "cluster", ctl->cluster_id);
    job_provider_call(ctl, job, account, "leftovers", args, NULL, NULL,
                      SWEEP_MS, NULL, sweep_found);
}
