/* peers - see peers.h: the table, and our calls; theirs: peer_guests.c. */
#include "storage/peers_impl.h"

#include "common/json.h"
#include "common/log.h"
#include "storage/holder.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

enum {
    SWEEP_MS = 500,
    BACKOFF_MIN_MS = 200,
    BACKOFF_MAX_MS = 3000,
};

/* --- the table ---------------------------------------------------------- */
static struct peer *find(const struct peers *p, uint16_t nid)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->list[i]->nid == nid)
            return p->list[i];
    return NULL;
}

struct peer *peers_find_id(const struct peers *p, const char *node_id)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->list[i]->node_id, node_id) == 0 &&
            p->list[i]->told == p->tables)
            return p->list[i];
    return NULL;
}

static void drop_conn(struct peer *o, int res);

int peers_learn(struct peers *p, const char *node_id, uint16_t nid,
                const char *address)
{
    struct peer *o = find(p, nid);
    if (strlen(node_id) >= sizeof o->node_id ||
        strlen(address) > PEER_ADDRESS_MAX)
        return -EINVAL;
    if (o && strcmp(o->node_id, node_id) == 0) {
        o->told = p->tables;
        if (strcmp(o->address, address) != 0) {
            snprintf(o->address, sizeof o->address, "%s", address);
            drop_conn(o, -ECONNRESET);
        }
        return 0;
    }
    if (!o) {
        struct peer **list =
            realloc(p->list, (p->n + 1) * sizeof(struct peer *));
        if (!list || p->n >= PEERS_MAX) {
            p->list = list ? list : p->list;
            return -ENOMEM;
        }
        p->list = list;
        o = calloc(1, sizeof *o);
        if (!o)
            return -ENOMEM;
        list[p->n++] = o;
    } else {
        drop_conn(o, -ECONNRESET);
    }
    o->all = p;
    o->nid = nid;
    snprintf(o->node_id, sizeof o->node_id, "%s", node_id);
    snprintf(o->address, sizeof o->address, "%s", address);
    o->port = p->port;
    o->up = true;
    o->told = p->tables;
    o->rtt_ms = -1;
    return 0;
}

static int set_one(struct peers *p, const cJSON *item, struct sc_err *err)
{
    struct json_reader r = json_read(item, "peers");
    const char *id = json_str(&r, "node_id", 1, 63);
    uint16_t nid = (uint16_t)json_int(&r, "nid", 1, UINT16_MAX);
    const char *address = json_str(&r, "address", 1, PEER_ADDRESS_MAX);
    const char *region = json_str_or(&r, "region", 63, "");
    bool up = json_bool_or(&r, "up", true);
    const cJSON *ports = cJSON_GetObjectItem(item, "ports");
    struct json_reader pr = json_read(ports, "peers.ports");
    int64_t port = ports ? json_int_or(&pr, "storage", 0, UINT16_MAX, 0) : 0;
    int e = json_done(&r, err);
    if (e == 0)
        e = json_done(&pr, ports ? err : NULL) < 0 && ports ? -EINVAL : 0;
    if (e < 0)
        return e;
    if (nid == p->self) {
        snprintf(p->self_region, sizeof p->self_region, "%s", region);
        return 0;
    }
    if (peers_learn(p, id, nid, address) < 0)
        return sc_fail(err, -ENOMEM, "peers: out of memory");
    struct peer *o = find(p, nid);
    snprintf(o->region, sizeof o->region, "%s", region);
    if (port)
        o->port = (uint16_t)port;
    if (up && !o->up)
        o->retry_at = 0;
    o->up = up;
    return 0;
}

