/* Tests of daemons/controller/publish_job.c and ops_provider_image.c. */
#include "sky.h"

static const struct published *image(struct world *w, const char *name)
{
    const struct account *a = ctl_account_find(w->ctl, "acc");
    const struct published *p = ctl_published_find(w->ctl, a->id, name, "");
    cr_assert(p, "no image '%s'", name);
    return p;
}

static unsigned n_files(struct world *w)
{
    char cmd[200];
    snprintf(cmd, sizeof cmd, "ls %s | wc -l", w->spool_dir);
    FILE *f = popen(cmd, "r");
    unsigned n = 99;
    cr_assert(f && fscanf(f, "%u", &n) == 1);
    pclose(f);
    return n;
}

Test(publish_job, a_published_image_is_active_and_its_upload_gone)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    sky_begin_publish(w, "img1");
    cr_expect_eq(image(w, "img1")->state, PUBLISHED_PUBLISHING);
    cr_expect_eq(n_files(w), 1u);
    const struct job *job = world_wait_job(w, 60000);
    cr_expect_eq(job->state, JOB_DONE, "%s", job->error);
    cr_expect_eq(image(w, "img1")->state, PUBLISHED_ACTIVE);
    cr_expect_str_eq(image(w, "img1")->image_id, "ima-2");
    cr_expect_eq(n_files(w), 0u);
    cr_expect_eq(sky_orphans(w), 0, "its snapshot belongs to it");
}

Test(publish_job, progress_is_the_steps_detail)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    bool seen = false;
    sky_add_account(w);
    sky_begin_publish(w, "img1");
    const struct job *job = world_job(w);
    for (int i = 0; i < 100 && !job_ended(job); i++) {
        world_step(w);
        seen |= strstr(job->steps[1].detail, "upload: 2 of 4 MiB") &&
                job->percent == 50;
    }
    cr_expect(seen);
}

Test(publish_job, a_controller_killed_at_any_commit_ends_it_well)
{
    bool whole = false;
    for (unsigned k = 1; !whole; k++) {
        SC_AUTO(sky_free) struct world *w = sky_world();
        sky_add_account(w);
        w->crash_at = w->n_commits + 3 + k; /* Those of the upload first. */
        sky_begin_publish(w, "img1");
        const struct job *job = world_wait_job(w, 120000);
        whole = w->crash_at != 0;
        cr_expect_eq(job->state, JOB_DONE, "commit %u: %s", k, job->error);
        cr_expect_eq(image(w, "img1")->state, PUBLISHED_ACTIVE, "commit %u", k);
        cr_expect_eq(sky_count(sky_of(w), "image"), 1u, "commit %u", k);
        cr_expect_eq(sky_count(sky_of(w), "snapshot"), 1u, "commit %u", k);
        cr_expect_eq(sky_orphans(w), 0, "commit %u", k);
        cr_expect_eq(n_files(w), 0u, "commit %u", k);
        cr_assert_lt(k, 40u);
    }
}

Test(publish_job, what_was_saved_is_stored_before_the_next_line)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    sky_begin_publish(w, "img1");
    for (int i = 0;
         i < 100 && !cJSON_GetObjectItem(world_job(w)->data, "resume"); i++)
        world_step(w);
    SC_AUTO(free) char *store = sky_store_text(w);
    cr_expect(strstr(store, "\"resume\":{\"snapshot\":\"sna-1\"}"));
    world_kill_controller(w);
    /* The sky checks that it is given again. */
    cr_expect_eq(world_wait_job(w, 60000)->state, JOB_DONE);
}

Test(publish_job, a_failure_is_told_and_leaves_nothing)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    sky_fail(w, "publish", -EDQUOT, 99, true);
    sky_begin_publish(w, "img1");
    const struct job *job = world_wait_job(w, 120000);
    cr_expect_eq(job->state, JOB_FAILED);
    cr_expect(strstr(job->error, "the cloud says no"), "%s", job->error);
    cr_expect_eq(image(w, "img1")->state, PUBLISHED_FAILED);
    cr_expect_eq(sky_count(sky_of(w), "snapshot"), 0u, "swept by its token");
    cr_expect_eq(n_files(w), 0u);
    sky_fail(w, "", 0, 0, false);
    sky_begin_publish(w, "img1"); /* The same again. */
    cr_expect_eq(world_wait_job(w, 120000)->state, JOB_DONE);
    cr_expect_eq(w->ctl->published.n, 1u);
}

Test(publish_job, a_run_that_died_is_begun_again)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    sky_fail(w, "publish", -EIO, 2, true);
    sky_begin_publish(w, "img1");
    cr_expect_eq(world_wait_job(w, 120000)->state, JOB_DONE);
    cr_expect_eq(sky_count(sky_of(w), "snapshot"), 1u);
}

