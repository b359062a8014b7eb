#include "network/objects.h"

#include <criterion/criterion.h>

#define ID "3b1f8c6e-9a5d-4e2f-8c7b-0123456789ab"

static int read_port(const char *text, struct net_port *ret, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *j = cJSON_Parse(text);
    return net_port_read(j, ret, err);
}

Test(objects, a_port_is_read_with_the_name_of_its_interface)
{
    struct net_port p;
    struct sc_err err;
    cr_assert_eq(read_port("{\"id\":\"" ID "\",\"network_id\":\"" ID
                           "\",\"vm_id\":\"" ID "\",\"mac\":"
                           "\"02:00:00:00:00:01\",\"ip\":\"10.1.0.7\","
                           "\"nid\":3}",
                           &p, &err),
                 0, "%s", err.text);
    cr_expect_str_eq(p.ifname, "sc3b1f8c6e9a");
    cr_expect_eq(p.ip, 0x0a010007);
    cr_expect_eq(p.nid, 3);
}

static const struct {
    const char *name, *text, *part;
} bad_ports[] = {
    { "no id", "{}", "id" },
    { "id is no UUID", "{\"id\":\"3b1f8c6e-9a5d-4e2f-8c7b-0123456789a/\"}",
      "UUID" },
    { "group MAC",
      "{\"id\":\"" ID "\",\"network_id\":\"" ID
      "\",\"mac\":\"03:00:00:00:00:01\",\"ip\":\"10.1.0.7\"}",
      "mac" },
    { "no address",
      "{\"id\":\"" ID "\",\"network_id\":\"" ID
      "\",\"mac\":\"02:00:00:00:00:01\"}",
      "ip" },
    { "bad address",
      "{\"id\":\"" ID "\",\"network_id\":\"" ID
      "\",\"mac\":\"02:00:00:00:00:01\",\"ip\":\"10.1.0.256\"}",
      "10.1.0.256" },
    { "nid too large",
      "{\"id\":\"" ID "\",\"network_id\":\"" ID "\",\"mac\":"
      "\"02:00:00:00:00:01\",\"ip\":\"10.1.0.7\",\"nid\":65536}",
      "nid" },
};

Test(objects, a_bad_port_is_refused_by_the_field)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(bad_ports); i++) {
        struct net_port p;
        struct sc_err err = { 0 };
        cr_expect_eq(read_port(bad_ports[i].text, &p, &err), -EINVAL,
                     "case '%s'", bad_ports[i].name);
        cr_expect(strstr(err.text, bad_ports[i].part), "case '%s': %s",
                  bad_ports[i].name, err.text);
    }
}

Test(objects, a_network_may_lack_gateway_and_dns)
{
    SC_AUTO(cjson_free)
    cJSON *j = cJSON_Parse("{\"id\":\"" ID "\",\"vni\":258,\"cidr\":"
                           "\"10.1.0.0/20\",\"gateway\":null,\"dns\":\"\"}");
    struct net_network n;
    char mac[MAC_LEN + 1];
    cr_assert_eq(net_network_read(j, &n, NULL), 0);
    cr_expect_eq(n.gateway, 0);
    cr_expect_eq(n.dns, 0);
    cr_expect_eq(n.prefix_len, 20);
    cr_expect_eq(n.mtu, 1400);
    cr_expect_neq(net_dhcp_server(&n), 0, "a server has an address always");
    mac_format(net_gateway_mac(&n), mac);
    cr_expect_str_eq(mac, "02:53:43:00:01:02");
}

static const struct {
    const char *name;
    uint16_t want;
} tunnels[] = {
    { "vx1", 1 },    { "vx65535", 65535 }, { "vx65536", 0 }, { "vx", 0 },
    { "vx-1", 0 },   { "vx1a", 0 },        { "vx 1", 0 },    { "sc1", 0 },
    { "vxlan0", 0 }, { "vx123456", 0 },
};

Test(objects, a_tunnel_port_is_known_by_its_name)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(tunnels); i++)
        cr_expect_eq(net_tunnel_nid(tunnels[i].name), tunnels[i].want, "'%s'",
                     tunnels[i].name);
}
