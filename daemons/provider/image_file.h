/* image_file - the file of an image while it goes to a provider in pieces.
 *
 * Used by drivers that upload by themselves (GCE, Azure).  Blocks; not
 * thread-safe.  Units: bytes.  Errors: -ENOENT, -EINVAL (not the file the
 * manifest speaks of), -EIO, -ECANCELED; the text names the file. */
#ifndef SC_PROVIDER_IMAGE_FILE_H
#define SC_PROVIDER_IMAGE_FILE_H

#include "provider/provider.h"

struct image_file {
    int fd;
    uint64_t size;
    const char *path; /* Borrowed. */
};

/* image_file_close must follow, whatever the result. */
int image_file_open(const char *path, struct image_file *ret,
                    struct sc_err *err) SC_MUST_CHECK;
void image_file_close(struct image_file *f);
/* Reads it once: -EINVAL if its SHA-256 is not 'sha256' (hex; NULL or "": not
 * compared); 'ret_md5' is its MD5 (NULL: not wanted).  Reports "checksum". */
int image_file_check(const struct image_file *f, const struct provider *p,
                     const char *sha256, uint8_t ret_md5[16],
                     struct sc_err *err) SC_MUST_CHECK;
/* All of 'size' bytes from 'at'. */
int image_file_read(const struct image_file *f, uint64_t at, void *buf,
                    size_t size, struct sc_err *err) SC_MUST_CHECK;
bool image_file_zero(const void *buf, size_t size);
int image_file_md5(const void *buf, size_t size, uint8_t ret[16]);

#endif
