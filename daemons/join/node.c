/* node - joining a controller (join.h).
 *
 * 1. GET /join/ca, believing nobody: the authority's certificate and the time.
 * 2. Its SHA-256 must be the token's pin; only then is it trusted.
 * 3. The clocks must agree, or certificates would fail without a clear reason.
 * 4. POST /join, to "supercloud-controller" as that authority knows it.
 * A controller that cannot be reached is tried again until the time is up; the
 * request is the same each time, so one whose answer was lost counts once. */
#include "common/config.h"
#include "common/http_client.h"
#include "common/json.h"
#include "common/loop.h"
#include "join/install.h"
#include "join/join.h"
#include "join/machine.h"

#include <stdio.h>
#include <time.h>

#define CONTROLLER_NAME "supercloud-controller"

enum {
    CLOCK_MAX_MS = 24 * 3600 * 1000,
    RETRY_MIN_MS = 1000,
    RETRY_MAX_MS = 10000,
    PEM_MAX = 64 << 10,
};

struct place {
    char host[SC_HOST_MAX + 1];
    uint16_t port;
    uint64_t give_up_at; /* sc_mono_ms */
};

static void time_text(uint64_t ms, char ret[32])
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    if (!gmtime_r(&t, &tm) || !strftime(ret, 32, "%Y-%m-%d %H:%M:%S UTC", &tm))
        snprintf(ret, 32, "%llu ms", (unsigned long long)ms);
}

int join_check_clock(uint64_t here_ms, uint64_t there_ms,
                     struct join_failure *f)
{
    uint64_t off = here_ms > there_ms ? here_ms - there_ms : there_ms - here_ms;
    if (off < CLOCK_MAX_MS)
        return 0;
    char here[32], there[32];
    time_text(here_ms, here);
    time_text(there_ms, there);
    return join_fail(f, JOIN_CLOCK,
                     "this machine's clock says %s, the controller's %s", here,
                     there);
}

int join_refusal(const char *body, long status, struct join_failure *f)
{
    static const struct {
        const char *name;
        enum join_code code;
        const char *text;
    } known[] = {
        { "ETIME", JOIN_EXPIRED, "the token has expired" },
        { "EALREADY", JOIN_USED, "the token is used up" },
        { "EACCES", JOIN_UNKNOWN, "the controller refuses this token" },
        { "EBADMSG", JOIN_CLOCK, "the clocks differ" },
        { "EINVAL", JOIN_REFUSED, "the controller refuses" },
        { "EEXIST", JOIN_REFUSED, "the controller refuses" },
    };
    SC_AUTO(cjson_free) cJSON *doc = cJSON_Parse(body);
    const cJSON *e = cJSON_GetObjectItemCaseSensitive(doc, "error");
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(e, "code");
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(e, "message");
    if (!cJSON_IsString(code) || !cJSON_IsString(text))
        return join_fail(f, JOIN_ANSWER,
                         "the controller answered with HTTP status %ld",
                         status);
    for (size_t i = 0; i < SC_ARRAY_LEN(known); i++)
        if (!strcmp(known[i].name, code->valuestring))
            return join_fail(f, known[i].code, "%s (%s)", known[i].text,
                             text->valuestring);
    return join_fail(f, JOIN_ANSWER, "the controller failed with %s: %s",
                     code->valuestring, text->valuestring);
}

static void sleep_ms(uint64_t ms)
{
    struct timespec t = { .tv_sec = (time_t)(ms / 1000),
                          .tv_nsec = (long)(ms % 1000) * 1000000 };
    nanosleep(&t, NULL);
}

