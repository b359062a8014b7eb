/* packet - the few headers sc-network reads and writes: Ethernet, ARP, RARP,
 * IPv4, UDP.
 *
 * Used by the decisions of sc-network (network.c, dhcp.c, spoof.c).  Pure.
 * Numbers are in host order; IPv4 addresses are uint32_t (10.0.0.1 is
 * 0x0a000001).  Frames are without FCS; a VLAN tag is not looked behind.
 * Source: RFC 826, 903, 791, 768; Ethernet II. */
#ifndef SC_NETWORK_PACKET_H
#define SC_NETWORK_PACKET_H

#include "common/clean.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ETH_IPV4 = 0x0800,
    ETH_ARP = 0x0806,
    ETH_RARP = 0x8035,
    ETH_SPOOF = 0x88b5, /* IEEE 802: local experimental 1. */
    ETH_HEADER = 14,    /* bytes */
    ARP_REQUEST = 1,
    ARP_REPLY = 2,
    RARP_REPLY = 4,
    PACKET_MAX = 1600, /* bytes; the largest frame we build. */
    MAC_LEN = 17,      /* "02:00:00:00:00:01", without the NUL. */
    IP4_LEN = 15,
};

struct mac {
    uint8_t b[6];
};

/* A frame taken apart.  'payload' points into the frame. */
struct packet {
    struct mac dst, src;
    uint16_t type; /* EtherType. */
    struct {
        uint16_t op;
        struct mac sha, tha;
        uint32_t spa, tpa;
    } arp; /* ETH_ARP and ETH_RARP. */
    struct {
        uint32_t src, dst;
        uint8_t proto;
        bool fragment; /* Not the first one: no ports to read. */
    } ip;              /* ETH_IPV4. */
    struct {
        uint16_t src, dst;
    } udp; /* 'has_udp'. */
    bool has_udp;
    const uint8_t *payload; /* Of UDP; otherwise after the last header read. */
    size_t payload_size;    /* bytes */
};

/* 0, or -EBADMSG: cut short or with lengths that do not fit; '*ret' is then
 * unchanged.  An unknown EtherType is no error. */
int packet_decode(const void *frame, size_t size,
                  struct packet *ret) SC_MUST_CHECK;

/* An ARP frame from 'src' to 'dst' with the fields given, in 'ret' (at least
 * 60 bytes).  Returns its size. */
size_t packet_arp(uint8_t *ret, struct mac src, struct mac dst, uint16_t op,
                  struct mac sha, uint32_t spa, struct mac tha, uint32_t tpa);

/* Ethernet + IPv4 + UDP around 'payload', with checksums, in 'ret' (PACKET_MAX
 * bytes).  Returns its size; 0: it would be larger than PACKET_MAX. */
struct packet_udp {
    struct mac src, dst;
    uint32_t ip_src, ip_dst;
    uint16_t port_src, port_dst;
};
size_t packet_udp(uint8_t *ret, const struct packet_udp *h, const void *payload,
                  size_t size);

static inline bool mac_eq(struct mac a, struct mac b)
{
    return __builtin_memcmp(a.b, b.b, 6) == 0;
}
static inline bool mac_is_group(struct mac m) /* Broadcast or multicast. */
{
    return m.b[0] & 1;
}
bool mac_is_broadcast(struct mac m);
uint64_t mac_u64(struct mac m);
struct mac mac_of_u64(uint64_t v);
/* 0 or -EINVAL.  "02:00:00:00:00:01", either case. */
int mac_parse(const char *s, struct mac *ret) SC_MUST_CHECK;
void mac_format(struct mac m, char ret[MAC_LEN + 1]);
/* "10.0.0.1"; 0 or -EINVAL. */
int ip4_parse(const char *s, uint32_t *ret) SC_MUST_CHECK;
void ip4_format(uint32_t ip, char ret[IP4_LEN + 1]);
/* "10.0.0.0/24"; host bits must be 0.  0 or -EINVAL. */
int ip4_parse_cidr(const char *s, uint32_t *ret_net,
                   uint8_t *ret_len) SC_MUST_CHECK;
static inline uint32_t ip4_mask(uint8_t len)
{
    return len ? ~(uint32_t)0 << (32 - len) : 0;
}

#endif
