/* p_ec2_prices - what an hour and a GiB cost.
 *
 * Spot prices are the region's own API; on-demand prices and traffic are the
 * Price List's, which Amazon serves from a few regions alone.  Its answers are
 * lists of JSON documents as text.  A tiered price is that of its first tier
 * which is not free. */
#include "provider/p_ec2.h"

#include "common/json.h"

#include <math.h>
#include <time.h>

#define PRICING_REGION "us-east-1"

struct prices {
    struct p_ec2 *p;
    const char *region;
    provider_each_price_fn *fn;
    void *arg;
    double between_regions; /* Egress: the dearest found. */
};

static int give(const struct prices *s, const char *type, const char *zone,
                const char *what, const char *unit, double amount, uint64_t at)
{
    struct provider_price x = { (char *)type,
                                (char *)s->region,
                                (char *)zone,
                                (char *)what,
                                (char *)unit,
                                amount,
                                at };
    return s->fn(s->arg, &x);
}

/* --- spot ------------------------------------------------------------------*/

static int give_spot(void *arg, const struct xml_node *item)
{
    double amount = strtod(xml_text(item, "spotPrice"), NULL);
    return amount > 0 ? give(arg, xml_text(item, "instanceType"),
                             xml_text(item, "availabilityZone"), "spot", "hour",
                             amount, ec2_time(xml_text(item, "timestamp")))
                      : 0;
}

static int spot(struct prices *s, const char *type, struct sc_err *err)
{
    SC_AUTO(ec2_form_free) struct ec2_form f = { 0 };
    char now[32];
    time_t t = time(NULL) + s->p->clock_offset;
    struct tm tm;
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    ec2_add(&f, now, "StartTime"); /* From now on: what holds now. */
    ec2_add(&f, "Linux/UNIX", "ProductDescription.1");
    ec2_add(&f, type, "InstanceType.1");
    ec2_addu(&f, 1000, "MaxResults");
    return ec2_each(s->p, s->region, "DescribeSpotPriceHistory", &f,
                    "spotPriceHistorySet", give_spot, s, err);
}

/* --- the price list --------------------------------------------------------*/

static const char *text_at(const cJSON *o, const char *key)
{
    const char *t = cJSON_GetStringValue(cJSON_GetObjectItem(o, key));
    return t ? t : "";
}

/* The dollars of the first tier that costs something, and its unit; 0: free. */
static double first_price(const cJSON *product, char ret_unit[16])
{
    double best = 0, best_from = INFINITY;
    const cJSON *terms =
        cJSON_GetObjectItem(cJSON_GetObjectItem(product, "terms"), "OnDemand");
    const cJSON *term = terms ? terms->child : NULL;
    const cJSON *tiers = cJSON_GetObjectItem(term, "priceDimensions");
    for (const cJSON *t = tiers ? tiers->child : NULL; t; t = t->next) {
        double from = strtod(text_at(t, "beginRange"), NULL);
        double usd = strtod(
            text_at(cJSON_GetObjectItem(t, "pricePerUnit"), "USD"), NULL);
        if (usd > 0 && from < best_from) {
            best = usd;
            best_from = from;
            snprintf(ret_unit, 16, "%s", text_at(t, "unit"));
        }
    }
    return best;
}

static uint64_t since(const cJSON *product)
{
    const cJSON *terms =
        cJSON_GetObjectItem(cJSON_GetObjectItem(product, "terms"), "OnDemand");
    return terms && terms->child
               ? ec2_time(text_at(terms->child, "effectiveDate"))
               : 0;
}

typedef int product_fn(struct prices *s, const cJSON *product);

static int give_on_demand(struct prices *s, const cJSON *product)
{
    const cJSON *about = cJSON_GetObjectItem(
        cJSON_GetObjectItem(product, "product"), "attributes");
    char unit[16] = "";
    double usd = first_price(product, unit);
    const char *type = text_at(about, "instanceType");
    return usd > 0 && *type && !strcmp(unit, "Hrs")
               ? give(s, type, "", "on-demand", "hour", usd, since(product))
               : 0;
}

