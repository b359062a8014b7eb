/* p_ec2_put - see p_ec2_put.h.  Each thread has a copy of the driver's struct
 * with a 'web' of its own; what they share is behind one mutex. */
#include "provider/p_ec2_put.h"

#include "common/json.h"

#include <pthread.h>

struct put_thread {
    struct ec2_put *all;
    struct p_ec2 p; /* A copy: borrows its strings, owns its web. */
    pthread_t thread;
    bool running;
    /* Under all->lock. */
    bool busy;
    uint64_t block;
    unsigned char hash[EC2_HASH];
    char *data; /* Owned, EC2_BLOCK bytes; the thread's while busy. */
};

struct ec2_put {
    const char *region, *snapshot;
    uint64_t n_blocks;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop;
    struct sc_err failed; /* Of the first thread that failed. */
    struct put_thread threads[EC2_PUTS];
};

static int put(struct put_thread *t, struct sc_err *err)
{
    const struct ec2_put *u = t->all;
    char path[160], progress[8];
    SC_AUTO(free) char *checksum = json_b64_encode(t->hash, EC2_HASH);
    if (!checksum)
        return sc_fail(err, -ENOMEM, "out of memory");
    snprintf(path, sizeof path, "/snapshots/%s/blocks/%llu", u->snapshot,
             (unsigned long long)t->block);
    snprintf(progress, sizeof progress, "%u",
             (unsigned)(100 * t->block / u->n_blocks));
    struct web_header headers[] = {
        { "Content-Type", "application/octet-stream" },
        { "x-amz-Data-Length", "524288" },
        { "x-amz-Checksum", checksum },
        { "x-amz-Checksum-Algorithm", "SHA256" },
        { "x-amz-Progress", progress },
    };
    struct web_request q = { .method = "PUT",
                             .headers = headers,
                             .n_headers = SC_ARRAY_LEN(headers),
                             .body = t->data,
                             .body_size = EC2_BLOCK };
    for (unsigned n = 0;; n++) {
        int r = ec2_json(&t->p, EC2_EBS, u->region, "PutSnapshotBlock", path, q,
                         true, NULL, err);
        /* One that was just begun is not known everywhere at once. */
        if (r != -ENOENT || n == EC2_LOOKS_FRESH)
            return r;
        if ((r = ec2_pause(&t->p, n, err)) < 0)
            return r;
    }
}

static void *run(void *arg)
{
    struct put_thread *t = arg;
    struct ec2_put *u = t->all;
    pthread_mutex_lock(&u->lock);
    for (;;) {
        while (!t->busy && !u->stop)
            pthread_cond_wait(&u->changed, &u->lock);
        if (!t->busy)
            break;
        struct sc_err err = { 0 };
        bool begin = !u->failed.code;
        pthread_mutex_unlock(&u->lock);
        int r = begin ? put(t, &err) : 0;
        pthread_mutex_lock(&u->lock);
        if (r < 0 && !u->failed.code)
            u->failed = err;
        t->busy = false;
        pthread_cond_broadcast(&u->changed);
    }
    pthread_mutex_unlock(&u->lock);
    return NULL;
}

static int start(struct put_thread *t, struct ec2_put *u, const struct p_ec2 *p,
                 struct sc_err *err)
{
    t->all = u;
    t->p = *p;
    t->p.web = NULL;
    if (!(t->data = malloc(EC2_BLOCK)))
        return sc_fail(err, -ENOMEM, "out of memory");
    int r = ec2_new_web(&t->p, err);
    if (r < 0)
        return r;
    r = pthread_create(&t->thread, NULL, run, t);
    t->running = r == 0;
    return r ? sc_fail(err, -r, "thread: %s", strerror(r)) : 0;
}

int ec2_put_new(const struct p_ec2 *p, const char *region, const char *snapshot,
                uint64_t n_blocks, struct ec2_put **ret, struct sc_err *err)
{
    struct ec2_put *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return sc_fail(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&fresh->lock, NULL);
    pthread_cond_init(&fresh->changed, NULL);
    SC_AUTO(ec2_put_free) struct ec2_put *u = fresh;
    u->region = region;
    u->snapshot = snapshot;
    u->n_blocks = n_blocks;
    for (size_t i = 0; i < EC2_PUTS; i++) {
        int r = start(&u->threads[i], u, p, err);
        if (r < 0)
            return r;
    }
    *ret = SC_TAKE(u);
    return 0;
}

void ec2_put_free(struct ec2_put *u)
{
    if (!u)
        return;
    pthread_mutex_lock(&u->lock);
    u->stop = true;
    pthread_cond_broadcast(&u->changed);
    pthread_mutex_unlock(&u->lock);
    for (size_t i = 0; i < EC2_PUTS; i++) {
        struct put_thread *t = &u->threads[i];
        if (t->running)
            pthread_join(t->thread, NULL);
        web_free(t->p.web);
        free(t->data);
    }
    pthread_cond_destroy(&u->changed);
    pthread_mutex_destroy(&u->lock);
    free(u);
}

/* Under the lock: what failed meanwhile. */
static int failure(const struct ec2_put *u, struct sc_err *err)
{
    if (u->failed.code && err)
        *err = u->failed;
    return u->failed.code;
}

int ec2_put_block(struct ec2_put *u, uint64_t i, const void *data,
                  const unsigned char hash[EC2_HASH], struct sc_err *err)
{
    struct put_thread *t = NULL;
    pthread_mutex_lock(&u->lock);
    while (!u->failed.code && !t) {
        for (size_t k = 0; k < EC2_PUTS && !t; k++)
            if (!u->threads[k].busy)
                t = &u->threads[k];
        if (!t)
            pthread_cond_wait(&u->changed, &u->lock);
    }
    if (t) {
        memcpy(t->data, data, EC2_BLOCK);
        memcpy(t->hash, hash, EC2_HASH);
        t->block = i;
        t->busy = true;
        pthread_cond_broadcast(&u->changed);
    }
    int r = failure(u, err);
    pthread_mutex_unlock(&u->lock);
    return r;
}

int ec2_put_wait(struct ec2_put *u, struct sc_err *err)
{
    pthread_mutex_lock(&u->lock);
    for (size_t k = 0; k < EC2_PUTS; k++)
        while (u->threads[k].busy)
            pthread_cond_wait(&u->changed, &u->lock);
    int r = failure(u, err);
    pthread_mutex_unlock(&u->lock);
    return r;
}

uint64_t ec2_put_first_open(struct ec2_put *u, uint64_t next)
{
    pthread_mutex_lock(&u->lock);
    for (size_t k = 0; k < EC2_PUTS; k++)
        if (u->threads[k].busy && u->threads[k].block < next)
            next = u->threads[k].block;
    pthread_mutex_unlock(&u->lock);
    return next;
}
