/* session - who asks: login, logout, sessions, and the check of every request.
 *
 * A browser holds a cookie and sends the CSRF token with what changes things;
 * the command line holds an API token.  Both are 32 random bytes of which the
 * backend keeps the SHA-256 only.  The role is read from the user's record at
 * every request, so a change counts at once. */
#include "api/request.h"
#include "http/headers.h"

#include <string.h>
#include <strings.h>

#define TOKEN_PREFIX "sca1."
enum {
    TOKEN_TTL_S = 90 * 24 * 3600,
    TOKEN_TTL_MAX_S = 10 * 366 * 24 * 3600,
};

static const char *const role_names[] = {
    [API_ROLE_NONE] = "none",
    [API_ROLE_VIEWER] = "viewer",
    [API_ROLE_OPERATOR] = "operator",
    [API_ROLE_ADMIN] = "admin",
};

const char *api_role_name(unsigned role)
{
    return role_names[role <= API_ROLE_ADMIN ? role : API_ROLE_NONE];
}

unsigned api_role_parse(const char *name)
{
    for (unsigned i = API_ROLE_VIEWER; i <= API_ROLE_ADMIN; i++)
        if (strcmp(name, role_names[i]) == 0)
            return i;
    return API_ROLE_NONE;
}

static const char *str_of(const cJSON *o, const char *key)
{
    const char *s =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
    return s ? s : "";
}

static uint64_t u64_of(const cJSON *o, const char *key)
{
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsNumber(n) && n->valuedouble > 0 ? (uint64_t)n->valuedouble
                                                   : 0;
}

static cJSON *one(const char *key, const char *value)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, key, value);
    return o;
}

/* --- every request ------------------------------------------------------- */

/* The secret the request carries, with its prefix taken off. */
static int find_secret(struct api_request *q, char ret[AUTH_SECRET_LEN + 1])
{
    const char *bearer = http_header(q->http, "Authorization");
    if (bearer && strncasecmp(bearer, "Bearer ", 7) == 0) {
        const char *token = bearer + 7 + strspn(bearer + 7, " ");
        size_t skip = strlen(TOKEN_PREFIX);
        q->by_token = true;
        if (strncmp(token, TOKEN_PREFIX, skip) != 0 ||
            strlen(token + skip) != AUTH_SECRET_LEN)
            return -ENOENT;
        memcpy(ret, token + skip, AUTH_SECRET_LEN + 1);
        return 0;
    }
    return http_cookie_get(http_header(q->http, "Cookie"), "sc_session", ret,
                           AUTH_SECRET_LEN + 1);
}

static struct auth_session session_of(const struct api *api, const cJSON *s)
{
    return (struct auth_session){
        .created_at = u64_of(s, "created_at"),
        .used_at = u64_of(s, "used_at"),
        .expires_at = u64_of(s, "expires_at"),
        .idle_ms = strcmp(str_of(s, "kind"), "web") == 0 ? api->o.idle_ms : 0,
    };
}

/* Reads the session and the user; fills 'q'.  'touch': this is use. */
static int load(struct api_request *q, bool touch, struct sc_err *err)
{
    SC_AUTO(api_answer_clear) struct api_answer s;
    SC_AUTO(api_answer_clear) struct api_answer u = { 0 };
    int r = api_call(q->api, "session.get", NULL, one("id", q->session_id), &s);
    if (r < 0 && r != -ENOENT) {
        *err = s.err;
        return r;
    }
    if (r == -ENOENT ||
        strcmp(str_of(s.result, "kind"), q->by_token ? "token" : "web") != 0)
        return sc_fail(err, -EPERM, "not logged in");
    struct auth_session session = session_of(q->api, s.result);
    uint64_t now = sc_wall_ms();
    enum auth_verdict verdict = auth_session_check(&session, now);
    if (verdict == AUTH_EXPIRED || verdict == AUTH_IDLE) {
        SC_AUTO(api_answer_clear) struct api_answer gone;
        api_call(q->api, "session.del", NULL, one("id", q->session_id), &gone);
        return sc_fail(err, -EPERM, "the session has ended (%s); log in again",
                       verdict == AUTH_IDLE ? "unused too long" : "too old");
    }
    r = api_call(q->api, "user.get", NULL,
                 one("user", str_of(s.result, "user")), &u);
    if (r == -ENOENT)
        return sc_fail(err, -EPERM, "not logged in: the user was deleted");
    if (r < 0) {
        *err = u.err;
        return r;
    }
    snprintf(q->user, sizeof q->user, "%s", str_of(u.result, "user"));
    snprintf(q->csrf, sizeof q->csrf, "%s", str_of(s.result, "csrf"));
    q->session_expires_at = session.expires_at;
    q->caller = (struct api_caller){ q->user,
                                     api_role_parse(str_of(u.result, "role")) };
    if (touch && verdict == AUTH_TOUCH) {
        cJSON *copy = cJSON_Duplicate(s.result, true);
        cJSON_DeleteItemFromObjectCaseSensitive(copy, "used_at");
        json_set_u64(copy, "used_at", now);
        SC_AUTO(api_answer_clear) struct api_answer put;
        api_call(q->api, "session.put", NULL, copy, &put);
    }
    return 0;
}