static int give_traffic(struct prices *s, const cJSON *product)
{
    const cJSON *about = cJSON_GetObjectItem(
        cJSON_GetObjectItem(product, "product"), "attributes");
    const char *kind = text_at(about, "transferType");
    char unit[16] = "";
    double usd = first_price(product, unit);
    if (usd <= 0 || strcmp(unit, "GB") != 0)
        return 0;
    if (!strcmp(kind, "AWS Outbound"))
        return give(s, "", "", "egress-internet", "GiB", usd, since(product));
    if (!strcmp(kind, "InterRegion Outbound") && usd > s->between_regions)
        s->between_regions = usd;
    return 0;
}

static cJSON *filters_of(const char *const pairs[][2], size_t n)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < n; i++) {
        if (!pairs[i][1])
            continue;
        cJSON *f = cJSON_CreateObject();
        cJSON_AddStringToObject(f, "Type", "TERM_MATCH");
        cJSON_AddStringToObject(f, "Field", pairs[i][0]);
        cJSON_AddStringToObject(f, "Value", pairs[i][1]);
        cJSON_AddItemToArray(list, f);
    }
    return list;
}

static int one_page(struct prices *s, const cJSON *request, cJSON **ret,
                    struct sc_err *err)
{
    static const struct web_header headers[] = {
        { "Content-Type", "application/x-amz-json-1.1" },
        { "X-Amz-Target", "AWSPriceListService.GetProducts" },
    };
    SC_AUTO(free) char *body = cJSON_PrintUnformatted(request);
    if (!body)
        return sc_fail(err, -ENOMEM, "out of memory");
    struct web_request q = { .method = "POST",
                             .headers = headers,
                             .n_headers = SC_ARRAY_LEN(headers),
                             .body = body,
                             .body_size = strlen(body) };
    return ec2_json(s->p, EC2_PRICING, PRICING_REGION, "GetProducts", "/", q,
                    false, ret, err);
}

static int each_product(struct prices *s, const char *service,
                        cJSON *filters_taken, product_fn *fn,
                        struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *request = cJSON_CreateObject();
    cJSON_AddStringToObject(request, "ServiceCode", service);
    cJSON_AddStringToObject(request, "FormatVersion", "aws_v1");
    cJSON_AddNumberToObject(request, "MaxResults", 100);
    cJSON_AddItemToObject(request, "Filters", filters_taken);
    for (;;) {
        SC_AUTO(cjson_free) cJSON *answer = NULL;
        int r = one_page(s, request, &answer, err);
        if (r < 0)
            return r;
        const cJSON *list = cJSON_GetObjectItem(answer, "PriceList");
        const cJSON *i = list ? list->child : NULL;
        for (; r == 0 && i; i = i->next) {
            SC_AUTO(cjson_free)
            cJSON *product = cJSON_IsString(i) ? cJSON_Parse(i->valuestring)
                                               : cJSON_Duplicate(i, true);
            r = fn(s, product);
        }
        if (r != 0)
            return r;
        const char *next = text_at(answer, "NextToken");
        if (!*next)
            return 0;
        cJSON_DeleteItemFromObject(request, "NextToken");
        cJSON_AddStringToObject(request, "NextToken", next);
    }
}

int ec2_prices(struct provider *up, const char *region, const char *type,
               provider_each_price_fn *fn, void *arg, struct sc_err *err)
{
    struct p_ec2 *p = (struct p_ec2 *)up;
    struct prices s = { p, ec2_region(p, region), fn, arg, 0 };
    int r = spot(&s, type, err);
    if (r != 0 || (p->endpoint[EC2_EC2] && !p->endpoint[EC2_PRICING]))
        return r; /* Another cloud's, without a price list. */
    const char *const machines[][2] = {
        { "regionCode", s.region },     { "instanceType", type },
        { "operatingSystem", "Linux" }, { "tenancy", "Shared" },
        { "preInstalledSw", "NA" },     { "capacitystatus", "Used" },
    };
    const char *const traffic[][2] = { { "fromRegionCode", s.region } };
    r = each_product(&s, "AmazonEC2",
                     filters_of(machines, SC_ARRAY_LEN(machines)),
                     give_on_demand, err);
    if (r == 0)
        r = each_product(&s, "AWSDataTransfer",
                         filters_of(traffic, SC_ARRAY_LEN(traffic)),
                         give_traffic, err);
    if (r == 0 && s.between_regions > 0)
        r = give(&s, "", "", "egress-region", "GiB", s.between_regions, 0);
    return r;
}
