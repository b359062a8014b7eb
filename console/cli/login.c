/* login - login, logout, whoami, passwords and users.
 *
 * Login trusts the controller's authority either because its fingerprint is
 * what --ca-fingerprint says, or because a person was shown it and said yes
 * (once; it is kept).  The password never goes out before that. */
#include "cli/remote.h"
#include "cli/table.h"
#include "common/json.h"
#include "common/tls.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <termios.h>

#define DEFAULT_URL "https://127.0.0.1:8443"
enum { LINE = 1024, TIMEOUT_MS = 30000 };

static const struct table_column session_columns[] = {
    { "user", "user", NULL },
    { "role", "role", NULL },
    { "until", "expires_at", "at" },
    { 0 },
};
static const struct table_column user_list_columns[] = {
    { "USER", "user", NULL },
    { "ROLE", "role", NULL },
    { "CREATED", "created_at", "at" },
    { 0 },
};
static const struct table_column user_columns[] = {
    { "user", "user", NULL },
    { "role", "role", NULL },
    { "created", "created_at", "at" },
    { 0 },
};

/* One line of standard input, without its newline; 'hidden' on a terminal. */
static int read_line(const char *prompt, bool hidden, char ret[LINE],
                     struct sc_err *err)
{
    bool is_tty = isatty(0) == 1;
    struct termios old, quiet;
    bool restore = false;
    if (is_tty) {
        fprintf(stderr, "%s", prompt);
        fflush(stderr);
        if (hidden && tcgetattr(0, &old) == 0) {
            quiet = old;
            quiet.c_lflag &= ~(tcflag_t)ECHO;
            restore = tcsetattr(0, TCSAFLUSH, &quiet) == 0;
        }
    }
    char *line = fgets(ret, LINE, stdin);
    if (restore) {
        tcsetattr(0, TCSAFLUSH, &old);
        fputc('\n', stderr);
    }
    if (!line)
        return sc_fail(err, -EINVAL,
                       "no password: standard input ended before a line of it");
    size_t len = strcspn(ret, "\r\n");
    if (!ret[len] && len == LINE - 1)
        return sc_fail(err, -EINVAL, "the line is too long");
    ret[len] = '\0';
    return 0;
}

/* "host" and "host:port" become URLs. */
static char *full_url(const char *text)
{
    char *url = NULL;
    int n = strstr(text, "://") ? asprintf(&url, "%s", text)
                                : asprintf(&url, "https://%s%s", text,
                                           strchr(text, ':') ? "" : ":8443");
    return n < 0 ? NULL : url;
}

static int get_json(struct https_client *c, const char *path, cJSON **ret,
                    struct sc_err *err)
{
    struct https_client_request rq = { .method = "GET",
                                       .path = path,
                                       .timeout_ms = TIMEOUT_MS };
    struct https_client_answer a = { 0 };
    int r = https_client_do(c, &rq, &a, err);
    if (r == 0)
        r = remote_decode(&a, ret, err);
    free(a.body);
    return r;
}

/* "SHA256:ab:cd.." and "AB CD" are "abcd". */
static bool same_fingerprint(const char *given, const char *pin)
{
    if (strncasecmp(given, "sha256:", 7) == 0)
        given += 7;
    for (; *given; given++) {
        if (*given == ':' || *given == ' ')
            continue;
        if (tolower((unsigned char)*given) != *pin++)
            return false;
    }
    return *pin == '\0';
}

/* Asks whether 'pin' is right: -EACCES if not. */
static int ask_trust(struct cli *cli, const struct cli_args *a, const char *url,
                     const char *pin, struct sc_err *err)
{
    const char *want = cli_opt(a, "ca-fingerprint");
    if (want)
        return same_fingerprint(want, pin)
                   ? 0
                   : sc_fail(err, -EACCES,
                             "%s has the CA fingerprint %s, not the one given: "
                             "this is not your controller",
                             url, pin);
    fprintf(cli->log, "The authority of %s has the SHA-256 fingerprint\n  %s\n",
            url, pin);
    if (cli_opt(a, "trust"))
        return 0;
    if (isatty(0) != 1 || cli_opt(a, "password-stdin"))
        return sc_fail(err, -EACCES,
                       "nobody to ask whether that is right: give "
                       "--ca-fingerprint or --trust");
    char answer[LINE];
    int r = read_line("Is it the one the controller shows? [yes/no] ", false,
                      answer, err);
    if (r == 0 && strcmp(answer, "yes") != 0)
        r = sc_fail(err, -EACCES, "not trusted, not logged in");
    return r;
}

