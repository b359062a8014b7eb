#include "node/rtt.h"

#include <criterion/criterion.h>

Test(rtt, without_answers_there_is_no_median_and_young_probes_are_not_lost)
{
    struct rtt r = { 0 };
    cr_expect_lt(rtt_median_ms(&r), 0);
    for (int i = 0; i < RTT_LATE; i++)
        rtt_sent(&r);
    cr_expect_eq(rtt_loss(&r), 0);
    rtt_sent(&r);
    cr_expect_eq(rtt_loss(&r), 1);
}

Test(rtt, the_median_ignores_one_slow_answer)
{
    struct rtt r = { 0 };
    static const uint32_t us[] = { 10000, 900000, 12000, 11000, 10500 };
    for (int i = 0; i < 5; i++)
        rtt_got(&r, rtt_sent(&r), us[i]);
    cr_expect_eq(rtt_median_ms(&r), 11.0);
    cr_expect_eq(rtt_loss(&r), 0);
}

Test(rtt, loss_is_the_share_of_the_window)
{
    struct rtt r = { 0 };
    for (int i = 0; i < 100; i++) {
        uint32_t seq = rtt_sent(&r);
        if (i % 2)
            rtt_got(&r, seq, 1000);
    }
    cr_expect(rtt_loss(&r) > 0.45 && rtt_loss(&r) < 0.55, "%f", rtt_loss(&r));
}

Test(rtt, old_double_and_unknown_answers_change_nothing)
{
    struct rtt r = { 0 };
    for (int i = 0; i < RTT_WINDOW + 5; i++)
        rtt_sent(&r);
    rtt_got(&r, 0, 5);
    rtt_got(&r, 1, 5);
    rtt_got(&r, r.last + 1, 5);
    cr_expect_lt(rtt_median_ms(&r), 0);
    rtt_got(&r, r.last, 2000);
    rtt_got(&r, r.last, 9000);
    cr_expect_eq(rtt_median_ms(&r), 2.0);
}
