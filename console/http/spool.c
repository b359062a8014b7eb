/* spool - see spool.h. */
#include "http/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

struct spool {
    char *path;
    int fd;
    bool taken;
    uint64_t size, received;
    EVP_MD_CTX *digest;
};

int spool_new(const char *dir, uint64_t size, struct spool **ret,
              struct sc_err *err)
{
    SC_AUTO(spool_free) struct spool *s = calloc(1, sizeof *s);
    if (!s)
        return sc_fail(err, -ENOMEM, "upload: out of memory");
    s->fd = -1;
    s->size = size;
    s->digest = EVP_MD_CTX_new();
    if (!s->digest || EVP_DigestInit_ex(s->digest, EVP_sha256(), NULL) != 1)
        return sc_fail(err, -ENOMEM, "upload: out of memory");
    char *path = NULL;
    if (asprintf(&path, "%s/upload-XXXXXX.part", dir) < 0)
        return sc_fail(err, -ENOMEM, "upload: out of memory");
    s->fd = mkostemps(path, 5, O_CLOEXEC);
    if (s->fd < 0) {
        int code = -errno;
        free(path);
        return sc_fail(err, code, "upload: cannot make a file in %s: %s", dir,
                       strerror(-code));
    }
    s->path = path;
    /* A file system that cannot reserve says so at write time instead. */
    if (size > 0 && fallocate(s->fd, 0, 0, (off_t)size) < 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
        return sc_fail(err, -errno,
                       "upload: no room for %" PRIu64 " bytes in %s: %s", size,
                       dir, strerror(errno));
    *ret = SC_TAKE(s);
    return 0;
}

void spool_free(struct spool *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    if (s->path && !s->taken)
        unlink(s->path);
    EVP_MD_CTX_free(s->digest);
    free(s->path);
    free(s);
}

int spool_write(struct spool *s, const void *data, size_t size,
                struct sc_err *err)
{
    if (size > s->size - s->received)
        return sc_fail(err, -EFBIG,
                       "upload: more than the declared %" PRIu64 " bytes",
                       s->size);
    const char *p = data;
    for (size_t left = size; left > 0;) {
        ssize_t n = write(s->fd, p, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sc_fail(err, -errno, "upload: write after %" PRIu64 ": %s",
                           s->received, strerror(errno));
        p += n;
        left -= (size_t)n;
    }
    EVP_DigestUpdate(s->digest, data, size);
    s->received += size;
    return 0;
}

int spool_finish(struct spool *s, char ret_sha256[65], struct sc_err *err)
{
    if (s->received < s->size)
        return sc_fail(err, -EBADMSG,
                       "upload: cut short: %" PRIu64 " of %" PRIu64 " bytes",
                       s->received, s->size);
    if (fsync(s->fd) < 0)
        return sc_fail(err, -errno, "upload: fsync: %s", strerror(errno));
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_DigestFinal_ex(s->digest, raw, &len) != 1)
        return sc_fail(err, -EIO, "upload: digest failed");
    for (unsigned i = 0; i < 32; i++)
        snprintf(ret_sha256 + 2 * i, 3, "%02x", raw[i]);
    return 0;
}

const char *spool_path(const struct spool *s)
{
    return s->path;
}

uint64_t spool_received(const struct spool *s)
{
    return s->received;
}

void spool_take(struct spool *s)
{
    s->taken = true;
}

unsigned spool_clean(const char *dir)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d));)
        if (fnmatch("upload-??????.part", e->d_name, 0) == 0 &&
            unlinkat(dirfd(d), e->d_name, 0) == 0)
            n++;
    closedir(d);
    return n;
}
