/* api - see api.h: life cycle, and the way of a request from path to answer. */
#include "api/api.h"

#include "api/request.h"
#include "http/assets.h"
#include "http/headers.h"
#include "http/router.h"
#include "http/spool.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define PREFIX "/api/v1"

_Static_assert((int)API_HASH_SIZE == (int)AUTH_HASH_SIZE, "one hash size");

static void handle(void *ctx, struct http_request *rq);

int api_new(struct sc_loop *loop, const struct api_backend *backend,
            const struct api_options *o, struct api **ret, struct sc_err *err)
{
    SC_AUTO(api_free) struct api *api = calloc(1, sizeof *api);
    if (!api)
        return sc_fail(err, -ENOMEM, "console: out of memory");
    pthread_mutex_init(&api->lock, NULL);
    api->loop = loop;
    api->backend = backend;
    api->o = *o;
    if (!api->o.image_max)
        api->o.image_max = 1ull << 40;
    if (!api->o.idle_ms)
        api->o.idle_ms = 30 * 60 * 1000;
    if (!api->o.absolute_ms)
        api->o.absolute_ms = 12 * 60 * 60 * 1000;
    if (!api->o.keep_alive_ms)
        api->o.keep_alive_ms = 15000;
    if (!api->o.n_threads)
        api->o.n_threads = 96;
    api->spool_dir = strdup(o->spool_dir);
    api->web_root = o->web_root ? strdup(o->web_root) : NULL;
    /* An honest user mistypes a few times; a guesser gets three tries a
     * minute per user, whatever the number of addresses. */
    api->by_address = limit_new(20, 10 * 1000);
    api->by_user = limit_new(5, 20 * 1000);
    if (!api->spool_dir || (o->web_root && !api->web_root) ||
        !api->by_address || !api->by_user ||
        sse_hub_new(sc_wall_ms(), api->o.n_threads / 3, &api->events) < 0)
        return sc_fail(err, -ENOMEM, "console: out of memory");
    int r = tls_read_file(o->ca_file ? o->ca_file : o->cert_file, &api->ca_pem,
                          err);
    if (r == 0)
        r = tls_pin(api->ca_pem, api->ca_pin, err);
    if (r < 0)
        return r;
    spool_clean(api->spool_dir);
    struct http_server_options ho = {
        .listen = o->listen,
        .cert_file = o->cert_file,
        .key_file = o->key_file,
        .named_cert_file = o->named_cert_file,
        .named_key_file = o->named_key_file,
        .n_threads = api->o.n_threads,
        .ctx = api,
        .handle = handle,
        .ws = &api_console_ws,
    };
    r = http_server_new(&ho, &api->http, err);
    if (r < 0)
        return r;
    *ret = SC_TAKE(api);
    return 0;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    /* Workers first stop waiting for this thread, then are waited for. */
    api_terminals_close(api);
    api_calls_cancel(api);
    if (api->events)
        sse_hub_close(api->events);
    http_server_free(api->http);
    sse_hub_free(api->events);
    limit_free(api->by_address);
    limit_free(api->by_user);
    free(api->spool_dir);
    free(api->web_root);
    free(api->ca_pem);
    pthread_mutex_destroy(&api->lock);
    free(api);
}

uint16_t api_port(const struct api *api)
{
    return http_server_port(api->http);
}

void api_changed(struct api *api, const char *kind, const char *id,
                 const cJSON *object)
{
    SC_AUTO(cjson_free) cJSON *data = cJSON_CreateObject();
    cJSON_AddStringToObject(data, "kind", kind);
    cJSON_AddStringToObject(data, "id", id);
    if (object)
        cJSON_AddItemReferenceToObject(data, "object", (cJSON *)object);
    else
        cJSON_AddNullToObject(data, "object");
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(data);
    if (text)
        (void)sse_publish(api->events, "change", text);
}

int api_password_hash(const char *password, char ret[API_HASH_SIZE],
                      struct sc_err *err)
{
    return auth_password_hash(password, ret, err);
}

