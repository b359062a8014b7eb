/* p_openstack - any OpenStack cloud, Rackspace Flex among them: Keystone v3,
 * Glance v2, Nova 2.1, Neutron and Cinder where the cloud has them.
 *
 * This file has the settings and what follows from them alone; p_openstack.h
 * is the map of the others.  OpenStack has no API for prices: they come from
 * the settings, and say so.  It has no spot market either. */
#include "provider/p_openstack.h"

#include "provider/settings.h"

#include <time.h>

#define NOVA_USER_DATA 65535 /* bytes, in base64 */
enum { USER_DATA_MAX = NOVA_USER_DATA / 4 * 3, RETRY_MS = 500 };

static const struct provider_field fields[] = {
    { "auth_url", "Keystone's URL, as in clouds.yaml (https://…/v3)", true,
      false },
    { "username", "user; with 'password'", false, false },
    { "password", "password of 'username'", false, true },
    { "user_domain", "domain of the user (default: Default)", false, false },
    { "project_name", "project; with 'username'", false, false },
    { "project_domain", "domain of the project (default: Default)", false,
      false },
    { "application_credential_id",
      "id of an application credential, instead of user and project", false,
      false },
    { "application_credential_secret", "its secret", false, true },
    { "region",
      "region, or several separated by commas (default: all of the cloud)",
      false, false },
    { "interface",
      "endpoints to use: public, internal or admin (default: public)", false,
      false },
    { "network",
      "network of new instances: id, name, 'auto' or 'none' (default: auto); "
      "several separated by commas",
      false, false },
    { "external_network",
      "network to take a floating address from, id or name (default: no "
      "floating address)",
      false, false },
    { "flavor", "default type of instances", false, false },
    { "prices",
      "what types cost in USD an hour, as 'name=0.05, name=0.1': OpenStack "
      "does not tell",
      false, false },
    { "ca_file", "certificate authorities of the cloud, a PEM file", false,
      false },
    { "retry_ms", "first pause before a request is tried again, in ms (500)",
      false, false },
    { NULL, NULL, false, false },
};

#define AT(member) .at = offsetof(struct openstack, member), .max = 4000
static const struct setting settings[] = {
    { "auth_url", AT(auth_url), .trim = true },
    { "username", AT(username) },
    { "password", AT(password) },
    { "api_key", AT(api_key) },
    { "user_domain", AT(user_domain) },
    { "project_name", AT(project) },
    { "project_domain", AT(project_domain) },
    { "application_credential_id", AT(app_id) },
    { "application_credential_secret", AT(app_secret) },
    { "region", AT(region) },
    { "interface", AT(interface) },
    { "network", AT(network) },
    { "external_network", AT(external_network) },
    { "flavor", AT(flavor) },
    { "prices", AT(prices) },
    { "ca_file", AT(ca_file) },
    { "container", AT(container) },
    { 0 },
};
#undef AT

void os_close(struct provider *up)
{
    struct openstack *o = (struct openstack *)up;
    if (!o)
        return;
    os_forget_token(o);
    settings_clear(settings, o);
    web_free(o->web);
    free(o);
}
SC_CLEANUP(struct provider, os_close)

static int check_settings(const struct openstack *o, const char *name,
                          struct sc_err *err)
{
    if (o->classic)
        return 0;
    bool user = o->username || o->password, app = o->app_id || o->app_secret;
    if (user == app)
        return sc_fail(err, -EINVAL,
                       "provider '%s': give either 'username' and 'password', "
                       "or an application credential",
                       name);
    if (user && (!o->username || !o->password || !o->project))
        return sc_fail(err, -EINVAL,
                       "provider '%s': '%s' is missing: with a user it takes "
                       "username, password and project_name",
                       name,
                       !o->username   ? "username"
                       : !o->password ? "password"
                                      : "project_name");
    if (app && (!o->app_id || !o->app_secret))
        return sc_fail(err, -EINVAL,
                       "provider '%s': 'application_credential_%s' is missing",
                       name, o->app_id ? "secret" : "id");
    if (o->interface && strcmp(o->interface, "public") != 0 &&
        strcmp(o->interface, "internal") != 0 &&
        strcmp(o->interface, "admin") != 0)
        return sc_fail(err, -EINVAL,
                       "provider '%s': interface '%.60s': must be public, "
                       "internal or admin",
                       name, o->interface);
    return 0;
}

