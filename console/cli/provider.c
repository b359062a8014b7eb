/* provider - the commands about accounts at providers, what they offer, and
 * the instances there.  A secret comes from a file or standard input, never
 * from the command line, and is wiped when it was sent. */
#include "cli/provider.h"

#include "cli/table.h"
#include "common/json.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { SECRET_MAX = 64 << 10 }; /* bytes */

static const struct table_column driver_columns[] = {
    { "DRIVER", "name", NULL },
    { "ABOUT", "about", NULL },
    { "IMAGE", "image_format", NULL },
    { "USER-DATA", "user_data_max", "limit" },
    { 0 },
};
static const struct table_column field_columns[] = {
    { "SETTING", "name", NULL },
    { "REQUIRED", "required", NULL },
    { "SECRET", "secret", NULL },
    { "ABOUT", "about", NULL },
    { 0 },
};
static const struct table_column account_list_columns[] = {
    { "NAME", "name", NULL },
    { "DRIVER", "driver", NULL },
    { "STATE", "state", NULL },
    { "IDENTITY", "identity", NULL },
    { "CHECKED", "checked_at", "ago" },
    { "ERROR", "error", NULL },
    { 0 },
};
static const struct table_column account_columns[] = {
    { "id", "id", NULL },
    { "name", "name", NULL },
    { "driver", "driver", NULL },
    { "identity", "identity", NULL },
    { "has secret", "has_secret", NULL },
    { "state", "state", NULL },
    { "error", "error", NULL },
    { "created", "created_at", "at" },
    { "checked", "checked_at", "at" },
    { 0 },
};
static const struct table_column setting_columns[] = {
    { "SETTING", "name", NULL },
    { "VALUE", "value", NULL },
    { 0 },
};
static const struct table_column type_columns[] = {
    { "TYPE", "name", NULL },
    { "VCPUS", "vcpus", NULL },
    { "MEMORY", "memory_mib", "mib" },
    { "NESTED", "nested_virtualisation", NULL },
    { "XEN", "xen", NULL },
    { 0 },
};
static const struct table_column price_columns[] = {
    { "TYPE", "type", NULL },  { "REGION", "region", NULL },
    { "ZONE", "zone", NULL },  { "WHAT", "what", NULL },
    { "USD", "amount", NULL }, { "PER", "unit", NULL },
    { "SINCE", "at", "at" },   { 0 },
};
static const struct table_column instance_columns[] = {
    { "NAME", "name", NULL },          { "ID", "id", NULL },
    { "REGION", "region", NULL },      { "TYPE", "type", NULL },
    { "STATE", "state", NULL },        { "ADDRESS", "address", NULL },
    { "SPOT", "spot", NULL },          { "NODE", "node_name", NULL },
    { "CREATED", "created_at", "at" }, { 0 },
};
static const struct table_column resource_columns[] = {
    { "KIND", "kind", NULL },
    { "ID", "id", NULL },
    { "NAME", "name", NULL },
    { "REGION", "region", NULL },
    { "CREATED", "created_at", "at" },
    { "WHY", "why", NULL },
    { 0 },
};

int provider_get(struct cli *cli, const char *name, cJSON **ret,
                 struct sc_err *err)
{
    SC_AUTO(free) char *id = remote_escape(name);
    return remote_callf(cli, "GET", NULL, ret, err, "/providers/%s", id);
}

int provider_settings(const struct cli_args *a, const char *option, cJSON *into,
                      struct sc_err *err)
{
    const char *text;
    for (int n = 0; (text = cli_opt_nth(a, option, n)); n++) {
        const char *equals = strchr(text, '=');
        if (!equals || equals == text)
            return sc_fail(err, -EINVAL, "--%s: '%.40s' is not KEY=VALUE",
                           option, text);
        bool json = equals[-1] == ':' && equals - 1 > text;
        SC_AUTO(free)
        char *key = strndup(text, (size_t)(equals - text) - (json ? 1 : 0));
        cJSON *value =
            json ? cJSON_Parse(equals + 1) : cJSON_CreateString(equals + 1);
        if (!key || !value)
            return sc_fail(err, -EINVAL,
                           "--%s: the value of '%.40s' is not "
                           "JSON",
                           option, key ? key : "");
        cJSON_DeleteItemFromObjectCaseSensitive(into, key);
        if (equals[1])
            cJSON_AddItemToObject(into, key, value);
        else
            cJSON_Delete(value);
    }
    return 0;
}

