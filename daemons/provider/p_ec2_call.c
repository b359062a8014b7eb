/* p_ec2_call - see p_ec2.h: requests, and what the provider's refusals mean. */
#include "provider/p_ec2.h"
#include "provider/sigv4.h"

#include "common/json.h"

#include <stdarg.h>
#include <time.h>

enum { PAUSE_MAX_MS = 10000, WORDS_MAX = 200, PAGES_MAX = 10000 };

static const struct {
    const char *name, *version, *host; /* The host has the region in %s. */
} services[EC2_N_SERVICES] = {
    [EC2_EC2] = { "ec2", "2016-11-15", "https://ec2.%s.amazonaws.com%s" },
    [EC2_EBS] = { "ebs", NULL, "https://ebs.%s.amazonaws.com%s" },
    [EC2_STS] = { "sts", "2011-06-15", "https://sts.%s.amazonaws.com%s" },
    [EC2_PRICING] = { "pricing", NULL,
                      "https://api.pricing.%s.amazonaws.com"
                      "%s" },
};

/* What a refusal's code means, and what to do.  The first that matches; '*'
 * matches any end. */
static const struct {
    const char *code;
    int error;
    const char *advice;
} meanings[] = {
#define CREDENTIAL                                                             \
    "check access_key_id and secret_access_key, and session_token if they "    \
    "are temporary"
#define QUOTA                                                                  \
    "ask the provider for a larger quota (Service Quotas), or take less, or "  \
    "another region"
    { "AuthFailure.ServiceLinkedRoleCreationNotPermitted", -EACCES,
      "launch one spot instance as the account's owner first, which makes the "
      "role" },
    { "AuthFailure", -EACCES, CREDENTIAL },
    { "InvalidClientTokenId", -EACCES, CREDENTIAL },
    { "InvalidAccessKeyId", -EACCES, CREDENTIAL },
    { "SignatureDoesNotMatch", -EACCES, CREDENTIAL },
    { "InvalidSignatureException", -EACCES, CREDENTIAL },
    { "UnrecognizedClientException", -EACCES, CREDENTIAL },
    { "MissingAuthenticationToken*", -EACCES, CREDENTIAL },
    { "IncompleteSignature*", -EACCES, CREDENTIAL },
    { "ExpiredToken*", -EACCES, "give new temporary credentials" },
    { "RequestExpired", -EACCES, "set this machine's clock right" },
    { "RequestTimeTooSkewed", -EACCES, "set this machine's clock right" },
    { "UnauthorizedOperation", -EACCES, NULL }, /* NULL: names the action. */
    { "AccessDenied*", -EACCES, NULL },
    { "Blocked", -EACCES, "the account is blocked: ask the provider" },
    { "OptInRequired", -EACCES, "subscribe the account to it first" },
    { "PendingVerification", -EACCES, "the account is being verified: wait" },
    { "*LimitExceeded", -EDQUOT, QUOTA },
    { "MaxSpotInstanceCountExceeded", -EDQUOT, QUOTA },
    { "MaxSpotFleetRequestCountExceeded", -EDQUOT, QUOTA },
    { "ServiceQuotaExceededException", -EDQUOT, QUOTA },
    { "ResourceCountExceeded", -EDQUOT, QUOTA },
    { "InsufficientInstanceCapacity", -ENOSPC,
      "try another zone or type, or again later" },
    { "InsufficientHostCapacity", -ENOSPC, "try another zone or type" },
    { "InsufficientCapacity*", -ENOSPC, "try another zone or type" },
    { "Server.InsufficientInstanceCapacity", -ENOSPC,
      "try another zone or type, or again later" },
    { "InsufficientAddressCapacity", -ENOSPC, "try again later" },
    { "InsufficientFreeAddressesInSubnet", -ENOSPC, "take another subnet" },
    { "SpotMaxPriceTooLow", -ENOSPC, "raise max_price or leave it out" },
    { "Unsupported", -ENOENT, "take another zone or type" },
    { "*.NotFound", -ENOENT, "it must exist in this region" },
    { "*.Malformed", -ENOENT, "it must exist in this region" },
    { "*.Unknown", -ENOENT, "it must exist in this region" },
    { "InvalidAMIID.Unavailable", -ENOENT, "publish the image again" },
    { "ResourceNotFoundException", -ENOENT, "it must exist in this region" },
    { "*.Duplicate", -EEXIST, "choose another name" },
    { "IdempotentParameterMismatch", -EEXIST, "use a new token" },
    { "ConflictException", -EEXIST, "use a new token" },
    { "VPCIdNotSpecified", -EINVAL,
      "the account has no default VPC: give options.subnet_id" },
    { "MissingParameter", -EINVAL, "" },
    { "Invalid*", -EINVAL, "" },
    { "Unknown*", -EINVAL, "" },
    { "Validation*", -EINVAL, "" },
    { "RequestLimitExceeded", -EAGAIN, "" },
    { "*Throttl*", -EAGAIN, "" },
};

