/* remote - see remote.h. */
#include "cli/remote.h"

#include "cli/table.h"
#include "common/json.h"
#include "common/loop.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

enum { TIMEOUT_MS = 90000 };

int remote_get(struct cli *cli, struct remote **ret, struct sc_err *err)
{
    if (cli->remote) {
        *ret = cli->remote;
        return 0;
    }
    SC_AUTO(remote_free) struct remote *r = calloc(1, sizeof *r);
    if (!r)
        return sc_fail(err, -ENOMEM, "out of memory");
    int e = profile_load(cli->url, &r->profile, err);
    if (e < 0)
        return e;
    if (!r->profile.url)
        return sc_fail(err, -EPERM, "not logged in: supercloud login URL");
    struct https_client_options o = { .base_url = r->profile.url,
                                      .ca_pem = r->profile.ca,
                                      .bearer = r->profile.token };
    e = https_client_new(&o, &r->http, err);
    if (e < 0)
        return e;
    *ret = cli->remote = SC_TAKE(r);
    return 0;
}

void remote_free(struct remote *r)
{
    if (!r)
        return;
    https_client_free(r->http);
    profile_clear(&r->profile);
    free(r);
}

int remote_decode(const struct https_client_answer *a, cJSON **ret,
                  struct sc_err *err)
{
    SC_AUTO(cjson_free)
    cJSON *o = a->body ? cJSON_ParseWithLength(a->body, a->size)
                       : cJSON_CreateObject();
    if (a->status >= 200 && a->status < 300) {
        if (!o)
            return sc_fail(err, -EPROTO,
                           "the answer is not JSON; is this a "
                           "Supercloud controller?");
        *ret = SC_TAKE(o);
        return 0;
    }
    const cJSON *e = cJSON_GetObjectItemCaseSensitive(o, "error");
    const char *code = cJSON_GetStringValue(cJSON_GetObjectItem(e, "code"));
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(e, "message"));
    if (!code || !text)
        return sc_fail(err, -EPROTO,
                       "HTTP status %ld; is this a Supercloud "
                       "controller?",
                       a->status);
    return sc_fail(err, sc_err_code(code), "%s", text);
}

int remote_call(struct cli *cli, const char *method, const char *path,
                cJSON *taken, cJSON **ret, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *body = taken;
    SC_AUTO(free) char *text = body ? cJSON_PrintUnformatted(body) : NULL;
    SC_AUTO(free) char *full = NULL;
    if (asprintf(&full, "/api/v1%s", path) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    struct remote *r = NULL;
    int e = remote_get(cli, &r, err);
    if (!r)
        return e;
    struct https_client_request rq = {
        .method = method, .path = full, .json = text, .timeout_ms = TIMEOUT_MS
    };
    struct https_client_answer a = { 0 };
    e = https_client_do(r->http, &rq, &a, err);
    if (e == 0)
        e = remote_decode(&a, ret, err);
    free(a.body);
    return e;
}

int remote_callf(struct cli *cli, const char *method, cJSON *body, cJSON **ret,
                 struct sc_err *err, const char *fmt, ...)
{
    SC_AUTO(free) char *path = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&path, fmt, ap);
    va_end(ap);
    if (n < 0) {
        path = NULL;
        cJSON_Delete(body);
        return sc_fail(err, -ENOMEM, "out of memory");
    }
    return remote_call(cli, method, path, body, ret, err);
}

char *remote_escape(const char *text)
{
    char *out = malloc(3 * strlen(text) + 1), *p = out;
    for (; out && *text; text++) {
        if (isalnum((unsigned char)*text) || strchr("-._~", *text))
            *p++ = *text;
        else
            p += sprintf(p, "%%%02X", (unsigned char)*text);
    }
    if (out)
        *p = '\0';
    return out;
}

/* --- output -----------------------------------------------------------------
 */

static void print_json(FILE *out, const cJSON *o)
{
    SC_AUTO(free) char *text = cJSON_Print(o);
    fprintf(out, "%s\n", text ? text : "{}");
}

static void print_name(FILE *out, const cJSON *o)
{
    char cell[256];
    bool named = table_at(o, "name") != NULL;
    table_cell(o,
               named                 ? "name"
               : table_at(o, "user") ? "user"
                                     : "id",
               NULL, 0, cell, sizeof cell);
    fprintf(out, "%s\n", cell);
}

int print_log(struct cli *cli, cJSON *taken)
{
    SC_AUTO(cjson_free) cJSON *answer = taken;
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItem(answer, "data"));
    if (cli->format == CLI_JSON)
        print_json(cli->out, answer);
    else if (!text || !*text)
        fputs("(nothing yet)\n", cli->log);
    else
        fprintf(cli->out, "%s%s", text,
                text[strlen(text) - 1] == '\n' ? "" : "\n");
    return CLI_OK;
}

int print_list(struct cli *cli, cJSON *taken, const char *key,
               const struct table_column *columns)
{
    SC_AUTO(cjson_free) cJSON *answer = taken;
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(answer, key), *row;
    if (cli->format == CLI_JSON)
        print_json(cli->out, answer);
    else if (cli->format == CLI_TABLE) {
        table_print(cli->out, columns, rows, (double)sc_wall_ms());
        if (cJSON_GetArraySize(rows) == 0) /* Not for a program to parse. */
            fputs("(none)\n", cli->log);
    } else
        cJSON_ArrayForEach(row, rows) print_name(cli->out, row);
    return CLI_OK;
}

int print_object(struct cli *cli, cJSON *taken,
                 const struct table_column *columns)
{
    SC_AUTO(cjson_free) cJSON *object = taken;
    if (cli->format == CLI_JSON)
        print_json(cli->out, object);
    else if (cli->format == CLI_TABLE)
        table_print_one(cli->out, columns, object, (double)sc_wall_ms());
    else
        print_name(cli->out, object);
    return CLI_OK;
}

int show_object(struct cli *cli, const char *collection, const char *id,
                const struct table_column *columns)
{
    SC_AUTO(free) char *escaped = remote_escape(id);
    struct sc_err err = { 0 };
    cJSON *o = NULL;
    if (remote_callf(cli, "GET", NULL, &o, &err, "/%s/%s", collection,
                     escaped) < 0)
        return cli_fail(cli, &err);
    return print_object(cli, o, columns);
}
