#include "common/json.h"

#include <criterion/criterion.h>

static const struct {
    const char *name, *text, *want; /* want NULL: fine */
} ints[] = {
    { "inside", "{\"n\": 5}", NULL },
    { "lowest", "{\"n\": 1}", NULL },
    { "highest", "{\"n\": 10}", NULL },
    { "below", "{\"n\": 0}",
      "x: 'n' is 0; it must be a whole number from 1 to 10" },
    { "above", "{\"n\": 11}",
      "x: 'n' is 11; it must be a whole number from 1 to 10" },
    { "fraction", "{\"n\": 1.5}",
      "x: 'n' is 1.5; it must be a whole number from 1 to 10" },
    { "huge", "{\"n\": 1e300}",
      "x: 'n' is 1.0000000000000001e+300; it must be a whole number from 1 to "
      "10" },
    { "text", "{\"n\": \"5\"}",
      "x: 'n' is a string; it must be a whole number" },
    { "absent", "{}", "x: 'n' is missing; it must be a whole number" },
    { "null", "{\"n\": null}", "x: 'n' is null; it must be a whole number" },
    { "other case of the key", "{\"N\": 5}",
      "x: 'n' is missing; it must be a whole number" },
    { "no object", "[5]", "x: must be a JSON object" },
};

Test(json, a_number_is_taken_or_its_error_says_what_is_right)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(ints); i++) {
        SC_AUTO(cjson_free) cJSON *doc = cJSON_Parse(ints[i].text);
        struct json_reader r = json_read(doc, "x");
        struct sc_err err = { 0 };
        json_int(&r, "n", 1, 10);
        int code = json_done(&r, &err);
        cr_expect_eq(code, ints[i].want ? -EINVAL : 0, "case '%s'",
                     ints[i].name);
        cr_expect_str_eq(err.text, ints[i].want ? ints[i].want : "",
                         "case '%s'", ints[i].name);
    }
}

Test(json, the_first_problem_wins_and_reads_give_defaults)
{
    SC_AUTO(cjson_free)
    cJSON *doc = cJSON_Parse("{\"s\": \"abc\", \"b\": 1, \"o\": []}");
    struct json_reader r = json_read(doc, "x");
    cr_expect_str_eq(json_str(&r, "s", 1, 3), "abc");
    cr_expect_str_eq(json_str(&r, "s", 4, 9), "");
    cr_expect_not(json_bool(&r, "b"));
    cr_expect_null(json_obj(&r, "o"));
    cr_expect_null(json_arr(&r, "o"), "sticky");
    struct sc_err err;
    cr_expect_eq(json_done(&r, &err), -EINVAL);
    cr_expect_str_eq(err.text, "x: 's' has 3 characters; it must have 4 to 9");
}

Test(json, optional_fields_may_be_absent_or_null_but_not_wrong)
{
    SC_AUTO(cjson_free)
    cJSON *doc = cJSON_Parse("{\"null\": null, \"n\": 4, \"b\": true}");
    struct json_reader r = json_read(doc, "x");
    cr_expect_eq(json_int_or(&r, "null", 0, 9, 7), 7);
    cr_expect_eq(json_int_or(&r, "none", 0, 9, 8), 8);
    cr_expect_eq(json_int_or(&r, "n", 0, 9, 8), 4);
    cr_expect_str_eq(json_str_or(&r, "none", 9, "d"), "d");
    cr_expect(json_bool_or(&r, "b", false));
    cr_expect(json_bool_or(&r, "none", true));
    cr_expect_eq(json_done(&r, NULL), 0);
    json_str_or(&r, "n", 9, "d");
    cr_expect_eq(json_done(&r, NULL), -EINVAL);
}

Test(json, unknown_keys_are_named)
{
    static const char *const allowed[] = { "a", "b", NULL };
    SC_AUTO(cjson_free) cJSON *doc = cJSON_Parse("{\"a\": 1, \"bb\": 2}");
    struct json_reader r = json_read(doc, "x");
    struct sc_err err;
    json_only(&r, allowed);
    cr_expect_eq(json_done(&r, &err), -EINVAL);
    cr_expect_str_eq(err.text, "x: unknown key 'bb'");
}

