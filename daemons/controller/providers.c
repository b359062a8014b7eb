#include "controller/providers.h"

#include "common/log.h"

#include <assert.h>
#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>

void account_free(struct account *a)
{
    if (!a)
        return;
    cJSON_Delete(a->config);
    free(a->sealed);
    free(a);
}

void published_free(struct published *p)
{
    if (!p)
        return;
    cJSON_Delete(p->options);
    free(p);
}

void published_move(struct published *p, enum published_state to)
{
    assert(published_state_may(p->state, to));
    p->state = to;
}

/* --- find ------------------------------------------------------------------
 */

struct account *ctl_account_find(struct ctl *ctl, const char *wanted)
{
    for (size_t i = 0; i < ctl->accounts.n; i++) {
        if (!strcmp(ctl->accounts.items[i]->id, wanted))
            return ctl->accounts.items[i];
    }
    for (size_t i = 0; i < ctl->accounts.n; i++) {
        if (!strcmp(ctl->accounts.items[i]->name, wanted))
            return ctl->accounts.items[i];
    }
    return NULL;
}

struct published *ctl_published_find(struct ctl *ctl, const char *account,
                                     const char *wanted, const char *region)
{
    struct published *other = NULL;
    for (size_t i = 0; wanted[0] && i < ctl->published.n; i++) {
        struct published *p = ctl->published.items[i];
        if (strcmp(p->account, account) != 0)
            continue;
        if (!strcmp(p->id, wanted))
            return p;
        if (strcmp(p->name, wanted) != 0 && strcmp(p->image_id, wanted) != 0)
            continue;
        if (region[0] && !strcmp(p->region, region))
            return p;
        if (!other || other->state == PUBLISHED_FAILED)
            other = p;
    }
    return other;
}

struct launched *ctl_launched_find(struct ctl *ctl, const char *account,
                                   const char *id)
{
    for (size_t i = 0; i < ctl->launched.n; i++) {
        struct launched *l = ctl->launched.items[i];
        if (!strcmp(l->account, account) &&
            (!strcmp(l->id, id) || !strcmp(l->name, id)))
            return l;
    }
    return NULL;
}

struct launched *ctl_launched_of_node(struct ctl *ctl, const char *node_id)
{
    for (size_t i = 0; node_id[0] && i < ctl->launched.n; i++) {
        if (!strcmp(ctl->launched.items[i]->node, node_id))
            return ctl->launched.items[i];
    }
    return NULL;
}

const struct job *ctl_account_job(struct ctl *ctl, const char *account)
{
    for (size_t i = 0; i < ctl->jobs.n; i++) {
        const struct job *job = ctl->jobs.items[i];
        if (!job_ended(job) && !strcmp(job_str(job, "provider"), account))
            return job;
    }
    return NULL;
}

int account_region(const struct account *a, const char *given,
                   char ret[OBJ_NAME], struct sc_err *err)
{
    static const char *const keys[] = { "region", "regions", "location" };
    for (size_t i = 0; !given[0] && i < SC_ARRAY_LEN(keys); i++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(a->config, keys[i]);
        if (cJSON_IsArray(v))
            v = v->child;
        if (cJSON_IsString(v))
            given = v->valuestring;
    }
    size_t len = strcspn(given, ", ");
    if (len == 0 || len >= OBJ_NAME)
        return sc_fail(err, -EINVAL, "provider '%s': say in which 'region'",
                       a->name);
    memcpy(ret, given, len);
    ret[len] = '\0';
    return 0;
}

/* --- stored forms -----------------------------------------------------------
 */

void ctl_put_account(struct ctl_txn *x, const struct account *a)
{
    cJSON *j = ctl_account_json(a);
    cJSON_DeleteItemFromObjectCaseSensitive(j, "has_secret");
    if (a->sealed)
        cJSON_AddStringToObject(j, "sealed", a->sealed);
    ctl_put_json(x, "providers", a->id, j);
    ctl_announce(x, "provider", a->id);
}

void ctl_put_published(struct ctl_txn *x, const struct published *p)
{
    cJSON *j = ctl_published_json(p);
    cJSON_DeleteItemFromObjectCaseSensitive(j, "received");
    cJSON_AddStringToObject(j, "path", p->path);
    cJSON_AddStringToObject(j, "token", p->token);
    ctl_put_json(x, "published", p->id, j);
    ctl_announce(x, "provider-image", p->id);
}

void ctl_put_launched(struct ctl_txn *x, const struct launched *l)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "provider", l->account);
    cJSON_AddStringToObject(j, "id", l->id);
    cJSON_AddStringToObject(j, "region", l->region);
    cJSON_AddStringToObject(j, "name", l->name);
    cJSON_AddStringToObject(j, "token", l->token);
    cJSON_AddStringToObject(j, "job", l->job);
    cJSON_AddStringToObject(j, "node", l->node);
    json_set_u64(j, "created_at", l->created_at);
    ctl_put_json(x, "launched", l->key, j);
    ctl_announce(x, "provider", l->account);
}

