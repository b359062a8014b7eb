/* tls_lock - what civetweb calls instead of SSL_read and SSL_write; same
 * arguments and results.  Thread-safe, also for one SSL. */
#ifndef SC_HTTP_TLS_LOCK_H
#define SC_HTTP_TLS_LOCK_H

#include <openssl/ssl.h>

int http_tls_read(SSL *ssl, void *buf, int size);
int http_tls_write(SSL *ssl, const void *buf, int size);

#endif
