/* profile - see profile.h. */
#include "cli/profile.h"

#include "common/json.h"
#include "common/tls.h"

#include <string.h>
#include <sys/stat.h>

static char *file_path(bool make_dir, struct sc_err *err)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char *dir = NULL, *path = NULL;
    int n = base && *base ? asprintf(&dir, "%s", base)
                          : asprintf(&dir, "%s/.config", home ? home : "/");
    if (n < 0) {
        sc_fail(err, -ENOMEM, "out of memory");
        return NULL;
    }
    if (make_dir)
        mkdir(dir, 0700);
    n = asprintf(&path, "%s/supercloud", dir);
    free(dir);
    if (n < 0)
        return NULL;
    if (make_dir && mkdir(path, 0700) < 0 && errno != EEXIST) {
        sc_fail(err, -errno, "%s: %s", path, strerror(errno));
        free(path);
        return NULL;
    }
    char *file = NULL;
    n = asprintf(&file, "%s/config.json", path);
    free(path);
    if (n < 0)
        sc_fail(err, -ENOMEM, "out of memory");
    return n < 0 ? NULL : file;
}

static char *copy_of(const cJSON *o, const char *key)
{
    const char *s =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
    return s && *s ? strdup(s) : NULL;
}

static int load_file(struct profile *p, struct sc_err *err)
{
    SC_AUTO(free) char *path = file_path(false, err);
    if (!path)
        return err ? err->code : -ENOMEM;
    struct stat st;
    if (stat(path, &st) < 0)
        return 0;
    if (st.st_mode & 077)
        return sc_fail(err, -EACCES,
                       "%s: others can read it (mode %03o); it holds a token, "
                       "make it 600",
                       path, st.st_mode & 0777);
    SC_AUTO(free) char *text = NULL;
    int r = tls_read_file(path, &text, err);
    if (r < 0)
        return r;
    SC_AUTO(cjson_free) cJSON *o = cJSON_Parse(text);
    if (!cJSON_IsObject(o))
        return sc_fail(err, -EINVAL, "%s: not JSON; log in again", path);
    p->url = copy_of(o, "url");
    p->token = copy_of(o, "token");
    p->user = copy_of(o, "user");
    p->ca = copy_of(o, "ca");
    return 0;
}

static void replace(char **slot, const char *value)
{
    free(*slot);
    *slot = value ? strdup(value) : NULL;
}

int profile_load(const char *url, struct profile *ret, struct sc_err *err)
{
    *ret = (struct profile){ 0 };
    struct sc_err why = { 0 };
    int r = load_file(ret, &why);
    if (r < 0) {
        if (err)
            *err = why;
        return r;
    }
    const char *env_url = getenv("SUPERCLOUD_URL");
    const char *env_token = getenv("SUPERCLOUD_TOKEN");
    const char *env_ca = getenv("SUPERCLOUD_CA");
    url = url ? url : env_url && *env_url ? env_url : NULL;
    if (url && (!ret->url || strcmp(url, ret->url) != 0)) {
        profile_clear(ret); /* Another server must not see that token. */
        ret->url = strdup(url);
    }
    if (env_token && *env_token)
        replace(&ret->token, env_token);
    if (env_ca && *env_ca) {
        free(SC_TAKE(ret->ca));
        r = tls_read_file(env_ca, &ret->ca, err);
    }
    return r < 0 ? r : 0;
}

int profile_save(const struct profile *p, struct sc_err *err)
{
    SC_AUTO(free) char *path = file_path(true, err);
    if (!path)
        return -EIO;
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "url", p->url);
    cJSON_AddStringToObject(o, "token", p->token ? p->token : "");
    cJSON_AddStringToObject(o, "user", p->user ? p->user : "");
    cJSON_AddStringToObject(o, "ca", p->ca ? p->ca : "");
    SC_AUTO(free) char *text = cJSON_Print(o);
    if (!text)
        return sc_fail(err, -ENOMEM, "out of memory");
    return tls_write_file(path, text, 0600, err);
}

int profile_forget(struct sc_err *err)
{
    SC_AUTO(free) char *path = file_path(false, err);
    if (!path)
        return -EIO;
    if (unlink(path) < 0 && errno != ENOENT)
        return sc_fail(err, -errno, "%s: %s", path, strerror(errno));
    return 0;
}

void profile_clear(struct profile *p)
{
    free(p->url);
    free(p->token);
    free(p->user);
    free(p->ca);
    *p = (struct profile){ 0 };
}
