/* p_gce_api - see p_gce.h: how the driver speaks to Google.
 *
 * A service account proves itself by a token it signs (RFC 7523); the answer is
 * a bearer token of an hour.  What changes something answers with an operation,
 * which is asked for until it is done, ever more seldom. */
#include "provider/p_gce.h"

#include "provider/jwt.h"

#include <stdarg.h>

enum { FIRST_PAUSE_MS = 100, LAST_PAUSE_MS = 5000, WAIT_MAX_MS = 1800000 };

#define SCOPES                                                                 \
    "https://www.googleapis.com/auth/compute "                                 \
    "https://www.googleapis.com/auth/devstorage.read_write "                   \
    "https://www.googleapis.com/auth/cloud-billing.readonly"

#define ROLE                                                                   \
    "give the service account the role of docs/providers/gce-role.yaml (the "  \
    "words before name what is missing)"
#define KEY                                                                    \
    "make a new JSON key of the service account and enter it; if that is "     \
    "right, set this machine's clock"
#define QUOTA                                                                  \
    "ask for more under IAM & Admin > Quotas, or take another region or type"
#define CAPACITY                                                               \
    "the zone is out of machines of this type: take another zone, region or "  \
    "type, or on demand instead of spot"

const struct rest_word gce_words[] = {
    { "invalid_grant", -EACCES, KEY },
    { "invalid_client", -EACCES, KEY },
    { "unauthorized_client", -EACCES, KEY },
    { "invalid_scope", -EACCES, KEY },
    { "authError", -EACCES, KEY },
    { "UNAUTHENTICATED", -EACCES, KEY },
    { "accessNotConfigured", -EACCES,
      "enable the Compute Engine, Cloud Storage and Cloud Billing APIs of the "
      "project" },
    { "forbidden", -EACCES, ROLE },
    { "insufficientPermissions", -EACCES, ROLE },
    { "required", -EACCES, ROLE },
    { "PERMISSION_DENIED", -EACCES, ROLE },
    { "PERMISSIONS_ERROR", -EACCES, ROLE },
    { "API_KEY_INVALID", -EACCES, "correct api_key, or leave it out" },
    { "quotaExceeded", -EDQUOT, QUOTA },
    { "QUOTA_EXCEEDED", -EDQUOT, QUOTA },
    { "limitExceeded", -EDQUOT, QUOTA },
    { "ZONE_RESOURCE_POOL_EXHAUSTED", -ENOSPC, CAPACITY },
    { "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", -ENOSPC, CAPACITY },
    { "RESOURCE_POOL_EXHAUSTED", -ENOSPC, CAPACITY },
    { "UNSUPPORTED_OPERATION", -EINVAL, NULL },
    { "notFound", -ENOENT, "check the name; types and regions can be listed" },
    { "RESOURCE_NOT_FOUND", -ENOENT,
      "check the name; types and regions can be listed" },
    { "alreadyExists", -EEXIST, "take another name" },
    { "RESOURCE_ALREADY_EXISTS", -EEXIST, "take another name" },
    { "conflict", -EEXIST, NULL },
    { "rateLimitExceeded", -EAGAIN, "too many requests: try later" },
    { "userRateLimitExceeded", -EAGAIN, "too many requests: try later" },
    { "RATE_LIMIT_EXCEEDED", -EAGAIN, "too many requests: try later" },
    { "resourceNotReady", -EAGAIN, NULL },
    { "resourceInUseByAnotherResource", -EBUSY,
      "remove what uses it before it" },
    { "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", -EBUSY,
      "remove what uses it before it" },
    { NULL, 0, NULL },
};

int gce_login(void *arg, char **ret, uint64_t *ret_until, struct sc_err *err)
{
    struct p_gce *p = arg;
    uint64_t now = rest_now() / 1000;
    const char *id = rest_str(p->account, "private_key_id");
    SC_AUTO(cjson_free)
    cJSON *header = *id ? rest_json("{'alg':'RS256','typ':'JWT','kid':%s}", id)
                        : rest_json("{'alg':'RS256','typ':'JWT'}");
    SC_AUTO(cjson_free)
    cJSON *claims =
        rest_json("{'iss':%s,'scope':%s,'aud':%s,'iat':%u,'exp':%u}",
                  rest_str(p->account, "client_email"), SCOPES,
                  rest_str(p->account, "token_uri"), now, now + 3600);
    SC_AUTO(free) char *h = header ? cJSON_PrintUnformatted(header) : NULL;
    SC_AUTO(free) char *c = claims ? cJSON_PrintUnformatted(claims) : NULL;
    SC_AUTO(free) char *jwt = NULL, *form = NULL;
    if (!h || !c)
        return sc_fail(err, -ENOMEM, "gce: login: out of memory");
    int r =
        jwt_sign_rs256(h, c, rest_str(p->account, "private_key"), &jwt, err);
    if (r < 0)
        return err ? sc_fail_in(err, "gce: service_account") : r;
    if (asprintf(&form,
                 "grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type%%3A"
                 "jwt-bearer&assertion=%s",
                 jwt) < 0) {
        form = NULL;
        return sc_fail(err, -ENOMEM, "gce: login: out of memory");
    }
    return rest_ask_token(&p->rest, p->login, form, ret, ret_until, err);
}

static int call(struct p_gce *p, const char *method, cJSON *body,
                struct rest_answer *ret, struct sc_err *err, const char *what,
                const char *path, va_list args)
{
    char tail[GCE_URL_MAX], url[2 * GCE_URL_MAX];
    vsnprintf(tail, sizeof tail, path, args);
    snprintf(url, sizeof url, "%s/projects/%s%s", p->compute, p->project, tail);
    return rest_do(
        &p->rest,
        &(struct rest_request){
            .method = method, .url = url, .what = what, .body = body },
        ret, err);
}

