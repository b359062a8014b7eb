/* users - the first user, and a password from the command line.
 *
 * Private to daemons/controller; record as in api/backend.h. */
#ifndef SC_CONTROLLER_USERS_H
#define SC_CONTROLLER_USERS_H

#include "common/config.h"
#include "common/store.h"

/* Opens <state_dir>/controller. */
int users_open_store(const struct sc_config *c, struct store **ret,
                     struct sc_err *err) SC_MUST_CHECK;
/* If there is no user: makes "admin" with a random password, and writes that to
 * <state_dir>/controller/initial-password (mode 0600). */
int users_first(struct store *store, const struct sc_config *c,
                struct sc_err *err) SC_MUST_CHECK;
/* Sets the password of 'user' (made as an admin if it is new) to the first
 * line of standard input, and ends the user's sessions. */
int users_set_password(const struct sc_config *c, const char *user,
                       struct sc_err *err) SC_MUST_CHECK;

#endif
