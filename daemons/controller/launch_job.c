/* The job provider.launch: instances that become nodes.
 *
 *   user-data -> launch -> join
 *
 * 'user-data' makes the join token and renders what each instance is given; it
 * is kept sealed, because the same launch asked for again after a crash must be
 * the same to the cloud.  'launch' takes the instances one after the other,
 * each tagged with the job's id and its number.  'join' waits for the nodes.
 * Undoing ends what was launched, but never an instance that has become a node:
 * guests may run on it already.
 * job->data: provider, args (of the driver's call), hypervisor, ttl_s, join_s,
 * token_id, items [{name, token, user_data (sealed), resume, id, region,
 * console, node}], tries. */
#include "common/log.h"
#include "controller/join.h"
#include "controller/providers.h"
#include "controller/secrets.h"
#include "controller/user_data.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    LAUNCH_MS = 900000,
    TERMINATE_MS = 600000,
    JOIN_POLL_MS = 1000,
    CONSOLE_TAIL = 32 << 10,
    CONSOLE_LINES = 4,
};

static cJSON *items(const struct job *job)
{
    return cJSON_GetObjectItemCaseSensitive(job->data, "items");
}

static const char *text(const cJSON *o, const char *key)
{
    const char *s =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
    return s ? s : "";
}

static void set_text(cJSON *o, const char *key, const char *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(o, key);
    cJSON_AddStringToObject(o, key, value);
}

static const cJSON *launch_args(const struct job *job)
{
    return cJSON_GetObjectItemCaseSensitive(job->data, "args");
}

/* --- user-data ---------------------------------------------------------------
 */

static int check_size(struct ctl *ctl, const struct account *a, size_t size,
                      struct sc_err *err)
{
    const cJSON *max = cJSON_GetObjectItemCaseSensitive(
        ctl_driver(ctl, a->driver), "user_data_max");
    if (!cJSON_IsNumber(max) || max->valuedouble <= 0 ||
        (double)size <= max->valuedouble)
        return 0;
    return sc_fail(err, -EFBIG,
                   "the user-data has %zu bytes, '%s' takes at most %.0f", size,
                   a->driver, max->valuedouble);
}

static int render_item(struct ctl *ctl, struct job *job,
                       const struct account *a, const char *token, cJSON *item,
                       struct sc_err *err)
{
    char controller[320];
    const char *region = text(launch_args(job), "region");
    bool v6 = strchr(ctl->host, ':') != NULL;
    snprintf(controller, sizeof controller, "%s%s%s:%u", v6 ? "[" : "",
             ctl->host, v6 ? "]" : "", ctl->port);
    const struct user_data_request q = {
        .role = USER_DATA_NODE,
        .format = USER_DATA_CLOUD_CONFIG,
        .driver = a->driver,
        .provider = a->driver,
        .region = region,
        .name = text(item, "name"),
        .controller = controller,
        .token = token,
        .hypervisor = job_str(job, "hypervisor"),
    };
    SC_AUTO(secrets_free_text) char *plain = NULL;
    SC_AUTO(free) char *sealed = NULL;
    int r = user_data_render(&q, &plain, err);
    if (r == 0)
        r = check_size(ctl, a, strlen(plain), err);
    if (r == 0)
        r = ctl_seal(ctl, text(item, "token"), plain, &sealed, err);
    if (r == 0)
        set_text(item, "user_data", sealed);
    return r;
}

static void user_data_run(struct ctl *ctl, struct job *job)
{
    const struct account *a = ctl_account_find(ctl, job_str(job, "provider"));
    struct token t = { 0 };
    char token[TOKEN_TEXT];
    struct sc_err err;
    cJSON *item;
    if (!a) {
        job_failedf(ctl, job, -ENOENT, "the provider was removed");
        return;
    }
    OBJ_SET(t.region, text(launch_args(job), "region"));
    OBJ_SET(t.provider, a->driver);
    OBJ_SET(t.created_by, job_str(job, "user"));
    t.uses = (uint32_t)cJSON_GetArraySize(items(job));
    t.expires_at = ctl_now(ctl) + job_u64(job, "ttl_s") * 1000;
    int r = ctl_token_make(ctl, &t, token, &err);
    cJSON_ArrayForEach(item, items(job))
    {
        if (r == 0)
            r = render_item(ctl, job, a, token, item, &err);
    }
    explicit_bzero(token, sizeof token);
    if (r < 0) {
        job_failed(ctl, job, &err);
        return;
    }
    /* The token, and that it was made: together. */
    job_set_str(job, "token_id", t.id);
    struct ctl_txn *x = ctl_txn_begin(ctl);
    ctl_put_json(x, "tokens", t.id, token_to_json(&t));
    job_ok_txn(ctl, job, x);
}

