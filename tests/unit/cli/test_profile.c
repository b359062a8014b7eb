#include "cli/profile.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>

static char dir[] = "/tmp/test-profile-XXXXXX";
static char file[128];

static void set_up(void)
{
    cr_assert(mkdtemp(dir));
    setenv("XDG_CONFIG_HOME", dir, 1);
    unsetenv("SUPERCLOUD_URL");
    unsetenv("SUPERCLOUD_TOKEN");
    unsetenv("SUPERCLOUD_CA");
    snprintf(file, sizeof file, "%s/supercloud/config.json", dir);
}

static void tear_down(void)
{
    char folder[128];
    snprintf(folder, sizeof folder, "%s/supercloud", dir);
    unlink(file);
    rmdir(folder);
    rmdir(dir);
}

TestSuite(profile, .init = set_up, .fini = tear_down);

static void save(void)
{
    struct profile p = { .url = (char *)"https://a:1",
                         .token = (char *)"secret",
                         .user = (char *)"eve",
                         .ca = (char *)"PEM" };
    struct sc_err err = { 0 };
    cr_assert_eq(profile_save(&p, &err), 0, "%s", err.text);
}

Test(profile, what_is_saved_is_loaded_and_nobody_else_can_read_it)
{
    SC_AUTO(profile_clear) struct profile p = { 0 };
    struct stat st;
    save();
    cr_assert_eq(stat(file, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    cr_assert_eq(profile_load(NULL, &p, NULL), 0);
    cr_expect_str_eq(p.url, "https://a:1");
    cr_expect_str_eq(p.token, "secret");
    cr_expect_str_eq(p.ca, "PEM");
}

Test(profile, no_file_means_not_logged_in)
{
    SC_AUTO(profile_clear) struct profile p = { 0 };
    cr_assert_eq(profile_load(NULL, &p, NULL), 0);
    cr_expect_null(p.url);
    cr_expect_eq(profile_forget(NULL), 0);
}

Test(profile, a_file_that_others_can_read_is_refused)
{
    SC_AUTO(profile_clear) struct profile p = { 0 };
    struct sc_err err = { 0 };
    save();
    chmod(file, 0644);
    cr_expect_eq(profile_load(NULL, &p, &err), -EACCES);
    cr_expect(strstr(err.text, file));
}

Test(profile, another_url_does_not_get_the_token)
{
    SC_AUTO(profile_clear) struct profile a = { 0 };
    SC_AUTO(profile_clear) struct profile b = { 0 };
    save();
    cr_assert_eq(profile_load("https://b:1", &a, NULL), 0);
    cr_expect_null(a.token);
    cr_expect_null(a.ca);
    setenv("SUPERCLOUD_URL", "https://c:1", 1);
    cr_assert_eq(profile_load(NULL, &b, NULL), 0);
    cr_expect_str_eq(b.url, "https://c:1");
    cr_expect_null(b.token);
}

Test(profile, the_environment_goes_before_the_file)
{
    SC_AUTO(profile_clear) struct profile p = { 0 };
    save();
    setenv("SUPERCLOUD_TOKEN", "other", 1);
    cr_assert_eq(profile_load(NULL, &p, NULL), 0);
    cr_expect_str_eq(p.token, "other");
    cr_expect_str_eq(p.url, "https://a:1");
}

Test(profile, a_damaged_file_is_named)
{
    SC_AUTO(profile_clear) struct profile p = { 0 };
    struct sc_err err = { 0 };
    save();
    FILE *f = fopen(file, "we");
    fputs("{", f);
    fclose(f);
    cr_expect_eq(profile_load(NULL, &p, &err), -EINVAL);
    cr_expect(strstr(err.text, file));
}
