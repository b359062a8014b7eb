/* jwt - see jwt.h. */
#include "provider/jwt.h"

#include "common/json.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

static void pkey_free(EVP_PKEY *k)
{
    EVP_PKEY_free(k);
}
SC_CLEANUP(EVP_PKEY, pkey_free)
static void bio_free(BIO *b)
{
    BIO_free(b);
}
SC_CLEANUP(BIO, bio_free)
static void digest_free(EVP_MD_CTX *c)
{
    EVP_MD_CTX_free(c);
}
SC_CLEANUP(EVP_MD_CTX, digest_free)

char *jwt_base64url(const void *data, size_t size)
{
    char *text = json_b64_encode(data, size);
    for (char *c = text; c && *c; c++) {
        if (*c == '+')
            *c = '-';
        else if (*c == '/')
            *c = '_';
        else if (*c == '=')
            *c = '\0';
    }
    return text;
}

/* No password is asked for at a terminal. */
static int no_password(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static int sign(EVP_PKEY *key, const char *text, unsigned char **ret,
                size_t *ret_size)
{
    SC_AUTO(digest_free) EVP_MD_CTX *c = EVP_MD_CTX_new();
    size_t size = 0, len = strlen(text);
    const unsigned char *data = (const unsigned char *)text;
    if (!c || EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(c, NULL, &size, data, len) != 1)
        return -EINVAL;
    SC_AUTO(free) unsigned char *out = malloc(size);
    if (!out || EVP_DigestSign(c, out, &size, data, len) != 1)
        return out ? -EINVAL : -ENOMEM;
    *ret = SC_TAKE(out);
    *ret_size = size;
    return 0;
}

int jwt_sign_rs256(const char *header, const char *claims, const char *key_pem,
                   char **ret, struct sc_err *err)
{
    SC_AUTO(bio_free) BIO *bio = BIO_new_mem_buf(key_pem, -1);
    SC_AUTO(pkey_free)
    EVP_PKEY *key =
        bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    if (!key || EVP_PKEY_base_id(key) != EVP_PKEY_RSA)
        return sc_fail(err, -EINVAL,
                       "the private key is no RSA key in PEM without a "
                       "password");
    SC_AUTO(free) char *h = jwt_base64url(header, strlen(header));
    SC_AUTO(free) char *c = jwt_base64url(claims, strlen(claims));
    SC_AUTO(free) char *text = NULL;
    if (!h || !c || asprintf(&text, "%s.%s", h, c) < 0) {
        text = NULL;
        return sc_fail(err, -ENOMEM, "out of memory");
    }
    SC_AUTO(free) unsigned char *signature = NULL;
    size_t size = 0;
    if (sign(key, text, &signature, &size) < 0)
        return sc_fail(err, -EINVAL, "the private key does not sign");
    SC_AUTO(free) char *s = jwt_base64url(signature, size);
    if (!s || asprintf(ret, "%s.%s", text, s) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    return 0;
}
