#include "network/packet.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct mac a = { { 2, 0, 0, 0, 0, 1 } };
static const struct mac b = { { 2, 0, 0, 0, 0, 2 } };

Test(packet, an_arp_frame_is_read_back)
{
    uint8_t frame[PACKET_MAX];
    struct packet p;
    size_t n = packet_arp(frame, a, b, ARP_REPLY, a, 0x0a010001, b, 0x0a010002);
    cr_assert_eq(packet_decode(frame, n, &p), 0);
    cr_expect_eq(p.type, ETH_ARP);
    cr_expect(mac_eq(p.src, a));
    cr_expect(mac_eq(p.dst, b));
    cr_expect_eq(p.arp.op, ARP_REPLY);
    cr_expect_eq(p.arp.spa, 0x0a010001);
    cr_expect_eq(p.arp.tpa, 0x0a010002);
    cr_expect(mac_eq(p.arp.tha, b));
}

static size_t udp_frame(uint8_t *frame, const char *text)
{
    struct packet_udp h = { .src = a,
                            .dst = b,
                            .ip_src = 0x0a010001,
                            .ip_dst = 0x0a010002,
                            .port_src = 68,
                            .port_dst = 67 };
    return packet_udp(frame, &h, text, strlen(text));
}

Test(packet, a_udp_frame_is_read_back)
{
    uint8_t frame[PACKET_MAX];
    struct packet p;
    size_t n = udp_frame(frame, "hello");
    cr_assert_eq(packet_decode(frame, n, &p), 0);
    cr_expect(p.has_udp);
    cr_expect_eq(p.udp.src, 68);
    cr_expect_eq(p.udp.dst, 67);
    cr_expect_eq(p.ip.dst, 0x0a010002);
    cr_assert_eq(p.payload_size, 5);
    cr_expect_arr_eq(p.payload, "hello", 5);
}

/* RFC 1071: over the whole, checksum included, the sum is all ones. */
static uint16_t sum(const uint8_t *p, size_t n, uint32_t s)
{
    for (size_t i = 0; i < n; i++)
        s += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}

Test(packet, checksums_are_right_for_odd_and_even_sizes)
{
    static const char *const texts[] = { "", "x", "hello", "hello!" };
    for (size_t i = 0; i < SC_ARRAY_LEN(texts); i++) {
        uint8_t frame[PACKET_MAX];
        size_t n = udp_frame(frame, texts[i]), udp = n - ETH_HEADER - 20;
        cr_expect_eq(sum(frame + ETH_HEADER, 20, 0), 0xffff);
        cr_expect_eq(sum(frame + ETH_HEADER + 20, udp,
                         sum(frame + ETH_HEADER + 12, 8, 17 + (uint32_t)udp)),
                     0xffff, "'%s'", texts[i]);
    }
}

Test(packet, ethernet_padding_is_not_payload)
{
    uint8_t frame[PACKET_MAX] = { 0 };
    struct packet p;
    udp_frame(frame, "hi");
    cr_assert_eq(packet_decode(frame, 60, &p), 0);
    cr_expect_eq(p.payload_size, 2);
}

Test(packet, a_frame_cut_anywhere_is_refused)
{
    uint8_t frame[PACKET_MAX];
    struct packet p;
    size_t n = udp_frame(frame, "hello");
    for (size_t i = 0; i < n; i++)
        cr_expect_eq(packet_decode(frame, i, &p), -EBADMSG, "%zu bytes", i);
    packet_arp(frame, a, b, ARP_REQUEST, a, 1, b, 2);
    for (size_t i = 0; i < 42; i++)
        cr_expect_eq(packet_decode(frame, i, &p), -EBADMSG, "%zu bytes", i);
}

static const struct {
    const char *name;
    size_t at;
    uint8_t value;
} broken[] = {
    { "IP version 6", ETH_HEADER, 0x65 },
    { "header length 16", ETH_HEADER, 0x44 },
    { "header length 60", ETH_HEADER, 0x4f },
    { "total length beyond the frame", ETH_HEADER + 3, 200 },
    { "UDP length 0", ETH_HEADER + 25, 0 },
    { "UDP length beyond the packet", ETH_HEADER + 25, 200 },
};

Test(packet, lengths_that_do_not_fit_are_refused)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(broken); i++) {
        uint8_t frame[PACKET_MAX];
        struct packet p;
        size_t n = udp_frame(frame, "hello");
        frame[broken[i].at] = broken[i].value;
        cr_expect_eq(packet_decode(frame, n, &p), -EBADMSG, "case '%s'",
                     broken[i].name);
    }
}

Test(packet, a_later_fragment_has_no_ports)
{
    uint8_t frame[PACKET_MAX];
    struct packet p;
    size_t n = udp_frame(frame, "hello");
    frame[ETH_HEADER + 7] = 1;
    cr_assert_eq(packet_decode(frame, n, &p), 0);
    cr_expect(p.ip.fragment);
    cr_expect_not(p.has_udp);
}

Test(packet, a_frame_too_large_is_not_built)
{
    uint8_t frame[PACKET_MAX], payload[PACKET_MAX] = { 0 };
    struct packet_udp h = { .src = a, .dst = b };
    cr_expect_eq(packet_udp(frame, &h, payload, PACKET_MAX - 42), PACKET_MAX);
    cr_expect_eq(packet_udp(frame, &h, payload, PACKET_MAX - 41), 0);
}

static const struct {
    const char *text;
    int want;
} macs[] = {
    { "02:00:00:00:00:0a", 0 },
    { "02:00:00:00:00:0A", 0 },
    { "", -EINVAL },
    { "02:00:00:00:00", -EINVAL },
    { "02:00:00:00:00:0g", -EINVAL },
    { "02:00:00:00:00:0a ", -EINVAL },
    { "02-00-00-00-00-0a", -EINVAL },
    { "2:0:0:0:0:a", -EINVAL },
    { "02:00:00:00:00::a", -EINVAL },
};

Test(packet, mac_addresses_are_read_strictly)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(macs); i++) {
        struct mac m;
        cr_expect_eq(mac_parse(macs[i].text, &m), macs[i].want, "'%s'",
                     macs[i].text);
        if (macs[i].want == 0)
            cr_expect_eq(mac_u64(m), 0x02000000000a);
    }
}

static const struct {
    const char *text;
    int want;
} cidrs[] = {
    { "10.1.0.0/24", 0 },
    { "0.0.0.0/0", 0 },
    { "10.1.0.1/32", 0 },
    { "10.1.0.1/24", -EINVAL },
    { "10.1.0.0", -EINVAL },
    { "10.1.0.0/", -EINVAL },
    { "10.1.0.0/33", -EINVAL },
    { "10.1.0/24", -EINVAL },
    { "10.1.0.0/24x", -EINVAL },
    { "10.1.0.0/-1", -EINVAL },
    { "1000.1000.1000.1000/8", -EINVAL },
};

Test(packet, networks_are_read_strictly)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(cidrs); i++) {
        uint32_t net;
        uint8_t len;
        cr_expect_eq(ip4_parse_cidr(cidrs[i].text, &net, &len), cidrs[i].want,
                     "'%s'", cidrs[i].text);
    }
}
