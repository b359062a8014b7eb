#include "provider/p_azure.h"

#include <criterion/criterion.h>

Test(p_azure_api, an_operation_goes_by_its_state_or_by_202)
{
    static const struct {
        long status;
        const char *state; /* NULL: no JSON */
        enum rest_step want, want_by_location;
    } cases[] = {
        { 200, "InProgress", REST_WAIT, REST_DONE },
        { 200, "Running", REST_WAIT, REST_DONE },
        { 202, NULL, REST_WAIT, REST_WAIT },
        { 200, "Succeeded", REST_DONE, REST_DONE },
        { 200, "succeeded", REST_DONE, REST_DONE },
        { 200, "Failed", REST_FAILED, REST_DONE },
        { 200, "Canceled", REST_FAILED, REST_DONE },
        { 204, NULL, REST_WAIT, REST_DONE },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        SC_AUTO(cjson_free)
        cJSON *o =
            cases[i].state ? rest_json("{'status':%s}", cases[i].state) : NULL;
        const struct rest_answer a = { .status = cases[i].status, .json = o };
        cr_expect_eq((int)azure_step(&a), (int)cases[i].want, "case %zu", i);
        cr_expect_eq((int)azure_step_by_location(&a),
                     (int)cases[i].want_by_location, "case %zu", i);
    }
}

Test(p_azure_api, a_location_is_what_was_asked_for_or_the_settings_first)
{
    struct p_azure p = { .location = (char *)"westeurope, eastus" };
    struct sc_err err = { 0 };
    char where[64];
    cr_expect_eq(azure_location(&p, NULL, where, &err), 0);
    cr_expect_str_eq(where, "westeurope");
    cr_expect_eq(azure_location(&p, "eastus", where, &err), 0);
    cr_expect_str_eq(where, "eastus");
    cr_expect_eq(azure_location(&p, "east us/../x", where, &err), 0);
    cr_expect_str_eq(where, "east", "a list's first, and nothing of a path");
    cr_expect_eq(azure_location(&p, "East", where, &err), -EINVAL);
    p.location = NULL;
    cr_expect_eq(azure_location(&p, NULL, where, &err), -EINVAL);
}

Test(p_azure_api, names_are_checked_before_they_become_urls)
{
    cr_expect(azure_name_ok("node-1"));
    cr_expect(azure_name_ok("A"));
    cr_expect_not(azure_name_ok(""));
    cr_expect_not(azure_name_ok("-a"));
    cr_expect_not(azure_name_ok("a-"));
    cr_expect_not(azure_name_ok("a/b"));
    cr_expect_not(azure_name_ok("a?b"));
}
