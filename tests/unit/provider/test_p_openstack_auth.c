/* p_openstack_auth.c: tokens and the catalog, from an identity service that
 * answers by a script. */
#include "common/json.h"
#include "provider/p_openstack.h"

#include "script.h"

static char *answer(int status, const char *headers, const char *body)
{
    char *text = NULL;
    cr_assert(asprintf(&text,
                       "HTTP/1.1 %d x\r\n%sContent-Length: %zu\r\n"
                       "Connection: close\r\n\r\n%s",
                       status, headers, strlen(body), body) > 0);
    return text;
}

#define USER "\"user\": {\"name\": \"u\"}"
#define PROJECT "\"project\": {\"id\": \"p1\", \"name\": \"work\"}"
#define UNTIL(t) "\"expires_at\": \"" t "\""
#define LATER UNTIL("2999-01-01T00:00:00.000000Z")

static char *token(const char *body)
{
    return answer(201, "X-Subject-Token: tok-1\r\n", body);
}

static struct openstack *cloud_at(struct script *s, const char *more)
{
    char text[400];
    start(s);
    snprintf(text, sizeof text,
             "{\"auth_url\": \"http://127.0.0.1:%u/v3\", \"username\": \"u\", "
             "\"password\": \"hidden\", \"project_name\": \"work\"%s}",
             s->port, more);
    SC_AUTO(cjson_free) cJSON *config = cJSON_Parse(text);
    struct provider *p = NULL;
    struct sc_err err = { 0 };
    cr_assert_eq(provider_open("openstack", config, NULL, &p, &err), 0, "%s",
                 err.text);
    return (struct openstack *)p;
}

static void end(struct script *s, struct openstack *o)
{
    provider_close(&o->up);
    stop(s);
    for (size_t i = 0; i < s->n_answers; i++)
        free((char *)s->answers[i]);
}

#define ENDPOINT(interface, region, url)                                       \
    "{\"interface\": \"" interface "\", \"region_id\": \"" region              \
    "\", \"url\": \"" url "\"}"
#define SERVICE(type, endpoints)                                               \
    "{\"type\": \"" type "\", \"endpoints\": [" endpoints "]}"
#define CATALOG                                                                                                                                                                             \
    "\"catalog\": [" SERVICE("volumev2", ENDPOINT("public", "R1", "http://v2")) "," SERVICE("volumev3", ENDPOINT("public", "R1", "http://h/v3/p1")) "," SERVICE(                            \
        "image",                                                                                                                                                                            \
        ENDPOINT("internal", "R1", "http://in/") "," ENDPOINT(                                                                                                                              \
            "public", "R1",                                                                                                                                                                 \
            "http://h:9/")) "," SERVICE("network",                                                                                                                                          \
                                        ENDPOINT(                                                                                                                                           \
                                            "public", "R1",                                                                                                                                 \
                                            "http://n/v2.0/")) "," SERVICE("c"                                                                                                              \
                                                                           "o"                                                                                                              \
                                                                           "m"                                                                                                              \
                                                                           "p"                                                                                                              \
                                                                           "u"                                                                                                              \
                                                                           "t"                                                                                                              \
                                                                           "e",                                                                                                             \
                                                                           ENDPOINT(                                                                                                        \
                                                                               "public",                                                                                                    \
                                                                               "R1",                                                                                                        \
                                                                               "http://c/v2.1/")) "," SERVICE("compute",                                                                    \
                                                                                                              ENDPOINT(                                                                     \
                                                                                                                  "public",                                                                 \
                                                                                                                  "R2",                                                                     \
                                                                                                                  "http://c2/v2.1")) "," SERVICE("identity",                                \
                                                                                                                                                 "{\"interface\": \"public\", \"region\": " \
                                                                                                                                                 "null, \"url\": \"http://k\"}") "]"

static const struct {
    const char *type, *region, *url;
} endpoints[] = {
    { "volume", "R1", "http://h/v3/p1" },  { "image", "R1", "http://h:9/v2" },
    { "network", "R1", "http://n/v2.0" },  { "compute", "R1", "http://c/v2.1" },
    { "compute", "R2", "http://c2/v2.1" }, { "volume", "R2", NULL },
    { "object-store", "R1", NULL },
};

