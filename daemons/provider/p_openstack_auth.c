/* p_openstack_auth - tokens and the catalog: Keystone v3 by password or
 * application credential, and Rackspace's identity v2.0 by API key.
 *
 * A token is fetched again well before it ends, so that a long upload does not
 * begin with one about to; and when an answer says 401 (p_openstack_call.c).
 * The catalog is read once: what callers borrow from it stays. */
#include "provider/p_openstack.h"

#include "common/loop.h"

enum {
    RENEW_BEFORE_MS = 10 * 60000,
    TOKEN_MAX = 65536, /* bytes; a header no server takes is longer */
};

void os_forget_token(struct openstack *o)
{
    if (o->token)
        explicit_bzero(o->token, strlen(o->token));
    free(o->token);
    o->token = NULL;
    free(o->user_name);
    free(o->project_id);
    free(o->project_name);
    o->user_name = o->project_id = o->project_name = NULL;
    for (size_t i = 0; i < o->n_endpoints; i++) {
        free(o->endpoints[i].type);
        free(o->endpoints[i].region);
        free(o->endpoints[i].interface);
        free(o->endpoints[i].url);
    }
    free(o->endpoints);
    o->endpoints = NULL;
    o->n_endpoints = 0;
}

static cJSON *domain_json(const char *name)
{
    cJSON *d = cJSON_CreateObject();
    cJSON_AddStringToObject(d, "name", name ? name : "Default");
    return d;
}

static cJSON *keystone_body(const struct openstack *o)
{
    cJSON *body = cJSON_CreateObject();
    cJSON *auth = cJSON_AddObjectToObject(body, "auth");
    cJSON *identity = cJSON_AddObjectToObject(auth, "identity");
    cJSON *methods = cJSON_AddArrayToObject(identity, "methods");
    const char *method = o->app_id ? "application_credential" : "password";
    cJSON_AddItemToArray(methods, cJSON_CreateString(method));
    cJSON *m = cJSON_AddObjectToObject(identity, method);
    if (o->app_id) { /* Its project is in it: no scope. */
        cJSON_AddStringToObject(m, "id", o->app_id);
        cJSON_AddStringToObject(m, "secret", o->app_secret);
        return body;
    }
    cJSON *user = cJSON_AddObjectToObject(m, "user");
    cJSON_AddStringToObject(user, "name", o->username);
    cJSON_AddItemToObject(user, "domain", domain_json(o->user_domain));
    cJSON_AddStringToObject(user, "password", o->password);
    cJSON *scope = cJSON_AddObjectToObject(auth, "scope");
    cJSON *project = cJSON_AddObjectToObject(scope, "project");
    cJSON_AddStringToObject(project, "name", o->project);
    cJSON_AddItemToObject(project, "domain", domain_json(o->project_domain));
    return body;
}

static cJSON *rackspace_body(const struct openstack *o)
{
    cJSON *body = cJSON_CreateObject();
    cJSON *auth = cJSON_AddObjectToObject(body, "auth");
    cJSON *key = cJSON_AddObjectToObject(auth, "RAX-KSKEY:apiKeyCredentials");
    cJSON_AddStringToObject(key, "username", o->username);
    cJSON_AddStringToObject(key, "apiKey", o->api_key);
    return body;
}

/* One name per service, whatever this cloud calls it. */
static const char *plain_type(const char *type)
{
    if (!strncmp(type, "volume", 6) || !strcmp(type, "block-storage") ||
        !strcmp(type, "block-store"))
        return "volume";
    return type;
}

/* Some catalogs leave the version out of the URL. */
static char *versioned_url(const char *type, const char *url)
{
    size_t len = strlen(url);
    while (len && url[len - 1] == '/')
        len--;
    const char *version = !strcmp(type, "image")     ? "/v2"
                          : !strcmp(type, "network") ? "/v2.0"
                                                     : NULL;
    SC_AUTO(free) char *plain = strndup(url, len);
    const char *last = plain ? strrchr(plain, '/') : NULL;
    if (!version || !last || (last[1] == 'v' && last[2] == '2'))
        return SC_TAKE(plain);
    char *out;
    return asprintf(&out, "%s%s", plain, version) < 0 ? NULL : out;
}

static int add_endpoint(struct openstack *o, const char *type,
                        const char *region, const char *interface,
                        const char *url)
{
    if (!*type || !*region || !*url)
        return 0; /* Keystone's own may have no region; we need none. */
    struct os_endpoint *more =
        realloc(o->endpoints, (o->n_endpoints + 1) * sizeof *more);
    if (!more)
        return -ENOMEM;
    o->endpoints = more;
    struct os_endpoint *e = &more[o->n_endpoints++];
    *e = (struct os_endpoint){
        .type = strdup(plain_type(type)),
        .region = strdup(region),
        .interface = strdup(interface),
        .url = versioned_url(type, url),
    };
    return e->type && e->region && e->interface && e->url ? 0 : -ENOMEM;
}

static int read_keystone_catalog(struct openstack *o, const cJSON *token)
{
    const cJSON *service, *e;
    int r = 0;
    cJSON_ArrayForEach(service, cJSON_GetObjectItem(token, "catalog"))
    {
        const char *type = os_str(service, "type");
        /* Cinder's old API may stand beside its v3. */
        if (!strcmp(type, "volume") || !strcmp(type, "volumev2"))
            continue;
        cJSON_ArrayForEach(e, cJSON_GetObjectItem(service, "endpoints"))
        {
            const char *region = os_str(e, "region_id");
            r = r ? r
                  : add_endpoint(o, type,
                                 *region ? region : os_str(e, "region"),
                                 os_str(e, "interface"), os_str(e, "url"));
        }
    }
    return r;
}

