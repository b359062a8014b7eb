/* The QMP client against a scripted QEMU on a Unix socket. */
#include "hypervisor/qmp.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

struct world {
    struct sc_loop *loop;
    struct qmp *q;
    char path[64];
    int listening, peer;
    unsigned n_up, n_down, n_done, n_events;
    int code;
    char event[32], got[SC_ERR_TEXT];
};

static void up(void *arg)
{
    ((struct world *)arg)->n_up++;
}

static void event(void *arg, const char *name, const cJSON *data)
{
    struct world *w = arg;
    (void)data;
    w->n_events++;
    snprintf(w->event, sizeof w->event, "%s", name);
}

static void down(void *arg)
{
    struct world *w = arg;
    w->n_down++;
    qmp_free(SC_TAKE(w->q));
}

static const struct qmp_events events = { up, event, down };

static void done(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct world *w = arg;
    const cJSON *v = cJSON_GetObjectItem(result, "v");
    cr_expect_eq(result == NULL, err->code != 0);
    w->n_done++;
    w->code = err->code;
    snprintf(w->got, sizeof w->got, "%s",
             cJSON_IsString(v) ? v->valuestring : err->text);
}

#define UNTIL(w, condition)                                                    \
    do {                                                                       \
        uint64_t end_ = sc_mono_ms() + 5000;                                   \
        while (!(condition) && sc_mono_ms() < end_)                            \
            sc_loop_run_once((w)->loop, 20);                                   \
        cr_assert(condition, "it did not come to: " #condition);               \
    } while (0)

static void say(struct world *w, const char *text)
{
    cr_assert_eq(send(w->peer, text, strlen(text), MSG_NOSIGNAL),
                 (ssize_t)strlen(text));
}

/* The next line that the client sent, and the fd that came with it. */
static void hear(struct world *w, char *line, size_t size, int *ret_fd)
{
    struct iovec iov = { line, size - 1 };
    char control[CMSG_SPACE(sizeof(int))];
    struct msghdr m = { .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control,
                        .msg_controllen = sizeof control };
    ssize_t n = recvmsg(w->peer, &m, 0);
    cr_assert_gt(n, 0);
    line[n] = 0;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *ret_fd = -1;
    if (c)
        memcpy(ret_fd, CMSG_DATA(c), sizeof *ret_fd);
}

static void world_start(struct world *w)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    char line[512];
    int fd;
    memset(w, 0, sizeof *w);
    cr_assert_eq(sc_loop_new(false, &w->loop, NULL), 0);
    snprintf(w->path, sizeof w->path, "/tmp/scqmp.%d", (int)getpid());
    strcpy(a.sun_path, w->path);
    unlink(w->path);
    w->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(w->listening, (struct sockaddr *)&a, sizeof a) == 0 &&
              listen(w->listening, 1) == 0);
    cr_assert_eq(qmp_open(w->loop, w->path, &events, w, &w->q, NULL), 0);
    w->peer = accept(w->listening, NULL, NULL);
    say(w, "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n");
    UNTIL(w, recv(w->peer, line, 1, MSG_PEEK | MSG_DONTWAIT) == 1);
    hear(w, line, sizeof line, &fd);
    cr_expect(strstr(line, "qmp_capabilities"));
    say(w, "{\"return\": {}, \"id\": 1}\r\n");
    UNTIL(w, w->n_up == 1);
}

static void world_end(struct world *w)
{
    qmp_free(w->q);
    close_p(&w->peer);
    close_p(&w->listening);
    unlink(w->path);
    sc_loop_free(w->loop);
}

Test(qmp, answers_come_to_who_asked_also_out_of_order_and_in_pieces)
{
    struct world w;
    world_start(&w);
    qmp_command(w.q, "one", NULL, -1, done, &w);
    qmp_command(w.q, "two", NULL, -1, done, &w);
    say(&w, "{\"return\": {\"v\": \"second\"}, \"id\": 3}\r\n{\"ret");
    UNTIL(&w, w.n_done == 1);
    cr_expect_str_eq(w.got, "second");
    say(&w, "urn\": {\"v\": \"first\"}, \"id\": 2}\r\n");
    UNTIL(&w, w.n_done == 2);
    cr_expect_str_eq(w.got, "first");
    world_end(&w);
}

Test(qmp, an_error_carries_what_qemu_said)
{
    struct world w;
    world_start(&w);
    qmp_command(w.q, "one", NULL, -1, done, &w);
    say(&w, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, "
            "\"id\": 2}\r\n");
    UNTIL(&w, w.n_done == 1);
    cr_expect_eq(w.code, -EIO);
    cr_expect_str_eq(w.got, "QEMU: no");
    world_end(&w);
}

Test(qmp, events_are_handed_on)
{
    struct world w;
    world_start(&w);
    say(&w, "{\"timestamp\": {}, \"event\": \"SHUTDOWN\", \"data\": {}}\r\n");
    UNTIL(&w, w.n_events == 1);
    cr_expect_str_eq(w.event, "SHUTDOWN");
    world_end(&w);
}

Test(qmp, the_end_of_the_connection_fails_what_waits_once)
{
    struct world w;
    world_start(&w);
    qmp_command(w.q, "one", NULL, -1, done, &w);
    close(w.peer);
    w.peer = -1;
    UNTIL(&w, w.n_down == 1);
    cr_expect_eq(w.n_done, 1);
    cr_expect_eq(w.code, -ECONNRESET);
    world_end(&w);
}

Test(qmp, a_line_without_end_is_not_collected_for_ever)
{
    struct world w;
    static char junk[1 << 16];
    world_start(&w);
    memset(junk, 'x', sizeof junk);
    for (int i = 0; i < 64 && !w.n_down; i++) {
        ssize_t n =
            send(w.peer, junk, sizeof junk, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)n;
        sc_loop_run_once(w.loop, 0);
    }
    UNTIL(&w, w.n_down == 1);
    world_end(&w);
}

Test(qmp, an_fd_travels_with_its_command)
{
    struct world w;
    char line[512];
    int fds[2], fd;
    world_start(&w);
    cr_assert_eq(pipe2(fds, 0), 0);
    qmp_command(w.q, "getfd", NULL, fds[1], done, &w);
    hear(&w, line, sizeof line, &fd);
    cr_expect(strstr(line, "getfd"));
    cr_assert_geq(fd, 0);
    close(fds[1]);
    cr_expect_eq(write(fd, "x", 1), 1);
    cr_expect_eq(read(fds[0], line, 1), 1);
    close(fd);
    close(fds[0]);
    world_end(&w);
}
