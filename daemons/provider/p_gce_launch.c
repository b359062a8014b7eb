/* p_gce_launch - see p_gce.h: an instance with its firewall.
 *
 * Without a zone the region's are tried in turn while they are out of
 * capacity.  The state saved is {"zone", "request"}: the request's id makes a
 * repeated insert the same one; the name does so for good, for an instance of
 * this name with our tags is the result.  Google has no maximum price: 'max
 * price' is compared with the price before anything is made. */
#include "provider/p_gce.h"

#define DEFAULT_TYPE "n2-standard-2"
enum { ZONES_MAX = 16 };

struct launch {
    struct p_gce *p;
    const struct provider_launch *l;
    const char *type;
    char what[GCE_WHAT_MAX], tag[64], region[64], zone[64], request[37];
    char zones[ZONES_MAX][64];
    size_t n_zones;
    bool made_firewall, made_instance;
};

static void save(const struct launch *s)
{
    SC_AUTO(cjson_free)
    cJSON *state = rest_json("{'zone':%s,'request':%s}", s->zone, s->request);
    if (state)
        provider_save(&s->p->up, state);
}

static int find_zones(struct launch *s, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *names = NULL;
    int r = gce_region(s->p, s->l->region, s->region, err);
    if (r < 0)
        return r;
    if (s->l->zone && *s->l->zone) {
        if (!gce_name_ok(s->l->zone))
            return sc_fail(err, -EINVAL, "gce: zone '%s': not a zone's name",
                           s->l->zone);
        snprintf(s->zones[s->n_zones++], 64, "%s", s->l->zone);
        return 0;
    }
    r = gce_zones(s->p, s->region, &names, err);
    const cJSON *name;
    cJSON_ArrayForEach(name, names)
    {
        if (s->n_zones < ZONES_MAX)
            snprintf(s->zones[s->n_zones++], 64, "%s", name->valuestring);
    }
    return r;
}

/* An instance of our name anywhere in the region, from an earlier try. */
static int find_instance(struct launch *s, struct provider_instance *ret,
                         bool *ret_found, struct sc_err *err)
{
    *ret_found = false;
    for (size_t i = 0; i < s->n_zones; i++) {
        struct rest_answer a = { 0 };
        int r = gce_call(s->p, "GET", NULL, &a, err, s->what,
                         "/zones/%s/instances/%s", s->zones[i], s->l->name);
        if (r == 0 && gce_has_tags(a.json, &s->l->tags)) {
            *ret_found = true;
            r = gce_instance_of(a.json, ret);
            snprintf(s->zone, sizeof s->zone, "%s", s->zones[i]);
        } else if (r == 0) {
            r = sc_fail(err, -EEXIST,
                        "gce: %s: there is one of this name in %s, not of this "
                        "launch: take another name",
                        s->what, s->zones[i]);
        }
        rest_answer_clear(&a);
        if (r == -ENOENT)
            r = 0;
        if (r < 0 || *ret_found)
            return r;
    }
    if (err)
        *err = (struct sc_err){ 0 };
    return 0;
}

