#include "network/dhcp.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct dhcp_facts facts = {
    .mac = { { 2, 0, 0, 0, 0, 7 } },
    .ip = 0x0a010007,
    .gateway = 0x0a010001,
    .gateway_mac = { { 2, 0x53, 0x43, 0, 0, 100 } },
    .server = 0x0a010001,
    .dns = 0x08080808,
    .prefix_len = 24,
    .mtu = 1400,
};

static uint8_t *option(uint8_t *p, uint8_t code, uint32_t v)
{
    *p++ = code;
    *p++ = 4;
    for (int i = 3; i >= 0; i--)
        *p++ = (uint8_t)(v >> 8 * i);
    return p;
}

/* A client's message as bytes; 0 leaves an option out. */
static size_t client(uint8_t *m, uint8_t type, uint32_t ciaddr,
                     uint32_t requested, uint32_t server)
{
    memset(m, 0, 400);
    m[0] = m[1] = 1;
    m[2] = 6;
    memcpy(m + 4, "\x12\x34\x56\x78", 4);
    for (int i = 0; i < 4; i++)
        m[12 + i] = (uint8_t)(ciaddr >> (24 - 8 * i));
    memcpy(m + 28, facts.mac.b, 6);
    memcpy(m + 236, "\x63\x82\x53\x63", 4);
    uint8_t *p = m + 240;
    memcpy(p, (uint8_t[]){ 0, 53, 1, type }, 4); /* A pad first. */
    p += 4;
    if (requested)
        p = option(p, 50, requested);
    if (server)
        p = option(p, 54, server);
    *p++ = 255;
    return (size_t)(p - m);
}

static const struct {
    const char *name;
    uint8_t type;
    uint32_t ciaddr, requested, server;
    int want;
} cases[] = {
    { "discover", DHCP_DISCOVER, 0, 0, 0, DHCP_OFFER },
    { "discover with a wish", DHCP_DISCOVER, 0, 0x0a010063, 0, DHCP_OFFER },
    { "request of what was offered", DHCP_REQUEST, 0, 0x0a010007, 0x0a010001,
      DHCP_ACK },
    { "request of another server's offer", DHCP_REQUEST, 0, 0x0a010007,
      0x0a0100fe, 0 },
    { "request of another's address", DHCP_REQUEST, 0, 0x0a010008, 0x0a010001,
      DHCP_NAK },
    { "after a reboot, the right address", DHCP_REQUEST, 0, 0x0a010007, 0,
      DHCP_ACK },
    { "after a reboot, an address of elsewhere", DHCP_REQUEST, 0, 0xc0a80107, 0,
      DHCP_NAK },
    { "renewal", DHCP_REQUEST, 0x0a010007, 0, 0, DHCP_ACK },
    { "renewal of another's address", DHCP_REQUEST, 0x0a010009, 0, 0,
      DHCP_NAK },
    { "request of nothing", DHCP_REQUEST, 0, 0, 0, DHCP_NAK },
    { "decline", DHCP_DECLINE, 0, 0x0a010007, 0x0a010001, 0 },
    { "release", DHCP_RELEASE, 0x0a010007, 0, 0x0a010001, 0 },
    { "inform", DHCP_INFORM, 0x0a010007, 0, 0, DHCP_ACK },
    { "inform with another's address", DHCP_INFORM, 0x0a010009, 0, 0, 0 },
    { "an offer of a client", DHCP_OFFER, 0, 0, 0, 0 },
};

Test(dhcp, every_message_gets_the_answer_of_rfc_2131)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        uint8_t m[400], frame[PACKET_MAX];
        struct dhcp_message q;
        size_t size, n = client(m, cases[i].type, cases[i].ciaddr,
                                cases[i].requested, cases[i].server);
        cr_assert_eq(dhcp_decode(m, n, &q), 0, "case '%s'", cases[i].name);
        cr_expect_eq(dhcp_answer(&q, &facts, frame, &size), cases[i].want,
                     "case '%s'", cases[i].name);
        cr_expect_eq(size != 0, cases[i].want != 0, "case '%s'", cases[i].name);
    }
}

/* The value of an option in an answer's payload; NULL: absent. */
static const uint8_t *find(const struct packet *p, uint8_t code)
{
    const uint8_t *o = p->payload + 240, *end = p->payload + p->payload_size;
    while (o < end && *o != 255) {
        if (*o == 0) {
            o++;
            continue;
        }
        if (*o == code)
            return o + 2;
        o += 2 + o[1];
    }
    return NULL;
}

static void answer(uint8_t type, uint32_t ciaddr, uint16_t flags,
                   const struct dhcp_facts *f, uint8_t *frame, struct packet *p)
{
    uint8_t m[400];
    struct dhcp_message q;
    size_t size, n = client(m, type, ciaddr, ciaddr ? 0 : f->ip, 0);
    m[10] = (uint8_t)(flags >> 8);
    cr_assert_eq(dhcp_decode(m, n, &q), 0);
    cr_assert(dhcp_answer(&q, f, frame, &size));
    cr_assert_eq(packet_decode(frame, size, p), 0);
}