/* The PEM of the controller's authority, believed. */
static int fetch_ca(struct cli *cli, const struct cli_args *a, const char *url,
                    const char *known, char **ret, struct sc_err *err)
{
    struct https_client_options o = { .base_url = url, .trust_anyone = true };
    SC_AUTO(https_client_free) struct https_client *c = NULL;
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    int r = https_client_new(&o, &c, err);
    if (r == 0)
        r = get_json(c, "/api/v1/ca", &answer, err);
    if (r < 0)
        return r;
    const char *pem = cJSON_GetStringValue(cJSON_GetObjectItem(answer, "ca"));
    char pin[TLS_PIN_LEN + 1] = "", known_pin[TLS_PIN_LEN + 1] = "";
    if (!pem)
        return sc_fail(err, -EPROTO, "%s: not a Supercloud controller", url);
    r = tls_pin(pem, pin, err);
    if (r < 0)
        return r;
    bool is_known = known && tls_pin(known, known_pin, NULL) == 0 &&
                    !strcmp(known_pin, pin);
    if (!is_known || cli_opt(a, "ca-fingerprint"))
        r = ask_trust(cli, a, url, pin, err);
    if (r < 0)
        return r;
    *ret = strdup(pem);
    return *ret ? 0 : sc_fail(err, -ENOMEM, "out of memory");
}

static int read_credentials(const struct cli_args *a, char user[LINE],
                            char password[LINE], struct sc_err *err)
{
    const char *given = cli_opt(a, "user");
    if (given)
        snprintf(user, LINE, "%s", given);
    else if (cli_opt(a, "password-stdin"))
        return sc_fail(err, -EINVAL, "--password-stdin needs --user");
    else if (read_line("User: ", false, user, err) < 0)
        return err->code;
    return read_line("Password: ", true, password, err);
}

static int get_token(const struct cli_args *a, const char *url, const char *ca,
                     const char *user, const char *password, cJSON **ret,
                     struct sc_err *err)
{
    int64_t ttl_s;
    int r = cli_opt_int(a, "ttl", 60, 316224000, 0, &ttl_s, err);
    if (r < 0)
        return r;
    char host[128] = "unknown host";
    gethostname(host, sizeof host - 1);
    SC_AUTO(cjson_free) cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "user", user);
    cJSON_AddStringToObject(body, "password", password);
    cJSON_AddTrueToObject(body, "token");
    json_set_strf(body, "token_name", "supercloud on %.100s", host);
    if (ttl_s)
        json_set_u64(body, "token_ttl_s", (uint64_t)ttl_s);
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(body);
    struct https_client_options o = { .base_url = url, .ca_pem = ca };
    SC_AUTO(https_client_free) struct https_client *c = NULL;
    struct https_client_request rq = { .method = "POST",
                                       .path = "/api/v1/login",
                                       .json = text,
                                       .timeout_ms = TIMEOUT_MS };
    struct https_client_answer answer = { 0 };
    r = https_client_new(&o, &c, err);
    if (r == 0)
        r = https_client_do(c, &rq, &answer, err);
    if (r == 0)
        r = remote_decode(&answer, ret, err);
    free(answer.body);
    return r;
}

