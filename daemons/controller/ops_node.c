/* Nodes, join tokens, jobs and the overview. */
#include "controller/join.h"
#include "controller/ops.h"

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

static int make_token(struct op_call *c, int64_t uses_default,
                      struct token_request *q, struct sc_err *err)
{
    static const char *const keys[] = { "region", "provider", "name",
                                        "ttl_s",  "uses",     NULL };
    struct json_reader r = json_read(c->params, "token");
    struct token t = { 0 };
    OBJ_SET(t.region, json_str_or(&r, "region", OBJ_NAME - 1, ""));
    OBJ_SET(t.provider, json_str_or(&r, "provider", OBJ_NAME - 1, ""));
    OBJ_SET(q->name, json_str_or(&r, "name", OBJ_NAME - 1, ""));
    int64_t ttl = json_int_or(&r, "ttl_s", 1, TTL_MAX_S, TTL_DEFAULT_S);
    t.uses = (uint32_t)json_int_or(&r, "uses", 0, USES_MAX, uses_default);
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
    return ctl_token_create(c->ctl, &q->t, q->text, err);
}

void op_token_create(struct op_call *c)
{
    struct token_request q;
    struct sc_err err;
    if (make_token(c, 1, &q, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    cJSON *j = token_public_json(&q.t);
    cJSON_AddStringToObject(j, "token", q.text);
    op_reply(c, 201, j);
}

void op_node_user_data(struct op_call *c)
{
    struct token_request q;
    struct sc_err err;
    SC_AUTO(free) char *text = NULL;
    struct json_reader r = json_read(c->params, "node.user_data");
    json_str(&r, "region", 1, OBJ_NAME - 1);
    json_str(&r, "provider", 1, OBJ_NAME - 1);
    if (json_done(&r, &err) < 0 || make_token(c, 1, &q, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    if (asprintf(&text,
                 "#cloud-config\n"
                 "supercloud:\n"
                 "  role: node\n"
                 "  controller: %s:%u\n"
                 "  token: %s\n"
                 "  region: %s\n"
                 "  provider: %s\n"
                 "%s%s%s",
                 c->ctl->host, c->ctl->port, q.text, q.t.region, q.t.provider,
                 q.name[0] ? "  name: " : "", q.name,
                 q.name[0] ? "\n" : "") < 0) {
        op_failf(c, -ENOMEM, "node.user_data: out of memory");
        return;
    }
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "user_data", text);
    cJSON_AddStringToObject(j, "token_id", q.t.id);
    json_set_u64(j, "expires_at", q.t.expires_at);
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
