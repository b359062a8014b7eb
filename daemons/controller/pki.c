#include "controller/pki.h"

#include "common/tls.h"

#include <stdio.h>
#include <sys/stat.h>

enum { CERT_DAYS = 3650, PATH_SIZE = 512 };

static void file_in(const struct sc_config *c, const char *name,
                    const char *suffix, char ret[PATH_SIZE])
{
    snprintf(ret, PATH_SIZE, "%s/%s%s", c->pki_dir, name, suffix);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static int ensure_ca(const struct sc_config *c, struct sc_err *err)
{
    char cert[PATH_SIZE], key[PATH_SIZE], name[80];
    file_in(c, "ca", ".crt", cert);
    file_in(c, "ca", ".key", key);
    if (exists(cert) && exists(key))
        return 0;
    if (exists(cert) || exists(key))
        return sc_fail(err, -EINVAL,
                       "%s: only one of ca.crt and ca.key is there; restore "
                       "the other, or remove both to begin a new Supercloud",
                       c->pki_dir);
    if (mkdir(c->pki_dir, 0750) < 0 && errno != EEXIST)
        return sc_fail(err, -errno, "%s: mkdir: %s", c->pki_dir,
                       strerror(errno));
    snprintf(name, sizeof name, "Supercloud %.8s", c->node_id);
    return tls_ca_create(cert, key, name, err);
}

static int ensure_cert(const struct sc_config *c, const char *name,
                       const char *cn, const char *ou,
                       const char *const server_names[], struct sc_err *err)
{
    char cert[PATH_SIZE], key[PATH_SIZE], ca_cert[PATH_SIZE], ca_key[PATH_SIZE];
    file_in(c, name, ".crt", cert);
    file_in(c, name, ".key", key);
    file_in(c, "ca", ".crt", ca_cert);
    file_in(c, "ca", ".key", ca_key);
    if (exists(cert) && exists(key))
        return 0;
    SC_AUTO(free) char *csr = NULL;
    SC_AUTO(free) char *pem = NULL;
    int r = tls_request_create(key, cn, ou, &csr, err);
    if (r == 0)
        r = tls_sign(ca_cert, ca_key, csr, cn, ou, server_names, CERT_DAYS,
                     &pem, err);
    if (r == 0)
        r = tls_write_file(cert, pem, 0644, err);
    return r;
}

int pki_ensure(const struct sc_config *c, struct sc_err *err)
{
    const char *names[] = { "supercloud-controller",
                            c->controller_host,
                            "localhost",
                            "127.0.0.1",
                            NULL,
                            NULL };
    /* A server too: Open vSwitch connects to sc-network and checks that. */
    static const char *const network_names[] = { "supercloud-network", NULL };
    if (strcmp(c->address, c->controller_host) != 0 &&
        strcmp(c->address, "127.0.0.1") != 0)
        names[4] = c->address;
    int r = ensure_ca(c, err);
    if (r == 0)
        r = ensure_cert(c, "controller", "supercloud-controller", "controller",
                        names, err);
    if (r == 0)
        r = ensure_cert(c, "network", "network", "network", network_names, err);
    if (r == 0 && c->is_node)
        r = ensure_cert(c, "node", c->node_id, "node", NULL, err);
    return r;
}
