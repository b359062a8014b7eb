/* Connections between nodes, both ends in this process. */
#include "helper.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct pair {
    struct tls_ctx *server_ctx, *client_ctx;
    struct tls_conn *server, *client;
    struct sc_err server_err, client_err;
    int server_r, client_r;
};

static struct tls_ctx *ctx_of(const struct temp_dir *d, enum tls_use use,
                              const char *name)
{
    char crt[32], key[32];
    snprintf(crt, sizeof crt, "%s.crt", name);
    snprintf(key, sizeof key, "%s.key", name);
    struct tls_ctx *c;
    struct sc_err err;
    cr_assert_eq(
        tls_ctx_new_for(use, in(d, "ca.crt"), in(d, crt), in(d, key), &c, &err),
        0, "%s", err.text);
    return c;
}

/* Shakes hands until both are done or one has failed. */
static void shake(struct pair *p)
{
    p->server_r = p->client_r = -EAGAIN;
    for (int i = 0; i < 1000; i++) {
        if (p->client_r == -EAGAIN)
            p->client_r = tls_conn_handshake(p->client, &p->client_err);
        if (p->server_r == -EAGAIN)
            p->server_r = tls_conn_handshake(p->server, &p->server_err);
        if (p->client_r != -EAGAIN && p->server_r != -EAGAIN)
            return;
        if ((p->client_r < 0 && p->client_r != -EAGAIN) ||
            (p->server_r < 0 && p->server_r != -EAGAIN))
            return;
    }
}

static void pair_begin(struct pair *p, const struct temp_dir *ds,
                       const char *server, const struct temp_dir *dc,
                       const char *client, const char *want_cn)
{
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    p->server_ctx = ctx_of(ds, TLS_NODES, server);
    p->client_ctx = ctx_of(dc, TLS_NODES, client);
    cr_assert_eq(
        tls_conn_new(p->server_ctx, fds[0], true, NULL, &p->server, NULL), 0);
    cr_assert_eq(
        tls_conn_new(p->client_ctx, fds[1], false, want_cn, &p->client, NULL),
        0);
    shake(p);
}

static void pair_end(struct pair *p)
{
    tls_conn_free(p->client);
    tls_conn_free(p->server);
    tls_ctx_free(p->client_ctx);
    tls_ctx_free(p->server_ctx);
}

Test(tls, two_nodes_know_each_other_and_talk)
{
    signal(SIGPIPE, SIG_IGN);
    TEMP_DIR(d);
    pki_make(&d);
    struct pair p = { 0 };
    pair_begin(&p, &d, "a", &d, "b", NODE_A);
    cr_assert_eq(p.client_r, 0, "%s", p.client_err.text);
    cr_assert_eq(p.server_r, 0, "%s", p.server_err.text);
    cr_expect_str_eq(tls_conn_peer(p.client), NODE_A);
    cr_expect_str_eq(tls_conn_peer(p.server), NODE_B);
    cr_expect_str_eq(tls_conn_role(p.server), "node");
    char buf[16];
    cr_expect_eq(tls_conn_read(p.client, buf, sizeof buf), -EAGAIN);
    cr_expect_eq(tls_conn_events(p.client), EPOLLIN);
    cr_expect_eq(tls_conn_write(p.server, "hello", 5), 5);
    cr_expect_eq(tls_conn_read(p.client, buf, sizeof buf), 5);
    cr_expect_eq(memcmp(buf, "hello", 5), 0);

    /* An orderly end is 0, a cut one is not. */
    tls_conn_free(SC_TAKE(p.server));
    cr_expect_eq(tls_conn_read(p.client, buf, sizeof buf), 0);
    pair_end(&p);
}

Test(tls, a_full_socket_is_eagain_and_nothing_is_lost)
{
    signal(SIGPIPE, SIG_IGN);
    TEMP_DIR(d);
    pki_make(&d);
    struct pair p = { 0 };
    pair_begin(&p, &d, "a", &d, "b", NODE_A);
    enum { TOTAL = 8 << 20 };
    uint8_t *out = malloc(TOTAL), *back = malloc(TOTAL);
    for (size_t i = 0; i < TOTAL; i++)
        out[i] = (uint8_t)(i * 31 + (i >> 12));
    size_t sent = 0, got = 0;
    bool was_full = false;
    while (got < TOTAL) {
        long n = sent < TOTAL
                     ? tls_conn_write(p.client, out + sent, TOTAL - sent)
                     : -EAGAIN;
        if (n > 0) {
            sent += (size_t)n;
            continue;
        }
        cr_assert_eq(n, -EAGAIN);
        if (sent < TOTAL) {
            was_full = true;
            cr_expect_eq(tls_conn_events(p.client), EPOLLOUT);
        }
        n = tls_conn_read(p.server, back + got, TOTAL - got);
        cr_assert(n > 0 || n == -EAGAIN);
        got += n > 0 ? (size_t)n : 0;
    }
    cr_expect(was_full);
    cr_expect_eq(memcmp(out, back, TOTAL), 0);
    free(out);
    free(back);
    pair_end(&p);
}

