#include "common/rpc.h"
#include "helper.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct world {
    struct temp_dir dir;
    struct sc_loop *loop;
    struct rpc_unix_server *server;
    struct rpc_client *client;
    struct rpc_service at_server, at_client;
    unsigned n_up, n_down, n_client_up, n_client_down, n_done;
    struct sc_err done, down;
    char *result;
};

static void m_echo(void *ctx, struct rpc_conn *from, const cJSON *params,
                   struct rpc_request *req)
{
    (void)ctx;
    cr_expect_eq(rpc_conn_role(from), RPC_ROLE_LOCAL);
    cr_expect_eq(strncmp(rpc_conn_peer(from), "pid ", 4), 0);
    rpc_reply(req, cJSON_Duplicate(params, true));
}

static void m_silent(void *ctx, struct rpc_conn *from, const cJSON *params,
                     struct rpc_request *req)
{
    (void)ctx;
    (void)params;
    rpc_conn_close(from);
    rpc_reply(req, NULL);
}

static void m_free_client(void *ctx, struct rpc_conn *from, const cJSON *params,
                          struct rpc_request *req)
{
    (void)from;
    (void)params;
    struct world *w = ctx;
    rpc_reply(req, NULL);
    rpc_client_free(SC_TAKE(w->client));
}

static const struct rpc_method methods[] = {
    { "echo", RPC_ROLE_LOCAL, m_echo },
    { "silent", RPC_ROLE_LOCAL, m_silent },
    { "free.client", RPC_ROLE_LOCAL, m_free_client },
    { 0 },
};

static void server_up(void *ctx, struct rpc_conn *c)
{
    (void)c;
    ((struct world *)ctx)->n_up++;
}
static void server_down(void *ctx, struct rpc_conn *c, const struct sc_err *why)
{
    (void)c;
    ((struct world *)ctx)->n_down++;
    ((struct world *)ctx)->down = *why;
}
static void client_up(void *ctx, struct rpc_conn *c)
{
    struct world *w = ctx;
    cr_expect_eq(rpc_client_conn(w->client), c);
    w->n_client_up++;
}
static void client_down(void *ctx, struct rpc_conn *c, const struct sc_err *why)
{
    (void)c;
    (void)why;
    struct world *w = ctx;
    cr_expect_null(rpc_client_conn(w->client));
    w->n_client_down++;
}
static void on_done(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct world *w = arg;
    w->n_done++;
    w->done = *err;
    free(w->result);
    w->result = result ? cJSON_PrintUnformatted(result) : NULL;
}

static void world_listen(struct world *w)
{
    struct sc_err err;
    cr_assert_eq(rpc_unix_listen(w->loop, in(&w->dir, "s.sock"), &w->at_server,
                                 &w->server, &err),
                 0, "%s", err.text);
}

static void world_connect(struct world *w)
{
    cr_assert_eq(rpc_unix_client_new(w->loop, in(&w->dir, "s.sock"),
                                     &w->at_client, &w->client, NULL),
                 0);
}

static void world_begin(struct world *w)
{
    w->dir = temp_dir_new();
    cr_assert_eq(sc_loop_new(false, &w->loop, NULL), 0);
    w->at_server = (struct rpc_service){
        .methods = methods, .ctx = w, .up = server_up, .down = server_down
    };
    w->at_client = (struct rpc_service){
        .methods = methods, .ctx = w, .up = client_up, .down = client_down
    };
    world_listen(w);
}

static void world_end(struct world *w)
{
    rpc_client_free(w->client);
    rpc_unix_server_free(w->server);
    sc_loop_free(w->loop);
    free(w->result);
    temp_dir_p(&w->dir);
}

static int raw_connect(struct world *w)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", in(&w->dir, "s.sock"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* Turns the loop until 'fd' has said 'want', or five seconds have gone. */
static bool hears(struct world *w, int fd, const char *want)
{
    char got[4096];
    size_t size = 0;
    uint64_t end = sc_mono_ms() + 5000;
    while (sc_mono_ms() < end && size < sizeof got) {
        sc_loop_run_once(w->loop, 5);
        ssize_t n = read(fd, got + size, sizeof got - size);
        if (n > 0)
            size += (size_t)n;
        if (memmem(got, size, want, strlen(want)))
            return true;
    }
    return false;
}

Test(rpc_unix, calls_pass_both_ways_over_the_socket, .timeout = 10)
{
    struct world w = { 0 };
    world_begin(&w);
    world_connect(&w);
    LOOP_UNTIL(w.loop, w.n_client_up && w.n_up);
    rpc_call(w.loop, rpc_client_conn(w.client), "echo",
             cJSON_Parse("{\"text\":\"a\\nb\"}"), 0, on_done, &w);
    LOOP_UNTIL(w.loop, w.n_done == 1);
    cr_expect_str_eq(w.result, "{\"text\":\"a\\nb\"}");
    world_end(&w);
}

Test(rpc_unix, a_message_byte_by_byte_is_one_message, .timeout = 20)
{
    struct world w = { 0 };
    world_begin(&w);
    int fd = raw_connect(&w);
    static const char text[] = "{\"id\":1,\"method\":\"echo\",\"params\":"
                               "{\"n\":5}}\n{\"id\":2,\"method\":\"echo\"}\n";
    for (size_t i = 0; i < sizeof text - 1; i++) {
        cr_assert_eq(write(fd, text + i, 1), 1);
        sc_loop_run_once(w.loop, 1);
    }
    cr_expect(hears(&w, fd, "\"id\":2,\"result\":{}}\n"));
    close(fd);
    LOOP_UNTIL(w.loop, w.n_down == 1);
    world_end(&w);
}

