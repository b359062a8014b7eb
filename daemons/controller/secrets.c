#include "controller/secrets.h"

#include "common/config.h"
#include "common/json.h"
#include "common/key_file.h"

#include <sodium.h>

enum {
    NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
};
_Static_assert(KEY_FILE_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
               "the key file holds a key of this cipher");

struct secrets {
    uint8_t key[KEY_FILE_SIZE];
};

int secrets_open(const char *pki_dir, struct secrets **ret, struct sc_err *err)
{
    SC_AUTO(free) char *path = sc_path(pki_dir, "secrets.key");
    SC_AUTO(secrets_close) struct secrets *s = calloc(1, sizeof *s);
    if (!path || !s)
        return sc_fail(err, -ENOMEM, "secrets: out of memory");
    if (sodium_init() < 0)
        return sc_fail(err, -EIO, "secrets: libsodium does not start");
    int r = key_file_ensure(path, err);
    if (r == 0)
        r = key_file_read(path, s->key, err);
    if (r == 0)
        *ret = SC_TAKE(s);
    return r;
}

void secrets_close(struct secrets *s)
{
    if (!s)
        return;
    sodium_memzero(s, sizeof *s);
    free(s);
}

void secrets_free_text(char *text)
{
    if (text)
        sodium_memzero(text, strlen(text));
    free(text);
}

int secrets_seal(const struct secrets *s, const char *name, const char *text,
                 char **ret, struct sc_err *err)
{
    size_t size = strlen(text);
    SC_AUTO(free) uint8_t *box = malloc(NONCE + size + TAG);
    if (!box)
        return sc_fail(err, -ENOMEM, "secrets: out of memory");
    unsigned long long len = 0;
    randombytes_buf(box, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        box + NONCE, &len, (const uint8_t *)text, size, (const uint8_t *)name,
        strlen(name), NULL, box, s->key);
    char *sealed = json_b64_encode(box, NONCE + (size_t)len);
    if (!sealed)
        return sc_fail(err, -ENOMEM, "secrets: out of memory");
    *ret = sealed;
    return 0;
}

int secrets_unseal(const struct secrets *s, const char *name,
                   const char *sealed, char **ret, struct sc_err *err)
{
    SC_AUTO(free) void *data = NULL;
    size_t size = 0;
    if (json_b64_decode(sealed, &data, &size) < 0 || size < NONCE + TAG)
        return sc_fail(err, -EBADMSG, "a stored secret is damaged");
    const uint8_t *box = data;
    SC_AUTO(secrets_free_text) char *text = calloc(1, size);
    unsigned long long len = 0;
    if (!text)
        return sc_fail(err, -ENOMEM, "secrets: out of memory");
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            (uint8_t *)text, &len, NULL, box + NONCE, size - NONCE,
            (const uint8_t *)name, strlen(name), box, s->key) != 0)
        return sc_fail(err, -EBADMSG,
                       "a stored secret does not open with this "
                       "controller's secrets.key: give it again");
    *ret = SC_TAKE(text);
    return 0;
}
