/* link - see link.h.  The decoder reads nothing past 'size'. */
#include "wan/link.h"

const char *const link_class_names[LINK_N_CLASSES] = {
    [LINK_MEMORY] = "memory",   [LINK_DISK] = "disk",
    [LINK_CONTROL] = "control", [LINK_OVERLAY] = "overlay",
    [LINK_OTHER] = "other",
};

enum link_fate link_offer(struct link *l, uint64_t now, size_t size,
                          enum link_class c, uint64_t random, uint64_t *ret_at)
{
    if (l->p.partitioned) {
        l->dropped_partition++;
        return LINK_CUT;
    }
    /* The low half decides the loss, the high half the jitter. */
    if ((random & 0xffffffff) % LINK_LOSS_ONE < l->p.loss_ppm) {
        l->dropped_loss++;
        return LINK_LOST;
    }
    uint64_t start = l->busy_until > now ? l->busy_until : now;
    uint64_t send_ns =
        l->p.rate_bps ? size * 8 * 1000000000ull / l->p.rate_bps : 0;
    if (l->p.rate_bps && start - now > LINK_QUEUE_NS) {
        l->dropped_queue++;
        return LINK_QUEUE_FULL;
    }
    l->busy_until = start + send_ns;
    uint64_t jitter =
        l->p.jitter_ns ? (random >> 32) % (l->p.jitter_ns + 1) : 0;
    uint64_t at = l->busy_until + l->p.delay_ns + jitter;
    if (at < l->last_arrival)
        at = l->last_arrival;
    l->last_arrival = at;
    l->bytes[c] += size;
    l->frames++;
    *ret_at = at;
    return LINK_PASS;
}

static enum link_class class_of_port(unsigned port)
{
    switch (port) {
    case 7482:
        return LINK_MEMORY;
    case 7480:
        return LINK_DISK;
    case 7443:
    case 8443:
    case 6653:
        return LINK_CONTROL;
    case 4789:
        return LINK_OVERLAY;
    }
    return LINK_OTHER;
}

enum link_class link_classify(const uint8_t *f, size_t size)
{
    enum { ETH = 14, TCP = 6, UDP = 17 };
    if (size < ETH + 20 || f[12] != 0x08 || f[13] != 0x00 || f[14] >> 4 != 4)
        return LINK_OTHER;
    size_t header = (size_t)(f[14] & 15) * 4;
    bool later_fragment = ((f[20] & 0x1f) | f[21]) != 0;
    uint8_t protocol = f[23];
    if (header < 20 || later_fragment || size < ETH + header + 4 ||
        (protocol != TCP && protocol != UDP))
        return LINK_OTHER;
    const uint8_t *ports = f + ETH + header;
    enum link_class c = class_of_port((unsigned)ports[2] << 8 | ports[3]);
    if (c == LINK_OTHER)
        c = class_of_port((unsigned)ports[0] << 8 | ports[1]);
    return c;
}
