/* wan - an emulated WAN: an Ethernet switch whose paths have delay, jitter,
 * loss, rate and partitions, each set per pair of attachments.
 *
 * Used by sc-wan alone.  Machines attach by a pair of Unix datagram sockets,
 * one frame a datagram, as QEMU's "-netdev dgram" speaks it.  Runs on the
 * loop's thread, never blocks; a receiver that is full loses frames, as a NIC.
 * Everything it prints says "emulated".
 * Limits: WAN_MAX_PORTS attachments, WAN_MAX_QUEUED bytes in flight. */
#ifndef SC_WAN_WAN_H
#define SC_WAN_WAN_H

#include "common/loop.h"
#include "wan/link.h"

#include <cjson/cJSON.h>

enum { WAN_MAX_PORTS = 64, WAN_MAX_QUEUED = 256 << 20, WAN_FRAME_MAX = 65536 };

struct wan;
/* Every new pair begins with 'defaults'. */
int wan_new(struct sc_loop *loop, const struct link_params *defaults,
            struct wan **ret, struct sc_err *err) SC_MUST_CHECK;
void wan_free(struct wan *w);
SC_CLEANUP(struct wan, wan_free)

/* Attaches 'name': we bind 'local' (replaced if stale), the machine binds
 * 'remote'.  -EEXIST: the name is taken by other paths; the same again is 0. */
int wan_attach(struct wan *w, const char *name, const char *local,
               const char *remote, struct sc_err *err);
/* -ENOENT: no such attachment. */
int wan_detach(struct wan *w, const char *name, struct sc_err *err);
/* Changes both directions between 'a' and 'b' ("*" is every one, also those
 * to come) from JSON: {rtt_ms, jitter_ms, loss_percent, rate_mbit,
 * partitioned}, each optional.  Frames already in flight keep their time. */
int wan_set(struct wan *w, const char *a, const char *b, const cJSON *params,
            struct sc_err *err);
/* Fills 'p' from such an object, leaving what it does not name. */
int wan_params_parse(const cJSON *params, struct link_params *p,
                     struct sc_err *err);
/* {"emulated": true, "ports": [...], "pairs": [{from,to,rtt_ms,...,bytes:
 * {memory,disk,...},frames,dropped:{...}}]}; the caller's. */
cJSON *wan_show(struct wan *w);

#endif
