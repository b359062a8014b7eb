/* tls_ca - keys, requests, certificates and small files (tls.h); the
 * connections are in tls.c.  Over OpenSSL 3. */
#include "common/tls.h"
#include "common/tls_peer.h"

#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

enum {
    FILE_MAX = 1 << 20, /* bytes */
    CA_DAYS = 20 * 365,
    CLOCK_SKEW_S = 86400, /* Certificates begin a day early. */
};

/* OpenSSL's types with this project's cleanup. */
SC_CLEANUP(EVP_PKEY, EVP_PKEY_free)
SC_CLEANUP(X509, X509_free)
SC_CLEANUP(X509_REQ, X509_REQ_free)
SC_CLEANUP(X509_NAME, X509_NAME_free)
SC_CLEANUP(BIO, BIO_free_all)

static int ssl_fail(struct sc_err *err, int code, const char *what)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    ERR_clear_error();
    return sc_fail(err, code, "%s: %s", what,
                   reason ? reason : "cryptographic library failed");
}

/* --- files -------------------------------------------------------------- */

int tls_read_file(const char *path, char **ret, struct sc_err *err)
{
    SC_AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sc_fail(err, -errno, "%s: open: %s", path, strerror(errno));
    size_t room = 16 << 10, size = 0;
    SC_AUTO(free) char *text = malloc(room + 1);
    for (;;) {
        if (!text)
            return sc_fail(err, -ENOMEM, "%s: out of memory", path);
        ssize_t n = read(fd, text + size, room - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sc_fail(err, -errno, "%s: read: %s", path, strerror(errno));
        if (n == 0)
            break;
        size += (size_t)n;
        if (size > FILE_MAX)
            return sc_fail(err, -EFBIG, "%s: larger than %d bytes", path,
                           FILE_MAX);
        if (size == room) {
            room *= 2;
            char *more = realloc(text, room + 1);
            if (!more)
                return sc_fail(err, -ENOMEM, "%s: out of memory", path);
            text = more;
        }
    }
    text[size] = '\0';
    *ret = SC_TAKE(text);
    return 0;
}

static int write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        size -= (size_t)n;
    }
    return 0;
}

/* The folder of 'path', so that the rename itself is durable. */
static int sync_parent(const char *path)
{
    SC_AUTO(free) char *dir = strdup(path);
    if (!dir)
        return -ENOMEM;
    char *slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir] = '\0';
    SC_AUTO(close)
    int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int tls_write_file(const char *path, const char *text, unsigned mode,
                   struct sc_err *err)
{
    assert(text);
    const size_t temp_size = strlen(path) + sizeof ".XXXXXX";
    SC_AUTO(free) char *temp = malloc(temp_size);
    if (!temp)
        return sc_fail(err, -ENOMEM, "%s: out of memory", path);
    snprintf(temp, temp_size, "%s.XXXXXX", path);
    SC_AUTO(close) int fd = mkostemp(temp, O_CLOEXEC); /* Mode 0600. */
    if (fd < 0)
        return sc_fail(err, -errno, "%s: create: %s", path, strerror(errno));
    struct group *group = mode & 040 ? getgrnam("supercloud") : NULL;
    if (group && fchown(fd, (uid_t)-1, group->gr_gid) < 0)
        errno = 0; /* Not root and not a member: stays with our group. */
    int r = write_all(fd, text, strlen(text));
    if (r == 0 &&
        (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(temp, path) < 0))
        r = -errno;
    if (r == 0)
        r = sync_parent(path);
    else
        unlink(temp);
    return r < 0 ? sc_fail(err, r, "%s: write: %s", path, strerror(-r)) : 0;
}

/* --- digests, randomness ------------------------------------------------- */

void tls_sha256_hex(const void *data, size_t size, char ret[65])
{
    uint8_t md[SHA256_DIGEST_LENGTH];
    SHA256(data, size, md);
    for (size_t i = 0; i < sizeof md; i++)
        snprintf(ret + 2 * i, 3, "%02x", md[i]);
}

