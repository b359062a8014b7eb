/* key_file - a file with a random key of 256 bits, made once.
 *
 * Used by sc-join, which makes a new controller's, and by sc-controller.  The
 * file is 64 hex digits and a newline, mode 0400; it appears whole or not at
 * all.  Blocks on the disk. */
#ifndef SC_COMMON_KEY_FILE_H
#define SC_COMMON_KEY_FILE_H

#include "common/err.h"

#include <stdint.h>

enum { KEY_FILE_SIZE = 32 }; /* bytes of the key */

/* Makes 'path' unless it is there.  0 or -errno. */
int key_file_ensure(const char *path, struct sc_err *err) SC_MUST_CHECK;
/* -EINVAL: not such a file; other -errno. */
int key_file_read(const char *path, uint8_t ret[KEY_FILE_SIZE],
                  struct sc_err *err) SC_MUST_CHECK;

#endif
