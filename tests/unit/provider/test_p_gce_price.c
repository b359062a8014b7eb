#include "provider/p_gce.h"

#include <criterion/criterion.h>

#define SKU(about, family, group, usage, unit, nanos)                          \
    "{\"description\":\"" about                                                \
    "\",\"category\":{\"resourceFamily\":\"" family                            \
    "\",\"resourceGroup\":\"" group "\",\"usageType\":\"" usage                \
    "\"},\"serviceRegions\":[\"europe-west1\"],\"pricingInfo\":[{"             \
    "\"effectiveTime\":\"1970-01-02T00:00:00Z\",\"pricingExpression\":{"       \
    "\"usageUnit\":\"" unit "\",\"tieredRates\":[{\"unitPrice\":{\"units\":"   \
    "\"0\",\"nanos\":0}},{\"unitPrice\":{\"units\":\"0\",\"nanos\":" nanos     \
    "}}]}}]}"

static const struct {
    const char *name, *sku, *family;
    int what;
    bool spot;
} skus[] = {
    { "a core",
      SKU("N2 Instance Core running in Belgium", "Compute", "CPU", "OnDemand",
          "h", "5"),
      "n2", GCE_SKU_CORE, false },
    { "a core of AMD's",
      SKU("N2D AMD Instance Core running in Belgium", "Compute", "CPU",
          "OnDemand", "h", "5"),
      "n2d", GCE_SKU_CORE, false },
    { "spot memory",
      SKU("Spot Preemptible E2 Instance Ram running in Belgium", "Compute",
          "RAM", "Preemptible", "GiBy.h", "5"),
      "e2", GCE_SKU_RAM, true },
    { "c2's own words",
      SKU("Compute optimized Core running in Belgium", "Compute", "CPU",
          "OnDemand", "h", "5"),
      "c2", GCE_SKU_CORE, false },
    { "n1's own words",
      SKU("N1 Predefined Instance Core running in Belgium", "Compute",
          "N1Standard", "OnDemand", "h", "5"),
      "n1", GCE_SKU_CORE, false },
    { "traffic",
      SKU("Network Internet Data Transfer Out from EMEA to EMEA", "Network",
          "PremiumInternetEgress", "OnDemand", "GiBy", "5"),
      "", GCE_SKU_INTERNET, false },
    { "a custom type's",
      SKU("N2 Custom Instance Core running in Belgium", "Compute", "CPU",
          "OnDemand", "h", "5"),
      NULL, GCE_SKU_NONE, false },
    { "a commitment",
      SKU("Commitment v1: N2 Cpu in Belgium for 1 Year", "Compute", "CPU",
          "Commit1Yr", "h", "5"),
      NULL, GCE_SKU_NONE, false },
    { "sole tenancy",
      SKU("N2 Sole Tenancy Instance Core running in Belgium", "Compute", "CPU",
          "OnDemand", "h", "5"),
      NULL, GCE_SKU_NONE, false },
    { "a core by the month",
      SKU("N2 Instance Core running in Belgium", "Compute", "CPU", "OnDemand",
          "mo", "5"),
      NULL, GCE_SKU_NONE, false },
    { "for nothing",
      SKU("N2 Instance Core running in Belgium", "Compute", "CPU", "OnDemand",
          "h", "0"),
      NULL, GCE_SKU_NONE, false },
    { "a disk",
      SKU("Storage PD Capacity", "Storage", "PDStandard", "OnDemand", "GiBy.mo",
          "5"),
      NULL, GCE_SKU_NONE, false },
};

Test(p_gce_price, a_line_of_the_catalog_is_read_or_left_out)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(skus); i++) {
        SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(skus[i].sku);
        cr_assert_not_null(o, "case '%s'", skus[i].name);
        struct gce_sku k = gce_sku_read(o, "europe-west1");
        cr_expect_eq((int)k.what, skus[i].what, "case '%s'", skus[i].name);
        if (k.what == GCE_SKU_NONE)
            continue;
        cr_expect_str_eq(k.family, skus[i].family, "case '%s'", skus[i].name);
        cr_expect_eq(k.spot, skus[i].spot, "case '%s'", skus[i].name);
        cr_expect_float_eq(k.amount, 5e-9, 1e-15);
        cr_expect_eq(k.at, 86400000);
        k = gce_sku_read(o, "us-central1");
        cr_expect_eq((int)k.what, GCE_SKU_NONE, "of another region");
    }
}

Test(p_gce_price, shared_cores_count_in_part_and_special_types_not_at_all)
{
    cr_expect_eq(gce_core_share("n2-standard-2"), 1);
    cr_expect_eq(gce_core_share("e2-micro"), 0.125);
    cr_expect_eq(gce_core_share("e2-medium"), 0.5);
    cr_expect_eq(gce_core_share("a2-highgpu-1g"), 0);
    cr_expect_eq(gce_core_share("c3-standard-4-lssd"), 0);
    cr_expect_eq(gce_core_share("f1-micro"), 0);
}

Test(p_gce_price, nested_virtualisation_and_xen_follow_from_the_family)
{
    cr_expect(gce_nested("n2-standard-2") && gce_xen("n2-standard-2"));
    cr_expect(!gce_nested("e2-medium") && gce_xen("e2-medium"));
    cr_expect(!gce_nested("n2d-standard-2") && gce_xen("n2d-standard-2"));
    cr_expect(!gce_nested("t2a-standard-1") && !gce_xen("t2a-standard-1"));
    cr_expect(!gce_nested("c3-highcpu-192-metal"));
}