/* --- drivers
 * ------------------------------------------------------------------ */

int cmd_provider_drivers(struct cli *cli, const struct cli_args *a)
{
    (void)a;
    struct sc_err err = { 0 };
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    if (remote_call(cli, "GET", "/provider-drivers", NULL, &answer, &err) < 0)
        return cli_fail(cli, &err);
    if (cli->format != CLI_TABLE)
        return print_list(cli, SC_TAKE(answer), "drivers", driver_columns);
    const cJSON *d;
    cJSON_ArrayForEach(d, table_at(answer, "drivers"))
    {
        const char *permissions =
            cJSON_GetStringValue(table_at(d, "permissions"));
        SC_AUTO(cjson_free) cJSON *one = cJSON_CreateArray();
        cJSON_AddItemReferenceToArray(one, (cJSON *)d);
        table_print(cli->out, driver_columns, one, 0);
        table_print(cli->out, field_columns, table_at(d, "fields"), 0);
        if (permissions && *permissions)
            fprintf(cli->out, "Permissions: %s\n", permissions);
        fputc('\n', cli->out);
    }
    return CLI_OK;
}

/* --- the secret
 * ---------------------------------------------------------------- */

static void wipe(cJSON *j)
{
    for (; j; j = j->next) {
        if (cJSON_IsString(j) && j->valuestring)
            explicit_bzero(j->valuestring, strlen(j->valuestring));
        wipe(j->child);
    }
}

static int read_secret(int fd, char **ret, struct sc_err *err)
{
    char *text = calloc(1, SECRET_MAX + 1);
    size_t size = 0;
    if (!text)
        return sc_fail(err, -ENOMEM, "out of memory");
    for (ssize_t n = 1; n > 0 && size <= SECRET_MAX; size += (size_t)n) {
        n = read(fd, text + size, SECRET_MAX + 1 - size);
        if (n < 0 && errno == EINTR)
            n = 0;
        if (n < 0 || size + (size_t)n > SECRET_MAX) {
            explicit_bzero(text, SECRET_MAX);
            free(text);
            return sc_fail(err, -EIO, "the secret: %s",
                           n < 0 ? strerror(errno) : "is too long");
        }
    }
    *ret = text;
    return 0;
}

/* Which of the driver's fields are secret: the n'th one (of those that are
 * required), or NULL. */
static const char *secret_field(const cJSON *driver, bool required, int n)
{
    const cJSON *f;
    cJSON_ArrayForEach(f, table_at(driver, "fields"))
    {
        if (cJSON_IsTrue(table_at(f, "secret")) &&
            (!required || cJSON_IsTrue(table_at(f, "required"))) && n-- == 0)
            return cJSON_GetStringValue(table_at(f, "name"));
    }
    return NULL;
}

static bool is_secret(const cJSON *driver, const char *key)
{
    const char *field;
    for (int n = 0; (field = secret_field(driver, false, n)); n++) {
        if (strcmp(field, key) == 0)
            return true;
    }
    return false;
}

/* Lines KEY=VALUE of the driver's secret fields; NULL: it is not that. */
static cJSON *secret_lines(const cJSON *driver, const char *text)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    SC_AUTO(free) char *copy = strdup(text);
    size_t size = copy ? strlen(copy) : 0;
    bool good = copy != NULL;
    char *rest = copy, *line;
    while (good && (line = strsep(&rest, "\r\n"))) {
        char *equals = strchr(line, '=');
        if (!*line || *line == '#')
            continue;
        if (equals)
            *equals = '\0';
        good = equals && is_secret(driver, line);
        if (good)
            cJSON_AddStringToObject(o, line, equals + 1);
    }
    if (copy)
        explicit_bzero(copy, size);
    if (good && o->child)
        return SC_TAKE(o);
    wipe(o);
    return NULL;
}

