/* Nodes, join tokens, jobs and the overview. */
#include "controller/join.h"
#include "controller/ops.h"
#include "controller/providers.h"
#include "controller/user_data.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    TTL_DEFAULT_S = 3600,
    TTL_MAX_S = 366 * 86400,
    USES_MAX = 100000,
    JOBS_DEFAULT = 100,
    JOBS_MAX = 1000,
};

void op_overview(struct op_call *c)
{
    op_reply(c, 0, ctl_overview_json(c->ctl));
}

void op_node_list(struct op_call *c)
{
    cJSON *j = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(j, "nodes");
    for (size_t i = 0; i < c->ctl->nodes.n; i++)
        cJSON_AddItemToArray(list,
                             ctl_node_json(c->ctl, c->ctl->nodes.items[i]));
    op_reply(c, 0, j);
}

static const char *read_id(struct op_call *c, const char *what)
{
    struct json_reader r = json_read(c->params, what);
    const char *id = json_str(&r, "id", 1, OBJ_NAME);
    struct sc_err err;
    if (json_done(&r, &err) == 0)
        return id;
    op_fail(c, &err);
    return NULL;
}

static struct ctl_node *op_node(struct op_call *c)
{
    const char *id = read_id(c, "node");
    struct ctl_node *n = id ? ctl_node_find(c->ctl, id) : NULL;
    if (id && !n)
        op_failf(c, -ENOENT, "node '%s': not found", id);
    return n;
}

void op_node_show(struct op_call *c)
{
    const struct ctl_node *n = op_node(c);
    if (n)
        op_reply(c, 0, ctl_node_json(c->ctl, n));
}

void op_node_delete(struct op_call *c)
{
    struct ctl_node *n = op_node(c);
    struct sc_err err;
    if (!n)
        return;
    if (ctl_node_remove(c->ctl, n, &err) < 0)
        op_fail(c, &err);
    else
        op_reply(c, 0, NULL);
}

/* --- tokens ----------------------------------------------------------------
 */

struct token_request {
    struct token t;
    char text[TOKEN_TEXT];
    char name[OBJ_NAME];
    char controller[320]; /* "HOST:PORT" */
};

static int optional_name(const char *field, const char *value,
                         struct sc_err *err)
{
    if (value[0] && !sc_name_ok(value))
        return sc_fail(err, -EINVAL,
                       "token: '%s' '%.64s': must be 1 to 63 of a-z A-Z 0-9 . "
                       "_ -, the first a letter or digit",
                       field, value);
    return 0;
}

/* The token that the params describe; unstored. */
static int read_token(struct op_call *c, const char *const keys[],
                      struct token_request *q, struct sc_err *err)
{
    struct json_reader r = json_read(c->params, "token");
    struct token t = { 0 };
    OBJ_SET(t.region, json_str_or(&r, "region", OBJ_NAME - 1, ""));
    OBJ_SET(t.provider, json_str_or(&r, "provider", OBJ_NAME - 1, ""));
    OBJ_SET(q->name, json_str_or(&r, "name", OBJ_NAME - 1, ""));
    int64_t ttl = json_int_or(&r, "ttl_s", 1, TTL_MAX_S, TTL_DEFAULT_S);
    t.uses = (uint32_t)json_int_or(&r, "uses", 0, USES_MAX, 1);
    json_only(&r, keys);
    int e = json_done(&r, err);
    if (e == 0)
        e = optional_name("region", t.region, err);
    if (e == 0)
        e = optional_name("provider", t.provider, err);
    if (e == 0)
        e = optional_name("name", q->name, err);
    if (e < 0)
        return e;
    OBJ_SET(t.created_by, c->who->user);
    t.expires_at = ctl_now(c->ctl) + (uint64_t)ttl * 1000;
    q->t = t;
    return 0;
}

