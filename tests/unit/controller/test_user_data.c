/* Tests of daemons/controller/user_data.c, and of cloud-init/examples, which
 * are its output.  SC_WRITE_EXAMPLES=1 writes them anew. */
#include "controller/user_data.h"

#include <criterion/criterion.h>

#define PIN "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#define TOKEN "sct1.3f0c9a2e.mR8yQ1s0vXkL5tBwZpAe2g." PIN

static const struct user_data_request node = {
    .role = USER_DATA_NODE,
    .provider = "ec2",
    .region = "us-east-1",
    .controller = "203.0.113.10:7443",
    .token = TOKEN,
};

static char *render(const struct user_data_request *q)
{
    char *text = NULL;
    struct sc_err err = { 0 };
    cr_assert_eq(user_data_render(q, &text, &err), 0, "%s", err.text);
    return text;
}

Test(user_data, a_node_gets_what_it_needs_and_nothing_that_was_not_given)
{
    SC_AUTO(free) char *text = render(&node);
    cr_expect_str_eq(text,
                     "#cloud-config\n"
                     "# A node of a Supercloud.  The token is a secret until "
                     "it has been used.\n"
                     "# EC2: Launch instance, Advanced details, User data "
                     "(16384 bytes).\n"
                     "# Metadata version: V2 only (token required).\n"
                     "supercloud:\n"
                     "  role: node\n"
                     "  controller: \"203.0.113.10:7443\"\n"
                     "  token: " TOKEN "\n"
                     "  region: us-east-1\n"
                     "  provider: ec2\n");
}

Test(user_data, the_driver_decides_on_notes_whatever_the_provider_is_called)
{
    struct user_data_request q = node;
    q.provider = "my-account";
    q.driver = "gce";
    SC_AUTO(free) char *text = render(&q);
    cr_expect(strstr(text, "# GCE:"), "%s", text);
    cr_expect(strstr(text, "  provider: my-account\n"), "%s", text);
    q.driver = "";
    SC_AUTO(free) char *unknown = render(&q);
    cr_expect_null(strstr(unknown, "GCE"));
}

static const struct {
    const char *name;
    struct user_data_request q;
    const char *says;
} wrong[] = {
    { "no controller", { .provider = "ec2", .token = TOKEN }, "'controller'" },
    { "no token", { .provider = "ec2", .controller = "a:1" }, "'token'" },
    { "a controller with a token",
      { .role = USER_DATA_CONTROLLER, .token = TOKEN },
      "'token'" },
    { "a node with a public name",
      { .controller = "a:1", .token = TOKEN, .console_name = "c.example.org" },
      "'console_name'" },
    { "an e-mail without a name",
      { .role = USER_DATA_CONTROLLER, .acme_email = "me@example.org" },
      "'acme_email'" },
    { "a public name of one label",
      { .role = USER_DATA_CONTROLLER, .console_name = "localhost" },
      "like cloud.example.org" },
    { "a public name with an empty label",
      { .role = USER_DATA_CONTROLLER, .console_name = "a..example.org" },
      "'console_name'" },
    { "a public name whose label ends in a hyphen",
      { .role = USER_DATA_CONTROLLER, .console_name = "a-.example.org" },
      "'console_name'" },
    { "a public name in capitals",
      { .role = USER_DATA_CONTROLLER, .console_name = "Cloud.example.org" },
      "in lower case" },
    { "an e-mail that is none",
      { .role = USER_DATA_CONTROLLER,
        .console_name = "c.example.org",
        .acme_email = "me" },
      "like you@example.org" },
    { "an ACME directory without TLS",
      { .role = USER_DATA_CONTROLLER,
        .console_name = "c.example.org",
        .acme_directory = "http://acme.example.org/dir" },
      "'acme_directory'" },
    { "a region that is none",
      { .controller = "a:1", .token = TOKEN, .region = "us east" },
      "'region'" },
    { "a line break in a value",
      { .controller = "a:1\n  x: y", .token = TOKEN },
      "'controller'" },
    { "an unknown hypervisor",
      { .controller = "a:1", .token = TOKEN, .hypervisor = "vmware" },
      "'hypervisor'" },
    { "Xen at Azure",
      { .controller = "a:1",
        .token = TOKEN,
        .driver = "azure",
        .hypervisor = "xen" },
      "Azure" },
    { "terraform for this machine",
      { .format = USER_DATA_TERRAFORM,
        .provider = "local",
        .controller = "a:1",
        .token = TOKEN },
      "'local'" },
};

