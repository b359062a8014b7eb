/* world - a whole cluster around one controller, in one process, on a fake
 * clock: nodes that keep (exactly) the promises of docs/protocols/rpc.md, links
 * that break, a controller that dies at any commit and comes back.
 *
 * Messages take WORLD_DELAY ms each way; a lost connection loses what is on its
 * way.  After every event world_check asserts that no VM runs in two places.
 * A test draws its story:  world_cut(w, 1, 2); world_run(w, 5000); ... */
#ifndef TEST_CONTROLLER_WORLD_H
#define TEST_CONTROLLER_WORLD_H

#include "common/store_class.h"
#include "controller/authority.h"
#include "controller/jobs.h"
#include "controller/migrate_decide.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum {
    WORLD_NODES = 3,
    WORLD_STEP = 50,
    WORLD_DELAY = 50,
    WORLD_VMS = 8,
    WORLD_MIGS = 16,
    WORLD_EVENTS = 512,
};

struct wvm {
    char id[OBJ_ID];
    uint32_t epoch;
    bool running;
};
struct wmig {
    char id[OBJ_ID], vm[OBJ_ID];
    enum migrate_side side;
    uint32_t epoch;   /* The next one. */
    uint16_t other;   /* nid of the other side. */
    unsigned age;     /* Steps in this state. */
    bool out;         /* This is the source's record. */
    void *call;       /* Who waits for vm.migrate_out; or NULL. */
    unsigned connect; /* The connection it came by. */
};
struct wnode {
    uint16_t nid;
    char id[OBJ_ID];
    bool alive;
    bool linked;      /* To the controller. */
    unsigned connect; /* Counts connections; the present one. */
    bool connected;
    uint64_t hello_at, heartbeat_at;
    struct wvm vms[WORLD_VMS];
    size_t n_vms;
    struct wmig migs[WORLD_MIGS];
    size_t n_migs;
    uint64_t memory_mib;
    int fail_start; /* The next vm.start ends with this. */
    char volumes_deleted[8][OBJ_ID];
    size_t n_deleted;
};
struct wevent {
    uint64_t due;
    bool answer;
    uint16_t nid;
    enum ctl_program program;
    unsigned connect;
    char method[64];
    cJSON *json; /* Params, or the result. */
    struct sc_err err;
    rpc_done_fn *done;
    void *arg;
    bool cloud; /* A run of sc-provider: world->cloud does it. */
    bool line;  /* 'json' is one of its lines, for 'told'. */
    ctl_worker_line_fn *told;
    ctl_reach_fn *reached;
};
struct world {
    uint64_t now;
    int64_t clock_off; /* How wrong the controller's clock goes by now. */
    struct store *mem; /* Survives the controller. */
    struct ctl *ctl;   /* NULL: dead. */
    bool crashed, broken;
    unsigned n_commits, crash_at; /* Dies after that many; 0: never. */
    uint64_t restart_at;
    struct wnode nodes[WORLD_NODES + 1]; /* By nid, from 1. */
    bool cut[WORLD_NODES + 1][WORLD_NODES + 1];
    bool network;         /* sc-network is there. */
    uint64_t switches_at; /* Until then sc-network misses the switches. */
    struct wevent events[WORLD_EVENTS];
    size_t n_events;
    unsigned n_network_notes;
    char network_note[32]; /* The last one's method, */
    cJSON *network_params; /* and what it said. */
    /* The last operation's outcome. */
    bool op_done;
    struct sc_err op_err;
    cJSON *op_result;
    uint64_t random;
    /* What sc-provider is here: does 'e' and answers it, at once or by events
     * of its own.  A run dies with the controller. */
    void (*cloud)(struct world *w, struct wevent *e);
    /* A run is cancelled: it undoes what it made.  NULL: it was too slow, and
     * was killed. */
    void (*cloud_undo)(struct world *w, const struct wevent *e);
    void *cloud_data;
    int reach_code; /* What connecting to a node gives. */
    unsigned n_reached;
    const char *pki_dir, *spool_dir;
    /* What listeners were told last, of which kind. */
    char changed_kind[32];
    cJSON *changed;
};

