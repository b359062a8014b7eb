/* The table of routes, the OpenAPI file and what a backend answers must agree.
 * The file is read as it is served (embedded); answers come from the fake
 * cluster, and are checked by a small part of JSON Schema: what the file uses.
 */
#include "api/routes.h"
#include "common/json.h"
#include "http/assets.h"
#include "tests/lib/fake_cluster.h"

#include <ctype.h>
#include <criterion/criterion.h>
#include <regex.h>
#include <string.h>
#include <zlib.h>

static cJSON *load_openapi(void)
{
    const struct http_asset *a = http_asset_find("/openapi.json");
    cr_assert(a && a->gzip);
    static char text[1 << 20];
    z_stream z = { .next_in = (unsigned char *)a->data,
                   .avail_in = (unsigned)a->size,
                   .next_out = (unsigned char *)text,
                   .avail_out = sizeof text - 1 };
    cr_assert_eq(inflateInit2(&z, 15 + 16), Z_OK);
    cr_assert_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    text[z.total_out] = '\0';
    inflateEnd(&z);
    cJSON *doc = cJSON_Parse(text);
    cr_assert(doc, "openapi.json is not JSON");
    return doc;
}

static const cJSON *get(const cJSON *o, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(o, key);
}

static void lower(const char *in, char *out)
{
    while ((*out++ = (char)tolower((unsigned char)*in++)))
        ;
}

static const cJSON *operation_of(const cJSON *doc, const struct api_route *r)
{
    char method[16];
    lower(r->method, method);
    return get(get(get(doc, "paths"), r->path), method);
}

Test(routes, every_route_is_described)
{
    SC_AUTO(cjson_free) cJSON *doc = load_openapi();
    for (size_t i = 0; i < api_n_routes; i++) {
        const struct api_route *r = &api_routes[i];
        const cJSON *o = operation_of(doc, r);
        cr_expect(o, "%s %s is not in openapi.json", r->method, r->path);
        if (!o)
            continue;
        cr_expect_str_eq(cJSON_GetStringValue(get(o, "operationId")), r->op);
        cr_expect_str_eq(cJSON_GetStringValue(get(o, "summary")), r->summary);
        const cJSON *security = get(o, "security");
        cr_expect_eq(security != NULL, (r->flags & API_PUBLIC) != 0,
                     "%s: public in one place only", r->op);
    }
}

Test(routes, everything_described_is_a_route)
{
    SC_AUTO(cjson_free) cJSON *doc = load_openapi();
    const cJSON *path, *operation;
    size_t n = 0;
    cJSON_ArrayForEach(path, get(doc, "paths"))
    {
        cJSON_ArrayForEach(operation, path)
        {
            const char *op =
                cJSON_GetStringValue(get(operation, "operationId"));
            const struct api_route *r = op ? api_route_find_op(op) : NULL;
            cr_expect(r, "%s %s is no route", operation->string, path->string);
            if (r) {
                char method[16];
                lower(r->method, method);
                cr_expect_str_eq(r->path, path->string);
                cr_expect_str_eq(method, operation->string);
            }
            n++;
        }
    }
    cr_expect_eq(n, api_n_routes);
}

Test(routes, roles_bodies_and_query_parameters_agree)
{
    static const char *const roles[] = { NULL, "viewer", "operator", "admin" };
    SC_AUTO(cjson_free) cJSON *doc = load_openapi();
    for (size_t i = 0; i < api_n_routes; i++) {
        const struct api_route *r = &api_routes[i];
        const cJSON *o = operation_of(doc, r), *p;
        const char *role = cJSON_GetStringValue(get(o, "x-role"));
        if (roles[r->role])
            cr_expect_str_eq(role ? role : "(none)", roles[r->role], "%s",
                             r->op);
        if (!(r->flags & API_STREAM))
            cr_expect_eq(get(o, "requestBody") != NULL,
                         (r->flags & API_BODY) != 0, "%s: body", r->op);
        cJSON_ArrayForEach(p, get(o, "parameters"))
        {
            const char *name = cJSON_GetStringValue(get(p, "name"));
            const char *in = cJSON_GetStringValue(get(p, "in"));
            if (strcmp(in, "query") == 0)
                cr_expect(r->query && strstr(r->query, name),
                          "%s: the route does not know '%s'", r->op, name);
            if (strcmp(in, "path") == 0)
                cr_expect(strstr(r->path, name), "%s: '%s'", r->op, name);
        }
    }
}

