/* free_port - a port for what a unit test lets listen.
 *
 * It lies below the range from which the kernel takes the port of an outgoing
 * connection: a port of that range, seen free and closed again, can be some
 * client's a moment later.  Used by tests/unit; tests/lib/ports.py is the same
 * for the tests in Python. */
#ifndef SC_TESTS_LIB_FREE_PORT_H
#define SC_TESTS_LIB_FREE_PORT_H

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* 'type' is SOCK_STREAM or SOCK_DGRAM.  Fails the test when there is none. */
static inline uint16_t free_port(int type)
{
    unsigned below = 32768, first = 10000, r = 0;
    FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (f) {
        if (fscanf(f, "%u", &below) != 1)
            below = 32768;
        fclose(f);
    }
    cr_assert_gt(below, first, "clients' ports begin at %u", below);
    for (int i = 0; i < 1000; i++) {
        struct sockaddr_in a = { .sin_family = AF_INET };
        int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1, res;
        cr_assert(fd >= 0 && getrandom(&r, sizeof r, 0) == sizeof r);
        a.sin_port = htons((uint16_t)(first + r % (below - first)));
        if (type == SOCK_STREAM)
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        res = bind(fd, (struct sockaddr *)&a, sizeof a);
        close(fd);
        if (res == 0)
            return ntohs(a.sin_port);
    }
    cr_assert(0, "no free port in %u-%u", first, below - 1);
    return 0;
}

#endif
