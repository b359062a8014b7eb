#include "join/fail.h"

#include <criterion/criterion.h>

Test(fail, a_line_has_code_reason_and_what_to_do)
{
    struct join_failure f = { 0 };
    char line[1200];
    cr_expect_eq(join_exit_status(&f), 0);
    cr_expect_eq(join_fail(&f, JOIN_CLOCK, "here %d", 1), -1);
    join_failure_line(&f, line, sizeof line);
    cr_expect_str_eq(line, "supercloud: join failed [SC-J04]: here 1; set this "
                           "machine's clock (chronyd, or the provider's)");
    cr_expect_eq(join_exit_status(&f), 14);
    join_fail(&f, JOIN_MACHINE, "x");
    join_failure_line(&f, line, sizeof line);
    cr_expect(strstr(line, "[SC-J12]"));
    cr_expect_eq(join_exit_status(&f), 22);
}

Test(fail, foreign_text_stays_on_one_line)
{
    struct join_failure f = { 0 };
    char line[1200];
    join_fail(&f, JOIN_ANSWER, "a\nsupercloud: JOINED\033[2J");
    join_failure_line(&f, line, sizeof line);
    cr_expect_null(strpbrk(line, "\n\033"));
}
