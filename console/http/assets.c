/* assets - see assets.h. */
#include "http/assets.h"

#include "http/headers.h"
#include "http/server.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { FILE_MAX = 64 << 20 };

static const struct {
    const char *suffix, *type;
} types[] = {
    { ".html", "text/html; charset=utf-8" },
    { ".js", "text/javascript; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" },
    { ".json", "application/json" },
    { ".webmanifest", "application/manifest+json" },
    { ".svg", "image/svg+xml" },
    { ".png", "image/png" },
    { ".ico", "image/x-icon" },
    { ".woff2", "font/woff2" },
    { ".map", "application/json" },
    { ".txt", "text/plain; charset=utf-8" },
};

const char *http_asset_type(const char *path)
{
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < SC_ARRAY_LEN(types); i++)
        if (strcmp(dot, types[i].suffix) == 0)
            return types[i].type;
    return "application/octet-stream";
}

const struct http_asset *http_asset_find(const char *path)
{
    size_t n;
    const struct http_asset *all = http_assets(&n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(all[i].path, path) == 0)
            return &all[i];
    return NULL;
}

static bool is_page(const char *path)
{
    const char *last = strrchr(path, '/');
    return last && !strchr(last, '.');
}

const struct http_asset *http_asset_for(const char *path)
{
    const struct http_asset *a = http_asset_find(path);
    return a || !is_page(path) ? a : http_asset_find("/index.html");
}

/* Inflates for the rare client that does not take gzip. */
static unsigned char *inflate_all(const struct http_asset *a, size_t *ret_size)
{
    z_stream z = { .next_in = (unsigned char *)a->data,
                   .avail_in = (unsigned)a->size };
    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return NULL;
    size_t cap = a->size * 4 + 4096;
    SC_AUTO(free) unsigned char *out = NULL;
    int r = Z_OK;
    while (r == Z_OK || r == Z_BUF_ERROR) {
        unsigned char *more = cap <= FILE_MAX ? realloc(out, cap) : NULL;
        if (!more)
            break;
        out = more;
        z.next_out = out + z.total_out;
        z.avail_out = (unsigned)(cap - z.total_out);
        r = inflate(&z, Z_FINISH);
        cap *= 2;
    }
    *ret_size = z.total_out;
    inflateEnd(&z);
    return r == Z_STREAM_END ? SC_TAKE(out) : NULL;
}

void http_asset_serve(struct http_request *rq, const struct http_asset *a)
{
    /* What the bundler names by its content never changes. */
    bool forever = strncmp(a->path, "/assets/", 8) == 0;
    char headers[256];
    const char *match = http_header(rq, "If-None-Match");
    bool plain =
        a->gzip && !http_accepts(http_header(rq, "Accept-Encoding"), "gzip");
    snprintf(headers, sizeof headers,
             "ETag: %s\r\nCache-Control: %s\r\nVary: Accept-Encoding\r\n%s",
             a->etag,
             forever ? "public, max-age=31536000, immutable" : "no-cache",
             a->gzip && !plain ? "Content-Encoding: gzip\r\n" : "");
    if (match && strstr(match, a->etag)) {
        http_reply(rq, 304, headers, "", NULL, 0);
        return;
    }
    if (!plain) {
        http_reply(rq, 200, headers, a->type, a->data, a->size);
        return;
    }
    size_t size = 0;
    SC_AUTO(free) unsigned char *data = inflate_all(a, &size);
    if (data)
        http_reply(rq, 200, headers, a->type, data, size);
    else
        http_reply_errorf(rq, 500, -ENOMEM, "%s: out of memory", a->path);
}

bool http_file_serve(struct http_request *rq, const char *root,
                     const char *path)
{
    if (strstr(path, ".."))
        return false;
    if (is_page(path))
        path = "/index.html";
    SC_AUTO(free) char *file = NULL;
    if (asprintf(&file, "%s%s", root, path) < 0) {
        file = NULL;
        return false;
    }
    SC_AUTO(close) int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size > FILE_MAX)
        return false;
    SC_AUTO(free) char *data = malloc((size_t)st.st_size + 1);
    ssize_t n = data ? read(fd, data, (size_t)st.st_size) : -1;
    if (n != st.st_size)
        return false;
    http_reply(rq, 200, "Cache-Control: no-cache\r\n", http_asset_type(path),
               data, (size_t)n);
    return true;
}
