/* A token's text comes from anybody who reaches port 7443. */
#include "model/token.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SC_AUTO(free) char *text = strndup((const char *)data, size);
    struct token_parts p;
    if (!text || token_parse(text, &p, NULL) < 0)
        return 0;
    if (strlen(p.id) != 16 || strlen(p.secret) != 64 || strlen(p.pin) != 64)
        abort();
    return 0;
}