static int set_all(struct peers *p, const cJSON *message, struct sc_err *err)
{
    struct json_reader r = json_read(message, "peers");
    p->self = (uint16_t)json_int(&r, "self", 1, UINT16_MAX);
    const cJSON *list = json_arr(&r, "peers"), *item;
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    p->tables++;
    cJSON_ArrayForEach(item, list)
    {
        if (e == 0)
            e = set_one(p, item, err);
    }
    for (size_t i = 0; i < p->n; i++) {
        if (p->list[i]->told == p->tables)
            continue;
        if (e == 0)
            p->list[i]->up = false; /* Deleted. */
        else if (p->list[i]->told == p->tables - 1)
            p->list[i]->told = p->tables; /* A bad table deletes nobody. */
    }
    return e;
}

int peers_set(struct peers *p, const cJSON *message, struct sc_err *err)
{
    int r = set_all(p, message, err);
    if (r < 0)
        return r;
    /* Kept, so that after a restart blocks can be fetched without the
     * controller.  Rare, small; the one file that is written at once. */
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(message);
    SC_AUTO(free) char *old = NULL;
    if (!text)
        return sc_fail(err, -ENOMEM, "peers: out of memory");
    if (tls_read_file(p->table_file, &old, NULL) == 0 && strcmp(old, text) == 0)
        return 0;
    return tls_write_file(p->table_file, text, 0600, err);
}

size_t peers_candidates(struct peers *p, uint16_t first, uint16_t *ret,
                        size_t max)
{
    static const struct holder_weights weights = { .ms_per_price = 100 };
    struct holder_option options[64];
    size_t n = 0, n_ret = 0;
    if (first && first != p->self && max > 0 && find(p, first))
        ret[n_ret++] = first;
    for (size_t i = 0; i < p->n && n < SC_ARRAY_LEN(options); i++) {
        const struct peer *o = p->list[i];
        if (o->nid != first && o->nid != p->self && o->up)
            options[n++] = (struct holder_option){
                .nid = o->nid,
                .up = o->failures == 0,
                .latency_ms = o->rtt_ms,
                .price = strcmp(o->region, p->self_region) != 0,
            };
    }
    while (n > 0 && n_ret < max) {
        size_t best = cheapest_holder(options, n, &weights);
        ret[n_ret++] = options[best].nid;
        options[best] = options[--n];
    }
    return n_ret;
}

cJSON *peers_dump(const struct peers *p)
{
    cJSON *a = cJSON_CreateArray();
    for (size_t i = 0; i < p->n; i++) {
        const struct peer *o = p->list[i];
        cJSON *j = cJSON_CreateObject();
        json_set_u64(j, "nid", o->nid);
        cJSON_AddStringToObject(j, "address", o->address);
        json_set_u64(j, "port", o->port);
        cJSON_AddBoolToObject(j, "up", o->up);
        cJSON_AddBoolToObject(j, "connected", o->ready);
        cJSON_AddNumberToObject(j, "rtt_ms", o->rtt_ms);
        json_set_u64(j, "calls", o->n_calls);
        json_set_u64(j, "failures", o->failures);
        cJSON_AddItemToArray(a, j);
    }
    return a;
}

static uint64_t sum(const struct peers *p,
                    uint64_t (*of)(const struct peer_conn *))
{
    uint64_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += p->list[i]->conn ? of(p->list[i]->conn) : 0;
    for (const struct guest *g = p->guests; g; g = g->next)
        n += of(g->conn);
    return n;
}

uint64_t peers_wire_in(const struct peers *p)
{
    return p->in + sum(p, peer_conn_in);
}

uint64_t peers_wire_out(const struct peers *p)
{
    return p->out + sum(p, peer_conn_out);
}

/* --- calls -------------------------------------------------------------- */
void peers_retire(struct peers *p, struct peer_conn *c)
{
    p->in += peer_conn_in(c);
    p->out += peer_conn_out(c);
    peer_conn_free(c);
}

static void drop_conn(struct peer *o, int res)
{
    struct call *calls = SC_TAKE(o->calls);
    o->n_calls = 0;
    o->ready = false;
    if (o->conn)
        peers_retire(o->all, SC_TAKE(o->conn));
    while (calls) {
        struct call *next = calls->next;
        calls->done(calls->arg, res, NULL);
        free(calls);
        calls = next;
    }
}

