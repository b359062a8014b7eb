/* The emulated path: what arrives, when, and how it is counted. */
#include "wan/link.h"

#include <criterion/criterion.h>
#include <string.h>

#define MS 1000000ull

Test(link, a_frame_arrives_after_serialisation_and_delay)
{
    struct link l = { .p = { .delay_ns = 37 * MS, .rate_bps = 8000000 } };
    uint64_t at = 0;
    cr_assert_eq(link_offer(&l, 1000 * MS, 1000, LINK_DISK, 0, &at), LINK_PASS);
    cr_expect_eq(at, 1038 * MS, "1000 bytes at 8 Mbit/s are 1 ms, then 37 ms");
    cr_assert_eq(link_offer(&l, 1000 * MS, 1000, LINK_DISK, 0, &at), LINK_PASS);
    cr_expect_eq(at, 1039 * MS, "the second waits for the first");
    cr_expect_eq(l.bytes[LINK_DISK], 2000);
}

Test(link, a_queue_longer_than_its_limit_drops)
{
    struct link l = { .p = { .rate_bps = 8000 } }; /* 1 byte a millisecond */
    uint64_t at;
    cr_expect_eq(link_offer(&l, 0, 201, LINK_OTHER, 0, &at), LINK_PASS);
    cr_expect_eq(link_offer(&l, 0, 1, LINK_OTHER, 0, &at), LINK_QUEUE_FULL);
    cr_expect_eq(link_offer(&l, 2 * MS, 1, LINK_OTHER, 0, &at), LINK_PASS);
    cr_expect_eq(l.dropped_queue, 1);
}

Test(link, jitter_never_reorders)
{
    struct link l = { .p = { .delay_ns = MS, .jitter_ns = 10 * MS } };
    uint64_t last = 0, at, x = 88172645463325252ull;
    for (int i = 0; i < 1000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        cr_assert_eq(
            link_offer(&l, (uint64_t)i * 1000, 100, LINK_OTHER, x, &at),
            LINK_PASS);
        cr_assert_geq(at, last);
        cr_assert_geq(at, (uint64_t)i * 1000 + MS);
        last = at;
    }
}

Test(link, loss_is_what_was_asked_for)
{
    struct link l = { .p = { .loss_ppm = 10000 } };
    uint64_t at, x = 1;
    for (int i = 0; i < 100000; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        (void)link_offer(&l, 0, 100, LINK_OTHER, x >> 16, &at);
    }
    cr_expect_gt(l.dropped_loss, 800);
    cr_expect_lt(l.dropped_loss, 1200);
    cr_expect_eq(l.dropped_loss + l.frames, 100000);
}

Test(link, a_partition_passes_nothing)
{
    struct link l = { .p = { .partitioned = true } };
    uint64_t at = 7;
    cr_expect_eq(link_offer(&l, 0, 100, LINK_OTHER, 0, &at), LINK_CUT);
    cr_expect_eq(at, 7, "outputs are written only on success");
    cr_expect_eq(l.frames, 0);
}

static const struct {
    const char *name;
    uint8_t protocol;
    uint16_t from, to;
    uint8_t fragment;
    size_t size;
    enum link_class want;
} classes[] = {
    { "memory to", 6, 40000, 7482, 0, 60, LINK_MEMORY },
    { "memory back", 6, 7482, 40000, 0, 60, LINK_MEMORY },
    { "disk", 6, 40000, 7480, 0, 60, LINK_DISK },
    { "rpc", 6, 7443, 40000, 0, 60, LINK_CONTROL },
    { "vxlan", 17, 50000, 4789, 0, 60, LINK_OVERLAY },
    { "icmp", 1, 40000, 7482, 0, 60, LINK_OTHER },
    { "later fragment", 6, 40000, 7482, 1, 60, LINK_OTHER },
    { "cut before the ports", 6, 40000, 7482, 0, 37, LINK_OTHER },
    { "runt", 6, 40000, 7482, 0, 10, LINK_OTHER },
};

Test(link, frames_are_classed_by_the_port_at_either_end)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        uint8_t f[60] = { [12] = 8, [14] = 0x45 };
        f[21] = classes[i].fragment;
        f[23] = classes[i].protocol;
        f[34] = (uint8_t)(classes[i].from >> 8);
        f[35] = (uint8_t)classes[i].from;
        f[36] = (uint8_t)(classes[i].to >> 8);
        f[37] = (uint8_t)classes[i].to;
        cr_expect_eq(link_classify(f, classes[i].size), classes[i].want,
                     "case '%s'", classes[i].name);
    }
}
