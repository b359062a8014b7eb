/* The WebSocket transport, server and client against each other. */
#include "common/rpc_ws.h"
#include "helper.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

struct world {
    struct temp_dir dir;
    struct sc_loop *loop;
    struct rpc_ws_server *server;
    struct rpc_client *client;
    struct rpc_service at_server, at_client;
    unsigned n_up, n_down, n_client_up, n_client_down, n_trouble, n_done;
    struct rpc_conn *peer; /* Of the server. */
    unsigned role;
    char peer_name[64];
    struct sc_err trouble, down, done;
    char *result;
    uint64_t ping_ms;
    unsigned max_strangers;
};

static void on_echo(void *ctx, struct rpc_conn *from, const cJSON *params,
                    struct rpc_request *req)
{
    (void)ctx;
    (void)from;
    rpc_reply(req, cJSON_Duplicate(params, true));
}

static void on_close_me(void *ctx, struct rpc_conn *from, const cJSON *params,
                        struct rpc_request *req)
{
    (void)ctx;
    (void)params;
    rpc_conn_close(from);
    rpc_reply(req, NULL); /* Dropped, but every request must be answered. */
}

static const struct rpc_method methods[] = {
    { "echo", RPC_ROLE_ANY, on_echo },
    { "network.only", RPC_ROLE_NETWORK, on_echo },
    { "close.me", RPC_ROLE_ANY, on_close_me },
    { 0 },
};

static void server_up(void *ctx, struct rpc_conn *conn)
{
    struct world *w = ctx;
    w->n_up++;
    w->peer = conn;
    w->role = rpc_conn_role(conn);
    snprintf(w->peer_name, sizeof w->peer_name, "%s", rpc_conn_peer(conn));
}

static void server_down(void *ctx, struct rpc_conn *conn,
                        const struct sc_err *why)
{
    struct world *w = ctx;
    w->n_down++;
    w->down = *why;
    if (conn == w->peer)
        w->peer = NULL;
}

static void client_up(void *ctx, struct rpc_conn *conn)
{
    struct world *w = ctx;
    (void)conn;
    w->n_client_up++;
}

static void client_down(void *ctx, struct rpc_conn *conn,
                        const struct sc_err *why)
{
    struct world *w = ctx;
    (void)conn;
    w->n_client_down++;
    w->down = *why;
}

static void client_trouble(void *ctx, const struct sc_err *why)
{
    struct world *w = ctx;
    w->n_trouble++;
    w->trouble = *why;
}

static void on_done(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct world *w = arg;
    w->n_done++;
    w->done = *err;
    free(w->result);
    w->result = result ? cJSON_PrintUnformatted(result) : NULL;
}

static void on_http(void *ctx, const char *method, const char *uri,
                    const char *body, const char *remote, int *status,
                    cJSON **ret)
{
    (void)ctx;
    *status = 409;
    *ret = cJSON_CreateObject();
    cJSON_AddStringToObject(*ret, "method", method);
    cJSON_AddStringToObject(*ret, "uri", uri);
    cJSON_AddStringToObject(*ret, "body", body);
    cJSON_AddStringToObject(*ret, "remote", remote);
}

static void world_listen(struct world *w, const char *listen, const char *cert)
{
    struct sc_err err;
    char crt[64], key[64];
    snprintf(crt, sizeof crt, "%s.crt", cert);
    snprintf(key, sizeof key, "%s.key", cert);
    struct rpc_ws_server_options o = { .listen = listen,
                                       .path = "/rpc",
                                       .ca_file = in(&w->dir, "ca.crt"),
                                       .cert_file = in(&w->dir, crt),
                                       .key_file = in(&w->dir, key),
                                       .ping_ms = w->ping_ms,
                                       .max_strangers = w->max_strangers };
    w->at_server = (struct rpc_service){
        .methods = methods, .ctx = w, .up = server_up, .down = server_down
    };
    cr_assert_eq(rpc_ws_server_new(w->loop, &o, &w->at_server, on_http,
                                   &w->server, &err),
                 0, "%s", err.text);
}

static void world_begin(struct world *w, const char *cert)
{
    w->dir = temp_dir_new();
    pki_make(&w->dir);
    cr_assert_eq(sc_loop_new(false, &w->loop, NULL), 0);
    world_listen(w, "127.0.0.1:0", cert);
}

