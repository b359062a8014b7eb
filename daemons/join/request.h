/* request - what is asked of sc-join: the user-data's 'supercloud' section and
 * the command line, checked.
 *
 * Pure, except that request_load reads the user-data file. */
#ifndef SC_JOIN_REQUEST_H
#define SC_JOIN_REQUEST_H

#include "common/tls.h"
#include "join/fail.h"

#include <stdbool.h>
#include <stdint.h>

struct join_request {
    bool init;        /* Set up a new controller; else join one. */
    char *controller; /* "HOST" or "HOST:PORT". */
    char *token;
    char *region, *provider, *name;      /* NULL: not given. */
    char *address;                       /* NULL: find it. */
    char *hypervisor;                    /* NULL: "auto". */
    char *datapath, *ovsdb, *metadata;   /* NULL: the default of config.h. */
    char *run_dir, *state_dir, *pki_dir; /* Never NULL after request_load. */
    char *config_out;
    uint64_t reserved_mib, timeout_ms;
};
void request_fini(struct join_request *r);

/* Reads the options of 'argv' and the file they name; the command line wins.
 * 0; 1: help was asked for and printed; -1 with 'f' filled. */
int request_load(struct join_request *r, int argc, char *argv[],
                 struct join_failure *f) SC_MUST_CHECK;
/* The user-data's text alone, {"supercloud": {...}} or the inner object. */
int request_parse(struct join_request *r, const char *text,
                  struct join_failure *f) SC_MUST_CHECK;
/* Whether all is there that is needed, and well formed. */
int request_check(const struct join_request *r,
                  struct join_failure *f) SC_MUST_CHECK;

/* The pin in "sct1.<id>.<secret>.<64 hex digits>"; false: no token. */
bool token_pin(const char *token, char ret[TLS_PIN_LEN + 1]);

#endif
