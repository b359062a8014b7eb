#include "node/migframe.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define ID "11111111-1111-4111-8111-111111111111"

Test(migframe, a_frame_is_taken_whole_or_not_at_all)
{
    uint8_t buf[64];
    struct mig_frame f;
    mig_header_encode(buf, MIG_DATA, MIG_F_ZSTD, 5);
    memcpy(buf + MIG_HEADER, "hello", 5);
    for (size_t n = 0; n < MIG_HEADER + 5; n++)
        cr_expect_eq(mig_frame_decode(buf, n, &f, NULL), 0, "%zu bytes", n);
    cr_assert_eq(mig_frame_decode(buf, sizeof buf, &f, NULL), MIG_HEADER + 5);
    cr_expect_eq(f.type, MIG_DATA);
    cr_expect_eq(f.flags, MIG_F_ZSTD);
    cr_expect(f.size == 5 && !memcmp(f.payload, "hello", 5));
}

static const struct {
    const char *name;
    uint8_t header[MIG_HEADER];
} bad[] = {
    { "type 0", { 0 } },
    { "unknown type", { MIG_N_TYPES } },
    { "unknown flag", { MIG_DATA, 2 } },
    { "flag on another type", { MIG_END, MIG_F_ZSTD } },
    { "reserved byte", { MIG_DATA, 0, 1 } },
    { "too long", { MIG_DATA, 0, 0, 0, 0xff, 0xff, 0xff, 0xff } },
    { "payload of COMMIT", { MIG_COMMIT, 0, 0, 0, 0, 0, 0, 1 } },
};

Test(migframe, what_is_not_a_frame_is_refused_before_it_is_complete)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mig_frame f;
        struct sc_err e = { 0 };
        cr_expect_eq(mig_frame_decode(bad[i].header, MIG_HEADER, &f, &e),
                     -EPROTO, "case '%s'", bad[i].name);
        cr_expect_eq(e.code, -EPROTO);
    }
}

Test(migframe, hello_comes_back_as_it_was)
{
    struct mig_hello h = { .epoch = 12 }, got;
    strcpy(h.migration_id, ID);
    strcpy(h.vm_id, ID);
    memset(h.ticket, 'a', MIG_TICKET_LEN);
    SC_AUTO(free) char *text = mig_hello_encode(&h);
    cr_assert_eq(mig_hello_decode((uint8_t *)text, strlen(text), &got, NULL),
                 0);
    cr_expect_eq(memcmp(&h, &got, sizeof h), 0);
    cr_expect_lt(
        mig_hello_decode((uint8_t *)text, strlen(text) - 1, &got, NULL), 0);
}

Test(migframe, hello_of_another_version_is_refused)
{
    static const char text[] = "{\"version\":2,\"migration_id\":\"" ID "\"}";
    struct mig_hello got;
    struct sc_err e = { 0 };
    cr_expect_lt(
        mig_hello_decode((const uint8_t *)text, sizeof text - 1, &got, &e), 0);
    cr_expect(strstr(e.text, "version"), "%s", e.text);
}

Test(migframe, every_type_has_a_name)
{
    for (int t = 1; t < MIG_N_TYPES; t++)
        cr_expect_str_neq(mig_type_name((enum mig_type)t), "?");
    cr_expect_str_eq(mig_type_name(MIG_N_TYPES), "?");
}
