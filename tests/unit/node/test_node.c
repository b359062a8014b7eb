/* Two whole sc-node in one process over the fake hypervisor: real RPC, TLS,
 * records on the disk; sc-storage is played by the test.  No test sleeps: the
 * loop is turned until what is expected has happened. */
#include "node/node.h"

#include "common/json.h"
#include "common/log.h"
#include "hypervisor/hv_fake.h"
#include "tests/lib/free_port.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { PATIENCE_MS = 30000, CALLS_MAX = 256 };
#define VM_ID "11111111-1111-4111-8111-111111111111"
#define MIG_ID "22222222-2222-4222-8222-222222222222"
#define OTHER_MIG_ID "22222222-2222-4222-8222-333333333333"
#define VOLUME_ID "33333333-3333-4333-8333-333333333333"
#define KERNEL_ID "44444444-4444-4444-8444-444444444444"

struct site {
    struct world *w;
    char id[SC_UUID_LEN + 1], run[128], state[128], pki[128], sock[160];
    char storage_sock[160];
    uint16_t nid, port;
    struct sc_config *config;
    struct node *node;
    struct rpc_client *client; /* To sc-node. */
    struct rpc_service none, storage_service;
    struct rpc_unix_server *storage;
    char calls[CALLS_MAX][32];
    unsigned n_calls;
    const char *hold; /* This method is not answered; 'held' waits. */
    const char *fail; /* This one fails. */
    struct rpc_request *held;
};
struct world {
    struct sc_loop *loop;
    char dir[64];
    struct site a, b;
};
struct answer {
    bool there;
    struct sc_err err;
    cJSON *result;
};

/* --- sc-storage's part ---------------------------------------------------- */
static void storage_call(struct site *s, const char *method,
                         const cJSON *params, struct rpc_request *req)
{
    cr_assert_lt(s->n_calls, CALLS_MAX);
    snprintf(s->calls[s->n_calls++], sizeof s->calls[0], "%s", method);
    if (s->fail && !strcmp(s->fail, method)) {
        rpc_failf(req, -EIO, "told to fail");
        return;
    }
    if (s->hold && !strcmp(s->hold, method)) {
        s->held = req;
        return;
    }
    cJSON *j = cJSON_CreateObject();
    if (!strcmp(method, "volume.attach") ||
        !strcmp(method, "volume.prepare_in")) {
        cJSON_AddStringToObject(j, "nbd_socket", s->storage_sock);
        cJSON_AddStringToObject(j, "export", VOLUME_ID);
        cJSON_AddNumberToObject(j, "size", 1 << 20);
    } else if (!strcmp(method, "volume.export_file")) {
        const cJSON *path = cJSON_GetObjectItem(params, "path");
        FILE *f = fopen(path->valuestring, "we");
        cr_assert(f && fputs("kernel", f) >= 0 && fclose(f) == 0);
    }
    rpc_reply(req, j);
}

#define STORAGE(S)                                                             \
    S(attach)                                                                  \
    S(detach)                                                                  \
    S(export_file)                                                             \
    S(prepare_in)                                                              \
    S(flush) S(handover) S(thaw) S(release) S(activate) S(cancel_in)
