/* The configuration file and HOST:PORT texts. */
#include "common/config.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    struct sc_err err;
    struct sc_config *c = NULL;
    if (sc_config_parse(text, "fuzz", &c, &err) == 0)
        sc_config_free(c);
    char host[SC_HOST_MAX + 1];
    uint16_t port;
    if (sc_host_port_split(text, 7443, host, &port) == 0 &&
        (port == 0 || strlen(host) == 0))
        abort();
    free(text);
    return 0;
}
