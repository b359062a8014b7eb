/* fake_cluster - see fake_cluster.h: objects, users, serial consoles. */
#include "tests/lib/fake_providers.h"

#include "common/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const kinds[FAKE_N_LISTS] = {
    "node", "vm",      "image",    "network",        "job",      "token",
    "user", "session", "provider", "provider-image", "instance", "resource",
};

struct api_console {
    struct fake_cluster *f;
    struct api_console *next;
    struct sc_source *timer;
    api_console_out_fn *out;
    api_console_closed_fn *closed;
    void *arg;
    char vm[64];
    unsigned n_ticks;
    char *pending; /* Printed from the timer, never from inside a call. */
    size_t n_pending;
};

const char *fake_str(const cJSON *o, const char *key)
{
    const char *s =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
    return s ? s : "";
}

double fake_num(const cJSON *o, const char *key)
{
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsNumber(n) ? n->valuedouble : 0;
}

static void set(cJSON *o, const char *key, cJSON *value)
{
    if (cJSON_GetObjectItemCaseSensitive(o, key))
        cJSON_ReplaceItemInObjectCaseSensitive(o, key, value);
    else
        cJSON_AddItemToObject(o, key, value);
}

void fake_set_str(cJSON *o, const char *key, const char *value)
{
    set(o, key, cJSON_CreateString(value));
}

void fake_set_strf(cJSON *o, const char *key, const char *fmt, ...)
{
    va_list ap;
    SC_AUTO(free) char *text = NULL;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    if (text)
        fake_set_str(o, key, text);
}

void fake_set_num(cJSON *o, const char *key, double value)
{
    set(o, key, cJSON_CreateNumber(value));
}

void fake_set_null(cJSON *o, const char *key)
{
    set(o, key, cJSON_CreateNull());
}

cJSON *fake_find(struct fake_cluster *f, enum fake_list list, const char *what,
                 struct sc_err *err)
{
    cJSON *o;
    cJSON_ArrayForEach(o, f->lists[list])
    {
        if (strcmp(fake_str(o, "id"), what) == 0 ||
            (list != FAKE_JOBS && list != FAKE_PUBLISHED &&
             strcmp(fake_str(o, "name"), what) == 0) ||
            (list == FAKE_USERS && strcmp(fake_str(o, "user"), what) == 0))
            return o;
    }
    sc_fail(err, -ENOENT, "%s '%s': not found", kinds[list], what);
    return NULL;
}

void fake_changed(struct fake_cluster *f, enum fake_list list, const cJSON *o,
                  bool gone)
{
    bool told =
        list <= FAKE_JOBS || list == FAKE_PROVIDERS || list == FAKE_PUBLISHED;
    if (f->api && told)
        api_changed(f->api, kinds[list], fake_str(o, "id"), gone ? NULL : o);
}

void fake_remove(struct fake_cluster *f, enum fake_list list, cJSON *o)
{
    cJSON_DetachItemViaPointer(f->lists[list], o);
    fake_changed(f, list, o, true);
    cJSON_Delete(o);
}

void fake_free_memory(struct fake_cluster *f)
{
    cJSON *n, *v;
    cJSON_ArrayForEach(n, f->lists[FAKE_NODES])
    {
        double used = 0, vms = 0;
        cJSON_ArrayForEach(v, f->lists[FAKE_VMS])
        {
            if (strcmp(fake_str(v, "node"), fake_str(n, "id")) == 0) {
                used += fake_num(v, "memory_mib");
                vms++;
            }
        }
        fake_set_num(n, "memory_free_mib", fake_num(n, "memory_mib") - used);
        fake_set_num(n, "vms", vms);
    }
}

/* --- serial consoles ------------------------------------------------------ */

static void console_print(struct api_console *c, const char *text, size_t size)
{
    char *more = realloc(c->pending, c->n_pending + size);
    if (!more)
        return;
    memcpy(more + c->n_pending, text, size);
    c->pending = more;
    c->n_pending += size;
}

