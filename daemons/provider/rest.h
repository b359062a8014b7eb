/* rest - JSON over HTTP with a bearer token: what clouds have in common whose
 * API is so (GCE, Azure).
 *
 * Over web.h, which tries again what is worth it; here the token is fetched
 * and renewed (before it expires, and once if an answer is 401), and an answer
 * that says no becomes -errno with the provider's words, its code and request
 * id, and from the driver's table what to do about it.  Blocks; one per driver
 * instance; not thread-safe.
 * Ownership: requests borrow all but 'body', which is taken; answers are
 * cleared by the caller (rest_answer_clear), whatever was returned.
 * Errors: provider.h's. */
#ifndef SC_PROVIDER_REST_H
#define SC_PROVIDER_REST_H

#include "provider/web.h"

/* What the provider's code of an error means here.  -EAGAIN: try again.  The
 * table ends with a NULL code. */
struct rest_word {
    const char *code;
    int error;
    const char *advice; /* What to do; NULL: the words say it. */
};

struct rest {
    const char *who;               /* "gce": begins every error text. */
    struct web *web;               /* Borrowed. */
    const struct rest_word *words; /* Looked through in order. */
    /* Fetches a token: malloc'd '*ret', good until '*ret_until' (ms since
     * 1970). */
    int (*login)(void *arg, char **ret, uint64_t *ret_until,
                 struct sc_err *err);
    void *arg;
    char *token; /* Owned; NULL: none yet. */
    uint64_t token_until;
};
void rest_clear(struct rest *r);

struct rest_answer {
    long status;
    cJSON *json; /* NULL: no JSON in it. */
    struct web_answer raw;
};
void rest_answer_clear(struct rest_answer *a);

struct rest_request {
    const char *method, *url;
    const char *what; /* For errors: "create instance 'x'". */
    cJSON *body;      /* JSON; taken.  NULL: none, or 'raw'. */
    const void *raw;
    size_t raw_size;
    const char *type; /* Of 'raw'; NULL: application/octet-stream. */
    const struct web_header *headers; /* More of them; at most 8. */
    size_t n_headers;
    bool plain;          /* No token goes with it. */
    unsigned timeout_ms; /* As in web.h. */
    bool once;
    bool any; /* Any final answer is 0, not only 2xx. */
};
/* 0 for an answer of 2xx; else -errno, '*ret' holding the answer if one came.
 */
int rest_do(struct rest *r, const struct rest_request *q,
            struct rest_answer *ret, struct sc_err *err) SC_MUST_CHECK;

/* -errno for an error the provider answered with, 'err' filled.  'json' may be
 * NULL.  Also for what an operation's state says (then 'status' is 0 and 'a'
 * NULL). */
int rest_refuse(const struct rest *r, const char *what, long status,
                const cJSON *json, const struct web_answer *a,
                struct sc_err *err);
/* The provider's code and message in an error: {"error": {"code", "message"}}
 * in its many forms, {"error": "x", "error_description"}, XML of Code and
 * Message, or plain text.  Cut at the sizes; "" if there is none. */
void rest_words(const cJSON *json, const char *text, char *ret_code,
                size_t code_size, char *ret_message, size_t message_size);

/* For a 'login': POSTs 'form' to 'url' (OAuth2) and takes the token out of the
 * answer. */
int rest_ask_token(struct rest *r, const char *url, const char *form,
                   char **ret, uint64_t *ret_until,
                   struct sc_err *err) SC_MUST_CHECK;

/* An operation that a request began and that goes on at the provider. */
enum rest_step { REST_DONE, REST_WAIT, REST_FAILED };
struct rest_operation {
    const char *url;     /* Where its state is. */
    const char *what;    /* As in rest_request. */
    enum rest_step step; /* By the answer that began it. */
    /* By an answer of 2xx at 'url'. */
    enum rest_step (*look)(const struct rest_answer *a);
    unsigned first_ms, last_ms; /* Between two looks, doubled each time; or as
                                   Retry-After says. */
    unsigned max_ms;            /* In all. */
};
/* Waits until it is done.  'a': the answer that began it, and afterwards the
 * last one, whatever is returned.  One that failed is refused in its own words;
 * -ETIMEDOUT, -ECANCELED. */
int rest_wait(struct rest *r, const struct rest_operation *o,
              struct rest_answer *a, struct sc_err *err) SC_MUST_CHECK;

/* 'code', but for -ENOENT 0 and an empty 'err': where what is not there is as
 * good as done. */
int rest_absent_ok(int code, struct sc_err *err);

/* Time enough for a piece of 'size' bytes at 64 KiB a second. */
static inline unsigned rest_piece_ms(size_t size)
{
    return 60000 + (unsigned)(size / 65536) * 1000;
}

/* A value by its path, "networkInterfaces.0.name"; NULL: not there.  Numbers
 * are places in arrays.  rest_str: its text, "" if it is none.  rest_num: a
 * number, also of digits in a string; 0 if it is none. */
const cJSON *rest_at(const cJSON *o, const char *path);
const char *rest_str(const cJSON *o, const char *path);
double rest_num(const cJSON *o, const char *path);

/* JSON from a form in which ' stands for ": %s a string, %d an int, %u a
 * uint64_t, %f a double, %b a bool, %j a cJSON that is taken (NULL: null).
 * NULL: out of memory, or the form is wrong (a bug).  */
cJSON *rest_json(const char *form, ...) SC_MUST_CHECK;

/* ms since 1970 of an RFC 3339 time ("2026-11-27T10:00:00.5Z", "+02:00"); 0: it
 * is none. */
uint64_t rest_time(const char *text);
uint64_t rest_now(void); /* ms since 1970. */
/* What stands behind the last '/' of 'path'. */
const char *rest_base(const char *path);
/* A UUID in the form of version 4; the same 'seed' gives the same. */
void rest_uuid_of(const char *seed, char ret[37]);

#endif
