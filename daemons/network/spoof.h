/* spoof - the "spoof packet" by which sc-network learns how the switches are
 * connected.
 *
 * Sent out of every tunnel port of every switch; the switch that receives one
 * reports it with the port it came in by.  'nonce' is new each round and known
 * to sc-network alone, so that no one can report a link that is not there.
 * Pure.  Source: paper section 3.3.1; docs/protocols/network.md. */
#ifndef SC_NETWORK_SPOOF_H
#define SC_NETWORK_SPOOF_H

#include "network/packet.h"

enum { SPOOF_SIZE = 60 };

struct spoof {
    uint16_t nid;  /* The switch that sent it. */
    uint32_t port; /* OpenFlow port it was sent out of. */
    uint64_t nonce;
};
void spoof_encode(const struct spoof *s, uint8_t ret[SPOOF_SIZE]);
/* 0, or -EBADMSG: not a spoof packet. */
int spoof_decode(const void *frame, size_t size,
                 struct spoof *ret) SC_MUST_CHECK;

#endif
