/* The OVSDB client against a database that this test plays on a socket. */
#include "common/json.h"
#include "node/ovs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ovsdb-server's part: answers selects with 'tables', keeps what is sent. */
struct server {
    struct sc_loop *loop;
    int listen_fd, fd;
    struct sc_source *accepting, *reading;
    char path[64];
    const char *tables[6]; /* Rows as JSON, in the order of ovs_read_ops. */
    const char *interface; /* Row answered after an add. */
    const char *write_error;
    int n_write_errors;  /* How many writes fail with it. */
    char written[16384]; /* All that was transacted but selects and waits. */
    int n_reads, n_writes;
    bool silent, hang_up, echoed;
    char in[65536];
    size_t size;
};

static void send_text(struct server *s, const char *text)
{
    cr_assert_eq(send(s->fd, text, strlen(text), MSG_NOSIGNAL),
                 (ssize_t)strlen(text));
}

static void answer(struct server *s, const cJSON *m)
{
    const cJSON *params = cJSON_GetObjectItem(m, "params"), *op;
    cJSON *result = cJSON_CreateArray(), *reply = cJSON_CreateObject();
    int i = 0, wrote = 0;
    bool is_read = false;
    cJSON_ArrayForEach(op, params)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(op, "op"));
        const char *table =
            cJSON_GetStringValue(cJSON_GetObjectItem(op, "table"));
        if (!name)
            continue; /* The database's name. */
        cJSON *r = cJSON_CreateObject();
        if (strcmp(name, "select") == 0) {
            const cJSON *columns = cJSON_GetObjectItem(op, "columns");
            const char *first =
                cJSON_GetStringValue(cJSON_GetArrayItem(columns, 0));
            const char *rows = s->tables[i < 6 ? i : 5];
            if (strcmp(first, "next_cfg") == 0)
                rows = "[{\"next_cfg\":7}]";
            else if (strcmp(first, "ofport") == 0)
                rows = s->interface;
            else
                is_read = true;
            cJSON_AddItemToObject(r, "rows", cJSON_Parse(rows ? rows : "[]"));
            i++;
        } else if (strcmp(name, "wait") != 0) {
            SC_AUTO(free) char *text = cJSON_PrintUnformatted(op);
            size_t used = strlen(s->written);
            wrote = 1;
            if (!strstr(text, "next_cfg"))
                snprintf(s->written + used, sizeof s->written - used, "%s\n",
                         text);
        }
        (void)table;
        cJSON_AddItemToArray(result, r);
    }
    s->n_reads += is_read;
    s->n_writes += wrote;
    if (wrote && s->write_error && s->n_write_errors > 0) {
        s->n_write_errors--;
        s->written[0] = '\0';
        cJSON_AddItemToArray(result, cJSON_Parse(s->write_error));
    }
    cJSON_AddItemToObject(reply, "id",
                          cJSON_Duplicate(cJSON_GetObjectItem(m, "id"), 1));
    cJSON_AddItemToObject(reply, "result", result);
    cJSON_AddNullToObject(reply, "error");
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(reply);
    cJSON_Delete(reply);
    send_text(s, text);
}

static void on_read(void *arg, int fd, uint32_t events)
{
    struct server *s = arg;
    (void)events;
    ssize_t n = recv(fd, s->in + s->size, sizeof s->in - s->size, 0);
    if (n <= 0 || s->hang_up) {
        sc_source_free(SC_TAKE(s->reading));
        close(SC_TAKE_FD(s->fd));
        s->size = 0;
        s->hang_up = false;
        return;
    }
    s->size += (size_t)n;
    while (s->size && s->fd >= 0) {
        const char *end = NULL;
        SC_AUTO(cjson_free)
        cJSON *m = cJSON_ParseWithLengthOpts(s->in, s->size, &end, 0);
        if (!m)
            break;
        memmove(s->in, end, s->size -= (size_t)(end - s->in));
        if (cJSON_GetObjectItem(m, "method")) {
            if (!s->silent)
                answer(s, m);
        } else {
            s->echoed = true;
        }
    }
}

