#include "node/zpack.h"

#include "node/migframe.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void noise(uint8_t *p, size_t size)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        p[i] = (uint8_t)x;
    }
}

Test(zpack, what_is_packed_is_unpacked)
{
    SC_AUTO(zpack_free) struct zpack *z = NULL;
    static uint8_t in[MIG_CHUNK], packed[MIG_PAYLOAD_MAX], out[MIG_CHUNK];
    cr_assert_eq(zpack_new(&z), 0);
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i / 1000);
    uint32_t n = zpack_pack(z, in, sizeof in, packed, sizeof packed);
    cr_expect(n > 0 && n < sizeof in / 10, "%u bytes", n);
    cr_assert_eq(zpack_unpack(z, packed, n, out, sizeof out, NULL),
                 (int)sizeof in);
    cr_expect_eq(memcmp(in, out, sizeof in), 0);
}

Test(zpack, noise_is_not_packed_and_after_a_window_not_even_tried)
{
    SC_AUTO(zpack_free) struct zpack *z = NULL;
    static uint8_t in[MIG_CHUNK], packed[MIG_PAYLOAD_MAX];
    cr_assert_eq(zpack_new(&z), 0);
    noise(in, sizeof in);
    for (int i = 0; i < ZPACK_WINDOW / MIG_CHUNK; i++) {
        cr_assert(zpack_wanted(z), "given up too early, chunk %d", i);
        cr_expect_eq(zpack_pack(z, in, sizeof in, packed, sizeof packed), 0);
    }
    cr_expect_not(zpack_wanted(z));
    zpack_skipped(z, ZPACK_REST - 1);
    cr_expect_not(zpack_wanted(z));
    zpack_skipped(z, 1);
    cr_expect(zpack_wanted(z), "not tried again after the rest");
}

Test(zpack, damaged_and_lying_payloads_are_refused)
{
    SC_AUTO(zpack_free) struct zpack *z = NULL;
    static uint8_t in[4096], packed[8192], out[4096];
    cr_assert_eq(zpack_new(&z), 0);
    uint32_t n = zpack_pack(z, in, sizeof in, packed, sizeof packed);
    cr_assert_gt(n, 0);
    cr_expect_eq(zpack_unpack(z, packed, n - 1, out, sizeof out, NULL),
                 -EPROTO);
    cr_expect_eq(zpack_unpack(z, packed, 3, out, sizeof out, NULL), -EPROTO);
    cr_expect_eq(zpack_unpack(z, packed, n, out, sizeof out - 1, NULL),
                 -EPROTO);
    packed[3] ^= 1; /* Another size than there is. */
    cr_expect_eq(zpack_unpack(z, packed, n, out, sizeof out, NULL), -EPROTO);
}