static int make_firewall(struct launch *s, struct sc_err *err)
{
    SC_AUTO(cjson_free)
    cJSON *list = gce_firewall_bodies(
        s->p->project, rest_str(s->l->options, "network"), s->l, s->tag);
    if (!list)
        return sc_fail(err, -ENOMEM, "gce: out of memory");
    while (cJSON_GetArraySize(list)) {
        SC_AUTO(cjson_free) cJSON *body = cJSON_DetachItemFromArray(list, 0);
        char id[37], seed[256], what[GCE_WHAT_MAX];
        const char *name = rest_str(body, "name");
        snprintf(what, sizeof what, "firewall '%s'", name);
        snprintf(seed, sizeof seed, "%s/%s/%llu", s->l->tags.token, name,
                 (unsigned long long)rest_now());
        rest_uuid_of(seed, id);
        s->made_firewall = true;
        provider_progress(&s->p->up, "firewall", 0, 0);
        int r = gce_do(s->p, "POST", cJSON_Duplicate(body, true), false, err,
                       what, "/global/firewalls?requestId=%s", id);
        if (r == -EEXIST) { /* By an earlier try, with who knows what rules. */
            if (err)
                *err = (struct sc_err){ 0 };
            r = gce_do(s->p, "PUT", cJSON_Duplicate(body, true), false, err,
                       what, "/global/firewalls/%s", name);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

/* Google answers a wrong type with 400. */
static int unknown_type(int r, const struct launch *s, struct sc_err *err)
{
    if (r != -EINVAL || !err || !strstr(err->text, "machineType"))
        return r;
    SC_AUTO(free) char *text = strdup(err->text);
    return sc_fail(err, -ENOENT,
                   "%.420s: type '%s' is not in this zone; types "
                   "can be listed",
                   text ? text : "", s->type);
}

static int insert(struct launch *s, struct sc_err *err)
{
    struct rest_answer a = { 0 };
    provider_progress(&s->p->up, "launch", 0, 0);
    save(s);
    s->made_instance = true;
    int r = gce_call(
        s->p, "POST",
        gce_instance_body(s->p->project, s->zone, s->type, s->l, s->tag), &a,
        err, s->what, "/zones/%s/instances?requestId=%s", s->zone, s->request);
    if (r == 0)
        r = gce_wait(s->p, &a, s->what, err);
    rest_answer_clear(&a);
    return unknown_type(r, s, err);
}

static int launch_somewhere(struct launch *s, struct provider_instance *ret,
                            struct sc_err *err)
{
    const char *first = rest_str(s->l->resume, "zone");
    int r = -ENOSPC;
    for (size_t i = 0; r == -ENOSPC && i < s->n_zones; i++) {
        char seed[256];
        snprintf(s->zone, sizeof s->zone, "%s", s->zones[i]);
        snprintf(seed, sizeof seed, "%s/%s/%llu", s->l->tags.token, s->zone,
                 (unsigned long long)rest_now());
        rest_uuid_of(seed, s->request);
        if (!strcmp(first, s->zone) && *rest_str(s->l->resume, "request"))
            snprintf(s->request, sizeof s->request, "%s",
                     rest_str(s->l->resume, "request"));
        r = insert(s, err);
    }
    if (r == -EEXIST) { /* Made, and its answer lost. */
        bool found;
        struct sc_err why = { 0 };
        s->made_instance = false;
        int f = find_instance(s, ret, &found, &why);
        if (f < 0 && err)
            *err = why;
        return f == 0 && found ? 0 : f < 0 ? f : r;
    }
    if (r < 0)
        return r;
    struct rest_answer a = { 0 };
    r = gce_call(s->p, "GET", NULL, &a, err, s->what, "/zones/%s/instances/%s",
                 s->zone, s->l->name);
    if (r == 0)
        r = gce_instance_of(a.json, ret);
    rest_answer_clear(&a);
    return r;
}

static void undo(struct launch *s)
{
    web_undoing(s->p->web, true);
    provider_progress(&s->p->up, "undo", 0, 0);
    for (size_t i = 0; s->made_instance && i < s->n_zones; i++) {
        struct rest_answer a = { 0 };
        int r = gce_call(s->p, "GET", NULL, &a, NULL, s->what,
                         "/zones/%s/instances/%s", s->zones[i], s->l->name);
        bool ours = r == 0 && gce_has_tags(a.json, &s->l->tags);
        rest_answer_clear(&a);
        if (ours)
            (void)!gce_do(s->p, "DELETE", NULL, true, NULL, s->what,
                          "/zones/%s/instances/%s", s->zones[i], s->l->name);
    }
    if (s->made_firewall)
        (void)!gce_firewalls_remove(s->p, s->l->name, NULL);
    web_undoing(s->p->web, false);
}

struct price {
    double spot;
    bool found;
};

static int take_price(void *arg, const struct provider_price *t)
{
    struct price *p = arg;
    if (!strcmp(t->what, "spot")) {
        p->spot = t->amount;
        p->found = true;
    }
    return 0;
}

static int check_price(struct launch *s, struct sc_err *err)
{
    struct price p = { 0 };
    if (!s->l->spot || s->l->max_price <= 0)
        return 0;
    int r = gce_prices(&s->p->up, s->region, s->type, take_price, &p, err);
    if (r < 0)
        return r;
    if (!p.found)
        return sc_fail(err, -EINVAL,
                       "gce: max_price: the spot price of '%s' in %s is not in "
                       "the catalog, so no limit can be kept",
                       s->type, s->region);
    if (p.spot > s->l->max_price)
        return sc_fail(err, -EINVAL,
                       "gce: max_price: spot '%s' in %s costs %.4f USD an "
                       "hour, more than %.4f",
                       s->type, s->region, p.spot, s->l->max_price);
    return 0;
}

int gce_launch(struct provider *up, const struct provider_launch *l,
               struct provider_instance *ret, struct sc_err *err)
{
    struct launch s = { .p = (struct p_gce *)up, .l = l };
    bool found = false;
    s.type = l->type && *l->type ? l->type : DEFAULT_TYPE;
    if (!gce_name_ok(l->name))
        return sc_fail(err, -EINVAL,
                       "gce: instance name '%s': must be 1 to 63 of a-z, 0-9 "
                       "and '-', begin with a letter and not end with '-'",
                       l->name);
    if (!gce_name_ok(s.type))
        return sc_fail(err, -ENOENT,
                       "gce: type '%s': there is none; types can "
                       "be listed",
                       s.type);
    snprintf(s.what, sizeof s.what, "instance '%s'", l->name);
    gce_tag_of(l->name, s.tag);
    int r = find_zones(&s, err);
    if (r == 0)
        r = find_instance(&s, ret, &found, err);
    if (r < 0 || found)
        return r;
    r = check_price(&s, err);
    if (r == 0)
        r = make_firewall(&s, err);
    if (r == 0)
        r = launch_somewhere(&s, ret, err);
    if (r < 0 && web_for_good(r))
        undo(&s);
    return r;
}
