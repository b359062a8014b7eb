/* sc-guest - what runs in the small guest and measures from inside it.
 *
 * Server role (default): appends a record to the disk ten times a second, each
 * made durable by fsync before it counts; reads the whole file back from the
 * disk, past the page cache, and counts what is missing; ticks each 10 ms and
 * keeps the gaps it sees in its own clock (the pause of a migration); counts
 * aloud on TCP port 7000.  Client role (sc.role=client sc.server=IP on the
 * kernel's command line): holds one connection to such a server and keeps the
 * gaps, the breaks and the missing numbers.
 * Both print one line a second on the console, "STAT {json}"; times are ms
 * since 1970 by the guest's clock.  The same JSON is /www/stats.json. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    TICK_MS = 10,
    GAP_MS = 30, /* Shorter ones are the scheduler's. */
    GAPS_KEPT = 256,
    GAPS_SHOWN = 12,
    SHOWN_FOR_MS = 180000,
    PORT = 7000,
    SILENCE_MS = 60000, /* A client gives a silent connection up. */
};

struct gap {
    uint64_t at_ms, ms; /* Its end, its length. */
};
struct gaps {
    struct gap ring[GAPS_KEPT];
    size_t n; /* Ever recorded. */
};
struct record { /* 64 bytes on the disk. */
    uint64_t magic, seq, at_ms, check;
    uint8_t fill[32];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gaps gaps;                       /* All below under 'lock'. */
static uint64_t acked, lost, verified, errors; /* Records. */
static uint64_t received, breaks, missing;     /* Client. */
static uint64_t heard_at; /* Client: monotonic ms of the last number. */
static unsigned connections;

static uint64_t now_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void sleep_ms(unsigned ms)
{
    struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
    nanosleep(&t, NULL);
}

static void record_gap(uint64_t ms)
{
    pthread_mutex_lock(&lock);
    gaps.ring[gaps.n++ % GAPS_KEPT] =
        (struct gap){ now_ms(CLOCK_REALTIME), ms };
    pthread_mutex_unlock(&lock);
}

/* The pause as the guest's own clock shows it. */
static void *tick(void *arg)
{
    uint64_t last = now_ms(CLOCK_REALTIME);
    for (;;) {
        sleep_ms(TICK_MS);
        uint64_t t = now_ms(CLOCK_REALTIME);
        if (t > last + GAP_MS)
            record_gap(t - last);
        last = t;
    }
    return arg;
}

/* --- the disk ----------------------------------------------------------- */
static uint64_t checksum(const struct record *r)
{
    uint64_t h = 14695981039346656037ull; /* FNV-1a */
    const uint64_t v[] = { r->magic, r->seq, r->at_ms };
    for (size_t i = 0; i < sizeof v; i++)
        h = (h ^ ((const uint8_t *)v)[i]) * 1099511628211ull;
    return h;
}

static const uint64_t record_magic = 0x5343475545535431ull;

/* How many of the first 'n' records the disk does not have; -1: unreadable. */
static long count_lost(uint64_t n)
{
    static _Alignas(4096) uint8_t buf[1 << 16];
    int fd = open("/data/records", O_RDONLY | O_DIRECT);
    uint64_t seq = 0, good = 0;
    if (fd < 0)
        return n ? (long)n : 0;
    for (ssize_t got; seq < n && (got = read(fd, buf, sizeof buf)) != 0;) {
        if (got < 0) {
            close(fd);
            return -1;
        }
        for (ssize_t i = 0; i + 64 <= got && seq < n; i += 64, seq++) {
            struct record r;
            memcpy(&r, buf + i, sizeof r);
            good += r.magic == record_magic && r.seq == seq &&
                    r.check == checksum(&r);
        }
        if (got % 64)
            break;
    }
    close(fd);
    return (long)(n - good);
}

static bool mount_data(void)
{
    static const char *const devices[] = { "/dev/xvda", "/dev/vda" };
    for (int i = 0; i < 2; i++)
        if (mount(devices[i], "/data", "ext4", MS_NOATIME, "") == 0 ||
            errno == EBUSY)
            return true;
    return false;
}

static void *write_records(void *arg)
{
    struct stat st;
    if (!mount_data()) {
        puts("sc-guest: no data disk");
        return arg;
    }
    int fd = open("/data/records", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    /* What a former life wrote and counted must all be there; a record cut by
     * a crash was not acknowledged and is written again. */
    uint64_t seq =
        fd >= 0 && fstat(fd, &st) == 0 ? (uint64_t)st.st_size / 64 : 0;
    while (seq && count_lost(seq) == 1 && count_lost(seq - 1) == 0)
        seq--;
    pthread_mutex_lock(&lock);
    acked = seq;
    pthread_mutex_unlock(&lock);
    for (unsigned n = 0;; n++) {
        struct record r = { .magic = record_magic,
                            .seq = seq,
                            .at_ms = now_ms(CLOCK_REALTIME) };
        r.check = checksum(&r);
        bool ok = pwrite(fd, &r, sizeof r, (off_t)(seq * 64)) == sizeof r &&
                  fsync(fd) == 0;
        long missing_now = n % 10 ? -2 : count_lost(ok ? seq + 1 : seq);
        pthread_mutex_lock(&lock);
        if (ok)
            acked = ++seq;
        else
            errors++;
        if (missing_now >= 0) {
            lost = (uint64_t)missing_now;
            verified = acked;
        } else if (missing_now == -1) {
            errors++;
        }
        pthread_mutex_unlock(&lock);
        sleep_ms(100);
    }
    return arg;
}

/* --- the counter -----------------------------------------------------------
 */
static void *serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg, one = 1;
    char line[64];
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    pthread_mutex_lock(&lock);
    connections++;
    pthread_mutex_unlock(&lock);
    for (uint64_t n = 0;; n++) {
        int len = snprintf(line, sizeof line, "%llu\n", (unsigned long long)n);
        if (send(fd, line, (size_t)len, MSG_NOSIGNAL) != len)
            break;
        sleep_ms(TICK_MS);
    }
    pthread_mutex_lock(&lock);
    connections--;
    pthread_mutex_unlock(&lock);
    close(fd);
    return NULL;
}

static void *serve(void *arg)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&a, sizeof a) < 0 || listen(fd, 64) < 0) {
        perror("sc-guest: port 7000");
        return arg;
    }
    for (;;) {
        pthread_t t;
        int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (c >= 0 &&
            pthread_create(&t, NULL, serve_one, (void *)(intptr_t)c) == 0)
            pthread_detach(t);
        else if (c >= 0)
            close(c);
    }
    return arg;
}

