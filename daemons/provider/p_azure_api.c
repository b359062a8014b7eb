/* p_azure_api - see p_azure.h: how the driver speaks to Azure.
 *
 * What changes something answers 200 or 204 when it is done at once, else with
 * the URL of an operation in Azure-AsyncOperation (its answers have a status)
 * or Location (202 until it is done).  Both are asked with our token, so they
 * must lie at the management's host; a next page's URL too. */
#include "provider/p_azure.h"

#include <strings.h>

enum { FIRST_PAUSE_MS = 100, LAST_PAUSE_MS = 10000, WAIT_MAX_MS = 2400000 };

#define ROLE                                                                   \
    "give the application the role of docs/providers/azure-role.json on the "  \
    "resource group (the words before name what is missing)"
#define CREDENTIAL                                                             \
    "correct tenant_id, client_id and client_secret; a secret that has "       \
    "expired is made anew under App registrations > Certificates & secrets"
#define QUOTA                                                                  \
    "ask for more under Subscriptions > Usage + quotas, or take another "      \
    "location or type"
#define CAPACITY                                                               \
    "take another type, zone or location, or on demand instead of spot"
#define LISTED "check the name; types and locations can be listed"

const struct rest_word azure_words[] = {
    { "invalid_client", -EACCES, CREDENTIAL },
    { "unauthorized_client", -EACCES, CREDENTIAL },
    { "invalid_request", -EACCES, CREDENTIAL },
    { "InvalidAuthenticationToken", -EACCES, CREDENTIAL },
    { "InvalidAuthenticationTokenTenant", -EACCES, CREDENTIAL },
    { "ExpiredAuthenticationToken", -EACCES, CREDENTIAL },
    { "AuthenticationFailed", -EACCES, CREDENTIAL },
    { "AuthorizationFailed", -EACCES, ROLE },
    { "LinkedAuthorizationFailed", -EACCES, ROLE },
    { "AuthorizationPermissionMismatch", -EACCES, ROLE },
    { "RequestDisallowedByPolicy", -EACCES,
      "a policy of the subscription forbids it: ask its owner" },
    { "ReadOnlyDisabledSubscription", -EACCES,
      "the subscription is disabled: see its payment" },
    { "SubscriptionNotRegistered", -EACCES,
      "register Microsoft.Compute and Microsoft.Network with the "
      "subscription" },
    { "MissingSubscriptionRegistration", -EACCES,
      "register Microsoft.Compute and Microsoft.Network with the "
      "subscription" },
    { "OperationNotAllowed", -EDQUOT, QUOTA },
    { "QuotaExceeded", -EDQUOT, QUOTA },
    { "ResourceQuotaExceeded", -EDQUOT, QUOTA },
    { "PublicIPCountLimitReached", -EDQUOT, QUOTA },
    { "SkuNotAvailable", -ENOSPC, CAPACITY },
    { "AllocationFailed", -ENOSPC, CAPACITY },
    { "ZonalAllocationFailed", -ENOSPC, CAPACITY },
    { "OverconstrainedAllocationRequest", -ENOSPC, CAPACITY },
    { "OverconstrainedZonalAllocationRequest", -ENOSPC, CAPACITY },
    { "ResourceGroupNotFound", -ENOENT,
      "make the resource group (az group create), or correct the settings" },
    { "SubscriptionNotFound", -ENOENT, "correct subscription_id" },
    { "ResourceNotFound", -ENOENT, LISTED },
    { "NotFound", -ENOENT, LISTED },
    { "ImageNotFound", -ENOENT, LISTED },
    { "LocationNotAvailableForResourceType", -ENOENT, LISTED },
    { "NoRegisteredProviderFound", -ENOENT, LISTED },
    { "InvalidResourceLocation", -EEXIST,
      "there is one of this name in another location: take another name" },
    { "PropertyChangeNotAllowed", -EEXIST, "take another name" },
    { "InUseSubnetCannotBeDeleted", -EBUSY, "remove what uses it before it" },
    { "TooManyRequests", -EAGAIN, "too many requests: try later" },
    { "RetryableError", -EAGAIN, NULL },
    { "AnotherOperationInProgress", -EAGAIN, NULL },
    { NULL, 0, NULL },
};

