/* https_client - HTTPS requests for command-line programs and worker threads;
 * over libcurl.
 *
 * Where http_client.h makes one small request of a program that is joining,
 * this keeps a connection, streams both ways and carries WebSockets: the
 * command line's.  Blocks; never used on a daemon's loop.  One https_client is
 * one server and one kept connection; not thread-safe (one each thread). Trust:
 * with 'ca_pem' the peer's chain must end there, for the purpose of a server;
 * the host's name is not compared, because people reach a controller by
 * whatever address a provider or a tunnel gives it, and this authority signs
 * server certificates for the controller alone (common/tls.h).  Without it: the
 * system's authorities, and the name.
 * Source: libcurl 7.88. */
#ifndef SC_COMMON_HTTPS_CLIENT_H
#define SC_COMMON_HTTPS_CLIENT_H

#include "common/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { HTTPS_CLIENT_ANSWER_MAX = 64 << 20 }; /* bytes kept of an answer */

struct https_client;
struct https_client_options {
    const char *base_url; /* "https://host:port"; no path. */
    const char *ca_pem;   /* Authority to trust; NULL: the system's. */
    bool trust_anyone;    /* To fetch the authority that is then checked by its
                             fingerprint; nothing secret may be sent. */
    const char *bearer;   /* Token; NULL: none. */
};
/* Copies 'o'.  -EINVAL: not an https URL. */
int https_client_new(const struct https_client_options *o,
                     struct https_client **ret,
                     struct sc_err *err) SC_MUST_CHECK;
void https_client_free(struct https_client *c); /* NULL is allowed. */
SC_CLEANUP(struct https_client, https_client_free)

struct https_client_request {
    const char *method, *path; /* "GET", "/api/v1/vms?limit=2" */
    const char *json;          /* Body; NULL: none. */
    int upload_fd;             /* If 'upload': the body, from its position. */
    bool upload;
    uint64_t upload_size; /* bytes */
    /* Called now and then with the bytes sent; NULL allowed. */
    void (*progress)(void *arg, uint64_t sent, uint64_t total);
    /* Takes the answer's body piece by piece, if the status is 2xx; false: end
     * here (success).  NULL: it is kept in the answer. */
    bool (*data)(void *arg, const char *data, size_t size);
    void *arg;
    uint64_t timeout_ms; /* 0: none (uploads, streams). */
};
struct https_client_answer {
    long status;
    char *body; /* NUL-ended, the caller's to free; NULL: nothing kept. */
    size_t size;
};
/* 0 and '*ret' for any HTTP answer.  -EHOSTUNREACH: nobody answers there;
 * -ETIMEDOUT; -EACCES: the peer's certificate is not trusted; -ECONNRESET:
 * broken off; -EMSGSIZE, -EIO. */
int https_client_do(struct https_client *c,
                    const struct https_client_request *rq,
                    struct https_client_answer *ret,
                    struct sc_err *err) SC_MUST_CHECK;

/* A connection that speaks TLS only, for WebSockets: opened as a request is,
 * then bytes.  Owned by 'c', which does nothing else any more. */
int https_client_connect(struct https_client *c,
                         struct sc_err *err) SC_MUST_CHECK;
int https_client_fd(const struct https_client *c); /* To poll. */
/* Bytes moved, 0: the end (receive), -EAGAIN, -EPIPE. */
ssize_t https_client_send(struct https_client *c, const void *data,
                          size_t size);
ssize_t https_client_recv(struct https_client *c, void *data, size_t size);

#endif
