/* A VMSPEC that is taken is encoded and taken again, the same. */
#include "node/vmspec.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmspec a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    SC_AUTO(cjson_free)
    cJSON *o = cJSON_ParseWithLength((const char *)data, size);
    if (!o || vmspec_decode(o, &a, NULL) < 0)
        return 0;
    SC_AUTO(cjson_free) cJSON *again = vmspec_encode(&a);
    if (vmspec_decode(again, &b, NULL) < 0 || a.epoch != b.epoch ||
        a.n_volumes != b.n_volumes || strcmp(a.cmdline, b.cmdline))
        abort();
    return 0;
}