static void world_connect(struct world *w, const char *ca, const char *cert)
{
    struct sc_err err;
    char crt[64], key[64];
    snprintf(crt, sizeof crt, "%s.crt", cert);
    snprintf(key, sizeof key, "%s.key", cert);
    struct rpc_ws_options o = { .host = "127.0.0.1",
                                .port = rpc_ws_server_port(w->server),
                                .path = "/rpc",
                                .ca_file = in(&w->dir, ca),
                                .cert_file = in(&w->dir, crt),
                                .key_file = in(&w->dir, key),
                                .ping_ms = w->ping_ms };
    w->at_client = (struct rpc_service){ .methods = methods,
                                         .ctx = w,
                                         .up = client_up,
                                         .down = client_down,
                                         .trouble = client_trouble };
    cr_assert_eq(
        rpc_ws_client_new(w->loop, &o, &w->at_client, &w->client, &err), 0,
        "%s", err.text);
}

static void world_end(struct world *w)
{
    rpc_client_free(w->client);
    rpc_ws_server_free(w->server);
    sc_loop_free(w->loop);
    free(w->result);
    temp_dir_p(&w->dir);
}

Test(rpc_ws, a_node_is_known_by_its_certificate_and_can_call, .timeout = 20)
{
    struct world w = { 0 };
    world_begin(&w, "controller");
    world_connect(&w, "ca.crt", "a");
    LOOP_UNTIL(w.loop, w.n_up && w.n_client_up);
    cr_expect_eq(w.role, RPC_ROLE_NODE);
    cr_expect_str_eq(w.peer_name, NODE_A);
    cr_expect_eq(rpc_conn_role(rpc_client_conn(w.client)), RPC_ROLE_CONTROLLER);

    rpc_call(w.loop, rpc_client_conn(w.client), "echo",
             cJSON_Parse("{\"x\":7}"), 1000, on_done, &w);
    LOOP_UNTIL(w.loop, w.n_done == 1);
    cr_expect_str_eq(w.result, "{\"x\":7}");

    /* And the other way. */
    rpc_call(w.loop, w.peer, "echo", cJSON_Parse("{\"y\":8}"), 1000, on_done,
             &w);
    LOOP_UNTIL(w.loop, w.n_done == 2);
    cr_expect_str_eq(w.result, "{\"y\":8}");
    world_end(&w);
}

Test(rpc_ws, a_role_limits_the_methods, .timeout = 20)
{
    struct world w = { 0 };
    world_begin(&w, "controller");
    world_connect(&w, "ca.crt", "a");
    LOOP_UNTIL(w.loop, w.n_client_up);
    rpc_call(w.loop, rpc_client_conn(w.client), "network.only", NULL, 1000,
             on_done, &w);
    LOOP_UNTIL(w.loop, w.n_done == 1);
    cr_expect_eq(w.done.code, -EACCES, "%s", w.done.text);
    rpc_client_free(w.client);
    world_connect(&w, "ca.crt", "net");
    LOOP_UNTIL(w.loop, w.n_client_up == 2);
    rpc_call(w.loop, rpc_client_conn(w.client), "network.only", NULL, 1000,
             on_done, &w);
    LOOP_UNTIL(w.loop, w.n_done == 2);
    cr_expect_eq(w.done.code, 0, "%s", w.done.text);
    world_end(&w);
}

Test(rpc_ws, messages_of_megabytes_pass_both_ways, .timeout = 60)
{
    struct world w = { 0 };
    world_begin(&w, "controller");
    world_connect(&w, "ca.crt", "a");
    LOOP_UNTIL(w.loop, w.n_client_up);
    const size_t size = 5 << 20;
    char *text = malloc(size + 1);
    memset(text, 'x', size);
    text[size] = '\0';
    for (unsigned i = 1; i <= 3; i++) {
        cJSON *params = cJSON_CreateObject();
        cJSON_AddStringToObject(params, "text", text);
        rpc_call(w.loop, rpc_client_conn(w.client), "echo", params, 0, on_done,
                 &w);
    }
    for (int i = 0; i < 40 && w.n_done < 3; i++)
        for (int k = 0; k < 100 && w.n_done < 3; k++)
            sc_loop_run_once(w.loop, 10);
    cr_expect_eq(w.n_done, 3);
    cr_expect_eq(w.done.code, 0, "%s", w.done.text);
    cr_expect_eq(w.result ? strlen(w.result) : 0, size + 11);
    free(text);
    world_end(&w);
}