Test(tls, an_unannounced_end_is_an_error)
{
    signal(SIGPIPE, SIG_IGN);
    TEMP_DIR(d);
    pki_make(&d);
    struct pair p = { 0 };
    pair_begin(&p, &d, "a", &d, "b", NODE_A);
    shutdown(tls_conn_fd(p.server), SHUT_RDWR);
    char buf[4];
    cr_expect_eq(tls_conn_read(p.client, buf, sizeof buf), -ECONNRESET);
    cr_expect_lt(tls_conn_write(p.client, "x", 1), 0);
    pair_end(&p);
}

static const struct {
    const char *name, *server, *client, *want_cn;
    bool foreign_client, foreign_server;
    const char *who_refuses;
} refusals[] = {
    { "another node than wanted", "a", "b", NODE_B, false, false, "client" },
    { "the controller is no node", "controller", "b", "supercloud-controller",
      false, false, "client" },
    { "a network daemon as server", "net", "b", "network", false, false,
      "client" },
    { "a network daemon as client", "a", "net", NODE_A, false, false,
      "server" },
    { "the controller as client", "a", "controller", NODE_A, false, false,
      "server" },
    { "client of another authority", "a", "b", NODE_A, true, false, "server" },
    { "server of another authority", "a", "b", NODE_A, false, true, "client" },
};

Test(tls, who_is_not_the_right_node_is_refused, .timeout = 60)
{
    signal(SIGPIPE, SIG_IGN);
    TEMP_DIR(d);
    TEMP_DIR(other);
    pki_make(&d);
    pki_make(&other);
    for (size_t i = 0; i < SC_ARRAY_LEN(refusals); i++) {
        struct pair p = { 0 };
        bool foreign = refusals[i].foreign_client || refusals[i].foreign_server;
        int fds[2];
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        p.server_ctx = ctx_of(refusals[i].foreign_server ? &other : &d,
                              TLS_NODES, refusals[i].server);
        p.client_ctx = ctx_of(refusals[i].foreign_client ? &other : &d,
                              TLS_NODES, refusals[i].client);
        cr_assert_eq(
            tls_conn_new(p.server_ctx, fds[0], true, NULL, &p.server, NULL), 0);
        cr_assert_eq(tls_conn_new(p.client_ctx, fds[1], false,
                                  refusals[i].want_cn, &p.client, NULL),
                     0);
        shake(&p);
        bool by_client = !strcmp(refusals[i].who_refuses, "client") || foreign;
        bool by_server = !strcmp(refusals[i].who_refuses, "server") || foreign;
        cr_expect((by_client && p.client_r == -EACCES) ||
                      (by_server && p.server_r == -EACCES),
                  "case '%s': client %d (%s), server %d (%s)", refusals[i].name,
                  p.client_r, p.client_err.text, p.server_r, p.server_err.text);
        /* Whoever refused moves no byte. */
        char buf[4];
        struct tls_conn *refuser = p.client_r == -EACCES ? p.client : p.server;
        cr_expect_lt(tls_conn_read(refuser, buf, sizeof buf), 0);
        cr_expect_lt(tls_conn_write(refuser, "x", 1), 0);
        pair_end(&p);
    }
}

Test(tls, a_client_without_a_certificate_is_refused)
{
    signal(SIGPIPE, SIG_IGN);
    TEMP_DIR(d);
    pki_make(&d);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)listener;
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    struct tls_ctx *ctx = ctx_of(&d, TLS_NODES, "a");
    struct tls_conn *c;
    cr_assert_eq(tls_conn_new(ctx, fds[0], true, NULL, &c, NULL), 0);
    /* Plain text is no handshake either. */
    cr_assert_eq(write(fds[1], "GET / HTTP/1.1\r\n\r\n", 18), 18);
    struct sc_err err;
    int r = tls_conn_handshake(c, &err);
    cr_expect(r < 0 && r != -EAGAIN, "%d", r);
    close(fds[1]);
    close(listener);
    tls_conn_free(c);
    tls_ctx_free(ctx);
}

Test(tls, a_context_names_the_file_at_fault)
{
    TEMP_DIR(d);
    pki_make(&d);
    struct tls_ctx *c;
    struct sc_err err;
    cr_expect_lt(
        tls_ctx_new(in(&d, "none"), in(&d, "a.crt"), in(&d, "a.key"), &c, &err),
        0);
    cr_expect(strstr(err.text, "/none"));
    cr_expect_lt(tls_ctx_new(in(&d, "ca.crt"), in(&d, "a.crt"), in(&d, "b.key"),
                             &c, &err),
                 0);
    cr_expect(strstr(err.text, "b.key"), "%s", err.text);
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    SC_AUTO(tls_ctx_free) struct tls_ctx *ok = ctx_of(&d, TLS_NODES, "a");
    struct tls_conn *conn;
    cr_expect_eq(tls_conn_new(ok, fds[0], false, NULL, &conn, &err), -EINVAL,
                 "a client must name its peer");
    close(fds[1]);
}