/* '*' at the start or the end alone, or both: anywhere. */
static bool matches(const char *pattern, const char *code)
{
    size_t n = strlen(pattern), m = strlen(code);
    char middle[64];
    if (*pattern == '*' && pattern[n - 1] == '*') {
        snprintf(middle, sizeof middle, "%.*s", (int)n - 2, pattern + 1);
        return strstr(code, middle);
    }
    if (*pattern == '*')
        return m >= n - 1 && !strcmp(code + m - (n - 1), pattern + 1);
    if (pattern[n - 1] == '*')
        return !strncmp(pattern, code, n - 1);
    return !strcmp(pattern, code);
}

static const char *const throttled[] = {
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "RequestThrottled",
    "RequestThrottledException",
    "EC2ThrottledException",
    "ThrottledException",
    "ConcurrentLimitExceededException",
    "TooManyRequestsException",
    "BandwidthLimitExceeded",
    "SnapshotCreationPerVolumeRateExceeded",
};

/* --- forms -----------------------------------------------------------------*/

void ec2_form_free(struct ec2_form *f)
{
    free(f->text);
    *f = (struct ec2_form){ 0 };
}

static void append(struct ec2_form *f, const char *text)
{
    size_t size = strlen(text);
    char *more = f->failed ? NULL : realloc(f->text, f->len + size + 1);
    if (!more) {
        f->failed = true;
        return;
    }
    memcpy(more + f->len, text, size + 1);
    f->text = more;
    f->len += size;
}

void ec2_add(struct ec2_form *f, const char *value, const char *name, ...)
{
    char key[160];
    if (!value)
        return;
    va_list args;
    va_start(args, name);
    vsnprintf(key, sizeof key, name, args);
    va_end(args);
    SC_AUTO(free) char *escaped = web_escape(value, false);
    f->failed = f->failed || !escaped;
    append(f, f->len ? "&" : "");
    append(f, key);
    append(f, "=");
    append(f, escaped ? escaped : "");
}

void ec2_addu(struct ec2_form *f, uint64_t value, const char *name)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    ec2_add(f, text, "%s", name);
}

void ec2_add_filter(struct ec2_form *f, unsigned n, const char *name,
                    const char *value)
{
    ec2_add(f, name, "Filter.%u.Name", n);
    ec2_add(f, value, "Filter.%u.Value.1", n);
}

void ec2_add_tags(struct ec2_form *f, unsigned n, const char *type,
                  const char *name, const struct provider_tags *tags,
                  const char *sha256)
{
    const char *const all[][2] = { { "Name", name },
                                   { EC2_TAG_CLUSTER, tags->cluster },
                                   { EC2_TAG_TOKEN, tags->token },
                                   { EC2_TAG_SHA256, sha256 } };
    ec2_add(f, type, "TagSpecification.%u.ResourceType", n);
    for (unsigned i = 0, k = 1; i < SC_ARRAY_LEN(all); i++) {
        if (!all[i][1])
            continue;
        ec2_add(f, all[i][0], "TagSpecification.%u.Tag.%u.Key", n, k);
        ec2_add(f, all[i][1], "TagSpecification.%u.Tag.%u.Value", n, k++);
    }
}

