/* https_client - see https_client.h. */
#include "common/https_client.h"

#include "common/curl.h"

#include <string.h>

struct https_client {
    CURL *curl;
    char *base_url, *ca_pem, *bearer;
    char *ask_url; /* As base_url, or for the name of a pinned controller. */
    struct curl_slist *dial; /* Then: where it is. */
    bool trust_anyone;
    curl_socket_t fd;
    char error[CURL_ERROR_SIZE];
};

/* One request on its way. */
struct transfer {
    struct https_client *c;
    const struct https_client_request *rq;
    struct https_client_answer answer;
    uint64_t sent;
    bool ended, too_big;
};

#define CONTROLLER_NAME "supercloud-controller"

/* A controller may have a public name with a certificate of somebody else's
 * (console/http/named_cert.h).  Who has pinned its authority asks for the name
 * that this authority signs, at whatever address. */
static int ask_by_name(struct https_client *c)
{
    const char *host = c->base_url + strlen("https://");
    const char *end = *host == '[' ? strchr(host, ']') : host;
    const char *port = end ? strchr(end, ':') : NULL;
    SC_AUTO(free) char *to = NULL;
    if (!c->ca_pem) {
        c->ask_url = strdup(c->base_url);
        return c->ask_url ? 0 : -ENOMEM;
    }
    if (asprintf(&to, "::%s%s", host, port ? "" : ":443") < 0)
        return -ENOMEM;
    c->dial = curl_slist_append(NULL, to);
    if (asprintf(&c->ask_url, "https://" CONTROLLER_NAME "%s",
                 port ? port : "") < 0)
        c->ask_url = NULL;
    return c->dial && c->ask_url ? 0 : -ENOMEM;
}

int https_client_new(const struct https_client_options *o,
                     struct https_client **ret, struct sc_err *err)
{
    if (strncmp(o->base_url, "https://", 8) != 0 || strlen(o->base_url) < 9)
        return sc_fail(err, -EINVAL, "'%s' is not an https:// URL",
                       o->base_url);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return sc_fail(err, -EIO, "libcurl cannot start");
    SC_AUTO(https_client_free) struct https_client *c = calloc(1, sizeof *c);
    if (!c)
        return sc_fail(err, -ENOMEM, "out of memory");
    c->curl = curl_easy_init();
    c->base_url = strdup(o->base_url);
    c->ca_pem = o->ca_pem ? strdup(o->ca_pem) : NULL;
    c->bearer = o->bearer ? strdup(o->bearer) : NULL;
    c->trust_anyone = o->trust_anyone;
    c->fd = -1;
    if (!c->curl || !c->base_url || (o->ca_pem && !c->ca_pem) ||
        (o->bearer && !c->bearer))
        return sc_fail(err, -ENOMEM, "out of memory");
    for (size_t n = strlen(c->base_url); c->base_url[n - 1] == '/'; n--)
        c->base_url[n - 1] = '\0';
    if (ask_by_name(c) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    *ret = SC_TAKE(c);
    return 0;
}

void https_client_free(struct https_client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->dial);
    free(c->ask_url);
    free(c->base_url);
    free(c->ca_pem);
    free(c->bearer);
    free(c);
}

static size_t on_data(char *data, size_t one, size_t size, void *arg)
{
    (void)one;
    struct transfer *t = arg;
    long status = 0;
    curl_easy_getinfo(t->c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->rq->data && status >= 200 && status < 300) {
        t->ended = !t->rq->data(t->rq->arg, data, size);
        return t->ended ? 0 : size;
    }
    int r = sc_curl_keep(&t->answer.body, &t->answer.size,
                         HTTPS_CLIENT_ANSWER_MAX, data, size);
    t->too_big = r == -EMSGSIZE;
    return r < 0 ? 0 : size;
}

static size_t on_read(char *buf, size_t one, size_t size, void *arg)
{
    struct transfer *t = arg;
    ssize_t n = read(t->rq->upload_fd, buf, one * size);
    if (n < 0)
        return CURL_READFUNC_ABORT;
    t->sent += (uint64_t)n;
    if (t->rq->progress)
        t->rq->progress(t->rq->arg, t->sent, t->rq->upload_size);
    return (size_t)n;
}