static void forget_secrets(struct ctl_txn *x, struct job *job)
{
    cJSON *item;
    if (job_str(job, "token_id")[0])
        ctl_del(x, "tokens", job_str(job, "token_id"), NULL);
    cJSON_ArrayForEach(item, items(job))
        cJSON_DeleteItemFromObjectCaseSensitive(item, "user_data");
}

static void user_data_undo(struct ctl *ctl, struct job *job)
{
    struct ctl_txn *x = ctl_txn_begin(ctl);
    forget_secrets(x, job);
    job_ok_txn(ctl, job, x);
}

/* --- launch ------------------------------------------------------------------
 */

static cJSON *next_to_launch(const struct job *job)
{
    cJSON *item;
    cJSON_ArrayForEach(item, items(job))
    {
        if (!text(item, "id")[0])
            return item;
    }
    return NULL;
}

static void launch_save(struct ctl *ctl, struct job *job, const cJSON *state)
{
    (void)ctl;
    cJSON *item = next_to_launch(job);
    cJSON_DeleteItemFromObjectCaseSensitive(item, "resume");
    cJSON_AddItemToObject(item, "resume", cJSON_Duplicate(state, true));
}

static void launch_run(struct ctl *ctl, struct job *job);

static int record(struct ctl *ctl, struct ctl_txn *x, struct job *job,
                  cJSON *item, const cJSON *instance, struct sc_err *err)
{
    SC_AUTO(free) struct launched *l = calloc(1, sizeof *l);
    if (!l)
        return sc_fail(err, -ENOMEM, "out of memory");
    const char *region = text(instance, "region");
    sc_uuid_new(l->key);
    OBJ_SET(l->account, job_str(job, "provider"));
    OBJ_SET(l->id, text(instance, "id"));
    OBJ_SET(l->region, region[0] ? region : text(launch_args(job), "region"));
    OBJ_SET(l->name, text(item, "name"));
    OBJ_SET(l->token, text(item, "token"));
    OBJ_SET(l->job, job->id);
    l->created_at = ctl_now(ctl);
    if (!ctl_list_add(&ctl->launched, l))
        return sc_fail(err, -ENOMEM, "out of memory");
    set_text(item, "id", l->id);
    set_text(item, "region", l->region);
    set_text(item, "console", text(instance, "console"));
    cJSON_DeleteItemFromObjectCaseSensitive(item, "resume");
    ctl_put_launched(x, l);
    job_note(ctl, job, "'%s' is instance '%s' in %s", l->name, l->id,
             l->region);
    (void)SC_TAKE(l);
    return 0;
}

static void launch_answer(struct ctl *ctl, struct job *job, const cJSON *result,
                          const struct sc_err *err)
{
    cJSON *item = next_to_launch(job);
    const cJSON *instance =
        cJSON_GetObjectItemCaseSensitive(result, "instance");
    struct sc_err own;
    if (!err->code && !text(instance, "id")[0]) {
        sc_fail(&own, -EPROTO, "the driver named no instance");
        err = &own;
    }
    if (err->code) {
        job_provider_failed(ctl, job, err);
        return;
    }
    struct ctl_txn *x = ctl_txn_begin(ctl);
    int r = record(ctl, x, job, item, instance, &own);
    job_set_u64(job, "tries", 0);
    ctl_put_job(x, job);
    if (r < 0)
        ctl_txn_fail(x, r, &own);
    if (ctl_txn_commit(x, &own) < 0)
        job_failed(ctl, job, &own);
    else
        launch_run(ctl, job);
}