static void on_accept(void *arg, int fd, uint32_t events)
{
    struct server *s = arg;
    (void)events;
    s->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    cr_assert_geq(s->fd, 0);
    cr_assert_eq(
        sc_loop_add_fd(s->loop, s->fd, EPOLLIN, on_read, s, &s->reading), 0);
    /* A probe, cut in two, glued to nothing: framing must not care. */
    send_text(s, "{\"method\":\"echo\",\"params\":[\"a}b\\\"{\"],");
    send_text(s, "\"id\":\"echo\"}");
}

static void serve(struct server *s)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    struct sc_err err;
    memset(s, 0, sizeof *s);
    s->fd = -1;
    s->interface = "[{\"ofport\":3,\"error\":[\"set\",[]]}]";
    snprintf(s->path, sizeof s->path, "/tmp/test_ovs.%d.sock", getpid());
    unlink(s->path);
    strcpy(a.sun_path, s->path);
    cr_assert_eq(sc_loop_new(false, &s->loop, &err), 0);
    s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(s->listen_fd, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(listen(s->listen_fd, 5), 0);
    cr_assert_eq(sc_loop_add_fd(s->loop, s->listen_fd, EPOLLIN, on_accept, s,
                                &s->accepting),
                 0);
}

static void unserve(struct server *s)
{
    sc_source_free(s->accepting);
    sc_source_free(s->reading);
    if (s->fd >= 0)
        close(s->fd);
    close(s->listen_fd);
    unlink(s->path);
    sc_loop_free(s->loop);
}

struct outcome {
    int n, code;
    char text[512];
};

static void on_done(void *arg, const struct sc_err *err)
{
    struct outcome *o = arg;
    o->n++;
    o->code = err->code;
    snprintf(o->text, sizeof o->text, "%s", err->text);
}

static void until(struct server *s, struct outcome *o, int n)
{
    for (int i = 0; i < 400 && o->n < n; i++)
        sc_loop_run_once(s->loop, 10);
    cr_assert_eq(o->n, n, "an answer in four seconds");
}

#define B "[\"uuid\",\"b0000000-0000-0000-0000-000000000000\"]"
#define P1 "[\"uuid\",\"a1000000-0000-0000-0000-000000000000\"]"
#define P2 "[\"uuid\",\"a2000000-0000-0000-0000-000000000000\"]"
#define C "[\"uuid\",\"c0000000-0000-0000-0000-000000000000\"]"
#define S "[\"uuid\",\"50000000-0000-0000-0000-000000000000\"]"
#define ROOT "[{\"_uuid\":[\"uuid\",\"r\"],\"bridges\":" B ",\"ssl\":" S "}]"
#define BRIDGE                                                                 \
    "[{\"_uuid\":" B ",\"name\":\"br-sc\",\"ports\":[\"set\",[" P1 "," P2      \
    "]],\"controller\":" C ",\"datapath_type\":\"netdev\",\"fail_mode\":"      \
    "\"secure\",\"protocols\":[\"set\",[\"OpenFlow13\",\"OpenFlow14\","        \
    "\"OpenFlow15\"]],\"other_config\":[\"map\",[[\"datapath-id\","            \
    "\"0000000000000007\"],[\"disable-in-band\",\"true\"],[\"x\",\"y\"]]]}]"
#define PORTS                                                                  \
    "[{\"_uuid\":" P1 ",\"name\":\"vx1\"},{\"_uuid\":" P2                      \
    ",\"name\":\"sc0123456789\"}]"
#define INTERFACES                                                             \
    "[{\"_uuid\":[\"uuid\",\"i1\"],\"name\":\"vx1\",\"type\":\"vxlan\","       \
    "\"options\":[\"map\",[[\"dst_port\",\"4789\"],[\"key\",\"flow\"],"        \
    "[\"remote_ip\",\"10.0.0.1\"]]],\"external_ids\":[\"map\",[]]},"           \
    "{\"_uuid\":[\"uuid\",\"i2\"],\"name\":\"sc0123456789\",\"type\":\"\","    \
    "\"options\":[\"map\",[]],\"external_ids\":[\"map\",[[\"iface-id\","       \
    "\"01234567-89ab-4000-8000-000000000000\"]]]}]"
