#include "common/config.h"
#include "helper.h"

#define ID "\"node_id\": \"6ba7b810-9dad-41d1-80b4-00c04fd430c8\""
#define REST                                                                   \
    "\"name\": \"us-1\", \"region\": \"us-east\", \"provider\": \"local\", "   \
    "\"address\": \"10.0.0.1\", \"controller\": {\"host\": \"10.0.0.9\"}"
#define NODE ID ", \"nid\": 3, \"roles\": [\"node\"], " REST

Test(config, the_documented_example_is_read)
{
    static const char text[] =
        "{" ID ", \"nid\": 1, \"name\": \"us-1\", \"region\": \"us-east\", "
        "\"provider\": \"local\", \"roles\": [\"controller\",\"node\"],"
        "\"controller\": {\"host\": \"10.200.0.1\", \"port\": 7443}, "
        "\"address\": \"10.200.0.1\", \"run_dir\": \"/run/supercloud\", "
        "\"state_dir\": \"/var/lib/supercloud\", "
        "\"pki_dir\": \"/var/lib/supercloud/pki\", \"hypervisor\": \"xen\", "
        "\"datapath\": \"system\", \"reserved_mib\": 5, "
        "\"controller_listen\": \"0.0.0.0:7443\", "
        "\"console_listen\": \"0.0.0.0:8443\", "
        "\"openflow_listen\": \"0.0.0.0:6653\", "
        "\"ports\": {\"storage\": 1, \"probe\": 2, \"migration\": 3}, "
        "\"ovsdb\": \"/run/openvswitch/db.sock\", \"bridge\": \"br-sc\"}";
    SC_AUTO(sc_config_free) struct sc_config *c = NULL;
    struct sc_err err;
    cr_assert_eq(sc_config_parse(text, "c", &c, &err), 0, "%s", err.text);
    cr_expect(c->is_controller && c->is_node);
    cr_expect_eq(c->nid, 1);
    cr_expect_eq(c->storage_port, 1);
    cr_expect_eq(c->migration_port, 3);
    cr_expect_eq(c->reserved_mib, 5);
    cr_expect_str_eq(c->bridge, "br-sc");
}

Test(config, what_is_not_said_has_the_documented_default)
{
    SC_AUTO(sc_config_free) struct sc_config *c = NULL;
    struct sc_err err;
    cr_assert_eq(sc_config_parse("{" NODE "}", "c", &c, &err), 0, "%s",
                 err.text);
    cr_expect_eq(c->controller_port, 7443);
    cr_expect_eq(c->storage_port, 7480);
    cr_expect_eq(c->probe_port, 7481);
    cr_expect_eq(c->migration_port, 7482);
    cr_expect_str_eq(c->run_dir, "/run/supercloud");
    cr_expect_str_eq(c->hypervisor, "xen");
    cr_expect_str_eq(c->datapath, "system");
    cr_expect_not(c->is_controller);
}

static const struct {
    const char *provider, *more, *metadata;
} services[] = {
    { "ec2", "", "ec2" },
    { "azure", "", "azure" },
    { "rackspace-classic", "", "openstack" },
    { "local", "", "none" },
    { "my-own", "", "none" },
    { "my-own", ", \"metadata\": \"gce\"", "gce" },
    { "ec2", ", \"metadata\": \"none\"", "none" },
};

Test(config, the_metadata_service_is_the_provider_s_if_its_name_is_known)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(services); i++) {
        SC_AUTO(sc_config_free) struct sc_config *c = NULL;
        char text[1024];
        struct sc_err err;
        snprintf(text, sizeof text,
                 "{" ID ", \"nid\": 3, \"roles\": [\"node\"], \"name\": "
                 "\"a\", \"region\": \"r\", \"provider\": \"%s\", "
                 "\"address\": \"10.0.0.1\", "
                 "\"controller\": {\"host\": \"10.0.0.9\"}%s}",
                 services[i].provider, services[i].more);
        cr_assert_eq(sc_config_parse(text, "c", &c, &err), 0, "%s", err.text);
        cr_expect_str_eq(c->metadata, services[i].metadata, "case %zu", i);
        cr_expect_str_eq(c->metadata_endpoint, "");
    }
}

