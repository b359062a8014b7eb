/* p_rackspace_classic_store - an image in Cloud Files (Swift).
 *
 * A file up to 5 GB is one object, the form the import is known to take; a
 * larger one goes in segments under a manifest (a "dynamic large object"), and
 * an upload of segments that was broken off goes on where it was: those that
 * are there with the right checksum are not sent again.  Swift checks the MD5
 * that comes along (ETag), so what it has taken is whole. */
#include "provider/p_rackspace_classic.h"

#include "provider/digest.h"

enum { PIECES_MAX = 999 };

static char *path_of(const struct openstack *o, const char *object)
{
    char *path = NULL;
    SC_AUTO(free) char *container = web_escape(rax_container(o), false);
    SC_AUTO(free) char *name = web_escape(object, true);
    if (!container || !name ||
        asprintf(&path, "/%s%s%s", container, *name ? "/" : "", name) < 0)
        return NULL;
    return path;
}

static int call_object(struct openstack *o, const char *region,
                       const char *method, const char *object,
                       const struct web_header *headers, size_t n_headers,
                       struct os_answer *ret, struct sc_err *err)
{
    SC_AUTO(free) char *path = path_of(o, object);
    if (!path)
        return sc_fail(err, -ENOMEM, "out of memory");
    struct os_call c = { .region = region,
                         .service = "object-store",
                         .method = method,
                         .path = path,
                         .headers = headers,
                         .n_headers = n_headers };
    return os_call(o, &c, ret, err);
}

/* -- Sending
 * ---------------------------------------------------------------------- */

struct piece {
    struct rax_file *f;
    uint64_t at, size;
};

static long read_piece(void *arg, uint64_t at, void *buf, size_t size)
{
    struct piece *p = arg;
    if (provider_cancelled(&p->f->o->up))
        return -ECANCELED;
    ssize_t n = pread(p->f->fd, buf, size, (off_t)(p->at + at));
    if (n > 0)
        provider_progress(&p->f->o->up, "upload", p->at + at + (uint64_t)n,
                          p->f->size);
    return n < 0 ? -errno : n;
}

/* 'md5' of the object; "": there is none. */
static int stored_md5(struct rax_file *f, const char *object, char ret[40],
                      struct sc_err *err)
{
    struct os_answer a = { 0 };
    struct sc_err e = { 0 };
    int r = call_object(f->o, f->region, "HEAD", object, NULL, 0, &a, &e);
    const char *tag = r == 0 ? web_answer_header(&a.web, "etag") : NULL;
    snprintf(ret, 40, "%s", tag ? tag : "");
    os_answer_clear(&a);
    if (r < 0 && r != -ENOENT && err)
        *err = e;
    return r == -ENOENT ? 0 : r;
}

static int send_piece(struct rax_file *f, const char *object, uint64_t at,
                      uint64_t size, struct sc_err *err)
{
    struct piece p = { f, at, size };
    char md5[DIGEST_HEX_MAX], there[40] = "";
    int r = digest_file(f->fd, "md5", at, size, md5, err);
    if (r == 0)
        r = stored_md5(f, object, there, err);
    if (r < 0 || !strcmp(there, md5))
        return r;
    SC_AUTO(free) char *path = path_of(f->o, object);
    if (!path)
        return sc_fail(err, -ENOMEM, "out of memory");
    const struct web_header headers[] = { { "ETag", md5 } };
    struct os_call c = { .region = f->region,
                         .service = "object-store",
                         .method = "PUT",
                         .path = path,
                         .type = "application/octet-stream",
                         .read = read_piece,
                         .read_size = size,
                         .arg = &p,
                         .headers = headers,
                         .n_headers = SC_ARRAY_LEN(headers) };
    r = os_call(f->o, &c, NULL, err);
    return r == -EINVAL ? sc_fail_in(err, "the upload arrived changed") : r;
}

