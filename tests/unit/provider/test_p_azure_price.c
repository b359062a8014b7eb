#include "provider/p_azure.h"

#include <criterion/criterion.h>

Test(p_azure_price, nested_virtualisation_follows_from_the_name)
{
    static const struct {
        const char *type;
        bool want;
    } cases[] = {
        { "Standard_D2s_v5", true },    { "Standard_D2s_v3", true },
        { "Standard_E4-2ds_v5", true }, { "Standard_F2s_v2", true },
        { "Standard_D2_v2", false },    { "Standard_D2ps_v5", false },
        { "Standard_DC2s_v3", false },  { "Standard_B2s", false },
        { "Standard_A1_v2", false },    { "Basic_A0", false },
        { "Standard_NV6", false },      { "", false },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++)
        cr_expect_eq(azure_nested(cases[i].type), cases[i].want, "%s",
                     cases[i].type);
}

static cJSON *sku(const char *kind, const char *arch, const char *restricted)
{
    return rest_json("{'resourceType':%s,'name':'Standard_D2s_v5',"
                     "'locations':['westeurope'],'capabilities':["
                     "{'name':'vCPUs','value':'2'},"
                     "{'name':'MemoryGB','value':'0.75'},"
                     "{'name':'CpuArchitectureType','value':%s}],"
                     "'restrictions':[{'type':%s}]}",
                     kind, arch, restricted);
}

Test(p_azure_price, a_sku_is_a_type_if_it_can_be_had_here)
{
    struct provider_type t;
    SC_AUTO(cjson_free) cJSON *good = sku("virtualMachines", "x64", "Zone");
    SC_AUTO(cjson_free) cJSON *arm = sku("virtualMachines", "Arm64", "Zone");
    SC_AUTO(cjson_free) cJSON *no = sku("virtualMachines", "x64", "Location");
    SC_AUTO(cjson_free) cJSON *disk = sku("disks", "x64", "Zone");
    cr_assert(azure_sku_read(good, "WestEurope", &t));
    cr_expect_eq(t.vcpus, 2);
    cr_expect_eq(t.memory_mib, 768);
    cr_expect(t.nested_virtualisation);
    cr_expect_not(t.xen, "no Xen dom0 runs on Azure");
    cr_expect_not(azure_sku_read(good, "eastus", &t));
    cr_expect_not(azure_sku_read(arm, "westeurope", &t));
    cr_expect_not(azure_sku_read(no, "westeurope", &t));
    cr_expect_not(azure_sku_read(disk, "westeurope", &t));
}

static cJSON *item(const char *service, const char *product, const char *name,
                   const char *meter, const char *unit, double amount)
{
    return rest_json("{'currencyCode':'USD','retailPrice':%f,"
                     "'armRegionName':'westeurope','serviceName':%s,"
                     "'productName':%s,'skuName':%s,'meterName':%s,"
                     "'unitOfMeasure':%s,'type':'Consumption',"
                     "'armSkuName':'Standard_D2s_v5'}",
                     amount, service, product, name, meter, unit);
}

#define VM "Virtual Machines"
Test(p_azure_price, a_price_is_linux_on_demand_or_spot_or_traffic)
{
    static const struct {
        const char *service, *product, *name, *meter, *unit;
        double amount;
        const char *want; /* NULL: left out */
    } cases[] = {
        { VM, "Dsv5 Series", "D2s v5", "D2s v5", "1 Hour", 0.1, "on-demand" },
        { VM, "Dsv5 Series", "D2s v5 Spot", "x", "1 Hour", 0.1, "spot" },
        { VM, "Dsv5 Series Windows", "D2s v5", "x", "1 Hour", 0.1, NULL },
        { VM, "Dsv5 Series", "D2s v5 Low Priority", "x", "1 Hour", 0.1, NULL },
        { VM, "Dsv5 Series", "D2s v5", "x", "1 Hour", 0, NULL },
        { VM, "Dsv5 Series", "D2s v5", "x", "1/Month", 0.1, NULL },
        { "Bandwidth", "MGN", "Standard", "Standard Data Transfer Out", "1 GB",
          0.1, "egress-internet" },
        { "Bandwidth", "MGN", "Standard", "Intra Continent Data Transfer Out",
          "1 GB", 0.1, "egress-region" },
        { "Bandwidth", "MGN", "Standard", "Standard Data Transfer In", "1 GB",
          0.1, NULL },
        { "Storage", "x", "x", "x", "1 Hour", 0.1, NULL },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        struct provider_price t;
        SC_AUTO(cjson_free)
        cJSON *o = item(cases[i].service, cases[i].product, cases[i].name,
                        cases[i].meter, cases[i].unit, cases[i].amount);
        bool good = azure_price_read(o, &t);
        cr_expect_eq(good, cases[i].want != NULL, "case %zu", i);
        if (good)
            cr_expect_str_eq(t.what, cases[i].want, "case %zu", i);
    }
}
#undef VM
