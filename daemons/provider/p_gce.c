/* p_gce - the driver of Google Compute Engine; its parts: p_gce.h.
 *
 * A credential is a service account's JSON key.  Names of instances are unique
 * in the project as far as we make them. */
#include "provider/p_gce.h"

enum { TIMEOUT_MS = 120000 };

static const struct provider_field fields[] = {
    { "service_account",
      "the JSON key of a service account, as Google's console gives it", true,
      true },
    { "project", "project id; left out: the key's own", false, false },
    { "region",
      "regions to use, comma separated, the first by default: "
      "europe-west1,us-central1",
      false, false },
    { "bucket", "Cloud Storage bucket that images are uploaded through", false,
      false },
    { "api_key", "API key for the price catalog; left out: the account's token",
      false, true },
    { "ca_file", "authorities to trust instead of the system's", false, false },
    { "compute_endpoint", "default https://compute.googleapis.com/compute/v1",
      false, false },
    { "storage_endpoint", "default https://storage.googleapis.com", false,
      false },
    { "billing_endpoint", "default https://cloudbilling.googleapis.com/v1",
      false, false },
    { "token_endpoint", "default: the key's token_uri", false, false },
    { NULL, NULL, false, false },
};

#define AT(member) .at = offsetof(struct p_gce, member)
static const struct setting settings[] = {
    { "project", AT(project), .trim = true },
    { "region", AT(region) },
    { "bucket", AT(bucket), .trim = true },
    { "api_key", AT(api_key) },
    { "ca_file", AT(ca_file) },
    { "compute_endpoint", AT(compute),
      "https://compute.googleapis.com/compute/v1", .trim = true },
    { "storage_endpoint", AT(storage), "https://storage.googleapis.com",
      .trim = true },
    { "billing_endpoint", AT(billing), "https://cloudbilling.googleapis.com/v1",
      .trim = true },
    { "token_endpoint", AT(login), .trim = true },
    { 0 },
};
#undef AT

static void p_gce_free(struct p_gce *p)
{
    if (!p)
        return;
    rest_clear(&p->rest);
    web_free(p->web);
    cJSON_Delete(p->account);
    settings_clear(settings, p);
    free(p);
}
SC_CLEANUP(struct p_gce, p_gce_free)

static void gce_close(struct provider *up)
{
    p_gce_free((struct p_gce *)up);
}

static int read_account(struct p_gce *p, const cJSON *config,
                        struct sc_err *err)
{
    static const char *const needed[] = { "client_email", "private_key",
                                          "token_uri" };
    const cJSON *a = rest_at(config, "service_account");
    p->account = cJSON_IsString(a) ? cJSON_Parse(a->valuestring)
                                   : cJSON_Duplicate(a, true);
    for (size_t i = 0; i < SC_ARRAY_LEN(needed); i++)
        if (!*rest_str(p->account, needed[i]))
            return sc_fail(err, -EINVAL,
                           "provider 'gce': service_account: no '%s' in it; "
                           "it must be the whole JSON file of a service "
                           "account's key",
                           needed[i]);
    return 0;
}

/* What the settings leave out. */
static int from_account(char **at, const cJSON *account, const char *name,
                        struct sc_err *err)
{
    if (!*at && !(*at = strdup(rest_str(account, name))))
        return sc_fail(err, -ENOMEM, "provider 'gce': out of memory");
    return 0;
}

static int gce_open(const cJSON *config, struct provider **ret,
                    struct sc_err *err)
{
    SC_AUTO(p_gce_free) struct p_gce *p = calloc(1, sizeof *p);
    if (!p)
        return sc_fail(err, -ENOMEM, "provider 'gce': out of memory");
    p->up.class = &p_gce_class;
    struct json_reader reader = json_read(config, "provider 'gce'");
    int r = read_account(p, config, err);
    if (r == 0)
        r = settings_read(settings, &reader, p, err);
    if (r == 0)
        r = json_done(&reader, err);
    if (r == 0)
        r = from_account(&p->project, p->account, "project_id", err);
    if (r == 0)
        r = from_account(&p->login, p->account, "token_uri", err);
    if (r == 0 && (!*p->project || strpbrk(p->project, "/?#% ")))
        r = sc_fail(err, -EINVAL,
                    "provider 'gce': project '%.64s': must be a project's id",
                    p->project);
    if (r < 0)
        return r;
    const struct web_options o = { .ca_file = p->ca_file,
                                   .timeout_ms = TIMEOUT_MS };
    r = settings_web(&p->up, o, &p->web, err);
    if (r < 0)
        return r;
    p->rest = (struct rest){ .who = "gce",
                             .web = p->web,
                             .words = gce_words,
                             .login = gce_login,
                             .arg = p };
    *ret = &SC_TAKE(p)->up;
    return 0;
}

static int gce_check(struct provider *up, char **ret, struct sc_err *err)
{
    struct p_gce *p = (struct p_gce *)up;
    struct rest_answer a = { 0 };
    int r = gce_call(p, "GET", NULL, &a, err, "project", "%s", "");
    if (r == 0 &&
        asprintf(ret, "service account %s, project %s",
                 rest_str(p->account, "client_email"), p->project) < 0)
        r = sc_fail(err, -ENOMEM, "gce: out of memory");
    rest_answer_clear(&a);
    return r;
}