/* --- answers ---------------------------------------------------------------*/

/* A refusal, in any of the forms the services have. */
struct refusal {
    char code[80], words[WORDS_MAX + 1], request[80];
};

static void copy(char *ret, size_t size, const char *text)
{
    if (text)
        snprintf(ret, size, "%s", text);
}

static void read_xml_refusal(const struct web_answer *a, struct refusal *ret)
{
    struct xml *x = NULL;
    if (xml_parse(a->body, a->size, &x, NULL) < 0)
        return;
    const struct xml_node *root = xml_root(x), *e;
    if (!(e = xml_get(root, "Errors/Error")))
        e = xml_get(root, "Error");
    copy(ret->code, sizeof ret->code, xml_text(e, "Code"));
    copy(ret->words, sizeof ret->words, xml_text(e, "Message"));
    copy(ret->request, sizeof ret->request, xml_text(root, "RequestID"));
    if (!*ret->request)
        copy(ret->request, sizeof ret->request, xml_text(root, "RequestId"));
    xml_free(x);
}

static void read_json_refusal(const struct web_answer *a, struct refusal *ret)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_ParseWithLength(a->body, a->size);
    const char *type = web_answer_header(a, "x-amzn-errortype");
    if (!type)
        type = cJSON_GetStringValue(cJSON_GetObjectItem(o, "__type"));
    copy(ret->code, sizeof ret->code, type);
    ret->code[strcspn(ret->code, ":")] = '\0'; /* A URL may follow, */
    const char *hash = strchr(ret->code, '#'); /* a namespace go before. */
    if (hash)
        memmove(ret->code, hash + 1, strlen(hash));
    copy(ret->words, sizeof ret->words,
         cJSON_GetStringValue(cJSON_GetObjectItem(o, "message")));
}

static struct refusal read_refusal(const struct web_answer *a)
{
    struct refusal r = { 0 };
    if (a->body[strspn(a->body, " \t\r\n")] == '<')
        read_xml_refusal(a, &r);
    else
        read_json_refusal(a, &r);
    if (!*r.request)
        copy(r.request, sizeof r.request,
             web_answer_header(a, "x-amzn-requestid"));
    char *encoded = strstr(r.words, " Encoded authorization failure message");
    if (encoded)
        *encoded = '\0';
    if (!*r.code)
        snprintf(r.code, sizeof r.code, "HTTP %ld", a->status);
    return r;
}

static int fail(struct p_ec2 *p, enum ec2_service service, const char *region,
                const char *action, const struct web_answer *a,
                struct sc_err *err)
{
    struct refusal r = read_refusal(a);
    int code = web_status_code(a->status);
    char advice[160] = "";
    copy(p->refusal, sizeof p->refusal, r.code);
    for (size_t i = 0; i < SC_ARRAY_LEN(throttled); i++)
        if (!strcmp(throttled[i], r.code))
            code = -EAGAIN;
    for (size_t i = 0; code != -EAGAIN && i < SC_ARRAY_LEN(meanings); i++) {
        if (!matches(meanings[i].code, r.code))
            continue;
        code = meanings[i].error;
        if (meanings[i].advice)
            copy(advice, sizeof advice, meanings[i].advice);
        else
            snprintf(advice, sizeof advice,
                     "allow %s:%s to this credential (docs/providers/"
                     "ec2-policy.json)",
                     services[service].name, action);
        break;
    }
    if (a->status == 400 && strstr(r.words, "nvalid value") &&
        strstr(r.words, "InstanceType")) {
        code = -ENOENT;
        copy(advice, sizeof advice, "see the types of this region");
    }
    return sc_fail(err, code, "%s in %s: %s%s%s (request %s)%s%s", action,
                   region, r.code, *r.words ? ": " : "", r.words,
                   *r.request ? r.request : "without an id",
                   *advice ? ": " : "", advice);
}

