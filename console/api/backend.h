/* backend - what the console asks of whoever owns the cluster's state.
 *
 * The console (console/http, console/api) terminates HTTPS, knows users,
 * sessions and routes, and turns each request into one *operation*; a backend
 * executes it.  sc-controller is the real backend, tests/lib/fake_console.c a
 * twin with objects in memory.
 * Everything here runs on the loop's thread, in both directions; nothing may
 * block.  Strings and cJSON passed in are borrowed for the call only.
 * Ops, their params and results: docs/protocols/api.md ("op" column), and
 * "Internal operations" below.  Units: _at ms since 1970, sizes bytes. */
#ifndef SC_API_BACKEND_H
#define SC_API_BACKEND_H

#include "common/err.h"

#include <cjson/cJSON.h>
#include <stddef.h>

/* Roles, each including those before it. */
enum api_role {
    API_ROLE_NONE = 0,
    API_ROLE_VIEWER = 1,
    API_ROLE_OPERATOR = 2,
    API_ROLE_ADMIN = 3,
};

/* Who asks; already authenticated, and the route's role checked. */
struct api_caller {
    const char *user; /* "" for the console's own (internal) operations. */
    unsigned role;    /* enum api_role; API_ROLE_ADMIN for internal ones. */
};

/* The outcome of one call.  Failure: err->code < 0 and 'result' is ignored;
 * the HTTP status follows from the code by the table in docs/protocols/api.md.
 * Success: 'err' is NULL or its code 0; 'result' is the JSON answered (NULL:
 * {}); 'status_hint' is 0 (meaning 200) or e.g. 201, 202.  All borrowed. */
typedef void api_done_fn(void *arg, int status_hint, const cJSON *result,
                         const struct sc_err *err);

/* A serial console that is open; belongs to the backend. */
struct api_console;
typedef void api_console_out_fn(void *arg, const void *data, size_t size);
typedef void api_console_closed_fn(void *arg, const struct sc_err *why);

struct api_backend {
    void *ctx; /* First argument of all below. */
    /* Executes 'op'.  'params' is an object, never NULL: path parameters
     * ("id"), query and body in one.  'done' runs exactly once, from inside
     * the call or later.  An unknown op is -ENOSYS.  The backend validates
     * 'params'; the console has checked only that it is an object. */
    void (*call)(void *ctx, const char *op, const struct api_caller *who,
                 const cJSON *params, api_done_fn *done, void *arg);
    /* Opens the serial console of VM 'vm' (id or name).  0 and '*ret', or
     * -errno (-ENOENT, -EBUSY: the VM does not run ...) with 'err' filled.
     * Output comes by 'out' (never from inside this call).  If the console
     * ends by itself, or proves impossible to open after all, 'closed' runs
     * once, and '*ret' is gone: no console_in or console_close after it. */
    int (*console_open)(void *ctx, const char *vm, const struct api_caller *who,
                        api_console_out_fn *out, api_console_closed_fn *closed,
                        void *arg, struct api_console **ret,
                        struct sc_err *err);
    void (*console_in)(void *ctx, struct api_console *c, const void *data,
                       size_t size);
    /* Ends it; neither 'out' nor 'closed' runs afterwards. */
    void (*console_close)(void *ctx, struct api_console *c);
};

/* Internal operations: called by the console itself ('who' has user ""), never
 * reachable by a route.  The controller keeps the records in its store.
 *
 * USER    {user, role: "viewer"/"operator"/"admin", hash, created_at}
 * SESSION {id, kind: "web"/"token", user, csrf, name, created_at, used_at,
 *          expires_at}
 *   id: SHA-256 (hex) of the cookie's or token's secret, so that a stolen
 *   store opens nothing.  A backend may forget sessions after 'expires_at'.
 *
 * op            params            result
 * user.get      {user}            USER; -ENOENT
 * user.set      USER              {}; creates or replaces
 * user.del      {user}            {}; -ENOENT.  Its sessions go too
 * user.list     {}                {users: [USER]}
 * session.put   SESSION           {}; creates or replaces
 * session.get   {id}              SESSION; -ENOENT
 * session.del   {id}              {}; absent is not an error
 * session.list  {}                {sessions: [SESSION]}
 *
 * Upload of an image (PUT /images/{id}/file), in this order:
 * image.upload_begin     {id}               IMAGE, now "uploading"; -ENOENT,
 *                                           -EBUSY: not "queued"
 * image.upload_progress  {id, received}     {}; about once a second
 * image.upload           {id, path, size, sha256}
 *     IMAGE.  'path' is a file in the spool folder, complete and with the
 *     digest 'sha256' (hex), both checked against the image's declared size and
 *     digest.  Success: the backend has taken the file over (moved or removed
 *     it).  Failure: the console removes the file, and calls no abort.
 * image.upload_abort     {id, reason}       {}; the body was cut short or
 *     wrong: the image is removed.
 * (These pass the real caller in 'who', being on its behalf.) */

#endif