Test(dhcp, an_offer_tells_all_a_guest_needs)
{
    uint8_t frame[PACKET_MAX];
    struct packet p;
    answer(DHCP_DISCOVER, 0, 0, &facts, frame, &p);
    cr_expect(mac_eq(p.dst, facts.mac), "unicast unless it asks otherwise");
    cr_expect(mac_eq(p.src, facts.gateway_mac));
    cr_expect_eq(p.ip.src, facts.server);
    cr_expect_eq(p.udp.src, 67);
    cr_expect_eq(p.udp.dst, 68);
    cr_assert_geq(p.payload_size, 300);
    cr_expect_arr_eq(p.payload + 4, "\x12\x34\x56\x78", 4, "xid");
    cr_expect_arr_eq(p.payload + 16, "\x0a\x01\x00\x07", 4, "yiaddr");
    cr_expect_arr_eq(find(&p, 1), "\xff\xff\xff\x00", 4, "mask");
    cr_expect_arr_eq(find(&p, 3), "\x0a\x01\x00\x01", 4, "router");
    cr_expect_arr_eq(find(&p, 6), "\x08\x08\x08\x08", 4, "DNS");
    cr_expect_arr_eq(find(&p, 26), "\x05\x78", 2, "MTU");
    cr_expect_arr_eq(find(&p, 28), "\x0a\x01\x00\xff", 4, "broadcast");
    cr_expect_arr_eq(find(&p, 51), "\x00\x01\x51\x80", 4, "lease");
    cr_expect_arr_eq(find(&p, 54), "\x0a\x01\x00\x01", 4, "server");
    cr_expect_eq(*find(&p, 53), DHCP_OFFER);
}

Test(dhcp, what_a_network_lacks_is_left_out)
{
    struct dhcp_facts f = facts;
    uint8_t frame[PACKET_MAX];
    struct packet p;
    f.gateway = f.dns = 0;
    f.mtu = 0;
    answer(DHCP_DISCOVER, 0, 0, &f, frame, &p);
    cr_expect_null(find(&p, 3));
    cr_expect_null(find(&p, 6));
    cr_expect_null(find(&p, 26));
}

Test(dhcp, a_client_without_an_address_may_ask_for_broadcast)
{
    uint8_t frame[PACKET_MAX];
    struct packet p;
    answer(DHCP_DISCOVER, 0, 0x8000, &facts, frame, &p);
    cr_expect(mac_is_broadcast(p.dst));
    cr_expect_eq(p.ip.dst, 0xffffffff);
    answer(DHCP_REQUEST, facts.ip, 0, &facts, frame, &p);
    cr_expect_eq(p.ip.dst, facts.ip, "a renewal is answered to the address");
}

Test(dhcp, a_refusal_gives_no_address)
{
    uint8_t frame[PACKET_MAX];
    struct packet p;
    answer(DHCP_REQUEST, 0x0a010009, 0, &facts, frame, &p);
    cr_expect_eq(*find(&p, 53), DHCP_NAK);
    cr_expect_arr_eq(p.payload + 16, "\0\0\0\0", 4);
    cr_expect_null(find(&p, 51));
    cr_expect(mac_is_broadcast(p.dst));
}

Test(dhcp, a_client_with_another_mac_gets_nothing)
{
    uint8_t m[400], frame[PACKET_MAX];
    struct dhcp_message q;
    size_t size, n = client(m, DHCP_DISCOVER, 0, 0, 0);
    m[33] ^= 1;
    cr_assert_eq(dhcp_decode(m, n, &q), 0);
    cr_expect_eq(dhcp_answer(&q, &facts, frame, &size), 0);
    cr_expect_eq(size, 0);
}

Test(dhcp, what_is_not_dhcp_is_refused)
{
    uint8_t m[400];
    struct dhcp_message q;
    size_t n = client(m, DHCP_DISCOVER, 0, 0, 0);
    for (size_t i = 0; i < 244; i++)
        cr_expect_eq(dhcp_decode(m, i, &q), -EBADMSG, "%zu bytes", i);
    m[236] = 0;
    cr_expect_eq(dhcp_decode(m, n, &q), -EBADMSG, "no cookie");
    n = client(m, 0, 0, 0, 0);
    cr_expect_eq(dhcp_decode(m, n, &q), -EBADMSG, "no type");
    n = client(m, DHCP_DISCOVER, 0, 0x0a010007, 0);
    m[245] = 200;
    cr_expect_eq(dhcp_decode(m, n, &q), -EBADMSG, "option beyond the end");
}
