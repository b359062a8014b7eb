/* Settings of the OpenStack driver, and what follows from them alone. */
#include "provider/p_openstack.h"

#include <criterion/criterion.h>

static int open_with(const char *config, struct provider **ret,
                     struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(config);
    cr_assert(o, "%s", config);
    return provider_open("openstack", o, NULL, ret, err);
}

#define USER "\"username\": \"u\", \"password\": \"p\", \"project_name\": \"w\""
#define URL "\"auth_url\": \"https://k.example/v3\""

static const struct {
    const char *config, *words;
} wrong[] = {
    { "{" USER "}", "'auth_url' is missing" },
    { "{" URL "}", "either" },
    { "{" URL ", " USER ", \"application_credential_id\": \"a\"}", "either" },
    { "{" URL ", \"username\": \"u\", \"password\": \"p\"}", "project_name" },
    { "{" URL ", \"username\": \"u\", \"project_name\": \"w\"}", "'password'" },
    { "{" URL ", \"application_credential_id\": \"a\"}", "secret" },
    { "{" URL ", " USER ", \"interface\": \"secret\"}", "interface" },
    { "{" URL ", " USER ", \"colour\": \"red\"}", "colour" },
    { "{" URL ", " USER ", \"region\": 7}", "region" },
    { "{" URL ", " USER ", \"ca_file\": \"/nowhere\"}", "ca_file" },
};

Test(p_openstack, settings_that_are_wrong_are_named)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(wrong); i++) {
        struct provider *p = NULL;
        struct sc_err err = { 0 };
        cr_expect_eq(open_with(wrong[i].config, &p, &err), -EINVAL, "%s",
                     wrong[i].config);
        cr_expect(strstr(err.text, wrong[i].words), "%s", err.text);
    }
}

static const struct {
    const char *given, *used;
} urls[] = {
    { "https://k.example", "https://k.example/v3" },
    { "https://k.example/", "https://k.example/v3" },
    { "https://k.example/v3/", "https://k.example/v3" },
    { "https://k.example/identity", "https://k.example/identity/v3" },
};

Test(p_openstack, the_identity_url_may_lack_its_version)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(urls); i++) {
        char config[256];
        SC_AUTO(provider_close) struct provider *p = NULL;
        snprintf(config, sizeof config, "{\"auth_url\": \"%s\", " USER "}",
                 urls[i].given);
        cr_assert_eq(open_with(config, &p, NULL), 0);
        cr_expect_str_eq(((struct openstack *)p)->auth_url, urls[i].used);
    }
}

static int add_price(void *arg, const struct provider_price *p)
{
    char *text = arg;
    size_t len = strlen(text);
    snprintf(text + len, 200 - len, "%s/%s/%s/%s=%g;", p->region, p->type,
             p->what, p->unit, p->amount);
    return 0;
}

static const struct {
    const char *prices, *type, *want;
} tables[] = {
    { "", NULL, "" },
    { "a=0.5", NULL, "R1/a/on-demand/hour=0.5;" },
    { " a=0.5 , gp.0.2 = 1,", NULL,
      "R1/a/on-demand/hour=0.5;R1/gp.0.2/on-demand/hour=1;" },
    { "a=0.5,b=1", "b", "R1/b/on-demand/hour=1;" },
    { "a", NULL, NULL },
    { "=1", NULL, NULL },
    { "a=-1", NULL, NULL },
    { "a=1x", NULL, NULL },
};

Test(p_openstack, prices_are_a_table_in_the_settings)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(tables); i++) {
        char config[256], text[200] = "";
        SC_AUTO(provider_close) struct provider *p = NULL;
        struct sc_err err = { 0 };
        snprintf(config, sizeof config,
                 "{" URL ", " USER ", \"region\": \"R1, R2\", "
                 "\"prices\": \"%s\"}",
                 tables[i].prices);
        cr_assert_eq(open_with(config, &p, NULL), 0);
        int r = provider_prices(p, NULL, tables[i].type, add_price, text, &err);
        cr_expect_eq(r, tables[i].want ? 0 : -EINVAL, "%s", tables[i].prices);
        cr_expect_str_eq(tables[i].want ? text : "",
                         tables[i].want ? tables[i].want : "");
    }
}

Test(p_openstack, times_are_read_with_and_without_fractions)
{
    cr_expect_eq(os_time("1970-01-02T00:00:01Z"), 86401000);
    cr_expect_eq(os_time("2026-11-27T22:16:39.000000Z"), 1795817799000);
    cr_expect_eq(os_time("2026-11-27T22:16:39+00:00"), 1795817799000);
    cr_expect_eq(os_time("yesterday"), 0);
    cr_expect_eq(os_time(NULL), 0);
}