#define S(name)                                                                \
    static void on_##name(void *ctx, struct rpc_conn *from,                    \
                          const cJSON *params, struct rpc_request *req)        \
    {                                                                          \
        (void)from;                                                            \
        storage_call(ctx, "volume." #name, params, req);                       \
    }
STORAGE(S)
#undef S
#define S(name) { "volume." #name, RPC_ROLE_LOCAL, on_##name },
static const struct rpc_method storage_methods[] = { STORAGE(S){ 0 } };
#undef S
static const struct rpc_method no_methods[] = { { 0 } };

static bool called(const struct site *s, const char *method)
{
    for (unsigned i = 0; i < s->n_calls; i++)
        if (!strcmp(s->calls[i], method))
            return true;
    return false;
}

/* --- the world -------------------------------------------------------------
 */
#define UNTIL(w, condition)                                                    \
    do {                                                                       \
        uint64_t end_ = sc_mono_ms() + PATIENCE_MS;                            \
        while (!(condition) && sc_mono_ms() < end_)                            \
            sc_loop_run_once((w)->loop, 50);                                   \
        cr_assert(condition, "it did not come to: " #condition);               \
    } while (0)

static void make_pki(struct world *w, struct site *s)
{
    char ca[200], key[200], path[200], *csr = NULL, *pem = NULL, *text = NULL;
    struct sc_err e = { 0 };
    snprintf(ca, sizeof ca, "%s/ca.crt", w->dir);
    snprintf(key, sizeof key, "%s/ca.key", w->dir);
    if (access(ca, R_OK))
        cr_assert_eq(tls_ca_create(ca, key, "test", &e), 0, "%s", e.text);
    snprintf(path, sizeof path, "%s/node.key", s->pki);
    cr_assert_eq(tls_request_create(path, s->id, "node", &csr, &e), 0);
    cr_assert_eq(tls_sign(ca, key, csr, s->id, "node", NULL, 1, &pem, &e), 0);
    snprintf(path, sizeof path, "%s/node.crt", s->pki);
    cr_assert_eq(tls_write_file(path, pem, 0640, &e), 0);
    cr_assert_eq(tls_read_file(ca, &text, &e), 0);
    snprintf(path, sizeof path, "%s/ca.crt", s->pki);
    cr_assert_eq(tls_write_file(path, text, 0640, &e), 0);
    free(csr);
    free(pem);
    free(text);
}

static void node_start(struct site *s)
{
    struct sc_err e = { 0 };
    cr_assert_eq(node_new(s->w->loop, s->config, &s->node, &e), 0, "%s",
                 e.text);
    cr_assert_eq(
        rpc_unix_client_new(s->w->loop, s->sock, &s->none, &s->client, &e), 0);
    UNTIL(s->w, s->node->recovered && rpc_client_conn(s->client) &&
                    rpc_client_conn(s->node->storage));
}

/* As kill -9 of sc-node: its (fake) guests go on. */
static void node_kill(struct site *s)
{
    rpc_client_free(SC_TAKE(s->client));
    node_free(SC_TAKE(s->node));
}

static void site_start(struct world *w, struct site *s, uint16_t nid)
{
    struct sc_err e = { 0 };
    SC_AUTO(free) char *text = NULL;
    s->w = w;
    s->nid = nid;
    s->port = free_port(SOCK_STREAM);
    sc_uuid_new(s->id);
    snprintf(s->run, sizeof s->run, "%s/r%u", w->dir, nid);
    snprintf(s->state, sizeof s->state, "%s/s%u", w->dir, nid);
    snprintf(s->pki, sizeof s->pki, "%s/p%u", w->dir, nid);
    snprintf(s->sock, sizeof s->sock, "%s/sc-node.sock", s->run);
    snprintf(s->storage_sock, sizeof s->storage_sock, "%s/sc-storage.sock",
             s->run);
    mkdir(s->run, 0700);
    mkdir(s->state, 0700);
    mkdir(s->pki, 0700);
    make_pki(w, s);
    cr_assert(asprintf(&text,
                       "{\"node_id\":\"%s\",\"nid\":%u,\"name\":\"n%u\","
                       "\"region\":\"r\",\"provider\":\"local\","
                       "\"roles\":[\"node\"],\"controller\":{\"host\":"
                       "\"127.0.0.1\",\"port\":1},\"address\":\"127.0.0.1\","
                       "\"run_dir\":\"%s\",\"state_dir\":\"%s\",\"pki_dir\":"
                       "\"%s\",\"hypervisor\":\"fake\",\"ports\":{"
                       "\"migration\":%u,\"probe\":%u}}",
                       s->id, nid, nid, s->run, s->state, s->pki, s->port,
                       free_port(SOCK_DGRAM)) > 0);
    cr_assert_eq(sc_config_parse(text, "test", &s->config, &e), 0, "%s",
                 e.text);
    s->none.methods = no_methods;
    s->storage_service =
        (struct rpc_service){ .methods = storage_methods, .ctx = s };
    cr_assert_eq(rpc_unix_listen(w->loop, s->storage_sock, &s->storage_service,
                                 &s->storage, &e),
                 0);
    node_start(s);
}

static void world_start(struct world *w)
{
    struct sc_err e = { 0 };
    memset(w, 0, sizeof *w);
    strcpy(w->dir, "/tmp/scnodeXXXXXX");
    cr_assert(mkdtemp(w->dir) != NULL);
    sc_log_level_set(SC_LOG_ERROR);
    cr_assert_eq(sc_loop_new(false, &w->loop, &e), 0);
    site_start(w, &w->a, 1);
    site_start(w, &w->b, 2);
}

static void site_end(struct site *s)
{
    if (s->held)
        rpc_failf(SC_TAKE(s->held), -EIO, "the test ends");
    if (s->node)
        node_kill(s);
    rpc_unix_server_free(s->storage);
    sc_config_free(s->config);
}

static void world_end(struct world *w)
{
    char cmd[128];
    site_end(&w->a);
    site_end(&w->b);
    sc_loop_free(w->loop);
    snprintf(cmd, sizeof cmd, "rm -rf %s", w->dir);
    cr_assert_eq(system(cmd), 0);
}

/* --- calls ------------------------------------------------------------------
 */
static void done(void *arg, const cJSON *result, const struct sc_err *err)
{
    struct answer *a = arg;
    a->there = true;
    a->err = *err;
    a->result = result ? cJSON_Duplicate(result, true) : NULL;
}

static void begin(struct site *s, const char *method, cJSON *params,
                  struct answer *a)
{
    *a = (struct answer){ 0 };
    rpc_call(s->w->loop, rpc_client_conn(s->client), method, params, 0, done,
             a);
}

static struct sc_err call(struct site *s, const char *method, cJSON *params,
                          cJSON **ret)
{
    struct answer a;
    begin(s, method, params, &a);
    UNTIL(s->w, a.there);
    if (ret)
        *ret = a.result;
    else
        cJSON_Delete(a.result);
    return a.err;
}

static cJSON *json(const char *fmt, ...) SC_PRINTF(1, 2);
static cJSON *json(const char *fmt, ...)
{
    va_list ap;
    char *text;
    va_start(ap, fmt);
    cr_assert(vasprintf(&text, fmt, ap) > 0);
    va_end(ap);
    cJSON *j = cJSON_Parse(text);
    cr_assert(j != NULL, "bad JSON in the test: %s", text);
    free(text);
    return j;
}

static cJSON *spec(unsigned epoch, unsigned memory_mib)
{
    return json("{\"id\":\"" VM_ID "\",\"name\":\"hello\",\"epoch\":%u,"
                "\"vcpus\":1,\"memory_mib\":%u,\"kernel_volume\":\"" KERNEL_ID
                "\",\"ramdisk_volume\":null,\"cmdline\":\"\",\"volumes\":[{"
                "\"id\":\"" VOLUME_ID "\",\"dev\":\"xvda\",\"mode\":\"rw\"}],"
                "\"ports\":[]}",
                epoch, memory_mib);
}

static struct sc_err start(struct site *s, unsigned memory_mib)
{
    cJSON *p = cJSON_CreateObject();
    cJSON_AddItemToObject(p, "vm", spec(1, memory_mib));
    return call(s, "vm.start", p, NULL);
}

static struct sc_err prepare_as(const char *id, unsigned epoch,
                                struct site *src, struct site *dst,
                                unsigned memory_mib, char ticket[65])
{
    cJSON *p = json("{\"migration_id\":\"%s\",\"from\":{\"node_id\":"
                    "\"%s\",\"nid\":%u,\"address\":\"127.0.0.1\"}}",
                    id, src->id, src->nid),
          *result = NULL;
    cJSON_AddItemToObject(p, "vm", spec(epoch, memory_mib));
    struct sc_err e = call(dst, "vm.prepare_in", p, &result);
    if (result)
        snprintf(ticket, 65, "%s",
                 cJSON_GetObjectItem(result, "ticket")->valuestring);
    cJSON_Delete(result);
    return e;
}

static struct sc_err prepare(struct site *src, struct site *dst,
                             unsigned memory_mib, char ticket[65])
{
    return prepare_as(MIG_ID, 2, src, dst, memory_mib, ticket);
}

static void send_out(struct site *src, struct site *dst, const char *ticket,
                     struct answer *a)
{
    begin(src, "vm.migrate_out",
          json("{\"vm_id\":\"" VM_ID "\",\"migration_id\":\"" MIG_ID
               "\",\"epoch\":2,\"ticket\":\"%s\",\"to\":{\"node_id\":\"%s\","
               "\"nid\":%u,\"address\":\"127.0.0.1\",\"port\":%u}}",
               ticket, dst->id, dst->nid, dst->port),
          a);
}

static void query(struct site *s, const char *want)
{
    cJSON *r = NULL;
    call(s, "vm.migrate_query",
         json("{\"vm_id\":\"" VM_ID "\",\"migration_id\":\"" MIG_ID "\"}"), &r);
    cr_expect_str_eq(cJSON_GetObjectItem(r, "state")->valuestring, want);
    cJSON_Delete(r);
}

static enum vm_phase phase(struct site *s)
{
    struct vm *vm = vm_find(s->node, VM_ID);
    return vm ? vm->phase : VM_N_PHASES;
}

static bool runs(struct site *s)
{
    enum hv_state state;
    return s->node && hv_state_of(s->node->hv, VM_ID, &state) == 0 &&
           state == HV_RUNNING;
}

static bool has_guest(struct site *s)
{
    enum hv_state state;
    return hv_state_of(s->node->hv, VM_ID, &state) == 0;
}

/* --- tests -------------------------------------------------------------------
 */
Test(node, a_guest_starts_migrates_and_stops)
{
    struct world w;
    struct answer a;
    char ticket[65];
    world_start(&w);
    cr_expect_eq(start(&w.a, 512).code, 0);
    cr_expect(runs(&w.a));
    cr_expect_eq(start(&w.a, 512).code, 0, "asked again is not an error");
    cr_assert_eq(prepare(&w.a, &w.b, 512, ticket).code, 0);
    query(&w.b, "preparing");
    send_out(&w.a, &w.b, ticket, &a);
    UNTIL(&w, a.there);
    cr_assert_eq(a.err.code, 0, "%s", a.err.text);
    cr_expect_geq(cJSON_GetObjectItem(a.result, "bytes_sent")->valuedouble,
                  512 * HV_FAKE_BYTES_PER_MIB);
    cJSON_Delete(a.result);
    cr_expect(runs(&w.b) && !has_guest(&w.a));
    cr_expect_eq(phase(&w.a), VM_N_PHASES);
    cr_expect_eq(phase(&w.b), VM_RUNNING);
    query(&w.a, "released");
    query(&w.b, "running");
    cr_expect(called(&w.a, "volume.flush") && called(&w.a, "volume.release"));
    cr_expect(called(&w.b, "volume.activate"));
    cr_expect_eq(call(&w.b, "vm.stop",
                      json("{\"vm_id\":\"" VM_ID "\",\"epoch\":2}"), NULL)
                     .code,
                 0);
    cr_expect_not(has_guest(&w.b));
    cr_expect(called(&w.b, "volume.detach"));
    world_end(&w);
}

Test(node, a_guest_survives_a_restart_of_sc_node)
{
    struct world w;
    world_start(&w);
    cr_assert_eq(start(&w.a, 64).code, 0);
    node_kill(&w.a);
    node_start(&w.a);
    cr_expect_eq(phase(&w.a), VM_RUNNING);
    cr_expect(runs(&w.a));
    world_end(&w);
}

Test(node, a_failed_handover_leaves_the_guest_running_at_the_source)
{
    struct world w;
    struct answer a;
    char ticket[65];
    world_start(&w);
    cr_assert_eq(start(&w.a, 64).code, 0);
    cr_assert_eq(prepare(&w.a, &w.b, 64, ticket).code, 0);
    w.a.fail = "volume.handover";
    send_out(&w.a, &w.b, ticket, &a);
    UNTIL(&w, a.there);
    cr_expect_eq(a.err.code, -EIO);
    cr_expect(runs(&w.a));
    cr_expect_eq(phase(&w.a), VM_RUNNING);
    cr_expect(called(&w.a, "volume.thaw"));
    UNTIL(&w, !has_guest(&w.b) && !vm_find(w.b.node, VM_ID));
    query(&w.a, "resumed");
    query(&w.b, "cancelled");
    world_end(&w);
}

Test(node, a_destination_that_dies_before_commit_leaves_it_at_the_source)
{
    struct world w;
    struct answer a;
    char ticket[65];
    world_start(&w);
    cr_assert_eq(start(&w.a, 64).code, 0);
    cr_assert_eq(prepare(&w.a, &w.b, 64, ticket).code, 0);
    w.a.hold = "volume.handover";
    send_out(&w.a, &w.b, ticket, &a);
    UNTIL(&w, w.a.held);
    node_kill(&w.b);
    w.a.hold = NULL;
    rpc_reply(SC_TAKE(w.a.held), NULL);
    UNTIL(&w, a.there);
    cr_expect_lt(a.err.code, 0);
    cr_expect(runs(&w.a));
    node_start(&w.b);
    cr_expect_not(has_guest(&w.b));
    query(&w.b, "cancelled");
    UNTIL(&w, called(&w.b, "volume.cancel_in"));
    world_end(&w);
}

Test(node, a_source_that_dies_after_commit_never_runs_it_again)
{
    struct world w;
    struct answer a;
    char ticket[65];
    world_start(&w);
    cr_assert_eq(start(&w.a, 64).code, 0);
    cr_assert_eq(prepare(&w.a, &w.b, 64, ticket).code, 0);
    w.b.hold = "volume.activate";
    send_out(&w.a, &w.b, ticket, &a);
    UNTIL(&w, w.b.held);
    node_kill(&w.a);
    node_start(&w.a);
    cr_expect_eq(phase(&w.a), VM_UNKNOWN);
    cr_expect_not(runs(&w.a));
    query(&w.a, "uncertain");
    cr_expect_eq(
        call(&w.a, "vm.stop", json("{\"vm_id\":\"" VM_ID "\"}"), NULL).code,
        -EBUSY);
    rpc_reply(SC_TAKE(w.b.held), NULL);
    UNTIL(&w, runs(&w.b));
    struct sc_err e = call(&w.a, "vm.migrate_resolve",
                           json("{\"vm_id\":\"" VM_ID "\",\"migration_id\":"
                                "\"" MIG_ID "\",\"outcome\":\"release\"}"),
                           NULL);
    cr_expect_eq(e.code, 0, "%s", e.text);
    cr_expect_not(has_guest(&w.a));
    cr_expect(runs(&w.b));
    world_end(&w);
}

Test(node, a_destination_that_dies_after_it_took_the_guest_runs_it_later)
{
    struct world w;
    struct answer a;
    char ticket[65];
    cJSON *r = NULL;
    world_start(&w);
    cr_assert_eq(start(&w.a, 64).code, 0);
    cr_assert_eq(prepare(&w.a, &w.b, 64, ticket).code, 0);
    w.b.hold = "volume.activate";
    send_out(&w.a, &w.b, ticket, &a);
    UNTIL(&w, w.b.held);
    node_kill(&w.b);
    UNTIL(&w, a.there);
    cr_expect_eq(a.err.code, -ENOLINK, "%s", a.err.text);
    cr_expect_not(runs(&w.a));
    w.b.hold = NULL;
    rpc_reply(SC_TAKE(w.b.held), NULL);
    node_start(&w.b);
    UNTIL(&w, runs(&w.b));
    call(&w.b, "vm.migrate_cancel",
         json("{\"vm_id\":\"" VM_ID "\",\"migration_id\":\"" MIG_ID "\"}"), &r);
    cr_expect_str_eq(cJSON_GetObjectItem(r, "state")->valuestring, "running");
    cJSON_Delete(r);
    cr_expect_not(runs(&w.a));
    world_end(&w);
}

Test(node, a_lost_commit_is_resolved_by_the_destinations_promise)
{
    struct world w;
    struct answer a;
    char ticket[65];
    cJSON *r = NULL;
    world_start(&w);
    cr_assert_eq(start(&w.a, 64).code, 0);
    cr_assert_eq(prepare(&w.a, &w.b, 64, ticket).code, 0);
    /* The source writes "given" and dies before its COMMIT leaves. */
    w.a.hold = "volume.handover";
    send_out(&w.a, &w.b, ticket, &a);
    UNTIL(&w, w.a.held);
    struct mig_out *o = vm_find(w.a.node, VM_ID)->out;
    cr_assert(o != NULL);
    struct rec_mig rec;
    cr_assert_eq(records_mig(w.a.node->records, MIG_ID, &rec), 0);
    rec.state = REC_GIVEN;
    cr_assert_eq(records_write(w.a.node->records, &rec, NULL, NULL, NULL), 0);
    node_kill(&w.a);
    w.a.hold = NULL;
    rpc_reply(SC_TAKE(w.a.held), NULL);
    node_start(&w.a);
    query(&w.a, "uncertain");
    call(&w.b, "vm.migrate_cancel",
         json("{\"vm_id\":\"" VM_ID "\",\"migration_id\":\"" MIG_ID "\"}"), &r);
    cr_expect_str_eq(cJSON_GetObjectItem(r, "state")->valuestring, "cancelled");
    cJSON_Delete(r);
    struct sc_err e = call(&w.a, "vm.migrate_resolve",
                           json("{\"vm_id\":\"" VM_ID "\",\"migration_id\":"
                                "\"" MIG_ID "\",\"outcome\":\"resume\"}"),
                           NULL);
    cr_expect_eq(e.code, 0, "%s", e.text);
    cr_expect(runs(&w.a) && !runs(&w.b));
    cr_expect(called(&w.a, "volume.thaw"));
    world_end(&w);
}

Test(node, a_cancelled_migration_can_never_be_begun)
{
    struct world w;
    char ticket[65];
    cJSON *r = NULL;
    world_start(&w);
    call(&w.b, "vm.migrate_cancel",
         json("{\"vm_id\":\"" VM_ID "\",\"migration_id\":\"" MIG_ID "\"}"), &r);
    cr_expect_str_eq(cJSON_GetObjectItem(r, "state")->valuestring, "cancelled");
    cJSON_Delete(r);
    cr_expect_eq(prepare(&w.a, &w.b, 64, ticket).code, -EEXIST);
    world_end(&w);
}

Test(node, a_guest_that_has_not_wholly_left_may_come_back_a_little_later)
{
    struct world w;
    struct answer sent = { 0 };
    char ticket[65];
    world_start(&w);
    cr_assert_eq(start(&w.a, 64).code, 0);
    w.a.hold = "volume.release";
    cr_assert_eq(prepare(&w.a, &w.b, 64, ticket).code, 0);
    send_out(&w.a, &w.b, ticket, &sent);
    UNTIL(&w, runs(&w.b) && w.a.held);
    cr_expect_eq(prepare_as(OTHER_MIG_ID, 3, &w.b, &w.a, 64, ticket).code,
                 -EAGAIN, "it is still leaving");
    w.a.hold = NULL;
    rpc_reply(SC_TAKE(w.a.held), NULL);
    UNTIL(&w, sent.there && phase(&w.a) == VM_N_PHASES);
    cr_expect_eq(prepare_as(OTHER_MIG_ID, 3, &w.b, &w.a, 64, ticket).code, 0);
    cJSON_Delete(sent.result);
    world_end(&w);
}

Test(node, a_guest_without_room_is_refused_and_leaves_nothing)
{
    struct world w;
    char ticket[65];
    world_start(&w);
    cr_expect_eq(start(&w.a, 8192).code, -ENOSPC);
    cr_expect_eq(phase(&w.a), VM_N_PHASES);
    cr_expect(called(&w.a, "volume.detach"));
    cr_expect_eq(prepare(&w.a, &w.b, 8192, ticket).code, -ENOSPC);
    cr_expect_not(called(&w.b, "volume.prepare_in"));
    world_end(&w);
}

Test(node, a_guest_that_ends_by_itself_is_kept_as_stopped_until_told)
{
    struct world w;
    world_start(&w);
    cr_assert_eq(start(&w.a, 64).code, 0);
    hv_fake_end(w.a.node->hv, VM_ID, 0);
    UNTIL(&w, phase(&w.a) == VM_STOPPED && called(&w.a, "volume.detach"));
    UNTIL(&w, !vm_find(w.a.node, VM_ID)->vol_op);
    node_kill(&w.a);
    node_start(&w.a);
    cr_expect_eq(phase(&w.a), VM_STOPPED);
    cr_expect_eq(
        call(&w.a, "vm.stop", json("{\"vm_id\":\"" VM_ID "\"}"), NULL).code, 0);
    cr_expect_eq(phase(&w.a), VM_N_PHASES);
    world_end(&w);
}

Test(node, the_console_keeps_what_the_guest_said_and_takes_what_is_typed)
{
    struct world w;
    cJSON *r = NULL;
    world_start(&w);
    cr_assert_eq(start(&w.a, 64).code, 0);
    struct vm *vm = vm_find(w.a.node, VM_ID);
    UNTIL(&w, vm->ring && vm->ring->total > 0);
    uint64_t before = vm->ring->total;
    call(&w.a, "vm.console_open",
         json("{\"vm_id\":\"" VM_ID "\",\"session\":\"s\"}"), NULL);
    call(&w.a, "vm.console_in", json("{\"session\":\"s\",\"data\":\"aGkK\"}"),
         NULL);
    UNTIL(&w, vm->ring->total >= before + 3);
    call(&w.a, "vm.console_log",
         json("{\"vm_id\":\"" VM_ID "\",\"max_bytes\":3}"), &r);
    cr_expect_str_eq(cJSON_GetObjectItem(r, "data")->valuestring, "aGkK");
    cJSON_Delete(r);
    world_end(&w);
}

Test(node, bad_parameters_are_named)
{
    struct world w;
    world_start(&w);
    struct sc_err e = call(&w.a, "vm.stop", json("{\"vm_id\":\"x\"}"), NULL);
    cr_expect(e.code == -EINVAL && strstr(e.text, "vm_id"), "%s", e.text);
    e = call(&w.a, "vm.start", json("{\"vm\":{\"id\":3}}"), NULL);
    cr_expect(e.code == -EINVAL && strstr(e.text, "id"), "%s", e.text);
    e = call(&w.a, "vm.migrate_resolve",
             json("{\"vm_id\":\"" VM_ID "\",\"migration_id\":\"" MIG_ID
                  "\",\"outcome\":\"both\"}"),
             NULL);
    cr_expect(e.code == -EINVAL && strstr(e.text, "outcome"), "%s", e.text);
    world_end(&w);
}