static const struct azure_type kinds[] = {
    [AZURE_VM] = { "instance", "Microsoft.Compute/virtualMachines",
                   "2022-08-01" },
    [AZURE_NIC] = { "nic", "Microsoft.Network/networkInterfaces",
                    "2022-07-01" },
    [AZURE_IP] = { "public-ip", "Microsoft.Network/publicIPAddresses",
                   "2022-07-01" },
    [AZURE_NSG] = { "security-group", "Microsoft.Network/networkSecurityGroups",
                    "2022-07-01" },
    [AZURE_DISK] = { "disk", "Microsoft.Compute/disks", "2022-07-02" },
    [AZURE_IMAGE] = { "image", "Microsoft.Compute/images", "2022-08-01" },
    [AZURE_VNET] = { "network", "Microsoft.Network/virtualNetworks",
                     "2022-07-01" },
};

const struct azure_type *azure_type(enum azure_kind kind)
{
    return &kinds[kind];
}

int azure_login(void *arg, char **ret, uint64_t *ret_until, struct sc_err *err)
{
    struct p_azure *p = arg;
    SC_AUTO(free) char *client = web_escape(p->client, false);
    SC_AUTO(free) char *secret = web_escape(p->secret, false);
    SC_AUTO(free) char *tenant = web_escape(p->tenant, false);
    SC_AUTO(free) char *form = NULL, *url = NULL;
    if (!client || !secret || !tenant ||
        asprintf(&form,
                 "grant_type=client_credentials&client_id=%s&client_secret=%s&"
                 "resource=https%%3A%%2F%%2Fmanagement.azure.com%%2F",
                 client, secret) < 0 ||
        asprintf(&url, "%s/%s/oauth2/token", p->login, tenant) < 0)
        return sc_fail(err, -ENOMEM, "azure: login: out of memory");
    int r = rest_ask_token(&p->rest, url, form, ret, ret_until, err);
    explicit_bzero(form, strlen(form));
    return r;
}

void azure_id(const struct p_azure *p, enum azure_kind kind, const char *name,
              char ret[AZURE_URL_MAX])
{
    snprintf(ret, AZURE_URL_MAX,
             "/subscriptions/%s/resourceGroups/%s/providers/%s%s%s",
             p->subscription, p->group, kinds[kind].provider, *name ? "/" : "",
             name);
}

static void what_of(enum azure_kind kind, const char *name,
                    char ret[AZURE_WHAT_MAX])
{
    snprintf(ret, AZURE_WHAT_MAX, "%s '%.100s'", kinds[kind].kind, name);
}

int azure_call(struct p_azure *p, const char *method, enum azure_kind kind,
               const char *name, const char *action, const char *query,
               cJSON *body, struct rest_answer *ret, struct sc_err *err)
{
    char id[AZURE_URL_MAX], url[2 * AZURE_URL_MAX], what[AZURE_WHAT_MAX];
    azure_id(p, kind, name, id);
    what_of(kind, name, what);
    snprintf(url, sizeof url, "%s%s%s?api-version=%s%s", p->management, id,
             action, kinds[kind].version, query);
    return rest_do(
        &p->rest,
        &(struct rest_request){
            .method = method, .url = url, .what = what, .body = body },
        ret, err);
}

/* May 'url', which the server gave us, be asked with our token? */
static int check_host(const char *base, const char *url, const char *what,
                      struct sc_err *err)
{
    size_t len = strlen(base);
    const char *path = strstr(base, "://");
    path = path ? strchr(path + 3, '/') : NULL;
    if (path)
        len = (size_t)(path - base);
    if (strncasecmp(url, base, len) == 0 && (url[len] == '/' || !url[len]))
        return 0;
    return sc_fail(err, -EPROTO, "azure: %s: the answer points to another host",
                   what);
}

enum rest_step azure_step(const struct rest_answer *a)
{
    const char *state = rest_str(a->json, "status");
    if (!strcasecmp(state, "Succeeded"))
        return REST_DONE;
    return !strcasecmp(state, "Failed") || !strcasecmp(state, "Canceled")
               ? REST_FAILED
               : REST_WAIT;
}

enum rest_step azure_step_by_location(const struct rest_answer *a)
{
    return a->status == 202 ? REST_WAIT : REST_DONE;
}

