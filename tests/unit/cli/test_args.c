#include "cli/cli.h"

#include <criterion/criterion.h>
#include <string.h>

/* Splits "vm list -o json" at spaces and parses it; the words stay in 'store'.
 */
static int parse(const char *line, struct cli_args *ret, struct sc_err *err)
{
    static char store[512];
    static char *argv[32];
    int argc = 0;
    snprintf(store, sizeof store, "supercloud %s", line);
    for (char *p = strtok(store, " "); p; p = strtok(NULL, " "))
        argv[argc++] = p;
    argv[argc] = NULL;
    err->text[0] = '\0';
    return cli_parse(argc, argv, ret, err);
}

static const struct {
    const char *line;
    int want;
    const char *says; /* Part of the error. */
} cases[] = {
    { "vm list", 0, NULL },
    { "vm show x", 0, NULL },
    { "-o json vm list", 0, NULL },
    { "vm list -ojson", 0, NULL },
    { "vm list --output=name", 0, NULL },
    { "vm create x --image i --network n", 0, NULL },
    { "vm create --image i x --network=n --wait", 0, NULL },
    { "vm migrate x y", 0, NULL },
    { "vm migrate x --region=r", 0, NULL },
    { "completion bash", 0, NULL },
    { "vm create --help", 0, NULL },
    { "--help", 0, NULL },
    { "vm --help", 0, NULL },
    { "", -EINVAL, "no command" },
    { "vm", -EINVAL, "needs a subcommand" },
    { "vm frob", -EINVAL, "unknown command 'vm frob'" },
    { "frob", -EINVAL, "unknown command 'frob'" },
    { "vms", -EINVAL, "unknown command 'vms'" },
    { "vm show", -EINVAL, "needs VM" },
    { "vm show a b", -EINVAL, "too many: 'b'" },
    { "vm list -o xml", -EINVAL, "'xml'" },
    { "vm list --frob", -EINVAL, "'--frob'" },
    { "vm list -x", -EINVAL, "'-x'" },
    { "vm create x --network n", -EINVAL, "needs --image IMAGE" },
    { "vm create x --network n --image", -EINVAL, "needs a value" },
    { "vm create x --network n --image i --wait=yes", -EINVAL, "no value" },
};

Test(args, lines_are_taken_or_refused_with_the_reason)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        struct cli_args a;
        struct sc_err err;
        cr_expect_eq(parse(cases[i].line, &a, &err), cases[i].want, "'%s': %s",
                     cases[i].line, err.text);
        if (cases[i].says)
            cr_expect(strstr(err.text, cases[i].says), "'%s': %s",
                      cases[i].line, err.text);
    }
}

Test(args, options_and_arguments_may_be_mixed)
{
    struct cli_args a;
    struct sc_err err;
    cr_assert_eq(
        parse("vm create --image i box --network=n --memory 256", &a, &err), 0,
        "%s", err.text);
    cr_expect_str_eq(a.command->name, "vm create");
    cr_expect_eq(a.n_pos, 1);
    cr_expect_str_eq(a.pos[0], "box");
    cr_expect_str_eq(cli_opt(&a, "image"), "i");
    cr_expect_str_eq(cli_opt(&a, "network"), "n");
    cr_expect_null(cli_opt(&a, "wait"));
}

Test(args, after_two_dashes_everything_is_an_argument)
{
    struct cli_args a;
    struct sc_err err;
    cr_assert_eq(parse("vm show -- --wait", &a, &err), 0, "%s", err.text);
    cr_expect_str_eq(a.pos[0], "--wait");
}

Test(args, console_and_console_log_are_two_commands)
{
    struct cli_args a;
    struct sc_err err;
    cr_assert_eq(parse("vm console-log x", &a, &err), 0);
    cr_expect_str_eq(a.command->name, "vm console-log");
    cr_assert_eq(parse("vm console x", &a, &err), 0);
    cr_expect_str_eq(a.command->name, "vm console");
}

Test(args, numbers_are_whole_and_in_their_range)
{
    struct cli_args a;
    struct sc_err err;
    int64_t n = 0;
    cr_assert_eq(parse("vm create x --image i --network n --memory 256 "
                       "--vcpus 2x --disk 9999999",
                       &a, &err),
                 0);
    cr_expect_eq(cli_opt_int(&a, "memory", 1, 1024, 0, &n, &err), 0);
    cr_expect_eq(n, 256);
    cr_expect_eq(cli_opt_int(&a, "vcpus", 1, 64, 1, &n, &err), -EINVAL);
    cr_expect(strstr(err.text, "--vcpus: '2x'"), "%s", err.text);
    cr_expect_eq(cli_opt_int(&a, "disk", 1, 1000, 0, &n, &err), -EINVAL);
}

Test(args, the_default_counts_when_an_option_is_absent)
{
    struct cli_args a;
    struct sc_err err;
    int64_t n = 0;
    cr_assert_eq(parse("job list", &a, &err), 0);
    cr_expect_eq(cli_opt_int(&a, "limit", 1, 100, 20, &n, &err), 0);
    cr_expect_eq(n, 20);
}
