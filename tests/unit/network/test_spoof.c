#include "network/spoof.h"

#include <criterion/criterion.h>

Test(spoof, a_packet_is_read_back)
{
    struct spoof s = { .nid = 0x1234,
                       .port = 0xfedcba98,
                       .nonce = 0x0123456789abcdef },
                 got;
    uint8_t frame[SPOOF_SIZE];
    spoof_encode(&s, frame);
    cr_assert_eq(spoof_decode(frame, sizeof frame, &got), 0);
    cr_expect_eq(got.nid, s.nid);
    cr_expect_eq(got.port, s.port);
    cr_expect_eq(got.nonce, s.nonce);
}

Test(spoof, anything_else_is_refused)
{
    struct spoof s = { .nid = 1, .port = 2, .nonce = 3 }, got;
    uint8_t frame[SPOOF_SIZE];
    static const size_t at[] = { 12, 13, 14, 17, 18 };
    spoof_encode(&s, frame);
    cr_expect_eq(spoof_decode(frame, 33, &got), -EBADMSG, "cut short");
    for (size_t i = 0; i < SC_ARRAY_LEN(at); i++) {
        frame[at[i]] ^= 1;
        cr_expect_eq(spoof_decode(frame, sizeof frame, &got), -EBADMSG,
                     "byte %zu", at[i]);
        frame[at[i]] ^= 1;
    }
}
