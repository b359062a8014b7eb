/* tap - TAP interfaces for guests, in the current network namespace. */
#ifndef SC_TAP_H
#define SC_TAP_H

#include "common/err.h"

#include <stdbool.h>

/* Makes 'ifname' (which must not exist), up, with 'mtu' (0: 1500).  It lives
 * as long as '*ret_fd' and its duplicates are open.  0 or -errno. */
int tap_open(const char *ifname, unsigned mtu, bool vnet_hdr, int *ret_fd,
             struct sc_err *err) SC_MUST_CHECK;

#endif
