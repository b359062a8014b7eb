/* init - the first machine: certificate authority, controller, first node
 * (join.h).
 *
 * If an authority is there already (the configuration was lost, or a crash came
 * between the two renames), it is kept, and so is the node's id: nodes that
 * joined it go on trusting it. */
#include "common/config.h"
#include "common/json.h"
#include "common/key_file.h"
#include "join/install.h"
#include "join/join.h"
#include "join/machine.h"

#include <stdio.h>

enum { CERT_DAYS = 3650, CONTROLLER_PORT = 7443, FIRST_NID = 1 };

#define CONTROLLER_NAME "supercloud-controller"

static int files_fail(struct join_failure *f, const struct sc_err *err)
{
    return join_fail(f, JOIN_FILES, "%s", err->text);
}

/* <name>.key and <name>.crt in the new folder. */
static int issue(const struct install *i, const char *name, const char *cn,
                 const char *ou, const char *const server_names[],
                 struct join_failure *f)
{
    char key_name[32], cert_name[32];
    snprintf(key_name, sizeof key_name, "%s.key", name);
    snprintf(cert_name, sizeof cert_name, "%s.crt", name);
    SC_AUTO(free) char *key = install_path(i, key_name);
    SC_AUTO(free) char *cert = install_path(i, cert_name);
    SC_AUTO(free) char *ca = install_path(i, "ca.crt");
    SC_AUTO(free) char *ca_key = install_path(i, "ca.key");
    SC_AUTO(free) char *csr = NULL;
    SC_AUTO(free) char *pem = NULL;
    struct sc_err err;
    if (!key || !cert || !ca || !ca_key)
        return join_fail(f, JOIN_MACHINE, "out of memory");
    if (tls_request_create(key, cn, ou, &csr, &err) < 0 ||
        tls_sign(ca, ca_key, csr, cn, ou, server_names, CERT_DAYS, &pem, &err) <
            0 ||
        tls_write_file(cert, pem, 0644, &err) < 0)
        return files_fail(f, &err);
    return 0;
}

static int copy_file(const char *from, const char *to, unsigned mode,
                     struct sc_err *err)
{
    SC_AUTO(free) char *text = NULL;
    int r = tls_read_file(from, &text, err);
    return r < 0 ? r : tls_write_file(to, text, mode, err);
}

/* Takes over the authority of an older folder, or makes one. */
static int authority(const struct install *i, char node_id[SC_UUID_LEN + 1],
                     struct join_failure *f)
{
    const char *old = i->request->pki_dir;
    SC_AUTO(free) char *old_cert = sc_path(old, "ca.crt");
    SC_AUTO(free) char *old_key = sc_path(old, "ca.key");
    SC_AUTO(free) char *old_node = sc_path(old, "node.crt");
    SC_AUTO(free) char *cert = install_path(i, "ca.crt");
    SC_AUTO(free) char *key = install_path(i, "ca.key");
    struct sc_err err;
    if (!old_cert || !old_key || !old_node || !cert || !key)
        return join_fail(f, JOIN_MACHINE, "out of memory");
    sc_uuid_new(node_id);
    if (access(old_key, F_OK) == 0) {
        char cn[TLS_NAME_MAX + 1], ou[TLS_NAME_MAX + 1];
        if (copy_file(old_cert, cert, 0644, &err) < 0 ||
            copy_file(old_key, key, 0600, &err) < 0)
            return files_fail(f, &err);
        if (tls_subject(old_node, cn, ou, &err) == 0 && sc_uuid_ok(cn))
            memcpy(node_id, cn, SC_UUID_LEN + 1);
        return 0;
    }
    char name[80];
    snprintf(name, sizeof name, "Supercloud %.8s", node_id);
    return tls_ca_create(cert, key, name, &err) < 0 ? files_fail(f, &err) : 0;
}

/* What the controller seals its secrets with; an older one opens what is in an
 * older store. */
static int secrets_key(const struct install *i, struct join_failure *f)
{
    SC_AUTO(free) char *old = sc_path(i->request->pki_dir, "secrets.key");
    SC_AUTO(free) char *key = install_path(i, "secrets.key");
    struct sc_err err;
    if (!old || !key)
        return join_fail(f, JOIN_MACHINE, "out of memory");
    int r = access(old, F_OK) == 0 ? copy_file(old, key, 0400, &err)
                                   : key_file_ensure(key, &err);
    return r < 0 ? files_fail(f, &err) : 0;
}

static int init_with(const struct join_request *r, struct install *i,
                     struct join_result *ret, struct join_failure *f)
{
    char address[INET6_ADDRSTRLEN], node_id[SC_UUID_LEN + 1];
    const char *hypervisor = r->hypervisor;
    if (!hypervisor || !strcmp(hypervisor, "auto"))
        hypervisor = machine_hypervisor("/proc/xen/capabilities");
    if (!hypervisor)
        return join_fail(f, JOIN_MACHINE,
                         "neither Xen nor QEMU is here ('hypervisor')");
    if (r->address)
        snprintf(address, sizeof address, "%s", r->address);
    else if (machine_address(NULL, 9, address) < 0)
        return join_fail(f, JOIN_MACHINE,
                         "no address of this machine found ('address')");
    if (r->name)
        snprintf(ret->name, sizeof ret->name, "%s", r->name);
    else
        machine_name(ret->name);

    const char *const server_names[] = { CONTROLLER_NAME, address, "localhost",
                                         "127.0.0.1", NULL };
    /* A server too: Open vSwitch connects to sc-network and checks that. */
    const char *const network_names[] = { "supercloud-network", NULL };
    if (authority(i, node_id, f) < 0 || secrets_key(i, f) < 0 ||
        issue(i, "controller", CONTROLLER_NAME, "controller", server_names, f) <
            0 ||
        issue(i, "node", node_id, "node", NULL, f) < 0 ||
        issue(i, "network", "network", "network", network_names, f) < 0)
        return -1;
    snprintf(ret->node_id, sizeof ret->node_id, "%s", node_id);
    ret->nid = FIRST_NID;
    SC_AUTO(cjson_free)
    cJSON *config = config_new(r, node_id, FIRST_NID, true, ret->name,
                               r->region ? r->region : "default",
                               r->provider ? r->provider : "default", address,
                               CONTROLLER_PORT, address, hypervisor);
    return install_commit(i, config, f);
}

int join_init_controller(const struct join_request *r, struct join_result *ret,
                         struct join_failure *f)
{
    uint16_t nid = 0;
    if (already_joined(r, ret->name, &nid)) {
        ret->nid = nid;
        ret->was_member = true;
        return 0;
    }
    struct install i;
    if (install_begin(&i, r, f) < 0)
        return -1;
    int n = init_with(r, &i, ret, f);
    install_fini(&i);
    return n;
}
