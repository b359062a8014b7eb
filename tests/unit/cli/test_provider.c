/* Tests of console/cli/provider.c: what becomes of settings and secrets. */
#include "cli/provider.h"

#include "common/json.h"

#include <criterion/criterion.h>
#include <string.h>

static const char ec2[] =
    "{\"name\":\"ec2\",\"fields\":[{\"name\":\"region\",\"secret\":false},"
    "{\"name\":\"access_key_id\",\"secret\":true},{\"name\":"
    "\"secret_access_key\",\"secret\":true}]}";
static const char gce[] =
    "{\"name\":\"gce\",\"fields\":[{\"name\":\"project\",\"secret\":false},"
    "{\"name\":\"api_key\",\"secret\":true,\"required\":false},"
    "{\"name\":\"key\",\"secret\":true,\"required\":true}]}";

static char *parse(const char *driver_text, const char *text)
{
    SC_AUTO(cjson_free) cJSON *driver = cJSON_Parse(driver_text);
    char copy[512];
    struct sc_err err = { 0 };
    snprintf(copy, sizeof copy, "%s", text);
    SC_AUTO(cjson_free)
    cJSON *secret = provider_secret_parse(driver, copy, &err);
    cr_expect_eq(secret == NULL, err.code != 0);
    if (!secret)
        cr_expect_not(strstr(err.text, "s3cret"), "%s", err.text);
    return secret ? cJSON_PrintUnformatted(secret) : strdup("-");
}

static const struct {
    const char *driver, *text, *want;
} cases[] = {
    { ec2, "access_key_id=AK\nsecret_access_key=s3cret=\n",
      "{\"access_key_id\":\"AK\",\"secret_access_key\":\"s3cret=\"}" },
    { ec2, "# mine\r\n\r\nsecret_access_key=s3cret\r\n",
      "{\"secret_access_key\":\"s3cret\"}" },
    { ec2, "{\"secret_access_key\":\"s3cret\"}",
      "{\"secret_access_key\":\"s3cret\"}" },
    { ec2, "{\"region\":\"s3cret\"}", "-" },
    { ec2, "region=s3cret", "-" },
    { ec2, "s3cret", "-" },
    { ec2, "", "-" },
    { gce, "s3cret\n", "{\"key\":\"s3cret\"}" },
    { gce, "{\"type\":\"service_account\"}\n",
      "{\"key\":\"{\\\"type\\\":\\\"service_account\\\"}\"}" },
    { gce, "key=s3cret\n", "{\"key\":\"s3cret\"}" },
};

Test(provider, a_secret_comes_in_three_forms)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SC_AUTO(free) char *got = parse(cases[i].driver, cases[i].text);
        cr_expect_str_eq(got, cases[i].want, "case %zu", i);
    }
}

static int settings(cJSON *into, struct sc_err *err, int argc, char **argv)
{
    struct cli_args a;
    int r = cli_parse(argc, argv, &a, err);
    return r < 0 ? r : provider_settings(&a, "set", into, err);
}
#define SETTINGS(into, err, ...)                                               \
    settings((into), (err),                                                    \
             (int)(sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *)),        \
             (char *[]){ __VA_ARGS__ })

Test(provider, settings_are_texts_or_json_and_may_be_taken_away)
{
    SC_AUTO(cjson_free)
    cJSON *o = cJSON_Parse("{\"region\":\"old\",\"gone\":\"x\"}");
    struct sc_err err = { 0 };
    cr_assert_eq(SETTINGS(o, &err, "supercloud", "provider", "update", "acc",
                          "--set", "region=eu=1", "--set=n:=5", "--set",
                          "gone=", "--set", "account=0123"),
                 0, "%s", err.text);
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(o);
    cr_expect_str_eq(text,
                     "{\"region\":\"eu=1\",\"n\":5,\"account\":\"0123\"}");
    cr_expect_eq(SETTINGS(o, &err, "supercloud", "provider", "update", "acc",
                          "--set", "region"),
                 -EINVAL);
    cr_expect_eq(SETTINGS(o, &err, "supercloud", "provider", "update", "acc",
                          "--set", "n:={"),
                 -EINVAL);
}

Test(provider, an_option_with_dots_may_be_given_again_and_others_keep_the_last)
{
    char *argv[] = { "supercloud",
                     "provider",
                     "launch",
                     "acc",
                     "n",
                     "--image",
                     "a",
                     "--rule",
                     "tcp:1:0.0.0.0/0",
                     "--image",
                     "b",
                     "--rule",
                     "udp:2:0.0.0.0/0" };
    struct cli_args a;
    struct sc_err err = { 0 };
    cr_assert_eq(cli_parse(13, argv, &a, &err), 0, "%s", err.text);
    cr_expect_str_eq(cli_opt(&a, "image"), "b");
    cr_expect_str_eq(cli_opt_nth(&a, "rule", 0), "tcp:1:0.0.0.0/0");
    cr_expect_str_eq(cli_opt_nth(&a, "rule", 1), "udp:2:0.0.0.0/0");
    cr_expect_null(cli_opt_nth(&a, "rule", 2));
    cr_expect_null(cli_opt_nth(&a, "option", 0));
}
