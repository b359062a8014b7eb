/* user_data - see user_data.h.
 *
 * The cloud-config is written line by line into a memory stream; the terraform
 * form wraps that text in the argument its provider's resource takes.  Notes
 * are comments after the first line, which cloud-init wants to be its own. */
#include "controller/user_data.h"

#include "common/json.h"

#include <ctype.h>
#include <strings.h>

/* 65535 characters of base64: what Nova's database column takes. */
enum { NOVA_MAX = 65535 / 4 * 3 };

static const struct place {
    const char *driver;
    size_t limit;
    const char *where; /* To paste it by hand. */
    const char *note;  /* NULL: none. */
    /* Terraform: the resource, what precedes the text and what follows it. */
    const char *resource, *before, *after;
} places[] = {
    { "ec2", 16384,
      "EC2: Launch instance, Advanced details, User data (16384 bytes).",
      "Metadata version: V2 only (token required).", "aws_instance",
      "user_data = ", "" },
    { "gce", 262144,
      "GCE: Create instance, Advanced, Management, Metadata: key 'user-data'.",
      NULL, "google_compute_instance", "metadata = {\n  user-data = ", "}\n" },
    { "azure", 65535,
      "Azure: Create a virtual machine, Advanced, Custom data (65535 bytes).",
      "Xen cannot run at Azure: guests need KVM, so a size with nested "
      "virtualisation.",
      "azurerm_linux_virtual_machine", "custom_data = base64encode(", ")\n" },
    { "openstack", NOVA_MAX,
      "OpenStack: Launch instance, Configuration, Customization script.", NULL,
      "openstack_compute_instance_v2", "user_data = ", "" },
    { "rackspace", NOVA_MAX,
      "Rackspace: Launch instance, Configuration, Customization script.", NULL,
      "openstack_compute_instance_v2", "user_data = ", "" },
    { "rackspace-classic", NOVA_MAX,
      "Rackspace classic: user_data of the API's POST /servers, with "
      "config_drive.",
      NULL, NULL, NULL, NULL },
    { "local", 0, "QEMU here: a NoCloud seed's user-data.", NULL, NULL, NULL,
      NULL },
};

static bool given(const char *text)
{
    return text && *text;
}

static const struct place *place_find(const char *driver)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(places); i++)
        if (driver && !strcmp(places[i].driver, driver))
            return &places[i];
    return NULL;
}

static const char *driver_of(const struct user_data_request *q)
{
    return given(q->driver) ? q->driver : q->provider;
}

size_t user_data_limit(const char *driver)
{
    const struct place *p = place_find(driver);
    return p ? p->limit : 0;
}

int user_data_role_parse(const char *text, enum user_data_role *ret,
                         struct sc_err *err)
{
    if (!given(text) || !strcmp(text, "node"))
        *ret = USER_DATA_NODE;
    else if (!strcmp(text, "controller"))
        *ret = USER_DATA_CONTROLLER;
    else
        return sc_fail(err, -EINVAL,
                       "user-data: 'role' is '%.64s'; it must be node or "
                       "controller",
                       text);
    return 0;
}

int user_data_format_parse(const char *text, enum user_data_format *ret,
                           struct sc_err *err)
{
    if (!given(text) || !strcmp(text, "cloud-config"))
        *ret = USER_DATA_CLOUD_CONFIG;
    else if (!strcmp(text, "terraform"))
        *ret = USER_DATA_TERRAFORM;
    else
        return sc_fail(err, -EINVAL,
                       "user-data: 'format' is '%.64s'; it must be "
                       "cloud-config or terraform",
                       text);
    return 0;
}

/* --- values --------------------------------------------------------------- */

/* YAML 1.1, which cloud-init reads, takes these for something else. */
static bool is_reserved(const char *text)
{
    static const char *const words[] = { "y",   "n",    "yes",   "no",  "on",
                                         "off", "true", "false", "null" };
    for (size_t i = 0; i < SC_ARRAY_LEN(words); i++)
        if (!strcasecmp(text, words[i]))
            return true;
    return false;
}

static bool is_plain(const char *text)
{
    if (!isalpha((unsigned char)*text) || is_reserved(text))
        return false; /* A digit first may make a number, a date, a time. */
    for (const char *p = text; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._/@-", *p) &&
            !(*p == ':' && (isalnum((unsigned char)p[1]) || p[1] == '/')))
            return false;
    return true;
}

static bool is_printable(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p < ' ' || *p > '~')
            return false;
    return true;
}

char *user_data_yaml(const char *text)
{
    if (!is_printable(text))
        return NULL;
    if (is_plain(text))
        return strdup(text);
    char *out = malloc(2 * strlen(text) + 3), *p = out;
    if (!out)
        return NULL;
    *p++ = '"';
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            *p++ = '\\';
        *p++ = *text;
    }
    *p++ = '"';
    *p = '\0';
    return out;
}

