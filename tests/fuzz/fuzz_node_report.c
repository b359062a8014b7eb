/* What a node says of its own probes: any JSON either becomes a list whose
 * every entry is complete, or changes nothing. */
#include "controller/ctl.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SC_AUTO(cjson_free)
    cJSON *report = cJSON_ParseWithLength((const char *)data, size);
    struct ctl_node *n = calloc(1, sizeof *n);
    struct sc_err err = { 0 };
    if (!n)
        return 0;
    int r = ctl_node_take_probes(n, report, 1, &err);
    if ((r == 0) != (n->probes != NULL) || (r < 0) != (err.code < 0))
        abort();
    const cJSON *p;
    cJSON_ArrayForEach(p, n->probes)
    {
        if (!cJSON_IsString(cJSON_GetObjectItem(p, "name")) ||
            !cJSON_IsBool(cJSON_GetObjectItem(p, "ok")) ||
            !cJSON_IsString(cJSON_GetObjectItem(p, "why")))
            abort();
    }
    ctl_node_free(n);
    return 0;
}