void ctl_drop_account(struct ctl *ctl, struct ctl_txn *x, struct account *a)
{
    ctl_list_remove(&ctl->accounts, a);
    ctl_del(x, "providers", a->id, "provider");
    account_free(a);
}

void ctl_drop_published(struct ctl *ctl, struct ctl_txn *x, struct published *p)
{
    if (p->path[0])
        (void)unlink(p->path);
    ctl_list_remove(&ctl->published, p);
    ctl_del(x, "published", p->id, "provider-image");
    published_free(p);
}

void ctl_drop_launched(struct ctl *ctl, struct ctl_txn *x, struct launched *l)
{
    ctl_list_remove(&ctl->launched, l);
    ctl_del(x, "launched", l->key, NULL);
    ctl_announce(x, "provider", l->account);
    free(l);
}

static void add_or_null(cJSON *j, const char *key, const char *value)
{
    if (value[0])
        cJSON_AddStringToObject(j, key, value);
    else
        cJSON_AddNullToObject(j, key);
}

cJSON *ctl_account_json(const struct account *a)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "id", a->id);
    cJSON_AddStringToObject(j, "name", a->name);
    cJSON_AddStringToObject(j, "driver", a->driver);
    cJSON_AddItemToObject(j, "config", cJSON_Duplicate(a->config, true));
    cJSON_AddBoolToObject(j, "has_secret", a->sealed != NULL);
    add_or_null(j, "identity", a->identity);
    cJSON_AddStringToObject(j, "state", a->failed ? "failed" : "ok");
    add_or_null(j, "error", a->error);
    json_set_u64(j, "created_at", a->created_at);
    json_set_u64(j, "checked_at", a->checked_at);
    return j;
}

cJSON *ctl_published_json(const struct published *p)
{
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "id", p->id);
    cJSON_AddStringToObject(j, "provider", p->account);
    cJSON_AddStringToObject(j, "name", p->name);
    cJSON_AddStringToObject(j, "region", p->region);
    cJSON_AddStringToObject(j, "state", published_state_name(p->state));
    add_or_null(j, "image_id", p->image_id);
    cJSON_AddStringToObject(j, "file", p->file);
    cJSON_AddStringToObject(j, "format", p->format);
    json_set_u64(j, "size", p->size);
    json_set_u64(j, "virtual_size", p->virtual_size);
    cJSON_AddStringToObject(j, "sha256", p->sha256);
    cJSON_AddStringToObject(j, "boot", p->boot);
    add_or_null(j, "distro", p->distro);
    cJSON_AddItemToObject(j, "options",
                          p->options ? cJSON_Duplicate(p->options, true)
                                     : cJSON_CreateObject());
    json_set_u64(j, "received", p->received);
    add_or_null(j, "error", p->error);
    add_or_null(j, "job", p->job);
    json_set_u64(j, "created_at", p->created_at);
    return j;
}

/* --- loading ----------------------------------------------------------------
 */

static uint64_t read_u64(struct json_reader *r, const char *key)
{
    return (uint64_t)json_int_or(r, key, 0, INT64_C(1) << 53, 0);
}

int ctl_account_load(struct ctl *ctl, const char *key, const cJSON *j,
                     struct sc_err *err)
{
    (void)key;
    struct json_reader r = json_read(j, "provider");
    SC_AUTO(account_free) struct account *a = calloc(1, sizeof *a);
    if (!a)
        return sc_fail(err, -ENOMEM, "out of memory");
    OBJ_SET(a->id, json_str(&r, "id", 1, SC_UUID_LEN));
    OBJ_SET(a->name, json_str(&r, "name", 1, OBJ_NAME - 1));
    OBJ_SET(a->driver, json_str(&r, "driver", 1, OBJ_NAME - 1));
    OBJ_SET(a->identity, json_str_or(&r, "identity", OBJ_TEXT - 1, ""));
    OBJ_SET(a->error, json_str_or(&r, "error", OBJ_TEXT - 1, ""));
    a->failed = !strcmp(json_str(&r, "state", 1, 16), "failed");
    a->created_at = read_u64(&r, "created_at");
    a->checked_at = read_u64(&r, "checked_at");
    const cJSON *config = json_obj(&r, "config");
    const char *sealed = json_str_or(&r, "sealed", 4 * PROVIDER_CONFIG_MAX, "");
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    a->config = cJSON_Duplicate(config, true);
    a->sealed = sealed[0] ? strdup(sealed) : NULL;
    if (!a->config || (sealed[0] && !a->sealed) ||
        !ctl_list_add(&ctl->accounts, a))
        return sc_fail(err, -ENOMEM, "out of memory");
    (void)SC_TAKE(a);
    return 0;
}

