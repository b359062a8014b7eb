/* The HTTP client of the metadata service: its parser, and whole calls to a
 * server of the test's in the same loop. */
#include "node/metadata.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/epoll.h>

/* --- addresses ------------------------------------------------------------ */

static const struct {
    const char *text;
    int want;
} addresses[] = {
    { "169.254.169.254:80", 0 },
    { "169.254.169.254", 0 },
    { "127.0.0.1:8080", 0 },
    { "[::1]:80", 0 },
    { "[fe80::1]:80", 0 },
    { "10.0.0.1:80", -EACCES },
    { "8.8.8.8:80", -EACCES },
    { "[2001:db8::1]:80", -EACCES },
    { "169.253.0.1:80", -EACCES },
    { "metadata.google.internal:80", -EINVAL },
    { "", -EINVAL },
    { "127.0.0.1:0", -EINVAL },
};

Test(metadata, only_the_own_link_is_asked)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(addresses); i++) {
        struct sockaddr_in6 a;
        cr_expect_eq(metadata_address(addresses[i].text, &a, NULL),
                     addresses[i].want, "case '%s'", addresses[i].text);
    }
}

/* --- answers -------------------------------------------------------------- */

#define OK "HTTP/1.1 200 OK\r\n"

static const struct {
    const char *name, *text;
    bool eof;
    int want; /* 1: whole. */
    int status;
    const char *body;
} answers[] = {
    { "nothing yet", "", false, 0, 0, NULL },
    { "half a head", OK "Content-Le", false, 0, 0, NULL },
    { "half a head and no more", OK, true, -EPROTO, 0, NULL },
    { "a length", OK "Content-Length: 3\r\n\r\nabc", false, 1, 200, "abc" },
    { "a length and more", OK "Content-Length: 3\r\n\r\nabcd", false, 1, 200,
      "abc" },
    { "less than the length", OK "Content-Length: 4\r\n\r\nabc", false, 0, 0,
      NULL },
    { "cut short", OK "Content-Length: 4\r\n\r\nabc", true, -EPROTO, 0, NULL },
    { "an empty body", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
      false, 1, 404, "" },
    { "up to the end, not there yet", OK "\r\nabc", false, 0, 0, NULL },
    { "up to the end", OK "\r\nabc", true, 1, 200, "abc" },
    { "none by its status", "HTTP/1.1 204 No Content\r\n\r\n", false, 1, 204,
      "" },
    { "chunks",
      OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde"
         "\r\n0\r\n\r\n",
      false, 1, 200, "abcde" },
    { "chunks, not all there",
      OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nd", false, 0, 0,
      NULL },
    { "chunks cut short", OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
      true, -EPROTO, 0, NULL },
    { "a chunk longer than it says",
      OK "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", false,
      -EPROTO, 0, NULL },
    { "a negative length", OK "Content-Length: -1\r\n\r\n", false, -EPROTO, 0,
      NULL },
    { "a length that is none", OK "Content-Length: 1x\r\n\r\n", false, -EPROTO,
      0, NULL },
    { "too long", OK "Content-Length: 99999999\r\n\r\n", false, -EMSGSIZE, 0,
      NULL },
    { "not HTTP", "SSH-2.0 x y\r\n\r\n", false, -EPROTO, 0, NULL },
    { "no status", "HTTP/1.1 OK fine\r\n\r\n", false, -EPROTO, 0, NULL },
};

Test(metadata, an_answer_is_taken_when_it_is_whole_and_right)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(answers); i++) {
        struct metadata_answer a = { 0 };
        size_t size = strlen(answers[i].text);
        SC_AUTO(free) char *buf = malloc(size + 1);
        memcpy(buf, answers[i].text, size);
        int r = metadata_parse(buf, size, answers[i].eof, &a);
        cr_expect_eq(r, answers[i].want, "case '%s': %d", answers[i].name, r);
        if (r != 1 || answers[i].want != 1)
            continue;
        cr_expect_eq(a.status, answers[i].status, "case '%s'", answers[i].name);
        cr_expect_str_eq(a.body, answers[i].body, "case '%s'", answers[i].name);
        cr_expect_eq(a.size, strlen(answers[i].body), "case '%s'",
                     answers[i].name);
    }
}

Test(metadata, every_prefix_of_an_answer_waits_for_more)
{
    static const char text[] =
        OK "ETag: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
           "0\r\n";
    for (size_t size = 0; size < sizeof text - 1; size++) {
        struct metadata_answer a;
        SC_AUTO(free) char *buf = malloc(size + 1);
        memcpy(buf, text, size);
        cr_expect_eq(metadata_parse(buf, size, false, &a), 0, "%zu bytes",
                     size);
        cr_expect_eq(memcmp(buf, text, size), 0, "%zu bytes: changed", size);
    }
}

/* --- calls ---------------------------------------------------------------- */

