/* tls - connections between nodes (tls.h).  Over OpenSSL 3.
 *
 * Node certificates carry clientAuth only, so the usual purpose check of a
 * server's certificate (serverAuth) cannot be the rule between nodes.  Both
 * sides therefore require purpose "TLS client" of the other and OU=node; the
 * controller's certificate is refused by its OU. */
#include "common/tls.h"
#include "common/tls_peer.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <fcntl.h>

#define CIPHERS_AES                                                            \
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"                           \
    "TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS_CHACHA                                                         \
    "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:"                     \
    "TLS_AES_256_GCM_SHA384"

#define CONTROLLER_NAME "supercloud-controller"

struct tls_ctx {
    SSL_CTX *ssl; /* Owned. */
    enum tls_use use;
};

struct tls_conn {
    SSL *ssl; /* Owned. */
    int fd;   /* Owned. */
    enum tls_use use;
    bool done;
    uint32_t events;
    char want_cn[TLS_NAME_MAX + 1]; /* "": any node. */
    struct tls_peer peer;
};

static int ssl_fail(struct sc_err *err, int code, const char *what)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    ERR_clear_error();
    return sc_fail(err, code, "%s: %s", what, reason ? reason : "failed");
}

static int name_part(const X509_NAME *name, int nid, const char *label,
                     char ret[TLS_NAME_MAX + 1], struct sc_err *err)
{
    ret[0] = '\0';
    int i = X509_NAME_get_index_by_NID(name, nid, -1);
    if (i < 0)
        return 0;
    if (X509_NAME_get_index_by_NID(name, nid, i) >= 0)
        return sc_fail(err, -EACCES, "certificate: more than one %s", label);
    uint8_t *text = NULL;
    int size = ASN1_STRING_to_UTF8(
        &text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
    bool ok =
        size > 0 && size <= TLS_NAME_MAX && !memchr(text, 0, (size_t)size);
    if (ok) {
        memcpy(ret, text, (size_t)size);
        ret[size] = '\0';
    }
    OPENSSL_free(text);
    return ok ? 0 : sc_fail(err, -EACCES, "certificate: malformed %s", label);
}

int tls_peer_of_cert(const struct x509_st *cert, struct tls_peer *ret,
                     struct sc_err *err)
{
    const X509_NAME *name = X509_get_subject_name(cert);
    struct tls_peer peer = { 0 };
    int r = name_part(name, NID_commonName, "CN", peer.cn, err);
    if (r == 0)
        r = name_part(name, NID_organizationalUnitName, "OU", peer.ou, err);
    if (r == 0 && !peer.cn[0])
        r = sc_fail(err, -EACCES, "certificate: no CN");
    if (r == 0)
        *ret = peer;
    return r;
}

/* Without AES instructions ChaCha20 is several times faster (design: what the
 * cipher costs counts under emulation). */
static bool has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("aes");
#else
    return true;
#endif
}

int tls_ctx_new(const char *ca_file, const char *cert_file,
                const char *key_file, struct tls_ctx **ret, struct sc_err *err)
{
    return tls_ctx_new_for(TLS_NODES, ca_file, cert_file, key_file, ret, err);
}

int tls_ctx_new_for(enum tls_use use, const char *ca_file,
                    const char *cert_file, const char *key_file,
                    struct tls_ctx **ret, struct sc_err *err)
{
    SC_AUTO(tls_ctx_free) struct tls_ctx *c = calloc(1, sizeof *c);
    if (!c)
        return sc_fail(err, -ENOMEM, "tls: out of memory");
    c->use = use;
    c->ssl = SSL_CTX_new(TLS_method());
    if (!c->ssl)
        return ssl_fail(err, -ENOMEM, "tls");
    SSL_CTX_set_min_proto_version(c->ssl, TLS1_3_VERSION);
    SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_AUTO_RETRY);
    /* No tickets, no resumption: each connection proves itself anew. */
    SSL_CTX_set_num_tickets(c->ssl, 0);
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
    bool optional = use == TLS_AT_CONTROLLER;
    SSL_CTX_set_verify(c->ssl,
                       SSL_VERIFY_PEER |
                           (optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT),
                       NULL);
    int purpose = use == TLS_TO_CONTROLLER ? X509_PURPOSE_SSL_SERVER
                                           : X509_PURPOSE_SSL_CLIENT;
    if (SSL_CTX_set_ciphersuites(c->ssl, has_aes() ? CIPHERS_AES
                                                   : CIPHERS_CHACHA) != 1 ||
        SSL_CTX_set_purpose(c->ssl, purpose) != 1)
        return ssl_fail(err, -EIO, "tls");
    if (SSL_CTX_load_verify_file(c->ssl, ca_file) != 1)
        return ssl_fail(err, -EINVAL, ca_file);
    if (SSL_CTX_use_certificate_file(c->ssl, cert_file, SSL_FILETYPE_PEM) != 1)
        return ssl_fail(err, -EINVAL, cert_file);
    if (SSL_CTX_use_PrivateKey_file(c->ssl, key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(c->ssl) != 1)
        return ssl_fail(err, -EINVAL, key_file);
    *ret = SC_TAKE(c);
    return 0;
}

void tls_ctx_free(struct tls_ctx *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ssl);
    free(c);
}

