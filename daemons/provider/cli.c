/* cli - see cli.h. */
#include "provider/cli.h"

#include "common/json.h"
#include "common/tls.h"
#include "provider/calls.h"
#include "provider/provider-class.h"
#include "provider/run.h"
#include "provider/worker.h"

#include <ctype.h>
#include <sys/stat.h>

struct cli {
    const char *state_file; /* NULL: none. */
    char token[SC_UUID_LEN + 1];
    const char *cluster;
    cJSON *args, *resume;
    bool tty;
};

static void on_progress(void *arg, const char *stage, uint64_t done,
                        uint64_t total)
{
    const struct cli *c = arg;
    if (!c->tty)
        return;
    if (total)
        fprintf(stderr, "\r\033[K%s: %.1f %%", stage,
                100.0 * (double)done / (double)total);
    else
        fprintf(stderr, "\r\033[K%s", stage);
}

/* {"token": ..., "resume": ...}: the token too, or a second run would not be
 * the same call. */
static void on_save(void *arg, const cJSON *state)
{
    const struct cli *c = arg;
    if (!c->state_file)
        return;
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "token", c->token);
    cJSON_AddItemToObject(o, "resume", cJSON_Duplicate(state, true));
    SC_AUTO(free) char *text = cJSON_Print(o);
    struct sc_err err = { 0 };
    if (text && tls_write_file(c->state_file, text, 0600, &err) < 0)
        fprintf(stderr, "sc-provider: %s\n", err.text);
}

static int load_state(struct cli *c, struct sc_err *err)
{
    SC_AUTO(free) char *text = NULL;
    int r = run_read_file(c->state_file, &text);
    if (r == -ENOENT)
        return 0;
    SC_AUTO(cjson_free) cJSON *o = text ? cJSON_Parse(text) : NULL;
    struct json_reader in = json_read(o, c->state_file);
    snprintf(c->token, sizeof c->token, "%s", json_str(&in, "token", 1, 36));
    c->resume = cJSON_Duplicate(json_obj(&in, "resume"), true);
    return json_done(&in, err);
}

static int load_config(const char *driver, const char *path, cJSON **ret,
                       struct sc_err *err)
{
    SC_AUTO(free) char *text = NULL;
    struct stat st;
    const struct provider_class *class = provider_class_find(driver);
    const struct provider_field *f = class ? class->fields : NULL;
    while (f && f->name && !f->secret)
        f++;
    int r = run_read_file(path, &text);
    if (r < 0 || stat(path, &st) < 0)
        return sc_fail(err, r < 0 ? r : -errno, "%s: %s", path,
                       strerror(r < 0 ? -r : errno));
    if (f && f->name && (st.st_mode & 077))
        return sc_fail(err, -EACCES,
                       "%s: it holds a secret, and others may read it: "
                       "chmod 600 %s",
                       path, path);
    return (*ret = cJSON_Parse(text))
               ? 0
               : sc_fail(err, -EINVAL, "%s: cannot be read as JSON", path);
}

static int add_option(struct cli *c, const struct call_arg *a,
                      const char *value, struct sc_err *err)
{
    SC_AUTO(free) char *text = NULL;
    char *end = NULL;
    cJSON *v = NULL;
    switch (a->kind) {
    case CALL_TEXT:
        v = cJSON_CreateString(value);
        break;
    case CALL_FILE:
        if (run_read_file(value, &text) < 0)
            return sc_fail(err, -ENOENT, "%s: cannot read '%s'", a->name,
                           value);
        v = cJSON_CreateString(text);
        break;
    case CALL_NUMBER: {
        double number = strtod(value, &end);
        if (end == value || *end)
            return sc_fail(err, -EINVAL, "%s: '%s' is not a number", a->name,
                           value);
        v = cJSON_CreateNumber(number);
        break;
    }
    case CALL_FLAG:
        v = cJSON_CreateTrue();
        break;
    case CALL_JSON:
        if (!(v = cJSON_Parse(value)))
            return sc_fail(err, -EINVAL, "%s: '%s' is not JSON", a->name,
                           value);
        break;
    }
    cJSON_DeleteItemFromObject(c->args, a->name);
    return cJSON_AddItemToObject(c->args, a->name, v) ? 0 : -ENOMEM;
}

