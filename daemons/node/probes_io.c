/* probes_io - clock, disk and network card (probes_measure.h). */
#include "node/probes_measure.h"

#include "common/config.h"
#include "common/loop.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    PIECE = 1 << 20,
    FLUSH = 4096,
    FLUSHES = 16,
    DISK_BYTES = 16 << 20,
    DISK_MS = 2000,
};

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* --- clock ---------------------------------------------------------------- */

void probes_clock(const struct probes_ask *q, struct probe_result *ret)
{
    struct clock_facts c = q->clock;
    char line[512] = "";
    FILE *f = popen("exec chronyc -n -c tracking 2>/dev/null", "re");
    if (f && fgets(line, sizeof line, f))
        (void)probe_parse_tracking(line, &c);
    if (f)
        pclose(f);
    probe_decide_clock(&c, ret);
}

/* --- disk ----------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* fsync of little, as a guest's flush is.  Starts at offset 0: the blocks are
 * there already, as they are in a block store. */
static int flushes(int fd, const char *data, uint64_t end_us,
                   struct disk_facts *ret)
{
    uint64_t took[FLUSHES];
    unsigned n = 0;
    while (n < FLUSHES && (n == 0 || now_us() < end_us)) {
        uint64_t began = now_us();
        if (pwrite(fd, data, FLUSH, (off_t)n * FLUSH) != FLUSH ||
            fdatasync(fd) < 0)
            return -errno;
        took[n++] = now_us() - began;
    }
    qsort(took, n, sizeof took[0], by_size);
    ret->flush_us = took[n / 2];
    ret->n_flushes = n;
    return 0;
}

static int stream(int fd, const char *data, uint64_t bytes, uint64_t end_us,
                  struct disk_facts *ret)
{
    uint64_t began = now_us();
    while (ret->bytes < bytes && (ret->bytes == 0 || now_us() < end_us)) {
        ssize_t n = pwrite(fd, data, PIECE, (off_t)ret->bytes);
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        ret->bytes += (uint64_t)n;
    }
    if (fsync(fd) < 0)
        return -errno;
    ret->us = now_us() - began;
    return 0;
}

void probes_disk_try(const char *folder, uint64_t bytes, uint64_t ms,
                     struct disk_facts *ret)
{
    *ret = (struct disk_facts){ .what = "making a file" };
    SC_AUTO(free) char *data = malloc(PIECE);
    SC_AUTO(close)
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (!data || fd < 0) {
        ret->code = data ? -errno : -ENOMEM;
        return;
    }
    /* Not zeros: a file system may leave those out. */
    for (size_t i = 0; i < PIECE; i++)
        data[i] = (char)(i * 2654435761u >> 13);
    uint64_t began = now_us();
    ret->what = "writing";
    ret->code = stream(fd, data, bytes, began + ms * 500, ret);
    if (ret->code == 0) {
        ret->what = "flushing";
        ret->code = flushes(fd, data, began + ms * 1000, ret);
    }
}

void probes_disk(const struct probes_ask *q, struct probe_result *ret)
{
    struct disk_facts d;
    probes_disk_try(q->state_dir, DISK_BYTES, DISK_MS, &d);
    probe_decide_disk(&d, ret);
}

/* --- network card --------------------------------------------------------- */

static bool has_address(const struct ifaddrs *i, const char *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (!i->ifa_addr)
        return false;
    if (i->ifa_addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)i->ifa_addr)->sin_addr,
                  text, sizeof text);
    else if (i->ifa_addr->sa_family == AF_INET6)
        inet_ntop(AF_INET6,
                  &((const struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, text,
                  sizeof text);
    return *text && !strcmp(text, address);
}

void probes_nic_of(const char *address, char ret[16])
{
    struct ifaddrs *all = NULL;
    ret[0] = '\0';
    if (getifaddrs(&all) < 0)
        return;
    for (const struct ifaddrs *i = all; i && !ret[0]; i = i->ifa_next)
        if (has_address(i, address))
            snprintf(ret, 16, "%s", i->ifa_name);
    freeifaddrs(all);
}

/* The address that packets to the first peer leave from: the node's own may be
 * one that the provider translates. */
static bool local_address(const struct probes_ask *q, char ret[64])
{
    struct sockaddr_in6 a = { 0 };
    socklen_t len = sizeof a;
    SC_AUTO(close) int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || q->n_peers == 0 ||
        connect(fd, (const struct sockaddr *)&q->peers[0].at,
                sizeof q->peers[0].at) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return false;
    bool v4 = IN6_IS_ADDR_V4MAPPED(&a.sin6_addr);
    return inet_ntop(v4 ? AF_INET : AF_INET6,
                     v4 ? (const void *)&a.sin6_addr.s6_addr[12]
                        : (const void *)&a.sin6_addr,
                     ret, 64);
}

static long sys_number(const char *ifname, const char *what)
{
    char path[128], text[32] = "";
    snprintf(path, sizeof path, "/sys/class/net/%s/%s", ifname, what);
    SC_AUTO(fclose) FILE *f = fopen(path, "re");
    return f && fgets(text, sizeof text, f) ? strtol(text, NULL, 10) : 0;
}

void probes_nic(const struct probes_ask *q, struct probe_result *ret)
{
    char ifname[16], path[128], target[256] = "", address[64];
    probes_nic_of(q->address, ifname);
    if (!*ifname && local_address(q, address))
        probes_nic_of(address, ifname);
    snprintf(path, sizeof path, "/sys/class/net/%s/device/driver", ifname);
    ssize_t n = *ifname ? readlink(path, target, sizeof target - 1) : -1;
    const char *slash = n > 0 ? strrchr(target, '/') : NULL;
    probe_decide_nic(ifname, slash ? slash + 1 : "",
                     sys_number(ifname, "speed"), sys_number(ifname, "mtu"),
                     ret);
}
