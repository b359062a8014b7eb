/* join - how a machine becomes a node: plain HTTPS on the RPC port, a token
 * instead of a certificate.
 *
 * Private to daemons/controller.  Loop thread.
 * Source: docs/protocols/rpc.md, "Joining". */
#ifndef SC_CONTROLLER_JOIN_H
#define SC_CONTROLLER_JOIN_H

#include "controller/ctl.h"
#include "model/token.h"

/* rpc_http_fn: GET /join/ca, POST /join; all else is 404. */
void ctl_http(void *ctl, const char *method, const char *uri, const char *body,
              const char *remote_addr, int *status, cJSON **ret);

/* Fills a token's id, secret, role and time, without storing it. */
int ctl_token_make(struct ctl *ctl, struct token *t, char ret_text[TOKEN_TEXT],
                   struct sc_err *err) SC_MUST_CHECK;
/* Makes a token and stores it; 'ret_text' is to be shown once. */
int ctl_token_create(struct ctl *ctl, struct token *t,
                     char ret_text[TOKEN_TEXT],
                     struct sc_err *err) SC_MUST_CHECK;

#endif