static void console_free(struct api_console *c)
{
    struct api_console **at = &c->f->consoles;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    sc_source_free(c->timer);
    free(c->pending);
    free(c);
}

static void console_tick(void *arg)
{
    struct api_console *c = arg;
    cJSON *vm = fake_find(c->f, FAKE_VMS, c->vm, NULL);
    if (!vm || (strcmp(fake_str(vm, "state"), "running") != 0 &&
                strcmp(fake_str(vm, "state"), "migrating") != 0)) {
        struct sc_err why;
        sc_fail(&why, -ENOTCONN, "the VM has stopped");
        c->closed(c->arg, &why);
        console_free(c);
        return;
    }
    if (++c->n_ticks % 100 == 0) {
        char line[64];
        int n = snprintf(line, sizeof line, "[%8.3f] seq %u\r\n",
                         c->n_ticks / 20.0, c->n_ticks / 100);
        console_print(c, line, (size_t)n);
    }
    if (c->n_pending) {
        char *text = SC_TAKE(c->pending);
        size_t n = c->n_pending;
        c->n_pending = 0;
        c->out(c->arg, text, n);
        free(text);
    }
}

static int console_open(void *ctx, const char *what,
                        const struct api_caller *who, api_console_out_fn *out,
                        api_console_closed_fn *closed, void *arg,
                        struct api_console **ret, struct sc_err *err)
{
    (void)who;
    struct fake_cluster *f = ctx;
    cJSON *vm = fake_find(f, FAKE_VMS, what, err);
    if (!vm)
        return -ENOENT;
    if (strcmp(fake_str(vm, "state"), "running") != 0 &&
        strcmp(fake_str(vm, "state"), "migrating") != 0)
        return sc_fail(err, -EBUSY, "vm '%s': is %s, not running", what,
                       fake_str(vm, "state"));
    struct api_console *c = calloc(1, sizeof *c);
    if (!c)
        return sc_fail(err, -ENOMEM, "out of memory");
    c->f = f;
    c->out = out;
    c->closed = closed;
    c->arg = arg;
    snprintf(c->vm, sizeof c->vm, "%s", fake_str(vm, "id"));
    int r = sc_loop_add_timer(f->loop, 50, 50, console_tick, c, &c->timer);
    if (r < 0) {
        free(c);
        return sc_fail(err, r, "no timer");
    }
    c->next = f->consoles;
    f->consoles = c;
    char hello[128];
    int n = snprintf(hello, sizeof hello, "\r\nFake guest %s on hvc0\r\n~ # ",
                     fake_str(vm, "name"));
    console_print(c, hello, (size_t)n);
    *ret = c;
    return 0;
}

/* A shell that knows its own echo only; "exit" ends the console. */
static void console_in(void *ctx, struct api_console *c, const void *data,
                       size_t size)
{
    (void)ctx;
    const char *p = data;
    for (size_t i = 0; i < size; i++) {
        if (p[i] == '\r' || p[i] == '\n')
            console_print(c, "\r\n~ # ", 6);
        else if (p[i] == 0x7f)
            console_print(c, "\b \b", 3);
        else
            console_print(c, &p[i], 1);
    }
}

static void console_close(void *ctx, struct api_console *c)
{
    (void)ctx;
    console_free(c);
}

/* --- life ------------------------------------------------------------------
 */

static void backend_call(void *ctx, const char *op,
                         const struct api_caller *who, const cJSON *params,
                         api_done_fn *done, void *arg)
{
    struct sc_err err = { 0 };
    int status = 0;
    SC_AUTO(cjson_free) cJSON *result = NULL;
    fake_op *fn = fake_op_find(op);
    int r = fn ? fn(ctx, who, params, &status, &result, &err)
               : sc_fail(&err, -ENOSYS, "unknown operation '%s'", op);
    if (r < 0 && !err.code)
        sc_fail(&err, r, "%s failed", op);
    done(arg, status, r < 0 ? NULL : result, &err);
}

