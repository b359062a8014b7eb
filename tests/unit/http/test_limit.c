#include "http/limit.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(limit, a_burst_is_granted_and_then_one_each_refill)
{
    SC_AUTO(limit_free) struct limit *l = limit_new(3, 1000);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(limit_take(l, "eve", 5000), 0, "try %d", i);
    cr_expect_eq(limit_take(l, "eve", 5000), 1000);
    cr_expect_eq(limit_take(l, "eve", 5600), 400);
    cr_expect_eq(limit_take(l, "eve", 6000), 0);
    cr_expect_eq(limit_take(l, "eve", 6000), 1000);
}

Test(limit, waiting_long_gives_the_whole_burst_but_no_more)
{
    SC_AUTO(limit_free) struct limit *l = limit_new(2, 1000);
    cr_expect_eq(limit_take(l, "eve", 0), 0);
    cr_expect_eq(limit_take(l, "eve", 0), 0);
    cr_expect_eq(limit_take(l, "eve", 1000000), 0);
    cr_expect_eq(limit_take(l, "eve", 1000000), 0);
    cr_expect_neq(limit_take(l, "eve", 1000000), 0);
}

Test(limit, keys_do_not_share_their_tries)
{
    SC_AUTO(limit_free) struct limit *l = limit_new(1, 1000);
    cr_expect_eq(limit_take(l, "eve", 0), 0);
    cr_expect_neq(limit_take(l, "eve", 0), 0);
    cr_expect_eq(limit_take(l, "adam", 0), 0);
}

Test(limit, a_refused_try_costs_nothing)
{
    SC_AUTO(limit_free) struct limit *l = limit_new(1, 1000);
    cr_expect_eq(limit_take(l, "eve", 0), 0);
    for (int i = 0; i < 10; i++)
        cr_expect_eq(limit_take(l, "eve", 500), 500);
    cr_expect_eq(limit_take(l, "eve", 1000), 0);
}

Test(limit, looking_takes_nothing)
{
    SC_AUTO(limit_free) struct limit *l = limit_new(1, 1000);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(limit_wait(l, "eve", 0), 0);
    cr_expect_eq(limit_take(l, "eve", 0), 0);
    cr_expect_eq(limit_wait(l, "eve", 200), 800);
}

Test(limit, a_success_gives_back_one_or_all)
{
    SC_AUTO(limit_free) struct limit *l = limit_new(2, 1000);
    limit_take(l, "eve", 5000);
    limit_take(l, "eve", 5000);
    limit_give(l, "eve");
    cr_expect_eq(limit_take(l, "eve", 5000), 0);
    cr_expect_neq(limit_take(l, "eve", 5000), 0);
    limit_clear(l, "eve");
    cr_expect_eq(limit_take(l, "eve", 5000), 0);
    cr_expect_eq(limit_take(l, "eve", 5000), 0);
}

Test(limit, many_other_keys_do_not_free_the_one_that_is_locked)
{
    SC_AUTO(limit_free) struct limit *l = limit_new(2, 1000);
    limit_take(l, "eve", 0);
    limit_take(l, "eve", 0);
    for (int i = 0; i < 3 * LIMIT_KEYS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        limit_take(l, key, 0);
    }
    cr_expect_neq(limit_take(l, "eve", 0), 0);
}
