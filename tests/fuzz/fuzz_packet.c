/* Frames of guests: taken apart, and, where they are DHCP, answered. */
#include "network/dhcp.h"
#include "network/spoof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dhcp_facts facts = {
        .mac = { { 2, 0, 0, 0, 0, 7 } },
        .ip = 0x0a010007,
        .server = 0x0a010001,
        .gateway = 0x0a010001,
        .dns = 1,
        .prefix_len = 24,
        .mtu = 1400,
    };
    struct packet p;
    struct spoof s;
    struct dhcp_message m;
    uint8_t frame[PACKET_MAX];
    size_t n;
    (void)!spoof_decode(data, size, &s);
    if (packet_decode(data, size, &p) == 0 && p.has_udp &&
        dhcp_decode(p.payload, p.payload_size, &m) == 0)
        (void)dhcp_answer(&m, &facts, frame, &n);
    return 0;
}
