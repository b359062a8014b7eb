/* provider_image - publishing an image that images/build made, and launching
 * instances of it. */
#include "cli/provider.h"
#include "cli/table.h"
#include "common/json.h"
#include "common/loop.h"

#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

enum { MANIFEST_MAX = 16 << 20, CHUNK = 1 << 20 }; /* bytes */

static const struct table_column image_columns[] = {
    { "NAME", "name", NULL },
    { "REGION", "region", NULL },
    { "STATE", "state", NULL },
    { "IMAGE", "image_id", NULL },
    { "FORMAT", "format", NULL },
    { "SIZE", "size", "bytes" },
    { "CREATED", "created_at", "at" },
    { "ERROR", "error", NULL },
    { 0 },
};
static const struct table_column one_image_columns[] = {
    { "id", "id", NULL },          { "name", "name", NULL },
    { "region", "region", NULL },  { "state", "state", NULL },
    { "image", "image_id", NULL }, { "error", "error", NULL },
    { "job", "job", NULL },        { 0 },
};

/* --- the manifest
 * --------------------------------------------------------------- */

struct source {
    cJSON *manifest; /* Owned. */
    char *path;      /* Owned.  Of the image. */
    int fd;
    uint64_t size;
    const char *sha256; /* In 'manifest'. */
};

static void source_close(struct source *s)
{
    cJSON_Delete(s->manifest);
    free(s->path);
    if (s->fd >= 0)
        close(s->fd);
}

static void source_close_p(struct source *s)
{
    source_close(s);
}

static int no_file(const char *path, struct sc_err *err)
{
    return sc_fail(err, errno == ENOENT ? -ENOENT : -EIO, "%s: %s", path,
                   strerror(errno));
}

