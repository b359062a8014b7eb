/* worker - see worker.h. */
#include "provider/worker.h"

#include "common/json.h"
#include "common/loop.h"
#include "provider/calls.h"

#include <signal.h>

enum { PROGRESS_MS = 200 }; /* Between two lines of one stage. */

struct worker {
    FILE *out;
    char stage[64];
    uint64_t told_at; /* ms */
};

void worker_block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool worker_cancelled(void *unused)
{
    (void)unused;
    sigset_t set;
    sigpending(&set);
    return sigismember(&set, SIGTERM) == 1 || sigismember(&set, SIGINT) == 1;
}

/* Bytes at 's' that are one character of UTF-8 (RFC 3629), or 0. */
static size_t utf8_len(const unsigned char *s)
{
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
               : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                             : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool wrong = (s[0] == 0xe0 && s[1] < 0xa0) || /* Too long a form, */
                 (s[0] == 0xf0 && s[1] < 0x90) ||
                 (s[0] == 0xed && s[1] > 0x9f) || /* half a pair, */
                 (s[0] == 0xf4 && s[1] > 0x8f);   /* past the end. */
    return wrong ? 0 : n;
}

/* A provider's text, or one that was cut, may not be UTF-8; a line must be. */
static void make_utf8(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c;) {
        size_t n = utf8_len(c);
        if (n == 0)
            *c = '?';
        c += n ? n : 1;
    }
}

static bool put_line(FILE *out, const char *key, cJSON *taken)
{
    SC_AUTO(cjson_free) cJSON *o = cJSON_CreateObject();
    if (!o || !taken || !cJSON_AddItemToObject(o, key, taken)) {
        cJSON_Delete(taken);
        return false;
    }
    SC_AUTO(free) char *text = cJSON_PrintUnformatted(o);
    if (text)
        make_utf8(text);
    return text && fprintf(out, "%s\n", text) > 0 && fflush(out) == 0;
}

static void put_or_end(struct worker *w, const char *key, cJSON *taken)
{
    if (!put_line(w->out, key, taken))
        _exit(1);
}

static void on_progress(void *arg, const char *stage, uint64_t done,
                        uint64_t total)
{
    struct worker *w = arg;
    uint64_t now = sc_wall_ms();
    bool same = !strcmp(w->stage, stage);
    if (same && done < total && now - w->told_at < PROGRESS_MS)
        return;
    w->told_at = now;
    snprintf(w->stage, sizeof w->stage, "%s", stage);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "stage", stage);
    cJSON_AddNumberToObject(o, "done", (double)done);
    cJSON_AddNumberToObject(o, "total", (double)total);
    put_or_end(w, "progress", o);
}

static void on_save(void *arg, const cJSON *state)
{
    put_or_end(arg, "save", cJSON_Duplicate(state, true));
}

/* Without line ends and other control characters. */
static void make_plain(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++)
        if (*c < ' ' || *c == 127)
            *c = ' ';
}

static bool put_error(FILE *out, struct sc_err *err)
{
    make_plain(err->text);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "code", sc_err_name(err->code));
    cJSON_AddStringToObject(o, "message", err->text);
    return put_line(out, "error", o);
}

static int read_all(FILE *in, char **ret, struct sc_err *err)
{
    size_t size = 0, cap = 65536;
    SC_AUTO(free) char *buf = malloc(cap);
    for (size_t n; buf; size += n) {
        if (size + 1 == cap) {
            char *more =
                cap < WORKER_REQUEST_MAX ? realloc(buf, cap * 2) : NULL;
            if (!more)
                return sc_fail(err, -EMSGSIZE, "request: too long");
            buf = more;
            cap *= 2;
        }
        if ((n = fread(buf + size, 1, cap - size - 1, in)) == 0) {
            buf[size] = '\0';
            *ret = SC_TAKE(buf);
            return 0;
        }
    }
    return sc_fail(err, -ENOMEM, "request: out of memory");
}

static int make_call(struct worker *w, const cJSON *request, cJSON **ret,
                     struct sc_err *err)
{
    static const char *const known[] = { "driver", "config", "call", "args",
                                         "tags",   "resume", NULL };
    static const char *const known_tags[] = { "cluster", "token", NULL };
    struct json_reader r = json_read(request, "request");
    const char *driver = json_str(&r, "driver", 1, 63);
    const char *name = json_str(&r, "call", 1, 63);
    const cJSON *config = json_obj(&r, "config");
    json_only(&r, known);
    if (json_done(&r, err) < 0)
        return -EINVAL;
    const cJSON *tags = cJSON_GetObjectItemCaseSensitive(request, "tags");
    struct json_reader t = json_read(tags, "tags");
    struct provider_tags who = {
        .cluster = tags ? json_str_or(&t, "cluster", 63, NULL) : NULL,
        .token = tags ? json_str_or(&t, "token", 63, NULL) : NULL,
    };
    if (tags)
        json_only(&t, known_tags);
    if (tags && json_done(&t, err) < 0)
        return -EINVAL;
    const struct call *c = call_find(name);
    if (!c)
        return sc_fail(err, -EINVAL, "call '%s': unknown", name);
    const cJSON *resume = cJSON_GetObjectItemCaseSensitive(request, "resume");
    struct provider_hooks hooks = { on_progress, on_save, worker_cancelled, w };
    SC_AUTO(provider_close) struct provider *p = NULL;
    int e = provider_open(driver, config, &hooks, &p, err);
    return e < 0 ? e
                 : call_run(
                       c, p, cJSON_GetObjectItemCaseSensitive(request, "args"),
                       &who, cJSON_IsObject(resume) ? resume : NULL, ret, err);
}

int worker_run(FILE *in, FILE *out)
{
    struct sc_err err = { 0 };
    struct worker w = { .out = out };
    SC_AUTO(free) char *text = NULL;
    SC_AUTO(cjson_free) cJSON *request = NULL;
    cJSON *result = NULL;
    int r = read_all(in, &text, &err);
    if (r == 0 && !(request = cJSON_Parse(text)))
        r = sc_fail(&err, -EINVAL, "request: not JSON");
    if (r == 0)
        r = make_call(&w, request, &result, &err);
    if (r < 0 && !err.code)
        sc_fail(&err, r, "%s", strerror(-r));
    return (r < 0 ? put_error(out, &err) : put_line(out, "result", result)) ? 0
                                                                            : 1;
}
