/* p_openstack_launch - a server with our user-data, and all it needs.
 *
 * Everything made has the tags of the launch from its first moment, so a
 * launch that was killed finds its own things and goes on, and one that fails
 * removes them by their tags, known to it or not.  Nova has no token of its
 * own against a second server: if the answer to a POST is lost, the servers of
 * the name are looked at before another POST (os_make), and once more at the
 * end, should the first have been slow. */
#include "provider/p_openstack.h"

enum { DEFAULT_VCPUS = 2, DEFAULT_MIB = 4096 };

struct launch {
    struct openstack *o;
    const struct provider_launch *l;
    const char *region;
    /* The flavor chosen. */
    char *flavor, *flavor_name;
    unsigned flavor_gib;
    double best; /* Of the default: the memory of the smallest. */
    char known[200];
    /* The image. */
    char *image;
    unsigned image_gib;
    /* Made by us. */
    char *group, *volume, *server;
    unsigned looks; /* How often find_server was asked. */
    char *extra;    /* A second server with our tags. */
    bool others_ok; /* The name is ours by now: another's is no reason. */
};

static void launch_free(struct launch *x)
{
    free(x->flavor);
    free(x->flavor_name);
    free(x->image);
    free(x->group);
    free(x->volume);
    free(x->server);
    free(x->extra);
}
static inline void launch_free_p(struct launch *x)
{
    launch_free(x);
}

/* -- What is asked for
 * ------------------------------------------------------------ */

static int take_flavor(struct launch *x, const cJSON *f)
{
    free(x->flavor);
    free(x->flavor_name);
    x->flavor = strdup(os_str(f, "id"));
    x->flavor_name = strdup(os_str(f, "name"));
    x->flavor_gib = (unsigned)os_num(f, "disk");
    return x->flavor && x->flavor_name ? 0 : -ENOMEM;
}

static int look_at_flavor(void *arg, const cJSON *f)
{
    struct launch *x = arg;
    const char *wanted = x->l->type ? x->l->type : x->o->flavor;
    const char *name = os_str(f, "name");
    if (cJSON_IsTrue(cJSON_GetObjectItem(f, "OS-FLV-DISABLED:disabled")))
        return 0;
    size_t len = strlen(x->known);
    snprintf(x->known + len, sizeof x->known - len, "%s%s", len ? ", " : "",
             name);
    if (wanted)
        return !strcmp(wanted, name) || !strcmp(wanted, os_str(f, "id"))
                   ? take_flavor(x, f)
                   : 0;
    double ram = os_num(f, "ram"), disk = os_num(f, "disk");
    bool fits = ram >= DEFAULT_MIB && os_num(f, "vcpus") >= DEFAULT_VCPUS &&
                (disk == 0 || disk >= x->image_gib);
    if (!fits || (x->flavor && ram >= x->best))
        return 0;
    x->best = ram;
    return take_flavor(x, f);
}

static int choose_flavor(struct launch *x, struct sc_err *err)
{
    const char *wanted = x->l->type ? x->l->type : x->o->flavor;
    int r = os_list(x->o, x->region, "compute", "/flavors/detail", "flavors",
                    look_at_flavor, x, err);
    if (r < 0)
        return r;
    if (!x->flavor && wanted)
        return sc_fail(err, -ENOENT,
                       "%s: type '%s': there is no such flavor in region '%s'; "
                       "there are: %s",
                       x->o->up.class->name, wanted, x->region, x->known);
    if (!x->flavor)
        return sc_fail(err, -EINVAL,
                       "%s: type: no flavor has %d vCPU, %d MiB and %u GiB: "
                       "name one; there are: %s",
                       x->o->up.class->name, DEFAULT_VCPUS, DEFAULT_MIB,
                       x->image_gib, x->known);
    return 0;
}

/* -- The server
 * ------------------------------------------------------------------- */

static int look_at_server(void *arg, const cJSON *s)
{
    struct launch *x = arg;
    if (strcmp(os_str(s, "name"), x->l->name) != 0 ||
        !strcmp(os_str(s, "status"), "DELETED"))
        return 0;
    if (!os_has_tags(cJSON_GetObjectItem(s, "metadata"), &x->l->tags))
        return x->others_ok ? 0 : -EEXIST;
    char **place = x->server ? &x->extra : &x->server;
    if (x->server && !strcmp(x->server, os_str(s, "id")))
        return 0;
    free(*place);
    return (*place = strdup(os_str(s, "id"))) ? 0 : -ENOMEM;
}