int os_open(const struct provider_class *class, const cJSON *config,
            struct provider **ret, struct sc_err *err)
{
    struct openstack *o = calloc(1, sizeof *o);
    if (!o)
        return sc_fail(err, -ENOMEM, "out of memory");
    SC_AUTO(os_close) struct provider *up = &o->up;
    o->classic = class == &p_rackspace_classic_class;
    char what[64];
    snprintf(what, sizeof what, "provider '%s'", class->name);
    struct json_reader r = json_read(config, what);
    int e = settings_read(settings, &r, o, err);
    if (e < 0)
        return e;
    o->retry_ms = (unsigned)json_int_or(&r, "retry_ms", 1, 60000, RETRY_MS);
    if (json_done(&r, err) < 0)
        return -EINVAL;
    if ((e = check_settings(o, class->name, err)) < 0)
        return e;
    /* A URL without its version is common. */
    const char *last = o->auth_url ? strrchr(o->auth_url, '/') : NULL;
    if (last && !o->classic && strcmp(last, "/v3") != 0) {
        char *longer;
        if (asprintf(&longer, "%s/v3", o->auth_url) < 0)
            return sc_fail(err, -ENOMEM, "out of memory");
        free(o->auth_url);
        o->auth_url = longer;
    }
    struct web_options w = { .ca_file = o->ca_file, .retry_ms = o->retry_ms };
    if ((e = settings_web(up, w, &o->web, err)) < 0)
        return e;
    *ret = SC_TAKE(up);
    return 0;
}

static int openstack_open(const cJSON *config, struct provider **ret,
                          struct sc_err *err)
{
    return os_open(&p_openstack_class, config, ret, err);
}

int os_check(struct provider *up, char **ret, struct sc_err *err)
{
    struct openstack *o = (struct openstack *)up;
    const char *region = NULL;
    int r = os_login(o, err);
    if (r == 0)
        r = os_region(o, NULL, &region, err);
    if (r < 0)
        return r;
    if (!os_endpoint(o, "image", region))
        return sc_fail(err, -ENOENT,
                       "%s: region '%s' has no image service in the catalog",
                       up->class->name, region);
    return asprintf(ret, "user %s, project %s (%s)", o->user_name,
                    o->project_name, o->project_id) < 0
               ? sc_fail(err, -ENOMEM, "out of memory")
               : 0;
}

/* The 'i'th of a list separated by commas; false: there are fewer. */
static bool nth_of(const char *list, size_t i, char ret[64])
{
    for (const char *p = list; p; p = *p ? p + 1 : NULL) {
        p += strspn(p, " ");
        size_t len = strcspn(p, ",");
        size_t trimmed = len;
        while (trimmed && p[trimmed - 1] == ' ')
            trimmed--;
        if (trimmed && trimmed < 64 && i-- == 0) {
            memcpy(ret, p, trimmed);
            ret[trimmed] = '\0';
            return true;
        }
        p += len;
    }
    return false;
}

/* The 'i'th region of the catalog that has servers; NULL: there are fewer. */
static const char *catalog_region(const struct openstack *o, size_t i)
{
    for (size_t k = 0; k < o->n_endpoints; k++) {
        const struct os_endpoint *e = &o->endpoints[k];
        bool seen = strcmp(e->type, "compute") != 0 ||
                    !os_endpoint(o, "compute", e->region);
        for (size_t j = 0; !seen && j < k; j++)
            seen = !strcmp(o->endpoints[j].type, "compute") &&
                   !strcmp(o->endpoints[j].region, e->region);
        if (!seen && i-- == 0)
            return e->region;
    }
    return NULL;
}

int os_regions(struct provider *up, provider_each_region_fn *fn, void *arg,
               struct sc_err *err)
{
    struct openstack *o = (struct openstack *)up;
    int r = os_login(o, err);
    const char *name;
    for (size_t i = 0; r == 0 && (name = catalog_region(o, i)); i++)
        r = fn(arg, name);
    return r;
}

