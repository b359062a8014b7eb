/* routes - the API as data: every route, the role it needs, what it does.
 *
 * console/api/openapi.json describes the same routes with schemas; a unit test
 * holds the two together.  A route with 'fn' is handled by the console; the
 * others become the backend operation 'op'.  Constant, thread-safe. */
#ifndef SC_API_ROUTES_H
#define SC_API_ROUTES_H

#include "api/backend.h"

#include <stddef.h>

struct api_request;
typedef void api_handler(struct api_request *q); /* Answers; worker thread. */

enum api_route_flags {
    API_PUBLIC = 1 << 0, /* Needs no login. */
    API_BODY = 1 << 1,   /* Takes a JSON object as body. */
    API_STREAM = 1 << 2, /* Body or answer are not JSON. */
};

struct api_route {
    const char *method, *path; /* Below /api/v1; first (struct
                                  http_route_key). */
    const char *op;            /* Also OpenAPI's operationId. */
    enum api_role role;        /* The least one that may. */
    unsigned flags;            /* enum api_route_flags */
    const char *query;         /* "limit:int,name", or NULL. */
    api_handler *fn;           /* NULL: the backend executes 'op'. */
    const char *summary;
};

extern const struct api_route api_routes[];
extern const size_t api_n_routes;
/* The console's WebSocket is matched by path only; its route is in the table
 * too, for the role and for the description. */
const struct api_route *api_route_find_op(const char *op); /* NULL: none. */

/* Handlers of the console's own routes. */
api_handler api_login, api_logout, api_session_show, api_openapi, api_version,
    api_ca;
api_handler api_session_list, api_session_delete, api_password_set;
api_handler api_user_list, api_user_create, api_user_update, api_user_delete;
api_handler api_image_upload, api_provider_image_upload, api_events,
    api_console_plain;

#endif