Test(publish_job, an_undo_that_cannot_succeed_ends_and_gc_finds_the_rest)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    sky_fail(w, "publish", -EDQUOT, 1, true);
    sky_begin_publish(w, "img1");
    for (int i = 0; i < 1000 && world_job(w)->state == JOB_RUNNING; i++)
        world_step(w);
    sky_fail(w, "leftovers", -EACCES, 99, false);
    cr_expect_eq(world_wait_job(w, 120000)->state, JOB_FAILED);
    sky_fail(w, "", 0, 0, false);
    cr_expect_eq(sky_orphans(w), 1);
    cr_assert_eq(
        world_op(w, "provider.gc", "{\"id\":\"acc\",\"dry_run\":false}"), 0);
    cr_expect_eq(world_wait_job(w, 120000)->state, JOB_DONE);
    cr_expect_eq(sky_of(w)->n, 0u);
}

Test(publish_job, an_upload_that_breaks_can_be_begun_again)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    char path[128];
    sky_add_account(w);
    cr_assert_eq(world_op(w, "provider.image_create",
                          "{\"id\":\"acc\",\"name\":\"i\",\"region\":\"r1\","
                          "\"format\":\"raw\",\"file\":\"d\",\"size\":4,"
                          "\"virtual_size\":4,\"sha256\":\"" SKY_DIGEST "\"}"),
                 0);
    cr_expect_eq(world_op(w, "provider.image_upload_begin",
                          "{\"id\":\"acc\",\"image\":\"i\"}"),
                 0);
    cr_expect_eq(world_op(w, "provider.image_upload_begin",
                          "{\"id\":\"acc\",\"image\":\"i\"}"),
                 -EBUSY);
    cr_expect_eq(
        world_op(w, "provider.image_upload_abort",
                 "{\"id\":\"acc\",\"image\":\"i\",\"reason\":\"cut\"}"),
        0);
    cr_expect_eq(image(w, "i")->state, PUBLISHED_QUEUED);
    cr_expect_str_eq(image(w, "i")->error, "cut");
    cr_expect_eq(world_op(w, "provider.image_upload_begin",
                          "{\"id\":\"acc\",\"image\":\"i\"}"),
                 0);
    world_kill_controller(w);
    world_run(w, 3000);
    cr_expect_eq(image(w, "i")->state, PUBLISHED_QUEUED, "the rest is lost");
    cr_expect_eq(world_op(w, "provider.image_upload_begin",
                          "{\"id\":\"acc\",\"image\":\"i\"}"),
                 0);
    cr_expect_eq(world_op(w, "provider.image_upload",
                          "{\"id\":\"acc\",\"image\":\"i\",\"path\":\"%s\","
                          "\"sha256\":\"%064d\"}",
                          sky_upload(w, path), 0),
                 -EBADMSG);
    cr_expect_eq(image(w, "i")->state, PUBLISHED_QUEUED);
}

Test(publish_job, what_does_not_fit_is_refused_with_the_reason)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    cr_expect_eq(world_op(w, "provider.image_create",
                          "{\"id\":\"acc\",\"region\":\"r1\",\"format\":"
                          "\"vhd\",\"file\":\"d\",\"size\":4,\"virtual_size\":"
                          "4,\"sha256\":\"" SKY_DIGEST "\"}"),
                 -EINVAL);
    cr_expect(strstr(w->op_err.text, "raw") && strstr(w->op_err.text, "vhd"),
              "%s", w->op_err.text);
    sky_begin_publish(w, "img1");
    cr_expect_eq(world_op(w, "provider.image_create",
                          "{\"id\":\"acc\",\"name\":\"img1\",\"region\":\"r1\","
                          "\"format\":\"raw\",\"file\":\"d\",\"size\":4,"
                          "\"virtual_size\":4,\"sha256\":\"" SKY_DIGEST "\"}"),
                 -EEXIST);
    cr_expect_eq(world_op(w, "provider.image_delete",
                          "{\"id\":\"acc\",\"image\":\"img1\"}"),
                 -EBUSY);
}

Test(publish_job, a_deleted_image_is_gone_at_the_provider_too)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    sky_begin_publish(w, "img1");
    cr_assert_eq(world_wait_job(w, 60000)->state, JOB_DONE);
    sky_fail(w, "remove", -EBUSY, 1, false);
    cr_assert_eq(world_op(w, "provider.image_delete",
                          "{\"id\":\"acc\",\"image\":\"img1\"}"),
                 0);
    cr_expect_eq(world_wait_job(w, 60000)->state, JOB_FAILED);
    cr_expect_eq(image(w, "img1")->state, PUBLISHED_ACTIVE, "still there");
    cr_assert_eq(world_op(w, "provider.image_delete",
                          "{\"id\":\"acc\",\"image\":\"img1\"}"),
                 0);
    cr_expect_eq(world_wait_job(w, 60000)->state, JOB_DONE);
    cr_expect_eq(sky_count(sky_of(w), "image"), 0u);
    cr_expect_eq(w->ctl->published.n, 0u);
}

