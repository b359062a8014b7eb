/* Users and sessions of the console: records that it makes and reads
 * (api/backend.h, "Internal operations"); here they are only kept. */
#include "controller/ops.h"

enum { KEY_MAX = 128, SESSIONS_MAX = 10000 };

static const char *read_key(struct op_call *c, const char *key)
{
    struct json_reader r = json_read(c->params, "record");
    const char *value = json_str(&r, key, 1, KEY_MAX);
    struct sc_err err;
    if (json_done(&r, &err) == 0)
        return value;
    op_fail(c, &err);
    return NULL;
}

static void get(struct op_call *c, const char *table, const char *key)
{
    const char *value = read_key(c, key);
    cJSON *j = value ? ctl_read_json(c->ctl, table, value) : NULL;
    if (j)
        op_reply(c, 0, j);
    else if (value)
        op_failf(c, -ENOENT, "%s '%s': not found", key, value);
}

static void end(struct op_call *c, struct ctl_txn *x)
{
    struct sc_err err;
    if (ctl_txn_commit(x, &err) < 0)
        op_fail(c, &err);
    else
        op_reply(c, 0, NULL);
}

static void put(struct op_call *c, const char *table, const char *key)
{
    const char *value = read_key(c, key);
    if (!value)
        return;
    struct ctl_txn *x = ctl_txn_begin(c->ctl);
    ctl_put_json(x, table, value, cJSON_Duplicate(c->params, true));
    end(c, x);
}

static int collect(void *arg, struct store_slice key, struct store_slice value)
{
    (void)key;
    cJSON *j = cJSON_ParseWithLength(value.data, value.size);
    if (j)
        cJSON_AddItemToArray(arg, j);
    return 0;
}

static cJSON *read_all(struct ctl *ctl, const char *table)
{
    SC_AUTO(store_abort) struct store_txn *t = NULL;
    cJSON *list = cJSON_CreateArray();
    if (store_begin(ctl->store, false, &t, NULL) == 0)
        store_each(t, table, (struct store_slice){ "", 0 }, collect, list);
    return list;
}

static const char *text_of(const cJSON *j, const char *key)
{
    const cJSON *s = cJSON_GetObjectItemCaseSensitive(j, key);
    return cJSON_IsString(s) ? s->valuestring : "";
}

void op_user_get(struct op_call *c)
{
    get(c, "users", "user");
}

void op_user_set(struct op_call *c)
{
    put(c, "users", "user");
}

void op_user_del(struct op_call *c)
{
    const char *user = read_key(c, "user");
    if (!user)
        return;
    SC_AUTO(cjson_free) cJSON *old = ctl_read_json(c->ctl, "users", user);
    if (!old) {
        op_failf(c, -ENOENT, "user '%s': not found", user);
        return;
    }
    SC_AUTO(cjson_free) cJSON *sessions = read_all(c->ctl, "sessions");
    struct ctl_txn *x = ctl_txn_begin(c->ctl);
    ctl_del(x, "users", user, NULL);
    const cJSON *s;
    cJSON_ArrayForEach(s, sessions)
    {
        if (!strcmp(text_of(s, "user"), user))
            ctl_del(x, "sessions", text_of(s, "id"), NULL);
    }
    end(c, x);
}

void op_user_list(struct op_call *c)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddItemToObject(j, "users", read_all(c->ctl, "users"));
    op_reply(c, 0, j);
}

/* Each new session takes those with it whose time is over, and if that is not
 * enough the oldest. */
void op_session_put(struct op_call *c)
{
    const char *id = read_key(c, "id");
    if (!id)
        return;
    SC_AUTO(cjson_free) cJSON *known = ctl_read_json(c->ctl, "sessions", id);
    SC_AUTO(cjson_free)
    cJSON *all = known ? NULL : read_all(c->ctl, "sessions");
    struct ctl_txn *x = ctl_txn_begin(c->ctl);
    double now = (double)ctl_now(c->ctl), oldest_at = 0;
    const cJSON *s, *oldest = NULL;
    int n = 0;
    cJSON_ArrayForEach(s, all)
    {
        const cJSON *ends = cJSON_GetObjectItemCaseSensitive(s, "expires_at");
        const cJSON *used = cJSON_GetObjectItemCaseSensitive(s, "used_at");
        double at = cJSON_IsNumber(used) ? used->valuedouble : 0;
        if (cJSON_IsNumber(ends) && ends->valuedouble > 0 &&
            ends->valuedouble < now) {
            ctl_del(x, "sessions", text_of(s, "id"), NULL);
            continue;
        }
        n++;
        if (!oldest || at < oldest_at) {
            oldest = s;
            oldest_at = at;
        }
    }
    if (n >= SESSIONS_MAX && oldest)
        ctl_del(x, "sessions", text_of(oldest, "id"), NULL);
    ctl_put_json(x, "sessions", id, cJSON_Duplicate(c->params, true));
    end(c, x);
}

void op_session_get(struct op_call *c)
{
    get(c, "sessions", "id");
}

void op_session_del(struct op_call *c)
{
    const char *id = read_key(c, "id");
    if (!id)
        return;
    struct ctl_txn *x = ctl_txn_begin(c->ctl);
    ctl_del(x, "sessions", id, NULL);
    end(c, x);
}

void op_session_list(struct op_call *c)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddItemToObject(j, "sessions", read_all(c->ctl, "sessions"));
    op_reply(c, 0, j);
}
