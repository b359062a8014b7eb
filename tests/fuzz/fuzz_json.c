/* Base64, and the readers over any document. */
#include "common/json.h"

#include <stdlib.h>
#include <string.h>

static void base64(const char *text)
{
    void *plain = NULL;
    size_t size = 0;
    if (json_b64_decode(text, &plain, &size) < 0)
        return;
    char *again = json_b64_encode(plain, size);
    if (!again || strcmp(again, text) != 0)
        abort(); /* Exactly one text for each value. */
    free(again);
    free(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const allowed[] = { "s", "n", "b", "o", "a", NULL };
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    base64(text);
    cJSON *doc = cJSON_ParseWithLength(text, size);
    struct json_reader r = json_read(doc, "fuzz");
    json_only(&r, allowed);
    size_t len = strlen(json_str(&r, "s", 1, 20));
    int64_t n = json_int(&r, "n", -5, 500);
    json_bool_or(&r, "b", true);
    json_obj(&r, "o");
    json_arr(&r, "a");
    if (json_done(&r, NULL) == 0 && (len < 1 || len > 20 || n < -5 || n > 500))
        abort();
    cJSON_Delete(doc);
    free(text);
    return 0;
}