/* --- requests --------------------------------------------------------------*/

struct
try {
    struct p_ec2 *p;
    struct sigv4 how;
};

static int sign(void *arg, const struct web_request *q, struct web_header *ret,
                size_t max, struct sc_err *err)
{
    const struct try *t = arg;
    return sigv4_sign(&t->how, q, time(NULL) + t->p->clock_offset, ret, max,
                      err);
}

/* A refusal for the time of day: takes the provider's from its answer. */
static bool take_clock(struct p_ec2 *p, const struct refusal *r,
                       const struct web_answer *a)
{
    struct tm tm = { 0 };
    const char *date = web_answer_header(a, "date");
    if (strcmp(r->code, "RequestTimeTooSkewed") != 0 &&
        strcmp(r->code, "RequestExpired") != 0 &&
        !strstr(r->words, "Signature expired") &&
        !strstr(r->words, "Signature not yet current"))
        return false;
    if (!date || !strptime(date, "%a, %d %b %Y %H:%M:%S", &tm))
        return false;
    long offset = (long)(timegm(&tm) - time(NULL));
    if (labs(offset - p->clock_offset) < 60)
        return false;
    p->clock_offset = offset;
    return true;
}

static bool again(void *arg, const struct web_answer *a)
{
    const struct try *t = arg;
    if (a->status < 400)
        return false;
    struct refusal r = read_refusal(a);
    for (size_t i = 0; i < SC_ARRAY_LEN(throttled); i++)
        if (!strcmp(throttled[i], r.code))
            return true;
    return take_clock(t->p, &r, a);
}

char *ec2_url(const struct p_ec2 *p, enum ec2_service service,
              const char *region, const char *path)
{
    char *url = NULL;
    const char *own = p->endpoint[service];
    const char *mark = own ? strstr(own, "{region}") : NULL;
    int r;
    if (mark)
        r = asprintf(&url, "%.*s%s%s%s", (int)(mark - own), own, region,
                     mark + strlen("{region}"), path);
    else if (own)
        r = asprintf(&url, "%s%s", own, path);
    else if (!strncmp(region, "cn-", 3))
        r = asprintf(&url, "https://%s.%s.amazonaws.com.cn%s",
                     services[service].name, region, path);
    else
        /* NOLINTNEXTLINE(clang-diagnostic-format-nonliteral) */
        r = asprintf(&url, services[service].host, region, path);
    return r < 0 ? NULL : url;
}

static int request(struct p_ec2 *p, enum ec2_service service,
                   const char *region, const char *action, const char *path,
                   struct web_request q, bool body_unsigned,
                   struct web_answer *ret, struct sc_err *err)
{
    struct try t = { p,
                     { p->access_key_id, p->secret, p->session_token,
                       services[service].name, region, body_unsigned } };
    SC_AUTO(free) char *url = ec2_url(p, service, region, path);
    if (!url)
        return sc_fail(err, -ENOMEM, "out of memory");
    p->refusal[0] = '\0';
    q.url = url;
    q.sign = sign;
    q.again = again;
    q.arg = &t;
    struct web_answer a = { 0 };
    int r = web_do(p->web, &q, &a, err);
    if (r < 0) {
        sc_fail_in(err, "%s in %s", action, region);
        return r;
    }
    if (a.status < 200 || a.status > 299) {
        r = fail(p, service, region, action, &a, err);
        web_answer_clear(&a);
        return r;
    }
    *ret = a;
    return 0;
}

