#include "http/headers.h"

#include "common/json.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct {
    const char *header, *want; /* NULL: not there. */
} cookie_cases[] = {
    { "sc_session=abc", "abc" },
    { "a=1; sc_session=abc; b=2", "abc" },
    { "a=1;sc_session=abc ", "abc" },
    { "xsc_session=abc", NULL },
    { "sc_session", NULL },
    { "", NULL },
    { NULL, NULL },
};

Test(headers, a_cookie_is_found_by_its_whole_name)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(cookie_cases); i++) {
        char value[16] = "";
        int r = http_cookie_get(cookie_cases[i].header, "sc_session", value,
                                sizeof value);
        cr_expect_eq(r, cookie_cases[i].want ? 0 : -ENOENT, "case %zu", i);
        if (cookie_cases[i].want)
            cr_expect_str_eq(value, cookie_cases[i].want);
    }
}

Test(headers, a_cookie_that_does_not_fit_is_an_error)
{
    char value[4];
    cr_expect_eq(http_cookie_get("sc_session=abcd", "sc_session", value, 4),
                 -ENOSPC);
}

static const struct {
    const char *query;
    int want;
} query_cases[] = {
    { "", 0 },
    { "limit=3", 0 },
    { "name=a%20b+c&limit=0", 0 },
    { "limit=x", -EINVAL },
    { "limit=-1", -EINVAL },
    { "limit=", -EINVAL },
    { "limit=1&limit=2", -EINVAL },
    { "limi=1", -EINVAL },
    { "limits=1", -EINVAL },
    { "limit:int=1", -EINVAL },
    { "limit,name=1", -EINVAL },
    { "name=%2", -EINVAL },
    { "name=%zz", -EINVAL },
    { "name=a%00b", -EINVAL },
    { "=1", -EINVAL },
    { "force=true", 0 },
    { "force=1", -EINVAL },
    { "force=", -EINVAL },
};

Test(headers, a_query_is_decoded_by_what_the_route_allows)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(query_cases); i++) {
        SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
        struct sc_err err = { 0 };
        cr_expect_eq(http_query_decode(query_cases[i].query,
                                       "limit:int,name,force:bool", o, &err),
                     query_cases[i].want, "'%s': %s", query_cases[i].query,
                     err.text);
    }
}

Test(headers, query_values_keep_their_types)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    struct sc_err err;
    cr_assert_eq(
        http_query_decode("name=a%20b%2Fc&limit=7&force=true&not=false",
                          "limit:int,name,force:bool,not:bool", o, &err),
        0);
    cr_expect(cJSON_IsTrue(cJSON_GetObjectItem(o, "force")));
    cr_expect(cJSON_IsFalse(cJSON_GetObjectItem(o, "not")));
    cr_expect_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(o, "name")),
                     "a b/c");
    cr_expect_eq(cJSON_GetNumberValue(cJSON_GetObjectItem(o, "limit")), 7);
}

Test(headers, a_query_cannot_replace_a_parameter_of_the_path)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "id", "of-the-path");
    struct sc_err err;
    cr_expect_eq(http_query_decode("id=other", "id", o, &err), -EINVAL);
}

Test(headers, a_coding_is_accepted_unless_its_weight_is_zero)
{
    cr_expect(http_accepts("gzip, deflate", "gzip"));
    cr_expect(http_accepts("deflate, gzip;q=0.5", "gzip"));
    cr_expect_not(http_accepts("deflate, gzip;q=0", "gzip"));
    cr_expect_not(http_accepts("gzipped", "gzip"));
    cr_expect_not(http_accepts(NULL, "gzip"));
}

Test(headers, every_answer_carries_the_security_headers)
{
    char buf[4096];
    cr_assert_gt(http_headers_format(buf, sizeof buf, 200, "OK", true, "",
                                     "application/json", 2),
                 0);
    cr_expect(strstr(buf, "Content-Security-Policy: default-src 'none'"));
    cr_expect_not(strstr(buf, "script-src 'self' 'unsafe-inline'"));
    cr_expect(strstr(buf, "Strict-Transport-Security: max-age="));
    cr_expect(strstr(buf, "X-Content-Type-Options: nosniff"));
    cr_expect(strstr(buf, "Cache-Control: no-store"));
    cr_expect(strstr(buf, "Content-Length: 2\r\n"));
    cr_expect_str_eq(buf + strlen(buf) - 4, "\r\n\r\n");
}

Test(headers, an_answer_may_say_itself_how_it_is_cached)
{
    char buf[4096];
    cr_assert_gt(http_headers_format(buf, sizeof buf, 200, "OK", true,
                                     "Cache-Control: no-cache\r\n", "text/css",
                                     2),
                 0);
    cr_expect_not(strstr(buf, "no-store"));
}

Test(headers, headers_that_do_not_fit_are_an_error)
{
    char buf[64];
    cr_expect_eq(
        http_headers_format(buf, sizeof buf, 200, "OK", true, "", "", 0),
        -ENOSPC);
}