static cJSON *add(struct fake_cluster *f, enum fake_list list, const char *name,
                  const char *json)
{
    cJSON *o = cJSON_Parse(json);
    char id[SC_UUID_LEN + 1];
    sc_uuid_new(id);
    fake_set_str(o, "id", id);
    fake_set_str(o, "name", name);
    cJSON_AddItemToArray(f->lists[list], o);
    return o;
}

cJSON *fake_node_add(struct fake_cluster *f, const char *name,
                     const char *region, const char *provider,
                     const char *address)
{
    cJSON *n = add(f, FAKE_NODES, name,
                   "{\"state\":\"up\",\"hypervisor\":"
                   "\"xen\",\"version\":\"fake\",\"boot\":{\"mode\":\"xen\","
                   "\"reason\":\"\"},\"cpus\":2,\"memory_mib\":1024,"
                   "\"programs\":{\"sc-node\":true,\"sc-storage\":true,"
                   "\"sc-network\":true},\"notice\":null}");
    double nid = 1;
    const cJSON *other;
    cJSON_ArrayForEach(other,
                       f->lists[FAKE_NODES]) if (fake_num(other, "nid") >= nid)
        nid = fake_num(other, "nid") + 1;
    fake_set_num(n, "nid", nid);
    fake_set_str(n, "region", region);
    fake_set_str(n, "provider", provider);
    fake_set_str(n, "address", address);
    fake_set_num(n, "joined_at", (double)sc_wall_ms());
    fake_set_num(n, "last_seen_at", (double)sc_wall_ms());
    fake_probe(n);
    return n;
}

static void add_node(struct fake_cluster *f, const char *name,
                     const char *region, const char *address)
{
    cJSON *n = fake_node_add(f, name, region, "local", address);
    fake_set_num(n, "joined_at", (double)sc_wall_ms() - 3600e3);
}

static void add_image(struct fake_cluster *f, const char *name,
                      const char *kind, double size)
{
    cJSON *i = add(f, FAKE_IMAGES, name,
                   "{\"state\":\"active\",\"kernel\":null,\"ramdisk\":null,"
                   "\"cmdline\":\"console=hvc0\",\"min_memory_mib\":64,"
                   "\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b93"
                   "4ca495991b7852b855\"}");
    fake_set_str(i, "kind", kind);
    fake_set_num(i, "size", size);
    fake_set_num(i, "created_at", (double)sc_wall_ms() - 1800e3);
}

static void add_vm(struct fake_cluster *f, const char *name, const char *state,
                   const char *node_name)
{
    SC_AUTO(cjson_free) cJSON *p = cJSON_CreateObject();
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    int status;
    fake_set_str(p, "name", name);
    fake_set_str(p, "image", "demo");
    fake_set_str(p, "network", "tenant");
    fake_set_num(p, "memory_mib", 128);
    fake_set_num(p, "vcpus", 1);
    fake_set_str(p, "node", node_name);
    struct api_caller who = { "", API_ROLE_ADMIN };
    if (fake_op_find("vm.create")(f, &who, p, &status, &answer, NULL) < 0)
        return;
    cJSON *vm = fake_find(f, FAKE_VMS, name, NULL);
    fake_set_str(vm, "state", state);
    fake_set_null(vm, "job");
    if (strcmp(state, "stopped") == 0) {
        fake_set_null(vm, "node");
        fake_set_null(vm, "node_name");
    }
    cJSON *job = cJSON_GetObjectItem(answer, "job");
    fake_remove(f, FAKE_JOBS,
                fake_find(f, FAKE_JOBS, fake_str(job, "id"), NULL));
}

