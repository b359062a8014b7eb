/* How: each operation is three JSON-RPC calls: select what there is, transact
 * the difference (with next_cfg + 1), then OVSDB's own `wait` until
 * ovs-vswitchd has copied that number into cur_cfg.  A lost connection, or
 * another client's change in between, starts the operation again from the
 * first call; its deadline stays. */
#include "node/ovs.h"

#include "common/json.h"
#include "node/ovs_diff.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    TICK_MS = 50,      /* Connecting again, deadlines. */
    IN_MAX = 32 << 20, /* bytes; a whole reply. */
    RETRIES_MAX = 20,  /* After somebody else's change. */
    CONTROLLER_BACKOFF_MS = 1000,
    DEFAULT_PROBE_MS = 5000,
};

enum op_step { STEP_START, STEP_READ, STEP_WRITE, STEP_WAIT };

struct op {
    struct op *next;
    struct ovs_wanted want; /* Its strings and arrays are owned. */
    ovs_done_fn *done;
    void *arg;
    enum op_step step;
    unsigned retries;
    uint64_t deadline; /* sc_loop_now_ms; 0: not begun. */
};

struct ovs {
    struct sc_loop *loop;
    char *path, *bridge; /* 'bridge' NULL: none ensured yet. */
    struct op *head, **tail;
    size_t n_ops;
    struct sc_source *tick; /* While there are operations. */
    int fd;
    struct sc_source *source;
    char *in, *out;
    size_t in_size, in_allocated, in_scanned, out_size, out_allocated;
    int depth;
    bool in_string, escaped;
    int64_t id; /* Of the call that is out. */
};

static void on_tick(void *arg);
static void step(struct ovs *o, const cJSON *result);

/* --- the queue ------------------------------------------------------------ */

static void op_free(struct op *op)
{
    if (!op)
        return;
    free((char *)op->want.bridge.name);
    free((char *)op->want.bridge.datapath);
    free((char *)op->want.bridge.controller);
    free((char *)op->want.bridge.ca_file);
    free((char *)op->want.bridge.cert_file);
    free((char *)op->want.bridge.key_file);
    free(op->want.port_id);
    free(op->want.vm_id);
    for (size_t i = 0; i < op->want.n_names; i++) {
        free(op->want.names[i]);
        if (op->want.addresses)
            free(op->want.addresses[i]);
    }
    free(op->want.names);
    free(op->want.addresses);
    free(op);
}
SC_CLEANUP(struct op, op_free)

static char *copy(const char *s)
{
    char *r = s ? strdup(s) : NULL;
    if (s && !r)
        abort(); /* As cJSON's callers: a few bytes; nothing to go on with. */
    return r;
}

static struct op *op_make(enum ovs_kind kind, size_t n_names, ovs_done_fn *done,
                          void *arg)
{
    struct op *op = calloc(1, sizeof *op);
    if (op)
        op->want.names = calloc(n_names + 1, sizeof *op->want.names);
    if (!op || !op->want.names)
        abort();
    *op = (struct op){ .want = { .kind = kind, .names = op->want.names },
                       .done = done,
                       .arg = arg };
    return op;
}

static void enqueue(struct ovs *o, struct op *op)
{
    *o->tail = op;
    o->tail = &op->next;
    o->n_ops++;
    if (!o->tick &&
        sc_loop_add_timer(o->loop, 0, TICK_MS, on_tick, o, &o->tick) < 0)
        abort();
}

static void finish(struct ovs *o, const struct sc_err *err)
{
    SC_AUTO(op_free) struct op *op = o->head;
    o->head = op->next;
    if (!o->head)
        o->tail = &o->head;
    o->n_ops--;
    if (err->code == 0 && op->want.kind == OVS_BRIDGE) {
        free(o->bridge);
        o->bridge = copy(op->want.bridge.name);
    }
    op->done(op->arg, err);
}

static void finishf(struct ovs *o, int code, const char *text)
{
    struct sc_err err = { 0 };
    if (code)
        sc_fail(&err, code, "ovs: %s", text);
    finish(o, &err);
}

/* --- the connection ------------------------------------------------------- */

static void disconnect(struct ovs *o)
{
    sc_source_free(SC_TAKE(o->source));
    if (o->fd >= 0)
        close(o->fd);
    o->fd = -1;
    o->in_size = o->in_scanned = o->out_size = 0;
    o->depth = 0;
    o->in_string = o->escaped = false;
    if (o->head)
        o->head->step = STEP_START;
}