void api_reply(struct api_request *q, const struct api_answer *a)
{
    if (a->err.code)
        api_fail(q, &a->err);
    else
        http_reply_json(q->http, a->status, "", a->result);
}

void api_fail(struct api_request *q, const struct sc_err *err)
{
    http_reply_error(q->http, 0, "", err);
}

void api_openapi(struct api_request *q)
{
    const struct http_asset *a = http_asset_find("/openapi.json");
    if (a)
        http_asset_serve(q->http, a);
    else
        http_reply_errorf(q->http, 0, -ENOENT, "openapi.json: not embedded");
}

void api_version(struct api_request *q)
{
    SC_AUTO(cjson_free) cJSON *v = cJSON_CreateObject();
    cJSON_AddStringToObject(v, "version", SC_VERSION);
    cJSON_AddStringToObject(v, "api", "v1");
    json_set_u64(v, "time_ms", sc_wall_ms());
    http_reply_json(q->http, 200, "", v);
}

void api_ca(struct api_request *q)
{
    SC_AUTO(cjson_free) cJSON *v = cJSON_CreateObject();
    cJSON_AddStringToObject(v, "ca", q->api->ca_pem);
    cJSON_AddStringToObject(v, "fingerprint", q->api->ca_pin);
    http_reply_json(q->http, 200, "", v);
}

/* --- the way of a request ------------------------------------------------ */

