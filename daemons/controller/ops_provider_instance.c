/* Instances at providers: what there is, launching, ending, powering off, and
 * what is left over. */
#include "common/log.h"
#include "controller/providers.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    COUNT_MAX = 32,
    TTL_DEFAULT_S = 3600,
    TTL_MAX_S = 86400,
    JOIN_DEFAULT_S = 900,
    GONE_MS = 600000, /* So long a new instance may be missing in a list. */
};

static const char *text(const cJSON *o, const char *key)
{
    const char *s =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
    return s ? s : "";
}

static void add_or_null(cJSON *j, const char *key, const char *value)
{
    if (value && value[0])
        cJSON_AddStringToObject(j, key, value);
    else
        cJSON_AddNullToObject(j, key);
}

/* --- instances
 * ---------------------------------------------------------------- */

static const cJSON *instance_with(const cJSON *list, const char *id)
{
    const cJSON *i;
    cJSON_ArrayForEach(i, list)
    {
        if (!strcmp(text(i, "id"), id))
            return i;
    }
    return NULL;
}

/* Instances that ended without us (a spot instance, somebody in the provider's
 * console) are no longer ours. */
static void forget_gone(struct ctl *ctl, const char *account, const cJSON *list,
                        bool complete)
{
    struct ctl_txn *x = ctl_txn_begin(ctl);
    for (size_t i = ctl->launched.n; i-- > 0;) {
        struct launched *l = ctl->launched.items[i];
        const cJSON *seen = instance_with(list, l->id);
        const struct job *job = ctl_job_find(ctl, l->job);
        if (strcmp(l->account, account) != 0 || (job && !job_ended(job)))
            continue;
        if (seen ? !strcmp(text(seen, "state"), "terminated")
                 : complete && ctl_now(ctl) > l->created_at + GONE_MS)
            ctl_drop_launched(ctl, x, l);
    }
    ctl_txn_commit(x, NULL);
}

static void add_own(struct ctl *ctl, const char *account, cJSON *i)
{
    const struct launched *l = ctl_launched_find(ctl, account, text(i, "id"));
    const struct ctl_node *n = NULL;
    if (l && l->node[0])
        n = ctl_node_find(ctl, l->node);
    else if (!strcmp(text(i, "cluster"), ctl->cluster_id))
        n = ctl_node_find(ctl, text(i, "name"));
    const struct job *job = l ? ctl_job_find(ctl, l->job) : NULL;
    add_or_null(i, "node", n ? n->n.id : NULL);
    add_or_null(i, "node_name", n ? n->n.name : NULL);
    add_or_null(i, "job", job && !job_ended(job) ? job->id : NULL);
}

static void listed(void *arg, const cJSON *result, const struct sc_err *err)
{
    SC_AUTO(provider_op_free) struct provider_op *q = arg;
    struct ctl *ctl = q->c.ctl;
    bool alive = !ctl->stopping && !ctl->broken;
    if (alive)
        account_heard(ctl, q->account, err);
    if (err->code || !alive) {
        op_fail(&q->c, err->code ? err
                                 : &(struct sc_err){ .code = -ESHUTDOWN,
                                                     .text = "stopping" });
        return;
    }
    cJSON *j = cJSON_Duplicate(result, true);
    cJSON *list = cJSON_GetObjectItemCaseSensitive(j, "instances"), *i;
    forget_gone(ctl, q->account, list, !text(q->params, "region")[0]);
    cJSON_ArrayForEach(i, list) add_own(ctl, q->account, i);
    op_reply(&q->c, 0, j);
}

/* Begins 'call'; 'q' and 'args' are taken. */
static void ask(struct provider_op *taken, const struct account *a,
                const char *call, cJSON *args, rpc_done_fn *done)
{
    SC_AUTO(provider_op_free) struct provider_op *q = taken;
    struct sc_err err;
    OBJ_SET(q->account, a->id);
    if (account_call(q->c.ctl, a, call, args, NULL, NULL, PROVIDER_QUERY_MS,
                     NULL, done, q, &err) < 0)
        op_fail(&q->c, &err);
    else
        (void)SC_TAKE(q);
}

