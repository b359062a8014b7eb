/* probe - see probe.h. */
#include "node/probe.h"

#include "common/tls.h"
#include "node/node.h"
#include "node/rtt.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum { PERIOD_MS = 1000, TURN_MAX = 64 };
static const uint8_t magic[4] = { 'S', 'C', 'P', '1' };

struct target {
    uint16_t nid;
    struct sockaddr_in6 to;
    struct rtt rtt;
};
struct probe {
    struct node *node;
    int fd;
    struct sc_source *source, *timer;
    uint8_t nonce[PROBE_NONCE];
    struct target *targets;
    size_t n;
};

/* --- packets -------------------------------------------------------------- */
static void put(uint8_t *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

static uint64_t get(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

void probe_encode(const struct probe_packet *p, uint8_t ret[PROBE_SIZE])
{
    memset(ret, 0, PROBE_SIZE);
    memcpy(ret, magic, sizeof magic);
    ret[4] = p->echo;
    put(ret + 6, p->nid, 2);
    put(ret + 8, p->seq, 4);
    put(ret + 12, p->sent_ns, 8);
    memcpy(ret + 20, p->nonce, PROBE_NONCE);
}

int probe_decode(const uint8_t *buf, size_t size, struct probe_packet *ret)
{
    if (size != PROBE_SIZE || memcmp(buf, magic, sizeof magic) != 0 ||
        buf[4] > 1)
        return -EPROTO;
    *ret = (struct probe_packet){
        .echo = buf[4],
        .nid = (uint16_t)get(buf + 6, 2),
        .seq = (uint32_t)get(buf + 8, 4),
        .sent_ns = get(buf + 12, 8),
    };
    memcpy(ret->nonce, buf + 20, PROBE_NONCE);
    return 0;
}

/* --- socket --------------------------------------------------------------- */
static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void on_packet(struct probe *p, uint8_t *buf, size_t size,
                      const struct sockaddr_in6 *from)
{
    struct probe_packet q;
    /* One that asks may be longer: it tries out the path (probes_mtu.c). */
    bool longer = size > PROBE_SIZE;
    if (probe_decode(buf, longer ? PROBE_SIZE : size, &q) < 0 ||
        memcmp(q.nonce, p->nonce, PROBE_NONCE) != 0 || (longer && q.echo))
        return;
    if (!q.echo) {
        q.echo = true;
        probe_encode(&q, buf);
        if (sendto(p->fd, buf, PROBE_SIZE, MSG_DONTWAIT,
                   (const struct sockaddr *)from, sizeof *from) < 0)
            return; /* As good as lost on the way. */
        return;
    }
    uint64_t now = now_ns();
    for (size_t i = 0; i < p->n; i++)
        if (!memcmp(&p->targets[i].to.sin6_addr, &from->sin6_addr,
                    sizeof from->sin6_addr) &&
            p->targets[i].to.sin6_port == from->sin6_port && now > q.sent_ns &&
            now - q.sent_ns < 60000000000u)
            rtt_got(&p->targets[i].rtt, q.seq,
                    (uint32_t)((now - q.sent_ns) / 1000));
}

static void on_fd(void *arg, int fd, uint32_t events)
{
    struct probe *p = arg;
    (void)events;
    for (int i = 0; i < TURN_MAX; i++) {
        uint8_t buf[PROBE_SIZE];
        struct sockaddr_in6 from = { 0 };
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(fd, buf, sizeof buf, MSG_DONTWAIT | MSG_TRUNC,
                             (struct sockaddr *)&from, &len);
        if (n < 0)
            return;
        on_packet(p, buf, (size_t)n, &from);
    }
}

static void on_timer(void *arg)
{
    struct probe *p = arg;
    for (size_t i = 0; i < p->n; i++) {
        struct target *t = &p->targets[i];
        struct probe_packet q = { .nid = p->node->config->nid,
                                  .seq = rtt_sent(&t->rtt),
                                  .sent_ns = now_ns() };
        uint8_t buf[PROBE_SIZE];
        memcpy(q.nonce, p->nonce, PROBE_NONCE);
        probe_encode(&q, buf);
        if (sendto(p->fd, buf, sizeof buf, MSG_DONTWAIT,
                   (struct sockaddr *)&t->to, sizeof t->to) < 0)
            continue; /* Counts as lost. */
    }
}

static int cluster_nonce(const struct node *n, uint8_t ret[PROBE_NONCE],
                         struct sc_err *err)
{
    SC_AUTO(free) char *path = sc_path(n->config->pki_dir, "ca.crt");
    SC_AUTO(free) char *pem = NULL;
    char pin[TLS_PIN_LEN + 1];
    if (!path)
        return sc_fail(err, -ENOMEM, "probe: out of memory");
    int r = tls_read_file(path, &pem, err);
    if (r == 0)
        r = tls_pin(pem, pin, err);
    if (r == 0)
        memcpy(ret, pin, PROBE_NONCE);
    return r;
}

int probe_new(struct node *n, struct probe **ret, struct sc_err *err)
{
    struct probe *p = calloc(1, sizeof *p);
    struct sockaddr_in6 a = { .sin6_family = AF_INET6,
                              .sin6_port = htons(n->config->probe_port) };
    int off = 0;
    if (!p)
        return sc_fail(err, -ENOMEM, "probe: out of memory");
    p->node = n;
    p->fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = p->fd < 0 ? -errno : 0;
    if (r == 0) {
        setsockopt(p->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        r = bind(p->fd, (struct sockaddr *)&a, sizeof a) < 0 ? -errno : 0;
    }
    if (r == 0)
        r = sc_loop_add_fd(n->loop, p->fd, EPOLLIN, on_fd, p, &p->source);
    if (r == 0)
        r = sc_loop_add_timer(n->loop, PERIOD_MS, PERIOD_MS, on_timer, p,
                              &p->timer);
    if (r < 0)
        sc_fail(err, r, "probe port %u: %s", n->config->probe_port,
                strerror(-r));
    else
        r = cluster_nonce(n, p->nonce, err);
    if (r < 0) {
        probe_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

void probe_free(struct probe *p)
{
    if (!p)
        return;
    sc_source_free(p->source);
    sc_source_free(p->timer);
    close_p(&p->fd);
    free(p->targets);
    free(p);
}

static bool address(const struct node_peer *peer, struct sockaddr_in6 *ret)
{
    char mapped[300];
    *ret = (struct sockaddr_in6){ .sin6_family = AF_INET6,
                                  .sin6_port = htons(peer->probe_port) };
    if (inet_pton(AF_INET6, peer->address, &ret->sin6_addr) == 1)
        return true;
    snprintf(mapped, sizeof mapped, "::ffff:%s", peer->address);
    return inet_pton(AF_INET6, mapped, &ret->sin6_addr) == 1;
}

void probe_peers_changed(struct probe *p)
{
    const struct node *n = p->node;
    struct target *targets = calloc(n->n_peers + 1, sizeof *targets);
    size_t len = 0;
    if (!targets)
        return;
    for (size_t i = 0; i < n->n_peers; i++) {
        struct target *t = &targets[len];
        if (n->peers[i].nid == n->config->nid || !address(&n->peers[i], &t->to))
            continue;
        t->nid = n->peers[i].nid;
        for (size_t k = 0; k < p->n; k++) /* Keep what was measured. */
            if (!memcmp(&p->targets[k].to, &t->to, sizeof t->to))
                t->rtt = p->targets[k].rtt;
        len++;
    }
    free(p->targets);
    p->targets = targets;
    p->n = len;
}

const uint8_t *probe_nonce(const struct probe *p)
{
    return p->nonce;
}

cJSON *probe_report(const struct probe *p)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; p && i < p->n; i++) {
        const struct target *t = &p->targets[i];
        double ms = rtt_median_ms(&t->rtt);
        if (ms < 0 && t->rtt.last <= RTT_LATE)
            continue;
        cJSON *o = cJSON_CreateObject();
        cJSON_AddNumberToObject(o, "nid", t->nid);
        if (ms >= 0)
            cJSON_AddNumberToObject(o, "rtt_ms", ms);
        else
            cJSON_AddNullToObject(o, "rtt_ms");
        cJSON_AddNumberToObject(o, "loss", rtt_loss(&t->rtt));
        cJSON_AddItemToArray(list, o);
    }
    return list;
}
