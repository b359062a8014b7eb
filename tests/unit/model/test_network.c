/* Tests of daemons/model/network.c. */
#include "model/network.h"

#include <criterion/criterion.h>

static const struct {
    const char *cidr, *gateway, *dhcp_start, *dhcp_end;
    int want;
    const char *text; /* In the error, or "gateway start-end mtu". */
} cases[] = {
    { "10.1.0.0/24", "", "", "", 0, "10.1.0.1 10.1.0.10-10.1.0.254" },
    { "10.0.0.0/8", "", "", "", 0, "10.0.0.1 10.0.0.10-10.255.255.254" },
    { "192.168.7.8/29", "", "", "", 0,
      "192.168.7.9 192.168.7.10-192.168.7.14" },
    { "10.1.0.0/24", "10.1.0.254", "10.1.0.20", "10.1.0.30", 0,
      "10.1.0.254 10.1.0.20-10.1.0.30" },
    { "10.1.0.0/30", "", "", "", -EINVAL, "prefix" },
    { "10.1.0.0/7", "", "", "", -EINVAL, "prefix" },
    { "10.1.0.1/24", "", "", "", -EINVAL, "begins at 10.1.0.0" },
    { "10.1.0/24", "", "", "", -EINVAL, "not an address" },
    { "10.1.0.0", "", "", "", -EINVAL, "like 10.1.0.0/24" },
    { "10.1.0.0/24x", "", "", "", -EINVAL, "like 10.1.0.0/24" },
    { "0.0.0.0/8", "", "", "", -EINVAL, "for hosts" },
    { "127.1.0.0/16", "", "", "", -EINVAL, "for hosts" },
    { "169.254.0.0/16", "", "", "", -EINVAL, "for hosts" },
    { "169.254.169.0/24", "", "", "", -EINVAL, "for hosts" },
    { "224.1.0.0/16", "", "", "", -EINVAL, "for hosts" },
    { "255.0.0.0/8", "", "", "", -EINVAL, "for hosts" },
    { "169.253.0.0/16", "", "", "", 0, "169.253.0.1 " },
    { "fd00::/64", "", "", "", -EINVAL, "prefix" },
    { "10.1.0.0/24", "10.2.0.1", "", "", -EINVAL, "'gateway'" },
    { "10.1.0.0/24", "10.1.0.255", "", "", -EINVAL, "'gateway'" },
    { "10.1.0.0/24", "", "10.1.0.9", "10.1.0.8", -EINVAL, "'dhcp_start'" },
    { "10.1.0.0/24", "", "", "10.1.1.8", -EINVAL, "'dhcp_end'" },
};

Test(network, a_range_is_completed_and_checked)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        struct network n = { 0 };
        struct sc_err err = { 0 };
        char got[128];
        OBJ_SET(n.cidr, cases[i].cidr);
        OBJ_SET(n.gateway, cases[i].gateway);
        OBJ_SET(n.dhcp_start, cases[i].dhcp_start);
        OBJ_SET(n.dhcp_end, cases[i].dhcp_end);
        cr_expect_eq(network_complete(&n, &err), cases[i].want, "%s: %s",
                     cases[i].cidr, err.text);
        snprintf(got, sizeof got, "%s %s-%s", n.gateway, n.dhcp_start,
                 n.dhcp_end);
        const char *where = cases[i].want ? err.text : got;
        cr_expect(strstr(where, cases[i].text), "%s: '%s' in '%s'",
                  cases[i].cidr, cases[i].text, where);
        if (!cases[i].want)
            cr_expect_eq(n.mtu, 1350u);
    }
}