int tls_random(void *ret, size_t size)
{
    return size <= INT32_MAX && RAND_bytes(ret, (int)size) == 1 ? 0 : -EIO;
}

static X509 *cert_of_pem(const char *pem)
{
    SC_AUTO(BIO_free_all) BIO *bio = BIO_new_mem_buf(pem, -1);
    return bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
}

int tls_pin(const char *cert_pem, char ret[TLS_PIN_LEN + 1], struct sc_err *err)
{
    SC_AUTO(X509_free) X509 *cert = cert_of_pem(cert_pem);
    if (!cert)
        return ssl_fail(err, -EINVAL, "not a PEM certificate");
    uint8_t md[SHA256_DIGEST_LENGTH];
    unsigned size = 0;
    if (X509_digest(cert, EVP_sha256(), md, &size) != 1)
        return ssl_fail(err, -EIO, "digest of a certificate");
    for (size_t i = 0; i < sizeof md; i++)
        snprintf(ret + 2 * i, 3, "%02x", md[i]);
    return 0;
}

int tls_subject(const char *cert_file, char ret_cn[TLS_NAME_MAX + 1],
                char ret_ou[TLS_NAME_MAX + 1], struct sc_err *err)
{
    SC_AUTO(free) char *pem = NULL;
    int r = tls_read_file(cert_file, &pem, err);
    if (r < 0)
        return r;
    SC_AUTO(X509_free) X509 *cert = cert_of_pem(pem);
    if (!cert)
        return ssl_fail(err, -EINVAL, cert_file);
    struct tls_peer peer;
    r = tls_peer_of_cert(cert, &peer, err);
    if (r < 0)
        return r;
    memcpy(ret_cn, peer.cn, sizeof peer.cn);
    memcpy(ret_ou, peer.ou, sizeof peer.ou);
    return 0;
}

/* --- keys, requests, certificates ---------------------------------------- */

/* What a PEM writer left in 'bio', malloc'd; NULL out of memory. */
static char *bio_text(BIO *bio)
{
    char *data;
    long size = BIO_get_mem_data(bio, &data);
    return size < 0 ? NULL : strndup(data, (size_t)size);
}

static int write_key(const char *file, EVP_PKEY *key, unsigned mode,
                     struct sc_err *err)
{
    SC_AUTO(BIO_free_all) BIO *bio = BIO_new(BIO_s_mem());
    if (!bio ||
        PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return ssl_fail(err, -EIO, file);
    SC_AUTO(free) char *text = bio_text(bio);
    if (!text)
        return sc_fail(err, -ENOMEM, "%s: out of memory", file);
    int r = tls_write_file(file, text, mode, err);
    OPENSSL_cleanse(text, strlen(text));
    return r;
}

static int cert_text(X509 *cert, char **ret, struct sc_err *err)
{
    SC_AUTO(BIO_free_all) BIO *bio = BIO_new(BIO_s_mem());
    if (!bio || PEM_write_bio_X509(bio, cert) != 1)
        return ssl_fail(err, -EIO, "certificate to PEM");
    char *text = bio_text(bio);
    if (!text)
        return sc_fail(err, -ENOMEM, "certificate: out of memory");
    *ret = text;
    return 0;
}

/* A subject of CN and OU ('ou' NULL: none); NULL: failed. */
static X509_NAME *name_new(const char *cn, const char *ou)
{
    SC_AUTO(X509_NAME_free) X509_NAME *name = X509_NAME_new();
    if (!name ||
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                   (const uint8_t *)cn, -1, -1, 0) != 1 ||
        (ou && X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_UTF8,
                                          (const uint8_t *)ou, -1, -1, 0) != 1))
        return NULL;
    return SC_TAKE(name);
}

static bool add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