static int look_for_server(struct launch *x, struct sc_err *err)
{
    SC_AUTO(free) char *path = NULL;
    SC_AUTO(free) char *name = web_escape(x->l->name, false);
    /* Nova takes the name for a pattern: more than ours may come. */
    if (!name || asprintf(&path, "/servers/detail?name=%s", name) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    x->looks++;
    int r = os_list(x->o, x->region, "compute", path, "servers", look_at_server,
                    x, err);
    return r == -EEXIST
               ? sc_fail(err, r,
                         "%s: name '%s': another server has it; choose another "
                         "name",
                         x->o->up.class->name, x->l->name)
           : r == -ENOMEM ? sc_fail(err, r, "out of memory")
                          : r;
}

static int find_server(void *arg, char **ret, struct sc_err *err)
{
    struct launch *x = arg;
    int r = look_for_server(x, err);
    if (r < 0 || !x->server)
        return r < 0 ? r : -ENOENT;
    *ret = strdup(x->server);
    return *ret ? 0 : sc_fail(err, -ENOMEM, "out of memory");
}

/* "auto", "none", or [{"uuid"}] of a list of ids and names. */
static int add_networks(struct launch *x, cJSON *s, struct sc_err *err)
{
    const char *given = os_str(x->l->options, "network");
    const char *wanted = *given ? given : x->o->network;
    if (x->o->classic && !wanted)
        return 0; /* Its public and service networks. */
    if (!wanted || !strcmp(wanted, "auto") || !strcmp(wanted, "none")) {
        cJSON_AddStringToObject(s, "networks", wanted ? wanted : "auto");
        return 0;
    }
    cJSON *list = cJSON_AddArrayToObject(s, "networks");
    SC_AUTO(free) char *copy = strdup(wanted);
    char *rest = NULL;
    int r = copy ? 0 : sc_fail(err, -ENOMEM, "out of memory");
    for (char *w = copy ? strtok_r(copy, ", ", &rest) : NULL; w && r == 0;
         w = strtok_r(NULL, ", ", &rest)) {
        SC_AUTO(free) char *id = NULL;
        r = os_network_find(x->o, x->region, w, &id, err);
        cJSON *one = cJSON_CreateObject();
        if (r == 0)
            cJSON_AddStringToObject(one, "uuid", id);
        cJSON_AddItemToArray(list, one);
    }
    return r;
}

static void add_disk(const struct launch *x, cJSON *s)
{
    if (!x->volume) {
        cJSON_AddStringToObject(s, "imageRef", x->image);
        return;
    }
    cJSON *list = cJSON_AddArrayToObject(s, "block_device_mapping_v2");
    cJSON *d = cJSON_CreateObject();
    cJSON_AddStringToObject(d, "uuid", x->volume);
    cJSON_AddStringToObject(d, "source_type", "volume");
    cJSON_AddStringToObject(d, "destination_type", "volume");
    cJSON_AddStringToObject(d, "boot_index", "0");
    cJSON_AddBoolToObject(d, "delete_on_termination", true);
    cJSON_AddItemToArray(list, d);
}

static int server_json(struct launch *x, cJSON **ret, struct sc_err *err)
{
    const struct provider_launch *l = x->l;
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    cJSON *s = cJSON_AddObjectToObject(body, "server");
    cJSON_AddStringToObject(s, "name", l->name);
    cJSON_AddStringToObject(s, "flavorRef", x->flavor);
    cJSON_AddBoolToObject(s, "config_drive", true);
    os_add_tags(cJSON_AddObjectToObject(s, "metadata"), &l->tags);
    if (l->zone)
        cJSON_AddStringToObject(s, "availability_zone", l->zone);
    if (l->user_data && *l->user_data) {
        SC_AUTO(free)
        char *text = json_b64_encode(l->user_data, strlen(l->user_data));
        if (!text)
            return sc_fail(err, -ENOMEM, "out of memory");
        cJSON_AddStringToObject(s, "user_data", text);
    }
    add_disk(x, s);
    int r = add_networks(x, s, err);
    if (r < 0)
        return r;
    const cJSON *networks = cJSON_GetObjectItem(s, "networks");
    bool none =
        cJSON_IsString(networks) && !strcmp(networks->valuestring, "none");
    if (x->group && !none) {
        cJSON *groups = cJSON_AddArrayToObject(s, "security_groups");
        cJSON *g = cJSON_CreateObject();
        cJSON_AddStringToObject(g, "name", x->group);
        cJSON_AddItemToArray(groups, g);
    }
    *ret = SC_TAKE(body);
    return 0;
}

static int wait_active(struct launch *x, struct os_answer *ret,
                       struct sc_err *err)
{
    uint64_t end = os_clock() + OS_BOOT_MS;
    for (unsigned ms = 0;;) {
        struct os_answer a = { 0 };
        int r = os_get(x->o, x->region, "compute", &a, err, "/servers/%s",
                       x->server);
        if (r < 0)
            return r;
        const cJSON *s = cJSON_GetObjectItem(a.json, "server");
        const char *status = os_str(s, "status");
        if (!strcmp(status, "ACTIVE")) {
            *ret = a;
            return 0;
        }
        if (!strcmp(status, "ERROR")) {
            const char *why =
                os_str(cJSON_GetObjectItem(s, "fault"), "message");
            int code = os_reason(why, 500);
            r = sc_fail(err, code, "%s: server '%s' failed: %.300s%s",
                        x->o->up.class->name, x->l->name,
                        *why ? why : "no reason given", os_advice(code, 0));
        } else if (strcmp(status, "BUILD") != 0 && *status) {
            r = sc_fail(err, -EIO, "%s: server '%s' is '%s' instead of ACTIVE",
                        x->o->up.class->name, x->l->name, status);
        }
        os_answer_clear(&a);
        if (r < 0)
            return r;
        provider_progress(&x->o->up, "boot", 0, 0);
        r = os_pause(x->o, &ms, end, "the server to become ACTIVE", err);
        if (r < 0)
            return r;
    }
}

/* -- The whole
 * ------------------------------------------------------------------------ */

/* Everything with our tags. */
static int undo(struct launch *x, struct sc_err *err)
{
    int r = 0, first = 0;
    x->others_ok = true;
    web_undoing(x->o->web, true);
    for (int i = 0; i < 8 && first == 0; i++) {
        free(x->server);
        free(x->extra);
        x->server = x->extra = NULL;
        first = look_for_server(x, err);
        if (!x->server)
            break;
        first = os_server_delete(x->o, x->region, x->server, err);
    }
    r = os_volume_remove(x->o, x->region, &x->l->tags, first ? NULL : err);
    first = first ? first : r;
    r = os_net_remove(x->o, x->region, &x->l->tags, first ? NULL : err);
    web_undoing(x->o->web, false);
    return first ? first : r;
}

static int make_disk(struct launch *x, struct sc_err *err)
{
    unsigned gib = x->l->disk_gib;
    if (x->flavor_gib && gib <= x->flavor_gib)
        return 0;
    if (gib < x->image_gib)
        gib = x->image_gib;
    if (x->o->classic && !x->l->disk_gib)
        return 0; /* Flavors without a disk have no image there either. */
    return os_volume_make(x->o, x->region, x->l, x->image, gib ? gib : 1,
                          &x->volume, err);
}

static int make(struct launch *x, struct provider_instance *ret,
                struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *body = NULL;
    SC_AUTO(free) char *id = NULL, *address = NULL;
    int r = os_group_make(x->o, x->region, x->l, &x->group, err);
    if (r == 0)
        r = make_disk(x, err);
    if (r == 0)
        r = server_json(x, &body, err);
    if (r < 0)
        return r;
    struct os_make m = { .region = x->region,
                         .service = "compute",
                         .path = "/servers",
                         .key = "server",
                         .body = body,
                         .find = find_server,
                         .arg = x };
    provider_progress(&x->o->up, "server", 0, 0);
    if ((r = os_make(x->o, &m, &id, err)) < 0)
        return r;
    free(x->server);
    x->server = SC_TAKE(id);
    x->others_ok = true;
    SC_AUTO(cjson_free) cJSON *state = cJSON_CreateObject();
    cJSON_AddStringToObject(state, "server", x->server);
    provider_save(&x->o->up, state);
    struct os_answer a = { 0 };
    if ((r = wait_active(x, &a, err)) < 0)
        return r;
    os_answer_clear(&a);
    r = os_address_make(x->o, x->region, &x->l->tags, x->server, &address, err);
    if (r == 0 && x->looks > 1)
        r = look_for_server(x, err);
    if (r == 0 && x->extra)
        r = os_server_delete(x->o, x->region, x->extra, err);
    if (r == 0)
        r = wait_active(x, &a, err);
    if (r == 0 && os_server_read(cJSON_GetObjectItem(a.json, "server"),
                                 x->region, x->flavor_name, ret) < 0)
        r = sc_fail(err, -ENOMEM, "out of memory");
    os_answer_clear(&a);
    if (r == 0 && address) { /* Nova hears of it a little later. */
        free(ret->address);
        ret->address = SC_TAKE(address);
    }
    return r;
}

int os_launch(struct provider *up, const struct provider_launch *l,
              struct provider_instance *ret, struct sc_err *err)
{
    static const char *const known[] = { "network", NULL };
    SC_AUTO(launch_free)
    struct launch x = { .o = (struct openstack *)up, .l = l };
    if (l->spot)
        return sc_fail(err, -ENOTSUP,
                       "%s: there is no spot market; launch without 'spot'",
                       up->class->name);
    struct json_reader r = json_read(l->options, "options");
    if (l->options)
        json_only(&r, known);
    if (l->options && json_done(&r, err) < 0)
        return -EINVAL;
    int e = os_region(x.o, l->region, &x.region, err);
    if (e == 0)
        e = os_image_find(x.o, x.region, l->image, &x.image, &x.image_gib, err);
    if (e == 0)
        e = choose_flavor(&x, err);
    if (e == 0)
        e = look_for_server(&x, err);
    if (e < 0)
        return e;
    e = make(&x, ret, err);
    struct sc_err why = { 0 };
    if (e < 0 && undo(&x, &why) < 0)
        sc_fail_in(err, "something of it may be left (%.120s), gc removes it",
                   why.text);
    return e;
}
