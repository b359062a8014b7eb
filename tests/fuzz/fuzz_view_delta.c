/* A view's delta comes from nodes: it decodes to runs in order and inside the
 * volume, has one form only, and merges with itself to itself. */
#include "model/view_delta.h"

#include <stdlib.h>

enum { BLOCKS = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SC_AUTO(view_delta_free) struct view_delta *d = NULL;
    SC_AUTO(free) void *again = NULL;
    size_t again_size, n;
    uint64_t end = 0;
    if (view_delta_decode(data, size, BLOCKS, &d, NULL) < 0)
        return 0;
    for (size_t i = 0; i < d->n_runs; i++) {
        const struct view_run *run = &d->runs[i];
        if (run->first < end || run->count == 0 || !run->version ||
            !run->holder || run->count > BLOCKS ||
            run->first > BLOCKS - run->count)
            abort();
        end = run->first + run->count;
    }
    n = d->n_runs;
    if (view_delta_encode(d, 0, 0, &again, &again_size, NULL) < 0)
        return 0;
    if (size && (again_size != size || memcmp(again, data, size) != 0))
        abort();
    if (view_delta_merge(d, d) == 0 && d->n_runs != n)
        abort();
    return 0;
}