static void launch_run(struct ctl *ctl, struct job *job)
{
    const cJSON *item = next_to_launch(job);
    SC_AUTO(secrets_free_text) char *user_data = NULL;
    struct sc_err err;
    if (!item) {
        job_ok(ctl, job);
        return;
    }
    if (ctl_unseal(ctl, text(item, "token"), text(item, "user_data"),
                   &user_data, &err) < 0) {
        job_failed(ctl, job, &err);
        return;
    }
    cJSON *args = cJSON_Duplicate(launch_args(job), true);
    cJSON_AddStringToObject(args, "name", text(item, "name"));
    cJSON_AddStringToObject(args, "user_data", user_data);
    job_provider_call(ctl, job, job_str(job, "provider"), "launch", args,
                      text(item, "token"),
                      cJSON_GetObjectItemCaseSensitive(item, "resume"),
                      LAUNCH_MS, launch_save, launch_answer);
}

static void launch_undo(struct ctl *ctl, struct job *job);

static cJSON *next_to_end(const struct job *job)
{
    cJSON *item;
    cJSON_ArrayForEach(item, items(job))
    {
        if (text(item, "id")[0] && !text(item, "node")[0])
            return item;
    }
    return NULL;
}

static void ended_answer(struct ctl *ctl, struct job *job, const cJSON *result,
                         const struct sc_err *err)
{
    (void)result;
    cJSON *item = next_to_end(job);
    if (err->code && err->code != -ENOENT &&
        job_provider_undo_again(ctl, job, err))
        return;
    if (!err->code || err->code == -ENOENT)
        job_note(ctl, job, "instance '%s' was ended", text(item, "id"));
    /* Given up: without a record, gc finds it. */
    struct ctl_txn *x = ctl_txn_begin(ctl);
    struct launched *l =
        ctl_launched_find(ctl, job_str(job, "provider"), text(item, "id"));
    if (l)
        ctl_drop_launched(ctl, x, l);
    cJSON_DeleteItemFromObjectCaseSensitive(item, "id");
    ctl_put_job(x, job);
    if (ctl_txn_commit(x, NULL) == 0)
        launch_undo(ctl, job);
}

static void launch_undo(struct ctl *ctl, struct job *job)
{
    const cJSON *item = next_to_end(job);
    if (!item) {
        job_provider_sweep(ctl, job, job_str(job, "provider"));
        return;
    }
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "region", text(item, "region"));
    cJSON_AddStringToObject(args, "id", text(item, "id"));
    job_provider_call(ctl, job, job_str(job, "provider"), "terminate", args,
                      text(item, "token"), NULL, TERMINATE_MS, NULL,
                      ended_answer);
}

/* --- join --------------------------------------------------------------------
 */

static const struct ctl_node *node_of(struct ctl *ctl, const struct job *job,
                                      const cJSON *item)
{
    for (size_t i = 0; i < ctl->nodes.n; i++) {
        const struct ctl_node *n = ctl->nodes.items[i];
        if (!strcmp(n->n.token_id, job_str(job, "token_id")) &&
            !strcmp(n->n.name, text(item, "name")))
            return n;
    }
    return NULL;
}

static void joined(struct ctl *ctl, struct job *job, cJSON *item,
                   const struct ctl_node *n)
{
    struct ctl_txn *x = ctl_txn_begin(ctl);
    struct launched *l =
        ctl_launched_find(ctl, job_str(job, "provider"), text(item, "id"));
    set_text(item, "node", n->n.id);
    job_note(ctl, job, "node '%s' has joined", n->n.name);
    if (l) {
        OBJ_SET(l->node, n->n.id);
        ctl_put_launched(x, l);
    }
    ctl_put_job(x, job);
    ctl_txn_commit(x, NULL);
}

/* What the instance says on its console, if that is a file: lines with a code
 * of ours, or the last ones. */
