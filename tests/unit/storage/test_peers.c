/* Tests of daemons/storage/peers.c and peer_conn.c: two nodes in one loop, over
 * real TLS on the loopback. */
#include "storage/peers.h"

#include "storage/crc32c.h"
#include "tests/lib/free_port.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/socket.h>

#define ID_A "00000000-0000-4000-8000-00000000000a"
#define ID_B "00000000-0000-4000-8000-00000000000b"
#define ID_C "00000000-0000-4000-8000-00000000000c"
enum { A = 10, B = 11, TURNS = 400 };

static char dir[64];
static struct sc_loop *loop;

struct side {
    struct tls_ctx *tls;
    struct peers *peers;
    uint16_t port;
    struct peer_fetch asked;
    struct peer_handover handed;
    char delta[32];
    struct peer_prepared prepared;
    unsigned n_fetch, n_handover, n_prepared, n_up;
    uint16_t from;
    bool silent; /* Does not answer. */
    struct peer_answer *kept;
};
static struct side a, b;

static void on_fetch(void *arg, const struct peer_fetch *q,
                     struct peer_answer *to)
{
    struct side *s = arg;
    s->asked = *q;
    s->n_fetch++;
    if (s->silent) {
        s->kept = to;
        return;
    }
    static uint8_t data[PEER_BLOCK];
    memset(data, 0x5a, sizeof data);
    struct peer_block blocks[2] = {
        { PEER_BLOCK_OK, q->wants[0].version, crc32c(0, data, sizeof data) },
        { PEER_BLOCK_MISSING, 0, 0 },
    };
    peers_answer_fetch(to, 2, blocks, data);
}

static void on_handover(void *arg, uint16_t from, const struct peer_handover *h,
                        struct peer_answer *to)
{
    struct side *s = arg;
    s->from = from;
    s->handed = *h;
    memcpy(s->delta, h->delta, h->delta_size);
    s->n_handover++;
    peers_answer(to, -EBUSY, "not prepared");
}

static void on_prepared(void *arg, uint16_t from, const struct peer_prepared *p)
{
    struct side *s = arg;
    s->from = from;
    s->prepared = *p;
    s->n_prepared++;
}

static void on_up(void *arg, uint16_t nid)
{
    (void)nid;
    ((struct side *)arg)->n_up++;
}

static void path(char ret[128], const char *name, const char *end)
{
    snprintf(ret, 128, "%s/%s%s", dir, name, end);
}

static void make_side(struct side *s, const char *id)
{
    struct sc_err err;
    char ca[128], ca_key[128], key[128], cert[128], table[128];
    SC_AUTO(free) char *csr = NULL, *pem = NULL;
    path(ca, "ca.crt", "");
    path(ca_key, "ca.key", "");
    path(key, id, ".key");
    path(cert, id, ".crt");
    path(table, id, ".json");
    cr_assert_eq(tls_request_create(key, id, "node", &csr, &err), 0);
    cr_assert_eq(tls_sign(ca, ca_key, csr, id, "node", NULL, 1, &pem, &err), 0);
    cr_assert_eq(tls_write_file(cert, pem, 0600, &err), 0);
    cr_assert_eq(tls_ctx_new(ca, cert, key, &s->tls, &err), 0, "%s", err.text);
    s->port = free_port(SOCK_STREAM);
    struct peers_options o = { .port = s->port,
                               .tls = s->tls,
                               .table_file = table };
    struct peers_ops ops = { s, on_fetch, on_handover, on_prepared, on_up };
    cr_assert_eq(peers_new(loop, &o, &ops, &s->peers, &err), 0, "%s", err.text);
}

static void set_table(struct side *s, unsigned self, const char *id_of_b)
{
    char text[1024];
    struct sc_err err;
    snprintf(
        text, sizeof text,
        "{\"self\":%u,\"peers\":["
        "{\"node_id\":\"%s\",\"nid\":%d,\"name\":\"a\",\"region\":\"x\","
        "\"address\":\"127.0.0.1\",\"up\":true,\"ports\":{\"storage\":%u}},"
        "{\"node_id\":\"%s\",\"nid\":%d,\"name\":\"b\",\"region\":\"y\","
        "\"address\":\"127.0.0.1\",\"up\":true,\"ports\":{\"storage\":%u}}"
        "]}",
        self, ID_A, A, a.port, id_of_b, B, b.port);
    cJSON *j = cJSON_Parse(text);
    cr_assert_eq(peers_set(s->peers, j, &err), 0, "%s", err.text);
    cJSON_Delete(j);
}

