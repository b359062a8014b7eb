/* Tests of daemons/controller/launch_job.c, provider_jobs.c and
 * ops_provider_instance.c. */
#include "sky.h"

static void begin_launch(struct world *w, const char *name, unsigned count)
{
    cr_assert_eq(world_op(w, "provider.launch",
                          "{\"id\":\"acc\",\"name\":\"%s\",\"region\":\"r1\","
                          "\"image\":\"ami\",\"count\":%u}",
                          name, count),
                 0, "%s", w->op_err.text);
}

/* Runs until the newest job is in step 'i', or ended. */
static const struct job *until_step(struct world *w, int i)
{
    for (int n = 0; n < 3000; n++) {
        if (w->ctl && !w->crashed && w->ctl->jobs.n &&
            (job_ended(world_job(w)) ||
             (world_job(w)->steps[i].state == STEP_RUNNING &&
              world_job(w)->active)))
            break;
        world_step(w);
    }
    cr_assert(w->ctl);
    return world_job(w);
}

Test(launch_job, an_instance_gets_its_user_data_and_becomes_a_node)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    begin_launch(w, "n7", 1);
    const struct job *job = until_step(w, 2);
    const struct sky_thing *t = &sky_of(w)->things[0];
    cr_expect_str_eq(t->name, "n7");
    cr_expect(strstr(t->user_data, "token: sct1."), "%s", t->user_data);
    cr_expect(strstr(t->user_data, "region: r1"), "%s", t->user_data);
    const char *secret = strstr(t->user_data, "sct1.") + 5;
    char half[80];
    snprintf(half, sizeof half, "%.60s", secret);
    SC_AUTO(free) char *store = sky_store_text(w);
    cr_expect_not(strstr(store, half), "the token is nowhere in plain");
    cr_assert_eq(world_op(w, "provider.instances", "{\"id\":\"acc\"}"), 0);
    const cJSON *i =
        cJSON_GetArrayItem(cJSON_GetObjectItem(w->op_result, "instances"), 0);
    cr_expect_str_eq(wstr(i, "job"), job->id);
    sky_join(w, job, "n7");
    cr_expect_eq(world_wait_job(w, 10000)->state, JOB_DONE);
    cr_assert_eq(world_op(w, "provider.instances", "{\"id\":\"acc\"}"), 0);
    i = cJSON_GetArrayItem(cJSON_GetObjectItem(w->op_result, "instances"), 0);
    cr_expect_str_eq(wstr(i, "node_name"), "n7");
    cr_expect_eq(sky_orphans(w), 0);
    SC_AUTO(cjson_free)
    cJSON *token = ctl_read_json(w->ctl, "tokens", job_str(job, "token_id"));
    cr_expect_null(token, "used up: gone");
}

Test(launch_job, a_controller_killed_at_any_commit_ends_it_well)
{
    bool whole = false;
    for (unsigned k = 1; !whole; k++) {
        SC_AUTO(sky_free) struct world *w = sky_world();
        sky_add_account(w);
        begin_launch(w, "n7", 2);
        w->crash_at = w->n_commits + k;
        const struct job *job = until_step(w, 2);
        if (!job_ended(job)) {
            sky_join(w, job, "n7-1");
            world_run(w, 3000);
            if (w->ctl && !w->crashed && !ctl_node_find(w->ctl, "n7-1"))
                sky_join(w, world_job(w), "n7-1");
            for (int i = 0; i < 100 && (!w->ctl || w->crashed); i++)
                world_step(w);
            sky_join(w, world_job(w), "n7-2");
        }
        whole = w->crash_at != 0;
        for (int i = 0; i < 100 && (!w->ctl || w->crashed); i++)
            world_step(w);
        if (!ctl_node_find(w->ctl, "n7-2"))
            sky_join(w, world_job(w), "n7-2");
        job = world_wait_job(w, 120000);
        cr_expect_eq(job->state, JOB_DONE, "commit %u: %s", k, job->error);
        cr_expect_eq(sky_count(sky_of(w), "instance"), 2u, "commit %u", k);
        cr_expect_eq(w->ctl->launched.n, 2u, "commit %u", k);
        cr_expect_eq(sky_orphans(w), 0, "commit %u", k);
        cr_assert_lt(k, 60u);
    }
}

Test(launch_job, one_that_does_not_join_in_time_is_ended)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    begin_launch(w, "n7", 1);
    const struct job *job = until_step(w, 2);
    char token_id[OBJ_ID];
    OBJ_SET(token_id, job_str(job, "token_id"));
    job = world_wait_job(w, 1200000);
    cr_expect_eq(job->state, JOB_FAILED);
    cr_expect(strstr(job->error, "'n7' did not join within 900 s"), "%s",
              job->error);
    cr_expect_eq(sky_of(w)->n, 0u);
    cr_expect_eq(w->ctl->launched.n, 0u);
    SC_AUTO(cjson_free)
    cJSON *token = ctl_read_json(w->ctl, "tokens", token_id);
    cr_expect_null(token);
}

