/* jwt - a JSON web token signed with RSA (RS256), as a service account proves
 * itself with.
 *
 * Used by p_gce alone.  Pure: the claims, times among them, are the caller's.
 * Over OpenSSL.  Source: RFC 7515 (and 4648 section 5: base64url without
 * padding), RFC 7523. */
#ifndef SC_PROVIDER_JWT_H
#define SC_PROVIDER_JWT_H

#include "common/err.h"

#include <stddef.h>

/* malloc'd; NULL: out of memory. */
char *jwt_base64url(const void *data, size_t size) SC_MUST_CHECK;
/* 'header' and 'claims' are JSON texts, 'key_pem' an RSA key without a
 * password (PKCS 8 or 1).  malloc'd '*ret'.  -EINVAL: not such a key. */
int jwt_sign_rs256(const char *header, const char *claims, const char *key_pem,
                   char **ret, struct sc_err *err) SC_MUST_CHECK;

#endif
