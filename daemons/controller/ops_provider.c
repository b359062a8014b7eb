/* Accounts at providers, and what their drivers can be asked at once. */
#include "common/log.h"
#include "controller/providers.h"
#include "controller/secrets.h"
#include "controller/worker.h"

#include <stdio.h>

struct provider_op *provider_op_new(struct op_call *c)
{
    struct provider_op *q = calloc(1, sizeof *q);
    if (q)
        q->params = cJSON_Duplicate(c->params, true);
    if (!q || !q->params) {
        provider_op_free(q);
        op_failf(c, -ENOMEM, "provider: out of memory");
        return NULL;
    }
    q->c = *c;
    OBJ_SET(q->user, c->who->user);
    q->c.who = NULL;
    q->c.params = q->params;
    return q;
}

void provider_op_free(struct provider_op *q)
{
    if (!q)
        return;
    worker_wipe(q->params); /* A secret may be among them. */
    cJSON_Delete(q->params);
    account_free(q->draft);
    free(q);
}

struct account *op_account(struct op_call *c)
{
    struct json_reader r = json_read(c->params, "provider");
    const char *id = json_str(&r, "id", 1, OBJ_NAME);
    struct sc_err err;
    if (json_done(&r, &err) < 0) {
        op_fail(c, &err);
        return NULL;
    }
    struct account *a = ctl_account_find(c->ctl, id);
    if (!a)
        op_failf(c, -ENOENT, "provider '%s': not found", id);
    return a;
}

static void drivers_there(void *arg, const struct sc_err *err)
{
    struct provider_op *q = arg;
    if (!err) {
        q->next(q);
        return;
    }
    op_fail(&q->c, err);
    provider_op_free(q);
}

void provider_op_with_drivers(struct provider_op *q,
                              void (*fn)(struct provider_op *q))
{
    q->next = fn;
    ctl_drivers(q->c.ctl, drivers_there, q);
}

/* --- reading -----------------------------------------------------------------
 */

static void drivers_next(struct provider_op *taken)
{
    SC_AUTO(provider_op_free) struct provider_op *q = taken;
    cJSON *j = cJSON_CreateObject();
    cJSON_AddItemToObject(j, "drivers",
                          cJSON_Duplicate(q->c.ctl->drivers, true));
    op_reply(&q->c, 0, j);
}

void op_provider_drivers(struct op_call *c)
{
    struct provider_op *q = provider_op_new(c);
    if (q)
        provider_op_with_drivers(q, drivers_next);
}

void op_provider_list(struct op_call *c)
{
    cJSON *j = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(j, "providers");
    for (size_t i = 0; i < c->ctl->accounts.n; i++)
        cJSON_AddItemToArray(list, ctl_account_json(c->ctl->accounts.items[i]));
    op_reply(c, 0, j);
}

void op_provider_show(struct op_call *c)
{
    const struct account *a = op_account(c);
    if (a)
        op_reply(c, 0, ctl_account_json(a));
}

/* --- create and update: the credential is tried first ------------------------
 */

static int check_size(const cJSON *j, const char *what, struct sc_err *err)
{
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(j);
    size_t size = text ? strlen(text) : 0;
    if (text)
        explicit_bzero(text, size);
    return size > PROVIDER_CONFIG_MAX
               ? sc_fail(err, -EFBIG, "provider: '%s': %zu bytes, at most %d",
                         what, size, PROVIDER_CONFIG_MAX)
               : 0;
}

static const cJSON *object_of(const cJSON *params, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(params, key);
}

