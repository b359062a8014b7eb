/* ring - the newest bytes of a serial console.  Pure; fixed size. */
#ifndef SC_NODE_RING_H
#define SC_NODE_RING_H

#include <stddef.h>
#include <stdint.h>

enum { RING_SIZE = 256 << 10 }; /* bytes kept */

struct ring {
    uint64_t total; /* Bytes ever put. */
    uint8_t data[RING_SIZE];
};
void ring_put(struct ring *r, const void *data, size_t size);
/* Copies the newest bytes, oldest of them first, at most 'max'; how many. */
size_t ring_newest(const struct ring *r, void *ret, size_t max);

#endif
