#include "cli/cli.h"

#include <criterion/criterion.h>
#include <string.h>

/* What bash offers for 'line', whose last word is being typed. */
static char *offered(const char *line)
{
    char script[] = "/tmp/test-complete-XXXXXX";
    int fd = mkstemp(script);
    cr_assert_geq(fd, 0);
    FILE *f = fdopen(fd, "w");
    cr_assert_eq(cli_completion(f, "bash"), 0);
    fclose(f);
    SC_AUTO(free) char *cmd = NULL;
    cr_assert_gt(asprintf(&cmd,
                          "bash -c '. %s; COMP_WORDS=(%s); "
                          "COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _supercloud; "
                          "echo \" ${COMPREPLY[*]} \"'",
                          script, line),
                 0);
    char *text = calloc(1, 4096);
    FILE *p = popen(cmd, "re");
    cr_assert(p);
    cr_assert(fgets(text, 4096, p));
    pclose(p);
    unlink(script);
    return text;
}

static const struct {
    const char *line, *has, *lacks;
} cases[] = {
    { "supercloud \"\"", " vm ", " list " },
    { "supercloud v", " vm ", " node " },
    { "supercloud vm \"\"", " migrate ", " user-data " },
    { "supercloud vm cons", " console-log ", " list " },
    { "supercloud vm create --", " --image ", " --limit " },
    { "supercloud vm console-log --", " --bytes ", " --wait " },
    { "supercloud vm console --", " --output ", " --bytes " },
    { "supercloud vm list -o \"\"", " json ", " vm " },
    { "supercloud completion \"\"", " zsh ", " vm " },
    { "supercloud daemon node \"\"", " dump ", " vm " },
    { "supercloud image create --kind \"\"", " ramdisk ", " vm " },
};

Test(complete, bash_offers_what_fits_the_place)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        SC_AUTO(free) char *text = offered(cases[i].line);
        cr_expect(strstr(text, cases[i].has), "%s: %s", cases[i].line, text);
        cr_expect_not(strstr(text, cases[i].lacks), "%s: %s", cases[i].line,
                      text);
    }
}

Test(complete, an_unknown_shell_is_refused)
{
    cr_expect_eq(cli_completion(stdout, "tcsh"), -EINVAL);
}
