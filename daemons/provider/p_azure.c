/* p_azure - the driver of Microsoft Azure; its parts: p_azure.h.
 *
 * A credential is an application (service principal) with a client secret. */
#include "provider/p_azure.h"

enum { TIMEOUT_MS = 120000 };

static const struct provider_field fields[] = {
    { "tenant_id", "directory (tenant) id", true, false },
    { "client_id", "application (client) id", true, false },
    { "client_secret", "a secret of that application", true, true },
    { "subscription_id", "subscription id", true, false },
    { "resource_group", "resource group to make everything in; must be there",
      true, false },
    { "location",
      "locations to use, comma separated, the first by default: "
      "westeurope,eastus",
      false, false },
    { "ca_file", "authorities to trust instead of the system's", false, false },
    { "management_endpoint", "default https://management.azure.com", false,
      false },
    { "login_endpoint", "default https://login.microsoftonline.com", false,
      false },
    { "prices_endpoint", "default https://prices.azure.com", false, false },
    { NULL, NULL, false, false },
};

#define AT(member) .at = offsetof(struct p_azure, member)
static const struct setting settings[] = {
    { "tenant_id", AT(tenant), "" },
    { "client_id", AT(client), "" },
    { "client_secret", AT(secret), "" },
    { "subscription_id", AT(subscription), "" },
    { "resource_group", AT(group), "" },
    { "location", AT(location) },
    { "ca_file", AT(ca_file) },
    { "management_endpoint", AT(management), "https://management.azure.com",
      .trim = true },
    { "login_endpoint", AT(login), "https://login.microsoftonline.com",
      .trim = true },
    { "prices_endpoint", AT(prices), "https://prices.azure.com", .trim = true },
    { 0 },
};
#undef AT

static void p_azure_free(struct p_azure *p)
{
    if (!p)
        return;
    rest_clear(&p->rest);
    web_free(p->web);
    settings_clear(settings, p);
    free(p);
}
SC_CLEANUP(struct p_azure, p_azure_free)

static void azure_close(struct provider *up)
{
    p_azure_free((struct p_azure *)up);
}

/* These become parts of URLs. */
static int check_part(const char *name, const char *text, struct sc_err *err)
{
    if (*text && !strpbrk(text, "/?#%& ") && strlen(text) <= 90)
        return 0;
    return sc_fail(err, -EINVAL, "provider 'azure': %s '%.90s': not one", name,
                   text);
}

static int azure_open(const cJSON *config, struct provider **ret,
                      struct sc_err *err)
{
    SC_AUTO(p_azure_free) struct p_azure *p = calloc(1, sizeof *p);
    if (!p)
        return sc_fail(err, -ENOMEM, "provider 'azure': out of memory");
    p->up.class = &p_azure_class;
    struct json_reader reader = json_read(config, "provider 'azure'");
    int r = settings_read(settings, &reader, p, err);
    if (r == 0)
        r = json_done(&reader, err);
    if (r == 0)
        r = check_part("tenant_id", p->tenant, err);
    if (r == 0)
        r = check_part("subscription_id", p->subscription, err);
    if (r == 0)
        r = check_part("resource_group", p->group, err);
    if (r < 0)
        return r;
    const struct web_options o = { .ca_file = p->ca_file,
                                   .timeout_ms = TIMEOUT_MS };
    r = settings_web(&p->up, o, &p->web, err);
    if (r < 0)
        return r;
    p->rest = (struct rest){ .who = "azure",
                             .web = p->web,
                             .words = azure_words,
                             .login = azure_login,
                             .arg = p };
    *ret = &SC_TAKE(p)->up;
    return 0;
}

static int azure_check(struct provider *up, char **ret, struct sc_err *err)
{
    struct p_azure *p = (struct p_azure *)up;
    char url[AZURE_URL_MAX];
    struct rest_answer a = { 0 };
    snprintf(url, sizeof url,
             "%s/subscriptions/%s/resourcegroups/%s?api-version=2021-04-01",
             p->management, p->subscription, p->group);
    int r = rest_do(&p->rest,
                    &(struct rest_request){
                        .method = "GET", .url = url, .what = "resource group" },
                    &a, err);
    if (r == 0 && asprintf(ret,
                           "application %s, subscription %s, resource group %s "
                           "(%s)",
                           p->client, p->subscription, p->group,
                           rest_str(a.json, "location")) < 0)
        r = sc_fail(err, -ENOMEM, "azure: out of memory");
    rest_answer_clear(&a);
    return r;
}

struct regions {
    const struct p_azure *p;
    provider_each_region_fn *fn;
    void *arg;
};

static int on_location(void *arg, const cJSON *item, struct sc_err *err)
{
    const struct regions *s = arg;
    const char *name = rest_str(item, "name");
    const char *kind = rest_str(item, "metadata.regionType");
    (void)err;
    if ((*kind && strcmp(kind, "Physical") != 0) ||
        !settings_listed(s->p->location, name))
        return 0;
    return s->fn(s->arg, name);
}

static int azure_regions(struct provider *up, provider_each_region_fn *fn,
                         void *arg, struct sc_err *err)
{
    struct p_azure *p = (struct p_azure *)up;
    struct regions s = { p, fn, arg };
    char url[AZURE_URL_MAX];
    snprintf(url, sizeof url, "%s/subscriptions/%s/locations?api-version=%s",
             p->management, p->subscription, "2021-04-01");
    return azure_pages(p, url, "value", "nextLink", false, "locations",
                       on_location, &s, err);
}

const struct provider_class p_azure_class = {
    .name = "azure",
    .about = "Microsoft Azure (no Xen there: KVM on types with nested "
             "virtualisation)",
    .fields = fields,
    .user_data_max = 65535, /* customData, before base64. */
    .image_format = "vhd",
    .permissions =
        "the custom role of docs/providers/azure-role.json on the resource "
        "group (machines, disks, images, interfaces, addresses, networks, "
        "security groups); Reader of SKUs and locations on the subscription",
    .open = azure_open,
    .close = azure_close,
    .check = azure_check,
    .regions = azure_regions,
    .publish = azure_publish,
    .launch = azure_launch,
    .list = azure_list,
    .terminate = azure_terminate,
    .fence = azure_fence,
    .console = azure_console,
    .types = azure_types,
    .prices = azure_prices,
    .leftovers = azure_leftovers,
    .remove = azure_remove,
};
