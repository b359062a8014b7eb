#include "cli/cli.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

Test(commands, the_table_is_complete_and_within_the_limits)
{
    for (size_t i = 0; i < cli_n_commands; i++) {
        const struct cli_command *c = &cli_commands[i];
        int n = 0;
        cr_expect(c->fn && c->summary && c->args, "%s", c->name);
        cr_expect_leq(c->min, c->max, "%s", c->name);
        cr_expect_leq(c->max, CLI_MAX_POS, "%s", c->name);
        while (c->options && c->options[n].name)
            n++;
        cr_expect_leq(n, CLI_MAX_OPTS, "%s", c->name);
    }
}

Test(commands, as_many_arguments_are_named_as_may_be_given)
{
    for (size_t i = 0; i < cli_n_commands; i++) {
        int words = 0, optional = 0;
        for (const char *p = cli_commands[i].args; *p; p++) {
            words +=
                isupper((unsigned char)*p) &&
                (p == cli_commands[i].args || p[-1] == ' ' || p[-1] == '[');
            optional += *p == '[';
        }
        cr_expect_eq(words, cli_commands[i].max, "%s", cli_commands[i].name);
        cr_expect_eq(words - optional, cli_commands[i].min, "%s",
                     cli_commands[i].name);
    }
}

Test(commands, no_name_is_used_twice_and_groups_stand_together)
{
    for (size_t i = 0; i < cli_n_commands; i++)
        for (size_t k = 0; k < i; k++)
            cr_expect_str_neq(cli_commands[i].name, cli_commands[k].name);
}