static void flush_out(struct ovs *o)
{
    while (o->out_size) {
        ssize_t n = send(o->fd, o->out, o->out_size, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            disconnect(o);
            return;
        }
        memmove(o->out, o->out + n, o->out_size - (size_t)n);
        o->out_size -= (size_t)n;
    }
    if (o->source)
        sc_source_set_events(o->source, EPOLLIN | (o->out_size ? EPOLLOUT : 0));
}

/* Takes 'message'. */
static void send_json(struct ovs *o, cJSON *message)
{
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(message);
    cJSON_Delete(message);
    size_t size = text ? strlen(text) : 0;
    if (!text || o->fd < 0)
        return;
    if (o->out_size + size > o->out_allocated) {
        size_t want = (o->out_size + size) * 2;
        char *bigger = realloc(o->out, want);
        if (!bigger) {
            disconnect(o);
            return;
        }
        o->out = bigger;
        o->out_allocated = want;
    }
    memcpy(o->out + o->out_size, text, size);
    o->out_size += size;
    flush_out(o);
}

/* Sends `transact` of 'ops' (taken). */
static void transact(struct ovs *o, cJSON *ops)
{
    cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "method", "transact");
    cJSON_InsertItemInArray(ops, 0, cJSON_CreateString("Open_vSwitch"));
    cJSON_AddItemToObject(m, "params", ops);
    cJSON_AddNumberToObject(m, "id", (double)++o->id);
    send_json(o, m);
}

static void on_message(struct ovs *o, const cJSON *m)
{
    const cJSON *method = cJSON_GetObjectItemCaseSensitive(m, "method");
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(m, "id");
    const cJSON *params = cJSON_GetObjectItemCaseSensitive(m, "params");
    if (cJSON_IsString(method)) {
        if (strcmp(method->valuestring, "echo") == 0) {
            cJSON *r = cJSON_CreateObject();
            cJSON_AddItemToObject(r, "id", cJSON_Duplicate(id, true));
            cJSON_AddItemToObject(r, "result", cJSON_Duplicate(params, true));
            cJSON_AddNullToObject(r, "error");
            send_json(o, r);
        }
        return;
    }
    if (!o->head || !cJSON_IsNumber(id) || (int64_t)id->valuedouble != o->id)
        return;
    step(o, cJSON_GetObjectItemCaseSensitive(m, "result"));
}

/* Documents follow each other without a separator: counts braces outside
 * strings (RFC 7047 section 4). */
static void scan_in(struct ovs *o)
{
    while (o->fd >= 0 && o->in_scanned < o->in_size) {
        char c = o->in[o->in_scanned++];
        if (o->in_string) {
            if (o->escaped)
                o->escaped = false;
            else if (c == '\\')
                o->escaped = true;
            else if (c == '"')
                o->in_string = false;
        } else if (c == '"') {
            o->in_string = true;
        } else if (c == '{' || c == '[') {
            o->depth++;
        } else if ((c == '}' || c == ']') && --o->depth <= 0) {
            SC_AUTO(cjson_free)
            cJSON *m = cJSON_ParseWithLength(o->in, o->in_scanned);
            memmove(o->in, o->in + o->in_scanned, o->in_size - o->in_scanned);
            o->in_size -= o->in_scanned;
            o->in_scanned = 0;
            o->depth = 0;
            if (!m) {
                disconnect(o);
                return;
            }
            on_message(o, m);
        }
    }
}

static void on_fd(void *arg, int fd, uint32_t events)
{
    struct ovs *o = arg;
    if (events & EPOLLOUT)
        flush_out(o);
    while (o->fd >= 0) {
        if (o->in_size == o->in_allocated) {
            size_t want = o->in_allocated ? o->in_allocated * 2 : 65536;
            char *bigger = want <= IN_MAX ? realloc(o->in, want) : NULL;
            if (!bigger) {
                disconnect(o);
                return;
            }
            o->in = bigger;
            o->in_allocated = want;
        }
        ssize_t n =
            recv(fd, o->in + o->in_size, o->in_allocated - o->in_size, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            disconnect(o);
            return;
        }
        o->in_size += (size_t)n;
        scan_in(o);
    }
}

static void try_connect(struct ovs *o)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    SC_AUTO(close)
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    memcpy(a.sun_path, o->path, strlen(o->path) + 1); /* ovs_new checked. */
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        sc_loop_add_fd(o->loop, fd, EPOLLIN, on_fd, o, &o->source) < 0)
        return;
    o->fd = SC_TAKE_FD(fd);
}

/* --- one operation, step by step ------------------------------------------ */

