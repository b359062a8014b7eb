#include "common/key_file.h"

#include "common/tls.h"

int key_file_ensure(const char *path, struct sc_err *err)
{
    uint8_t key[KEY_FILE_SIZE];
    char text[2 * KEY_FILE_SIZE + 2];
    if (access(path, F_OK) == 0)
        return 0;
    if (tls_random(key, sizeof key) < 0)
        return sc_fail(err, -EIO, "%s: no random bytes", path);
    for (size_t i = 0; i < sizeof key; i++)
        snprintf(text + 2 * i, 3, "%02x", key[i]);
    memcpy(text + 2 * sizeof key, "\n", 2);
    int r = tls_write_file(path, text, 0400, err);
    explicit_bzero(text, sizeof text);
    explicit_bzero(key, sizeof key);
    return r;
}

static int nibble(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

int key_file_read(const char *path, uint8_t ret[KEY_FILE_SIZE],
                  struct sc_err *err)
{
    char *text = NULL;
    int r = tls_read_file(path, &text, err);
    if (r < 0)
        return r;
    bool good = strlen(text) >= 2 * KEY_FILE_SIZE;
    uint8_t key[KEY_FILE_SIZE] = { 0 };
    for (size_t i = 0; good && i < sizeof key; i++) {
        int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
        good = high >= 0 && low >= 0;
        key[i] = (uint8_t)(16 * high + low);
    }
    good = good && strcmp(text + 2 * sizeof key, "\n") == 0;
    if (good)
        memcpy(ret, key, sizeof key);
    explicit_bzero(text, strlen(text));
    explicit_bzero(key, sizeof key);
    free(text);
    return good ? 0
                : sc_fail(err, -EINVAL, "%s: is not a key of 64 hex digits",
                          path);
}