/* --- checks --------------------------------------------------------------- */

static int check_name(const char *key, const char *value, struct sc_err *err)
{
    if (!given(value) || sc_name_ok(value))
        return 0;
    return sc_fail(err, -EINVAL,
                   "user-data: '%s' is '%.64s'; it must be 1 to 63 of a-z A-Z "
                   "0-9 . _ -, the first a letter or digit",
                   key, value);
}

/* A DNS name of two labels or more, in lower case: what the schema of the
 * user-data (cloud-init/schema-supercloud.json) takes. */
static bool is_dns_name(const char *text)
{
    size_t label = 0, dots = 0, len = strlen(text);
    if (len > 253)
        return false;
    for (size_t i = 0; i <= len; i++) {
        char c = text[i];
        if (c == '.' || !c) {
            if (label == 0 || label > 63 || text[i - 1] == '-')
                return false;
            dots += c == '.';
            label = 0;
        } else if (islower((unsigned char)c) || isdigit((unsigned char)c) ||
                   (c == '-' && label > 0)) {
            label++;
        } else {
            return false;
        }
    }
    return dots > 0;
}

static bool consists_of(const char *text, size_t len, const char *others)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr(others, text[i]))
            return false;
    return true;
}

static bool is_email(const char *text)
{
    size_t user = strcspn(text, "@"), host = 0;
    if (text[user])
        host = strlen(text + user + 1);
    return user >= 1 && user <= 64 && host >= 1 && host <= 253 &&
           consists_of(text, user, "._%+-") &&
           consists_of(text + user + 1, host, ".-");
}

static bool is_https(const char *text)
{
    size_t len = strlen(text);
    return len > 8 && len <= 508 && !strncmp(text, "https://", 8) &&
           strcspn(text, " ") == len && is_printable(text);
}

static int check_acme(const struct user_data_request *q, struct sc_err *err)
{
    const struct {
        const char *key, *value;
        bool (*ok)(const char *text);
        const char *want;
    } fields[] = {
        { "console_name", q->console_name, is_dns_name,
          "a DNS name in lower case, like cloud.example.org" },
        { "acme_email", q->acme_email, is_email,
          "an address like you@example.org" },
        { "acme_directory", q->acme_directory, is_https, "an https:// URL" },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(fields); i++)
        if (given(fields[i].value) && !fields[i].ok(fields[i].value))
            return sc_fail(err, -EINVAL,
                           "user-data: '%s' is '%.64s'; it must be %s",
                           fields[i].key, fields[i].value, fields[i].want);
    return 0;
}

static int check_role(const struct user_data_request *q, struct sc_err *err)
{
    bool node = q->role == USER_DATA_NODE;
    if (node && !given(q->controller))
        return sc_fail(err, -EINVAL, "user-data: a node needs 'controller'");
    if (node && !given(q->token))
        return sc_fail(err, -EINVAL, "user-data: a node needs 'token'");
    if (!node && (given(q->controller) || given(q->token)))
        return sc_fail(err, -EINVAL,
                       "user-data: 'controller' and 'token' are for a node");
    if (node && (given(q->console_name) || given(q->acme_email) ||
                 given(q->acme_directory)))
        return sc_fail(err, -EINVAL,
                       "user-data: 'console_name' and what belongs to it are "
                       "for a controller");
    if (!given(q->console_name) &&
        (given(q->acme_email) || given(q->acme_directory)))
        return sc_fail(err, -EINVAL,
                       "user-data: 'acme_email' and 'acme_directory' need "
                       "'console_name'");
    return check_acme(q, err);
}

static int check(const struct user_data_request *q, struct sc_err *err)
{
    static const char *const hypervisors[] = { "xen", "qemu" };
    const struct place *place = place_find(driver_of(q));
    bool known = !given(q->hypervisor);
    for (size_t i = 0; i < SC_ARRAY_LEN(hypervisors) && !known; i++)
        known = !strcmp(q->hypervisor, hypervisors[i]);
    if (!known)
        return sc_fail(err, -EINVAL,
                       "user-data: 'hypervisor' is '%.64s'; it must be xen or "
                       "qemu",
                       q->hypervisor);
    if (given(q->hypervisor) && place && !strcmp(place->driver, "azure") &&
        !strcmp(q->hypervisor, "xen"))
        return sc_fail(err, -EINVAL,
                       "user-data: 'hypervisor' xen cannot be at Azure, whose "
                       "devices Linux does not drive in a Xen dom0; take qemu");
    if (q->format == USER_DATA_TERRAFORM && (!place || !place->resource))
        return sc_fail(err, -EINVAL,
                       "user-data: 'format' terraform: no resource is known "
                       "for '%.64s'; there are ec2, gce, azure, openstack and "
                       "rackspace",
                       driver_of(q) ? driver_of(q) : "");
    int r = check_name("region", q->region, err);
    if (r == 0)
        r = check_name("provider", q->provider, err);
    if (r == 0)
        r = check_name("name", q->name, err);
    return r == 0 ? check_role(q, err) : r;
}