int azure_do(struct p_azure *p, const char *method, enum azure_kind kind,
             const char *name, const char *action, const char *query,
             cJSON *body, bool absent_ok, cJSON **ret_output,
             struct sc_err *err)
{
    struct rest_answer a = { 0 };
    char what[AZURE_WHAT_MAX];
    what_of(kind, name, what);
    int r = azure_call(p, method, kind, name, action, query, body, &a, err);
    const char *async = web_answer_header(&a.raw, "azure-asyncoperation");
    const char *location = web_answer_header(&a.raw, "location");
    const char *at = async ? async : a.status == 202 ? location : NULL;
    SC_AUTO(free) char *url = r == 0 && at ? strdup(at) : NULL;
    if (url && (r = check_host(p->management, url, what, err)) == 0)
        r = rest_wait(&p->rest,
                      &(struct rest_operation){
                          .url = url,
                          .what = what,
                          .step = REST_WAIT,
                          .look = async ? azure_step : azure_step_by_location,
                          .first_ms = FIRST_PAUSE_MS,
                          .last_ms = LAST_PAUSE_MS,
                          .max_ms = WAIT_MAX_MS },
                      &a, err);
    else if (r == 0 && at)
        r = sc_fail(err, -ENOMEM, "azure: out of memory");
    if (r == 0 && ret_output)
        *ret_output = SC_TAKE(a.json);
    rest_answer_clear(&a);
    return absent_ok ? rest_absent_ok(r, err) : r;
}

int azure_get(struct p_azure *p, enum azure_kind kind, const char *name,
              struct rest_answer *ret, bool *ret_found, struct sc_err *err)
{
    struct sc_err why = { 0 };
    int r = azure_call(p, "GET", kind, name, "", "", NULL, ret, &why);
    *ret_found = r == 0;
    /* A resource group that is not there is another matter. */
    if (r == -ENOENT && !strstr(why.text, "ResourceGroupNotFound") &&
        !strstr(why.text, "SubscriptionNotFound"))
        return 0;
    if (r < 0 && err)
        *err = why;
    return r;
}

int azure_remove_one(struct p_azure *p, enum azure_kind kind, const char *name,
                     struct sc_err *err)
{
    return azure_do(p, "DELETE", kind, name, "",
                    kind == AZURE_VM ? "&forceDeletion=true" : "", NULL, true,
                    NULL, err);
}

int azure_pages(struct p_azure *p, const char *url, const char *key,
                const char *next_key, bool plain, const char *what,
                azure_each_fn *fn, void *arg, struct sc_err *err)
{
    SC_AUTO(free) char *next = strdup(url);
    int r = next ? 0 : sc_fail(err, -ENOMEM, "azure: out of memory");
    while (r == 0 && next && *next) {
        struct rest_answer a = { 0 };
        r = rest_do(
            &p->rest,
            &(struct rest_request){
                .method = "GET", .url = next, .what = what, .plain = plain },
            &a, err);
        if (r == 0 && !cJSON_IsArray(rest_at(a.json, key)))
            r = sc_fail(err, -EPROTO, "azure: %s: no '%s' in the answer", what,
                        key);
        const cJSON *item;
        cJSON_ArrayForEach(item, rest_at(a.json, key))
        {
            if (r == 0)
                r = fn(arg, item, err);
        }
        const char *more = rest_str(a.json, next_key);
        if (r == 0 && *more && !plain)
            r = check_host(p->management, more, what, err);
        free(next);
        next = r == 0 ? strdup(more) : NULL;
        rest_answer_clear(&a);
    }
    return r;
}

int azure_each(struct p_azure *p, enum azure_kind kind, azure_each_fn *fn,
               void *arg, struct sc_err *err)
{
    char id[AZURE_URL_MAX], url[2 * AZURE_URL_MAX];
    azure_id(p, kind, "", id);
    snprintf(url, sizeof url, "%s%s?api-version=%s", p->management, id,
             kinds[kind].version);
    return azure_pages(p, url, "value", "nextLink", false, kinds[kind].kind, fn,
                       arg, err);
}

cJSON *azure_tags(const struct provider_tags *tags)
{
    return rest_json("{'" AZURE_CLUSTER "':%s,'" AZURE_TOKEN "':%s}",
                     tags->cluster ? tags->cluster : "",
                     tags->token ? tags->token : "");
}

bool azure_has_tags(const cJSON *item, const struct provider_tags *tags)
{
    return !strcmp(rest_str(item, "tags." AZURE_CLUSTER),
                   tags->cluster ? tags->cluster : "") &&
           !strcmp(rest_str(item, "tags." AZURE_TOKEN),
                   tags->token ? tags->token : "");
}

bool azure_name_ok(const char *name)
{
    size_t len = strlen(name);
    return len >= 1 && len <= 64 && *name != '-' && name[len - 1] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-") == len;
}

int azure_location(const struct p_azure *p, const char *region, char ret[64],
                   struct sc_err *err)
{
    int r = settings_first("azure: location", region, p->location, ret, err);
    if (r == 0 &&
        ret[strspn(ret, "abcdefghijklmnopqrstuvwxyz0123456789")] != '\0')
        r = sc_fail(err, -EINVAL,
                    "azure: location '%s': must be as in 'westeurope'", ret);
    return r;
}
