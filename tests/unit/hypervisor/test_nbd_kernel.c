/* The handshake's replies, as a server may send them. */
#include "hypervisor/nbd_kernel.h"

#include <criterion/criterion.h>

static const uint8_t info[12] = { 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 5 };

static const struct {
    const char *name;
    uint32_t type;
    const char *data;
    uint32_t size;
    bool had_info;
    int want;
} cases[] = {
    { "export information", 3, (const char *)info, 12, false, 1 },
    { "other information is passed over", 3, "\0\3........", 10, false, 1 },
    { "acknowledged with size", 1, "", 0, true, 0 },
    { "acknowledged without size", 1, "", 0, false, -EPROTO },
    { "unknown export", 0x80000006, "no", 2, false, -ENOENT },
    { "policy", 0x80000002, "no", 2, false, -EPROTO },
    { "information cut short", 3, (const char *)info, 11, false, -EPROTO },
    { "one byte", 3, "", 1, false, -EPROTO },
    { "a type nobody knows", 77, "", 0, false, -EPROTO },
};

Test(nbd_kernel, replies_to_go_are_taken_or_refused)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nbd_export e = { 0 };
        bool has = cases[i].had_info;
        struct sc_err err = { 0 };
        cr_expect_eq(nbd_go_reply(cases[i].type, (const uint8_t *)cases[i].data,
                                  cases[i].size, &e, &has, &err),
                     cases[i].want, "case '%s'", cases[i].name);
        if (cases[i].want < 0)
            cr_expect(*err.text, "case '%s' says why", cases[i].name);
    }
}

Test(nbd_kernel, size_and_flags_are_big_endian)
{
    struct nbd_export e = { 0 };
    bool has = false;
    cr_assert_eq(nbd_go_reply(3, info, 12, &e, &has, NULL), 1);
    cr_expect(has);
    cr_expect_eq(e.size, 0x40000);
    cr_expect_eq(e.flags, 5);
}
