/* tls_lock - SSL_read and SSL_write for civetweb, one at a time a connection.
 *
 * On a WebSocket civetweb reads in its worker while another thread writes;
 * OpenSSL forbids both at once on one SSL.  console/http/build-civetweb makes
 * civetweb call these two instead.  Its sockets do not block, and it polls
 * before it reads, so the lock is held for the copying only.  Connections share
 * a few locks, by address. */
#include "http/tls_lock.h"

#include <pthread.h>
#include <stdint.h>

enum { N_LOCKS = 64 };

static pthread_mutex_t locks[N_LOCKS] = { [0 ... N_LOCKS - 1] =
                                              PTHREAD_MUTEX_INITIALIZER };

static pthread_mutex_t *lock_of(const SSL *ssl)
{
    uintptr_t p = (uintptr_t)ssl;
    return &locks[(p >> 6 ^ p >> 12) % N_LOCKS];
}

int http_tls_read(SSL *ssl, void *buf, int size)
{
    pthread_mutex_t *lock = lock_of(ssl);
    pthread_mutex_lock(lock);
    int r = SSL_read(ssl, buf, size);
    pthread_mutex_unlock(lock);
    return r;
}

int http_tls_write(SSL *ssl, const void *buf, int size)
{
    pthread_mutex_t *lock = lock_of(ssl);
    pthread_mutex_lock(lock);
    int r = SSL_write(ssl, buf, size);
    pthread_mutex_unlock(lock);
    return r;
}
