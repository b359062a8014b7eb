/* calls - see calls.h. */
#include "provider/calls.h"

#include "common/json.h"
#include "provider/provider-class.h"

enum { RULES_MAX = 50 };

static const char *text_of(const cJSON *args, const char *key)
{
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(args, key));
    return text && *text ? text : NULL;
}

static double number_of(const cJSON *args, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(args, key);
    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static void add_text(cJSON *o, const char *key, const char *text)
{
    cJSON_AddStringToObject(o, key, text ? text : "");
}

static cJSON *instance_json(const struct provider_instance *i)
{
    cJSON *o = cJSON_CreateObject();
    add_text(o, "id", i->id);
    add_text(o, "name", i->name);
    add_text(o, "region", i->region);
    add_text(o, "zone", i->zone);
    add_text(o, "type", i->type);
    add_text(o, "image", i->image);
    add_text(o, "address", i->address);
    add_text(o, "private_address", i->private_address);
    add_text(o, "console", i->console);
    add_text(o, "state", provider_state_name(i->state));
    cJSON_AddBoolToObject(o, "spot", i->spot);
    add_text(o, "cluster", i->cluster);
    add_text(o, "token", i->token);
    json_set_u64(o, "created_at", i->created_at);
    return o;
}

/* '*ret' becomes {key: taken}. */
static int give(cJSON **ret, const char *key, cJSON *taken)
{
    cJSON *o = cJSON_CreateObject();
    if (!o || !taken || !cJSON_AddItemToObject(o, key, taken)) {
        cJSON_Delete(o);
        cJSON_Delete(taken);
        return -ENOMEM;
    }
    *ret = o;
    return 0;
}

/* The end of a call that filled 'list'. */
static int give_list(int r, cJSON **ret, const char *key, cJSON *taken)
{
    if (r == 0)
        return give(ret, key, taken);
    cJSON_Delete(taken);
    return r;
}

static int run_check(struct provider *p, const cJSON *args,
                     const struct provider_tags *tags, const cJSON *resume,
                     cJSON **ret, struct sc_err *err)
{
    (void)args, (void)tags, (void)resume;
    SC_AUTO(free) char *identity = NULL;
    int r = provider_check(p, &identity, err);
    return r < 0 ? r : give(ret, "identity", cJSON_CreateString(identity));
}

static int add_region(void *arg, const char *region)
{
    return cJSON_AddItemToArray(arg, cJSON_CreateString(region)) ? 0 : -ENOMEM;
}

static int run_regions(struct provider *p, const cJSON *args,
                       const struct provider_tags *tags, const cJSON *resume,
                       cJSON **ret, struct sc_err *err)
{
    (void)args, (void)tags, (void)resume;
    cJSON *list = cJSON_CreateArray();
    return give_list(provider_regions(p, add_region, list, err), ret, "regions",
                     list);
}

static int run_publish(struct provider *p, const cJSON *args,
                       const struct provider_tags *tags, const cJSON *resume,
                       cJSON **ret, struct sc_err *err)
{
    struct provider_publish q = {
        .name = text_of(args, "name"),
        .region = text_of(args, "region"),
        .file = text_of(args, "file"),
        .format = text_of(args, "format"),
        .sha256 = text_of(args, "sha256"),
        .boot = text_of(args, "boot"),
        .virtual_size = (uint64_t)number_of(args, "virtual_size"),
        .options = cJSON_GetObjectItemCaseSensitive(args, "options"),
        .resume = resume,
        .tags = *tags,
    };
    struct provider_image i = { 0 };
    int r = provider_publish(p, &q, &i, err);
    if (r < 0)
        return r;
    cJSON *o = cJSON_CreateObject();
    add_text(o, "id", i.id);
    add_text(o, "name", i.name);
    add_text(o, "region", i.region);
    provider_image_clear(&i);
    return give(ret, "image", o);
}

static int read_rules(const cJSON *list, struct provider_rule ret[RULES_MAX],
                      size_t *ret_n, struct sc_err *err)
{
    size_t n = 0;
    if (list && !cJSON_IsArray(list))
        return sc_fail(err, -EINVAL, "rules: must be a list");
    for (const cJSON *v = list ? list->child : NULL; v; v = v->next, n++) {
        static const char *const known[] = { "protocol", "port_from", "port_to",
                                             "cidr", NULL };
        struct json_reader r = json_read(v, "rules");
        if (n == RULES_MAX)
            return sc_fail(err, -EINVAL, "rules: at most %d", RULES_MAX);
        ret[n].protocol = json_str(&r, "protocol", 1, 16);
        ret[n].port_from = (unsigned)json_int_or(&r, "port_from", 0, 65535, 0);
        ret[n].port_to =
            (unsigned)json_int_or(&r, "port_to", 0, 65535, ret[n].port_from);
        ret[n].cidr = json_str(&r, "cidr", 1, 60);
        json_only(&r, known);
        if (json_done(&r, err) < 0)
            return -EINVAL;
    }
    *ret_n = n;
    return 0;
}

static int run_launch(struct provider *p, const cJSON *args,
                      const struct provider_tags *tags, const cJSON *resume,
                      cJSON **ret, struct sc_err *err)
{
    struct provider_rule rules[RULES_MAX];
    struct provider_launch l = {
        .name = text_of(args, "name"),
        .region = text_of(args, "region"),
        .zone = text_of(args, "zone"),
        .type = text_of(args, "type"),
        .image = text_of(args, "image"),
        .user_data = text_of(args, "user_data"),
        .spot = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(args, "spot")),
        .max_price = number_of(args, "max_price"),
        .disk_gib = (unsigned)number_of(args, "disk_gib"),
        .options = cJSON_GetObjectItemCaseSensitive(args, "options"),
        .resume = resume,
        .tags = *tags,
    };
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(args, "rules");
    int r = read_rules(list, rules, &l.n_rules, err);
    if (r < 0)
        return r;
    l.rules = list ? rules : NULL;
    struct provider_instance i = { 0 };
    r = provider_launch(p, &l, &i, err);
    if (r < 0)
        return r;
    cJSON *o = instance_json(&i);
    provider_instance_clear(&i);
    return give(ret, "instance", o);
}