#define CONTROLLER                                                             \
    "[{\"_uuid\":" C ",\"target\":\"ssl:10.0.0.9:6653\",\"connection_mode\":"  \
    "\"out-of-band\",\"inactivity_probe\":5000,\"max_backoff\":1000,"          \
    "\"controller_rate_limit\":2000,\"controller_burst_limit\":500}]"
#define SSL                                                                    \
    "[{\"_uuid\":" S ",\"private_key\":\"/k\",\"certificate\":\"/c\","         \
    "\"ca_cert\":\"/ca\"}]"

/* A database in which everything is as wanted. */
static void complete(struct server *s)
{
    static const char *const tables[] = { ROOT,       BRIDGE,     PORTS,
                                          INTERFACES, CONTROLLER, SSL };
    memcpy(s->tables, tables, sizeof tables);
}

static const struct ovs_bridge wanted = {
    .name = "br-sc",
    .datapath = "netdev",
    .nid = 7,
    .controller = "ssl:10.0.0.9:6653",
    .ca_file = "/ca",
    .cert_file = "/c",
    .key_file = "/k",
};

/* A client whose bridge is there. */
static struct ovs *client(struct server *s)
{
    struct ovs *o;
    struct sc_err err;
    struct outcome done = { 0 };
    cr_assert_eq(ovs_new(s->loop, s->path, &o, &err), 0);
    ovs_ensure_bridge(o, &wanted, on_done, &done);
    cr_expect_eq(done.n, 0, "never from inside the call");
    until(s, &done, 1);
    cr_expect_eq(done.code, 0, "%s", done.text);
    return o;
}

Test(ovs, a_bridge_that_is_as_wanted_is_not_touched)
{
    struct server s;
    serve(&s);
    complete(&s);
    SC_AUTO(ovs_free) struct ovs *o = client(&s);
    cr_expect_str_eq(s.written, "");
    cr_expect_eq(s.n_writes, 0);
    cr_expect(s.echoed, "the server's probe is answered");
    unserve(&s);
}

Test(ovs, an_empty_database_gets_all_in_one_transaction)
{
    struct server s;
    static const char *const parts[] = {
        "\"table\":\"SSL\"",
        "\"private_key\":\"/k\"",
        "\"target\":\"ssl:10.0.0.9:6653\"",
        "\"connection_mode\":\"out-of-band\"",
        "\"fail_mode\":\"secure\"",
        "\"datapath_type\":\"netdev\"",
        "[\"set\",[\"OpenFlow13\",\"OpenFlow14\",\"OpenFlow15\"]]",
        "[\"datapath-id\",\"0000000000000007\"]",
        "[\"bridges\",\"insert\",[\"set\",[[\"named-uuid\",\"br0\"]]]]",
    };
    serve(&s);
    s.tables[0] = "[{\"_uuid\":[\"uuid\",\"r\"],\"bridges\":[\"set\",[]],"
                  "\"ssl\":[\"set\",[]]}]";
    SC_AUTO(ovs_free) struct ovs *o = client(&s);
    for (size_t i = 0; i < SC_ARRAY_LEN(parts); i++)
        cr_expect(strstr(s.written, parts[i]), "%s in\n%s", parts[i],
                  s.written);
    cr_expect_eq(s.n_writes, 1);
    unserve(&s);
}

static const struct {
    const char *name;
    int table;
    const char *have, *want;
} changes[] = {
    { "fail mode", 1, "\"fail_mode\":\"secure\"", "\"fail_mode\":\"secure\"" },
    { "datapath id", 1, "0000000000000007", "\"delete\"" },
    { "protocols", 1, "OpenFlow15", "\"protocols\"" },
    { "controller", 4, "ssl:10.0.0.9:6653",
      "\"controller\":[\"set\",[[\"named-uuid\",\"ctl\"]]]" },
    { "probe", 4, "\"inactivity_probe\":5000", "\"inactivity_probe\":5000" },
    { "key", 5, "\"/k\"", "\"private_key\":\"/k\"" },
};

