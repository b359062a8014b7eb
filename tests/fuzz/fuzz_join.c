/* User-data, and what a controller may answer to sc-join. */
#include "join/join.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    struct join_request r = { 0 };
    struct join_failure f = { 0 };
    char line[1200], pin[TLS_PIN_LEN + 1];
    if ((request_parse(&r, text, &f) < 0 || request_check(&r, &f) < 0) &&
        f.code == JOIN_OK)
        abort(); /* A failure without a code. */
    request_fini(&r);
    token_pin(text, pin);
    if (join_refusal(text, 400, &f) != -1 || f.code == JOIN_OK)
        abort();
    join_failure_line(&f, line, sizeof line);
    if (strpbrk(line, "\r\n\033"))
        abort(); /* Would forge a line on the console. */
    free(text);
    return 0;
}
