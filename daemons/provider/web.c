/* web - see web.h; over libcurl.
 *
 * web_do is the policy (what is tried again, when), try_once the transfer.
 * libcurl itself repeats a request when a kept connection turns out closed;
 * 'once' requests get a connection of their own, so that it cannot. */
#include "provider/web.h"

#include "common/curl.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    TIMEOUT_MS = 60000,
    RETRY_MS = 500,
    SLICE_MS = 50, /* Of a pause, between two looks at 'cancelled'. */
    MAX_HEADERS = 256,
    MAX_SIGNED = 16,
};

struct web {
    CURL *curl;
    struct web_options o; /* ca_file is ours. */
    char *ca_file;
    bool undoing;
    char error[CURL_ERROR_SIZE];
};

/* One try of a request. */
struct
try {
    const struct web_request *q;
    struct web_answer answer;
    uint64_t at;   /* Of the body, what 'read' gave. */
    int read_code; /* What 'read' failed with. */
    bool too_big;
};

int web_new(const struct web_options *o, struct web **ret, struct sc_err *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return sc_fail(err, -EIO, "libcurl cannot start");
    SC_AUTO(web_free) struct web *w = calloc(1, sizeof *w);
    if (!w)
        return sc_fail(err, -ENOMEM, "out of memory");
    w->o = *o;
    w->o.ca_file = NULL;
    w->curl = curl_easy_init();
    if (!w->curl || (o->ca_file && !(w->ca_file = strdup(o->ca_file))))
        return sc_fail(err, -ENOMEM, "out of memory");
    if (w->ca_file && access(w->ca_file, R_OK) < 0)
        return sc_fail(err, -EINVAL, "ca_file '%s': %s", w->ca_file,
                       strerror(errno));
    *ret = SC_TAKE(w);
    return 0;
}

void web_free(struct web *w)
{
    if (!w)
        return;
    curl_easy_cleanup(w->curl);
    free(w->ca_file);
    free(w);
}

bool web_undoing(struct web *w, bool on)
{
    bool was = w->undoing;
    w->undoing = on;
    return was;
}

void web_answer_clear(struct web_answer *a)
{
    for (size_t i = 0; i < a->n_headers; i++)
        free((char *)a->headers[i].name); /* The value is in it. */
    free(a->headers);
    free(a->body);
    *a = (struct web_answer){ 0 };
}

const char *web_answer_header(const struct web_answer *a, const char *name)
{
    for (size_t i = a->n_headers; i-- > 0;)
        if (!strcmp(a->headers[i].name, name))
            return a->headers[i].value;
    return NULL;
}

static size_t on_body(char *data, size_t one, size_t size, void *arg)
{
    (void)one;
    struct try *t = arg;
    int r = sc_curl_keep(&t->answer.body, &t->answer.size, WEB_ANSWER_MAX, data,
                         size);
    t->too_big = r == -EMSGSIZE;
    return r < 0 ? 0 : size;
}

static size_t on_header(char *line, size_t one, size_t size, void *arg)
{
    (void)one;
    struct web_answer *a = &((struct try *)arg)->answer;
    size_t len = size;
    while (len && isspace((unsigned char)line[len - 1]))
        len--;
    char *colon = memchr(line, ':', len);
    if (!colon) { /* A status line: the headers of a "100 Continue" go. */
        for (size_t i = 0; len && i < a->n_headers; i++)
            free((char *)a->headers[i].name);
        if (len)
            a->n_headers = 0;
        return size;
    }
    if (a->n_headers == MAX_HEADERS)
        return 0;
    struct web_header *more =
        realloc(a->headers, (a->n_headers + 1) * sizeof *more);
    if (!more)
        return 0;
    a->headers = more;
    char *copy = strndup(line, len);
    if (!copy)
        return 0;
    char *value = copy + (colon - line);
    *value++ = '\0';
    value += strspn(value, " \t");
    for (char *c = copy; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    more[a->n_headers++] = (struct web_header){ copy, value };
    return size;
}

static size_t on_read(char *buf, size_t one, size_t size, void *arg)
{
    struct try *t = arg;
    uint64_t left = t->q->read_size - t->at;
    size_t want = one * size < left ? one * size : (size_t)left;
    long n = want ? t->q->read(t->q->arg, t->at, buf, want) : 0;
    if (n < 0 || (n == 0 && want)) {
        t->read_code = n < 0 ? (int)n : -EIO;
        return CURL_READFUNC_ABORT;
    }
    t->at += (uint64_t)n;
    return (size_t)n;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct try *t = arg;
    if (origin != SEEK_SET || offset < 0)
        return CURL_SEEKFUNC_FAIL;
    t->at = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static bool is_loopback(const char *host)
{
    struct in_addr a;
    return !strcmp(host, "localhost") || !strcmp(host, "[::1]") ||
           (inet_pton(AF_INET, host, &a) == 1 && ntohl(a.s_addr) >> 24 == 127);
}

/* Of 'url': its host and port, for errors.  -EINVAL: not one we may use. */
static int check_url(const char *url, char ret_host[128], bool *ret_loopback,
                     struct sc_err *err)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    int r = -EINVAL;
    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        (void)curl_url_get(u, CURLUPART_PORT, &port, 0);
        snprintf(ret_host, 128, "%s%s%s", host, port ? ":" : "",
                 port ? port : "");
        *ret_loopback = is_loopback(host);
        if (!strcmp(scheme, "https") ||
            (!strcmp(scheme, "http") && *ret_loopback))
            r = 0;
        else
            sc_fail(err, r, "%s: only https:// is used (http:// on 127.0.0.1)",
                    ret_host);
    } else {
        sc_fail(err, r, "'%.100s' is not a URL", url);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return r;
}

static void set_up(struct web *w, const struct web_request *q, bool loopback)
{
    CURL *h = w->curl;
    unsigned ms = q->timeout_ms     ? q->timeout_ms
                  : w->o.timeout_ms ? w->o.timeout_ms
                                    : (unsigned)TIMEOUT_MS;
    sc_curl_set_up(h, "http,https", w->error);
    curl_easy_setopt(h, CURLOPT_URL, q->url);
    curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
    if (loopback)
        curl_easy_setopt(h, CURLOPT_PROXY, "");
    if (w->ca_file)
        curl_easy_setopt(h, CURLOPT_CAINFO, w->ca_file);
    if (q->once)
        curl_easy_setopt(h, CURLOPT_FRESH_CONNECT, 1L);
    if (!q->read)
        curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)ms);
}

