/* notice_watch - when to ask a metadata service what (notice.h).
 *
 * A service is a row of data: where its sources are, how an answer is read,
 * whether a request waits for a change, and what must be had first. */
#include "node/notice.h"

#include <stdio.h>

enum {
    AGAIN_MS = 100, /* Should a service not wait when told to. */
    EC2_TOKEN_S = 21600,
    EC2_TOKEN_MARGIN_MS = 600000, /* It is renewed so long before its end. */
    AZURE_FIRST_MS = 150000, /* The first one switches the service on, and may
                                take two minutes. */
};

static const struct service {
    const char *headers;
    bool waits;
    struct {
        const char *path;
        int (*read)(int status, const char *body, struct notice *ret);
    } sources[NOTICE_SOURCES];
} services[] = {
    [NOTICE_SERVICE_NONE] = { 0 },
    [NOTICE_SERVICE_EC2] = {
        .sources = {
            { "/latest/meta-data/spot/instance-action", notice_ec2_spot },
            { "/latest/meta-data/events/recommendations/rebalance",
              notice_ec2_rebalance },
            { "/latest/meta-data/events/maintenance/scheduled",
              notice_ec2_events },
        },
    },
    [NOTICE_SERVICE_GCE] = {
        .headers = "Metadata-Flavor: Google\r\n",
        .waits = true,
        .sources = {
            { "/computeMetadata/v1/instance/preempted", notice_gce_preempted },
            { "/computeMetadata/v1/instance/maintenance-event",
              notice_gce_maintenance },
        },
    },
    [NOTICE_SERVICE_AZURE] = {
        .headers = "Metadata: true\r\n",
        .sources = { { "/metadata/scheduledevents?api-version=2020-07-01",
                       NULL } }, /* Needs the name: read_answer. */
    },
};

enum notice_service notice_service_of(const char *metadata)
{
    if (!strcmp(metadata, "ec2"))
        return NOTICE_SERVICE_EC2;
    if (!strcmp(metadata, "gce"))
        return NOTICE_SERVICE_GCE;
    if (!strcmp(metadata, "azure"))
        return NOTICE_SERVICE_AZURE;
    return NOTICE_SERVICE_NONE;
}

static const char *path_of(const struct notice_watch *w, unsigned i)
{
    return services[w->service].sources[i].path;
}

static struct notice nothing(void)
{
    return (struct notice){ .kind = NOTICE_NONE, .action = "", .source = "" };
}

void notice_watch_init(struct notice_watch *w, enum notice_service s,
                       uint64_t now)
{
    memset(w, 0, sizeof *w);
    w->service = s;
    w->first.due_at = now;
    for (unsigned i = 0; i < NOTICE_SOURCES; i++) {
        w->sources[i].due_at = now;
        w->sources[i].last = nothing();
    }
}

/* A source cannot be asked without the token; Azure's can without the name. */
static bool may_ask(const struct notice_watch *w, uint64_t now)
{
    return w->service != NOTICE_SERVICE_EC2 ||
           (w->word[0] && now < w->word_until);
}

/* When the first step is due: UINT64_MAX if the service has none. */
static uint64_t first_due(const struct notice_watch *w)
{
    if (w->first.busy)
        return UINT64_MAX;
    if (w->service == NOTICE_SERVICE_EC2)
        return w->first.due_at;
    if (w->service == NOTICE_SERVICE_AZURE && !w->word[0])
        return w->first.due_at;
    return UINT64_MAX;
}

static void ask_first(struct notice_watch *w, struct notice_ask *ret)
{
    bool ec2 = w->service == NOTICE_SERVICE_EC2;
    *ret = (struct notice_ask){ .which = NOTICE_FIRST_STEP,
                                .method = ec2 ? "PUT" : "GET",
                                .timeout_ms = NOTICE_TIMEOUT_MS };
    snprintf(ret->path, sizeof ret->path, "%s",
             ec2 ? "/latest/api/token"
                 : "/metadata/instance/compute/name"
                   "?api-version=2021-02-01&format=text");
    if (ec2)
        snprintf(ret->headers, sizeof ret->headers,
                 "X-aws-ec2-metadata-token-ttl-seconds: %d\r\n", EC2_TOKEN_S);
    else
        snprintf(ret->headers, sizeof ret->headers, "%s",
                 services[w->service].headers);
    w->first.busy = true;
}

