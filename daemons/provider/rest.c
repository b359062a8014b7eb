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

int rest_ask_token(struct rest *r, const char *url, const char *form,
                   char **ret, uint64_t *ret_until, struct sc_err *err)
{
    const struct rest_request q = { .method = "POST",
                                    .url = url,
                                    .what = "login",
                                    .raw = form,
                                    .raw_size = strlen(form),
                                    .type = "application/x-www-form-urlencoded",
                                    .plain = true };
    struct rest_answer a = { 0 };
    int code = rest_do(r, &q, &a, err);
    const char *token = rest_str(a.json, "access_token");
    double seconds = rest_num(a.json, "expires_in");
    if (code == 0 && (!*token || strpbrk(token, "\r\n") || seconds < 1))
        code =
            sc_fail(err, -EPROTO, "%s: login: the answer has no token", r->who);
    if (code == 0 && !(*ret = strdup(token)))
        code = sc_fail(err, -ENOMEM, "%s: login: out of memory", r->who);
    if (code == 0)
        *ret_until = rest_now() + (uint64_t)(seconds * 1000);
    rest_answer_clear(&a);
    return code;
}

/* Retry-After in ms, or 'otherwise'. */
static unsigned pause_of(const struct rest_answer *a, unsigned otherwise)
{
    const char *text = web_answer_header(&a->raw, "retry-after");
    char *end;
    unsigned long s = text ? strtoul(text, &end, 10) : 0;
    return text && end != text && s > 0 && s < 600 ? (unsigned)s * 1000
                                                   : otherwise;
}

int rest_wait(struct rest *r, const struct rest_operation *o,
              struct rest_answer *a, struct sc_err *err)
{
    const struct rest_request q = { .method = "GET",
                                    .url = o->url,
                                    .what = o->what };
    unsigned next = o->first_ms, pause = pause_of(a, next);
    enum rest_step step = o->step;
    for (uint64_t waited = 0; step == REST_WAIT; waited += pause) {
        if (waited > o->max_ms)
            return sc_fail(err, -ETIMEDOUT, "%s: %s: not done after %u minutes",
                           r->who, o->what, o->max_ms / 60000);
        int code = web_pause(r->web, pause, err);
        if (code < 0)
            return code;
        rest_answer_clear(a);
        code = rest_do(r, &q, a, err);
        if (code < 0)
            return code;
        step = o->look(a);
        next = next * 2 < o->last_ms ? next * 2 : o->last_ms;
        pause = pause_of(a, next);
    }
    return step == REST_DONE
               ? 0
               : rest_refuse(r, o->what, 0, a->json, &a->raw, err);
}

int rest_absent_ok(int code, struct sc_err *err)
{
    if (code != -ENOENT)
        return code;
    if (err)
        *err = (struct sc_err){ 0 };
    return 0;
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
