/* request - see request.h. */
#include "join/request.h"
#include "common/config.h"
#include "common/json.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>

enum { TIMEOUT_S = 600, TIMEOUT_MAX_S = 86400, TOKEN_MAX = 300 };

/* Strings of the request: JSON key (NULL: none) and option of the same name. */
static const struct field {
    const char *key, *option, *help;
    size_t offset;
} fields[] = {
#define F(key, option, help, member)                                           \
    {                                                                          \
        key, option, help, offsetof(struct join_request, member)               \
    }
    F("controller", "controller", "HOST[:PORT] of the controller", controller),
    F("token", NULL, NULL, token),
    F("region", "region", "region of this machine", region),
    F("provider", "provider", "provider of this machine", provider),
    F("name", "name", "name of the node (default: the host's)", name),
    F("address", "address", "IP address for the other nodes", address),
    F("hypervisor", "hypervisor", "auto, xen, qemu or fake", hypervisor),
    F("datapath", "datapath", "system or netdev", datapath),
    F("metadata", "metadata", "ec2, gce, azure, openstack or none", metadata),
    F(NULL, "ovsdb", "socket of ovsdb-server", ovsdb),
    F(NULL, "run-dir", "default /run/supercloud", run_dir),
    F(NULL, "state-dir", "default /var/lib/supercloud", state_dir),
    F(NULL, "pki-dir", "default STATE-DIR/pki", pki_dir),
    F(NULL, "config-out", "default /etc/supercloud/supercloud.json",
      config_out),
#undef F
};

static char **member(struct join_request *r, const struct field *f)
{
    return (char **)((char *)r + f->offset);
}

/* Replaces '*to' by a copy of 's' (NULL: keeps what is there). */
static int put(char **to, const char *s, struct join_failure *f)
{
    if (!s)
        return 0;
    char *copy = strdup(s);
    if (!copy)
        return join_fail(f, JOIN_MACHINE, "out of memory");
    free(*to);
    *to = copy;
    return 0;
}

static int put_default(char **to, const char *s, struct join_failure *f)
{
    return *to ? 0 : put(to, s, f);
}

int request_parse(struct join_request *r, const char *text,
                  struct join_failure *f)
{
    static const char *const allowed[] = {
        "role",    "controller", "token",    "region",       "provider", "name",
        "address", "hypervisor", "datapath", "reserved_mib", "metadata", NULL,
    };
    SC_AUTO(cjson_free) cJSON *doc = cJSON_Parse(text);
    if (!doc)
        return join_fail(f, JOIN_USER_DATA, "the user-data is not JSON");
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(doc, "supercloud");
    struct json_reader in = json_read(o ? o : doc, "supercloud");
    json_only(&in, allowed);
    const char *role = json_str(&in, "role", 1, 16);
    const char *values[SC_ARRAY_LEN(fields)] = { 0 };
    for (size_t i = 0; i < SC_ARRAY_LEN(fields); i++)
        if (fields[i].key)
            values[i] = json_str_or(&in, fields[i].key, TOKEN_MAX, NULL);
    int64_t reserved = json_int_or(&in, "reserved_mib", 0, 1 << 20, 0);
    struct sc_err err;
    if (json_done(&in, &err) < 0)
        return join_fail(f, JOIN_USER_DATA, "%s", err.text);
    if (strcmp(role, "node") != 0 && strcmp(role, "controller") != 0)
        return join_fail(f, JOIN_USER_DATA,
                         "supercloud: 'role' is '%s'; it must be 'node' or "
                         "'controller'",
                         role);
    r->init = !strcmp(role, "controller");
    r->reserved_mib = (uint64_t)reserved;
    for (size_t i = 0; i < SC_ARRAY_LEN(fields); i++)
        if (put(member(r, &fields[i]), values[i], f) < 0)
            return -1;
    return 0;
}

