/* config - see config.h. */
#include "common/config.h"
#include "common/json.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { CONFIG_MAX = 64 << 10, PATH_LEN_MAX = 255 }; /* bytes, characters */

static const char *const keys[] = {
    "node_id",
    "nid",
    "name",
    "region",
    "provider",
    "roles",
    "controller",
    "address",
    "run_dir",
    "state_dir",
    "pki_dir",
    "hypervisor",
    "datapath",
    "reserved_mib",
    "controller_listen",
    "console_listen",
    "openflow_listen",
    "ports",
    "ovsdb",
    "bridge",
    "provider_program",
    "metadata",
    "metadata_endpoint",
    NULL,
};

/* Copies; a failure to allocate becomes the reader's error. */
static char *copy(struct json_reader *r, const char *s)
{
    char *p = strdup(s);
    if (!p && !r->err.code)
        sc_fail(&r->err, -ENOMEM, "%s: out of memory", r->what);
    return p;
}

static void must(struct json_reader *r, bool ok, const char *key,
                 const char *value, const char *want)
{
    if (!ok && !r->err.code)
        sc_fail(&r->err, -EINVAL, "%s: '%s' is '%.64s'; it must be %s", r->what,
                key, value, want);
}

static char *name_field(struct json_reader *r, const char *key)
{
    const char *s = json_str(r, key, 1, 63);
    must(r, sc_name_ok(s), key, s, "a name (letters, digits, '.', '_', '-')");
    return copy(r, s);
}

static char *path_field(struct json_reader *r, const char *key, const char *def)
{
    const char *s = json_str_or(r, key, PATH_LEN_MAX, def);
    must(r, s[0] == '/', key, s, "an absolute path");
    return copy(r, s);
}

static char *listen_field(struct json_reader *r, const char *key,
                          const char *def)
{
    const char *s = json_str_or(r, key, SC_HOST_MAX + 8, def);
    char host[SC_HOST_MAX + 1];
    uint16_t port;
    must(r, sc_host_port_split(s, 0, host, &port) == 0, key, s, "HOST:PORT");
    return copy(r, s);
}

static char *choice_field(struct json_reader *r, const char *key,
                          const char *const choices[], const char *want,
                          const char *def)
{
    const char *s = json_str_or(r, key, 32, def);
    bool found = false;
    for (size_t i = 0; choices[i]; i++)
        found |= !strcmp(choices[i], s);
    must(r, found, key, s, want);
    return copy(r, s);
}

static void read_roles(struct json_reader *r, struct sc_config *c)
{
    const cJSON *role;
    cJSON_ArrayForEach(role, json_arr(r, "roles"))
    {
        const char *s = cJSON_IsString(role) ? role->valuestring : "";
        if (!strcmp(s, "controller"))
            c->is_controller = true;
        else if (!strcmp(s, "node"))
            c->is_node = true;
        else
            must(r, false, "roles", s, "a list of 'controller' and 'node'");
    }
    must(r, c->is_controller || c->is_node, "roles", "",
         "a list of 'controller' and 'node'");
}

static void read_nested(struct json_reader *r, struct sc_config *c)
{
    static const char *const controller_keys[] = { "host", "port", NULL };
    static const char *const port_keys[] = { "storage", "probe", "migration",
                                             NULL };
    const cJSON *o = json_obj(r, "controller");
    struct json_reader k = json_read(o, "controller");
    json_only(&k, controller_keys);
    c->controller_host = copy(r, json_str(&k, "host", 1, SC_HOST_MAX));
    c->controller_port = (uint16_t)json_int_or(&k, "port", 1, 65535, 7443);

    SC_AUTO(cjson_free) cJSON *none = cJSON_CreateObject();
    o = cJSON_GetObjectItemCaseSensitive(r->object, "ports");
    struct json_reader p = json_read(o ? o : none, "ports");
    json_only(&p, port_keys);
    c->storage_port = (uint16_t)json_int_or(&p, "storage", 1, 65535, 7480);
    c->probe_port = (uint16_t)json_int_or(&p, "probe", 1, 65535, 7481);
    c->migration_port = (uint16_t)json_int_or(&p, "migration", 1, 65535, 7482);
    if (!r->err.code && (k.err.code || p.err.code))
        sc_fail(&r->err, -EINVAL, "%s: %s", r->what,
                k.err.code ? k.err.text : p.err.text);
}

/* Where nothing is said, a provider of a known name has its own service. */
static void read_metadata(struct json_reader *r, struct sc_config *c)
{
    static const char *const services[] = { "ec2",       "gce",  "azure",
                                            "openstack", "none", NULL };
    const char *def = "none", *s;
    char host[SC_HOST_MAX + 1];
    uint16_t port;
    for (size_t i = 0; services[i]; i++)
        if (c->provider && !strcmp(c->provider, services[i]))
            def = services[i];
    if (c->provider && !strncmp(c->provider, "rackspace", 9))
        def = "openstack";
    c->metadata =
        choice_field(r, "metadata", services,
                     "'ec2', 'gce', 'azure', 'openstack' or 'none'", def);
    s = json_str_or(r, "metadata_endpoint", SC_HOST_MAX + 8, "");
    must(r, !*s || sc_host_port_split(s, 0, host, &port) == 0,
         "metadata_endpoint", s, "HOST:PORT");
    c->metadata_endpoint = copy(r, s);
}

int sc_config_parse(const char *text, const char *what, struct sc_config **ret,
                    struct sc_err *err)
{
    static const char *const hypervisors[] = { "xen", "qemu", "fake", NULL };
    static const char *const datapaths[] = { "system", "netdev", NULL };
    SC_AUTO(sc_config_free) struct sc_config *c = calloc(1, sizeof *c);
    if (!c)
        return sc_fail(err, -ENOMEM, "%s: out of memory", what);
    const char *end = text;
    SC_AUTO(cjson_free)
    cJSON *doc = cJSON_ParseWithOpts(text, &end, true);
    if (!doc)
        return sc_fail(err, -EINVAL, "%s: not JSON at byte %td", what,
                       end ? end - text : (ptrdiff_t)0);

