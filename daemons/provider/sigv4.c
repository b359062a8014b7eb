/* sigv4 - see sigv4.h.  The canonical request and the string to sign are made
 * as text, then one chain of HMACs. */
#include "provider/sigv4.h"

#include "common/tls.h"

#include <ctype.h>
#include <openssl/hmac.h>
#include <strings.h>

enum { HEADERS_MAX = 32, HASH = 32 };

/* Text that grows; 'failed' sticks. */
struct text {
    char *p;
    size_t len;
    bool failed;
};

static void add(struct text *t, const char *s, size_t len)
{
    char *more = t->failed ? NULL : realloc(t->p, t->len + len + 1);
    if (!more) {
        t->failed = true;
        return;
    }
    memcpy(more + t->len, s, len);
    t->p = more;
    t->len += len;
    more[t->len] = '\0';
}

static void adds(struct text *t, const char *s)
{
    add(t, s, strlen(s));
}

struct url {
    char host[256];
    const char *path, *query; /* Without '?'; borrowed from the URL. */
    size_t path_len;
};

static int split_url(const char *url, struct url *ret)
{
    const char *host = strstr(url, "://");
    if (!host)
        return -EINVAL;
    host += 3;
    size_t len = strcspn(host, "/?#");
    if (len == 0 || len >= sizeof ret->host)
        return -EINVAL;
    memcpy(ret->host, host, len);
    ret->host[len] = '\0';
    ret->path = host + len;
    ret->path_len = strcspn(ret->path, "?#");
    ret->query =
        ret->path[ret->path_len] == '?' ? ret->path + ret->path_len + 1 : "";
    return 0;
}

static int compare_parts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The query's parameters in order of their names, each with its '='. */
static void add_query(struct text *t, const char *query)
{
    char *parts[64] = { NULL };
    size_t n = 0;
    SC_AUTO(free) char *copy = strdup(query);
    char *save = NULL;
    t->failed = t->failed || !copy;
    for (char *p = copy ? strtok_r(copy, "&", &save) : NULL; p && n < 64;
         p = strtok_r(NULL, "&", &save))
        parts[n++] = p;
    qsort(parts, n, sizeof *parts, compare_parts);
    for (size_t i = 0; i < n; i++) {
        adds(t, i ? "&" : "");
        adds(t, parts[i]);
        adds(t, strchr(parts[i], '=') ? "" : "=");
    }
}

static int compare_headers(const void *a, const void *b)
{
    return strcasecmp(((const struct web_header *)a)->name,
                      ((const struct web_header *)b)->name);
}

static void add_lower(struct text *t, const char *name)
{
    for (; *name; name++) {
        char c = (char)tolower((unsigned char)*name);
        add(t, &c, 1);
    }
}

/* "name:value\n" of each, and "name;name" for the list of those signed. */
static void add_headers(struct text *t, struct text *names,
                        struct web_header *headers, size_t n)
{
    qsort(headers, n, sizeof *headers, compare_headers);
    for (size_t i = 0; i < n; i++) {
        const char *v = headers[i].value;
        v += strspn(v, " \t");
        size_t len = strlen(v);
        while (len && (v[len - 1] == ' ' || v[len - 1] == '\t'))
            len--;
        add_lower(t, headers[i].name);
        adds(t, ":");
        for (size_t k = 0; k < len; k++) /* Runs of spaces become one. */
            if (v[k] != ' ' || v[k + 1] != ' ')
                add(t, v + k, 1);
        adds(t, "\n");
        adds(names, i ? ";" : "");
        add_lower(names, headers[i].name);
    }
}

static void hmac(const void *key, size_t key_size, const char *text,
                 unsigned char ret[HASH])
{
    unsigned len = HASH;
    (void)HMAC(EVP_sha256(), key, (int)key_size, (const unsigned char *)text,
               strlen(text), ret, &len);
}

static int signing_key(const struct sigv4 *s, const char *day,
                       unsigned char ret[HASH])
{
    unsigned char k[HASH];
    SC_AUTO(free) char *secret = NULL;
    int len = asprintf(&secret, "AWS4%s", s->secret);
    if (len < 0)
        return -ENOMEM;
    hmac(secret, (size_t)len, day, k);
    explicit_bzero(secret, (size_t)len);
    hmac(k, HASH, s->region, k);
    hmac(k, HASH, s->service, k);
    hmac(k, HASH, "aws4_request", ret);
    explicit_bzero(k, sizeof k);
    return 0;
}

