/* What a metadata service may say, to each of those who read it. */
#include "node/notice.h"

#include <stdint.h>

static int azure(int status, const char *body, struct notice *ret)
{
    return notice_azure(status, body, "a", ret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int (*const readers[])(int, const char *, struct notice *) = {
        notice_ec2_spot,      notice_ec2_rebalance,   notice_ec2_events,
        notice_gce_preempted, notice_gce_maintenance, azure,
    };
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    for (size_t i = 0; i < SC_ARRAY_LEN(readers); i++) {
        struct notice n = { 0 };
        if (readers[i](200, text, &n) < 0)
            continue;
        if (n.kind >= NOTICE_N_KINDS || !n.action || !n.source ||
            (n.kind == NOTICE_NONE) != (n.source[0] == '\0'))
            abort();
        for (const char *p = n.text; *p; p++)
            if (*p < ' ' || *p > '~')
                abort();
        cJSON_Delete(notice_to_json(&n));
    }
    free(text);
    return 0;
}
