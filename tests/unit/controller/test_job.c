/* Tests of daemons/controller/job.c: the state machine, and that a job that was
 * stored and read at any point goes on the same way. */
#include "controller/job.h"

#include <criterion/criterion.h>

static void nothing(struct ctl *ctl, struct job *job)
{
    (void)ctl;
    (void)job;
}

static const struct job_kind kind = {
    .name = "test",
    .steps = { { "one", nothing, nothing, 1 },
               { "two", nothing, NULL, 8 },
               { "three", nothing, nothing, 1 } },
};
static const struct job_kind ends_late = {
    .name = "late",
    .steps = { { "one", nothing, nothing, 1 },
               { "two", nothing, NULL, 8, .late = "it is there" },
               { "three", nothing, nothing, 1 } },
    .cancels = "it stays here",
};
static const struct job_kind never = {
    .name = "never",
    .steps = { { "one", nothing, NULL, 1 } },
    .fixed = "it was begun",
};
static const struct job_kind other = {
    .name = "test",
    .steps = { { "one", nothing, NULL, 1 } },
};
static const struct job_kind *const kinds[] = { &kind, NULL };
static const struct job_kind *const other_kinds[] = { &other, NULL };

static struct job *new_job(void)
{
    return job_new(&kind, "00000000-0000-4000-8000-000000000001", "obj", NULL,
                   5);
}

/* Stored and read again. */
static struct job *reload(struct job *job)
{
    struct job *back = NULL;
    struct sc_err err = { 0 };
    SC_AUTO(cjson_free) cJSON *j = job_to_json(job, true);
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(j);
    SC_AUTO(cjson_free) cJSON *parsed = cJSON_Parse(text);
    cr_assert_eq(job_from_json(parsed, kinds, &back, &err), 0, "%s", err.text);
    SC_AUTO(cjson_free) cJSON *k = job_to_json(back, true);
    SC_AUTO(free) char *again = cJSON_PrintUnformatted(k);
    cr_expect_str_eq(text, again);
    job_free(job);
    return back;
}

Test(job, runs_its_steps_in_order_reloaded_after_each_move)
{
    struct job *job = new_job();
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(job_current(job), i);
        job_begin_step(job, 10);
        job = reload(job);
        cr_expect_eq(job_current(job), i, "a running step runs again");
        job_begin_step(job, 20);
        cr_expect_eq(job->steps[i].started_at, 10u, "it began the first time");
        job_finish_step(job, 30);
        job = reload(job);
    }
    cr_expect_eq(job_current(job), -1);
    job_end(job, 40);
    cr_expect_eq(job->state, JOB_DONE);
    cr_expect_eq(job_progress(job), 100);
    job_free(job);
}

Test(job, a_failure_undoes_what_was_done_last_first)
{
    struct sc_err err;
    struct job *job = new_job();
    job_begin_step(job, 1);
    job_finish_step(job, 1);
    job_begin_step(job, 2);
    job_finish_step(job, 2);
    job_begin_step(job, 3);
    sc_fail(&err, -ENOSPC, "full");
    job_fail_step(job, &err, 3);
    cr_expect_eq(job->state, JOB_ROLLING_BACK);
    job = reload(job);
    cr_expect_eq(job->error_code, -ENOSPC);
    cr_expect_eq(job_current(job), 2, "the failed one itself first");
    job_finish_undo(job, 4);
    job = reload(job);
    cr_expect_eq(job_current(job), 0, "two has nothing to undo");
    job_finish_undo(job, 5);
    cr_expect_eq(job_current(job), -1);
    job_end(job, 6);
    cr_expect_eq(job->state, JOB_FAILED);
    cr_expect_str_eq(job->error, "full");
    cr_expect_eq(job->steps[1].state, STEP_DONE);
    cr_expect_eq(job->steps[0].state, STEP_UNDONE);
    job_free(job);
}

Test(job, progress_weighs_the_steps)
{
    struct job *job = new_job();
    cr_expect_eq(job_progress(job), 0);
    job_begin_step(job, 1);
    job_finish_step(job, 1);
    cr_expect_eq(job_progress(job), 10);
    job_begin_step(job, 1);
    job->percent = 50;
    cr_expect_eq(job_progress(job), 50);
    job->percent = 1000;
    cr_expect_eq(job_progress(job), 90);
    job_free(job);
}

Test(job, the_log_keeps_the_newest_lines)
{
    struct job *job = new_job();
    for (int i = 0; i < JOB_LOG_MAX + 10; i++)
        job_add_log(job, (uint64_t)i, "line %d", i);
    cr_expect_eq(cJSON_GetArraySize(job->log), JOB_LOG_MAX);
    cr_expect_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(
                         cJSON_GetArrayItem(job->log, 0), "text")),
                     "line 10");
    job_free(job);
}