static int add_instance(void *arg, const struct provider_instance *i)
{
    return cJSON_AddItemToArray(arg, instance_json(i)) ? 0 : -ENOMEM;
}

static int run_list(struct provider *p, const cJSON *args,
                    const struct provider_tags *tags, const cJSON *resume,
                    cJSON **ret, struct sc_err *err)
{
    (void)tags, (void)resume;
    cJSON *list = cJSON_CreateArray();
    int r = provider_list(p, text_of(args, "region"), add_instance, list, err);
    return give_list(r, ret, "instances", list);
}

static int give_nothing(int r, cJSON **ret)
{
    return r < 0 ? r : (*ret = cJSON_CreateObject()) ? 0 : -ENOMEM;
}

static int run_terminate(struct provider *p, const cJSON *args,
                         const struct provider_tags *tags, const cJSON *resume,
                         cJSON **ret, struct sc_err *err)
{
    (void)tags, (void)resume;
    return give_nothing(provider_terminate(p, text_of(args, "region"),
                                           text_of(args, "id"), err),
                        ret);
}

static int run_fence(struct provider *p, const cJSON *args,
                     const struct provider_tags *tags, const cJSON *resume,
                     cJSON **ret, struct sc_err *err)
{
    (void)tags, (void)resume;
    return give_nothing(
        provider_fence(p, text_of(args, "region"), text_of(args, "id"), err),
        ret);
}

static int run_console(struct provider *p, const cJSON *args,
                       const struct provider_tags *tags, const cJSON *resume,
                       cJSON **ret, struct sc_err *err)
{
    (void)tags, (void)resume;
    SC_AUTO(free) char *text = NULL;
    int r = provider_console(p, text_of(args, "region"), text_of(args, "id"),
                             &text, err);
    return r < 0 ? r : give(ret, "console", cJSON_CreateString(text));
}

static int add_type(void *arg, const struct provider_type *t)
{
    cJSON *o = cJSON_CreateObject();
    add_text(o, "name", t->name);
    cJSON_AddNumberToObject(o, "vcpus", t->vcpus);
    cJSON_AddNumberToObject(o, "memory_mib", t->memory_mib);
    cJSON_AddBoolToObject(o, "nested_virtualisation", t->nested_virtualisation);
    cJSON_AddBoolToObject(o, "xen", t->xen);
    return cJSON_AddItemToArray(arg, o) ? 0 : -ENOMEM;
}