struct regions {
    const struct p_gce *p;
    provider_each_region_fn *fn;
    void *arg;
};

static int on_region(void *arg, const cJSON *item, struct sc_err *err)
{
    const struct regions *s = arg;
    const char *name = rest_str(item, "name");
    (void)err;
    if (strcmp(rest_str(item, "status"), "UP") != 0 ||
        !settings_listed(s->p->region, name))
        return 0;
    return s->fn(s->arg, name);
}

static int gce_regions(struct provider *up, provider_each_region_fn *fn,
                       void *arg, struct sc_err *err)
{
    struct p_gce *p = (struct p_gce *)up;
    struct regions s = { p, fn, arg };
    char url[GCE_URL_MAX];
    snprintf(url, sizeof url, "%s/projects/%s/regions?maxResults=500",
             p->compute, p->project);
    return gce_pages(p, url, "items", false, "regions", on_region, &s, err);
}

struct zones {
    const char *region;
    cJSON *names;
};

static int on_zone(void *arg, const cJSON *zone, struct sc_err *err)
{
    const struct zones *s = arg;
    const char *name = rest_str(zone, "name");
    if (!gce_name_ok(name) || strcmp(rest_str(zone, "status"), "UP") != 0 ||
        strcmp(rest_base(rest_str(zone, "region")), s->region) != 0)
        return 0;
    return cJSON_AddItemToArray(s->names, cJSON_CreateString(name))
               ? 0
               : sc_fail(err, -ENOMEM, "gce: out of memory");
}

int gce_zones(struct p_gce *p, const char *region, cJSON **ret,
              struct sc_err *err)
{
    char url[GCE_URL_MAX];
    SC_AUTO(cjson_free) cJSON *names = cJSON_CreateArray();
    struct zones s = { region, names };
    snprintf(url, sizeof url, "%s/projects/%s/zones?maxResults=500", p->compute,
             p->project);
    int r = gce_pages(p, url, "items", false, "zones", on_zone, &s, err);
    if (r == 0 && !cJSON_GetArraySize(names))
        r = sc_fail(err, -ENOENT,
                    "gce: region '%s': there is no such region, or none of its "
                    "zones is up; regions can be listed",
                    region);
    if (r == 0)
        *ret = SC_TAKE(names);
    return r;
}

struct types {
    provider_each_type_fn *fn;
    void *arg;
    cJSON *seen; /* Names already given. */
};

static int on_type(void *arg, const cJSON *item, struct sc_err *err)
{
    struct types *s = arg;
    const char *name = rest_str(item, "name");
    if (cJSON_GetObjectItemCaseSensitive(s->seen, name) ||
        rest_at(item, "deprecated"))
        return 0;
    if (!cJSON_AddTrueToObject(s->seen, name))
        return sc_fail(err, -ENOMEM, "gce: out of memory");
    bool arm = !strcmp(rest_str(item, "architecture"), "ARM64");
    struct provider_type t = {
        .name = (char *)name,
        .vcpus = (unsigned)rest_num(item, "guestCpus"),
        .memory_mib = (unsigned)rest_num(item, "memoryMb"),
        .nested_virtualisation = gce_nested(name) && !arm,
        .xen = gce_xen(name) && !arm,
    };
    return s->fn(s->arg, &t);
}

int gce_types(struct provider *up, const char *region,
              provider_each_type_fn *fn, void *arg, struct sc_err *err)
{
    struct p_gce *p = (struct p_gce *)up;
    char where[64], url[GCE_URL_MAX];
    SC_AUTO(cjson_free) cJSON *seen = cJSON_CreateObject();
    SC_AUTO(cjson_free) cJSON *zones = NULL;
    struct types s = { fn, arg, seen };
    int r = gce_region(p, region, where, err);
    if (r == 0)
        r = gce_zones(p, where, &zones, err);
    const cJSON *zone;
    cJSON_ArrayForEach(zone, zones) /* They do not all have the same. */
    {
        if (r)
            break;
        snprintf(url, sizeof url,
                 "%s/projects/%s/zones/%s/machineTypes?maxResults=500",
                 p->compute, p->project, zone->valuestring);
        r = gce_pages(p, url, "items", false, "types", on_type, &s, err);
    }
    return r;
}

const struct provider_class p_gce_class = {
    .name = "gce",
    .about = "Google Compute Engine",
    .fields = fields,
    .user_data_max = 262144, /* One metadata value. */
    .image_format = "tar.gz",
    .permissions =
        "the custom role of docs/providers/gce-role.yaml on the project "
        "(instances, disks, images, firewalls, their operations; zones, types "
        "and regions to read; serial port), Storage Object Admin on the bucket",
    .open = gce_open,
    .close = gce_close,
    .check = gce_check,
    .regions = gce_regions,
    .publish = gce_publish,
    .launch = gce_launch,
    .list = gce_list,
    .terminate = gce_terminate,
    .fence = gce_fence,
    .console = gce_console,
    .types = gce_types,
    .prices = gce_prices,
    .leftovers = gce_leftovers,
    .remove = gce_remove,
};
