#include "provider/p_azure.h"

#include <criterion/criterion.h>

Test(p_azure_list, the_power_state_counts_not_the_provisioning)
{
    static const struct {
        const char *codes;
        int want;
    } cases[] = {
        { "[{'code':'ProvisioningState/succeeded'},"
          "{'code':'PowerState/running'}]",
          PROVIDER_RUNNING },
        { "[{'code':'PowerState/deallocating'}]", PROVIDER_RUNNING },
        { "[{'code':'PowerState/deallocated'}]", PROVIDER_STOPPED },
        { "[{'code':'powerstate/STOPPED'}]", PROVIDER_STOPPED },
        { "[{'code':'PowerState/starting'}]", PROVIDER_PENDING },
        { "[]", PROVIDER_PENDING },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        SC_AUTO(cjson_free) cJSON *o = rest_json(cases[i].codes);
        cr_expect_eq((int)azure_state_of(o), cases[i].want, "case %zu", i);
    }
}
