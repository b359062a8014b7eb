/* A provider's XML answer: parsed, walked, looked up. */
#include "provider/xml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* As many nodes as were started, and every text ends. */
static size_t walk(const struct xml_node *n)
{
    size_t sum = 0;
    for (; n; n = n->next)
        sum += 1 + strlen(n->name) + strlen(n->text) + walk(n->child);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xml *x = NULL;
    if (xml_parse((const char *)data, size, &x, NULL) < 0)
        return 0;
    const struct xml_node *r = xml_root(x);
    if (walk(r) == 0 || xml_get(r, "") != r)
        abort();
    const struct xml_node *first = xml_first(r, "");
    if (first && !strchr(first->name, '/') && xml_get(r, first->name) != first)
        abort();
    (void)xml_text(r, "Errors/Error/Code");
    (void)xml_text(r, "a/b/c/d/e");
    xml_free(x);
    return 0;
}
