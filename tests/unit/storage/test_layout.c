/* Tests of daemons/storage/layout.c. */
#include "storage/layout.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static const struct block sample = { .version = UINT64_C(5) << 32 | 77,
                                     .slot = 123,
                                     .crc = 0xdeadbeef,
                                     .holder = 9,
                                     .flags = BLOCK_DIRTY };

Test(layout, a_record_comes_back_without_its_fleeting_flags)
{
    uint8_t p[LAYOUT_RECORD];
    struct block b = sample, got;
    uint32_t block;
    b.flags |= BLOCK_LISTED | BLOCK_FRESH;
    layout_record_put(p, 42, &b);
    cr_assert_eq(layout_record_get(p, &block, &got), 0);
    cr_expect_eq(block, 42);
    cr_expect_eq(got.version, sample.version);
    cr_expect_eq(got.slot, 123);
    cr_expect_eq(got.crc, 0xdeadbeef);
    cr_expect_eq(got.holder, 9);
    cr_expect_eq(got.flags, BLOCK_DIRTY);
}

static const struct {
    const char *name;
    uint32_t block, slot;
    uint64_t version;
} bad_records[] = {
    { "block too large", BLOCK_COUNT_MAX, 1, 1 },
    { "slot between the largest and the special", 1, SLOT_MAX, 1 },
    { "a copy of nothing", 1, 5, 0 },
};

Test(layout, a_record_out_of_range_is_refused)
{
    for (size_t i = 0; i < sizeof bad_records / sizeof *bad_records; i++) {
        uint8_t p[LAYOUT_RECORD];
        uint32_t block;
        struct block b = { .slot = bad_records[i].slot,
                           .version = bad_records[i].version };
        layout_record_put(p, bad_records[i].block, &b);
        cr_expect_eq(layout_record_get(p, &block, &b), -EBADMSG, "%s",
                     bad_records[i].name);
    }
}

static uint8_t *make_group(uint32_t n, const char *state,
                           struct layout_group *g)
{
    *g = (struct layout_group){ .id = "abcdefghijklmno",
                                .generation = 3,
                                .seq = 8,
                                .confirmed = 7,
                                .version = 99,
                                .prev_crc = 5,
                                .n_records = n,
                                .state_size = (uint32_t)strlen(state) };
    uint8_t *buf = malloc(layout_group_size(n, g->state_size));
    for (uint32_t i = 0; i < n; i++)
        layout_record_put(buf + LAYOUT_GROUP_HEADER + i * LAYOUT_RECORD, i,
                          &sample);
    layout_group_seal(buf, g, (const uint8_t *)state);
    return buf;
}

Test(layout, a_group_comes_back_with_records_and_state)
{
    struct layout_group g, got;
    SC_AUTO(free) uint8_t *buf = make_group(200, "open", &g);
    cr_assert_eq(layout_group_decode(buf, g.total_size, &got), 0);
    cr_expect_eq(got.seq, 8);
    cr_expect_eq(got.confirmed, 7);
    cr_expect_eq(got.version, 99);
    cr_expect_eq(got.prev_crc, 5);
    cr_expect_eq(got.crc, g.crc);
    cr_expect_eq(got.n_records, 200);
    cr_expect(memcmp(got.state, "open", 4) == 0);
    cr_expect_eq(got.total_size % LAYOUT_PAGE, 0);
}

Test(layout, any_flipped_bit_or_missing_sector_spoils_a_group)
{
    struct layout_group g, got;
    SC_AUTO(free) uint8_t *buf = make_group(300, "x", &g);
    for (size_t at = 0; at < g.total_size; at += 7) {
        buf[at] ^= 0x10;
        cr_assert_eq(layout_group_decode(buf, g.total_size, &got), -EBADMSG,
                     "byte %zu", at);
        buf[at] ^= 0x10;
    }
    cr_expect_eq(layout_group_decode(buf, g.total_size - 1, &got), -EBADMSG);
    memset(buf + 512, 0, 512);
    cr_expect_eq(layout_group_decode(buf, g.total_size, &got), -EBADMSG);
}

Test(layout, a_checkpoint_comes_back_and_a_flipped_bit_spoils_it)
{
    struct layout_checkpoint c = { .id = "abcdefghijklmno",
                                   .has_parent = true,
                                   .parent = "ponmlkjihgfedcb",
                                   .size = 1 << 20,
                                   .generation = 4,
                                   .seq = 12,
                                   .version = 5,
                                   .n_records = 3,
                                   .records_crc = 1,
                                   .prev_crc = 2,
                                   .state_size = 5,
                                   .state = "state" },
                             got;
    uint8_t buf[LAYOUT_PAGE];
    layout_checkpoint_encode(buf, &c);
    cr_assert_eq(layout_checkpoint_decode(buf, sizeof buf, &got), 0);
    cr_expect(memcmp(&c, &got, sizeof c) == 0);
    for (size_t at = 0; at < sizeof buf; at++) {
        buf[at] ^= 1;
        cr_assert_eq(layout_checkpoint_decode(buf, sizeof buf, &got), -EBADMSG);
        buf[at] ^= 1;
    }
    c.n_records = 300; /* More than the volume has blocks. */
    layout_checkpoint_encode(buf, &c);
    cr_expect_eq(layout_checkpoint_decode(buf, sizeof buf, &got), -EBADMSG);
}
