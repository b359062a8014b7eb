#include "controller/users.h"

#include "api/api.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/tls.h"
#include "controller/ctl.h"

#include <stdio.h>
#include <sys/stat.h>

enum {
    MAP_MIB = 16384, /* Address space, not memory or disk. */
    PASSWORD_LEN = 20,
    PASSWORD_MAX = 1024,
    PASSWORD_MIN = 8,
};
static const char first_user[] = "admin";

int users_open_store(const struct sc_config *c, struct store **ret,
                     struct sc_err *err)
{
    SC_AUTO(free) char *path = sc_path(c->state_dir, "controller");
    if (!path)
        return sc_fail(err, -ENOMEM, "out of memory");
    if (mkdir(c->state_dir, 0755) < 0 && errno != EEXIST)
        return sc_fail(err, -errno, "%s: mkdir: %s", c->state_dir,
                       strerror(errno));
    return store_lmdb_open(path, MAP_MIB, ctl_tables, ret, err);
}

static int put_record(struct store_txn *t, const char *table, const char *key,
                      const cJSON *record, struct sc_err *err)
{
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(record);
    if (!text)
        return sc_fail(err, -ENOMEM, "out of memory");
    return store_put(t, table, store_str(key), store_str(text), err);
}

static int user_put(struct store_txn *t, const char *user, const char *role,
                    const char *password, struct sc_err *err)
{
    char hash[API_HASH_SIZE];
    int r = api_password_hash(password, hash, err);
    if (r < 0)
        return r;
    SC_AUTO(cjson_free) cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "user", user);
    cJSON_AddStringToObject(j, "role", role);
    cJSON_AddStringToObject(j, "hash", hash);
    json_set_u64(j, "created_at", sc_wall_ms());
    return put_record(t, "users", user, j, err);
}

static int found(void *arg, struct store_slice key, struct store_slice value)
{
    (void)arg;
    (void)key;
    (void)value;
    return 1;
}

/* Letters and digits that nobody confuses; 32 of them: 5 bits each. */
static int random_password(char ret[PASSWORD_LEN + 1], struct sc_err *err)
{
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789A";
    uint8_t bytes[PASSWORD_LEN];
    if (tls_random(bytes, sizeof bytes) < 0)
        return sc_fail(err, -EIO, "no random numbers");
    for (size_t i = 0; i < PASSWORD_LEN; i++)
        ret[i] = letters[bytes[i] % 32];
    ret[PASSWORD_LEN] = '\0';
    return 0;
}

int users_first(struct store *store, const struct sc_config *c,
                struct sc_err *err)
{
    SC_AUTO(store_abort) struct store_txn *t = NULL;
    char password[PASSWORD_LEN + 2];
    int r = store_begin(store, true, &t, err);
    if (r < 0)
        return r;
    r = store_each(t, "users", (struct store_slice){ "", 0 }, found, NULL);
    if (r != 0)
        return r < 0 ? sc_fail(err, r, "users: reading the store") : 0;
    SC_AUTO(free)
    char *path = sc_path(c->state_dir, "controller/initial-password");
    if (!path)
        return sc_fail(err, -ENOMEM, "out of memory");
    r = random_password(password, err);
    if (r == 0)
        r = user_put(t, first_user, "admin", password, err);
    if (r < 0)
        return r;
    password[PASSWORD_LEN] = '\n';
    password[PASSWORD_LEN + 1] = '\0';
    /* The file first: a user whose password nobody can read helps nobody. */
    r = tls_write_file(path, password, 0600, err);
    if (r == 0)
        r = store_commit(SC_TAKE(t), err);
    if (r == 0)
        sc_log(SC_LOG_INFO, "user.first", "user", first_user, "password_file",
               path, NULL);
    return r;
}

static int read_password(char *ret, size_t size, struct sc_err *err)
{
    if (!fgets(ret, (int)size, stdin))
        return sc_fail(err, -EINVAL,
                       "no password on standard input: printf '%%s\\n' "
                       "PASSWORD | sc-controller --set-password USER");
    ret[strcspn(ret, "\r\n")] = '\0';
    if (strlen(ret) < PASSWORD_MIN)
        return sc_fail(err, -EINVAL, "the password has fewer than %d bytes",
                       PASSWORD_MIN);
    return 0;
}

struct own_sessions {
    const char *user;
    cJSON *ids;
};

static int collect_session(void *arg, struct store_slice key,
                           struct store_slice value)
{
    struct own_sessions *o = arg;
    SC_AUTO(cjson_free)
    cJSON *j = cJSON_ParseWithLength(value.data, value.size);
    (void)key;
    const char *user = cJSON_GetStringValue(cJSON_GetObjectItem(j, "user"));
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItem(j, "id"));
    if (user && id && !strcmp(user, o->user))
        cJSON_AddItemToArray(o->ids, cJSON_CreateString(id));
    return 0;
}

static int drop_sessions(struct store_txn *t, const char *user,
                         struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *ids = cJSON_CreateArray();
    struct own_sessions o = { user, ids };
    const cJSON *id;
    int r = store_each(t, "sessions", (struct store_slice){ "", 0 },
                       collect_session, &o);
    cJSON_ArrayForEach(id, ids)
    {
        if (r == 0)
            r = store_del(t, "sessions", store_str(id->valuestring), err);
    }
    return r;
}

int users_set_password(const struct sc_config *c, const char *user,
                       struct sc_err *err)
{
    SC_AUTO(store_close) struct store *store = NULL;
    SC_AUTO(store_abort) struct store_txn *t = NULL;
    char password[PASSWORD_MAX], role[16] = "admin";
    struct store_slice old;
    if (!sc_name_ok(user))
        return sc_fail(err, -EINVAL, "'%.64s' is not a user's name", user);
    int r = read_password(password, sizeof password, err);
    if (r == 0)
        r = users_open_store(c, &store, err);
    if (r == 0)
        r = store_begin(store, true, &t, err);
    if (r < 0)
        return r;
    if (store_get(t, "users", store_str(user), &old) == 0) {
        SC_AUTO(cjson_free)
        cJSON *j = cJSON_ParseWithLength(old.data, old.size);
        const char *is = cJSON_GetStringValue(cJSON_GetObjectItem(j, "role"));
        if (is)
            OBJ_SET(role, is);
    }
    r = user_put(t, user, role, password, err);
    if (r == 0)
        r = drop_sessions(t, user, err);
    return r < 0 ? r : store_commit(SC_TAKE(t), err);
}
