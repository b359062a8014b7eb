/* How: one reader with a sticky error, one statement a field. */
#include "network/packet.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

struct wire {
    const uint8_t *p, *end;
    bool bad;
};

static const uint8_t *take(struct wire *w, size_t n)
{
    static const uint8_t nothing[64];
    if (w->bad || (size_t)(w->end - w->p) < n) {
        w->bad = true;
        return nothing; /* 'n' is at most 40 here. */
    }
    const uint8_t *p = w->p;
    w->p += n;
    return p;
}

static uint8_t get8(struct wire *w)
{
    return *take(w, 1);
}

static uint16_t get16(struct wire *w)
{
    const uint8_t *p = take(w, 2);
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(struct wire *w)
{
    uint32_t high = get16(w);
    return high << 16 | get16(w);
}

static struct mac get_mac(struct wire *w)
{
    struct mac m;
    memcpy(m.b, take(w, 6), 6);
    return m;
}

static void decode_arp(struct wire *w, struct packet *p)
{
    uint16_t hardware = get16(w), protocol = get16(w);
    uint8_t hlen = get8(w), plen = get8(w);
    p->arp.op = get16(w);
    p->arp.sha = get_mac(w);
    p->arp.spa = get32(w);
    p->arp.tha = get_mac(w);
    p->arp.tpa = get32(w);
    if (hardware != 1 || protocol != ETH_IPV4 || hlen != 6 || plen != 4)
        w->bad = true;
}

static void decode_ip(struct wire *w, struct packet *p)
{
    const uint8_t *start = w->p;
    uint8_t version_ihl = get8(w);
    take(w, 1); /* TOS */
    uint16_t total = get16(w);
    take(w, 2); /* identification */
    uint16_t fragment = get16(w);
    take(w, 1); /* TTL */
    p->ip.proto = get8(w);
    take(w, 2); /* checksum: the switch does not forward what we read */
    p->ip.src = get32(w);
    p->ip.dst = get32(w);
    size_t header = (size_t)(version_ihl & 15) * 4;
    if (w->bad || version_ihl >> 4 != 4 || header < 20 || total < header ||
        total > (size_t)(w->end - start)) {
        w->bad = true;
        return;
    }
    take(w, header - 20);
    w->end = start + total; /* Without Ethernet's padding. */
    p->ip.fragment = fragment & 0x1fff;
    if (p->ip.proto == 17 && !p->ip.fragment) {
        p->udp.src = get16(w);
        p->udp.dst = get16(w);
        uint16_t length = get16(w);
        take(w, 2); /* checksum */
        if (w->bad || length < 8 || length - 8u > (size_t)(w->end - w->p)) {
            w->bad = true;
            return;
        }
        w->end = w->p + (length - 8);
        p->has_udp = true;
    }
}

int packet_decode(const void *frame, size_t size, struct packet *ret)
{
    struct wire w = { frame, (const uint8_t *)frame + size, false };
    struct packet p = { 0 };
    p.dst = get_mac(&w);
    p.src = get_mac(&w);
    p.type = get16(&w);
    if (p.type == ETH_ARP || p.type == ETH_RARP)
        decode_arp(&w, &p);
    else if (p.type == ETH_IPV4)
        decode_ip(&w, &p);
    if (w.bad)
        return -EBADMSG;
    p.payload = w.p;
    p.payload_size = (size_t)(w.end - w.p);
    *ret = p;
    return 0;
}

static uint8_t *put16(uint8_t *p, uint16_t v)
{
    *p++ = (uint8_t)(v >> 8);
    *p++ = (uint8_t)v;
    return p;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    return put16(put16(p, (uint16_t)(v >> 16)), (uint16_t)v);
}

static uint8_t *put_mac(uint8_t *p, struct mac m)
{
    memcpy(p, m.b, 6);
    return p + 6;
}

static uint8_t *put_eth(uint8_t *p, struct mac dst, struct mac src,
                        uint16_t type)
{
    return put16(put_mac(put_mac(p, dst), src), type);
}

size_t packet_arp(uint8_t *ret, struct mac src, struct mac dst, uint16_t op,
                  struct mac sha, uint32_t spa, struct mac tha, uint32_t tpa)
{
    memset(ret, 0, 60);
    uint8_t *p = put_eth(ret, dst, src, ETH_ARP);
    p = put16(put16(p, 1), ETH_IPV4);
    *p++ = 6;
    *p++ = 4;
    p = put32(put_mac(put16(p, op), sha), spa);
    put32(put_mac(p, tha), tpa);
    return 60; /* Ethernet's least. */
}

static uint32_t sum16(const uint8_t *p, size_t size, uint32_t sum)
{
    for (; size > 1; p += 2, size -= 2)
        sum += (uint32_t)(p[0] << 8 | p[1]);
    return size ? sum + (uint32_t)(p[0] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

size_t packet_udp(uint8_t *ret, const struct packet_udp *h, const void *payload,
                  size_t size)
{
    enum { IP = 20, UDP = 8 };
    if (size > PACKET_MAX - ETH_HEADER - IP - UDP)
        return 0;
    uint8_t *ip = put_eth(ret, h->dst, h->src, ETH_IPV4);
    uint8_t *p = ip;
    *p++ = 0x45;
    *p++ = 0;
    p = put32(put16(p, (uint16_t)(IP + UDP + size)), 0); /* id, fragment */
    *p++ = 64;                                           /* TTL */
    *p++ = 17;
    p = put32(put32(put16(p, 0), h->ip_src), h->ip_dst);
    put16(ip + 10, fold(sum16(ip, IP, 0)));
    uint8_t *udp = p;
    p = put16(put16(p, h->port_src), h->port_dst);
    p = put16(put16(p, (uint16_t)(UDP + size)), 0);
    memcpy(p, payload, size);
    uint16_t sum = fold(
        sum16(udp, UDP + size, sum16(ip + 12, 8, 17 + UDP + (uint32_t)size)));
    put16(udp + 6, sum ? sum : 0xffff);
    return ETH_HEADER + IP + UDP + size;
}

bool mac_is_broadcast(struct mac m)
{
    return mac_u64(m) == 0xffffffffffff;
}

uint64_t mac_u64(struct mac m)
{
    uint64_t v = 0;
    for (int i = 0; i < 6; i++)
        v = v << 8 | m.b[i];
    return v;
}

struct mac mac_of_u64(uint64_t v)
{
    struct mac m;
    for (int i = 5; i >= 0; i--, v >>= 8)
        m.b[i] = (uint8_t)v;
    return m;
}

int mac_parse(const char *s, struct mac *ret)
{
    struct mac m;
    int used = -1;
    if (strlen(s) != MAC_LEN)
        return -EINVAL;
    if (sscanf(s, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &m.b[0], &m.b[1],
               &m.b[2], &m.b[3], &m.b[4], &m.b[5], &used) != 6 ||
        used != MAC_LEN)
        return -EINVAL;
    *ret = m;
    return 0;
}

void mac_format(struct mac m, char ret[MAC_LEN + 1])
{
    snprintf(ret, MAC_LEN + 1, "%02x:%02x:%02x:%02x:%02x:%02x", m.b[0], m.b[1],
             m.b[2], m.b[3], m.b[4], m.b[5]);
}

int ip4_parse(const char *s, uint32_t *ret)
{
    struct in_addr a;
    if (inet_pton(AF_INET, s, &a) != 1)
        return -EINVAL;
    *ret = ntohl(a.s_addr);
    return 0;
}

void ip4_format(uint32_t ip, char ret[IP4_LEN + 1])
{
    snprintf(ret, IP4_LEN + 1, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255,
             ip >> 8 & 255, ip & 255);
}

int ip4_parse_cidr(const char *s, uint32_t *ret_net, uint8_t *ret_len)
{
    char address[IP4_LEN + 1];
    unsigned len;
    int used = 0;
    uint32_t net;
    const char *slash = strchr(s, '/');
    if (!slash || slash - s > IP4_LEN)
        return -EINVAL;
    memcpy(address, s, (size_t)(slash - s));
    address[slash - s] = '\0';
    if (ip4_parse(address, &net) < 0 ||
        sscanf(slash, "/%2u%n", &len, &used) < 1 || slash[used] || len > 32 ||
        net & ~ip4_mask((uint8_t)len))
        return -EINVAL;
    *ret_net = net;
    *ret_len = (uint8_t)len;
    return 0;
}
