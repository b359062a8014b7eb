/* An answer of a metadata service, given whole and in pieces. */
#include "node/metadata.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool eof = size > 0 && data[0] & 1;
    if (size < 1 || size > METADATA_ANSWER_MAX)
        return 0;
    size--;
    char *text = malloc(size + 1), *cut = malloc(size + 1);
    struct metadata_answer a, b;
    if (text && cut) {
        memcpy(text, data + 1, size);
        int r = metadata_parse(text, size, eof, &a);
        if (r == 1 && (a.size > size || strlen(a.body) > a.size ||
                       a.status < 200 || a.status > 599))
            abort();
        /* What waits for more is unchanged, and a part of it waits too. */
        if (r == 0 && (eof || memcmp(text, data + 1, size) != 0))
            abort();
        memcpy(cut, data + 1, size / 2);
        if (r == 0 && metadata_parse(cut, size / 2, false, &b) == 1)
            abort();
    }
    free(text);
    free(cut);
    return 0;
}
