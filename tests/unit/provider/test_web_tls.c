/* Whom web.c trusts: a server of the test's own with certificates made for it.
 */
#include "provider/web.h"

#include "common/tls.h"
#include "provider/run.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

struct server {
    char folder[64];
    int fd;
    unsigned port;
    SSL_CTX *ctx;
    pthread_t thread;
};

static void *serve(void *arg)
{
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    struct server *s = arg;
    for (int fd; (fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
        SSL *ssl = SSL_new(s->ctx);
        char buf[4096];
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1 && SSL_read(ssl, buf, sizeof buf) > 0) {
            (void)!SSL_write(ssl, answer, sizeof answer - 1);
            SSL_shutdown(ssl);
        }
        SSL_free(ssl);
        close(fd);
    }
    return NULL;
}

static char *path(const struct server *s, const char *name)
{
    static char text[4][160];
    static int n;
    n = (n + 1) % 4;
    snprintf(text[n], sizeof text[n], "%s/%s", s->folder, name);
    return text[n];
}

/* A server whose certificate is for 'name', signed by <folder>/ca.pem. */
static void start(struct server *s, const char *name)
{
    struct sc_err err = { 0 };
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    const char *names[] = { name, NULL };
    SC_AUTO(free) char *csr = NULL;
    SC_AUTO(free) char *pem = NULL;
    signal(SIGPIPE, SIG_IGN); /* A client that refuses us hangs up at once. */
    strcpy(s->folder, "/tmp/web_tls.XXXXXX");
    cr_assert(mkdtemp(s->folder));
    cr_assert_eq(
        tls_ca_create(path(s, "ca.pem"), path(s, "ca.key"), "a cloud", &err), 0,
        "%s", err.text);
    cr_assert_eq(
        tls_request_create(path(s, "key"), "server", "controller", &csr, &err),
        0, "%s", err.text);
    cr_assert_eq(tls_sign(path(s, "ca.pem"), path(s, "ca.key"), csr, "server",
                          "controller", names, 2, &pem, &err),
                 0, "%s", err.text);
    cr_assert_eq(tls_write_file(path(s, "cert.pem"), pem, 0600, &err), 0);
    s->ctx = SSL_CTX_new(TLS_server_method());
    cr_assert_eq(SSL_CTX_use_certificate_file(s->ctx, path(s, "cert.pem"),
                                              SSL_FILETYPE_PEM),
                 1);
    cr_assert_eq(
        SSL_CTX_use_PrivateKey_file(s->ctx, path(s, "key"), SSL_FILETYPE_PEM),
        1);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(listen(s->fd, 4), 0);
    cr_assert_eq(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    cr_assert_eq(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(struct server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    SSL_CTX_free(s->ctx);
    run_remove_folder(s->folder);
}

static int get(const struct server *s, const char *ca, struct sc_err *err)
{
    SC_AUTO(web_free) struct web *w = NULL;
    struct web_options o = { .ca_file = ca, .retry_ms = 1 };
    struct web_answer a = { 0 };
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%u/", s->port);
    struct web_request q = { .method = "GET", .url = url };
    int r = web_new(&o, &w, err);
    if (r == 0)
        r = web_do(w, &q, &a, err);
    if (r == 0)
        cr_expect_str_eq(a.body, "hi");
    web_answer_clear(&a);
    return r;
}

Test(web_tls, a_server_of_the_given_authority_is_trusted)
{
    struct server s = { 0 };
    struct sc_err err = { 0 };
    start(&s, "127.0.0.1");
    cr_expect_eq(get(&s, path(&s, "ca.pem"), &err), 0, "%s", err.text);
    stop(&s);
}

Test(web_tls, one_of_another_authority_is_not_and_is_not_tried_again)
{
    struct server s = { 0 };
    struct sc_err err = { 0 };
    start(&s, "127.0.0.1");
    cr_expect_eq(get(&s, NULL, &err), -EACCES, "%s", err.text);
    cr_expect(strstr(err.text, "certificate"), "%s", err.text);
    cr_expect_null(strstr(err.text, "tried"), "%s", err.text);
    stop(&s);
}

Test(web_tls, nor_one_whose_certificate_is_for_another_name)
{
    struct server s = { 0 };
    struct sc_err err = { 0 };
    start(&s, "other.example");
    cr_expect_eq(get(&s, path(&s, "ca.pem"), &err), -EACCES, "%s", err.text);
    stop(&s);
}