static bool is_utf8(const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s, *end = p + len;
    while (p < end) {
        unsigned n = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
        if (*p >= 0x80 && (*p < 0xc2 || *p > 0xf4))
            return false;
        if ((size_t)(end - p) <= n)
            return false;
        if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
            (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
            return false;
        for (unsigned i = 1; i <= n; i++)
            if ((p[i] & 0xc0) != 0x80)
                return false;
        p += n + 1;
    }
    return true;
}

static int read_body(struct http_request *rq, char **ret, size_t *ret_len,
                     struct sc_err *err)
{
    int64_t want = http_content_length(rq);
    if (want > API_BODY_MAX)
        return sc_fail(err, -EFBIG, "body: %" PRId64 " bytes, at most %d", want,
                       API_BODY_MAX);
    SC_AUTO(free) char *buf = malloc(API_BODY_MAX + 1);
    if (!buf)
        return sc_fail(err, -ENOMEM, "body: out of memory");
    size_t len = 0;
    while (len <= API_BODY_MAX) {
        ssize_t n = http_read(rq, buf + len, API_BODY_MAX + 1 - len);
        if (n < 0)
            return sc_fail(err, -EBADMSG, "body: cannot be read");
        if (n == 0)
            break;
        len += (size_t)n;
    }
    if (len > API_BODY_MAX)
        return sc_fail(err, -EFBIG, "body: more than %d bytes", API_BODY_MAX);
    if (want >= 0 && (int64_t)len < want)
        return sc_fail(err, -EBADMSG, "body: cut short: %zu of %" PRId64, len,
                       want);
    buf[len] = '\0';
    *ret = SC_TAKE(buf);
    *ret_len = len;
    return 0;
}

/* Adds the members of a JSON body to q->params. */
static int take_body(struct api_request *q, struct sc_err *err)
{
    int64_t length = http_content_length(q->http);
    bool has_body = length > 0 || http_is_chunked(q->http);
    if (!has_body)
        return 0;
    if (!(q->route->flags & API_BODY))
        return sc_fail(err, -EINVAL, "%s %s takes no body", q->route->method,
                       q->route->path);
    const char *type = http_header(q->http, "Content-Type");
    if (!type || strncasecmp(type, "application/json", 16) != 0)
        return sc_fail(err, -EINVAL,
                       "body: Content-Type must be application/json");
    SC_AUTO(free) char *text = NULL;
    size_t len = 0;
    int r = read_body(q->http, &text, &len, err);
    if (r < 0)
        return r;
    if (!is_utf8(text, len))
        return sc_fail(err, -EINVAL, "body: not UTF-8");
    const char *end = NULL;
    SC_AUTO(cjson_free)
    cJSON *body = cJSON_ParseWithLengthOpts(text, len + 1, &end, true);
    if (!body || end != text + len)
        return sc_fail(err, -EINVAL, "body: not JSON, at byte %zu",
                       (size_t)(end ? end - text : 0));
    if (!cJSON_IsObject(body))
        return sc_fail(err, -EINVAL, "body: must be a JSON object");
    while (body->child) {
        cJSON *item = cJSON_DetachItemViaPointer(body, body->child);
        if (cJSON_GetObjectItemCaseSensitive(q->params, item->string)) {
            sc_fail(err, -EINVAL, "body: '%.64s' is given twice", item->string);
            cJSON_Delete(item);
            return -EINVAL;
        }
        cJSON_AddItemToArray(q->params, item); /* Keeps its own key. */
    }
    return 0;
}

static void dispatch(struct api *api, struct http_request *rq)
{
    const char *path = http_path(rq) + strlen(PREFIX);
    char allow[64], headers[96];
    int i = http_route_find(api_routes, api_n_routes, sizeof *api_routes,
                            http_method(rq), path, allow, sizeof allow);
    struct sc_err err = { 0 };
    if (i == HTTP_ROUTE_NONE) {
        http_reply_errorf(rq, 404, -ENOENT, "no such resource: %.200s",
                          http_path(rq));
        return;
    }
    if (i == HTTP_ROUTE_METHOD) {
        snprintf(headers, sizeof headers, "Allow: %s\r\n", allow);
        sc_fail(&err, -EOPNOTSUPP, "%.16s is not allowed here, only %s",
                http_method(rq), allow);
        http_reply_error(rq, 405, headers, &err);
        return;
    }
    SC_AUTO(cjson_free) cJSON *params = cJSON_CreateObject();
    struct api_request q = {
        .api = api, .http = rq, .route = &api_routes[i], .params = params
    };
    (void)http_path_match(q.route->path, path, params);
    if ((!(q.route->flags & API_PUBLIC) && api_authenticate(&q, &err) < 0) ||
        http_query_decode(http_query(rq), q.route->query, params, &err) < 0 ||
        (!(q.route->flags & API_STREAM) && take_body(&q, &err) < 0)) {
        api_fail(&q, &err);
        return;
    }
    if (q.route->fn) {
        q.route->fn(&q);
        return;
    }
    SC_AUTO(api_answer_clear) struct api_answer a;
    api_call(api, q.route->op, &q.caller, SC_TAKE(params), &a);
    q.params = NULL;
    api_reply(&q, &a);
}

static void serve_static(struct api *api, struct http_request *rq)
{
    const char *path = http_path(rq);
    if (strcmp(http_method(rq), "GET") != 0 &&
        strcmp(http_method(rq), "HEAD") != 0) {
        struct sc_err err;
        sc_fail(&err, -EOPNOTSUPP, "%.16s is not allowed here, only GET",
                http_method(rq));
        http_reply_error(rq, 405, "Allow: GET, HEAD\r\n", &err);
        return;
    }
    if (api->web_root && http_file_serve(rq, api->web_root, path))
        return;
    const struct http_asset *a = http_asset_for(path);
    if (a)
        http_asset_serve(rq, a);
    else
        http_reply_errorf(rq, 404, -ENOENT, "no such page: %.200s", path);
}

static void handle(void *ctx, struct http_request *rq)
{
    struct api *api = ctx;
    const char *path = http_path(rq);
    if (strncmp(path, PREFIX "/", strlen(PREFIX) + 1) == 0)
        dispatch(api, rq);
    else if (strncmp(path, "/api", 4) == 0 && (!path[4] || path[4] == '/'))
        http_reply_errorf(rq, 404, -ENOENT, "the API is at %s", PREFIX);
    else
        serve_static(api, rq);
}
