/* Tests of daemons/controller/join.c and token.c. */
#include "controller/join.h"

#include "common/tls.h"
#include "controller/ctl.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>

struct fixture {
    char dir[64];
    uint64_t now;
    struct ctl *ctl;
    char token[TOKEN_TEXT];
    struct token t;
    char *csr;
    int status;
    cJSON *answer;
};

static uint64_t now_fn(void *ctx)
{
    return ((struct fixture *)ctx)->now;
}
static void call_fn(void *ctx, uint16_t nid, enum ctl_program program,
                    const char *method, cJSON *params, uint64_t timeout_ms,
                    rpc_done_fn *done, void *arg)
{
    (void)ctx, (void)nid, (void)program, (void)method, (void)timeout_ms,
        (void)done, (void)arg;
    cJSON_Delete(params);
}
static void notify_fn(void *ctx, uint16_t nid, enum ctl_program program,
                      const char *method, cJSON *params)
{
    (void)ctx, (void)nid, (void)program, (void)method;
    cJSON_Delete(params);
}
static void changed_fn(void *ctx, const char *kind, const char *id,
                       const cJSON *object)
{
    (void)ctx, (void)kind, (void)id, (void)object;
}
static void broken_fn(void *ctx, const struct sc_err *err)
{
    (void)ctx;
    cr_assert_fail("broken: %s", err->text);
}

static const char *in_dir(struct fixture *f, const char *name)
{
    static char path[2][128];
    static int i;
    i = !i;
    snprintf(path[i], sizeof path[i], "%s/%s", f->dir, name);
    return path[i];
}

static struct fixture setup(void)
{
    struct fixture f = { .now = 1700000000000, .dir = "/tmp/sc-join-XXXXXX" };
    cr_assert(mkdtemp(f.dir));
    struct sc_err err;
    cr_assert_eq(
        tls_ca_create(in_dir(&f, "ca.crt"), in_dir(&f, "ca.key"), "test", &err),
        0, "%s", err.text);
    cr_assert_eq(
        tls_request_create(in_dir(&f, "node.key"), "x", "node", &f.csr, &err),
        0, "%s", err.text);
    return f;
}

static void begin(struct fixture *f)
{
    const struct ctl_env env = { .ctx = f,
                                 .now = now_fn,
                                 .call = call_fn,
                                 .notify = notify_fn,
                                 .changed = changed_fn,
                                 .broken = broken_fn };
    const struct ctl_options o = {
        .pki_dir = f->dir,
        .host = "ctl.example",
        .port = 7443,
        .node_config = "{\"hypervisor\":\"fake\",\"bridge\":\"br-sc\","
                       "\"ports\":{\"storage\":7490}}",
    };
    struct store *store;
    struct sc_err err;
    cr_assert_eq(store_mem_open(ctl_tables, &store, &err), 0);
    cr_assert_eq(ctl_new(store, &env, &o, &f->ctl, &err), 0, "%s", err.text);
    f->t = (struct token){ .uses = 1, .expires_at = f->now + 1000 };
    OBJ_SET(f->t.region, "us");
    cr_assert_eq(ctl_token_create(f->ctl, &f->t, f->token, &err), 0, "%s",
                 err.text);
}

static int rm(const char *path, const struct stat *st, int flag, struct FTW *b)
{
    (void)st, (void)flag, (void)b;
    return remove(path);
}

static void end(struct fixture *f)
{
    ctl_free(f->ctl);
    cJSON_Delete(f->answer);
    free(f->csr);
    nftw(f->dir, rm, 8, FTW_DEPTH | FTW_PHYS);
}

/* POST /join; returns the status, and the error's name by 'ret_code'. */
static const char *join(struct fixture *f, const char *token, const char *csr,
                        const char *name, const char *region, int64_t time_ms,
                        const char *role)
{
    SC_AUTO(cjson_free) cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "token", token);
    cJSON_AddStringToObject(j, "csr", csr);
    cJSON_AddStringToObject(j, "name", name);
    cJSON_AddStringToObject(j, "region", region);
    cJSON_AddStringToObject(j, "provider", "test");
    cJSON_AddStringToObject(j, "address", "10.0.0.7");
    cJSON_AddNumberToObject(j, "time_ms", (double)time_ms);
    if (role)
        cJSON_AddStringToObject(j, "role", role);
    SC_AUTO(free) char *body = cJSON_PrintUnformatted(j);
    cJSON_Delete(SC_TAKE(f->answer));
    ctl_http(f->ctl, "POST", "/join", body, "10.0.0.9", &f->status, &f->answer);
    const char *code = cJSON_GetStringValue(
        cJSON_GetObjectItem(cJSON_GetObjectItem(f->answer, "error"), "code"));
    return code ? code : "";
}

