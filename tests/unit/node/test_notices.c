/* notices.c against a metadata service of the test's in the same loop. */
#include "node/notices.h"

#include "common/json.h"
#include "common/log.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct world {
    struct sc_loop *loop;
    int fd;
    struct sc_source *source;
    char endpoint[32];
    bool preempted;
    unsigned n_told;
    char told[512];
    struct notices *n;
};

/* One answer a connection; a request fits in one packet. */
struct conn {
    struct world *w;
    struct sc_source *source;
};

static void on_request(void *arg, int fd, uint32_t events)
{
    struct conn *c = arg;
    char buf[1024] = "", out[256];
    (void)events;
    if (recv(fd, buf, sizeof buf - 1, MSG_DONTWAIT) > 0) {
        bool flavour = strstr(buf, "Metadata-Flavor: Google");
        const char *value = strstr(buf, "/preempted")
                                ? (c->w->preempted ? "TRUE" : "FALSE")
                                : "NONE";
        int len = snprintf(
            out, sizeof out, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
            flavour ? "200 OK" : "403 Forbidden", strlen(value), value);
        cr_expect_eq(send(fd, out, (size_t)len, MSG_NOSIGNAL), len);
    }
    sc_source_free(c->source);
    close(fd);
    free(c);
}

static void on_accept(void *arg, int fd, uint32_t events)
{
    struct conn *c = calloc(1, sizeof *c);
    int conn = accept(fd, NULL, NULL);
    (void)events;
    cr_assert(c && conn >= 0);
    c->w = arg;
    cr_assert_eq(
        sc_loop_add_fd(c->w->loop, conn, EPOLLIN, on_request, c, &c->source),
        0);
}

static void hear(void *arg, cJSON *params)
{
    struct world *w = arg;
    SC_AUTO(cjson_free) cJSON *owned = params;
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(owned);
    w->n_told++;
    snprintf(w->told, sizeof w->told, "%s", text);
}

static void world_start(struct world *w, const char *metadata)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    struct sc_err err;
    memset(w, 0, sizeof *w);
    sc_log_level_set(SC_LOG_ERROR);
    cr_assert_eq(sc_loop_new(false, &w->loop, &err), 0);
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(w->fd, (struct sockaddr *)&a, len) == 0 &&
              listen(w->fd, 8) == 0 &&
              getsockname(w->fd, (struct sockaddr *)&a, &len) == 0);
    cr_assert_eq(
        sc_loop_add_fd(w->loop, w->fd, EPOLLIN, on_accept, w, &w->source), 0);
    snprintf(w->endpoint, sizeof w->endpoint, "127.0.0.1:%u",
             ntohs(a.sin_port));
    struct notices_options o = { .loop = w->loop,
                                 .metadata = metadata,
                                 .endpoint = w->endpoint,
                                 .tell = hear,
                                 .arg = w };
    cr_assert_eq(notices_new(&o, &w->n, &err), 0, "%s", err.text);
}

static void world_p(struct world *w)
{
    notices_free(w->n);
    for (int i = 0; i < 20; i++) /* Connections that it has left. */
        sc_loop_run_once(w->loop, 1);
    sc_source_free(w->source);
    close_p(&w->fd);
    sc_loop_free(w->loop);
}
#define WORLD(name) __attribute__((cleanup(world_p))) struct world name

#define UNTIL(w, condition)                                                    \
    do {                                                                       \
        uint64_t end_ = sc_mono_ms() + 20000;                                  \
        while (!(condition) && sc_mono_ms() < end_)                            \
            sc_loop_run_once((w)->loop, 20);                                   \
        cr_assert(condition, "it did not come to: " #condition);               \
    } while (0)

Test(notices, a_notice_is_told_once_again_when_asked_and_taken_back)
{
    WORLD(w);
    world_start(&w, "gce");
    UNTIL(&w, w.n_told == 1);
    cr_expect(strstr(w.told, "\"kind\":\"none\""), "%s", w.told);
    w.preempted = true;
    UNTIL(&w, w.n_told == 2);
    cr_expect(strstr(w.told, "\"kind\":\"revocation\""), "%s", w.told);
    notices_again(w.n);
    cr_expect_eq(w.n_told, 3);
    cr_expect(strstr(w.told, "\"kind\":\"revocation\""), "%s", w.told);
    SC_AUTO(cjson_free) cJSON *o = notices_status(w.n);
    cr_expect(cJSON_IsTrue(cJSON_GetObjectItem(o, "known")));
    w.preempted = false;
    UNTIL(&w, w.n_told == 4);
    cr_expect(strstr(w.told, "\"kind\":\"none\""), "%s", w.told);
}

Test(notices, nothing_is_told_before_anything_is_known)
{
    WORLD(w);
    world_start(&w, "azure"); /* To which this service only says 403. */
    notices_again(w.n);
    for (int i = 0; i < 20; i++)
        sc_loop_run_once(w.loop, 5);
    cr_expect_eq(w.n_told, 0);
}

Test(notices, openstack_is_not_asked)
{
    WORLD(w);
    world_start(&w, "openstack");
    notices_again(w.n);
    for (int i = 0; i < 5; i++)
        sc_loop_run_once(w.loop, 5);
    cr_expect_eq(w.n_told, 0);
}

Test(notices, a_service_elsewhere_is_refused)
{
    struct notices *n = NULL;
    struct sc_err err = { 0 };
    struct notices_options o = { .metadata = "ec2", .endpoint = "8.8.8.8:80" };
    cr_expect_eq(notices_new(&o, &n, &err), -EACCES);
    cr_expect(strstr(err.text, "8.8.8.8"), "%s", err.text);
}
