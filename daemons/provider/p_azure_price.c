/* p_azure_price - see p_azure.h: types from the SKU list, prices from the
 * public price list.  Traffic out of a location is priced under "Bandwidth". */
#include "provider/p_azure.h"

#include <ctype.h>
#include <strings.h>

/* "Standard_D2ps_v5": family letters, size, features, version. */
bool azure_nested(const char *type)
{
    static const struct {
        const char *family;
        int version;
    } with[] = { { "D", 3 }, { "E", 3 }, { "F", 2 }, { "M", 1 }, { "L", 3 } };
    if (strncmp(type, "Standard_", 9) != 0)
        return false;
    const char *family = type + 9;
    size_t len = 0;
    while (isupper((unsigned char)family[len]))
        len++;
    const char *v = strstr(family, "_v");
    int version = v ? (int)strtol(v + 2, NULL, 10) : 1;
    const char *features = family + len;
    features += strspn(features, "0123456789-");
    for (const char *f = features; *f && *f != '_'; f++)
        if (*f == 'p') /* Arm */
            return false;
    for (size_t i = 0; i < SC_ARRAY_LEN(with); i++)
        if (strlen(with[i].family) == len &&
            !strncmp(family, with[i].family, len))
            return version >= with[i].version;
    return false;
}

static const char *capability(const cJSON *sku, const char *name)
{
    const cJSON *c;
    cJSON_ArrayForEach(c, rest_at(sku, "capabilities"))
    {
        if (!strcmp(rest_str(c, "name"), name))
            return rest_str(c, "value");
    }
    return "";
}

bool azure_sku_read(const cJSON *sku, const char *location,
                    struct provider_type *ret)
{
    const cJSON *i;
    bool here = false;
    if (strcmp(rest_str(sku, "resourceType"), "virtualMachines") != 0)
        return false;
    cJSON_ArrayForEach(i, rest_at(sku, "locations"))
    {
        if (cJSON_IsString(i) && !strcasecmp(i->valuestring, location))
            here = true;
    }
    cJSON_ArrayForEach(i, rest_at(sku, "restrictions"))
    {
        if (!strcmp(rest_str(i, "type"), "Location"))
            here = false; /* Not for this subscription. */
    }
    const char *cores = capability(sku, "vCPUsAvailable");
    if (!*cores)
        cores = capability(sku, "vCPUs");
    double memory = strtod(capability(sku, "MemoryGB"), NULL);
    if (!here || !*cores || memory <= 0 ||
        !strcasecmp(capability(sku, "CpuArchitectureType"), "Arm64"))
        return false;
    *ret = (struct provider_type){
        .name = (char *)rest_str(sku, "name"),
        .vcpus = (unsigned)strtoul(cores, NULL, 10),
        .memory_mib = (unsigned)(memory * 1024),
        .nested_virtualisation = azure_nested(rest_str(sku, "name")),
        .xen = false,
    };
    return true;
}

struct types {
    const char *location;
    provider_each_type_fn *fn;
    void *arg;
    size_t n;
};

static int on_sku(void *arg, const cJSON *sku, struct sc_err *err)
{
    struct types *s = arg;
    struct provider_type t;
    (void)err;
    if (!azure_sku_read(sku, s->location, &t))
        return 0;
    s->n++;
    return s->fn(s->arg, &t);
}

int azure_types(struct provider *up, const char *region,
                provider_each_type_fn *fn, void *arg, struct sc_err *err)
{
    struct p_azure *p = (struct p_azure *)up;
    char where[64], url[AZURE_URL_MAX];
    struct types s = { where, fn, arg, 0 };
    int r = azure_location(p, region, where, err);
    if (r < 0)
        return r;
    snprintf(url, sizeof url,
             "%s/subscriptions/%s/providers/Microsoft.Compute/skus"
             "?api-version=2021-07-01&$filter=location%%20eq%%20%%27%s%%27",
             p->management, p->subscription, where);
    r = azure_pages(p, url, "value", "nextLink", false, "types", on_sku, &s,
                    err);
    if (r == 0 && !s.n)
        r = sc_fail(err, -ENOENT,
                    "azure: location '%s': there is none, or it has no types "
                    "for this subscription; regions can be listed",
                    where);
    return r;
}