Test(job, what_cannot_be_taken_up_is_refused)
{
    struct job *back = NULL, *job = new_job();
    SC_AUTO(cjson_free) cJSON *j = job_to_json(job, true);
    cr_expect_eq(job_from_json(j, other_kinds, &back, NULL), -ENOENT,
                 "a step that the program does not know");
    cJSON_ReplaceItemInObject(j, "state", cJSON_CreateString("asleep"));
    cr_expect_eq(job_from_json(j, kinds, &back, NULL), -EINVAL);
    SC_AUTO(cjson_free) cJSON *shown = job_to_json(job, false);
    cr_expect_eq(job_from_json(shown, kinds, &back, NULL), -EINVAL,
                 "the API's form has no data");
    job_free(job);
}

static void expect_cancel(const struct job *job, int code, const char *why)
{
    struct sc_err err = { 0 };
    cr_expect_eq(job_may_cancel(job, &err), code, "%s", err.text);
    cr_expect(!code || strstr(err.text, why), "'%s' is not in '%s'", why,
              err.text);
    SC_AUTO(cjson_free) cJSON *j = job_to_json(job, false);
    cr_expect_eq(cJSON_IsTrue(cJSON_GetObjectItem(j, "may_cancel")), code == 0);
    const char *note =
        cJSON_GetStringValue(cJSON_GetObjectItem(j, "cancel_note"));
    if (!job_ended(job))
        cr_expect_str_eq(note, why);
    else
        cr_expect_str_eq(note, "");
}

Test(job, a_cancelled_one_fails_is_undone_and_ends_in_a_state_of_its_own)
{
    struct sc_err err;
    struct job *job = new_job();
    job_begin_step(job, 1);
    job_finish_step(job, 1);
    job_begin_step(job, 2);
    cr_expect_not(job_cancelling(job));
    job_set_cancel(job, "ann", 3);
    for (int i = 0; i < 2; i++) {
        cr_expect(job_cancelling(job));
        cr_expect_eq(job->cancel_at, 3u);
        cr_expect_str_eq(job->cancel_by, "ann");
        cr_expect_eq(job_may_cancel(job, NULL), 0, "twice is once");
        job = reload(job);
    }
    SC_AUTO(cjson_free) cJSON *shown = job_to_json(job, false);
    cr_expect(cJSON_IsFalse(cJSON_GetObjectItem(shown, "may_cancel")));
    job_cancel_err(job, &err);
    job_fail_step(job, &err, 4);
    cr_expect_eq(job->state, JOB_ROLLING_BACK);
    cr_expect_not(job_cancelling(job), "it runs forward no more");
    job = reload(job);
    job_finish_undo(job, 5);
    job = reload(job);
    job_end(job, 6);
    cr_expect_eq(job->state, JOB_CANCELLED);
    cr_expect(job_ended(job));
    cr_expect_str_eq(job->error, "cancelled by ann");
    cr_expect_eq(job->error_code, -ECANCELED);
    job = reload(job);
    cr_expect_eq(job->state, JOB_CANCELLED);
    expect_cancel(job, -EALREADY, "it is cancelled");
    job_free(job);
}

Test(job, whether_it_may_be_cancelled_is_told_with_the_reason)
{
    struct sc_err err;
    struct job *job = job_new(&never, "", "obj", NULL, 5);
    job_begin_step(job, 1);
    expect_cancel(job, -EBUSY, "it was begun");
    job_finish_step(job, 1);
    job_end(job, 2);
    expect_cancel(job, -EALREADY, "it is done");
    job_free(job);
    job = job_new(&ends_late, "", "obj", NULL, 5);
    job_begin_step(job, 1);
    expect_cancel(job, 0, "it stays here");
    job_set_cancel(job, "ann", 2);
    job_finish_step(job, 3);
    job_drop_cancel(job);
    expect_cancel(job, -EBUSY, "it is there");
    job_begin_step(job, 4);
    job_finish_step(job, 4);
    job_begin_step(job, 5);
    expect_cancel(job, -EBUSY, "it is there");
    sc_fail(&err, -EIO, "broken");
    job_fail_step(job, &err, 6);
    expect_cancel(job, -EBUSY, "it has failed already and is being undone");
    job_finish_undo(job, 7);
    job_finish_undo(job, 7);
    job_end(job, 8);
    cr_expect_eq(job->state, JOB_FAILED);
    job_free(job);
}

Test(job, one_stored_before_jobs_could_be_cancelled_is_taken_up)
{
    struct job *back = NULL, *job = new_job();
    SC_AUTO(cjson_free) cJSON *j = job_to_json(job, true);
    cJSON_DeleteItemFromObject(j, "cancel_at");
    cJSON_DeleteItemFromObject(j, "cancel_by");
    cr_assert_eq(job_from_json(j, kinds, &back, NULL), 0);
    cr_expect_eq(back->cancel_at, 0u);
    job_free(back);
    job_free(job);
}
