/* fake_providers - accounts at the simulated clouds, and their images. */
#include "tests/lib/fake_providers.h"

#include "common/json.h"

#include <string.h>

#define OP(name)                                                               \
    static int name(struct fake_cluster *f, const struct api_caller *who,      \
                    const cJSON *p, int *status, cJSON **ret,                  \
                    struct sc_err *err)
#define UNUSED (void)f, (void)who, (void)p, (void)status, (void)ret, (void)err

cJSON *fake_add_object(struct fake_cluster *f, enum fake_list list)
{
    char id[SC_UUID_LEN + 1];
    sc_uuid_new(id);
    cJSON *o = cJSON_CreateObject();
    fake_set_str(o, "id", id);
    fake_set_num(o, "created_at", (double)sc_wall_ms());
    cJSON_AddItemToArray(f->lists[list], o);
    return o;
}

cJSON *fake_account(struct fake_cluster *f, const cJSON *p, struct sc_err *err)
{
    return fake_find(f, FAKE_PROVIDERS, fake_str(p, "id"), err);
}

cJSON *fake_cloud(struct fake_cluster *f, const cJSON *p, struct sc_err *err)
{
    cJSON *a = fake_account(f, p, err);
    if (!a || strncmp(fake_str(a, "name"), "broken-", 7) != 0)
        return a;
    sc_fail(err, -EHOSTUNREACH,
            "%s: api.example.net: connection timed out, after 5 tries; is the "
            "controller's way to the internet open?",
            fake_str(a, "driver"));
    return NULL;
}

cJSON *fake_of_account(struct fake_cluster *f, enum fake_list list,
                       const cJSON *account, const char *what,
                       struct sc_err *err)
{
    cJSON *o;
    cJSON_ArrayForEach(o, f->lists[list])
    {
        if (strcmp(fake_str(o, "provider"), fake_str(account, "id")) == 0 &&
            (strcmp(fake_str(o, "id"), what) == 0 ||
             strcmp(fake_str(o, "name"), what) == 0))
            return o;
    }
    sc_fail(err, -ENOENT, "%s '%s' of provider '%s': not found",
            list == FAKE_INSTANCES ? "instance" : "image", what,
            fake_str(account, "name"));
    return NULL;
}

/* --- accounts --------------------------------------------------------------
 */

OP(drivers)
{
    UNUSED;
    *ret = cJSON_CreateObject();
    cJSON_AddItemToObject(*ret, "drivers", fake_drivers_json());
    return 0;
}

/* What anybody may see: never the secret. */
static cJSON *public_json(const cJSON *account)
{
    cJSON *o = cJSON_Duplicate(account, true);
    cJSON_DeleteItemFromObjectCaseSensitive(o, "secret");
    return o;
}

static void changed(struct fake_cluster *f, const cJSON *account)
{
    SC_AUTO(cjson_free) cJSON *o = public_json(account);
    fake_changed(f, FAKE_PROVIDERS, o, false);
}

OP(provider_list)
{
    UNUSED;
    *ret = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(*ret, "providers"), *a;
    cJSON_ArrayForEach(a, f->lists[FAKE_PROVIDERS])
        cJSON_AddItemToArray(list, public_json(a));
    return 0;
}

OP(provider_show)
{
    UNUSED;
    const cJSON *a = fake_account(f, p, err);
    if (!a)
        return -ENOENT;
    *ret = public_json(a);
    return 0;
}

static const cJSON *driver_json(const cJSON *list, const char *name)
{
    const cJSON *d;
    cJSON_ArrayForEach(d, list) if (strcmp(fake_str(d, "name"), name) ==
                                    0) return d;
    return NULL;
}

/* Each setting known and in its half, the required ones there. */
static int check_settings(const char *driver, const cJSON *config,
                          const cJSON *secret, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *all = fake_drivers_json();
    const cJSON *fields =
        cJSON_GetObjectItem(driver_json(all, driver), "fields");
    const cJSON *field, *given;
    cJSON_ArrayForEach(field, fields)
    {
        bool is_secret = cJSON_IsTrue(cJSON_GetObjectItem(field, "secret"));
        const char *name = fake_str(field, "name");
        if (cJSON_IsTrue(cJSON_GetObjectItem(field, "required")) &&
            !fake_str(is_secret ? secret : config, name)[0])
            return sc_fail(err, -EINVAL, "%s: '%s' is required", driver, name);
    }
    for (int half = 0; half < 2; half++) {
        cJSON_ArrayForEach(given, (half ? secret : config))
        {
            const cJSON *known = NULL;
            cJSON_ArrayForEach(
                field, fields) if (strcmp(fake_str(field, "name"),
                                          given->string) == 0) known = field;
            if (!known ||
                cJSON_IsTrue(cJSON_GetObjectItem(known, "secret")) != half)
                return sc_fail(err, -EINVAL, "%s: no setting '%s' here", driver,
                               given->string);
        }
    }
    return 0;
}

