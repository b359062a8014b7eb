/* notice - one answer -> one notice (notice.h); when to ask: notice_watch.c. */
#include "node/notice.h"

#include "common/json.h"

#include <stdio.h>
#include <strings.h>
#include <time.h>

const char *notice_kind_name(enum notice_kind k)
{
    static const char *const names[NOTICE_N_KINDS] = {
#define K(id, text) [NOTICE_##id] = text,
        NOTICE_KINDS(K)
#undef K
    };
    return k < NOTICE_N_KINDS ? names[k] : "?";
}

bool notice_equal(const struct notice *a, const struct notice *b)
{
    return a->kind == b->kind && a->at == b->at &&
           !strcmp(a->action, b->action) && !strcmp(a->source, b->source) &&
           !strcmp(a->text, b->text);
}

cJSON *notice_to_json(const struct notice *n)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "kind", notice_kind_name(n->kind));
    cJSON_AddStringToObject(o, "action", n->action);
    json_set_u64(o, "at", n->at);
    cJSON_AddStringToObject(o, "source", n->source);
    cJSON_AddStringToObject(o, "text", n->text);
    return o;
}

uint64_t notice_time(const char *text)
{
    static const char *const forms[] = { "%Y-%m-%dT%H:%M:%SZ",
                                         "%a, %d %b %Y %H:%M:%S GMT",
                                         "%d %b %Y %H:%M:%S GMT" };
    for (size_t i = 0; i < SC_ARRAY_LEN(forms); i++) {
        struct tm tm = { 0 };
        const char *end = strptime(text, forms[i], &tm);
        time_t t = end && !*end ? timegm(&tm) : 0;
        if (t > 0)
            return (uint64_t)t * 1000;
    }
    return 0;
}

static struct notice nothing(void)
{
    return (struct notice){ .kind = NOTICE_NONE, .action = "", .source = "" };
}

/* 'text' of outside goes on to people: printable ASCII alone. */
static void say(struct notice *n, const char *what, const char *text)
{
    int len = snprintf(n->text, sizeof n->text, "%s%s%s", what,
                       *text ? ": " : "", text);
    for (int i = 0; i < len && n->text[i]; i++)
        if (n->text[i] < ' ' || n->text[i] > '~')
            n->text[i] = '?';
}

/* One of the actions of the protocol, as a literal; NULL: none of them. */
static const char *action_of(const char *text)
{
    static const char *const actions[] = { "terminate", "stop", "hibernate",
                                           "reboot", "freeze" };
    for (size_t i = 0; i < SC_ARRAY_LEN(actions); i++)
        if (!strcmp(text, actions[i]))
            return actions[i];
    return NULL;
}

/* --- EC2 ------------------------------------------------------------------ */

/* {"action": "terminate", "time": "2017-09-18T08:22:00Z"}; 404: none. */
int notice_ec2_spot(int status, const char *body, struct notice *ret)
{
    struct notice n = nothing();
    if (status == 404) {
        *ret = n;
        return 0;
    }
    SC_AUTO(cjson_free) cJSON *o = status == 200 ? cJSON_Parse(body) : NULL;
    struct json_reader r = json_read(o, "spot/instance-action");
    const char *action = action_of(json_str(&r, "action", 1, 32));
    const char *time = json_str_or(&r, "time", 64, "");
    if (json_done(&r, NULL) < 0 || !action)
        return -EPROTO;
    n.kind = NOTICE_REVOCATION;
    n.action = action;
    n.source = "ec2-spot-action";
    n.at = notice_time(time);
    say(&n, "EC2 takes the spot instance back", action);
    *ret = n;
    return 0;
}

/* {"noticeTime": "2020-10-27T08:22:00Z"}; 404: none. */
int notice_ec2_rebalance(int status, const char *body, struct notice *ret)
{
    struct notice n = nothing();
    if (status == 404) {
        *ret = n;
        return 0;
    }
    SC_AUTO(cjson_free) cJSON *o = status == 200 ? cJSON_Parse(body) : NULL;
    struct json_reader r = json_read(o, "rebalance");
    const char *time = json_str(&r, "noticeTime", 1, 64);
    if (json_done(&r, NULL) < 0)
        return -EPROTO;
    n.kind = NOTICE_REBALANCE;
    n.source = "ec2-rebalance";
    say(&n, "EC2 expects to take the spot instance back; said at", time);
    *ret = n;
    return 0;
}

static const struct {
    const char *code, *action;
} ec2_codes[] = {
    { "instance-reboot", "reboot" },    { "system-reboot", "reboot" },
    { "system-maintenance", "freeze" }, { "instance-stop", "stop" },
    { "instance-retirement", "stop" },
};

/* [{"NotBefore": "21 Jan 2019 09:00:43 GMT", "Code": "system-reboot",
 *   "State": "active", "Description", ...}]: the earliest active one. */