int ec2_call(struct p_ec2 *p, enum ec2_service service, const char *region,
             const char *action, const struct ec2_form *f, struct xml **ret,
             struct sc_err *err)
{
    static const struct web_header type = {
        "Content-Type", "application/x-www-form-urlencoded; charset=utf-8"
    };
    SC_AUTO(free) char *body = NULL;
    if ((f && f->failed) ||
        asprintf(&body, "Action=%s&Version=%s%s%s", action,
                 services[service].version, f && f->len ? "&" : "",
                 f && f->len ? f->text : "") < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    struct web_request q = { .method = "POST",
                             .headers = &type,
                             .n_headers = 1,
                             .body = body,
                             .body_size = strlen(body) };
    struct web_answer a = { 0 };
    int r = request(p, service, region, action, "/", q, false, &a, err);
    if (r < 0)
        return r;
    struct xml *x = NULL;
    r = xml_parse(a.body, a.size, &x, err);
    web_answer_clear(&a);
    if (r < 0) {
        sc_fail_in(err, "%s in %s", action, region);
        return r;
    }
    if (ret)
        *ret = x;
    else
        xml_free(x);
    return 0;
}

int ec2_each(struct p_ec2 *p, const char *region, const char *action,
             const struct ec2_form *f, const char *path, ec2_item_fn *fn,
             void *arg, struct sc_err *err)
{
    SC_AUTO(free) char *next = NULL;
    for (unsigned page = 0; page < PAGES_MAX; page++) {
        SC_AUTO(xml_free) struct xml *x = NULL;
        SC_AUTO(ec2_form_free) struct ec2_form g = { 0 };
        if (f && f->text)
            append(&g, f->text);
        ec2_add(&g, next, "NextToken");
        int r = ec2_call(p, EC2_EC2, region, action, &g, &x, err);
        if (r < 0)
            return r;
        const struct xml_node *root = xml_root(x), *i;
        for (i = xml_first(root, path); i; i = i->next)
            if ((r = fn(arg, i)) != 0)
                return r == -ENOMEM ? sc_fail(err, r, "out of memory") : r;
        free(next);
        const char *token = xml_text(root, "nextToken");
        next = *token ? strdup(token) : NULL;
        if (!*token)
            return 0;
        if (!next)
            return sc_fail(err, -ENOMEM, "out of memory");
    }
    return sc_fail(err, -EPROTO, "%s in %s: pages without end", action, region);
}

int ec2_json(struct p_ec2 *p, enum ec2_service service, const char *region,
             const char *action, const char *path, struct web_request q,
             bool body_unsigned, cJSON **ret, struct sc_err *err)
{
    struct web_answer a = { 0 };
    int r =
        request(p, service, region, action, path, q, body_unsigned, &a, err);
    if (r < 0)
        return r;
    cJSON *o = cJSON_ParseWithLength(a.body, a.size);
    bool ok = cJSON_IsObject(o) || a.size == 0;
    web_answer_clear(&a);
    if (!ok) {
        cJSON_Delete(o);
        return sc_fail(err, -EPROTO, "%s in %s: the answer is not JSON", action,
                       region);
    }
    if (ret)
        *ret = o;
    else
        cJSON_Delete(o);
    return 0;
}

bool ec2_refused(const struct p_ec2 *p, const char *code)
{
    return !strcmp(p->refusal, code);
}

/* --- small things ----------------------------------------------------------*/

int ec2_pause(struct p_ec2 *p, unsigned n, struct sc_err *err)
{
    double ms = p->retry_ms;
    for (unsigned i = 0; i < n && ms < PAUSE_MAX_MS; i++)
        ms *= 1.5;
    return web_pause(p->web, ms < PAUSE_MAX_MS ? (uint64_t)ms : PAUSE_MAX_MS,
                     err);
}

const char *ec2_region(const struct p_ec2 *p, const char *region)
{
    return region ? region : p->regions[0];
}

uint64_t ec2_time(const char *text)
{
    struct tm tm = { 0 };
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    time_t at = end ? timegm(&tm) : 0;
    return at > 0 ? (uint64_t)at * 1000 : 0;
}

const char *ec2_tag(const struct xml_node *item, const char *key)
{
    for (const struct xml_node *t = xml_first(item, "tagSet"); t; t = t->next)
        if (!strcmp(xml_text(t, "key"), key))
            return xml_text(t, "value");
    return "";
}
