/* How: Ethernet, then "SCSP", version, nid, port, nonce, all big endian. */
#include "network/spoof.h"

#include <endian.h>
#include <string.h>

struct __attribute__((packed)) body {
    uint8_t magic[4];
    uint8_t version;
    uint8_t zero;
    uint16_t nid;
    uint32_t port;
    uint64_t nonce;
};
static const uint8_t magic[4] = { 'S', 'C', 'S', 'P' };
/* Locally administered; "SC" and "net". */
static const uint8_t to[6] = { 0x02, 0x53, 0x43, 0x6e, 0x65, 0x74 };

void spoof_encode(const struct spoof *s, uint8_t ret[SPOOF_SIZE])
{
    struct body b = { .version = 1,
                      .nid = htobe16(s->nid),
                      .port = htobe32(s->port),
                      .nonce = htobe64(s->nonce) };
    memcpy(b.magic, magic, sizeof magic);
    memset(ret, 0, SPOOF_SIZE);
    memcpy(ret, to, 6);
    memcpy(ret + 6, to, 6);
    ret[12] = ETH_SPOOF >> 8;
    ret[13] = ETH_SPOOF & 255;
    memcpy(ret + ETH_HEADER, &b, sizeof b);
}

int spoof_decode(const void *frame, size_t size, struct spoof *ret)
{
    const uint8_t *p = frame;
    struct body b;
    if (size < ETH_HEADER + sizeof b || p[12] != ETH_SPOOF >> 8 ||
        p[13] != (ETH_SPOOF & 255))
        return -EBADMSG;
    memcpy(&b, p + ETH_HEADER, sizeof b);
    if (memcmp(b.magic, magic, sizeof magic) != 0 || b.version != 1)
        return -EBADMSG;
    *ret = (struct spoof){ be16toh(b.nid), be32toh(b.port), be64toh(b.nonce) };
    return 0;
}
