/* p_gce_price - see p_gce.h: what instances cost.
 *
 * Google prices cores and memory of each family by themselves, so a type's
 * price is put together from two lines of the catalog (about 30,000 lines in
 * all, of which a region has a few hundred).  Types whose price has more parts
 * (GPUs, local disks, bare metal, the oldest shared cores) are left out, not
 * guessed.  Traffic: the cheapest destination of a region, at its first paid
 * step.
 * Source: Cloud Billing Catalog API; a line is described only in words
 * ("Spot Preemptible N2 Instance Core running in Belgium"). */
#include "provider/p_gce.h"

#include <ctype.h>
#include <strings.h>

#define COMPUTE_SERVICE "6F81-5844-456A"
enum { FAMILIES_MAX = 64 };

bool gce_nested(const char *type)
{
    static const char *const without[] = { "e2-",  "n2d-", "n4d-", "c2d-",
                                           "c3d-", "c4d-", "t2d-", "t2a-",
                                           "c4a-", "n4a-", "m1-",  "m2-",
                                           "m3-",  "m4-",  "x4-",  "h3-",
                                           "h4d-", "f1-",  "g1-",  "a4-" };
    for (size_t i = 0; i < SC_ARRAY_LEN(without); i++)
        if (!strncmp(type, without[i], strlen(without[i])))
            return false;
    return !strstr(type, "-metal");
}

bool gce_xen(const char *type)
{
    return strncmp(type, "t2a-", 4) != 0 && strncmp(type, "c4a-", 4) != 0 &&
           strncmp(type, "n4a-", 4) != 0 && !strstr(type, "-metal");
}

double gce_core_share(const char *type)
{
    static const char *const others[] = { "f1-", "g1-", "g2-", "g4-",
                                          "a2-", "a3-", "a4-", "m1-",
                                          "m2-", "z3-", "h3-", "x4-" };
    for (size_t i = 0; i < SC_ARRAY_LEN(others); i++)
        if (!strncmp(type, others[i], strlen(others[i])))
            return 0;
    if (strstr(type, "lssd") || strstr(type, "-metal"))
        return 0;
    if (!strcmp(type, "e2-micro"))
        return 0.125; /* A quarter of one of its two. */
    if (!strcmp(type, "e2-small"))
        return 0.25;
    return !strcmp(type, "e2-medium") ? 0.5 : 1;
}

static bool has(const char *text, const char *part)
{
    return strcasestr(text, part) != NULL;
}

static bool serves(const cJSON *sku, const char *region)
{
    const cJSON *r;
    cJSON_ArrayForEach(r, rest_at(sku, "serviceRegions"))
    {
        if (cJSON_IsString(r) && !strcmp(r->valuestring, region))
            return true;
    }
    return false;
}

/* The first step that is not free. */
static double amount_of(const cJSON *sku)
{
    const cJSON *rate;
    cJSON_ArrayForEach(
        rate, rest_at(sku, "pricingInfo.0.pricingExpression.tieredRates"))
    {
        double amount = rest_num(rate, "unitPrice.units") +
                        rest_num(rate, "unitPrice.nanos") / 1e9;
        if (amount > 0)
            return amount;
    }
    return 0;
}

/* "n2" of "N2 Instance Core ...", "n2d" of "N2D AMD Instance Core ...". */
static void family_of(const char *text, char ret[16])
{
    size_t len = strcspn(text, " :");
    *ret = '\0';
    if (len == 0 || len > 4)
        return;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]))
            return;
    for (size_t i = 0; i < len; i++)
        ret[i] = (char)tolower((unsigned char)text[i]);
    ret[len] = '\0';
    if (!strpbrk(ret, "0123456789"))
        *ret = '\0';
}

static void read_machine(const char *about, struct gce_sku *k)
{
    static const char *const no[] = { "Custom",     "Sole Tenancy", "Reserved",
                                      "Commitment", "Premium",      "Extended",
                                      "DWS",        "Upgrade",      "Shared" };
    for (size_t i = 0; i < SC_ARRAY_LEN(no); i++)
        if (has(about, no[i]))
            return;
    const char *rest = about;
    if (!strncmp(rest, "Spot ", 5))
        rest += 5;
    if (!strncmp(rest, "Preemptible ", 12))
        rest += 12;
    k->spot = rest != about;
    if (!strncmp(rest, "Compute optimized ", 18)) /* C2's own name. */
        snprintf(k->family, sizeof k->family, "c2");
    else
        family_of(rest, k->family);
    if (!*k->family)
        return;
    if (has(rest, " Core running") || has(rest, " Core in"))
        k->what = GCE_SKU_CORE;
    else if (has(rest, " Ram running") || has(rest, " Ram in"))
        k->what = GCE_SKU_RAM;
}

