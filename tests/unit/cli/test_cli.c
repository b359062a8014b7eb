#include "cli/cli.h"

#include <criterion/criterion.h>

static const struct {
    int code;
    enum cli_exit want;
} cases[] = {
    { 0, CLI_OK },
    { -EINVAL, CLI_USAGE },
    { -ENOENT, CLI_NOT_FOUND },
    { -EPERM, CLI_DENIED },
    { -EACCES, CLI_DENIED },
    { -EEXIST, CLI_CONFLICT },
    { -EBUSY, CLI_CONFLICT },
    { -EALREADY, CLI_CONFLICT },
    { -ENOSPC, CLI_NO_ROOM },
    { -EHOSTUNREACH, CLI_UNREACHABLE },
    { -ECONNREFUSED, CLI_UNREACHABLE },
    { -EIO, CLI_FAILED },
};

Test(cli, errors_become_the_exit_codes_that_are_promised)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++)
        cr_expect_eq(cli_exit_of(cases[i].code), cases[i].want, "%d",
                     cases[i].code);
}