/* 'name' as the catalog has it. */
static int find_region(struct openstack *o, const char *name, const char **ret,
                       struct sc_err *err)
{
    char there[200] = "";
    const char *r;
    for (size_t i = 0; (r = catalog_region(o, i)); i++) {
        if (!strcasecmp(r, name)) {
            *ret = r;
            return 0;
        }
        size_t len = strlen(there);
        snprintf(there + len, sizeof there - len, "%s%s", len ? ", " : "", r);
    }
    return sc_fail(err, -ENOENT,
                   "%s: region '%s': the cloud has no such region with "
                   "servers; there are: %s",
                   o->up.class->name, name, there);
}

int os_region(struct openstack *o, const char *asked, const char **ret,
              struct sc_err *err)
{
    int r = os_login(o, err);
    if (r < 0)
        return r;
    char name[64];
    if (asked || nth_of(o->region, 0, name))
        return find_region(o, asked ? asked : name, ret, err);
    *ret = catalog_region(o, 0);
    return *ret ? 0
                : sc_fail(err, -ENOENT,
                          "%s: the catalog has no compute service of "
                          "interface '%s'",
                          o->up.class->name,
                          o->interface ? o->interface : "public");
}

int os_each_region(struct openstack *o, const char *asked,
                   provider_each_region_fn *fn, void *arg, struct sc_err *err)
{
    const char *region = NULL;
    int r = os_region(o, asked, &region, err);
    if (r < 0 || !region || asked)
        return r < 0 || !region ? r : fn(arg, region);
    if (!o->region)
        return os_regions(&o->up, fn, arg, err);
    char name[64];
    for (size_t i = 0; r == 0 && nth_of(o->region, i, name); i++) {
        r = find_region(o, name, &region, err);
        if (r == 0)
            r = fn(arg, region);
    }
    return r;
}

int os_prices(struct provider *up, const char *region, const char *type,
              provider_each_price_fn *fn, void *arg, struct sc_err *err)
{
    struct openstack *o = (struct openstack *)up;
    char one[64];
    const char *name = region ? region : "";
    int r = 0;
    if (!region && o->region && nth_of(o->region, 0, one))
        name = one;
    char entry[64];
    for (size_t i = 0; r == 0 && nth_of(o->prices, i, entry); i++) {
        char *is = strchr(entry, '='), *end = NULL;
        size_t len = is ? (size_t)(is - entry) : 0;
        while (len && entry[len - 1] == ' ')
            len--;
        double amount = is ? strtod(is + 1, &end) : -1;
        if (!len || end == is + 1 || *end || !(amount >= 0))
            return sc_fail(err, -EINVAL,
                           "%s: prices: '%s' is not like m1.small=0.05",
                           up->class->name, entry);
        entry[len] = '\0';
        if (type && strcmp(type, entry) != 0)
            continue;
        struct provider_price p = { .type = entry,
                                    .region = (char *)name,
                                    .zone = (char *)"",
                                    .what = (char *)"on-demand",
                                    .unit = (char *)"hour",
                                    .amount = amount };
        r = fn(arg, &p);
    }
    return r;
}

uint64_t os_time(const char *text)
{
    struct tm t = { 0 };
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &t) : NULL;
    time_t at = end ? timegm(&t) : -1;
    return at > 0 ? (uint64_t)at * 1000 : 0;
}

static const char permissions[] =
    "The role 'member' on one project; best an application credential, with "
    "the access rules of docs/providers/openstack-access-rules.json: images "
    "(read, create, upload, delete), servers (read, create, delete, stop), "
    "flavors (read); and, where the cloud has them, security groups, floating "
    "addresses, networks and ports (read), volumes.";

const struct provider_class p_openstack_class = {
    .name = "openstack",
    .about = "OpenStack clouds, Rackspace Flex among them",
    .fields = fields,
    .user_data_max = USER_DATA_MAX,
    .image_format = "qcow2",
    .permissions = permissions,
    .open = openstack_open,
    .close = os_close,
    .check = os_check,
    .regions = os_regions,
    .publish = os_publish,
    .launch = os_launch,
    .list = os_server_list,
    .terminate = os_terminate,
    .fence = os_fence,
    .console = os_console,
    .types = os_types,
    .prices = os_prices,
    .leftovers = os_leftovers,
    .remove = os_remove,
};
