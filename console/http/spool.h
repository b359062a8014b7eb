/* spool - a body that streams into a file, digested on the way.
 *
 * For uploads of images: one writer thread each; blocks on the disk.  Room for
 * the whole is reserved first, so a full disk is noticed at the beginning.  The
 * file is removed unless it was finished and taken.  Sizes in bytes. */
#ifndef SC_HTTP_SPOOL_H
#define SC_HTTP_SPOOL_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>

struct spool;
/* A new file "upload-XXXXXX.part" in 'dir' for 'size' bytes.  -ENOSPC: no room;
 * other -errno of the file system. */
int spool_new(const char *dir, uint64_t size, struct spool **ret,
              struct sc_err *err) SC_MUST_CHECK;
/* Removes the file unless spool_take was called. */
void spool_free(struct spool *s);
SC_CLEANUP(struct spool, spool_free)
/* Appends.  -EFBIG: more than 'size' in all; -ENOSPC ... */
int spool_write(struct spool *s, const void *data, size_t size,
                struct sc_err *err) SC_MUST_CHECK;
/* Durable on disk; the digest of all bytes.  -EBADMSG: fewer than 'size'. */
int spool_finish(struct spool *s, char ret_sha256[65],
                 struct sc_err *err) SC_MUST_CHECK;
const char *spool_path(const struct spool *s); /* Borrowed. */
uint64_t spool_received(const struct spool *s);
void spool_take(struct spool *s); /* The file is somebody else's now. */
/* Removes what a crash left behind; the number of files removed. */
unsigned spool_clean(const char *dir);

#endif