static int try_credential(cJSON *account, const cJSON *secret,
                          struct sc_err *err)
{
    const char *driver = fake_str(account, "driver");
    const cJSON *s;
    cJSON_ArrayForEach(s, secret)
    {
        const char *v = cJSON_GetStringValue(s);
        if (v && strncmp(v, "wrong", 5) == 0)
            return sc_fail(err, -EACCES,
                           "%s: AuthFailure: the credential is not valid "
                           "(request id fake-0001); check '%s'",
                           driver, s->string);
    }
    if (secret && secret->child)
        fake_set_strf(account, "identity", "account 1234-5678, user %s-robot",
                      driver);
    else
        fake_set_str(account, "identity", "this machine");
    fake_set_str(account, "state", "ok");
    fake_set_null(account, "error");
    fake_set_num(account, "checked_at", (double)sc_wall_ms());
    return 0;
}

static void keep_settings(cJSON *account, const cJSON *config,
                          const cJSON *secret)
{
    cJSON_DeleteItemFromObjectCaseSensitive(account, "config");
    cJSON_DeleteItemFromObjectCaseSensitive(account, "secret");
    cJSON_DeleteItemFromObjectCaseSensitive(account, "has_secret");
    cJSON_AddItemToObject(account, "config", cJSON_Duplicate(config, true));
    cJSON_AddItemToObject(account, "secret", cJSON_Duplicate(secret, true));
    cJSON_AddBoolToObject(account, "has_secret", secret && secret->child);
}

OP(provider_create)
{
    (void)who;
    static const char *const keys[] = { "name",   "driver", "config",
                                        "secret", "check",  NULL };
    struct json_reader in = json_read(p, "provider.create");
    const char *name = json_str(&in, "name", 1, 63);
    const char *driver = json_str(&in, "driver", 1, 63);
    const cJSON *config = json_obj(&in, "config");
    SC_AUTO(cjson_free) cJSON *none = cJSON_CreateObject();
    const cJSON *secret = cJSON_GetObjectItem(p, "secret");
    bool check = json_bool_or(&in, "check", true);
    json_only(&in, keys);
    if (json_done(&in, err) < 0)
        return -EINVAL;
    if (!secret)
        secret = none;
    if (!sc_name_ok(name))
        return sc_fail(err, -EINVAL, "name: '%s' is not a name", name);
    if (fake_find(f, FAKE_PROVIDERS, name, NULL))
        return sc_fail(err, -EEXIST, "provider '%s': exists already", name);
    if (!fake_driver_find(driver))
        return sc_fail(err, -ENOENT, "driver '%s': not found", driver);
    int r = check_settings(driver, config, secret, err);
    if (r < 0)
        return r;
    SC_AUTO(cjson_free) cJSON *made = cJSON_CreateObject();
    fake_set_str(made, "driver", driver);
    if (check && (r = try_credential(made, secret, err)) < 0)
        return r;
    cJSON *a = fake_add_object(f, FAKE_PROVIDERS);
    fake_set_str(a, "name", name);
    fake_set_str(a, "driver", driver);
    fake_set_str(a, "identity", fake_str(made, "identity"));
    fake_set_str(a, "state", "ok");
    fake_set_null(a, "error");
    fake_set_num(a, "checked_at", fake_num(made, "checked_at"));
    keep_settings(a, config, secret);
    changed(f, a);
    *ret = public_json(a);
    *status = 201;
    return 0;
}

OP(provider_update)
{
    (void)who, (void)status;
    static const char *const keys[] = { "id", "config", "secret", NULL };
    cJSON *a = fake_account(f, p, err);
    if (!a)
        return -ENOENT;
    struct json_reader in = json_read(p, "provider.update");
    json_only(&in, keys);
    if (json_done(&in, err) < 0)
        return -EINVAL;
    const cJSON *config = cJSON_GetObjectItem(p, "config");
    const cJSON *given = cJSON_GetObjectItem(p, "secret");
    SC_AUTO(cjson_free)
    cJSON *new_config = cJSON_Duplicate(
        config ? config : cJSON_GetObjectItem(a, "config"), true);
    SC_AUTO(cjson_free)
    cJSON *secret =
        cJSON_Duplicate(given ? given : cJSON_GetObjectItem(a, "secret"), true);
    int r = check_settings(fake_str(a, "driver"), new_config, secret, err);
    if (r == 0)
        r = try_credential(a, secret, err);
    if (r < 0)
        return r;
    keep_settings(a, new_config, secret);
    changed(f, a);
    *ret = public_json(a);
    return 0;
}