/* --- rendering ------------------------------------------------------------ */

static void write_notes(FILE *f, const struct user_data_request *q,
                        const struct place *place)
{
    fputs("#cloud-config\n", f);
    fputs(q->role == USER_DATA_NODE
              ? "# A node of a Supercloud.  The token is a secret until it has "
                "been used.\n"
              : "# A new Supercloud: this machine is its controller.  The "
                "dashboard's address\n# and the first password appear on the "
                "serial console.\n",
          f);
    if (!place)
        return;
    fprintf(f, "# %s\n", place->where);
    if (place->note)
        fprintf(f, "# %s\n", place->note);
}

static int write_config(FILE *f, const struct user_data_request *q,
                        struct sc_err *err)
{
    const struct {
        const char *key, *value;
    } lines[] = {
        { "role", q->role == USER_DATA_NODE ? "node" : "controller" },
        { "controller", q->controller },
        { "token", q->token },
        { "region", q->region },
        { "provider", q->provider },
        { "name", q->name },
        { "hypervisor", q->hypervisor },
        { "address", q->address },
        { "console_name", q->console_name },
        { "acme_email", q->acme_email },
        { "acme_directory", q->acme_directory },
    };
    write_notes(f, q, place_find(driver_of(q)));
    fputs("supercloud:\n", f);
    for (size_t i = 0; i < SC_ARRAY_LEN(lines); i++) {
        if (!given(lines[i].value))
            continue;
        if (!is_printable(lines[i].value))
            return sc_fail(err, -EINVAL,
                           "user-data: '%s' has characters other than "
                           "printable ASCII",
                           lines[i].key);
        SC_AUTO(free) char *value = user_data_yaml(lines[i].value);
        if (!value)
            return sc_fail(err, -ENOMEM, "user-data: out of memory");
        fprintf(f, "  %s: %s\n", lines[i].key, value);
    }
    return 0;
}

static int render_config(const struct user_data_request *q, char **ret,
                         size_t *ret_size, struct sc_err *err)
{
    SC_AUTO(free) char *text = NULL;
    size_t size = 0, limit = user_data_limit(driver_of(q));
    int r = check(q, err);
    if (r < 0)
        return r;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return sc_fail(err, -ENOMEM, "user-data: out of memory");
    r = write_config(f, q, err);
    if ((fclose(f) != 0 || !text) && r == 0)
        r = sc_fail(err, -ENOMEM, "user-data: out of memory");
    if (r < 0)
        return r;
    if (limit && size > limit)
        return sc_fail(err, -EFBIG,
                       "user-data: %zu bytes, and %s takes at most %zu", size,
                       driver_of(q), limit);
    *ret = SC_TAKE(text);
    *ret_size = size;
    return 0;
}

/* In a heredoc "${" and "%{" would begin a template. */
static void write_heredoc(FILE *f, const char *text)
{
    fputs("<<SUPERCLOUD\n", f);
    for (const char *p = text; *p; p++) {
        if ((*p == '$' || *p == '%') && p[1] == '{')
            fputc(*p, f);
        fputc(*p, f);
    }
    fputs("SUPERCLOUD\n", f);
}

static int render_terraform(const struct place *place, const char *config,
                            char **ret, struct sc_err *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return sc_fail(err, -ENOMEM, "user-data: out of memory");
    fprintf(f, "# In a resource \"%s\":\n%s", place->resource, place->before);
    write_heredoc(f, config);
    fputs(place->after, f);
    if (fclose(f) != 0 || !text) {
        free(text);
        return sc_fail(err, -ENOMEM, "user-data: out of memory");
    }
    *ret = text;
    return 0;
}

int user_data_render(const struct user_data_request *q, char **ret,
                     struct sc_err *err)
{
    SC_AUTO(free) char *config = NULL;
    size_t size;
    int r = render_config(q, &config, &size, err);
    if (r < 0 || !config)
        return r;
    if (q->format == USER_DATA_TERRAFORM)
        return render_terraform(place_find(driver_of(q)), config, ret, err);
    *ret = SC_TAKE(config);
    return 0;
}

int user_data_size(const struct user_data_request *q, size_t *ret,
                   struct sc_err *err)
{
    SC_AUTO(free) char *config = NULL;
    return render_config(q, &config, ret, err);
}