int ctl_published_load(struct ctl *ctl, const char *key, const cJSON *j,
                       struct sc_err *err)
{
    (void)key;
    struct json_reader r = json_read(j, "provider image");
    SC_AUTO(published_free) struct published *p = calloc(1, sizeof *p);
    if (!p)
        return sc_fail(err, -ENOMEM, "out of memory");
    OBJ_SET(p->id, json_str(&r, "id", 1, SC_UUID_LEN));
    OBJ_SET(p->account, json_str(&r, "provider", 1, SC_UUID_LEN));
    OBJ_SET(p->name, json_str(&r, "name", 1, OBJ_NAME - 1));
    OBJ_SET(p->region, json_str(&r, "region", 0, OBJ_NAME - 1));
    OBJ_SET(p->image_id, json_str_or(&r, "image_id", PROVIDER_ID - 1, ""));
    OBJ_SET(p->file, json_str_or(&r, "file", PROVIDER_ID - 1, ""));
    OBJ_SET(p->format, json_str_or(&r, "format", 15, ""));
    OBJ_SET(p->sha256, json_str_or(&r, "sha256", 64, ""));
    OBJ_SET(p->boot, json_str_or(&r, "boot", 15, ""));
    OBJ_SET(p->distro, json_str_or(&r, "distro", OBJ_NAME - 1, ""));
    OBJ_SET(p->path, json_str_or(&r, "path", sizeof p->path - 1, ""));
    OBJ_SET(p->error, json_str_or(&r, "error", OBJ_TEXT - 1, ""));
    OBJ_SET(p->job, json_str_or(&r, "job", SC_UUID_LEN, ""));
    OBJ_SET(p->token, json_str_or(&r, "token", PROVIDER_TOKEN - 1, ""));
    p->size = read_u64(&r, "size");
    p->virtual_size = read_u64(&r, "virtual_size");
    p->created_at = read_u64(&r, "created_at");
    const char *state = json_str(&r, "state", 1, 16);
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    if (!published_state_parse(state, &p->state))
        return sc_fail(err, -EINVAL, "provider image: state '%s'", state);
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(j, "options");
    if (cJSON_IsObject(options))
        p->options = cJSON_Duplicate(options, true);
    if (!ctl_list_add(&ctl->published, p))
        return sc_fail(err, -ENOMEM, "out of memory");
    (void)SC_TAKE(p);
    return 0;
}

int ctl_launched_load(struct ctl *ctl, const char *key, const cJSON *j,
                      struct sc_err *err)
{
    struct json_reader r = json_read(j, "launched instance");
    SC_AUTO(free) struct launched *l = calloc(1, sizeof *l);
    if (!l)
        return sc_fail(err, -ENOMEM, "out of memory");
    OBJ_SET(l->key, key);
    OBJ_SET(l->account, json_str(&r, "provider", 1, SC_UUID_LEN));
    OBJ_SET(l->id, json_str(&r, "id", 1, PROVIDER_ID - 1));
    OBJ_SET(l->region, json_str_or(&r, "region", OBJ_NAME - 1, ""));
    OBJ_SET(l->name, json_str_or(&r, "name", OBJ_NAME - 1, ""));
    OBJ_SET(l->token, json_str_or(&r, "token", PROVIDER_TOKEN - 1, ""));
    OBJ_SET(l->job, json_str_or(&r, "job", SC_UUID_LEN, ""));
    OBJ_SET(l->node, json_str_or(&r, "node", SC_UUID_LEN, ""));
    l->created_at = read_u64(&r, "created_at");
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    if (!ctl_list_add(&ctl->launched, l))
        return sc_fail(err, -ENOMEM, "out of memory");
    (void)SC_TAKE(l);
    return 0;
}

static bool needed(struct ctl *ctl, const char *path)
{
    for (size_t i = 0; i < ctl->published.n; i++) {
        if (!strcmp(ctl->published.items[i]->path, path))
            return true;
    }
    return false;
}

static void clean_spool(struct ctl *ctl)
{
    DIR *d = ctl->spool_dir[0] ? opendir(ctl->spool_dir) : NULL;
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        SC_AUTO(free) char *path = NULL;
        if (fnmatch("publish-*.image", e->d_name, 0) == 0 &&
            asprintf(&path, "%s/%s", ctl->spool_dir, e->d_name) > 0 &&
            !needed(ctl, path) && unlink(path) == 0)
            sc_log(SC_LOG_INFO, "spool.cleaned", "file", e->d_name, NULL);
    }
    closedir(d);
}

void ctl_providers_begin(struct ctl *ctl)
{
    for (size_t i = 0; i < ctl->published.n; i++) {
        struct published *p = ctl->published.items[i];
        if (p->state != PUBLISHED_UPLOADING)
            continue;
        published_move(p, PUBLISHED_QUEUED);
        OBJ_SET(p->error, "the controller was restarted during the upload");
        struct ctl_txn *x = ctl_txn_begin(ctl);
        ctl_put_published(x, p);
        ctl_txn_commit(x, NULL);
    }
    clean_spool(ctl);
}