bool token_pin(const char *token, char ret[TLS_PIN_LEN + 1])
{
    const char *p = token;
    if (strncmp(p, "sct1.", 5) != 0)
        return false;
    p += 5;
    for (int i = 0; i < 2; i++) { /* Id and secret: base64url or hex. */
        size_t len = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789_-");
        if (len < 1 || len > 128 || p[len] != '.')
            return false;
        p += len + 1;
    }
    if (strspn(p, "0123456789abcdef") != TLS_PIN_LEN || p[TLS_PIN_LEN])
        return false;
    memcpy(ret, p, TLS_PIN_LEN + 1);
    return true;
}

static bool is_one_of(const char *s, const char *const choices[])
{
    for (size_t i = 0; choices[i]; i++)
        if (!strcmp(s, choices[i]))
            return true;
    return false;
}

static int check_names(const struct join_request *r, struct join_failure *f)
{
    const struct {
        const char *key, *value;
    } names[] = {
        { "region", r->region },
        { "provider", r->provider },
        { "name", r->name },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(names); i++)
        if (names[i].value && !sc_name_ok(names[i].value))
            return join_fail(f, JOIN_USER_DATA,
                             "supercloud: '%s' is '%.64s'; it must be a name "
                             "of up to 63 letters, digits, '.', '_', '-'",
                             names[i].key, names[i].value);
    return 0;
}

int request_check(const struct join_request *r, struct join_failure *f)
{
    static const char *const hypervisors[] = { "auto", "xen", "qemu", "fake",
                                               NULL };
    static const char *const datapaths[] = { "system", "netdev", NULL };
    static const char *const services[] = { "ec2",       "gce",  "azure",
                                            "openstack", "none", NULL };
    char host[SC_HOST_MAX + 1], pin[TLS_PIN_LEN + 1];
    uint16_t port;
    uint8_t bin[16];
    if (!r->init && !r->controller)
        return join_fail(f, JOIN_USER_DATA,
                         "supercloud: 'controller' is missing; it must be "
                         "HOST or HOST:PORT");
    if (!r->init && sc_host_port_split(r->controller, 7443, host, &port) < 0)
        return join_fail(f, JOIN_USER_DATA,
                         "supercloud: 'controller' is '%.64s'; it must be "
                         "HOST or HOST:PORT",
                         r->controller);
    if (!r->init && !r->token)
        return join_fail(f, JOIN_USER_DATA,
                         "supercloud: 'token' is missing; it must be the "
                         "controller's, sct1.ID.SECRET.PIN");
    if (!r->init && !token_pin(r->token, pin)) /* It is secret: not shown. */
        return join_fail(f, JOIN_USER_DATA,
                         "supercloud: 'token' is malformed; it must be the "
                         "controller's, sct1.ID.SECRET.PIN");
    if (check_names(r, f) < 0)
        return -1;
    if (r->address && inet_pton(AF_INET, r->address, bin) != 1 &&
        inet_pton(AF_INET6, r->address, bin) != 1)
        return join_fail(f, JOIN_USER_DATA,
                         "supercloud: 'address' is '%.64s'; it must be an IP "
                         "address",
                         r->address);
    if (r->hypervisor && !is_one_of(r->hypervisor, hypervisors))
        return join_fail(f, JOIN_USER_DATA,
                         "supercloud: 'hypervisor' is '%.64s'; it must be "
                         "auto, xen, qemu or fake",
                         r->hypervisor);
    if (r->datapath && !is_one_of(r->datapath, datapaths))
        return join_fail(f, JOIN_USER_DATA,
                         "supercloud: 'datapath' is '%.64s'; it must be "
                         "system or netdev",
                         r->datapath);
    if (r->metadata && !is_one_of(r->metadata, services))
        return join_fail(f, JOIN_USER_DATA,
                         "supercloud: 'metadata' is '%.64s'; it must be ec2, "
                         "gce, azure, openstack or none",
                         r->metadata);
    return 0;
}

static void print_help(void)
{
    puts("usage: sc-join --user-data FILE [OPTION ...]\n"
         "       sc-join --init-controller [OPTION ...]\n"
         "Joins this machine to a Supercloud, or makes it a new controller.\n"
         "FILE holds the user-data's 'supercloud' section as JSON.");
    for (size_t i = 0; i < SC_ARRAY_LEN(fields); i++)
        if (fields[i].option)
            printf("  --%-12s %s\n", fields[i].option, fields[i].help);
    puts("  --timeout      seconds to wait for the controller (600)\n"
         "Exit status: 0 joined (or was before); 11 to 22: SC-J01 to SC-J12.");
}