/* The first error of a transact reply, which may follow the last operation's
 * result (RFC 7047 section 4.1.3), as "error: details"; NULL: none. */
static const cJSON *first_error(const cJSON *result, char text[256])
{
    const cJSON *r;
    cJSON_ArrayForEach(r, result)
    {
        const char *error = ovsdb_row_str(r, "error");
        if (*error) {
            snprintf(text, 256, "%s: %s", error, ovsdb_row_str(r, "details"));
            return r;
        }
    }
    return NULL;
}

static void begin(struct ovs *o)
{
    o->head->step = STEP_READ;
    transact(o, ovs_read_ops());
}

static void step_read(struct ovs *o, const cJSON *db)
{
    static const char *const next_cfg[] = { "next_cfg", NULL };
    struct sc_err err = { 0 };
    cJSON *ops = ovs_diff(&o->head->want, o->bridge, db, &err);
    if (!ops) {
        finish(o, &err);
        return;
    }
    if (!ops->child && o->head->want.kind != OVS_ADD) {
        cJSON_Delete(ops);
        finishf(o, 0, NULL);
        return;
    }
    ovsdb_mutate(ops, "Open_vSwitch", NULL, "next_cfg",
                 "+=", cJSON_CreateNumber(1));
    ovsdb_select(ops, "Open_vSwitch", cJSON_CreateArray(), next_cfg);
    o->head->step = STEP_WRITE;
    transact(o, ops);
}

static void step_write(struct ovs *o, const cJSON *result)
{
    static const char *const columns[] = { "ofport", "error", NULL };
    int n = cJSON_GetArraySize(result);
    int64_t cfg = ovsdb_row_int(
        cJSON_GetArrayItem(ovsdb_rows(result, n - 1), 0), "next_cfg", 0);
    uint64_t now = sc_loop_now_ms(o->loop);
    uint64_t left = o->head->deadline > now ? o->head->deadline - now : 1;
    cJSON *ops = cJSON_CreateArray();
    cJSON *wait = ovsdb_op(ops, "wait", "Open_vSwitch");
    /* "No row has cur_cfg < cfg": true also when others went further. */
    cJSON_AddNumberToObject(wait, "timeout", (double)left);
    cJSON_AddItemToObject(
        wait, "where",
        ovsdb_where("cur_cfg", "<", cJSON_CreateNumber((double)cfg)));
    cJSON_AddItemToObject(wait, "columns",
                          ovsdb_list1(cJSON_CreateString("cur_cfg")));
    cJSON_AddStringToObject(wait, "until", "==");
    cJSON_AddItemToObject(wait, "rows", cJSON_CreateArray());
    if (o->head->want.kind == OVS_ADD)
        ovsdb_select(ops, "Interface",
                     ovsdb_where("name", "==",
                                 cJSON_CreateString(o->head->want.names[0])),
                     columns);
    o->head->step = STEP_WAIT;
    transact(o, ops);
}

static void step_wait(struct ovs *o, const cJSON *result)
{
    if (o->head->want.kind == OVS_ADD) {
        const cJSON *row = cJSON_GetArrayItem(ovsdb_rows(result, 1), 0);
        const char *why = ovsdb_row_str(row, "error");
        if (ovsdb_row_int(row, "ofport", -1) < 0) {
            struct sc_err err;
            sc_fail(&err, -ENODEV, "ovs: port '%s': %s", o->head->want.names[0],
                    *why ? why : "Open vSwitch has not attached it");
            finish(o, &err);
            return;
        }
    }
    finishf(o, 0, NULL);
}

/* A reply came for the operation at the head. */
static void step(struct ovs *o, const cJSON *result)
{
    struct op *op = o->head;
    char text[256] = "";
    if (!cJSON_IsArray(result)) {
        finishf(o, -EPROTO, "ovsdb-server refused the call");
    } else if (first_error(result, text)) {
        /* Somebody changed what we had read: read again. */
        if (op->step == STEP_WRITE && ++op->retries <= RETRIES_MAX &&
            (strncmp(text, "constraint", 10) == 0 ||
             strncmp(text, "referential", 11) == 0)) {
            begin(o);
            return;
        }
        if (op->step == STEP_WAIT)
            finishf(o, -ETIMEDOUT,
                    "ovs-vswitchd has not put the change into effect");
        else
            finishf(o, -EPROTO, text);
    } else if (op->step == STEP_READ) {
        step_read(o, result);
    } else if (op->step == STEP_WRITE) {
        step_write(o, result);
    } else if (op->step == STEP_WAIT) {
        step_wait(o, result);
    }
    if (o->head && o->head->step == STEP_START && o->fd >= 0)
        on_tick(o);
}

