/* p_gce_upload - see p_gce.h: an object in Cloud Storage from a file.
 *
 * A resumable upload: a session is made with the object's name and MD5, then
 * pieces are put to the session's URL, each a multiple of 256 KiB but the last.
 * Whatever breaks, the server is asked how far it has come (Content-Range
 * "bytes", a star, "/N"), and the upload goes on from there, in another process
 * too.  The server compares the MD5 itself at the end.  The session's URL is
 * its own credential, so no token goes with it. */
#include "provider/p_gce.h"

#include "provider/image_file.h"

enum {
    MAX_BREAKS = 8,   /* In a row without a byte of progress. */
    MAX_SESSIONS = 3, /* One that has ended is begun anew. */
    FIRST_PAUSE_MS = 250,
};

uint64_t gce_range_next(const char *range)
{
    const char *dash = range ? strchr(range, '-') : NULL;
    char *end;
    if (!dash || strncmp(range, "bytes=0-", 8) != 0 || dash[1] < '0' ||
        dash[1] > '9')
        return 0;
    errno = 0;
    unsigned long long last = strtoull(dash + 1, &end, 10);
    return errno || *end || last >= INT64_MAX ? 0 : last + 1;
}

static int begin(struct p_gce *p, struct gce_upload *u,
                 const struct image_file *f, const uint8_t md5[16],
                 struct sc_err *err)
{
    char url[GCE_URL_MAX], total[32];
    SC_AUTO(free) char *md5_text = json_b64_encode(md5, 16);
    SC_AUTO(free) char *bucket = gce_escape(p->bucket);
    SC_AUTO(free) char *object = gce_escape(u->object);
    if (!md5_text || !bucket || !object)
        return sc_fail(err, -ENOMEM, "gce: upload: out of memory");
    snprintf(url, sizeof url,
             "%s/upload/storage/v1/b/%s/o?uploadType=resumable&name=%s",
             p->storage, bucket, object);
    snprintf(total, sizeof total, "%llu", (unsigned long long)f->size);
    const struct web_header headers[] = {
        { "X-Upload-Content-Type", "application/gzip" },
        { "X-Upload-Content-Length", total },
    };
    struct rest_answer a = { 0 };
    int r = rest_do(
        &p->rest,
        &(struct rest_request){
            .method = "POST",
            .url = url,
            .what = "begin the upload",
            .headers = headers,
            .n_headers = 2,
            .body = rest_json("{'name':%s,'contentType':'application/gzip',"
                              "'md5Hash':%s,'metadata':%j}",
                              u->object, md5_text, gce_labels(u->tags)) },
        &a, err);
    const char *location = web_answer_header(&a.raw, "location");
    if (r == 0 && location) {
        u->session = strdup(location);
        r = u->session ? 0 : sc_fail(err, -ENOMEM, "gce: out of memory");
    } else if (r == 0) {
        r = sc_fail(err, -EPROTO, "gce: upload: the answer has no Location");
    }
    rest_answer_clear(&a);
    return r;
}

/* One PUT to the session.  'size' 0: only asks how far the server has come. 0
 * and '*ret_at' (== total: the object is there); -EAGAIN: a break; -ENOENT:
 * the session has ended. */
static int put(struct p_gce *p, const struct gce_upload *u, uint64_t total,
               uint64_t at, const void *buf, size_t size, uint64_t *ret_at,
               struct sc_err *err)
{
    char range[96];
    if (size)
        snprintf(range, sizeof range, "bytes %llu-%llu/%llu",
                 (unsigned long long)at, (unsigned long long)(at + size - 1),
                 (unsigned long long)total);
    else
        snprintf(range, sizeof range, "bytes */%llu",
                 (unsigned long long)total);
    const struct web_header header = { "Content-Range", range };
    struct rest_answer a = { 0 };
    int r = rest_do(&p->rest,
                    &(struct rest_request){ .method = "PUT",
                                            .url = u->session,
                                            .what = "upload",
                                            .headers = &header,
                                            .n_headers = 1,
                                            .raw = size ? buf : NULL,
                                            .raw_size = size,
                                            .plain = true,
                                            .any = true,
                                            .timeout_ms = rest_piece_ms(size),
                                            .once = size > 0 },
                    &a, err);
    if (!web_for_good(r)) {
        r = size ? -EAGAIN : r;
    } else if (r == 0 && a.status == 308) {
        *ret_at = gce_range_next(web_answer_header(&a.raw, "range"));
        if (*ret_at > total)
            r = sc_fail(err, -EPROTO, "gce: upload: the server has %llu bytes",
                        (unsigned long long)*ret_at);
    } else if (r == 0 && a.status >= 200 && a.status < 300) {
        if (rest_at(a.json, "size") &&
            (uint64_t)rest_num(a.json, "size") != total)
            r = sc_fail(err, -EPROTO, "gce: upload: the object has %.0f bytes",
                        rest_num(a.json, "size"));
        *ret_at = total;
    } else if (r == 0) {
        r = rest_refuse(&p->rest, "upload", a.status, a.json, &a.raw, err);
        if (a.status == 404 || a.status == 410)
            r = -ENOENT;
        else if (a.status == 408 || a.status == 429 || a.status >= 500)
            r = -EAGAIN;
    }
    rest_answer_clear(&a);
    return r;
}