Test(routes, no_operation_appears_twice)
{
    for (size_t i = 0; i < api_n_routes; i++)
        cr_expect_eq(api_route_find_op(api_routes[i].op), &api_routes[i], "%s",
                     api_routes[i].op);
}

Test(routes, only_reading_is_open_to_viewers)
{
    for (size_t i = 0; i < api_n_routes; i++) {
        const struct api_route *r = &api_routes[i];
        bool own = r->fn && strstr("logout session.delete password.set", r->op);
        if (strcmp(r->method, "GET") != 0 && !own && !(r->flags & API_PUBLIC))
            cr_expect_geq(r->role, API_ROLE_OPERATOR, "%s", r->op);
    }
}

/* --- JSON Schema, as far as the file uses it ---------------------------------
 */

static const cJSON *deref(const cJSON *doc, const cJSON *schema)
{
    const char *ref = cJSON_GetStringValue(get(schema, "$ref"));
    if (!ref)
        return schema;
    const cJSON *s =
        get(get(get(doc, "components"), "schemas"), strrchr(ref, '/') + 1);
    cr_assert(s, "%s leads nowhere", ref);
    return s;
}

static bool type_is(const cJSON *v, const char *type)
{
    if (strcmp(type, "integer") == 0)
        return cJSON_IsNumber(v) &&
               v->valuedouble == (double)(long long)v->valuedouble;
    return (strcmp(type, "string") == 0 && cJSON_IsString(v)) ||
           (strcmp(type, "number") == 0 && cJSON_IsNumber(v)) ||
           (strcmp(type, "boolean") == 0 && cJSON_IsBool(v)) ||
           (strcmp(type, "array") == 0 && cJSON_IsArray(v)) ||
           (strcmp(type, "object") == 0 && cJSON_IsObject(v)) ||
           (strcmp(type, "null") == 0 && cJSON_IsNull(v));
}

static bool type_ok(const cJSON *type, const cJSON *v)
{
    const cJSON *one;
    if (!type)
        return true;
    if (cJSON_IsString(type))
        return type_is(v, type->valuestring);
    cJSON_ArrayForEach(one, type) if (type_is(v, one->valuestring)) return true;
    return false;
}

static bool enum_ok(const cJSON *list, const cJSON *v)
{
    const cJSON *one;
    if (!list)
        return true;
    cJSON_ArrayForEach(one, list) if (cJSON_Compare(one, v, true)) return true;
    return false;
}

static bool pattern_ok(const cJSON *pattern, const cJSON *v)
{
    if (!pattern || !cJSON_IsString(v))
        return true;
    regex_t re;
    cr_assert_eq(regcomp(&re, pattern->valuestring, REG_EXTENDED | REG_NOSUB),
                 0);
    bool ok = regexec(&re, v->valuestring, 0, NULL, 0) == 0;
    regfree(&re);
    return ok;
}

/* 'where' grows by the path of what is wrong; false then. */
static bool valid(const cJSON *doc, const cJSON *schema, const cJSON *v,
                  char where[256])
{
    schema = deref(doc, schema);
    const cJSON *min = get(schema, "minimum"), *item, *key;
    if (!type_ok(get(schema, "type"), v) || !enum_ok(get(schema, "enum"), v) ||
        !pattern_ok(get(schema, "pattern"), v) ||
        (min && cJSON_IsNumber(v) && v->valuedouble < min->valuedouble))
        return false;
    size_t len = strlen(where);
    if (cJSON_IsArray(v) && get(schema, "items")) {
        cJSON_ArrayForEach(item, v) if (!valid(doc, get(schema, "items"), item,
                                               where)) return false;
    }
    if (!cJSON_IsObject(v))
        return true;
    cJSON_ArrayForEach(key, get(schema, "required"))
    {
        if (!get(v, key->valuestring)) {
            snprintf(where + len, 256 - len, ".%s is missing",
                     key->valuestring);
            return false;
        }
    }
    const cJSON *more = get(schema, "additionalProperties");
    cJSON_ArrayForEach(item, v)
    {
        const cJSON *s = get(get(schema, "properties"), item->string);
        if (!s && cJSON_IsFalse(more))
            return false;
        if (!s && cJSON_IsObject(more))
            s = more;
        snprintf(where + len, 256 - len, ".%s", item->string);
        if (s && !valid(doc, s, item, where))
            return false;
        where[len] = '\0';
    }
    return true;
}