/* --- a store that dies with the controller ----------------------------------
 */

struct wstore {
    struct store up;
    struct world *w;
};
struct wtxn {
    struct store_txn up;
    struct store_txn *inner;
};

static inline void wstore_close(struct store *s)
{
    store_fini(s);
    free(s);
}

static inline int wstore_begin(struct store *s, bool write,
                               struct store_txn **ret, struct sc_err *err)
{
    struct world *w = ((struct wstore *)s)->w;
    struct store_txn *inner;
    if (w->crashed)
        return sc_fail(err, -EIO, "crashed");
    int r = store_begin(w->mem, write, &inner, err);
    if (r < 0)
        return r;
    struct wtxn *t = calloc(1, sizeof *t);
    *t = (struct wtxn){ { s, write }, inner };
    *ret = &t->up;
    return 0;
}

static inline int wstore_commit(struct store_txn *up, struct sc_err *err)
{
    SC_AUTO(free) struct wtxn *t = (struct wtxn *)up;
    struct world *w = ((struct wstore *)up->store)->w;
    int r = store_commit(t->inner, err);
    if (r == 0 && ++w->n_commits == w->crash_at)
        w->crashed = true; /* It is durable; nobody hears of it. */
    return w->crashed ? sc_fail(err, -EIO, "crashed") : r;
}

static inline void wstore_abort(struct store_txn *up)
{
    store_abort(((struct wtxn *)up)->inner);
    free(up);
}

static inline int wstore_get(struct store_txn *up, size_t table,
                             struct store_slice key, struct store_slice *ret)
{
    return store_get(((struct wtxn *)up)->inner, up->store->tables[table], key,
                     ret);
}

static inline int wstore_put(struct store_txn *up, size_t table,
                             struct store_slice key, struct store_slice value,
                             struct sc_err *err)
{
    return store_put(((struct wtxn *)up)->inner, up->store->tables[table], key,
                     value, err);
}

static inline int wstore_del(struct store_txn *up, size_t table,
                             struct store_slice key, struct sc_err *err)
{
    return store_del(((struct wtxn *)up)->inner, up->store->tables[table], key,
                     err);
}

static inline int wstore_each(struct store_txn *up, size_t table,
                              struct store_slice prefix, store_each_fn *fn,
                              void *arg)
{
    return store_each(((struct wtxn *)up)->inner, up->store->tables[table],
                      prefix, fn, arg);
}

static const struct store_class wstore_class = {
    .name = "world",
    .close = wstore_close,
    .begin = wstore_begin,
    .commit = wstore_commit,
    .abort = wstore_abort,
    .get = wstore_get,
    .put = wstore_put,
    .del = wstore_del,
    .each = wstore_each,
};

/* --- messages ----------------------------------------------------------------
 */

static inline void world_post(struct world *w, struct wevent e)
{
    cr_assert_lt(w->n_events, (size_t)WORLD_EVENTS, "too many events");
    e.due = w->now + WORLD_DELAY;
    w->events[w->n_events++] = e;
}

static inline void world_answer(struct world *w, const struct wevent *call,
                                cJSON *result, int code, const char *text)
{
    struct wevent e = *call;
    e.answer = true;
    e.json = code ? NULL : result ? result : cJSON_CreateObject();
    if (code)
        cJSON_Delete(result);
    e.err = (struct sc_err){ .code = code };
    snprintf(e.err.text, sizeof e.err.text, "%s", code ? text : "");
    world_post(w, e);
}

static inline uint64_t wenv_now(void *ctx)
{
    struct world *w = ctx;
    return (uint64_t)((int64_t)w->now + w->clock_off);
}

static inline bool world_connected(struct world *w, uint16_t nid,
                                   enum ctl_program program)
{
    if (program == PROGRAM_NETWORK)
        return w->network && w->ctl && w->ctl->network_connected;
    return w->nodes[nid].connected;
}

