#include "provider/jwt.h"

#include "common/json.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

Test(jwt, base64url_has_other_digits_and_no_padding)
{
    static const struct {
        const char *data, *want;
    } cases[] = { { "", "" },
                  { "f", "Zg" },
                  { "fo", "Zm8" },
                  { "foo", "Zm9v" },
                  { "\xfb\xff", "-_8" } };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        SC_AUTO(free)
        char *got = jwt_base64url(cases[i].data, strlen(cases[i].data));
        cr_expect_str_eq(got, cases[i].want);
    }
}

static char *key_pem(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data, *text;
    PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    long size = BIO_get_mem_data(bio, &data);
    text = strndup(data, (size_t)size);
    BIO_free(bio);
    return text;
}

/* The bytes of one part. */
static unsigned char *part(const char *text, size_t len, size_t *ret_size)
{
    char b64[2000];
    void *data = NULL;
    size_t n = len;
    memcpy(b64, text, len);
    for (size_t i = 0; i < len; i++)
        b64[i] = (char)(b64[i] == '-' ? '+' : b64[i] == '_' ? '/' : b64[i]);
    while (n % 4)
        b64[n++] = '=';
    b64[n] = '\0';
    cr_assert_eq(json_b64_decode(b64, &data, ret_size), 0);
    return data;
}

Test(jwt, a_token_is_three_parts_whose_signature_is_the_keys)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    SC_AUTO(free) char *pem = key_pem(key);
    SC_AUTO(free) char *jwt = NULL;
    struct sc_err err = { 0 };
    cr_assert_eq(jwt_sign_rs256("{\"alg\":\"RS256\"}", "{\"iss\":\"x\"}", pem,
                                &jwt, &err),
                 0, "%s", err.text);
    const char *dot = strrchr(jwt, '.');
    cr_assert_eq(strncmp(jwt, "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.", 37), 0);
    size_t size = 0;
    SC_AUTO(free) unsigned char *sig = part(dot + 1, strlen(dot + 1), &size);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key);
    cr_expect_eq(EVP_DigestVerify(c, sig, size, (const unsigned char *)jwt,
                                  (size_t)(dot - jwt)),
                 1);
    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
}

Test(jwt, what_is_no_rsa_key_is_refused_without_showing_it)
{
    EVP_PKEY *ec = EVP_EC_gen("P-256");
    SC_AUTO(free) char *pem = key_pem(ec);
    const char *cases[] = { "", "secret rubbish", pem };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        char *jwt = NULL;
        struct sc_err err = { 0 };
        cr_expect_eq(jwt_sign_rs256("{}", "{}", cases[i], &jwt, &err), -EINVAL);
        cr_expect_null(strstr(err.text, "secret"));
        cr_expect_null(jwt);
    }
    EVP_PKEY_free(ec);
}
