/* jobs - following a job, and the commands about jobs.
 *
 * A job is polled: it outlives its controller's restart, and so does this. */
#include "cli/remote.h"
#include "cli/table.h"
#include "common/json.h"
#include "common/loop.h"

#include <string.h>
#include <time.h>

enum { POLL_MS = 400, LOST_MS = 60000, BAR = 24 };

static const struct table_column job_list_columns[] = {
    { "ID", "id", NULL },
    { "KIND", "kind", NULL },
    { "OBJECT", "object_name", NULL },
    { "STATE", "state", NULL },
    { "PROGRESS", "progress", "percent" },
    { "STARTED", "started_at", "ago" },
    { "ERROR", "error", NULL },
    { 0 },
};
static const struct table_column job_columns[] = {
    { "id", "id", NULL },
    { "kind", "kind", NULL },
    { "object", "object_name", NULL },
    { "state", "state", NULL },
    { "error", "error", NULL },
    { "progress", "progress", "percent" },
    { "started", "started_at", "at" },
    { "ended", "ended_at", "at" },
    { "cancel asked", "cancel_at", "at" },
    { "asked by", "cancel_by", NULL },
    { 0 },
};
static const struct table_column step_columns[] = {
    { "STEP", "name", NULL },          { "STATE", "state", NULL },
    { "STARTED", "started_at", "at" }, { "ENDED", "ended_at", "at" },
    { "DETAIL", "detail", NULL },      { 0 },
};
static const struct table_column log_columns[] = {
    { "AT", "at", "at" },
    { "LOG", "text", NULL },
    { 0 },
};
static const struct table_column migration_columns[] = {
    { "from", "from", NULL },
    { "to", "to", NULL },
    { "total", "total_ms", "ms" },
    { "pause", "pause_ms", "ms" },
    { "sent", "bytes_sent", "bytes" },
    { "over the wire", "bytes_wire", "bytes" },
    { "rounds", "rounds", NULL },
    { 0 },
};

static bool is_running(const cJSON *job)
{
    const char *s = cJSON_GetStringValue(table_at(job, "state"));
    return s && (strcmp(s, "running") == 0 || strcmp(s, "rolling-back") == 0);
}

static bool is_cancelled(const cJSON *job)
{
    const char *s = cJSON_GetStringValue(table_at(job, "state"));
    return s && strcmp(s, "cancelled") == 0;
}

static void draw(struct cli *cli, const cJSON *job)
{
    const cJSON *step, *current = NULL;
    cJSON_ArrayForEach(step, table_at(job, "steps"))
    {
        const char *s = cJSON_GetStringValue(table_at(step, "state"));
        if (s && strcmp(s, "running") == 0)
            current = step;
    }
    char name[128], percent[32];
    table_cell(current, "name", NULL, 0, name, sizeof name);
    table_cell(job, "progress", "percent", 0, percent, sizeof percent);
    const cJSON *progress = table_at(job, "progress");
    int filled =
        cJSON_IsNumber(progress) ? (int)(progress->valuedouble * BAR / 100) : 0;
    filled = filled < 0 ? 0 : filled > BAR ? BAR : filled;
    fprintf(cli->log, "\r\033[K[%.*s%.*s] %5s  %s", filled,
            "########################", BAR - filled,
            "........................", percent, current ? name : "");
    fflush(cli->log);
}

/* Without a terminal: one line for each step that ended or began. */
static void tell_steps(struct cli *cli, const cJSON *job, int *n_told)
{
    const cJSON *steps = table_at(job, "steps");
    for (int n = cJSON_GetArraySize(steps); *n_told < n; ++*n_told) {
        const cJSON *step = cJSON_GetArrayItem(steps, *n_told);
        const char *s = cJSON_GetStringValue(table_at(step, "state"));
        if (!s || strcmp(s, "waiting") == 0)
            return;
        char name[128];
        table_cell(step, "name", NULL, 0, name, sizeof name);
        fprintf(cli->log, "%s\n", name);
    }
}

int watch_job(struct cli *cli, const char *job_id, cJSON **ret)
{
    SC_AUTO(free) char *id = remote_escape(job_id);
    struct sc_err err = { 0 };
    uint64_t seen_at = sc_mono_ms();
    int n_told = 0;
    for (;;) {
        SC_AUTO(cjson_free) cJSON *job = NULL;
        int r = remote_callf(cli, "GET", NULL, &job, &err, "/jobs/%s", id);
        bool lost = r == -EHOSTUNREACH || r == -ECONNRESET || r == -ETIMEDOUT ||
                    r == -ESHUTDOWN;
        if (r < 0 && (!lost || sc_mono_ms() - seen_at > LOST_MS)) {
            if (cli->is_tty)
                fputc('\n', cli->log);
            return cli_fail(cli, &err);
        }
        if (r == 0) {
            seen_at = sc_mono_ms();
            if (cli->is_tty)
                draw(cli, job);
            else
                tell_steps(cli, job, &n_told);
        }
        if (r == 0 && !is_running(job)) {
            if (cli->is_tty)
                fputs("\r\033[K", cli->log);
            const char *state = cJSON_GetStringValue(table_at(job, "state"));
            bool done = state && strcmp(state, "done") == 0;
            if (!done) {
                char why[256];
                table_cell(job, "error", NULL, 0, why, sizeof why);
                fprintf(cli->log, "supercloud: job %s %s: %s\n", job_id,
                        is_cancelled(job) ? "was cancelled" : "failed", why);
            }
            *ret = SC_TAKE(job);
            return done ? CLI_OK : CLI_JOB_FAILED;
        }
        struct timespec pause = { 0, POLL_MS * 1000000L };
        nanosleep(&pause, NULL);
    }
}

