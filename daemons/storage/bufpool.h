/* bufpool - page-aligned buffers, kept for the next user.
 *
 * For the data of requests.  Sizes are rounded up to a power of two from 4096
 * to 1 MiB; larger ones go back to the heap.  Keeps at most 32 MiB.  Not
 * thread-safe. */
#ifndef SC_STORAGE_BUFPOOL_H
#define SC_STORAGE_BUFPOOL_H

#include "common/clean.h"

#include <stddef.h>

struct bufpool;
struct bufpool *bufpool_new(void); /* NULL: out of memory. */
void bufpool_free(struct bufpool *p);
SC_CLEANUP(struct bufpool, bufpool_free)
void *bufpool_get(struct bufpool *p, size_t size); /* NULL: out of memory. */
void bufpool_put(struct bufpool *p, void *buf, size_t size); /* As got. */

#endif
