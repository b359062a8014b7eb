#include "network/objects.h"

#include <ctype.h>
#include <stdio.h>

/* Copies a UUID field; an error if it is none. */
static void read_id(struct json_reader *r, const char *key,
                    char ret[SC_UUID_LEN + 1])
{
    const char *s = json_str(r, key, SC_UUID_LEN, SC_UUID_LEN);
    if (!r->err.code && !sc_uuid_ok(s))
        sc_fail(&r->err, -EINVAL, "%s: %s: '%s' is not a UUID", r->what, key,
                s);
    snprintf(ret, SC_UUID_LEN + 1, "%s", s);
}

/* An optional IPv4 address; 0: absent, null or "". */
static uint32_t read_ip(struct json_reader *r, const char *key, bool required)
{
    uint32_t ip = 0;
    const char *s = required ? json_str(r, key, 1, IP4_LEN)
                             : json_str_or(r, key, IP4_LEN, "");
    if (!r->err.code && *s && ip4_parse(s, &ip) < 0)
        sc_fail(&r->err, -EINVAL, "%s: %s: '%s' is not an IPv4 address",
                r->what, key, s);
    return ip;
}

int net_node_read(const cJSON *j, struct net_node *ret, struct sc_err *err)
{
    struct json_reader r = json_read(j, "node");
    struct net_node n = { 0 };
    read_id(&r, "node_id", n.id);
    n.nid = (uint16_t)json_int(&r, "nid", 1, UINT16_MAX);
    n.up = json_bool_or(&r, "up", true);
    int e = json_done(&r, err);
    if (e == 0)
        *ret = n;
    return e;
}

int net_network_read(const cJSON *j, struct net_network *ret,
                     struct sc_err *err)
{
    struct json_reader r = json_read(j, "network");
    struct net_network n = { 0 };
    read_id(&r, "id", n.id);
    n.vni = (uint32_t)json_int(&r, "vni", 1, (1 << 24) - 1);
    const char *cidr = json_str(&r, "cidr", 1, IP4_LEN + 3);
    if (!r.err.code && ip4_parse_cidr(cidr, &n.net, &n.prefix_len) < 0)
        sc_fail(&r.err, -EINVAL,
                "network: cidr: '%s' is not a network such as 10.0.0.0/24",
                cidr);
    n.gateway = read_ip(&r, "gateway", false);
    n.dns = read_ip(&r, "dns", false);
    n.mtu = (uint16_t)json_int_or(&r, "mtu", 576, 65535, 1400);
    int e = json_done(&r, err);
    if (e == 0)
        *ret = n;
    return e;
}

int net_port_read(const cJSON *j, struct net_port *ret, struct sc_err *err)
{
    struct json_reader r = json_read(j, "port");
    struct net_port p = { 0 };
    read_id(&r, "id", p.id);
    read_id(&r, "network_id", p.network_id);
    const char *mac = json_str(&r, "mac", MAC_LEN, MAC_LEN);
    if (!r.err.code && (mac_parse(mac, &p.mac) < 0 || mac_is_group(p.mac)))
        sc_fail(&r.err, -EINVAL,
                "port: mac: '%s' is not a MAC address of one "
                "interface",
                mac);
    p.ip = read_ip(&r, "ip", true);
    p.nid = (uint16_t)json_int_or(&r, "nid", 0, UINT16_MAX, 0);
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    size_t n = 2;
    memcpy(p.ifname, "sc", 2);
    for (const char *s = p.id; *s && n < 12; s++) {
        if (isxdigit((unsigned char)*s))
            p.ifname[n++] = (char)tolower((unsigned char)*s);
    }
    *ret = p;
    return 0;
}

struct mac net_gateway_mac(const struct net_network *n)
{
    return mac_of_u64(0x025343000000 | n->vni);
}

uint32_t net_dhcp_server(const struct net_network *n)
{
    return n->gateway ? n->gateway : 0xa9fea9fd;
}

uint16_t net_tunnel_nid(const char *ifname)
{
    unsigned nid;
    int used = 0;
    if (sscanf(ifname, "vx%5u%n", &nid, &used) != 1 || ifname[used] ||
        nid > UINT16_MAX || !isdigit((unsigned char)ifname[2]))
        return 0;
    return (uint16_t)nid;
}
