#include "http/auth.h"

#include <criterion/criterion.h>
#include <string.h>

Test(auth, a_password_fits_its_own_hash_only)
{
    char hash[AUTH_HASH_SIZE];
    cr_assert_eq(auth_password_hash("correct horse", hash, NULL), 0);
    cr_expect_eq(strncmp(hash, "$argon2id$", 10), 0);
    cr_expect(auth_password_ok("correct horse", hash));
    cr_expect_not(auth_password_ok("correct horsf", hash));
    cr_expect_not(auth_password_ok("", hash));
}

Test(auth, two_hashes_of_one_password_differ)
{
    char a[AUTH_HASH_SIZE], b[AUTH_HASH_SIZE];
    cr_assert_eq(auth_password_hash("correct horse", a, NULL), 0);
    cr_assert_eq(auth_password_hash("correct horse", b, NULL), 0);
    cr_expect_str_neq(a, b);
}

Test(auth, no_password_fits_a_user_that_is_not_there)
{
    cr_expect_not(auth_password_ok("anything", NULL));
}

Test(auth, a_damaged_hash_lets_nobody_in)
{
    cr_expect_not(auth_password_ok("anything", ""));
    cr_expect_not(auth_password_ok("anything", "$argon2id$v=19$m=1"));
}

Test(auth, short_and_overlong_passwords_are_refused)
{
    char hash[AUTH_HASH_SIZE];
    SC_AUTO(free) char *text = calloc(1, AUTH_PASSWORD_MAX + 2);
    memset(text, 'a', AUTH_PASSWORD_MAX + 1);
    cr_expect_eq(auth_password_hash("1234567", hash, NULL), -EINVAL);
    cr_expect_eq(auth_password_hash(text, hash, NULL), -EINVAL);
    cr_expect_not(auth_password_ok(text, NULL));
}

Test(auth, secrets_are_random_and_their_id_does_not_show_them)
{
    char a[AUTH_SECRET_LEN + 1], b[AUTH_SECRET_LEN + 1];
    char id[AUTH_SECRET_LEN + 1], again[AUTH_SECRET_LEN + 1];
    cr_assert_eq(auth_secret_new(a), 0);
    cr_assert_eq(auth_secret_new(b), 0);
    cr_expect_eq(strlen(a), AUTH_SECRET_LEN);
    cr_expect_str_neq(a, b);
    auth_secret_id(a, id);
    auth_secret_id(a, again);
    cr_expect_str_eq(id, again);
    cr_expect_str_neq(id, a);
}

Test(auth, the_id_is_sha_256_of_the_secret)
{
    char id[AUTH_SECRET_LEN + 1];
    auth_secret_id("abc", id);
    cr_expect_str_eq(id, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410"
                         "ff61f20015ad");
}

Test(auth, tokens_compare_by_content_and_length)
{
    cr_expect(auth_equal("abc", "abc"));
    cr_expect_not(auth_equal("abc", "abd"));
    cr_expect_not(auth_equal("abc", "abcd"));
    cr_expect_not(auth_equal("", "a"));
}

static const struct {
    const char *name;
    struct auth_session s;
    uint64_t now;
    enum auth_verdict want;
} session_cases[] = {
    { "just made", { 1000, 1000, 100000, 5000 }, 1000, AUTH_GOOD },
    { "used a while ago",
      { 0, 1000, 10000000, 0 },
      1000 + AUTH_TOUCH_MS,
      AUTH_TOUCH },
    { "unused for the idle time", { 0, 1000, 100000, 5000 }, 6000, AUTH_IDLE },
    { "almost", { 0, 1000, 100000, 5000 }, 5999, AUTH_TOUCH },
    { "a quarter of it", { 0, 1000, 100000, 5000 }, 2250, AUTH_TOUCH },
    { "almost a quarter", { 0, 1000, 100000, 5000 }, 2249, AUTH_GOOD },
    { "at its end", { 0, 99999, 100000, 5000 }, 100000, AUTH_EXPIRED },
    { "both", { 0, 0, 100000, 5000 }, 100000, AUTH_EXPIRED },
    { "no end and no idle limit", { 0, 1000, 0, 0 }, 1000000000, AUTH_TOUCH },
    { "the clock went back", { 0, 9000, 100000, 5000 }, 1000, AUTH_GOOD },
};

Test(auth, a_session_ends_by_idleness_or_age)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(session_cases); i++)
        cr_expect_eq(
            auth_session_check(&session_cases[i].s, session_cases[i].now),
            session_cases[i].want, "case '%s'", session_cases[i].name);
}