static void note_console(struct ctl *ctl, struct job *job, const cJSON *item)
{
    const char *path = text(item, "console"), *name = text(item, "name");
    if (path[0] != '/') {
        const struct account *a =
            ctl_account_find(ctl, job_str(job, "provider"));
        job_note(ctl, job,
                 "what '%s' says on its console: supercloud provider console "
                 "%s %s",
                 name, a ? a->name : job_str(job, "provider"), name);
        return;
    }
    SC_AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    SC_AUTO(free) char *buf = malloc(CONSOLE_TAIL + 1);
    if (fd < 0 || !buf)
        return;
    off_t size = lseek(fd, 0, SEEK_END);
    ssize_t n = pread(fd, buf, CONSOLE_TAIL,
                      size > CONSOLE_TAIL ? size - CONSOLE_TAIL : 0);
    if (n <= 0)
        return;
    buf[n] = '\0';
    const char *lines[CONSOLE_LINES] = { NULL };
    bool coded = strstr(buf, "[SC-") != NULL;
    char *rest = buf, *line;
    while ((line = strsep(&rest, "\r\n"))) {
        if (!line[0] || (coded && !strstr(line, "[SC-")))
            continue;
        memmove(lines, lines + 1, sizeof lines - sizeof *lines);
        lines[CONSOLE_LINES - 1] = line;
        for (; *line; line++) {
            if ((unsigned char)*line < ' ' || (unsigned char)*line > 126)
                *line = '?';
        }
    }
    for (size_t i = 0; i < CONSOLE_LINES; i++) {
        if (lines[i])
            job_note(ctl, job, "console of '%s': %.200s", name, lines[i]);
    }
}

static void join_late(struct ctl *ctl, struct job *job, const char *missing)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, items(job))
    {
        if (!text(item, "node")[0])
            note_console(ctl, job, item);
    }
    job_failedf(ctl, job, -ETIMEDOUT,
                "%s did not join within %" PRIu64 " s; the job's log has what "
                "the console says",
                missing, job_u64(job, "join_s"));
}

static void join_run(struct ctl *ctl, struct job *job)
{
    char missing[160] = "";
    size_t len = 0;
    cJSON *item;
    cJSON_ArrayForEach(item, items(job))
    {
        const struct ctl_node *n = node_of(ctl, job, item);
        if (text(item, "node")[0])
            continue;
        if (n) {
            joined(ctl, job, item, n);
            if (ctl->broken)
                return;
            continue;
        }
        int k = snprintf(missing + len, sizeof missing - len, "%s'%s'",
                         len ? ", " : "", text(item, "name"));
        len += k > 0 && (size_t)k < sizeof missing - len ? (size_t)k : 0;
    }
    const struct job_step *step = &job->steps[job_current(job)];
    uint64_t since =
        step->started_at > ctl->started_at ? step->started_at : ctl->started_at;
    if (!missing[0])
        job_ok(ctl, job);
    else if (ctl_now(ctl) >= since + job_u64(job, "join_s") * 1000)
        join_late(ctl, job, missing);
    else
        job_again(ctl, job, JOIN_POLL_MS, "waiting for %s to join", missing);
}

static void launch_ended(struct ctl *ctl, struct job *job, struct ctl_txn *x,
                         bool ok)
{
    (void)ctl;
    (void)ok;
    forget_secrets(x, job);
    cJSON_DeleteItemFromObjectCaseSensitive(job->result, "instances");
    cJSON *list = cJSON_AddArrayToObject(job->result, "instances");
    const cJSON *item;
    cJSON_ArrayForEach(item, items(job))
    {
        if (!text(item, "id")[0])
            continue;
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "id", text(item, "id"));
        cJSON_AddStringToObject(o, "name", text(item, "name"));
        cJSON_AddStringToObject(o, "region", text(item, "region"));
        cJSON_AddStringToObject(o, "node", text(item, "node"));
        cJSON_AddItemToArray(list, o);
    }
}

const struct job_kind provider_launch_job = {
    .name = "provider.launch",
    .steps = { { "user-data", user_data_run, user_data_undo, .weight = 1 },
               { "launch", launch_run, launch_undo, .weight = 4,
                 .cancel = job_provider_cancel },
               { "join", join_run, NULL, .weight = 10 } },
    .ended = launch_ended,
    .cancels = "the instances are ended, but for those that have become nodes",
};
