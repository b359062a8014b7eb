/* fake_node - what nodes of the fake cluster are started with, and what they
 * report: user-data, probes, notices. */
#include "tests/lib/fake_providers.h"

#include "common/json.h"

#include <string.h>

/* One more line of user-data, if there is a value. */
static void add_line(cJSON *text, const char *key, const char *value)
{
    if (!*value)
        return;
    SC_AUTO(free) char *before = strdup(fake_str(text, "text"));
    if (before)
        fake_set_strf(text, "text", "%s  %s: %s\n", before, key, value);
}

/* "text" has the user-data; a region "huge-..." makes it too large for all. */
static void write_text(cJSON *text, const cJSON *p, const char *role,
                       const char *token)
{
    fake_set_strf(text, "text", "#cloud-config\nsupercloud:\n  role: %s\n",
                  role);
    if (*token)
        add_line(text, "controller", "10.200.0.1:7443");
    add_line(text, "token", token);
    add_line(text, "region", fake_str(p, "region"));
    add_line(text, "provider", fake_str(p, "provider"));
    add_line(text, "name", fake_str(p, "name"));
    add_line(text, "hypervisor", fake_str(p, "hypervisor"));
    add_line(text, "console_name", fake_str(p, "console_name"));
    add_line(text, "acme_email", fake_str(p, "acme_email"));
    add_line(text, "acme_directory", fake_str(p, "acme_directory"));
    if (strncmp(fake_str(p, "region"), "huge-", 5) != 0)
        return;
    SC_AUTO(free) char *pad = calloc(1, 2 << 20);
    if (pad)
        add_line(text, "pad", memset(pad, '#', (2 << 20) - 1));
}

static int user_data_read(const cJSON *p, const char **ret_role,
                          bool *ret_terraform, struct sc_err *err)
{
    static const char *const keys[] = {
        "region",       "provider",   "name",           "ttl_s",
        "uses",         "role",       "format",         "hypervisor",
        "console_name", "acme_email", "acme_directory", NULL
    };
    struct json_reader in = json_read(p, "node.user_data");
    json_str(&in, "region", 1, 63);
    json_str(&in, "provider", 1, 63);
    json_str_or(&in, "name", 63, "");
    json_str_or(&in, "hypervisor", 16, "");
    json_str_or(&in, "console_name", 253, "");
    json_str_or(&in, "acme_email", 253, "");
    json_str_or(&in, "acme_directory", 1023, "");
    const char *role = json_str_or(&in, "role", 16, "node");
    const char *format = json_str_or(&in, "format", 16, "cloud-config");
    json_only(&in, keys);
    if (json_done(&in, err) < 0)
        return -EINVAL;
    *ret_role = role;
    *ret_terraform = strcmp(format, "terraform") == 0;
    if (!*ret_terraform && strcmp(format, "cloud-config") != 0)
        return sc_fail(err, -EINVAL,
                       "format: '%s' is not cloud-config or terraform", format);
    return 0;
}

int fake_op_user_data(struct fake_cluster *f, const struct api_caller *who,
                      const cJSON *p, int *status, cJSON **ret,
                      struct sc_err *err)
{
    const char *role, *provider = fake_str(p, "provider");
    bool terraform;
    SC_AUTO(cjson_free) cJSON *token = NULL;
    SC_AUTO(cjson_free) cJSON *text = cJSON_CreateObject();
    int r = user_data_read(p, &role, &terraform, err);
    if (r == 0 && strcmp(role, "node") == 0)
        r = fake_op_find("token.create")(f, who, p, status, &token, err);
    if (r < 0)
        return r;
    write_text(text, p, role, fake_str(token, "token"));
    size_t size = strlen(fake_str(text, "text"));
    const struct fake_driver *d = fake_driver_find(
        strcmp(provider, "rackspace") == 0 ? "openstack" : provider);
    if (d && (double)size > d->user_data_max) {
        cJSON *made = fake_find(f, FAKE_TOKENS, fake_str(token, "id"), NULL);
        if (made)
            fake_remove(f, FAKE_TOKENS, made);
        return sc_fail(err, -EFBIG,
                       "node.user_data: %zu bytes, but %s takes at most %.0f",
                       size, provider, d->user_data_max);
    }
    *ret = cJSON_CreateObject();
    fake_set_strf(*ret, "user_data", "%s%s%s",
                  terraform ? "locals {\n  supercloud_user_data = <<-EOT\n"
                            : "",
                  fake_str(text, "text"), terraform ? "EOT\n}\n" : "");
    fake_set_num(*ret, "size", (double)size);
    fake_set_num(*ret, "limit", d ? d->user_data_max : 0);
    cJSON_AddBoolToObject(*ret, "fits", true);
    if (token) {
        fake_set_str(*ret, "token_id", fake_str(token, "id"));
        fake_set_num(*ret, "expires_at", fake_num(token, "expires_at"));
    } else {
        fake_set_null(*ret, "token_id");
        fake_set_null(*ret, "expires_at");
    }
    *status = 201;
    return 0;
}

/* --- reports ----------------------------------------------------------------
 */

static void add_probe(cJSON *list, const char *name, bool ok, const char *value,
                      const char *why)
{
    cJSON *o = cJSON_CreateObject();
    fake_set_str(o, "name", name);
    cJSON_AddBoolToObject(o, "ok", ok);
    fake_set_str(o, "value", value);
    fake_set_str(o, "why", ok ? "" : why);
    cJSON_AddItemToArray(list, o);
}

void fake_probe(cJSON *node)
{
    const char *provider = fake_str(node, "provider");
    bool azure = strcmp(provider, "azure") == 0;
    bool far = strcmp(fake_str(node, "region"), "ap-northeast") == 0;
    if (azure) {
        cJSON *boot = cJSON_GetObjectItem(node, "boot");
        fake_set_str(boot, "mode", "plain");
        fake_set_str(node, "hypervisor", "qemu");
    }
    cJSON_DeleteItemFromObjectCaseSensitive(node, "probes");
    cJSON *list = cJSON_AddArrayToObject(node, "probes");
    add_probe(list, "cpuid-faulting", !far || azure,
              azure ? "CPUID cannot be made to fault; QEMU's guests do not "
                      "need it"
              : far ? "CPUID cannot be made to fault"
                    : "CPUID can be made to fault",
              "features cannot be hidden from the programs of guests: those "
              "that look for themselves may break when they move to an older "
              "processor; keep such nodes to one kind of machine");
    add_probe(list, "kvm", true,
              azure ? "runs an instruction"
                    : "/dev/kvm cannot be opened; the processor has neither "
                      "vmx nor svm; not needed under Xen",
              "");
    add_probe(list, "clock", true,
              "0.3 ms behind the controller's, give or take 0.2 ms", "");
    add_probe(list, "disk", true,
              "writes 187 MiB/s (64 MiB), a flush takes 0.9 ms (32)", "");
    add_probe(list, "nic", true,
              azure ? "hv_netvsc, 10000 Mbit/s" : "virtio_net, 10000 Mbit/s",
              "");
    add_probe(list, "mtu", true, "1500 to the controller", "");
    add_probe(list, "reachable", !far,
              far ? "7482/tcp: no answer" : "7480/tcp, 7482/tcp",
              "no VM can move here until port 7482/tcp is open in the "
              "provider's firewall");
    fake_set_num(node, "probed_at", (double)sc_wall_ms());
}

bool fake_revoked(const cJSON *node)
{
    const cJSON *notice = cJSON_GetObjectItem(node, "notice");
    return strcmp(fake_str(notice, "kind"), "revocation") == 0;
}
