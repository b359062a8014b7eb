/* What a node reports about itself and its provider (docs/protocols/
 * provider.md, "What a node reports"): functional probes, and notices of
 * revocation or maintenance.  The probe 'reachable' is the controller's own: it
 * connects to the node's ports from outside.
 * Stored beside the node, in a table of their own: a restarted controller must
 * not place a VM on a node that is about to be taken away. */
#include "common/log.h"
#include "controller/ctl.h"

#include <inttypes.h>

enum {
    PROBES_MAX = 32,
    PROBE_VALUE = 255,
    PROBE_WHY = 511,
    REACH_EVERY_MS = 3600000,
    REACH_AGAIN_MS = 60000, /* After it was not reached. */
    REACH_TIMEOUT_MS = 5000,
};

void ctl_node_free(struct ctl_node *n)
{
    if (!n)
        return;
    cJSON_Delete(n->probes);
    cJSON_Delete(n->notice);
    free(n);
}

static void put_facts(struct ctl *ctl, struct ctl_node *n)
{
    cJSON *j = cJSON_CreateObject();
    json_set_u64(j, "probed_at", n->probed_at);
    if (n->probes)
        cJSON_AddItemToObject(j, "probes", cJSON_Duplicate(n->probes, true));
    if (n->notice)
        cJSON_AddItemToObject(j, "notice", cJSON_Duplicate(n->notice, true));
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_put_json(x, "node_facts", n->n.id, j);
    ctl_put_node(x, &n->n); /* Announces it. */
    ctl_txn_commit(x, NULL);
}

int ctl_node_facts_load(struct ctl *ctl, const char *id, const cJSON *j,
                        struct sc_err *err)
{
    (void)err;
    struct ctl_node *n = ctl_node_find(ctl, id);
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(j, "probed_at");
    const cJSON *probes = cJSON_GetObjectItemCaseSensitive(j, "probes");
    const cJSON *notice = cJSON_GetObjectItemCaseSensitive(j, "notice");
    if (!n)
        return 0;
    n->probed_at = cJSON_IsNumber(at) ? (uint64_t)at->valuedouble : 0;
    n->probes = cJSON_IsArray(probes) ? cJSON_Duplicate(probes, true) : NULL;
    n->notice = cJSON_IsObject(notice) ? cJSON_Duplicate(notice, true) : NULL;
    return 0;
}

void ctl_node_facts_add(const struct ctl_node *n, cJSON *to)
{
    cJSON_AddItemToObject(to, "probes",
                          n->probes ? cJSON_Duplicate(n->probes, true)
                                    : cJSON_CreateArray());
    json_set_u64(to, "probed_at", n->probed_at);
    if (n->notice)
        cJSON_AddItemToObject(to, "notice", cJSON_Duplicate(n->notice, true));
    else
        cJSON_AddNullToObject(to, "notice");
}

bool ctl_node_revoked(const struct ctl_node *n)
{
    const char *kind = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(n->notice, "kind"));
    return kind && !strcmp(kind, "revocation");
}

/* --- probes ----------------------------------------------------------------
 */

static const cJSON *probe_named(const cJSON *probes, const char *name)
{
    const cJSON *p;
    cJSON_ArrayForEach(p, probes)
    {
        const char *is =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(p, "name"));
        if (is && !strcmp(is, name))
            return p;
    }
    return NULL;
}

static int add_probe(cJSON *list, const cJSON *item, struct sc_err *err)
{
    struct json_reader r = json_read(item, "probe");
    const char *name = json_str(&r, "name", 1, OBJ_NAME - 1);
    bool ok = json_bool(&r, "ok");
    const char *value = json_str_or(&r, "value", PROBE_VALUE, "");
    const char *why = json_str_or(&r, "why", PROBE_WHY, "");
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "name", name);
    cJSON_AddBoolToObject(p, "ok", ok);
    cJSON_AddStringToObject(p, "value", value);
    cJSON_AddStringToObject(p, "why", why);
    cJSON_AddItemToArray(list, p);
    return 0;
}