Test(user_data, what_an_instance_would_refuse_is_refused_here_by_name)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(wrong); i++) {
        struct sc_err err = { 0 };
        char *text = NULL;
        cr_expect_eq(user_data_render(&wrong[i].q, &text, &err), -EINVAL,
                     "case '%s'", wrong[i].name);
        cr_expect(strstr(err.text, wrong[i].says), "case '%s': %s",
                  wrong[i].name, err.text);
        cr_expect_null(strstr(err.text, "mR8yQ1s0vXkL5tBwZpAe2g"));
        cr_expect_null(text);
    }
}

static const struct {
    const char *in, *out; /* out NULL: refused. */
} scalars[] = {
    { "node-1", "node-1" },
    { "RegionOne", "RegionOne" },
    { "cloud.example.org:7443", "cloud.example.org:7443" },
    { "https://acme.example/dir", "https://acme.example/dir" },
    { "", "\"\"" },
    { "yes", "\"yes\"" },
    { "NULL", "\"NULL\"" },
    { "on", "\"on\"" },
    { "1e3", "\"1e3\"" },
    { "0x10", "\"0x10\"" },
    { "12:30", "\"12:30\"" },
    { "2026-11-27", "\"2026-11-27\"" },
    { "a: b", "\"a: b\"" },
    { "a:", "\"a:\"" },
    { "a #b", "\"a #b\"" },
    { "say \"hi\" \\ me", "\"say \\\"hi\\\" \\\\ me\"" },
    { "{{ x }}", "\"{{ x }}\"" },
    { "*a", "\"*a\"" },
    { "a\nb", NULL },
    { "a\x7f", NULL },
    { "\xc3\xbc", NULL },
};

Test(user_data, a_value_can_only_be_read_as_the_text_it_is)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(scalars); i++) {
        SC_AUTO(free) char *out = user_data_yaml(scalars[i].in);
        if (scalars[i].out)
            cr_expect(out && !strcmp(out, scalars[i].out), "'%s' gives %s",
                      scalars[i].in, out ? out : "(none)");
        else
            cr_expect_null(out, "'%s' gives %s", scalars[i].in, out);
    }
}

Test(user_data, limits_are_in_bytes_before_base64)
{
    static const struct {
        const char *driver;
        size_t limit;
    } limits[] = { { "ec2", 16384 },       { "gce", 262144 },
                   { "azure", 65535 },     { "openstack", 49149 },
                   { "rackspace", 49149 }, { "rackspace-classic", 49149 },
                   { "local", 0 },         { "elsewhere", 0 } };
    for (size_t i = 0; i < SC_ARRAY_LEN(limits); i++)
        cr_expect_eq(user_data_limit(limits[i].driver), limits[i].limit, "%s",
                     limits[i].driver);
    cr_expect_eq(user_data_limit(NULL), 0);
}

Test(user_data, too_large_is_refused_with_both_sizes)
{
    struct user_data_request q = node;
    struct sc_err err = { 0 };
    char *text = NULL, big[17001];
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    q.token = big;
    cr_expect_eq(user_data_render(&q, &text, &err), -EFBIG);
    cr_expect(strstr(err.text, "16384"), "%s", err.text);
    cr_expect(strstr(err.text, "17"), "%s", err.text);
    q.provider = "gce"; /* Has room. */
    size_t size = 0;
    cr_expect_eq(user_data_size(&q, &size, &err), 0, "%s", err.text);
    cr_expect_gt(size, sizeof big);
}

