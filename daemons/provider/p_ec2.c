/* p_ec2 - the EC2 driver's class; see p_ec2.h for its files. */
#include "provider/p_ec2.h"

#include "provider/settings.h"

/* The default of RequestLimit is a bucket that fills slowly; half a second is
 * what Amazon's own tools begin with. */
enum { RETRY_MS = 500, REGIONS_MAX = 64 };

static const struct provider_field ec2_fields[] = {
    { "access_key_id", "of an IAM user or role", true, false },
    { "secret_access_key", "the key's secret", true, true },
    { "session_token", "of temporary credentials", false, true },
    { "regions", "like eu-west-1, us-east-1; the first is the default", true,
      false },
    { "endpoint_ec2",
      "URL of another EC2-compatible cloud; {region} in it is "
      "replaced",
      false, false },
    { "endpoint_ebs", "URL of its EBS direct APIs", false, false },
    { "endpoint_sts", "URL of its STS", false, false },
    { "endpoint_pricing",
      "URL of its price list; none if endpoint_ec2 is given "
      "without it",
      false, false },
    { "ca_file", "authorities to trust instead of the system's", false, false },
    { "retry_ms", "first pause before a request is tried again, in ms (500)",
      false, false },
    { 0 },
};

#define AT(member) .at = offsetof(struct p_ec2, member)
static const struct setting settings[] = {
    { "access_key_id", AT(access_key_id), .min = 4, .max = 128 },
    { "secret_access_key", AT(secret), .min = 4, .max = 256 },
    { "session_token", AT(session_token), .max = 8192 },
    { "endpoint_ec2", AT(endpoint[EC2_EC2]), .max = 500, .trim = true },
    { "endpoint_ebs", AT(endpoint[EC2_EBS]), .max = 500, .trim = true },
    { "endpoint_sts", AT(endpoint[EC2_STS]), .max = 500, .trim = true },
    { "endpoint_pricing", AT(endpoint[EC2_PRICING]), .max = 500, .trim = true },
    { "ca_file", AT(ca_file), .max = 4000 },
    { 0 },
};
#undef AT

static void p_ec2_free(struct p_ec2 *p)
{
    if (!p)
        return;
    web_free(p->web);
    settings_clear(settings, p);
    for (size_t i = 0; i < p->n_regions; i++)
        free(p->regions[i]);
    free(p->regions);
    free(p);
}
SC_CLEANUP(struct p_ec2, p_ec2_free)

static void ec2_close(struct provider *up)
{
    p_ec2_free((struct p_ec2 *)up);
}

int ec2_new_web(struct p_ec2 *p, struct sc_err *err)
{
    struct web_options o = { .ca_file = p->ca_file, .retry_ms = p->retry_ms };
    return settings_web(&p->up, o, &p->web, err);
}

/* "a, b" or "a b" into the list. */
static int read_regions(struct p_ec2 *p, const char *text, struct sc_err *err)
{
    if (!(p->regions = calloc(REGIONS_MAX, sizeof *p->regions)))
        return sc_fail(err, -ENOMEM, "out of memory");
    for (const char *t = text; *t;) {
        t += strspn(t, ", ");
        size_t len = strcspn(t, ", ");
        if (len && p->n_regions < REGIONS_MAX) {
            char *one = strndup(t, len);
            if (!one)
                return sc_fail(err, -ENOMEM, "out of memory");
            p->regions[p->n_regions++] = one;
            if (strspn(one, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
                return sc_fail(err, -EINVAL,
                               "provider 'ec2': regions: '%.40s' is not a "
                               "region's name",
                               one);
        }
        t += len;
    }
    return p->n_regions ? 0
                        : sc_fail(err, -EINVAL,
                                  "provider 'ec2': regions: there is none");
}

static int ec2_open(const cJSON *config, struct provider **ret,
                    struct sc_err *err)
{
    SC_AUTO(p_ec2_free) struct p_ec2 *p = calloc(1, sizeof *p);
    if (!p)
        return sc_fail(err, -ENOMEM, "out of memory");
    struct json_reader r = json_read(config, "provider 'ec2'");
    int e = settings_read(settings, &r, p, err);
    if (e < 0)
        return e;
    const char *regions = json_str(&r, "regions", 1, 2000);
    p->retry_ms = (unsigned)json_int_or(&r, "retry_ms", 1, 60000, RETRY_MS);
    if (json_done(&r, err) < 0)
        return -EINVAL;
    if ((e = read_regions(p, regions, err)) < 0)
        return e;
    if ((e = ec2_new_web(p, err)) < 0)
        return e;
    *ret = &SC_TAKE(p)->up;
    return 0;
}

static int check_without_sts(struct p_ec2 *p, char **ret, struct sc_err *err)
{
    int r =
        ec2_call(p, EC2_EC2, p->regions[0], "DescribeRegions", NULL, NULL, err);
    if (r < 0)
        return r;
    return asprintf(ret, "access key %s", p->access_key_id) < 0
               ? sc_fail(err, -ENOMEM, "out of memory")
               : 0;
}

static int ec2_check(struct provider *up, char **ret, struct sc_err *err)
{
    struct p_ec2 *p = (struct p_ec2 *)up;
    SC_AUTO(xml_free) struct xml *x = NULL;
    if (p->endpoint[EC2_EC2] && !p->endpoint[EC2_STS]) /* It may have none. */
        return check_without_sts(p, ret, err);
    int r =
        ec2_call(p, EC2_STS, p->regions[0], "GetCallerIdentity", NULL, &x, err);
    if (r < 0)
        return r;
    const struct xml_node *who =
        xml_get(xml_root(x), "GetCallerIdentityResult");
    const char *account = xml_text(who, "Account");
    if (!*account)
        return sc_fail(err, -EPROTO,
                       "GetCallerIdentity: an answer without an account");
    return asprintf(ret, "account %s, %s", account, xml_text(who, "Arn")) < 0
               ? sc_fail(err, -ENOMEM, "out of memory")
               : 0;
}

struct each_region {
    provider_each_region_fn *fn;
    void *arg;
};

static int give_region(void *arg, const struct xml_node *item)
{
    const struct each_region *e = arg;
    return e->fn(e->arg, xml_text(item, "regionName"));
}

static int ec2_regions(struct provider *up, provider_each_region_fn *fn,
                       void *arg, struct sc_err *err)
{
    struct p_ec2 *p = (struct p_ec2 *)up;
    struct each_region e = { fn, arg };
    return ec2_each(p, p->regions[0], "DescribeRegions", NULL, "regionInfo",
                    give_region, &e, err);
}

const struct provider_class p_ec2_class = {
    .name = "ec2",
    .about = "Amazon EC2, and clouds with its API",
    .fields = ec2_fields,
    .user_data_max = 16384,
    .image_format = "raw",
    .permissions = "an IAM user with the policy docs/providers/ec2-policy.json:"
                   " instances, images, snapshots (EBS direct APIs) and "
                   "security groups, and changes to those alone that carry the"
                   " tag supercloud:cluster",
    .open = ec2_open,
    .close = ec2_close,
    .check = ec2_check,
    .regions = ec2_regions,
    .publish = ec2_publish,
    .launch = ec2_launch,
    .list = ec2_list,
    .terminate = ec2_terminate,
    .fence = ec2_fence,
    .console = ec2_console,
    .types = ec2_types,
    .prices = ec2_prices,
    .leftovers = ec2_leftovers,
    .remove = ec2_remove,
};
