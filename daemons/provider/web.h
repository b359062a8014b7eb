/* web - requests to a provider's API: time-outs, retries, errors.
 *
 * What every driver shares and none should write again.  A request is tried
 * again (with jitter, doubling from 'retry_ms' to 32 times that, or as long as
 * Retry-After says, both kinds of it) after a connection that broke, 408, 429,
 * 500, 502, 503 and 504, and what the driver's 'again' adds; at most
 * WEB_TRIES times and WEB_PATIENCE_MS in all.  A request that is not safe to
 * repeat says 'once': it is tried again only where nothing reached the server,
 * where the server refused to begin (429), and where 'again' says so.  The last
 * answer is the result, whatever its status.  Secrets: headers and bodies are
 * never logged; errors carry the answer's words, not the request's, and of the
 * URL the host alone.
 * One 'struct web' per driver instance; keeps connections; blocks; not
 * thread-safe.  https only, but for the loopback range (emulators).  Redirects
 * are answers like others.
 * Units: ms, bytes. */
#ifndef SC_PROVIDER_WEB_H
#define SC_PROVIDER_WEB_H

#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum { WEB_TRIES = 6, WEB_PATIENCE_MS = 300000, WEB_ANSWER_MAX = 64 << 20 };

struct web;
struct web_options {
    const char *ca_file; /* Authorities in a file; NULL: the system's. */
    unsigned timeout_ms; /* Of one try; 0: 60 s. */
    unsigned retry_ms;   /* First pause; 0: 500. */
    /* Asked between tries and in pauses, not before the first try; NULL:
     * never. */
    bool (*cancelled)(void *arg);
    void *arg;
};
int web_new(const struct web_options *o, struct web **ret,
            struct sc_err *err) SC_MUST_CHECK;
void web_free(struct web *w); /* NULL is allowed. */
SC_CLEANUP(struct web, web_free)
/* While on, 'cancelled' is not asked: for undoing what a cancelled call made.
 * Returns what it was. */
bool web_undoing(struct web *w, bool on);
/* Sleeps 'ms'; -ECANCELED as soon as 'cancelled' says so. */
int web_pause(const struct web *w, uint64_t ms,
              struct sc_err *err) SC_MUST_CHECK;

struct web_header {
    const char *name, *value;
};
struct web_answer {
    long status;
    char *body; /* NUL-ended; never NULL after success. */
    size_t size;
    struct web_header *headers; /* Names in lower case.  Owned. */
    size_t n_headers;
};
void web_answer_clear(struct web_answer *a);
/* The value of 'name' (lower case), or NULL. */
const char *web_answer_header(const struct web_answer *a, const char *name);

struct web_request {
    const char *method, *url;
    const struct web_header *headers;
    size_t n_headers;
    const void *body; /* NULL: none. */
    size_t body_size;
    /* A body too large for memory, instead of 'body': fills 'buf' with up to
     * 'size' bytes from byte 'at' on (each try begins at 0 again), returns how
     * many, or -errno, which ends the request and is web_do's result.  No
     * limit of time then, but a minute without progress. */
    long (*read)(void *arg, uint64_t at, void *buf, size_t size);
    uint64_t read_size;  /* bytes in all */
    unsigned timeout_ms; /* 0: web_options'. */
    bool once;
    /* Called before each try, to sign with the time it is: fills up to
     * 'max' more headers (values from malloc, freed by web) and returns how
     * many, or -errno.  NULL: none. */
    int (*sign)(void *arg, const struct web_request *q, struct web_header *ret,
                size_t max, struct sc_err *err);
    /* True: this answer is worth another try (EC2's RequestLimitExceeded, an
     * expired token that 'again' has just renewed).  NULL: the statuses above
     * alone. */
    bool (*again)(void *arg, const struct web_answer *a);
    void *arg;
};
/* 0 for any final HTTP answer, whatever its status.  -EHOSTUNREACH,
 * -ETIMEDOUT, -ECONNRESET, -EACCES (certificate), -EMSGSIZE, -ECANCELED; the
 * text names the host and says how often it was tried. */
int web_do(struct web *w, const struct web_request *q, struct web_answer *ret,
           struct sc_err *err) SC_MUST_CHECK;

/* -errno for a status: 401, 403 EACCES; 404, 410 ENOENT; 409 EEXIST; 400, 422
 * EINVAL; 413 EFBIG; 408, 504 ETIMEDOUT; 429 EAGAIN; others EIO. */
int web_status_code(long status);

/* Is 'code', of web_do or a driver, one that a later try will not better?  The
 * network's are not: what was made is kept for that try. */
bool web_for_good(int code);

/* Percent-encodes all but unreserved characters (RFC 3986; '/' kept if
 * 'keep_slash').  malloc'd; NULL: out of memory. */
char *web_escape(const char *text, bool keep_slash) SC_MUST_CHECK;

#endif
