/* objects - the commands about nodes, tokens, images, networks and the
 * overview: mostly one call and one table. */
#include "cli/remote.h"
#include "cli/table.h"
#include "common/json.h"
#include "common/loop.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static const struct table_column node_list_columns[] = {
    { "NAME", "name", NULL },
    { "REGION", "region", NULL },
    { "PROVIDER", "provider", NULL },
    { "STATE", "state", NULL },
    { "HYPERVISOR", "hypervisor", NULL },
    { "ADDRESS", "address", NULL },
    { "CPUS", "cpus", NULL },
    { "MEMORY", "memory_mib", "mib" },
    { "FREE", "memory_free_mib", "mib" },
    { "VMS", "vms", NULL },
    { "SEEN", "last_seen_at", "ago" },
    { 0 },
};
static const struct table_column node_columns[] = {
    { "id", "id", NULL },
    { "number", "nid", NULL },
    { "name", "name", NULL },
    { "region", "region", NULL },
    { "provider", "provider", NULL },
    { "address", "address", NULL },
    { "state", "state", NULL },
    { "hypervisor", "hypervisor", NULL },
    { "version", "version", NULL },
    { "boot", "boot.mode", NULL },
    { "boot reason", "boot.reason", NULL },
    { "cpus", "cpus", NULL },
    { "memory", "memory_mib", "mib" },
    { "memory free", "memory_free_mib", "mib" },
    { "vms", "vms", NULL },
    { "last seen", "last_seen_at", "at" },
    { "joined", "joined_at", "at" },
    { "notice", "notice.kind", NULL },
    { "notice text", "notice.text", NULL },
    { "notice for", "notice.at", "at" },
    { 0 },
};
static const struct table_column probe_columns[] = {
    { "PROBE", "name", NULL },
    { "OK", "ok", NULL },
    { "VALUE", "value", NULL },
    { 0 },
};
static const struct table_column token_columns[] = {
    { "ID", "id", NULL },
    { "REGION", "region", NULL },
    { "PROVIDER", "provider", NULL },
    { "USES", "uses", NULL },
    { "USED", "used", NULL },
    { "EXPIRES", "expires_at", "at" },
    { 0 },
};
static const struct table_column new_token_columns[] = {
    { "id", "id", NULL },
    { "token", "token", NULL },
    { "expires", "expires_at", "at" },
    { 0 },
};
static const struct table_column image_list_columns[] = {
    { "NAME", "name", NULL },
    { "KIND", "kind", NULL },
    { "SIZE", "size", "bytes" },
    { "STATE", "state", NULL },
    { "CREATED", "created_at", "at" },
    { "ID", "id", NULL },
    { 0 },
};
static const struct table_column image_columns[] = {
    { "id", "id", NULL },
    { "name", "name", NULL },
    { "kind", "kind", NULL },
    { "size", "size", "bytes" },
    { "state", "state", NULL },
    { "sha256", "sha256", NULL },
    { "kernel", "kernel", NULL },
    { "ramdisk", "ramdisk", NULL },
    { "cmdline", "cmdline", NULL },
    { "min memory", "min_memory_mib", "mib" },
    { "created", "created_at", "at" },
    { 0 },
};
static const struct table_column network_list_columns[] = {
    { "NAME", "name", NULL },
    { "CIDR", "cidr", NULL },
    { "GATEWAY", "gateway", NULL },
    { "VNI", "vni", NULL },
    { "MTU", "mtu", NULL },
    { "ID", "id", NULL },
    { 0 },
};
static const struct table_column network_columns[] = {
    { "id", "id", NULL },
    { "name", "name", NULL },
    { "cidr", "cidr", NULL },
    { "gateway", "gateway", NULL },
    { "dns", "dns", NULL },
    { "vni", "vni", NULL },
    { "mtu", "mtu", NULL },
    { "dhcp from", "dhcp_start", NULL },
    { "dhcp to", "dhcp_end", NULL },
    { "created", "created_at", "at" },
    { 0 },
};
static const struct table_column region_columns[] = {
    { "REGION", "name", NULL },
    { "NODES", "nodes", NULL },
    { "UP", "nodes_up", NULL },
    { "VMS", "vms", NULL },
    { "MEMORY", "memory_mib", "mib" },
    { "FREE", "memory_free_mib", "mib" },
    { 0 },
};
static const struct table_column latency_columns[] = {
    { "FROM", "from", NULL },
    { "TO", "to", NULL },
    { "RTT", "rtt_ms", "ms" },
    { 0 },
};
static const struct table_column running_columns[] = {
    { "JOB", "id", NULL },
    { "KIND", "kind", NULL },
    { "OBJECT", "object_name", NULL },
    { "PROGRESS", "progress", "percent" },
    { 0 },
};

static int list_of(struct cli *cli, const char *what,
                   const struct table_column *columns)
{
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (remote_callf(cli, "GET", NULL, &answer, &err, "/%s", what) < 0)
        return cli_fail(cli, &err);
    return print_list(cli, answer, what, columns);
}