/* The VM as it is after the job. */
static int print_outcome(struct cli *cli, const char *vm_id,
                         const struct table_column *vm_columns)
{
    return show_object(cli, "vms", vm_id, vm_columns);
}

int finish_job(struct cli *cli, cJSON *answer, bool wait,
               const struct table_column *vm_columns)
{
    SC_AUTO(cjson_free) cJSON *owned = answer;
    const char *id = cJSON_GetStringValue(table_at(answer, "job.id"));
    const char *vm = cJSON_GetStringValue(table_at(answer, "vm.id"));
    if (!id) {
        struct sc_err err;
        sc_fail(&err, -EPROTO, "the controller named no job");
        return cli_fail(cli, &err);
    }
    if (!wait) {
        if (cli->format == CLI_JSON)
            return print_object(cli, SC_TAKE(owned), NULL);
        fprintf(cli->out, "%s\n", id);
        return CLI_OK;
    }
    SC_AUTO(cjson_free) cJSON *job = NULL;
    int r = watch_job(cli, id, &job);
    if (r != CLI_OK)
        return r;
    if (cli->format == CLI_JSON)
        return print_object(cli, SC_TAKE(job), NULL);
    const cJSON *result = table_at(job, "result");
    if (cli->format == CLI_TABLE && table_at(result, "pause_ms"))
        table_print_one(cli->out, migration_columns, result, 0);
    else if (vm)
        return print_outcome(cli, vm, vm_columns);
    return CLI_OK;
}

int cmd_job_list(struct cli *cli, const struct cli_args *a)
{
    struct sc_err err = { 0 };
    int64_t limit;
    cJSON *answer = NULL;
    if (cli_opt_int(a, "limit", 1, 100000, 20, &limit, &err) < 0 ||
        remote_callf(cli, "GET", NULL, &answer, &err, "/jobs?limit=%lld",
                     (long long)limit) < 0)
        return cli_fail(cli, &err);
    if (cli->format == CLI_NAME) { /* A job's name is its id. */
        SC_AUTO(cjson_free) cJSON *list = answer;
        const cJSON *job;
        cJSON_ArrayForEach(job, table_at(list, "jobs")) fprintf(
            cli->out, "%s\n", cJSON_GetStringValue(table_at(job, "id")));
        return CLI_OK;
    }
    return print_list(cli, answer, "jobs", job_list_columns);
}

static int print_job(struct cli *cli, cJSON *job)
{
    SC_AUTO(cjson_free) cJSON *owned = job;
    if (cli->format != CLI_TABLE)
        return print_object(cli, SC_TAKE(owned), job_columns);
    double now = (double)sc_wall_ms();
    table_print_one(cli->out, job_columns, job, now);
    fputc('\n', cli->out);
    table_print(cli->out, step_columns, table_at(job, "steps"), now);
    if (cJSON_GetArraySize(table_at(job, "log")) > 0) {
        fputc('\n', cli->out);
        table_print(cli->out, log_columns, table_at(job, "log"), now);
    }
    if (table_at(job, "result.pause_ms")) {
        fputc('\n', cli->out);
        table_print_one(cli->out, migration_columns, table_at(job, "result"),
                        now);
    }
    return CLI_OK;
}

int cmd_job_show(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    struct sc_err err = { 0 };
    cJSON *job = NULL;
    if (remote_callf(cli, "GET", NULL, &job, &err, "/jobs/%s", id) < 0)
        return cli_fail(cli, &err);
    return print_job(cli, job);
}

int cmd_job_watch(struct cli *cli, const struct cli_args *a)
{
    cJSON *job = NULL;
    int r = watch_job(cli, a->pos[0], &job);
    if (job)
        print_job(cli, job);
    return r;
}

/* Exit 0: it is (with --wait), or will be. */
int cmd_job_cancel(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    SC_AUTO(cjson_free) cJSON *job = NULL;
    struct sc_err err = { 0 };
    if (remote_callf(cli, "POST", NULL, &answer, &err, "/jobs/%s/cancel", id) <
        0)
        return cli_fail(cli, &err);
    if (!cli_opt(a, "wait"))
        return finish_job(cli, SC_TAKE(answer), false, NULL);
    int r = watch_job(cli, a->pos[0], &job);
    if (!job)
        return r;
    const char *state = cJSON_GetStringValue(table_at(job, "state"));
    bool cancelled = is_cancelled(job);
    if (r == CLI_OK)
        fprintf(cli->log, "supercloud: job %s was not cancelled: it is %s\n",
                a->pos[0], state ? state : "?");
    print_job(cli, SC_TAKE(job));
    return cancelled ? CLI_OK : r == CLI_OK ? CLI_CONFLICT : r;
}
