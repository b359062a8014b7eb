/* Tests of daemons/controller/providers.c, provider_call.c and ops_provider.c:
 * accounts and their secrets. */
#include "sky.h"

#include "controller/secrets.h"

static void expect_no_secret(struct world *w, const char *where)
{
    SC_AUTO(free) char *store = sky_store_text(w);
    SC_AUTO(free) char *answer = cJSON_PrintUnformatted(w->op_result);
    cr_expect_not(strstr(store, SKY_SECRET), "%s: in the store", where);
    cr_expect_not(answer && strstr(answer, SKY_SECRET), "%s: in the answer",
                  where);
    cr_expect_not(strstr(w->op_err.text, SKY_SECRET), "%s: in the error",
                  where);
}

Test(providers, an_account_is_kept_only_if_its_credential_works)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    cr_expect_eq(world_op(w, "provider.create",
                          "{\"name\":\"acc\",\"driver\":\"sky\",\"config\":{"
                          "\"region\":\"r1\"},\"secret\":{\"key\":\"no\"}}"),
                 -EACCES);
    cr_assert_eq(world_op(w, "provider.list", "{}"), 0);
    cr_expect_eq(
        cJSON_GetArraySize(cJSON_GetObjectItem(w->op_result, "providers")), 0);
    sky_add_account(w);
    cr_expect_str_eq(wstr(w->op_result, "identity"), "me");
    cr_expect_str_eq(wstr(w->op_result, "state"), "ok");
    cr_expect(cJSON_IsTrue(cJSON_GetObjectItem(w->op_result, "has_secret")));
    expect_no_secret(w, "create");
    cr_expect_eq(world_op(w, "provider.create",
                          "{\"name\":\"acc\",\"driver\":\"sky\",\"config\":{"
                          "\"region\":\"r1\"},\"secret\":{\"key\":\"%s\"}}",
                          SKY_SECRET),
                 -EEXIST);
}

Test(providers, fields_are_checked_before_anything_is_tried)
{
    static const struct {
        const char *params, *text;
        int code;
    } cases[] = {
        { "\"driver\":\"moon\"", "moon", -ENOENT },
        { "\"driver\":\"sky\"", "region", -EINVAL },
        { "\"driver\":\"sky\",\"config\":{\"region\":\"r\"}", "key", -EINVAL },
        { "\"driver\":\"sky\",\"config\":{\"region\":\"r\",\"key\":"
          "\"" SKY_SECRET "\"}",
          "secret", -EINVAL },
        { "\"driver\":\"sky\",\"config\":{\"region\":\"r\",\"colour\":1}",
          "colour", -EINVAL },
        { "\"driver\":\"sky\",\"config\":{\"region\":\"r\"},\"secret\":{"
          "\"key\":\"x\",\"url\":\"y\"}",
          "url", -EINVAL },
        { "\"driver\":\"sky\",\"config\":[]", "object", -EINVAL },
        { "\"driver\":\"sky\",\"config\":{\"region\":\"r\"},\"sekret\":{}",
          "sekret", -EINVAL },
    };
    SC_AUTO(sky_free) struct world *w = sky_world();
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        unsigned before = sky_of(w)->n_calls;
        cr_expect_eq(world_op(w, "provider.create", "{\"name\":\"acc\",%s}",
                              cases[i].params),
                     cases[i].code, "%s: %s", cases[i].params, w->op_err.text);
        cr_expect(strstr(w->op_err.text, cases[i].text), "%s", w->op_err.text);
        cr_expect_leq(sky_of(w)->n_calls, before + 1, "only the drivers");
        expect_no_secret(w, cases[i].params);
    }
}

Test(providers, the_secret_survives_a_restart_and_is_nowhere_readable)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    world_kill_controller(w);
    world_run(w, 3000);
    cr_assert_eq(world_op(w, "provider.regions", "{\"id\":\"acc\"}"), 0, "%s",
                 w->op_err.text);
    cr_assert_eq(world_op(w, "provider.show", "{\"id\":\"acc\"}"), 0);
    expect_no_secret(w, "show");
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/secrets.key", w->pki_dir);
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0400);
}