static int send_segments(struct rax_file *f, struct sc_err *err)
{
    SC_AUTO(free) char *manifest = NULL;
    int r = 0;
    if (f->size / f->segment > PIECES_MAX)
        return sc_fail(err, -EINVAL, "segment: too small for the file");
    for (uint64_t at = 0, i = 0; r == 0 && at < f->size;
         at += f->segment, i++) {
        SC_AUTO(free) char *object = NULL;
        uint64_t left = f->size - at;
        if (asprintf(&object, "%s/%08llu", f->object, (unsigned long long)i) <
            0)
            return sc_fail(err, -ENOMEM, "out of memory");
        r = send_piece(f, object, at, left < f->segment ? left : f->segment,
                       err);
    }
    SC_AUTO(free) char *name = web_escape(f->object, true);
    if (r < 0)
        return r;
    if (!name || asprintf(&manifest, "%s/%s/", rax_container(f->o), name) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    const struct web_header headers[] = { { "X-Object-Manifest", manifest } };
    return call_object(f->o, f->region, "PUT", f->object, headers,
                       SC_ARRAY_LEN(headers), NULL, err);
}

int rax_store(struct rax_file *f, struct sc_err *err)
{
    int r = call_object(f->o, f->region, "PUT", "", NULL, 0, NULL, err);
    if (r < 0)
        return r;
    provider_progress(&f->o->up, "upload", 0, f->size);
    return f->size > f->segment ? send_segments(f, err)
                                : send_piece(f, f->object, 0, f->size, err);
}

/* -- What is there
 * ------------------------------------------------------------------- */

/* Swift's lists are bare arrays, continued by the last name. */
static int each_object(struct openstack *o, const char *region,
                       const char *prefix, os_item_fn *fn, void *arg,
                       struct sc_err *err)
{
    SC_AUTO(free) char *marker = strdup("");
    SC_AUTO(free) char *container = path_of(o, "");
    SC_AUTO(free) char *escaped = web_escape(prefix, false);
    for (int n = 1; n;) {
        SC_AUTO(free) char *after = marker ? web_escape(marker, false) : NULL;
        struct os_answer a = { 0 };
        struct sc_err e = { 0 };
        if (!container || !escaped || !after)
            return sc_fail(err, -ENOMEM, "out of memory");
        int r = os_get(o, region, "object-store", &a, &e,
                       "%s?format=json&prefix=%s&marker=%s", container, escaped,
                       after);
        if (r == -ENOENT)
            return 0; /* No container: nothing in it. */
        const cJSON *item;
        n = 0;
        cJSON_ArrayForEach(item, a.json)
        {
            n++;
            free(marker);
            marker = strdup(os_str(item, "name"));
            if (r == 0)
                r = fn(arg, item);
        }
        os_answer_clear(&a);
        if (r != 0) {
            if (err && e.code)
                *err = e;
            return r;
        }
    }
    return 0;
}

static int collect(void *arg, const cJSON *item)
{
    return cJSON_AddItemToArray(arg, cJSON_CreateString(os_str(item, "name")))
               ? 0
               : -ENOMEM;
}

static int delete_object(struct openstack *o, const char *region,
                         const char *object, struct sc_err *err)
{
    struct sc_err e = { 0 };
    int r = call_object(o, region, "DELETE", object, NULL, 0, NULL, &e);
    if (r == -ENOENT)
        return 0;
    if (r < 0 && err)
        *err = e;
    return r;
}

int rax_unstore(struct openstack *o, const char *region, const char *prefix,
                struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *names = cJSON_CreateArray();
    const cJSON *name;
    int r = each_object(o, region, prefix, collect, names, err);
    cJSON_ArrayForEach(name, names)
    {
        if (r == 0)
            r = delete_object(o, region, name->valuestring, err);
    }
    if (r == 0) /* 409: there is more in it, of others. */
        r = delete_object(o, region, "", err);
    return r == -EEXIST ? 0 : r;
}

struct telling {
    const struct openstack *o;
    const char *region, *cluster;
    provider_each_resource_fn *fn;
    void *arg;
};

static int tell_object(void *arg, const cJSON *item)
{
    struct telling *t = arg;
    const char *name = os_str(item, "name");
    char token[64] = "", detail[64];
    SC_AUTO(free) char *id = NULL;
    (void)sscanf(name, RAX_PREFIX "%*[^/]/%63[^/]", token);
    if (asprintf(&id, "%s/%s", rax_container(t->o), name) < 0)
        return -ENOMEM;
    snprintf(detail, sizeof detail, "%.0f bytes", os_num(item, "bytes"));
    struct provider_resource x = {
        .kind = (char *)"object",
        .id = id,
        .name = (char *)name,
        .region = (char *)t->region,
        .cluster = (char *)t->cluster,
        .token = token,
        .detail = detail,
        .created_at = os_time(os_str(item, "last_modified")),
    };
    return t->fn(t->arg, &x);
}

int rax_object_each(struct openstack *o, const char *region,
                    const char *cluster, provider_each_resource_fn *fn,
                    void *arg, struct sc_err *err)
{
    char prefix[96];
    struct telling t = { o, region, cluster, fn, arg };
    if (!os_endpoint(o, "object-store", region))
        return 0;
    snprintf(prefix, sizeof prefix, RAX_PREFIX "%s/", cluster);
    return each_object(o, region, prefix, tell_object, &t, err);
}

int rax_object_delete(struct openstack *o, const char *region, const char *id,
                      struct sc_err *err)
{
    const char *container = rax_container(o);
    size_t len = strlen(container);
    if (strncmp(id, container, len) != 0 || id[len] != '/' ||
        strncmp(id + len + 1, RAX_PREFIX, strlen(RAX_PREFIX)) != 0)
        return sc_fail(err, -EINVAL, "%s: object '%s' is not one of ours",
                       o->up.class->name, id);
    int r = delete_object(o, region, id + len + 1, err);
    if (r == 0)
        r = delete_object(o, region, "", err);
    return r == -EEXIST ? 0 : r;
}