static const char *message(struct fixture *f)
{
    return cJSON_GetStringValue(cJSON_GetObjectItem(
        cJSON_GetObjectItem(f->answer, "error"), "message"));
}

static int64_t here(const struct fixture *f)
{
    return (int64_t)f->now;
}

Test(join, a_good_token_makes_a_node_with_certificate_and_config)
{
    struct fixture f = setup();
    begin(&f);
    cr_expect_str_eq(join(&f, f.token, f.csr, "n1", "us", here(&f), NULL), "");
    cr_expect_eq(f.status, 200);
    cr_expect_eq(cJSON_GetObjectItem(f.answer, "nid")->valueint, 1);
    cr_expect(
        strstr(cJSON_GetStringValue(cJSON_GetObjectItem(f.answer, "cert")),
               "BEGIN CERTIFICATE"));
    const cJSON *config = cJSON_GetObjectItem(f.answer, "config");
    cr_expect_str_eq(
        cJSON_GetStringValue(cJSON_GetObjectItem(config, "address")),
        "10.0.0.7");
    cr_expect_str_eq(
        cJSON_GetStringValue(cJSON_GetObjectItem(config, "hypervisor")),
        "fake");
    cr_assert_eq(f.ctl->nodes.n, (size_t)1);
    cr_expect_eq(f.ctl->nodes.items[0]->n.state, NODE_JOINING);
    cr_expect_eq(f.ctl->nodes.items[0]->n.storage_port, 7490);
    end(&f);
}

Test(join, a_token_for_one_is_used_up_by_one)
{
    struct fixture f = setup();
    begin(&f);
    SC_AUTO(free) char *other = NULL;
    cr_assert_eq(
        tls_request_create(in_dir(&f, "o.key"), "x", "node", &other, NULL), 0);
    cr_expect_str_eq(join(&f, f.token, f.csr, "n1", "us", here(&f), NULL), "");
    cr_expect_str_eq(join(&f, f.token, other, "n2", "us", here(&f), NULL),
                     "EALREADY");
    cr_expect(strstr(message(&f), "used up"), "%s", message(&f));
    cr_expect_eq(f.status, 409);
    cr_expect_eq(f.ctl->nodes.n, (size_t)1);
    end(&f);
}

Test(join, a_lost_answer_can_be_asked_for_again_by_the_same_machine)
{
    struct fixture f = setup();
    begin(&f);
    cr_expect_str_eq(join(&f, f.token, f.csr, "n1", "us", here(&f), NULL), "");
    SC_AUTO(free)
    char *id =
        strdup(cJSON_GetStringValue(cJSON_GetObjectItem(f.answer, "node_id")));
    cr_expect_str_eq(join(&f, f.token, f.csr, "n1", "us", here(&f), NULL), "");
    cr_expect_str_eq(
        cJSON_GetStringValue(cJSON_GetObjectItem(f.answer, "node_id")), id);
    cr_expect_eq(f.ctl->nodes.n, (size_t)1, "it is one node");
    end(&f);
}

Test(join, a_token_for_any_number_lets_many_in)
{
    struct fixture f = setup();
    begin(&f);
    struct token t = { .uses = 0, .expires_at = f.now + 1000 };
    cr_assert_eq(ctl_token_create(f.ctl, &t, f.token, NULL), 0);
    for (int i = 0; i < 5; i++) {
        char name[16];
        SC_AUTO(free) char *csr = NULL;
        snprintf(name, sizeof name, "m%d", i);
        cr_assert_eq(
            tls_request_create(in_dir(&f, "o.key"), "x", "node", &csr, NULL),
            0);
        cr_expect_str_eq(join(&f, f.token, csr, name, "eu", here(&f), NULL),
                         "");
        cr_expect_eq(cJSON_GetObjectItem(f.answer, "nid")->valueint, i + 1);
    }
    end(&f);
}

static void replace(char *token, size_t at)
{
    token[at] = token[at] == '0' ? '1' : '0';
}

