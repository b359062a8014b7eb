/* script - an HTTP server of a test's own on the loopback interface, which
 * answers each connection by a script. */
#ifndef SC_TESTS_UNIT_PROVIDER_SCRIPT_H
#define SC_TESTS_UNIT_PROVIDER_SCRIPT_H

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <strings.h>
#include <sys/socket.h>

enum { SEEN_MAX = 16, REQUEST_MAX = 8192 };

/* What the server does with one request: sends this; NULL: breaks off.  The
 * connection is closed after each. */
struct script {
    const char *answers[SEEN_MAX];
    size_t n_answers;
    int fd;
    unsigned port;
    pthread_t thread;
    char seen[SEEN_MAX][REQUEST_MAX];
    size_t n_seen;
};

static void read_request(int fd, char buf[REQUEST_MAX])
{
    size_t size = 0;
    memset(buf, 0, REQUEST_MAX);
    for (ssize_t n; size < REQUEST_MAX - 1; size += (size_t)n) {
        char *end = strstr(buf, "\r\n\r\n");
        char *length = strcasestr(buf, "content-length:");
        if (end && (!length || (size_t)(buf + size - end - 4) >=
                                   strtoul(length + 15, NULL, 10)))
            return;
        if ((n = read(fd, buf + size, REQUEST_MAX - 1 - size)) <= 0)
            return;
    }
}

static void *serve(void *arg)
{
    struct script *s = arg;
    for (size_t i = 0; i < s->n_answers; i++) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            break;
        read_request(fd, s->seen[i]);
        s->n_seen = i + 1;
        const char *a = s->answers[i];
        if (a && write(fd, a, strlen(a)) < 0)
            perror("write");
        close(fd);
    }
    return NULL;
}

static inline void start(struct script *s)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    while (s->n_answers < SEEN_MAX - 1 &&
           (s->answers[s->n_answers] || s->answers[s->n_answers + 1]))
        s->n_answers++;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(listen(s->fd, 16), 0);
    cr_assert_eq(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    cr_assert_eq(pthread_create(&s->thread, NULL, serve, s), 0);
}

static inline void stop(struct script *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

#endif
