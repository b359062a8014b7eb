/* upload - PUT /images/{id}/file and PUT /providers/{id}/images/{image}/file:
 * the bytes of an image, into the spool.
 *
 * Order: the backend agrees (x_begin), the body streams into a file and is
 * digested, sizes and digest are compared, the backend takes the file over
 * (x).  Anything that goes wrong between the first and the last step is told
 * by x_abort, upon which an image is removed, and one for a provider waits for
 * its next upload. */
#include "api/request.h"
#include "http/spool.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

enum { CHUNK = 256 << 10, PROGRESS_MS = 1000 };

/* The backend's operations, and which param names the image. */
struct upload_kind {
    const char *begin, *progress, *end, *abort, *key;
};
static const struct upload_kind image_kind = { "image.upload_begin",
                                               "image.upload_progress",
                                               "image.upload",
                                               "image.upload_abort", "id" };
static const struct upload_kind provider_kind = {
    "provider.image_upload_begin", "provider.image_upload_progress",
    "provider.image_upload", "provider.image_upload_abort", "image"
};

struct upload {
    struct api_request *q;
    const struct upload_kind *kind;
    cJSON *image; /* As begun; borrowed. */
};

static const char *image_id(const cJSON *image)
{
    const char *id =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(image, "id"));
    return id ? id : "";
}

/* 0 and the length of the body, as far as headers and the image agree. */
static int check_length(struct api_request *q, uint64_t *ret,
                        struct sc_err *err)
{
    int64_t length = http_content_length(q->http);
    if (http_is_chunked(q->http) || length < 0)
        return sc_fail(err, -EINVAL, "upload: Content-Length is required");
    if ((uint64_t)length > q->api->o.image_max)
        return sc_fail(err, -EFBIG,
                       "upload: %" PRId64 " bytes, at most %" PRIu64, length,
                       q->api->o.image_max);
    *ret = (uint64_t)length;
    return 0;
}

static int check_image(const cJSON *image, uint64_t length, struct sc_err *err)
{
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(image, "size");
    if (cJSON_IsNumber(size) && size->valuedouble != (double)length)
        return sc_fail(err, -EINVAL,
                       "upload: %" PRIu64 " bytes, but the image has %.0f",
                       length, size->valuedouble);
    return 0;
}

static int check_digest(const cJSON *image, const char *sha256,
                        struct sc_err *err)
{
    const char *want =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(image, "sha256"));
    if (want && *want && strcasecmp(want, sha256) != 0)
        return sc_fail(err, -EBADMSG,
                       "upload: SHA-256 is %s, but the image has %s", sha256,
                       want);
    return 0;
}

/* The path's params, with the image's id: its name may change meanwhile. */
static cJSON *upload_params(const struct upload *u)
{
    cJSON *p = cJSON_Duplicate(u->q->params, true);
    cJSON_DeleteItemFromObjectCaseSensitive(p, u->kind->key);
    cJSON_AddStringToObject(p, u->kind->key, image_id(u->image));
    return p;
}

static void tell_progress(const struct upload *u, uint64_t received)
{
    cJSON *p = upload_params(u);
    json_set_u64(p, "received", received);
    SC_AUTO(api_answer_clear) struct api_answer a;
    api_call(u->q->api, u->kind->progress, &u->q->caller, p, &a);
}

static int receive(const struct upload *u, struct spool *spool, uint64_t length,
                   struct sc_err *err)
{
    struct api_request *q = u->q;
    SC_AUTO(free) char *buf = malloc(CHUNK);
    if (!buf)
        return sc_fail(err, -ENOMEM, "upload: out of memory");
    uint64_t told_at = sc_mono_ms();
    while (spool_received(spool) < length) {
        uint64_t left = length - spool_received(spool);
        ssize_t n = http_read(q->http, buf, left < CHUNK ? left : CHUNK);
        if (n <= 0)
            break; /* spool_finish names the shortage. */
        int r = spool_write(spool, buf, (size_t)n, err);
        if (r < 0)
            return r;
        uint64_t now = sc_mono_ms();
        if (now - told_at >= PROGRESS_MS) {
            tell_progress(u, spool_received(spool));
            told_at = now;
        }
    }
    return 0;
}

static void abort_upload(const struct upload *u, const struct sc_err *why)
{
    cJSON *p = upload_params(u);
    cJSON_AddStringToObject(p, "reason", why->text);
    SC_AUTO(api_answer_clear) struct api_answer a;
    api_call(u->q->api, u->kind->abort, &u->q->caller, p, &a);
}

/* Everything between begin and hand-over. */
static int take_in(const struct upload *u, uint64_t length, struct spool **ret,
                   char ret_sha256[65], struct sc_err *err)
{
    SC_AUTO(spool_free) struct spool *spool = NULL;
    int r = check_image(u->image, length, err);
    if (r == 0)
        r = spool_new(u->q->api->spool_dir, length, &spool, err);
    if (r == 0)
        r = receive(u, spool, length, err);
    if (r == 0)
        r = spool_finish(spool, ret_sha256, err);
    if (r == 0)
        r = check_digest(u->image, ret_sha256, err);
    if (r == 0)
        *ret = SC_TAKE(spool);
    return r;
}

static void upload(struct api_request *q, const struct upload_kind *kind)
{
    struct sc_err err = { 0 };
    uint64_t length = 0;
    if (check_length(q, &length, &err) < 0) {
        api_fail(q, &err);
        return;
    }
    SC_AUTO(api_answer_clear) struct api_answer begun;
    if (api_call(q->api, kind->begin, &q->caller,
                 cJSON_Duplicate(q->params, true), &begun) < 0) {
        api_fail(q, &begun.err);
        return;
    }
    const struct upload u = { q, kind, begun.result };
    SC_AUTO(spool_free) struct spool *spool = NULL;
    char sha256[65];
    if (take_in(&u, length, &spool, sha256, &err) < 0) {
        abort_upload(&u, &err);
        api_fail(q, &err);
        return;
    }
    cJSON *p = upload_params(&u);
    cJSON_AddStringToObject(p, "path", spool_path(spool));
    json_set_u64(p, "size", length);
    cJSON_AddStringToObject(p, "sha256", sha256);
    SC_AUTO(api_answer_clear) struct api_answer a;
    if (api_call(q->api, kind->end, &q->caller, p, &a) == 0 ||
        a.err.code == -ETIMEDOUT)
        spool_take(spool);
    api_reply(q, &a);
}

void api_image_upload(struct api_request *q)
{
    upload(q, &image_kind);
}

void api_provider_image_upload(struct api_request *q)
{
    upload(q, &provider_kind);
}