int tls_conn_new(struct tls_ctx *c, int fd, bool server, const char *want_cn,
                 struct tls_conn **ret, struct sc_err *err)
{
    SC_AUTO(tls_conn_free) struct tls_conn *conn = calloc(1, sizeof *conn);
    if (!conn) {
        close(fd);
        return sc_fail(err, -ENOMEM, "tls: out of memory");
    }
    conn->fd = fd;
    conn->use = c->use;
    conn->events = EPOLLIN;
    if (want_cn && strlen(want_cn) > TLS_NAME_MAX)
        return sc_fail(err, -EINVAL, "tls: peer name too long");
    if (!server && !want_cn && c->use == TLS_NODES)
        return sc_fail(err, -EINVAL, "tls: a client must name its peer");
    if (want_cn)
        snprintf(conn->want_cn, sizeof conn->want_cn, "%s", want_cn);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return sc_fail(err, -errno, "tls: socket: %s", strerror(errno));
    conn->ssl = SSL_new(c->ssl);
    if (!conn->ssl || SSL_set_fd(conn->ssl, fd) != 1)
        return ssl_fail(err, -ENOMEM, "tls");
    if (c->use == TLS_TO_CONTROLLER &&
        (SSL_set1_host(conn->ssl, CONTROLLER_NAME) != 1 ||
         SSL_set_tlsext_host_name(conn->ssl, CONTROLLER_NAME) != 1))
        return ssl_fail(err, -ENOMEM, "tls");
    if (server)
        SSL_set_accept_state(conn->ssl);
    else
        SSL_set_connect_state(conn->ssl);
    *ret = SC_TAKE(conn);
    return 0;
}

/* What SSL_* returning 'n' <= 0 means: -EAGAIN with 'events' set, 0 for an
 * orderly end, or -errno. */
static int outcome(struct tls_conn *c, int n)
{
    int saved = errno;
    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        c->events = EPOLLIN;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        c->events = EPOLLOUT;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        return saved ? -saved : -ECONNRESET;
    default:
        if (ERR_GET_REASON(ERR_peek_error()) ==
            SSL_R_UNEXPECTED_EOF_WHILE_READING)
            return -ECONNRESET;
        return -EPROTO;
    }
}

static int check_peer(struct tls_conn *c, struct sc_err *err)
{
    X509 *cert = SSL_get0_peer_certificate(c->ssl);
    if (!cert && c->use == TLS_AT_CONTROLLER)
        return 0;
    if (!cert || SSL_get_verify_result(c->ssl) != X509_V_OK)
        return sc_fail(err, -EACCES, "the peer has no valid certificate");
    int r = tls_peer_of_cert(cert, &c->peer, err);
    if (r < 0)
        return r;
    const char *want_ou = c->use == TLS_NODES           ? "node"
                          : c->use == TLS_TO_CONTROLLER ? "controller"
                                                        : NULL;
    if (want_ou && strcmp(c->peer.ou, want_ou) != 0)
        return sc_fail(err, -EACCES,
                       "the peer '%s' has role '%s'; it must be '%s'",
                       c->peer.cn, c->peer.ou, want_ou);
    if (c->want_cn[0] && strcmp(c->peer.cn, c->want_cn) != 0)
        return sc_fail(err, -EACCES, "the peer is node '%s'; wanted '%s'",
                       c->peer.cn, c->want_cn);
    return 0;
}

int tls_conn_handshake(struct tls_conn *c, struct sc_err *err)
{
    if (c->done)
        return 0;
    ERR_clear_error();
    errno = 0;
    int n = SSL_do_handshake(c->ssl);
    if (n == 1) {
        int r = check_peer(c, err);
        if (r < 0) {
            /* Says so to the peer too, and nothing moves any more. */
            SSL_shutdown(c->ssl);
            memset(&c->peer, 0, sizeof c->peer);
            return r;
        }
        c->done = true;
        c->events = EPOLLIN;
        return 0;
    }
    int r = outcome(c, n);
    if (r == -EAGAIN)
        return r;
    long verify = SSL_get_verify_result(c->ssl);
    if (verify != X509_V_OK) {
        ERR_clear_error();
        return sc_fail(err, -EACCES, "the peer's certificate: %s",
                       X509_verify_cert_error_string(verify));
    }
    if (r == -EPROTO) {
        /* The other side refused ours: it is told as an alert. */
        int reason = ERR_GET_REASON(ERR_peek_last_error());
        bool alert = reason >= SSL_AD_REASON_OFFSET;
        return ssl_fail(err, alert ? -EACCES : r, "TLS handshake");
    }
    ERR_clear_error();
    return sc_fail(err, r ? r : -ECONNRESET, "TLS handshake: %s",
                   strerror(r ? -r : ECONNRESET));
}

long tls_conn_read(struct tls_conn *c, void *buf, size_t size)
{
    if (!c->done)
        return -ENOTCONN;
    ERR_clear_error();
    errno = 0;
    int n = SSL_read(c->ssl, buf, size > INT32_MAX ? INT32_MAX : (int)size);
    c->events = EPOLLIN;
    return n > 0 ? n : outcome(c, n);
}

long tls_conn_write(struct tls_conn *c, const void *buf, size_t size)
{
    if (!c->done)
        return -ENOTCONN;
    if (size == 0)
        return 0;
    ERR_clear_error();
    errno = 0;
    int n = SSL_write(c->ssl, buf, size > INT32_MAX ? INT32_MAX : (int)size);
    c->events = EPOLLIN;
    if (n > 0)
        return n;
    int r = outcome(c, n);
    return r ? r : -EPIPE;
}

uint32_t tls_conn_events(const struct tls_conn *c)
{
    return c->events;
}

const char *tls_conn_peer(const struct tls_conn *c)
{
    return c->peer.cn;
}

const char *tls_conn_role(const struct tls_conn *c)
{
    return c->peer.ou;
}

int tls_conn_fd(const struct tls_conn *c)
{
    return c->fd;
}

void tls_conn_free(struct tls_conn *c)
{
    if (!c)
        return;
    if (c->ssl) {
        if (c->done)
            SSL_shutdown(c->ssl); /* Best effort: the socket may be full. */
        ERR_clear_error();
        SSL_free(c->ssl);
    }
    close(c->fd);
    free(c);
}