/* One connection until it breaks.  Each number must be one more than the last.
 */
static void follow(int fd)
{
    char buf[4096];
    size_t len = 0;
    uint64_t want = 0, last = now_ms(CLOCK_MONOTONIC);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    while (poll(&p, 1, SILENCE_MS) > 0) {
        ssize_t n = recv(fd, buf + len, sizeof buf - len, 0);
        if (n <= 0)
            return;
        len += (size_t)n;
        for (char *end; (end = memchr(buf, '\n', len));) {
            uint64_t got = strtoull(buf, NULL, 10);
            uint64_t t = now_ms(CLOCK_MONOTONIC);
            size_t used = (size_t)(end - buf) + 1;
            if (t > last + GAP_MS)
                record_gap(t - last);
            last = t;
            pthread_mutex_lock(&lock);
            heard_at = t;
            received++;
            missing += got > want ? got - want : got < want;
            pthread_mutex_unlock(&lock);
            want = got + 1;
            memmove(buf, buf + used, len -= used);
        }
        if (len == sizeof buf)
            return;
    }
}

static void *be_client(void *arg)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
    inet_pton(AF_INET, arg, &a.sin_addr);
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (void *)&a, sizeof a) == 0) {
            follow(fd);
            pthread_mutex_lock(&lock);
            breaks++;
            pthread_mutex_unlock(&lock);
        }
        close(fd);
        sleep_ms(500);
    }
    return NULL;
}

/* --- the report
 * --------------------------------------------------------------- */
static void own_address(char ret[INET_ADDRSTRLEN])
{
    struct ifaddrs *list = NULL;
    ret[0] = 0;
    if (getifaddrs(&list) == 0)
        for (struct ifaddrs *i = list; i; i = i->ifa_next)
            if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET &&
                !(i->ifa_flags & IFF_LOOPBACK))
                inet_ntop(AF_INET,
                          &((struct sockaddr_in *)i->ifa_addr)->sin_addr, ret,
                          INET_ADDRSTRLEN);
    freeifaddrs(list);
}