/* The first of 'list' that belongs to the account. */
static cJSON *first_of(struct fake_cluster *f, enum fake_list list,
                       const cJSON *account)
{
    cJSON *o;
    cJSON_ArrayForEach(o, f->lists[list]) if (strcmp(fake_str(o, "provider"),
                                                     fake_str(account, "id")) ==
                                              0) return o;
    return NULL;
}

OP(provider_delete)
{
    UNUSED;
    cJSON *a = fake_account(f, p, err), *o;
    if (!a)
        return -ENOENT;
    bool force = cJSON_IsTrue(cJSON_GetObjectItem(p, "force"));
    static const enum fake_list owned[] = { FAKE_PUBLISHED, FAKE_INSTANCES,
                                            FAKE_RESOURCES };
    for (int i = 0; i < 2 && !force; i++) {
        o = first_of(f, owned[i], a);
        if (o)
            return sc_fail(err, -EBUSY,
                           "provider '%s': has %s '%s'; remove it, or force",
                           fake_str(a, "name"), i ? "instance" : "image",
                           fake_str(o, "name"));
    }
    for (size_t i = 0; i < SC_ARRAY_LEN(owned); i++)
        while ((o = first_of(f, owned[i], a)))
            fake_remove(f, owned[i], o);
    fake_remove(f, FAKE_PROVIDERS, a);
    return 0;
}

/* --- images -----------------------------------------------------------------
 */

OP(images)
{
    UNUSED;
    const cJSON *a = fake_account(f, p, err), *i;
    if (!a)
        return -ENOENT;
    *ret = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(*ret, "images");
    cJSON_ArrayForEach(
        i, f->lists[FAKE_PUBLISHED]) if (strcmp(fake_str(i, "provider"),
                                                fake_str(a, "id")) == 0)
        cJSON_AddItemToArray(list, cJSON_Duplicate(i, true));
    return 0;
}

OP(image_create)
{
    (void)who;
    static const char *const keys[] = { "id",     "name", "region",
                                        "format", "file", "sha256",
                                        "size",   "boot", "virtual_size",
                                        "distro", NULL };
    static const char *const texts[] = { "region", "format", "file",
                                         "sha256", "distro", "boot" };
    const cJSON *a = fake_account(f, p, err);
    if (!a)
        return -ENOENT;
    const struct fake_driver *d = fake_driver_of(a);
    struct json_reader in = json_read(p, "provider.image_create");
    const char *region = json_str(&in, "region", 1, 63);
    const char *format = json_str(&in, "format", 1, 16);
    const char *distro = json_str_or(&in, "distro", 32, "image");
    const char *name = json_str_or(&in, "name", 63, "");
    json_str(&in, "file", 1, 255);
    json_str(&in, "sha256", 64, 64);
    json_int(&in, "size", 1, 1ll << 40);
    json_int(&in, "virtual_size", 1, 1ll << 40);
    json_only(&in, keys);
    if (json_done(&in, err) < 0)
        return -EINVAL;
    int r = fake_region_check(d, region, err);
    if (r < 0)
        return r;
    if (*d->image_format && strcmp(format, d->image_format) != 0)
        return sc_fail(err, -EINVAL, "%s: takes images as %s, this one is %s",
                       d->name, d->image_format, format);
    char made[64];
    snprintf(made, sizeof made, "supercloud-%.32s-%.8s", distro,
             fake_str(p, "sha256"));
    if (!*name)
        name = made;
    cJSON *old = fake_of_account(f, FAKE_PUBLISHED, a, name, NULL);
    bool again = strcmp(fake_str(old, "state"), "queued") == 0 ||
                 strcmp(fake_str(old, "state"), "failed") == 0;
    if (old && !again)
        return sc_fail(err, -EEXIST,
                       "provider '%s': image '%s' is there already (%s)",
                       fake_str(a, "name"), name, fake_str(old, "state"));
    if (old)
        fake_remove(f, FAKE_PUBLISHED, old);
    cJSON *i = fake_add_object(f, FAKE_PUBLISHED);
    fake_set_str(i, "provider", fake_str(a, "id"));
    fake_set_str(i, "name", name);
    for (size_t k = 0; k < SC_ARRAY_LEN(texts); k++)
        fake_set_str(i, texts[k], fake_str(p, texts[k]));
    fake_set_num(i, "size", fake_num(p, "size"));
    fake_set_num(i, "virtual_size", fake_num(p, "virtual_size"));
    cJSON_AddObjectToObject(i, "options");
    fake_set_num(i, "received", 0);
    fake_set_str(i, "state", "queued");
    fake_set_null(i, "image_id");
    fake_set_null(i, "error");
    fake_set_null(i, "job");
    fake_changed(f, FAKE_PUBLISHED, i, false);
    *ret = cJSON_Duplicate(i, true);
    *status = 201;
    return 0;
}

