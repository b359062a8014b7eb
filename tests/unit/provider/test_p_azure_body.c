#include "provider/p_azure.h"

#include <criterion/criterion.h>

static struct provider_launch launch(void)
{
    return (struct provider_launch){
        .name = "node-1",
        .image = "appliance-1",
        .user_data = "#cloud-config\n",
        .tags = { "c1", "job-7" },
    };
}

Test(p_azure_body, a_machine_is_described_as_asked_for)
{
    struct provider_launch l = launch();
    l.zone = "2";
    l.disk_gib = 40;
    SC_AUTO(cjson_free)
    cJSON *o = azure_vm_body(NULL, &l, "westeurope", "Standard_D2s_v5",
                             "/image", "/nic", "ssh-rsa x");
    cr_expect_str_eq(rest_str(o, "tags.supercloud-token"), "job-7");
    cr_expect_str_eq(rest_str(o, "zones.0"), "2");
    const cJSON *p = rest_at(o, "properties");
    cr_expect_str_eq(rest_str(p, "osProfile.customData"),
                     "I2Nsb3VkLWNvbmZpZwo=");
    cr_expect_str_eq(rest_str(p, "storageProfile.osDisk.deleteOption"),
                     "Delete");
    cr_expect_eq(rest_num(p, "storageProfile.osDisk.diskSizeGB"), 40);
    cr_expect_null(rest_at(p, "priority"));
    cr_expect_null(rest_at(p, "osProfile.adminPassword"));
}

Test(p_azure_body, a_spot_machine_has_its_price_and_what_eviction_does)
{
    struct provider_launch l = launch();
    l.spot = true;
    SC_AUTO(cjson_free)
    cJSON *o = azure_vm_body(NULL, &l, "w", "t", "/i", "/n", "k");
    cr_expect_str_eq(rest_str(o, "properties.evictionPolicy"), "Delete");
    cr_expect_eq(rest_num(o, "properties.billingProfile.maxPrice"), -1,
                 "up to the price on demand");
    l.max_price = 0.05;
    SC_AUTO(cjson_free)
    cJSON *q = azure_vm_body(NULL, &l, "w", "t", "/i", "/n", "k");
    cr_expect_float_eq(rest_num(q, "properties.billingProfile.maxPrice"), 0.05,
                       1e-9);
}

Test(p_azure_body, rules_have_their_own_priorities)
{
    const struct provider_rule rules[] = {
        { "tcp", 7480, 7482, "0.0.0.0/0" },
        { "udp", 53, 53, "192.0.2.0/24" },
        { "icmp", 0, 0, "0.0.0.0/0" },
    };
    struct provider_launch l = launch();
    l.rules = rules;
    l.n_rules = 3;
    SC_AUTO(cjson_free) cJSON *o = azure_nsg_body(&l, "westeurope");
    const cJSON *r = rest_at(o, "properties.securityRules");
    cr_expect_str_eq(rest_str(r, "0.properties.destinationPortRange"),
                     "7480-7482");
    cr_expect_str_eq(rest_str(r, "0.properties.protocol"), "Tcp");
    cr_expect_str_eq(rest_str(r, "1.properties.destinationPortRange"), "53");
    cr_expect_str_eq(rest_str(r, "2.properties.destinationPortRange"), "*");
    cr_expect_str_eq(rest_str(r, "2.properties.protocol"), "Icmp");
    cr_expect_eq(rest_num(r, "2.properties.priority"), 102);
}

Test(p_azure_body, nobodys_key_is_an_ssh_key)
{
    SC_AUTO(free) char *key = NULL;
    struct sc_err err = { 0 };
    cr_assert_eq(azure_nobodys_key(&key, &err), 0);
    cr_assert_eq(strncmp(key, "ssh-rsa ", 8), 0);
    char *end = strchr(key + 8, ' ');
    cr_assert_not_null(end);
    *end = '\0';
    SC_AUTO(free) void *blob = NULL;
    size_t size = 0;
    cr_assert_eq(json_b64_decode(key + 8, &blob, &size), 0);
    cr_expect_eq(memcmp(blob, "\0\0\0\7ssh-rsa\0\0\0\3\1\0\1\0\0\1\1\0", 23), 0,
                 "e is 65537, and n begins with a zero");
    cr_expect_eq(size, 11 + 7 + 4 + 257);
}
