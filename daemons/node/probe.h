/* probe - round-trip times to every peer, by small UDP packets on port 7481.
 *
 * One probe a second and peer; the peer's sc-node echoes it.  Packets carry a
 * nonce made from the cluster's CA, which keeps strangers' packets out of the
 * figures and echoes to strangers away; it is no secret and guards nothing.
 * What asks may be longer by zeros (to try out how large packets may be); an
 * echo is PROBE_SIZE bytes, never longer than what asked for it.  Loop thread.
 */
#ifndef SC_NODE_PROBE_H
#define SC_NODE_PROBE_H

#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROBE_SIZE = 32, PROBE_NONCE = 8 };
struct probe_packet {
    bool echo;
    uint16_t nid; /* Of who asked. */
    uint32_t seq;
    uint64_t sent_ns; /* The asker's monotonic clock, echoed as it was. */
    uint8_t nonce[PROBE_NONCE];
};
void probe_encode(const struct probe_packet *p, uint8_t ret[PROBE_SIZE]);
/* 0 or -EPROTO. */
int probe_decode(const uint8_t *buf, size_t size, struct probe_packet *ret);

struct node;
struct probe;
int probe_new(struct node *n, struct probe **ret,
              struct sc_err *err) SC_MUST_CHECK;
void probe_free(struct probe *p);                  /* NULL is allowed. */
void probe_peers_changed(struct probe *p);         /* node->peers did. */
const uint8_t *probe_nonce(const struct probe *p); /* PROBE_NONCE bytes. */
/* [{nid, rtt_ms, loss}] of peers heard or asked long enough. */
cJSON *probe_report(const struct probe *p);

#endif