static cJSON *read_image(struct fake_cluster *f, const cJSON *p,
                         struct sc_err *err)
{
    const cJSON *a = fake_account(f, p, err);
    return a ? fake_of_account(f, FAKE_PUBLISHED, a, fake_str(p, "image"), err)
             : NULL;
}

OP(image_upload_begin)
{
    UNUSED;
    cJSON *i = read_image(f, p, err);
    if (!i)
        return -ENOENT;
    if (strcmp(fake_str(i, "state"), "queued") != 0)
        return sc_fail(err, -EBUSY, "image '%s': is %s, not queued",
                       fake_str(i, "name"), fake_str(i, "state"));
    fake_set_str(i, "state", "uploading");
    fake_changed(f, FAKE_PUBLISHED, i, false);
    *ret = cJSON_Duplicate(i, true);
    return 0;
}

OP(image_upload_progress)
{
    UNUSED;
    cJSON *i = read_image(f, p, err);
    if (!i)
        return -ENOENT;
    fake_set_num(i, "received", fake_num(p, "received"));
    fake_changed(f, FAKE_PUBLISHED, i, false);
    return 0;
}

OP(image_upload)
{
    (void)who;
    cJSON *i = read_image(f, p, err), *answer = NULL;
    if (!i)
        return -ENOENT;
    if (unlink(fake_str(p, "path")) < 0)
        return sc_fail(err, -errno, "image: %s: %s", fake_str(p, "path"),
                       strerror(errno));
    fake_set_num(i, "received", fake_num(i, "size"));
    fake_set_str(i, "state", "publishing");
    fake_provider_job(f, "provider.publish", fake_account(f, p, NULL), i,
                      fake_str(i, "name"), status, &answer);
    cJSON_Delete(answer);
    fake_changed(f, FAKE_PUBLISHED, i, false);
    *ret = cJSON_Duplicate(i, true);
    *status = 202;
    return 0;
}

OP(image_upload_abort)
{
    UNUSED;
    cJSON *i = read_image(f, p, err);
    if (!i)
        return -ENOENT;
    fake_set_str(i, "state", "queued");
    fake_set_str(i, "error", fake_str(p, "reason"));
    fake_set_num(i, "received", 0);
    fake_changed(f, FAKE_PUBLISHED, i, false);
    return 0;
}

OP(image_delete)
{
    (void)who;
    cJSON *i = read_image(f, p, err);
    if (!i)
        return -ENOENT;
    if (fake_str(i, "job")[0] || strcmp(fake_str(i, "state"), "uploading") == 0)
        return sc_fail(err, -EBUSY, "image '%s': is %s", fake_str(i, "name"),
                       fake_str(i, "state"));
    fake_set_str(i, "state", "deleting");
    fake_provider_job(f, "provider.image_delete", fake_account(f, p, NULL), i,
                      fake_str(i, "name"), status, ret);
    fake_changed(f, FAKE_PUBLISHED, i, false);
    return 0;
}

static const struct {
    const char *name;
    fake_op *fn;
} ops[] = {
    { "provider.drivers", drivers },
    { "provider.list", provider_list },
    { "provider.show", provider_show },
    { "provider.create", provider_create },
    { "provider.update", provider_update },
    { "provider.delete", provider_delete },
    { "provider.regions", fake_op_regions },
    { "provider.types", fake_op_types },
    { "provider.prices", fake_op_prices },
    { "provider.images", images },
    { "provider.image_create", image_create },
    { "provider.image_upload_begin", image_upload_begin },
    { "provider.image_upload_progress", image_upload_progress },
    { "provider.image_upload", image_upload },
    { "provider.image_upload_abort", image_upload_abort },
    { "provider.image_delete", image_delete },
    { "provider.instances", fake_op_instances },
    { "provider.launch", fake_op_launch },
    { "provider.terminate", fake_op_terminate },
    { "provider.fence", fake_op_fence },
    { "provider.console_log", fake_op_instance_log },
    { "provider.gc", fake_op_gc },
    { "node.user_data", fake_op_user_data },
};

fake_op *fake_provider_op_find(const char *op)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(ops); i++)
        if (strcmp(ops[i].name, op) == 0)
            return ops[i].fn;
    return NULL;
}