/* The schema of a route's answer with 'status'. */
static const cJSON *answer_schema(const cJSON *doc, const char *op, int status)
{
    char text[8];
    snprintf(text, sizeof text, "%d", status ? status : 200);
    const cJSON *o = operation_of(doc, api_route_find_op(op));
    return get(
        get(get(get(get(o, "responses"), text), "content"), "application/json"),
        "schema");
}

struct fixture {
    struct sc_loop *loop;
    struct fake_cluster *cluster;
    cJSON *doc;
};

/* Calls 'op' of the fake backend and checks the answer by the file; returns
 * the answer (the caller's). */
static cJSON *check(struct fixture *f, const char *op, const char *params)
{
    SC_AUTO(cjson_free) cJSON *p = cJSON_Parse(params);
    struct api_caller who = { "admin", API_ROLE_ADMIN };
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    int status = 0;
    cr_assert(p, "%s", params);
    int r = fake_op_find(op)(f->cluster, &who, p, &status, &answer, &err);
    cr_assert_eq(r, 0, "%s: %s", op, err.text);
    if (!answer)
        answer = cJSON_CreateObject();
    const cJSON *schema = answer_schema(f->doc, op, status);
    cr_assert(schema, "%s: no answer with status %d is described", op, status);
    char where[256] = "";
    cr_expect(valid(f->doc, schema, answer, where), "%s: wrong at '%s': %s", op,
              where, cJSON_Print(answer));
    return answer;
}

static void check_quietly(struct fixture *f, const char *op, const char *params)
{
    cJSON_Delete(check(f, op, params));
}

static struct fixture fixture_new(void)
{
    struct fixture f = { .doc = load_openapi() };
    cr_assert_eq(sc_loop_new(false, &f.loop, NULL), 0);
    cr_assert_eq(fake_cluster_new(f.loop, 100, &f.cluster, NULL), 0);
    return f;
}

static void fixture_free(struct fixture *f)
{
    fake_cluster_free(f->cluster);
    sc_loop_free(f->loop);
    cJSON_Delete(f->doc);
}

Test(routes, the_answers_of_a_backend_are_as_described)
{
    struct fixture f = fixture_new();
    check_quietly(&f, "overview", "{}");
    check_quietly(&f, "node.list", "{}");
    check_quietly(&f, "node.show", "{\"id\":\"us-1\"}");
    check_quietly(&f, "node.user_data",
                  "{\"region\":\"r\",\"provider\":\"ec2\"}");
    check_quietly(&f, "token.create", "{\"uses\":1,\"ttl_s\":60}");
    check_quietly(&f, "token.list", "{}");
    check_quietly(&f, "image.create",
                  "{\"name\":\"i\",\"kind\":\"disk\",\"size\":3}");
    check_quietly(&f, "image.list", "{}");
    check_quietly(&f, "image.show", "{\"id\":\"demo\"}");
    check_quietly(&f, "image.delete", "{\"id\":\"i\"}");
    check_quietly(&f, "network.create",
                  "{\"name\":\"n\",\"cidr\":\"10.9.0.0/24\"}");
    check_quietly(&f, "network.list", "{}");
    check_quietly(&f, "network.show", "{\"id\":\"n\"}");
    check_quietly(&f, "network.delete", "{\"id\":\"n\"}");
    check_quietly(&f, "vm.create",
                  "{\"name\":\"v\",\"image\":\"demo\",\"network\":\"tenant\","
                  "\"memory_mib\":64,\"vcpus\":1}");
    check_quietly(&f, "vm.list", "{}");
    check_quietly(&f, "vm.show", "{\"id\":\"v\"}");
    check_quietly(&f, "vm.migrate", "{\"id\":\"hello\",\"node\":\"jp-1\"}");
    check_quietly(&f, "vm.stop", "{\"id\":\"client\"}");
    check_quietly(&f, "vm.start", "{\"id\":\"spare\"}");
    check_quietly(&f, "vm.console_log", "{\"id\":\"hello\"}");
    SC_AUTO(cjson_free) cJSON *jobs = check(&f, "job.list", "{\"limit\":2}");
    cr_expect_eq(cJSON_GetArraySize(get(jobs, "jobs")), 2);
    char params[64];
    snprintf(params, sizeof params, "{\"id\":\"%s\"}",
             fake_str(cJSON_GetArrayItem(get(jobs, "jobs"), 0), "id"));
    check_quietly(&f, "job.show", params);
    check_quietly(&f, "job.cancel", params);
    fixture_free(&f);
}

