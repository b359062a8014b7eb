/* Joining, against a controller in a child process that answers as the test
 * says.  The real one is in tests/integration/test_cloud_join.py. */
#include "../common/helper.h"
#include "common/config.h"
#include "common/rpc_ws.h"
#include "join/join.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* How the controller misbehaves. */
enum mode { FINE, REFUSES, NOT_JSON, BAD_NID, BAD_CONFIG, OLD_CLOCK };

struct controller {
    struct temp_dir *dir;
    enum mode mode;
    const char *error; /* REFUSES: its name. */
    uint16_t port;
    pid_t pid;
    volatile unsigned *n_posts; /* Shared with the child. */
    struct sc_loop *loop;
};

static cJSON *refusal(const char *name)
{
    cJSON *o = cJSON_CreateObject();
    cJSON *e = cJSON_AddObjectToObject(o, "error");
    cJSON_AddStringToObject(e, "code", name);
    cJSON_AddStringToObject(e, "message", "as the controller says");
    return o;
}

static cJSON *admit(struct controller *c, const char *body)
{
    cJSON *q = cJSON_Parse(body);
    const char *csr = cJSON_GetStringValue(cJSON_GetObjectItem(q, "csr"));
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(q, "name"));
    struct sc_err err;
    char *pem = NULL, *ca = NULL;
    if (!csr || !name ||
        tls_sign(in(c->dir, "ca.crt"), in(c->dir, "ca.key"), csr, NODE_A,
                 "node", NULL, 30, &pem, &err) < 0 ||
        tls_read_file(in(c->dir, "ca.crt"), &ca, &err) < 0)
        abort();
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "node_id", NODE_A);
    cJSON_AddNumberToObject(o, "nid", c->mode == BAD_NID ? 70000 : 7);
    cJSON_AddStringToObject(o, "cert", pem);
    cJSON_AddStringToObject(o, "ca", ca);
    cJSON *config = cJSON_AddObjectToObject(o, "config");
    cJSON_AddStringToObject(config, "name", name);
    cJSON *ports = cJSON_AddObjectToObject(config, "ports");
    cJSON_AddNumberToObject(ports, "storage", 17480);
    if (c->mode == BAD_CONFIG)
        cJSON_AddStringToObject(config, "colour", "red");
    free(pem);
    free(ca);
    cJSON_Delete(q);
    return o;
}

static void on_http(void *ctx, const char *method, const char *uri,
                    const char *body, const char *remote, int *status,
                    cJSON **ret)
{
    (void)remote;
    struct controller *c = ctx;
    if (!strcmp(method, "GET") && !strcmp(uri, "/join/ca")) {
        char *ca = NULL;
        if (tls_read_file(in(c->dir, "ca.crt"), &ca, NULL) < 0)
            abort();
        uint64_t now = sc_wall_ms();
        *ret = cJSON_CreateObject();
        cJSON_AddStringToObject(*ret, "ca", ca);
        cJSON_AddNumberToObject(
            *ret, "time_ms",
            (double)(c->mode == OLD_CLOCK ? now - 365ull * 86400000 : now));
        free(ca);
        return;
    }
    ++*c->n_posts;
    if (c->mode == REFUSES) {
        *status = 403;
        *ret = refusal(c->error);
    } else if (c->mode == NOT_JSON) {
        *ret = cJSON_CreateString("surprise");
    } else {
        *ret = admit(c, body);
    }
}

static void controller_run(struct controller *c, const char *cert, int ready)
{
    struct sc_loop *loop;
    struct rpc_ws_server *server;
    static const struct rpc_method none[] = { { 0 } };
    struct rpc_service service = { .methods = none, .ctx = c };
    char crt[32], key[32], listen[32];
    snprintf(crt, sizeof crt, "%s.crt", cert);
    snprintf(key, sizeof key, "%s.key", cert);
    snprintf(listen, sizeof listen, "127.0.0.1:%u", c->port);
    struct rpc_ws_server_options o = { .listen = listen,
                                       .path = "/rpc",
                                       .ca_file = in(c->dir, "ca.crt"),
                                       .cert_file = in(c->dir, crt),
                                       .key_file = in(c->dir, key) };
    if (sc_loop_new(false, &loop, NULL) < 0 ||
        rpc_ws_server_new(loop, &o, &service, on_http, &server, NULL) < 0)
        _exit(1);
    uint16_t port = rpc_ws_server_port(server);
    if (write(ready, &port, sizeof port) != sizeof port)
        _exit(1);
    sc_loop_run(loop);
}