static int longest_first(const void *a, const void *b)
{
    const struct gap *x = a, *y = b;
    return x->ms < y->ms ? 1 : x->ms > y->ms ? -1 : 0;
}

static void print_gaps(FILE *f, uint64_t now)
{
    struct gap shown[GAPS_KEPT] = { 0 };
    size_t n = 0, kept = gaps.n < GAPS_KEPT ? gaps.n : GAPS_KEPT;
    for (size_t i = 0; i < kept; i++)
        if (gaps.ring[i].at_ms + SHOWN_FOR_MS > now)
            shown[n++] = gaps.ring[i];
    qsort(shown, n, sizeof *shown, longest_first);
    for (size_t i = 0; i < n && i < GAPS_SHOWN; i++)
        fprintf(f, "%s{\"at_ms\":%llu,\"ms\":%llu}", i ? "," : "",
                (unsigned long long)shown[i].at_ms,
                (unsigned long long)shown[i].ms);
}

static void report(bool client)
{
    char ip[INET_ADDRSTRLEN], *line = NULL;
    size_t size = 0;
    uint64_t now = now_ms(CLOCK_REALTIME);
    own_address(ip);
    FILE *f = open_memstream(&line, &size);
    if (!f) {
        puts("sc-guest: no memory for a report");
        return;
    }
    pthread_mutex_lock(&lock);
    fprintf(f,
            "{\"role\":\"%s\",\"at_ms\":%llu,\"uptime_s\":%llu,\"ip\":\"%s\",",
            client ? "client" : "server", (unsigned long long)now,
            (unsigned long long)now_ms(CLOCK_BOOTTIME) / 1000, ip);
    if (client)
        fprintf(f,
                "\"received\":%llu,\"breaks\":%llu,\"missing\":%llu,"
                "\"silent_ms\":%llu,",
                (unsigned long long)received, (unsigned long long)breaks,
                (unsigned long long)missing,
                (unsigned long long)(now_ms(CLOCK_MONOTONIC) - heard_at));
    else
        fprintf(f,
                "\"seq\":%llu,\"verified\":%llu,\"lost\":%llu,\"errors\":%llu,"
                "\"connections\":%u,",
                (unsigned long long)acked, (unsigned long long)verified,
                (unsigned long long)lost, (unsigned long long)errors,
                connections);
    fputs("\"gaps\":[", f);
    print_gaps(f, now);
    pthread_mutex_unlock(&lock);
    fputs("]}", f);
    if (fclose(f) != 0) {
        puts("sc-guest: no memory for a report");
        free(line);
        return;
    }
    printf("STAT %s\n", line);
    if ((f = fopen("/www/stats.json.new", "we"))) {
        fprintf(f, "%s\n", line);
        fclose(f);
        rename("/www/stats.json.new", "/www/stats.json");
    }
    free(line);
}

/* The value of 'key' on the kernel's command line, in 'ret'; "" if absent. */
static void kernel_option(const char *key, char ret[64])
{
    char line[4096] = "";
    FILE *f = fopen("/proc/cmdline", "re");
    ret[0] = 0;
    if (f && fgets(line, sizeof line, f))
        for (char *w = strtok(line, " \n"); w; w = strtok(NULL, " \n"))
            if (!strncmp(w, key, strlen(key)) && w[strlen(key)] == '=')
                snprintf(ret, 64, "%s", w + strlen(key) + 1);
    if (f)
        fclose(f);
}

int main(void)
{
    static char role[64], server[64];
    pthread_t t;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    kernel_option("sc.role", role);
    kernel_option("sc.server", server);
    bool client = !strcmp(role, "client");
    int r = 0;
    if (client) {
        r |= pthread_create(&t, NULL, be_client, server);
    } else {
        r |= pthread_create(&t, NULL, tick, NULL);
        r |= pthread_create(&t, NULL, write_records, NULL);
        r |= pthread_create(&t, NULL, serve, NULL);
    }
    while (!r) {
        report(client);
        sleep_ms(1000);
    }
    return 1;
}
