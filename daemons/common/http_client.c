/* http_client - see http_client.h. */
#include "common/http_client.h"

#include "common/curl.h"

#include <stdbool.h>
#include <stdio.h>

enum { CONNECT_MS = 10000, TIMEOUT_MS = 60000 };

SC_CLEANUP(CURL, curl_easy_cleanup)
typedef struct curl_slist slist;
SC_CLEANUP(slist, curl_slist_free_all)

struct sink {
    char *data; /* Owned. */
    size_t size;
    int error;
};

static size_t on_data(char *data, size_t one, size_t size, void *arg)
{
    (void)one;
    struct sink *s = arg;
    s->error = sc_curl_keep(&s->data, &s->size, HTTP_RESPONSE_MAX, data, size);
    return s->error < 0 ? 0 : size;
}

static int code_of(CURLcode r)
{
    switch (r) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return -EHOSTUNREACH;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
        return -EACCES;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    default:
        return -EPROTO;
    }
}

static CURLcode set_options(CURL *c, const struct http_request *q,
                            const char *url, slist *connect_to, slist *headers,
                            struct sink *sink, char *text)
{
    long timeout_ms = (long)(q->timeout_ms ? q->timeout_ms : TIMEOUT_MS);
    struct curl_blob ca = { .data = (void *)q->ca_pem,
                            .len = q->ca_pem ? strlen(q->ca_pem) : 0,
                            .flags = CURL_BLOB_COPY };
    long verify = q->ca_pem ? 1L : 0L;
    CURLcode r = CURLE_OK;
#define SET(option, value) r = r ? r : curl_easy_setopt(c, option, value)
    SET(CURLOPT_ERRORBUFFER, text);
    SET(CURLOPT_URL, url);
    SET(CURLOPT_CONNECT_TO, connect_to);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_PROTOCOLS_STR, "https");
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    SET(CURLOPT_TIMEOUT_MS, timeout_ms);
    SET(CURLOPT_SSL_VERIFYPEER, verify);
    SET(CURLOPT_SSL_VERIFYHOST, verify * 2);
    if (q->ca_pem) {
        SET(CURLOPT_CAINFO_BLOB, &ca);
        SET(CURLOPT_CAPATH, NULL);
    }
    SET(CURLOPT_WRITEFUNCTION, on_data);
    SET(CURLOPT_WRITEDATA, sink);
    SET(CURLOPT_CUSTOMREQUEST, q->method);
    if (q->body)
        SET(CURLOPT_POSTFIELDS, q->body);
#undef SET
    return r;
}

int http_request_run(const struct http_request *q, struct http_response *ret,
                     struct sc_err *err)
{
    SC_AUTO(free) char *url = NULL;
    SC_AUTO(free) char *to = NULL;
    bool v6 = strchr(q->host, ':');
    if (asprintf(&url, "https://%s:%u%s", q->server_name, q->port, q->path) < 0)
        url = NULL;
    if (asprintf(&to, "%s:%u:%s%s%s:%u", q->server_name, q->port, v6 ? "[" : "",
                 q->host, v6 ? "]" : "", q->port) < 0)
        to = NULL;
    SC_AUTO(curl_easy_cleanup) CURL *c = curl_easy_init();
    SC_AUTO(curl_slist_free_all)
    slist *connect_to = to ? curl_slist_append(NULL, to) : NULL;
    SC_AUTO(curl_slist_free_all)
    slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (!url || !c || !connect_to || !headers)
        return sc_fail(err, -ENOMEM, "HTTP: out of memory");
    char text[CURL_ERROR_SIZE] = "";
    struct sink sink = { 0 };
    CURLcode r = set_options(c, q, url, connect_to, headers, &sink, text);
    if (r == CURLE_OK)
        r = curl_easy_perform(c);
    SC_AUTO(free) char *body = sink.data;
    if (r != CURLE_OK)
        return sc_fail(err, sink.error ? sink.error : code_of(r), "%s",
                       *text ? text : curl_easy_strerror(r));
    if (!body)
        body = strdup("");
    if (!body)
        return sc_fail(err, -ENOMEM, "HTTP: out of memory");
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &ret->status);
    ret->body = SC_TAKE(body);
    return 0;
}

void http_response_fini(struct http_response *r)
{
    free(r->body);
    r->body = NULL;
}