/* --- cancelling ---------------------------------------------------------- */

static int cancel(struct world *w)
{
    return world_op(w, "job.cancel", "{\"id\":\"%s\"}", world_job(w)->id);
}

static void undo(struct world *w, const struct wevent *e)
{
    const char *token = wstr(cJSON_GetObjectItem(e->json, "tags"), "token");
    struct sky_thing *t = sky_by_token(sky_of(w), "snapshot", token);
    if (t)
        sky_remove(sky_of(w), t->id);
}

static void expect_cancelled(struct world *w, uint64_t when)
{
    const struct job *job = world_wait_job(w, 300000);
    cr_expect_eq(job->state, JOB_CANCELLED, "at %lu ms: %s: %s", when,
                 job_state_name(job->state), job->error);
    cr_expect_str_eq(job->error, "cancelled by test");
    cr_expect_eq(sky_of(w)->n, 0u, "at %lu ms", when);
    cr_expect_eq(sky_orphans(w), 0);
    cr_expect_eq(n_files(w), 0u);
    cr_expect_eq(image(w, "img1")->state, PUBLISHED_FAILED);
    cr_expect_str_eq(image(w, "img1")->error, "cancelled by test");
    cr_expect_str_eq(image(w, "img1")->job, "");
    sky_begin_publish(w, "img1"); /* The same again. */
    cr_expect_eq(world_wait_job(w, 120000)->state, JOB_DONE);
}

Test(publish_job, cancelled_at_any_moment_it_leaves_nothing)
{
    for (int undoes = 0; undoes < 2; undoes++) {
        unsigned n_cancelled = 0;
        for (uint64_t when = 0; when < 400; when += 50) {
            SC_AUTO(sky_free) struct world *w = sky_world();
            w->cloud_undo = undoes ? undo : NULL;
            sky_add_account(w);
            sky_begin_publish(w, "img1");
            world_run(w, when);
            if (cancel(w) == 0) {
                expect_cancelled(w, when);
                n_cancelled++;
            } else {
                cr_expect_eq(w->op_err.code, -EALREADY, "%s", w->op_err.text);
                cr_expect_eq(world_job(w)->state, JOB_DONE);
            }
        }
        cr_expect_gt(n_cancelled, 1u);
    }
}

Test(publish_job, cancelled_while_it_waits_to_try_again_it_ends_at_once)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    sky_fail(w, "publish", -EIO, 1, true);
    sky_begin_publish(w, "img1");
    for (int i = 0; i < 1000 && !world_job(w)->retry_at; i++)
        world_step(w);
    cr_assert(world_job(w)->retry_at);
    cr_expect_eq(cancel(w), 0);
    expect_cancelled(w, 0);
}

Test(publish_job,
     a_controller_killed_at_any_commit_of_a_cancelling_ends_it_well)
{
    bool whole = false;
    for (unsigned k = 1; !whole; k++) {
        SC_AUTO(sky_free) struct world *w = sky_world();
        cr_assert_lt(k, 30u);
        sky_add_account(w);
        sky_begin_publish(w, "img1");
        for (int i = 0;
             i < 100 && !cJSON_GetObjectItem(world_job(w)->data, "resume"); i++)
            world_step(w);
        w->crash_at = w->n_commits + k;
        SC_AUTO(cjson_free) cJSON *p = cJSON_CreateObject();
        cJSON_AddStringToObject(p, "id", world_job(w)->id);
        ctl_op(w->ctl, "job.cancel",
               &(struct api_caller){ "test", API_ROLE_ADMIN }, p, world_op_done,
               w);
        world_run(w, 30000);
        whole = w->crash_at != 0;
        w->crash_at = 0;
        expect_cancelled(w, k);
    }
}

Test(publish_job, an_operator_may_not_cancel_what_an_admin_began)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    sky_begin_publish(w, "img1");
    SC_AUTO(cjson_free) cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "id", world_job(w)->id);
    static const unsigned roles[] = { API_ROLE_VIEWER, API_ROLE_OPERATOR };
    for (size_t i = 0; i < SC_ARRAY_LEN(roles); i++) {
        ctl_op(w->ctl, "job.cancel", &(struct api_caller){ "o", roles[i] }, p,
               world_op_done, w);
        cr_expect_eq(w->op_err.code, -EACCES);
    }
    cr_expect_eq(world_wait_job(w, 60000)->state, JOB_DONE);
}