static const struct call_arg *find_arg(const struct call *call,
                                       const char *option)
{
    for (const struct call_arg *a = call->args; a->name; a++) {
        size_t i = 0;
        while (option[i] && (option[i] == a->name[i] ||
                             (option[i] == '-' && a->name[i] == '_')))
            i++;
        if (!option[i] && !a->name[i])
            return a;
    }
    return NULL;
}

static int read_options(struct cli *c, const struct call *call, int argc,
                        char **argv, struct sc_err *err)
{
    for (int i = 0; i < argc; i++) {
        const char *name = argv[i];
        if (strncmp(name, "--", 2) != 0)
            return sc_fail(err, -EINVAL, "%s: '%s' is not an option",
                           call->name, name);
        const struct call_arg *a = find_arg(call, name + 2);
        bool flag = a && a->kind == CALL_FLAG;
        const char *value = flag ? "" : i + 1 < argc ? argv[++i] : NULL;
        if (!value)
            return sc_fail(err, -EINVAL, "%s: %s has no value", call->name,
                           name);
        int r = 0;
        if (a)
            r = add_option(c, a, value, err);
        else if (!strcmp(name, "--cluster"))
            c->cluster = value;
        else if (!strcmp(name, "--token"))
            snprintf(c->token, sizeof c->token, "%s", value);
        else if (!strcmp(name, "--state"))
            c->state_file = value;
        else
            return sc_fail(err, -EINVAL, "%s: there is no option %s",
                           call->name, name);
        if (r < 0)
            return r;
    }
    return c->state_file ? load_state(c, err) : 0;
}

static int run_call(struct cli *c, const struct call *call, char **argv,
                    struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *config = NULL;
    SC_AUTO(cjson_free) cJSON *result = NULL;
    SC_AUTO(provider_close) struct provider *p = NULL;
    struct provider_hooks hooks = { on_progress, on_save, worker_cancelled, c };
    struct provider_tags tags = { c->cluster, c->token };
    int r = load_config(argv[0], argv[1], &config, err);
    if (r == 0)
        r = provider_open(argv[0], config, &hooks, &p, err);
    if (r == 0)
        r = call_run(call, p, c->args, &tags, c->resume, &result, err);
    if (c->tty)
        fprintf(stderr, "\r\033[K");
    if (r < 0)
        return r;
    SC_AUTO(free) char *text = cJSON_Print(result);
    puts(text ? text : "");
    if (c->state_file)
        unlink(c->state_file);
    return 0;
}

int cli_run(int argc, char **argv, struct sc_err *err)
{
    if (argc < 3)
        return -EINVAL;
    const struct call *call = call_find(argv[2]);
    if (!call)
        return -EINVAL;
    worker_block_signals();
    struct cli c = { .cluster = "by-hand",
                     .args = cJSON_CreateObject(),
                     .tty = isatty(STDERR_FILENO) };
    sc_uuid_new(c.token);
    int r = read_options(&c, call, argc - 3, argv + 3, err);
    if (r == 0)
        r = run_call(&c, call, argv, err);
    cJSON_Delete(c.args);
    cJSON_Delete(c.resume);
    return r;
}

void cli_usage(FILE *to)
{
    static const char *const values[] = { [CALL_TEXT] = " TEXT",
                                          [CALL_NUMBER] = " N",
                                          [CALL_FLAG] = "",
                                          [CALL_JSON] = " JSON",
                                          [CALL_FILE] = " FILE" };
    const struct call *c;
    fprintf(to, "usage: sc-provider DRIVER CONFIG.json CALL [OPTIONS]\n"
                "       sc-provider drivers | worker\n"
                "CALL is one of:\n");
    for (size_t i = 0; (c = call_at(i)); i++) {
        fprintf(to, "  %s", c->name);
        for (const struct call_arg *a = c->args; a->name; a++) {
            fprintf(to, a->required ? " --" : " [--");
            for (const char *n = a->name; *n; n++)
                fputc(*n == '_' ? '-' : *n, to);
            fprintf(to, a->required ? "%s" : "%s]", values[a->kind]);
        }
        fputc('\n', to);
    }
    fprintf(to, "With each: [--cluster ID] [--token ID] [--state FILE]\n");
}