static int check_params(const cJSON *params, struct sc_err *err)
{
    static const char *const keys[] = { "config", "secret" };
    for (size_t i = 0; i < SC_ARRAY_LEN(keys); i++) {
        const cJSON *o = object_of(params, keys[i]);
        if (o && !cJSON_IsObject(o))
            return sc_fail(err, -EINVAL, "provider: '%s': must be an object",
                           keys[i]);
        int r = o ? check_size(o, keys[i], err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

/* The account as it is to be stored, tried or not. */
static void store(struct provider_op *q)
{
    struct ctl *ctl = q->c.ctl;
    struct sc_err err;
    struct account *a = ctl_account_find(ctl, q->draft->id);
    bool is_new = !a;
    if (is_new && q->is_update) {
        op_failf(&q->c, -ENOENT, "provider '%s': was removed", q->draft->name);
        return;
    }
    if (is_new && ctl_account_find(ctl, q->draft->name)) {
        op_failf(&q->c, -EEXIST, "provider '%s': exists already",
                 q->draft->name);
        return;
    }
    if (is_new) {
        if (!ctl_list_add(&ctl->accounts, q->draft)) {
            op_failf(&q->c, -ENOMEM, "provider: out of memory");
            return;
        }
        a = SC_TAKE(q->draft);
    } else {
        struct account old = *a;
        *a = *q->draft;
        *q->draft = old;
    }
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_put_account(x, a);
    if (ctl_txn_commit(x, &err) < 0)
        op_fail(&q->c, &err);
    else
        op_reply(&q->c, is_new ? 201 : 0, ctl_account_json(a));
}

static void tried(void *arg, const cJSON *result, const struct sc_err *err)
{
    SC_AUTO(provider_op_free) struct provider_op *q = arg;
    struct ctl *ctl = q->c.ctl;
    if (err->code || ctl->stopping || ctl->broken) {
        op_fail(&q->c, err->code ? err
                                 : &(struct sc_err){ .code = -ESHUTDOWN,
                                                     .text = "stopping" });
        return;
    }
    const char *identity = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(result, "identity"));
    OBJ_SET(q->draft->identity, identity ? identity : "");
    q->draft->failed = false;
    q->draft->error[0] = '\0';
    q->draft->checked_at = ctl_now(ctl);
    store(q);
}

static void try_or_store(struct provider_op *taken, bool check)
{
    SC_AUTO(provider_op_free) struct provider_op *q = taken;
    struct sc_err err;
    if (!check)
        store(q);
    else if (account_call(q->c.ctl, q->draft, "check", NULL, NULL, NULL,
                          PROVIDER_QUERY_MS, NULL, tried, q, &err) < 0)
        op_fail(&q->c, &err);
    else
        (void)SC_TAKE(q);
}

static int create_read(struct ctl *ctl, const cJSON *params, struct account *a,
                       bool *ret_check, struct sc_err *err)
{
    static const char *const keys[] = { "name",   "driver", "config",
                                        "secret", "check",  NULL };
    struct json_reader r = json_read(params, "provider.create");
    OBJ_SET(a->name, json_str(&r, "name", 1, OBJ_NAME - 1));
    OBJ_SET(a->driver, json_str(&r, "driver", 1, OBJ_NAME - 1));
    *ret_check = json_bool_or(&r, "check", true);
    json_only(&r, keys);
    int e = json_done(&r, err);
    if (e == 0)
        e = check_params(params, err);
    if (e < 0)
        return e;
    if (!sc_name_ok(a->name))
        return sc_fail(err, -EINVAL, "provider: 'name' '%s': is not a name",
                       a->name);
    if (ctl_account_find(ctl, a->name))
        return sc_fail(err, -EEXIST, "provider '%s': exists already", a->name);
    const cJSON *driver = ctl_driver(ctl, a->driver);
    if (!driver)
        return sc_fail(err, -ENOENT,
                       "driver '%s': there is none; see 'supercloud provider "
                       "drivers'",
                       a->driver);
    const cJSON *config = object_of(params, "config");
    e = driver_check_fields(driver, config, object_of(params, "secret"), err);
    if (e < 0)
        return e;
    a->config = config ? cJSON_Duplicate(config, true) : cJSON_CreateObject();
    sc_uuid_new(a->id);
    a->created_at = ctl_now(ctl);
    return account_seal(ctl, a, object_of(params, "secret"), err);
}

static void create_next(struct provider_op *taken)
{
    SC_AUTO(provider_op_free) struct provider_op *q = taken;
    struct sc_err err;
    bool check = true;
    q->draft = calloc(1, sizeof *q->draft);
    if (!q->draft)
        op_failf(&q->c, -ENOMEM, "provider: out of memory");
    else if (create_read(q->c.ctl, q->params, q->draft, &check, &err) < 0)
        op_fail(&q->c, &err);
    else
        try_or_store(SC_TAKE(q), check);
}

void op_provider_create(struct op_call *c)
{
    struct provider_op *q = provider_op_new(c);
    if (q)
        provider_op_with_drivers(q, create_next);
}

/* The secrets that are to be good from now on: given ones, or the old. */
static int update_secret(struct ctl *ctl, const struct account *old,
                         const cJSON *secret, struct account *a,
                         const cJSON *driver, struct sc_err *err)
{
    if (secret) {
        int r = driver_check_fields(driver, a->config, secret, err);
        return r < 0 ? r : account_seal(ctl, a, secret, err);
    }
    SC_AUTO(secrets_free_text) char *text = NULL;
    if (old->sealed) {
        int r = ctl_unseal(ctl, old->id, old->sealed, &text, err);
        if (r < 0)
            return r;
    }
    SC_AUTO(cjson_free) cJSON *kept = text ? cJSON_Parse(text) : NULL;
    int r = driver_check_fields(driver, a->config, kept, err);
    worker_wipe(kept);
    if (r == 0 && old->sealed && !(a->sealed = strdup(old->sealed)))
        r = sc_fail(err, -ENOMEM, "provider: out of memory");
    return r;
}

static void update_next(struct provider_op *taken)
{
    static const char *const keys[] = { "id", "config", "secret", NULL };
    SC_AUTO(provider_op_free) struct provider_op *q = taken;
    struct ctl *ctl = q->c.ctl;
    struct sc_err err;
    const struct account *old = op_account(&q->c);
    if (!old)
        return;
    struct json_reader r = json_read(q->params, "provider.update");
    json_only(&r, keys);
    const cJSON *config = object_of(q->params, "config");
    const cJSON *driver = ctl_driver(ctl, old->driver);
    struct account *a = q->draft = calloc(1, sizeof *a);
    if (!a || json_done(&r, &err) < 0 || check_params(q->params, &err) < 0) {
        if (!a)
            sc_fail(&err, -ENOMEM, "provider: out of memory");
        op_fail(&q->c, &err);
        return;
    }
    q->is_update = true;
    *a = *old;
    a->sealed = NULL;
    a->config = cJSON_Duplicate(config ? config : old->config, true);
    if (!driver)
        op_failf(&q->c, -ENOENT, "driver '%s': there is none", old->driver);
    else if (update_secret(ctl, old, object_of(q->params, "secret"), a, driver,
                           &err) < 0)
        op_fail(&q->c, &err);
    else
        try_or_store(SC_TAKE(q), true);
}

void op_provider_update(struct op_call *c)
{
    struct provider_op *q = provider_op_new(c);
    if (q)
        provider_op_with_drivers(q, update_next);
}

/* --- delete ------------------------------------------------------------------
 */

static int in_use(struct ctl *ctl, const struct account *a, bool force,
                  struct sc_err *err)
{
    const struct job *job = ctl_account_job(ctl, a->id);
    if (job)
        return sc_fail(err, -EBUSY, "provider '%s': job %s (%s) is under way",
                       a->name, job->id, job->kind->name);
    for (size_t i = 0; !force && i < ctl->published.n; i++) {
        const struct published *p = ctl->published.items[i];
        if (!strcmp(p->account, a->id) && p->state != PUBLISHED_FAILED)
            return sc_fail(err, -EBUSY, "provider '%s': has image '%s'",
                           a->name, p->name);
    }
    for (size_t i = 0; !force && i < ctl->launched.n; i++) {
        const struct launched *l = ctl->launched.items[i];
        if (!strcmp(l->account, a->id))
            return sc_fail(err, -EBUSY, "provider '%s': has instance '%s' (%s)",
                           a->name, l->name, l->id);
    }
    return 0;
}

void op_provider_delete(struct op_call *c)
{
    struct ctl *ctl = c->ctl;
    struct account *a = op_account(c);
    struct sc_err err;
    if (!a)
        return;
    if (in_use(ctl, a, op_flag(c->params, "force"), &err) < 0) {
        op_fail(c, &err);
        return;
    }
    struct ctl_txn *x = ctl_txn_begin(ctl);
    for (size_t i = ctl->published.n; i-- > 0;) {
        if (!strcmp(ctl->published.items[i]->account, a->id))
            ctl_drop_published(ctl, x, ctl->published.items[i]);
    }
    for (size_t i = ctl->launched.n; i-- > 0;) {
        if (!strcmp(ctl->launched.items[i]->account, a->id))
            ctl_drop_launched(ctl, x, ctl->launched.items[i]);
    }
    sc_log(SC_LOG_INFO, "provider.delete", "provider", a->name, NULL);
    ctl_drop_account(ctl, x, a);
    if (ctl_txn_commit(x, &err) < 0)
        op_fail(c, &err);
    else
        op_reply(c, 0, NULL);
}

/* --- questions to the driver -------------------------------------------------
 */

static void asked(void *arg, const cJSON *result, const struct sc_err *err)
{
    SC_AUTO(provider_op_free) struct provider_op *q = arg;
    if (!q->c.ctl->stopping && !q->c.ctl->broken)
        account_heard(q->c.ctl, q->account, err);
    if (err->code)
        op_fail(&q->c, err);
    else
        op_reply(&q->c, 0, cJSON_Duplicate(result, true));
}

/* 'call' with those of 'keys' (NULL-ended) that are in the params. */
static void ask(struct op_call *c, const char *call, const char *const keys[])
{
    const struct account *a = op_account(c);
    struct json_reader r = json_read(c->params, call);
    SC_AUTO(cjson_free) cJSON *args = cJSON_CreateObject();
    struct sc_err err;
    if (!a)
        return;
    for (; *keys; keys++) {
        const char *v = json_str_or(&r, *keys, OBJ_NAME - 1, "");
        if (v[0])
            cJSON_AddStringToObject(args, *keys, v);
    }
    if (json_done(&r, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    struct provider_op *q = provider_op_new(c);
    if (!q)
        return;
    OBJ_SET(q->account, a->id);
    if (account_call(c->ctl, a, call, SC_TAKE(args), NULL, NULL,
                     PROVIDER_QUERY_MS, NULL, asked, q, &err) < 0) {
        provider_op_free(q);
        op_fail(c, &err);
    }
}

void op_provider_regions(struct op_call *c)
{
    static const char *const keys[] = { NULL };
    ask(c, "regions", keys);
}

void op_provider_types(struct op_call *c)
{
    static const char *const keys[] = { "region", NULL };
    ask(c, "types", keys);
}

void op_provider_prices(struct op_call *c)
{
    static const char *const keys[] = { "region", "type", NULL };
    ask(c, "prices", keys);
}
