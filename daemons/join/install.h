/* install - putting the result in place: all of it or nothing.
 *
 * Keys and certificates are written into a folder beside the final one, the
 * configuration into a file beside the final one.  install_commit renames the
 * folder, then the file; the file is what makes the machine a member, so a
 * crash before that leaves a machine that has not joined. */
#ifndef SC_JOIN_INSTALL_H
#define SC_JOIN_INSTALL_H

#include "common/json.h"
#include "join/request.h"

struct install {
    char *dir; /* Owned.  Where to write the PKI files; NULL: committed. */
    const struct join_request *request;
};
int install_begin(struct install *i, const struct join_request *r,
                  struct join_failure *f) SC_MUST_CHECK;
/* "<dir>/<name>", malloc'd; NULL: out of memory. */
char *install_path(const struct install *i, const char *name) SC_MUST_CHECK;
/* Checks 'config' as a daemon would, then puts all in place. */
int install_commit(struct install *i, const cJSON *config,
                   struct join_failure *f) SC_MUST_CHECK;
/* Removes what was not committed. */
void install_fini(struct install *i);

/* The configuration that all ways to join share; NULL: out of memory. */
cJSON *config_new(const struct join_request *r, const char *node_id,
                  uint16_t nid, bool controller_role, const char *name,
                  const char *region, const char *provider,
                  const char *controller_host, uint16_t controller_port,
                  const char *address, const char *hypervisor);
/* True if 'config_out' is there and whole; then its node's name and number. */
bool already_joined(const struct join_request *r, char ret_name[64],
                    uint16_t *ret_nid);

#endif