Test(join, refuses_what_it_must_and_consumes_nothing)
{
    struct fixture f = setup();
    begin(&f);
    char forged[TOKEN_TEXT], unknown[TOKEN_TEXT], pin[TOKEN_TEXT];
    memcpy(forged, f.token, sizeof forged);
    memcpy(unknown, f.token, sizeof unknown);
    memcpy(pin, f.token, sizeof pin);
    replace(unknown, 5);
    replace(forged, 5 + 16 + 1);
    replace(pin, strlen(pin) - 1);
    const int64_t year = INT64_C(365) * 24 * 3600 * 1000;
    const struct {
        const char *name, *token, *csr, *node, *region, *role;
        int64_t skew;
        const char *code, *text;
    } cases[] = {
        { "forged secret", forged, f.csr, "n", "us", NULL, 0, "EACCES",
          "secret" },
        { "unknown id", unknown, f.csr, "n", "us", NULL, 0, "EACCES",
          "not known" },
        { "of another Supercloud", pin, f.csr, "n", "us", NULL, 0, "EACCES",
          "pin" },
        { "no token at all", "hello", f.csr, "n", "us", NULL, 0, "EACCES",
          "form" },
        { "for another region", f.token, f.csr, "n", "mars", NULL, 0, "EACCES",
          "'us'" },
        { "for another role", f.token, f.csr, "n", "us", "controller", 0,
          "EACCES", "role 'node'" },
        { "clock a year ahead", f.token, f.csr, "n", "us", NULL, year,
          "EBADMSG", "8760 hours" },
        { "clock a year behind", f.token, f.csr, "n", "us", NULL, -year,
          "EBADMSG", "-8760 hours" },
        { "bad name", f.token, f.csr, "no good", "us", NULL, 0, "EINVAL",
          "'name'" },
        { "no name", f.token, f.csr, "", "us", NULL, 0, "EINVAL", "name" },
        { "bad request", f.token, "-----BEGIN", "n", "us", NULL, 0, "EINVAL",
          "csr" },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(cases); i++) {
        cr_expect_str_eq(
            join(&f, cases[i].token, cases[i].csr, cases[i].node,
                 cases[i].region, here(&f) + cases[i].skew, cases[i].role),
            cases[i].code, "case '%s': %s", cases[i].name, message(&f));
        cr_expect(message(&f) && strstr(message(&f), cases[i].text),
                  "case '%s': %s", cases[i].name, message(&f));
        cr_expect_eq(f.ctl->nodes.n, (size_t)0, "case '%s'", cases[i].name);
    }
    f.now += 1000;
    cr_expect_str_eq(join(&f, f.token, f.csr, "n", "us", here(&f), NULL),
                     "ETIME");
    cr_expect(strstr(message(&f), "2023-11-14T22:13:21Z"), "%s", message(&f));
    f.now -= 1000;
    cr_expect_str_eq(join(&f, f.token, f.csr, "n", "us", here(&f), NULL), "",
                     "nothing of it has consumed the token");
    end(&f);
}

Test(join, a_name_that_is_taken_is_refused_and_the_token_stays_good)
{
    struct fixture f = setup();
    begin(&f);
    struct token t = { .uses = 2, .expires_at = f.now + 1000 };
    cr_assert_eq(ctl_token_create(f.ctl, &t, f.token, NULL), 0);
    SC_AUTO(free) char *other = NULL;
    cr_assert_eq(
        tls_request_create(in_dir(&f, "o.key"), "x", "node", &other, NULL), 0);
    cr_expect_str_eq(join(&f, f.token, f.csr, "n1", "us", here(&f), NULL), "");
    cr_expect_str_eq(join(&f, f.token, other, "n1", "us", here(&f), NULL),
                     "EEXIST");
    cr_expect_str_eq(join(&f, f.token, other, "n2", "us", here(&f), NULL), "");
    end(&f);
}

Test(join, a_deleted_token_is_not_known_any_more)
{
    struct fixture f = setup();
    begin(&f);
    struct ctl_txn *x = ctl_txn_begin(f.ctl);
    ctl_del(x, "tokens", f.t.id, NULL);
    cr_assert_eq(ctl_txn_commit(x, NULL), 0);
    cr_expect_str_eq(join(&f, f.token, f.csr, "n", "us", here(&f), NULL),
                     "EACCES");
    end(&f);
}

Test(join, other_addresses_and_bodies_are_refused)
{
    struct fixture f = setup();
    begin(&f);
    ctl_http(f.ctl, "GET", "/join/ca", "", "10.0.0.9", &f.status, &f.answer);
    cr_expect_eq(f.status, 200);
    cr_expect(cJSON_GetObjectItem(f.answer, "ca"));
    cJSON_Delete(SC_TAKE(f.answer));
    ctl_http(f.ctl, "GET", "/etc/passwd", "", "10.0.0.9", &f.status, &f.answer);
    cr_expect_eq(f.status, 404);
    cJSON_Delete(SC_TAKE(f.answer));
    ctl_http(f.ctl, "POST", "/join", "{", "10.0.0.9", &f.status, &f.answer);
    cr_expect_eq(f.status, 400);
    end(&f);
}