static int run_types(struct provider *p, const cJSON *args,
                     const struct provider_tags *tags, const cJSON *resume,
                     cJSON **ret, struct sc_err *err)
{
    (void)tags, (void)resume;
    cJSON *list = cJSON_CreateArray();
    int r = provider_types(p, text_of(args, "region"), add_type, list, err);
    return give_list(r, ret, "types", list);
}

static int add_price(void *arg, const struct provider_price *t)
{
    cJSON *o = cJSON_CreateObject();
    add_text(o, "type", t->type);
    add_text(o, "region", t->region);
    add_text(o, "zone", t->zone);
    add_text(o, "what", t->what);
    add_text(o, "unit", t->unit);
    cJSON_AddNumberToObject(o, "amount", t->amount);
    json_set_u64(o, "at", t->at);
    return cJSON_AddItemToArray(arg, o) ? 0 : -ENOMEM;
}

static int run_prices(struct provider *p, const cJSON *args,
                      const struct provider_tags *tags, const cJSON *resume,
                      cJSON **ret, struct sc_err *err)
{
    (void)tags, (void)resume;
    cJSON *list = cJSON_CreateArray();
    int r = provider_prices(p, text_of(args, "region"), text_of(args, "type"),
                            add_price, list, err);
    return give_list(r, ret, "prices", list);
}

static int add_resource(void *arg, const struct provider_resource *r)
{
    cJSON *o = cJSON_CreateObject();
    add_text(o, "kind", r->kind);
    add_text(o, "id", r->id);
    add_text(o, "name", r->name);
    add_text(o, "region", r->region);
    add_text(o, "cluster", r->cluster);
    add_text(o, "token", r->token);
    add_text(o, "detail", r->detail);
    json_set_u64(o, "created_at", r->created_at);
    return cJSON_AddItemToArray(arg, o) ? 0 : -ENOMEM;
}

static int run_leftovers(struct provider *p, const cJSON *args,
                         const struct provider_tags *tags, const cJSON *resume,
                         cJSON **ret, struct sc_err *err)
{
    (void)resume;
    const char *cluster = text_of(args, "cluster");
    cJSON *list = cJSON_CreateArray();
    int r = provider_leftovers(p, cluster ? cluster : tags->cluster,
                               add_resource, list, err);
    return give_list(r, ret, "resources", list);
}

static int run_remove(struct provider *p, const cJSON *args,
                      const struct provider_tags *tags, const cJSON *resume,
                      cJSON **ret, struct sc_err *err)
{
    (void)tags, (void)resume;
    return give_nothing(provider_remove(p, text_of(args, "kind"),
                                        text_of(args, "region"),
                                        text_of(args, "id"), err),
                        ret);
}

static const struct call_arg no_args[] = { { 0 } };
static const struct call_arg publish_args[] = {
    { "name", CALL_TEXT, true },
    { "region", CALL_TEXT, false },
    { "file", CALL_TEXT, true },
    { "format", CALL_TEXT, true },
    { "sha256", CALL_TEXT, true },
    { "boot", CALL_TEXT, false },
    { "virtual_size", CALL_NUMBER, false },
    { "options", CALL_JSON, false },
    { 0 },
};
static const struct call_arg launch_args[] = {
    { "name", CALL_TEXT, true },        { "region", CALL_TEXT, false },
    { "zone", CALL_TEXT, false },       { "type", CALL_TEXT, false },
    { "image", CALL_TEXT, true },       { "user_data", CALL_FILE, false },
    { "spot", CALL_FLAG, false },       { "max_price", CALL_NUMBER, false },
    { "disk_gib", CALL_NUMBER, false }, { "rules", CALL_JSON, false },
    { "options", CALL_JSON, false },    { 0 },
};
static const struct call_arg region_args[] = {
    { "region", CALL_TEXT, false },
    { 0 },
};
static const struct call_arg id_args[] = {
    { "region", CALL_TEXT, false },
    { "id", CALL_TEXT, true },
    { 0 },
};
static const struct call_arg prices_args[] = {
    { "region", CALL_TEXT, false },
    { "type", CALL_TEXT, false },
    { 0 },
};
static const struct call_arg leftovers_args[] = {
    { "cluster", CALL_TEXT, false },
    { 0 },
};
static const struct call_arg remove_args[] = {
    { "kind", CALL_TEXT, true },
    { "region", CALL_TEXT, false },
    { "id", CALL_TEXT, true },
    { 0 },
};