static void on_ready(void *arg, struct peer_conn *c)
{
    struct peer *o = arg;
    (void)c;
    o->ready = true;
    o->backoff_ms = 0;
    o->failures = 0;
    if (o->all->ops.up)
        o->all->ops.up(o->all->ops.arg, o->nid);
}

static void on_closed(void *arg, struct peer_conn *c, const struct sc_err *why)
{
    struct peer *o = arg;
    (void)c;
    o->failures++;
    o->backoff_ms = o->backoff_ms ? o->backoff_ms * 2 : BACKOFF_MIN_MS;
    if (o->backoff_ms > BACKOFF_MAX_MS)
        o->backoff_ms = BACKOFF_MAX_MS;
    o->retry_at = sc_mono_ms() + o->backoff_ms;
    if (o->failures == 1)
        sc_log(SC_LOG_INFO, "peer.down", "node", o->node_id, "error", why->text,
               NULL);
    drop_conn(o, -ECONNRESET);
}

static void on_frame(void *arg, struct peer_conn *c, const struct peer_frame *f,
                     const uint8_t *payload)
{
    struct peer *o = arg;
    (void)c;
    struct call **at = &o->calls;
    while (*at && (*at)->tag != f->tag)
        at = &(*at)->next;
    struct call *call = *at;
    if (!call)
        return; /* Timed out before. */
    struct peer_reply *reply = calloc(1, sizeof *reply);
    int r = reply ? -EBADMSG : -ENOMEM;
    if (reply && f->type == PEER_DATA)
        r = peer_data_decode(payload, f->size, reply);
    else if (reply && f->type == PEER_DONE)
        r = peer_done_decode(payload, f->size, reply);
    *at = call->next;
    o->n_calls--;
    uint64_t ms = sc_mono_ms() - call->sent_ms;
    if (r == 0 && !call->handover)
        o->rtt_ms =
            o->rtt_ms < 0 ? (double)ms : o->rtt_ms * 0.875 + (double)ms * 0.125;
    if (r == 0)
        reply->wire = f->size + PEER_HEADER;
    call->done(call->arg, r, r == 0 ? reply : NULL);
    if (reply)
        peer_reply_clear(reply);
    free(reply);
    free(call);
}

static int connect_to(struct peer *o)
{
    static const struct peer_conn_ops ops = { .ready = on_ready,
                                              .frame = on_frame,
                                              .closed = on_closed };
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = { 0 };
    socklen_t size = sizeof a.v4;
    a.v4.sin_family = AF_INET;
    a.v4.sin_port = htons(o->port);
    if (inet_pton(AF_INET, o->address, &a.v4.sin_addr) != 1) {
        memset(&a, 0, sizeof a);
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = htons(o->port);
        size = sizeof a.v6;
        if (inet_pton(AF_INET6, o->address, &a.v6.sin6_addr) != 1)
            return -EINVAL;
    }
    int fd =
        socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, &a.any, size) < 0 && errno != EINPROGRESS) {
        int e = errno;
        close(fd);
        return -e;
    }
    return peer_conn_new(o->all->loop, o->all->tls, fd, true, o->node_id, &ops,
                         o, &o->conn, NULL);
}

/* Connected, or connecting.  0 or -errno. */
static int reach(struct peer *o)
{
    if (o->conn)
        return 0;
    if (sc_mono_ms() < o->retry_at)
        return -EHOSTUNREACH;
    int r = connect_to(o);
    if (r < 0) {
        o->failures++;
        o->retry_at = sc_mono_ms() + BACKOFF_MIN_MS;
    }
    return r;
}

void peers_warm(struct peers *p, uint16_t nid)
{
    struct peer *o = find(p, nid);
    if (o)
        (void)!reach(o);
}