Test(p_openstack_auth, the_catalog_is_read_by_region_and_interface)
{
    struct script s = { .answers = { token("{\"token\": {" USER ", " PROJECT
                                           ", " LATER ", " CATALOG "}}") } };
    struct openstack *o = cloud_at(&s, "");
    struct sc_err err = { 0 };
    cr_assert_eq(os_login(o, &err), 0, "%s", err.text);
    cr_expect_str_eq(o->token, "tok-1");
    for (size_t i = 0; i < SC_ARRAY_LEN(endpoints); i++) {
        const char *url =
            os_endpoint(o, endpoints[i].type, endpoints[i].region);
        if (endpoints[i].url)
            cr_expect(url && !strcmp(url, endpoints[i].url), "%s in %s: %s",
                      endpoints[i].type, endpoints[i].region, url ? url : "-");
        else
            cr_expect_null(url, "%s in %s: %s", endpoints[i].type,
                           endpoints[i].region, url);
    }
    cr_expect_eq(os_login(o, &err), 0);
    cr_expect_eq(s.n_seen, 1, "a token that is good is not asked for again");
    end(&s, o);
}

Test(p_openstack_auth, another_interface_is_taken_where_the_settings_say_so)
{
    struct script s = { .answers = { token("{\"token\": {" USER ", " PROJECT
                                           ", " LATER ", " CATALOG "}}") } };
    struct openstack *o = cloud_at(&s, ", \"interface\": \"internal\"");
    struct sc_err err = { 0 };
    cr_assert_eq(os_login(o, &err), 0, "%s", err.text);
    const char *url = os_endpoint(o, "image", "R1");
    cr_expect(url && !strcmp(url, "http://in/v2"), "%s", url ? url : "-");
    cr_expect_null(os_endpoint(o, "compute", "R1"));
    end(&s, o);
}

Test(p_openstack_auth, a_token_of_the_past_is_used_a_while_and_not_at_once_anew)
{
    struct script s = { .answers = {
                            token("{\"token\": {" USER ", " PROJECT
                                  ", " UNTIL("2001-01-01T00:00:00Z") "}}"),
                            NULL } };
    struct openstack *o = cloud_at(&s, "");
    struct sc_err err = { 0 };
    cr_assert_eq(os_login(o, &err), 0, "%s", err.text);
    cr_expect_eq(os_login(o, &err), 0, "%s", err.text);
    cr_expect_eq(s.n_seen, 1);
    end(&s, o);
}

static const struct {
    const char *name, *headers, *body;
    int error;
    const char *want;
} wrong[] = {
    { "no header with the token", "",
      "{\"token\": {" USER ", " PROJECT ", " LATER "}}", -EPROTO,
      "without a token" },
    { "an empty token", "X-Subject-Token: \r\n",
      "{\"token\": {" USER ", " PROJECT ", " LATER "}}", -EPROTO,
      "without a token" },
    { "no JSON", "X-Subject-Token: t\r\n", "<html>", -EPROTO,
      "without a token" },
    { "JSON cut short", "X-Subject-Token: t\r\n", "{\"token\": {" USER ", ",
      -EPROTO, "without a token" },
    { "a token for no project", "X-Subject-Token: t\r\n",
      "{\"token\": {" USER ", " LATER "}}", -EACCES, "project_name" },
};

Test(p_openstack_auth, an_answer_without_a_token_of_ours_is_not_taken)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(wrong); i++) {
        struct script s = { .answers = { answer(201, wrong[i].headers,
                                                wrong[i].body) } };
        struct openstack *o = cloud_at(&s, "");
        struct sc_err err = { 0 };
        cr_expect_eq(os_login(o, &err), wrong[i].error, "%s: %s", wrong[i].name,
                     err.text);
        cr_expect(strstr(err.text, wrong[i].want), "%s: %s", wrong[i].name,
                  err.text);
        cr_expect_null(o->token, "%s", wrong[i].name);
        end(&s, o);
    }
}

Test(p_openstack_auth, a_refusal_says_what_to_check_and_never_the_password)
{
    struct script s = { .answers = { answer(
                            401, "X-Openstack-Request-Id: req-7\r\n",
                            "{\"error\": {\"message\": \"The request you have "
                            "made requires authentication.\"}}") } };
    struct openstack *o = cloud_at(&s, "");
    struct sc_err err = { 0 };
    cr_expect_eq(os_login(o, &err), -EACCES, "%s", err.text);
    cr_expect(strstr(err.text, "requires authentication") &&
                  strstr(err.text, "req-7") &&
                  strstr(err.text, "check username, password"),
              "%s", err.text);
    cr_expect_null(strstr(err.text, "hidden"), "%s", err.text);
    end(&s, o);
}