/* Asks until there is an answer or the time is up. */
static int ask(const struct place *p, const char *method, const char *path,
               const char *ca_pem, const char *body, struct http_response *ret,
               struct join_failure *f)
{
    struct http_request q = { .host = p->host,
                              .port = p->port,
                              .server_name = CONTROLLER_NAME,
                              .ca_pem = ca_pem,
                              .method = method,
                              .path = path,
                              .body = body };
    for (uint64_t wait_ms = RETRY_MIN_MS;; wait_ms *= 2) {
        struct sc_err err;
        int r = http_request_run(&q, ret, &err);
        if (r == 0)
            return 0;
        if (r == -EACCES)
            return join_fail(f, JOIN_IDENTITY,
                             "%s does not prove to be the controller of this "
                             "token: %s",
                             p->host, err.text);
        if (r != -EHOSTUNREACH && r != -ETIMEDOUT)
            return join_fail(f, JOIN_ANSWER, "%s port %u: %s", p->host, p->port,
                             err.text);
        if (wait_ms > RETRY_MAX_MS)
            wait_ms = RETRY_MAX_MS;
        if (sc_mono_ms() + wait_ms >= p->give_up_at)
            return join_fail(f, JOIN_UNREACHABLE,
                             "the controller %s port %u is not reached: %s",
                             p->host, p->port, err.text);
        if (wait_ms == RETRY_MIN_MS)
            fprintf(stderr,
                    "supercloud: waiting for the controller %s port %u: %s\n",
                    p->host, p->port, err.text);
        sleep_ms(wait_ms);
    }
}

/* Steps 1 to 3; '*ret_ca' is the caller's. */
static int get_authority(const struct place *p, const char *pin, char **ret_ca,
                         struct join_failure *f)
{
    struct http_response answer = { 0 };
    if (ask(p, "GET", "/join/ca", NULL, NULL, &answer, f) < 0)
        return -1;
    SC_AUTO(free) char *body = answer.body;
    SC_AUTO(cjson_free) cJSON *doc = cJSON_Parse(body);
    struct json_reader in = json_read(doc, "the controller's answer");
    const char *ca = json_str(&in, "ca", 1, PEM_MAX);
    int64_t time_ms = json_int(&in, "time_ms", 0, INT64_C(1) << 53);
    char found[TLS_PIN_LEN + 1];
    struct sc_err err;
    if (answer.status != 200 || json_done(&in, NULL) < 0)
        return join_fail(f, JOIN_ANSWER,
                         "%s port %u is no Supercloud controller (HTTP status "
                         "%ld)",
                         p->host, p->port, answer.status);
    if (tls_pin(ca, found, &err) < 0)
        return join_fail(f, JOIN_ANSWER, "the authority of %s: %s", p->host,
                         err.text);
    if (strcmp(found, pin) != 0)
        return join_fail(f, JOIN_PIN,
                         "the authority of %s has fingerprint %.16s..., the "
                         "token's pin is %.16s...",
                         p->host, found, pin);
    if (join_check_clock(sc_wall_ms(), (uint64_t)time_ms, f) < 0)
        return -1;
    *ret_ca = strdup(ca);
    return *ret_ca ? 0 : join_fail(f, JOIN_MACHINE, "out of memory");
}

/* Step 4's body; NULL: out of memory. */
static char *join_body(const struct join_request *r, const char *csr,
                       const char *name, const char *address)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "token", r->token);
    cJSON_AddStringToObject(o, "csr", csr);
    cJSON_AddStringToObject(o, "name", name);
    if (r->region)
        cJSON_AddStringToObject(o, "region", r->region);
    if (r->provider)
        cJSON_AddStringToObject(o, "provider", r->provider);
    cJSON_AddStringToObject(o, "address", address);
    json_set_u64(o, "time_ms", sc_wall_ms());
    return cJSON_PrintUnformatted(o);
}

static int write_pem(const struct install *i, const char *name,
                     const char *text, struct join_failure *f)
{
    struct sc_err err;
    SC_AUTO(free) char *path = install_path(i, name);
    if (!path || tls_write_file(path, text, 0644, &err) < 0)
        return join_fail(f, JOIN_FILES, "%s",
                         path ? err.text : "out of memory");
    return 0;
}

static const char *string_of(const cJSON *o, const char *key, const char *def)
{
    const cJSON *j = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsString(j) ? j->valuestring : def;
}

/* Adds the keys of 'from' that 'to' has not. */
static void merge(cJSON *to, const cJSON *from)
{
    const cJSON *j;
    cJSON_ArrayForEach(j, from)
    {
        if (j->string && !cJSON_HasObjectItem(to, j->string))
            cJSON_AddItemToObject(to, j->string, cJSON_Duplicate(j, true));
    }
}