void op_token_create(struct op_call *c)
{
    static const char *const keys[] = { "region", "provider", "name",
                                        "ttl_s",  "uses",     NULL };
    struct token_request q;
    struct sc_err err;
    if (read_token(c, keys, &q, &err) < 0 ||
        ctl_token_create(c->ctl, &q.t, q.text, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    cJSON *j = token_public_json(&q.t);
    cJSON_AddStringToObject(j, "token", q.text);
    op_reply(c, 201, j);
}

/* Region and provider are required of a node; a controller needs no token. */
static int read_user_data(struct op_call *c, struct user_data_request *u,
                          struct token_request *q, struct sc_err *err)
{
    static const char *const keys[] = {
        "region",  "provider",       "name",   "ttl_s",        "uses",
        "role",    "hypervisor",     "format", "console_name", "acme_email",
        "address", "acme_directory", NULL
    };
    struct json_reader r = json_read(c->params, "node.user_data");
    const char *region = json_str(&r, "region", 1, OBJ_NAME - 1);
    const char *provider = json_str(&r, "provider", 1, OBJ_NAME - 1);
    const char *role = json_str_or(&r, "role", 15, "node");
    const char *format = json_str_or(&r, "format", 31, "cloud-config");
    u->hypervisor = json_str_or(&r, "hypervisor", 15, "");
    u->address = json_str_or(&r, "address", OBJ_ADDRESS - 1, "");
    u->console_name = json_str_or(&r, "console_name", 253, "");
    u->acme_email = json_str_or(&r, "acme_email", 253, "");
    u->acme_directory = json_str_or(&r, "acme_directory", 1023, "");
    int e = json_done(&r, err);
    if (e == 0)
        e = user_data_role_parse(role, &u->role, err);
    if (e == 0)
        e = user_data_format_parse(format, &u->format, err);
    if (e == 0)
        e = read_token(c, keys, q, err);
    if (e < 0)
        return e;
    /* By the name of an account, its driver. */
    const struct account *a = ctl_account_find(c->ctl, provider);
    u->driver = a ? a->driver : provider;
    u->provider = a ? a->driver : provider;
    OBJ_SET(q->t.provider, u->provider);
    u->region = region;
    u->name = q->name;
    return 0;
}

static int make_user_data(struct op_call *c, struct user_data_request *u,
                          struct token_request *q, char **ret, size_t *ret_size,
                          struct sc_err *err)
{
    bool v6 = strchr(c->ctl->host, ':') != NULL;
    snprintf(q->controller, sizeof q->controller, "%s%s%s:%u", v6 ? "[" : "",
             c->ctl->host, v6 ? "]" : "", c->ctl->port);
    int r = 0;
    if (u->role == USER_DATA_NODE) {
        u->controller = q->controller;
        u->token = q->text;
        r = ctl_token_make(c->ctl, &q->t, q->text, err);
    }
    if (r == 0)
        r = user_data_size(u, ret_size, err);
    if (r == 0)
        r = user_data_render(u, ret, err);
    if (r < 0 || u->role != USER_DATA_NODE)
        return r;
    struct ctl_txn *x = ctl_txn_begin(c->ctl);
    ctl_put_json(x, "tokens", q->t.id, token_to_json(&q->t));
    return ctl_txn_commit(x, err);
}

void op_node_user_data(struct op_call *c)
{
    struct user_data_request u = { 0 };
    struct token_request q = { 0 };
    struct sc_err err;
    size_t size = 0;
    SC_AUTO(free) char *text = NULL;
    if (read_user_data(c, &u, &q, &err) < 0 ||
        make_user_data(c, &u, &q, &text, &size, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    size_t limit = user_data_limit(u.driver);
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "user_data", text);
    if (q.t.id[0]) {
        cJSON_AddStringToObject(j, "token_id", q.t.id);
        json_set_u64(j, "expires_at", q.t.expires_at);
    } else {
        cJSON_AddNullToObject(j, "token_id");
        cJSON_AddNullToObject(j, "expires_at");
    }
    json_set_u64(j, "size", size);
    json_set_u64(j, "limit", limit);
    cJSON_AddBoolToObject(j, "fits", !limit || size <= limit);
    op_reply(c, 201, j);
}

static int list_token(void *arg, struct store_slice key,
                      struct store_slice value)
{
    SC_AUTO(cjson_free)
    cJSON *j = cJSON_ParseWithLength(value.data, value.size);
    struct token t;
    (void)key;
    if (token_from_json(j, &t, NULL) == 0)
        cJSON_AddItemToArray(arg, token_public_json(&t));
    return 0;
}

void op_token_list(struct op_call *c)
{
    struct sc_err err;
    SC_AUTO(store_abort) struct store_txn *t = NULL;
    cJSON *j = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(j, "tokens");
    int r = store_begin(c->ctl->store, false, &t, &err);
    if (r == 0)
        r = store_each(t, "tokens", (struct store_slice){ "", 0 }, list_token,
                       list);
    store_abort(SC_TAKE(t));
    if (r < 0) {
        cJSON_Delete(j);
        op_failf(c, r, "tokens: reading the store");
        return;
    }
    op_reply(c, 0, j);
}

void op_token_delete(struct op_call *c)
{
    const char *id = read_id(c, "token");
    struct sc_err err;
    if (!id)
        return;
    SC_AUTO(cjson_free) cJSON *old = ctl_read_json(c->ctl, "tokens", id);
    if (!old) {
        op_failf(c, -ENOENT, "token '%s': not found", id);
        return;
    }
    struct ctl_txn *x = ctl_txn_begin(c->ctl);
    ctl_del(x, "tokens", id, NULL);
    if (ctl_txn_commit(x, &err) < 0)
        op_fail(c, &err);
    else
        op_reply(c, 0, NULL);
}

/* --- jobs -------------------------------------------------------------------
 */

void op_job_list(struct op_call *c)
{
    struct json_reader r = json_read(c->params, "job.list");
    int64_t limit = json_int_or(&r, "limit", 1, JOBS_MAX, JOBS_DEFAULT);
    struct sc_err err;
    if (json_done(&r, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    cJSON *j = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(j, "jobs");
    for (size_t i = c->ctl->jobs.n; i-- > 0 && limit-- > 0;)
        cJSON_AddItemToArray(list, job_to_json(c->ctl->jobs.items[i], false));
    op_reply(c, 0, j);
}

void op_job_show(struct op_call *c)
{
    const char *id = read_id(c, "job");
    const struct job *job = id ? ctl_job_find(c->ctl, id) : NULL;
    if (job)
        op_reply(c, 0, job_to_json(job, false));
    else if (id)
        op_failf(c, -ENOENT, "job '%s': not found", id);
}

struct cancel_call {
    struct op_call c;
    char id[OBJ_ID];
};

static void cancelled(void *arg, const struct sc_err *err)
{
    SC_AUTO(free) struct cancel_call *q = arg;
    const struct job *job = ctl_job_find(q->c.ctl, q->id);
    if (err || !job) {
        struct sc_err gone;
        sc_fail(&gone, -ENOENT, "job '%s': not found", q->id);
        op_fail(&q->c, err ? err : &gone);
        return;
    }
    cJSON *j = cJSON_CreateObject();
    cJSON_AddItemToObject(j, "job", job_to_json(job, false));
    op_reply(&q->c, 202, j);
}

/* Who may begin a job may cancel it: those at providers are an admin's. */
void op_job_cancel(struct op_call *c)
{
    const char *id = read_id(c, "job");
    struct job *job = id ? ctl_job_find(c->ctl, id) : NULL;
    if (!id)
        return;
    if (!job) {
        op_failf(c, -ENOENT, "job '%s': not found", id);
        return;
    }
    if (!strncmp(job->kind->name, "provider.", 9) &&
        c->who->role < API_ROLE_ADMIN) {
        op_failf(c, -EACCES, "job %s (%s): only an admin may cancel it",
                 job->id, job->kind->name);
        return;
    }
    struct cancel_call *q = calloc(1, sizeof *q);
    if (!q) {
        op_failf(c, -ENOMEM, "job.cancel: out of memory");
        return;
    }
    q->c = *c;
    q->c.who = NULL;
    q->c.params = NULL;
    OBJ_SET(q->id, job->id);
    job_cancel(c->ctl, job, c->who->user, cancelled, q);
}