Test(rpc_ws, a_call_over_the_limit_fails_and_the_connection_stays,
     .timeout = 20)
{
    struct world w = { 0 };
    world_begin(&w, "controller");
    world_connect(&w, "ca.crt", "a");
    LOOP_UNTIL(w.loop, w.n_client_up);
    char *text = malloc(RPC_MESSAGE_MAX + 1);
    memset(text, 'x', RPC_MESSAGE_MAX);
    text[RPC_MESSAGE_MAX] = '\0';
    cJSON *params = cJSON_CreateObject();
    cJSON_AddStringToObject(params, "text", text);
    free(text);
    rpc_call(w.loop, rpc_client_conn(w.client), "echo", params, 0, on_done, &w);
    cr_expect_eq(w.n_done, 0, "never from inside the call");
    LOOP_UNTIL(w.loop, w.n_done == 1);
    cr_expect_eq(w.done.code, -EMSGSIZE);
    cr_expect(rpc_client_conn(w.client));
    world_end(&w);
}

Test(rpc_ws, a_node_cannot_pose_as_the_controller, .timeout = 20)
{
    static const char *const poses[] = { "a", "net", "fake", "named" };
    for (size_t i = 0; i < SC_ARRAY_LEN(poses); i++) {
        struct world w = { 0 };
        w.dir = temp_dir_new();
        pki_make(&w.dir);
        /* A server certificate, but of role node; and one of another name. */
        pki_issue(&w.dir, "fake", NODE_A, "node", "supercloud-controller");
        pki_issue(&w.dir, "named", "supercloud-controller", "controller",
                  "other-name");
        cr_assert_eq(sc_loop_new(false, &w.loop, NULL), 0);
        world_listen(&w, "127.0.0.1:0", poses[i]);
        world_connect(&w, "ca.crt", "b");
        LOOP_UNTIL(w.loop, w.n_trouble > 0);
        cr_expect_eq(w.trouble.code, -EACCES, "case '%s': %s", poses[i],
                     w.trouble.text);
        cr_expect_eq(w.n_client_up, 0, "case '%s'", poses[i]);
        world_end(&w);
    }
}

Test(rpc_ws, certificates_of_another_authority_are_refused, .timeout = 20)
{
    struct world w = { 0 };
    world_begin(&w, "controller");
    TEMP_DIR(other);
    pki_make(&other);
    /* The client trusts the right one, but its own certificate is foreign. */
    struct rpc_ws_options o = { .host = "127.0.0.1",
                                .port = rpc_ws_server_port(w.server),
                                .path = "/rpc",
                                .ca_file = in(&w.dir, "ca.crt"),
                                .cert_file = in(&other, "a.crt"),
                                .key_file = in(&other, "a.key") };
    w.at_client = (struct rpc_service){ .methods = methods,
                                        .ctx = &w,
                                        .up = client_up,
                                        .trouble = client_trouble };
    cr_assert_eq(rpc_ws_client_new(w.loop, &o, &w.at_client, &w.client, NULL),
                 0);
    LOOP_UNTIL(w.loop, w.n_trouble > 0);
    cr_expect_eq(w.n_up, 0);
    cr_expect_eq(w.n_client_up, 0);
    world_end(&w);
}

Test(rpc_ws, the_client_comes_back_after_the_server, .timeout = 20)
{
    struct world w = { 0 };
    world_begin(&w, "controller");
    world_connect(&w, "ca.crt", "a");
    LOOP_UNTIL(w.loop, w.n_client_up == 1);
    rpc_call(w.loop, rpc_client_conn(w.client), "close.me", NULL, 0, on_done,
             &w);
    LOOP_UNTIL(w.loop, w.n_done == 1);
    cr_expect_eq(w.done.code, -ECONNRESET, "%s", w.done.text);
    LOOP_UNTIL(w.loop, w.n_client_down == 1 && w.n_client_up == 2);

    char listen[32];
    snprintf(listen, sizeof listen, "127.0.0.1:%u",
             rpc_ws_server_port(w.server));
    rpc_ws_server_free(w.server);
    LOOP_UNTIL(w.loop, w.n_client_down == 2);
    cr_expect_eq(w.n_down, 2);
    LOOP_UNTIL(w.loop, w.n_trouble > 0);
    world_listen(&w, listen, "controller");
    LOOP_UNTIL(w.loop, w.n_client_up == 3);
    world_end(&w);
}

