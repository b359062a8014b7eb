/* image_file - see image_file.h. */
#include "provider/image_file.h"

#include "provider/provider-class.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <strings.h>
#include <sys/stat.h>

enum { PIECE = 1 << 20 };

static void digest_free(EVP_MD_CTX *c)
{
    EVP_MD_CTX_free(c);
}
SC_CLEANUP(EVP_MD_CTX, digest_free)

int image_file_open(const char *path, struct image_file *ret,
                    struct sc_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int e = errno; /* strerror may change it. */
    *ret = (struct image_file){ .fd = fd, .path = path };
    if (fd < 0)
        return sc_fail(err, -e, "file '%s': %s", path, strerror(e));
    if (fstat(fd, &st) < 0)
        return sc_fail(err, -EIO, "file '%s': cannot be looked at", path);
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return sc_fail(err, -EINVAL, "file '%s': not a file with content",
                       path);
    ret->size = (uint64_t)st.st_size;
    return 0;
}

void image_file_close(struct image_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

int image_file_read(const struct image_file *f, uint64_t at, void *buf,
                    size_t size, struct sc_err *err)
{
    for (size_t done = 0; done < size;) {
        ssize_t n =
            pread(f->fd, (char *)buf + done, size - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int e = errno;
            unsigned long long where = at;
            where += done;
            return sc_fail(err, n < 0 ? -e : -EINVAL,
                           "file '%s': byte %llu: %s", f->path, where,
                           n < 0 ? strerror(e) : "the file has become shorter");
        }
        done += (uint64_t)n;
    }
    return 0;
}

int image_file_check(const struct image_file *f, const struct provider *p,
                     const char *sha256, uint8_t ret_md5[16],
                     struct sc_err *err)
{
    SC_AUTO(digest_free) EVP_MD_CTX *sha = EVP_MD_CTX_new();
    SC_AUTO(digest_free) EVP_MD_CTX *md5 = EVP_MD_CTX_new();
    SC_AUTO(free) char *buf = malloc(PIECE);
    unsigned char sum[32];
    char hex[65];
    if (!sha || !md5 || !buf ||
        EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1 ||
        EVP_DigestInit_ex(md5, EVP_md5(), NULL) != 1)
        return sc_fail(err, -ENOMEM, "file '%s': out of memory", f->path);
    for (uint64_t at = 0; at < f->size;) {
        size_t n = f->size - at < PIECE ? (size_t)(f->size - at) : PIECE;
        int r = image_file_read(f, at, buf, n, err);
        if (r < 0)
            return r;
        EVP_DigestUpdate(sha, buf, n);
        if (ret_md5)
            EVP_DigestUpdate(md5, buf, n);
        at += n;
        provider_progress(p, "checksum", at, f->size);
        if (provider_cancelled(p))
            return sc_fail(err, -ECANCELED, "cancelled");
    }
    EVP_DigestFinal_ex(sha, sum, NULL);
    if (ret_md5)
        EVP_DigestFinal_ex(md5, ret_md5, NULL);
    for (size_t i = 0; i < sizeof sum; i++)
        snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    if (sha256 && *sha256 && strcasecmp(hex, sha256) != 0)
        return sc_fail(err, -EINVAL,
                       "file '%s': its SHA-256 is %s, its manifest says %.64s: "
                       "it was cut or changed; build or upload it again",
                       f->path, hex, sha256);
    return 0;
}

bool image_file_zero(const void *buf, size_t size)
{
    const char *b = buf;
    return size == 0 || (b[0] == 0 && memcmp(b, b + 1, size - 1) == 0);
}

int image_file_md5(const void *buf, size_t size, uint8_t ret[16])
{
    return EVP_Digest(buf, size, ret, NULL, EVP_md5(), NULL) == 1 ? 0 : -EIO;
}
