/* profile - which controller one is logged in to, and by what token: the file
 * $XDG_CONFIG_HOME/supercloud/config.json (~/.config/...), mode 0600.
 *
 * SUPERCLOUD_URL, SUPERCLOUD_TOKEN and SUPERCLOUD_CA (a PEM file) go before the
 * file's values; a URL from the environment never gets the file's token. */
#ifndef SC_CLI_PROFILE_H
#define SC_CLI_PROFILE_H

#include "common/err.h"

struct profile {
    char *url;   /* "https://host:8443"; NULL: not logged in. */
    char *token; /* NULL: none. */
    char *user;  /* NULL: unknown. */
    char *ca;    /* PEM; NULL: the system's authorities. */
};
/* No file is no error.  -EACCES: others can read the file; -EINVAL: it is
 * damaged.  'url': --url or NULL. */
int profile_load(const char *url, struct profile *ret, struct sc_err *err);
int profile_save(const struct profile *p, struct sc_err *err);
int profile_forget(struct sc_err *err); /* No file is no error. */
void profile_clear(struct profile *p);
static inline void profile_clear_p(struct profile *p)
{
    profile_clear(p);
}

#endif
