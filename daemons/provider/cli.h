/* cli - the same calls for people: sc-provider DRIVER CONFIG.json CALL
 * [--name VALUE ...].
 *
 * The options of a call are its arguments (calls.h); besides them
 * --cluster and --token, the tags, and --state FILE, where an interrupted
 * publish or launch keeps what it needs to go on when it is given again.  A
 * configuration with secrets must be for its owner's eyes alone (0600). */
#ifndef SC_PROVIDER_CLI_H
#define SC_PROVIDER_CLI_H

#include "common/err.h"

/* 'argv' begins with DRIVER.  Prints the result as JSON on standard output,
 * progress on standard error.  0, -errno with 'err' filled; 'err' empty: the
 * usage is wrong. */
int cli_run(int argc, char **argv, struct sc_err *err) SC_MUST_CHECK;
/* What there is to call, with its options. */
void cli_usage(FILE *to);

#endif