static void ask_source(struct notice_watch *w, unsigned i,
                       struct notice_ask *ret)
{
    const struct service *s = &services[w->service];
    struct notice_source *src = &w->sources[i];
    *ret = (struct notice_ask){ .which = i,
                                .method = "GET",
                                .timeout_ms = NOTICE_TIMEOUT_MS };
    if (s->waits && src->etag[0]) {
        snprintf(ret->path, sizeof ret->path,
                 "%s?wait_for_change=true&last_etag=%s&timeout_sec=%d",
                 path_of(w, i), src->etag, NOTICE_WAIT_S);
        ret->timeout_ms += NOTICE_WAIT_S * 1000u;
    } else {
        snprintf(ret->path, sizeof ret->path, "%s", path_of(w, i));
    }
    if (w->service == NOTICE_SERVICE_AZURE && !src->known)
        ret->timeout_ms = AZURE_FIRST_MS;
    if (w->service == NOTICE_SERVICE_EC2)
        snprintf(ret->headers, sizeof ret->headers,
                 "X-aws-ec2-metadata-token: %s\r\n", w->word);
    else
        snprintf(ret->headers, sizeof ret->headers, "%s", s->headers);
    src->busy = true;
}

bool notice_watch_next(struct notice_watch *w, uint64_t now,
                       struct notice_ask *ret)
{
    if (first_due(w) <= now) {
        ask_first(w, ret);
        return true;
    }
    for (unsigned i = 0; i < NOTICE_SOURCES && may_ask(w, now); i++) {
        if (!path_of(w, i) || w->sources[i].busy || w->sources[i].due_at > now)
            continue;
        ask_source(w, i, ret);
        return true;
    }
    return false;
}

uint64_t notice_watch_due(const struct notice_watch *w)
{
    uint64_t due = first_due(w);
    bool token = w->service != NOTICE_SERVICE_EC2 || w->word[0];
    for (unsigned i = 0; i < NOTICE_SOURCES && token; i++)
        if (path_of(w, i) && !w->sources[i].busy && w->sources[i].due_at < due)
            due = w->sources[i].due_at;
    return due;
}

static void put_off(struct notice_source *s, uint64_t now)
{
    uint64_t pause = (uint64_t)NOTICE_POLL_MS
                     << (s->failures < 5 ? s->failures : 5);
    s->failures++;
    s->due_at =
        now + (pause < NOTICE_BACKOFF_MAX_MS ? pause : NOTICE_BACKOFF_MAX_MS);
}

/* What goes into a header or a path again: no control characters, no space. */
static bool is_word(const char *text, size_t max)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return len > 0 && len <= max;
}

static void first_answer(struct notice_watch *w, int status, const char *body,
                         uint64_t now)
{
    w->first.busy = false;
    if (status != 200 || !is_word(body, sizeof w->word - 1)) {
        put_off(&w->first, now);
        return;
    }
    snprintf(w->word, sizeof w->word, "%s", body);
    w->first.failures = 0;
    w->first.known = true;
    w->word_until = now + EC2_TOKEN_S * 1000u;
    w->first.due_at = w->word_until - EC2_TOKEN_MARGIN_MS;
}

static int read_answer(const struct notice_watch *w, unsigned i, int status,
                       const char *body, struct notice *ret)
{
    if (w->service == NOTICE_SERVICE_AZURE)
        return notice_azure(status, body, w->word, ret);
    return services[w->service].sources[i].read(status, body, ret);
}

void notice_watch_answer(struct notice_watch *w, unsigned which, int status,
                         const char *body, const char *etag, uint64_t now,
                         uint64_t wall)
{
    struct notice n;
    if (which == NOTICE_FIRST_STEP) {
        first_answer(w, status, body, now);
        return;
    }
    struct notice_source *s = &w->sources[which];
    s->busy = false;
    if (status == 401 && w->service == NOTICE_SERVICE_EC2) {
        w->word[0] = '\0'; /* The token is not taken: a new one, at once. */
        w->first.due_at = now;
    }
    if (status == 0 || read_answer(w, which, status, body, &n) < 0) {
        s->etag[0] = '\0';
        put_off(s, now);
        return;
    }
    /* An ETag is a word; GCE's is of hexadecimal digits. */
    if (etag && is_word(etag, sizeof s->etag - 1) && !strpbrk(etag, "&#%?\""))
        snprintf(s->etag, sizeof s->etag, "%s", etag);
    else
        s->etag[0] = '\0';
    /* GCE says that it is so, not when: half a minute from the first time. */
    if (!strcmp(n.source, "gce-preempted"))
        n.at = s->last.kind == n.kind ? s->last.at : wall + 30000;
    s->last = n;
    s->known = true;
    s->failures = 0;
    bool waits = services[w->service].waits && s->etag[0];
    s->due_at = now + (waits ? AGAIN_MS : NOTICE_POLL_MS);
}

const struct notice *notice_watch_worst(const struct notice_watch *w)
{
    const struct notice *worst = &w->sources[0].last;
    for (unsigned i = 1; i < NOTICE_SOURCES; i++) {
        const struct notice *n = &w->sources[i].last;
        if (n->kind > worst->kind ||
            (n->kind == worst->kind && n->at && n->at < worst->at))
            worst = n;
    }
    return worst;
}

bool notice_watch_knows(const struct notice_watch *w)
{
    for (unsigned i = 0; i < NOTICE_SOURCES; i++)
        if (path_of(w, i) && !w->sources[i].known)
            return false;
    return w->service != NOTICE_SERVICE_NONE;
}
