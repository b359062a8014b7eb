/* digest - see digest.h. */
#include "provider/digest.h"

#include <openssl/evp.h>

enum { PIECE = 1 << 20 };

static inline void md_free_p(EVP_MD_CTX **c)
{
    EVP_MD_CTX_free(*c);
}

int digest_file(int fd, const char *algorithm, uint64_t at, uint64_t size,
                char ret[DIGEST_HEX_MAX], struct sc_err *err)
{
    const EVP_MD *md = EVP_get_digestbyname(algorithm);
    SC_AUTO(md_free) EVP_MD_CTX *c = EVP_MD_CTX_new();
    SC_AUTO(free) unsigned char *buf = malloc(PIECE);
    if (!md || EVP_MD_get_size(md) * 2 >= DIGEST_HEX_MAX)
        return sc_fail(err, -EINVAL, "checksum '%.40s': unknown", algorithm);
    if (!c || !buf || EVP_DigestInit_ex(c, md, NULL) != 1)
        return sc_fail(err, -ENOMEM, "out of memory");
    while (size) {
        size_t want = size < PIECE ? (size_t)size : PIECE;
        ssize_t n = pread(fd, buf, want, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return sc_fail(err, n ? -errno : -EIO, "file: %s",
                           n ? strerror(errno) : "shorter than it was");
        if (EVP_DigestUpdate(c, buf, (size_t)n) != 1)
            return sc_fail(err, -EIO, "checksum '%.40s' failed", algorithm);
        at += (uint64_t)n;
        size -= (uint64_t)n;
    }
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_DigestFinal_ex(c, raw, &len) != 1)
        return sc_fail(err, -EIO, "checksum '%.40s' failed", algorithm);
    for (unsigned i = 0; i < len; i++)
        snprintf(ret + i * 2, 3, "%02x", raw[i]);
    return 0;
}