static const struct {
    const char *text, *want;
} wrong[] = {
    { "{" NODE ", \"metadata\": \"aws\"}", "'metadata'" },
    { "{" NODE ", \"metadata_endpoint\": \"here\"}", "'metadata_endpoint'" },
    { "", "not JSON at byte 0" },
    { "{" NODE "} x", "not JSON" },
    { "{" NODE ", \"colour\": 1}", "unknown key 'colour'" },
    { "{" ID ", \"roles\": [\"node\"], " REST "}", "'nid'" },
    { "{" ID ", \"nid\": 65536, \"roles\": [\"node\"], " REST "}", "'nid'" },
    { "{" ID ", \"nid\": 1, \"roles\": [], " REST "}", "'roles'" },
    { "{" ID ", \"nid\": 1, \"roles\": [\"king\"], " REST "}", "'king'" },
    { "{\"node_id\": \"6BA7B810-9dad-41d1-80b4-00c04fd430c8\", \"nid\": 1, "
      "\"roles\": [\"node\"], " REST "}",
      "'node_id'" },
    { "{" NODE ", \"hypervisor\": \"vmware\"}", "'hypervisor' is 'vmware'" },
    { "{" NODE ", \"run_dir\": \"run\"}", "'run_dir'" },
    { "{" NODE ", \"bridge\": \"a/b\"}", "'bridge'" },
    { "{" NODE ", \"bridge\": \"0123456789abcdef\"}", "'bridge'" },
    { "{" NODE ", \"console_listen\": \"8443\"}", "'console_listen'" },
    { "{" NODE ", \"ports\": {\"storage\": 0}}", "'storage'" },
    { "{" NODE ", \"ports\": {\"stor\": 1}}", "'stor'" },
    { "{" NODE ", \"ports\": 7}", "ports: must be" },
    { "{" ID ", \"nid\": 1, \"roles\": [\"node\"], \"name\": \"a b\"}",
      "'name'" },
};

Test(config, an_error_names_the_key)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(wrong); i++) {
        struct sc_config *c = NULL;
        struct sc_err err = { 0 };
        cr_expect_eq(sc_config_parse(wrong[i].text, "c", &c, &err), -EINVAL,
                     "case %s", wrong[i].text);
        cr_expect(strstr(err.text, wrong[i].want), "case %s: %s", wrong[i].text,
                  err.text);
        sc_config_free(c);
    }
}

Test(config, a_file_that_is_absent_or_too_large_is_named)
{
    TEMP_DIR(d);
    struct sc_config *c = NULL;
    struct sc_err err;
    cr_expect_eq(sc_config_load(in(&d, "none"), &c, &err), -ENOENT);
    cr_expect(strstr(err.text, "none"));
    char *text = calloc(1, 70000);
    memset(text, ' ', 69999);
    cr_assert_eq(tls_write_file(in(&d, "big"), text, 0600, &err), 0);
    free(text);
    cr_expect_eq(sc_config_load(in(&d, "big"), &c, &err), -EFBIG);
}

static const struct {
    const char *text;
    uint16_t def;
    int want;
    const char *host;
    uint16_t port;
} hosts[] = {
    { "a.example", 7443, 0, "a.example", 7443 },
    { "a.example:1", 7443, 0, "a.example", 1 },
    { "10.0.0.1:65535", 0, 0, "10.0.0.1", 65535 },
    { "[::1]:8", 0, 0, "::1", 8 },
    { "[::1]", 9, 0, "::1", 9 },
    { "fe80::1", 9, 0, "fe80::1", 9 },
    { "a", 0, -EINVAL, "", 0 },
    { "a:", 5, -EINVAL, "", 0 },
    { "a:0", 5, -EINVAL, "", 0 },
    { "a:65536", 5, -EINVAL, "", 0 },
    { "a:1x", 5, -EINVAL, "", 0 },
    { "a: 1", 5, -EINVAL, "", 0 },
    { ":1", 5, -EINVAL, "", 0 },
    { "[::1", 5, -EINVAL, "", 0 },
    { "[::1]x", 5, -EINVAL, "", 0 },
    { "", 5, -EINVAL, "", 0 },
};

Test(config, host_and_port)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(hosts); i++) {
        char host[SC_HOST_MAX + 1] = "";
        uint16_t port = 0;
        cr_expect_eq(
            sc_host_port_split(hosts[i].text, hosts[i].def, host, &port),
            hosts[i].want, "case '%s'", hosts[i].text);
        cr_expect_str_eq(host, hosts[i].host, "case '%s'", hosts[i].text);
        cr_expect_eq(port, hosts[i].port, "case '%s'", hosts[i].text);
    }
}