static const struct call calls[] = {
    { "check", no_args, run_check },
    { "regions", no_args, run_regions },
    { "publish", publish_args, run_publish },
    { "launch", launch_args, run_launch },
    { "list", region_args, run_list },
    { "terminate", id_args, run_terminate },
    { "fence", id_args, run_fence },
    { "console", id_args, run_console },
    { "types", region_args, run_types },
    { "prices", prices_args, run_prices },
    { "leftovers", leftovers_args, run_leftovers },
    { "remove", remove_args, run_remove },
};

const struct call *call_at(size_t i)
{
    return i < SC_ARRAY_LEN(calls) ? &calls[i] : NULL;
}

const struct call *call_find(const char *name)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(calls); i++)
        if (!strcmp(calls[i].name, name))
            return &calls[i];
    return NULL;
}

static bool kind_ok(enum call_kind kind, const cJSON *v)
{
    switch (kind) {
    case CALL_TEXT:
    case CALL_FILE:
        return cJSON_IsString(v);
    case CALL_NUMBER:
        return cJSON_IsNumber(v) && v->valuedouble >= 0 &&
               v->valuedouble < 1e15;
    case CALL_FLAG:
        return cJSON_IsBool(v);
    case CALL_JSON:
        return cJSON_IsObject(v) || cJSON_IsArray(v);
    }
    return false;
}

/* null is as good as absent. */
static int check_args(const struct call *c, const cJSON *args,
                      struct sc_err *err)
{
    static const char *const kinds[] = {
        [CALL_TEXT] = "text",
        [CALL_NUMBER] = "a number that is not negative",
        [CALL_FLAG] = "true or false",
        [CALL_JSON] = "an object or a list",
        [CALL_FILE] = "text",
    };
    if (args && !cJSON_IsObject(args))
        return sc_fail(err, -EINVAL, "%s: 'args' must be an object", c->name);
    for (const struct call_arg *a = c->args; a->name; a++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(args, a->name);
        bool absent = !v || cJSON_IsNull(v);
        if (absent && a->required)
            return sc_fail(err, -EINVAL, "%s: '%s' is missing", c->name,
                           a->name);
        if (!absent && !kind_ok(a->kind, v))
            return sc_fail(err, -EINVAL, "%s: '%s' must be %s", c->name,
                           a->name, kinds[a->kind]);
    }
    for (const cJSON *v = args ? args->child : NULL; v; v = v->next) {
        const struct call_arg *a = c->args;
        while (a->name && strcmp(a->name, v->string) != 0)
            a++;
        if (!a->name)
            return sc_fail(err, -EINVAL, "%s: there is no '%.60s'", c->name,
                           v->string);
    }
    return 0;
}

int call_run(const struct call *c, struct provider *p, const cJSON *args,
             const struct provider_tags *tags, const cJSON *resume, cJSON **ret,
             struct sc_err *err)
{
    int r = check_args(c, args, err);
    if (r == 0)
        r = c->run(p, args, tags, resume, ret, err);
    return r == -ENOMEM ? sc_fail(err, r, "out of memory") : r;
}

cJSON *call_drivers(void)
{
    cJSON *list = cJSON_CreateArray();
    const struct provider_class *c;
    for (size_t i = 0; (c = provider_class_at(i)); i++) {
        cJSON *o = cJSON_CreateObject();
        add_text(o, "name", c->name);
        add_text(o, "about", c->about);
        cJSON *fields = cJSON_AddArrayToObject(o, "fields");
        for (const struct provider_field *f = c->fields; f->name; f++) {
            cJSON *one = cJSON_CreateObject();
            add_text(one, "name", f->name);
            add_text(one, "about", f->about);
            cJSON_AddBoolToObject(one, "required", f->required);
            cJSON_AddBoolToObject(one, "secret", f->secret);
            cJSON_AddItemToArray(fields, one);
        }
        cJSON_AddNumberToObject(o, "user_data_max", (double)c->user_data_max);
        add_text(o, "image_format", c->image_format);
        add_text(o, "permissions", c->permissions);
        cJSON_AddItemToArray(list, o);
    }
    return list;
}