static const struct {
    const char *plain, *text;
} b64[] = {
    /* RFC 4648 section 10 */
    { "", "" },
    { "f", "Zg==" },
    { "fo", "Zm8=" },
    { "foo", "Zm9v" },
    { "foob", "Zm9vYg==" },
    { "fooba", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy" },
};

Test(json, base64_both_ways)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(b64); i++) {
        SC_AUTO(free)
        char *text = json_b64_encode(b64[i].plain, strlen(b64[i].plain));
        cr_expect_str_eq(text, b64[i].text);
        void *data = NULL;
        size_t size = 99;
        cr_assert_eq(json_b64_decode(b64[i].text, &data, &size), 0);
        cr_expect_eq(size, strlen(b64[i].plain));
        cr_expect_eq(memcmp(data, b64[i].plain, size), 0);
        free(data);
    }
    uint8_t all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    SC_AUTO(free) char *text = json_b64_encode(all, sizeof all);
    void *data = NULL;
    size_t size = 0;
    cr_assert_eq(json_b64_decode(text, &data, &size), 0);
    cr_expect(size == sizeof all && !memcmp(data, all, size));
    free(data);
}

static const char *const bad_b64[] = {
    "Z",         "Zg",    "Zg=",
    "Z===",      "====",  "Zg==Zg==",
    "Zm9v Zg==", "Zm9\n", "Zh==" /* bits left over */,
    "Zm9=",      "Zg=a",  "-_-_",
};

Test(json, base64_that_is_not_exact_is_refused)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(bad_b64); i++) {
        void *data = NULL;
        size_t size = 0;
        cr_expect_eq(json_b64_decode(bad_b64[i], &data, &size), -EINVAL,
                     "case '%s'", bad_b64[i]);
    }
}

Test(json, uuids_are_of_version_4_and_differ)
{
    char a[SC_UUID_LEN + 1], b[SC_UUID_LEN + 1];
    sc_uuid_new(a);
    sc_uuid_new(b);
    cr_expect(sc_uuid_ok(a));
    cr_expect_eq(a[14], '4');
    cr_expect(strchr("89ab", a[19]));
    cr_expect_str_neq(a, b);
}

static const struct {
    const char *text;
    bool uuid, name;
} words[] = {
    { "6ba7b810-9dad-11d1-80b4-00c04fd430c8", true, true },
    { "6BA7B810-9dad-11d1-80b4-00c04fd430c8", false, true },
    { "6ba7b810-9dad-11d1-80b4-00c04fd430c", false, true },
    { "6ba7b810-9dad-11d1-80b4-00c04fd430c8a", false, true },
    { "6ba7b8109-dad-11d1-80b4-00c04fd430c8", false, true },
    { "", false, false },
    { "us-1", false, true },
    { "-x", false, false },
    { ".x", false, false },
    { "a/b", false, false },
    { "a b", false, false },
    { "\xc3\xa9", false, false },
    { "0123456789012345678901234567890123456789012345678901234567890123", false,
      false },
    { NULL, false, false },
};

Test(json, what_is_a_uuid_and_what_is_a_name)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(words); i++) {
        cr_expect_eq(sc_uuid_ok(words[i].text), words[i].uuid, "case '%s'",
                     words[i].text ? words[i].text : "NULL");
        cr_expect_eq(sc_name_ok(words[i].text), words[i].name, "case '%s'",
                     words[i].text ? words[i].text : "NULL");
    }
}

Test(json, numbers_of_52_bits_survive_printing)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    json_set_u64(o, "n", (UINT64_C(1) << 52) - 1);
    json_set_strf(o, "s", "%d-%s", 4, "x");
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(o);
    cr_expect_str_eq(text, "{\"n\":4503599627370495,\"s\":\"4-x\"}");
}