int api_authenticate(struct api_request *q, struct sc_err *err)
{
    char secret[AUTH_SECRET_LEN + 1];
    if (find_secret(q, secret) < 0)
        return sc_fail(err, -EPERM, "not logged in");
    auth_secret_id(secret, q->session_id);
    int r = load(q, true, err);
    if (r < 0)
        return r;
    if (!q->by_token && strcmp(q->route->method, "GET") != 0) {
        const char *csrf = http_header(q->http, "X-CSRF-Token");
        if (!csrf || !auth_equal(csrf, q->csrf))
            return sc_fail(err, -EACCES,
                           "the header X-CSRF-Token is missing or wrong");
    }
    if (q->caller.role < q->route->role)
        return sc_fail(err, -EACCES, "%s needs the role %s, '%s' has %s",
                       q->route->op, api_role_name(q->route->role), q->user,
                       api_role_name(q->caller.role));
    return 0;
}

bool api_still_valid(struct api_request *q, bool used)
{
    struct sc_err err;
    return load(q, used, &err) == 0 && q->caller.role >= q->route->role;
}

/* --- login --------------------------------------------------------------- */

/* ms to wait, or 0 and one try of both limits is taken. */
static uint64_t take_try(struct api *api, const char *address, const char *user)
{
    uint64_t now = sc_mono_ms();
    pthread_mutex_lock(&api->lock);
    uint64_t a = limit_wait(api->by_address, address, now);
    uint64_t u = limit_wait(api->by_user, user, now);
    uint64_t wait_ms = a > u ? a : u;
    if (!wait_ms) {
        limit_take(api->by_address, address, now);
        limit_take(api->by_user, user, now);
    }
    pthread_mutex_unlock(&api->lock);
    return wait_ms;
}

/* True: a try was taken; false: 'q' is answered that it must wait. */
static bool may_try(struct api_request *q, const char *user)
{
    uint64_t wait_ms = take_try(q->api, http_remote(q->http), user);
    if (!wait_ms)
        return true;
    char retry[64];
    struct sc_err err;
    unsigned long long wait_s = (wait_ms + 999) / 1000;
    snprintf(retry, sizeof retry, "Retry-After: %llu\r\n", wait_s);
    sc_fail(&err, -EAGAIN, "too many attempts; try again in %llu s", wait_s);
    http_reply_error(q->http, 429, retry, &err);
    return false;
}

static void give_try_back(struct api *api, const char *address,
                          const char *user)
{
    pthread_mutex_lock(&api->lock);
    limit_give(api->by_address, address);
    limit_clear(api->by_user, user);
    pthread_mutex_unlock(&api->lock);
}

static cJSON *session_make(const char *id, const char *kind, const char *user,
                           const char *csrf, const char *name, uint64_t ttl_ms)
{
    cJSON *s = cJSON_CreateObject();
    uint64_t now = sc_wall_ms();
    cJSON_AddStringToObject(s, "id", id);
    cJSON_AddStringToObject(s, "kind", kind);
    cJSON_AddStringToObject(s, "user", user);
    cJSON_AddStringToObject(s, "csrf", csrf);
    cJSON_AddStringToObject(s, "name", name);
    json_set_u64(s, "created_at", now);
    json_set_u64(s, "used_at", now);
    json_set_u64(s, "expires_at", now + ttl_ms);
    return s;
}

/* Checks user and password; 0 and the user's record, or the answer's error. */
static int check_password(struct api_request *q, const char *user,
                          const char *password, struct api_answer *ret,
                          struct sc_err *err)
{
    int r = api_call(q->api, "user.get", NULL, one("user", user), ret);
    if (r < 0 && r != -ENOENT) {
        *err = ret->err;
        return r;
    }
    const char *hash = r == 0 ? str_of(ret->result, "hash") : NULL;
    if (!auth_password_ok(password, hash))
        return sc_fail(err, -EPERM, "wrong user or password");
    return 0;
}