/* From 'at' to the end. */
static int transfer(struct p_gce *p, const struct gce_upload *u,
                    const struct image_file *f, uint64_t at, struct sc_err *err)
{
    SC_AUTO(free) char *buf = malloc(u->piece);
    unsigned breaks = 0, pause = FIRST_PAUSE_MS;
    if (!buf)
        return sc_fail(err, -ENOMEM, "gce: upload: out of memory");
    while (at < f->size) {
        uint64_t next = at;
        size_t n =
            f->size - at < u->piece ? (size_t)(f->size - at) : (size_t)u->piece;
        provider_progress(&p->up, "upload", at, f->size);
        if (provider_cancelled(&p->up))
            return sc_fail(err, -ECANCELED, "gce: upload: cancelled");
        int r = image_file_read(f, at, buf, n, err);
        if (r == 0)
            r = put(p, u, f->size, at, buf, n, &next, err);
        if (r == -EAGAIN && breaks < MAX_BREAKS) {
            r = web_pause(p->web, pause, err);
            pause *= 2;
            if (r == 0)
                r = put(p, u, f->size, 0, NULL, 0, &next, err);
        }
        if (r < 0)
            return r == -EAGAIN ? -EIO : r;
        if (next > at) {
            breaks = 0;
            pause = FIRST_PAUSE_MS;
        } else if (++breaks > MAX_BREAKS) {
            return sc_fail(err, -EIO,
                           "gce: upload: no progress at byte %llu after %d "
                           "tries",
                           (unsigned long long)at, MAX_BREAKS);
        }
        at = next;
    }
    provider_progress(&p->up, "upload", f->size, f->size);
    return 0;
}

/* The session there is, or a new one: '*ret_at' is how far it has come. */
static int find_session(struct p_gce *p, struct gce_upload *u,
                        const struct image_file *f, const uint8_t md5[16],
                        uint64_t *ret_at, void (*saved)(void *arg), void *arg,
                        struct sc_err *err)
{
    *ret_at = 0;
    if (u->session) {
        int r = put(p, u, f->size, 0, NULL, 0, ret_at, err);
        if (r != -ENOENT && r != -EAGAIN)
            return r;
        free(SC_TAKE(u->session)); /* Too old. */
        *ret_at = 0;
    }
    int r = begin(p, u, f, md5, err);
    if (r == 0)
        saved(arg);
    return r;
}

int gce_upload(struct p_gce *p, struct gce_upload *u, void (*saved)(void *arg),
               void *arg, struct sc_err *err)
{
    struct image_file f;
    uint8_t md5[16];
    uint64_t at = 0;
    int r = image_file_open(u->file, &f, err);
    if (r == 0)
        r = image_file_check(&f, &p->up, u->sha256, md5, err);
    for (int i = 0; r == 0 && i < MAX_SESSIONS; i++) {
        r = find_session(p, u, &f, md5, &at, saved, arg, err);
        if (r == 0)
            r = transfer(p, u, &f, at, err);
        if (r != -ENOENT || !u->session)
            break;
        free(SC_TAKE(u->session)); /* It ended under way: from the start. */
        r = i + 1 < MAX_SESSIONS ? 0 : -EIO;
    }
    if (r < 0 && err && err->code != r)
        err->code = r;
    image_file_close(&f);
    return r;
}

/* Best effort: a session that stays ends by itself after a week, and costs
 * nothing. */
void gce_upload_forget(struct p_gce *p, const char *session)
{
    struct rest_answer a = { 0 };
    (void)!rest_do(&p->rest,
                   &(struct rest_request){ .method = "DELETE",
                                           .url = session,
                                           .what = "end the upload",
                                           .plain = true,
                                           .any = true,
                                           .once = true },
                   &a, NULL);
    rest_answer_clear(&a);
}

int gce_object_remove(struct p_gce *p, const char *object, struct sc_err *err)
{
    char url[GCE_URL_MAX];
    SC_AUTO(free) char *bucket = gce_escape(p->bucket);
    SC_AUTO(free) char *name = gce_escape(object);
    if (!bucket || !name)
        return sc_fail(err, -ENOMEM, "gce: out of memory");
    snprintf(url, sizeof url, "%s/storage/v1/b/%s/o/%s", p->storage, bucket,
             name);
    struct rest_answer a = { 0 };
    int r = rest_do(&p->rest,
                    &(struct rest_request){ .method = "DELETE",
                                            .url = url,
                                            .what = "remove the object" },
                    &a, err);
    rest_answer_clear(&a);
    return r == -ENOENT ? 0 : r;
}