static void tell_failed(void *arg)
{
    struct peers *p = arg;
    struct failed *f = SC_TAKE(p->failed);
    sc_source_free(SC_TAKE(p->soon));
    while (f) {
        struct failed *next = f->next;
        f->done(f->arg, f->res, NULL);
        free(f);
        f = next;
    }
}

static void fail_soon(struct peers *p, int res, peer_done_fn *done, void *arg)
{
    struct failed *f = malloc(sizeof *f);
    if (!f)
        abort(); /* A few bytes: the machine is beyond help. */
    *f = (struct failed){ p->failed, res, done, arg };
    p->failed = f;
    if (!p->soon &&
        sc_loop_add_timer(p->loop, 0, 0, tell_failed, p, &p->soon) < 0)
        abort();
}

/* Sends a frame to which an answer with 'tag' will come. */
static void call_peer(struct peers *p, struct peer *o, uint32_t tag,
                      uint8_t *frame, size_t size, uint64_t timeout_ms,
                      bool handover, peer_done_fn *done, void *arg)
{
    struct call *call = malloc(sizeof *call);
    int r = call ? peer_conn_send(o->conn, frame, size) : -ENOMEM;
    if (r < 0) {
        if (!call)
            free(frame);
        free(call);
        fail_soon(p, r, done, arg);
        return;
    }
    uint64_t now = sc_mono_ms();
    *call = (struct call){ .next = o->calls,
                           .tag = tag,
                           .sent_ms = now,
                           .deadline_ms = now + timeout_ms,
                           .handover = handover,
                           .done = done,
                           .arg = arg };
    o->calls = call;
    o->n_calls++;
}

/* The peer, if a call to it may begin; else 'done' is told. */
static struct peer *callee(struct peers *p, uint16_t nid, peer_done_fn *done,
                           void *arg)
{
    struct peer *o = find(p, nid);
    int r = o ? reach(o) : -EHOSTUNREACH;
    if (r == 0 && o->n_calls >= PEER_PENDING_MAX)
        r = -EBUSY;
    if (r == 0)
        return o;
    fail_soon(p, r, done, arg);
    return NULL;
}

void peers_fetch(struct peers *p, uint16_t nid, const struct peer_fetch *q,
                 peer_done_fn *done, void *arg)
{
    struct peer *o = callee(p, nid, done, arg);
    if (!o)
        return;
    uint8_t *frame;
    size_t size;
    uint32_t tag = ++p->next_tag;
    if (peer_fetch_encode(q, tag, &frame, &size) < 0)
        fail_soon(p, -ENOMEM, done, arg);
    else
        call_peer(p, o, tag, frame, size, PEER_TIMEOUT_MS, false, done, arg);
}

void peers_handover(struct peers *p, uint16_t nid,
                    const struct peer_handover *h, peer_done_fn *done,
                    void *arg)
{
    struct peer *o = find(p, nid);
    if (o)
        o->retry_at = 0; /* A guest stands still: no back-off. */
    o = callee(p, nid, done, arg);
    if (!o)
        return;
    uint8_t *frame;
    size_t size;
    uint32_t tag = ++p->next_tag;
    int r = peer_handover_encode(h, tag, &frame, &size);
    if (r < 0)
        fail_soon(p, r, done, arg);
    else
        call_peer(p, o, tag, frame, size, PEER_HANDOVER_TIMEOUT_MS, true, done,
                  arg);
}

void peers_prepared(struct peers *p, uint16_t nid,
                    const struct peer_prepared *m)
{
    struct peer *o = find(p, nid);
    uint8_t *frame;
    size_t size;
    if (!o || reach(o) < 0)
        return; /* Only a hint: the source does without. */
    if (peer_prepared_encode(m, ++p->next_tag, &frame, &size) == 0)
        (void)!peer_conn_send(o->conn, frame, size);
}

