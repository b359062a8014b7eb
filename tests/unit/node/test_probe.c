#include "node/probe.h"

#include <criterion/criterion.h>
#include <string.h>

Test(probe, a_packet_comes_back_as_it_was)
{
    struct probe_packet p = { .echo = true,
                              .nid = 300,
                              .seq = 70000,
                              .sent_ns = UINT64_C(0x123456789abcdef0) },
                        got;
    uint8_t buf[PROBE_SIZE];
    memcpy(p.nonce, "12345678", PROBE_NONCE);
    probe_encode(&p, buf);
    cr_assert_eq(probe_decode(buf, sizeof buf, &got), 0);
    cr_expect(got.echo && got.nid == 300 && got.seq == 70000);
    cr_expect_eq(got.sent_ns, p.sent_ns);
    cr_expect_eq(memcmp(got.nonce, p.nonce, PROBE_NONCE), 0);
}

Test(probe, other_packets_are_refused)
{
    struct probe_packet p = { 0 }, got;
    uint8_t buf[PROBE_SIZE + 1] = { 0 };
    probe_encode(&p, buf);
    cr_expect_eq(probe_decode(buf, PROBE_SIZE - 1, &got), -EPROTO);
    cr_expect_eq(probe_decode(buf, PROBE_SIZE + 1, &got), -EPROTO);
    buf[4] = 2;
    cr_expect_eq(probe_decode(buf, PROBE_SIZE, &got), -EPROTO);
    buf[4] = 0;
    buf[0] = 'X';
    cr_expect_eq(probe_decode(buf, PROBE_SIZE, &got), -EPROTO);
}
