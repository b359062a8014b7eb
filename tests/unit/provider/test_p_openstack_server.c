/* A server as Nova tells it, and as callers see it. */
#include "provider/p_openstack.h"

#include <criterion/criterion.h>

static struct provider_instance server_of(const char *json)
{
    SC_AUTO(cjson_free) cJSON *s = cJSON_Parse(json);
    struct provider_instance i;
    cr_assert(s, "%s", json);
    cr_assert_eq(os_server_read(s, "R1", "small", &i), 0);
    return i;
}

Test(p_openstack_server, a_server_is_read_whole)
{
    struct provider_instance i = server_of(
        "{\"id\": \"1\", \"name\": \"n\", \"status\": \"ACTIVE\", "
        "\"OS-EXT-AZ:availability_zone\": \"az\", \"image\": {\"id\": \"im\"}, "
        "\"metadata\": {\"supercloud_cluster\": \"c\", \"supercloud_token\": "
        "\"t\"}, \"created\": \"1970-01-02T00:00:01Z\"}");
    cr_expect_str_eq(i.id, "1");
    cr_expect_str_eq(i.name, "n");
    cr_expect_str_eq(i.region, "R1");
    cr_expect_str_eq(i.zone, "az");
    cr_expect_str_eq(i.type, "small");
    cr_expect_str_eq(i.image, "im");
    cr_expect_str_eq(i.cluster, "c");
    cr_expect_str_eq(i.token, "t");
    cr_expect_str_eq(i.address, "");
    cr_expect_eq(i.state, PROVIDER_RUNNING);
    cr_expect_eq(i.created_at, 86401000);
    provider_instance_clear(&i);
}

#define A(addr, version, type)                                                 \
    "{\"addr\": \"" addr "\", \"version\": " version                           \
    ", \"OS-EXT-IPS:type\": \"" type "\"}"
static const struct {
    const char *addresses, *access, *address, *inside;
} networks[] = {
    { A("10.0.0.5", "4", "fixed"), "", "10.0.0.5", "10.0.0.5" },
    { A("10.0.0.5", "4", "fixed") ", " A("198.51.100.9", "4", "floating"), "",
      "198.51.100.9", "10.0.0.5" },
    { A("203.0.113.7", "4", "fixed") ", " A("10.183.0.5", "4", "fixed"), "",
      "203.0.113.7", "10.183.0.5" },
    { A("10.183.0.5", "4", "fixed"), "203.0.113.7", "203.0.113.7",
      "10.183.0.5" },
    { A("100.64.0.5", "4", "fixed") ", " A("2001:db8::7", "6", "fixed"), "",
      "100.64.0.5", "100.64.0.5" },
    { A("2001:db8::7", "6", "fixed"), "", "2001:db8::7", "" },
};

Test(p_openstack_server, the_address_is_the_one_others_reach)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(networks); i++) {
        char json[600];
        snprintf(json, sizeof json,
                 "{\"accessIPv4\": \"%s\", \"addresses\": {\"n\": [%s]}}",
                 networks[i].access, networks[i].addresses);
        struct provider_instance x = server_of(json);
        cr_expect_str_eq(x.address, networks[i].address);
        cr_expect_str_eq(x.private_address, networks[i].inside);
        provider_instance_clear(&x);
    }
}

static const struct {
    const char *status;
    int power;
    enum provider_state want;
} states[] = {
    { "BUILD", 0, PROVIDER_PENDING },
    { "ACTIVE", 1, PROVIDER_RUNNING },
    { "SHUTOFF", 4, PROVIDER_STOPPED },
    { "SUSPENDED", 4, PROVIDER_STOPPED },
    { "ERROR", 0, PROVIDER_STOPPED },
    { "ERROR", 1, PROVIDER_RUNNING },
    { "PAUSED", 3, PROVIDER_RUNNING },
    { "UNKNOWN", 0, PROVIDER_RUNNING },
    { "SOFT_DELETED", 4, PROVIDER_TERMINATED },
};

Test(p_openstack_server, what_may_run_counts_as_running)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(states); i++) {
        char json[200];
        snprintf(json, sizeof json,
                 "{\"status\": \"%s\", \"OS-EXT-STS:power_state\": %d}",
                 states[i].status, states[i].power);
        struct provider_instance x = server_of(json);
        cr_expect_eq(x.state, states[i].want, "%s", states[i].status);
        provider_instance_clear(&x);
    }
}