enum { OPT_USER_DATA = 1000, OPT_INIT, OPT_TIMEOUT, OPT_HELP };

/* One pass over 'argv': 'r' NULL looks for --user-data and --help only. */
static int read_options(struct join_request *r, int argc, char *argv[],
                        const char **ret_file, bool *ret_help,
                        struct join_failure *f)
{
    struct option longs[SC_ARRAY_LEN(fields) + 5] = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < SC_ARRAY_LEN(fields); i++)
        if (fields[i].option)
            longs[n++] = (struct option){ fields[i].option, required_argument,
                                          NULL, (int)i };
    longs[n++] =
        (struct option){ "user-data", required_argument, NULL, OPT_USER_DATA };
    longs[n++] =
        (struct option){ "init-controller", no_argument, NULL, OPT_INIT };
    longs[n++] =
        (struct option){ "timeout", required_argument, NULL, OPT_TIMEOUT };
    longs[n++] = (struct option){ "help", no_argument, NULL, OPT_HELP };
    optind = 0; /* glibc: begin anew. */
    int c;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (c == '?')
            return join_fail(f, JOIN_USER_DATA, "bad option; see --help");
        if (c == OPT_USER_DATA) {
            *ret_file = optarg;
        } else if (c == OPT_HELP) {
            *ret_help = true;
        } else if (c == OPT_INIT) {
            if (r)
                r->init = true;
        } else if (c == OPT_TIMEOUT) {
            char *end;
            unsigned long s = strtoul(optarg, &end, 10);
            if (*end || !*optarg || s > TIMEOUT_MAX_S)
                return join_fail(f, JOIN_USER_DATA,
                                 "--timeout must be 0 to %d seconds",
                                 TIMEOUT_MAX_S);
            if (r)
                r->timeout_ms = s * 1000;
        } else if (r && put(member(r, &fields[c]), optarg, f) < 0) {
            return -1;
        }
    }
    return optind == argc
               ? 0
               : join_fail(f, JOIN_USER_DATA, "'%.64s': unexpected; see --help",
                           argv[optind]);
}

int request_load(struct join_request *r, int argc, char *argv[],
                 struct join_failure *f)
{
    const char *file = NULL;
    bool help = false;
    if (read_options(NULL, argc, argv, &file, &help, f) < 0)
        return -1;
    if (help) {
        print_help();
        return 1;
    }
    r->timeout_ms = TIMEOUT_S * 1000;
    if (file) {
        struct sc_err err;
        SC_AUTO(free) char *text = NULL;
        if (tls_read_file(file, &text, &err) < 0)
            return join_fail(f, JOIN_USER_DATA, "%s", err.text);
        if (request_parse(r, text, f) < 0)
            return -1;
    }
    bool file_says_node = file && !r->init;
    if (read_options(r, argc, argv, &file, &help, f) < 0)
        return -1;
    if (file_says_node && r->init)
        return join_fail(f, JOIN_USER_DATA,
                         "--init-controller, but the user-data's role is "
                         "'node'");
    SC_AUTO(free) char *pki = NULL;
    if (put_default(&r->state_dir, "/var/lib/supercloud", f) < 0 ||
        put_default(&r->run_dir, "/run/supercloud", f) < 0 ||
        put_default(&r->config_out, "/etc/supercloud/supercloud.json", f) < 0)
        return -1;
    pki = sc_path(r->state_dir, "pki");
    if (!pki)
        return join_fail(f, JOIN_MACHINE, "out of memory");
    if (put_default(&r->pki_dir, pki, f) < 0)
        return -1;
    return request_check(r, f);
}

void request_fini(struct join_request *r)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(fields); i++) {
        free(*member(r, &fields[i]));
        *member(r, &fields[i]) = NULL;
    }
}
