/* The search, and real packets to a peer of the test's behind a narrow path. */
#include "node/probes_measure.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

/* How many questions until the answer for a path of 'mtu' is known. */
static unsigned search(unsigned mtu, unsigned hi, unsigned *ret_failed)
{
    unsigned lo = 576, size;
    for (*ret_failed = 0; (size = probes_mtu_next(lo, hi));) {
        cr_assert(size > lo && size < hi, "%u < %u < %u", lo, size, hi);
        if (size <= mtu)
            lo = size;
        else
            hi = size, ++*ret_failed;
    }
    return lo;
}

Test(probes_mtu, the_search_finds_every_size)
{
    for (unsigned mtu = 576; mtu < 9001; mtu++) {
        unsigned failed;
        cr_expect_eq(search(mtu, 9001, &failed), mtu);
    }
}

Test(probes_mtu, common_sizes_are_found_with_few_packets_lost)
{
    static const unsigned common[] = { 1460, 1450, 1400, 1280 };
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++) {
        unsigned failed;
        cr_expect_eq(search(common[i], 1500, &failed), common[i]);
        cr_expect_leq(failed, 3, "%u: %u", common[i], failed);
    }
}

struct peer {
    int fd;
    size_t narrow; /* Bytes of UDP data that get through; 0: none. */
    struct sockaddr_in6 at;
    uint8_t nonce[PROBE_NONCE];
    pthread_t thread;
};

static void *answer(void *arg)
{
    struct peer *p = arg;
    for (;;) {
        uint8_t buf[10000];
        struct sockaddr_in6 from;
        socklen_t len = sizeof from;
        struct probe_packet q;
        ssize_t n =
            recvfrom(p->fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &len);
        if (n == 1)
            return NULL;
        if (n < PROBE_SIZE || (size_t)n > p->narrow ||
            probe_decode(buf, PROBE_SIZE, &q) < 0)
            continue;
        q.echo = true;
        probe_encode(&q, buf);
        cr_expect_eq(
            sendto(p->fd, buf, PROBE_SIZE, 0, (struct sockaddr *)&from, len),
            PROBE_SIZE);
    }
}

static void peer_start(struct peer *p, size_t narrow)
{
    socklen_t len = sizeof p->at;
    memset(p, 0, sizeof *p);
    p->narrow = narrow;
    p->at.sin6_family = AF_INET6;
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &p->at.sin6_addr);
    p->fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(p->fd, (struct sockaddr *)&p->at, len) == 0 &&
              getsockname(p->fd, (struct sockaddr *)&p->at, &len) == 0);
    cr_assert_eq(pthread_create(&p->thread, NULL, answer, p), 0);
}

static void peer_p(struct peer *p)
{
    cr_expect_eq(
        sendto(p->fd, "x", 1, 0, (struct sockaddr *)&p->at, sizeof p->at), 1);
    pthread_join(p->thread, NULL);
    close(p->fd);
}
#define PEER(name) __attribute__((cleanup(peer_p))) struct peer name

Test(probes_mtu, a_wide_path_is_as_wide_as_the_interface)
{
    PEER(p);
    struct probes_ask q = { .nid = 1 };
    peer_start(&p, 10000);
    cr_expect_eq(probes_mtu_to(&q, &p.at, 1500), 1500);
}

Test(probes_mtu, a_path_that_drops_large_packets_is_measured)
{
    PEER(p);
    struct probes_ask q = { .nid = 1, .n_peers = 1 };
    struct probe_result r = { 0 };
    peer_start(&p, 1280 - 28);
    cr_expect_eq(probes_mtu_to(&q, &p.at, 1400), 1280);
    q.peers[0].at = p.at;
    strcpy(q.peers[0].name, "node 9");
    probes_mtu(&q, &r);
    cr_expect_not(r.ok);
    cr_expect(strstr(r.value, "1280 bytes reach node 9"), "%s", r.value);
}

Test(probes_mtu, a_peer_that_does_not_answer)
{
    PEER(p);
    struct probes_ask q = { .nid = 1 };
    peer_start(&p, 0);
    cr_expect_eq(probes_mtu_to(&q, &p.at, 1500), 0);
}
