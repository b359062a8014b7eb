/* router - which line of a table a method and path belong to.
 *
 * Patterns are segments: "/vms/{id}/start"; {name} takes one segment that is
 * not empty.  Pure. */
#ifndef SC_HTTP_ROUTER_H
#define SC_HTTP_ROUTER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* True if 'path' fits 'pattern'; the {parts} are added to 'params' as strings
 * (NULL: not wanted). */
bool http_path_match(const char *pattern, const char *path, cJSON *params);

/* A table's line begins with these two; 'stride' is the size of a line. */
struct http_route_key {
    const char *method, *path;
};
enum { HTTP_ROUTE_NONE = -1, HTTP_ROUTE_METHOD = -2 };
/* The index of the first line that fits; HTTP_ROUTE_NONE: no such path;
 * HTTP_ROUTE_METHOD: the path exists, but not with this method, and 'allow'
 * lists the methods that do ("GET, DELETE").  HEAD is taken as GET. */
int http_route_find(const void *table, size_t len, size_t stride,
                    const char *method, const char *path, char *allow,
                    size_t allow_size);

#endif
