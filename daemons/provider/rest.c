/* rest - see rest.h: the token and the answers.  The JSON is in
 * rest_json.c. */
#include "provider/rest.h"

#include "common/json.h"
#include "common/loop.h"
#include "common/tls.h"

#include <strings.h>

enum {
    RENEW_MS = 120000, /* Before its end a token is renewed. */
    MESSAGE_MAX = 300, /* Of the provider's words in an error. */
};

uint64_t rest_now(void)
{
    return sc_wall_ms();
}

static void forget_token(struct rest *r)
{
    if (r->token)
        explicit_bzero(r->token, strlen(r->token));
    free(SC_TAKE(r->token));
    r->token_until = 0;
}

void rest_clear(struct rest *r)
{
    forget_token(r);
}

void rest_answer_clear(struct rest_answer *a)
{
    cJSON_Delete(a->json);
    web_answer_clear(&a->raw);
    *a = (struct rest_answer){ 0 };
}

static const struct rest_word *find_word(const struct rest *r, const char *code)
{
    for (const struct rest_word *w = r->words; w && w->code; w++)
        if (!strcasecmp(w->code, code))
            return w;
    return NULL;
}

static const char *request_id(const struct web_answer *a)
{
    static const char *const names[] = { "x-ms-request-id", "x-request-id",
                                         "x-goog-request-id",
                                         "x-guploader-uploadid" };
    for (size_t i = 0; a && i < SC_ARRAY_LEN(names); i++) {
        const char *id = web_answer_header(a, names[i]);
        if (id && *id)
            return id;
    }
    return NULL;
}

int rest_refuse(const struct rest *r, const char *what, long status,
                const cJSON *json, const struct web_answer *a,
                struct sc_err *err)
{
    char code[80], message[MESSAGE_MAX], number[32] = "";
    rest_words(json, a ? a->body : "", code, sizeof code, message,
               sizeof message);
    const struct rest_word *w = find_word(r, code);
    const char *id = request_id(a), *target = rest_str(json, "error.target");
    int error = w ? w->error : status ? web_status_code(status) : -EIO;
    if (status)
        snprintf(number, sizeof number, "HTTP %ld", status);
    size_t len = strlen(message);
    while (len && (message[len - 1] == '.' || message[len - 1] == '\n'))
        message[--len] = '\0';
    return sc_fail(err, error, "%s: %s: %s (%s%s%.40s%s%s%s%.80s)%s%s", r->who,
                   what, *message ? message : "refused without a word", code,
                   *target ? " of " : "", target, *code && *number ? ", " : "",
                   number, id ? ", request " : "", id ? id : "",
                   w && w->advice ? ": " : "", w && w->advice ? w->advice : "");
}

/* Is an answer that web.h would take as final worth another try? */
static bool worth_again(void *arg, const struct web_answer *a)
{
    const struct rest *r = arg;
    char code[80], message[8];
    if (a->status < 400)
        return false;
    SC_AUTO(cjson_free) cJSON *json = cJSON_Parse(a->body);
    rest_words(json, a->body, code, sizeof code, message, sizeof message);
    const struct rest_word *w = find_word(r, code);
    return w && w->error == -EAGAIN;
}

static int have_token(struct rest *r, struct sc_err *err)
{
    if (r->token && rest_now() + RENEW_MS < r->token_until)
        return 0;
    forget_token(r);
    return r->login(r->arg, &r->token, &r->token_until, err);
}

/* One exchange, with the token there is. */
static int exchange(struct rest *r, const struct rest_request *q,
                    const char *text, struct rest_answer *ret,
                    struct sc_err *err)
{
    struct web_header headers[12];
    size_t n = 0;
    SC_AUTO(free) char *bearer = NULL;
    if (!q->plain) {
        if (asprintf(&bearer, "Bearer %s", r->token) < 0) {
            bearer = NULL;
            return sc_fail(err, -ENOMEM, "out of memory");
        }
        headers[n++] = (struct web_header){ "Authorization", bearer };
    }
    if (text)
        headers[n++] =
            (struct web_header){ "Content-Type", "application/json" };
    else if (q->raw)
        headers[n++] = (struct web_header){
            "Content-Type", q->type ? q->type : "application/octet-stream"
        };
    headers[n++] = (struct web_header){ "Accept", "application/json" };
    for (size_t i = 0; i < q->n_headers && n < SC_ARRAY_LEN(headers); i++)
        headers[n++] = q->headers[i];
    struct web_request w = {
        .method = q->method,
        .url = q->url,
        .headers = headers,
        .n_headers = n,
        .body = text ? (const void *)text : q->raw,
        .body_size = text ? strlen(text) : q->raw_size,
        .timeout_ms = q->timeout_ms,
        .once = q->once,
        .again = worth_again,
        .arg = r,
    };
    int code = web_do(r->web, &w, &ret->raw, err);
    if (code < 0)
        return err ? sc_fail_in(err, "%s: %s", r->who, q->what) : code;
    ret->status = ret->raw.status;
    ret->json = cJSON_ParseWithLength(ret->raw.body, ret->raw.size);
    return 0;
}

int rest_do(struct rest *r, const struct rest_request *q,
            struct rest_answer *ret, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *body = q->body;
    SC_AUTO(free) char *text = body ? cJSON_PrintUnformatted(body) : NULL;
    *ret = (struct rest_answer){ 0 };
    if (body && !text)
        return sc_fail(err, -ENOMEM, "%s: %s: out of memory", r->who, q->what);
    for (int attempt = 0;; attempt++) {
        int code = q->plain ? 0 : have_token(r, err);
        code = code < 0 ? code : exchange(r, q, text, ret, err);
        if (code < 0)
            return code;
        if (ret->status != 401 || q->plain || attempt)
            break;
        forget_token(r); /* It was revoked, or the clocks differ. */
        rest_answer_clear(ret);
    }
    if (q->any || (ret->status >= 200 && ret->status < 300))
        return 0;
    return rest_refuse(r, q->what, ret->status, ret->json, &ret->raw, err);
}

void rest_uuid_of(const char *seed, char ret[37])
{
    char hex[65];
    tls_sha256_hex(seed, strlen(seed), hex);
    hex[12] = '4';
    hex[16] = "89ab"[hex[16] & 3];
    snprintf(ret, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
             hex + 16, hex + 20);
}

const char *rest_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
