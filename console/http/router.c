/* router - see router.h. */
#include "http/router.h"

#include <stdio.h>
#include <string.h>

static bool match(const char *pattern, const char *path, cJSON *params)
{
    while (*pattern) {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        const char *end = strchr(pattern, '}');
        size_t len = strcspn(path, "/");
        char name[32], value[256];
        size_t name_len = (size_t)(end - pattern - 1);
        if (len == 0 || len >= sizeof value || name_len >= sizeof name)
            return false;
        if (params) {
            memcpy(name, pattern + 1, name_len);
            name[name_len] = '\0';
            memcpy(value, path, len);
            value[len] = '\0';
            cJSON_AddStringToObject(params, name, value);
        }
        pattern = end + 1;
        path += len;
    }
    return *path == '\0';
}

bool http_path_match(const char *pattern, const char *path, cJSON *params)
{
    /* Twice, so that a mismatch leaves 'params' alone. */
    return match(pattern, path, NULL) &&
           (!params || match(pattern, path, params));
}

int http_route_find(const void *table, size_t len, size_t stride,
                    const char *method, const char *path, char *allow,
                    size_t allow_size)
{
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    size_t used = 0;
    allow[0] = '\0';
    for (size_t i = 0; i < len; i++) {
        const struct http_route_key *key =
            (const void *)((const char *)table + i * stride);
        if (!http_path_match(key->path, path, NULL))
            continue;
        if (strcmp(key->method, method) == 0)
            return (int)i;
        int n = snprintf(allow + used, allow_size - used, "%s%s",
                         used ? ", " : "", key->method);
        if (n > 0 && (size_t)n < allow_size - used)
            used += (size_t)n;
        else
            allow[used] = '\0';
    }
    return used ? HTTP_ROUTE_METHOD : HTTP_ROUTE_NONE;
}