Test(launch_job, a_rollback_spares_what_has_joined)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    begin_launch(w, "n7", 2);
    sky_join(w, until_step(w, 2), "n7-2");
    const struct job *job = world_wait_job(w, 1200000);
    cr_expect_eq(job->state, JOB_FAILED);
    cr_assert_eq(sky_of(w)->n, 1u);
    cr_expect_str_eq(sky_of(w)->things[0].name, "n7-2");
    cr_assert_eq(w->ctl->launched.n, 1u);
    cr_expect_str_eq(w->ctl->launched.items[0]->name, "n7-2");
    cr_expect_eq(sky_orphans(w), 0);
}

Test(launch_job, a_launch_that_failed_half_way_leaves_nothing)
{
    static const int codes[] = { -EDQUOT, -ENOSPC, -EIO, -EPROTO, -ETIMEDOUT };
    for (size_t i = 0; i < SC_ARRAY_LEN(codes); i++) {
        SC_AUTO(sky_free) struct world *w = sky_world();
        sky_add_account(w);
        sky_fail(w, "launch", codes[i], 99, true);
        begin_launch(w, "n7", 2);
        const struct job *job = world_wait_job(w, 1200000);
        cr_expect_eq(job->state, JOB_FAILED);
        cr_expect_eq(sky_of(w)->n, 0u, "%d", codes[i]);
        cr_expect_eq(sky_orphans(w), 0);
    }
}

Test(launch_job, names_and_images_are_checked_at_once)
{
    static const struct {
        const char *params;
        int code;
    } cases[] = {
        { "\"name\":\"n1\",\"image\":\"ami\"", -EEXIST }, /* A node. */
        { "\"name\":\"-\",\"image\":\"ami\"", -EINVAL },
        { "\"name\":\"x\"", -EINVAL },
        { "\"name\":\"x\",\"image\":\"ami\",\"count\":0", -EINVAL },
        { "\"name\":\"x\",\"image\":\"ami\",\"rules\":{}", -EINVAL },
        { "\"name\":\"x\",\"image\":\"ami\",\"max_price\":\"1\"", -EINVAL },
        { "\"name\":\"x\",\"image\":\"ami\",\"colour\":1", -EINVAL },
        { "\"name\":\"x\",\"image\":\"img1\"", -EBUSY }, /* Not yet active. */
    };
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    sky_fail(w, "publish", -EIO, 99, false);
    sky_begin_publish(w, "img1");
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        cr_expect_eq(world_op(w, "provider.launch",
                              "{\"id\":\"acc\",\"region\":\"r1\",%s}",
                              cases[i].params),
                     cases[i].code, "%s: %s", cases[i].params, w->op_err.text);
    }
}

Test(launch_job, user_data_too_large_for_the_driver_is_refused)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    cJSON_SetNumberValue(
        cJSON_GetObjectItem(cJSON_GetArrayItem(w->ctl->drivers, 0),
                            "user_data_max"),
        100);
    begin_launch(w, "n7", 1);
    const struct job *job = world_wait_job(w, 60000);
    cr_expect_eq(job->state, JOB_FAILED);
    cr_expect(strstr(job->error, "100"), "%s", job->error);
    cr_expect_eq(sky_of(w)->n, 0u);
}

static void make_node(struct world *w, const char *name)
{
    begin_launch(w, name, 1);
    sky_join(w, until_step(w, 2), name);
    cr_assert_eq(world_wait_job(w, 10000)->state, JOB_DONE);
}

Test(launch_job, terminate_ends_the_instance_and_forgets_its_node)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    make_node(w, "n7");
    cr_assert_eq(world_op(w, "provider.terminate",
                          "{\"id\":\"acc\",\"instance\":\"n7\"}"),
                 0, "%s", w->op_err.text);
    cr_expect_eq(world_wait_job(w, 200000)->state, JOB_DONE);
    cr_expect_eq(sky_of(w)->n, 0u);
    cr_expect_null(ctl_node_find(w->ctl, "n7"));
    cr_expect_eq(w->ctl->launched.n, 0u);
    cr_expect_eq(world_op(w, "provider.terminate",
                          "{\"id\":\"acc\",\"instance\":\"ins-9\"}"),
                 -EINVAL, "which region?");
    cr_expect_eq(world_op(w, "provider.fence",
                          "{\"id\":\"acc\",\"instance\":\"ins-9\",\"region\":"
                          "\"r1\"}"),
                 0);
    cr_expect_eq(world_wait_job(w, 20000)->state, JOB_DONE);
}

Test(launch_job, an_instance_that_ended_by_itself_is_forgotten)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    make_node(w, "n7");
    sky_of(w)->n = 0;
    cr_assert_eq(world_op(w, "provider.instances", "{\"id\":\"acc\"}"), 0);
    cr_expect_eq(w->ctl->launched.n, 1u, "it may be new and not listed yet");
    world_run(w, 700000);
    cr_assert_eq(world_op(w, "provider.instances", "{\"id\":\"acc\"}"), 0);
    cr_expect_eq(w->ctl->launched.n, 0u);
}

