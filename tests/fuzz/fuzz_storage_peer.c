/* Fuzz target: what another node's sc-storage sends
 * (daemons/storage/peer_proto.c).  The input is a frame; what decodes must
 * come back the same when it is encoded again. */
#include "storage/peer_proto.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(uint8_t *frame, size_t frame_size, const uint8_t *payload,
                 size_t size)
{
    if (frame_size != size + PEER_HEADER ||
        memcmp(frame + PEER_HEADER, payload, size) != 0)
        __builtin_trap();
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peer_frame f;
    static struct peer_fetch q;
    static struct peer_reply r;
    struct peer_handover h;
    struct peer_prepared m;
    uint8_t *again;
    size_t n;
    if (size < PEER_HEADER || peer_frame_get(data, &f) < 0)
        return 0;
    const uint8_t *p = data + PEER_HEADER;
    size -= PEER_HEADER;
    if (f.size != size)
        return 0;
    if (peer_fetch_decode(p, size, &q) == 0 &&
        peer_fetch_encode(&q, f.tag, &again, &n) == 0)
        same(again, n, p, size);
    if (peer_handover_decode(p, size, &h) == 0 &&
        peer_handover_encode(&h, f.tag, &again, &n) == 0)
        same(again, n, p, size);
    if (peer_prepared_decode(p, size, &m) == 0 &&
        peer_prepared_encode(&m, f.tag, &again, &n) == 0)
        same(again, n, p, size);
    if (peer_data_decode(p, size, &r) == 0)
        peer_reply_clear(&r);
    (void)!peer_done_decode(p, size, &r);
    return 0;
}
