/* request - inside the console: the api's state, a request on its way, and the
 * bridge from civetweb's worker threads to the loop.
 *
 * Used by console/api only.  Functions here run on worker threads unless said
 * otherwise. */
#ifndef SC_API_REQUEST_H
#define SC_API_REQUEST_H

#include "api/api.h"
#include "api/routes.h"
#include "common/json.h"
#include "common/tls.h"
#include "http/auth.h"
#include "http/limit.h"
#include "http/server.h"
#include "http/sse.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    API_BODY_MAX = 256 << 10,    /* bytes of a JSON body */
    API_CALL_TIMEOUT_MS = 60000, /* An operation must have answered. */
    API_USER_SIZE = 64,          /* With the NUL, as sc_name_ok. */
};

struct api_call;
struct api {
    struct sc_loop *loop;                /* Borrowed. */
    const struct api_backend *backend;   /* Borrowed. */
    struct api_options o;                /* Strings below. */
    char *spool_dir, *web_root, *ca_pem; /* Owned. */
    char ca_pin[TLS_PIN_LEN + 1];
    struct http_server *http;           /* Owned. */
    struct sse_hub *events;             /* Owned. */
    pthread_mutex_t lock;               /* For what follows. */
    struct limit *by_address, *by_user; /* Owned. */
    struct api_call *calls;             /* Unanswered or unfinished. */
    struct api_terminal *terminals;     /* Open consoles. */
    unsigned n_terminals;
    bool closing;
};

struct api_request {
    struct api *api;
    struct http_request *http;
    const struct api_route *route;
    struct api_caller caller; /* user: below. */
    char user[API_USER_SIZE];
    char session_id[AUTH_SECRET_LEN + 1]; /* "" without a login. */
    char csrf[AUTH_SECRET_LEN + 1];
    bool by_token; /* Logged in by an API token, not by a cookie. */
    uint64_t session_expires_at;
    cJSON *params; /* Path, query, body; owned by the dispatcher. */
};

/* What an operation answered. */
struct api_answer {
    int status;    /* 200, 202 ...; of the error if err.code. */
    cJSON *result; /* Owned; NULL on error. */
    struct sc_err err;
};
void api_answer_clear(struct api_answer *a);
static inline void api_answer_clear_p(struct api_answer *a)
{
    api_answer_clear(a);
}

/* Executes 'op' on the loop as 'who' (NULL: internal) and waits.  'params' is
 * taken (NULL: {}).  0 or the answer's error code. */
int api_call(struct api *api, const char *op, const struct api_caller *who,
             cJSON *params, struct api_answer *ret);
/* Runs fn(arg) on the loop and waits for its end.  0, or -ESHUTDOWN: it did
 * not run and never will. */
int api_run(struct api *api, sc_fn *fn, void *arg);
/* Loop thread: wakes every waiting worker with -ESHUTDOWN. */
void api_calls_cancel(struct api *api);
/* Loop thread: ends every open console. */
void api_terminals_close(struct api *api);

/* Finds out who sent 'q->http', by cookie or token; checks the CSRF token and
 * the role of 'q->route'.  0, or the error to answer with. */
int api_authenticate(struct api_request *q, struct sc_err *err);
/* Whether the session of 'q' is still good; 'used': and this is use of it. */
bool api_still_valid(struct api_request *q, bool used);
const char *api_role_name(unsigned role);
unsigned api_role_parse(const char *name); /* API_ROLE_NONE: unknown. */

/* Writes 'record' anew with 'role' and 'password' where given (0, NULL: as it
 * is).  A new password ends all other sessions of that user.  0 or -errno. */
int api_user_set(struct api_request *q, const cJSON *record, unsigned role,
                 const char *password, struct sc_err *err);

/* Answers with a copy of what the operation said. */
void api_reply(struct api_request *q, const struct api_answer *a);
void api_fail(struct api_request *q, const struct sc_err *err);

/* The WebSocket handler of the serial console; ctx is struct api. */
extern const struct http_ws_handler api_console_ws;

#endif