Test(launch_job, gc_removes_what_nobody_knows_and_tells_what_it_could_not)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    make_node(w, "n7");
    sky_make(sky_of(w), "nic", "x", "stray-1");
    sky_make(sky_of(w), "instance", "x", "stray-2");
    cr_expect_eq(sky_orphans(w), 2);
    const cJSON *first =
        cJSON_GetArrayItem(cJSON_GetObjectItem(w->op_result, "resources"), 0);
    cr_expect_str_eq(wstr(first, "kind"), "instance", "users first");
    cr_expect(wstr(first, "why")[0]);
    sky_fail(w, "remove", -EBUSY, 99, false);
    cr_assert_eq(
        world_op(w, "provider.gc", "{\"id\":\"acc\",\"dry_run\":false}"), 0);
    const struct job *job = world_wait_job(w, 100000);
    cr_expect_eq(job->state, JOB_FAILED);
    cr_expect(strstr(job->error, "the cloud says no"), "%s", job->error);
    sky_fail(w, "remove", -EBUSY, 1, false); /* In use a moment longer. */
    cr_assert_eq(
        world_op(w, "provider.gc", "{\"id\":\"acc\",\"dry_run\":false}"), 0);
    cr_expect_eq(world_wait_job(w, 100000)->state, JOB_DONE);
    cr_expect_eq(sky_of(w)->n, 1u, "the node's instance stays");
}

Test(launch_job, gc_of_one_account_spares_what_another_made_in_the_same_cloud)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    make_node(w, "n7");
    sky_begin_publish(w, "img1");
    cr_assert_eq(world_wait_job(w, 60000)->state, JOB_DONE);
    cr_assert_eq(world_op(w, "provider.create",
                          "{\"name\":\"two\",\"driver\":\"sky\",\"config\":{"
                          "\"region\":\"r1\"},\"secret\":{\"key\":\"%s\"}}",
                          SKY_SECRET),
                 0);
    cr_assert_eq(world_op(w, "provider.gc", "{\"id\":\"two\"}"), 0);
    cr_expect_eq(
        cJSON_GetArraySize(cJSON_GetObjectItem(w->op_result, "resources")), 0);
}

/* --- cancelling ---------------------------------------------------------- */

static int cancel(struct world *w)
{
    return world_op(w, "job.cancel", "{\"id\":\"%s\"}", world_job(w)->id);
}

Test(launch_job, cancelled_at_any_moment_it_leaves_nothing)
{
    for (uint64_t when = 0; when < 600; when += 50) {
        SC_AUTO(sky_free) struct world *w = sky_world();
        sky_add_account(w);
        begin_launch(w, "n7", 2);
        world_run(w, when);
        char token_id[OBJ_ID];
        OBJ_SET(token_id, job_str(world_job(w), "token_id"));
        cr_expect_eq(cancel(w), 0, "%s", w->op_err.text);
        const struct job *job = world_wait_job(w, 300000);
        cr_expect_eq(job->state, JOB_CANCELLED, "at %lu ms: %s", when,
                     job->error);
        cr_expect_eq(sky_of(w)->n, 0u, "at %lu ms", when);
        cr_expect_eq(w->ctl->launched.n, 0u, "at %lu ms", when);
        cr_expect_eq(sky_orphans(w), 0);
        SC_AUTO(cjson_free)
        cJSON *token = ctl_read_json(w->ctl, "tokens", token_id);
        cr_expect_null(token, "nobody can join by it");
    }
}

Test(launch_job, cancelled_it_spares_what_has_joined)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    begin_launch(w, "n7", 2);
    sky_join(w, until_step(w, 2), "n7-2");
    world_run(w, 3000);
    cr_expect_eq(cancel(w), 0, "%s", w->op_err.text);
    const struct job *job = world_wait_job(w, 300000);
    cr_expect_eq(job->state, JOB_CANCELLED);
    cr_assert_eq(sky_of(w)->n, 1u);
    cr_expect_str_eq(sky_of(w)->things[0].name, "n7-2");
    cr_expect_eq(sky_orphans(w), 0);
}

Test(launch_job, a_gc_that_is_cancelled_says_what_is_left)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    for (int i = 0; i < 9; i++) {
        char name[32];
        snprintf(name, sizeof name, "left-%d", i);
        sky_make(sky_of(w), "snapshot", name, name);
    }
    cr_assert_eq(
        world_op(w, "provider.gc", "{\"id\":\"acc\",\"dry_run\":false}"), 0);
    until_step(w, 1);
    world_run(w, 150);
    cr_expect_eq(cancel(w), 0, "%s", w->op_err.text);
    const struct job *job = world_wait_job(w, 60000);
    cr_expect_eq(job->state, JOB_CANCELLED);
    world_run(w, 1000);
    int left = cJSON_GetArraySize(cJSON_GetObjectItem(job->result, "left"));
    cr_expect_gt(left, 0);
    cr_expect_eq(left + cJSON_GetObjectItem(job->result, "removed")->valueint,
                 9);
    cr_expect_leq(sky_of(w)->n, (size_t)left);
    cr_expect_gt(sky_of(w)->n, 0u, "it went on no further");
}
