/* named_cert - see named_cert.h. */
#include "http/named_cert.h"

#include "common/log.h"
#include "common/loop.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <sys/stat.h>

enum { LOOK_MS = 1000 };

/* What tells one state of a file from another. */
struct stamp {
    ino_t ino;
    off_t size;
    struct timespec changed;
};
struct named_cert {
    char *cert_file, *key_file;
    pthread_mutex_t lock; /* Of all below. */
    uint64_t look_at;     /* ms; when to look at the files again. */
    struct stamp cert, key;
    SSL_CTX *ctx; /* Owned.  NULL: there is none. */
};

struct named_cert *named_cert_new(const char *cert_file, const char *key_file)
{
    SC_AUTO(named_cert_free) struct named_cert *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    pthread_mutex_init(&n->lock, NULL);
    n->cert_file = strdup(cert_file);
    n->key_file = strdup(key_file);
    return n->cert_file && n->key_file ? SC_TAKE(n) : NULL;
}

void named_cert_free(struct named_cert *n)
{
    if (!n)
        return;
    SSL_CTX_free(n->ctx);
    pthread_mutex_destroy(&n->lock);
    free(n->cert_file);
    free(n->key_file);
    free(n);
}

static struct stamp stamp_of(const char *file)
{
    struct stat st;
    if (stat(file, &st) < 0)
        return (struct stamp){ 0 };
    return (struct stamp){ st.st_ino, st.st_size, st.st_mtim };
}

static bool same(const struct stamp *a, const struct stamp *b)
{
    return a->ino == b->ino && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

static SSL_CTX *load(const struct named_cert *n)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    bool ok =
        ctx && SSL_CTX_use_certificate_chain_file(ctx, n->cert_file) == 1 &&
        SSL_CTX_use_PrivateKey_file(ctx, n->key_file, SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_check_private_key(ctx) == 1;
    ERR_clear_error();
    if (ok)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

/* Under the lock. */
static void look(struct named_cert *n)
{
    struct stamp cert = stamp_of(n->cert_file), key = stamp_of(n->key_file);
    if (same(&cert, &n->cert) && same(&key, &n->key))
        return;
    n->cert = cert;
    n->key = key;
    bool gone = cert.ino == 0 || key.ino == 0;
    SSL_CTX *ctx = gone ? NULL : load(n);
    if (!gone && !ctx) { /* Perhaps half of a change; its other half is one. */
        sc_log(SC_LOG_DEBUG, "console.certificate", "file", n->cert_file, "msg",
               "not usable; the one before stays", NULL);
        return;
    }
    SSL_CTX_free(n->ctx);
    n->ctx = ctx;
}

SSL_CTX *named_cert_for(struct named_cert *n, const char *name, uint64_t now_ms)
{
    SSL_CTX *ret = NULL;
    pthread_mutex_lock(&n->lock);
    if (now_ms >= n->look_at) {
        n->look_at = now_ms + LOOK_MS;
        look(n);
    }
    X509 *cert = n->ctx ? SSL_CTX_get0_certificate(n->ctx) : NULL;
    if (cert && name && X509_check_host(cert, name, 0, 0, NULL) == 1 &&
        SSL_CTX_up_ref(n->ctx) == 1)
        ret = n->ctx;
    pthread_mutex_unlock(&n->lock);
    return ret;
}

static int on_name(SSL *ssl, int *alert, void *arg)
{
    struct named_cert *n = arg;
    (void)alert;
    SSL_CTX *ctx = named_cert_for(
        n, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), sc_mono_ms());
    if (!ctx)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_SSL_CTX(ssl, ctx); /* The certificate alone; takes a reference. */
    SSL_CTX_free(ctx);
    return SSL_TLSEXT_ERR_OK;
}

void named_cert_use(struct named_cert *n, SSL_CTX *ctx)
{
    SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, n);
}
