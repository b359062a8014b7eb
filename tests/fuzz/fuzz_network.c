/* Address ranges are what a user types: "cidr gateway dns start end". */
#include "model/network.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SC_AUTO(free) char *text = strndup((const char *)data, size);
    struct network n = { 0 };
    uint32_t start, end;
    char *save = NULL;
    if (!text)
        return 0;
    const char *words[5] = { "", "", "", "", "" };
    for (int i = 0; i < 5; i++) {
        const char *word = strtok_r(i ? NULL : text, " ", &save);
        words[i] = word ? word : "";
    }
    OBJ_SET(n.cidr, words[0]);
    OBJ_SET(n.gateway, words[1]);
    OBJ_SET(n.dns, words[2]);
    OBJ_SET(n.dhcp_start, words[3]);
    OBJ_SET(n.dhcp_end, words[4]);
    if (network_complete(&n, NULL) == 0 &&
        (!network_ip_parse(n.dhcp_start, &start) ||
         !network_ip_parse(n.dhcp_end, &end) || start > end))
        abort();
    return 0;
}