static void set_body(CURL *h, const struct web_request *q, struct try *t)
{
    bool get = !strcmp(q->method, "GET"), head = !strcmp(q->method, "HEAD");
    if (head) {
        curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
        return;
    }
    if (q->read) {
        sc_curl_upload(h, on_read, t, (curl_off_t)q->read_size);
        curl_easy_setopt(h, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(h, CURLOPT_SEEKDATA, t);
    } else if (q->body || !strcmp(q->method, "POST") ||
               !strcmp(q->method, "PUT")) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, q->body ? q->body : "");
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)(q->body ? q->body_size : 0));
    }
    if (!get || q->body)
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, q->method);
}

static int add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *more = curl_slist_append(*list, line);
    if (more)
        *list = more;
    return more ? 0 : -ENOMEM;
}

/* Adds "name: value" ("name;" is libcurl's form of an empty one). */
static int add_header(struct curl_slist **list, const struct web_header *x)
{
    SC_AUTO(free) char *line = NULL;
    if (asprintf(&line, "%s%s%s", x->name, *x->value ? ": " : ";", x->value) <
        0)
        return -ENOMEM;
    return add_line(list, line);
}

static int add_headers(const struct web_request *q, struct curl_slist **ret,
                       struct sc_err *err)
{
    struct web_header sign[MAX_SIGNED] = { 0 };
    bool typed = false;
    int r = 0, n = q->sign ? q->sign(q->arg, q, sign, MAX_SIGNED, err) : 0;
    for (size_t i = 0; n >= 0 && r == 0 && i < q->n_headers; i++) {
        typed = typed || !strcasecmp(q->headers[i].name, "content-type");
        r = add_header(ret, &q->headers[i]);
    }
    for (int i = 0; i < n; i++) {
        r = r ? r : add_header(ret, &sign[i]);
        free((char *)sign[i].value);
    }
    /* libcurl adds these by itself, unless told not to. */
    if (n >= 0 && r == 0)
        r = add_line(ret, "Expect:");
    if (n >= 0 && r == 0 && !typed)
        r = add_line(ret, "Content-Type:");
    return n < 0 ? n : r < 0 ? sc_fail(err, r, "out of memory") : 0;
}

/* 0: '*ret' is an answer.  Else -errno, filled without the count of tries. */
static int try_once(struct web *w, const struct web_request *q,
                    const char *host, bool loopback, struct web_answer *ret,
                    bool *ret_again, struct sc_err *err)
{
    struct try t = { .q = q };
    struct curl_slist *headers = NULL;
    CURL *h = w->curl;
    *ret_again = false;
    int r = add_headers(q, &headers, err);
    if (r < 0) {
        curl_slist_free_all(headers);
        return r;
    }
    set_up(w, q, loopback);
    set_body(h, q, &t);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &t);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, &t);
    CURLcode code = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &t.answer.status);
    curl_slist_free_all(headers);
    if (code == CURLE_OK && !t.answer.body)
        t.answer.body = calloc(1, 1);
    if (code == CURLE_OK && t.answer.body) {
        *ret = t.answer;
        return 0;
    }
    web_answer_clear(&t.answer);
    if (t.read_code)
        return sc_fail(err, t.read_code, "%s: the body: %s", host,
                       strerror(-t.read_code));
    if (t.too_big)
        return sc_fail(err, -EMSGSIZE, "%s: the answer is longer than %d MiB",
                       host, WEB_ANSWER_MAX >> 20);
    r = sc_curl_errno(code);
    /* Before TLS is there, nothing of the request can have reached anybody. */
    bool sent = r != -EHOSTUNREACH && code != CURLE_SSL_CONNECT_ERROR;
    *ret_again = !web_for_good(r) && !(sent && q->once);
    return sc_fail(err, r, "%s: %s", host,
                   *w->error ? w->error : curl_easy_strerror(code));
}

