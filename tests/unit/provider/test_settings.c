#include "provider/settings.h"

#include <criterion/criterion.h>

struct mine {
    char *url, *key, *name, *note;
};

#define AT(member) .at = offsetof(struct mine, member)
static const struct setting table[] = {
    { "url", AT(url), "https://a.example", .trim = true },
    { "key", AT(key), .min = 4, .max = 8 },
    { "name", AT(name), "nobody", .max = 6 },
    { "note", AT(note) },
    { 0 },
};

static int read_as(const char *config, struct mine *ret, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(config);
    struct json_reader r = json_read(o, "provider 'x'");
    cr_assert_eq(settings_read(table, &r, ret, err), 0);
    return json_done(&r, err);
}

Test(settings, are_strings_of_the_drivers_own_with_defaults)
{
    struct mine m = { 0 };
    cr_assert_eq(read_as("{\"key\":\"abc/\",\"name\":\"\"}", &m, NULL), 0);
    cr_expect_str_eq(m.url, "https://a.example");
    cr_expect_str_eq(m.key, "abc/");
    cr_expect_str_eq(m.name, "nobody", "an empty one is as if left out");
    cr_expect_null(m.note);
    settings_clear(table, &m);
    cr_expect_null(m.url);
    cr_expect_null(m.key);
    settings_clear(table, &m);
}

Test(settings, slashes_go_from_the_end_of_urls_alone)
{
    struct mine m = { 0 };
    const char *config = "{\"key\":\"s://t//\",\"url\":\"https://b/c//\"}";
    cr_assert_eq(read_as(config, &m, NULL), 0);
    cr_expect_str_eq(m.url, "https://b/c");
    cr_expect_str_eq(m.key, "s://t//", "a secret may end with them");
    settings_clear(table, &m);
    cr_assert_eq(read_as("{\"key\":\"abcd\",\"url\":\"/\"}", &m, NULL), 0);
    cr_expect_str_eq(m.url, "https://a.example", "nothing is left of it");
    settings_clear(table, &m);
}

Test(settings, that_are_wrong_are_named)
{
    static const struct {
        const char *config, *words;
    } cases[] = {
        { "{}", "'key' is missing" },
        { "{\"key\":\"abc\"}", "'key' has 3 characters" },
        { "{\"key\":\"123456789\"}", "'key' has 9 characters" },
        { "{\"key\":\"abcd\",\"name\":\"1234567\"}", "'name' has 7" },
        { "{\"key\":\"abcd\",\"note\":7}", "'note' is" },
        { "[]", "must be a JSON object" },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        struct mine m = { 0 };
        struct sc_err err = { 0 };
        cr_expect_eq(read_as(cases[i].config, &m, &err), -EINVAL);
        cr_expect(strstr(err.text, "provider 'x': "), "%s", err.text);
        cr_expect(strstr(err.text, cases[i].words), "%s", err.text);
        settings_clear(table, &m);
    }
}

static bool yes(void *arg)
{
    return *(bool *)arg;
}

Test(settings, requests_end_when_the_drivers_hooks_say_so)
{
    bool cancel = false;
    struct provider up = { .hooks = { .cancelled = yes, .arg = &cancel } };
    SC_AUTO(web_free) struct web *w = NULL;
    struct web_options o = { .retry_ms = 1 };
    cr_assert_eq(settings_web(&up, o, &w, NULL), 0);
    cr_expect_eq(web_pause(w, 1, NULL), 0);
    cancel = true;
    cr_expect_eq(web_pause(w, 1, NULL), -ECANCELED);
}

Test(settings, the_first_of_a_list_is_what_was_asked_for_or_the_default)
{
    char one[64];
    struct sc_err err = { 0 };
    cr_expect_eq(settings_first("x: region", "c", "a, b", one, &err), 0);
    cr_expect_str_eq(one, "c");
    cr_expect_eq(settings_first("x: region", "", "a b", one, &err), 0);
    cr_expect_str_eq(one, "a");
    cr_expect_eq(settings_first("x: region", NULL, NULL, one, &err), -EINVAL);
    cr_expect_str_eq(err.text,
                     "x: region: none given, and the settings have none");
    char longer[65];
    memset(longer, 'a', 64);
    longer[64] = '\0';
    cr_expect_eq(settings_first("x: region", longer, "", one, NULL), -EINVAL);
    cr_expect_eq(settings_first("x: region", longer + 1, "", one, NULL), 0);
    cr_expect_str_eq(one, longer + 1);
}

Test(settings, a_list_has_what_is_in_it_and_no_list_has_all)
{
    cr_expect(settings_listed("westeurope, eastus", "WestEurope"));
    cr_expect(settings_listed("westeurope,eastus", "eastus"));
    cr_expect_not(settings_listed("westeurope, eastus", "east"));
    cr_expect_not(settings_listed("westeurope", ""));
    cr_expect(settings_listed("", "anywhere"));
    cr_expect(settings_listed(NULL, "anywhere"));
}