static void answer_login(struct api_request *q, const char *user,
                         const char *role, bool want_token,
                         const char *token_name, int64_t ttl_s)
{
    char secret[AUTH_SECRET_LEN + 1], csrf[AUTH_SECRET_LEN + 1];
    char id[AUTH_SECRET_LEN + 1], cookie[256] = "";
    if (auth_secret_new(secret) < 0 || auth_secret_new(csrf) < 0) {
        http_reply_errorf(q->http, 500, -EIO, "login: no randomness");
        return;
    }
    auth_secret_id(secret, id);
    uint64_t ttl_ms =
        want_token ? (uint64_t)ttl_s * 1000 : q->api->o.absolute_ms;
    SC_AUTO(api_answer_clear) struct api_answer put;
    api_call(q->api, "session.put", NULL,
             session_make(id, want_token ? "token" : "web", user,
                          want_token ? "" : csrf, token_name, ttl_ms),
             &put);
    if (put.err.code) {
        api_fail(q, &put.err);
        return;
    }
    SC_AUTO(cjson_free) cJSON *out = cJSON_CreateObject();
    cJSON_AddStringToObject(out, "user", user);
    cJSON_AddStringToObject(out, "role", role);
    json_set_u64(out, "expires_at", sc_wall_ms() + ttl_ms);
    if (want_token) {
        json_set_strf(out, "token", "%s%s", TOKEN_PREFIX, secret);
        json_set_strf(out, "token_id", "%s", id);
    } else {
        cJSON_AddStringToObject(out, "csrf", csrf);
        snprintf(cookie, sizeof cookie,
                 "Set-Cookie: sc_session=%s; Path=/; Max-Age=%llu; HttpOnly; "
                 "Secure; SameSite=Strict\r\n",
                 secret, (unsigned long long)(ttl_ms / 1000));
    }
    http_reply_json(q->http, 200, cookie, out);
}

void api_login(struct api_request *q)
{
    static const char *const keys[] = { "user",       "password",    "token",
                                        "token_name", "token_ttl_s", NULL };
    struct json_reader in = json_read(q->params, "login");
    const char *user = json_str(&in, "user", 1, API_USER_SIZE - 1);
    const char *password = json_str(&in, "password", 1, AUTH_PASSWORD_MAX);
    bool want_token = json_bool_or(&in, "token", false);
    const char *token_name = json_str_or(&in, "token_name", 128, "");
    int64_t ttl_s =
        json_int_or(&in, "token_ttl_s", 60, TOKEN_TTL_MAX_S, TOKEN_TTL_S);
    json_only(&in, keys);
    struct sc_err err = { 0 };
    if (json_done(&in, &err) < 0) {
        api_fail(q, &err);
        return;
    }
    if (!may_try(q, user))
        return;
    SC_AUTO(api_answer_clear) struct api_answer u;
    if (check_password(q, user, password, &u, &err) < 0) {
        api_fail(q, &err);
        return;
    }
    give_try_back(q->api, http_remote(q->http), user);
    answer_login(q, user, str_of(u.result, "role"), want_token, token_name,
                 ttl_s);
}

void api_logout(struct api_request *q)
{
    SC_AUTO(api_answer_clear) struct api_answer a;
    api_call(q->api, "session.del", NULL, one("id", q->session_id), &a);
    if (a.err.code) {
        api_fail(q, &a.err);
        return;
    }
    SC_AUTO(cjson_free) cJSON *out = cJSON_CreateObject();
    http_reply_json(q->http, 200,
                    "Set-Cookie: sc_session=; Path=/; Max-Age=0; HttpOnly; "
                    "Secure; SameSite=Strict\r\n",
                    out);
}

void api_session_show(struct api_request *q)
{
    SC_AUTO(cjson_free) cJSON *out = cJSON_CreateObject();
    cJSON_AddStringToObject(out, "user", q->user);
    cJSON_AddStringToObject(out, "role", api_role_name(q->caller.role));
    cJSON_AddStringToObject(out, "csrf", q->csrf);
    json_set_u64(out, "expires_at", q->session_expires_at);
    http_reply_json(q->http, 200, "", out);
}

/* --- sessions and the password ------------------------------------------- */

static bool may_see(const struct api_request *q, const cJSON *session)
{
    return q->caller.role >= API_ROLE_ADMIN ||
           strcmp(str_of(session, "user"), q->user) == 0;
}