void op_provider_instances(struct op_call *c)
{
    const struct account *a = op_account(c);
    struct json_reader r = json_read(c->params, "provider.instances");
    const char *region = json_str_or(&r, "region", OBJ_NAME - 1, "");
    struct sc_err err;
    if (!a)
        return;
    if (json_done(&r, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    struct provider_op *q = provider_op_new(c);
    if (!q)
        return;
    cJSON *args = cJSON_CreateObject();
    if (region[0])
        cJSON_AddStringToObject(args, "region", region);
    ask(q, a, "list", args, listed);
}

/* --- launch
 * ------------------------------------------------------------------- */

static int pick_image(struct ctl *ctl, const struct account *a,
                      const char *wanted, const char *region, cJSON *args,
                      struct sc_err *err)
{
    const struct published *p = ctl_published_find(ctl, a->id, wanted, region);
    if (p && p->state != PUBLISHED_ACTIVE)
        return sc_fail(err, -EBUSY, "image '%s': is %s, not active", p->name,
                       published_state_name(p->state));
    if (p && strcmp(p->region, region) != 0)
        return sc_fail(err, -EINVAL,
                       "image '%s': is published in region '%s', not in '%s'",
                       p->name, p->region, region);
    cJSON_AddStringToObject(args, "image", p ? p->image_id : wanted);
    return 0;
}

static int name_taken(struct ctl *ctl, const struct account *a,
                      const char *name, struct sc_err *err)
{
    if (ctl_node_find(ctl, name))
        return sc_fail(err, -EEXIST, "there is a node '%s' already", name);
    if (ctl_launched_find(ctl, a->id, name))
        return sc_fail(err, -EEXIST,
                       "provider '%s': there is an instance '%s' already",
                       a->name, name);
    for (size_t i = 0; i < ctl->jobs.n; i++) {
        const struct job *job = ctl->jobs.items[i];
        const cJSON *item;
        if (job_ended(job) || job->kind != &provider_launch_job)
            continue;
        cJSON_ArrayForEach(item,
                           cJSON_GetObjectItemCaseSensitive(job->data, "items"))
        {
            if (!strcmp(text(item, "name"), name))
                return sc_fail(err, -EEXIST, "'%s' is being launched already",
                               name);
        }
    }
    return 0;
}

/* The names; the tokens follow when the job has its id. */
static int add_items(struct ctl *ctl, const struct account *a, const char *name,
                     int64_t count, cJSON *data, struct sc_err *err)
{
    cJSON *list = cJSON_AddArrayToObject(data, "items");
    for (int64_t i = 1; i <= count; i++) {
        char one[OBJ_NAME + 8];
        if (count == 1)
            snprintf(one, sizeof one, "%s", name);
        else
            snprintf(one, sizeof one, "%s-%" PRId64, name, i);
        if (!sc_name_ok(one))
            return sc_fail(err, -EINVAL,
                           "provider.launch: 'name' '%s': is not a name", one);
        int r = name_taken(ctl, a, one, err);
        if (r < 0)
            return r;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", one);
        cJSON_AddItemToArray(list, item);
    }
    return 0;
}

static int launch_read(struct ctl *ctl, const struct account *a,
                       const cJSON *params, cJSON *data, struct sc_err *err)
{
    static const char *const keys[] = {
        "id",         "name",  "region",    "zone",     "type",  "image",
        "count",      "spot",  "max_price", "disk_gib", "rules", "options",
        "hypervisor", "ttl_s", "join_s",    NULL
    };
    static const char *const copied[] = { "spot", "max_price", "rules",
                                          "options" };
    struct json_reader r = json_read(params, "provider.launch");
    const char *name = json_str(&r, "name", 1, OBJ_NAME - 1);
    const char *given = json_str_or(&r, "region", OBJ_NAME - 1, "");
    char region[OBJ_NAME];
    const char *zone = json_str_or(&r, "zone", OBJ_NAME - 1, "");
    const char *type = json_str_or(&r, "type", OBJ_NAME - 1, "");
    const char *image = json_str(&r, "image", 1, PROVIDER_ID - 1);
    const char *hypervisor = json_str_or(&r, "hypervisor", 15, "");
    int64_t count = json_int_or(&r, "count", 1, COUNT_MAX, 1);
    int64_t disk_gib = json_int_or(&r, "disk_gib", 1, 65536, 0);
    int64_t ttl = json_int_or(&r, "ttl_s", 60, TTL_MAX_S, TTL_DEFAULT_S);
    int64_t join = json_int_or(&r, "join_s", 1, TTL_MAX_S, JOIN_DEFAULT_S);
    (void)json_bool_or(&r, "spot", false);
    json_only(&r, keys);
    int e = json_done(&r, err);
    if (e == 0)
        e = account_region(a, given, region, err);
    if (e < 0)
        return e;
    const cJSON *price = cJSON_GetObjectItemCaseSensitive(params, "max_price");
    const cJSON *rules = cJSON_GetObjectItemCaseSensitive(params, "rules");
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(params, "options");
    if (price && !(cJSON_IsNumber(price) && price->valuedouble >= 0))
        return sc_fail(err, -EINVAL,
                       "provider.launch: 'max_price': must be dollars an hour");
    if ((rules && !cJSON_IsArray(rules)) ||
        (options && !cJSON_IsObject(options)))
        return sc_fail(err, -EINVAL, "provider.launch: '%s': must be a list",
                       rules && !cJSON_IsArray(rules) ? "rules" : "options");
    cJSON_AddStringToObject(data, "provider", a->id);
    cJSON_AddStringToObject(data, "hypervisor", hypervisor);
    json_set_u64(data, "ttl_s", (uint64_t)(ttl > join ? ttl : join));
    json_set_u64(data, "join_s", (uint64_t)join);
    cJSON *args = cJSON_AddObjectToObject(data, "args");
    cJSON_AddStringToObject(args, "region", region);
    if (zone[0])
        cJSON_AddStringToObject(args, "zone", zone);
    if (type[0])
        cJSON_AddStringToObject(args, "type", type);
    if (disk_gib)
        json_set_u64(args, "disk_gib", (uint64_t)disk_gib);
    for (size_t i = 0; i < SC_ARRAY_LEN(copied); i++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(params, copied[i]);
        if (v)
            cJSON_AddItemToObject(args, copied[i], cJSON_Duplicate(v, true));
    }
    e = pick_image(ctl, a, image, region, args, err);
    return e < 0 ? e : add_items(ctl, a, name, count, data, err);
}

static void tag_items(struct job *job)
{
    cJSON *item;
    unsigned n = 0;
    cJSON_ArrayForEach(item,
                       cJSON_GetObjectItemCaseSensitive(job->data, "items"))
    {
        char token[PROVIDER_TOKEN];
        snprintf(token, sizeof token, "%s-%u", job->id, ++n);
        cJSON_AddStringToObject(item, "token", token);
    }
}

static void launch_next(struct provider_op *taken)
{
    SC_AUTO(provider_op_free) struct provider_op *q = taken;
    struct ctl *ctl = q->c.ctl;
    struct sc_err err;
    const struct account *a = op_account(&q->c);
    if (!a)
        return;
    cJSON *data = cJSON_CreateObject();
    if (launch_read(ctl, a, q->params, data, &err) < 0) {
        cJSON_Delete(data);
        op_fail(&q->c, &err);
        return;
    }
    cJSON_AddStringToObject(data, "user", q->user);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    struct job *job = job_add(ctl, x, &provider_launch_job, a->id,
                              text(q->params, "name"), data);
    if (job) {
        tag_items(job);
        ctl_put_job(x, job);
    }
    op_begin_job(&q->c, x, job);
}

void op_provider_launch(struct op_call *c)
{
    struct provider_op *q = provider_op_new(c);
    if (q)
        provider_op_with_drivers(q, launch_next);
}

/* --- terminate, fence
 * ----------------------------------------------------------
 */

static int check_guests(struct ctl *ctl, const char *node, struct sc_err *err)
{
    const struct ctl_node *n = node[0] ? ctl_node_find(ctl, node) : NULL;
    for (size_t i = 0; n && i < ctl->vms.n; i++) {
        const struct vm *v = ctl->vms.items[i];
        if (v->nid == n->n.nid)
            return sc_fail(err, -EBUSY,
                           "node '%s': vm '%s' is on it; move it away first, "
                           "or use force",
                           n->n.name, v->name);
    }
    return 0;
}

/* Params' "instance" and "region"; 'l' is NULL for what was not launched from
 * here.  Borrowed. */
struct instance_ref {
    const struct launched *l;
    const char *id, *region;
};

static int read_instance(struct op_call *c, const struct account *a,
                         const char *what, struct instance_ref *ret,
                         struct sc_err *err)
{
    struct json_reader r = json_read(c->params, what);
    const char *id = json_str(&r, "instance", 1, PROVIDER_ID - 1);
    const char *region = json_str_or(&r, "region", OBJ_NAME - 1, "");
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    const struct launched *l = ctl_launched_find(c->ctl, a->id, id);
    if (!l && !region[0])
        return sc_fail(err, -EINVAL,
                       "instance '%s': was not launched from here: say its "
                       "'region'",
                       id);
    *ret = (struct instance_ref){ l, l ? l->id : id, l ? l->region : region };
    return 0;
}

static void act(struct op_call *c, const struct job_kind *kind, bool spare)
{
    struct ctl *ctl = c->ctl;
    const struct account *a = op_account(c);
    struct instance_ref i = { NULL, "", "" };
    struct sc_err err;
    if (!a)
        return;
    int e = read_instance(c, a, kind->name, &i, &err);
    const struct launched *l = i.l;
    if (e == 0 && l && spare && !op_flag(c->params, "force"))
        e = check_guests(ctl, l->node, &err);
    const struct job *launching = l ? ctl_job_find(ctl, l->job) : NULL;
    if (e == 0 && launching && !job_ended(launching))
        e = sc_fail(&err, -EBUSY, "instance '%s': job %s is launching it", i.id,
                    launching->id);
    if (e < 0) {
        op_fail(c, &err);
        return;
    }
    cJSON *data = cJSON_CreateObject();
    cJSON_AddStringToObject(data, "provider", a->id);
    cJSON_AddStringToObject(data, "id", i.id);
    cJSON_AddStringToObject(data, "region", i.region);
    cJSON_AddStringToObject(data, "token", l ? l->token : "");
    cJSON_AddStringToObject(data, "node", l ? l->node : "");
    struct ctl_txn *x = ctl_txn_begin(ctl);
    op_begin_job(c, x, job_add(ctl, x, kind, a->id, l ? l->name : i.id, data));
}

void op_provider_terminate(struct op_call *c)
{
    act(c, &provider_terminate_job, true);
}

void op_provider_fence(struct op_call *c)
{
    act(c, &provider_fence_job, false);
}

/* --- console-log
 * ----------------------------------------------------------------- */

static void console_read(void *arg, const cJSON *result,
                         const struct sc_err *err)
{
    SC_AUTO(provider_op_free) struct provider_op *q = arg;
    if (!q->c.ctl->stopping && !q->c.ctl->broken)
        account_heard(q->c.ctl, q->account, err);
    if (err->code) {
        op_fail(&q->c, err);
        return;
    }
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "data", text(result, "console"));
    op_reply(&q->c, 0, j);
}

void op_provider_console_log(struct op_call *c)
{
    const struct account *a = op_account(c);
    struct instance_ref i = { NULL, "", "" };
    struct sc_err err;
    if (!a)
        return;
    if (read_instance(c, a, "provider.console_log", &i, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    struct provider_op *q = provider_op_new(c);
    if (!q)
        return;
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "id", i.id);
    cJSON_AddStringToObject(args, "region", i.region);
    ask(q, a, "console", args, console_read);
}

/* --- gc
 * ----------------------------------------------------------------------- */

static void gc_found(void *arg, const cJSON *result, const struct sc_err *err)
{
    SC_AUTO(provider_op_free) struct provider_op *q = arg;
    struct ctl *ctl = q->c.ctl;
    bool alive = !ctl->stopping && !ctl->broken;
    if (alive)
        account_heard(ctl, q->account, err);
    cJSON *list =
        err->code || !alive
            ? NULL
            : ctl_gc(ctl,
                     cJSON_GetObjectItemCaseSensitive(result, "resources"));
    if (!list) {
        op_fail(&q->c, err->code ? err
                                 : &(struct sc_err){ .code = -ESHUTDOWN,
                                                     .text = "stopping" });
        return;
    }
    cJSON *j = cJSON_CreateObject();
    cJSON_AddItemToObject(j, "resources", list);
    op_reply(&q->c, 0, j);
}

void op_provider_gc(struct op_call *c)
{
    static const char *const keys[] = { "id", "dry_run", NULL };
    struct ctl *ctl = c->ctl;
    const struct account *a = op_account(c);
    struct json_reader r = json_read(c->params, "provider.gc");
    bool dry = json_bool_or(&r, "dry_run", true);
    struct sc_err err;
    if (!a)
        return;
    json_only(&r, keys);
    if (json_done(&r, &err) < 0) {
        op_fail(c, &err);
        return;
    }
    if (!dry) {
        cJSON *data = cJSON_CreateObject();
        cJSON_AddStringToObject(data, "provider", a->id);
        struct ctl_txn *x = ctl_txn_begin(ctl);
        op_begin_job(c, x,
                     job_add(ctl, x, &provider_gc_job, a->id, a->name, data));
        return;
    }
    struct provider_op *q = provider_op_new(c);
    if (!q)
        return;
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "cluster", ctl->cluster_id);
    ask(q, a, "leftovers", args, gc_found);
}
