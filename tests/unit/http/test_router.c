#include "http/router.h"

#include "common/json.h"

#include <criterion/criterion.h>

static const struct {
    const char *pattern, *path;
    bool want;
} match_cases[] = {
    { "/vms", "/vms", true },
    { "/vms", "/vms/", false },
    { "/vms", "/vm", false },
    { "/vms/{id}", "/vms/a", true },
    { "/vms/{id}", "/vms/", false },
    { "/vms/{id}", "/vms/a/b", false },
    { "/vms/{id}/start", "/vms/a/start", true },
    { "/vms/{id}/start", "/vms/a/stop", false },
    { "/vms/{id}/start", "/vms//start", false },
    { "/a/{x}/b/{y}", "/a/1/b/2", true },
};

Test(router, a_part_in_braces_takes_exactly_one_segment)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(match_cases); i++)
        cr_expect_eq(
            http_path_match(match_cases[i].pattern, match_cases[i].path, NULL),
            match_cases[i].want, "%s with %s", match_cases[i].pattern,
            match_cases[i].path);
}

Test(router, parts_become_parameters)
{
    SC_AUTO(cjson_free) cJSON *p = cJSON_CreateObject();
    cr_assert(http_path_match("/a/{x}/b/{y}", "/a/one/b/two", p));
    cr_expect_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(p, "x")), "one");
    cr_expect_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(p, "y")), "two");
}

Test(router, a_path_that_does_not_fit_leaves_no_parameters)
{
    SC_AUTO(cjson_free) cJSON *p = cJSON_CreateObject();
    cr_assert_not(http_path_match("/a/{x}/b", "/a/one/c", p));
    cr_expect_eq(cJSON_GetArraySize(p), 0);
}

Test(router, a_segment_that_is_too_long_is_no_match)
{
    char path[600] = "/vms/";
    memset(path + 5, 'a', 500);
    cr_expect_not(http_path_match("/vms/{id}", path, NULL));
}

static const struct http_route_key table[] = {
    { "GET", "/vms" },          { "POST", "/vms" },
    { "POST", "/vms/special" }, { "GET", "/vms/{id}" },
    { "DELETE", "/vms/{id}" },
};

static int find(const char *method, const char *path, char allow[64])
{
    return http_route_find(table, SC_ARRAY_LEN(table), sizeof *table, method,
                           path, allow, 64);
}

Test(router, method_and_path_choose_the_line)
{
    char allow[64];
    cr_expect_eq(find("GET", "/vms", allow), 0);
    cr_expect_eq(find("HEAD", "/vms", allow), 0);
    cr_expect_eq(find("POST", "/vms", allow), 1);
    cr_expect_eq(find("DELETE", "/vms/x", allow), 4);
    cr_expect_eq(find("POST", "/vms/special", allow), 2);
}

Test(router, a_wrong_method_names_the_right_ones)
{
    char allow[64];
    cr_expect_eq(find("PUT", "/vms/x", allow), HTTP_ROUTE_METHOD);
    cr_expect_str_eq(allow, "GET, DELETE");
}

Test(router, an_unknown_path_is_told_from_a_wrong_method)
{
    char allow[64];
    cr_expect_eq(find("GET", "/nothing", allow), HTTP_ROUTE_NONE);
}