cJSON *provider_secret_parse(const cJSON *driver, char *text,
                             struct sc_err *err)
{
    cJSON *o = cJSON_Parse(text);
    bool ours = cJSON_IsObject(o) && o->child;
    for (const cJSON *v = ours ? o->child : NULL; v; v = v->next)
        ours = ours && is_secret(driver, v->string);
    if (ours)
        return o;
    wipe(o);
    cJSON_Delete(o);
    if ((o = secret_lines(driver, text)))
        return o;
    bool required = secret_field(driver, true, 0) != NULL;
    const char *only = secret_field(driver, required, 0);
    if (only && *text && !secret_field(driver, required, 1)) {
        size_t len = strlen(text);
        while (len && strchr("\r\n", text[len - 1]))
            text[--len] = '\0';
        o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, only, text);
        return o;
    }
    sc_fail(err, -EINVAL,
            "the secret is neither a JSON object nor lines KEY=VALUE of the "
            "driver's secret settings (see 'supercloud provider drivers')");
    return NULL;
}

static int take_secret(struct cli *cli, const struct cli_args *a,
                       const char *driver_name, cJSON *body, struct sc_err *err)
{
    const char *path = cli_opt(a, "secret-file");
    bool from_stdin = cli_opt(a, "secret-stdin") != NULL;
    if (!path && !from_stdin)
        return 0;
    if (path && from_stdin)
        return sc_fail(err, -EINVAL,
                       "--secret-file and --secret-stdin: give one of them");
    SC_AUTO(cjson_free) cJSON *drivers = NULL;
    int r = remote_call(cli, "GET", "/provider-drivers", NULL, &drivers, err);
    if (r < 0)
        return r;
    const cJSON *driver = NULL, *d;
    cJSON_ArrayForEach(d, table_at(drivers, "drivers"))
    {
        const char *name = cJSON_GetStringValue(table_at(d, "name"));
        if (name && strcmp(name, driver_name) == 0)
            driver = d;
    }
    if (!driver)
        return sc_fail(err, -ENOENT,
                       "driver '%s': there is none; see "
                       "'supercloud provider drivers'",
                       driver_name);
    SC_AUTO(close)
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
    struct stat st;
    if (fd < 0)
        return sc_fail(err, errno == ENOENT ? -ENOENT : -EIO, "%s: %s",
                       path ? path : "standard input", strerror(errno));
    if (path && fstat(fd, &st) == 0 && (st.st_mode & 077))
        fprintf(cli->log,
                "supercloud: %s can be read by others; "
                "chmod 600 it\n",
                path);
    char *text = NULL;
    r = read_secret(fd, &text, err);
    if (!text)
        return r;
    cJSON *secret = provider_secret_parse(driver, text, err);
    explicit_bzero(text, strlen(text));
    free(text);
    if (!secret)
        return -EINVAL;
    cJSON_AddItemToObject(body, "secret", secret);
    return 0;
}

/* Sends 'body' (taken, and wiped). */
static int send_secret(struct cli *cli, const char *method, const char *path,
                       cJSON *body, cJSON **ret, struct sc_err *err)
{
    int r =
        remote_call(cli, method, path, cJSON_Duplicate(body, true), ret, err);
    wipe(body);
    return r;
}

