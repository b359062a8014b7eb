/* The command line for people: options become arguments, and what is wrong is
 * said; with the local driver behind it. */
#include "provider/cli.h"

#include "common/json.h"
#include "provider/run.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <sys/stat.h>

static char folder[64], config[128];

static void put_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "we");
    fputs(text, f);
    fclose(f);
    chmod(path, mode);
}

static void set_up(void)
{
    snprintf(folder, sizeof folder, "/tmp/cli.XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(config, sizeof config, "%s/config.json", folder);
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    json_set_strf(o, "dir", "%s/instances", folder);
    SC_AUTO(free) char *text = cJSON_Print(o);
    put_file(config, text, 0644);
    cr_redirect_stdout();
    cr_redirect_stderr();
}

static void tear_down(void)
{
    run_remove_folder(folder);
}

TestSuite(cli, .init = set_up, .fini = tear_down);

static int run(struct sc_err *err, const char *const *words)
{
    const char *argv[32] = { "local", config };
    int n = 2;
    while (*words)
        argv[n++] = *words++;
    return cli_run(n, (char **)argv, err);
}
#define RUN(err, ...) run(err, (const char *const[]){ __VA_ARGS__, NULL })

Test(cli, a_call_prints_its_result)
{
    struct sc_err err = { 0 };
    cr_assert_eq(RUN(&err, "list"), 0, "%s", err.text);
    fflush(stdout);
    cr_assert_stdout_eq_str("{\n\t\"instances\":\t[]\n}\n");
}

Test(cli, wrong_usage_has_no_text_and_wrong_options_have)
{
    struct sc_err err = { 0 };
    cr_expect_eq(RUN(&err, "fly"), -EINVAL);
    cr_expect_str_eq(err.text, "");
    const struct {
        const char *const words[6];
        int code;
        const char *want;
    } cases[] = {
        { { "list", "--moon", "x" }, -EINVAL, "--moon" },
        { { "list", "x" }, -EINVAL, "'x' is not an option" },
        { { "fence", "--id" }, -EINVAL, "--id has no value" },
        { { "fence" }, -EINVAL, "'id' is missing" },
        { { "launch", "--options", "{" }, -EINVAL, "not JSON" },
        { { "launch", "--max-price", "much" }, -EINVAL, "not a number" },
        { { "launch", "--user-data", "/nowhere/x" }, -ENOENT, "/nowhere/x" },
        { { "launch", "--name", "a", "--image", "/nowhere/i" },
          -ENOENT,
          "/nowhere/i" },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        err = (struct sc_err){ 0 };
        cr_expect_eq(run(&err, cases[i].words), cases[i].code, "case %zu: %s",
                     i, err.text);
        cr_expect(strstr(err.text, cases[i].want), "case %zu: %s", i, err.text);
    }
}

Test(cli, the_state_file_brings_the_token_back_and_goes_after_success)
{
    struct sc_err err = { 0 };
    char state[128];
    snprintf(state, sizeof state, "%s/state.json", folder);
    put_file(state, "{\"token\": \"No Good\", \"resume\": {}}", 0600);
    cr_expect_eq(RUN(&err, "launch", "--name", "a", "--image", "/etc/passwd",
                     "--state", state),
                 -EINVAL);
    cr_expect(strstr(err.text, "token 'No Good'"), "%s", err.text);
    cr_expect_eq(access(state, F_OK), 0, "it stays after a failure");
    put_file(state, "{\"token\": \"job\", \"resume\": {}}", 0600);
    cr_expect_eq(RUN(&err, "list", "--state", state), 0);
    cr_expect_neq(access(state, F_OK), 0);
    put_file(state, "nonsense", 0600);
    cr_expect_eq(RUN(&err, "list", "--state", state), -EINVAL);
}

Test(cli, settings_with_secrets_that_others_may_read_are_refused)
{
    struct sc_err err = { 0 };
    char *argv[] = { (char *)"ec2", config, (char *)"list" };
    cr_expect_eq(cli_run(3, argv, &err), -EACCES);
    cr_expect(strstr(err.text, "chmod 600"), "%s", err.text);
}

Test(cli, usage_names_every_call)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    cli_usage(f);
    fclose(f);
    cr_expect(strstr(text, "  launch --name TEXT"));
    cr_expect(strstr(text, "[--user-data FILE]"));
    cr_expect(strstr(text, "  leftovers [--cluster TEXT]"));
    free(text);
}