/* An account at a simulated cloud. */
static void add_account(struct fixture *f)
{
    check_quietly(f, "provider.create",
                  "{\"name\":\"acct\",\"driver\":\"ec2\",\"config\":{"
                  "\"access_key_id\":\"A\",\"regions\":\"us-east-1\"},"
                  "\"secret\":{\"secret_access_key\":\"s\"}}");
}

Test(routes, the_answers_about_providers_are_as_described)
{
    struct fixture f = fixture_new();
    add_account(&f);
    check_quietly(&f, "provider.drivers", "{}");
    check_quietly(&f, "provider.list", "{}");
    check_quietly(&f, "provider.show", "{\"id\":\"acct\"}");
    check_quietly(&f, "provider.update",
                  "{\"id\":\"acct\",\"secret\":{\"secret_access_key\":"
                  "\"t\"}}");
    check_quietly(&f, "provider.regions", "{\"id\":\"acct\"}");
    check_quietly(&f, "provider.types",
                  "{\"id\":\"acct\",\"region\":\"us-east-1\"}");
    check_quietly(&f, "provider.prices",
                  "{\"id\":\"acct\",\"region\":\"us-east-1\"}");
    check_quietly(
        &f, "provider.image_create",
        "{\"id\":\"acct\",\"name\":\"i\",\"region\":\"us-east-1\","
        "\"format\":\"raw\",\"file\":\"i.raw\",\"size\":3,"
        "\"virtual_size\":1048576,\"sha256\":"
        "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b785"
        "2b855\"}");
    check_quietly(&f, "provider.images", "{\"id\":\"acct\"}");
    check_quietly(&f, "provider.image_delete",
                  "{\"id\":\"acct\",\"image\":\"i\"}");
    check_quietly(&f, "provider.launch",
                  "{\"id\":\"acct\",\"name\":\"n\",\"region\":\"us-east-1\","
                  "\"image\":\"ami-1\",\"spot\":true,\"max_price\":9.5}");
    check_quietly(&f, "provider.instances", "{\"id\":\"acct\"}");
    check_quietly(&f, "provider.gc", "{\"id\":\"acct\",\"dry_run\":true}");
    check_quietly(&f, "provider.gc", "{\"id\":\"acct\",\"dry_run\":false}");
    check_quietly(&f, "node.user_data",
                  "{\"region\":\"r\",\"provider\":\"ec2\",\"role\":"
                  "\"controller\",\"format\":\"terraform\"}");
    check_quietly(&f, "provider.delete", "{\"id\":\"acct\",\"force\":true}");
    fixture_free(&f);
}

Test(routes, the_check_itself_finds_what_is_wrong)
{
    struct fixture f = fixture_new();
    SC_AUTO(cjson_free) cJSON *vm = check(&f, "vm.show", "{\"id\":\"hello\"}");
    const cJSON *schema = answer_schema(f.doc, "vm.show", 200);
    char where[256] = "";
    fake_set_str(vm, "state", "sleeping");
    cr_expect_not(valid(f.doc, schema, vm, where));
    fake_set_str(vm, "state", "running");
    where[0] = '\0';
    cr_expect(valid(f.doc, schema, vm, where));
    fake_set_str(vm, "epoch", "one");
    cr_expect_not(valid(f.doc, schema, vm, where));
    cJSON_DeleteItemFromObject(vm, "epoch");
    cr_expect_not(valid(f.doc, schema, vm, where));
    fixture_free(&f);
}