int cmd_provider_add(struct cli *cli, const struct cli_args *a)
{
    struct sc_err err = { 0 };
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    cJSON *answer = NULL;
    cJSON_AddStringToObject(body, "name", a->pos[0]);
    cJSON_AddStringToObject(body, "driver", a->pos[1]);
    cJSON *config = cJSON_AddObjectToObject(body, "config");
    if (cli_opt(a, "no-check"))
        cJSON_AddFalseToObject(body, "check");
    if (provider_settings(a, "set", config, &err) < 0 ||
        take_secret(cli, a, a->pos[1], body, &err) < 0 ||
        send_secret(cli, "POST", "/providers", body, &answer, &err) < 0)
        return cli_fail(cli, &err);
    return print_object(cli, answer, account_columns);
}

int cmd_provider_update(struct cli *cli, const struct cli_args *a)
{
    struct sc_err err = { 0 };
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    SC_AUTO(free) char *path = NULL;
    SC_AUTO(cjson_free) cJSON *old = NULL;
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    cJSON *answer = NULL;
    if (provider_get(cli, a->pos[0], &old, &err) < 0)
        return cli_fail(cli, &err);
    cJSON *config = cJSON_Duplicate(table_at(old, "config"), true);
    cJSON_AddItemToObject(body, "config",
                          config ? config : cJSON_CreateObject());
    const char *driver = cJSON_GetStringValue(table_at(old, "driver"));
    if (asprintf(&path, "/providers/%s", id) < 0) {
        path = NULL;
        sc_fail(&err, -ENOMEM, "out of memory");
        return cli_fail(cli, &err);
    }
    if (provider_settings(a, "set", config, &err) < 0 ||
        take_secret(cli, a, driver ? driver : "", body, &err) < 0 ||
        send_secret(cli, "PUT", path, body, &answer, &err) < 0)
        return cli_fail(cli, &err);
    return print_object(cli, answer, account_columns);
}

/* --- reading
 * ------------------------------------------------------------------- */

static int list_instances(struct cli *cli, const char *name, const char *region)
{
    SC_AUTO(free) char *id = remote_escape(name);
    SC_AUTO(free) char *at = remote_escape(region ? region : "");
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (remote_callf(cli, "GET", NULL, &answer, &err,
                     "/providers/%s/instances%s%s", id,
                     region ? "?region=" : "", at) < 0)
        return cli_fail(cli, &err);
    return print_list(cli, answer, "instances", instance_columns);
}

int cmd_provider_list(struct cli *cli, const struct cli_args *a)
{
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (a->n_pos)
        return list_instances(cli, a->pos[0], NULL);
    if (remote_call(cli, "GET", "/providers", NULL, &answer, &err) < 0)
        return cli_fail(cli, &err);
    return print_list(cli, answer, "providers", account_list_columns);
}

int cmd_provider_instances(struct cli *cli, const struct cli_args *a)
{
    return list_instances(cli, a->pos[0], cli_opt(a, "region"));
}

int cmd_provider_show(struct cli *cli, const struct cli_args *a)
{
    struct sc_err err = { 0 };
    SC_AUTO(cjson_free) cJSON *o = NULL;
    if (provider_get(cli, a->pos[0], &o, &err) < 0)
        return cli_fail(cli, &err);
    if (cli->format != CLI_TABLE)
        return print_object(cli, SC_TAKE(o), account_columns);
    table_print_one(cli->out, account_columns, o, 0);
    SC_AUTO(cjson_free) cJSON *rows = cJSON_CreateArray();
    const cJSON *v;
    cJSON_ArrayForEach(v, table_at(o, "config"))
    {
        cJSON *row = cJSON_CreateObject();
        SC_AUTO(free) char *text = cJSON_PrintUnformatted(v);
        cJSON_AddStringToObject(row, "name", v->string);
        cJSON_AddStringToObject(row, "value",
                                cJSON_IsString(v) ? v->valuestring
                                : text            ? text
                                                  : "");
        cJSON_AddItemToArray(rows, row);
    }
    if (rows->child) {
        fputc('\n', cli->out);
        table_print(cli->out, setting_columns, rows, 0);
    }
    return CLI_OK;
}