static inline void wenv_call(void *ctx, uint16_t nid, enum ctl_program program,
                             const char *method, cJSON *params,
                             uint64_t timeout_ms, rpc_done_fn *done, void *arg)
{
    struct world *w = ctx;
    struct wevent e = {
        .nid = nid, .program = program, .json = params, .done = done, .arg = arg
    };
    (void)timeout_ms;
    snprintf(e.method, sizeof e.method, "%s", method);
    e.connect = w->nodes[nid].connect;
    if (w->crashed) { /* The dead send nothing. */
        e.answer = true;
        cJSON_Delete(params);
        e.json = NULL;
        e.err.code = -ECONNRESET;
        world_post(w, e);
    } else if (!world_connected(w, nid, program)) {
        cJSON_Delete(params);
        world_answer(w, &e, NULL, -ENOTCONN, "not connected");
    } else {
        world_post(w, e);
    }
}

static inline void wenv_notify(void *ctx, uint16_t nid,
                               enum ctl_program program, const char *method,
                               cJSON *params)
{
    struct world *w = ctx;
    (void)nid;
    if (program == PROGRAM_NETWORK) {
        w->n_network_notes++;
        snprintf(w->network_note, sizeof w->network_note, "%s", method);
        cJSON_Delete(w->network_params);
        w->network_params = SC_TAKE(params);
    }
    cJSON_Delete(params);
}

static inline void wenv_changed(void *ctx, const char *kind, const char *id,
                                const cJSON *object)
{
    struct world *w = ctx;
    cr_assert(kind && id);
    snprintf(w->changed_kind, sizeof w->changed_kind, "%s", kind);
    cJSON_Delete(w->changed);
    w->changed = object ? cJSON_Duplicate(object, true) : NULL;
}

static inline void wenv_worker(void *ctx, cJSON *request, uint64_t timeout_ms,
                               ctl_worker_line_fn *line, rpc_done_fn *done,
                               void *arg)
{
    struct world *w = ctx;
    (void)timeout_ms;
    world_post(w, (struct wevent){ .cloud = true,
                                   .json = request,
                                   .told = line,
                                   .done = done,
                                   .arg = arg });
}

static inline void wenv_worker_cancel(void *ctx, const void *arg)
{
    struct world *w = ctx;
    for (size_t i = 0; i < w->n_events; i++) {
        struct wevent *e = &w->events[i];
        if (!e->cloud || e->arg != arg)
            continue;
        if (!e->answer && w->cloud_undo)
            w->cloud_undo(w, e);
        cJSON_Delete(e->json); /* An answer that was on its way is lost. */
        e->json = NULL;
        e->answer = true;
        e->err = (struct sc_err){ .code = -ECANCELED, .text = "cancelled" };
    }
}

static inline void wenv_reach(void *ctx, const char *address, uint16_t port,
                              uint64_t timeout_ms, ctl_reach_fn *done,
                              void *arg)
{
    struct world *w = ctx;
    (void)timeout_ms;
    cr_assert(address[0] && port);
    w->n_reached++;
    world_post(w, (struct wevent){ .reached = done, .arg = arg });
}

/* A line of the run 'e'; 'json' is taken. */
static inline void world_say(struct world *w, const struct wevent *e,
                             cJSON *json)
{
    world_post(
        w, (struct wevent){
               .line = true, .json = json, .told = e->told, .arg = e->arg });
}

static inline void wenv_broken(void *ctx, const struct sc_err *err)
{
    struct world *w = ctx;
    (void)err;
    w->broken = true;
}

#include "world_nodes.h"

/* --- the controller's life
 * ----------------------------------------------------------- */