Test(ovs, only_what_differs_is_written)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(changes); i++) {
        struct server s;
        char table[4096];
        serve(&s);
        complete(&s);
        /* Spoils one value in what the database has. */
        snprintf(table, sizeof table, "%s", s.tables[changes[i].table]);
        char *at = strstr(table, changes[i].have);
        cr_assert(at, "case '%s'", changes[i].name);
        at[strlen(changes[i].have) - 2] = '9';
        s.tables[changes[i].table] = table;
        SC_AUTO(ovs_free) struct ovs *o = client(&s);
        cr_expect(strstr(s.written, changes[i].want), "case '%s':\n%s",
                  changes[i].name, s.written);
        cr_expect_not(strstr(s.written, "\"x\""),
                      "case '%s': others' keys stay:\n%s", changes[i].name,
                      s.written);
        unserve(&s);
    }
}

Test(ovs, the_mesh_is_made_by_difference)
{
    struct server s;
    struct outcome done = { 0 };
    const struct ovs_peer same[] = { { 1, "10.0.0.1" } };
    const struct ovs_peer more[] = { { 1, "10.0.0.1" }, { 2, "10.0.0.2" } };
    const struct ovs_peer moved[] = { { 1, "10.0.0.99" } };
    serve(&s);
    complete(&s);
    SC_AUTO(ovs_free) struct ovs *o = client(&s);
    ovs_set_mesh(o, same, 1, on_done, &done);
    until(&s, &done, 1);
    cr_expect_str_eq(s.written, "");
    ovs_set_mesh(o, more, 2, on_done, &done);
    until(&s, &done, 2);
    cr_expect(strstr(s.written,
                     "\"name\":\"vx2\",\"type\":\"vxlan\",\"options\""
                     ":[\"map\",[[\"remote_ip\",\"10.0.0.2\"],"
                     "[\"key\",\"flow\"],[\"dst_port\",\"4789\"]]]"),
              "%s", s.written);
    cr_expect_not(strstr(s.written, "10.0.0.1\""), "%s", s.written);
    s.written[0] = '\0';
    ovs_set_mesh(o, moved, 1, on_done, &done);
    until(&s, &done, 3);
    cr_expect(strstr(s.written, "[\"ports\",\"delete\",[\"set\",[" P1 "]]]"),
              "%s", s.written);
    cr_expect(strstr(s.written, "10.0.0.99"), "%s", s.written);
    s.written[0] = '\0';
    ovs_set_mesh(o, NULL, 0, on_done, &done);
    until(&s, &done, 4);
    cr_expect_str_eq(s.written,
                     "{\"op\":\"mutate\",\"table\":\"Bridge\",\"where\":[["
                     "\"_uuid\",\"==\"," B "]],\"mutations\":[[\"ports\","
                     "\"delete\",[\"set\",[" P1 "]]]]}\n");
    unserve(&s);
}

Test(ovs, guests_ports_are_added_deleted_and_retained_by_difference)
{
    struct server s;
    struct outcome done = { 0 };
    const struct ovs_port there = { "sc0123456789",
                                    "01234567-89ab-4000-8000-000000000000",
                                    NULL };
    const struct ovs_port fresh = { "scfedcba9876", "fedcba98", "vm" };
    const char *keep[] = { "sc0123456789" };
    serve(&s);
    complete(&s);
    SC_AUTO(ovs_free) struct ovs *o = client(&s);
    ovs_add_port(o, &there, on_done, &done);
    until(&s, &done, 1);
    ovs_retain_ports(o, keep, 1, on_done, &done);
    until(&s, &done, 2);
    ovs_del_port(o, "scfedcba9876", on_done, &done);
    until(&s, &done, 3);
    cr_expect_str_eq(s.written, "");
    ovs_add_port(o, &fresh, on_done, &done);
    until(&s, &done, 4);
    cr_expect_eq(done.code, 0, "%s", done.text);
    cr_expect(strstr(s.written, "\"external_ids\":[\"map\",[[\"iface-id\","
                                "\"fedcba98\"],[\"vm-id\",\"vm\"]]]"),
              "%s", s.written);
    s.written[0] = '\0';
    ovs_retain_ports(o, NULL, 0, on_done, &done);
    until(&s, &done, 5);
    cr_expect(strstr(s.written, P2), "%s", s.written);
    cr_expect_not(strstr(s.written, P1), "tunnels stay: %s", s.written);
    unserve(&s);
}