int cmd_provider_regions(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    struct sc_err err = { 0 };
    if (remote_callf(cli, "GET", NULL, &answer, &err, "/providers/%s/regions",
                     id) < 0)
        return cli_fail(cli, &err);
    if (cli->format == CLI_JSON)
        return print_object(cli, SC_TAKE(answer), NULL);
    const cJSON *r;
    cJSON_ArrayForEach(r, table_at(answer, "regions"))
        fprintf(cli->out, "%s\n", cJSON_IsString(r) ? r->valuestring : "?");
    return CLI_OK;
}

/* "GET /providers/ID/WHAT?region=…&type=…". */
static int offer(struct cli *cli, const struct cli_args *a, const char *what,
                 const char *type, const struct table_column *columns)
{
    const char *region = cli_opt(a, "region");
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    SC_AUTO(free) char *at = remote_escape(region ? region : "");
    SC_AUTO(free) char *of = remote_escape(type ? type : "");
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (remote_callf(cli, "GET", NULL, &answer, &err,
                     "/providers/%s/%s?%s%s%s%s", id, what,
                     region ? "region=" : "", at, type ? "&type=" : "", of) < 0)
        return cli_fail(cli, &err);
    return print_list(cli, answer, what, columns);
}

int cmd_provider_types(struct cli *cli, const struct cli_args *a)
{
    return offer(cli, a, "types", NULL, type_columns);
}

int cmd_provider_prices(struct cli *cli, const struct cli_args *a)
{
    return offer(cli, a, "prices", cli_opt(a, "type"), price_columns);
}

/* --- ending
 * -------------------------------------------------------------------- */

int cmd_provider_remove(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    struct sc_err err = { 0 };
    if (remote_callf(cli, "DELETE", NULL, &answer, &err, "/providers/%s%s", id,
                     cli_opt(a, "force") ? "?force=true" : "") < 0)
        return cli_fail(cli, &err);
    return CLI_OK;
}

int cmd_provider_terminate(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    SC_AUTO(free) char *instance = remote_escape(a->pos[1]);
    const char *region = cli_opt(a, "region");
    SC_AUTO(free) char *at = remote_escape(region ? region : "");
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (remote_callf(cli, "DELETE", NULL, &answer, &err,
                     "/providers/%s/instances/%s?force=%s%s%s", id, instance,
                     cli_opt(a, "force") ? "true" : "false",
                     region ? "&region=" : "", at) < 0)
        return cli_fail(cli, &err);
    return finish_job(cli, answer, cli_opt(a, "wait") != NULL, NULL);
}

int cmd_provider_fence(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    SC_AUTO(free) char *instance = remote_escape(a->pos[1]);
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (remote_callf(cli, "POST", cJSON_CreateObject(), &answer, &err,
                     "/providers/%s/instances/%s/fence", id, instance) < 0)
        return cli_fail(cli, &err);
    return finish_job(cli, answer, cli_opt(a, "wait") != NULL, NULL);
}

int cmd_provider_console(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    SC_AUTO(free) char *instance = remote_escape(a->pos[1]);
    const char *region = cli_opt(a, "region");
    SC_AUTO(free) char *at = remote_escape(region ? region : "");
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (remote_callf(cli, "GET", NULL, &answer, &err,
                     "/providers/%s/instances/%s/console-log%s%s", id, instance,
                     region ? "?region=" : "", at) < 0)
        return cli_fail(cli, &err);
    return print_log(cli, answer);
}

int cmd_provider_gc(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    bool remove_them = cli_opt(a, "remove") != NULL;
    struct sc_err err = { 0 };
    cJSON *answer = NULL, *body = cJSON_CreateObject();
    cJSON_AddBoolToObject(body, "dry_run", !remove_them);
    if (remote_callf(cli, "POST", body, &answer, &err, "/providers/%s/gc", id) <
        0)
        return cli_fail(cli, &err);
    if (remove_them)
        return finish_job(cli, answer, cli_opt(a, "wait") != NULL, NULL);
    return print_list(cli, answer, "resources", resource_columns);
}