static int delete_of(struct cli *cli, const char *collection, const char *id)
{
    SC_AUTO(free) char *escaped = remote_escape(id);
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    struct sc_err err = { 0 };
    if (remote_callf(cli, "DELETE", NULL, &answer, &err, "/%s/%s", collection,
                     escaped) < 0)
        return cli_fail(cli, &err);
    return CLI_OK;
}

static void add_opt(cJSON *body, const struct cli_args *a, const char *option,
                    const char *key)
{
    if (cli_opt(a, option))
        cJSON_AddStringToObject(body, key, cli_opt(a, option));
}

int cmd_node_list(struct cli *cli, const struct cli_args *a)
{
    (void)a;
    return list_of(cli, "nodes", node_list_columns);
}

/* What follows from probes that failed, a line each: it is too long for a
 * column. */
static void print_reasons(FILE *out, const cJSON *probes)
{
    const cJSON *p;
    const char *gap = "\n";
    cJSON_ArrayForEach(p, probes)
    {
        const char *name = cJSON_GetStringValue(table_at(p, "name"));
        const char *why = cJSON_GetStringValue(table_at(p, "why"));
        if (!name || !why || !*why)
            continue;
        fprintf(out, "%s%s: %s\n", gap, name, why);
        gap = "";
    }
}

int cmd_node_show(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    SC_AUTO(cjson_free) cJSON *node = NULL;
    struct sc_err err = { 0 };
    if (remote_callf(cli, "GET", NULL, &node, &err, "/nodes/%s", id) < 0)
        return cli_fail(cli, &err);
    if (cli->format != CLI_TABLE)
        return print_object(cli, SC_TAKE(node), node_columns);
    double now = (double)sc_wall_ms();
    table_print_one(cli->out, node_columns, node, now);
    if (cJSON_GetArraySize(table_at(node, "probes")) > 0) {
        fputc('\n', cli->out);
        table_print(cli->out, probe_columns, table_at(node, "probes"), now);
        print_reasons(cli->out, table_at(node, "probes"));
    }
    return CLI_OK;
}

int cmd_node_delete(struct cli *cli, const struct cli_args *a)
{
    return delete_of(cli, "nodes", a->pos[0]);
}

/* Adds region, provider, ttl_s and uses; 0 or -EINVAL. */
static int token_body(const struct cli_args *a, cJSON *body, struct sc_err *err)
{
    int64_t ttl_s = 0, uses = 0;
    int r = cli_opt_int(a, "ttl", 1, 31622400, 3600, &ttl_s, err);
    if (r == 0)
        r = cli_opt_int(a, "uses", 0, 100000, 1, &uses, err);
    if (r < 0)
        return r;
    add_opt(body, a, "region", "region");
    add_opt(body, a, "provider", "provider");
    json_set_u64(body, "ttl_s", (uint64_t)ttl_s);
    json_set_u64(body, "uses", (uint64_t)uses);
    return 0;
}

/* With --file: into that file, for its owner alone: it holds a join token. */
static int write_text(struct cli *cli, const char *path, const char *text)
{
    struct sc_err err;
    if (!path) {
        fputs(text, cli->out);
        return CLI_OK;
    }
    SC_AUTO(close)
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t size = strlen(text);
    if (fd >= 0 && fchmod(fd, 0600) == 0 &&
        write(fd, text, size) == (ssize_t)size && fsync(fd) == 0)
        return CLI_OK;
    sc_fail(&err, -EIO, "%s: %s", path, strerror(errno));
    return cli_fail(cli, &err);
}

int cmd_node_user_data(struct cli *cli, const struct cli_args *a)
{
    struct sc_err err = { 0 };
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    add_opt(body, a, "name", "name");
    add_opt(body, a, "role", "role");
    add_opt(body, a, "hypervisor", "hypervisor");
    add_opt(body, a, "format", "format");
    add_opt(body, a, "console-name", "console_name");
    add_opt(body, a, "acme-email", "acme_email");
    add_opt(body, a, "acme-directory", "acme_directory");
    if (token_body(a, body, &err) < 0 ||
        remote_call(cli, "POST", "/nodes/user-data", SC_TAKE(body), &answer,
                    &err) < 0)
        return cli_fail(cli, &err);
    if (cli->format == CLI_JSON && !cli_opt(a, "file"))
        return print_object(cli, SC_TAKE(answer), NULL);
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItem(answer, "user_data"));
    return write_text(cli, cli_opt(a, "file"), text ? text : "");
}

int cmd_token_create(struct cli *cli, const struct cli_args *a)
{
    struct sc_err err = { 0 };
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    cJSON *answer = NULL;
    if (token_body(a, body, &err) < 0 ||
        remote_call(cli, "POST", "/tokens", SC_TAKE(body), &answer, &err) < 0)
        return cli_fail(cli, &err);
    return print_object(cli, answer, new_token_columns);
}

