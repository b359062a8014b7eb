#include "node/vmspec.h"

#include <criterion/criterion.h>
#include <string.h>

#define ID "11111111-1111-4111-8111-111111111111"
#define GOOD                                                                   \
    "{\"id\":\"" ID "\",\"name\":\"hello\",\"epoch\":7,\"vcpus\":2,"           \
    "\"memory_mib\":128,\"kernel_volume\":\"" ID "\",\"ramdisk_volume\":"      \
    "null,\"cmdline\":\"a=b\",\"volumes\":[{\"id\":\"" ID                      \
    "\",\"dev\":\"xvda\",\"mode\":\"rw\"},{\"id\":\"" ID                       \
    "\",\"dev\":\"xvdb\",\"mode\":\"ro\"}],\"ports\":[{\"id\":\"" ID           \
    "\",\"mac\":\"52:54:00:00:00:01\",\"ip\":\"10.0.0.2\",\"network_id\":"     \
    "\"" ID "\",\"vni\":5,\"mtu\":1400}]}"

static int decode(const char *text, struct vmspec *ret, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(text);
    cr_assert(o != NULL, "the test's own JSON: %s", text);
    return vmspec_decode(o, ret, err);
}

Test(vmspec, what_is_decoded_is_what_was_encoded)
{
    struct vmspec a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    cr_assert_eq(decode(GOOD, &a, NULL), 0);
    cr_expect_eq(a.epoch, 7);
    cr_expect_eq(a.n_volumes, 2);
    cr_expect(a.volumes[1].readonly && !a.volumes[0].readonly);
    cr_expect_eq(a.ports[0].mtu, 1400);
    cr_expect_str_empty(a.ramdisk_volume);
    SC_AUTO(cjson_free) cJSON *o = vmspec_encode(&a);
    cr_assert_eq(vmspec_decode(o, &b, NULL), 0);
    cr_expect_eq(memcmp(&a, &b, sizeof a), 0);
}

static const struct {
    const char *was, *is, *named;
} bad[] = {
    { "\"id\":\"" ID "\",\"name\"", "\"id\":\"x\",\"name\"", "id" },
    { "\"hello\"", "\"-x\"", "name" },
    { "\"epoch\":7", "\"epoch\":0", "epoch" },
    { "\"vcpus\":2", "\"vcpus\":0", "vcpus" },
    { "\"memory_mib\":128", "\"memory_mib\":\"128\"", "memory_mib" },
    { "\"mode\":\"rw\"", "\"mode\":\"wr\"", "mode" },
    { "\"dev\":\"xvda\"", "\"dev\":\"\"", "dev" },
    { "\"mac\":\"52:54:00:00:00:01\"", "\"mac\":\"52\"", "mac" },
    { "\"kernel_volume\":\"" ID "\"", "\"kernel_volume\":\"../../../etc\"",
      "kernel_volume" },
    { "\"volumes\":[", "\"volume\":[", "volumes" },
};

Test(vmspec, a_bad_field_is_refused_by_name)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct vmspec s = { .epoch = 99 };
        struct sc_err e = { 0 };
        char text[2048];
        const char *at = strstr(GOOD, bad[i].was);
        cr_assert(at != NULL, "case %zu", i);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - GOOD), GOOD,
                 bad[i].is, at + strlen(bad[i].was));
        cr_expect_eq(decode(text, &s, &e), -EINVAL, "case %zu", i);
        cr_expect(strstr(e.text, bad[i].named), "case %zu: %s", i, e.text);
        cr_expect_eq(s.epoch, 99, "case %zu: the output was touched", i);
    }
}

Test(vmspec, too_many_volumes_are_refused)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(GOOD);
    cJSON *list = cJSON_GetObjectItem(o, "volumes");
    struct vmspec s;
    while (cJSON_GetArraySize(list) <= VM_VOLUMES_MAX)
        cJSON_AddItemToArray(
            list, cJSON_Duplicate(cJSON_GetArrayItem(list, 0), true));
    cr_expect_eq(vmspec_decode(o, &s, NULL), -EINVAL);
}