/* What the controller said, into files. */
static int take_answer(struct install *i, const struct place *p,
                       const char *body, const char *ca, const char *name,
                       const char *address, const char *hypervisor,
                       struct join_result *ret, struct join_failure *f)
{
    const struct join_request *r = i->request;
    SC_AUTO(cjson_free) cJSON *doc = cJSON_Parse(body);
    struct json_reader in = json_read(doc, "the controller's answer");
    const char *id = json_str(&in, "node_id", SC_UUID_LEN, SC_UUID_LEN);
    int64_t nid = json_int(&in, "nid", 1, 65535);
    const char *cert = json_str(&in, "cert", 1, PEM_MAX);
    struct sc_err err;
    if (json_done(&in, &err) < 0)
        return join_fail(f, JOIN_ANSWER, "%s", err.text);
    if (write_pem(i, "ca.crt", ca, f) < 0 ||
        write_pem(i, "node.crt", cert, f) < 0)
        return -1;
    const cJSON *extra = cJSON_GetObjectItemCaseSensitive(doc, "config");
    name = string_of(extra, "name", name); /* It may have chosen another. */
    const char *region =
        r->region ? r->region : string_of(extra, "region", "default");
    const char *provider =
        r->provider ? r->provider : string_of(extra, "provider", "default");
    SC_AUTO(cjson_free)
    cJSON *config = config_new(r, id, (uint16_t)nid, false, name, region,
                               provider, p->host, p->port, address, hypervisor);
    merge(config, extra);
    if (install_commit(i, config, f) < 0)
        return -1;
    snprintf(ret->name, sizeof ret->name, "%s", name);
    snprintf(ret->node_id, sizeof ret->node_id, "%s", id);
    ret->nid = (unsigned)nid;
    return 0;
}

static int join_with(const struct join_request *r, struct install *i,
                     const struct place *p, struct join_result *ret,
                     struct join_failure *f)
{
    char pin[TLS_PIN_LEN + 1], name[64], address[INET6_ADDRSTRLEN];
    const char *hypervisor = r->hypervisor;
    if (!hypervisor || !strcmp(hypervisor, "auto"))
        hypervisor = machine_hypervisor("/proc/xen/capabilities");
    if (!hypervisor)
        return join_fail(f, JOIN_MACHINE,
                         "neither Xen nor QEMU is here ('hypervisor')");
    if (!token_pin(r->token, pin))
        return join_fail(f, JOIN_USER_DATA, "'token' is malformed");
    SC_AUTO(free) char *ca = NULL;
    if (get_authority(p, pin, &ca, f) < 0)
        return -1;
    if (r->name)
        snprintf(name, sizeof name, "%s", r->name);
    else
        machine_name(name);
    if (r->address)
        snprintf(address, sizeof address, "%s", r->address);
    else if (machine_address(p->host, p->port, address) < 0)
        return join_fail(f, JOIN_MACHINE,
                         "no address of this machine found ('address')");

    struct sc_err err;
    SC_AUTO(free) char *key = install_path(i, "node.key");
    SC_AUTO(free) char *csr = NULL;
    /* The authority decides on the subject; ours is a placeholder. */
    if (!key || tls_request_create(key, name, "node", &csr, &err) < 0)
        return join_fail(f, JOIN_FILES, "%s", key ? err.text : "out of memory");
    SC_AUTO(free) char *body = join_body(r, csr, name, address);
    if (!body)
        return join_fail(f, JOIN_MACHINE, "out of memory");
    struct http_response answer = { 0 };
    if (ask(p, "POST", "/join", ca, body, &answer, f) < 0)
        return -1;
    SC_AUTO(free) char *text = answer.body;
    if (answer.status != 200)
        return join_refusal(text, answer.status, f);
    return take_answer(i, p, text, ca, name, address, hypervisor, ret, f);
}

int join_node(const struct join_request *r, struct join_result *ret,
              struct join_failure *f)
{
    struct place p = { .give_up_at = sc_mono_ms() + r->timeout_ms };
    uint16_t nid = 0;
    if (already_joined(r, ret->name, &nid)) {
        ret->nid = nid;
        ret->was_member = true;
        return 0;
    }
    if (sc_host_port_split(r->controller, 7443, p.host, &p.port) < 0)
        return join_fail(f, JOIN_USER_DATA, "'controller' is malformed");
    struct install i;
    if (install_begin(&i, r, f) < 0)
        return -1;
    int n = join_with(r, &i, &p, ret, f);
    install_fini(&i);
    return n;
}