Test(user_data, terraform_counts_the_cloud_config_and_keeps_its_templates_out)
{
    struct user_data_request q = node, t;
    q.controller = "${x}.example.org:7443";
    t = q;
    t.format = USER_DATA_TERRAFORM;
    SC_AUTO(free) char *config = render(&q);
    SC_AUTO(free) char *hcl = render(&t);
    size_t a = 0, b = 0;
    cr_expect_eq(user_data_size(&q, &a, NULL), 0);
    cr_expect_eq(user_data_size(&t, &b, NULL), 0);
    cr_expect_eq(a, strlen(config));
    cr_expect_eq(a, b);
    cr_expect(strstr(config, "\"${x}.example.org:7443\""), "%s", config);
    cr_expect(strstr(hcl, "\"$${x}.example.org:7443\""), "%s", hcl);
    cr_expect(strstr(hcl, "user_data = <<SUPERCLOUD\n#cloud-config\n"), "%s",
              hcl);
}

Test(user_data, roles_and_formats_by_name)
{
    enum user_data_role role;
    enum user_data_format format;
    struct sc_err err;
    cr_expect_eq(user_data_role_parse(NULL, &role, &err), 0);
    cr_expect_eq(role, USER_DATA_NODE);
    cr_expect_eq(user_data_role_parse("controller", &role, &err), 0);
    cr_expect_eq(role, USER_DATA_CONTROLLER);
    cr_expect_eq(user_data_role_parse("king", &role, &err), -EINVAL);
    cr_expect_eq(user_data_format_parse("", &format, &err), 0);
    cr_expect_eq(format, USER_DATA_CLOUD_CONFIG);
    cr_expect_eq(user_data_format_parse("terraform", &format, &err), 0);
    cr_expect_eq(format, USER_DATA_TERRAFORM);
    cr_expect_eq(user_data_format_parse("pulumi", &format, &err), -EINVAL);
    cr_expect(strstr(err.text, "terraform"));
}

/* --- the examples --------------------------------------------------------- */

static const struct {
    const char *driver, *region, *address;
    bool terraform;
} places[] = {
    { "ec2", "us-east-1", NULL, true },
    { "gce", "europe-west1", NULL, true },
    { "azure", "westeurope", NULL, true },
    { "openstack", "RegionOne", NULL, true },
    { "rackspace", "SJC3", NULL, true },
    { "rackspace-classic", "IAD", NULL, false },
    { "local", "us-east", "10.200.0.1", false },
};

static struct user_data_request example(size_t i, enum user_data_role role)
{
    struct user_data_request q = {
        .role = role,
        .provider = places[i].driver,
        .region = places[i].region,
    };
    if (!strcmp(q.provider, "azure"))
        q.hypervisor = "qemu";
    if (role == USER_DATA_NODE) {
        q.controller = "cloud.example.org:7443";
        q.token = TOKEN;
    } else if (places[i].address) {
        q.address = places[i].address;
    } else {
        q.console_name = "cloud.example.org";
        q.acme_email = "owner@example.org";
    }
    return q;
}

static void check_example(const char *path, const char *text)
{
    SC_AUTO(free) char *was = calloc(1, 16384);
    SC_AUTO(fclose) FILE *f = NULL;
    if (getenv("SC_WRITE_EXAMPLES")) {
        f = fopen(path, "w");
        cr_assert(f && fputs(text, f) >= 0, "%s", path);
        return;
    }
    f = fopen(path, "r");
    cr_assert(f, "%s is missing: SC_WRITE_EXAMPLES=1 makes it", path);
    cr_assert_geq(fread(was, 1, 16383, f), 1, "%s", path);
    cr_expect_str_eq(was, text, "%s is not what is rendered", path);
}

Test(user_data, the_examples_are_what_is_rendered)
{
    const char *top = getenv("SC_TOP");
    for (size_t i = 0; i < SC_ARRAY_LEN(places); i++) {
        for (int role = USER_DATA_NODE; role <= USER_DATA_CONTROLLER; role++) {
            struct user_data_request q = example(i, role);
            char path[512];
            for (int f = 0; f < (places[i].terraform ? 2 : 1); f++) {
                q.format = f ? USER_DATA_TERRAFORM : USER_DATA_CLOUD_CONFIG;
                SC_AUTO(free) char *text = render(&q);
                snprintf(path, sizeof path, "%s/cloud-init/examples/%s-%s.%s",
                         top ? top : ".", places[i].driver,
                         role == USER_DATA_NODE ? "node" : "controller",
                         f ? "tf" : "yaml");
                check_example(path, text);
            }
        }
    }
}
