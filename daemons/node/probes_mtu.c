/* probes_mtu - the largest packet that reaches the other nodes
 * (probes_measure.h).
 *
 * A probe packet (probe.h) made longer with zeros and sent with DF set; the
 * peer's sc-node echoes its head alone, so only the way there counts.  The
 * kernel's idea of the path is set aside (IP_PMTUDISC_PROBE): routers that say
 * nothing when they drop are what is looked for. */
#include "node/probes_measure.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
    MTU_LEAST = 576,
    MTU_MOST = 9216,
    WAIT_MS = 400, /* Round trips across the world take 300. */
    TRIES = 2,
    PEERS = 3, /* Asked in one run. */
};

static unsigned apart(unsigned a, unsigned b)
{
    return a > b ? a - b : b - a;
}

unsigned probes_mtu_next(unsigned lo, unsigned hi)
{
    /* Jumbo frames, EC2's, Ethernet, GCE's, our own need, IPv6's least. */
    static const unsigned common[] = { 9001, 9000, 8896, 1500,
                                       1460, 1450, 1400, 1280 };
    unsigned middle = lo + (hi - lo) / 2, best = 0;
    bool is_common = false;
    if (hi <= lo + 1)
        return 0;
    for (size_t i = 0; i < SC_ARRAY_LEN(common); i++) {
        is_common |= common[i] == lo;
        if (common[i] > lo && common[i] < hi &&
            (!best || apart(common[i], middle) < apart(best, middle)))
            best = common[i];
    }
    if (best)
        return best;
    return is_common ? lo + 1 : middle; /* Most likely it ends here. */
}

static int open_socket(const struct sockaddr_in6 *to)
{
    int probe = IP_PMTUDISC_PROBE, probe6 = IPV6_PMTUDISC_PROBE;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* A mapped address is IPv4 on the wire, and wants that family's option. */
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe6,
                   sizeof probe6) < 0 ||
        setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof probe) < 0 ||
        connect(fd, (const struct sockaddr *)to, sizeof *to) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

static int now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int)(t.tv_sec % 100000 * 1000 + t.tv_nsec / 1000000);
}

/* Waits for the echo of 'seq'; earlier ones are passed over. */
static bool echoed(int fd, uint32_t seq)
{
    int end = now_ms() + WAIT_MS;
    for (int left = WAIT_MS; left > 0; left = end - now_ms()) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        uint8_t buf[PROBE_SIZE + 1];
        struct probe_packet got;
        if (poll(&p, 1, left) <= 0)
            return false;
        ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
        if (n < 0)
            return false; /* Refused: nobody is there. */
        if (probe_decode(buf, (size_t)n, &got) == 0 && got.echo &&
            got.seq == seq)
            return true;
    }
    return false;
}

/* Whether an IP packet of 'size' bytes gets there. */
static bool passes(int fd, const struct probes_ask *q, unsigned headers,
                   unsigned size, uint32_t *seq)
{
    uint8_t buf[MTU_MOST] = { 0 };
    for (int i = 0; i < TRIES; i++) {
        struct probe_packet p = { .nid = q->nid, .seq = ++*seq };
        memcpy(p.nonce, q->nonce, PROBE_NONCE);
        probe_encode(&p, buf);
        if (send(fd, buf, size - headers, 0) >= 0 && echoed(fd, *seq))
            return true;
    }
    return false;
}

unsigned probes_mtu_to(const struct probes_ask *q,
                       const struct sockaddr_in6 *to, unsigned most)
{
    unsigned headers = IN6_IS_ADDR_V4MAPPED(&to->sin6_addr) ? 28 : 48;
    unsigned lo = MTU_LEAST, size;
    uint32_t seq = 0;
    SC_AUTO(close) int fd = open_socket(to);
    if (most > MTU_MOST)
        most = MTU_MOST;
    if (fd < 0 || !passes(fd, q, headers, lo, &seq))
        return 0;
    if (most <= lo || passes(fd, q, headers, most, &seq))
        return most > lo ? most : lo;
    for (unsigned hi = most; (size = probes_mtu_next(lo, hi));) {
        if (passes(fd, q, headers, size, &seq))
            lo = size;
        else
            hi = size;
    }
    return lo;
}

/* What our own interface takes on the way to 'to'. */
static unsigned interface_mtu(const struct sockaddr_in6 *to)
{
    int mtu = 0;
    socklen_t len = sizeof mtu;
    bool v4 = IN6_IS_ADDR_V4MAPPED(&to->sin6_addr);
    SC_AUTO(close) int fd = open_socket(to);
    if (fd < 0 || getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
                             v4 ? IP_MTU : IPV6_MTU, &mtu, &len) < 0)
        return 1500;
    return mtu > 0 ? (unsigned)mtu : 1500;
}

void probes_mtu(const struct probes_ask *q, struct probe_result *ret)
{
    struct mtu_facts m = { .n_peers = q->n_peers };
    for (unsigned i = 0; i < q->n_peers && m.n_answered < PEERS; i++) {
        const struct probes_peer *p = &q->peers[i];
        unsigned mtu = probes_mtu_to(q, &p->at, interface_mtu(&p->at));
        if (mtu == 0)
            continue;
        if (m.n_answered++ == 0 || mtu < m.least) {
            m.least = mtu;
            memcpy(m.to, p->name, sizeof m.to);
        }
    }
    probe_decide_mtu(&m, ret);
}
