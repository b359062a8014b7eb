/* p_openstack_list - what takes several requests: lists over all their pages,
 * things made exactly once, waiting; and the tags on what is made. */
#include "provider/p_openstack.h"

#include <time.h>

enum {
    PAGES_MAX = 10000,
    MAKE_TRIES = 5,
    PAUSE_MAX_MS = 5000,
};

/* -- Lists --------------------------------------------------------------------
 */

/* Does an answer with a page say that there is another? */
static bool has_next(const cJSON *json, const char *key)
{
    char links[64];
    const cJSON *l;
    if (*os_str(json, "next")) /* Glance */
        return true;
    snprintf(links, sizeof links, "%s_links", key);
    cJSON_ArrayForEach(l, cJSON_GetObjectItem(json, links))
    {
        if (!strcmp(os_str(l, "rel"), "next"))
            return true;
    }
    return false;
}

int os_list(struct openstack *o, const char *region, const char *service,
            const char *path, const char *key, os_item_fn *fn, void *arg,
            struct sc_err *err)
{
    char marker[OS_UUID_MAX] = "";
    for (unsigned page = 0; page < PAGES_MAX; page++) {
        SC_AUTO(free) char *escaped = web_escape(marker, false);
        struct os_answer a = { 0 };
        if (!escaped)
            return sc_fail(err, -ENOMEM, "out of memory");
        int r = os_get(o, region, service, &a, err, "%s%s%s%s", path,
                       !*marker            ? ""
                       : strchr(path, '?') ? "&"
                                           : "?",
                       *marker ? "marker=" : "", escaped);
        if (r < 0)
            return r;
        const cJSON *array = cJSON_GetObjectItem(a.json, key), *item;
        if (!cJSON_IsArray(array))
            r = sc_fail(err, -EPROTO, "%s: %s: an answer without '%s'",
                        o->up.class->name, service, key);
        const char *last = "";
        cJSON_ArrayForEach(item, array)
        {
            last = os_str(item, "id");
            if (r == 0)
                r = fn(arg, item);
        }
        bool more = r == 0 && has_next(a.json, key) && *last &&
                    strcmp(last, marker) != 0;
        snprintf(marker, sizeof marker, "%s", last);
        os_answer_clear(&a);
        if (!more)
            return r;
    }
    return sc_fail(err, -EPROTO, "%s: %s: a list without end",
                   o->up.class->name, service);
}

uint64_t os_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* -- Once, and waiting
 * ---------------------------------------------------------- */

bool os_unknown_outcome(int code)
{
    return code == -ECONNRESET || code == -ETIMEDOUT || code == -EIO;
}

int os_pause(struct openstack *o, unsigned *ms, uint64_t end, const char *what,
             struct sc_err *err)
{
    unsigned first = o->retry_ms / 5 + 1;
    *ms = !*ms                             ? first
          : *ms * 3 / 2 + 1 < PAUSE_MAX_MS ? *ms * 3 / 2 + 1
                                           : PAUSE_MAX_MS;
    if (os_clock() + *ms > end)
        return sc_fail(err, -ETIMEDOUT, "%s: waited in vain for %s",
                       o->up.class->name, what);
    if (web_pause(o->web, *ms, NULL) == 0)
        return 0;
    return sc_fail(err, -ECANCELED, "%s: cancelled while waiting for %s",
                   o->up.class->name, what);
}

int os_make(struct openstack *o, const struct os_make *m, char **ret,
            struct sc_err *err)
{
    unsigned ms = 0;
    int r;
    for (int n = 0;; n++) {
        r = m->find(m->arg, ret, err);
        if (r != -ENOENT)
            return r;
        struct os_call c = { .region = m->region,
                             .service = m->service,
                             .method = "POST",
                             .path = m->path,
                             .body = m->body,
                             .once = true };
        struct os_answer a = { 0 };
        r = os_call(o, &c, &a, err);
        if (r == 0) {
            const cJSON *made =
                m->key ? cJSON_GetObjectItem(a.json, m->key) : a.json;
            *ret = strdup(os_str(made, "id"));
            r = !*ret ? sc_fail(err, -ENOMEM, "out of memory") : 0;
            if (*ret && !**ret) { /* An answer cut in a proxy. */
                free(*ret);
                *ret = NULL;
                r = sc_fail(err, -EIO, "%s: %s: an answer without an id",
                            o->up.class->name, m->service);
            }
            os_answer_clear(&a);
        }
        if (r == 0 || !os_unknown_outcome(r) || n + 1 == MAKE_TRIES)
            return r;
        struct sc_err e = { 0 };
        if (os_pause(o, &ms, UINT64_MAX, m->path, &e) < 0) {
            if (err)
                *err = e;
            return e.code;
        }
    }
}

/* -- Tags
 * ------------------------------------------------------------------------ */

void os_mark(const struct provider_tags *t, char ret[OS_MARK_MAX])
{
    snprintf(ret, OS_MARK_MAX, "supercloud cluster=%s token=%s", t->cluster,
             t->token);
}

bool os_mark_read(const char *text, char ret_cluster[64], char ret_token[64])
{
    return sscanf(text, "supercloud cluster=%63[a-z0-9-] token=%63[a-z0-9-]",
                  ret_cluster, ret_token) == 2;
}

void os_add_tags(cJSON *o, const struct provider_tags *t)
{
    cJSON_AddStringToObject(o, "supercloud_cluster", t->cluster);
    cJSON_AddStringToObject(o, "supercloud_token", t->token);
}

bool os_has_tags(const cJSON *o, const struct provider_tags *t)
{
    return !strcmp(os_str(o, "supercloud_cluster"), t->cluster) &&
           !strcmp(os_str(o, "supercloud_token"), t->token);
}