static void populate(struct fake_cluster *f)
{
    add_node(f, "us-1", "us-east", "10.200.0.1");
    add_node(f, "jp-1", "ap-northeast", "10.200.0.2");
    fake_free_memory(f);
    add_image(f, "demo-kernel", "kernel", 8 << 20);
    add_image(f, "demo-ramdisk", "ramdisk", 2 << 20);
    add_image(f, "demo", "disk", 64 << 20);
    cJSON *net = add(f, FAKE_NETWORKS, "tenant",
                     "{\"cidr\":\"10.42.0.0/24\",\"gateway\":\"10.42.0.1\","
                     "\"dns\":null,\"vni\":100,\"mtu\":1400,\"dhcp_start\":"
                     "\"10.42.0.10\",\"dhcp_end\":\"10.42.0.250\"}");
    fake_set_num(net, "created_at", (double)sc_wall_ms() - 1800e3);
    f->n_ips = 10;
    add_vm(f, "hello", "running", "us-1");
    add_vm(f, "client", "running", "us-1");
    add_vm(f, "spare", "stopped", "jp-1");
    fake_free_memory(f);
}

static void beat(void *arg)
{
    struct fake_cluster *f = arg;
    cJSON *n;
    f->wan_in += 40000 + (double)(rand() % 20000);
    f->wan_out += 40000 + (double)(rand() % 20000);
    cJSON_ArrayForEach(n, f->lists[FAKE_NODES])
    {
        if (strcmp(fake_str(n, "state"), "down") == 0)
            continue;
        fake_set_num(n, "last_seen_at", (double)sc_wall_ms());
        fake_changed(f, FAKE_NODES, n, false);
    }
}

int fake_cluster_new(struct sc_loop *loop, uint64_t step_ms,
                     struct fake_cluster **ret, struct sc_err *err)
{
    SC_AUTO(fake_cluster_free) struct fake_cluster *f = calloc(1, sizeof *f);
    if (!f)
        return sc_fail(err, -ENOMEM, "out of memory");
    f->loop = loop;
    f->step_ms = step_ms;
    f->backend = (struct api_backend){
        .ctx = f,
        .call = backend_call,
        .console_open = console_open,
        .console_in = console_in,
        .console_close = console_close,
    };
    for (int i = 0; i < FAKE_N_LISTS; i++)
        f->lists[i] = cJSON_CreateArray();
    int r = sc_loop_add_timer(loop, step_ms / 4 + 1, step_ms / 4 + 1,
                              fake_jobs_step, f, &f->job_timer);
    if (r == 0)
        r = sc_loop_add_timer(loop, 2000, 2000, beat, f, &f->beat_timer);
    if (r < 0)
        return sc_fail(err, r, "no timer");
    populate(f);
    *ret = SC_TAKE(f);
    return 0;
}

void fake_cluster_free(struct fake_cluster *f)
{
    if (!f)
        return;
    while (f->consoles)
        console_free(f->consoles);
    sc_source_free(f->job_timer);
    sc_source_free(f->beat_timer);
    for (int i = 0; i < FAKE_N_LISTS; i++)
        cJSON_Delete(f->lists[i]);
    free(f);
}

const struct api_backend *fake_cluster_backend(struct fake_cluster *f)
{
    return &f->backend;
}

void fake_cluster_set_api(struct fake_cluster *f, struct api *api)
{
    f->api = api;
}

int fake_cluster_add_user(struct fake_cluster *f, const char *user,
                          const char *role, const char *password,
                          struct sc_err *err)
{
    char hash[API_HASH_SIZE];
    int r = api_password_hash(password, hash, err);
    if (r < 0)
        return r;
    cJSON *u = cJSON_CreateObject();
    fake_set_str(u, "user", user);
    fake_set_str(u, "role", role);
    fake_set_str(u, "hash", hash);
    fake_set_num(u, "created_at", (double)sc_wall_ms());
    cJSON_AddItemToArray(f->lists[FAKE_USERS], u);
    return 0;
}