Test(ovs, a_port_that_cannot_be_opened_is_reported_in_ovs_own_words)
{
    struct server s;
    struct outcome done = { 0 };
    const struct ovs_port p = { "scfedcba9876", "fedcba98", NULL };
    serve(&s);
    complete(&s);
    s.interface = "[{\"ofport\":-1,\"error\":\"could not open network device "
                  "scfedcba9876 (No such device)\"}]";
    SC_AUTO(ovs_free) struct ovs *o = client(&s);
    ovs_add_port(o, &p, on_done, &done);
    until(&s, &done, 1);
    cr_expect_eq(done.code, -ENODEV);
    cr_expect(strstr(done.text, "No such device"), "%s", done.text);
    unserve(&s);
}

Test(ovs, somebody_elses_change_in_between_is_read_again)
{
    struct server s;
    struct outcome done = { 0 };
    const struct ovs_peer peers[] = { { 2, "10.0.0.2" } };
    serve(&s);
    complete(&s);
    SC_AUTO(ovs_free) struct ovs *o = client(&s);
    s.write_error = "{\"error\":\"constraint violation\",\"details\":\"x\"}";
    s.n_write_errors = 2;
    ovs_set_mesh(o, peers, 1, on_done, &done);
    until(&s, &done, 1);
    cr_expect_eq(done.code, 0, "%s", done.text);
    cr_expect_eq(s.n_writes, 3);
    s.write_error = "{\"error\":\"permission error\",\"details\":\"no\"}";
    s.n_write_errors = 1;
    ovs_set_mesh(o, NULL, 0, on_done, &done);
    until(&s, &done, 2);
    cr_expect_eq(done.code, -EPROTO);
    cr_expect(strstr(done.text, "permission error: no"), "%s", done.text);
    unserve(&s);
}

Test(ovs, a_lost_connection_starts_the_operation_again)
{
    struct server s;
    struct outcome done = { 0 };
    serve(&s);
    complete(&s);
    SC_AUTO(ovs_free) struct ovs *o = client(&s);
    s.hang_up = true;
    ovs_set_mesh(o, NULL, 0, on_done, &done);
    until(&s, &done, 1);
    cr_expect_eq(done.code, 0, "%s", done.text);
    unserve(&s);
}

Test(ovs, ports_before_the_bridge_are_refused)
{
    struct server s;
    struct outcome done = { 0 };
    struct ovs *o;
    struct sc_err err;
    serve(&s);
    complete(&s);
    cr_assert_eq(ovs_new(s.loop, s.path, &o, &err), 0);
    ovs_del_port(o, "sc0123456789", on_done, &done);
    until(&s, &done, 1);
    cr_expect_eq(done.code, -ENOENT);
    ovs_free(o);
    unserve(&s);
}

Test(ovs, what_waits_at_the_end_is_cancelled)
{
    struct server s;
    struct outcome done = { 0 };
    struct ovs *o;
    struct sc_err err;
    serve(&s);
    s.silent = true;
    cr_assert_eq(ovs_new(s.loop, s.path, &o, &err), 0);
    ovs_ensure_bridge(o, &wanted, on_done, &done);
    ovs_set_mesh(o, NULL, 0, on_done, &done);
    for (int i = 0; i < 5; i++)
        sc_loop_run_once(s.loop, 10);
    ovs_free(o);
    cr_expect_eq(done.n, 2);
    cr_expect_eq(done.code, -ECANCELED);
    unserve(&s);
}

Test(ovs, a_socket_path_that_does_not_fit_is_refused)
{
    struct ovs *o;
    struct sc_err err;
    char path[200];
    memset(path, 'x', sizeof path);
    path[199] = '\0';
    cr_expect_eq(ovs_new(NULL, path, &o, &err), -ENAMETOOLONG);
}

Test(ovs, an_interface_is_named_after_its_port)
{
    char name[OVS_IFNAME_LEN + 1];
    ovs_ifname("3B1F8c6e-9a5d-4e2f-8c7b-0123456789ab", name);
    cr_expect_str_eq(name, "sc3b1f8c6e9a");
    ovs_ifname("12", name);
    cr_expect_str_eq(name, "sc12");
}