int notice_ec2_events(int status, const char *body, struct notice *ret)
{
    struct notice best = nothing();
    const cJSON *e;
    if (status == 404) {
        *ret = best;
        return 0;
    }
    SC_AUTO(cjson_free) cJSON *list = status == 200 ? cJSON_Parse(body) : NULL;
    if (!cJSON_IsArray(list))
        return -EPROTO;
    cJSON_ArrayForEach(e, list)
    {
        struct notice n = nothing();
        struct json_reader r = json_read(e, "event");
        const char *code = json_str(&r, "Code", 1, 64);
        n.at = notice_time(json_str_or(&r, "NotBefore", 64, ""));
        const char *state = json_str_or(&r, "State", 32, "active");
        const char *text = json_str_or(&r, "Description", 512, "");
        if (json_done(&r, NULL) < 0)
            return -EPROTO;
        if (strcmp(state, "active") != 0 || !strncmp(text, "[Completed]", 11) ||
            !strncmp(text, "[Canceled]", 10))
            continue;
        for (size_t i = 0; i < SC_ARRAY_LEN(ec2_codes); i++)
            if (!strcmp(code, ec2_codes[i].code))
                n.action = ec2_codes[i].action;
        n.kind = NOTICE_MAINTENANCE;
        n.source = "ec2-event";
        say(&n, code, text);
        if (best.kind == NOTICE_NONE || n.at < best.at)
            best = n;
    }
    *ret = best;
    return 0;
}

/* --- GCE ------------------------------------------------------------------ */

static bool is_word(const char *body, const char *word)
{
    size_t len = strcspn(body, "\r\n");
    return len == strlen(word) && !strncmp(body, word, len);
}

int notice_gce_preempted(int status, const char *body, struct notice *ret)
{
    struct notice n = nothing();
    bool yes = is_word(body, "TRUE");
    if (status != 200 || (!yes && !is_word(body, "FALSE")))
        return -EPROTO;
    if (yes) {
        n.kind = NOTICE_REVOCATION;
        n.action = "terminate";
        n.source = "gce-preempted";
        say(&n, "GCE preempts the instance", "about 30 s are left");
    }
    *ret = n;
    return 0;
}

int notice_gce_maintenance(int status, const char *body, struct notice *ret)
{
    struct notice n = nothing();
    if (status != 200)
        return -EPROTO;
    if (is_word(body, "MIGRATE_ON_HOST_MAINTENANCE")) {
        n.action = "freeze";
        say(&n, "GCE moves the instance to another host", "it stands still");
    } else if (is_word(body, "TERMINATE_ON_HOST_MAINTENANCE")) {
        n.action = "stop";
        say(&n, "GCE stops the instance for maintenance of its host", "");
    } else if (!is_word(body, "NONE")) {
        return -EPROTO;
    }
    if (*n.action) {
        n.kind = NOTICE_MAINTENANCE;
        n.source = "gce-maintenance";
    }
    *ret = n;
    return 0;
}

/* --- Azure ---------------------------------------------------------------- */

static const struct {
    const char *type, *action;
    enum notice_kind kind;
} azure_types[] = {
    { "Preempt", "terminate", NOTICE_REVOCATION },
    { "Terminate", "terminate", NOTICE_REVOCATION },
    { "Redeploy", "reboot", NOTICE_MAINTENANCE },
    { "Reboot", "reboot", NOTICE_MAINTENANCE },
    { "Freeze", "freeze", NOTICE_MAINTENANCE },
};

static bool names(const cJSON *resources, const char *name)
{
    const cJSON *r;
    if (!*name || !cJSON_IsArray(resources))
        return true; /* Better one notice too many. */
    cJSON_ArrayForEach(r, resources)
    {
        /* "name", or "_name" as the fabric calls it. */
        const char *s = cJSON_IsString(r) ? r->valuestring : "";
        if (!strcasecmp(s, name) || (*s == '_' && !strcasecmp(s + 1, name)))
            return true;
    }
    return false;
}

static int azure_event(const cJSON *e, const char *name, struct notice *ret)
{
    struct json_reader r = json_read(e, "event");
    const char *type = json_str(&r, "EventType", 1, 64);
    const char *status = json_str_or(&r, "EventStatus", 32, "Scheduled");
    const char *text = json_str_or(&r, "Description", 512, "");
    *ret = nothing();
    ret->at = notice_time(json_str_or(&r, "NotBefore", 64, ""));
    if (json_done(&r, NULL) < 0)
        return -EPROTO;
    if (!strcmp(status, "Completed") || !strcmp(status, "Canceled") ||
        !names(cJSON_GetObjectItemCaseSensitive(e, "Resources"), name))
        return 0;
    ret->kind = NOTICE_MAINTENANCE; /* One we do not know yet. */
    for (size_t i = 0; i < SC_ARRAY_LEN(azure_types); i++) {
        if (strcmp(type, azure_types[i].type) != 0)
            continue;
        ret->kind = azure_types[i].kind;
        ret->action = azure_types[i].action;
    }
    ret->source = "azure-scheduled-event";
    char what[96];
    snprintf(what, sizeof what, "Azure: %s, %s", type, status);
    say(ret, what, text);
    return 0;
}

/* {"DocumentIncarnation": 2, "Events": [{"EventType": "Preempt", ...}]} */
int notice_azure(int status, const char *body, const char *name,
                 struct notice *ret)
{
    SC_AUTO(cjson_free) cJSON *o = status == 200 ? cJSON_Parse(body) : NULL;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, "Events"), *e;
    struct notice best = nothing();
    if (!cJSON_IsArray(list))
        return -EPROTO;
    cJSON_ArrayForEach(e, list)
    {
        struct notice n;
        int r = azure_event(e, name, &n);
        if (r < 0)
            return r;
        if (n.kind > best.kind || (n.kind == best.kind && n.at < best.at))
            best = n;
    }
    *ret = best;
    return 0;
}