void api_session_list(struct api_request *q)
{
    SC_AUTO(api_answer_clear) struct api_answer a;
    if (api_call(q->api, "session.list", NULL, NULL, &a) < 0) {
        api_fail(q, &a.err);
        return;
    }
    SC_AUTO(cjson_free) cJSON *out = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(out, "sessions");
    const cJSON *s;
    cJSON_ArrayForEach(s, cJSON_GetObjectItem(a.result, "sessions"))
    {
        if (!may_see(q, s))
            continue;
        cJSON *copy = cJSON_Duplicate(s, true);
        cJSON_DeleteItemFromObjectCaseSensitive(copy, "csrf");
        cJSON_AddBoolToObject(copy, "current",
                              strcmp(str_of(s, "id"), q->session_id) == 0);
        cJSON_AddItemToArray(list, copy);
    }
    http_reply_json(q->http, 200, "", out);
}

void api_session_delete(struct api_request *q)
{
    const char *id = str_of(q->params, "id");
    SC_AUTO(api_answer_clear) struct api_answer s;
    SC_AUTO(api_answer_clear) struct api_answer a = { 0 };
    int r = api_call(q->api, "session.get", NULL, one("id", id), &s);
    if (r == 0 && !may_see(q, s.result))
        sc_fail(&s.err, -ENOENT, "session '%.64s': not found", id);
    if (s.err.code) {
        api_fail(q, &s.err);
        return;
    }
    api_call(q->api, "session.del", NULL, one("id", id), &a);
    api_reply(q, &a);
}

/* Ends every session of 'user' but 'q's own. */
static void end_others(struct api_request *q, const char *user)
{
    SC_AUTO(api_answer_clear) struct api_answer a;
    if (api_call(q->api, "session.list", NULL, NULL, &a) < 0)
        return;
    const cJSON *s;
    cJSON_ArrayForEach(s, cJSON_GetObjectItem(a.result, "sessions"))
    {
        const char *id = str_of(s, "id");
        if (strcmp(str_of(s, "user"), user) != 0 ||
            strcmp(id, q->session_id) == 0)
            continue;
        SC_AUTO(api_answer_clear) struct api_answer gone;
        api_call(q->api, "session.del", NULL, one("id", id), &gone);
    }
}

int api_user_set(struct api_request *q, const cJSON *record, unsigned role,
                 const char *password, struct sc_err *err)
{
    cJSON *copy = cJSON_Duplicate(record, true);
    if (role) {
        cJSON_DeleteItemFromObjectCaseSensitive(copy, "role");
        cJSON_AddStringToObject(copy, "role", api_role_name(role));
    }
    if (password) {
        char hash[AUTH_HASH_SIZE];
        int r = auth_password_hash(password, hash, err);
        if (r < 0) {
            cJSON_Delete(copy);
            return r;
        }
        cJSON_DeleteItemFromObjectCaseSensitive(copy, "hash");
        cJSON_AddStringToObject(copy, "hash", hash);
    }
    SC_AUTO(api_answer_clear) struct api_answer a;
    int r = api_call(q->api, "user.set", NULL, copy, &a);
    if (r < 0)
        *err = a.err;
    else if (password)
        end_others(q, str_of(record, "user"));
    return r;
}

void api_password_set(struct api_request *q)
{
    static const char *const keys[] = { "old", "new", NULL };
    struct json_reader in = json_read(q->params, "password");
    const char *old = json_str(&in, "old", 1, AUTH_PASSWORD_MAX);
    const char *new = json_str(&in, "new", 1, AUTH_PASSWORD_MAX);
    json_only(&in, keys);
    struct sc_err err = { 0 };
    SC_AUTO(api_answer_clear) struct api_answer u = { 0 };
    if (json_done(&in, &err) < 0) {
        api_fail(q, &err);
        return;
    }
    if (!may_try(q, q->user))
        return;
    if (check_password(q, q->user, old, &u, &err) < 0) {
        /* 403: 401 would send a browser to the login page. */
        err.code = err.code == -EPERM ? -EACCES : err.code;
        api_fail(q, &err);
        return;
    }
    give_try_back(q->api, http_remote(q->http), q->user);
    if (api_user_set(q, u.result, 0, new, &err) < 0) {
        api_fail(q, &err);
        return;
    }
    SC_AUTO(cjson_free) cJSON *out = cJSON_CreateObject();
    http_reply_json(q->http, 200, "", out);
}
