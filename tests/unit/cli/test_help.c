#include "cli/cli.h"

#include <criterion/criterion.h>
#include <string.h>

static char *printed(void (*fn)(FILE *))
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    fn(f);
    fclose(f);
    return text;
}

static void overview(FILE *f)
{
    cli_help(f, NULL);
}

Test(help, the_overview_names_every_command_and_exit_code)
{
    SC_AUTO(free) char *text = printed(overview);
    for (size_t i = 0; i < cli_n_commands; i++)
        cr_expect(strstr(text, cli_commands[i].summary), "%s",
                  cli_commands[i].name);
    for (int code = CLI_OK; code <= CLI_JOB_FAILED; code++) {
        char line[24];
        snprintf(line, sizeof line, "\n  %d  ", code);
        cr_expect(strstr(text, line), "exit code %d", code);
    }
}

Test(help, the_manual_page_in_the_tree_is_the_one_of_this_table)
{
    SC_AUTO(free) char *want = printed(cli_man);
    SC_AUTO(free) char *have = calloc(1, strlen(want) + 2);
    SC_AUTO(fclose) FILE *f = fopen("docs/man/supercloud.1", "re");
    cr_assert(f, "run from the top of the tree");
    size_t n = fread(have, 1, strlen(want) + 1, f);
    cr_expect_eq(n, strlen(want));
    cr_expect_eq(strcmp(have, want), 0,
                 "make it anew: supercloud help --man > docs/man/supercloud.1");
}
