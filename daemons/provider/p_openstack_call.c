/* p_openstack_call - one request to a service, and its errors in the service's
 * own words. */
#include "provider/p_openstack.h"

#include <ctype.h>
#include <stdarg.h>

enum {
    HEADERS_MAX = 8,
};

/* What networks 'auto' and 'none' need, which is Newton of 2016, and no more:
 * later ones change the answers. */
#define NOVA_VERSION "2.37"

void os_answer_clear(struct os_answer *a)
{
    web_answer_clear(&a->web);
    cJSON_Delete(a->json);
    *a = (struct os_answer){ 0 };
}

const char *os_str(const cJSON *object, const char *key)
{
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text ? text : "";
}

double os_num(const cJSON *object, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

bool os_is_id(const char *text)
{
    size_t len = strlen(text);
    return (len == 36 || len == 32) &&
           strspn(text, "0123456789abcdefABCDEF-") == len;
}

/* -- Errors ---------------------------------------------------------------- */

/* Glance and proxies answer in HTML: its text alone, blanks made one. */
static void plain_text(const char *html, char *ret, size_t size)
{
    bool in_tag = false, blank = true;
    size_t n = 0;
    for (; *html && n + 1 < size; html++) {
        if (*html == '<')
            in_tag = true;
        bool space = in_tag || isspace((unsigned char)*html);
        if (*html == '>')
            in_tag = false;
        if (space && blank)
            continue;
        blank = space;
        ret[n++] = space ? ' ' : *html;
    }
    while (n && ret[n - 1] == ' ')
        n--;
    ret[n] = '\0';
}

/* {"badRequest": {"message"}}, {"error": …}, {"NeutronError": …}; "" if none.
 */
static const char *words_of(const cJSON *json)
{
    for (const cJSON *o = cJSON_IsObject(json) ? json->child : NULL; o;
         o = o->next) {
        if (cJSON_IsString(o) && !strcmp(o->string, "message"))
            return o->valuestring;
        if (*os_str(o, "message"))
            return os_str(o, "message");
        if (cJSON_IsString(o) && !strcmp(o->string, "NeutronError"))
            return o->valuestring;
    }
    return "";
}

static bool says(const char *text, const char *word)
{
    return strcasestr(text, word) != NULL;
}

int os_reason(const char *words, long status)
{
    if (status != 429 && (says(words, "quota") || says(words, "limit exceed")))
        return -EDQUOT;
    if (says(words, "no valid host") || says(words, "not enough hosts"))
        return -ENOSPC;
    return status == 501 ? -ENOTSUP : web_status_code(status);
}

const char *os_advice(int code, long status)
{
    switch (code) {
    case -EDQUOT:
        return ": remove something, or ask the provider for a higher quota";
    case -ENOSPC:
        return ": try another type, zone or region, or later";
    case -EACCES:
        return status == 401
                   ? ": the credential is not accepted any more"
                   : ": the credential needs the role 'member' on the project";
    case -EAGAIN:
        return ": too many requests; try again later";
    default:
        return "";
    }
}

static int fail_with(struct openstack *o, const char *service,
                     const struct os_answer *a, struct sc_err *err)
{
    char text[300];
    const char *words = words_of(a->json);
    plain_text(*words ? words : a->web.body, text, sizeof text);
    const char *request = web_answer_header(&a->web, "x-openstack-request-id");
    if (!request)
        request = web_answer_header(&a->web, "x-compute-request-id");
    int code = os_reason(text, a->web.status);
    return sc_fail(err, code, "%s: %s: %s (HTTP %ld%s%.60s)%s",
                   o->up.class->name, service, *text ? text : "no reason given",
                   a->web.status, request ? ", request " : "",
                   request ? request : "", os_advice(code, a->web.status));
}

/* -- One request ------------------------------------------------------------
 */

struct call {
    struct openstack *o;
    const struct os_call *c;
    bool renewed;
};

static int add_token(void *arg, const struct web_request *q,
                     struct web_header *ret, size_t max, struct sc_err *err)
{
    (void)q;
    (void)max;
    struct call *x = arg;
    char *copy = strdup(x->o->token);
    if (!copy)
        return sc_fail(err, -ENOMEM, "out of memory");
    ret[0] = (struct web_header){ "X-Auth-Token", copy };
    return 1;
}

/* A token that ended early, or was revoked, is made anew once. */
static bool new_token(void *arg, const struct web_answer *a)
{
    struct call *x = arg;
    if (a->status != 401 || x->renewed)
        return false;
    x->renewed = true;
    x->o->renew_at = 0;
    return os_login(x->o, NULL) == 0;
}

static long read_body(void *arg, uint64_t at, void *buf, size_t size)
{
    struct call *x = arg;
    return x->c->read(x->c->arg, at, buf, size);
}

int os_call(struct openstack *o, const struct os_call *c, struct os_answer *ret,
            struct sc_err *err)
{
    int r = os_login(o, err);
    if (r < 0)
        return r;
    const char *base = os_endpoint(o, c->service, c->region);
    if (!base)
        return sc_fail(err, -ENOENT,
                       "%s: region '%s' has no %s service in the catalog",
                       o->up.class->name, c->region, c->service);
    struct web_header headers[HEADERS_MAX] = { { "Accept",
                                                 "application/json" } };
    size_t n = 1;
    SC_AUTO(free) char *url = NULL, *text = NULL;
    if (asprintf(&url, "%s%s", base, c->path) < 0 ||
        (c->body && !(text = cJSON_PrintUnformatted(c->body))))
        return sc_fail(err, -ENOMEM, "out of memory");
    if (text || c->type)
        headers[n++] =
            (struct web_header){ "Content-Type",
                                 c->type ? c->type : "application/json" };
    if (!strcmp(c->service, "compute") && !o->classic) {
        headers[n++] = (struct web_header){ "OpenStack-API-Version",
                                            "compute " NOVA_VERSION };
        headers[n++] =
            (struct web_header){ "X-OpenStack-Nova-API-Version", NOVA_VERSION };
    }
    for (size_t i = 0; i < c->n_headers && n < HEADERS_MAX; i++)
        headers[n++] = c->headers[i];
    struct call x = { .o = o, .c = c };
    struct web_request q = { .method = c->method,
                             .url = url,
                             .headers = headers,
                             .n_headers = n,
                             .body = text,
                             .body_size = text ? strlen(text) : 0,
                             .read = c->read ? read_body : NULL,
                             .read_size = c->read_size,
                             .once = c->once,
                             .sign = add_token,
                             .again = new_token,
                             .arg = &x };
    struct os_answer a = { 0 };
    r = web_do(o->web, &q, &a.web, err);
    if (r < 0)
        return sc_fail_in(err, "%s: %s", o->up.class->name, c->service);
    a.json = cJSON_Parse(a.web.body);
    if (a.web.status < 200 || a.web.status > 299)
        r = fail_with(o, c->service, &a, err);
    if (r < 0 || !ret)
        os_answer_clear(&a);
    else
        *ret = a;
    return r;
}

static int path_of(char **ret, const char *path, va_list args,
                   struct sc_err *err)
{
    return vasprintf(ret, path, args) < 0
               ? sc_fail(err, -ENOMEM, "out of memory")
               : 0;
}

int os_get(struct openstack *o, const char *region, const char *service,
           struct os_answer *ret, struct sc_err *err, const char *path, ...)
{
    SC_AUTO(free) char *full = NULL;
    va_list args;
    va_start(args, path);
    int r = path_of(&full, path, args, err);
    va_end(args);
    struct os_call c = {
        .region = region, .service = service, .method = "GET", .path = full
    };
    return r < 0 ? r : os_call(o, &c, ret, err);
}

int os_delete(struct openstack *o, const char *region, const char *service,
              struct sc_err *err, const char *path, ...)
{
    SC_AUTO(free) char *full = NULL;
    struct sc_err e = { 0 };
    va_list args;
    va_start(args, path);
    int r = path_of(&full, path, args, err);
    va_end(args);
    struct os_call c = {
        .region = region, .service = service, .method = "DELETE", .path = full
    };
    r = r < 0 ? r : os_call(o, &c, NULL, &e);
    if (r == -ENOENT)
        return 0;
    if (r < 0 && err)
        *err = e;
    return r;
}

int os_post(struct openstack *o, const char *region, const char *service,
            const char *path, cJSON *body, struct os_answer *ret,
            struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *taken = body;
    if (!taken)
        return sc_fail(err, -ENOMEM, "out of memory");
    struct os_call c = { .region = region,
                         .service = service,
                         .method = "POST",
                         .path = path,
                         .body = taken,
                         .once = true };
    return os_call(o, &c, ret, err);
}
