/* ring - see ring.h. */
#include "node/ring.h"

#include <string.h>

void ring_put(struct ring *r, const void *data, size_t size)
{
    const uint8_t *p = data;
    if (size > RING_SIZE) {
        p += size - RING_SIZE;
        r->total += size - RING_SIZE;
        size = RING_SIZE;
    }
    size_t at = r->total % RING_SIZE;
    size_t first = RING_SIZE - at < size ? RING_SIZE - at : size;
    memcpy(r->data + at, p, first);
    memcpy(r->data, p + first, size - first);
    r->total += size;
}

size_t ring_newest(const struct ring *r, void *ret, size_t max)
{
    size_t have = r->total < RING_SIZE ? (size_t)r->total : RING_SIZE;
    size_t size = have < max ? have : max;
    size_t at = (r->total - size) % RING_SIZE;
    size_t first = RING_SIZE - at < size ? RING_SIZE - at : size;
    memcpy(ret, r->data + at, first);
    memcpy((uint8_t *)ret + first, r->data, size - first);
    return size;
}
