/* sessions - serial consoles between the console's WebSocket and a node.
 *
 * Private to daemons/controller.  Loop thread.  See api/backend.h for who may
 * call what when. */
#ifndef SC_CONTROLLER_SESSIONS_H
#define SC_CONTROLLER_SESSIONS_H

#include "controller/ctl.h"

struct ctl_session;

/* As api_backend's console_*; 'vm' is an id or a name. */
int ctl_session_open(struct ctl *ctl, const char *vm, api_console_out_fn *out,
                     api_console_closed_fn *closed, void *arg,
                     struct ctl_session **ret,
                     struct sc_err *err) SC_MUST_CHECK;
void ctl_session_in(struct ctl *ctl, struct ctl_session *s, const void *data,
                    size_t size);
void ctl_session_close(struct ctl *ctl, struct ctl_session *s);
/* vm.console_out of node 'nid'. */
void ctl_session_out(struct ctl *ctl, uint16_t nid, const cJSON *params);
/* Ends the sessions at a node that went away, or of a VM that moved (they are
 * opened again by whoever looks at them). */
void ctl_sessions_close_node(struct ctl *ctl, uint16_t nid);
void ctl_sessions_close_vm(struct ctl *ctl, const char *vm_id, const char *why);
void ctl_session_free(struct ctl_session *s);

#endif