static void controller_start(struct controller *c, const char *cert)
{
    int ready[2];
    cr_assert_eq(pipe(ready), 0);
    if (!c->n_posts) {
        void *shared = mmap(NULL, sizeof(unsigned), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(shared, MAP_FAILED);
        c->n_posts = shared;
    }
    c->pid = fork();
    cr_assert(c->pid >= 0);
    if (c->pid == 0) {
        close(ready[0]);
        controller_run(c, cert, ready[1]);
        _exit(0);
    }
    close(ready[1]);
    cr_assert_eq(read(ready[0], &c->port, sizeof c->port),
                 (ssize_t)sizeof c->port);
    close(ready[0]);
}

static void controller_stop(struct controller *c)
{
    kill(c->pid, SIGKILL);
    waitpid(c->pid, NULL, 0);
}

static void request_fini_p(struct join_request *r)
{
    request_fini(r);
}

/* A request to 'c' with the token of the authority in 'ca_dir'. */
static struct join_request request_to(const struct controller *c,
                                      const struct temp_dir *ca_dir,
                                      const struct temp_dir *out)
{
    char pin[TLS_PIN_LEN + 1];
    char *pem = NULL;
    struct join_request r = { .timeout_ms = 3000 };
    cr_assert_eq(tls_read_file(in(ca_dir, "ca.crt"), &pem, NULL), 0);
    cr_assert_eq(tls_pin(pem, pin, NULL), 0);
    free(pem);
    cr_assert_gt(asprintf(&r.token, "sct1.id.secret.%s", pin), 0);
    cr_assert_gt(asprintf(&r.controller, "127.0.0.1:%u", c->port), 0);
    r.hypervisor = strdup("fake");
    r.region = strdup("eu");
    r.provider = strdup("local");
    r.name = strdup("n7");
    r.run_dir = strdup(in(out, "run"));
    r.state_dir = strdup(in(out, "state"));
    r.pki_dir = strdup(in(out, "pki"));
    r.config_out = strdup(in(out, "etc/supercloud.json"));
    return r;
}

/* Files (not folders) below 'path'. */
static unsigned n_files;
static int count_file(const char *path, const struct stat *st, int flag,
                      struct FTW *ftw)
{
    (void)path;
    (void)st;
    (void)ftw;
    n_files += flag == FTW_F;
    return 0;
}
static unsigned files_in(const struct temp_dir *d)
{
    n_files = 0;
    nftw(d->path, count_file, 16, FTW_PHYS);
    return n_files;
}

Test(node, joins_and_is_a_member_from_then_on, .timeout = 30)
{
    TEMP_DIR(pki);
    TEMP_DIR(out);
    pki_make(&pki);
    struct controller c = { .dir = &pki };
    controller_start(&c, "controller");
    SC_AUTO(request_fini) struct join_request r = request_to(&c, &pki, &out);
    struct join_result done = { 0 };
    struct join_failure f = { 0 };
    cr_assert_eq(join_node(&r, &done, &f), 0, "%s", f.text);
    cr_expect_eq(done.nid, 7);
    cr_expect_not(done.was_member);

    SC_AUTO(sc_config_free) struct sc_config *config = NULL;
    struct sc_err err;
    cr_assert_eq(sc_config_load(r.config_out, &config, &err), 0, "%s",
                 err.text);
    cr_expect_str_eq(config->node_id, NODE_A);
    cr_expect_str_eq(config->address, "127.0.0.1");
    cr_expect_eq(config->storage_port, 17480, "the controller's wish");
    cr_expect_eq(config->controller_port, c.port);
    cr_expect_str_eq(config->hypervisor, "fake");
    cr_expect_eq(files_in(&out), 4, "ca.crt, node.crt, node.key, config");
    struct tls_ctx *ctx = NULL;
    cr_expect_eq(tls_ctx_new(in(&out, "pki/ca.crt"), in(&out, "pki/node.crt"),
                             in(&out, "pki/node.key"), &ctx, &err),
                 0, "%s", err.text);
    tls_ctx_free(ctx);

    controller_stop(&c); /* Nobody is asked again. */
    memset(&done, 0, sizeof done);
    cr_assert_eq(join_node(&r, &done, &f), 0);
    cr_expect(done.was_member);
    cr_expect_str_eq(done.name, "n7");
}

static const struct {
    const char *name;
    enum mode mode;
    const char *error;
    const char *cert; /* The controller's. */
    bool other_pin;
    enum join_code want;
    const char *words;
    unsigned posts;
} failures[] = {
    { "expired token", REFUSES, "ETIME", "controller", false, JOIN_EXPIRED,
      "expired", 1 },
    { "used token", REFUSES, "EALREADY", "controller", false, JOIN_USED, "used",
      1 },
    { "forged token", REFUSES, "EACCES", "controller", false, JOIN_UNKNOWN,
      "token", 1 },
    { "clock, as the controller sees it", REFUSES, "EBADMSG", "controller",
      false, JOIN_CLOCK, "clock", 1 },
    { "bad field", REFUSES, "EINVAL", "controller", false, JOIN_REFUSED,
      "refuses", 1 },
    { "broken controller", REFUSES, "EIO", "controller", false, JOIN_ANSWER,
      "EIO", 1 },
    { "wrong pin", FINE, NULL, "controller", true, JOIN_PIN, "pin", 0 },
    { "clock off by a year", OLD_CLOCK, NULL, "controller", false, JOIN_CLOCK,
      "clock says", 0 },
    { "a node posing as controller", FINE, NULL, "b", false, JOIN_IDENTITY,
      "prove", 0 },
    { "answer of another kind", NOT_JSON, NULL, "controller", false,
      JOIN_ANSWER, "object", 1 },
    { "number out of range", BAD_NID, NULL, "controller", false, JOIN_ANSWER,
      "nid", 1 },
    { "configuration no daemon takes", BAD_CONFIG, NULL, "controller", false,
      JOIN_ANSWER, "colour", 1 },
};

Test(node, a_failed_join_says_why_and_leaves_nothing, .timeout = 60)
{
    TEMP_DIR(pki);
    TEMP_DIR(other);
    pki_make(&pki);
    pki_make(&other);
    for (size_t i = 0; i < SC_ARRAY_LEN(failures); i++) {
        TEMP_DIR(out);
        struct controller c = { .dir = &pki,
                                .mode = failures[i].mode,
                                .error = failures[i].error };
        controller_start(&c, failures[i].cert);
        SC_AUTO(request_fini)
        struct join_request r =
            request_to(&c, failures[i].other_pin ? &other : &pki, &out);
        struct join_result done = { 0 };
        struct join_failure f = { 0 };
        cr_expect_eq(join_node(&r, &done, &f), -1, "case '%s'",
                     failures[i].name);
        cr_expect_eq(f.code, failures[i].want, "case '%s': %d %s",
                     failures[i].name, f.code, f.text);
        cr_expect(strstr(f.text, failures[i].words), "case '%s': %s",
                  failures[i].name, f.text);
        cr_expect_eq(files_in(&out), 0, "case '%s'", failures[i].name);
        cr_expect_neq(access(r.pki_dir, F_OK), 0, "case '%s'",
                      failures[i].name);
        /* A token is not shown to whom did not prove to be the controller. */
        cr_expect_eq(*c.n_posts, failures[i].posts, "case '%s'",
                     failures[i].name);
        controller_stop(&c);
    }
}

Test(node, a_controller_that_is_late_is_waited_for, .timeout = 30)
{
    TEMP_DIR(pki);
    TEMP_DIR(out);
    pki_make(&pki);
    struct controller c = { .dir = &pki };
    controller_start(&c, "controller"); /* Only to have a free port. */
    controller_stop(&c);
    SC_AUTO(request_fini) struct join_request r = request_to(&c, &pki, &out);
    r.timeout_ms = 15000;
    pid_t later = fork();
    cr_assert(later >= 0);
    if (later == 0) {
        usleep(1500000);
        int ready[2];
        if (pipe(ready) == 0)
            controller_run(&c, "controller", ready[1]);
        _exit(0);
    }
    struct join_result done = { 0 };
    struct join_failure f = { 0 };
    cr_expect_eq(join_node(&r, &done, &f), 0, "%s", f.text);
    kill(later, SIGKILL);
    waitpid(later, NULL, 0);
}

Test(node, an_unreachable_controller_is_named_when_the_time_is_up,
     .timeout = 30)
{
    TEMP_DIR(pki);
    TEMP_DIR(out);
    pki_make(&pki);
    struct controller c = { .dir = &pki };
    controller_start(&c, "controller");
    controller_stop(&c);
    SC_AUTO(request_fini) struct join_request r = request_to(&c, &pki, &out);
    struct join_result done = { 0 };
    struct join_failure f = { 0 };
    cr_expect_eq(join_node(&r, &done, &f), -1);
    cr_expect_eq(f.code, JOIN_UNREACHABLE);
    cr_expect(strstr(f.text, "127.0.0.1"), "%s", f.text);
    cr_expect_eq(files_in(&out), 0);
}

static const struct {
    uint64_t here, there;
    bool ok;
} clocks[] = {
    { 1000000000000, 1000000000000, true },
    { 1000000000000, 1000000000000 + 86399999, true },
    { 1000000000000 + 86399999, 1000000000000, true },
    { 1000000000000, 1000000000000 + 86400000, false },
    { 1000000000000 + 86400000, 1000000000000, false },
    { 0, 1000000000000, false },
};

Test(node, clocks_a_day_apart_are_refused_with_both)
{
    for (size_t i = 0; i < SC_ARRAY_LEN(clocks); i++) {
        struct join_failure f = { 0 };
        cr_expect_eq(join_check_clock(clocks[i].here, clocks[i].there, &f),
                     clocks[i].ok ? 0 : -1, "case %zu", i);
    }
    struct join_failure f = { 0 };
    cr_expect_eq(join_check_clock(0, 1000000000000, &f), -1);
    cr_expect(strstr(f.text, "1970-01-01 00:00:00") &&
                  strstr(f.text, "2001-09-09 01:46:40"),
              "%s", f.text);
}
