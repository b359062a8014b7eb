/* Calls that must arrive some time: deleting blocks at a node that is away,
 * telling a source of a migration what became of it.  Stored until answered. */
#include "common/log.h"
#include "controller/ctl.h"

#include <inttypes.h>
#include <stdio.h>

enum { TODO_TIMEOUT_MS = 60000, TODO_RETRY_MS = 5000 };

static void todo_free(struct ctl_todo *t)
{
    if (!t)
        return;
    cJSON_Delete(t->params);
    free(t);
}
SC_CLEANUP(struct ctl_todo, todo_free)

static void todo_key(uint64_t seq, char key[17])
{
    snprintf(key, 17, "%016" PRIx64, seq);
}

void ctl_todo_add(struct ctl *ctl, struct ctl_txn *x, uint16_t nid,
                  enum ctl_program program, const char *method, cJSON *params)
{
    SC_AUTO(todo_free) struct ctl_todo *t = calloc(1, sizeof *t);
    struct sc_err err;
    char key[17];
    if (!t || !ctl_list_add(&ctl->todos, t)) {
        cJSON_Delete(params);
        ctl_txn_fail(x, sc_fail(&err, -ENOMEM, "out of memory"), &err);
        return;
    }
    t->seq = ctl->next_todo++;
    t->nid = nid;
    t->program = program;
    OBJ_SET(t->method, method);
    t->params = params;
    cJSON *j = cJSON_CreateObject();
    json_set_u64(j, "nid", nid);
    cJSON_AddStringToObject(j, "program", ctl_program_names[program]);
    cJSON_AddStringToObject(j, "method", method);
    cJSON_AddItemToObject(j, "params", cJSON_Duplicate(params, true));
    todo_key(t->seq, key);
    ctl_put_json(x, "todo", key, j);
    ctl_put_number(x, "next_todo", ctl->next_todo);
    (void)SC_TAKE(t);
}

int ctl_todo_load(struct ctl *ctl, uint64_t seq, const cJSON *j,
                  struct sc_err *err)
{
    struct json_reader r = json_read(j, "todo");
    SC_AUTO(todo_free) struct ctl_todo *t = calloc(1, sizeof *t);
    if (!t)
        return sc_fail(err, -ENOMEM, "out of memory");
    t->seq = seq;
    t->nid = (uint16_t)json_int(&r, "nid", 0, UINT16_MAX);
    OBJ_SET(t->method, json_str(&r, "method", 1, OBJ_NAME - 1));
    const char *program = json_str(&r, "program", 1, 32);
    const cJSON *params = json_obj(&r, "params");
    int e = json_done(&r, err);
    if (e < 0)
        return e;
    for (int p = 0; p < N_PROGRAMS; p++) {
        if (!strcmp(program, ctl_program_names[p]))
            t->program = (enum ctl_program)p;
    }
    t->params = cJSON_Duplicate(params, true);
    if (!t->params || !ctl_list_add(&ctl->todos, t))
        return sc_fail(err, -ENOMEM, "out of memory");
    (void)SC_TAKE(t);
    return 0;
}

static void remove_todo(struct ctl *ctl, struct ctl_txn *x, struct ctl_todo *t)
{
    char key[17];
    todo_key(t->seq, key);
    ctl_del(x, "todo", key, NULL);
    ctl_list_remove(&ctl->todos, t);
    todo_free(t);
}

void ctl_todo_forget_node(struct ctl *ctl, struct ctl_txn *x, uint16_t nid)
{
    for (size_t i = ctl->todos.n; i-- > 0;) {
        if (ctl->todos.items[i]->nid == nid)
            remove_todo(ctl, x, ctl->todos.items[i]);
    }
}

struct todo_wait {
    struct ctl *ctl;
    uint64_t seq;
};

/* Worth another try?  Any other answer is final: the other side has heard. */
static bool once_more(const struct sc_err *err)
{
    return err->code == -ECONNRESET || err->code == -ENOTCONN ||
           err->code == -ETIMEDOUT || err->code == -EBUSY ||
           err->code == -EAGAIN || err->code == -ENOMEM ||
           err->code == -EHOSTUNREACH || err->code == -EIO;
}

static void answered(void *arg, const cJSON *result, const struct sc_err *err)
{
    SC_AUTO(free) struct todo_wait *w = arg;
    struct ctl *ctl = w->ctl;
    (void)result;
    if (ctl->stopping || ctl->broken)
        return;
    for (size_t i = 0; i < ctl->todos.n; i++) {
        struct ctl_todo *t = ctl->todos.items[i];
        if (t->seq != w->seq)
            continue;
        t->busy = false;
        t->retry_at = ctl_now(ctl) + TODO_RETRY_MS;
        if (err->code && once_more(err))
            return;
        if (err->code && err->code != -ENOENT)
            sc_log(SC_LOG_WARN, "todo.refused", "method", t->method, "error",
                   err->text, NULL);
        struct ctl_txn *x = ctl_txn_begin(ctl);
        remove_todo(ctl, x, t);
        ctl_txn_commit(x, NULL);
        return;
    }
}

void ctl_todo_run(struct ctl *ctl)
{
    uint64_t now = ctl_now(ctl);
    for (size_t i = 0; i < ctl->todos.n; i++) {
        struct ctl_todo *t = ctl->todos.items[i];
        if (t->busy || t->retry_at > now ||
            !ctl_connected(ctl, t->nid, t->program))
            continue;
        struct todo_wait *w = malloc(sizeof *w);
        if (!w)
            return;
        *w = (struct todo_wait){ ctl, t->seq };
        t->busy = true;
        ctl->env.call(ctl->env.ctx, t->nid, t->program, t->method,
                      cJSON_Duplicate(t->params, true), TODO_TIMEOUT_MS,
                      answered, w);
    }
}
