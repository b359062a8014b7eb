/* curl - see curl.h. */
#include "common/curl.h"

#include <stdlib.h>
#include <string.h>

enum { CONNECT_TIMEOUT_MS = 10000, STALL_S = 60 };

void sc_curl_set_up(CURL *h, const char *protocols, char error[CURL_ERROR_SIZE])
{
    curl_easy_reset(h);
    error[0] = '\0';
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, protocols);
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "supercloud/" SC_VERSION);
    curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
}

void sc_curl_upload(CURL *h, curl_read_callback read, void *arg,
                    curl_off_t size)
{
    curl_easy_setopt(h, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(h, CURLOPT_READFUNCTION, read);
    curl_easy_setopt(h, CURLOPT_READDATA, arg);
    curl_easy_setopt(h, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
    curl_easy_setopt(h, CURLOPT_INFILESIZE_LARGE, size);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
}

int sc_curl_keep(char **body, size_t *size, size_t max, const char *data,
                 size_t len)
{
    if (len > max - *size)
        return -EMSGSIZE;
    char *more = realloc(*body, *size + len + 1);
    if (!more)
        return -ENOMEM;
    memcpy(more + *size, data, len);
    *body = more;
    *size += len;
    more[*size] = '\0';
    return 0;
}

int sc_curl_errno(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        return -EHOSTUNREACH;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
        return -EACCES;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    /* Not HTTP, as after the rest of an answer that somebody cut. */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return -ECONNRESET;
    case CURLE_URL_MALFORMAT:
        return -EINVAL;
    default:
        return -EIO;
    }
}