static void set_up(struct https_client *c)
{
    CURL *h = c->curl;
    sc_curl_set_up(h, "https", c->error);
    if (c->dial)
        curl_easy_setopt(h, CURLOPT_CONNECT_TO, c->dial);
    if (c->trust_anyone) {
        curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 0L);
    } else if (c->ca_pem) {
        struct curl_blob blob = { c->ca_pem, strlen(c->ca_pem),
                                  CURL_BLOB_COPY };
        curl_easy_setopt(h, CURLOPT_CAINFO_BLOB, &blob);
        curl_easy_setopt(h, CURLOPT_CAPATH, NULL);
        curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L);
    }
}

static int fail(const struct https_client *c, CURLcode code, struct sc_err *err)
{
    const char *why = c->error[0] ? c->error : curl_easy_strerror(code);
    return sc_fail(err, sc_curl_errno(code), "%s: %s", c->base_url, why);
}

static struct curl_slist *headers_of(const struct https_client *c,
                                     const struct https_client_request *rq)
{
    struct curl_slist *list = NULL;
    SC_AUTO(free) char *auth = NULL;
    if (c->bearer && asprintf(&auth, "Authorization: Bearer %s", c->bearer) > 0)
        list = curl_slist_append(list, auth);
    if (rq->json)
        list = curl_slist_append(list, "Content-Type: application/json");
    else if (rq->upload)
        list =
            curl_slist_append(list, "Content-Type: application/octet-stream");
    return list;
}

int https_client_do(struct https_client *c,
                    const struct https_client_request *rq,
                    struct https_client_answer *ret, struct sc_err *err)
{
    struct transfer t = { .c = c, .rq = rq };
    SC_AUTO(free) char *url = NULL;
    if (asprintf(&url, "%s%s", c->ask_url, rq->path) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    set_up(c);
    CURL *h = c->curl;
    struct curl_slist *headers = headers_of(c, rq);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &t);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)rq->timeout_ms);
    if (rq->upload) {
        sc_curl_upload(h, on_read, &t, (curl_off_t)rq->upload_size);
    } else if (rq->json) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, rq->json);
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)strlen(rq->json));
    } else if (strcmp(rq->method, "POST") == 0) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE, 0L);
    }
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, rq->method);
    CURLcode code = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &t.answer.status);
    curl_slist_free_all(headers);
    /* A server that refuses an upload answers before it has read the body. */
    bool answered =
        code == CURLE_OK || (t.ended && code == CURLE_WRITE_ERROR) ||
        (rq->upload && t.answer.status >= 400 && code == CURLE_SEND_ERROR);
    if (answered) {
        *ret = t.answer;
        return 0;
    }
    free(t.answer.body);
    if (t.too_big)
        return sc_fail(err, -EMSGSIZE, "%s%s: the answer is too long",
                       c->base_url, rq->path);
    return fail(c, code, err);
}

int https_client_connect(struct https_client *c, struct sc_err *err)
{
    set_up(c);
    curl_easy_setopt(c->curl, CURLOPT_URL, c->ask_url);
    curl_easy_setopt(c->curl, CURLOPT_CONNECT_ONLY, 1L);
    CURLcode code = curl_easy_perform(c->curl);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(c->curl, CURLINFO_ACTIVESOCKET, &c->fd);
    return code == CURLE_OK ? 0 : fail(c, code, err);
}

int https_client_fd(const struct https_client *c)
{
    return (int)c->fd;
}

ssize_t https_client_send(struct https_client *c, const void *data, size_t size)
{
    size_t n = 0;
    CURLcode code = curl_easy_send(c->curl, data, size, &n);
    return code == CURLE_OK      ? (ssize_t)n
           : code == CURLE_AGAIN ? -EAGAIN
                                 : -EPIPE;
}

ssize_t https_client_recv(struct https_client *c, void *data, size_t size)
{
    size_t n = 0;
    CURLcode code = curl_easy_recv(c->curl, data, size, &n);
    return code == CURLE_OK      ? (ssize_t)n
           : code == CURLE_AGAIN ? -EAGAIN
                                 : -EPIPE;
}