struct gce_sku gce_sku_read(const cJSON *sku, const char *region)
{
    struct gce_sku k = { .what = GCE_SKU_NONE };
    const char *about = rest_str(sku, "description");
    const char *usage = rest_str(sku, "category.usageType");
    const char *family = rest_str(sku, "category.resourceFamily");
    const char *group = rest_str(sku, "category.resourceGroup");
    const char *unit =
        rest_str(sku, "pricingInfo.0.pricingExpression.usageUnit");
    bool machine = !strcmp(family, "Compute");
    if ((strcmp(usage, "OnDemand") != 0 && strcmp(usage, "Preemptible") != 0) ||
        !serves(sku, region))
        return k;
    k.amount = amount_of(sku);
    k.at = rest_time(rest_str(sku, "pricingInfo.0.effectiveTime"));
    if (k.amount <= 0)
        return k;
    if (machine) {
        read_machine(about, &k);
        if ((k.what == GCE_SKU_CORE && strcmp(unit, "h") != 0) ||
            (k.what == GCE_SKU_RAM && strcmp(unit, "GiBy.h") != 0) ||
            k.spot != !strcmp(usage, "Preemptible"))
            k.what = GCE_SKU_NONE;
    } else if (!strcmp(family, "Network") && !strcmp(unit, "GiBy")) {
        if (!strcmp(group, "PremiumInternetEgress"))
            k.what = GCE_SKU_INTERNET;
        else if (!strcmp(group, "InterregionEgress"))
            k.what = GCE_SKU_REGION;
    }
    return k;
}

struct family {
    char name[16];
    double core[2], ram[2]; /* On demand, spot; 0: not known. */
    uint64_t at[2];
};

struct catalog {
    const char *region;
    struct family families[FAMILIES_MAX];
    size_t n;
    double internet, between;
};

static struct family *family_at(struct catalog *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (!strcmp(c->families[i].name, name))
            return &c->families[i];
    if (c->n == FAMILIES_MAX)
        return NULL;
    snprintf(c->families[c->n].name, sizeof c->families->name, "%s", name);
    return &c->families[c->n++];
}

static void take_least(double *least, double amount)
{
    if (*least <= 0 || amount < *least)
        *least = amount;
}

static int on_sku(void *arg, const cJSON *sku, struct sc_err *err)
{
    struct catalog *c = arg;
    struct gce_sku k = gce_sku_read(sku, c->region);
    struct family *f;
    (void)err;
    switch (k.what) {
    case GCE_SKU_CORE:
    case GCE_SKU_RAM:
        f = family_at(c, k.family);
        if (!f)
            break;
        *(k.what == GCE_SKU_CORE ? &f->core[k.spot] : &f->ram[k.spot]) =
            k.amount;
        if (k.at > f->at[k.spot])
            f->at[k.spot] = k.at;
        break;
    case GCE_SKU_INTERNET:
        take_least(&c->internet, k.amount);
        break;
    case GCE_SKU_REGION:
        take_least(&c->between, k.amount);
        break;
    case GCE_SKU_NONE:
        break;
    }
    return 0;
}

struct pricing {
    const struct catalog *catalog;
    const char *type; /* NULL: all. */
    provider_each_price_fn *fn;
    void *arg;
};

static int give(const struct pricing *g, const char *type, const char *what,
                const char *unit, double amount, uint64_t at)
{
    struct provider_price t = { .type = (char *)type,
                                .region = (char *)g->catalog->region,
                                .zone = "",
                                .what = (char *)what,
                                .unit = (char *)unit,
                                .amount = amount,
                                .at = at };
    return g->fn(g->arg, &t);
}

static int on_type(void *arg, const struct provider_type *t)
{
    const struct pricing *g = arg;
    double share = gce_core_share(t->name);
    size_t len = strcspn(t->name, "-");
    if ((g->type && strcmp(g->type, t->name) != 0) || share <= 0)
        return 0;
    for (size_t i = 0; i < g->catalog->n; i++) {
        const struct family *f = &g->catalog->families[i];
        if (strlen(f->name) != len || strncmp(f->name, t->name, len) != 0)
            continue;
        for (int spot = 0; spot < 2; spot++) {
            if (f->core[spot] <= 0 || f->ram[spot] <= 0)
                continue;
            double amount = f->core[spot] * t->vcpus * share +
                            f->ram[spot] * t->memory_mib / 1024;
            int r = give(g, t->name, spot ? "spot" : "on-demand", "hour",
                         amount, f->at[spot]);
            if (r)
                return r;
        }
    }
    return 0;
}

int gce_prices(struct provider *up, const char *region, const char *type,
               provider_each_price_fn *fn, void *arg, struct sc_err *err)
{
    struct p_gce *p = (struct p_gce *)up;
    char where[64], url[GCE_URL_MAX];
    SC_AUTO(free) struct catalog *c = calloc(1, sizeof *c);
    SC_AUTO(free) char *key = p->api_key ? gce_escape(p->api_key) : NULL;
    if (!c || (p->api_key && !key))
        return sc_fail(err, -ENOMEM, "gce: out of memory");
    int r = gce_region(p, region, where, err);
    c->region = where;
    snprintf(url, sizeof url,
             "%s/services/" COMPUTE_SERVICE
             "/skus?currencyCode=USD&pageSize=5000%s%s",
             p->billing, key ? "&key=" : "", key ? key : "");
    if (r == 0)
        r = gce_pages(p, url, "skus", false, "prices", on_sku, c, err);
    struct pricing g = { c, type && *type ? type : NULL, fn, arg };
    if (r == 0)
        r = gce_types(up, where, on_type, &g, err);
    if (r == 0 && !g.type && c->internet > 0)
        r = give(&g, "", "egress-internet", "GiB", c->internet, 0);
    if (r == 0 && !g.type && c->between > 0)
        r = give(&g, "", "egress-region", "GiB", c->between, 0);
    return r;
}
