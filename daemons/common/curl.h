/* curl - what our clients of libcurl share: how a request is set up, how its
 * answer is kept, what its failure means.
 *
 * Used by http_client.c, https_client.c and provider/web.c alone; none shows
 * libcurl to its callers.  Units: bytes.  Source: libcurl 7.88. */
#ifndef SC_COMMON_CURL_H
#define SC_COMMON_CURL_H

#include "common/err.h"

#include <curl/curl.h>
#include <stdbool.h>

/* Forgets what 'h' was told before, and tells it what holds for every request
 * of ours; 'protocols' is "https" or "http,https".  'error' is emptied, and
 * then borrowed for libcurl's words. */
void sc_curl_set_up(CURL *h, const char *protocols,
                    char error[CURL_ERROR_SIZE]);

/* Sends what 'read' gives, 'size' bytes in all, without a limit of time but
 * that it must not stand still for a minute. */
void sc_curl_upload(CURL *h, curl_read_callback read, void *arg,
                    curl_off_t size);

/* Adds 'data' to the answer in '*body' (malloc'd, NUL-ended) of '*size'.
 * -EMSGSIZE: more than 'max' in all; -ENOMEM; nothing was added then. */
int sc_curl_keep(char **body, size_t *size, size_t max, const char *data,
                 size_t len) SC_MUST_CHECK;

/* -EHOSTUNREACH: nobody answers there; -ETIMEDOUT; -EACCES: the peer's
 * certificate is not trusted; -ECONNRESET: broken off, or no HTTP; -EINVAL: not
 * a URL; -EIO: all else. */
int sc_curl_errno(CURLcode code);

#endif
