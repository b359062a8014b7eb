/* A join is one transaction: the token is consumed and the node appears, or
 * neither.  The certificate is signed before (it is worth nothing until its
 * node is in the registry).  If the answer is lost on its way, the joiner asks
 * again with the same key, and gets a new certificate for the same node. */
#include "controller/join.h"

#include "common/log.h"
#include "common/tls.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    CLOCK_SLACK_MS = 24 * 3600 * 1000,
    CSR_MAX = 16384,
    CERT_DAYS = 3650,
    NID_MAX = 65535,
};

static int ca_read(struct ctl *ctl, char **ret_pem, char pin[TLS_PIN_LEN + 1],
                   struct sc_err *err)
{
    SC_AUTO(free) char *path = NULL;
    SC_AUTO(free) char *pem = NULL;
    if (asprintf(&path, "%s/ca.crt", ctl->pki_dir) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    int r = tls_read_file(path, &pem, err);
    if (r == 0)
        r = tls_pin(pem, pin, err);
    if (r == 0)
        *ret_pem = SC_TAKE(pem);
    return r;
}

int ctl_token_make(struct ctl *ctl, struct token *t, char ret_text[TOKEN_TEXT],
                   struct sc_err *err)
{
    SC_AUTO(free) char *pem = NULL;
    char pin[TLS_PIN_LEN + 1];
    int r = ca_read(ctl, &pem, pin, err);
    if (r == 0)
        r = token_new(t, pin, ret_text, err);
    if (r < 0)
        return r;
    OBJ_SET(t->role, "node");
    t->created_at = ctl_now(ctl);
    return 0;
}

int ctl_token_create(struct ctl *ctl, struct token *t,
                     char ret_text[TOKEN_TEXT], struct sc_err *err)
{
    int r = ctl_token_make(ctl, t, ret_text, err);
    if (r < 0)
        return r;
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_put_json(x, "tokens", t->id, token_to_json(t));
    return ctl_txn_commit(x, err);
}

struct join_request {
    const char *token, *csr, *name, *region, *provider, *address, *role;
    int64_t time_ms;
};

static int check_name(const char *field, const char *value, struct sc_err *err)
{
    if (!sc_name_ok(value))
        return sc_fail(err, -EINVAL,
                       "join: '%s' '%.64s': must be 1 to 63 of a-z A-Z 0-9 . _ "
                       "-, the first a letter or digit",
                       field, value);
    return 0;
}

static int read_request(const cJSON *body, const char *remote_addr,
                        struct join_request *q, struct sc_err *err)
{
    struct json_reader r = json_read(body, "join");
    q->token = json_str(&r, "token", 1, TOKEN_TEXT);
    q->csr = json_str(&r, "csr", 1, CSR_MAX);
    q->name = json_str(&r, "name", 1, OBJ_NAME - 1);
    q->region = json_str_or(&r, "region", OBJ_NAME - 1, "");
    q->provider = json_str_or(&r, "provider", OBJ_NAME - 1, "");
    q->address = json_str_or(&r, "address", OBJ_ADDRESS - 1, "");
    q->role = json_str_or(&r, "role", 16, "node");
    q->time_ms = json_int(&r, "time_ms", 0, INT64_C(1) << 53);
    if (!q->address[0])
        q->address = remote_addr;
    int e = json_done(&r, err);
    if (e == 0)
        e = check_name("name", q->name, err);
    if (e == 0 && q->region[0])
        e = check_name("region", q->region, err);
    if (e == 0 && q->provider[0])
        e = check_name("provider", q->provider, err);
    uint8_t bin[16];
    if (e == 0 && inet_pton(AF_INET, q->address, bin) != 1 &&
        inet_pton(AF_INET6, q->address, bin) != 1)
        e = sc_fail(err, -EINVAL, "join: 'address' '%s': is not an IP address",
                    q->address);
    return e;
}

static int check_clock(const struct join_request *q, uint64_t now,
                       struct sc_err *err)
{
    int64_t off = q->time_ms - (int64_t)now;
    if (off < CLOCK_SLACK_MS && off > -CLOCK_SLACK_MS)
        return 0;
    return sc_fail(err, -EBADMSG,
                   "join: the node's clock says %" PRId64
                   " ms since 1970, the controller's %" PRIu64
                   ": they differ by %" PRId64 " hours; set the node's clock",
                   q->time_ms, now, off / 3600000);
}

static int find_token(struct ctl *ctl, const struct token_parts *p,
                      struct token *ret, struct sc_err *err)
{
    SC_AUTO(cjson_free) cJSON *j = ctl_read_json(ctl, "tokens", p->id);
    if (!j)
        return sc_fail(err, -EACCES, "token '%s': is not known", p->id);
    return token_from_json(j, ret, err);
}

static struct ctl_node *find_by_csr(struct ctl *ctl, const char *token_id,
                                    const char *digest)
{
    for (size_t i = 0; i < ctl->nodes.n; i++) {
        struct ctl_node *n = ctl->nodes.items[i];
        if (!strcmp(n->n.csr_sha256, digest) &&
            !strcmp(n->n.token_id, token_id))
            return n;
    }
    return NULL;
}

static int sign(struct ctl *ctl, const char *csr, const char *node_id,
                char **ret_cert, struct sc_err *err)
{
    SC_AUTO(free) char *ca = NULL;
    SC_AUTO(free) char *key = NULL;
    if (asprintf(&ca, "%s/ca.crt", ctl->pki_dir) < 0 ||
        asprintf(&key, "%s/ca.key", ctl->pki_dir) < 0)
        return sc_fail(err, -ENOMEM, "out of memory");
    return tls_sign(ca, key, csr, node_id, "node", NULL, CERT_DAYS, ret_cert,
                    err);
}

/* The config of the joining machine: what all nodes have in common, and who
 * it is. */
static cJSON *config_json(struct ctl *ctl, const struct node *n)
{
    static const char *const own[] = { "node_id",    "nid",      "name",
                                       "region",     "provider", "roles",
                                       "controller", "address" };
    cJSON *j = cJSON_Parse(ctl->node_config);
    if (!j)
        j = cJSON_CreateObject();
    for (size_t i = 0; i < SC_ARRAY_LEN(own); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(j, own[i]);
    cJSON_AddStringToObject(j, "node_id", n->id);
    json_set_u64(j, "nid", n->nid);
    cJSON_AddStringToObject(j, "name", n->name);
    cJSON_AddStringToObject(j, "region", n->region);
    cJSON_AddStringToObject(j, "provider", n->provider);
    cJSON *roles = cJSON_AddArrayToObject(j, "roles");
    cJSON_AddItemToArray(roles, cJSON_CreateString("node"));
    cJSON *controller = cJSON_AddObjectToObject(j, "controller");
    cJSON_AddStringToObject(controller, "host", ctl->host);
    json_set_u64(controller, "port", ctl->port);
    cJSON_AddStringToObject(j, "address", n->address);
    return j;
}

static uint16_t config_port(struct ctl *ctl, const char *name, uint16_t def)
{
    SC_AUTO(cjson_free) cJSON *j = cJSON_Parse(ctl->node_config);
    const cJSON *p = cJSON_GetObjectItem(cJSON_GetObjectItem(j, "ports"), name);
    return cJSON_IsNumber(p) ? (uint16_t)p->valuedouble : def;
}

static int join_answer(struct ctl *ctl, const struct node *n, const char *cert,
                       const char *ca, cJSON **ret, struct sc_err *err)
{
    cJSON *j = cJSON_CreateObject();
    if (!j)
        return sc_fail(err, -ENOMEM, "out of memory");
    cJSON_AddStringToObject(j, "node_id", n->id);
    json_set_u64(j, "nid", n->nid);
    cJSON_AddStringToObject(j, "cert", cert);
    cJSON_AddStringToObject(j, "ca", ca);
    cJSON *controller = cJSON_AddObjectToObject(j, "controller");
    cJSON_AddStringToObject(controller, "host", ctl->host);
    json_set_u64(controller, "port", ctl->port);
    cJSON_AddItemToObject(j, "config", config_json(ctl, n));
    *ret = j;
    return 0;
}

/* What the joiner says, else what its token says, else "default". */
static const char *first_of(const char *said, const char *token)
{
    return said[0] ? said : token[0] ? token : "default";
}

/* Consumes the token and adds the node: one transaction. */
static int admit(struct ctl *ctl, struct token *t, const struct join_request *q,
                 const char *csr_digest, struct node *n, struct sc_err *err)
{
    if (ctl_node_find(ctl, q->name))
        return sc_fail(err, -EEXIST,
                       "join: there is a node '%s' already; choose another "
                       "name or delete that node first",
                       q->name);
    if (ctl->next_nid > NID_MAX)
        return sc_fail(err, -ENOSPC, "join: no node number is left");
    n->nid = (uint16_t)ctl->next_nid;
    OBJ_SET(n->name, q->name);
    OBJ_SET(n->region, first_of(q->region, t->region));
    OBJ_SET(n->provider, first_of(q->provider, t->provider));
    OBJ_SET(n->address, q->address);
    OBJ_SET(n->csr_sha256, csr_digest);
    OBJ_SET(n->token_id, t->id);
    n->storage_port = config_port(ctl, "storage", 7480);
    n->probe_port = config_port(ctl, "probe", 7481);
    n->migration_port = config_port(ctl, "migration", 7482);
    n->joined_at = ctl_now(ctl);
    n->state = NODE_JOINING;
    t->used++;
    ctl->next_nid++;
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_put_json(x, "tokens", t->id, token_to_json(t));
    ctl_put_number(x, "next_nid", ctl->next_nid);
    ctl_node_add(ctl, x, n);
    return ctl_txn_commit(x, err);
}

static int join(struct ctl *ctl, const cJSON *body, const char *remote_addr,
                cJSON **ret, struct sc_err *err)
{
    struct join_request q = { 0 };
    struct token_parts parts = { 0 };
    struct token t = { 0 };
    struct node n = { 0 };
    char pin[TLS_PIN_LEN + 1], digest[65];
    SC_AUTO(free) char *ca = NULL;
    SC_AUTO(free) char *cert = NULL;
    int r = read_request(body, remote_addr, &q, err);
    if (r == 0)
        r = check_clock(&q, ctl_now(ctl), err);
    if (r == 0)
        r = token_parse(q.token, &parts, err);
    if (r == 0)
        r = find_token(ctl, &parts, &t, err);
    if (r == 0)
        r = ca_read(ctl, &ca, pin, err);
    if (r < 0)
        return r;
    tls_sha256_hex(q.csr, strlen(q.csr), digest);
    struct token_claim claim = { q.role, q.region, q.provider };
    r = token_check(&t, &parts, pin, &claim, ctl_now(ctl), err);
    /* Used up by this very machine, whose answer was lost? */
    const struct ctl_node *again = NULL;
    if (r == 0 || r == -EALREADY)
        again = find_by_csr(ctl, t.id, digest);
    if (r < 0 && !again)
        return r;
    if (again)
        n = again->n;
    else
        sc_uuid_new(n.id);
    r = sign(ctl, q.csr, n.id, &cert, err);
    if (r < 0)
        return r == -EINVAL || r == -EBADMSG
                   ? sc_fail(err, -EINVAL, "join: 'csr' is not a request")
                   : r;
    if (!again)
        r = admit(ctl, &t, &q, digest, &n, err);
    if (r < 0)
        return r;
    sc_log(SC_LOG_INFO, "node.join", "node", n.name, "id", n.id, "region",
           n.region, "provider", n.provider, "from", remote_addr, "token", t.id,
           NULL);
    return join_answer(ctl, &n, cert, ca, ret, err);
}

static int http_status(int code)
{
    static const struct {
        int code, status;
    } table[] = {
        { -EINVAL, 400 }, { -EBADMSG, 400 }, { -EACCES, 403 },
        { -ENOENT, 404 }, { -EEXIST, 409 },  { -EALREADY, 409 },
        { -ETIME, 410 },  { -ENOSPC, 507 },
    };
    for (size_t i = 0; i < SC_ARRAY_LEN(table); i++) {
        if (table[i].code == code)
            return table[i].status;
    }
    return 500;
}

static int ca_answer(struct ctl *ctl, cJSON **ret, struct sc_err *err)
{
    SC_AUTO(free) char *pem = NULL;
    char pin[TLS_PIN_LEN + 1];
    int r = ca_read(ctl, &pem, pin, err);
    if (r < 0)
        return r;
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "ca", pem);
    json_set_u64(j, "time_ms", ctl_now(ctl));
    *ret = j;
    return 0;
}

void ctl_http(void *ctx, const char *method, const char *uri, const char *body,
              const char *remote_addr, int *status, cJSON **ret)
{
    struct ctl *ctl = ctx;
    struct sc_err err = { 0 };
    int r;
    *status = 200;
    *ret = NULL;
    if (!strcmp(method, "GET") && !strcmp(uri, "/join/ca")) {
        r = ca_answer(ctl, ret, &err);
    } else if (!strcmp(method, "POST") && !strcmp(uri, "/join")) {
        SC_AUTO(cjson_free) cJSON *j = cJSON_Parse(body ? body : "");
        r = j ? join(ctl, j, remote_addr, ret, &err)
              : sc_fail(&err, -EINVAL, "join: the body is not JSON");
        if (r < 0)
            sc_log(SC_LOG_WARN, "node.join.refused", "from", remote_addr,
                   "error", err.text, NULL);
    } else {
        r = sc_fail(&err, -ENOENT, "%s %.100s: nothing is here", method, uri);
    }
    if (r == 0)
        return;
    *status = http_status(r);
    *ret = cJSON_CreateObject();
    cJSON *e = cJSON_AddObjectToObject(*ret, "error");
    cJSON_AddStringToObject(e, "code", sc_err_name(r));
    cJSON_AddStringToObject(e, "message", err.text);
}