static int read_rackspace_catalog(struct openstack *o, const cJSON *access)
{
    const cJSON *service, *e;
    int r = 0;
    cJSON_ArrayForEach(service, cJSON_GetObjectItem(access, "serviceCatalog"))
    {
        /* "cloudServers" is the first generation, which has no images of
         * ours. */
        if (!strcmp(os_str(service, "name"), "cloudServers"))
            continue;
        cJSON_ArrayForEach(e, cJSON_GetObjectItem(service, "endpoints"))
        {
            r = r ? r
                  : add_endpoint(o, os_str(service, "type"),
                                 os_str(e, "region"), "public",
                                 os_str(e, "publicURL"));
        }
    }
    return r;
}

const char *os_endpoint(const struct openstack *o, const char *type,
                        const char *region)
{
    const char *interface = o->interface ? o->interface : "public";
    for (size_t i = 0; i < o->n_endpoints; i++) {
        const struct os_endpoint *e = &o->endpoints[i];
        if (!strcmp(e->type, type) && !strcmp(e->region, region) &&
            !strcmp(e->interface, interface))
            return e->url;
    }
    return NULL;
}

/* When to ask for the next one: in time, but not at once for a token that is
 * short of life from the start. */
static uint64_t renew_time(const char *expires, uint64_t now)
{
    uint64_t end = os_time(expires);
    if (end <= now)
        return now + RENEW_BEFORE_MS / 10; /* Our clock is wrong: 401 tells. */
    uint64_t half = (end - now) / 2;
    return end - (half < RENEW_BEFORE_MS ? half : RENEW_BEFORE_MS);
}

static int set_text(char **place, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    free(*place);
    *place = copy;
    return 0;
}

static int take_token(struct openstack *o, const struct web_answer *a,
                      struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *json = cJSON_Parse(a->body);
    const cJSON *root =
        cJSON_GetObjectItem(json, o->classic ? "access" : "token");
    const cJSON *token = o->classic ? cJSON_GetObjectItem(root, "token") : root;
    const cJSON *user = cJSON_GetObjectItem(root, "user");
    const cJSON *project =
        cJSON_GetObjectItem(token, o->classic ? "tenant" : "project");
    const char *id = o->classic ? os_str(token, "id")
                                : web_answer_header(a, "x-subject-token");
    if (!root || !id || !*id || strlen(id) > TOKEN_MAX || !user)
        return sc_fail(err, -EPROTO,
                       "%s: the identity service answered without a token",
                       o->up.class->name);
    if (!project)
        return sc_fail(err, -EACCES,
                       "%s: the token is not for a project: name one in "
                       "'project_name'",
                       o->up.class->name);
    int r = set_text(&o->token, id);
    r = r ? r : set_text(&o->user_name, os_str(user, "name"));
    r = r ? r : set_text(&o->project_id, os_str(project, "id"));
    r = r ? r : set_text(&o->project_name, os_str(project, "name"));
    if (r == 0 && !o->n_endpoints)
        r = o->classic ? read_rackspace_catalog(o, root)
                       : read_keystone_catalog(o, root);
    if (r < 0)
        return sc_fail(err, r, "out of memory");
    o->renew_at = renew_time(
        os_str(token, o->classic ? "expires" : "expires_at"), sc_wall_ms());
    return 0;
}

static int refused(struct openstack *o, const struct web_answer *a,
                   struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *json = cJSON_Parse(a->body);
    const cJSON *first = json ? json->child : NULL;
    const char *words = os_str(first, "message");
    const char *request = web_answer_header(a, "x-openstack-request-id");
    const char *what =
        a->status == 401
            ? (o->classic  ? "check username and api_key"
               : o->app_id ? "check the application credential: it may "
                             "have expired"
                           : "check username, password, domains and "
                             "project_name")
        : a->status == 404 ? "check auth_url"
                           : "try again later";
    return sc_fail(err, web_status_code(a->status),
                   "%s: identity: %.250s (HTTP %ld%s%.60s): %s",
                   o->up.class->name, *words ? words : "refused", a->status,
                   request ? ", request " : "", request ? request : "", what);
}

int os_login(struct openstack *o, struct sc_err *err)
{
    if (o->token && sc_wall_ms() < o->renew_at)
        return 0;
    const char *base = o->auth_url
                           ? o->auth_url
                           : "https://identity.api.rackspacecloud.com/v2.0";
    SC_AUTO(cjson_free)
    cJSON *body = o->classic ? rackspace_body(o) : keystone_body(o);
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(body);
    SC_AUTO(free) char *url = NULL;
    if (!text || asprintf(&url, "%s%s", base,
                          o->classic ? "/tokens" : "/auth/tokens") < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    const struct web_header headers[] = {
        { "Content-Type", "application/json" }, { "Accept", "application/json" }
    };
    struct web_request q = { .method = "POST",
                             .url = url,
                             .headers = headers,
                             .n_headers = SC_ARRAY_LEN(headers),
                             .body = text,
                             .body_size = strlen(text) };
    struct web_answer a = { 0 };
    int r = web_do(o->web, &q, &a, err);
    explicit_bzero(text, strlen(text));
    if (r < 0)
        return sc_fail_in(err, "%s: identity", o->up.class->name);
    r = a.status == 200 || a.status == 201 ? take_token(o, &a, err)
                                           : refused(o, &a, err);
    web_answer_clear(&a);
    return r;
}