static int read_manifest(const char *dir, struct source *s, struct sc_err *err)
{
    SC_AUTO(free) char *path = NULL;
    if (asprintf(&path, "%s/manifest.json", dir) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    SC_AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return no_file(path, err);
    if (st.st_size > MANIFEST_MAX)
        return sc_fail(err, -EFBIG, "%s: is too large", path);
    SC_AUTO(free) char *text = calloc(1, (size_t)st.st_size + 1);
    if (!text || read(fd, text, (size_t)st.st_size) != st.st_size)
        return sc_fail(err, -EIO, "%s: cannot be read", path);
    s->manifest = cJSON_Parse(text);
    struct json_reader r = json_read(s->manifest, path);
    const char *file = json_str(&r, "file", 1, 255);
    json_str(&r, "format", 1, 15);
    json_int(&r, "virtual_size", 1, INT64_C(1) << 44);
    s->sha256 = json_str(&r, "sha256", 64, 64);
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    if (strchr(file, '/'))
        return sc_fail(err, -EINVAL, "%s: 'file' must be in the same folder",
                       path);
    if (asprintf(&s->path, "%s/%s", dir, file) < 0) {
        s->path = NULL;
        return sc_fail(err, -ENOMEM, "out of memory");
    }
    return 0;
}

static int check_digest(struct cli *cli, struct source *s, struct sc_err *err)
{
    SC_AUTO(free) char *buf = malloc(CHUNK);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    unsigned char raw[EVP_MAX_MD_SIZE];
    char hex[65] = "";
    unsigned len = 0;
    uint64_t done = 0, drawn_at = 0;
    bool good =
        buf && digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1;
    for (ssize_t n = 1; good && n > 0; done += (uint64_t)n) {
        n = read(s->fd, buf, CHUNK);
        good = n >= 0 && EVP_DigestUpdate(digest, buf, (size_t)n) == 1;
        uint64_t now = sc_mono_ms();
        if (good && cli->is_tty && now - drawn_at > 200) {
            drawn_at = now;
            fprintf(cli->log, "\r\033[Kchecking %s: %d %%", s->path,
                    s->size ? (int)(100 * done / s->size) : 100);
            fflush(cli->log);
        }
    }
    good = good && EVP_DigestFinal_ex(digest, raw, &len) == 1 && len == 32;
    EVP_MD_CTX_free(digest);
    if (cli->is_tty)
        fputs("\r\033[K", cli->log);
    if (!good)
        return sc_fail(err, -EIO, "%s: cannot be read", s->path);
    for (unsigned i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", raw[i]);
    if (strcmp(hex, s->sha256) != 0)
        return sc_fail(err, -EBADMSG,
                       "%s: SHA-256 is %s, but manifest.json says %s", s->path,
                       hex, s->sha256);
    return 0;
}

static int source_open(struct cli *cli, const char *dir, struct source *s,
                       struct sc_err *err)
{
    int r = read_manifest(dir, s, err);
    if (!s->path)
        return r;
    s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (s->fd < 0 || fstat(s->fd, &st) < 0)
        return no_file(s->path, err);
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return sc_fail(err, -EINVAL, "%s: not a file with content", s->path);
    s->size = (uint64_t)st.st_size;
    r = check_digest(cli, s, err);
    if (r == 0 && lseek(s->fd, 0, SEEK_SET) != 0)
        r = sc_fail(err, -EIO, "%s: %s", s->path, strerror(errno));
    return r;
}

/* --- publish
 * -------------------------------------------------------------------- */

static int publish_body(const struct cli_args *a, const struct source *s,
                        cJSON *body, struct sc_err *err)
{
    static const char *const copied[] = { "file",   "format", "virtual_size",
                                          "sha256", "boot",   "distro" };
    json_set_u64(body, "size", s->size);
    if (cli_opt(a, "region"))
        cJSON_AddStringToObject(body, "region", cli_opt(a, "region"));
    if (cli_opt(a, "name"))
        cJSON_AddStringToObject(body, "name", cli_opt(a, "name"));
    for (size_t i = 0; i < SC_ARRAY_LEN(copied); i++) {
        const cJSON *v =
            cJSON_GetObjectItemCaseSensitive(s->manifest, copied[i]);
        if (v && !cJSON_IsNull(v))
            cJSON_AddItemToObject(body, copied[i], cJSON_Duplicate(v, true));
    }
    cJSON *options = cJSON_CreateObject();
    int r = provider_settings(a, "option", options, err);
    if (r < 0 || !options->child)
        cJSON_Delete(options);
    else
        cJSON_AddItemToObject(body, "options", options);
    return r;
}

static int publish_wait(struct cli *cli, const char *provider,
                        const cJSON *begun)
{
    const char *job = cJSON_GetStringValue(table_at(begun, "job"));
    const char *id = cJSON_GetStringValue(table_at(begun, "id"));
    SC_AUTO(cjson_free) cJSON *ended = NULL;
    SC_AUTO(cjson_free) cJSON *list = NULL;
    struct sc_err err = { 0 };
    int r = watch_job(cli, job ? job : "", &ended);
    if (r != CLI_OK)
        return r;
    if (remote_callf(cli, "GET", NULL, &list, &err, "/providers/%s/images",
                     provider) < 0)
        return cli_fail(cli, &err);
    const cJSON *i;
    cJSON_ArrayForEach(i, table_at(list, "images"))
    {
        const char *is = cJSON_GetStringValue(table_at(i, "id"));
        if (is && id && strcmp(is, id) == 0)
            return print_object(cli, cJSON_Duplicate(i, true),
                                one_image_columns);
    }
    return CLI_OK;
}

int cmd_provider_publish(struct cli *cli, const struct cli_args *a)
{
    struct sc_err err = { 0 };
    __attribute__((cleanup(source_close_p))) struct source s = { .fd = -1 };
    SC_AUTO(free) char *provider = remote_escape(a->pos[0]);
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    SC_AUTO(cjson_free) cJSON *image = NULL;
    SC_AUTO(cjson_free) cJSON *begun = NULL;
    char path[640];
    if (source_open(cli, a->pos[1], &s, &err) < 0 ||
        publish_body(a, &s, body, &err) < 0 ||
        remote_callf(cli, "POST", SC_TAKE(body), &image, &err,
                     "/providers/%s/images", provider) < 0)
        return cli_fail(cli, &err);
    const char *id = cJSON_GetStringValue(table_at(image, "id"));
    snprintf(path, sizeof path, "/providers/%.400s/images/%.64s/file", provider,
             id ? id : "");
    if (remote_upload(cli, path, s.fd, s.size, &begun, &err) < 0)
        return cli_fail(cli, &err);
    if (cli_opt(a, "wait"))
        return publish_wait(cli, provider, begun);
    return print_object(cli, SC_TAKE(begun), one_image_columns);
}

int cmd_provider_images(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (remote_callf(cli, "GET", NULL, &answer, &err, "/providers/%s/images",
                     id) < 0)
        return cli_fail(cli, &err);
    return print_list(cli, answer, "images", image_columns);
}

int cmd_provider_image_delete(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    SC_AUTO(free) char *image = remote_escape(a->pos[1]);
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (remote_callf(cli, "DELETE", NULL, &answer, &err,
                     "/providers/%s/images/%s", id, image) < 0)
        return cli_fail(cli, &err);
    return finish_job(cli, answer, cli_opt(a, "wait") != NULL, NULL);
}

/* --- launch
 * --------------------------------------------------------------------- */

/* "tcp:7480-7482:0.0.0.0/0" */
static int add_rule(cJSON *list, const char *text, struct sc_err *err)
{
    char protocol[16], cidr[64];
    unsigned from = 0, to = 0;
    int end = 0;
    bool good = sscanf(text, "%15[a-z]:%u-%u:%63[0-9a-fA-F.:/]%n", protocol,
                       &from, &to, cidr, &end) == 4 &&
                !text[end];
    if (!good) {
        end = 0;
        good = sscanf(text, "%15[a-z]:%u:%63[0-9a-fA-F.:/]%n", protocol, &from,
                      cidr, &end) == 3 &&
               !text[end];
        to = from;
    }
    if (!good || from > 65535 || to > 65535 || from > to)
        return sc_fail(err, -EINVAL,
                       "--rule: '%.80s' is not PROTOCOL:PORT[-PORT]:CIDR",
                       text);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "protocol", protocol);
    json_set_u64(o, "port_from", from);
    json_set_u64(o, "port_to", to);
    cJSON_AddStringToObject(o, "cidr", cidr);
    cJSON_AddItemToArray(list, o);
    return 0;
}

static int add_rules(const struct cli_args *a, cJSON *body, struct sc_err *err)
{
    const char *text;
    cJSON *list = NULL;
    for (int n = 0; (text = cli_opt_nth(a, "rule", n)); n++) {
        if (!list)
            list = cJSON_AddArrayToObject(body, "rules");
        int r = add_rule(list, text, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_price(const struct cli_args *a, cJSON *body, struct sc_err *err)
{
    const char *text = cli_opt(a, "max-price");
    char *end = NULL;
    if (!text)
        return 0;
    double price = strtod(text, &end);
    if (end == text || *end || !(price > 0))
        return sc_fail(err, -EINVAL, "--max-price: '%.40s' is no price", text);
    cJSON_AddNumberToObject(body, "max_price", price);
    return 0;
}

static int launch_body(const struct cli_args *a, cJSON *body,
                       struct sc_err *err)
{
    static const char *const texts[] = { "image", "region", "zone", "type",
                                         "hypervisor" };
    int64_t count = 1, disk = 0, join = 0;
    int r = cli_opt_int(a, "count", 1, 32, 1, &count, err);
    if (r == 0)
        r = cli_opt_int(a, "disk", 1, 65536, 0, &disk, err);
    if (r == 0)
        r = cli_opt_int(a, "join-timeout", 1, 86400, 0, &join, err);
    if (r == 0)
        r = add_price(a, body, err);
    if (r == 0)
        r = add_rules(a, body, err);
    if (r < 0)
        return r;
    cJSON_AddStringToObject(body, "name", a->pos[1]);
    for (size_t i = 0; i < SC_ARRAY_LEN(texts); i++) {
        if (cli_opt(a, texts[i]))
            cJSON_AddStringToObject(body, texts[i], cli_opt(a, texts[i]));
    }
    json_set_u64(body, "count", (uint64_t)count);
    if (disk)
        json_set_u64(body, "disk_gib", (uint64_t)disk);
    if (join)
        json_set_u64(body, "join_s", (uint64_t)join);
    if (cli_opt(a, "spot"))
        cJSON_AddTrueToObject(body, "spot");
    cJSON *options = cJSON_AddObjectToObject(body, "options");
    return provider_settings(a, "option", options, err);
}

int cmd_provider_launch(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (launch_body(a, body, &err) < 0 ||
        remote_callf(cli, "POST", SC_TAKE(body), &answer, &err,
                     "/providers/%s/launch", id) < 0)
        return cli_fail(cli, &err);
    return finish_job(cli, answer, cli_opt(a, "wait") != NULL, NULL);
}