static void to_hex(const unsigned char raw[HASH], char ret[2 * HASH + 1])
{
    for (int i = 0; i < HASH; i++)
        snprintf(ret + 2 * i, 3, "%02x", raw[i]);
}

/* The value of the Authorization header, malloc'd; NULL: out of memory. */
static char *authorization(const struct sigv4 *s, const struct web_request *q,
                           const struct url *u, struct web_header *headers,
                           size_t n, const char *body_hash, const char *when)
{
    struct text canonical = { 0 }, names = { 0 };
    char hash[65], day[9], scope[256], signature[65];
    adds(&canonical, q->method);
    adds(&canonical, "\n");
    add(&canonical, u->path_len ? u->path : "/", u->path_len ? u->path_len : 1);
    adds(&canonical, "\n");
    add_query(&canonical, u->query);
    adds(&canonical, "\n");
    add_headers(&canonical, &names, headers, n);
    adds(&canonical, "\n");
    adds(&canonical, names.p ? names.p : "");
    adds(&canonical, "\n");
    adds(&canonical, body_hash);
    char *ret = NULL, *to_sign = NULL;
    snprintf(day, sizeof day, "%.8s", when);
    snprintf(scope, sizeof scope, "%s/%s/%s/aws4_request", day, s->region,
             s->service);
    unsigned char key[HASH], raw[HASH];
    if (!canonical.failed && !names.failed && signing_key(s, day, key) == 0) {
        tls_sha256_hex(canonical.p, canonical.len, hash);
        if (asprintf(&to_sign, "AWS4-HMAC-SHA256\n%s\n%s\n%s", when, scope,
                     hash) < 0)
            to_sign = NULL;
    }
    if (to_sign) {
        hmac(key, HASH, to_sign, raw);
        to_hex(raw, signature);
        if (asprintf(&ret,
                     "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, "
                     "Signature=%s",
                     s->access_key_id, scope, names.p, signature) < 0)
            ret = NULL;
    }
    explicit_bzero(key, sizeof key);
    free(to_sign);
    free(canonical.p);
    free(names.p);
    return ret;
}

int sigv4_sign(const struct sigv4 *s, const struct web_request *q, time_t now,
               struct web_header *ret, size_t max, struct sc_err *err)
{
    struct web_header all[HEADERS_MAX];
    struct url u;
    char when[17], body_hash[65] = "UNSIGNED-PAYLOAD";
    struct tm tm;
    size_t n = 0, fresh = 0;
    if (split_url(q->url, &u) < 0 || q->n_headers + 4 > HEADERS_MAX || max < 4)
        return sc_fail(err, -EINVAL, "this request cannot be signed");
    strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    if (!s->body_unsigned)
        tls_sha256_hex(q->body ? q->body : "", q->body ? q->body_size : 0,
                       body_hash);
    struct web_header given[3] = { { "X-Amz-Date", when },
                                   { "X-Amz-Security-Token", s->session_token },
                                   { "X-Amz-Content-Sha256",
                                     s->body_unsigned ? body_hash : NULL } };
    for (size_t i = 0; i < q->n_headers; i++)
        all[i] = q->headers[i];
    n = q->n_headers;
    all[n++] = (struct web_header){ "Host", u.host };
    bool ok = true;
    for (size_t i = 0; i < SC_ARRAY_LEN(given); i++) {
        if (!given[i].value)
            continue;
        all[n++] = given[i];
        ret[fresh].name = given[i].name;
        ret[fresh].value = strdup(given[i].value);
        ok = ok && ret[fresh++].value;
    }
    ret[fresh].name = "Authorization";
    ret[fresh].value = authorization(s, q, &u, all, n, body_hash, when);
    ok = ok && ret[fresh++].value;
    if (ok)
        return (int)fresh;
    while (fresh-- > 0)
        free((char *)ret[fresh].value);
    return sc_fail(err, -ENOMEM, "out of memory");
}