static bool answer_again(const struct web_request *q,
                         const struct web_answer *a)
{
    switch (a->status) {
    case 429:
        return true;
    case 408:
    case 500:
    case 502:
    case 503:
    case 504:
        if (!q->once)
            return true;
        break;
    default:
        break;
    }
    return q->again && q->again(q->arg, a);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* What Retry-After asks for, or 0. */
static uint64_t asked_pause_ms(const struct web_answer *a)
{
    const char *text = web_answer_header(a, "retry-after");
    char *end;
    if (!text)
        return 0;
    double seconds = strtod(text, &end);
    if (end != text && !*end)
        return seconds > 0 ? (uint64_t)(seconds < 1e6 ? seconds * 1000 : 1e9)
                           : 0;
    time_t at = curl_getdate(text, NULL), now = time(NULL);
    return at > now ? (uint64_t)(at - now) * 1000 : 0;
}

/* Before try 'n' + 1: half to all of the doubled pause, at random, so that
 * many who were refused together do not come back together. */
static uint64_t pause_ms(const struct web *w, unsigned n)
{
    uint64_t most = (uint64_t)(w->o.retry_ms ? w->o.retry_ms : RETRY_MS)
                    << (n < 5 ? n : 5);
    uint32_t x = 0;
    (void)!getrandom(&x, sizeof x, 0);
    return most / 2 + x % (most / 2 + 1);
}

static bool is_cancelled(const struct web *w)
{
    return w->o.cancelled && !w->undoing && w->o.cancelled(w->o.arg);
}

int web_pause(const struct web *w, uint64_t ms, struct sc_err *err)
{
    for (uint64_t end = now_ms() + ms, now; !is_cancelled(w);) {
        if ((now = now_ms()) >= end)
            return 0;
        uint64_t slice = end - now < SLICE_MS ? end - now : SLICE_MS;
        nanosleep(&(struct timespec){ .tv_nsec = (long)slice * 1000000 }, NULL);
    }
    return sc_fail(err, -ECANCELED, "cancelled");
}

int web_do(struct web *w, const struct web_request *q, struct web_answer *ret,
           struct sc_err *err)
{
    char host[128] = "";
    bool loopback = false;
    int r = check_url(q->url, host, &loopback, err);
    if (r < 0)
        return r;
    uint64_t end = now_ms() + WEB_PATIENCE_MS;
    for (unsigned n = 0;; n++) {
        struct web_answer a = { 0 };
        bool again;
        r = try_once(w, q, host, loopback, &a, &again, err);
        if (r == 0)
            again = answer_again(q, &a);
        uint64_t asked = r == 0 ? asked_pause_ms(&a) : 0;
        uint64_t pause = pause_ms(w, n);
        pause = asked > pause ? asked : pause;
        if (!again || n + 1 == WEB_TRIES || now_ms() + pause > end) {
            if (r == 0)
                *ret = a;
            else if (n)
                sc_fail_in(err, "tried %u times", n + 1);
            return r;
        }
        web_answer_clear(&a);
        if (web_pause(w, pause, NULL) < 0)
            return sc_fail(err, -ECANCELED, "%s: cancelled", host);
    }
}

int web_status_code(long status)
{
    static const struct {
        long status;
        int code;
    } known[] = { { 400, -EINVAL }, { 401, -EACCES },    { 403, -EACCES },
                  { 404, -ENOENT }, { 408, -ETIMEDOUT }, { 409, -EEXIST },
                  { 410, -ENOENT }, { 413, -EFBIG },     { 422, -EINVAL },
                  { 429, -EAGAIN }, { 504, -ETIMEDOUT } };
    for (size_t i = 0; i < SC_ARRAY_LEN(known); i++)
        if (known[i].status == status)
            return known[i].code;
    return -EIO;
}

bool web_for_good(int code)
{
    return code != -EHOSTUNREACH && code != -ETIMEDOUT && code != -ECONNRESET;
}

char *web_escape(const char *text, bool keep_slash)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = malloc(strlen(text) * 3 + 1), *o = out;
    for (; out && *text; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c < 128 && isalnum(c)) || strchr("-._~", c) ||
            (c == '/' && keep_slash)) {
            *o++ = (char)c;
        } else {
            *o++ = '%';
            *o++ = hex[c >> 4];
            *o++ = hex[c & 15];
        }
    }
    if (out)
        *o = '\0';
    return out;
}
