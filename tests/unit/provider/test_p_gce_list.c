#include "provider/p_gce.h"

#include <criterion/criterion.h>

Test(p_gce_list, an_id_is_zone_and_name)
{
    char zone[64], name[64];
    struct sc_err err = { 0 };
    cr_expect_eq(gce_id_split("europe-west1-b.node-1", zone, name, &err), 0);
    cr_expect_str_eq(zone, "europe-west1-b");
    cr_expect_str_eq(name, "node-1");
    static const char *const bad[] = { "",      "node-1", ".node", "zone.",
                                       "a.b.c", "a.b/c",  "A.b" };
    for (size_t i = 0; i < SC_ARRAY_LEN(bad); i++)
        cr_expect_eq(gce_id_split(bad[i], zone, name, &err), -EINVAL, "'%s'",
                     bad[i]);
}

Test(p_gce_list, an_instance_is_read_whole)
{
    SC_AUTO(cjson_free)
    cJSON *o = rest_json(
        "{'name':'node-1','zone':'https://x/zones/europe-west1-b',"
        "'machineType':'https://x/machineTypes/n2-standard-2',"
        "'status':'RUNNING','labels':{'supercloud-cluster':'c1',"
        "'supercloud-token':'job-7'},'scheduling':{'provisioningModel':'SPOT'},"
        "'creationTimestamp':'1970-01-02T00:00:00.000-00:00',"
        "'networkInterfaces':[{'networkIP':'10.0.0.2','accessConfigs':["
        "{'natIP':'203.0.113.5'}]}],'selfLink':'https://x/"
        "i','metadata':{'items':[{'key':'supercloud-image',"
        "'value':'projects/p/global/images/i'}]}}");
    struct provider_instance i = { 0 };
    cr_assert_eq(gce_instance_of(o, &i), 0);
    cr_expect_str_eq(i.id, "europe-west1-b.node-1");
    cr_expect_str_eq(i.region, "europe-west1");
    cr_expect_str_eq(i.type, "n2-standard-2");
    cr_expect_str_eq(i.address, "203.0.113.5");
    cr_expect_str_eq(i.private_address, "10.0.0.2");
    cr_expect_str_eq(i.image, "projects/p/global/images/i");
    cr_expect_str_eq(i.cluster, "c1");
    cr_expect_str_eq(i.console, "https://x/i/serialPort?port=1");
    cr_expect(i.spot);
    cr_expect_eq(i.state, PROVIDER_RUNNING);
    cr_expect_eq(i.created_at, 86400000);
    provider_instance_clear(&i);
    SC_AUTO(cjson_free) cJSON *empty = cJSON_CreateObject();
    cr_assert_eq(gce_instance_of(empty, &i), 0, "nothing known is no crash");
    cr_expect_str_eq(i.address, "");
    provider_instance_clear(&i);
}
