#include "controller/ops.h"

#include "common/log.h"
#include "controller/jobs.h"

#include <stdarg.h>
#include <stdio.h>

static const struct op ops[] = {
    { "overview", API_ROLE_VIEWER, op_overview },
    { "node.list", API_ROLE_VIEWER, op_node_list },
    { "node.show", API_ROLE_VIEWER, op_node_show },
    { "node.delete", API_ROLE_ADMIN, op_node_delete },
    { "node.user_data", API_ROLE_ADMIN, op_node_user_data },
    { "token.create", API_ROLE_ADMIN, op_token_create },
    { "token.list", API_ROLE_ADMIN, op_token_list },
    { "token.delete", API_ROLE_ADMIN, op_token_delete },
    { "image.list", API_ROLE_VIEWER, op_image_list },
    { "image.show", API_ROLE_VIEWER, op_image_show },
    { "image.create", API_ROLE_OPERATOR, op_image_create },
    { "image.upload_begin", API_ROLE_OPERATOR, op_image_upload_begin },
    { "image.upload_progress", API_ROLE_OPERATOR, op_image_upload_progress },
    { "image.upload", API_ROLE_OPERATOR, op_image_upload },
    { "image.upload_abort", API_ROLE_OPERATOR, op_image_upload_abort },
    { "image.delete", API_ROLE_OPERATOR, op_image_delete },
    { "network.list", API_ROLE_VIEWER, op_network_list },
    { "network.show", API_ROLE_VIEWER, op_network_show },
    { "network.create", API_ROLE_OPERATOR, op_network_create },
    { "network.delete", API_ROLE_OPERATOR, op_network_delete },
    { "vm.list", API_ROLE_VIEWER, op_vm_list },
    { "vm.show", API_ROLE_VIEWER, op_vm_show },
    { "vm.create", API_ROLE_OPERATOR, op_vm_create },
    { "vm.start", API_ROLE_OPERATOR, op_vm_start },
    { "vm.stop", API_ROLE_OPERATOR, op_vm_stop },
    { "vm.migrate", API_ROLE_OPERATOR, op_vm_migrate },
    { "vm.delete", API_ROLE_OPERATOR, op_vm_delete },
    { "vm.console_log", API_ROLE_VIEWER, op_vm_console_log },
    { "job.list", API_ROLE_VIEWER, op_job_list },
    { "job.show", API_ROLE_VIEWER, op_job_show },
    { "job.cancel", API_ROLE_OPERATOR, op_job_cancel },
    { "provider.drivers", API_ROLE_VIEWER, op_provider_drivers },
    { "provider.list", API_ROLE_VIEWER, op_provider_list },
    { "provider.show", API_ROLE_VIEWER, op_provider_show },
    { "provider.create", API_ROLE_ADMIN, op_provider_create },
    { "provider.update", API_ROLE_ADMIN, op_provider_update },
    { "provider.delete", API_ROLE_ADMIN, op_provider_delete },
    { "provider.regions", API_ROLE_VIEWER, op_provider_regions },
    { "provider.types", API_ROLE_VIEWER, op_provider_types },
    { "provider.prices", API_ROLE_VIEWER, op_provider_prices },
    { "provider.images", API_ROLE_VIEWER, op_provider_images },
    { "provider.image_create", API_ROLE_ADMIN, op_provider_image_create },
    { "provider.image_upload_begin", API_ROLE_ADMIN,
      op_provider_image_upload_begin },
    { "provider.image_upload_progress", API_ROLE_ADMIN,
      op_provider_image_upload_progress },
    { "provider.image_upload", API_ROLE_ADMIN, op_provider_image_upload },
    { "provider.image_upload_abort", API_ROLE_ADMIN,
      op_provider_image_upload_abort },
    { "provider.image_delete", API_ROLE_ADMIN, op_provider_image_delete },
    { "provider.instances", API_ROLE_VIEWER, op_provider_instances },
    { "provider.launch", API_ROLE_ADMIN, op_provider_launch },
    { "provider.terminate", API_ROLE_ADMIN, op_provider_terminate },
    { "provider.fence", API_ROLE_ADMIN, op_provider_fence },
    { "provider.console_log", API_ROLE_ADMIN, op_provider_console_log },
    { "provider.gc", API_ROLE_ADMIN, op_provider_gc },
    { "user.get", OP_INTERNAL, op_user_get },
    { "user.set", OP_INTERNAL, op_user_set },
    { "user.del", OP_INTERNAL, op_user_del },
    { "user.list", OP_INTERNAL, op_user_list },
    { "session.put", OP_INTERNAL, op_session_put },
    { "session.get", OP_INTERNAL, op_session_get },
    { "session.del", OP_INTERNAL, op_session_del },
    { "session.list", OP_INTERNAL, op_session_list },
};

void op_reply(const struct op_call *c, int status, cJSON *result)
{
    c->done(c->arg, status, result, NULL);
    cJSON_Delete(result);
}

void op_fail(const struct op_call *c, const struct sc_err *err)
{
    c->done(c->arg, 0, NULL, err);
}

void op_begin_job(const struct op_call *c, struct ctl_txn *x, struct job *job)
{
    struct sc_err err;
    if (ctl_txn_commit(x, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    cJSON *j = cJSON_CreateObject();
    cJSON_AddItemToObject(j, "job", job_to_json(job, false));
    op_reply(c, 202, j);
    job_go(c->ctl, job);
}

int op_failf(const struct op_call *c, int code, const char *fmt, ...)
{
    struct sc_err err = { .code = code };
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.text, sizeof err.text, fmt, ap);
    va_end(ap);
    op_fail(c, &err);
    return code;
}

static bool may(const struct op *op, const struct api_caller *who)
{
    if (op->role == OP_INTERNAL)
        return !who->user[0] && who->role >= API_ROLE_ADMIN;
    return who->role >= op->role;
}

void ctl_op(struct ctl *ctl, const char *name, const struct api_caller *who,
            const cJSON *params, api_done_fn *done, void *arg)
{
    struct op_call c = { ctl, who, params, done, arg };
    const struct op *op = NULL;
    for (size_t i = 0; i < SC_ARRAY_LEN(ops) && !op; i++) {
        if (!strcmp(ops[i].name, name))
            op = &ops[i];
    }
    if (!op)
        op_failf(&c, -ENOSYS, "operation '%.64s': does not exist", name);
    else if (!may(op, who))
        op_failf(&c, -EACCES, "%s: user '%.64s' may not do that", name,
                 who->user);
    else if (ctl->broken)
        op_failf(&c, -EIO, "%s: the store failed; the controller restarts",
                 name);
    else
        op->fn(&c);
}

bool op_flag(const cJSON *params, const char *key)
{
    const cJSON *j = cJSON_GetObjectItemCaseSensitive(params, key);
    return cJSON_IsTrue(j) ||
           (cJSON_IsString(j) &&
            (!strcmp(j->valuestring, "true") || !strcmp(j->valuestring, "1")));
}
