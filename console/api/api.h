/* api - the console's HTTPS server: dashboard, native API, events, uploads,
 * serial consoles; in front of a backend.
 *
 * Used by sc-controller and by the fake console of the tests.  api_new starts
 * civetweb with TLS and worker threads of its own; workers post to 'loop' and
 * wait, so the backend is called on the loop's thread only.  All functions
 * here: loop thread.
 * Source: docs/protocols/api.md. */
#ifndef SC_API_API_H
#define SC_API_API_H

#include "api/backend.h"
#include "common/loop.h"

#include <stdint.h>

struct api;

struct api_options {
    const char *listen;    /* "0.0.0.0:8443". */
    const char *cert_file; /* PEM certificate (chain). */
    const char *key_file;  /* PEM key. */
    /* Of the console's public name (http/named_cert.h); NULL: none. */
    const char *named_cert_file, *named_key_file;
    const char *ca_file;    /* PEM, told to clients that check its fingerprint
                               (GET /ca); NULL: cert_file. */
    const char *spool_dir;  /* For image bodies; exists, writable. */
    const char *web_root;   /* Folder served instead of the embedded assets, for
                               work on the front end; NULL: embedded. */
    uint64_t image_max;     /* Largest image, bytes; 0: 1 TiB. */
    uint64_t idle_ms;       /* A web session dies unused; 0: 30 minutes. */
    uint64_t absolute_ms;   /* And at the latest; 0: 12 hours. */
    uint64_t keep_alive_ms; /* Event streams: a comment, and a look at the
                               session, so often; 0: 15 s. */
    unsigned n_threads;     /* Workers; 0: 96.  Event streams and consoles hold
                               one each, and may hold at most half of them. */
};

/* Copies 'o'; 'backend' is borrowed and must outlive the api.  0, or -errno
 * with 'err' filled (-EADDRINUSE, -EACCES on a certificate ...). */
int api_new(struct sc_loop *loop, const struct api_backend *backend,
            const struct api_options *o, struct api **ret,
            struct sc_err *err) SC_MUST_CHECK;
/* Ends every connection and waits for the workers.  NULL is allowed. */
void api_free(struct api *api);
SC_CLEANUP(struct api, api_free)
uint16_t api_port(const struct api *api); /* Really bound. */

/* Tells every event stream that object 'id' of 'kind' ("vm", "node", "job",
 * "image", "network") is now 'object' (borrowed), or gone if NULL. */
void api_changed(struct api *api, const char *kind, const char *id,
                 const cJSON *object);

/* Makes the hash to put into a USER record; slow on purpose (Argon2id, some
 * 100 ms): not for the loop of a busy daemon.  'ret' holds API_HASH_SIZE. */
enum { API_HASH_SIZE = 128 };
int api_password_hash(const char *password, char ret[API_HASH_SIZE],
                      struct sc_err *err) SC_MUST_CHECK;

#endif
