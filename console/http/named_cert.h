/* named_cert - a second certificate, for clients that ask for its name, which
 * may appear, change and go while the server runs.
 *
 * The console's own certificate is signed by the Supercloud's authority, which
 * the command line pins: it is served to all who ask for no name, or for
 * another one (an address, supercloud-controller).  A browser that asks for the
 * console's public name gets this one (ACME's, or somebody's own).  The files
 * are looked at again, at most once a second, when a client connects; two that
 * do not belong together, as between two renames, change nothing.
 * Thread-safe. */
#ifndef SC_HTTP_NAMED_CERT_H
#define SC_HTTP_NAMED_CERT_H

#include "common/err.h"

#include <openssl/ssl.h>
#include <stdbool.h>

struct named_cert;
/* PEM files, which need not be there yet; copied.  NULL: out of memory. */
struct named_cert *named_cert_new(const char *cert_file,
                                  const char *key_file) SC_MUST_CHECK;
void named_cert_free(struct named_cert *n); /* NULL is allowed. */
SC_CLEANUP(struct named_cert, named_cert_free)

/* Has connections of 'ctx' choose; 'n' outlives it. */
void named_cert_use(struct named_cert *n, SSL_CTX *ctx);
/* What a client that asks for 'name' gets: a new reference, or NULL: the
 * server's own.  'now_ms' is monotonic. */
SSL_CTX *named_cert_for(struct named_cert *n, const char *name,
                        uint64_t now_ms);

#endif
