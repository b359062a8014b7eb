/* The table of calls: what each takes, and what the drivers say of themselves.
 */
#include "provider/calls.h"

#include "common/json.h"

#include <criterion/criterion.h>

static struct provider *open_local(void)
{
    struct sc_err err = { 0 };
    struct provider *p = NULL;
    SC_AUTO(cjson_free) cJSON *config = cJSON_Parse("{\"dir\": \"/tmp\"}");
    cr_assert_eq(provider_open("local", config, NULL, &p, &err), 0, "%s",
                 err.text);
    return p;
}

Test(calls, every_call_is_found_by_its_name)
{
    const struct call *c;
    size_t n = 0;
    for (; (c = call_at(n)); n++)
        cr_expect_eq(call_find(c->name), c);
    cr_expect_eq(n, 12);
    cr_expect_null(call_find("moon"));
}

static const struct {
    const char *call, *args, *want;
} wrong[] = {
    { "publish", "{\"name\": \"a\"}", "'file' is missing" },
    { "launch", "{\"name\": \"a\", \"image\": null}", "'image' is missing" },
    { "launch", "{\"name\": \"a\", \"image\": \"i\", \"spot\": 1}",
      "'spot' must be true or false" },
    { "launch", "{\"name\": \"a\", \"image\": \"i\", \"disk_gib\": -1}",
      "'disk_gib' must be a number" },
    { "launch", "{\"name\": \"a\", \"image\": \"i\", \"options\": \"x\"}",
      "'options' must be an object" },
    { "launch", "{\"name\": \"a\", \"image\": \"i\", \"rules\": {}}",
      "rules: must be a list" },
    { "check", "{\"region\": \"x\"}", "no 'region'" },
    { "list", "[]", "must be an object" },
};

Test(calls, wrong_arguments_are_named)
{
    SC_AUTO(provider_close) struct provider *p = open_local();
    struct provider_tags tags = { "c", "t" };
    for (size_t i = 0; i < SC_ARRAY_LEN(wrong); i++) {
        struct sc_err err = { 0 };
        cJSON *ret = NULL;
        SC_AUTO(cjson_free) cJSON *args = cJSON_Parse(wrong[i].args);
        cr_expect_eq(call_run(call_find(wrong[i].call), p, args, &tags, NULL,
                              &ret, &err),
                     -EINVAL, "case %zu", i);
        cr_expect(strstr(err.text, wrong[i].want), "case %zu: %s", i, err.text);
        cr_expect_null(ret);
    }
}

Test(calls, drivers_say_what_they_take)
{
    SC_AUTO(cjson_free) cJSON *list = call_drivers();
    cr_assert(cJSON_GetArraySize(list) >= 2);
    for (const cJSON *d = list->child; d; d = d->next) {
        const cJSON *fields = cJSON_GetObjectItem(d, "fields");
        cr_expect(cJSON_GetArraySize(fields) > 0);
        cr_expect(cJSON_IsString(cJSON_GetObjectItem(d, "permissions")));
        cr_expect(cJSON_IsNumber(cJSON_GetObjectItem(d, "user_data_max")));
        for (const cJSON *f = fields->child; f; f = f->next)
            cr_expect(cJSON_IsBool(cJSON_GetObjectItem(f, "secret")));
    }
}