static void on_sweep(void *arg)
{
    struct peers *p = arg;
    uint64_t now = sc_mono_ms();
    for (size_t i = 0; i < p->n; i++) {
        struct peer *o = p->list[i];
        bool late = false;
        uint64_t in = o->conn ? peer_conn_in(o->conn) : 0;
        if (in != o->seen_in)
            o->progress_ms = now; /* Slow is not dead. */
        o->seen_in = in;
        if (now - o->progress_ms < PEER_TIMEOUT_MS)
            continue;
        for (const struct call *c = o->calls; c; c = c->next)
            late = late || c->deadline_ms <= now;
        if (late) { /* One that is late makes the connection suspect. */
            o->failures++;
            drop_conn(o, -ETIMEDOUT);
        }
    }
}

static int open_listener(struct peers *p, const struct peers_options *o,
                         struct sc_err *err)
{
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                               .sin6_port = htons(o->port) };
    struct sockaddr_in v4 = { .sin_family = AF_INET,
                              .sin_port = htons(o->port) };
    int one = 1, zero = 0;
    if (o->listen_host && inet_pton(AF_INET, o->listen_host, &v4.sin_addr) != 1)
        return sc_fail(err, -EINVAL, "'%s' is no IPv4 address", o->listen_host);
    p->fd =
        o->listen_host
            ? -1
            : socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = -1;
    if (p->fd >= 0) { /* Both families at once. */
        setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        setsockopt(p->fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
        r = bind(p->fd, (struct sockaddr *)&v6, sizeof v6);
        if (r < 0 && errno == EADDRINUSE)
            return sc_fail(err, -EADDRINUSE, "port %u is in use", o->port);
        if (r < 0)
            close(SC_TAKE_FD(p->fd));
    }
    if (p->fd < 0) {
        p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        r = bind(p->fd, (struct sockaddr *)&v4, sizeof v4);
    }
    if (r < 0 || listen(p->fd, 64) < 0)
        return sc_fail(err, -errno, "port %u: %s", o->port, strerror(errno));
    return 0;
}

int peers_new(struct sc_loop *loop, const struct peers_options *o,
              const struct peers_ops *ops, struct peers **ret,
              struct sc_err *err)
{
    SC_AUTO(peers_free) struct peers *p = calloc(1, sizeof *p);
    if (!p)
        return sc_fail(err, -ENOMEM, "out of memory");
    p->fd = -1;
    p->loop = loop;
    p->tls = o->tls;
    p->ops = *ops;
    p->port = o->port;
    p->table_file = strdup(o->table_file);
    if (!p->table_file)
        return sc_fail(err, -ENOMEM, "out of memory");
    SC_AUTO(free) char *text = NULL;
    if (tls_read_file(p->table_file, &text, NULL) == 0) {
        SC_AUTO(cjson_free) cJSON *j = cJSON_Parse(text);
        struct sc_err bad;
        if (set_all(p, j, &bad) < 0)
            sc_log(SC_LOG_WARN, "peers.table", "error", bad.text, NULL);
    }
    int r = open_listener(p, o, err);
    if (r < 0)
        return r;
    if (sc_loop_add_fd(loop, p->fd, 1 /* EPOLLIN */, peer_guests_accept, p,
                       &p->listener) < 0 ||
        sc_loop_add_timer(loop, SWEEP_MS, SWEEP_MS, on_sweep, p, &p->sweep) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    *ret = SC_TAKE(p);
    return 0;
}

void peers_free(struct peers *p)
{
    if (!p)
        return;
    sc_source_free(p->listener);
    sc_source_free(p->sweep);
    sc_source_free(p->soon);
    for (size_t i = 0; i < p->n; i++) {
        struct peer *o = p->list[i];
        peer_conn_free(o->conn);
        while (o->calls) {
            struct call *c = o->calls;
            o->calls = c->next;
            free(c);
        }
        free(o);
    }
    peer_guests_free(p);
    while (p->failed) {
        struct failed *f = p->failed;
        p->failed = f->next;
        free(f);
    }
    if (p->fd >= 0)
        close(p->fd);
    free(p->list);
    free(p->table_file);
    free(p);
}
