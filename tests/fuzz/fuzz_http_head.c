/* The head of an HTTP message, given whole and in pieces. */
#include "common/http_head.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    struct http_head h;
    long n = http_head_parse(text, size, &h);
    if (n > (long)size)
        abort();
    if (n > 0) {
        http_head_has_token(&h, "Connection", "Upgrade");
        http_head_get(&h, "Host");
        /* One byte less is not the whole head. */
        char *cut = malloc((size_t)n);
        if (cut) {
            memcpy(cut, data, (size_t)n - 1);
            struct http_head again;
            if (http_head_parse(cut, (size_t)n - 1, &again) != 0)
                abort();
        }
        free(cut);
    }
    free(text);
    return 0;
}
