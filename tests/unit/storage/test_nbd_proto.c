/* Tests of daemons/storage/nbd_proto.c. */
#include "storage/nbd_proto.h"

#include "storage/bytes.h"

#include <criterion/criterion.h>

static const uint8_t request[28] = "\x25\x60\x95\x13\x00\x01\x00\x01"
                                   "\x01\x02\x03\x04\x05\x06\x07\x08"
                                   "\x00\x00\x00\x00\x00\x10\x00\x00"
                                   "\x00\x00\x20\x00";

Test(nbd_proto, a_request_is_decoded_field_by_field)
{
    struct nbd_request q;
    cr_assert_eq(nbd_request_decode(request, 28, &q), 0);
    cr_expect_eq(q.flags, NBD_CMD_F_FUA);
    cr_expect_eq(q.type, NBD_CMD_WRITE);
    cr_expect_eq(q.cookie, UINT64_C(0x0102030405060708));
    cr_expect_eq(q.offset, 0x100000);
    cr_expect_eq(q.length, 0x2000);
}

Test(nbd_proto, a_cut_request_waits_and_a_wrong_magic_does_not)
{
    struct nbd_request q;
    uint8_t bad[28];
    for (size_t n = 0; n < 28; n++)
        cr_expect_eq(nbd_request_decode(request, n, &q), -EAGAIN);
    memcpy(bad, request, 28);
    bad[3] ^= 1;
    cr_expect_eq(nbd_request_decode(bad, 28, &q), -EBADMSG);
}

static size_t option(uint8_t *p, uint32_t which, uint32_t size)
{
    put_be64(p, NBD_OPTION_MAGIC);
    put_be32(p + 8, which);
    put_be32(p + 12, size);
    return 16 + size;
}

Test(nbd_proto, an_option_is_whole_or_waited_for_or_too_long)
{
    uint8_t buf[64] = { 0 };
    struct nbd_option o;
    size_t size = option(buf, NBD_OPT_LIST, 8);
    cr_expect_eq(nbd_option_decode(buf, size - 1, &o), -EAGAIN);
    cr_assert_eq(nbd_option_decode(buf, size, &o), 0);
    cr_expect_eq(o.option, NBD_OPT_LIST);
    cr_expect_eq(o.size, 8);
    option(buf, 77, NBD_OPTION_MAX + 1);
    cr_expect_eq(nbd_option_decode(buf, 16, &o), -EMSGSIZE);
    cr_expect_eq(o.option, 77);
    buf[0] ^= 1;
    cr_expect_eq(nbd_option_decode(buf, size, &o), -EBADMSG);
}

static const struct {
    const char *name, *data;
    size_t size;
    int want;
    bool block_size;
} infos[] = {
    { "no name, nothing asked", "\0\0\0\0\0\0", 6, 0, false },
    { "a name, block size asked", "\0\0\0\2ab\0\1\0\3", 10, 0, true },
    { "another thing asked", "\0\0\0\2ab\0\1\0\2", 10, 0, false },
    { "a name longer than the data",
      "\0\0\0\x9"
      "ab\0\0",
      8, -EBADMSG, false },
    { "fewer infos than told", "\0\0\0\0\0\2\0\3", 8, -EBADMSG, false },
    { "something after it", "\0\0\0\0\0\0x", 7, -EBADMSG, false },
    { "a name without end", "\xff\xff\xff\xff", 4, -EBADMSG, false },
};

Test(nbd_proto, info_and_go_take_only_exact_data)
{
    for (size_t i = 0; i < sizeof infos / sizeof *infos; i++) {
        struct nbd_info got = { 0 };
        cr_expect_eq(nbd_info_decode((const uint8_t *)infos[i].data,
                                     infos[i].size, &got),
                     infos[i].want, "%s", infos[i].name);
        cr_expect_eq(got.wants_block_size, infos[i].block_size, "%s",
                     infos[i].name);
    }
}

Test(nbd_proto, meta_contexts_are_found_among_others)
{
    static const uint8_t two[] = "\0\0\0\1v\0\0\0\2\0\0\0\3x:y\0\0\0\x0f"
                                 "base:allocation";
    struct nbd_meta m;
    cr_assert_eq(nbd_meta_decode(two, sizeof two - 1, false, &m), 0);
    cr_expect(m.allocation);
    cr_expect_eq(m.n_queries, 2);
    for (size_t n = 0; n < sizeof two - 1; n++)
        cr_expect_eq(nbd_meta_decode(two, n, false, &m), -EBADMSG, "%zu", n);
    static const uint8_t none[] = "\0\0\0\0\0\0\0\0";
    cr_assert_eq(nbd_meta_decode(none, 8, false, &m), 0);
    cr_expect_not(m.allocation);
    cr_assert_eq(nbd_meta_decode(none, 8, true, &m), 0);
    cr_expect(m.allocation);
}

Test(nbd_proto, errors_have_the_protocols_numbers)
{
    static const int pairs[][2] = { { 0, 0 },        { -EPERM, 1 },
                                    { -EIO, 5 },     { -ENOMEM, 12 },
                                    { -EINVAL, 22 }, { -ENOSPC, 28 },
                                    { -ESTALE, 5 },  { -ESHUTDOWN, 108 } };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        cr_expect_eq(nbd_error(pairs[i][0]), pairs[i][1]);
}