static void on_tick(void *arg)
{
    struct ovs *o = arg;
    uint64_t now = sc_loop_now_ms(o->loop);
    if (!o->head) {
        sc_source_free(SC_TAKE(o->tick));
        return;
    }
    if (!o->head->deadline)
        o->head->deadline = now + OVS_TIMEOUT_MS;
    if (o->fd < 0)
        try_connect(o);
    if (o->fd >= 0 && o->head->step == STEP_START) {
        begin(o);
    } else if (now >= o->head->deadline) {
        bool there = o->fd >= 0;
        if (there)
            disconnect(o); /* Its late answer must not meet the next one. */
        finishf(o, -ETIMEDOUT,
                there ? "no answer in time" : "ovsdb-server is not there");
    }
}

/* --- public --------------------------------------------------------------- */

int ovs_new(struct sc_loop *loop, const char *socket_path, struct ovs **ret,
            struct sc_err *err)
{
    if (strlen(socket_path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return sc_fail(err, -ENAMETOOLONG, "ovs: socket path '%s' is too long",
                       socket_path);
    SC_AUTO(free) struct ovs *o = calloc(1, sizeof *o);
    SC_AUTO(free) char *path = strdup(socket_path);
    if (!o || !path)
        return sc_fail(err, -ENOMEM, "ovs: out of memory");
    *o = (struct ovs){ .loop = loop, .path = SC_TAKE(path), .fd = -1 };
    o->tail = &o->head;
    *ret = SC_TAKE(o);
    return 0;
}

void ovs_free(struct ovs *o)
{
    if (!o)
        return;
    disconnect(o);
    while (o->head)
        finishf(o, -ECANCELED, "given up");
    sc_source_free(o->tick);
    free(o->in);
    free(o->out);
    free(o->path);
    free(o->bridge);
    free(o);
}

void ovs_ensure_bridge(struct ovs *o, const struct ovs_bridge *b,
                       ovs_done_fn *done, void *arg)
{
    struct op *op = op_make(OVS_BRIDGE, 0, done, arg);
    op->want.bridge = (struct ovs_bridge){
        .name = copy(b->name),
        .datapath = copy(b->datapath),
        .nid = b->nid,
        .controller = copy(b->controller),
        .ca_file = copy(b->ca_file),
        .cert_file = copy(b->cert_file),
        .key_file = copy(b->key_file),
        .probe_ms = b->probe_ms,
    };
    enqueue(o, op);
}

void ovs_set_mesh(struct ovs *o, const struct ovs_peer *peers, size_t n,
                  ovs_done_fn *done, void *arg)
{
    struct op *op = op_make(OVS_MESH, n, done, arg);
    op->want.addresses = calloc(n + 1, sizeof *op->want.addresses);
    if (!op->want.addresses)
        abort();
    for (size_t i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "vx%u", peers[i].nid);
        op->want.names[i] = copy(name);
        op->want.addresses[i] = copy(peers[i].address);
    }
    op->want.n_names = n;
    enqueue(o, op);
}

void ovs_add_port(struct ovs *o, const struct ovs_port *p, ovs_done_fn *done,
                  void *arg)
{
    struct op *op = op_make(OVS_ADD, 1, done, arg);
    op->want.names[op->want.n_names++] = copy(p->ifname);
    op->want.port_id = copy(p->port_id);
    op->want.vm_id = copy(p->vm_id);
    enqueue(o, op);
}

void ovs_del_port(struct ovs *o, const char *ifname, ovs_done_fn *done,
                  void *arg)
{
    struct op *op = op_make(OVS_DEL, 1, done, arg);
    op->want.names[op->want.n_names++] = copy(ifname);
    enqueue(o, op);
}

void ovs_retain_ports(struct ovs *o, const char *const *ifnames, size_t n,
                      ovs_done_fn *done, void *arg)
{
    struct op *op = op_make(OVS_RETAIN, n, done, arg);
    for (size_t i = 0; i < n; i++)
        op->want.names[op->want.n_names++] = copy(ifnames[i]);
    enqueue(o, op);
}

void ovs_ifname(const char *port_id, char ret[OVS_IFNAME_LEN + 1])
{
    size_t n = 2;
    memcpy(ret, "sc", 2);
    for (; *port_id && n < OVS_IFNAME_LEN; port_id++) {
        if (isxdigit((unsigned char)*port_id))
            ret[n++] = (char)tolower((unsigned char)*port_id);
    }
    ret[n] = '\0';
}