Test(providers, another_key_file_opens_nothing_and_says_what_to_do)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    char path[128];
    sky_add_account(w);
    snprintf(path, sizeof path, "%s/secrets.key", w->pki_dir);
    cr_assert_eq(unlink(path), 0);
    world_kill_controller(w);
    world_run(w, 3000);
    cr_expect_eq(world_op(w, "provider.regions", "{\"id\":\"acc\"}"), -EBADMSG);
    cr_expect(strstr(w->op_err.text, "again"), "%s", w->op_err.text);
    cr_expect_eq(world_op(w, "provider.update",
                          "{\"id\":\"acc\",\"secret\":{\"key\":\"%s\"}}",
                          SKY_SECRET),
                 0, "%s", w->op_err.text);
    cr_expect_eq(world_op(w, "provider.regions", "{\"id\":\"acc\"}"), 0);
}

Test(providers, an_update_is_tried_first_and_a_wrong_one_changes_nothing)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    cr_expect_eq(world_op(w, "provider.update",
                          "{\"id\":\"acc\",\"secret\":{\"key\":\"bad\"}}"),
                 -EACCES);
    cr_expect_eq(world_op(w, "provider.update",
                          "{\"id\":\"acc\",\"config\":{\"url\":\"u\"}}"),
                 -EINVAL, "the region is required");
    cr_expect_eq(world_op(w, "provider.update",
                          "{\"id\":\"acc\",\"config\":{\"region\":\"r2\"}}"),
                 0, "%s", w->op_err.text);
    cr_expect_str_eq(
        wstr(cJSON_GetObjectItem(w->op_result, "config"), "region"), "r2");
    cr_expect_eq(world_op(w, "provider.regions", "{\"id\":\"acc\"}"), 0,
                 "the old secret is kept: %s", w->op_err.text);
}

Test(providers, a_refused_credential_shows_on_the_account_until_it_works_again)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    sky_fail(w, "regions", -EACCES, 1, false);
    cr_expect_eq(world_op(w, "provider.regions", "{\"id\":\"acc\"}"), -EACCES);
    cr_assert_eq(world_op(w, "provider.show", "{\"id\":\"acc\"}"), 0);
    cr_expect_str_eq(wstr(w->op_result, "state"), "failed");
    cr_expect(wstr(w->op_result, "error")[0]);
    cr_expect_str_eq(w->changed_kind, "provider");
    cr_expect_eq(world_op(w, "provider.regions", "{\"id\":\"acc\"}"), 0);
    cr_assert_eq(world_op(w, "provider.show", "{\"id\":\"acc\"}"), 0);
    cr_expect_str_eq(wstr(w->op_result, "state"), "ok");
}

Test(providers, an_account_with_images_is_deleted_only_by_force)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    sky_add_account(w);
    sky_begin_publish(w, "img1");
    cr_expect_eq(world_op(w, "provider.delete", "{\"id\":\"acc\"}"), -EBUSY,
                 "its job runs");
    cr_expect_eq(world_wait_job(w, 60000)->state, JOB_DONE);
    cr_expect_eq(world_op(w, "provider.delete", "{\"id\":\"acc\"}"), -EBUSY);
    cr_expect(strstr(w->op_err.text, "img1"), "%s", w->op_err.text);
    cr_expect_eq(
        world_op(w, "provider.delete", "{\"id\":\"acc\",\"force\":true}"), 0);
    cr_expect_eq(w->ctl->published.n, 0u);
    cr_expect_eq(world_op(w, "provider.show", "{\"id\":\"acc\"}"), -ENOENT);
}

Test(providers, viewers_read_and_only_admins_change)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    static const char *const ops[] = { "provider.create", "provider.launch",
                                       "provider.gc", "provider.terminate",
                                       "provider.image_upload" };
    const struct api_caller who = { "eve", API_ROLE_OPERATOR };
    SC_AUTO(cjson_free) cJSON *p = cJSON_CreateObject();
    for (size_t i = 0; i < SC_ARRAY_LEN(ops); i++) {
        ctl_op(w->ctl, ops[i], &who, p, world_op_done, w);
        cr_expect_eq(w->op_err.code, -EACCES, "%s", ops[i]);
    }
}

Test(providers, without_sc_provider_every_call_says_so)
{
    SC_AUTO(sky_free) struct world *w = sky_world();
    w->cloud = NULL;
    cr_expect_eq(world_op(w, "provider.drivers", "{}"), -EIO);
    cr_expect(strstr(w->op_err.text, "sc-provider"), "%s", w->op_err.text);
}