/* Serial (127 random bits), validity, version; the same for all we make. */
static bool set_basics(X509 *cert, unsigned days)
{
    uint8_t serial[16];
    if (tls_random(serial, sizeof serial) < 0)
        return false;
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40); /* Positive, 16 bytes. */
    BIGNUM *n = BN_bin2bn(serial, sizeof serial, NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
    BN_free(n);
    return ok && X509_set_version(cert, X509_VERSION_3) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -CLOCK_SKEW_S) &&
           X509_time_adj_ex(X509_getm_notAfter(cert), (int)days, 0, NULL);
}

int tls_ca_create(const char *cert_file, const char *key_file, const char *name,
                  struct sc_err *err)
{
    if (access(cert_file, F_OK) == 0 || access(key_file, F_OK) == 0)
        return sc_fail(err, -EEXIST, "%s or %s exists already", cert_file,
                       key_file);
    SC_AUTO(EVP_PKEY_free) EVP_PKEY *key = EVP_EC_gen("P-256");
    SC_AUTO(X509_free) X509 *cert = X509_new();
    SC_AUTO(X509_NAME_free) X509_NAME *subject = name_new(name, NULL);
    if (!key || !cert || !subject || !set_basics(cert, CA_DAYS) ||
        X509_set_subject_name(cert, subject) != 1 ||
        X509_set_issuer_name(cert, subject) != 1 ||
        X509_set_pubkey(cert, key) != 1 ||
        !add_ext(cert, cert, NID_basic_constraints,
                 "critical,CA:TRUE,pathlen:0") ||
        !add_ext(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_ext(cert, cert, NID_subject_key_identifier, "hash") ||
        X509_sign(cert, key, EVP_sha256()) <= 0)
        return ssl_fail(err, -EIO, "certificate authority");
    SC_AUTO(free) char *text = NULL;
    int r = cert_text(cert, &text, err);
    if (r == 0)
        r = write_key(key_file, key, 0600, err);
    return r < 0 ? r : tls_write_file(cert_file, text, 0644, err);
}

int tls_request_create(const char *key_file, const char *cn, const char *ou,
                       char **ret_csr, struct sc_err *err)
{
    SC_AUTO(EVP_PKEY_free) EVP_PKEY *key = EVP_EC_gen("P-256");
    SC_AUTO(X509_REQ_free) X509_REQ *req = X509_REQ_new();
    SC_AUTO(X509_NAME_free) X509_NAME *subject = name_new(cn, ou);
    SC_AUTO(BIO_free_all) BIO *bio = BIO_new(BIO_s_mem());
    if (!key || !req || !subject || !bio ||
        X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 ||
        X509_REQ_set_subject_name(req, subject) != 1 ||
        X509_REQ_set_pubkey(req, key) != 1 ||
        X509_REQ_sign(req, key, EVP_sha256()) <= 0 ||
        PEM_write_bio_X509_REQ(bio, req) != 1)
        return ssl_fail(err, -EIO, "certificate request");
    int r = write_key(key_file, key, 0640, err);
    if (r < 0)
        return r;
    char *text = bio_text(bio);
    if (!text)
        return sc_fail(err, -ENOMEM, "certificate request: out of memory");
    *ret_csr = text;
    return 0;
}

/* "DNS:a,IP:1.2.3.4"; a name with other characters than those of names and
 * addresses is refused, as it could add extensions of its own. */
static int san_text(const char *const names[], char **ret, struct sc_err *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return sc_fail(err, -ENOMEM, "certificate: out of memory");
    const char *bad = NULL;
    for (size_t i = 0; names[i] && !bad; i++) {
        uint8_t bin[16];
        size_t len = strspn(names[i], "abcdefghijklmnopqrstuvwxyz"
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789.-:");
        bool ip = inet_pton(AF_INET, names[i], bin) == 1 ||
                  inet_pton(AF_INET6, names[i], bin) == 1;
        if (!len || names[i][len] || (!ip && strchr(names[i], ':')))
            bad = names[i];
        fprintf(f, "%s%s:%s", i ? "," : "", ip ? "IP" : "DNS", names[i]);
    }
    if (fclose(f) != 0 || bad) {
        free(text);
        return sc_fail(err, -EINVAL, "certificate: bad server name '%.64s'",
                       bad ? bad : "");
    }
    *ret = text;
    return 0;
}

static int read_ca(const char *cert_file, const char *key_file, X509 **ret_cert,
                   EVP_PKEY **ret_key, struct sc_err *err)
{
    SC_AUTO(free) char *cert_pem = NULL;
    SC_AUTO(free) char *key_pem = NULL;
    int r = tls_read_file(cert_file, &cert_pem, err);
    if (r == 0)
        r = tls_read_file(key_file, &key_pem, err);
    if (r < 0)
        return r;
    SC_AUTO(X509_free) X509 *cert = cert_of_pem(cert_pem);
    if (!cert)
        return ssl_fail(err, -EINVAL, cert_file);
    SC_AUTO(BIO_free_all) BIO *bio = BIO_new_mem_buf(key_pem, -1);
    SC_AUTO(EVP_PKEY_free)
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    assert(key_pem);
    OPENSSL_cleanse(key_pem, strlen(key_pem));
    if (!key || X509_check_private_key(cert, key) != 1)
        return ssl_fail(err, -EINVAL, key_file);
    *ret_cert = SC_TAKE(cert);
    *ret_key = SC_TAKE(key);
    return 0;
}

int tls_sign(const char *ca_cert_file, const char *ca_key_file,
             const char *csr_pem, const char *cn, const char *ou,
             const char *const server_names[], unsigned days, char **ret_pem,
             struct sc_err *err)
{
    SC_AUTO(X509_free) X509 *ca = NULL;
    SC_AUTO(EVP_PKEY_free) EVP_PKEY *ca_key = NULL;
    int r = read_ca(ca_cert_file, ca_key_file, &ca, &ca_key, err);
    if (r < 0)
        return r;
    SC_AUTO(BIO_free_all) BIO *bio = BIO_new_mem_buf(csr_pem, -1);
    SC_AUTO(X509_REQ_free)
    X509_REQ *req = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
    if (!req)
        return ssl_fail(err, -EINVAL, "certificate request: not PEM");
    EVP_PKEY *key = X509_REQ_get0_pubkey(req);
    if (!key || X509_REQ_verify(req, key) != 1)
        return ssl_fail(err, -EINVAL,
                        "certificate request: its signature is wrong");
    /* We choose the curve: weak or exotic keys are not signed. */
    char group[32] = "";
    size_t size = 0;
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(key, group, sizeof group, &size) != 1 ||
        strcmp(group, "prime256v1") != 0)
        return sc_fail(err, -EINVAL,
                       "certificate request: the key is not ECDSA P-256");
    SC_AUTO(free) char *san = NULL;
    if (server_names) {
        r = san_text(server_names, &san, err);
        if (r < 0)
            return r;
    }
    SC_AUTO(X509_free) X509 *cert = X509_new();
    SC_AUTO(X509_NAME_free) X509_NAME *subject = name_new(cn, ou);
    if (!cert || !subject || !set_basics(cert, days) ||
        X509_set_subject_name(cert, subject) != 1 ||
        X509_set_issuer_name(cert, X509_get_subject_name(ca)) != 1 ||
        X509_set_pubkey(cert, key) != 1 ||
        !add_ext(cert, ca, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_ext(cert, ca, NID_key_usage, "critical,digitalSignature") ||
        !add_ext(cert, ca, NID_ext_key_usage,
                 server_names ? "serverAuth,clientAuth" : "clientAuth") ||
        !add_ext(cert, ca, NID_subject_key_identifier, "hash") ||
        !add_ext(cert, ca, NID_authority_key_identifier, "keyid:always") ||
        (san && !add_ext(cert, ca, NID_subject_alt_name, san)) ||
        X509_sign(cert, ca_key, EVP_sha256()) <= 0)
        return ssl_fail(err, -EIO, "sign a certificate");
    return cert_text(cert, ret_pem, err);
}
