/* worker - one call of a driver for another program, over pipes.
 *
 * The other side is sc-controller (docs/protocols/provider.md).  Reads one JSON
 * object from 'in' to its end, makes the call, writes JSON lines to 'out'.
 * Blocks.  SIGTERM and SIGINT, which the caller has blocked
 * (worker_block_signals), cancel the call; a closed 'out' ends the process at
 * once, as if killed: nobody is left who would hear how an undo went, and the
 * call goes on from its last 'save'. */
#ifndef SC_PROVIDER_WORKER_H
#define SC_PROVIDER_WORKER_H

#include "common/err.h"

#include <stdbool.h>
#include <stdio.h>

enum { WORKER_REQUEST_MAX = 16 << 20 }; /* bytes */

/* 0 if a result or an error was written, else 1. */
int worker_run(FILE *in, FILE *out);

/* SIGTERM and SIGINT then wait, and worker_cancelled sees one that does. */
void worker_block_signals(void);
bool worker_cancelled(void *unused);

#endif
