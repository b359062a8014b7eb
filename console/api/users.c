/* users - the users of the console, for admins.  The last admin stays. */
#include "api/request.h"

#include <string.h>

static const char *str_of(const cJSON *o, const char *key)
{
    const char *s =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
    return s ? s : "";
}

static cJSON *one(const char *key, const char *value)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, key, value);
    return o;
}

/* A record without its hash; the caller's. */
static cJSON *public_user(const cJSON *record)
{
    cJSON *copy = cJSON_Duplicate(record, true);
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "hash");
    return copy;
}

void api_user_list(struct api_request *q)
{
    SC_AUTO(api_answer_clear) struct api_answer a;
    if (api_call(q->api, "user.list", NULL, NULL, &a) < 0) {
        api_fail(q, &a.err);
        return;
    }
    SC_AUTO(cjson_free) cJSON *out = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(out, "users");
    const cJSON *u;
    cJSON_ArrayForEach(u, cJSON_GetObjectItem(a.result, "users"))
        cJSON_AddItemToArray(list, public_user(u));
    http_reply_json(q->http, 200, "", out);
}

static unsigned parse_role(const char *name, struct sc_err *err)
{
    unsigned role = api_role_parse(name);
    if (!role && !err->code)
        sc_fail(err, -EINVAL, "role: '%.32s' is not viewer, operator or admin",
                name);
    return role;
}

void api_user_create(struct api_request *q)
{
    static const char *const keys[] = { "user", "password", "role", NULL };
    struct json_reader in = json_read(q->params, "user.create");
    const char *user = json_str(&in, "user", 1, API_USER_SIZE - 1);
    const char *password =
        json_str(&in, "password", AUTH_PASSWORD_MIN, AUTH_PASSWORD_MAX);
    const char *role_name = json_str_or(&in, "role", 16, "viewer");
    json_only(&in, keys);
    struct sc_err err = { 0 };
    (void)!json_done(&in, &err);
    unsigned role = parse_role(role_name, &err);
    if (!err.code && !sc_name_ok(user))
        sc_fail(&err, -EINVAL, "user: '%.64s' is not a name", user);
    SC_AUTO(api_answer_clear) struct api_answer old = { 0 };
    if (!err.code) {
        int r = api_call(q->api, "user.get", NULL, one("user", user), &old);
        if (r == 0)
            sc_fail(&err, -EEXIST, "user '%s': exists already", user);
        else if (r != -ENOENT)
            err = old.err;
    }
    SC_AUTO(cjson_free) cJSON *record = one("user", user);
    json_set_u64(record, "created_at", sc_wall_ms());
    if (err.code || api_user_set(q, record, role, password, &err) < 0) {
        api_fail(q, &err);
        return;
    }
    cJSON_AddStringToObject(record, "role", api_role_name(role));
    http_reply_json(q->http, 201, "", record);
}

/* -EBUSY if 'user' is the only admin. */
static int check_not_last_admin(struct api_request *q, const char *user,
                                struct sc_err *err)
{
    SC_AUTO(api_answer_clear) struct api_answer a;
    if (api_call(q->api, "user.list", NULL, NULL, &a) < 0) {
        *err = a.err;
        return err->code;
    }
    const cJSON *u;
    cJSON_ArrayForEach(
        u, cJSON_GetObjectItem(
               a.result,
               "users")) if (strcmp(str_of(u, "role"), "admin") == 0 &&
                             strcmp(str_of(u, "user"), user) != 0) return 0;
    return sc_fail(err, -EBUSY, "user '%s': is the last admin", user);
}

void api_user_update(struct api_request *q)
{
    static const char *const keys[] = { "id", "password", "role", NULL };
    struct json_reader in = json_read(q->params, "user.update");
    const char *user = json_str(&in, "id", 1, API_USER_SIZE - 1);
    const char *password =
        json_str_or(&in, "password", AUTH_PASSWORD_MAX, NULL);
    const char *role_name = json_str_or(&in, "role", 16, NULL);
    json_only(&in, keys);
    struct sc_err err = { 0 };
    (void)!json_done(&in, &err);
    unsigned role = role_name ? parse_role(role_name, &err) : 0;
    SC_AUTO(api_answer_clear) struct api_answer old = { 0 };
    if (!err.code &&
        api_call(q->api, "user.get", NULL, one("user", user), &old) < 0)
        err = old.err;
    if (!err.code && role && role != API_ROLE_ADMIN &&
        strcmp(str_of(old.result, "role"), "admin") == 0)
        (void)check_not_last_admin(q, user, &err);
    if (err.code || api_user_set(q, old.result, role, password, &err) < 0) {
        api_fail(q, &err);
        return;
    }
    SC_AUTO(cjson_free) cJSON *out = public_user(old.result);
    if (role) {
        cJSON_DeleteItemFromObjectCaseSensitive(out, "role");
        cJSON_AddStringToObject(out, "role", api_role_name(role));
    }
    http_reply_json(q->http, 200, "", out);
}

void api_user_delete(struct api_request *q)
{
    const char *user = str_of(q->params, "id");
    struct sc_err err = { 0 };
    SC_AUTO(api_answer_clear) struct api_answer old;
    SC_AUTO(api_answer_clear) struct api_answer a = { 0 };
    if (api_call(q->api, "user.get", NULL, one("user", user), &old) < 0)
        err = old.err;
    else if (strcmp(str_of(old.result, "role"), "admin") == 0)
        (void)check_not_last_admin(q, user, &err);
    if (err.code) {
        api_fail(q, &err);
        return;
    }
    api_call(q->api, "user.del", NULL, one("user", user), &a);
    api_reply(q, &a);
}
