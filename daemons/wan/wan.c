/* wan - see wan.h.
 *
 * One receive source per attachment; each frame is decided at once by its
 * link (link.c) and waits in one heap ordered by arrival time; a timerfd with
 * nanoseconds wakes the loop for the earliest.  A heap entry owns its frame. */
#include "wan/wan.h"

#include "common/json.h"

#include <math.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>

enum { MAC_LEN = 6, MAC_TABLE = 1024, BURST = 64 };

struct port {
    char *name, *local, *remote;
    int fd;
    struct sc_source *source;
    struct wan *wan;
};
struct flight {
    uint64_t at, order;  /* 'order' keeps equal times first in, first out. */
    int to;              /* Port index. */
    uint32_t generation; /* Of the port: dropped if it was replaced. */
    uint32_t size;
    uint8_t *frame; /* Owned. */
};
struct wan {
    struct sc_loop *loop;
    struct link_params defaults;
    struct port *ports[WAN_MAX_PORTS];
    uint32_t generation[WAN_MAX_PORTS];
    struct link links[WAN_MAX_PORTS][WAN_MAX_PORTS];
    struct {
        uint8_t mac[MAC_LEN];
        int port;
    } macs[MAC_TABLE];
    size_t n_macs;
    struct flight *heap;
    size_t n_heap, cap_heap;
    uint64_t queued, order, rng, dropped_full;
    int timer_fd;
    struct sc_source *timer;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* xorshift64*: good enough to drop frames with, and fast. */
static uint64_t next_random(struct wan *w)
{
    w->rng ^= w->rng >> 12;
    w->rng ^= w->rng << 25;
    w->rng ^= w->rng >> 27;
    return w->rng * 2685821657736338717ull;
}

static bool earlier(const struct flight *a, const struct flight *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static int heap_push(struct wan *w, struct flight f)
{
    if (w->n_heap == w->cap_heap) {
        size_t cap = w->cap_heap ? w->cap_heap * 2 : 1024;
        struct flight *h = realloc(w->heap, cap * sizeof *h);
        if (!h)
            return -ENOMEM;
        w->heap = h;
        w->cap_heap = cap;
    }
    size_t i = w->n_heap++;
    for (; i && earlier(&f, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = f;
    return 0;
}

static struct flight heap_pop(struct wan *w)
{
    struct flight top = w->heap[0], last = w->heap[--w->n_heap];
    size_t i = 0;
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= w->n_heap)
            break;
        if (c + 1 < w->n_heap && earlier(&w->heap[c + 1], &w->heap[c]))
            c++;
        if (!earlier(&w->heap[c], &last))
            break;
        w->heap[i] = w->heap[c];
        i = c;
    }
    if (w->n_heap)
        w->heap[i] = last;
    return top;
}

static void arm(struct wan *w)
{
    struct itimerspec t = { 0 };
    if (w->n_heap) {
        uint64_t at = w->heap[0].at;
        t.it_value.tv_sec = (time_t)(at / 1000000000ull);
        t.it_value.tv_nsec = (long)(at % 1000000000ull);
    }
    timerfd_settime(w->timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static void deliver(struct wan *w, const struct flight *f)
{
    struct port *p = w->ports[f->to];
    if (!p || w->generation[f->to] != f->generation)
        return;
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof a.sun_path, "%s", p->remote);
    if (sendto(p->fd, f->frame, f->size, MSG_DONTWAIT, (void *)&a, sizeof a) <
        0)
        w->dropped_full++;
}

static void on_timer(void *arg, int fd, uint32_t events)
{
    (void)events;
    struct wan *w = arg;
    uint64_t ticks;
    if (read(fd, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
        return;
    for (uint64_t now = now_ns(); w->n_heap && w->heap[0].at <= now;) {
        struct flight f = heap_pop(w);
        deliver(w, &f);
        w->queued -= f.size;
        free(f.frame);
    }
    arm(w);
}

static void offer(struct wan *w, int from, int to, const uint8_t *frame,
                  size_t size, enum link_class c, uint64_t now)
{
    uint64_t at;
    if (link_offer(&w->links[from][to], now, size, c, next_random(w), &at) !=
        LINK_PASS)
        return;
    struct flight f = { at,  w->order++, to, w->generation[to], (uint32_t)size,
                        NULL };
    if (w->queued + size > WAN_MAX_QUEUED || !(f.frame = malloc(size))) {
        w->dropped_full++;
        return;
    }
    memcpy(f.frame, frame, size);
    if (heap_push(w, f) < 0) {
        free(f.frame);
        w->dropped_full++;
        return;
    }
    w->queued += size;
}

static int port_of_mac(const struct wan *w, const uint8_t *mac)
{
    for (size_t i = 0; i < w->n_macs; i++)
        if (!memcmp(w->macs[i].mac, mac, MAC_LEN))
            return w->macs[i].port;
    return -1;
}

static void learn_mac(struct wan *w, const uint8_t *mac, int port)
{
    if (mac[0] & 1)
        return;
    for (size_t i = 0; i < w->n_macs; i++)
        if (!memcmp(w->macs[i].mac, mac, MAC_LEN)) {
            w->macs[i].port = port;
            return;
        }
    /* A full table keeps its oldest entries; unknown machines are flooded. */
    if (w->n_macs < MAC_TABLE) {
        memcpy(w->macs[w->n_macs].mac, mac, MAC_LEN);
        w->macs[w->n_macs++].port = port;
    }
}

static int port_index(const struct wan *w, const char *name)
{
    for (int i = 0; i < WAN_MAX_PORTS; i++)
        if (w->ports[i] && !strcmp(w->ports[i]->name, name))
            return i;
    return -1;
}

static void on_frame(void *arg, int fd, uint32_t events)
{
    (void)events;
    struct port *p = arg;
    struct wan *w = p->wan;
    int from = port_index(w, p->name);
    uint8_t frame[WAN_FRAME_MAX];
    for (int n = 0; n < BURST; n++) {
        ssize_t size = recv(fd, frame, sizeof frame, MSG_DONTWAIT);
        if (size < 14)
            break;
        uint64_t now = now_ns();
        enum link_class c = link_classify(frame, (size_t)size);
        learn_mac(w, frame + MAC_LEN, from);
        int to = frame[0] & 1 ? -1 : port_of_mac(w, frame);
        if (to == from)
            continue;
        for (int i = 0; i < WAN_MAX_PORTS; i++)
            if (w->ports[i] && i != from && (to < 0 || i == to))
                offer(w, from, i, frame, (size_t)size, c, now);
    }
    arm(w);
}

int wan_new(struct sc_loop *loop, const struct link_params *defaults,
            struct wan **ret, struct sc_err *err)
{
    SC_AUTO(wan_free) struct wan *w = calloc(1, sizeof *w);
    if (!w)
        return sc_fail(err, -ENOMEM, "wan: out of memory");
    w->loop = loop;
    w->defaults = *defaults;
    w->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (w->timer_fd < 0)
        return sc_fail(err, -errno, "wan: timerfd: %s", strerror(errno));
    if (getrandom(&w->rng, sizeof w->rng, 0) != sizeof w->rng || !w->rng)
        w->rng = 88172645463325252ull;
    int r = sc_loop_add_fd(loop, w->timer_fd, EPOLLIN, on_timer, w, &w->timer);
    if (r < 0)
        return sc_fail(err, r, "wan: cannot watch the timer");
    *ret = SC_TAKE(w);
    return 0;
}

static void port_free(struct port *p)
{
    if (!p)
        return;
    sc_source_free(p->source);
    if (p->fd >= 0) {
        close(p->fd);
        unlink(p->local);
    }
    free(p->name);
    free(p->local);
    free(p->remote);
    free(p);
}
SC_CLEANUP(struct port, port_free)

void wan_free(struct wan *w)
{
    if (!w)
        return;
    for (int i = 0; i < WAN_MAX_PORTS; i++)
        port_free(w->ports[i]);
    while (w->n_heap)
        free(w->heap[--w->n_heap].frame);
    free(w->heap);
    sc_source_free(w->timer);
    if (w->timer_fd > 0)
        close(w->timer_fd);
    free(w);
}

int wan_attach(struct wan *w, const char *name, const char *local,
               const char *remote, struct sc_err *err)
{
    int old = port_index(w, name), i = 0;
    if (old >= 0 && !strcmp(w->ports[old]->local, local) &&
        !strcmp(w->ports[old]->remote, remote))
        return 0;
    if (old >= 0)
        return sc_fail(err, -EEXIST, "wan: '%s' is attached already", name);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if (strlen(local) >= sizeof a.sun_path ||
        strlen(remote) >= sizeof a.sun_path)
        return sc_fail(err, -ENAMETOOLONG,
                       "wan: '%s': a socket path is longer than %zu bytes",
                       name, sizeof a.sun_path - 1);
    while (i < WAN_MAX_PORTS && w->ports[i])
        i++;
    if (i == WAN_MAX_PORTS)
        return sc_fail(err, -ENOSPC, "wan: no more than %d attachments",
                       WAN_MAX_PORTS);
    SC_AUTO(port_free) struct port *p = calloc(1, sizeof *p);
    if (!p || !(p->name = strdup(name)) || !(p->local = strdup(local)) ||
        !(p->remote = strdup(remote))) {
        if (p)
            p->fd = -1;
        return sc_fail(err, -ENOMEM, "wan: out of memory");
    }
    p->wan = w;
    p->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->fd < 0)
        return sc_fail(err, -errno, "wan: socket: %s", strerror(errno));
    int size = 4 << 20;
    setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    unlink(local);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", local);
    if (bind(p->fd, (void *)&a, sizeof a) < 0)
        return sc_fail(err, -errno, "wan: '%s': bind %s: %s", name, local,
                       strerror(errno));
    int r = sc_loop_add_fd(w->loop, p->fd, EPOLLIN, on_frame, p, &p->source);
    if (r < 0)
        return sc_fail(err, r, "wan: '%s': cannot watch its socket", name);
    for (int j = 0; j < WAN_MAX_PORTS; j++) {
        w->links[i][j] = (struct link){ .p = w->defaults };
        w->links[j][i] = (struct link){ .p = w->defaults };
    }
    w->generation[i]++;
    w->ports[i] = SC_TAKE(p);
    return 0;
}

int wan_detach(struct wan *w, const char *name, struct sc_err *err)
{
    int i = port_index(w, name);
    if (i < 0)
        return sc_fail(err, -ENOENT, "wan: '%s' is not attached", name);
    size_t kept = 0;
    for (size_t m = 0; m < w->n_macs; m++)
        if (w->macs[m].port != i)
            w->macs[kept++] = w->macs[m];
    w->n_macs = kept;
    port_free(SC_TAKE(w->ports[i]));
    return 0;
}

/* Takes number 'key' in [0, max] times 'scale' into '*ret' if it is there. */
static int take_number(const cJSON *o, const char *key, double max,
                       double scale, uint64_t *ret, struct sc_err *err)
{
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!n)
        return 0;
    if (!cJSON_IsNumber(n) || !(n->valuedouble >= 0) || n->valuedouble > max)
        return sc_fail(err, -EINVAL, "%s: must be a number from 0 to %g", key,
                       max);
    *ret = (uint64_t)llround(n->valuedouble * scale);
    return 0;
}

int wan_params_parse(const cJSON *o, struct link_params *p, struct sc_err *err)
{
    static const char *const known[] = { "rtt_ms", "jitter_ms", "loss_percent",
                                         "rate_mbit", "partitioned" };
    for (const cJSON *i = o ? o->child : NULL; i; i = i->next) {
        size_t k = 0;
        while (k < SC_ARRAY_LEN(known) && strcmp(known[k], i->string) != 0)
            k++;
        if (k == SC_ARRAY_LEN(known))
            return sc_fail(err, -EINVAL,
                           "'%s': unknown; known are rtt_ms, jitter_ms, "
                           "loss_percent, rate_mbit, partitioned",
                           i->string);
    }
    struct link_params q = *p;
    uint64_t loss = q.loss_ppm;
    int r;
    if ((r = take_number(o, "rtt_ms", 60000, 1e6 / 2, &q.delay_ns, err)) < 0 ||
        (r = take_number(o, "jitter_ms", 60000, 1e6, &q.jitter_ns, err)) < 0 ||
        (r = take_number(o, "loss_percent", 100, 1e4, &loss, err)) < 0 ||
        (r = take_number(o, "rate_mbit", 1e6, 1e6, &q.rate_bps, err)) < 0)
        return r;
    q.loss_ppm = (uint32_t)loss;
    const cJSON *cut = cJSON_GetObjectItemCaseSensitive(o, "partitioned");
    if (cut && !cJSON_IsBool(cut))
        return sc_fail(err, -EINVAL, "partitioned: must be true or false");
    if (cut)
        q.partitioned = cJSON_IsTrue(cut);
    *p = q;
    return 0;
}

int wan_set(struct wan *w, const char *a, const char *b, const cJSON *params,
            struct sc_err *err)
{
    bool any_a = !strcmp(a, "*"), any_b = !strcmp(b, "*");
    int ia = port_index(w, a), ib = port_index(w, b);
    if ((!any_a && ia < 0) || (!any_b && ib < 0))
        return sc_fail(err, -ENOENT, "wan: '%s' is not attached",
                       !any_a && ia < 0 ? a : b);
    struct link_params p = w->defaults;
    int r = wan_params_parse(params, &p, err);
    if (r < 0)
        return r;
    if (any_a && any_b)
        w->defaults = p;
    for (int i = 0; i < WAN_MAX_PORTS; i++)
        for (int j = 0; j < WAN_MAX_PORTS; j++)
            if (((any_a || i == ia) && (any_b || j == ib)) ||
                ((any_a || j == ia) && (any_b || i == ib)))
                (void)wan_params_parse(params, &w->links[i][j].p, NULL);
    return 0;
}

static cJSON *show_link(const struct wan *w, int from, int to)
{
    const struct link *l = &w->links[from][to];
    cJSON *o = cJSON_CreateObject(), *bytes, *dropped;
    cJSON_AddStringToObject(o, "from", w->ports[from]->name);
    cJSON_AddStringToObject(o, "to", w->ports[to]->name);
    cJSON_AddNumberToObject(o, "rtt_ms", (double)l->p.delay_ns * 2 / 1e6);
    cJSON_AddNumberToObject(o, "jitter_ms", (double)l->p.jitter_ns / 1e6);
    cJSON_AddNumberToObject(o, "loss_percent", (double)l->p.loss_ppm / 1e4);
    cJSON_AddNumberToObject(o, "rate_mbit", (double)l->p.rate_bps / 1e6);
    cJSON_AddBoolToObject(o, "partitioned", l->p.partitioned);
    bytes = cJSON_AddObjectToObject(o, "bytes");
    for (int c = 0; c < LINK_N_CLASSES; c++)
        json_set_u64(bytes, link_class_names[c], l->bytes[c]);
    json_set_u64(o, "frames", l->frames);
    dropped = cJSON_AddObjectToObject(o, "dropped");
    json_set_u64(dropped, "loss", l->dropped_loss);
    json_set_u64(dropped, "queue", l->dropped_queue);
    json_set_u64(dropped, "partition", l->dropped_partition);
    return o;
}

cJSON *wan_show(struct wan *w)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "emulated", true);
    json_set_u64(o, "receiver_full", w->dropped_full);
    json_set_u64(o, "queued_bytes", w->queued);
    cJSON *ports = cJSON_AddArrayToObject(o, "ports");
    cJSON *pairs = cJSON_AddArrayToObject(o, "pairs");
    for (int i = 0; i < WAN_MAX_PORTS; i++) {
        if (!w->ports[i])
            continue;
        cJSON_AddItemToArray(ports, cJSON_CreateString(w->ports[i]->name));
        for (int j = 0; j < WAN_MAX_PORTS; j++)
            if (w->ports[j] && i != j)
                cJSON_AddItemToArray(pairs, show_link(w, i, j));
    }
    return o;
}
