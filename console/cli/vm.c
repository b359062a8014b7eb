/* vm - the commands about VMs. */
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "common/json.h"

#include <string.h>

static const struct table_column vm_list_columns[] = {
    { "NAME", "name", NULL },
    { "STATE", "state", NULL },
    { "NODE", "node_name", NULL },
    { "REGION", "region", NULL },
    { "ADDRESS", "ports.0.ip", NULL },
    { "NETWORK", "ports.0.network_name", NULL },
    { "MEMORY", "memory_mib", "mib" },
    { "VCPUS", "vcpus", NULL },
    { "IMAGE", "image_name", NULL },
    { 0 },
};
static const struct table_column vm_columns[] = {
    { "id", "id", NULL },
    { "name", "name", NULL },
    { "state", "state", NULL },
    { "node", "node_name", NULL },
    { "region", "region", NULL },
    { "address", "ports.0.ip", NULL },
    { "mac", "ports.0.mac", NULL },
    { "network", "ports.0.network_name", NULL },
    { "memory", "memory_mib", "mib" },
    { "vcpus", "vcpus", NULL },
    { "image", "image_name", NULL },
    { "disk", "volumes.0.size", "bytes" },
    { "epoch", "epoch", NULL },
    { "created", "created_at", "at" },
    { "job", "job", NULL },
    { "error", "error", NULL },
    { 0 },
};

int cmd_vm_list(struct cli *cli, const struct cli_args *a)
{
    (void)a;
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (remote_call(cli, "GET", "/vms", NULL, &answer, &err) < 0)
        return cli_fail(cli, &err);
    return print_list(cli, answer, "vms", vm_list_columns);
}

int cmd_vm_show(struct cli *cli, const struct cli_args *a)
{
    return show_object(cli, "vms", a->pos[0], vm_columns);
}

static void add_opt(cJSON *body, const struct cli_args *a, const char *option)
{
    if (cli_opt(a, option))
        cJSON_AddStringToObject(body, option, cli_opt(a, option));
}

int cmd_vm_create(struct cli *cli, const struct cli_args *a)
{
    struct sc_err err = { 0 };
    int64_t memory, vcpus, disk;
    cJSON *answer = NULL;
    if (cli_opt_int(a, "memory", 1, 1 << 24, 128, &memory, &err) < 0 ||
        cli_opt_int(a, "vcpus", 1, 1024, 1, &vcpus, &err) < 0 ||
        cli_opt_int(a, "disk", 1, 1 << 20, 0, &disk, &err) < 0)
        return cli_fail(cli, &err);
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "name", a->pos[0]);
    add_opt(body, a, "image");
    add_opt(body, a, "network");
    add_opt(body, a, "region");
    add_opt(body, a, "node");
    add_opt(body, a, "cmdline");
    json_set_u64(body, "memory_mib", (uint64_t)memory);
    json_set_u64(body, "vcpus", (uint64_t)vcpus);
    if (disk)
        json_set_u64(body, "disk_gib", (uint64_t)disk);
    if (remote_call(cli, "POST", "/vms", body, &answer, &err) < 0)
        return cli_fail(cli, &err);
    return finish_job(cli, answer, cli_opt(a, "wait") != NULL, vm_columns);
}

/* POST (or DELETE, if 'verb' is NULL) on a VM, and its job. */
static int act(struct cli *cli, const struct cli_args *a, const char *verb,
               cJSON *body)
{
    struct sc_err err = { 0 };
    SC_AUTO(free) char *vm = remote_escape(a->pos[0]);
    cJSON *answer = NULL;
    int r = verb ? remote_callf(cli, "POST", body, &answer, &err, "/vms/%s/%s",
                                vm, verb)
                 : remote_callf(cli, "DELETE", NULL, &answer, &err, "/vms/%s%s",
                                vm, cli_opt(a, "force") ? "?force=true" : "");
    if (r < 0)
        return cli_fail(cli, &err);
    return finish_job(cli, answer, cli_opt(a, "wait") != NULL, vm_columns);
}

int cmd_vm_start(struct cli *cli, const struct cli_args *a)
{
    return act(cli, a, "start", NULL);
}

int cmd_vm_stop(struct cli *cli, const struct cli_args *a)
{
    cJSON *body = cJSON_CreateObject();
    if (cli_opt(a, "force"))
        cJSON_AddTrueToObject(body, "force");
    return act(cli, a, "stop", body);
}

int cmd_vm_migrate(struct cli *cli, const struct cli_args *a)
{
    if ((a->n_pos > 1) == (cli_opt(a, "region") != NULL)) {
        struct sc_err err;
        sc_fail(&err, -EINVAL, "vm migrate: give NODE or --region REGION");
        return cli_fail(cli, &err);
    }
    cJSON *body = cJSON_CreateObject();
    if (a->n_pos > 1)
        cJSON_AddStringToObject(body, "node", a->pos[1]);
    add_opt(body, a, "region");
    return act(cli, a, "migrate", body);
}

int cmd_vm_delete(struct cli *cli, const struct cli_args *a)
{
    return act(cli, a, NULL, NULL);
}

int cmd_vm_console_log(struct cli *cli, const struct cli_args *a)
{
    struct sc_err err = { 0 };
    int64_t bytes;
    SC_AUTO(free) char *vm = remote_escape(a->pos[0]);
    cJSON *answer = NULL;
    if (cli_opt_int(a, "bytes", 1, 1 << 24, 65536, &bytes, &err) < 0 ||
        remote_callf(cli, "GET", NULL, &answer, &err,
                     "/vms/%s/console-log?bytes=%lld", vm,
                     (long long)bytes) < 0)
        return cli_fail(cli, &err);
    return print_log(cli, answer);
}

int cmd_vm_console(struct cli *cli, const struct cli_args *a)
{
    struct sc_err err = { 0 };
    struct remote *remote;
    SC_AUTO(free) char *vm = remote_escape(a->pos[0]);
    SC_AUTO(free) char *path = NULL;
    if (remote_get(cli, &remote, &err) < 0)
        return cli_fail(cli, &err);
    if (!vm || asprintf(&path, "/api/v1/vms/%s/console", vm) < 0) {
        path = NULL;
        return CLI_FAILED;
    }
    if (isatty(0) == 1)
        fprintf(cli->log, "Serial console of %s; Ctrl-] leaves it.\r\n",
                a->pos[0]);
    char why[160] = "";
    int r =
        terminal_run(remote->http, remote->profile.url, remote->profile.token,
                     path, 0, 1, why, sizeof why, &err);
    if (r < 0)
        return cli_fail(cli, &err);
    if (why[0])
        fprintf(cli->log, "\r\nsupercloud: %s\n", why);
    else if (isatty(0) == 1)
        fputc('\n', cli->log);
    return CLI_OK;
}