static inline void world_start(struct world *w)
{
    struct sc_err err;
    struct wstore *s = calloc(1, sizeof *s);
    const struct ctl_env env = { .ctx = w,
                                 .now = wenv_now,
                                 .call = wenv_call,
                                 .notify = wenv_notify,
                                 .changed = wenv_changed,
                                 .broken = wenv_broken,
                                 .reach = wenv_reach,
                                 .worker = wenv_worker,
                                 .worker_cancel = wenv_worker_cancel };
    const struct ctl_options o = { .host = "ctl",
                                   .port = 7443,
                                   .own_nid = 1,
                                   .pki_dir = w->pki_dir,
                                   .spool_dir = w->spool_dir };
    cr_assert_eq(store_init(&s->up, &wstore_class, ctl_tables, &err), 0);
    s->w = w;
    w->crashed = w->broken = false;
    w->crash_at = 0;
    w->restart_at = 0;
    cr_assert_eq(ctl_new(&s->up, &env, &o, &w->ctl, &err), 0, "%s", err.text);
    for (uint16_t i = 1; i <= WORLD_NODES; i++)
        w->nodes[i].hello_at = w->now + 100 * i;
}

/* As kill -9: nothing more is sent, stored or heard. */
static inline void world_kill_controller(struct world *w)
{
    w->crashed = true;
    w->ctl->stopping = true;
    for (uint16_t i = 1; i <= WORLD_NODES; i++)
        world_disconnect(w, &w->nodes[i]);
    for (size_t i = 0; i < w->n_events; i++) {
        struct wevent *e = &w->events[i];
        struct sc_err err;
        sc_fail(&err, -ECONNRESET, "dead");
        if (e->done)
            e->done(e->arg, NULL, &err); /* Frees; does nothing else. */
        if (e->reached)
            e->reached(e->arg, -ECANCELED);
        cJSON_Delete(e->json);
    }
    w->n_events = 0;
    ctl_free(SC_TAKE(w->ctl));
    w->restart_at = w->now + 1000;
}

static inline void world_check(struct world *w)
{
    for (uint16_t a = 1; a <= WORLD_NODES; a++) {
        for (size_t i = 0; i < w->nodes[a].n_vms; i++) {
            const struct wvm *v = &w->nodes[a].vms[i];
            for (uint16_t b = (uint16_t)(a + 1); v->running && b <= WORLD_NODES;
                 b++) {
                const struct wvm *other = wnode_vm(&w->nodes[b], v->id);
                cr_assert(!other || !other->running || !w->nodes[b].alive ||
                              !w->nodes[a].alive,
                          "vm %s runs at %u and at %u", v->id, a, b);
            }
        }
    }
}

static inline void world_step(struct world *w)
{
    w->now += WORLD_STEP;
    if (!w->ctl && w->restart_at && w->now >= w->restart_at)
        world_start(w);
    for (size_t i = 0; i < w->n_events;) {
        if (w->events[i].due > w->now) {
            i++;
            continue;
        }
        struct wevent e = w->events[i];
        memmove(&w->events[i], &w->events[i + 1],
                (w->n_events - i - 1) * sizeof e);
        w->n_events--;
        if (e.line) {
            if (w->ctl && !w->crashed && e.told)
                e.told(e.arg, e.json);
        } else if (e.reached) {
            if (w->crashed)
                w->ctl->stopping = true;
            e.reached(e.arg, w->reach_code);
        } else if (e.cloud && !e.answer && !w->crashed && w->cloud)
            w->cloud(w, &e);
        else if (e.cloud && !e.answer)
            world_answer(w, &e, NULL, -EIO, "sc-provider is not here");
        else if (!e.answer)
            world_request(w, &e);
        else if (!w->crashed)
            e.done(e.arg, e.json, &e.err);
        else if (w->ctl) { /* Only frees. */
            w->ctl->stopping = true;
            e.done(e.arg, NULL, &e.err);
        }
        cJSON_Delete(e.json);
        world_check(w);
        i = 0;
    }
    for (uint16_t i = 1; i <= WORLD_NODES; i++) {
        struct wnode *n = &w->nodes[i];
        for (size_t m = 0; n->alive && m < n->n_migs; m++) {
            if (n->migs[m].out)
                src_step(w, n, &n->migs[m]);
            world_check(w);
        }
        if (!w->ctl || w->crashed)
            continue;
        if (!n->connected && n->alive && n->linked && w->now >= n->hello_at)
            world_hello(w, n);
        if (n->connected && w->now >= n->heartbeat_at) {
            world_heartbeat(w, n);
            n->heartbeat_at = w->now + 2000;
        }
    }
    if (w->ctl && !w->crashed)
        w->ctl->network_connected = w->network;
    if (w->ctl && !w->crashed && w->now % 200 == 0)
        ctl_run(w->ctl);
    if (w->crashed && w->ctl)
        world_kill_controller(w);
}

