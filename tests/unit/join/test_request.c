#include "join/request.h"

#include <criterion/criterion.h>

#define PIN "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TOKEN "sct1.id0.secret_-9." PIN
#define NODE                                                                   \
    "{\"role\": \"node\", \"controller\": \"10.0.0.1\", \"token\": \"" TOKEN   \
    "\", \"region\": \"eu\", \"provider\": \"local\""

static void request_fini_p(struct join_request *r)
{
    request_fini(r);
}

Test(request, the_section_alone_or_under_its_name)
{
    static const char *const texts[] = { NODE "}",
                                         "{\"supercloud\": " NODE "}}" };
    for (size_t i = 0; i < SC_ARRAY_LEN(texts); i++) {
        SC_AUTO(request_fini) struct join_request r = { 0 };
        struct join_failure f = { 0 };
        cr_assert_eq(request_parse(&r, texts[i], &f), 0, "%s", f.text);
        cr_expect_not(r.init);
        cr_expect_str_eq(r.controller, "10.0.0.1");
        cr_expect_str_eq(r.region, "eu");
        cr_expect_null(r.name);
        cr_expect_eq(request_check(&r, &f), 0, "%s", f.text);
    }
}

static const struct {
    const char *text, *key; /* What the message must name. */
} wrong[] = {
    { "not json", "JSON" },
    { "[]", "object" },
    { "{}", "'role'" },
    { "{\"role\": \"king\"}", "'king'" },
    { "{\"role\": 5}", "'role'" },
    { "{\"role\": \"node\"}", "'controller'" },
    { "{\"role\": \"node\", \"controller\": \"a\"}", "'token'" },
    { "{\"role\": \"node\", \"controller\": \"a:b\", \"token\": \"" TOKEN "\"}",
      "'controller'" },
    { "{\"role\": \"node\", \"controller\": \"a\", \"token\": \"hello\"}",
      "'token'" },
    { NODE ", \"colour\": 1}", "'colour'" },
    { NODE ", \"name\": \"a b\"}", "'name'" },
    { NODE ", \"name\": 7}", "'name'" },
    { NODE ", \"address\": \"here\"}", "'address'" },
    { NODE ", \"hypervisor\": \"vmware\"}", "'hypervisor'" },
    { NODE ", \"datapath\": \"dpdk\"}", "'datapath'" },
    { NODE ", \"metadata\": \"aws\"}", "'metadata'" },
    { NODE ", \"reserved_mib\": -1}", "'reserved_mib'" },
    { "{\"role\": \"controller\", \"region\": \"../x\"}", "'region'" },
};

Test(request, bad_user_data_names_the_key)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(wrong); i++) {
        SC_AUTO(request_fini) struct join_request r = { 0 };
        struct join_failure f = { 0 };
        bool bad = request_parse(&r, wrong[i].text, &f) < 0 ||
                   request_check(&r, &f) < 0;
        cr_expect(bad, "case %s", wrong[i].text);
        cr_expect_eq(f.code, JOIN_USER_DATA, "case %s", wrong[i].text);
        cr_expect(strstr(f.text, wrong[i].key), "case %s: %s", wrong[i].text,
                  f.text);
    }
}

Test(request, a_wrong_token_is_not_printed)
{
    SC_AUTO(request_fini) struct join_request r = { 0 };
    struct join_failure f = { 0 };
    cr_assert_eq(request_parse(&r,
                               "{\"role\":\"node\",\"controller\":\"a\","
                               "\"token\":\"sct1.id.topsecret.short\"}",
                               &f),
                 0);
    cr_expect_eq(request_check(&r, &f), -1);
    cr_expect_null(strstr(f.text, "topsecret"));
}

static const struct {
    const char *text;
    bool ok;
} tokens[] = {
    { TOKEN, true },
    { "sct1.a.b." PIN, true },
    { "sct2.a.b." PIN, false },
    { "sct1..b." PIN, false },
    { "sct1.a.." PIN, false },
    { "sct1.a." PIN, false },
    { "sct1.a.b.c." PIN, false },
    { "sct1.a.b." PIN "0", false },
    { "sct1.a.b.0" PIN, false },
    { "sct1.a.b.A123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
      "f",
      false },
    { "sct1.a/.b." PIN, false },
    { "", false },
};

Test(request, what_is_a_token)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(tokens); i++) {
        char pin[TLS_PIN_LEN + 1] = "";
        cr_expect_eq(token_pin(tokens[i].text, pin), tokens[i].ok, "case '%s'",
                     tokens[i].text);
        cr_expect_str_eq(pin, tokens[i].ok ? PIN : "");
    }
}

#define LOAD(r, f, ...)                                                        \
    request_load(                                                              \
        r, (int)SC_ARRAY_LEN(((char *[]){ (char *)"sc-join", __VA_ARGS__ })),  \
        (char *[]){ (char *)"sc-join", __VA_ARGS__, NULL }, f)

Test(request, the_command_line_wins_over_the_file)
{
    char path[] = "/tmp/sc-unit.XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = NODE ", \"name\": \"file\"}";
    cr_assert_eq(write(fd, text, sizeof text - 1), (ssize_t)sizeof text - 1);
    close(fd);
    SC_AUTO(request_fini) struct join_request r = { 0 };
    struct join_failure f = { 0 };
    int n = LOAD(&r, &f, (char *)"--user-data", path, (char *)"--name",
                 (char *)"line", (char *)"--state-dir", (char *)"/s");
    cr_assert_eq(n, 0, "%s", f.text);
    cr_expect_str_eq(r.name, "line");
    cr_expect_str_eq(r.region, "eu");
    cr_expect_str_eq(r.pki_dir, "/s/pki");
    cr_expect_str_eq(r.config_out, "/etc/supercloud/supercloud.json");
    cr_expect_eq(r.timeout_ms, 600000);

    SC_AUTO(request_fini) struct join_request both = { 0 };
    n = LOAD(&both, &f, (char *)"--init-controller", (char *)"--user-data",
             path);
    cr_expect_eq(n, -1, "a node's user-data for a controller");
    unlink(path);
    SC_AUTO(request_fini) struct join_request none = { 0 };
    n = LOAD(&none, &f, (char *)"--user-data", path);
    cr_expect_eq(n, -1);
    cr_expect(strstr(f.text, path), "%s", f.text);
}

Test(request, bad_options_are_refused)
{
    struct join_failure f = { 0 };
    SC_AUTO(request_fini) struct join_request a = { 0 };
    SC_AUTO(request_fini) struct join_request b = { 0 };
    SC_AUTO(request_fini) struct join_request c = { 0 };
    cr_expect_eq(LOAD(&a, &f, (char *)"--bogus"), -1);
    cr_expect_eq(LOAD(&b, &f, (char *)"extra"), -1);
    cr_expect_eq(LOAD(&c, &f, (char *)"--timeout", (char *)"5m"), -1);
    cr_expect_eq(f.code, JOIN_USER_DATA);
}
