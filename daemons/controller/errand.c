/* Calls that must arrive some time: deleting blocks at a node that is away,
 * telling a source of a migration what became of it.  Stored until answered. */
#include "common/log.h"
#include "controller/ctl.h"

#include <inttypes.h>
#include <stdio.h>

enum { ERRAND_TIMEOUT_MS = 60000, ERRAND_RETRY_MS = 5000 };

static void errand_free(struct ctl_errand *t)
{
    if (!t)
        return;
    cJSON_Delete(t->params);
    free(t);
}
SC_CLEANUP(struct ctl_errand, errand_free)

static void errand_key(uint64_t seq, char key[17])
{
    snprintf(key, 17, "%016" PRIx64, seq);
}

void ctl_errand_add(struct ctl *ctl, struct ctl_txn *x, uint16_t nid,
                    enum ctl_program program, const char *method, cJSON *params)
{
    SC_AUTO(errand_free) struct ctl_errand *t = calloc(1, sizeof *t);
    struct sc_err err;
    char key[17];
    if (!t || !ctl_list_add(&ctl->errands, t)) {
        cJSON_Delete(params);
        ctl_txn_fail(x, sc_fail(&err, -ENOMEM, "out of memory"), &err);
        return;
    }
    t->seq = ctl->next_errand++;
    t->nid = nid;
    t->program = program;
    OBJ_SET(t->method, method);
    t->params = params;
    cJSON *j = cJSON_CreateObject();
    json_set_u64(j, "nid", nid);
    cJSON_AddStringToObject(j, "program", ctl_program_names[program]);
    cJSON_AddStringToObject(j, "method", method);
    cJSON_AddItemToObject(j, "params", cJSON_Duplicate(params, true));
    errand_key(t->seq, key);
    ctl_put_json(x, "errand", key, j);
    ctl_put_number(x, "next_errand", ctl->next_errand);
    (void)SC_TAKE(t);
}

int ctl_errand_load(struct ctl *ctl, uint64_t seq, const cJSON *j,
                    struct sc_err *err)
{
    struct json_reader r = json_read(j, "errand");
    SC_AUTO(errand_free) struct ctl_errand *t = calloc(1, sizeof *t);
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
    if (!t->params || !ctl_list_add(&ctl->errands, t))
        return sc_fail(err, -ENOMEM, "out of memory");
    (void)SC_TAKE(t);
    return 0;
}

static void remove_errand(struct ctl *ctl, struct ctl_txn *x,
                          struct ctl_errand *t)
{
    char key[17];
    errand_key(t->seq, key);
    ctl_del(x, "errand", key, NULL);
    ctl_list_remove(&ctl->errands, t);
    errand_free(t);
}

void ctl_errand_forget_node(struct ctl *ctl, struct ctl_txn *x, uint16_t nid)
{
    for (size_t i = ctl->errands.n; i-- > 0;) {
        if (ctl->errands.items[i]->nid == nid)
            remove_errand(ctl, x, ctl->errands.items[i]);
    }
}

struct errand_wait {
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
    SC_AUTO(free) struct errand_wait *w = arg;
    struct ctl *ctl = w->ctl;
    (void)result;
    if (ctl->stopping || ctl->broken)
        return;
    for (size_t i = 0; i < ctl->errands.n; i++) {
        struct ctl_errand *t = ctl->errands.items[i];
        if (t->seq != w->seq)
            continue;
        t->busy = false;
        t->retry_at = ctl_now(ctl) + ERRAND_RETRY_MS;
        if (err->code && once_more(err))
            return;
        if (err->code && err->code != -ENOENT)
            sc_log(SC_LOG_WARN, "errand.refused", "method", t->method, "error",
                   err->text, NULL);
        struct ctl_txn *x = ctl_txn_begin(ctl);
        remove_errand(ctl, x, t);
        ctl_txn_commit(x, NULL);
        return;
    }
}

void ctl_errand_run(struct ctl *ctl)
{
    uint64_t now = ctl_now(ctl);
    for (size_t i = 0; i < ctl->errands.n; i++) {
        struct ctl_errand *t = ctl->errands.items[i];
        if (t->busy || t->retry_at > now ||
            !ctl_connected(ctl, t->nid, t->program))
            continue;
        struct errand_wait *w = malloc(sizeof *w);
        if (!w)
            return;
        *w = (struct errand_wait){ ctl, t->seq };
        t->busy = true;
        ctl->env.call(ctl->env.ctx, t->nid, t->program, t->method,
                      cJSON_Duplicate(t->params, true), ERRAND_TIMEOUT_MS,
                      answered, w);
    }
}
