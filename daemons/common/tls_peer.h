/* tls_peer - who a certificate says the peer is; private to the transports.
 * Pure, thread-safe. */
#ifndef SC_COMMON_TLS_PEER_H
#define SC_COMMON_TLS_PEER_H

#include "common/tls.h"

struct tls_peer {
    char cn[TLS_NAME_MAX + 1];
    char ou[TLS_NAME_MAX + 1]; /* "" if it has none. */
};

struct x509_st;
/* Subject's CN and OU.  -EACCES: no CN, several of one, a NUL inside, too
 * long; 'err' says which. */
int tls_peer_of_cert(const struct x509_st *cert, struct tls_peer *ret,
                     struct sc_err *err) SC_MUST_CHECK;

#endif
