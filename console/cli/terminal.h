/* terminal - the serial console on this terminal: a WebSocket client over
 * https_client's connection (HTTP upgrade here, frames by wslay).
 *
 * Source: RFC 6455. */
#ifndef SC_CLI_TERMINAL_H
#define SC_CLI_TERMINAL_H

#include "common/err.h"

#include <stddef.h>

struct https_client;
/* Connects to 'path', copies 'in' (raw if it is a terminal) to it and its
 * output to 'out', until Ctrl-] is typed, 'in' ends and the peer falls silent
 * for a second, or the peer closes ('ret_why' says why then).  0 or -errno;
 * the server's own errors before the upgrade keep their code. */
int terminal_run(struct https_client *c, const char *url, const char *token,
                 const char *path, int in, int out, char *ret_why,
                 size_t why_size, struct sc_err *err);

#endif
