/* Cookies, query strings and paths come from anybody who reaches port 8443. */
#include "http/headers.h"
#include "http/router.h"

#include "common/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SC_AUTO(free) char *text = strndup((const char *)data, size);
    SC_AUTO(cjson_free) cJSON *query = cJSON_CreateObject();
    SC_AUTO(cjson_free) cJSON *path = cJSON_CreateObject();
    char cookie[65];
    if (!text)
        return 0;
    if (http_cookie_get(text, "sc_session", cookie, sizeof cookie) == 0 &&
        strlen(cookie) >= sizeof cookie)
        abort();
    struct sc_err err = { 0 };
    if (http_query_decode(text, "limit:int,bytes:int,name", query, &err) == 0 &&
        cJSON_GetArraySize(query) > 3)
        abort();
    if (http_path_match("/vms/{id}/console-log", text, path) !=
        (cJSON_GetArraySize(path) == 1))
        abort();
    (void)http_accepts(text, "gzip");
    return 0;
}