int ctl_node_take_probes(struct ctl_node *n, const cJSON *report, uint64_t now,
                         struct sc_err *err)
{
    struct json_reader r = json_read(report, "probes");
    int64_t at = json_int_or(&r, "at", 0, INT64_C(1) << 53, (int64_t)now);
    const cJSON *probes = json_arr(&r, "probes"), *item;
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    if (cJSON_GetArraySize(probes) > PROBES_MAX)
        return sc_fail(err, -EINVAL, "probes: more than %d", PROBES_MAX);
    SC_AUTO(cjson_free) cJSON *list = cJSON_CreateArray();
    cJSON_ArrayForEach(item, probes)
    {
        e = add_probe(list, item, err);
        if (e < 0)
            return e;
    }
    /* Ours, which no node knows. */
    const cJSON *own = probe_named(n->probes, "reachable");
    if (own && !probe_named(list, "reachable"))
        cJSON_AddItemToArray(list, cJSON_Duplicate(own, true));
    cJSON_Delete(n->probes);
    n->probes = SC_TAKE(list);
    n->probed_at = (uint64_t)at;
    return 0;
}

void ctl_node_probes(struct ctl *ctl, uint16_t nid, const cJSON *params)
{
    struct ctl_node *n = ctl_node_by_nid(ctl, nid);
    struct sc_err err;
    if (!n)
        return;
    if (ctl_node_take_probes(n, params, ctl_now(ctl), &err) < 0)
        sc_logf(SC_LOG_WARN, "node.probes.bad", "node '%s': %s", n->n.name,
                err.text);
    else
        put_facts(ctl, n);
}

void ctl_node_probes_hello(struct ctl *ctl, struct ctl_node *n,
                           const cJSON *hello)
{
    const cJSON *report = cJSON_GetObjectItemCaseSensitive(hello, "probes");
    if (cJSON_IsObject(report)) {
        ctl_node_probes(ctl, n->n.nid, report);
    } else if (cJSON_IsArray(report)) { /* With "probed_at" beside it. */
        SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
        const cJSON *at = cJSON_GetObjectItemCaseSensitive(hello, "probed_at");
        cJSON_AddItemToObject(o, "probes", cJSON_Duplicate(report, true));
        if (cJSON_IsNumber(at))
            cJSON_AddNumberToObject(o, "at", at->valuedouble);
        ctl_node_probes(ctl, n->n.nid, o);
    }
}

/* --- notices ---------------------------------------------------------------
 */

void ctl_node_notice(struct ctl *ctl, uint16_t nid, const cJSON *params)
{
    static const char *const kinds[] = { "revocation", "maintenance",
                                         "rebalance", "none", NULL };
    struct ctl_node *n = ctl_node_by_nid(ctl, nid);
    struct json_reader r = json_read(params, "node.notice");
    const char *kind = json_str(&r, "kind", 1, 31);
    const char *action = json_str_or(&r, "action", 31, "");
    int64_t at = json_int_or(&r, "at", 0, INT64_C(1) << 53, 0);
    const char *source = json_str_or(&r, "source", OBJ_NAME - 1, "");
    const char *text = json_str_or(&r, "text", OBJ_TEXT - 1, "");
    struct sc_err err;
    int e = json_done(&r, &err), i = 0;
    if (!n)
        return;
    while (e == 0 && kinds[i] && strcmp(kinds[i], kind) != 0)
        i++;
    if (e == 0 && !kinds[i])
        e = sc_fail(&err, -EINVAL, "node.notice: 'kind' '%s': is not known",
                    kind);
    if (e < 0) {
        sc_logf(SC_LOG_WARN, "node.notice.bad", "node '%s': %s", n->n.name,
                err.text);
        return;
    }
    cJSON *notice = NULL;
    if (strcmp(kind, "none") != 0) {
        notice = cJSON_CreateObject();
        cJSON_AddStringToObject(notice, "kind", kind);
        cJSON_AddStringToObject(notice, "action", action);
        json_set_u64(notice, "at", (uint64_t)at);
        cJSON_AddStringToObject(notice, "source", source);
        cJSON_AddStringToObject(notice, "text", text);
        json_set_u64(notice, "heard_at", ctl_now(ctl));
    } else if (!n->notice) {
        return;
    }
    cJSON_Delete(n->notice);
    n->notice = notice;
    sc_log(notice ? SC_LOG_WARN : SC_LOG_INFO, "node.notice", "node", n->n.name,
           "kind", kind, "action", action, "source", source, "text", text,
           NULL);
    put_facts(ctl, n);
}