static inline void world_run(struct world *w, uint64_t ms)
{
    for (uint64_t end = w->now + ms; w->now < end;)
        world_step(w);
}

static inline void world_op_done(void *arg, int status, const cJSON *result,
                                 const struct sc_err *err)
{
    struct world *w = arg;
    (void)status;
    w->op_done = true;
    w->op_err = (struct sc_err){ 0 };
    cJSON_Delete(SC_TAKE(w->op_result));
    if (err && err->code)
        w->op_err = *err;
    else
        w->op_result = cJSON_Duplicate(result, true);
}

/* Runs 'op' as an admin with JSON text 'params', printf-like; -errno. */
static inline int SC_PRINTF(3, 4)
    world_op(struct world *w, const char *op, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    SC_AUTO(cjson_free) cJSON *p = cJSON_Parse(text);
    cr_assert(p, "bad params: %s", text);
    const struct api_caller who = { "test", API_ROLE_ADMIN };
    w->op_done = false;
    ctl_op(w->ctl, op, &who, p, world_op_done, w);
    for (int i = 0; !w->op_done && i < 10000; i++)
        world_step(w);
    cr_assert(w->op_done, "%s was never answered", op);
    return w->op_err.code;
}

/* --- building
 * ------------------------------------------------------------------------- */

static inline void world_free(struct world *w)
{
    if (w->ctl) {
        world_kill_controller(w);
    }
    for (uint16_t i = 1; i <= WORLD_NODES; i++) {
        for (size_t m = 0; m < w->nodes[i].n_migs; m++)
            free(w->nodes[i].migs[m].call);
    }
    cJSON_Delete(w->op_result);
    cJSON_Delete(w->network_params);
    cJSON_Delete(w->changed);
    store_close(w->mem);
    free(w);
}
SC_CLEANUP(struct world, world_free)

/* Three nodes, n1 and n2 in us, n3 in jp; a network "net"; an active image
 * "img". */
static inline struct world *world_new_in(const char *pki_dir,
                                         const char *spool_dir)
{
    struct world *w = calloc(1, sizeof *w);
    struct sc_err err;
    w->pki_dir = pki_dir;
    w->spool_dir = spool_dir;
    w->now = 1700000000000;
    w->network = true;
    w->random = 88172645463325252u;
    cr_assert_eq(store_mem_open(ctl_tables, &w->mem, &err), 0);
    world_start(w);
    for (uint16_t i = 1; i <= WORLD_NODES; i++) {
        struct wnode *n = &w->nodes[i];
        struct node node = { .nid = i,
                             .state = NODE_JOINING,
                             .storage_port = 7480,
                             .migration_port = 7482 };
        n->nid = i;
        n->alive = n->linked = true;
        n->memory_mib = 1024;
        sc_uuid_new(n->id);
        OBJ_SET(node.id, n->id);
        snprintf(node.name, sizeof node.name, "n%u", i);
        OBJ_SET(node.region, i == 3 ? "jp" : "us");
        OBJ_SET(node.provider, "test");
        snprintf(node.address, sizeof node.address, "10.0.0.%u", i);
        cr_assert_eq(ctl_node_own(w->ctl, &node, &err), 0);
    }
    world_run(w, 1000);
    cr_assert_eq(world_op(w, "network.create",
                          "{\"name\":\"net\",\"cidr\":\"10.1.0.0/24\"}"),
                 0, "%s", w->op_err.text);
    cr_assert_eq(
        world_op(w, "image.create", "{\"name\":\"img\",\"size\":1048576}"), 0);
    cr_assert_eq(world_op(w, "image.upload_begin", "{\"id\":\"img\"}"), 0);
    cr_assert_eq(
        world_op(w, "image.upload",
                 "{\"id\":\"img\",\"path\":\"/nowhere/x\",\"size\":1048576,"
                 "\"sha256\":\"%064d\"}",
                 0),
        0, "%s", w->op_err.text);
    return w;
}

