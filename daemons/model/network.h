/* network - the address range of a tenant network.
 *
 * Used by sc-controller.  Pure; thread-safe.  IPv4; addresses as numbers are in
 * host byte order. */
#ifndef SC_MODEL_NETWORK_H
#define SC_MODEL_NETWORK_H

#include "model/objects.h"

/* Fills gateway (the first address), dns (the gateway), DHCP range (from the
 * tenth) and mtu of 'n' from its cidr where they are "" or 0, and checks all.
 * 0, or -EINVAL with 'err' naming the field. */
int network_complete(struct network *n, struct sc_err *err) SC_MUST_CHECK;
bool network_ip_parse(const char *text, uint32_t *ret);
void network_ip_format(uint32_t ip, char ret[16]);

#endif
