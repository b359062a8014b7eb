/* provider - what the files with the 'provider' commands share.  Blocks. */
#ifndef SC_CLI_PROVIDER_H
#define SC_CLI_PROVIDER_H

#include "cli/remote.h"

/* The account that the first argument names. */
int provider_get(struct cli *cli, const char *name, cJSON **ret,
                 struct sc_err *err);
/* Adds the KEY=VALUE (text) and KEY:=JSON values of a repeatable option to
 * 'into'; an empty value takes the key away. */
int provider_settings(const struct cli_args *a, const char *option, cJSON *into,
                      struct sc_err *err);
/* The secret settings in 'text', which is changed: a JSON object or lines
 * KEY=VALUE of the driver's secret fields; or, if it has (or requires) but one,
 * that field's value.  NULL: it is none of these, 'err' filled. */
cJSON *provider_secret_parse(const cJSON *driver, char *text,
                             struct sc_err *err);

#endif
