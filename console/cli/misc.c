/* misc - daemon, version, completion, help. */
#include "cli/remote.h"
#include "cli/table.h"
#include "common/json.h"
#include "common/rpc_sync.h"

#include <string.h>

enum { DAEMON_TIMEOUT_MS = 10000 };

/* "node" and "sc-node" are the same daemon. */
static char *socket_of(const char *run_dir, const char *name)
{
    char *path = NULL;
    const char *prefix = strncmp(name, "sc-", 3) == 0 ? "" : "sc-";
    return asprintf(&path, "%s/%s%s.sock", run_dir, prefix, name) < 0 ? NULL
                                                                      : path;
}

int cmd_daemon(struct cli *cli, const struct cli_args *a)
{
    struct sc_err err = { 0 };
    const char *action = a->pos[1], *method = NULL;
    cJSON *params = NULL;
    if (strcmp(action, "status") == 0 && a->n_pos == 2) {
        method = "daemon.status";
    } else if (strcmp(action, "dump") == 0 && a->n_pos == 2) {
        method = "daemon.dump";
    } else if (strcmp(action, "log-level") == 0 && a->n_pos == 3) {
        method = "daemon.log_level";
        params = cJSON_CreateObject();
        cJSON_AddStringToObject(params, "level", a->pos[2]);
    } else {
        sc_fail(&err, -EINVAL,
                "daemon: the action is status, dump, or log-level LEVEL");
        return cli_fail(cli, &err);
    }
    if (strchr(a->pos[0], '/')) {
        cJSON_Delete(params);
        sc_fail(&err, -EINVAL, "daemon: '%s' is not a daemon's name",
                a->pos[0]);
        return cli_fail(cli, &err);
    }
    const char *dir = cli_opt(a, "run-dir");
    SC_AUTO(free)
    char *path = socket_of(dir ? dir : "/run/supercloud", a->pos[0]);
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    int r = path ? rpc_unix_call(path, method, params, DAEMON_TIMEOUT_MS,
                                 &answer, &err)
                 : -ENOMEM;
    if (r == -ENOENT || r == -ECONNREFUSED) {
        fprintf(cli->log,
                "supercloud: no daemon '%s' runs on this machine (nothing "
                "listens at %s); there are sc-controller, sc-network, sc-node "
                "and sc-storage\n",
                a->pos[0], path);
        return CLI_UNREACHABLE;
    }
    if (r < 0)
        return cli_fail(cli, &err);
    SC_AUTO(free) char *text = cJSON_Print(answer);
    if (strcmp(action, "log-level") != 0 || cli->format == CLI_JSON)
        fprintf(cli->out, "%s\n", text ? text : "{}");
    return CLI_OK;
}

int cmd_version(struct cli *cli, const struct cli_args *a)
{
    (void)a;
    static const struct table_column columns[] = {
        { "program", "program", NULL },
        { "controller", "controller", NULL },
        { 0 },
    };
    struct sc_err err = { 0 };
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "program", SC_VERSION);
    int r = remote_call(cli, "GET", "/version", NULL, &answer, &err);
    const char *v = cJSON_GetStringValue(table_at(answer, "version"));
    if (r == 0 && v)
        cJSON_AddStringToObject(o, "controller", v);
    else
        cJSON_AddNullToObject(o, "controller");
    print_object(cli, o, columns);
    if (r < 0 && r != -EPERM) /* Not logged in anywhere is no failure. */
        return cli_fail(cli, &err);
    return CLI_OK;
}

int cmd_completion(struct cli *cli, const struct cli_args *a)
{
    if (cli_completion(cli->out, a->pos[0]) == 0)
        return CLI_OK;
    struct sc_err err;
    sc_fail(&err, -EINVAL, "completion: '%s' is not bash, zsh or fish",
            a->pos[0]);
    return cli_fail(cli, &err);
}

int cmd_help(struct cli *cli, const struct cli_args *a)
{
    if (cli_opt(a, "man")) {
        cli_man(cli->out);
        return CLI_OK;
    }
    if (a->n_pos == 0) {
        cli_help(cli->out, NULL);
        return CLI_OK;
    }
    char name[128];
    snprintf(name, sizeof name, "%s%s%s", a->pos[0], a->n_pos > 1 ? " " : "",
             a->n_pos > 1 ? a->pos[1] : "");
    size_t len = strlen(name);
    for (size_t i = 0; i < cli_n_commands; i++) {
        if (strcmp(cli_commands[i].name, name) == 0) {
            cli_help(cli->out, &cli_commands[i]);
            return CLI_OK;
        }
    }
    for (size_t i = 0; i < cli_n_commands; i++) {
        if (strncmp(cli_commands[i].name, name, len) == 0 &&
            cli_commands[i].name[len] == ' ') {
            cli_help_group(cli->out, name);
            return CLI_OK;
        }
    }
    struct sc_err err;
    sc_fail(&err, -EINVAL, "help: unknown command '%s'", name);
    return cli_fail(cli, &err);
}
