/* How: see RFC 2131 section 4.3; the table of its section 4.3.6 tells which
 * fields a REQUEST has in which state of the client. */
#include "network/dhcp.h"

#include <string.h>

enum {
    FIXED = 236, /* bytes before the cookie */
    OPT_MASK = 1,
    OPT_ROUTER = 3,
    OPT_DNS = 6,
    OPT_MTU = 26,
    OPT_BROADCAST = 28,
    OPT_REQUESTED = 50,
    OPT_LEASE = 51,
    OPT_TYPE = 53,
    OPT_SERVER = 54,
    OPT_T1 = 58,
    OPT_T2 = 59,
    OPT_CLIENT = 61,
    OPT_PAD = 0,
    OPT_END = 255,
};
static const uint8_t cookie[4] = { 99, 130, 83, 99 };

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

int dhcp_decode(const uint8_t *payload, size_t size, struct dhcp_message *ret)
{
    struct dhcp_message m = { 0 };
    if (size < FIXED + sizeof cookie ||
        memcmp(payload + FIXED, cookie, sizeof cookie) != 0)
        return -EBADMSG;
    m.op = payload[0];
    if (payload[1] != 1 || payload[2] != 6) /* Ethernet */
        return -EBADMSG;
    m.xid = be32(payload + 4);
    m.flags = (uint16_t)(payload[10] << 8 | payload[11]);
    m.ciaddr = be32(payload + 12);
    memcpy(m.chaddr.b, payload + 28, 6);
    const uint8_t *p = payload + FIXED + sizeof cookie, *end = payload + size;
    while (p < end && *p != OPT_END) {
        if (*p == OPT_PAD) {
            p++;
            continue;
        }
        if (end - p < 2 || end - p - 2 < p[1])
            return -EBADMSG;
        uint8_t option = p[0], len = p[1];
        const uint8_t *v = p + 2;
        if (option == OPT_TYPE && len == 1)
            m.type = v[0];
        else if (option == OPT_REQUESTED && len == 4)
            m.requested = be32(v);
        else if (option == OPT_SERVER && len == 4)
            m.server_id = be32(v);
        else if (option == OPT_CLIENT && len) {
            memcpy(m.client_id, v, len);
            m.client_id_size = len;
        }
        p = v + len;
    }
    if (m.type < DHCP_DISCOVER || m.type > DHCP_INFORM)
        return -EBADMSG;
    *ret = m;
    return 0;
}

static uint8_t *put_option(uint8_t *p, uint8_t option, const void *data,
                           uint8_t size)
{
    *p++ = option;
    *p++ = size;
    memcpy(p, data, size);
    return p + size;
}

static uint8_t *put_u32(uint8_t *p, uint8_t option, uint32_t v)
{
    uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
                     (uint8_t)v };
    return put_option(p, option, b, 4);
}

/* Offer, ACK, NAK or nothing (0). */
static int decide(const struct dhcp_message *q, const struct dhcp_facts *f)
{
    switch (q->type) {
    case DHCP_DISCOVER:
        return DHCP_OFFER;
    case DHCP_INFORM:
        return q->ciaddr == f->ip ? DHCP_ACK : 0;
    case DHCP_REQUEST:
        if (q->server_id && q->server_id != f->server)
            return 0; /* It chose another server; there is none of ours. */
        if ((q->requested ? q->requested : q->ciaddr) != f->ip)
            return DHCP_NAK;
        return DHCP_ACK;
    default: /* Decline, release: the address stays the port's. */
        return 0;
    }
}

int dhcp_answer(const struct dhcp_message *q, const struct dhcp_facts *f,
                uint8_t *frame, size_t *ret_size)
{
    uint8_t m[FIXED + 400] = { 2, 1, 6, 0 };
    int type = q->op == 1 && mac_eq(q->chaddr, f->mac) ? decide(q, f) : 0;
    uint8_t t = (uint8_t)type;
    *ret_size = 0;
    if (!type)
        return 0;
    for (int i = 0; i < 4; i++)
        m[4 + i] = (uint8_t)(q->xid >> (24 - 8 * i));
    m[10] = (uint8_t)(q->flags >> 8);
    for (int i = 0; i < 4 && type == DHCP_ACK; i++)
        m[12 + i] = (uint8_t)(q->ciaddr >> (24 - 8 * i));
    for (int i = 0; i < 4 && type != DHCP_NAK && q->type != DHCP_INFORM; i++)
        m[16 + i] = (uint8_t)(f->ip >> (24 - 8 * i));
    memcpy(m + 28, q->chaddr.b, 6);
    memcpy(m + FIXED, cookie, sizeof cookie);
    uint8_t *p = put_option(m + FIXED + sizeof cookie, OPT_TYPE, &t, 1);
    p = put_u32(p, OPT_SERVER, f->server);
    if (type != DHCP_NAK) {
        uint8_t mtu[2] = { (uint8_t)(f->mtu >> 8), (uint8_t)f->mtu };
        uint32_t mask = ip4_mask(f->prefix_len);
        if (q->type != DHCP_INFORM) {
            p = put_u32(p, OPT_LEASE, DHCP_LEASE_S);
            p = put_u32(p, OPT_T1, DHCP_LEASE_S / 2);
            p = put_u32(p, OPT_T2, DHCP_LEASE_S / 8 * 7);
        }
        p = put_u32(p, OPT_MASK, mask);
        p = put_u32(p, OPT_BROADCAST, f->ip | ~mask);
        if (f->gateway)
            p = put_u32(p, OPT_ROUTER, f->gateway);
        if (f->dns)
            p = put_u32(p, OPT_DNS, f->dns);
        if (f->mtu)
            p = put_option(p, OPT_MTU, mtu, 2);
    }
    if (q->client_id_size && q->client_id_size <= 64)
        p = put_option(p, OPT_CLIENT, q->client_id, q->client_id_size);
    *p++ = OPT_END;
    /* BOOTP's least size (RFC 951): some clients insist. */
    size_t size = (size_t)(p - m) < 300 ? 300 : (size_t)(p - m);
    /* To the address it has, if it says so; else to the link only: our switch
     * sends to the one port in any case. */
    bool broadcast = type == DHCP_NAK || (!q->ciaddr && q->flags & 0x8000);
    struct packet_udp h = {
        .src = f->gateway_mac,
        .dst = broadcast ? mac_of_u64(0xffffffffffff) : f->mac,
        .ip_src = f->server,
        .ip_dst = broadcast   ? 0xffffffff
                  : q->ciaddr ? q->ciaddr
                              : f->ip,
        .port_src = DHCP_SERVER_PORT,
        .port_dst = DHCP_CLIENT_PORT,
    };
    *ret_size = packet_udp(frame, &h, m, size);
    return type;
}