int cmd_token_list(struct cli *cli, const struct cli_args *a)
{
    (void)a;
    return list_of(cli, "tokens", token_columns);
}

int cmd_token_delete(struct cli *cli, const struct cli_args *a)
{
    return delete_of(cli, "tokens", a->pos[0]);
}

/* --- images ------------------------------------------------------------------
 */

int cmd_image_list(struct cli *cli, const struct cli_args *a)
{
    (void)a;
    return list_of(cli, "images", image_list_columns);
}

int cmd_image_show(struct cli *cli, const struct cli_args *a)
{
    return show_object(cli, "images", a->pos[0], image_columns);
}

int cmd_image_delete(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(free) char *id = remote_escape(a->pos[0]);
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (remote_callf(cli, "DELETE", NULL, &answer, &err, "/images/%s", id) < 0)
        return cli_fail(cli, &err);
    return finish_job(cli, answer, cli_opt(a, "wait") != NULL, NULL);
}

static int image_body(const struct cli_args *a, uint64_t size, cJSON *body,
                      struct sc_err *err)
{
    int64_t min_memory = 0;
    int r = cli_opt_int(a, "min-memory", 1, 1 << 24, 0, &min_memory, err);
    if (r < 0)
        return r;
    const char *kind = cli_opt(a, "kind");
    cJSON_AddStringToObject(body, "name", a->pos[0]);
    cJSON_AddStringToObject(body, "kind", kind ? kind : "disk");
    json_set_u64(body, "size", size);
    add_opt(body, a, "kernel", "kernel");
    add_opt(body, a, "ramdisk", "ramdisk");
    add_opt(body, a, "cmdline", "cmdline");
    if (min_memory)
        json_set_u64(body, "min_memory_mib", (uint64_t)min_memory);
    return 0;
}

int cmd_image_create(struct cli *cli, const struct cli_args *a)
{
    struct sc_err err = { 0 };
    struct stat st;
    SC_AUTO(close) int fd = open(a->pos[1], O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        sc_fail(&err, errno == ENOENT ? -ENOENT : -EIO, "%s: %s", a->pos[1],
                strerror(errno));
        return cli_fail(cli, &err);
    }
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        sc_fail(&err, -EINVAL, "%s: not a file with content", a->pos[1]);
        return cli_fail(cli, &err);
    }
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    SC_AUTO(cjson_free) cJSON *image = NULL;
    cJSON *active = NULL;
    if (image_body(a, (uint64_t)st.st_size, body, &err) < 0 ||
        remote_call(cli, "POST", "/images", SC_TAKE(body), &image, &err) < 0)
        return cli_fail(cli, &err);
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItem(image, "id"));
    char path[128];
    snprintf(path, sizeof path, "/images/%.64s/file", id ? id : "");
    if (remote_upload(cli, path, fd, (uint64_t)st.st_size, &active, &err) < 0)
        return cli_fail(cli, &err);
    return print_object(cli, active, image_columns);
}

/* --- networks and the overview
 * ------------------------------------------------ */

int cmd_network_list(struct cli *cli, const struct cli_args *a)
{
    (void)a;
    return list_of(cli, "networks", network_list_columns);
}

int cmd_network_show(struct cli *cli, const struct cli_args *a)
{
    return show_object(cli, "networks", a->pos[0], network_columns);
}

int cmd_network_create(struct cli *cli, const struct cli_args *a)
{
    struct sc_err err = { 0 };
    cJSON *answer = NULL, *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "name", a->pos[0]);
    cJSON_AddStringToObject(body, "cidr", a->pos[1]);
    add_opt(body, a, "gateway", "gateway");
    add_opt(body, a, "dns", "dns");
    if (remote_call(cli, "POST", "/networks", body, &answer, &err) < 0)
        return cli_fail(cli, &err);
    return print_object(cli, answer, network_columns);
}

int cmd_network_delete(struct cli *cli, const struct cli_args *a)
{
    return delete_of(cli, "networks", a->pos[0]);
}

int cmd_overview(struct cli *cli, const struct cli_args *a)
{
    (void)a;
    struct sc_err err = { 0 };
    SC_AUTO(cjson_free) cJSON *o = NULL;
    if (remote_call(cli, "GET", "/overview", NULL, &o, &err) < 0)
        return cli_fail(cli, &err);
    if (cli->format == CLI_JSON)
        return print_object(cli, SC_TAKE(o), NULL);
    double now = (double)sc_wall_ms();
    table_print(cli->out, region_columns, table_at(o, "regions"), now);
    if (cJSON_GetArraySize(table_at(o, "latency")) > 0) {
        fputc('\n', cli->out);
        table_print(cli->out, latency_columns, table_at(o, "latency"), now);
    }
    if (cJSON_GetArraySize(table_at(o, "jobs_running")) > 0) {
        fputc('\n', cli->out);
        table_print(cli->out, running_columns, table_at(o, "jobs_running"),
                    now);
    }
    return CLI_OK;
}
