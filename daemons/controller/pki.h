/* pki - the controller's files in pki_dir: made if there are none.
 *
 * sc-join makes them for a machine that becomes the controller; a controller
 * started by hand makes the same.  Files that are there are never touched. */
#ifndef SC_CONTROLLER_PKI_H
#define SC_CONTROLLER_PKI_H

#include "common/config.h"

/* ca.crt ca.key, controller.crt .key, network.crt .key, and on a node node.crt
 * .key.  -EINVAL: an authority of which only a half is there. */
int pki_ensure(const struct sc_config *c, struct sc_err *err) SC_MUST_CHECK;

#endif
