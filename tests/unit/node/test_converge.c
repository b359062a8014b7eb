#include "node/converge.h"

#include <criterion/criterion.h>

enum { NOT_SEEN = -1, NONE = -1 };
static const struct {
    const char *name;
    enum want want;
    int seen, op, op2;
} cases[] = {
    { "ours and running", WANT_OWNED, HV_RUNNING, STEP_ADOPT, NONE },
    { "ours, paused", WANT_OWNED, HV_PAUSED, STEP_RESUME, NONE },
    { "ours, suspended", WANT_OWNED, HV_SUSPENDED, STEP_RESUME, NONE },
    { "ours, gone", WANT_OWNED, NOT_SEEN, STEP_STOPPED, NONE },
    { "stopped and gone", WANT_STOPPED, NOT_SEEN, NONE, NONE },
    { "stopped but there", WANT_STOPPED, HV_RUNNING, STEP_DESTROY, NONE },
    { "sending", WANT_SENDING, HV_RUNNING, STEP_TAKE_BACK, NONE },
    { "sending, lost", WANT_SENDING, NOT_SEEN, STEP_TAKE_BACK, NONE },
    { "given", WANT_GIVEN, HV_SUSPENDED, STEP_HOLD, NONE },
    { "given but running", WANT_GIVEN, HV_RUNNING, STEP_PAUSE, STEP_HOLD },
    { "releasing", WANT_RELEASING, HV_SUSPENDED, STEP_RELEASE, NONE },
    { "releasing, gone", WANT_RELEASING, NOT_SEEN, STEP_RELEASE, NONE },
    { "taken", WANT_MINE, HV_PAUSED, STEP_FINISH_IN, NONE },
    { "taken, lost", WANT_MINE, NOT_SEEN, STEP_STOPPED, NONE },
};

Test(converge, each_case_has_its_steps)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wanted w = { "a", cases[i].want };
        struct seen s = { "a", (enum hv_state)cases[i].seen };
        struct step steps[CONVERGE_STEPS(1, 1)];
        size_t n = converge(&w, 1, &s, cases[i].seen != NOT_SEEN, steps);
        size_t want = (cases[i].op != NONE) + (cases[i].op2 != NONE);
        cr_assert_eq(n, want, "case '%s'", cases[i].name);
        if (want > 0)
            cr_expect_eq((int)steps[0].op, cases[i].op, "case '%s'",
                         cases[i].name);
        if (want > 1)
            cr_expect_eq((int)steps[1].op, cases[i].op2, "case '%s'",
                         cases[i].name);
    }
}

Test(converge, a_guest_nobody_remembers_is_destroyed_first)
{
    struct wanted w = { "ours", WANT_OWNED };
    struct seen s[] = { { "ours", HV_RUNNING }, { "stray", HV_PAUSED } };
    struct step steps[CONVERGE_STEPS(1, 2)];
    cr_assert_eq(converge(&w, 1, s, 2, steps), 2);
    cr_expect_eq(steps[0].op, STEP_DESTROY);
    cr_expect_str_eq(steps[0].vm_id, "stray");
    cr_expect_eq(steps[1].op, STEP_ADOPT);
}
