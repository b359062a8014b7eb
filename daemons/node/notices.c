/* notices - see notices.h. */
#include "node/notices.h"

#include "common/json.h"
#include "common/log.h"
#include "node/metadata.h"

#include <stdio.h>

#define ENDPOINT "169.254.169.254:80" /* Of all three. */

struct ask {
    struct notices *n;
    unsigned which;
    struct metadata_call *call; /* NULL: not under way. */
};
struct notices {
    struct notices_options o; /* Its strings are not used later. */
    struct sockaddr_in6 to;
    struct notice_watch watch;
    struct ask asks[NOTICE_SOURCES + 1];
    struct sc_source *timer;
    struct notice told;
    bool has_told, unreachable;
    char service[16];
};

static void pump(struct notices *n);

static void tell(struct notices *n)
{
    const struct notice *now = notice_watch_worst(&n->watch);
    bool changed = !n->has_told || !notice_equal(now, &n->told);
    if (now->kind == NOTICE_NONE && !notice_watch_knows(&n->watch))
        return; /* Not all have been heard: 'none' may be wrong. */
    if (!changed)
        return;
    if (now->kind != NOTICE_NONE || (n->has_told && n->told.kind))
        sc_log(SC_LOG_WARN, "notice", "kind", notice_kind_name(now->kind),
               "action", now->action, "source", now->source, "msg", now->text,
               NULL);
    n->told = *now;
    n->has_told = true;
    n->o.tell(n->o.arg, notice_to_json(now));
}

void notices_again(struct notices *n)
{
    if (n->has_told)
        n->o.tell(n->o.arg, notice_to_json(&n->told));
}

/* Said once when it begins and once when it ends. */
static void note_trouble(struct notices *n, const struct sc_err *err)
{
    bool trouble = err->code != 0;
    if (trouble != n->unreachable)
        sc_log(trouble ? SC_LOG_WARN : SC_LOG_INFO, "notice.service", "name",
               n->service, "msg", trouble ? err->text : "answers", NULL);
    n->unreachable = trouble;
}

static void answered(void *arg, const struct metadata_answer *a,
                     const struct sc_err *err)
{
    struct ask *ask = arg;
    struct notices *n = ask->n;
    ask->call = NULL;
    note_trouble(n, err);
    notice_watch_answer(
        &n->watch, ask->which, a ? a->status : 0, a ? a->body : "",
        a ? http_head_get(&a->head, "ETag") : NULL, sc_mono_ms(), sc_wall_ms());
    tell(n);
    pump(n);
}

static void on_timer(void *arg)
{
    pump(arg);
}

/* Sends all that is due, and sleeps until more is. */
static void pump(struct notices *n)
{
    struct notice_ask q;
    uint64_t now = sc_mono_ms(), due;
    struct sc_err err;
    while (notice_watch_next(&n->watch, now, &q)) {
        struct ask *ask = &n->asks[q.which];
        struct metadata_request m = { .method = q.method,
                                      .path = q.path,
                                      .headers = q.headers,
                                      .timeout_ms = q.timeout_ms };
        if (metadata_ask(n->o.loop, &n->to, &m, answered, ask, &ask->call,
                         &err) == 0)
            continue;
        note_trouble(n, &err);
        notice_watch_answer(&n->watch, q.which, 0, "", NULL, now, 0);
    }
    due = notice_watch_due(&n->watch);
    sc_source_free(SC_TAKE(n->timer));
    if (due == UINT64_MAX)
        return;
    if (sc_loop_add_timer(n->o.loop, due > now ? due - now : 0, 0, on_timer, n,
                          &n->timer) < 0)
        sc_log(SC_LOG_ERROR, "notice.service", "msg", "no timer", NULL);
}

int notices_new(const struct notices_options *o, struct notices **ret,
                struct sc_err *err)
{
    SC_AUTO(notices_free) struct notices *n = calloc(1, sizeof *n);
    if (!n)
        return sc_fail(err, -ENOMEM, "notices: out of memory");
    n->o = *o;
    snprintf(n->service, sizeof n->service, "%s", o->metadata);
    int r =
        metadata_address(*o->endpoint ? o->endpoint : ENDPOINT, &n->to, err);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < SC_ARRAY_LEN(n->asks); i++)
        n->asks[i] = (struct ask){ .n = n, .which = i };
    notice_watch_init(&n->watch, notice_service_of(o->metadata), sc_mono_ms());
    if (!strcmp(o->metadata, "openstack"))
        sc_log(SC_LOG_INFO, "notice.service", "name", "openstack", "msg",
               "announces nothing to its instances", NULL);
    if (n->watch.service != NOTICE_SERVICE_NONE) {
        r = sc_loop_add_timer(o->loop, 0, 0, on_timer, n, &n->timer);
        if (r < 0)
            return sc_fail(err, r, "notices: %s", strerror(-r));
    }
    *ret = SC_TAKE(n);
    return 0;
}

void notices_free(struct notices *n)
{
    if (!n)
        return;
    for (unsigned i = 0; i < SC_ARRAY_LEN(n->asks); i++)
        metadata_cancel(n->asks[i].call);
    sc_source_free(n->timer);
    free(n);
}

cJSON *notices_status(const struct notices *n)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "service", n->service);
    cJSON_AddBoolToObject(o, "known", notice_watch_knows(&n->watch));
    cJSON_AddItemToObject(o, "notice",
                          notice_to_json(notice_watch_worst(&n->watch)));
    return o;
}
