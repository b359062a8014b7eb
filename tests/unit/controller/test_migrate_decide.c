/* Tests of daemons/controller/migrate_decide.c. */
#include "controller/migrate_decide.h"

#include <criterion/criterion.h>

static const enum migrate_side sources[] = { SIDE_UNREACHABLE, SIDE_UNKNOWN,
                                             SIDE_SENDING,     SIDE_UNCERTAIN,
                                             SIDE_RESUMED,     SIDE_RELEASED };
static const enum migrate_side destinations[] = {
    SIDE_UNREACHABLE, SIDE_UNKNOWN, SIDE_PREPARING, SIDE_RECEIVING,
    SIDE_READY,       SIDE_RUNNING, SIDE_CANCELLED
};

/* Rows: source; columns: destination, in the order above.  W wait, F forward,
 * C cancel and ask again, R tell the source to resume, B back. */
static const char *const want[] = {
    "WWWWWFR", /* unreachable */
    "WCCCCFB", /* unknown */
    "WWWWWFW", /* sending */
    "WCCCCFR", /* uncertain */
    "BBBBBFB", /* resumed */
    "FFFFFFF", /* released */
};
static const char *const want_if_it_runs[] = {
    "WWWWWFR", "BBBBBFB", "WWWWWFW", "WCCCCFR", "BBBBBFB", "FFFFFFF",
};
static const char *const want_if_cancelled[] = {
    "WCCCCFR", "WCCCCFB", "WCCCCFW", "WCCCCFR", "BBBBBFB", "FFFFFFF",
};

static char letter(enum migrate_action a)
{
    return "WFCRB"[a];
}

Test(migrate_decide, every_pair_of_answers_has_its_action)
{
    for (size_t s = 0; s < sizeof sources / sizeof *sources; s++) {
        for (size_t d = 0; d < sizeof destinations / sizeof *destinations;
             d++) {
            const char *sn = migrate_side_name(sources[s]);
            const char *dn = migrate_side_name(destinations[d]);
            cr_expect_eq(letter(migrate_decide(sources[s], destinations[d],
                                               false, false)),
                         want[s][d], "source %s, destination %s", sn, dn);
            cr_expect_eq(letter(migrate_decide(sources[s], destinations[d],
                                               true, false)),
                         want_if_it_runs[s][d],
                         "source %s and seen to run, destination "
                         "%s",
                         sn, dn);
            cr_expect_eq(letter(migrate_decide(sources[s], destinations[d],
                                               false, true)),
                         want_if_cancelled[s][d],
                         "cancelled, source %s, destination %s", sn, dn);
        }
    }
}

/* What must hold whatever the table says. */
Test(migrate_decide,
     a_source_that_may_have_given_away_resumes_on_a_promise_only)
{
    for (size_t d = 0; d < sizeof destinations / sizeof *destinations; d++) {
        for (int bits = 0; bits < 4; bits++) {
            enum migrate_action a = migrate_decide(
                SIDE_UNCERTAIN, destinations[d], bits & 1, bits & 2);
            cr_expect(a != MIGRATE_BACK);
            if (a == MIGRATE_RESUME)
                cr_expect_eq(destinations[d], SIDE_CANCELLED);
        }
    }
}

Test(migrate_decide, a_word_nobody_knows_is_no_answer)
{
    cr_expect_eq(migrate_side_parse("dancing"), SIDE_UNREACHABLE);
    cr_expect_eq(migrate_side_parse(""), SIDE_UNREACHABLE);
    cr_expect_eq(migrate_side_parse("cancelled"), SIDE_CANCELLED);
}
