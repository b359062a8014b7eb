/* calls - the calls of provider.h as JSON in and JSON out.
 *
 * Between the worker and the command line, which speak JSON and options, and
 * provider.h.  One table says which arguments a call has; checking, help and
 * the command line's options come from it.  Blocks as provider.h does.
 * Source: docs/protocols/provider.md. */
#ifndef SC_PROVIDER_CALLS_H
#define SC_PROVIDER_CALLS_H

#include "provider/provider.h"

enum call_kind {
    CALL_TEXT,
    CALL_NUMBER,
    CALL_FLAG, /* An option without a value. */
    CALL_JSON, /* Any JSON; an option with JSON as text. */
    CALL_FILE, /* Text; an option that names a file with it. */
};
struct call_arg {
    const char *name; /* As in JSON; an option has '-' for '_'. */
    enum call_kind kind;
    bool required;
};
struct call {
    const char *name;
    const struct call_arg *args; /* Ends with a NULL name. */
    int (*run)(struct provider *p, const cJSON *args,
               const struct provider_tags *tags, const cJSON *resume,
               cJSON **ret, struct sc_err *err);
};
/* NULL: no such call, or the end. */
const struct call *call_find(const char *name);
const struct call *call_at(size_t i);

/* Checks 'args' (NULL: none) against the table and makes the call; '*ret' is
 * the protocol's result, the caller's.  Errors are provider.h's, and -EINVAL
 * for an argument that is missing, unknown or of the wrong type. */
int call_run(const struct call *c, struct provider *p, const cJSON *args,
             const struct provider_tags *tags, const cJSON *resume, cJSON **ret,
             struct sc_err *err) SC_MUST_CHECK;

/* What `sc-provider drivers` prints. */
cJSON *call_drivers(void);

#endif