/* --- from outside ----------------------------------------------------------
 */

struct reach {
    struct ctl *ctl;
    uint16_t nid;
    int code[2];
    uint64_t ms[2];
    uint16_t port[2];
    unsigned n;
    uint64_t begun_at;
};
static const char *const reach_names[2] = { "storage", "migration" };

static void reach_next(struct reach *q);

static void reach_done(struct reach *taken)
{
    SC_AUTO(free) struct reach *q = taken;
    struct ctl *ctl = q->ctl;
    struct ctl_node *n = ctl_node_by_nid(ctl, q->nid);
    if (!n)
        return;
    char value[PROBE_VALUE + 1] = "";
    size_t len = 0;
    bool ok = true;
    for (unsigned i = 0; i < 2; i++) {
        ok &= q->code[i] == 0;
        int k =
            snprintf(value + len, sizeof value - len,
                     "%s%s %u: ", i ? ", " : "", reach_names[i], q->port[i]);
        len += k > 0 ? (size_t)k : 0;
        if (q->code[i] == 0)
            k = snprintf(value + len, sizeof value - len, "%" PRIu64 " ms",
                         q->ms[i]);
        else
            k = snprintf(value + len, sizeof value - len, "%s",
                         strerror(-q->code[i]));
        len += k > 0 ? (size_t)k : 0;
    }
    cJSON *p = cJSON_CreateObject();
    cJSON_AddStringToObject(p, "name", "reachable");
    cJSON_AddBoolToObject(p, "ok", ok);
    cJSON_AddStringToObject(p, "value", value);
    cJSON_AddStringToObject(
        p, "why",
        ok ? ""
           : "other nodes may not reach it either: let TCP 7480 and 7482 and "
             "UDP 4789 and 7481 in at the provider's firewall");
    if (!n->probes)
        n->probes = cJSON_CreateArray();
    for (int i = cJSON_GetArraySize(n->probes); i-- > 0;) {
        const char *name = cJSON_GetStringValue(
            cJSON_GetObjectItem(cJSON_GetArrayItem(n->probes, i), "name"));
        if (name && !strcmp(name, "reachable"))
            cJSON_DeleteItemFromArray(n->probes, i);
    }
    cJSON_AddItemToArray(n->probes, p);
    if (!n->probed_at)
        n->probed_at = ctl_now(ctl);
    n->reaching = false;
    n->reach_at = ctl_now(ctl) + (ok ? REACH_EVERY_MS : REACH_AGAIN_MS);
    put_facts(ctl, n);
}

static void reach_answer(void *arg, int code)
{
    struct reach *q = arg;
    if (q->ctl->stopping || q->ctl->broken) {
        free(q);
        return;
    }
    q->code[q->n] = code;
    q->ms[q->n] = ctl_now(q->ctl) - q->begun_at;
    q->n++;
    reach_next(q);
}

static void reach_next(struct reach *q)
{
    struct ctl *ctl = q->ctl;
    const struct ctl_node *n = ctl_node_by_nid(ctl, q->nid);
    if (q->n == 2 || !n) {
        reach_done(q);
        return;
    }
    q->begun_at = ctl_now(ctl);
    q->port[q->n] = q->n ? n->n.migration_port : n->n.storage_port;
    ctl->env.reach(ctl->env.ctx, n->n.address, q->port[q->n], REACH_TIMEOUT_MS,
                   reach_answer, q);
}

void ctl_reach_run(struct ctl *ctl)
{
    uint64_t now = ctl_now(ctl);
    for (size_t i = 0; ctl->env.reach && i < ctl->nodes.n; i++) {
        struct ctl_node *n = ctl->nodes.items[i];
        if (n->reaching || n->reach_at > now || n->n.state != NODE_UP ||
            !n->connected[PROGRAM_NODE] || !n->connected[PROGRAM_STORAGE] ||
            !n->n.storage_port || !n->n.migration_port)
            continue;
        struct reach *q = calloc(1, sizeof *q);
        if (!q)
            return;
        q->ctl = ctl;
        q->nid = n->n.nid;
        n->reaching = true;
        reach_next(q);
    }
}
