/* limit - see limit.h.  A bucket is one number, the time at which it will be
 * full again ('full_at'): tries left = burst - ceil((full_at - now) / refill).
 * A key that is not in the table has a full bucket. */
#include "http/limit.h"

#include <string.h>

struct bucket {
    uint64_t hash; /* 0: free. */
    uint64_t full_at;
};

struct limit {
    unsigned burst;
    uint64_t refill_ms;
    struct bucket buckets[LIMIT_KEYS];
};

struct limit *limit_new(unsigned burst, uint64_t refill_ms)
{
    struct limit *l = calloc(1, sizeof *l);
    if (l)
        *l = (struct limit){ .burst = burst, .refill_ms = refill_ms };
    return l;
}

void limit_free(struct limit *l)
{
    free(l);
}

/* FNV-1a.  Two keys that collide share a bucket, which is only stricter. */
static uint64_t hash_of(const char *key)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * 0x100000001b3u;
    return h ? h : 1;
}

static struct bucket *find(const struct limit *l, const char *key)
{
    uint64_t hash = hash_of(key);
    for (size_t i = 0; i < LIMIT_KEYS; i++)
        if (l->buckets[i].hash == hash)
            return (struct bucket *)&l->buckets[i];
    return NULL;
}

/* A free bucket, or the fullest one. */
static struct bucket *claim(struct limit *l)
{
    struct bucket *best = &l->buckets[0];
    for (size_t i = 0; i < LIMIT_KEYS && best->hash; i++)
        if (!l->buckets[i].hash || l->buckets[i].full_at < best->full_at)
            best = &l->buckets[i];
    return best;
}

static uint64_t wait_of(const struct limit *l, const struct bucket *b,
                        uint64_t now)
{
    uint64_t span_ms = (l->burst - 1) * l->refill_ms;
    return b && b->full_at > now + span_ms ? b->full_at - now - span_ms : 0;
}

uint64_t limit_wait(const struct limit *l, const char *key, uint64_t now)
{
    return wait_of(l, find(l, key), now);
}

uint64_t limit_take(struct limit *l, const char *key, uint64_t now)
{
    struct bucket *b = find(l, key);
    uint64_t wait_ms = wait_of(l, b, now);
    if (wait_ms)
        return wait_ms;
    if (!b) {
        b = claim(l);
        *b = (struct bucket){ .hash = hash_of(key), .full_at = now };
    }
    b->full_at = (b->full_at > now ? b->full_at : now) + l->refill_ms;
    return 0;
}

void limit_give(struct limit *l, const char *key)
{
    struct bucket *b = find(l, key);
    if (b && b->full_at > l->refill_ms)
        b->full_at -= l->refill_ms;
}

void limit_clear(struct limit *l, const char *key)
{
    struct bucket *b = find(l, key);
    if (b)
        *b = (struct bucket){ 0 };
}