int gce_call(struct p_gce *p, const char *method, cJSON *body,
             struct rest_answer *ret, struct sc_err *err, const char *what,
             const char *path, ...)
{
    va_list args;
    va_start(args, path);
    int r = call(p, method, body, ret, err, what, path, args);
    va_end(args);
    return r;
}

static int each_item(const cJSON *items, gce_each_fn *fn, void *arg,
                     struct sc_err *err)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, items)
    {
        int r = fn(arg, item, err);
        if (r)
            return r;
    }
    return 0;
}

static int each_scope(const cJSON *scopes, const char *key, gce_each_fn *fn,
                      void *arg, struct sc_err *err)
{
    const cJSON *scope;
    cJSON_ArrayForEach(scope, scopes)
    {
        int r = each_item(rest_at(scope, key), fn, arg, err);
        if (r)
            return r;
    }
    return 0;
}

int gce_pages(struct p_gce *p, const char *url, const char *key, bool scopes,
              const char *what, gce_each_fn *fn, void *arg, struct sc_err *err)
{
    char next[2 * GCE_URL_MAX];
    snprintf(next, sizeof next, "%s", url);
    for (;;) {
        struct rest_answer a = { 0 };
        int r = rest_do(&p->rest,
                        &(struct rest_request){
                            .method = "GET", .url = next, .what = what },
                        &a, err);
        if (r == 0 && !a.json)
            r = sc_fail(err, -EPROTO, "gce: %s: the answer is no JSON", what);
        if (r == 0 && scopes) {
            r = each_scope(rest_at(a.json, "items"), key, fn, arg, err);
        } else if (r == 0) {
            r = each_item(rest_at(a.json, key), fn, arg, err);
        }
        SC_AUTO(free)
        char *token =
            r == 0 ? gce_escape(rest_str(a.json, "nextPageToken")) : NULL;
        rest_answer_clear(&a);
        if (r || !token || !*token)
            return r;
        snprintf(next, sizeof next, "%s%cpageToken=%s", url,
                 strchr(url, '?') ? '&' : '?', token);
    }
}

static enum rest_step step_of(const struct rest_answer *a)
{
    if (strcmp(rest_str(a->json, "status"), "DONE") != 0)
        return REST_WAIT;
    return rest_at(a->json, "error") ? REST_FAILED : REST_DONE;
}

int gce_wait(struct p_gce *p, struct rest_answer *a, const char *what,
             struct sc_err *err)
{
    /* Only names are taken from the answer, never where to send the token. */
    SC_AUTO(free) char *name = gce_escape(rest_str(a->json, "name"));
    const char *where = rest_str(a->json, "zone");
    const char *kind = *where ? "zones/" : "regions/";
    char url[2 * GCE_URL_MAX];
    where = *where ? where : rest_str(a->json, "region");
    SC_AUTO(free) char *place = gce_escape(rest_base(where));
    if (!name || !place)
        return sc_fail(err, -ENOMEM, "gce: %s: out of memory", what);
    if (!*name)
        return sc_fail(err, -EPROTO, "gce: %s: the answer is no operation",
                       what);
    snprintf(url, sizeof url, "%s/projects/%s/%s%s/operations/%s", p->compute,
             p->project, *place ? kind : "global", place, name);
    const struct rest_operation o = { .url = url,
                                      .what = what,
                                      .step = step_of(a),
                                      .look = step_of,
                                      .first_ms = FIRST_PAUSE_MS,
                                      .last_ms = LAST_PAUSE_MS,
                                      .max_ms = WAIT_MAX_MS };
    return rest_wait(&p->rest, &o, a, err);
}

int gce_do(struct p_gce *p, const char *method, cJSON *body, bool absent_ok,
           struct sc_err *err, const char *what, const char *path, ...)
{
    struct rest_answer a = { 0 };
    va_list args;
    va_start(args, path);
    int r = call(p, method, body, &a, err, what, path, args);
    va_end(args);
    if (r == 0)
        r = gce_wait(p, &a, what, err);
    rest_answer_clear(&a);
    return absent_ok ? rest_absent_ok(r, err) : r;
}

char *gce_escape(const char *text)
{
    return web_escape(text, false);
}

const char *gce_path(const char *link)
{
    const char *p = strstr(link, "projects/");
    return p ? p : link;
}

bool gce_name_ok(const char *name)
{
    size_t len = strlen(name);
    return len >= 1 && len <= 63 && *name >= 'a' && *name <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len &&
           name[len - 1] != '-';
}

cJSON *gce_labels(const struct provider_tags *tags)
{
    return rest_json("{'" GCE_CLUSTER "':%s,'" GCE_TOKEN "':%s}",
                     tags->cluster ? tags->cluster : "",
                     tags->token ? tags->token : "");
}

bool gce_has_tags(const cJSON *item, const struct provider_tags *tags)
{
    return !strcmp(rest_str(item, "labels." GCE_CLUSTER),
                   tags->cluster ? tags->cluster : "") &&
           !strcmp(rest_str(item, "labels." GCE_TOKEN),
                   tags->token ? tags->token : "");
}

int gce_region(const struct p_gce *p, const char *region, char ret[64],
               struct sc_err *err)
{
    int r = settings_first("gce: region", region, p->region, ret, err);
    if (r == 0 && !gce_name_ok(ret))
        r = sc_fail(err, -EINVAL, "gce: region '%s': not a region's name", ret);
    return r;
}
