/* Probes are UDP packets from anybody; what is decoded is encoded the same. */
#include "node/probe.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct probe_packet p, q;
    uint8_t buf[PROBE_SIZE];
    if (probe_decode(data, size, &p) < 0)
        return 0;
    probe_encode(&p, buf);
    if (probe_decode(buf, sizeof buf, &q) < 0 || p.seq != q.seq ||
        p.sent_ns != q.sent_ns || memcmp(p.nonce, q.nonce, sizeof p.nonce))
        abort();
    return 0;
}