Test(rpc_ws, a_peer_that_went_silent_is_lost, .timeout = 30)
{
    struct world w = { .ping_ms = 100 };
    world_begin(&w, "controller");
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) { /* Connects, says so, and stops for ever. */
        struct world c = { .ping_ms = 100, .dir = w.dir };
        cr_assert_eq(sc_loop_new(false, &c.loop, NULL), 0);
        c.server = w.server; /* For its port only. */
        world_connect(&c, "ca.crt", "a");
        while (!c.n_client_up)
            sc_loop_run_once(c.loop, 20);
        raise(SIGSTOP);
        _exit(0);
    }
    LOOP_UNTIL(w.loop, w.n_up == 1);
    LOOP_UNTIL(w.loop, w.n_down == 1);
    cr_expect_eq(w.down.code, -ETIMEDOUT, "%s", w.down.text);
    kill(pid, SIGKILL);
    world_end(&w);
}

Test(rpc_ws, pings_keep_an_idle_connection, .timeout = 20)
{
    struct world w = { .ping_ms = 50 };
    world_begin(&w, "controller");
    world_connect(&w, "ca.crt", "a");
    LOOP_UNTIL(w.loop, w.n_client_up == 1);
    uint64_t end = sc_mono_ms() + 600;
    while (sc_mono_ms() < end)
        sc_loop_run_once(w.loop, 20);
    cr_expect_eq(w.n_down + w.n_client_down, 0, "%s", w.down.text);
    world_end(&w);
}

Test(rpc_ws, a_peer_that_does_not_read_is_cut_at_the_limit, .timeout = 60)
{
    struct world w = { 0 };
    world_begin(&w, "controller");
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        struct world c = { .dir = w.dir };
        cr_assert_eq(sc_loop_new(false, &c.loop, NULL), 0);
        c.server = w.server;
        world_connect(&c, "ca.crt", "a");
        while (!c.n_client_up)
            sc_loop_run_once(c.loop, 20);
        raise(SIGSTOP);
        _exit(0);
    }
    LOOP_UNTIL(w.loop, w.n_up == 1);
    const size_t size = 4 << 20;
    char *text = malloc(size + 1);
    memset(text, 'x', size);
    text[size] = '\0';
    int r = 0;
    uint64_t longest_ms = 0;
    for (int i = 0; i < 40 && r == 0 && w.peer; i++) {
        cJSON *params = cJSON_CreateObject();
        cJSON_AddStringToObject(params, "text", text);
        uint64_t start = sc_mono_ms();
        r = rpc_notify(w.peer, "noise", params);
        uint64_t took = sc_mono_ms() - start;
        longest_ms = took > longest_ms ? took : longest_ms;
    }
    cr_expect_eq(r, -ENOBUFS);
    cr_expect_lt(longest_ms, 2000, "a send must not wait for the peer");
    LOOP_UNTIL(w.loop, w.n_down == 1);
    cr_expect_eq(w.down.code, -ENOBUFS, "%s", w.down.text);
    free(text);
    kill(pid, SIGKILL);
    world_end(&w);
}

/* --- plain HTTP on the same port, as sc-join speaks it -------------------- */

/* Sends 'request' over TLS without a certificate, by another program, turns the
 * loop, and returns what came back. */