static void setup(void)
{
    struct sc_err err;
    char ca[128], key[128];
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    strcpy(dir, "/tmp/sc-peers-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    path(ca, "ca.crt", "");
    path(key, "ca.key", "");
    cr_assert_eq(tls_ca_create(ca, key, "test", &err), 0);
    cr_assert_eq(sc_loop_new(false, &loop, &err), 0);
    make_side(&a, ID_A);
    make_side(&b, ID_B);
    set_table(&a, A, ID_B);
    set_table(&b, B, ID_B);
}

static void teardown(void)
{
    char command[128];
    peers_free(a.peers);
    peers_free(b.peers);
    tls_ctx_free(a.tls);
    tls_ctx_free(b.tls);
    sc_loop_free(loop);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}

struct outcome {
    bool done;
    int res;
    struct peer_reply reply;
};

static void on_done(void *arg, int res, struct peer_reply *reply)
{
    struct outcome *o = arg;
    cr_assert_not(o->done);
    o->done = true;
    o->res = res;
    if (reply) {
        o->reply = *reply;
        reply->data = NULL; /* Taken. */
    }
}

static void wait_for(const bool *flag)
{
    for (int i = 0; !*flag && i < TURNS; i++)
        sc_loop_run_once(loop, 100);
    cr_assert(*flag, "nothing came");
}

static const struct peer_fetch fetch = { .volume = "abcdefghijklmno",
                                         .n = 2,
                                         .wants = { { 5, 77 }, { 6, 78 } } };

Test(peers, a_fetch_is_answered_with_data, .init = setup, .fini = teardown)
{
    struct outcome o = { 0 };
    peers_fetch(a.peers, B, &fetch, on_done, &o);
    cr_expect_not(o.done); /* Never inside the call. */
    wait_for(&o.done);
    cr_assert_eq(o.res, 0);
    cr_expect_eq(b.asked.n, 2);
    cr_expect_eq(b.asked.wants[1].version, 78);
    cr_expect_eq(o.reply.n, 2);
    cr_expect_eq(o.reply.blocks[0].version, 77);
    cr_expect_eq(o.reply.blocks[1].status, PEER_BLOCK_MISSING);
    cr_expect_eq(o.reply.data[4095], 0x5a);
    cr_expect_eq(a.n_up, 1);
    cr_expect_gt(peers_wire_in(a.peers), 50);
    cr_expect_gt(peers_wire_out(b.peers), 50);
    peer_reply_clear(&o.reply);
}

Test(peers, a_node_that_was_deleted_gets_no_block, .init = setup,
     .fini = teardown)
{
    struct outcome o = { 0 };
    char text[512];
    snprintf(text, sizeof text,
             "{\"self\":%d,\"peers\":[{\"node_id\":\"%s\",\"nid\":%d,"
             "\"name\":\"b\",\"region\":\"y\",\"address\":\"127.0.0.1\","
             "\"up\":true,\"ports\":{\"storage\":%u}}]}",
             B, ID_B, B, b.port);
    cJSON *without_a = cJSON_Parse(text);
    cr_assert_eq(peers_set(b.peers, without_a, NULL), 0);
    cJSON_Delete(without_a);
    peers_fetch(a.peers, B, &fetch, on_done, &o);
    wait_for(&o.done);
    cr_expect_eq(o.reply.error ? o.reply.error : o.res, -EACCES);
    cr_expect_eq(b.n_fetch, 0);
    peer_reply_clear(&o.reply);
}

Test(peers, a_handover_arrives_with_the_name_of_its_sender, .init = setup,
     .fini = teardown)
{
    struct outcome o = { 0 };
    struct peer_handover h = { .volume = "abcdefghijklmno",
                               .migration = "m1",
                               .epoch = 9,
                               .delta = (const uint8_t *)"delta",
                               .delta_size = 5 };
    peers_handover(a.peers, B, &h, on_done, &o);
    wait_for(&o.done);
    cr_assert_eq(o.res, 0);
    cr_expect_eq(o.reply.error, -EBUSY);
    cr_expect_str_eq(o.reply.text, "not prepared");
    cr_expect_eq(b.from, A);
    cr_expect_eq(b.handed.epoch, 9);
    cr_expect_str_eq(b.delta, "delta");
}

Test(peers, a_notice_arrives, .init = setup, .fini = teardown)
{
    struct peer_prepared m = { .migration = "m1", .seq = 33 };
    peers_prepared(b.peers, A, &m);
    for (int i = 0; !a.n_prepared && i < TURNS; i++)
        sc_loop_run_once(loop, 100);
    cr_assert_eq(a.n_prepared, 1);
    cr_expect_eq(a.prepared.seq, 33);
    cr_expect_eq(a.from, B);
}

Test(peers, a_node_that_is_not_there_is_told_so, .init = setup,
     .fini = teardown)
{
    struct outcome o = { 0 }, unknown = { 0 };
    peers_fetch(a.peers, 99, &fetch, on_done, &unknown);
    wait_for(&unknown.done);
    cr_expect_eq(unknown.res, -EHOSTUNREACH);
    peers_free(SC_TAKE(b.peers));
    peers_fetch(a.peers, B, &fetch, on_done, &o);
    wait_for(&o.done);
    cr_expect_eq(o.res, -ECONNRESET);
}

Test(peers, another_node_at_the_address_is_not_believed, .init = setup,
     .fini = teardown)
{
    struct outcome o = { 0 };
    set_table(&a, A, ID_C); /* a thinks that C lives where b does. */
    peers_fetch(a.peers, B, &fetch, on_done, &o);
    wait_for(&o.done);
    cr_expect_eq(o.res, -ECONNRESET);
    cr_expect_eq(b.n_fetch, 0);
}

Test(peers, a_lost_connection_fails_what_was_asked, .init = setup,
     .fini = teardown)
{
    struct outcome o = { 0 };
    b.silent = true;
    peers_fetch(a.peers, B, &fetch, on_done, &o);
    for (int i = 0; !b.kept && i < TURNS; i++)
        sc_loop_run_once(loop, 100);
    cr_assert_not_null(b.kept);
    peers_free(SC_TAKE(b.peers));
    wait_for(&o.done);
    cr_expect_eq(o.res, -ECONNRESET);
}

Test(peers, the_table_is_kept_for_a_start_without_the_controller, .init = setup,
     .fini = teardown)
{
    struct outcome o = { 0 };
    char table[128];
    struct sc_err err;
    path(table, ID_A, ".json");
    peers_free(SC_TAKE(a.peers));
    struct peers_options options = { .port = free_port(SOCK_STREAM),
                                     .tls = a.tls,
                                     .table_file = table };
    struct peers_ops ops = { &a, on_fetch, on_handover, on_prepared, on_up };
    cr_assert_eq(peers_new(loop, &options, &ops, &a.peers, &err), 0);
    peers_fetch(a.peers, B, &fetch, on_done, &o);
    wait_for(&o.done);
    cr_expect_eq(o.res, 0);
    peer_reply_clear(&o.reply);
}

Test(peers, candidates_are_the_holder_first_then_the_others, .init = setup,
     .fini = teardown)
{
    uint16_t nids[4];
    cr_assert_eq(peers_learn(a.peers, ID_C, 12, "127.0.0.1"), 0);
    cr_assert_eq(peers_candidates(a.peers, 12, nids, 4), 2);
    cr_expect_eq(nids[0], 12);
    cr_expect_eq(nids[1], B);
    cr_assert_eq(peers_candidates(a.peers, A, nids, 4), 2); /* Not itself. */
    cr_assert_eq(peers_candidates(a.peers, B, nids, 1), 1);
    cr_expect_eq(nids[0], B);
}

Test(peers, strangers_that_say_nothing_hold_a_limited_number_of_connections,
     .init = setup, .fini = teardown)
{
    enum { N = 300 };
    int fds[N];
    struct outcome o = { 0 };
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(b.port) };
    inet_pton(AF_INET, "127.0.0.1", &in.sin_addr);
    for (int i = 0; i < N; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert_eq(connect(fds[i], (struct sockaddr *)&in, sizeof in), 0);
        sc_loop_run_once(loop, 10);
    }
    char c;
    cr_expect_eq(recv(fds[0], &c, 1, MSG_DONTWAIT), 0, "the oldest is closed");
    cr_expect_eq(recv(fds[N - 1], &c, 1, MSG_DONTWAIT), -1);
    peers_fetch(a.peers, B, &fetch, on_done, &o);
    wait_for(&o.done);
    cr_expect_eq(o.res, 0, "and a node gets through");
    peer_reply_clear(&o.reply);
    for (int i = 0; i < N; i++)
        close(fds[i]);
}

Test(peers, garbage_on_the_port_harms_nobody, .init = setup, .fini = teardown)
{
    struct outcome o = { 0 };
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(b.port) };
    inet_pton(AF_INET, "127.0.0.1", &in.sin_addr);
    for (int i = 0; i < 20; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert_eq(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
        cr_assert_eq(send(fd, "GET / HTTP/1.0\r\n\r\n", 18, 0), 18);
        sc_loop_run_once(loop, 10);
        close(fd);
        sc_loop_run_once(loop, 10);
    }
    peers_fetch(a.peers, B, &fetch, on_done, &o);
    wait_for(&o.done);
    cr_expect_eq(o.res, 0);
    peer_reply_clear(&o.reply);
}
