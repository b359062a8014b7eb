#include "controller/sessions.h"

#include <inttypes.h>
#include <stdio.h>

enum { OPEN_TIMEOUT_MS = 15000, OUT_MAX = 1 << 20 };

struct ctl_session {
    char id[32]; /* As the node knows it. */
    char vm[OBJ_ID];
    uint16_t nid;
    api_console_out_fn *out;
    api_console_closed_fn *closed;
    void *arg;
};

void ctl_session_free(struct ctl_session *s)
{
    free(s);
}

static struct ctl_session *find(struct ctl *ctl, const char *id)
{
    for (size_t i = 0; i < ctl->sessions.n; i++) {
        if (!strcmp(ctl->sessions.items[i]->id, id))
            return ctl->sessions.items[i];
    }
    return NULL;
}

static cJSON *session_params(const struct ctl_session *s, bool with_vm)
{
    cJSON *j = cJSON_CreateObject();
    if (with_vm)
        cJSON_AddStringToObject(j, "vm_id", s->vm);
    cJSON_AddStringToObject(j, "session", s->id);
    return j;
}

/* Ends 's' from our side: its owner is told, and it is gone. */
static void end(struct ctl *ctl, struct ctl_session *s,
                const struct sc_err *why)
{
    ctl_list_remove(&ctl->sessions, s);
    s->closed(s->arg, why);
    free(s);
}

struct open_wait {
    struct ctl *ctl;
    char id[32];
};

static void opened(void *arg, const cJSON *result, const struct sc_err *err)
{
    SC_AUTO(free) struct open_wait *w = arg;
    (void)result;
    if (w->ctl->stopping)
        return;
    struct ctl_session *s = find(w->ctl, w->id);
    if (s && err->code)
        end(w->ctl, s, err);
}

int ctl_session_open(struct ctl *ctl, const char *vm, api_console_out_fn *out,
                     api_console_closed_fn *closed, void *arg,
                     struct ctl_session **ret, struct sc_err *err)
{
    const struct vm *v = ctl_vm_find(ctl, vm);
    if (!v)
        return sc_fail(err, -ENOENT, "vm '%.64s': not found", vm);
    if (!v->nid || !ctl_connected(ctl, v->nid, PROGRAM_NODE))
        return sc_fail(err, -ENOTCONN, "vm '%s': %s", v->name,
                       v->nid ? "its node is not connected" : "does not run");
    SC_AUTO(free) struct ctl_session *s = calloc(1, sizeof *s);
    SC_AUTO(free) struct open_wait *w = calloc(1, sizeof *w);
    if (!s || !w || !ctl_list_add(&ctl->sessions, s))
        return sc_fail(err, -ENOMEM, "console: out of memory");
    snprintf(s->id, sizeof s->id, "c%" PRIx64 "-%" PRIx64,
             ctl->started_at & 0xffffffff, ++ctl->next_session);
    OBJ_SET(s->vm, v->id);
    s->nid = v->nid;
    s->out = out;
    s->closed = closed;
    s->arg = arg;
    w->ctl = ctl;
    OBJ_SET(w->id, s->id);
    ctl->env.call(ctl->env.ctx, s->nid, PROGRAM_NODE, "vm.console_open",
                  session_params(s, true), OPEN_TIMEOUT_MS, opened, SC_TAKE(w));
    *ret = SC_TAKE(s);
    return 0;
}

void ctl_session_in(struct ctl *ctl, struct ctl_session *s, const void *data,
                    size_t size)
{
    SC_AUTO(free) char *text = json_b64_encode(data, size);
    if (!text)
        return;
    cJSON *j = session_params(s, false);
    cJSON_AddStringToObject(j, "data", text);
    ctl->env.notify(ctl->env.ctx, s->nid, PROGRAM_NODE, "vm.console_in", j);
}

static void closed_there(void *arg, const cJSON *result,
                         const struct sc_err *err)
{
    (void)arg;
    (void)result;
    (void)err; /* It is closed, or the node is gone, which closes it too. */
}

void ctl_session_close(struct ctl *ctl, struct ctl_session *s)
{
    ctl->env.call(ctl->env.ctx, s->nid, PROGRAM_NODE, "vm.console_close",
                  session_params(s, true), OPEN_TIMEOUT_MS, closed_there, NULL);
    ctl_list_remove(&ctl->sessions, s);
    free(s);
}

void ctl_session_out(struct ctl *ctl, uint16_t nid, const cJSON *params)
{
    struct json_reader r = json_read(params, "vm.console_out");
    const char *id = json_str(&r, "session", 1, 31);
    const char *text = json_str(&r, "data", 0, OUT_MAX);
    SC_AUTO(free) void *data = NULL;
    size_t size;
    if (json_done(&r, NULL) < 0 || json_b64_decode(text, &data, &size) < 0)
        return;
    struct ctl_session *s = find(ctl, id);
    if (s && s->nid == nid)
        s->out(s->arg, data, size);
}

void ctl_sessions_close_node(struct ctl *ctl, uint16_t nid)
{
    struct sc_err why;
    sc_fail(&why, -ENOTCONN, "the VM's node is not connected");
    for (size_t i = ctl->sessions.n; i-- > 0;) {
        if (i < ctl->sessions.n && ctl->sessions.items[i]->nid == nid)
            end(ctl, ctl->sessions.items[i], &why);
    }
}

void ctl_sessions_close_vm(struct ctl *ctl, const char *vm_id, const char *why)
{
    struct sc_err err;
    sc_fail(&err, -ENOTCONN, "%s", why);
    for (size_t i = ctl->sessions.n; i-- > 0;) {
        if (i < ctl->sessions.n && !strcmp(ctl->sessions.items[i]->vm, vm_id))
            end(ctl, ctl->sessions.items[i], &err);
    }
}
