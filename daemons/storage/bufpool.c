/* bufpool - see bufpool.h. */
#include "storage/bufpool.h"

enum { PAGE_BITS = 12, CLASSES = 9, KEEP_MAX = 32 << 20 };

struct spare {
    struct spare *next;
};
struct bufpool {
    struct spare *spares[CLASSES]; /* Of 4096 << i bytes. */
    size_t kept;                   /* Bytes. */
};

static unsigned class_of(size_t size)
{
    unsigned c = 0;
    while (((size_t)1 << (PAGE_BITS + c)) < size)
        c++;
    return c;
}

struct bufpool *bufpool_new(void)
{
    return calloc(1, sizeof(struct bufpool));
}

void bufpool_free(struct bufpool *p)
{
    if (!p)
        return;
    for (int i = 0; i < CLASSES; i++)
        while (p->spares[i]) {
            struct spare *s = p->spares[i];
            p->spares[i] = s->next;
            free(s);
        }
    free(p);
}

void *bufpool_get(struct bufpool *p, size_t size)
{
    unsigned c = class_of(size);
    size_t bytes = (size_t)1 << (PAGE_BITS + c);
    if (c < CLASSES && p->spares[c]) {
        struct spare *s = p->spares[c];
        p->spares[c] = s->next;
        p->kept -= bytes;
        return s;
    }
    return aligned_alloc((size_t)1 << PAGE_BITS, bytes);
}

void bufpool_put(struct bufpool *p, void *buf, size_t size)
{
    unsigned c = class_of(size);
    size_t bytes = (size_t)1 << (PAGE_BITS + c);
    if (!buf)
        return;
    if (c >= CLASSES || p->kept + bytes > KEEP_MAX) {
        free(buf);
        return;
    }
    struct spare *s = buf;
    s->next = p->spares[c];
    p->spares[c] = s;
    p->kept += bytes;
}