    struct json_reader r = json_read(doc, what);
    json_only(&r, keys);
    const char *id = json_str(&r, "node_id", SC_UUID_LEN, SC_UUID_LEN);
    must(&r, sc_uuid_ok(id), "node_id", id, "a UUID in lower case");
    c->node_id = copy(&r, id);
    c->nid = (uint16_t)json_int_or(&r, "nid", 0, 65535, 0);
    c->name = name_field(&r, "name");
    c->region = name_field(&r, "region");
    c->provider = name_field(&r, "provider");
    read_roles(&r, c);
    must(&r, c->nid || !c->is_node, "nid", "0", "1 to 65535 on a node");
    read_nested(&r, c);
    const char *address = json_str(&r, "address", 1, SC_HOST_MAX);
    uint8_t bin[16];
    must(&r,
         inet_pton(AF_INET, address, bin) == 1 ||
             inet_pton(AF_INET6, address, bin) == 1,
         "address", address, "an IP address");
    c->address = copy(&r, address);
    c->run_dir = path_field(&r, "run_dir", "/run/supercloud");
    c->state_dir = path_field(&r, "state_dir", "/var/lib/supercloud");
    c->pki_dir = path_field(&r, "pki_dir", "/var/lib/supercloud/pki");
    c->hypervisor = choice_field(&r, "hypervisor", hypervisors,
                                 "'xen', 'qemu' or 'fake'", "xen");
    c->datapath = choice_field(&r, "datapath", datapaths,
                               "'system' or 'netdev'", "system");
    c->ovsdb = path_field(&r, "ovsdb", "/run/openvswitch/db.sock");
    const char *bridge = json_str_or(&r, "bridge", 15, "br-sc");
    must(&r, sc_name_ok(bridge), "bridge", bridge, "an interface name");
    c->bridge = copy(&r, bridge);
    c->controller_listen =
        listen_field(&r, "controller_listen", "0.0.0.0:7443");
    c->console_listen = listen_field(&r, "console_listen", "0.0.0.0:8443");
    c->openflow_listen = listen_field(&r, "openflow_listen", "0.0.0.0:6653");
    read_metadata(&r, c);
    const char *program = json_str_or(&r, "provider_program", PATH_LEN_MAX, "");
    must(&r, !program[0] || program[0] == '/', "provider_program", program,
         "an absolute path");
    c->provider_program = copy(&r, program);
    c->reserved_mib =
        (uint64_t)json_int_or(&r, "reserved_mib", 0, INT64_C(1) << 40, 0);
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    *ret = SC_TAKE(c);
    return 0;
}

int sc_config_load(const char *path, struct sc_config **ret, struct sc_err *err)
{
    SC_AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sc_fail(err, -errno, "%s: open: %s", path, strerror(errno));
    SC_AUTO(free) char *text = malloc(CONFIG_MAX + 1);
    if (!text)
        return sc_fail(err, -ENOMEM, "%s: out of memory", path);
    size_t size = 0;
    for (;;) {
        ssize_t n = read(fd, text + size, CONFIG_MAX + 1 - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sc_fail(err, -errno, "%s: read: %s", path, strerror(errno));
        if (n == 0)
            break;
        size += (size_t)n;
        if (size > CONFIG_MAX)
            return sc_fail(err, -EFBIG, "%s: larger than %d bytes", path,
                           CONFIG_MAX);
    }
    text[size] = '\0';
    return sc_config_parse(text, path, ret, err);
}

void sc_config_free(struct sc_config *c)
{
    if (!c)
        return;
    char *all[] = {
        c->node_id,
        c->name,
        c->region,
        c->provider,
        c->controller_host,
        c->address,
        c->run_dir,
        c->state_dir,
        c->pki_dir,
        c->hypervisor,
        c->datapath,
        c->ovsdb,
        c->bridge,
        c->provider_program,
        c->controller_listen,
        c->console_listen,
        c->openflow_listen,
        c->metadata,
        c->metadata_endpoint,
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(all); i++)
        free(all[i]);
    free(c);
}

char *sc_path(const char *dir, const char *name)
{
    char *p = NULL;
    return asprintf(&p, "%s/%s", dir, name) < 0 ? NULL : p;
}

int sc_host_port_split(const char *text, uint16_t default_port,
                       char ret_host[SC_HOST_MAX + 1], uint16_t *ret_port)
{
    const char *host = text, *rest;
    size_t len;
    if (*text == '[') {
        host = text + 1;
        rest = strchr(host, ']');
        if (!rest)
            return -EINVAL;
        len = (size_t)(rest - host);
        rest++;
    } else {
        len = strcspn(text, ":");
        rest = text + len;
        if (*rest && strchr(rest + 1, ':')) { /* A bare IPv6 address. */
            len = strlen(text);
            rest = text + len;
        }
    }
    if (len < 1 || len > SC_HOST_MAX)
        return -EINVAL;
    unsigned long port = default_port;
    if (*rest) {
        if (*rest++ != ':' || *rest < '0' || *rest > '9')
            return -EINVAL;
        char *end;
        errno = 0;
        port = strtoul(rest, &end, 10);
        if (*end || errno)
            return -EINVAL;
    }
    if (port < 1 || port > 65535)
        return -EINVAL;
    memcpy(ret_host, host, len);
    ret_host[len] = '\0';
    *ret_port = (uint16_t)port;
    return 0;
}