Test(rpc_unix, several_messages_in_one_write_and_empty_lines, .timeout = 10)
{
    struct world w = { 0 };
    world_begin(&w);
    int fd = raw_connect(&w);
    static const char text[] = "\n\n{\"id\":1,\"method\":\"echo\"}\n\n"
                               "{\"id\":2,\"method\":\"echo\"}\nnonsense\n";
    cr_assert_gt(write(fd, text, sizeof text - 1), 0);
    cr_expect(hears(&w, fd, "-32700"));
    cr_expect_eq(w.n_down, 0, "nonsense is answered, not punished");
    close(fd);
    world_end(&w);
}

Test(rpc_unix, a_line_without_end_is_cut_at_the_limit, .timeout = 60)
{
    struct world w = { 0 };
    world_begin(&w);
    int fd = raw_connect(&w);
    static char text[64 << 10];
    memset(text, 'x', sizeof text);
    uint64_t end = sc_mono_ms() + 30000;
    while (!w.n_down && sc_mono_ms() < end) {
        send(fd, text, sizeof text, MSG_NOSIGNAL);
        sc_loop_run_once(w.loop, 1);
    }
    cr_expect_eq(w.n_down, 1);
    cr_expect_eq(w.down.code, -EMSGSIZE, "%s", w.down.text);
    close(fd);
    world_end(&w);
}

Test(rpc_unix, large_messages_pass, .timeout = 60)
{
    struct world w = { 0 };
    world_begin(&w);
    world_connect(&w);
    LOOP_UNTIL(w.loop, w.n_client_up);
    const size_t size = 6 << 20;
    char *text = malloc(size + 1);
    memset(text, 'x', size);
    text[size] = '\0';
    for (int i = 0; i < 2; i++) {
        cJSON *params = cJSON_CreateObject();
        cJSON_AddStringToObject(params, "text", text);
        rpc_call(w.loop, rpc_client_conn(w.client), "echo", params, 0, on_done,
                 &w);
    }
    free(text);
    uint64_t end = sc_mono_ms() + 40000;
    while (w.n_done < 2 && sc_mono_ms() < end)
        sc_loop_run_once(w.loop, 20);
    cr_expect_eq(w.n_done, 2);
    cr_expect_eq(w.done.code, 0, "%s", w.done.text);
    world_end(&w);
}

Test(rpc_unix, who_does_not_read_is_cut_at_the_limit, .timeout = 60)
{
    struct world w = { 0 };
    world_begin(&w);
    world_connect(&w);
    LOOP_UNTIL(w.loop, w.n_client_up);
    char *text = malloc((4 << 20) + 1);
    memset(text, 'x', 4 << 20);
    text[4 << 20] = '\0';
    int r = 0;
    for (int i = 0; i < 20 && r == 0; i++) { /* The server has no turn. */
        cJSON *params = cJSON_CreateObject();
        cJSON_AddStringToObject(params, "text", text);
        r = rpc_notify(rpc_client_conn(w.client), "noise", params);
    }
    cr_expect_eq(r, -ENOBUFS);
    free(text);
    LOOP_UNTIL(w.loop, w.n_client_down == 1);
    world_end(&w);
}

Test(rpc_unix, a_lost_connection_fails_the_pending_and_comes_back,
     .timeout = 20)
{
    struct world w = { 0 };
    world_begin(&w);
    world_connect(&w);
    LOOP_UNTIL(w.loop, w.n_client_up == 1);
    rpc_call(w.loop, rpc_client_conn(w.client), "silent", NULL, 0, on_done, &w);
    LOOP_UNTIL(w.loop, w.n_done == 1);
    cr_expect_eq(w.done.code, -ECONNRESET);
    LOOP_UNTIL(w.loop, w.n_client_up == 2);
    rpc_unix_server_free(w.server);
    LOOP_UNTIL(w.loop, w.n_client_down == 2);
    world_listen(&w);
    LOOP_UNTIL(w.loop, w.n_client_up == 3);
    world_end(&w);
}

Test(rpc_unix, a_client_may_be_freed_from_a_handler, .timeout = 10)
{
    struct world w = { 0 };
    world_begin(&w);
    world_connect(&w);
    LOOP_UNTIL(w.loop, w.n_client_up && w.n_up);
    rpc_call(w.loop, rpc_client_conn(w.client), "free.client", NULL, 0, on_done,
             &w);
    LOOP_UNTIL(w.loop, w.n_down == 1);
    cr_expect_eq(w.n_done, 1);
    cr_expect_eq(w.done.code, -ECONNRESET);
    world_end(&w);
}

Test(rpc_unix, a_stale_socket_is_replaced_a_served_one_is_not, .timeout = 10)
{
    struct world w = { 0 };
    world_begin(&w);
    struct rpc_unix_server *second = NULL;
    struct sc_err err;
    cr_expect_eq(rpc_unix_listen(w.loop, in(&w.dir, "s.sock"), &w.at_server,
                                 &second, &err),
                 -EADDRINUSE);
    struct stat st;
    cr_assert_eq(stat(in(&w.dir, "s.sock"), &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0660);

    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", in(&w.dir, "old.sock"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    close(fd); /* As kill -9 leaves it. */
    cr_expect_eq(rpc_unix_listen(w.loop, in(&w.dir, "old.sock"), &w.at_server,
                                 &second, &err),
                 0, "%s", err.text);
    rpc_unix_server_free(second);
    cr_expect_neq(access(in(&w.dir, "old.sock"), F_OK), 0);

    cr_assert_eq(tls_write_file(in(&w.dir, "file"), "x", 0600, &err), 0);
    cr_expect_eq(rpc_unix_listen(w.loop, in(&w.dir, "file"), &w.at_server,
                                 &second, &err),
                 -EEXIST);
    world_end(&w);
}
