/* Tests of daemons/storage/block_map.c. */
#include "storage/block_map.h"

#include <criterion/criterion.h>

Test(block_map, blocks_are_absent_until_set)
{
    SC_AUTO(block_map_free) struct block_map *m = block_map_new(2000);
    cr_expect_eq(block_map_get(m, 1999)->version, 0);
    cr_expect_eq(block_map_get(m, 0)->slot, SLOT_NONE);
    cr_expect_eq(block_map_next(m, 0, false), UINT32_MAX);
    cr_expect_eq(block_map_n_known(m), 0);
}

Test(block_map, counts_what_is_local_dirty_and_known)
{
    SC_AUTO(block_map_free) struct block_map *m = block_map_new(2000);
    struct block b = { .version = 5, .slot = 9, .flags = BLOCK_DIRTY };
    cr_assert_eq(block_map_set(m, 700, &b), 0);
    b.slot = SLOT_ZERO;
    b.flags = 0;
    cr_assert_eq(block_map_set(m, 1999, &b), 0);
    cr_expect_eq(block_map_n_local(m), 1);
    cr_expect_eq(block_map_n_dirty(m), 1);
    cr_expect_eq(block_map_n_known(m), 2);
    b = (struct block){ .slot = SLOT_NONE };
    cr_assert_eq(block_map_set(m, 700, &b), 0);
    cr_expect_eq(block_map_n_local(m), 0);
    cr_expect_eq(block_map_n_dirty(m), 0);
    cr_expect_eq(block_map_n_known(m), 1);
}

Test(block_map, next_walks_known_or_dirty_blocks_in_order)
{
    SC_AUTO(block_map_free) struct block_map *m = block_map_new(100000);
    static const uint32_t at[] = { 0, 511, 512, 5000, 99999 };
    for (size_t i = 0; i < 5; i++) {
        struct block b = { .version = 1,
                           .slot = SLOT_NONE,
                           .flags = i % 2 ? BLOCK_DIRTY : 0 };
        cr_assert_eq(block_map_set(m, at[i], &b), 0);
    }
    uint32_t b = 0;
    for (size_t i = 0; i < 5; i++, b++) {
        b = block_map_next(m, b, false);
        cr_expect_eq(b, at[i]);
    }
    cr_expect_eq(block_map_next(m, 0, true), 511);
    cr_expect_eq(block_map_next(m, 512, true), 5000);
    cr_expect_eq(block_map_next(m, 5001, true), UINT32_MAX);
}

Test(block_map, counting_keeps_the_ratio_when_it_saturates)
{
    SC_AUTO(block_map_free) struct block_map *m = block_map_new(10);
    struct block b = { .version = 1, .slot = SLOT_NONE };
    cr_assert_eq(block_map_set(m, 3, &b), 0);
    block_map_count(m, 3, true);
    for (int i = 0; i < 70000; i++)
        block_map_count(m, 3, false);
    cr_expect_gt(block_map_get(m, 3)->fr, 30000);
    cr_expect_eq(block_map_get(m, 3)->fw, 1);
    for (int i = 0; i < 100; i++)
        block_map_count(m, 3, true);
    cr_expect_eq(block_map_get(m, 3)->fw, 101);
}
