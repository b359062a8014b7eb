#include "common/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

/* What 'sc_log' writes to standard error goes to a file meanwhile. */
struct capture {
    FILE *file;
    int old;
};

static struct capture capture_begin(void)
{
    struct capture c = { tmpfile(), dup(STDERR_FILENO) };
    dup2(fileno(c.file), STDERR_FILENO);
    return c;
}

static const char *capture_end(struct capture *c)
{
    static char text[64 << 10];
    dup2(c->old, STDERR_FILENO);
    close(c->old);
    rewind(c->file);
    text[fread(text, 1, sizeof text - 1, c->file)] = '\0';
    fclose(c->file);
    return text;
}

Test(log, a_line_has_level_event_and_pairs)
{
    struct capture c = capture_begin();
    sc_log(SC_LOG_INFO, "vm.start", "vm", "7", "node", "us-1", NULL);
    sc_logf(SC_LOG_ERROR, "disk", "%d left", 3);
    cr_expect_str_eq(capture_end(&c), "<6>event=vm.start vm=7 node=us-1\n"
                                      "<3>event=disk msg=\"3 left\"\n");
}

static const struct {
    const char *name, *value, *want;
} values[] = {
    { "plain", "a-b.c", "a-b.c" },
    { "empty", "", "\"\"" },
    { "space", "a b", "\"a b\"" },
    { "equals", "a=b", "\"a=b\"" },
    { "quote", "a\"b", "\"a\\\"b\"" },
    { "backslash", "a\\b", "\"a\\\\b\"" },
    { "newline forging a line", "x\n<6>event=y", "\"x\\n<6>event=y\"" },
    { "escape sequence", "\033[2J", "\"\\x1b[2J\"" },
    { "UTF-8", "\xc3\xa9", "\xc3\xa9" },
    { "none", NULL, "(null)" },
};

Test(log, values_cannot_forge_a_line)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(values); i++) {
        char want[128];
        struct capture c = capture_begin();
        sc_log(SC_LOG_WARN, "e", "k", values[i].value, NULL);
        snprintf(want, sizeof want, "<4>event=e k=%s\n", values[i].want);
        cr_expect_str_eq(capture_end(&c), want, "case '%s'", values[i].name);
    }
}

Test(log, a_huge_value_is_cut)
{
    static char text[20000];
    memset(text, 'x', sizeof text - 1);
    struct capture c = capture_begin();
    sc_log(SC_LOG_INFO, "e", "k", text, NULL);
    const char *line = capture_end(&c);
    cr_expect_lt(strlen(line), 4200u);
    cr_expect(strstr(line, "...\"\n"));
}

Test(log, the_level_hides_what_is_below)
{
    struct capture c = capture_begin();
    sc_log(SC_LOG_DEBUG, "hidden", NULL);
    sc_log_level_set(SC_LOG_DEBUG);
    sc_log(SC_LOG_DEBUG, "shown", NULL);
    sc_log_level_set(SC_LOG_ERROR);
    sc_log(SC_LOG_WARN, "hidden", NULL);
    cr_expect_str_eq(capture_end(&c), "<7>event=shown\n");
}

Test(log, level_names)
{
    enum sc_log_level level = SC_LOG_ERROR;
    cr_expect_eq(sc_log_level_parse("debug", &level), 0);
    cr_expect_eq(level, SC_LOG_DEBUG);
    cr_expect_lt(sc_log_level_parse("loud", &level), 0);
    cr_expect_lt(sc_log_level_parse(NULL, &level), 0);
    cr_expect_eq(level, SC_LOG_DEBUG);
}
