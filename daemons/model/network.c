#include "model/network.h"

#include <arpa/inet.h>
#include <stdio.h>

/* What the provider's network is sure to carry, and what VXLAN over IPv4
 * takes of it (outer Ethernet is not part of an IP MTU; inner is: 20 + 8 + 8 +
 * 14). */
enum {
    UNDERLAY_MTU = 1400,
    VXLAN_OVERHEAD = 50,
    PREFIX_MIN = 8,
    PREFIX_MAX = 29,
    DHCP_FROM = 10
};

bool network_ip_parse(const char *text, uint32_t *ret)
{
    struct in_addr a;
    if (inet_pton(AF_INET, text, &a) != 1)
        return false;
    *ret = ntohl(a.s_addr);
    return true;
}

void network_ip_format(uint32_t ip, char ret[16])
{
    snprintf(ret, 16, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255,
             ip & 255);
}

struct range {
    uint32_t base, last; /* Network and broadcast address. */
};

/* RFC 6890: this host, loopback, link-local (metadata services are there),
 * multicast, reserved: guests would refuse such an address, or mean another. */
static bool is_for_hosts(uint32_t base)
{
    return base >> 24 && base >> 24 != 127 && base >> 16 != 0xa9fe &&
           base >> 24 < 224;
}

static int cidr_parse(const char *cidr, struct range *ret, struct sc_err *err)
{
    char ip[16];
    const char *slash = strchr(cidr, '/');
    uint32_t base;
    char *end = NULL;
    unsigned long prefix = slash ? strtoul(slash + 1, &end, 10) : 0;
    if (!slash || (size_t)(slash - cidr) >= sizeof ip || end == slash + 1 ||
        *end || prefix < PREFIX_MIN || prefix > PREFIX_MAX)
        return sc_fail(err, -EINVAL,
                       "'cidr' '%.40s': must be like 10.1.0.0/24, prefix %d "
                       "to %d",
                       cidr, PREFIX_MIN, PREFIX_MAX);
    memcpy(ip, cidr, (size_t)(slash - cidr));
    ip[slash - cidr] = '\0';
    if (!network_ip_parse(ip, &base))
        return sc_fail(err, -EINVAL, "'cidr' '%.40s': '%s' is not an address",
                       cidr, ip);
    uint32_t hosts = UINT32_MAX >> prefix;
    if (base & hosts) {
        network_ip_format(base & ~hosts, ip);
        return sc_fail(err, -EINVAL, "'cidr' '%.40s': begins at %s", cidr, ip);
    }
    if (!is_for_hosts(base))
        return sc_fail(err, -EINVAL,
                       "'cidr' '%.40s': these addresses are not for hosts; "
                       "take some of 10.0.0.0/8, for example",
                       cidr);
    *ret = (struct range){ base, base | hosts };
    return 0;
}

/* An address that a host of 'r' may have; "" gives 'def'. */
static int host_ip(const char *field, char text[16], const struct range *r,
                   uint32_t def, uint32_t *ret, struct sc_err *err)
{
    if (!text[0])
        network_ip_format(def, text);
    if (!network_ip_parse(text, ret))
        return sc_fail(err, -EINVAL, "'%s' '%s': is not an address", field,
                       text);
    if (*ret <= r->base || *ret >= r->last)
        return sc_fail(err, -EINVAL, "'%s' '%s': is not inside the network",
                       field, text);
    return 0;
}

int network_complete(struct network *n, struct sc_err *err)
{
    struct range r = { 0 };
    uint32_t gateway, dns, start = 0, end = 0;
    int e = cidr_parse(n->cidr, &r, err);
    if (e < 0)
        return e;
    e = host_ip("gateway", n->gateway, &r, r.base + 1, &gateway, err);
    if (e < 0)
        return e;
    if (!n->dns[0])
        OBJ_SET(n->dns, n->gateway);
    if (!network_ip_parse(n->dns, &dns))
        return sc_fail(err, -EINVAL, "'dns' '%s': is not an address", n->dns);
    uint32_t from = r.last - r.base > 2 * DHCP_FROM ? DHCP_FROM : 2;
    e = host_ip("dhcp_start", n->dhcp_start, &r, r.base + from, &start, err);
    if (e == 0)
        e = host_ip("dhcp_end", n->dhcp_end, &r, r.last - 1, &end, err);
    if (e == 0 && start > end)
        e = sc_fail(err, -EINVAL, "'dhcp_start' %s: is after 'dhcp_end' %s",
                    n->dhcp_start, n->dhcp_end);
    if (e == 0 && !n->mtu)
        n->mtu = UNDERLAY_MTU - VXLAN_OVERHEAD;
    return e;
}
