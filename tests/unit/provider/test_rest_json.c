#include "provider/rest.h"

#include "common/json.h"

#include <criterion/criterion.h>

Test(rest_json, a_form_becomes_json_with_its_strings_escaped)
{
    SC_AUTO(cjson_free)
    cJSON *o = rest_json("{'a':%s,'b':[%d,%u,%f],'c':%b,'d':%j,'e':%j}",
                         "it's \"quoted\"\n", -3, (uint64_t)5000000000, 0.05, 1,
                         rest_json("{'x':%s}", "y"), NULL);
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(o);
    cr_assert_not_null(text);
    cr_expect_str_eq(text, "{\"a\":\"it's \\\"quoted\\\"\\n\",\"b\":[-3,"
                           "5000000000,0.05],\"c\":true,\"d\":{\"x\":\"y\"},"
                           "\"e\":null}");
    cr_expect_null(rest_json("{'a':%q}"), "a form that is wrong is none");
}

Test(rest_json, values_are_taken_by_their_path)
{
    SC_AUTO(cjson_free)
    cJSON *o = cJSON_Parse("{\"a\":[{\"b\":\"x\"},{\"b\":\"7\"}],\"n\":5}");
    cr_expect_str_eq(rest_str(o, "a.0.b"), "x");
    cr_expect_str_eq(rest_str(o, "a.2.b"), "");
    cr_expect_str_eq(rest_str(o, "a.b"), "");
    cr_expect_str_eq(rest_str(o, "n"), "");
    cr_expect_eq(rest_num(o, "a.1.b"), 7);
    cr_expect_eq(rest_num(o, "n"), 5);
    cr_expect_eq(rest_num(NULL, "n"), 0);
    cr_expect_str_eq(rest_base("a/b/c"), "c");
    cr_expect_str_eq(rest_base("c"), "c");
}

static const struct {
    const char *name, *text, *code, *message;
} words[] = {
    { "google",
      "{\"error\":{\"code\":403,\"message\":\"no\",\"errors\":"
      "[{\"reason\":\"forbidden\"}],\"status\":\"DENIED\"}}",
      "forbidden", "no" },
    { "google's operation",
      "{\"error\":{\"errors\":[{\"code\":\"QUOTA\",\"message\":\"full\"}]}}",
      "QUOTA", "full" },
    { "azure", "{\"error\":{\"code\":\"X\",\"message\":\"two\\nlines\"}}", "X",
      "two lines" },
    { "oauth",
      "{\"error\":\"invalid_grant\",\"error_description\":\"expired\"}",
      "invalid_grant", "expired" },
    { "xml", "<?xml?><Error><Code>C</Code><Message>M</Message></Error>", "C",
      "M" },
    { "text", "Not Found", "", "Not Found" },
    { "nothing", "{}", "", "" },
    { "empty", "", "", "" },
};

Test(rest_json, an_error_is_found_in_all_its_forms)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(words); i++) {
        char code[16], message[16];
        SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(words[i].text);
        rest_words(o, words[i].text, code, sizeof code, message,
                   sizeof message);
        cr_expect_str_eq(code, words[i].code, "case '%s'", words[i].name);
        cr_expect_str_eq(message, words[i].message, "case '%s'", words[i].name);
    }
}

Test(rest_json, times_are_read_with_their_zone)
{
    cr_expect_eq(rest_time("1970-01-02T00:00:00Z"), 86400000);
    cr_expect_eq(rest_time("1970-01-02T00:00:00.25Z"), 86400250);
    cr_expect_eq(rest_time("1970-01-02T00:00:00.1234567+00:00"), 86400123);
    cr_expect_eq(rest_time("1970-01-02T02:00:00+02:00"), 86400000);
    cr_expect_eq(rest_time("1970-01-01T16:00:00-08:00"), 86400000);
    cr_expect_eq(rest_time("yesterday"), 0);
}