int cmd_login(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(profile_clear) struct profile old = { 0 };
    SC_AUTO(profile_clear) struct profile now = { 0 };
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    struct sc_err err = { 0 };
    char user[LINE], password[LINE];
    const char *url = a->n_pos ? a->pos[0] : cli->url;
    SC_AUTO(free) char *full = url ? full_url(url) : NULL;
    int r = profile_load(full, &old, &err);
    if (r == 0) {
        now.url = strdup(full ? full : old.url ? old.url : DEFAULT_URL);
        r = fetch_ca(cli, a, now.url, old.ca, &now.ca, &err);
    }
    if (r == 0)
        r = read_credentials(a, user, password, &err);
    if (r == 0)
        r = get_token(a, now.url, now.ca, user, password, &answer, &err);
    explicit_bzero(password, sizeof password);
    if (r < 0) {
        fprintf(cli->log, "supercloud: %s\n", err.text);
        return cli_exit_of(err.code);
    }
    const char *token =
        cJSON_GetStringValue(cJSON_GetObjectItem(answer, "token"));
    now.token = strdup(token ? token : "");
    now.user = strdup(user);
    if (profile_save(&now, &err) < 0)
        return cli_fail(cli, &err);
    fprintf(cli->log, "Logged in to %s as %s (%s).\n", now.url, user,
            cJSON_GetStringValue(cJSON_GetObjectItem(answer, "role")));
    return CLI_OK;
}

int cmd_logout(struct cli *cli, const struct cli_args *a)
{
    (void)a;
    struct sc_err err = { 0 };
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    int r = remote_call(cli, "POST", "/logout", NULL, &answer, &err);
    struct sc_err forget = { 0 };
    if (profile_forget(&forget) < 0)
        return cli_fail(cli, &forget);
    if (r < 0 && r != -EPERM) {
        fprintf(cli->log,
                "supercloud: forgotten here, but not revoked at the "
                "controller: %s\n",
                err.text);
        return cli_exit_of(r);
    }
    return CLI_OK;
}

int cmd_whoami(struct cli *cli, const struct cli_args *a)
{
    (void)a;
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (remote_call(cli, "GET", "/session", NULL, &answer, &err) < 0)
        return cli_fail(cli, &err);
    return print_object(cli, answer, session_columns);
}

/* Twice on a terminal, once from a pipe. */
static int read_new_password(char ret[LINE], struct sc_err *err)
{
    char again[LINE];
    int r = read_line("New password: ", true, ret, err);
    if (r < 0 || isatty(0) != 1)
        return r;
    r = read_line("Once more: ", true, again, err);
    if (r == 0 && strcmp(ret, again) != 0)
        r = sc_fail(err, -EINVAL, "the two passwords differ");
    return r;
}

int cmd_password(struct cli *cli, const struct cli_args *a)
{
    (void)a;
    char old[LINE], new[LINE];
    struct sc_err err = { 0 };
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    if (read_line("Old password: ", true, old, &err) < 0 ||
        read_new_password(new, &err) < 0)
        return cli_fail(cli, &err);
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "old", old);
    cJSON_AddStringToObject(body, "new", new);
    if (remote_call(cli, "POST", "/password", body, &answer, &err) < 0)
        return cli_fail(cli, &err);
    return CLI_OK;
}

int cmd_user_list(struct cli *cli, const struct cli_args *a)
{
    (void)a;
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (remote_call(cli, "GET", "/users", NULL, &answer, &err) < 0)
        return cli_fail(cli, &err);
    return print_list(cli, answer, "users", user_list_columns);
}

int cmd_user_create(struct cli *cli, const struct cli_args *a)
{
    char password[LINE];
    struct sc_err err = { 0 };
    cJSON *answer = NULL;
    if (read_new_password(password, &err) < 0)
        return cli_fail(cli, &err);
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "user", a->pos[0]);
    cJSON_AddStringToObject(body, "password", password);
    if (cli_opt(a, "role"))
        cJSON_AddStringToObject(body, "role", cli_opt(a, "role"));
    if (remote_call(cli, "POST", "/users", body, &answer, &err) < 0)
        return cli_fail(cli, &err);
    return print_object(cli, answer, user_columns);
}

int cmd_user_delete(struct cli *cli, const struct cli_args *a)
{
    SC_AUTO(free) char *user = remote_escape(a->pos[0]);
    SC_AUTO(cjson_free) cJSON *answer = NULL;
    struct sc_err err = { 0 };
    if (remote_callf(cli, "DELETE", NULL, &answer, &err, "/users/%s", user) < 0)
        return cli_fail(cli, &err);
    return CLI_OK;
}