static const char *http(struct world *w, const char *request)
{
    static char answer[64 << 10];
    char command[1024];
    int pair[2], back[2];
    cr_assert_eq(pipe2(pair, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(back, O_CLOEXEC), 0);
    snprintf(command, sizeof command,
             "openssl s_client -quiet -connect 127.0.0.1:%u -CAfile %s/ca.crt "
             "-verify_return_error -verify_hostname supercloud-controller "
             "2>/dev/null",
             rpc_ws_server_port(w->server), w->dir.path);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        dup2(pair[0], 0);
        dup2(back[1], 1);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    close(pair[0]);
    close(back[1]);
    cr_assert_eq(write(pair[1], request, strlen(request)),
                 (ssize_t)strlen(request));
    fcntl(back[0], F_SETFL, O_NONBLOCK);
    size_t size = 0;
    uint64_t end = sc_mono_ms() + 8000;
    while (sc_mono_ms() < end) {
        sc_loop_run_once(w->loop, 10);
        ssize_t n = read(back[0], answer + size, sizeof answer - 1 - size);
        if (n == 0)
            break;
        if (n > 0)
            size += (size_t)n;
    }
    answer[size] = '\0';
    close(pair[1]);
    close(back[0]);
    kill(pid, SIGKILL);
    return answer;
}

static int stranger(struct world *w)
{
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons(rpc_ws_server_port(w->server)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    sc_loop_run_once(w->loop, 10);
    return fd;
}

Test(rpc_ws, strangers_are_few_and_the_oldest_makes_room, .timeout = 30)
{
    struct world w = { .max_strangers = 3 };
    int fds[8];
    char c;
    world_begin(&w, "controller");
    world_connect(&w, "ca.crt", "a");
    LOOP_UNTIL(w.loop, w.n_up == 1);
    for (size_t i = 0; i < SC_ARRAY_LEN(fds); i++)
        fds[i] = stranger(&w);
    LOOP_UNTIL(w.loop, recv(fds[4], &c, 1, MSG_DONTWAIT) == 0);
    cr_expect_eq(recv(fds[0], &c, 1, MSG_DONTWAIT), 0);
    for (size_t i = 5; i < SC_ARRAY_LEN(fds); i++)
        cr_expect_eq(recv(fds[i], &c, 1, MSG_DONTWAIT), -1, "%zu is there", i);
    cr_expect_eq(w.n_down, 0, "who has shown a certificate stays");
    const char *a = http(&w, "GET /join/ca HTTP/1.1\r\nHost: c\r\n\r\n");
    cr_expect(strstr(a, "HTTP/1.1 409 Conflict\r\n"), "%s", a);
    for (size_t i = 0; i < SC_ARRAY_LEN(fds); i++)
        close(fds[i]);
    world_end(&w);
}

Test(rpc_ws, joining_needs_no_certificate, .timeout = 30)
{
    struct world w = { 0 };
    world_begin(&w, "controller");
    const char *a = http(&w, "POST /join?x=1 HTTP/1.1\r\nHost: c\r\n"
                             "Content-Length: 5\r\n\r\nhello");
    cr_expect(strstr(a, "HTTP/1.1 409 Conflict\r\n"), "%s", a);
    cr_expect(strstr(a, "\"method\":\"POST\",\"uri\":\"/join?x=1\","
                        "\"body\":\"hello\",\"remote\":\"127.0.0.1\""),
              "%s", a);
    world_end(&w);
}

Test(rpc_ws, the_rpc_path_needs_a_certificate, .timeout = 30)
{
    struct world w = { 0 };
    world_begin(&w, "controller");
    const char *a =
        http(&w, "GET /rpc HTTP/1.1\r\nHost: c\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
    cr_expect(strstr(a, "HTTP/1.1 403 Forbidden\r\n"), "%s", a);
    cr_expect_eq(w.n_up, 0);
    world_end(&w);
}

static const struct {
    const char *name, *request, *want;
} bad_requests[] = {
    { "not HTTP", "hello world this\r\n\r\n", " 400 " },
    { "chunked", "POST /join HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
      " 400 " },
    { "negative length", "POST /join HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      " 400 " },
    { "too long a body", "POST /join HTTP/1.1\r\nContent-Length: 65537\r\n\r\n",
      " 413 " },
    { "two spaces", "GET  /join HTTP/1.1\r\n\r\n", " 400 " },
};

Test(rpc_ws, bad_requests_are_answered_by_name, .timeout = 60)
{
    struct world w = { 0 };
    world_begin(&w, "controller");
    for (size_t i = 0; i < SC_ARRAY_LEN(bad_requests); i++) {
        const char *a = http(&w, bad_requests[i].request);
        cr_expect(strstr(a, bad_requests[i].want), "case '%s': %s",
                  bad_requests[i].name, a);
    }
    world_end(&w);
}

/* --- bytes that no client of ours would send -------------------------------
 */

/* A TLS connection of our own, upgraded by hand, for raw frames. */
static struct tls_conn *raw_connect(struct world *w, struct tls_ctx **ret_ctx)
{
    struct sc_err err;
    cr_assert_eq(tls_ctx_new_for(TLS_TO_CONTROLLER, in(&w->dir, "ca.crt"),
                                 in(&w->dir, "a.crt"), in(&w->dir, "a.key"),
                                 ret_ctx, &err),
                 0, "%s", err.text);
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons(rpc_ws_server_port(w->server)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    struct tls_conn *c;
    cr_assert_eq(tls_conn_new(*ret_ctx, fd, false, NULL, &c, &err), 0);
    int r;
    while ((r = tls_conn_handshake(c, &err)) == -EAGAIN)
        sc_loop_run_once(w->loop, 5);
    cr_assert_eq(r, 0, "%s", err.text);
    static const char request[] =
        "GET /rpc HTTP/1.1\r\nHost: c\r\nUpgrade: websocket\r\n"
        "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    cr_assert_eq(tls_conn_write(c, request, sizeof request - 1),
                 (long)sizeof request - 1);
    LOOP_UNTIL(w->loop, w->n_up == 1);
    char answer[1024];
    long n;
    while ((n = tls_conn_read(c, answer, sizeof answer - 1)) == -EAGAIN)
        sc_loop_run_once(w->loop, 5);
    cr_assert_gt(n, 0);
    answer[n] = '\0';
    /* The example of RFC 6455 section 1.3. */
    cr_assert(strstr(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "%s", answer);
    return c;
}

/* One masked frame; the mask is 0, which changes nothing. */
static void raw_frame(struct tls_conn *c, uint8_t first, const char *text)
{
    uint8_t frame[256] = { first, (uint8_t)(0x80 | strlen(text)) };
    memcpy(frame + 6, text, strlen(text));
    cr_assert_gt(tls_conn_write(c, frame, 6 + strlen(text)), 0);
}

Test(rpc_ws, a_message_in_pieces_with_a_ping_between_is_one_call, .timeout = 20)
{
    struct world w = { 0 };
    world_begin(&w, "controller");
    struct tls_ctx *ctx;
    struct tls_conn *c = raw_connect(&w, &ctx);
    raw_frame(c, 0x01, "{\"jsonrpc\":\"2.0\",\"id\":1,");
    raw_frame(c, 0x89, "p");
    raw_frame(c, 0x00, "\"method\":\"echo\",\"par");
    raw_frame(c, 0x80, "ams\":{\"z\":9}}");
    char got[512] = "";
    size_t size = 0;
    uint64_t end = sc_mono_ms() + 5000;
    while (!memmem(got, size, "{\"z\":9}", 7) && sc_mono_ms() < end) {
        sc_loop_run_once(w.loop, 5);
        long n = tls_conn_read(c, got + size, sizeof got - size);
        if (n > 0)
            size += (size_t)n;
    }
    cr_expect(memmem(got, size, "\x8a\x01p", 3), "the ping has its pong");
    cr_expect(memmem(got, size, "\"result\":{\"z\":9}", 16));
    tls_conn_free(c);
    tls_ctx_free(ctx);
    LOOP_UNTIL(w.loop, w.n_down == 1);
    world_end(&w);
}

static const struct {
    const char *name;
    uint8_t bytes[16];
    size_t size;
} bad_frames[] = {
    { "not masked", { 0x81, 0x02, '{', '}' }, 4 },
    { "reserved bit", { 0xc1, 0x80, 0, 0, 0, 0 }, 6 },
    { "unknown opcode", { 0x83, 0x80, 0, 0, 0, 0 }, 6 },
    { "too large",
      { 0x81, 0xff, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 'x' },
      15 },
    { "not UTF-8", { 0x81, 0x81, 0, 0, 0, 0, 0xff }, 7 },
    { "continues nothing", { 0x80, 0x80, 0, 0, 0, 0 }, 6 },
};

Test(rpc_ws, bad_frames_end_the_connection, .timeout = 60)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(bad_frames); i++) {
        struct world w = { 0 };
        world_begin(&w, "controller");
        struct tls_ctx *ctx;
        struct tls_conn *c = raw_connect(&w, &ctx);
        cr_assert_gt(tls_conn_write(c, bad_frames[i].bytes, bad_frames[i].size),
                     0);
        uint64_t end = sc_mono_ms() + 3000;
        while (!w.n_down && sc_mono_ms() < end)
            sc_loop_run_once(w.loop, 20);
        cr_expect_eq(w.n_down, 1, "case '%s'", bad_frames[i].name);
        tls_conn_free(c);
        tls_ctx_free(ctx);
        world_end(&w);
    }
}
