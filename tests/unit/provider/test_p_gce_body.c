#include "provider/p_gce.h"

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

Test(p_gce_body, an_instance_is_described_as_asked_for)
{
    struct provider_launch l = launch();
    l.disk_gib = 20;
    SC_AUTO(cjson_free)
    cJSON *o = gce_instance_body("p", "europe-west1-b", "n2-standard-2", &l,
                                 "sc-node-1");
    cr_expect_str_eq(rest_str(o, "machineType"),
                     "zones/europe-west1-b/machineTypes/n2-standard-2");
    cr_expect_str_eq(rest_str(o, "disks.0.initializeParams.sourceImage"),
                     "projects/p/global/images/appliance-1");
    cr_expect_str_eq(rest_str(o, "disks.0.initializeParams.diskSizeGb"), "20");
    cr_expect_str_eq(rest_str(o, "labels.supercloud-cluster"), "c1");
    cr_expect_str_eq(rest_str(o, "labels.supercloud-token"), "job-7");
    cr_expect_str_eq(
        rest_str(o, "disks.0.initializeParams.labels.supercloud-cluster"), "c1",
        "a disk that outlives its instance is found again");
    cr_expect_str_eq(rest_str(o, "metadata.items.0.value"),
                     "projects/p/global/images/appliance-1");
    cr_expect_str_eq(rest_str(o, "metadata.items.1.value"), "#cloud-config\n");
    cr_expect_null(rest_at(o, "metadata.items.2"));
    cr_expect_str_eq(rest_str(o, "scheduling.onHostMaintenance"), "MIGRATE");
    cr_expect_eq(cJSON_GetArraySize(rest_at(o, "serviceAccounts")), 0,
                 "an instance gets no credential of the account's");
}

Test(p_gce_body, options_and_spot_change_what_they_name)
{
    struct provider_launch l = launch();
    SC_AUTO(cjson_free)
    cJSON *options = rest_json(
        "{'network':'n1','subnetwork':'s1','nic_type':'GVNIC','nested':true,"
        "'disk_type':'pd-ssd','termination_action':'STOP'}");
    l.options = options;
    l.spot = true;
    l.image = "https://x/compute/v1/projects/q/global/images/i";
    SC_AUTO(cjson_free)
    cJSON *o =
        gce_instance_body("p", "europe-west1-b", "n2-standard-2", &l, "t");
    cr_expect_str_eq(rest_str(o, "networkInterfaces.0.network"),
                     "projects/p/global/networks/n1");
    cr_expect_str_eq(rest_str(o, "networkInterfaces.0.subnetwork"),
                     "projects/p/regions/europe-west1/subnetworks/s1");
    cr_expect_str_eq(rest_str(o, "networkInterfaces.0.nicType"), "GVNIC");
    cr_expect_str_eq(rest_str(o, "scheduling.provisioningModel"), "SPOT");
    cr_expect_str_eq(rest_str(o, "scheduling.instanceTerminationAction"),
                     "STOP");
    cr_expect(cJSON_IsFalse(rest_at(o, "scheduling.automaticRestart")));
    cr_expect_str_eq(rest_str(o, "disks.0.initializeParams.sourceImage"),
                     "projects/q/global/images/i");
    cr_expect(cJSON_IsTrue(
        rest_at(o, "advancedMachineFeatures.enableNestedVirtualization")));
}

Test(p_gce_body, user_data_that_json_cannot_carry_goes_in_base64)
{
    struct provider_launch l = launch();
    l.user_data = "\x1f\x8b\x08";
    SC_AUTO(cjson_free)
    cJSON *o = gce_instance_body("p", "z-a", "t", &l, "t");
    cr_expect_str_eq(rest_str(o, "metadata.items.1.value"), "H4sI");
    cr_expect_str_eq(rest_str(o, "metadata.items.2.key"), "user-data-encoding");
    cr_expect_str_eq(rest_str(o, "metadata.items.2.value"), "base64");
}

Test(p_gce_body, rules_of_one_range_share_a_firewall)
{
    const struct provider_rule rules[] = {
        { "tcp", 22, 22, "0.0.0.0/0" },
        { "tcp", 7480, 7482, "0.0.0.0/0" },
        { "icmp", 0, 0, "192.0.2.0/24" },
    };
    struct provider_launch l = launch();
    l.rules = rules;
    l.n_rules = 3;
    SC_AUTO(cjson_free)
    cJSON *list = gce_firewall_bodies("p", "", &l, "sc-node-1");
    cr_assert_eq(cJSON_GetArraySize(list), 2);
    cr_expect_str_eq(rest_str(list, "0.name"), "sc-node-1-0");
    cr_expect_str_eq(rest_str(list, "0.allowed.0.ports.0"), "22");
    cr_expect_str_eq(rest_str(list, "0.allowed.1.ports.0"), "7480-7482");
    cr_expect_null(rest_at(list, "1.allowed.0.ports"));
    cr_expect_str_eq(rest_str(list, "0.network"),
                     "projects/p/global/networks/default");
    cr_expect_str_eq(rest_str(list, "0.description"),
                     "supercloud-cluster=c1 supercloud-token=job-7");
}

Test(p_gce_body, tags_of_long_names_stay_different_and_legal)
{
    char a[64], b[64];
    gce_tag_of("node-1", a);
    cr_expect_str_eq(a, "sc-node-1");
    gce_tag_of("a23456789012345678901234567890123456789012345678901234567890-x",
               a);
    gce_tag_of("a23456789012345678901234567890123456789012345678901234567890-y",
               b);
    cr_expect_str_neq(a, b);
    cr_expect(gce_name_ok(a));
    cr_expect_leq(strlen(a), 58, "the firewall's number fits behind it");
}
