/* digest - checksums of a part of a file, as providers ask for them.
 *
 * Used by the drivers that send or verify files.  Blocks, reads with pread(2)
 * (the file's position stays), thread-safe.  Over OpenSSL. */
#ifndef SC_PROVIDER_DIGEST_H
#define SC_PROVIDER_DIGEST_H

#include "common/err.h"

#include <stdint.h>

enum { DIGEST_HEX_MAX = 129 }; /* SHA-512's, with its NUL */

/* 'algorithm' is OpenSSL's name ("md5", "sha256", "sha512"); 'ret' in lower
 * case.  0, -EINVAL (no such algorithm), -EIO and the like: 'fd' cannot be read
 * as far as 'at' + 'size' bytes. */
int digest_file(int fd, const char *algorithm, uint64_t at, uint64_t size,
                char ret[DIGEST_HEX_MAX], struct sc_err *err) SC_MUST_CHECK;

#endif
