/* fake_console - the real console in front of a fake cluster: sc-fake-console.
 *
 * For tests and for work on the front end; says on its first line that it is
 * fake, and where it listens.  Makes its own certificate unless given one. */
#include "common/config.h"
#include "common/loop.h"
#include "tests/lib/fake_cluster.h"

#include <fcntl.h>
#include <getopt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>

struct options {
    const char *listen, *cert, *key, *dir, *web_root, *password, *spool;
    uint64_t step_ms, idle_ms, image_max, keep_alive_ms;
    unsigned n_threads;
};

static int usage(FILE *out)
{
    fputs("usage: sc-fake-console [--listen HOST:PORT] [--dir DIR] [--cert FILE"
          " --key FILE]\n  [--web-root DIR] [--spool DIR] [--password TEXT]"
          " [--step-ms N] [--idle-ms N]\n  [--image-max BYTES] "
          "[--keep-alive-ms N] [--threads N]\n"
          "Users: admin, operator, viewer, all with the same password.\n",
          out);
    return out == stdout ? 0 : 2;
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        { "listen", 1, 0, 'l' },    { "dir", 1, 0, 'd' },
        { "cert", 1, 0, 'c' },      { "key", 1, 0, 'k' },
        { "web-root", 1, 0, 'w' },  { "password", 1, 0, 'p' },
        { "step-ms", 1, 0, 's' },   { "idle-ms", 1, 0, 'i' },
        { "image-max", 1, 0, 'm' }, { "keep-alive-ms", 1, 0, 'a' },
        { "threads", 1, 0, 't' },   { "spool", 1, 0, 'o' },
        { "help", 0, 0, 'h' },      { 0 },
    };
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) >= 0;) {
        switch (c) {
        case 'l':
            o->listen = optarg;
            break;
        case 'd':
            o->dir = optarg;
            break;
        case 'c':
            o->cert = optarg;
            break;
        case 'k':
            o->key = optarg;
            break;
        case 'w':
            o->web_root = optarg;
            break;
        case 'p':
            o->password = optarg;
            break;
        case 'o':
            o->spool = optarg;
            break;
        case 's':
            o->step_ms = strtoull(optarg, NULL, 10);
            break;
        case 'i':
            o->idle_ms = strtoull(optarg, NULL, 10);
            break;
        case 'a':
            o->keep_alive_ms = strtoull(optarg, NULL, 10);
            break;
        case 'm':
            o->image_max = strtoull(optarg, NULL, 10);
            break;
        case 't':
            o->n_threads = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'h':
            exit(usage(stdout));
        default:
            return -EINVAL;
        }
    }
    return optind == argc && o->step_ms ? 0 : -EINVAL;
}

static int add_san(X509 *x)
{
    X509_EXTENSION *san = X509V3_EXT_conf_nid(
        NULL, NULL, NID_subject_alt_name,
        "DNS:localhost,DNS:supercloud-controller,IP:127.0.0.1");
    int ok = san && X509_add_ext(x, san, -1);
    X509_EXTENSION_free(san);
    return ok;
}

/* A certificate for localhost, signed by itself, good for a year. */
static int make_certificate(const char *cert, const char *key)
{
    SC_AUTO(fclose) FILE *fc = fopen(cert, "we"), *fk = fopen(key, "we");
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    int ok = fc && fk && pkey && x;
    if (ok) {
        fchmod(fileno(fk), 0600);
        X509_set_version(x, 2);
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), sc_wall_ms());
        X509_gmtime_adj(X509_getm_notBefore(x), -3600);
        X509_gmtime_adj(X509_getm_notAfter(x), 365 * 24 * 3600);
        X509_set_pubkey(x, pkey);
        X509_NAME *name = X509_get_subject_name(x);
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                   (const unsigned char *)"sc-fake-console", -1,
                                   -1, 0);
        X509_set_issuer_name(x, name);
        ok = add_san(x) && X509_sign(x, pkey, EVP_sha256()) > 0 &&
             PEM_write_X509(fc, x) &&
             PEM_write_PrivateKey(fk, pkey, NULL, NULL, 0, NULL, NULL);
    }
    X509_free(x);
    EVP_PKEY_free(pkey);
    return ok ? 0 : -EIO;
}

static int add_users(struct fake_cluster *f, const char *password,
                     struct sc_err *err)
{
    static const char *const roles[] = { "admin", "operator", "viewer" };
    int r = 0;
    for (size_t i = 0; i < SC_ARRAY_LEN(roles) && r == 0; i++)
        r = fake_cluster_add_user(f, roles[i], roles[i], password, err);
    return r;
}

static int run(struct options *o, struct sc_err *err)
{
    SC_AUTO(free) char *cert = sc_path(o->dir, "fake.crt");
    SC_AUTO(free) char *key = sc_path(o->dir, "fake.key");
    SC_AUTO(free) char *spool = sc_path(o->dir, "spool");
    mkdir(o->dir, 0700);
    mkdir(spool, 0700);
    if (!o->cert && (access(cert, R_OK) < 0 || access(key, R_OK) < 0) &&
        make_certificate(cert, key) < 0)
        return sc_fail(err, -EIO, "cannot make a certificate in %s", o->dir);
    SC_AUTO(sc_loop_free) struct sc_loop *loop = NULL;
    SC_AUTO(fake_cluster_free) struct fake_cluster *f = NULL;
    SC_AUTO(api_free) struct api *api = NULL;
    int r = sc_loop_new(true, &loop, err);
    if (r < 0 || (r = fake_cluster_new(loop, o->step_ms, &f, err)) < 0 ||
        (r = add_users(f, o->password, err)) < 0)
        return r;
    struct api_options ao = {
        .listen = o->listen,
        .cert_file = o->cert ? o->cert : cert,
        .key_file = o->key ? o->key : key,
        .spool_dir = o->spool ? o->spool : spool,
        .web_root = o->web_root,
        .idle_ms = o->idle_ms,
        .image_max = o->image_max,
        .keep_alive_ms = o->keep_alive_ms,
        .n_threads = o->n_threads,
    };
    r = api_new(loop, fake_cluster_backend(f), &ao, &api, err);
    if (r < 0)
        return r;
    fake_cluster_set_api(f, api);
    printf("FAKE console (no real cluster behind it): https://127.0.0.1:%u "
           "users admin, operator, viewer; password %s\n",
           api_port(api), o->password);
    fflush(stdout);
    return sc_loop_run(loop);
}

int main(int argc, char **argv)
{
    struct options o = { .listen = "127.0.0.1:8443",
                         .dir = "/tmp/sc-fake-console",
                         .password = "fake-password",
                         .step_ms = 800 };
    if (parse(argc, argv, &o) < 0)
        return usage(stderr);
    struct sc_err err = { 0 };
    if (run(&o, &err) < 0) {
        fprintf(stderr, "sc-fake-console: %s\n", err.text);
        return 1;
    }
    return 0;
}