bool azure_price_read(const cJSON *item, struct provider_price *ret)
{
    const char *product = rest_str(item, "productName");
    const char *sku = rest_str(item, "skuName");
    const char *meter = rest_str(item, "meterName");
    const char *unit = rest_str(item, "unitOfMeasure");
    const char *kind = rest_str(item, "type");
    double amount = rest_num(item, "retailPrice");
    *ret = (struct provider_price){
        .type = (char *)rest_str(item, "armSkuName"),
        .region = (char *)rest_str(item, "armRegionName"),
        .zone = "",
        .amount = amount,
        .at = rest_time(rest_str(item, "effectiveStartDate")),
    };
    if (strcmp(rest_str(item, "currencyCode"), "USD") != 0 || amount <= 0 ||
        (*kind && strcmp(kind, "Consumption") != 0))
        return false;
    if (!strcmp(rest_str(item, "serviceName"), "Virtual Machines")) {
        if (!*ret->type || strcmp(unit, "1 Hour") != 0 ||
            strstr(product, "Windows") || strstr(product, "CloudServices") ||
            strstr(product, "Cloud Services") || strstr(sku, "Low Priority"))
            return false;
        ret->what = strstr(sku, "Spot") ? "spot" : "on-demand";
        ret->unit = "hour";
        return true;
    }
    if (strcmp(rest_str(item, "serviceName"), "Bandwidth") != 0 ||
        strncmp(unit, "1 G", 3) != 0)
        return false;
    ret->type = "";
    ret->unit = "GiB";
    if (strstr(meter, "Intra Continent Data Transfer Out") ||
        strstr(meter, "Inter-Region"))
        ret->what = "egress-region";
    else if (!strcmp(meter, "Standard Data Transfer Out") ||
             !strcmp(meter, "Data Transfer Out"))
        ret->what = "egress-internet";
    else
        return false;
    return true;
}

struct pricing {
    provider_each_price_fn *fn;
    void *arg;
    double egress[2]; /* Of traffic to the internet, between locations. */
};

static int on_price(void *arg, const cJSON *item, struct sc_err *err)
{
    struct pricing *s = arg;
    struct provider_price t;
    (void)err;
    if (!azure_price_read(item, &t))
        return 0;
    if (*t.type)
        return s->fn(s->arg, &t);
    double *most = &s->egress[!strcmp(t.what, "egress-region")];
    /* Steps of one meter: the first that is not free is the dearest. */
    if (t.amount > *most)
        *most = t.amount;
    return 0;
}

static int query(struct p_azure *p, const char *filter, struct pricing *s,
                 struct sc_err *err)
{
    SC_AUTO(free) char *text = web_escape(filter, false);
    SC_AUTO(free) char *url = NULL;
    if (!text ||
        asprintf(&url, "%s/api/retail/prices?currencyCode=USD&$filter=%s",
                 p->prices, text) < 0) {
        url = NULL;
        return sc_fail(err, -ENOMEM, "azure: out of memory");
    }
    return azure_pages(p, url, "Items", "NextPageLink", true, "prices",
                       on_price, s, err);
}

int azure_prices(struct provider *up, const char *region, const char *type,
                 provider_each_price_fn *fn, void *arg, struct sc_err *err)
{
    struct p_azure *p = (struct p_azure *)up;
    char where[64], filter[512];
    struct pricing s = { fn, arg, { 0, 0 } };
    int r = azure_location(p, region, where, err);
    if (r < 0)
        return r;
    if (type && *type &&
        strspn(type, "abcdefghijklmnopqrstuvwxyz"
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789_-") != strlen(type))
        return sc_fail(err, -ENOENT, "azure: type '%.64s': there is none",
                       type);
    snprintf(filter, sizeof filter,
             "serviceName eq 'Virtual Machines' and armRegionName eq '%s' and "
             "priceType eq 'Consumption'%s%.100s%s",
             where, type && *type ? " and armSkuName eq '" : "",
             type && *type ? type : "", type && *type ? "'" : "");
    r = query(p, filter, &s, err);
    if (r || (type && *type))
        return r;
    snprintf(filter, sizeof filter,
             "serviceName eq 'Bandwidth' and armRegionName eq '%s' and "
             "priceType eq 'Consumption'",
             where);
    r = query(p, filter, &s, err);
    for (int i = 0; r == 0 && i < 2; i++) {
        struct provider_price t = {
            .type = "",
            .region = where,
            .zone = "",
            .what = i ? "egress-region" : "egress-internet",
            .unit = "GiB",
            .amount = s.egress[i],
        };
        if (s.egress[i] > 0)
            r = fn(arg, &t);
    }
    return r;
}
