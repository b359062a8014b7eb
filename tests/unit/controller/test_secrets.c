#include "controller/secrets.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/stat.h>

static char dir[64];

static struct secrets *begin(void)
{
    struct secrets *s = NULL;
    struct sc_err err;
    snprintf(dir, sizeof dir, "/tmp/sc-secrets-XXXXXX");
    cr_assert(mkdtemp(dir));
    cr_assert_eq(secrets_open(dir, &s, &err), 0, "%s", err.text);
    return s;
}

static void end(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/secrets.key", dir);
    unlink(path);
    rmdir(dir);
}

Test(secrets, what_is_sealed_opens_again_after_a_restart)
{
    SC_AUTO(secrets_close) struct secrets *s = begin();
    SC_AUTO(secrets_close) struct secrets *again = NULL;
    SC_AUTO(free) char *a = NULL;
    SC_AUTO(free) char *b = NULL;
    SC_AUTO(secrets_free_text) char *text = NULL;
    struct sc_err err;
    cr_assert_eq(secrets_seal(s, "id-1", "top secret", &a, &err), 0);
    cr_assert_eq(secrets_seal(s, "id-1", "top secret", &b, &err), 0);
    cr_expect_str_neq(a, b, "each with a nonce of its own");
    cr_expect_not(strstr(a, "top"));
    cr_assert_eq(secrets_open(dir, &again, &err), 0);
    cr_assert_eq(secrets_unseal(again, "id-1", a, &text, &err), 0);
    cr_expect_str_eq(text, "top secret");
    end();
}

Test(secrets, it_is_bound_to_its_name_and_any_change_is_seen)
{
    SC_AUTO(secrets_close) struct secrets *s = begin();
    SC_AUTO(free) char *sealed = NULL;
    char *text = NULL;
    struct sc_err err;
    cr_assert_eq(secrets_seal(s, "id-1", "x", &sealed, &err), 0);
    cr_expect_eq(secrets_unseal(s, "id-2", sealed, &text, &err), -EBADMSG);
    for (size_t i = 0; sealed[i] && sealed[i] != '='; i++) {
        char old = sealed[i];
        sealed[i] = old == 'A' ? 'B' : 'A';
        /* The last digit has bits that say nothing. */
        if (sealed[i + 1] && sealed[i + 1] != '=')
            cr_expect_eq(secrets_unseal(s, "id-1", sealed, &text, &err),
                         -EBADMSG, "digit %zu", i);
        sealed[i] = old;
    }
    cr_expect_eq(secrets_unseal(s, "id-1", "", &text, &err), -EBADMSG);
    cr_expect_eq(secrets_unseal(s, "id-1", "%%%", &text, &err), -EBADMSG);
    cr_expect_eq(secrets_unseal(s, "id-1", "AAAA", &text, &err), -EBADMSG);
    cr_expect_null(text);
    end();
}

Test(secrets, an_empty_text_and_a_long_one_come_back)
{
    SC_AUTO(secrets_close) struct secrets *s = begin();
    SC_AUTO(free) char *longest = malloc(100001);
    struct sc_err err;
    memset(longest, 'z', 100000);
    longest[100000] = '\0';
    const char *texts[] = { "", longest };
    for (size_t i = 0; i < 2; i++) {
        SC_AUTO(free) char *sealed = NULL;
        SC_AUTO(secrets_free_text) char *text = NULL;
        cr_assert_eq(secrets_seal(s, "n", texts[i], &sealed, &err), 0);
        cr_assert_eq(secrets_unseal(s, "n", sealed, &text, &err), 0);
        cr_expect_str_eq(text, texts[i]);
    }
    end();
}

Test(secrets, a_folder_that_is_not_there_is_an_error)
{
    struct secrets *s = NULL;
    struct sc_err err;
    cr_expect_lt(secrets_open("/nonexistent/pki", &s, &err), 0);
    cr_expect(strstr(err.text, "secrets.key"), "%s", err.text);
    secrets_close(NULL);
    secrets_free_text(NULL);
}
