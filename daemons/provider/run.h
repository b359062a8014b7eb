/* run - programs and files for drivers whose cloud is this machine.
 *
 * Blocks.  Used by p_local alone. */
#ifndef SC_PROVIDER_RUN_H
#define SC_PROVIDER_RUN_H

#include "common/err.h"

#include <stddef.h>

/* Runs 'argv' (NULL-ended) in 'folder' and waits.  0, or -ENOENT (no such
 * program: the text names the Debian package if we know it), -EIO (it failed:
 * the text ends with the last of what it printed). */
int run_program(const char *folder, const char *const argv[],
                struct sc_err *err) SC_MUST_CHECK;
/* A whole file, NUL-ended, malloc'd; 0 or -errno.  Works in /proc. */
int run_read_file(const char *path, char **ret) SC_MUST_CHECK;
int run_read_file_size(const char *path, char **ret,
                       size_t *ret_size) SC_MUST_CHECK;
/* Removes 'path' and all below it; what cannot be removed stays. */
void run_remove_folder(const char *path);

#endif
