/* Tests of daemons/storage/peer_proto.c. */
#include "storage/peer_proto.h"

#include "storage/crc32c.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

/* The payload of a frame that was just encoded; checks its header. */
static uint8_t *payload(uint8_t *frame, size_t size, enum peer_type type,
                        uint32_t tag)
{
    struct peer_frame f;
    cr_assert_eq(peer_frame_get(frame, &f), 0);
    cr_assert_eq(f.type, type);
    cr_assert_eq(f.tag, tag);
    cr_assert_eq(f.size, size - PEER_HEADER);
    return frame + PEER_HEADER;
}

Test(peer_proto, a_frame_of_an_unknown_type_or_size_is_refused)
{
    static const struct {
        uint32_t type, size;
        int want;
    } cases[] = {
        { PEER_FETCH, 100, 0 },
        { 0, 0, -EBADMSG },
        { 7, 0, -EBADMSG },
        { PEER_FETCH, 1 << 20, -EBADMSG },
        { PEER_HANDOVER, PEER_PAYLOAD_MAX, 0 },
        { PEER_HANDOVER, PEER_PAYLOAD_MAX + 1, -EBADMSG },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t p[PEER_HEADER];
        struct peer_frame f = { (enum peer_type)cases[i].type, 1,
                                cases[i].size };
        peer_frame_put(p, &f);
        cr_expect_eq(peer_frame_get(p, &f), cases[i].want, "case %zu", i);
        p[0] ^= 1;
        cr_expect_eq(peer_frame_get(p, &f), -EBADMSG);
    }
}

Test(peer_proto, a_fetch_comes_back_and_is_refused_when_cut)
{
    struct peer_fetch q = { .volume = "abcdefghijklmno", .n = 3 }, got;
    for (uint32_t i = 0; i < 3; i++)
        q.wants[i] = (struct peer_want){ i * 7, UINT64_C(1) << (i * 20) };
    SC_AUTO(free) uint8_t *frame = NULL;
    size_t size;
    cr_assert_eq(peer_fetch_encode(&q, 5, &frame, &size), 0);
    const uint8_t *p = payload(frame, size, PEER_FETCH, 5);
    cr_assert_eq(peer_fetch_decode(p, size - PEER_HEADER, &got), 0);
    cr_expect_eq(got.n, 3);
    cr_expect_eq(got.wants[2].block, 14);
    cr_expect_eq(got.wants[2].version, UINT64_C(1) << 40);
    for (size_t n = 0; n < size - PEER_HEADER; n++)
        cr_expect_eq(peer_fetch_decode(p, n, &got), -EBADMSG);
}

static struct peer_block blocks[4];
static uint8_t data[2 * PEER_BLOCK];

static void make_data(bool compressible)
{
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = compressible ? (uint8_t)(i / 64)
                               : (uint8_t)((i * 2654435761u) >> 11 ^ i >> 3);
    static const uint8_t status[] = { PEER_BLOCK_OK, PEER_BLOCK_ZERO,
                                      PEER_BLOCK_MISSING, PEER_BLOCK_NEWER };
    for (int i = 0; i < 4; i++)
        blocks[i] = (struct peer_block){ status[i], (uint64_t)i + 1, 0 };
    blocks[0].crc = crc32c(0, data, PEER_BLOCK);
    blocks[3].crc = crc32c(0, data + PEER_BLOCK, PEER_BLOCK);
}

Test(peer_proto, data_comes_back_packed_or_not)
{
    for (int packed = 0; packed < 2; packed++) {
        SC_AUTO(free) uint8_t *frame = NULL;
        struct peer_reply r = { 0 };
        size_t size;
        make_data(packed);
        cr_assert_eq(peer_data_encode(4, blocks, data, 6, &frame, &size), 0);
        cr_expect_eq(size < sizeof data, packed);
        const uint8_t *p = payload(frame, size, PEER_DATA, 6);
        cr_assert_eq(peer_data_decode(p, size - PEER_HEADER, &r), 0);
        cr_expect_eq(r.n, 4);
        cr_expect_eq(r.blocks[2].status, PEER_BLOCK_MISSING);
        cr_expect_eq(r.data_size, sizeof data);
        cr_expect(memcmp(r.data, data, sizeof data) == 0);
        cr_expect_eq((uintptr_t)r.data % PEER_BLOCK, 0);
        peer_reply_clear(&r);
    }
}

Test(peer_proto, data_with_a_flipped_bit_is_refused)
{
    SC_AUTO(free) uint8_t *frame = NULL;
    size_t size;
    make_data(false);
    cr_assert_eq(peer_data_encode(4, blocks, data, 6, &frame, &size), 0);
    for (size_t at = PEER_HEADER + 16 + 4 * 16; at < size; at += 97) {
        struct peer_reply r = { 0 };
        frame[at] ^= 4;
        cr_assert_eq(
            peer_data_decode(frame + PEER_HEADER, size - PEER_HEADER, &r),
            -EBADMSG);
        frame[at] ^= 4;
    }
}

Test(peer_proto, a_handover_comes_back_and_is_refused_when_cut)
{
    struct peer_handover h = { .volume = "abcdefghijklmno",
                               .migration = "m-1",
                               .epoch = 7,
                               .delta = (const uint8_t *)"delta",
                               .delta_size = 5 },
                         got;
    SC_AUTO(free) uint8_t *frame = NULL;
    size_t size;
    cr_assert_eq(peer_handover_encode(&h, 1, &frame, &size), 0);
    uint8_t *p = payload(frame, size, PEER_HANDOVER, 1);
    cr_assert_eq(peer_handover_decode(p, size - PEER_HEADER, &got), 0);
    cr_expect_str_eq(got.migration, "m-1");
    cr_expect_eq(got.epoch, 7);
    cr_expect(memcmp(got.delta, "delta", 5) == 0);
    for (size_t n = 0; n < size - PEER_HEADER; n++)
        cr_expect_eq(peer_handover_decode(p, n, &got), -EBADMSG);
    p[28] = '\n'; /* In the migration's name. */
    cr_expect_eq(peer_handover_decode(p, size - PEER_HEADER, &got), -EBADMSG);
}

Test(peer_proto, prepared_and_done_come_back_and_are_refused_when_cut)
{
    struct peer_prepared m = { .volume = "abcdefghijklmno",
                               .migration = "x",
                               .seq = 99 },
                         got;
    SC_AUTO(free) uint8_t *frame = NULL, *done = NULL;
    size_t size;
    cr_assert_eq(peer_prepared_encode(&m, 2, &frame, &size), 0);
    const uint8_t *p = payload(frame, size, PEER_PREPARED, 2);
    cr_assert_eq(peer_prepared_decode(p, size - PEER_HEADER, &got), 0);
    cr_expect_eq(got.seq, 99);
    for (size_t n = 0; n < size - PEER_HEADER; n++)
        cr_expect_eq(peer_prepared_decode(p, n, &got), -EBADMSG);
    struct peer_reply r;
    cr_assert_eq(peer_done_encode(-EBUSY, "not now", 3, &done, &size), 0);
    p = payload(done, size, PEER_DONE, 3);
    cr_assert_eq(peer_done_decode(p, size - PEER_HEADER, &r), 0);
    cr_expect_eq(r.error, -EBUSY);
    cr_expect_str_eq(r.text, "not now");
    for (size_t n = 0; n < size - PEER_HEADER; n++)
        cr_expect_eq(peer_done_decode(p, n, &r), -EBADMSG);
}