struct server {
    struct sc_loop *loop;
    int fd, conn;
    struct sc_source *source, *conn_source;
    const char *says; /* NULL: nothing. */
    char asked[2048];
    struct sockaddr_in6 at;
    /* What came of the call. */
    bool there;
    int status;
    char body[256];
    struct sc_err err;
};

static void on_request(void *arg, int fd, uint32_t events)
{
    struct server *s = arg;
    (void)events;
    ssize_t n = recv(fd, s->asked, sizeof s->asked - 1, 0);
    if (n > 0 && s->says)
        cr_expect_eq(send(fd, s->says, strlen(s->says), MSG_NOSIGNAL),
                     (ssize_t)strlen(s->says));
    if (n <= 0 || s->says) {
        sc_source_free(SC_TAKE(s->conn_source));
        close(fd);
        s->conn = -1;
    }
}

static void on_accept(void *arg, int fd, uint32_t events)
{
    struct server *s = arg;
    (void)events;
    s->conn = accept(fd, NULL, NULL);
    cr_assert_geq(s->conn, 0);
    cr_assert_eq(sc_loop_add_fd(s->loop, s->conn, EPOLLIN, on_request, s,
                                &s->conn_source),
                 0);
}

static void serve(struct server *s, const char *says)
{
    struct sc_err err;
    socklen_t len = sizeof s->at;
    *s = (struct server){ .says = says, .conn = -1 };
    cr_assert_eq(sc_loop_new(false, &s->loop, &err), 0);
    cr_assert_eq(metadata_address("127.0.0.1:1", &s->at, &err), 0);
    s->at.sin6_port = 0;
    s->fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(s->fd, (struct sockaddr *)&s->at, len) == 0 &&
              listen(s->fd, 4) == 0 &&
              getsockname(s->fd, (struct sockaddr *)&s->at, &len) == 0);
    cr_assert_eq(
        sc_loop_add_fd(s->loop, s->fd, EPOLLIN, on_accept, s, &s->source), 0);
}

static void server_p(struct server *s)
{
    sc_source_free(s->source);
    sc_source_free(s->conn_source);
    close_p(&s->conn);
    close_p(&s->fd);
    sc_loop_free(s->loop);
}

static void heard(void *arg, const struct metadata_answer *a,
                  const struct sc_err *err)
{
    struct server *s = arg;
    s->there = true;
    s->err = *err;
    s->status = a ? a->status : 0;
    snprintf(s->body, sizeof s->body, "%s", a ? a->body : "");
}

static void ask(struct server *s, uint64_t timeout_ms)
{
    struct metadata_request q = { "PUT", "/latest/api/token", "X-A: b\r\n",
                                  timeout_ms };
    struct metadata_call *call = NULL;
    struct sc_err err;
    cr_assert_eq(metadata_ask(s->loop, &s->at, &q, heard, s, &call, &err), 0,
                 "%s", err.text);
    cr_assert_not(s->there, "never from inside the call");
    for (int i = 0; i < 1000 && !s->there; i++)
        sc_loop_run_once(s->loop, 10);
    cr_assert(s->there);
}

Test(metadata, a_request_goes_out_and_its_answer_comes_back)
{
    __attribute__((cleanup(server_p))) struct server s;
    serve(&s, OK "Content-Length: 5\r\n\r\nTOKEN");
    ask(&s, 10000);
    cr_expect_eq(s.status, 200, "%s", s.err.text);
    cr_expect_str_eq(s.body, "TOKEN");
    cr_expect(strstr(s.asked, "PUT /latest/api/token HTTP/1.1\r\n") == s.asked);
    cr_expect(strstr(s.asked, "\r\nHost: 127.0.0.1\r\n"));
    cr_expect(strstr(s.asked, "\r\nX-A: b\r\n"));
    cr_expect(strstr(s.asked, "\r\nContent-Length: 0\r\n"));
}

Test(metadata, a_service_that_says_nothing_is_given_up)
{
    __attribute__((cleanup(server_p))) struct server s;
    serve(&s, NULL);
    ask(&s, 50);
    cr_expect_eq(s.err.code, -ETIMEDOUT);
}

Test(metadata, a_service_that_is_not_there_is_an_error)
{
    __attribute__((cleanup(server_p))) struct server s;
    serve(&s, NULL);
    sc_source_free(SC_TAKE(s.source));
    close(s.fd);
    s.fd = -1;
    ask(&s, 10000);
    cr_expect_eq(s.err.code, -ECONNREFUSED, "%s", s.err.text);
}

Test(metadata, a_call_can_be_taken_back)
{
    __attribute__((cleanup(server_p))) struct server s;
    struct metadata_request q = { "GET", "/", NULL, 10000 };
    struct metadata_call *call = NULL;
    struct sc_err err;
    serve(&s, OK "Content-Length: 0\r\n\r\n");
    cr_assert_eq(metadata_ask(s.loop, &s.at, &q, heard, &s, &call, &err), 0);
    metadata_cancel(call);
    metadata_cancel(NULL);
    for (int i = 0; i < 10; i++)
        sc_loop_run_once(s.loop, 5);
    cr_expect_not(s.there);
}
