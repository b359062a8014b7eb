/* Lookups must find what a walk over all would find, whatever changed before.
 */
#include "network/network_state.h"

#include <criterion/criterion.h>
#include <stdio.h>

static void on_sync(void *arg, uint16_t nid)
{
    (void)arg;
    (void)nid;
}

#define NET "00000000-0000-4000-8000-00000000000%d"

static void port(struct network *n, int g, int net, int ip)
{
    char text[400];
    snprintf(
        text, sizeof text,
        "{\"id\":\"%08x-0000-4000-8000-000000000000\",\"network_id\":\"" NET
        "\",\"mac\":\"02:00:00:00:%02x:%02x\",\"ip\":\"10.1.%d.%d\"}",
        g, net, g >> 8, g & 255, ip >> 8, ip & 255);
    SC_AUTO(cjson_free) cJSON *j = cJSON_Parse(text);
    struct sc_err err;
    cr_assert_eq(network_port_set(n, j, &err), 0, "%s", err.text);
}

static void del(struct network *n, int g)
{
    char id[40];
    snprintf(id, sizeof id, "%08x-0000-4000-8000-000000000000", g);
    network_port_del(n, id);
}

static struct network *make(void)
{
    struct net_out out = { .sync = on_sync };
    struct network *n = network_new(&out);
    for (int i = 1; i <= 2; i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "{\"id\":\"" NET "\",\"vni\":%d,\"cidr\":\"10.1.0.0/16\"}", i,
                 i);
        SC_AUTO(cjson_free) cJSON *j = cJSON_Parse(text);
        cr_assert_eq(network_network_set(n, j, NULL), 0);
    }
    return n;
}

static void check(const struct network *n)
{
    for (size_t i = 0; i < n->n_vports; i++) {
        const struct net_port *p = &n->vports[i].cfg;
        uint32_t vni = p->network_id[SC_UUID_LEN - 1] - '0';
        cr_assert_eq(net_vport_by_id(n, p->id), &n->vports[i]);
        cr_assert_eq(net_vport_by_ifname(n, p->ifname), &n->vports[i]);
        cr_assert_eq(net_vport_by_mac(n, vni, p->mac), &n->vports[i]);
        cr_assert_null(net_vport_by_mac(n, 3 - vni, p->mac));
        cr_assert_eq(net_vport_by_ip(n, p->network_id, p->ip), &n->vports[i]);
        cr_assert_eq(net_network_of(n, &n->vports[i])->vni, vni);
    }
}

Test(network_index, everything_is_found_while_ports_come_and_go)
{
    SC_AUTO(network_free) struct network *n = make();
    for (int g = 1; g <= 300; g++) {
        port(n, g, g % 2 + 1, g);
        if (g % 7 == 0)
            del(n, g / 2);
        if (g % 20 == 0)
            check(n);
    }
    check(n);
    cr_expect_null(net_vport_by_ifname(n, "sc0000000700"), "3 is gone");
    cr_expect_null(net_vport_by_id(n, "nothing"));
}

Test(network_index, a_port_that_changes_is_found_by_what_it_is_now)
{
    SC_AUTO(network_free) struct network *n = make();
    port(n, 1, 1, 11);
    port(n, 2, 1, 12);
    check(n);
    port(n, 1, 2, 99);
    check(n);
    cr_expect_null(net_vport_by_ip(n, n->vports[1].cfg.network_id, 0x0a01000b));
}

Test(network_index, a_network_that_goes_is_no_longer_any_ports)
{
    SC_AUTO(network_free) struct network *n = make();
    port(n, 1, 1, 11);
    check(n);
    network_network_del(n, n->vports[0].cfg.network_id);
    cr_expect_null(net_network_of(n, &n->vports[0]));
    cr_expect_null(net_vport_by_mac(n, 1, n->vports[0].cfg.mac));
}
