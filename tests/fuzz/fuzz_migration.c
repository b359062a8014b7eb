/* What a source of a migration (a node with a certificate, perhaps taken over)
 * may send: frames, HELLO, packed chunks. */
#include "node/migframe.h"
#include "node/zpack.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t out[MIG_CHUNK];
    SC_AUTO(zpack_free) struct zpack *z = NULL;
    struct mig_hello hello;
    struct mig_frame f;
    struct sc_err err = { 0 };
    if (zpack_new(&z) < 0)
        return 0;
    for (size_t at = 0; at < size;) {
        long n = mig_frame_decode(data + at, size - at, &f, &err);
        if (n <= 0)
            break;
        if (f.size > MIG_PAYLOAD_MAX || f.payload + f.size > data + size)
            abort();
        if (f.type == MIG_HELLO &&
            mig_hello_decode(f.payload, f.size, &hello, &err) == 0 &&
            !hello.ticket[0])
            abort();
        if (f.flags & MIG_F_ZSTD &&
            zpack_unpack(z, f.payload, f.size, out, sizeof out, &err) >
                (int)sizeof out)
            abort();
        at += (size_t)n;
    }
    return 0;
}
