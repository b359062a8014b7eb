/* Tests of daemons/model/token.c; what a join makes of them is in
 * tests/unit/controller/test_join.c. */
#include "model/token.h"

#include <criterion/criterion.h>

static const char pin[] =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

Test(token, what_was_made_is_parsed_and_good)
{
    struct token t = { .uses = 1, .expires_at = 1000 };
    char text[TOKEN_TEXT];
    struct token_parts p;
    const struct token_claim claim = { "node", "us", "ec2" };
    struct sc_err err = { 0 };
    cr_assert_eq(token_new(&t, pin, text, NULL), 0);
    cr_assert_eq(token_parse(text, &p, NULL), 0);
    cr_expect_str_eq(p.id, t.id);
    cr_expect_eq(token_check(&t, &p, pin, &claim, 999, &err), 0, "%s",
                 err.text);
    cr_expect_eq(token_check(&t, &p, pin, &claim, 1000, NULL), -ETIME);
    t.used = 1;
    cr_expect_eq(token_check(&t, &p, pin, &claim, 999, NULL), -EALREADY);
    t.uses = 0;
    t.used = 1000000;
    cr_expect_eq(token_check(&t, &p, pin, &claim, 999, NULL), 0);
    OBJ_SET(t.provider, "gcp");
    cr_expect_eq(token_check(&t, &p, pin, &claim, 999, NULL), -EACCES);
}

Test(token, the_stored_form_does_not_hold_the_secret)
{
    struct token t = { .uses = 1, .expires_at = 1000, .role = "node" }, back;
    char text[TOKEN_TEXT];
    struct token_parts p;
    cr_assert_eq(token_new(&t, pin, text, NULL), 0);
    cr_assert_eq(token_parse(text, &p, NULL), 0);
    SC_AUTO(cjson_free) cJSON *j = token_to_json(&t);
    SC_AUTO(free) char *stored = cJSON_Print(j);
    cr_expect(!strstr(stored, p.secret));
    SC_AUTO(cjson_free) cJSON *public = token_public_json(&t);
    SC_AUTO(free) char *shown = cJSON_Print(public);
    cr_expect(!strstr(shown, t.secret_sha256));
    cr_assert_eq(token_from_json(j, &back, NULL), 0);
    cr_expect_str_eq(back.secret_sha256, t.secret_sha256);
}

Test(token, other_forms_are_refused)
{
    static const char *const bad[] = {
        "",
        "sct1",
        "sct1.",
        "sct1.0123456789abcdef.aa.bb",
        "sct2.0123456789abcdef."
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef."
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "sct1.0123456789ABCDEF."
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef."
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "sct1.0123456789abcdef."
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef."
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef ",
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(bad); i++) {
        struct token_parts p;
        cr_expect_eq(token_parse(bad[i], &p, NULL), -EACCES, "'%s'", bad[i]);
    }
}
