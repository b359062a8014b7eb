/* Tests of daemons/storage/slots.c. */
#include "storage/slots.h"

#include <criterion/criterion.h>

Test(slots, gives_each_slot_once_until_it_is_given_back)
{
    SC_AUTO(slots_free) struct slots *s = slots_new();
    uint32_t first, n, total = 0;
    bool seen[300] = { 0 };
    cr_expect_eq(slots_take(s, 1, &first), 0);
    cr_assert_eq(slots_grow(s, 300), 0);
    while ((n = slots_take(s, 7, &first)) > 0) {
        for (uint32_t i = first; i < first + n; i++) {
            cr_assert_not(seen[i]);
            seen[i] = true;
        }
        total += n;
    }
    cr_expect_eq(total, 300);
    cr_expect_eq(slots_n_free(s), 0);
    slots_give(s, 100, 5);
    cr_expect_eq(slots_take(s, 50, &first), 5);
    cr_expect_eq(first, 100);
}

Test(slots, a_run_never_crosses_a_used_slot)
{
    SC_AUTO(slots_free) struct slots *s = slots_new();
    uint32_t first;
    cr_assert_eq(slots_grow(s, 128), 0);
    cr_assert(slots_take_at(s, 10));
    cr_expect_not(slots_take_at(s, 10));
    cr_expect_not(slots_take_at(s, 128));
    cr_expect_eq(slots_take(s, 100, &first), 10);
    cr_expect_eq(first, 0);
    cr_expect_eq(slots_take(s, 1000, &first), 117);
    cr_expect_eq(first, 11);
}

Test(slots, growing_keeps_what_is_used)
{
    SC_AUTO(slots_free) struct slots *s = slots_new();
    uint32_t first;
    cr_assert_eq(slots_grow(s, 3), 0);
    cr_expect_eq(slots_take(s, 3, &first), 3);
    cr_assert_eq(slots_grow(s, 70), 0);
    cr_expect_eq(slots_take(s, 100, &first), 67);
    cr_expect_eq(first, 3);
}

Test(slots, punched_slots_are_free_but_not_spare)
{
    SC_AUTO(slots_free) struct slots *s = slots_new();
    uint32_t first;
    cr_assert_eq(slots_grow(s, 100), 0);
    cr_assert(slots_take_at(s, 20));
    cr_expect_eq(slots_n_spare(s), 99);
    cr_expect_eq(slots_take_spare(s, 30, 40, &first), 40);
    cr_expect_eq(first, 21);
    cr_expect_eq(slots_n_free(s), 59);
    slots_give_punched(s, 21, 40);
    cr_expect_eq(slots_n_free(s), 99);
    cr_expect_eq(slots_n_spare(s), 59);
    cr_expect_eq(slots_take_spare(s, 40, 100, &first), 0);
    cr_assert(slots_take_at(s, 21)); /* Used again: backed again. */
    slots_give(s, 21, 1);
    cr_expect_eq(slots_n_spare(s), 60);
}
