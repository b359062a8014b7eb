/* sse - see sse.h.  Event number n lives in slot n % SSE_RING; 'first' is the
 * oldest one still there, 'next' the number the coming one gets. */
#include "http/sse.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

struct sse_hub {
    pthread_mutex_t lock;
    pthread_cond_t more;
    uint64_t run;
    unsigned n_readers, max_readers;
    bool closing;
    uint64_t first, next; /* Numbers begin at 1. */
    size_t bytes;
    char *ring[SSE_RING];
};

struct sse_reader {
    struct sse_hub *hub;
    uint64_t at; /* Next number to send; 0: a reset comes first. */
};

char *sse_format(const char *id, const char *event, const char *data)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    fprintf(f, "id: %s\nevent: %s\n", id, event);
    for (const char *p = data;; p++) {
        size_t n = strcspn(p, "\r\n");
        fprintf(f, "data: %.*s\n", (int)n, p);
        p += n;
        if (!*p)
            break;
        if (p[0] == '\r' && p[1] == '\n')
            p++;
    }
    fputc('\n', f);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

int sse_hub_new(uint64_t run, unsigned max_readers, struct sse_hub **ret)
{
    struct sse_hub *hub = calloc(1, sizeof *hub);
    if (!hub)
        return -ENOMEM;
    hub->run = run;
    hub->max_readers = max_readers;
    hub->first = hub->next = 1;
    pthread_mutex_init(&hub->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&hub->more, &attr);
    pthread_condattr_destroy(&attr);
    *ret = hub;
    return 0;
}

void sse_hub_close(struct sse_hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    hub->closing = true;
    pthread_cond_broadcast(&hub->more);
    pthread_mutex_unlock(&hub->lock);
}

void sse_hub_free(struct sse_hub *hub)
{
    if (!hub)
        return;
    for (uint64_t n = hub->first; n < hub->next; n++)
        free(hub->ring[n % SSE_RING]);
    pthread_mutex_destroy(&hub->lock);
    pthread_cond_destroy(&hub->more);
    free(hub);
}

static void drop_first(struct sse_hub *hub)
{
    char **slot = &hub->ring[hub->first % SSE_RING];
    hub->bytes -= strlen(*slot);
    free(SC_TAKE(*slot));
    hub->first++;
}

int sse_publish(struct sse_hub *hub, const char *event, const char *data)
{
    pthread_mutex_lock(&hub->lock);
    char id[48];
    snprintf(id, sizeof id, "%" PRIx64 "-%" PRIu64, hub->run, hub->next);
    char *text = sse_format(id, event, data);
    if (text) {
        if (hub->next - hub->first == SSE_RING)
            drop_first(hub);
        hub->ring[hub->next % SSE_RING] = text;
        hub->next++;
        hub->bytes += strlen(text);
        while (hub->bytes > SSE_RING_BYTES && hub->first + 1 < hub->next)
            drop_first(hub);
        pthread_cond_broadcast(&hub->more);
    }
    pthread_mutex_unlock(&hub->lock);
    return text ? 0 : -ENOMEM;
}

/* Where a reader with 'last_id' goes on; 0: it missed something. */
static uint64_t resume_at(const struct sse_hub *hub, const char *last_id)
{
    uint64_t run, n;
    char end;
    if (!last_id || !*last_id)
        return hub->next;
    if (sscanf(last_id, "%" SCNx64 "-%" SCNu64 "%c", &run, &n, &end) != 2 ||
        run != hub->run || n + 1 < hub->first || n >= hub->next)
        return 0;
    return n + 1;
}

int sse_reader_new(struct sse_hub *hub, const char *last_id,
                   struct sse_reader **ret)
{
    struct sse_reader *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    pthread_mutex_lock(&hub->lock);
    bool full = hub->n_readers >= hub->max_readers || hub->closing;
    if (!full) {
        hub->n_readers++;
        *r = (struct sse_reader){ hub, resume_at(hub, last_id) };
    }
    pthread_mutex_unlock(&hub->lock);
    if (full) {
        free(r);
        return -EAGAIN;
    }
    *ret = r;
    return 0;
}

void sse_reader_free(struct sse_reader *r)
{
    if (!r)
        return;
    struct sse_hub *hub = r->hub;
    pthread_mutex_lock(&hub->lock);
    hub->n_readers--;
    pthread_mutex_unlock(&hub->lock);
    free(r);
}

/* Under the lock: whether there is something for 'r' right now. */
static int take(struct sse_reader *r, char **ret)
{
    struct sse_hub *hub = r->hub;
    if (hub->closing)
        return -ESHUTDOWN;
    if (r->at < hub->first) { /* Also 0: a reset was promised. */
        char id[48];
        snprintf(id, sizeof id, "%" PRIx64 "-%" PRIu64, hub->run,
                 hub->next - 1);
        *ret = sse_format(id, "reset", "{}");
        r->at = hub->next;
        return *ret ? 0 : -ENOMEM;
    }
    if (r->at == hub->next)
        return -EAGAIN;
    *ret = strdup(hub->ring[r->at % SSE_RING]);
    r->at++;
    return *ret ? 0 : -ENOMEM;
}

int sse_next(struct sse_reader *r, uint64_t timeout_ms, char **ret)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000);
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&r->hub->lock);
    int got;
    while ((got = take(r, ret)) == -EAGAIN) {
        if (pthread_cond_timedwait(&r->hub->more, &r->hub->lock, &until) ==
            ETIMEDOUT) {
            got = take(r, ret);
            break;
        }
    }
    pthread_mutex_unlock(&r->hub->lock);
    return got == -EAGAIN ? -ETIMEDOUT : got;
}