static inline struct world *world_new(void)
{
    return world_new_in(NULL, NULL);
}

static inline const struct vm *world_vm(struct world *w, const char *name)
{
    const struct vm *v = ctl_vm_find(w->ctl, name);
    cr_assert(v, "no vm '%s'", name);
    return v;
}

/* Creates VM 'name' at node 'at' and waits until it runs. */
static inline void world_make_vm(struct world *w, const char *name,
                                 const char *at)
{
    cr_assert_eq(world_op(w, "vm.create",
                          "{\"name\":\"%s\",\"image\":\"img\",\"network\":"
                          "\"net\",\"memory_mib\":128,\"node\":\"%s\"}",
                          name, at),
                 0, "%s", w->op_err.text);
    world_run(w, 3000);
    cr_assert_eq(world_vm(w, name)->state, VM_RUNNING, "%s",
                 world_vm(w, name)->error);
}

/* Kills the machine: its guests are gone, what it wrote durably is not. */
static inline void world_kill_node(struct world *w, uint16_t nid)
{
    struct wnode *n = &w->nodes[nid];
    world_disconnect(w, n);
    n->alive = false;
    n->n_vms = 0;
    for (size_t i = 0; i < n->n_migs; i++) {
        struct wmig *m = &n->migs[i];
        bool durable = m->side == SIDE_UNCERTAIN || m->side == SIDE_RELEASED ||
                       m->side == SIDE_CANCELLED || m->side == SIDE_RUNNING ||
                       m->side == SIDE_RESUMED;
        if (!durable)
            *m-- = n->migs[--n->n_migs], i--;
        else
            m->call = NULL;
    }
}

static inline void world_boot_node(struct world *w, uint16_t nid)
{
    w->nodes[nid].alive = true;
    w->nodes[nid].hello_at = w->now;
}

static inline void world_unlink(struct world *w, uint16_t nid)
{
    w->nodes[nid].linked = false;
    world_disconnect(w, &w->nodes[nid]);
}

static inline void world_link(struct world *w, uint16_t nid)
{
    w->nodes[nid].linked = true;
    w->nodes[nid].hello_at = w->now;
}

static inline void world_cut(struct world *w, uint16_t a, uint16_t b, bool cut)
{
    w->cut[a][b] = w->cut[b][a] = cut;
}

/* The newest job. */
static inline const struct job *world_job(struct world *w)
{
    cr_assert(w->ctl && w->ctl->jobs.n > 0);
    return w->ctl->jobs.items[w->ctl->jobs.n - 1];
}

/* Runs until the newest job has ended, at most 'ms'. */
static inline const struct job *world_wait_job(struct world *w, uint64_t ms)
{
    for (uint64_t end = w->now + ms; w->now < end;) {
        if (w->ctl && !w->crashed && job_ended(world_job(w)))
            break;
        world_step(w);
    }
    cr_assert(w->ctl, "the controller is dead");
    return world_job(w);
}

/* How many nodes run VM 'id' now, and which. */
static inline unsigned world_places(struct world *w, const char *id,
                                    uint16_t *ret_nid)
{
    unsigned n = 0;
    for (uint16_t i = 1; i <= WORLD_NODES; i++) {
        const struct wvm *v = wnode_vm(&w->nodes[i], id);
        if (w->nodes[i].alive && v && v->running) {
            n++;
            if (ret_nid)
                *ret_nid = i;
        }
    }
    return n;
}

static inline uint64_t world_random(struct world *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % below;
}

#endif
