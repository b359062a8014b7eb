/* ops - the operations users ask for: one table of name, role, handler.
 *
 * Private to daemons/controller.  Names, params and results are those of
 * docs/protocols/api.md and console/api/backend.h.  A handler answers its call
 * exactly once, with op_reply or op_fail, now or (after copying the struct)
 * later. */
#ifndef SC_CONTROLLER_OPS_H
#define SC_CONTROLLER_OPS_H

#include "controller/ctl.h"

struct job;
struct op_call {
    struct ctl *ctl;
    const struct api_caller *who; /* Borrowed: not after the handler. */
    const cJSON *params;          /* The same. */
    api_done_fn *done;
    void *arg;
};
void op_reply(const struct op_call *c, int status, cJSON *result); /* Taken. */
void op_fail(const struct op_call *c, const struct sc_err *err);
int op_failf(const struct op_call *c, int code, const char *fmt, ...)
    SC_PRINTF(3, 4);
/* Commits 'x', in which 'job' was made; answers 202 {job} and begins it. */
void op_begin_job(const struct op_call *c, struct ctl_txn *x, struct job *job);

typedef void op_fn(struct op_call *c);
struct op {
    const char *name;
    unsigned role; /* enum api_role; OP_INTERNAL: the console itself only. */
    op_fn *fn;
};
enum { OP_INTERNAL = 100 };

/* ops_vm.c */
op_fn op_vm_list, op_vm_show, op_vm_create, op_vm_start, op_vm_stop,
    op_vm_migrate, op_vm_delete, op_vm_console_log;
/* ops_image.c */
op_fn op_image_list, op_image_show, op_image_create, op_image_upload_begin,
    op_image_upload_progress, op_image_upload, op_image_upload_abort,
    op_image_delete;
/* ops_network.c */
op_fn op_network_list, op_network_show, op_network_create, op_network_delete;
/* ops_node.c */
op_fn op_overview, op_node_list, op_node_show, op_node_delete,
    op_node_user_data, op_token_create, op_token_list, op_token_delete,
    op_job_list, op_job_show, op_job_cancel;
/* ops_provider.c, ops_provider_image.c, ops_provider_instance.c */
op_fn op_provider_drivers, op_provider_list, op_provider_show,
    op_provider_create, op_provider_update, op_provider_delete,
    op_provider_regions, op_provider_types, op_provider_prices;
op_fn op_provider_images, op_provider_image_create,
    op_provider_image_upload_begin, op_provider_image_upload_progress,
    op_provider_image_upload, op_provider_image_upload_abort,
    op_provider_image_delete;
op_fn op_provider_instances, op_provider_launch, op_provider_terminate,
    op_provider_fence, op_provider_console_log, op_provider_gc;
/* ops_user.c */
op_fn op_user_get, op_user_set, op_user_del, op_user_list, op_session_put,
    op_session_get, op_session_del, op_session_list;

/* The object that params' "id" names; NULL: the call was failed. */
struct vm *op_vm(struct op_call *c);
/* An unsigned optional number that may also come as text (from a query). */
bool op_flag(const cJSON *params, const char *key);

#endif
